//! `baton run -- true`, from its start to its end: what whoever types it waits for.

use crate::Scale;
use crate::procs::{Served, baton};
use crate::report::{Row, Samples, Target, Unit, alternate};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Login shells that a job without sources takes: its environment, its sources, its script.
const SHELLS: usize = 3;
/// A job that does nothing.
const CONFIGURATION: &str = "job:\n  script:\n    - 'true'\n";

/// A user with an empty home folder, so that no profile of this machine's is measured.
struct User(TempDir);

impl User {
    fn new() -> User {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        User(dir)
    }

    fn time(&self, command: &mut Command) -> f64 {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.current_dir(self.0.path().join("work")).env("HOME", self.0.path().join("home"));
        let started = Instant::now();
        let status = quiet.env_remove("XDG_CACHE_HOME").env_remove("RUST_LOG").status().unwrap();
        assert!(status.success(), "{command:?}: {status}");
        started.elapsed().as_secs_f64()
    }

    fn run(&self, data: &Path) -> f64 {
        self.time(baton(data).args(["run", "--", "true"]))
    }

    /// The processes that a build takes, one after the other, with nothing between them.
    fn floor(&self) -> f64 {
        let data = self.0.path();
        let programs = (0..2).map(|_| self.time(baton(data).arg("--version"))).sum::<f64>();
        let shells = (0..SHELLS).map(|_| self.time(Command::new("bash").args(["-l", "-c", "true"]))).sum::<f64>();
        programs + shells
    }
}

/// With nothing running before, in a new data directory each time; and beside a server that has no runner.
pub fn command(scale: &Scale) -> Vec<Row> {
    let user = User::new();
    let server_data = tempfile::tempdir().unwrap();
    let _server = Served::baton(server_data.path(), &[]);
    let rounds = scale.short_rounds;
    let [alone, served, floor] = alternate(
        rounds,
        [
            &mut || user.run(&tempfile::tempdir().unwrap().path().join("data")),
            &mut || user.run(server_data.path()),
            &mut || user.floor(),
        ],
    );
    let what = "`baton run -- true`";
    let floor_is = format!("floor two starts of the program and {SHELLS} login shells");
    vec![
        Row::alone(&format!("{what}, nothing running before"), Unit::Time, alone.clone(), Target::Below(0.4)),
        Row::compared(&format!("for information: the same, {floor_is}"), Unit::Time, &alone, &floor, Target::None),
        Row::alone(&format!("{what}, beside a server"), Unit::Time, served.clone(), Target::Below(0.15)),
        Row::compared(&format!("for information: the same, {floor_is}"), Unit::Time, &served, &floor, Target::None),
        other(&user, scale, &alone),
    ]
}

/// Another local runner of GitLab's configurations, on one that does as much.
fn other(user: &User, scale: &Scale, alone: &Samples) -> Row {
    let work = "for information: `baton run -- true`, floor `gitlab-ci-local` with one job that does as much";
    let Some(program) = gitlab_ci_local() else {
        return Row::skipped(work, "no gitlab-ci-local runs here (`npm install --global gitlab-ci-local`)");
    };
    let place = user.0.path().join("work");
    std::fs::write(place.join(".gitlab-ci.yml"), CONFIGURATION).unwrap();
    let git = |words: &[&str]| {
        user.time(Command::new("git").args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words));
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "git@git.example:group/project.git"]);
    git(&["add", ".gitlab-ci.yml"]);
    git(&["commit", "--quiet", "--message", "one"]);
    let [time] = alternate(scale.rounds, [&mut || user.time(Command::new(&program[0]).args(&program[1..]))]);
    Row::compared(work, Unit::Time, alone, &time, Target::None)
}

/// How it is called here; nothing is fetched for it.
pub fn gitlab_ci_local() -> Option<Vec<String>> {
    let ways = [&["gitlab-ci-local"][..], &["npx", "--no-install", "gitlab-ci-local"]];
    let works = |way: &&&[&str]| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ways.iter().find(works).map(|way| way.iter().map(|word| (*word).to_owned()).collect())
}
