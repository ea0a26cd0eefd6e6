//! Packs files: zip for archives, gzip for reports, raw for single files.
//!
//! What must stay true: no link is followed and nothing but files is opened, whatever stands in the place of a file by
//! then; what is packed is bounded. The layout is that of real runners, so that the same readers read it.

use super::globs::name_of;
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zip::write::{ExtendedFileOptions, FileOptions};
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;
/// From this size on, a file needs the larger fields of zip.
const LARGE_BYTES: u64 = u32::MAX as u64;
/// The extra field of times.
const TIMES: u16 = 0x5455;

/// What is packed, and to what limits.
pub struct Packing<'a> {
    /// The folder that names are below.
    pub project: &'a Path,
    /// What is packed.
    pub files: &'a BTreeMap<PathBuf, Metadata>,
    /// Bytes of all files.
    pub bytes_max: u64,
    /// How hard to try to make it small.
    pub level: u32,
    /// Asked again and again.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl Packing<'_> {
    /// Makes a zip archive. Returns the names that are no files and were left out.
    ///
    /// # Errors
    /// The file system's; if it is too much, or nobody wants it any more.
    pub fn zip(&self, to: &mut File) -> io::Result<Vec<String>> {
        self.check_size()?;
        let mut ignored = Vec::new();
        let mut zip = ZipWriter::new(io::BufWriter::with_capacity(PIECE_BYTES, to));
        for (path, known) in self.files {
            let Some(name) = name_of(path) else {
                ignored.push(path.to_string_lossy().into_owned());
                continue;
            };
            let kind = known.file_type();
            let options = self.options(known)?;
            if kind.is_dir() {
                zip.add_directory(format!("{name}/"), options)?;
            } else if kind.is_symlink() {
                // It may be gone, or be something else, by now.
                match fs::read_link(self.project.join(path)).map(|target| target.into_os_string().into_string()) {
                    Ok(Ok(target)) => zip.add_symlink(name, target, options)?,
                    Ok(Err(_)) | Err(_) => ignored.push(name.to_owned()),
                }
            } else if kind.is_file() {
                match self.open(path) {
                    Ok(mut file) => {
                        zip.start_file(name, options)?;
                        self.copy(&mut file, &mut zip, known.len())?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => ignored.push(name.to_owned()),
                    Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
                }
            } else {
                debug_assert!(kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device());
                ignored.push(name.to_owned());
            }
        }
        zip.finish()?.flush()?;
        Ok(ignored)
    }

    fn options(&self, known: &Metadata) -> io::Result<FileOptions<'static, 'static, ExtendedFileOptions>> {
        let modified = known.modified().unwrap_or(UNIX_EPOCH);
        let seconds = modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let mut times = vec![1];
        times.extend_from_slice(&seconds.to_le_bytes());
        let method = if known.is_file() { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let mut options = FileOptions::<ExtendedFileOptions>::default()
            .compression_method(method)
            .compression_level(known.is_file().then_some(i64::from(self.level)))
            .last_modified_time(dos_time(modified))
            .unix_permissions(known.permissions().mode() & 0o7777)
            .large_file(known.len() >= LARGE_BYTES);
        options.add_extra_field(TIMES, times, false)?;
        Ok(options)
    }

    /// Packs each file by itself, one after the other.
    ///
    /// # Errors
    /// As [`Packing::zip`]; if one is no file.
    pub fn gzip(&self, to: &mut File) -> io::Result<()> {
        self.check_size()?;
        let mut to = io::BufWriter::with_capacity(PIECE_BYTES, to);
        for (path, known) in self.files {
            let name = name_of(path).unwrap_or("?");
            if !known.is_file() {
                return Err(io::Error::other(format!("{name} is no file")));
            }
            let seconds = known.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let seconds = seconds.and_then(|time| u32::try_from(time.as_secs()).ok()).unwrap_or(0);
            let last = path.file_name().unwrap_or_default().to_string_lossy().replace('\0', "");
            let mut gzip = GzBuilder::new()
                .filename(latin(&last))
                .comment(comment(name))
                .mtime(seconds)
                .write(&mut to, Compression::new(self.level));
            self.copy(&mut self.open(path)?, &mut gzip, known.len())?;
            gzip.finish()?;
        }
        to.flush()
    }

    /// Copies the one file.
    ///
    /// # Errors
    /// As [`Packing::zip`]; if there are more.
    pub fn raw(&self, to: &mut File) -> io::Result<()> {
        self.check_size()?;
        let mut files = self.files.iter();
        match (files.next(), files.next()) {
            (Some((path, known)), None) if known.is_file() => self.copy(&mut self.open(path)?, to, known.len()),
            _ => Err(io::Error::other("only one file can be uploaded as it is")),
        }
    }

    fn check_size(&self) -> io::Result<()> {
        let files = self.files.values().filter(|file| file.is_file());
        let bytes = files.fold(0_u64, |sum, file| sum.saturating_add(file.len()));
        if bytes <= self.bytes_max {
            return Ok(());
        }
        let (bytes, max) = (crate::domain::text::size::format_size(bytes), self.bytes_max);
        let max = crate::domain::text::size::format_size(max);
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the files have {bytes}, at most {max} are packed")))
    }

    /// Opens a file and nothing else: no link, and no pipe that would wait for its writer.
    fn open(&self, path: &Path) -> io::Result<File> {
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.project.join(path))?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Copies at most the bytes that the file had: it may grow for ever.
    fn copy(&self, from: &mut File, to: &mut dyn Write, bytes: u64) -> io::Result<()> {
        let mut from = from.take(bytes);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if !(self.is_wanted)() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let read = from.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            to.write_all(piece.get(..read).unwrap_or_default())?;
        }
    }
}

/// The bytes of a packed file, which is then read from its beginning.
pub fn rewound(file: &mut File) -> io::Result<u64> {
    let bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    Ok(bytes)
}

/// How hard to try: `fastest`, `fast`, `default`, `slow`, `slowest`.
#[must_use]
pub fn level(word: &str) -> u32 {
    match word {
        "fastest" => 1,
        "fast" => 3,
        "slow" => 8,
        "slowest" => 9,
        _ => 6,
    }
}

/// The time as zip has it, in UTC; the first one that it has for those before.
fn dos_time(time: SystemTime) -> DateTime {
    let text = humantime::format_rfc3339_seconds(time.max(UNIX_EPOCH)).to_string();
    let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
    let small = |from, to| u8::try_from(number(from, to)).unwrap_or(0);
    DateTime::from_date_and_time(number(0, 4), small(5, 7), small(8, 10), small(11, 13), small(14, 16), small(17, 19))
        .unwrap_or_default()
}

/// A name as gzip has it, in Latin-1.
fn latin(name: &str) -> Vec<u8> {
    name.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'_')).collect()
}

/// A path as a comment: what is not ASCII is encoded, and said to be.
fn comment(name: &str) -> String {
    if name.is_ascii() {
        return name.to_owned();
    }
    let encoded = |byte: u8| {
        let is_plain = byte.is_ascii_graphic() && byte != b'%';
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    format!("e:{}", name.bytes().map(encoded).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::collect::{Choice, Search};
    use super::*;
    use flate2::read::MultiGzDecoder;
    use std::fs::{FileTimes, Permissions};
    use std::os::unix::fs::symlink;
    use std::time::Duration;
    use zip::ZipArchive;

    fn packed(
        dir: &Path,
        paths: &[&str],
        pack: impl Fn(&Packing<'_>, &mut File) -> io::Result<()>,
    ) -> io::Result<File> {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        let choice = Choice { paths: &paths, exclude: &[], untracked: None };
        let found = Search { project: dir, is_wanted: &|| true }.find(&choice).unwrap();
        let packing = Packing { project: dir, files: &found.files, bytes_max: 1 << 20, level: 6, is_wanted: &|| true };
        let mut file = tempfile::tempfile().unwrap();
        pack(&packing, &mut file)?;
        rewound(&mut file)?;
        Ok(file)
    }

    #[test]
    fn a_zip_has_names_modes_times_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir_all(out.join("empty")).unwrap();
        fs::write(out.join("a.txt"), "text").unwrap();
        fs::set_permissions(out.join("a.txt"), Permissions::from_mode(0o750)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_577_934_246);
        File::open(out.join("a.txt")).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        symlink("gone", out.join("broken")).unwrap();
        nix::unistd::mkfifo(&out.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let file = packed(dir.path(), &["out/"], |packing, to| {
            assert_eq!(packing.zip(to)?, ["out/fifo"]);
            Ok(())
        });
        let mut zip = ZipArchive::new(file.unwrap()).unwrap();
        let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["out/", "out/a.txt", "out/broken", "out/empty/"]);
        let mut entry = zip.by_name("out/a.txt").unwrap();
        assert_eq!(entry.unix_mode(), Some(0o100_750));
        assert_eq!(entry.last_modified().unwrap().to_string(), "2020-01-02 03:04:06");
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        drop(entry);
        let mut link = zip.by_name("out/broken").unwrap();
        let mut target = String::new();
        link.read_to_string(&mut target).unwrap();
        assert!(link.is_symlink() && target == "gone");
    }

    #[test]
    fn gzip_has_a_member_for_each_file_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("r1.xml"), "one\n").unwrap();
        fs::write(dir.path().join("r2.xml"), "two\n").unwrap();
        let file = packed(dir.path(), &["r*.xml"], |packing, to| packing.gzip(to)).unwrap();
        let mut text = String::new();
        let mut first = MultiGzDecoder::new(file);
        first.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        assert_eq!(first.header().unwrap().filename(), Some(&b"r2.xml"[..]));
        fs::create_dir(dir.path().join("r3.xml")).unwrap();
        assert!(packed(dir.path(), &["r*.xml"], |packing, to| packing.gzip(to)).is_err());
        assert_eq!((comment("a/b"), comment("ä b")), ("a/b".to_owned(), "e:%C3%A4%20b".to_owned()));
    }

    #[test]
    fn raw_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "one").unwrap();
        let mut text = String::new();
        packed(dir.path(), &["a"], |packing, to| packing.raw(to)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
        fs::write(dir.path().join("b"), "two").unwrap();
        assert!(packed(dir.path(), &["?"], |packing, to| packing.raw(to)).is_err());
    }

    #[test]
    fn a_file_without_end_and_one_that_became_a_link_do_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert!(packed(dir.path(), &["sparse"], |packing, to| packing.zip(to).map(drop)).is_err());
        fs::remove_file(dir.path().join("sparse")).unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        let file = packed(dir.path(), &["a"], |packing, to| {
            fs::remove_file(dir.path().join("a")).unwrap();
            symlink("/etc/passwd", dir.path().join("a")).unwrap();
            assert!(packing.zip(to).is_err());
            Ok(())
        });
        assert!(file.is_ok());
    }
}
