//! `baton build list --watch`: what becomes of the builds, for eyes and for programs.

use super::baton;
use crate::harness::terminal::Terminal;
use crate::harness::*;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Stdio};

/// A program whose lines are read as they come. It is killed with the test.
struct Lines(Child, BufReader<ChildStdout>);

impl Lines {
    fn of(server: &Baton, words: &[&str]) -> Lines {
        let mut process = baton(server.data(), words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Lines(process, lines)
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_gets_what_there_is_and_then_each_change_of_a_state() {
    let server = Baton::with_project();
    let (first, second) = (server.build(), server.build());
    let mut json = Lines::of(&server, &["build", "list", "--watch", "--json"]);
    let mut text = Lines::of(&server, &["build", "list", "--watch"]);
    let mut expect = |id, status: &str| {
        let build: serde_json::Value = serde_json::from_str(&json.next()).unwrap();
        assert_eq!((build["id"].as_i64(), build["status"].as_str()), (Some(id), Some(status)));
        let line = text.next();
        assert!(line.contains(&format!("  build {id}  demo  ")) && line.contains(&format!("  {status}  ")), "{line}");
    };
    expect(first.0, "pending");
    expect(second.0, "pending");
    let runner = server.runner();
    let build = server.claim(&runner);
    expect(first.0, "running");
    server.finish(&build, "failed");
    expect(first.0, "failed");
    let third = server.build();
    expect(third.0, "pending");
    server.cancel(second);
    expect(second.0, "canceled");
}

#[test]
fn a_person_sees_a_table_that_fits_and_is_drawn_anew_until_ctrl_c() {
    let server = Baton::with_project();
    let runner = server.runner();
    for _ in 0..20 {
        server.build();
    }
    let watching = Terminal::new(8, 50).run(&mut baton(server.data(), &["build", "list", "--watch"]));
    let shown = watching.wait_for("\x1b[J");
    assert!(shown.starts_with("\x1b[2J\x1b[HID "), "{shown:?}");
    let rows: Vec<&str> = shown.split("\x1b[J").next().unwrap().lines().collect();
    assert_eq!(rows.len(), 7, "{rows:?}");
    // 20 is the newest; the rest of the line has no room.
    assert!(rows[1].starts_with("20  demo ") && !shown.contains("REMARK"), "{rows:?}");
    assert!(!shown.contains("running"));
    let mut build = server.claim(&runner);
    while build.id.0 < 20 {
        server.finish(&build, "success");
        build = server.claim(&runner);
    }
    watching.wait_for("running");
    watching.signal(Signal::SIGINT);
    let (status, shown) = watching.end();
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
    assert!(shown.matches("\x1b[H").count() > 1);
}

/// Such a terminal shows what would move its cursor.
#[test]
fn a_dumb_terminal_gets_lines_of_text_and_nothing_else() {
    let server = Baton::with_project();
    let id = server.build();
    let watching = Terminal::new(24, 80).run(baton(server.data(), &["build", "list", "--watch"]).env("TERM", "dumb"));
    watching.wait_for(&format!("build {id}  demo"));
    watching.signal(Signal::SIGINT);
    let (_, shown) = watching.end();
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let dir = tempfile::tempdir().unwrap();
    for (term, has_colours) in [("dumb", false), ("xterm", true)] {
        let words = ["serve", "--listen", "127.0.0.1:0"];
        let mut command = baton(dir.path(), &words);
        let serving = Terminal::new(24, 200).run(command.env_remove("NO_COLOR").env("TERM", term));
        serving.wait_for("listening on");
        serving.signal(Signal::SIGTERM);
        let (_, shown) = serving.end();
        assert!(shown.contains("stopping") && shown.contains('\x1b') == has_colours, "{term}: {shown:?}");
    }
}
