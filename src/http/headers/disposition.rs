//! The `Content-Disposition` header of a download (RFC 6266): the name under which a client saves it.

use std::fmt::Write as _;

/// The value of `Content-Disposition` for a download named `name`.
///
/// Unquoted, as GitLab sends it, when the name is an RFC 9110 token; otherwise quoted with everything outside ASCII,
/// and quotes and backslashes, which not every client unescapes, replaced by `_`, followed by the full name as RFC 8187 has it. Control characters are left out, so that the value
/// never breaks a header line.
///
/// Source: `GET builds/:id/artifacts`, `attachment; filename=ci_build_artifacts.zip`.
#[must_use]
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
    use crate::domain::filename::artifacts_filename;

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
