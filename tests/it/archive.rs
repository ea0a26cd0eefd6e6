//! What is in artifacts that runners uploaded: folders, single files, and reports.

use crate::harness::*;
use baton::coordinator::ArchiveFile;
use baton::domain::archive::Item;
use baton::domain::build::BuildId;
use baton::domain::spec::ArtifactKind;
use baton::domain::time::Timestamp;
use baton::error::{Error, Kind};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Cursor, Read, Write};
use std::time::Duration;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An archive with a name that leads out, a link, and twice the same name.
fn archive() -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default;
    for (name, content) in [
        ("report.json", "old"),
        ("coverage/src/main.rs.html", "<script>alert(1)</script>"),
        ("coverage/<script>.txt", "text"),
        ("../../etc/passwd", "root::0:0"),
        ("/etc/shadow", "root"),
        ("empty", ""),
    ] {
        archive.start_file(name, options()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.add_symlink("coverage/link", "/etc/passwd", options()).unwrap();
    archive.start_file("./report.json", options()).unwrap();
    archive.write_all(&vec![b'7'; 1 << 20]).unwrap();
    archive.finish().unwrap().into_inner()
}

fn upload(baton: &Baton, build: &Claimed, query: &[(&str, &str)], data: &[u8]) {
    let request = Request::post(&format!("/api/v4/jobs/{}/artifacts", build.id)).header("JOB-TOKEN", &build.token);
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    baton.send(request.multipart(&[Part::file("file.bin", data)])).expect(201);
}

fn content(file: ArchiveFile) -> String {
    let (mut text, mut read) = (String::new(), file.read);
    read.read_to_string(&mut text).unwrap();
    assert!(file.size.is_none_or(|size| size == text.len() as u64));
    text
}

#[test]
fn an_archive_is_looked_into_without_being_unpacked() {
    let baton = Baton::start();
    baton.project("demo");
    let (_, build) = baton.running();
    upload(&baton, &build, &[], &archive());
    let (operator, id, now) = (baton.operator(), build.id, Timestamp::now());

    let places = |path: &str| {
        let (page, artifacts) = operator.archive_folder(id, path, None, now).unwrap();
        assert_eq!((page.files, page.hidden, page.next), (5, 2, None));
        assert_eq!(artifacts.filename, "file.bin");
        page.items.iter().map(Item::place).collect::<Vec<_>>()
    };
    assert_eq!(places(""), ["coverage/", "empty", "report.json"]);
    assert_eq!(places("coverage/"), ["src/", "<script>.txt", "link"]);
    let (page, _) = operator.archive_folder(id, "", Some("coverage/"), now).unwrap();
    assert_eq!(page.items.iter().map(Item::place).collect::<Vec<_>>(), ["empty", "report.json"]);

    let file = |path: &str| operator.archive_file(id, path, now);
    let html = file("coverage/src/main.rs.html").unwrap();
    assert_eq!((html.name.as_str(), html.size), ("main.rs.html", Some(25)));
    assert_eq!(content(html), "<script>alert(1)</script>");
    assert_eq!(content(file("coverage/<script>.txt").unwrap()), "text");
    assert_eq!(content(file("empty").unwrap()), "");
    assert_eq!(content(file("report.json").unwrap()), "7".repeat(1 << 20), "the later of two");

    let refusal = |result: Result<ArchiveFile, Error>| result.err().map(|error| (error.kind, error.message)).unwrap();
    for path in ["../../etc/passwd", "/etc/shadow", "coverage/../report.json", "a\0"] {
        assert_eq!(refusal(file(path)).0, Kind::Invalid, "{path}");
        assert_eq!(operator.archive_folder(id, path, None, now).unwrap_err().kind, Kind::Invalid, "{path}");
    }
    for (path, part) in
        [("", "no file"), ("etc/passwd", "no file"), ("coverage", "no file"), ("coverage/link", "not followed")]
    {
        let (kind, message) = refusal(file(path));
        assert!(kind == Kind::NotFound && message.contains(part), "{path}: {message}");
    }
    assert_eq!(operator.archive_folder(id, "empty", None, now).unwrap_err().kind, Kind::NotFound);
    assert_eq!(operator.archive_folder(BuildId(99), "", None, now).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn what_is_no_zip_archive_says_so_and_reports_come_unpacked() {
    let baton = Baton::start();
    baton.project("demo");
    let (_, build) = baton.running();
    let (operator, id, now) = (baton.operator(), build.id, Timestamp::now());
    let refusal = |part: &str| {
        let error = operator.archive_folder(id, "", None, now).unwrap_err();
        assert!(error.kind == Kind::Conflict && error.message.contains(part), "{error}");
        assert_eq!(operator.archive_file(id, "a", now).err().unwrap().kind, Kind::Conflict);
    };
    upload(&baton, &build, &[], b"no archive at all");
    refusal("damaged");
    upload(&baton, &build, &[("artifact_format", "tarzstd")], b"some tar");
    refusal("tarzstd");
    upload(&baton, &build, &[("expire_in", "1 min")], &archive());
    let later = now.plus(Duration::from_secs(120));
    assert_eq!(operator.archive_file(id, "empty", later).err().unwrap().kind, Kind::NotFound);

    let mut packed = Vec::new();
    for member in ["<testsuite/>", "<testsuites/>"] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(member.as_bytes()).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    upload(&baton, &build, &[("artifact_type", "junit"), ("artifact_format", "gzip")], &packed);
    upload(&baton, &build, &[("artifact_type", "codequality"), ("artifact_format", "raw")], b"[]");
    let report = |kind: &str| operator.report_file(id, &ArtifactKind(kind.to_owned()), now);
    assert_eq!(content(report("junit").unwrap()), "<testsuite/><testsuites/>");
    assert_eq!(content(report("codequality").unwrap()), "[]");
    assert_eq!(report("dotenv").err().unwrap().kind, Kind::NotFound);
    assert_eq!(report("archive").err().unwrap().kind, Kind::Conflict);
}
