//! What a download says and gives, and under which name.

use super::*;

/// Row 75, and what a download needs to be resumed.
#[test]
fn a_download_says_name_length_and_checksum() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"content")).expect(201);
    let response = baton.send(download(&build)).expect(200);
    assert_eq!(response.body, b"content");
    let sha256: String = Sha256::digest(b"content").iter().map(|byte| format!("{byte:02x}")).collect();
    for (name, value) in [
        ("Content-Transfer-Encoding", "binary".to_owned()),
        ("Content-Disposition", format!("attachment; filename={NAME}")),
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Content-Length", "7".to_owned()),
        ("ETag", format!("\"{sha256}\"")),
    ] {
        assert_eq!(response.header(name), Some(value.as_str()), "{name}");
    }
}

/// Row 77.
#[test]
fn without_artifacts_a_download_is_404() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(download(&build)).expect_error(404);
    baton.send(Request::get("builds/4711/artifacts").build_token("wrong")).expect_error(404);
    baton.send(Request::get(&path(&build)).build_token("wrong")).expect_error(403);
}

#[test]
fn a_clients_file_name_is_a_name_only() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (sent, kept) in [
        ("../../../etc/cron.d/x.zip", "x.zip"),
        ("/abs/y.zip", "y.zip"),
        ("C:\\\\builds\\\\z.zip", "z.zip"),
        ("", "artifacts.zip"),
        ("..", "artifacts.zip"),
        ("with blank.zip", "with blank.zip"),
        ("größe.zip", "größe.zip"),
    ] {
        let json = baton.send(upload(&build, sent, b"content")).expect(201).json();
        assert_eq!(json["artifacts_file"]["filename"], kept, "{sent}");
        let disposition = baton.send(download(&build)).expect(200).header("Content-Disposition").unwrap().to_owned();
        assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    }
    expect_files(&baton, 1);
}

/// Else the end of one archive would follow the beginning of another.
#[test]
fn a_download_that_goes_on_after_a_new_upload_begins_anew() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"the first archive")).expect(201);
    let etag = baton.send(download(&build)).expect(200).header("ETag").expect("an ETag").to_owned();
    let go_on = || baton.send(download(&build).header("Range", "bytes=4-").header("If-Range", &etag));
    assert_eq!(go_on().expect(206).body, b"first archive");
    baton.send(upload(&build, NAME, b"another one")).expect(201);
    assert_eq!(go_on().expect(200).body, b"another one");
}

/// Any name that a runner sends can be stored, announced, and used by whoever saves the file.
#[test]
fn a_long_or_foreign_name_is_cut_before_its_extension() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (sent, stored) in [
        (format!("{}.zip", "a".repeat(250)), format!("{}.zip", "a".repeat(250))),
        (format!("{}.zip", "a".repeat(300)), format!("{}.zip", "a".repeat(251))),
        (format!("{}.zip", "€".repeat(300)), format!("{}.zip", "€".repeat(83))),
        (format!("{}.zip", "日".repeat(2000)), format!("{}.zip", "日".repeat(83))),
    ] {
        let json = baton.send(upload(&build, &sent, b"content")).expect(201).json();
        assert_eq!(json["artifacts_file"]["filename"], json!(stored), "{sent}");
        baton.send(download(&build)).expect(200);
    }
    let body = format!(
        "--{BOUNDARY}\r\nCONTENT-DISPOSITION: Form-Data; Name=\"file\"; FileName*=UTF-8''gr%C3%B6%C3%9Fe.zip\r\n\r\n\
         content\r\n--{BOUNDARY}--\r\n"
    );
    let request = Request::post(&path(&build)).build_token(&build.token);
    let request = request.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body);
    assert_eq!(baton.send(request).expect(201).json()["artifacts_file"]["filename"], json!("größe.zip"));
}

#[test]
fn parts_of_a_file_can_be_had() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, NAME, b"0123456789")).expect(201);
    let etag = baton.send(download(&build)).header("ETag").unwrap().to_owned();
    for (range, start, end) in
        [("bytes=0-3", 0, 3), ("bytes=4-", 4, 9), ("bytes=-2", 8, 9), ("bytes=5-100", 5, 9), ("bytes=9-9", 9, 9)]
    {
        let response = baton.send(download(&build).header("Range", range)).expect(206);
        assert_eq!(response.body, &b"0123456789"[start..=end], "{range}");
        assert_eq!(response.header("Content-Range"), Some(format!("bytes {start}-{end}/10").as_str()), "{range}");
        assert_eq!(response.header("Content-Length"), Some((end - start + 1).to_string().as_str()), "{range}");
        assert_eq!(response.header("ETag"), Some(etag.as_str()));
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let response = baton.send(download(&build).header("Range", range)).expect(416);
        assert_eq!(response.header("Content-Range"), Some("bytes */10"), "{range}");
    }
    for range in ["bytes=0-1,3-4", "items=0-1", "bytes=5-4", "x"] {
        let response = baton.send(download(&build).header("Range", range)).expect(200);
        assert_eq!(response.body, b"0123456789", "{range}");
    }
}
