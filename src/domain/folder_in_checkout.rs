//! The folder of a checkout in which somebody stands, as a build of the checkout gets there: runners begin at its top.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A line of shell that goes from the top of a checkout to the folder `below` of it, whatever bytes its name has. It is
/// one line, and the shell takes the name for no option and does not look for it elsewhere (`CDPATH`).
#[must_use]
pub fn go_to(below: &Path) -> String {
    let bytes = below.as_os_str().as_bytes();
    let is_plain = |c: &u8| c.is_ascii_alphanumeric() || b"_@%+,./-".contains(c);
    if bytes.iter().all(is_plain) {
        return format!("cd ./{}", below.display());
    }
    if let Some(text) = below.to_str().filter(|text| !text.contains(char::is_control)) {
        return format!("cd './{}'", text.replace('\'', "'\\''"));
    }
    // The dot at the end keeps line ends there, which the shell takes off.
    let mut line = "cd \"$(printf './".to_owned();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = match byte {
            byte if byte.is_ascii_alphanumeric() || b"_.,/-".contains(byte) => write!(line, "{}", char::from(*byte)),
            byte => write!(line, "\\{byte:03o}"),
        };
    }
    line + "/.')\""
}

/// The pattern for runners, from the top of a checkout, of what `pattern` says in the folder `below` of it. Characters
/// of the folder's name mean themselves.
///
/// # Errors
/// If the folder's name is not UTF-8, as patterns are, or the pattern leads out of the checkout.
pub fn pattern_from_top(below: &Path, pattern: &str) -> Result<String, String> {
    if below.as_os_str().is_empty() || pattern.starts_with('/') {
        return Ok(pattern.to_owned());
    }
    let mut parts = Vec::new();
    let name = below.to_str().ok_or_else(|| format!("the name of the folder {below:?} is not UTF-8"))?;
    parts.extend(name.split('/').map(escaped));
    for part in pattern.trim_end_matches('/').split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err(format!("{pattern:?} leads out of the checkout")),
            ".." => {}
            part => parts.push(part.to_owned()),
        }
    }
    let end = if pattern.ends_with('/') { "/" } else { "" };
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") + end })
}

/// A name in which no character is a wildcard.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for c in name.chars() {
        if "*?[]\\{}".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::process::Command;

    #[test]
    fn the_shell_goes_to_the_folder_whatever_its_name_is() {
        let top = tempfile::tempdir().unwrap();
        let names: [&[u8]; 15] = [
            b"docs",
            b"a/b c",
            b"-x",
            b"-",
            b"--",
            b"it's",
            b"$HOME",
            b"`id`",
            b"a\nb\n",
            b"\n",
            b"%s\\n",
            b"\xff\xfe!\"",
            "größe".as_bytes(),
            b"~",
            b"a\tb'c\x01\\",
        ];
        for name in names {
            let below = Path::new(OsStr::from_bytes(name));
            let place = top.path().join(below);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("here"), name).unwrap();
            let line = go_to(below);
            assert!(!line.contains(char::is_control), "{line:?}");
            for shell in ["sh", "bash"] {
                let mut command = Command::new(shell);
                command.current_dir(top.path()).env("CDPATH", "/").args(["-ec", &format!("{line}\ncat here")]);
                let Ok(output) = command.output() else { continue };
                assert_eq!(output.stdout, name, "{shell}: {line}: {output:?}");
            }
        }
        assert_eq!(go_to(Path::new("docs")), "cd ./docs");
    }

    #[test]
    fn patterns_are_those_of_the_folder() {
        for (below, pattern, expected) in [
            ("", "../x", Ok("../x")),
            ("docs", "out/", Ok("docs/out/")),
            ("docs", "./*.log", Ok("docs/*.log")),
            ("docs", ".", Ok("docs")),
            ("docs", "..", Ok(".")),
            ("a/b", "../x", Ok("a/x")),
            ("a*[1]", "x?", Ok("a\\*\\[1\\]/x?")),
            ("docs", "/abs", Ok("/abs")),
            ("docs", "../../x", Err(())),
        ] {
            let result = pattern_from_top(Path::new(below), pattern).map_err(drop);
            assert_eq!(result, expected.map(str::to_owned), "{below} {pattern}");
        }
    }
}
