//! Reads what runners pack with gzip: one member a file, one behind the other; and packs what browsers unpack.
//!
//! What must stay true: what a few bytes unpack to is bounded, whatever they say, and so is how many members there are.

use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use std::io::{self, BufRead, Read, Write};

/// How much is unpacked.
#[derive(Clone, Copy, Debug)]
pub struct UnpackLimits {
    /// Bytes of all members together.
    pub bytes_max: u64,
    /// Members.
    pub members_max: usize,
}

/// Hands each member's content to `each`, until the data ends. False: there is more than the limits allow, which was not
/// unpacked.
///
/// # Errors
/// Those of `from` and of `each`; what is no gzip.
pub fn for_each_member(
    mut from: impl BufRead,
    limits: UnpackLimits,
    each: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
) -> io::Result<bool> {
    let mut left = limits.bytes_max;
    for _ in 0..limits.members_max {
        if from.fill_buf()?.is_empty() {
            return Ok(true);
        }
        let mut member = GzDecoder::new(from).take(left);
        each(&mut member)?;
        // What `each` did not want; the next member begins behind it.
        io::copy(&mut member, &mut io::sink())?;
        left = member.limit();
        let mut member = member.into_inner();
        if left == 0 && member.read(&mut [0])? > 0 {
            return Ok(false);
        }
        from = member.into_inner();
    }
    Ok(from.fill_buf()?.is_empty())
}

/// The content of each member, and whether that is all, as [`for_each_member`] says it.
///
/// # Errors
/// Those of `from`; what is no gzip.
pub fn members(from: impl BufRead, limits: UnpackLimits) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let mut all = Vec::new();
    let is_whole = for_each_member(from, limits, &mut |member| {
        let mut content = Vec::new();
        member.read_to_end(&mut content)?;
        all.push(content);
        Ok(())
    })?;
    Ok((all, is_whole))
}

/// The content of all members, one behind the other. More than `bytes_max` ends in an error, as what is no gzip does.
pub fn bounded(from: impl BufRead + Send, bytes_max: u64) -> impl Read + Send {
    Bounded { from: MultiGzDecoder::new(from), left: bytes_max }
}

struct Bounded<R> {
    from: MultiGzDecoder<R>,
    left: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(out)?;
        let is_too_much = || io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than is allowed");
        self.left = self.left.checked_sub(count as u64).ok_or_else(is_too_much)?;
        Ok(count)
    }
}

/// The same as one member, quickly.
pub fn packed(data: &[u8]) -> Vec<u8> {
    pack(data, Compression::fast())
}

/// The same as one member, as small as it goes.
pub fn packed_well(data: &[u8]) -> Vec<u8> {
    pack(data, Compression::best())
}

fn pack(data: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 4), level);
    // A write into memory does not fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Each as a member.
    pub fn packed(files: &[&[u8]]) -> Vec<u8> {
        let mut packed = Vec::new();
        for file in files {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(file).unwrap();
            packed.extend(encoder.finish().unwrap());
        }
        packed
    }

    fn read(bytes: &[u8], bytes_max: u64, members_max: usize) -> io::Result<(Vec<Vec<u8>>, bool)> {
        members(bytes, UnpackLimits { bytes_max, members_max })
    }

    #[test]
    fn members_are_files_of_their_own() {
        for files in [vec![], vec![&b"one"[..]], vec![b"one", b"", b"three"]] {
            assert_eq!(read(&packed(&files), 8, 3).unwrap(), (files.iter().map(|file| file.to_vec()).collect(), true));
        }
    }

    #[test]
    fn a_member_that_is_not_read_to_its_end_does_not_spoil_the_next() {
        let mut begins = Vec::new();
        let mut each = |member: &mut dyn Read| {
            let mut begin = [0];
            member.read_exact(&mut begin)?;
            begins.extend(begin);
            Ok(())
        };
        let limits = UnpackLimits { bytes_max: 100, members_max: 9 };
        assert!(for_each_member(&*packed(&[b"abc", b"def"]), limits, &mut each).unwrap());
        assert_eq!(begins, b"ad");
    }

    #[test]
    fn no_more_is_unpacked_than_is_allowed() {
        let bomb = packed(&[&vec![0; 10 << 20]]);
        let (files, is_whole) = read(&bomb, 1000, 9).unwrap();
        assert_eq!((files[0].len(), is_whole), (1000, false));
        let (files, is_whole) = read(&packed(&[b"ab", b"cd"]), 3, 9).unwrap();
        assert_eq!((files, is_whole), (vec![b"ab".to_vec(), b"c".to_vec()], false));
        let (files, is_whole) = read(&packed(&[&b""[..]; 10]), 3, 9).unwrap();
        assert_eq!((files.len(), is_whole), (9, false));
        assert!(read(&packed(&[b"abc"]), 3, 9).unwrap().1);
    }

    #[test]
    fn what_is_no_gzip_or_cut_off_is_an_error() {
        let packed = packed(&[b"content", b"content"]);
        for bytes in [&b"PK\x03\x04 an archive"[..], b"\x1f\x8b", &packed[..packed.len() - 1]] {
            assert!(read(bytes, 100, 9).is_err());
        }
        let mut spoiled = packed.clone();
        let end = spoiled.len();
        spoiled[end - 6] ^= 1;
        assert!(read(&spoiled, 100, 9).is_err());
    }
}
