//! A log is followed while it grows: from its first byte, before the build has begun, beside a server that is
//! started anew.

use super::baton;
use crate::harness::terminal::Terminal;
use crate::harness::*;
use serde_json::json;
use std::io::Read;
use std::process::{Command, Stdio};

const COLOURED: &str = "\x1b[0KRunning\r\n\x1b[32;1m$ make\x1b[0;m\n";

fn log(server: &Baton, id: impl std::fmt::Display, options: &[&str]) -> Command {
    baton(server.data(), &[&["build", "log", &id.to_string()], options].concat())
}

#[test]
fn a_log_is_followed_from_before_its_first_byte_through_a_restart_to_its_end() {
    let server = Baton::with_project();
    let (runner, id) = (server.runner(), server.build());
    let following = Terminal::new(24, 80).run(&mut log(&server, id, &["--follow"]));
    let build = server.claim(&runner);
    server.append(&build, 0, COLOURED);
    following.wait_for("\x1b[32;1m$ make\x1b[0;m");
    let server = server.restart();
    server.append(&build, COLOURED.len(), "after the restart\n");
    following.wait_for("after the restart");
    server.finish(&build, "failed");
    let (status, shown) = following.end();
    assert_eq!(status.code(), Some(1));
    assert!(shown.starts_with("\x1b[0KRunning\r\r\n\x1b[32;1m$ make\x1b[0;m\r\nafter the restart\r\n"), "{shown:?}");
    assert!(shown.contains("script_failure"), "{shown:?}");
}

/// How soon, `cli::trace` says: it looks each tenth of a second.
#[test]
fn what_is_stored_is_shown_while_the_build_runs() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    let following = Terminal::new(24, 80).run(&mut log(&server, build.id, &["--follow"]));
    let mut size = 0;
    for number in 0..12 {
        let text = format!("line {number}\n");
        server.append(&build, size, &text);
        size += text.len();
        following.wait_for(text.trim());
    }
    server.finish(&build, "success");
    assert!(following.end().0.success());
}

#[test]
fn a_plain_log_is_without_colours_and_others_are_to_the_byte() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    server.append(&build, 0, COLOURED);
    server.append(&build, COLOURED.len(), "50 %\r100 %\x1b[");
    server.finish(&build, "success");
    let whole = format!("{COLOURED}50 %\r100 %\x1b[");
    for (options, expected) in [
        (&[][..], whole.as_str()),
        (&["--follow"], &whole),
        (&["--plain"], "Running\n$ make\n50 %\n100 %"),
        (&["--plain", "--follow"], "Running\n$ make\n50 %\n100 %"),
    ] {
        let output = log(&server, build.id, options).output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{options:?}");
    }
}

/// What a report repeats is not shown again; another log in its place is, whole, and not from its middle on.
#[test]
fn a_log_that_a_report_replaces_is_not_followed_from_its_middle_on() {
    for (report, shown, words) in [
        ("caf\u{fffd}\nend\n", &b"caf\xe9\nend\n"[..], ""),
        ("caf\u{fffd}\nend\nmore\n", b"caf\xe9\nend\nmore\n", ""),
        ("another\nlog, longer\n", b"caf\xe9\nend\nanother\nlog, longer\n", "has replaced the log"),
        ("short", b"caf\xe9\nend\nshort", "has replaced the log"),
    ] {
        let server = Baton::with_project();
        let (_, build) = server.running();
        server.send(patch(&build, 0, b"caf\xe9\nend\n")).expect(202);
        let mut command = log(&server, build.id, &["--follow"]);
        let mut following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut begin = vec![0; 9];
        following.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
        let body = json!({"token": build.token, "state": "success", "trace": report});
        server.send(Request::put(&format!("builds/{}", build.id)).json(&body)).expect(200);
        let output = following.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!([begin, output.stdout].concat(), shown, "{report:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("has replaced the log"), !words.is_empty(), "{report:?}: {said}");
    }
}
