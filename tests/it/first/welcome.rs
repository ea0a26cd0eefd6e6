//! What `baton serve` says at its start.

use super::{baton, said};
use crate::harness::http::{Request, send};
use crate::harness::terminal::Terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// The words that a shell makes of a line.
fn arguments(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {line}");
    let program = Path::new(env!("CARGO_BIN_EXE_baton")).parent().unwrap();
    let path = std::env::join_paths([program, "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
    let output = Command::new("sh").arg("-c").arg(script).env("PATH", path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn on_a_terminal_the_line_that_registers_a_runner_can_be_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("it's data");
    let served = Terminal::new(24, 80).run(&mut baton(&data, &["serve", "--listen", "127.0.0.1:0"]));
    let shown = served.wait_for("run -- echo hello");
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    // Lines of the log may stand between.
    let address = lines.iter().find_map(|line| line.strip_prefix("baton listening on http://")).unwrap();
    let place = data.canonicalize().unwrap();
    assert!(lines.contains(&format!("data in {}", place.display()).as_str()), "{shown}");
    let shown_lines: Vec<&&str> = lines.iter().filter(|line| line.starts_with("gitlab-runner register")).collect();
    let [line, old_line] = shown_lines.as_slice() else { panic!("two lines to paste: {shown}") };
    let given = arguments(line);
    let value = |name: &str| given.iter().skip_while(|word| *word != name).nth(1).expect("it is given").as_str();
    assert_eq!((value("--url"), value("--executor")), (format!("http://{address}").as_str(), "shell"));
    let verification = Request::post("/api/v4/runners/verify").form(&[("token", value("--token"))]);
    send(address.parse().unwrap(), &verification).expect(200);
    let given = arguments(old_line);
    let value = |name: &str| given.iter().skip_while(|word| *word != name).nth(1).expect("it is given").as_str();
    assert_eq!((value("--url"), value("--executor")), (format!("http://{address}/ci").as_str(), "shell"));
    let registration = Request::post("runners/register").form(&[("token", value("--registration-token"))]);
    send(address.parse().unwrap(), &registration).expect(201);
    // The command that is named for a first build is one for this directory.
    let run = lines.iter().find(|line| line.ends_with("run -- echo hello")).expect("a first build");
    assert!(run.contains("it'\\''s data"), "{run}");
    served.signal(Signal::SIGTERM);
    assert!(served.end().0.success());
}

#[test]
fn off_a_terminal_there_is_one_line_and_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("out");
    let mut command = baton(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let mut process = command.stdout(File::create(&file).unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains("gitlab-runner register") {
        assert_ne!(log.read_line(&mut all).unwrap(), 0, "{all}");
    }
    kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
    log.read_to_string(&mut all).unwrap();
    assert!(process.wait().unwrap().success());
    let stdout = fs::read_to_string(file).unwrap();
    assert!(stdout.starts_with("baton listening on http://") && stdout.lines().count() == 1, "{stdout}");
    let token = said(&data, &["runner", "token"]);
    let place = data.canonicalize().unwrap();
    let line = all.lines().find(|line| line.contains("gitlab-runner register")).expect("it was there");
    assert!(!all.contains(token.trim()), "{all}");
    assert!(line.contains(&format!("\"$(baton --data {} runner add --token-only)\"", place.display())), "{line}");
}

/// `baton serve | tee`: the person who sees the terminal sees the token, the pipe does not carry it.
#[test]
fn the_token_goes_to_the_terminal_and_not_into_the_pipe_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let terminal = Terminal::new(24, 80);
    let mut command = baton(&data, &["serve", "--listen", "0.0.0.0:0"]);
    let file = dir.path().join("out");
    command.stdout(File::create(&file).unwrap()).stderr(terminal.stdio());
    let served = terminal.start(&mut command);
    let shown = served.wait_for("run -- echo hello");
    served.signal(Signal::SIGTERM);
    assert!(served.end().0.success());
    let token = said(&data, &["runner", "token"]);
    assert!(shown.contains(format!("--registration-token {token}").trim_end()), "{shown}");
    assert!(shown.contains("runner add --token-only"), "{shown}");
    assert!(shown.contains("--url http://127.0.0.1:") && shown.contains("on another machine"), "{shown}");
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1);
}
