//! A running build fetches its pipeline's commit over HTTP, and nothing else.

use crate::harness::random::Random;
use crate::harness::sources::*;
use crate::harness::*;
use baton::git::Snapshot;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::time::Duration;
use tempfile::TempDir;

/// A server, a checkout, its snapshot, and a build of `group/demo` that runs on it.
struct Stand {
    baton: Baton,
    top: TempDir,
    snapshot: Snapshot,
    runner: TestRunner,
    build: Claimed,
}

impl Stand {
    fn new() -> Stand {
        let baton = Baton::start();
        baton.project("group/demo");
        let (top, runner) = (checkout_with_changes(), baton.runner());
        let snapshot = snapshot(baton.data(), top.path(), "main");
        queue_with_sources(baton.operator(), "group/demo", &snapshot, 2);
        let build = baton.claim(&runner);
        Stand { baton, top, snapshot, runner, build }
    }

    fn send(&self, request: Request) -> Response {
        self.baton.send(request)
    }

    fn url(&self, token: &str) -> String {
        format!("http://gitlab-ci-token:{token}@{}/git/group/demo.git", self.baton.address())
    }

    fn list(&self, token: &str) -> Response {
        self.send(list_request("group/demo", token))
    }

    fn pack(&self, body: impl Into<Vec<u8>>) -> Response {
        self.send(pack_request("group/demo", &self.build.token, body))
    }
}

#[test]
fn a_runner_of_today_is_told_what_to_fetch_and_gets_the_present_state() {
    let stand = Stand::new();
    let info = json!({"features": {"refspecs": true, "upload_multiple_artifacts": true}});
    let request = Request::post("/api/v4/jobs/request").json(&json!({"token": stand.runner.token, "info": info}));
    let job = stand.send(request).expect(201).json();
    let (git_info, token) = (&job["git_info"], job["token"].as_str().unwrap());
    let key = &stand.snapshot.key;
    assert_eq!(git_info["repo_url"], format!("http://gitlab-ci-token:{token}@baton.test/git/group/demo.git"));
    let own = format!("+refs/baton/pipelines/{key}:refs/baton/pipelines/{key}");
    let branch = format!("+refs/baton/pipelines/{key}:refs/remotes/origin/main");
    assert_eq!(git_info["refspecs"], json!([own, branch]));
    assert_eq!((&git_info["sha"], &git_info["depth"]), (&json!(stand.snapshot.sha), &json!(20)));
    let variables = job["variables"].as_array().unwrap();
    let url = variables.iter().find(|variable| variable["key"] == "CI_REPOSITORY_URL").unwrap();
    assert_eq!((&url["value"], &url["public"]), (&git_info["repo_url"], &json!(false)));

    // As runners do: no user's settings, a depth, both refspecs, then the commit.
    let clone = tempfile::tempdir().unwrap();
    git(clone.path(), &["init", "--quiet"]);
    for version in ["0", "2"] {
        let setting = format!("protocol.version={version}");
        let words = ["-c", &setting, "fetch", "--quiet", "--depth", "20", &stand.url(token), &own, &branch];
        git(clone.path(), &words);
    }
    git(clone.path(), &["checkout", "--quiet", &stand.snapshot.sha]);
    assert_eq!(fs::read_to_string(clone.path().join("a")).unwrap(), "changed");
    assert_eq!(git(clone.path(), &["rev-list", "--count", "origin/main"]), "3");
    // What is there is not sent again.
    git(clone.path(), &["fetch", "--quiet", &stand.url(token), &own]);
}

#[test]
fn a_runner_of_1_x_clones_the_branch_and_finds_the_commit() {
    let stand = Stand::new();
    let token = &stand.build.token;
    let expected = format!("http://gitlab-ci-token:{token}@baton.test/git/group/demo.git");
    assert_eq!(stand.build.json["repo_url"], json!(expected));
    assert_eq!(stand.build.json["sha"], json!(stand.snapshot.sha));
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["clone", "--quiet", &stand.url(token), "clone"]);
    let clone = dir.path().join("clone");
    git(&clone, &["checkout", "--quiet", &stand.snapshot.sha]);
    assert_eq!(fs::read_to_string(clone.join("a")).unwrap(), "changed");
    assert_eq!(git(&clone, &["branch", "--remotes"]), "  origin/HEAD -> origin/main\n  origin/main");
    // The next build of the project finds the clone there.
    let next = snapshot(stand.baton.data(), stand.top.path(), "main");
    queue_with_sources(stand.baton.operator(), "group/demo", &next, 1);
    stand.baton.claim(&stand.runner);
    let build = stand.baton.claim(&stand.runner);
    git(&clone, &["remote", "set-url", "origin", &stand.url(&build.token)]);
    git(
        &clone,
        &["fetch", "--quiet", "origin", "--prune", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"],
    );
    git(&clone, &["checkout", "--quiet", &next.sha]);
}

#[test]
fn only_the_token_of_a_running_build_opens_its_own_project() {
    let stand = Stand::new();
    let asked = Request::get("/git/group/demo.git/info/refs?service=git-upload-pack");
    let unknown = stand.send(asked).expect(401);
    assert_eq!(unknown.header("WWW-Authenticate"), Some("Basic realm=\"builds\""));
    assert_eq!(unknown.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let listed = stand.list(&stand.build.token).expect(200);
    assert_eq!(listed.header("Content-Type"), Some("application/x-git-upload-pack-advertisement"));
    assert!(listed.body.starts_with(b"001e# service=git-upload-pack\n0000"), "{}", listed.text());
    let text = listed.text();
    assert!(text.contains("refs/heads/main") && !text.contains("secret"), "{text}");

    // Tokens of others, whatever they open elsewhere.
    let database = stand.baton.database();
    let ci_token: String = database.query_row("SELECT ci_token FROM projects", [], |row| row.get(0)).unwrap();
    stand.baton.project("other");
    stand.baton.queue(new_build("other"));
    stand.baton.claim(&stand.runner);
    let other = stand.baton.claim(&stand.runner);
    for wrong in ["x", "", &stand.runner.token, &ci_token] {
        stand.list(wrong).expect(403);
        stand.send(pack_request("group/demo", wrong, wants(&stand.snapshot.sha))).expect(403);
    }
    // A build of another project, or one whose sources are elsewhere.
    stand.list(&other.token).expect(404);
    stand.send(pack_request("group/demo", &other.token, wants(&stand.snapshot.sha))).expect(404);
    stand.send(list_request("other", &other.token)).expect(404);
    stand.send(list_request("other", &stand.build.token)).expect(404);

    // The end of the build is the end of its token.
    stand.baton.finish(&stand.build, "success");
    let ended = stand.list(&stand.build.token).expect(403);
    assert!(ended.text().contains("no running build"), "{}", ended.text());
    stand.pack(wants(&stand.snapshot.sha)).expect(403);
}

#[test]
fn a_canceled_and_an_erased_build_fetch_nothing_any_more() {
    let stand = Stand::new();
    stand.baton.cancel(stand.build.id);
    stand.list(&stand.build.token).expect(403);
    stand.baton.erase(stand.build.id);
    stand.list(&stand.build.token).expect(403);
}

#[test]
fn no_other_path_leads_anywhere() {
    let stand = Stand::new();
    let token = &stand.build.token;
    let get = |path: &str| stand.send(Request::get(path).header("Authorization", &basic(token)));
    let query = "?service=git-upload-pack";
    for path in [
        "/git/../group/demo.git/info/refs",
        "/git/group/../group/demo.git/info/refs",
        "/git/group%2Fdemo.git/info/refs",
        "/git/group/%64emo.git/info/refs",
        "/git/group//demo.git/info/refs",
        "/git//group/demo.git/info/refs",
        "/git/group/demo.git.git/info/refs",
        "/git/group/demo/info/refs",
        "/git/group/demo.git/info/refs/",
        "/git/GROUP/demo.git/info/refs",
        "/git/group/demo.git%00/info/refs",
        "/git/.git/info/refs",
        "/git/",
        "/git",
    ] {
        assert_eq!(get(&format!("{path}{query}")).status, 404, "{path}");
    }
    for path in
        ["HEAD", "objects/info/packs", "config", "packed-refs", "lender", "objects/info/alternates", "info/attributes"]
    {
        assert_eq!(get(&format!("/git/group/demo.git/{path}")).status, 404, "{path}");
    }
    for query in ["", "?service=git-upload-archive", "?service=git-receive-pack", "?service=git-upload-pack&x=1", "?x"]
    {
        assert_eq!(get(&format!("/git/group/demo.git/info/refs{query}")).status, 403, "{query}");
    }
    let methods =
        [("PUT", "info/refs?service=git-upload-pack"), ("DELETE", "git-upload-pack"), ("GET", "git-upload-pack")];
    for (method, path) in methods {
        let request = Request::new(method, &format!("/git/group/demo.git/{path}"));
        assert_eq!(stand.send(request.header("Authorization", &basic(token))).status, 405, "{method} {path}");
    }
    let push = Request::post("/git/group/demo.git/git-receive-pack").header("Authorization", &basic(token));
    stand.send(push.body("application/x-git-receive-pack-request", "0000")).expect(403);
    let clone = tempfile::tempdir().unwrap();
    git(clone.path(), &["clone", "--quiet", &stand.url(token), "."]);
    let (pushed, why) = try_git(clone.path(), &["push", "--quiet", "origin", "main"]);
    assert!(!pushed && why.contains("403"), "{why}");
}

#[test]
fn objects_of_other_branches_are_not_handed_out_whoever_knows_their_names() {
    let stand = Stand::new();
    let secret = git(stand.top.path(), &["rev-parse", "secret"]);
    let (blob, parent) = (format!("{secret}:plan"), format!("{}^", stand.snapshot.sha));
    let blob = git(stand.top.path(), &["rev-parse", &blob]);
    let parent = git(stand.snapshot.dir(), &["rev-parse", &parent]);
    for name in [&secret, &blob, &parent, &"0".repeat(40)] {
        let refused = stand.pack(wants(name)).expect(400);
        assert!(refused.text().contains("not offered"), "{}", refused.text());
        let mut both = wants(&stand.snapshot.sha);
        both.splice(0..0, lines(&[&format!("want {name}\n")]));
        stand.pack(both).expect(400);
    }
    for version in ["0", "2"] {
        let clone = tempfile::tempdir().unwrap();
        git(clone.path(), &["init", "--quiet"]);
        let setting = format!("protocol.version={version}");
        let (has, _) =
            try_git(clone.path(), &["-c", &setting, "fetch", "--quiet", &stand.url(&stand.build.token), &secret]);
        assert!(!has, "by protocol {version}");
    }
    // A pack holds what the commit leads to, and nothing of the other branch.
    let clone = tempfile::tempdir().unwrap();
    git(clone.path(), &["clone", "--quiet", &stand.url(&stand.build.token), "."]);
    for (name, is_there) in [(&secret, false), (&blob, false), (&parent, true)] {
        assert_eq!(try_git(clone.path(), &["cat-file", "-e", name]).0, is_there, "{name}");
    }
    // Protocol 2 is not spoken, however one asks for it.
    let asked = list_request("group/demo", &stand.build.token).header("Git-Protocol", "version=2");
    assert!(!stand.send(asked).expect(200).text().contains("version 2"));
    let fetch = lines(&["command=fetch", "object-format=sha1"]);
    let request = [fetch, b"0001".to_vec(), lines(&[&format!("want {secret}\n"), "done\n", ""])].concat();
    stand.send(pack_request("group/demo", &stand.build.token, request).header("Git-Protocol", "version=2")).expect(400);
}

#[test]
fn requests_may_be_packed_and_chunked_within_bounds() {
    let stand = Stand::new();
    let pack = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let asked = wants(&stand.snapshot.sha);
    let request = |body: Vec<u8>| pack_request("group/demo", &stand.build.token, body);
    let expected = stand.pack(asked.clone()).expect(200);
    assert_eq!(expected.header("Content-Type"), Some("application/x-git-upload-pack-result"));
    assert!(memchr::memmem::find(&expected.body, b"PACK").is_some());
    for coding in ["gzip", "x-gzip"] {
        stand.send(request(pack(&asked)).header("Content-Encoding", coding)).expect(200);
        stand.send(request(pack(&asked)).header("Content-Encoding", coding).chunked(7)).expect(200);
    }
    stand.send(request(asked.clone()).header("Content-Encoding", "identity")).expect(200);
    stand.send(request(asked.clone()).header("Content-Encoding", "br")).expect(400);
    stand.send(request(asked.clone()).header("Content-Encoding", "gzip")).expect(400);
    stand.send(request(pack(&asked)[..20].to_vec()).header("Content-Encoding", "gzip")).expect(400);
    let wrong_type =
        Request::post("/git/group/demo.git/git-upload-pack").header("Authorization", &basic(&stand.build.token));
    stand.send(wrong_type.body("text/plain", asked.clone())).expect(415);

    // Bombs, and bodies without end.
    stand.send(request(pack(&vec![b'0'; 64 << 20])).header("Content-Encoding", "gzip")).expect(413);
    stand.send(request(vec![b'0'; (4 << 20) + 1]).chunked(1 << 20)).expect(413);
    let long = format!(
        "POST /git/group/demo.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\
         Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n\r\n",
        basic(&stand.build.token),
        4_u64 << 30
    );
    let (refused, _connection) = raw::ask(stand.baton.address(), long.as_bytes());
    assert_eq!(refused.status, 413);
    // The connection carries more after each answer, whatever its length.
    let mut connection = Connection::open(stand.baton.address());
    for _ in 0..3 {
        assert_eq!(connection.send(&request(pack(&asked)).header("Content-Encoding", "gzip")).status, 200);
        assert_eq!(connection.send(&request(wants(&"1".repeat(40)))).status, 400);
        assert_eq!(connection.send(&list_request("group/demo", &stand.build.token)).status, 200);
    }
}

#[test]
fn a_client_of_http_1_0_gets_the_pack_to_the_end_of_its_connection() {
    let stand = Stand::new();
    let request = pack_request("group/demo", &stand.build.token, wants(&stand.snapshot.sha)).bytes();
    let request = String::from_utf8(request).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let mut connection = Connection::open(stand.baton.address());
    connection.send_raw(request.as_bytes());
    let answer = connection.read("POST").expect(200);
    assert_eq!((answer.header("Transfer-Encoding"), answer.header("Connection")), (None, Some("close")));
    assert!(answer.body.ends_with(b"0000") && answer.body.len() > 100);
}

#[test]
fn sources_that_are_gone_are_not_found_and_the_reason_is_said() {
    let stand = Stand::new();
    let Stand { baton, top, snapshot, build, .. } = stand;
    drop(top);
    let gone = baton.send(list_request("group/demo", &build.token)).expect(404);
    assert!(gone.text().contains("moved or removed"), "{}", gone.text());
    baton.operator().remove_sources(&snapshot.key).unwrap();
    baton.operator().remove_sources(&snapshot.key).unwrap();
    let gone = baton.send(pack_request("group/demo", &build.token, wants(&snapshot.sha))).expect(404);
    assert!(gone.text().contains("was removed"), "{}", gone.text());
    for key in ["..", "", "../artifacts", "x", "/"] {
        assert!(baton.operator().remove_sources(key).is_err(), "{key}");
    }
}

#[test]
fn repositories_that_no_row_names_go_after_a_while() {
    let stand = Stand::new();
    let young = snapshot(stand.baton.data(), stand.top.path(), "main");
    let old = snapshot(stand.baton.data(), stand.top.path(), "main");
    let foreign = stand.baton.operator().sources_dir().join("notes");
    fs::create_dir(&foreign).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    for dir in [old.dir(), stand.snapshot.dir(), &foreign] {
        fs::File::open(dir).unwrap().set_times(fs::FileTimes::new().set_modified(long_ago)).unwrap();
    }
    assert_eq!(stand.baton.operator().sweep_sources().unwrap(), 1);
    let left = [young.dir(), stand.snapshot.dir(), &foreign].map(|dir| dir.exists());
    assert_eq!((left, old.dir().exists()), ([true; 3], false));
}

#[test]
fn whatever_is_sent_gets_an_answer_that_is_no_fault_of_ours() {
    let stand = Stand::new();
    let mut random = Random::new();
    let sha = &stand.snapshot.sha;
    let known = [
        format!("want {sha} multi_ack_detailed no-done side-band-64k thin-pack ofs-delta\n"),
        format!("want {sha}\n"),
        "deepen 1\n".to_owned(),
        "deepen-since 1\n".to_owned(),
        "deepen-not refs/heads/main\n".to_owned(),
        "deepen-not nothing\n".to_owned(),
        format!("shallow {sha}\n"),
        format!("shallow {}\n", "1".repeat(40)),
        format!("have {sha}\n"),
        format!("have {}\n", "2".repeat(40)),
        "filter blob:none\n".to_owned(),
        "done\n".to_owned(),
        String::new(),
    ];
    let mut seen = [0; 600];
    for round in 0..200 {
        let count = 1 + random.below(8);
        let chosen: Vec<&str> = (0..count).map(|_| known[random.below(known.len())].as_str()).collect();
        let mut body = lines(&chosen);
        if round % 2 == 0 {
            for _ in 0..random.below(4) {
                let at = random.below(body.len());
                body[at] = random.next() as u8;
            }
        }
        let request = pack_request("group/demo", &stand.build.token, body.clone());
        let mut connection = Connection::open(stand.baton.address());
        connection.send_raw(&request.bytes());
        connection.end_sending();
        let answer = connection.read_head();
        // Git may give up in the middle: then the answer breaks off, and does not look whole.
        connection.wait_for_close();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(answer.status == 200 || answer.status == 400, "{} for {text:?}", answer.status);
        seen[usize::from(answer.status)] += 1;
    }
    assert!(seen[400] > 0, "no request was refused");
    stand.list(&stand.build.token).expect(200);
}
