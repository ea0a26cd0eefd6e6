//! What a job uploaded, on its pages.

use super::{Browser, visit};
use crate::harness::*;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn archive() -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, content: &[u8]| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    };
    add("coverage/<b>index.html", b"<script>alert(1)</script>\nsecond\tline\n");
    add("coverage/a b/#1?.txt", "größe\n".as_bytes());
    add("logo.png", b"\x89PNG");
    add("bytes.bin", b"\0\x01");
    add("long.txt", &[b'x'; (1 << 20) + 1]);
    add("../out", b"no");
    (0..1100).for_each(|n| add(&format!("many/{n:04}"), b""));
    archive.finish().unwrap().into_inner()
}

fn upload(server: &Baton, build: &Claimed, data: &[u8]) {
    let request = Request::post(&format!("/api/v4/jobs/{}/artifacts", build.id)).header("JOB-TOKEN", &build.token);
    server.send(request.multipart(&[Part::file("<i>art.zip", data)])).expect(201);
}

#[test]
fn an_archive_is_folders_and_its_files_are_text_pictures_or_downloads() {
    let server = Baton::start();
    server.project("demo");
    let (_, build) = server.running();
    let browser = Browser::sign_in(&server, "mira");
    let path = |rest: &str| format!("/demo/-/jobs/{}/artifacts/{rest}", build.id);
    assert!(browser.page(&path("browse/")).contains("This job uploaded nothing"));
    upload(&server, &build, b"no archive");
    assert!(browser.page(&path("browse/")).contains("is damaged"));
    let bytes = archive();
    upload(&server, &build, &bytes);

    let root = browser.page(&path("browse/"));
    assert!(root.contains("in 1,105 files") && root.contains("1 name led out of the archive"), "{root}");
    assert!(root.contains("/artifacts/browse/coverage\"") && root.contains("/artifacts/file/logo.png\""), "{root}");
    let folder = browser.page(&path("browse/coverage"));
    assert!(
        folder.contains("/artifacts/file/coverage/%3Cb%3Eindex.html\"") && !folder.contains("<b>index"),
        "{folder}"
    );
    let below = browser.page(&path("browse/coverage/a%20b/"));
    let link = below.split("/artifacts/file/").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(link, "coverage/a%20b/%231%3F.txt");
    assert!(browser.page(&path(&format!("file/{link}"))).contains(">größe<"));
    let many = browser.page(&path("browse/many"));
    assert_eq!(many.matches("/artifacts/file/many/").count(), 1000);
    let next = many.split("href=\"").find(|rest| rest.contains("after=")).unwrap().split('"').next().unwrap();
    assert_eq!(browser.page(next).matches("/artifacts/file/many/").count(), 100);

    let page = browser.page(&path("file/coverage/%3Cb%3Eindex.html"));
    assert!(
        page.contains("<span>&lt;script&gt;alert(1)&lt;/script&gt;</span>") && page.contains("id=\"L2\""),
        "{page}"
    );
    assert!(browser.page(&path("file/logo.png")).contains(&format!("<img src=\"{}\"", path("raw/logo.png"))));
    for other in ["bytes.bin", "long.txt"] {
        assert!(browser.page(&path(&format!("file/{other}"))).contains("It is no text, or too long"), "{other}");
    }
    let ask = |rest: &str| browser.send(visit(Request::get(&path(rest))));
    let raw = ask("raw/coverage/%3Cb%3Eindex.html").expect(200);
    assert_eq!(raw.text(), "<script>alert(1)</script>\nsecond\tline\n");
    assert!(raw.header("Content-Disposition").unwrap().starts_with("attachment"));
    assert_eq!(raw.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!(raw.header("Content-Security-Policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(ask("raw/logo.png").expect(200).header("Content-Type"), Some("image/png"));
    assert_eq!(ask("raw/long.txt").expect(200).body.len(), (1 << 20) + 1);
    let whole = ask("download").expect(200);
    assert!(whole.body == bytes && whole.header("Content-Disposition").unwrap().starts_with("attachment"));
    let part = visit(Request::get(&path("download"))).header("Range", "bytes=0-3");
    assert_eq!(browser.send(part).expect(206).body, b"PK\x03\x04");

    for (rest, status) in [
        ("browse/nothing", 404),
        ("file/nothing", 404),
        ("raw/coverage", 404),
        ("raw/out", 404),
        ("browse/..%2f..", 400),
        ("raw/%2e%2e/out", 400),
        ("raw/%2fetc%2fpasswd", 400),
        ("raw/%ff", 400),
    ] {
        ask(rest).expect(status);
    }
    for rest in ["browse/", "browse/coverage", "file/logo.png", "raw/logo.png", "download"] {
        server.send(visit(Request::get(&path(rest)))).expect(401);
        browser.send(visit(Request::get(&path(rest).replace("/demo/", "/other/")))).expect(404);
    }
}
