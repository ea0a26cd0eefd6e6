use super::*;
use std::io::{Cursor, Write};
use zip::unstable::write::FileOptionsExt;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Writer = ZipWriter<Cursor<Vec<u8>>>;

fn archive(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut archive);
    archive.finish().unwrap().into_inner()
}

fn add(to: &mut Writer, name: &str, bytes: &[u8]) {
    to.start_file(name, SimpleFileOptions::default()).unwrap();
    to.write_all(bytes).unwrap();
}

fn open(bytes: &[u8]) -> Result<Directory, Fault> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Directory::open(file)
}

fn entries(directory: &mut Directory) -> Result<Vec<DirectoryEntry>, Fault> {
    let mut all = Vec::new();
    while let Some(entry) = directory.next_entry()? {
        all.push(entry);
    }
    Ok(all)
}

fn content(directory: &Directory, entry: &DirectoryEntry) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let content = directory.content(entry).map_err(|fault| io::Error::other(format!("{fault:?}")));
    content?.read_to_end(&mut bytes).map(|_| bytes)
}

/// Every file of an archive, by name, or what is wrong with the archive or a file.
fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut directory = open(bytes).map_err(|fault| format!("{fault:?}"))?;
    let entries = entries(&mut directory).map_err(|fault| format!("{fault:?}"))?;
    let read = |entry: &DirectoryEntry| {
        let bytes = content(&directory, entry).map_err(|error| error.to_string())?;
        Ok((String::from_utf8_lossy(&entry.name).into_owned(), bytes))
    };
    entries.iter().map(read).collect()
}

/// Where a record begins with these four bytes, the last one of them.
fn place(bytes: &[u8], magic: &[u8]) -> usize {
    memchr::memmem::rfind(bytes, magic).unwrap()
}

#[test]
fn files_come_out_as_they_went_in_also_behind_other_bytes_and_before_a_comment() {
    let big = b"0123456789".repeat(100_000);
    let bytes = archive(|to| {
        to.set_comment("a comment with PK\x05\x06 in it").unwrap();
        add(to, "bin/größe", &big);
        add(to, "empty", b"");
        to.start_file("stored", SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        to.write_all(b"as it is").unwrap();
        to.start_file("large", SimpleFileOptions::default().large_file(true)).unwrap();
        to.write_all(b"with sizes of 64 bits").unwrap();
    });
    let files = read(&bytes).unwrap();
    let expected: [(&str, &[u8]); 4] =
        [("bin/größe", &big), ("empty", b""), ("stored", b"as it is"), ("large", b"with sizes of 64 bits")];
    assert_eq!(files, expected.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    let shifted = [b"#!/bin/sh\n".repeat(1000), bytes].concat();
    assert_eq!(read(&shifted).unwrap(), files);
}

#[test]
fn folders_links_and_times_are_known() {
    let bytes = archive(|to| {
        let time = zip::DateTime::from_date_and_time(2026, 11, 28, 7, 45, 2).unwrap();
        to.add_directory("a", SimpleFileOptions::default().last_modified_time(time)).unwrap();
        to.add_symlink("a/link", "../etc", SimpleFileOptions::default()).unwrap();
        add(to, "a/file", b"");
    });
    let all = entries(&mut open(&bytes).unwrap()).unwrap();
    let kinds: Vec<(bool, bool)> = all.iter().map(|entry| (entry.is_folder(), entry.is_link())).collect();
    assert_eq!(kinds, [(true, false), (false, true), (false, false)]);
    assert_eq!(all[0].changed_at.unwrap().to_string(), "2026-11-28T07:45:02.000Z");
}

/// As runners write them: more entries than 16 bits count.
#[test]
fn an_archive_of_more_than_65_535_entries_is_read_to_its_end() {
    let bytes = archive(|to| (0..70_000).for_each(|n| add(to, &format!("d{}/f{n}", n % 7), b"")));
    for bytes in [bytes.clone(), [b"before".to_vec(), bytes].concat()] {
        let mut directory = open(&bytes).unwrap();
        let all = entries(&mut directory).unwrap();
        assert_eq!((all.len(), all[69_999].name.as_slice()), (70_000, &b"d6/f69999"[..]));
        assert_eq!(content(&directory, &all[69_999]).unwrap(), b"");
    }
}

#[test]
fn what_would_fill_disks_or_cannot_be_read_is_refused() {
    let zeros = vec![0; 70 << 20];
    let bomb = archive(|to| add(to, "zeros", &zeros));
    assert!(read(&bomb).unwrap_err().contains("250 times"));
    let small = archive(|to| add(to, "zeros", &zeros[..10 << 20]));
    assert_eq!(read(&small).unwrap()[0].1.len(), 10 << 20);

    let secret = archive(|to| {
        to.start_file("secret", SimpleFileOptions::default().with_deprecated_encryption(b"key").unwrap()).unwrap();
        to.write_all(b"content").unwrap();
    });
    assert!(read(&secret).unwrap_err().contains("encrypted"));

    let mut other = archive(|to| add(to, "zstd", b"content"));
    let at = place(&other, b"PK\x01\x02");
    other[at + 10] = 93;
    assert!(read(&other).unwrap_err().contains("method 93"));

    let mut crowd = archive(|to| add(to, "one", b""));
    let at = place(&crowd, b"PK\x05\x06");
    crowd.splice(at..at, large_end(ENTRIES_MAX + 1, 46, 0));
    let at = place(&crowd, b"PK\x05\x06");
    crowd[at + 10..at + 12].fill(0xff);
    assert!(read(&crowd).unwrap_err().contains("at most 500000"));
}

/// The end of a large directory, and its locator, which lies about where that is.
fn large_end(entries: u64, bytes: u64, start: u64) -> Vec<u8> {
    let mut end = [b"PK\x06\x06".to_vec(), vec![0; 20]].concat();
    for value in [entries, entries, bytes, start] {
        end.extend(value.to_le_bytes());
    }
    [end, b"PK\x06\x07".to_vec(), vec![0; 16]].concat()
}

#[test]
fn a_file_that_is_not_what_the_directory_says_breaks_off_before_its_end() {
    let good = archive(|to| add(to, "file", b"some content, some content"));
    let at = place(&good, b"PK\x01\x02");
    for (offset, value, part) in [(16, 1, "checksum"), (24, 25, "larger"), (24, 27, "shorter"), (42, 9, "not where")] {
        let mut bad = good.clone();
        bad[at + offset] ^= if offset == 16 { value } else { 0 };
        if offset != 16 {
            bad[at + offset] = value;
        }
        let error = read(&bad).unwrap_err();
        assert!(error.contains(part), "{error} at {offset}");
    }
    // What was sent until then was not all of it.
    let mut bad = good;
    bad[at + 16] ^= 1;
    let mut directory = open(&bad).unwrap();
    let entry = directory.next_entry().unwrap().unwrap();
    let (mut sent, mut content) = (Vec::new(), directory.content(&entry).unwrap());
    content.read_to_end(&mut sent).unwrap_err();
    assert!(sent.len() < 26);
}

#[test]
fn damage_of_any_byte_ends_in_an_error_or_in_the_same_content() {
    let good = archive(|to| {
        add(to, "a", b"first first first first");
        add(to, "dir/b", b"second");
    });
    let files = read(&good).unwrap();
    for at in 0..good.len() {
        for change in [1, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= change;
            if let Ok(read) = read(&bad) {
                let contents =
                    |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.1.clone()).collect::<Vec<_>>();
                let (read, whole) = (contents(&read), contents(&files));
                assert!(whole.starts_with(&read), "byte {at} of {}", good.len());
            }
        }
    }
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "cut at {end}");
    }
    for nothing in [&b""[..], b"PK", &b"PK\x05\x06".repeat(20_000), &[0; 100_000]] {
        assert!(read(nothing).is_err());
    }
}
