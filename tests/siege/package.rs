//! Clients that are packages of their own below `tests/`: what they need comes nowhere near Baton's dependencies.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of the package in this folder, built. What cannot be fetched is no fault of Baton's; what does not compile is.
pub fn build(folder: &str) -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder).join("Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).arg("--locked").arg("--manifest-path").arg(&manifest).output().unwrap()
    };
    let offline = cargo(&["fetch", "--quiet", "--offline"]);
    if !offline.status.success() {
        let fetched = cargo(&["fetch", "--quiet"]);
        if !fetched.status.success() {
            return Err(format!("no way to the client's packages: {}", String::from_utf8_lossy(&fetched.stderr)));
        }
    }
    let built = cargo(&["build", "--quiet", "--offline", "--target-dir", target.to_str().unwrap()]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Ok(target.join("debug").join(folder))
}
