//! URLs of the page, which people are shown.

use crate::domain::base_url::BaseUrl;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use std::fmt::Write as _;

/// By which URL a client has come.
#[derive(Clone, Debug)]
pub struct Urls {
    /// Without a slash at its end.
    base: String,
}

impl Urls {
    /// Those below this URL; a client of old that names no host is told of a host that it knows.
    pub fn below(base: Option<&BaseUrl>) -> Urls {
        Urls { base: base.map_or_else(|| "http://localhost".to_owned(), ToString::to_string) }
    }

    /// The page.
    pub fn page(&self) -> &str {
        &self.base
    }

    /// A path of ours.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A project's page.
    pub fn project(&self, name: &str) -> String {
        format!("{}/{}", self.base, encoded_path(name))
    }

    /// A job's page.
    pub fn job(&self, project: &str, id: BuildId) -> String {
        format!("{}/-/jobs/{id}", self.project(project))
    }

    /// A pipeline's page.
    pub fn pipeline(&self, project: &str, id: PipelineId) -> String {
        format!("{}/-/pipelines/{id}", self.project(project))
    }

    /// A commit, as far as the page has something of it.
    pub fn commit(&self, project: &str, sha: &str) -> String {
        format!("{}/-/pipelines?sha={}", self.project(project), encoded_path(sha))
    }
}

/// The text with all but unreserved characters and slashes as percent signs and digits.
pub fn encoded_path(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What a segment of a path means: bytes for percent signs and digits. `None`: it is no UTF-8 then, or has a NUL.
pub fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escape = behind.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escape
            .filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_means_what_its_percent_signs_stand_for() {
        for (segment, text) in [
            ("demo", Some("demo")),
            ("group%2Fdemo", Some("group/demo")),
            ("group%2fa%2Eb", Some("group/a.b")),
            ("100%", Some("100%")),
            ("%zz%4", Some("%zz%4")),
            ("%+1", Some("%+1")),
            ("%C3%BC", Some("ü")),
            ("%ff", None),
            ("a%00b", None),
        ] {
            assert_eq!(decoded(segment).as_deref(), text, "{segment}");
        }
        assert_eq!(decoded(&encoded_path("a b/ü?#%")).as_deref(), Some("a b/ü?#%"));
    }
}
