//! The crate `gitlab-runner`, which others make runners of, against a server: it is the strictest reader of jobs, puts the
//! parameters of uploads behind the file, and neither resumes a log nor repeats the report of an end.

use crate::harness::served::PATIENCE;
use crate::harness::*;
use crate::package;
use baton::domain::build::{BuildId, FailureReason, NewBuild, Status, Variable};
use baton::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec, BuildSpec, CacheSpec, Hooks, Image, Service};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The client's program, built the first time; `None`, said aloud, where its packages are not to be had.
#[track_caller]
fn client() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PROGRAM.get_or_init(|| package::build("crate-client")) {
        Ok(program) => Some(program),
        Err(why) => {
            skipped(why);
            None
        }
    }
}

/// The client at work. Ended with the test.
struct Client(Child);

impl Client {
    fn start(program: &Path, baton: &Baton, token: &str, build_dir: &Path, jobs: usize) -> Client {
        let mut command = Command::new(program);
        command.arg(format!("http://{}", baton.address())).arg(token).arg(build_dir).arg(jobs.to_string());
        Client(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// Waits for its end, which must be a good one.
    fn end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return assert!(status.success(), "{status}");
            }
            assert!(Instant::now() < deadline, "the client does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script(lines: &[&str]) -> BuildSpec {
    BuildSpec { script: lines.iter().map(|line| (*line).to_owned()).collect(), ..BuildSpec::of_script("x") }
}

fn artifacts(kind: &str, format: ArtifactFormat, path: &str) -> ArtifactsSpec {
    ArtifactsSpec {
        kind: ArtifactKind(kind.to_owned()),
        format,
        paths: vec![path.to_owned()],
        expire_in: Some("7d".to_owned()),
        ..ArtifactsSpec::default()
    }
}

fn kinds(baton: &Baton, id: BuildId) -> Vec<String> {
    let database = baton.database();
    let mut kinds = database
        .prepare("SELECT kind || ' ' || format FROM artifacts WHERE build_id = ?1 AND expire_at > 0 ORDER BY kind")
        .unwrap();
    kinds.query_map([id.0], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_crate_takes_jobs_logs_uploads_downloads_and_ends_them() {
    let Some(program) = client() else { return };
    let baton = Baton::with_project();
    let (runner, build_dir) = (baton.runner(), tempfile::tempdir().unwrap());
    assert!(runner.token.starts_with("glrt-"));
    // With all that a job can ask for: a field that the crate cannot read costs it the job.
    let compile = BuildSpec {
        after_script: vec!["say after".to_owned()],
        image: Some(Image { name: "alpine".to_owned(), entrypoint: Some(vec![]), ..Image::default() }),
        services: vec![Service { alias: Some("db".to_owned()), ..Service::default() }],
        artifacts: vec![
            artifacts("archive", ArtifactFormat::Zip, "*.txt"),
            artifacts("junit", ArtifactFormat::Gzip, "junit.xml"),
        ],
        cache: vec![CacheSpec { key: Some("k".to_owned()), paths: vec!["c".to_owned()], ..CacheSpec::default() }],
        hooks: Hooks { pre_get_sources_script: vec!["true".to_owned()], ..Hooks::default() },
        ..script(&[
            "say hello",
            "show GREETING",
            "show SECRET",
            "file a.txt of the first",
            "file junit.xml <testcase/>",
        ])
    };
    let variables = vec![Variable::public("GREETING", "guten Tag"), Variable::secret("SECRET", "correct horse")];
    let first = baton.queue(NewBuild { name: "compile".to_owned(), spec: compile, variables, ..new_build("demo") });
    let behind = |name: &str, lines: &[&str]| {
        let needs = vec![first];
        baton.queue(NewBuild { name: name.to_owned(), needs, spec: script(lines), ..new_build("demo") })
    };
    let second = behind("unit", &["fetch", "fail"]);
    let third = behind("lint", &["fetch"]);
    Client::start(program, &baton, &runner.token, build_dir.path(), 3).end();
    let ends = [first, second, third].map(|id| (baton.status(id), baton.show(id).failure_reason));
    let failed = (Status::Failed, Some(FailureReason::ScriptFailure));
    assert_eq!(ends, [(Status::Success, None), failed, (Status::Success, None)]);
    let log = baton.trace_text(first);
    for line in ["> say hello\nhello\n", "GREETING is guten Tag\n", "SECRET is xxxxxxxxxxxxx\n", "> say after\nafter\n"]
    {
        assert!(log.contains(line), "{line:?} in {log}");
    }
    assert_eq!(kinds(&baton, first), ["archive zip", "junit gzip"]);
    let summary = baton.operator().junit_summary(first, baton::domain::time::Timestamp::now()).unwrap().unwrap();
    assert_eq!(summary.tests, 1);
    for id in [second, third] {
        let log = baton.trace_text(id);
        assert!(log.contains("a.txt of compile: of the first\n"), "{log}");
    }
    let (row, managers) = baton.operator().show_runner(runner.id).unwrap();
    assert_eq!(managers.len(), 1, "{row:?}");
    expect_well(baton.data());
}

#[test]
fn the_crate_drops_a_job_that_is_canceled() {
    let Some(program) = client() else { return };
    let baton = Baton::with_project();
    let (runner, build_dir) = (baton.runner(), tempfile::tempdir().unwrap());
    let id = baton.queue(NewBuild { spec: script(&["say begun", "wait"]), ..new_build("demo") });
    let mut client = Client::start(program, &baton, &runner.token, build_dir.path(), 1);
    served::wait_for("the begin of the log", || baton.trace_text(id).contains("begun").then_some(()));
    baton.cancel(id);
    assert_eq!(baton.status(id), Status::Canceled, "it does not understand `canceling`");
    client.end();
    assert_eq!(baton.status(id), Status::Canceled);
}
