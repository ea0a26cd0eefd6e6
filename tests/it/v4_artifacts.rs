//! `jobs/:id/artifacts` of API v4: rows 75 and 130 to 169 of the reference of that protocol, without those of Workhorse
//! and of storage elsewhere (136, 137, 163, 168), and its sections 6 and 8.

use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild};
use baton::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec, BuildSpec};
use baton::domain::state::Status;
use baton::domain::time::Timestamp;
use baton::domain::token::Token;
use baton::limits::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

fn path(id: BuildId) -> String {
    format!("/api/v4/jobs/{id}/artifacts")
}

/// Each file as a member, as runners pack reports.
fn gzip(files: &[&[u8]]) -> Vec<u8> {
    let mut packed = Vec::new();
    for file in files {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(file).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    packed
}

/// An upload, with what it says of itself in the query, as runners from 10.0 do.
fn upload(build: &Claimed, query: &[(&str, &str)], data: &[u8]) -> Request {
    let request = Request::post(&path(build.id)).header("JOB-TOKEN", &build.token);
    let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.multipart(&[Part::file("file.bin", data)])
}

fn of_kind(build: &Claimed, kind: &str, format: &str, data: &[u8]) -> Request {
    upload(build, &[("artifact_type", kind), ("artifact_format", format)], data)
}

fn download(id: BuildId, token: &str) -> Request {
    Request::get(&path(id)).header("JOB-TOKEN", token)
}

/// What is stored of a build, as `kind format`.
fn stored(baton: &Baton, id: BuildId) -> Vec<String> {
    let report = baton.operator().show_build(id, Timestamp::now()).unwrap();
    report.artifacts.iter().map(|one| format!("{} {}", one.kind.0, one.format)).collect()
}

/// In how long a build's artifacts of this kind expire, in seconds.
fn expires_in(baton: &Baton, id: BuildId, kind: &str) -> Option<u64> {
    let report = baton.operator().show_build(id, Timestamp::now()).unwrap();
    let one = report.artifacts.iter().find(|one| one.kind.0 == kind).expect("it is stored");
    one.file.expire_at.map(|at| at.since(one.uploaded_at).as_secs())
}

#[test]
fn rows_130_to_134_a_job_may_ask_whether_it_may_upload() {
    let baton = Baton::with_limits(Limits { artifacts_bytes_max: 1000, ..Limits::default() });
    baton.project("demo");
    let (_, build) = baton.running();
    let ask = |id: BuildId, bytes: &str| {
        let request = Request::post(&format!("{}/authorize", path(id))).header("JOB-TOKEN", &build.token);
        baton.send(request.form(&[("filesize", bytes)]))
    };
    let answer = ask(build.id, "999").expect(200);
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json, json!({"MaximumSize": 1000}), "no path of the server's");
    ask(build.id, "1000").expect(413);
    ask(BuildId(99), "1").expect(403);
}

#[test]
fn rows_138_to_145_who_may_upload_and_what() {
    let baton = Baton::with_limits(Limits { artifacts_bytes_max: 1000, ..Limits::default() });
    baton.project("demo");
    let (runner, build) = baton.running();
    let with_token = |token: &str| Claimed { id: build.id, token: token.to_owned(), json: Value::Null };
    baton.send(upload(&with_token(&runner.token), &[], b"x")).expect(403);
    baton.send(upload(&with_token("unknown"), &[], b"x")).expect(403);
    baton.send(upload(&Claimed { id: BuildId(99), ..with_token(&build.token) }, &[], b"x")).expect(403);
    let no_file = Request::post(&path(build.id)).header("JOB-TOKEN", &build.token);
    baton.send(no_file.multipart(&[Part::field("expire_in", "1d")])).expect(400);
    baton.send(upload(&build, &[], &[b'x'; 1000])).expect(413);
    assert!(baton.files().is_empty());
    baton.send(upload(&build, &[], &[b'x'; 999])).expect(201);
    baton.finish(&build, "success");
    baton.send(upload(&build, &[], b"x")).expect(403);
    baton.erase(build.id);
    baton.send(upload(&build, &[], b"x")).expect(403);
    assert!(baton.files().is_empty());
}

#[test]
fn rows_146_and_147_expiry_is_as_the_upload_says_or_the_server() {
    let limits = Limits { keep_artifacts: Some(Duration::from_secs(60)), ..Limits::default() };
    let baton = Baton::with_limits(limits);
    baton.project("demo");
    let (_, build) = baton.running();
    for (number, (said, seconds)) in
        [(Some("7 days"), Some(7 * 86_400)), (Some("never"), None), (Some("0"), None), (None, Some(60))]
            .into_iter()
            .enumerate()
    {
        let query: Vec<_> = said.iter().map(|said| ("expire_in", *said)).collect();
        baton.send(upload(&build, &query, format!("{number}").as_bytes())).expect(201);
        assert_eq!(expires_in(&baton, build.id, "archive"), seconds, "{said:?}");
        baton.send(upload(&build, &query, format!("{number}").as_bytes())).expect(201);
        assert_eq!(expires_in(&baton, build.id, "archive"), seconds, "the same again, {said:?}");
    }
    baton.send(upload(&build, &[("expire_in", "soon")], b"x")).expect(400);
    assert_eq!(baton.files().len(), 1);
}

#[test]
fn each_kind_expires_as_its_own_entry_says() {
    let baton = Baton::with_project();
    let entry = |kind: &str, format, expire_in: &str| ArtifactsSpec {
        kind: ArtifactKind(kind.to_owned()),
        format,
        expire_in: Some(expire_in.to_owned()),
        ..ArtifactsSpec::default()
    };
    let artifacts = vec![entry("archive", ArtifactFormat::Zip, "1h"), entry("junit", ArtifactFormat::Gzip, "2h")];
    baton.queue(NewBuild { spec: BuildSpec { artifacts, ..BuildSpec::of_script("x") }, ..new_build("demo") });
    let build = baton.claim(&baton.runner());
    baton.send(upload(&build, &[], b"a")).expect(201);
    baton.send(of_kind(&build, "junit", "gzip", b"j")).expect(201);
    assert_eq!(
        [expires_in(&baton, build.id, "archive"), expires_in(&baton, build.id, "junit")],
        [Some(3600), Some(7200)]
    );
    // Past the first one's time, the second one stays.
    let later = Timestamp::now().plus(Duration::from_secs(3700));
    baton.operator().sweep(later).unwrap();
    assert_eq!(stored(&baton, build.id), ["junit gzip"]);
    assert_eq!(baton.files().len(), 1);
}

#[test]
fn rows_150_to_153_a_known_kind_comes_in_its_format() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let report = gzip(&[b"A=1"]);
    for (kind, format, status) in [
        ("archive", "zip", 201),
        ("archive", "gzip", 400),
        ("junit", "gzip", 201),
        ("junit", "raw", 400),
        ("metrics_referee", "gzip", 201),
        ("metrics_referee", "raw", 400),
        ("network_referee", "gzip", 201),
        ("network_referee", "zip", 400),
        ("codequality", "raw", 201),
        ("codequality", "gzip", 400),
        ("dotenv", "gzip", 201),
        ("dotenv", "raw", 400),
        ("of-tomorrow", "raw", 201),
        ("junit", "rar", 400),
        ("a b", "raw", 400),
        ("../etc", "raw", 400),
    ] {
        let response = baton.send(of_kind(&build, kind, format, &report));
        assert_eq!(response.status, status, "{kind} as {format}");
    }
    let mut kinds = stored(&baton, build.id);
    assert_eq!(kinds.remove(0), "archive zip");
    let expected = [
        "codequality raw",
        "dotenv gzip",
        "junit gzip",
        "metrics_referee gzip",
        "network_referee gzip",
        "of-tomorrow raw",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(baton.files().len(), 7);
    let checked = expect_well(baton.data());
    assert_eq!((checked.artifacts, checked.bytes), (7, 7 * report.len() as u64));
}

#[test]
fn fields_behind_the_file_say_what_it_is_too() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let report = gzip(&[b"<testcase/>"]);
    let parts = [
        Part::file("report", &report),
        Part::field("artifact_format", "gzip"),
        Part::field("artifact_type", "junit"),
        Part::field("expire_in", "1h"),
    ];
    let request = Request::post(&format!("{}?", path(build.id))).header("job-token", &build.token);
    baton.send(request.multipart(&parts)).expect(201);
    assert_eq!(stored(&baton, build.id), ["junit gzip"]);
    assert_eq!(expires_in(&baton, build.id, "junit"), Some(3600));
}

#[test]
fn rows_154_and_155_the_same_again_changes_nothing_and_other_bytes_replace() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    baton.send(upload(&build, &[], b"first")).expect(201);
    let files = baton.files();
    baton.send(upload(&build, &[], b"first")).expect(201);
    assert_eq!(baton.files(), files, "the first one is kept");
    baton.send(upload(&build, &[], b"second")).expect(201);
    assert!(baton.files().len() == 1 && baton.files() != files);
    assert_eq!(baton.send(download(build.id, &build.token)).expect(200).body, b"second");
    baton.send(of_kind(&build, "junit", "gzip", b"report")).expect(201);
    assert_eq!(baton.send(download(build.id, &build.token)).expect(200).body, b"second", "the archive alone goes out");
}

#[test]
fn a_build_has_so_many_kinds_and_no_more() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let mut connection = Connection::open(baton.address());
    for number in 0..64 {
        connection.send(&of_kind(&build, &format!("kind-{number}"), "raw", b"x")).expect(201);
    }
    let refused = connection.send(&of_kind(&build, "kind-64", "raw", b"x")).expect_error(400);
    assert!(refused.text().contains("64 kinds"), "{}", refused.text());
    connection.send(&of_kind(&build, "kind-63", "raw", b"y")).expect(201);
    assert_eq!(baton.files().len(), 64);
    baton.finish(&build, "success");
    baton.erase(build.id);
    assert!(baton.files().is_empty());
}

#[test]
fn rows_158_to_167_who_may_download() {
    let baton = Baton::with_project();
    baton.project("other");
    let (runner, build) = baton.running();
    baton.send(download(build.id, &build.token)).expect(404);
    baton.send(upload(&build, &[], b"content")).expect(201);
    let got = baton.send(download(build.id, &build.token)).expect(200);
    assert_eq!(got.body, b"content");
    assert_eq!(got.header("Content-Transfer-Encoding"), Some("binary"));
    assert!(got.header("Content-Disposition").is_some_and(|value| value.starts_with("attachment; filename=")));
    baton.finish(&build, "success");
    baton.send(download(build.id, &build.token)).expect(403);
    let second = baton.build_needing(&[build.id]);
    let second = {
        let claimed = baton.claim(&runner);
        assert_eq!(claimed.id, second);
        claimed
    };
    baton.queue(new_build("other"));
    let other = baton.claim(&runner);
    assert_eq!(baton.send(download(build.id, &second.token)).expect(200).body, b"content");
    for token in [other.token.as_str(), runner.token.as_str(), "unknown"] {
        baton.send(download(build.id, token)).expect(403);
    }
    baton.send(Request::get(&path(build.id))).expect(403);
    baton.send(download(BuildId(99), &second.token)).expect(403);
    baton.finish(&second, "success");
    baton.send(download(build.id, &second.token)).expect(403);
}

/// Who waits has no token; one that it had before is nobody's.
#[test]
fn row_162_a_job_that_waits_again_downloads_nothing() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(upload(&build, &[], b"content")).expect(201);
    baton.finish(&build, "success");
    let waits = baton.build_needing(&[build.id]);
    let had = baton.claim(&runner);
    baton.send(download(build.id, &had.token)).expect(200);
    assert!(baton.operator().give_back(waits, &Token::received(&had.token).unwrap()).unwrap());
    assert_eq!(baton.status(waits), Status::Pending);
    baton.send(download(build.id, &had.token)).expect(403);
}

#[test]
fn rows_131_157_and_169_what_is_done_with_artifacts_is_no_request_for_work() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.database().execute("UPDATE runners SET contacted_at = 1", []).unwrap();
    let authorize = Request::post(&format!("{}/authorize", path(build.id))).header("JOB-TOKEN", &build.token);
    for (request, status) in
        [(authorize, 200), (upload(&build, &[], b"x"), 201), (download(build.id, &build.token), 200)]
    {
        baton.send(request).expect(status);
        assert_eq!(baton.runner_row(runner.id.0).contacted_at, Some(Timestamp(1)));
    }
}

#[test]
fn rows_148_and_149_a_second_file_is_kept_beside_the_first_and_who_may_see_them_is_not() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (number, accessibility) in ["private", "public", "none", "of tomorrow", ""].into_iter().enumerate() {
        let data = format!("content {number}").into_bytes();
        let parts = [
            Part::file("a.zip", &data),
            Part { name: "metadata", filename: Some("metadata.gz"), data: b"what is in it" },
            Part::field("accessibility", accessibility),
        ];
        let request = Request::post(&path(build.id)).header("JOB-TOKEN", &build.token);
        baton.send(request.query("artifact_type", "archive").multipart(&parts)).expect(201);
        assert_eq!(baton.files().len(), 2, "the two of the upload before are gone");
        assert_eq!(baton.send(download(build.id, &build.token)).expect(200).body, data);
    }
    baton.send(upload(&build, &[], b"alone")).expect(201);
    assert_eq!(baton.files().len(), 1);
    expect_well(baton.data());
}

/// The variables of a claimed build with this name, the last one last.
fn variables(build: &Claimed, name: &str) -> Vec<Value> {
    let all = build.json["variables"].as_array().unwrap();
    all.iter().filter(|one| one["key"] == name).cloned().collect()
}

#[test]
fn row_153_a_dotenv_reports_variables_go_to_those_that_get_its_artifacts() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let report = gzip(&[b"VERSION=1.2 $HOME\nDB_NAME=theirs", b"LAST='q'\n"]);
    baton.send(of_kind(&build, "dotenv", "gzip", &report)).expect(201);
    baton.finish(&build, "success");
    baton.build_needing(&[build.id]);
    let second = baton.claim(&runner);
    let version = json!({"key": "VERSION", "value": "1.2 $$HOME", "public": true});
    assert_eq!(variables(&second, "VERSION"), [version], "a runner 1.x makes one dollar of two");
    assert_eq!(variables(&second, "LAST")[0]["value"], "'q'");
    let own = variables(&second, "DB_NAME");
    assert_eq!(own.last().unwrap()["value"], "postgres", "what somebody gave the build wins");
    baton.finish(&second, "success");
    baton.build();
    assert!(variables(&baton.claim(&runner), "VERSION").is_empty(), "not to those that do not need it");
}

#[test]
fn a_dotenv_report_that_is_none_is_refused_with_its_line_and_an_earlier_one_stays() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.send(of_kind(&build, "dotenv", "gzip", &gzip(&[b"A=1"]))).expect(201);
    let many: String = (0..21).map(|n| format!("K{n}=v\n")).collect();
    for (files, part) in [
        (gzip(&[b"A=1\nhidden"]), "line 2"),
        (gzip(&[b"A=1", b"\n"]), "line 1 of file 2"),
        (gzip(&[b"CI_JOB_TOKEN=hidden"]), "by itself"),
        (gzip(&[many.as_bytes()]), "line 21"),
        (gzip(&[&[b'x'; 5121]]), "5120 bytes"),
        (gzip(&[&vec![0; 20 << 20]]), "5120 bytes"),
        (gzip(&[&b""[..]; 41]), "too many files"),
        (vec![b'x'; 40_000], "packed"),
        (b"hidden=1".to_vec(), "gzip"),
    ] {
        let refused = baton.send(of_kind(&build, "dotenv", "gzip", &files)).expect_error(400).text();
        assert!(refused.contains(part) && !refused.contains("hidden"), "{part}: {refused}");
    }
    assert_eq!(baton.files().len(), 1);
    baton.finish(&build, "success");
    baton.build_needing(&[build.id]);
    assert_eq!(variables(&baton.claim(&runner), "A")[0]["value"], "1");
}

#[test]
fn a_build_that_is_made_again_hands_on_what_the_last_one_has() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let spec = BuildSpec {
        retry: Some(baton::domain::spec::Retry { max: 1, ..Default::default() }),
        ..BuildSpec::of_script("x")
    };
    let first = baton.queue(NewBuild { spec, ..new_build("demo") });
    let behind = baton.build_needing(&[first]);
    let build = baton.claim(&runner);
    baton.send(of_kind(&build, "dotenv", "gzip", &gzip(&[b"A=first"]))).expect(201);
    baton.finish(&build, "failed");
    let again = baton.claim(&runner);
    assert!(again.id != first && again.token != build.token);
    assert_eq!(baton.show(again.id).retry_of, Some(first));
    assert_eq!(baton.show(behind).needs, [again.id]);
    baton.send(of_kind(&again, "dotenv", "gzip", &gzip(&[b"A=second"]))).expect(201);
    baton.send(upload(&again, &[], b"archive")).expect(201);
    baton.finish(&again, "success");
    let last = baton.claim(&runner);
    assert_eq!((last.id, variables(&last, "A")[0]["value"].clone()), (behind, json!("second")));
    let needed = last.json["depends_on_builds"].as_array().unwrap();
    assert_eq!((needed.len(), needed[0]["id"].clone()), (1, json!(again.id.0)));
    assert_eq!(baton.send(download(again.id, &last.token)).expect(200).body, b"archive");
}

#[test]
fn rows_76_and_77_dependencies_narrow_what_a_build_gets() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let ids: Vec<BuildId> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let id = baton.queue(NewBuild { name: name.to_owned(), ..new_build("demo") });
            let build = baton.claim(&runner);
            let report = gzip(&[format!("FROM_{name}=1").as_bytes()]);
            baton.send(of_kind(&build, "dotenv", "gzip", &report)).expect(201);
            baton.finish(&build, "success");
            id
        })
        .collect();
    for (dependencies, expected) in [(None, vec!["a", "b"]), (Some(vec!["b"]), vec!["b"]), (Some(vec![]), vec![])] {
        let dependencies = dependencies.map(|names| names.into_iter().map(str::to_owned).collect());
        let spec = BuildSpec { dependencies, ..BuildSpec::of_script("x") };
        baton.queue(NewBuild { needs: ids.clone(), spec, ..new_build("demo") });
        let build = baton.claim(&runner);
        let got = build.json["depends_on_builds"].as_array().unwrap();
        assert_eq!(got.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        for name in ["a", "b"] {
            assert_eq!(!variables(&build, &format!("FROM_{name}")).is_empty(), expected.contains(&name));
        }
    }
}

#[test]
fn reports_are_shown_saved_and_summed_up_when_somebody_looks() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let report = gzip(&[
        b"<testsuite><testcase name='good'/><testcase classname='c' name='bad&#27;[2J'><failure/></testcase></testsuite>",
        b"<testcase name='off'><skipped/></testcase>",
    ]);
    baton.send(upload(&build, &[], b"archive")).expect(201);
    baton.send(of_kind(&build, "junit", "gzip", &report)).expect(201);
    let id = build.id.to_string();
    let shown = command::done(&command::baton(baton.data(), &["build", "show", &id]));
    for part in ["artifacts", "junit", "3, of which 1 failed, 0 broke, 1 were skipped", "c: bad [2J"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = command::done(&command::baton(baton.data(), &["build", "show", &id, "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["junit"]["failed"], json!(["c: bad [2J"]));
    let kinds: Vec<_> = json["artifacts"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, ["archive", "junit"]);
    let saved = command::baton(baton.data(), &["build", "artifacts", &id, "--kind", "junit", "--output", "-"]);
    assert!(saved.status.success() && saved.stdout == report);
    let none = command::refused(&command::baton(baton.data(), &["build", "artifacts", &id, "--kind", "sast"]));
    assert!(none.contains("of the kind sast"), "{none}");
    // A report that unpacks to more than anybody reads, and one that is none.
    for hostile in [gzip(&[&vec![b'<'; 40 << 20]]), b"no gzip".to_vec()] {
        baton.send(of_kind(&build, "junit", "gzip", &hostile)).expect(201);
        let summary = baton.operator().junit_summary(build.id, Timestamp::now()).unwrap().unwrap();
        assert!(!summary.is_whole && summary.tests == 0, "{summary:?}");
    }
}
