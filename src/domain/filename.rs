//! Names of artifact files: what a client called its upload, and how a download is announced.
//!
//! A stored name is a label in the database and in a header, never a path: files on disk are named by the server. It
//! must still be safe, since clients save under it.

use std::fmt::Write as _;

/// The name of an upload that has none.
const DEFAULT_NAME: &str = "artifacts.zip";

/// The longest name, in bytes: what file systems take.
const NAME_BYTES_MAX: usize = 255;

/// The longest extension, in bytes, that is kept when a name is cut.
const EXTENSION_BYTES_MAX: usize = 32;

/// The client's file name made safe: what follows the last `/` or `\`, without control characters (C0, DEL, C1), at
/// most 255 bytes: a longer one is cut between characters, before its extension. `artifacts.zip` when nothing, only blanks, `.` or `..` is left, or when no name was given.
///
/// Source: `POST builds/:id/artifacts` keeps the base name of the part's `filename`.
pub fn artifacts_filename(given: Option<&str>) -> String {
    let base = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base.chars().filter(|c| !c.is_control()).collect();
    let name = if name.len() > NAME_BYTES_MAX { cut(&name) } else { name };
    match name.trim() {
        "" | "." | ".." => DEFAULT_NAME.to_owned(),
        _ => name,
    }
}

/// A long name, cut before its extension.
fn cut(name: &str) -> String {
    let (stem, extension) = name.split_at(extension_start(name));
    let mut end = NAME_BYTES_MAX.saturating_sub(extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    stem.get(..end).unwrap_or_default().to_owned() + extension
}

/// Where a name's extension begins: at its last dot, or at `.tar` before that; at its end if it has none that is one.
fn extension_start(name: &str) -> usize {
    let dot = name.rfind('.').filter(|dot| *dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX);
    dot.map_or(name.len(), |dot| {
        let before = name.get(..dot).unwrap_or_default();
        before.strip_suffix(".tar").filter(|stem| !stem.is_empty()).map_or(dot, str::len)
    })
}

/// The value of `Content-Disposition` for a download named `name`.
///
/// Unquoted, as GitLab sends it, when the name is an RFC 9110 token; otherwise quoted with everything outside ASCII,
/// and quotes and backslashes, which not every client unescapes, replaced by `_`, followed by the full name as RFC 8187 has it. Control characters are left out, so that the value
/// never breaks a header line.
///
/// Source: `GET builds/:id/artifacts`, `attachment; filename=ci_build_artifacts.zip`.
pub fn content_disposition(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(is_token_byte) {
        return format!("attachment; filename={name}");
    }
    let mut quoted = String::new();
    let mut encoded = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        quoted.push(if c.is_ascii() && !matches!(c, '"' | '\\') { c } else { '_' });
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            if is_attr_byte(byte) {
                encoded.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    format!("attachment; filename=\"{quoted}\"; filename*=UTF-8''{encoded}")
}

/// `tchar` of RFC 9110, 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `attr-char` of RFC 8187, 3.2.1.
fn is_attr_byte(byte: u8) -> bool {
    is_token_byte(byte) && !b"%'*".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_name_is_kept() {
        for (given, name) in [
            ("ci_build_artifacts.zip", "ci_build_artifacts.zip"),
            ("out dir.zip", "out dir.zip"),
            ("/etc/passwd", "passwd"),
            ("../../up.zip", "up.zip"),
            ("C:\\builds\\out.zip", "out.zip"),
            ("a/b\\c.zip", "c.zip"),
            ("a\\b/c.zip", "c.zip"),
            (".hidden", ".hidden"),
            ("...", "..."),
            ("say \"hi\".zip", "say \"hi\".zip"),
            ("größe.zip", "größe.zip"),
        ] {
            assert_eq!(artifacts_filename(Some(given)), name, "{given:?}");
        }
    }

    #[test]
    fn control_characters_are_removed() {
        for (given, name) in
            [("a\r\nSet-Cookie: b.zip", "aSet-Cookie: b.zip"), ("a\0b\u{7f}c\u{85}d\u{9f}\te.zip", "abcde.zip")]
        {
            assert_eq!(artifacts_filename(Some(given)), name, "{given:?}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_becomes_the_default() {
        assert_eq!(artifacts_filename(None), "artifacts.zip");
        for given in ["", ".", "..", " ", " .. ", "/", "out/", "out\\", "out/..", "\0", ".\0.", "\r\n"] {
            assert_eq!(artifacts_filename(Some(given)), "artifacts.zip", "{given:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_before_its_extension() {
        assert_eq!(artifacts_filename(Some(&format!("{}.zip", "a".repeat(300)))), format!("{}.zip", "a".repeat(251)));
        assert_eq!(artifacts_filename(Some(&format!("{}.zip", "€".repeat(300)))), format!("{}.zip", "€".repeat(83)));
        let archive = format!("{}.tar.gz", "a".repeat(300));
        assert_eq!(artifacts_filename(Some(&archive)), format!("{}.tar.gz", "a".repeat(248)));
        let sentence = format!("a. {}", "b".repeat(300));
        assert_eq!(artifacts_filename(Some(&sentence)), sentence[..255]);
        assert_eq!(artifacts_filename(Some(&format!(".{}", "a".repeat(300)))), format!(".{}", "a".repeat(254)));
        assert_eq!(artifacts_filename(Some(&"a".repeat(300))), "a".repeat(255));
        assert_eq!(artifacts_filename(Some(&"ü".repeat(300))), "ü".repeat(127));
        assert_eq!(artifacts_filename(Some(&format!("{}{}", "\0".repeat(300), "b.zip"))), "b.zip");
    }

    #[test]
    fn a_plain_name_is_announced_unquoted_and_others_in_two_forms() {
        for (name, value) in [
            ("ci_build_artifacts.zip", "attachment; filename=ci_build_artifacts.zip"),
            ("a+b~c%20.zip", "attachment; filename=a+b~c%20.zip"),
            ("", "attachment; filename=\"\"; filename*=UTF-8''"),
            ("a b.zip", "attachment; filename=\"a b.zip\"; filename*=UTF-8''a%20b.zip"),
            ("a;b=c,d", "attachment; filename=\"a;b=c,d\"; filename*=UTF-8''a%3Bb%3Dc%2Cd"),
            ("a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
            ("ü 50%'*.zip", "attachment; filename=\"_ 50%'*.zip\"; filename*=UTF-8''%C3%BC%2050%25%27%2A.zip"),
            ("日本", "attachment; filename=\"__\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
            ("a\r\nX: y", "attachment; filename=\"aX: y\"; filename*=UTF-8''aX%3A%20y"),
        ] {
            assert_eq!(content_disposition(name), value, "{name:?}");
        }
    }

    #[test]
    fn no_character_can_break_the_header_line() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            for value in [
                content_disposition(&format!("a{c}b")),
                content_disposition(&artifacts_filename(Some(&format!("a{c}b")))),
            ] {
                assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{c:?}: {value:?}");
            }
        }
    }
}
