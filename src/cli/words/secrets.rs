//! Secrets from files: they stand neither in the list of processes nor in the shell's history.
//!
//! What must stay true: no message repeats what a file holds, nor its name, in whose place somebody may have written
//! the secret itself.

use crate::cli::show::print;
use crate::domain::build::Variable;
use crate::domain::secret;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

/// Most names in a message.
const NAMES_MAX: usize = 10;

/// Says on standard error which secret variables are too short to be masked.
pub fn warn_of_short<'a>(variables: impl IntoIterator<Item = &'a Variable>) {
    let is_readable = |variable: &&Variable| !variable.public && secret::is_short(&variable.value);
    let names: BTreeSet<&str> =
        variables.into_iter().filter(is_readable).map(|variable| variable.key.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let more = if names.len() > NAMES_MAX { ", ..." } else { "" };
    let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    print::note(&format!(
        "not masked in the log, since shorter than {} bytes: the secret {shown}{more}",
        secret::BYTES_MIN
    ));
}

/// The text of `file`, `-` for standard input, without one line end at its end. An error's sentence begins after the
/// name of what the secret is for.
pub fn read_secret(file: &str, bytes_max: usize) -> Result<String, String> {
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    // Room for the line end, and a byte that shows that there is more.
    let limit = most.saturating_add(3);
    let mut bytes = Vec::new();
    let read = if file == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("its file cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "its file is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match text.len() {
        0 => Err("its file is empty".to_owned()),
        bytes if bytes > bytes_max => Err(format!("its file has more than {bytes_max} bytes")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_file_without_one_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hunter2");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_secret(path.to_str().unwrap(), 8)
        };
        for (bytes, secret) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a\nb", " a\nb"),
            ("12345678\r\n", "12345678"),
        ] {
            assert_eq!(read(bytes.as_bytes()), Ok(secret.to_owned()), "{bytes:?}");
        }
        for (bytes, part) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"123456789", "more than 8 bytes"),
            (b"123456789012345", "more than 8 bytes"),
            (b"\xff\xfe", "not UTF-8"),
        ] {
            let message = read(bytes).unwrap_err();
            assert!(message.contains(part), "{bytes:?}: {message}");
        }
        std::fs::remove_file(&path).unwrap();
        let message = read_secret(path.to_str().unwrap(), 8).unwrap_err();
        assert!(message.contains("cannot be read: No such file") && !message.contains("hunter2"), "{message}");
    }
}
