//! Promise: `baton run` is green with nothing else installed, started or made; what it ran ends with it, by whatever death;
//! and it changes nothing where a server and a runner are there.

use super::run::{claim, git, repository};
use super::{baton, said};
use crate::harness::terminal::{Running, Terminal};
use crate::harness::*;
use baton::coordinator::{Coordinator, is_served};
use baton::domain::build::{BuildId, FailureReason, Status};
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// Of what must come, for machines that are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user with an empty home folder, and a data directory that there is not yet.
struct Machine {
    dir: tempfile::TempDir,
    data: PathBuf,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir(top.join("home")).unwrap();
        fs::create_dir(top.join("work")).unwrap();
        Machine { data: top.join("data"), dir }
    }

    /// The same with a server on the data directory.
    fn served() -> (Baton, Machine) {
        let server = Baton::start();
        let machine = Machine { data: server.data().to_owned(), ..Machine::new() };
        (server, machine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = baton(&self.data, &[&["run"], words].concat());
        command.current_dir(self.path("work")).env("HOME", self.path("home")).env_remove("XDG_CACHE_HOME");
        command
    }

    fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// On a terminal, which shows what it says while it runs.
    fn start(&self, words: &[&str]) -> Running {
        Terminal::new(24, 200).run(&mut self.command(words))
    }

    fn operator(&self) -> Coordinator {
        Coordinator::open(&self.data, Limits::default()).unwrap()
    }

    fn end_of(&self, id: i64) -> (Status, Option<FailureReason>) {
        let build = self.operator().show_build(BuildId(id), Timestamp::now()).unwrap().build;
        (build.status, build.failure_reason)
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Processes whose command line has this word.
fn processes(word: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|own| own == word.as_bytes())
    };
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has).collect()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A script that says `word`, and goes on when there is such a file.
fn waits_for(word: &str, file: &Path) -> String {
    format!("echo {word}; while [ ! -e '{}' ]; do sleep 0.05; done; echo went on", file.display())
}

#[test]
fn where_there_is_nothing_a_command_is_green_and_what_it_left_can_be_looked_at() {
    let machine = Machine::new();
    let output = machine.output(&["--", "sh", "-c", "echo hello $((40 + 2))"]);
    let shown = text(&output);
    assert!(output.status.success() && shown.contains("hello 42\n"), "{shown}");
    assert_eq!(shown.matches("no server runs").count(), 1, "{shown}");
    assert!(shown.contains("may do whatever this user may"), "{shown}");
    assert!(said(&machine.data, &["build", "log", "1"]).contains("hello 42\n"));
    assert!(said(&machine.data, &["build", "list"]).contains("success"));
    assert_eq!(said(&machine.data, &["runner", "list", "--json"]), "");
    assert!(!is_served(&machine.data).unwrap());
    assert_eq!(fs::read_dir(machine.data.join("runs")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(machine.path("work")).unwrap().count(), 0, "nothing is made where one stands");
    let again = machine.output(&["--", "true"]);
    assert!(again.status.success() && !text(&again).contains("whatever this user may"), "{}", text(&again));
}

#[test]
fn what_fails_is_red_and_tags_do_not_keep_it_from_running() {
    let machine = Machine::new();
    let output = machine.output(&["--tags", "docker,gpu", "--", "sh", "-c", "exit 3"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("tags do not count here: docker, gpu"), "{shown}");
    assert_eq!(machine.end_of(1), (Status::Failed, Some(FailureReason::ScriptFailure)));
}

#[test]
fn the_present_commit_is_built_elsewhere_and_only_the_artifacts_come_back() {
    let machine = Machine::new();
    let (_dir, top) = repository();
    let script = "cat a; echo made > made; mkdir out; echo all > out/file; git log -1 --format=is:%s";
    let words = ["--artifacts", "out/", "--output", ".", "--", "sh", "-c", script];
    let output = machine.command(&words).current_dir(&top).output().unwrap();
    assert!(output.status.success() && text(&output).contains("is:one"), "{}", text(&output));
    assert_eq!(fs::read(top.join("out/file")).unwrap(), b"all\n");
    assert!(!top.join("made").exists());
    assert_eq!(git(&top, &["status", "--porcelain"]), "?? out/");
}

#[test]
fn a_build_sees_nothing_of_batons() {
    let machine = Machine::new();
    let mut command = machine.command(&["--pass-env", "MINE", "--", "env"]);
    command.env("BATON_RUNNER_TIMEOUT", "1h").env("MINE", "passed").env("OTHER", "secret").env("BATON_DATA", "/x");
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("MINE=passed"), "{}", text(&output));
    let data = machine.data.display().to_string();
    assert!(!shown.contains("BATON_") && !shown.contains("OTHER") && !shown.contains(&data), "{shown}");
    assert!(!shown.contains("glrt-"), "{shown}");
}

#[test]
fn two_at_once_both_run_and_the_second_goes_on_when_the_first_has_ended() {
    let machine = Machine::new();
    let (first_file, second_file) = (machine.path("first"), machine.path("second"));
    let script = format!("{}; mkdir out; echo all > out/file", waits_for("second begins", &second_file));
    let first = machine.start(&["--", "sh", "-c", &waits_for("first begins", &first_file)]);
    first.wait_for("first begins\r\n");
    let words = ["--artifacts", "out/", "--output", ".", "--", "sh", "-c", &script];
    let second = machine.start(&words);
    second.wait_for("second begins\r\n");
    fs::write(&first_file, "").unwrap();
    let (status, shown) = first.end();
    assert!(status.success() && shown.contains("went on"), "{shown}");
    second.wait_for("this serves until its own builds have ended");
    fs::write(&second_file, "").unwrap();
    let (status, shown) = second.end();
    assert!(status.success() && shown.contains("went on"), "{shown}");
    assert_eq!(fs::read(machine.path("work/out/file")).unwrap(), b"all\n");
    assert_eq!((machine.end_of(1).0, machine.end_of(2).0), (Status::Success, Status::Success));
}

#[test]
fn when_the_first_of_two_is_killed_the_second_goes_on_and_the_first_ones_build_is_lost() {
    let machine = Machine::new();
    let file = machine.path("file");
    let mut first = machine.command(&["--", "sleep", "86411"]).spawn().unwrap();
    wait_until("the first runs", || processes("86411").len() >= 2);
    let second = machine.start(&["--", "sh", "-c", &waits_for("second begins", &file)]);
    second.wait_for("second begins\r\n");
    first.kill().unwrap();
    first.wait().unwrap();
    wait_until("its processes end", || processes("86411").is_empty());
    wait_until("its build ends", || machine.end_of(1) == (Status::Failed, Some(FailureReason::RunnerLost)));
    fs::write(&file, "").unwrap();
    let (status, shown) = second.end();
    assert!(status.success() && shown.contains("went on"), "{shown}");
}

#[test]
fn a_server_without_a_runner_is_helped_for_the_time_of_the_run() {
    let (server, machine) = Machine::served();
    let output = machine.output(&["--", "echo", "hello"]);
    let shown = text(&output);
    assert!(output.status.success() && shown.contains("no runner is there that could take this"), "{shown}");
    assert_eq!(server.status(BuildId(1)), Status::Success);
    assert_eq!(server.operator().list_runners().unwrap().len(), 0);
}

#[test]
fn where_a_runner_could_take_it_nothing_changes_unless_it_is_said() {
    let (server, machine) = Machine::served();
    let runner = server.runner();
    assert_ne!(server.ask(&runner).status, 201);
    let running = machine.start(&["--", "make"]);
    let build = claim(&server, &runner);
    server.finish(&build, "success");
    let (status, shown) = running.end();
    assert!(status.success() && !shown.contains("on this machine"), "{shown}");
    let running = machine.start(&["--runner", "builtin", "--", "echo", "hello"]);
    running.wait_for("is queued");
    assert_ne!(server.ask(&runner).status, 201, "it is kept for the one that was made for it");
    let (status, shown) = running.end();
    assert!(status.success() && shown.contains("this runs on this machine"), "{shown}");
}

#[test]
fn a_signal_ends_the_build_and_what_it_has_begun() {
    let machine = Machine::new();
    for (number, signal) in [Signal::SIGINT, Signal::SIGTERM].into_iter().enumerate() {
        let script = "trap 'echo told' TERM; sleep 86422 & wait; wait";
        let running = machine.start(&["--", "sh", "-c", script]);
        wait_until("it runs", || !processes("86422").is_empty());
        running.signal(signal);
        let (status, shown) = running.end();
        assert_eq!(status.code(), Some(1), "{shown}");
        assert!(shown.contains("ended as canceled"), "{shown}");
        assert_eq!(machine.end_of(number as i64 + 1), (Status::Canceled, None));
        assert!(processes("86422").is_empty());
    }
}

#[test]
fn when_it_is_killed_nothing_of_the_build_is_left_and_the_next_look_says_so() {
    let machine = Machine::new();
    // Also what has left its group and its session, and hears nothing.
    let script = "trap '' TERM HUP INT; setsid sleep 86433 & sleep 86433";
    let mut process = machine.command(&["--", "sh", "-c", script]).spawn().unwrap();
    wait_until("it runs", || processes("86433").len() >= 2);
    process.kill().unwrap();
    process.wait().unwrap();
    wait_until("its processes end", || processes("86433").is_empty());
    let shown = said(&machine.data, &["build", "show", "1"]);
    assert!(shown.contains("runner_lost"), "{shown}");
}

#[test]
fn when_its_keeper_is_killed_the_build_fails_and_nothing_of_it_is_left() {
    let machine = Machine::new();
    let running = machine.start(&["--", "sh", "-c", "sleep 86444; true"]);
    wait_until("it runs", || !processes("86444").is_empty());
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent = |pid: i32| stat(pid).rsplit_once(')').unwrap().1.split(' ').nth(2).unwrap().parse::<i32>().unwrap();
    let keepers = processes("internal-keeper");
    let mut pid = processes("86444")[0];
    while !keepers.contains(&pid) {
        pid = parent(pid);
        assert!(pid > 1, "there is no keeper above it");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let (status, shown) = running.end();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert_eq!(machine.end_of(1).0, Status::Failed);
    assert!(processes("86444").is_empty());
}

/// What tests/shell shows of the runner alone, once through the whole program.
#[test]
fn builds_that_mean_harm_end_and_the_next_one_finds_what_the_first_did() {
    let machine = Machine::new();
    let (_dir, top) = repository();
    let run = |script: &str| machine.command(&["--", "sh", "-c", script]).current_dir(&top).output().unwrap();
    let plant = "printf '#!/bin/sh\\necho PLANTED\\n' > .git/hooks/post-checkout; chmod +x .git/hooks/post-checkout; \
                 git config core.fsmonitor 'echo PLANTED; false'; git config alias.checkout '!echo PLANTED'; \
                 rm a; ln -s /etc/passwd a; touch .git/index.lock";
    for (what, script, says) in [
        ("removes its folder", "rm -rf \"$CI_PROJECT_DIR\"; echo gone", "gone"),
        ("closes its outputs", "echo before; exec >&- 2>&-; sleep 0.1", "before"),
        ("asks at the terminal", "read x 2>/dev/null </dev/tty || echo nobody answers", "nobody answers"),
        ("plants for the next", plant, ""),
        ("prints much", "yes 0123456789abcdef | head -c 3000000; echo; echo printed", "printed"),
        ("leaves a daemon", "setsid sleep 86455 >/dev/null 2>&1 & echo left", "left"),
    ] {
        let output = run(script);
        let shown = text(&output);
        let end = &shown[shown.len().saturating_sub(2000)..];
        assert!(output.status.success() && shown.contains(says), "{what}: {end}");
        let next = run("cat a; git status --porcelain; git rev-parse HEAD");
        let shown = text(&next);
        assert!(next.status.success() && shown.contains(&git(&top, &["rev-parse", "HEAD"])), "after {what}: {shown}");
        assert!(
            shown.contains("one") && !shown.contains("PLANTED") && !shown.contains("root:"),
            "after {what}: {shown}"
        );
    }
    wait_until("the daemon ends", || processes("86455").is_empty());
    assert_eq!(
        (fs::read(top.join("a")).unwrap(), git(&top, &["status", "--porcelain"])),
        (b"one".to_vec(), String::new())
    );
}

/// As far as one run needs it, it does what a `gitlab-runner` does that is given a configuration.
const STAND_IN: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo 'Version:      19.3.0'; exit 0; fi
[ "$1 $2" = 'run --config' ] || exit 2
value() { sed -n "s/^ *$1 = \"\(.*\)\"\$/\1/p" "$config"; }
config=$3
url=$(value url) token=$(value token)
[ "$(stat -c %a "$config")" = 600 ] || exit 3
env | grep -q BATON && exit 4
while :; do
    answer=$(curl -s -X POST -H 'Content-Type: application/json' -d "{\"token\": \"$token\"}" "$url/api/v4/jobs/request")
    id=$(printf %s "$answer" | sed -n 's/^{"id":\([0-9]*\),.*/\1/p')
    [ -n "$id" ] && break
    sleep 0.1
done
job=$(printf %s "$answer" | sed -n 's/^{"id":[0-9]*,"token":"\([^"]*\)".*/\1/p')
curl -s -X PATCH -H "JOB-TOKEN: $job" -H 'Content-Range: 0-13' -d 'of a stand-in
' "$url/api/v4/jobs/$id/trace" >&2
curl -s -X PUT -H 'Content-Type: application/json' -d "{\"token\": \"$job\", \"state\": \"success\"}" "$url/api/v4/jobs/$id" >&2
exec sleep 86466
"#;

#[test]
fn an_installed_runner_is_started_for_the_run_and_ends_with_it() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skipped("there is no curl on this machine");
    }
    let machine = Machine::new();
    let place = machine.path("gitlab-runner");
    fs::write(&place, STAND_IN).unwrap();
    fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", place.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for program in ["gitlab-runner", place.to_str().unwrap()] {
        let output = machine.command(&["--runner", program, "--", "true"]).env("PATH", &path).output().unwrap();
        let shown = text(&output);
        assert!(output.status.success() && shown.contains("of a stand-in"), "{shown}");
        assert!(processes("86466").is_empty(), "it ends with the run");
    }
    let cache = machine.path("home/.cache/baton");
    let left = fs::read_dir(&cache).unwrap().flatten().flat_map(|entry| fs::read_dir(entry.path().join("builds")));
    assert_eq!(left.flatten().count(), 0, "its folder goes with it");
    for (program, says) in [("/none/there", "/none/there"), ("gitlab-runner", "no gitlab-runner is in PATH")] {
        let output =
            machine.command(&["--runner", program, "--", "true"]).env("PATH", "/usr/bin:/bin").output().unwrap();
        if program.starts_with('/') || !Path::new("/usr/bin/gitlab-runner").exists() {
            assert!(output.status.code() == Some(1) && text(&output).contains(says), "{}", text(&output));
        }
    }
    let open = machine.operator().list_builds(None, None, None, Timestamp::now()).unwrap();
    assert!(open.iter().all(|report| report.build.status == Status::Success), "nothing is queued that nobody runs");
}
