//! Commands of `baton`, as operators run them.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `baton` in a process of its own, as operators do beside a server.
pub fn baton(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").env_remove("RUST_LOG").arg("--data").arg(data).args(arguments);
    command.output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command that must succeed prints.
#[track_caller]
pub fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The one line that a command that must be refused gives as the reason.
#[track_caller]
pub fn refused(output: &Output) -> String {
    let reason = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}{reason}", text(&output.stdout));
    assert_eq!(reason.lines().count(), 1, "{reason}");
    reason
}
