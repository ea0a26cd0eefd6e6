//! The examples do what they say. The one in Rust is a test suite by itself, which `cargo test` runs.

use std::path::Path;
use std::process::Command;

#[test]
fn the_test_suite_in_shell_passes_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/test_suite.sh");
    let mut command = Command::new("sh");
    command.arg(script).env("BATON", env!("CARGO_BIN_EXE_baton")).env("TMPDIR", temporary.path());
    let output = command.current_dir(temporary.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("ok - ")).count(), 8, "{text}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn the_test_suite_in_shell_fails_with_the_servers_own_words() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/test_suite.sh");
    let mut command = Command::new("sh");
    command.arg(script).env("BATON", env!("CARGO_BIN_EXE_baton")).env("BATON_LISTEN", "nonsense");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("BATON_LISTEN \"nonsense\""), "{output:?}");
}
