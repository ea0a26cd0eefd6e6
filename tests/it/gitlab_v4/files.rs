//! Logs and artifacts: whole, in part, one file, by branch and name.

use super::{Programs, of_branch, work};
use crate::harness::*;
use std::io::Write;

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_log_is_text_from_the_first_byte_on_also_before_there_is_one() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let (runner, id) = (baton.runner(), baton.build());
    let path = format!("projects/demo/jobs/{id}/trace");
    let log = |range: &str| {
        let request = Request::get(&format!("/api/v4/{path}"));
        let request = if range.is_empty() { request } else { request.header("Range", range) };
        programs.ask(request, &programs.token)
    };
    let nothing = log("").expect(200);
    assert_eq!((nothing.text().as_str(), nothing.header("Content-Type")), ("", Some("text/plain")));
    assert_eq!(nothing.header("Content-Disposition"), Some("infile; filename=\"1.log\""));
    let claimed = baton.claim(&runner);
    let text: String = (0..60_000).map(|line| format!("line {line}\n")).collect();
    baton.append(&claimed, 0, &text);
    baton.finish(&claimed, "success");
    assert_eq!(log("").expect(200).text(), text, "longer than what is held at a time");
    let part = log("bytes=5-9").expect(206);
    assert_eq!(part.text(), text[5..10]);
    assert_eq!(part.header("Content-Range").map(str::to_owned), Some(format!("bytes 5-9/{}", text.len())));
    assert_eq!(log("bytes=-5").expect(206).text(), text[text.len() - 5..]);
    log("bytes=99999999-").expect(416);
    programs.ask(Request::new("HEAD", &format!("/api/v4/{path}")), &programs.token).expect(200);
    programs.get("projects/demo/jobs/2/trace").expect(404);
}

#[test]
fn artifacts_come_whole_in_part_by_path_and_by_branch() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let runner = baton.runner();
    let archive = zip(&[("report.json", b"{}"), ("out/a b/\u{fc}.txt", b"text"), ("raw/x", b"raw")]);
    of_branch(baton, "feature/slash", "compile");
    work(baton, &runner, Some(&archive), "success");
    of_branch(baton, "feature/slash", "compile");
    work(baton, &runner, Some(b"no zip"), "failed");

    let whole = programs.get("projects/demo/jobs/1/artifacts").expect(200);
    assert_eq!(whole.body, archive);
    assert!(whole.header("Content-Disposition").unwrap().starts_with("attachment"));
    assert_eq!(whole.header("X-Content-Type-Options"), Some("nosniff"));
    let request = Request::get("/api/v4/projects/demo/jobs/1/artifacts");
    let part = programs.ask(request.clone().header("Range", "bytes=0-3"), &programs.token).expect(206);
    assert_eq!(part.body, archive[..4]);
    let known = request.header("If-None-Match", whole.header("ETag").unwrap());
    programs.ask(known, &programs.token).expect(304);

    for (path, content) in [
        ("jobs/1/artifacts/report.json", "{}"),
        ("jobs/1/artifacts/out/a%20b/%C3%BC.txt", "text"),
        ("jobs/artifacts/feature/slash/raw/report.json?job=compile", "{}"),
        ("jobs/artifacts/feature%2Fslash/raw/out/a%20b/%C3%BC.txt?job=compile", "text"),
        ("jobs/artifacts/feature/slash/raw/raw/x?job=compile", "raw"),
    ] {
        let file = programs.get(&format!("projects/demo/{path}")).expect(200);
        assert_eq!(file.text(), content, "{path}");
        assert_eq!(file.header("Content-Type"), Some("application/octet-stream"), "{path}");
        assert!(file.header("Content-Disposition").unwrap().starts_with("attachment"), "{path}");
        assert_eq!(file.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
    }
    for branch in ["feature/slash", "feature%2Fslash"] {
        let newest = programs.get(&format!("projects/demo/jobs/artifacts/{branch}/download?job=compile")).expect(200);
        assert_eq!(newest.body, archive, "that of the newest success, not of the failure behind it");
    }
    for (path, status) in [
        ("jobs/1/artifacts/nothing", 404),
        ("jobs/1/artifacts/out", 404),
        ("jobs/1/artifacts/../report.json", 400),
        ("jobs/1/artifacts/%2E%2E/report.json", 400),
        ("jobs/1/artifacts//report.json", 400),
        ("jobs/1/artifacts/%ff", 400),
        ("jobs/2/artifacts/x", 409),
        ("jobs/3/artifacts", 404),
        ("jobs/3/artifacts/x", 404),
        ("jobs/artifacts/feature/slash/download", 400),
        ("jobs/artifacts/feature/slash/download?job=", 400),
        ("jobs/artifacts/feature/slash/download?job=other", 404),
        ("jobs/artifacts/main/download?job=compile", 404),
        ("jobs/artifacts/feature/slash/raw/nothing?job=compile", 404),
        ("jobs/artifacts/download?job=compile", 404),
    ] {
        assert_eq!(programs.get(&format!("projects/demo/{path}")).status, status, "{path}");
    }
    // The newest success may be of another job: then those before it are looked through, if that is wanted.
    of_branch(&programs.baton, "feature/slash", "other");
    work(&programs.baton, &runner, None, "success");
    let of_job = "projects/demo/jobs/artifacts/feature/slash/download?job=compile";
    programs.get(of_job).expect(404);
    let found = programs.get(&format!("{of_job}&search_recent_successful_pipelines=true")).expect(200);
    assert_eq!(found.body, archive);
    programs.get(&format!("{of_job}2&search_recent_successful_pipelines=true")).expect(404);
    programs.delete("projects/demo/jobs/1/artifacts").expect(204);
    programs.get("projects/demo/jobs/1/artifacts").expect(404);
    programs.get("projects/demo/jobs/artifacts/feature/slash/download?job=compile").expect(404);
}
