//! A log is followed while it grows: from its first byte, before the build has begun, beside a server that is
//! started anew.

use super::baton;
use crate::harness::terminal::Terminal;
use crate::harness::*;
use std::process::Command;
use std::time::{Duration, Instant};

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

/// Each line is stored right after a look, so that it waits as long as lines do; and as the machine may be slow, the
/// fastest of some counts.
#[test]
fn what_is_stored_is_shown_within_a_fifth_of_a_second() {
    let server = Baton::with_project();
    let (_, build) = server.running();
    let following = Terminal::new(24, 80).run(&mut log(&server, build.id, &["--follow"]));
    let mut size = 0;
    let mut times = Vec::new();
    for number in 0..12 {
        let text = format!("line {number}\n");
        server.append(&build, size, &text);
        size += text.len();
        let stored = Instant::now();
        following.wait_for(text.trim());
        times.push(stored.elapsed());
    }
    assert!(times.iter().min().unwrap() < &Duration::from_millis(200), "{times:?}");
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
