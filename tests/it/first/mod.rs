//! Promise: a first build within a minute, and whoever waits sees what happens. What a person sees is tried on a real
//! terminal, and what a program gets on pipes.

mod follow;
mod house;
mod progress;
mod run;
mod signals;
mod stand;
mod watch;
mod welcome;

use std::path::Path;
use std::process::Command;

/// The program on this data directory, without what the environment would change.
fn baton(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.env_remove("BATON_DATA").env_remove("RUST_LOG").arg("--data").arg(data).args(words);
    command
}

/// What a command prints.
#[track_caller]
fn said(data: &Path, words: &[&str]) -> String {
    let output = baton(data, words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
