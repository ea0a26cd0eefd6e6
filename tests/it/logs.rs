//! What the server says in its log.

use crate::supervisor::{Served, serve};
use nix::sys::signal::Signal;
use serde_json::Value;

fn json_lines(log: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

#[test]
fn every_line_of_both_processes_is_an_object_with_time_level_and_message() {
    let dir = tempfile::tempdir().unwrap();
    let mut served =
        Served::of(serve(dir.path()).args(["--log-format", "json"]).args(["--max-connections", "1000000"]));
    served.log_has("a runner is registered with");
    served.kill_child();
    served.log_has("was ended by SIGKILL; restarting");
    served.signal(Signal::SIGTERM);
    served.log_has(": stopping");
    served.end();
    let lines = json_lines(&served.log());
    for line in &lines {
        let text = |field: &str| line[field].as_str().unwrap_or_else(|| panic!("no {field}: {line}")).to_owned();
        assert!(text("time").ends_with('Z') && !text("message").is_empty(), "{line}");
        assert!(["info", "warn", "error"].contains(&text("level").as_str()), "{line}");
    }
    // The serving process has spoken, too: fewer connections fit than were wanted.
    assert!(
        lines.iter().any(|line| line["message"].as_str().unwrap().contains("descriptors") && line["level"] == "warn")
    );
}
