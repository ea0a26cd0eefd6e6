//! What builds upload: the kinds of artifacts, and how each is packed.
//!
//! What must stay true: a kind that nobody here knows is taken and stored, since runners learn new ones first. Its name is
//! short and plain, so that it can stand in messages, on command lines and in the database.

use super::keywords::reports::Report;
use super::spec::{ArtifactFormat, ArtifactKind};

/// Longest name of a kind, in bytes; the longest of GitLab's has 22.
const KIND_BYTES_MAX: usize = 40;

/// What runners upload without being asked for it, as GitLab packs it.
const UNASKED: [(&str, ArtifactFormat); 3] = [
    ("metadata", ArtifactFormat::Gzip),
    ("metrics_referee", ArtifactFormat::Gzip),
    ("network_referee", ArtifactFormat::Gzip),
];

impl ArtifactKind {
    /// The kind of this name.
    ///
    /// # Errors
    /// Says what a name may be, and does not repeat it.
    pub fn parse(name: &str) -> Result<ArtifactKind, String> {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if (1..=KIND_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
            return Ok(ArtifactKind(name.to_owned()));
        }
        Err(format!("a kind of artifacts has 1 to {KIND_BYTES_MAX} letters, digits, _ and -, and nothing else"))
    }

    /// What builds get of those that they need.
    #[must_use]
    pub fn archive() -> ArtifactKind {
        ArtifactKind::default()
    }

    /// A report whose variables later builds get.
    #[must_use]
    pub fn is_dotenv(&self) -> bool {
        self.0 == "dotenv"
    }

    /// How this kind is packed; `None`: nobody here knows.
    #[must_use]
    pub fn format(&self) -> Option<ArtifactFormat> {
        if *self == ArtifactKind::archive() {
            return Some(ArtifactFormat::Zip);
        }
        let unasked = UNASKED.iter().find(|(kind, _)| *kind == self.0).map(|(_, format)| *format);
        unasked.or_else(|| Report::of(&self.0).map(|report| report.format))
    }

    /// How an upload of this kind is packed whose sender says so, or says nothing.
    ///
    /// # Errors
    /// Says how it must be packed.
    pub fn packed(&self, said: Option<ArtifactFormat>) -> Result<ArtifactFormat, String> {
        let known = self.format();
        let format = said.or(known).unwrap_or_default();
        // An operator of runners may choose the archive's.
        let is_chosen = matches!(format, ArtifactFormat::ZipZstd | ArtifactFormat::TarZstd);
        match known {
            Some(known) if known != format && !(known == ArtifactFormat::Zip && is_chosen) => {
                Err(format!("artifacts of the kind {} are {known}, not {format}", self.0))
            }
            _ => Ok(format),
        }
    }
}

impl ArtifactFormat {
    /// Every one.
    pub const ALL: [ArtifactFormat; 5] = [
        ArtifactFormat::Zip,
        ArtifactFormat::Gzip,
        ArtifactFormat::Raw,
        ArtifactFormat::ZipZstd,
        ArtifactFormat::TarZstd,
    ];

    /// The word for it on the wire, in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ArtifactFormat::Zip => "zip",
            ArtifactFormat::Gzip => "gzip",
            ArtifactFormat::Raw => "raw",
            ArtifactFormat::ZipZstd => "zipzstd",
            ArtifactFormat::TarZstd => "tarzstd",
        }
    }

    /// The one of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<ArtifactFormat> {
        ArtifactFormat::ALL.into_iter().find(|format| format.as_str() == word)
    }
}

impl std::fmt::Display for ArtifactFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kinds_name_is_short_and_plain_and_need_not_be_known() {
        for name in ["archive", "junit", "metrics_referee", "x-1", "A", &"k".repeat(40)] {
            assert_eq!(ArtifactKind::parse(name), Ok(ArtifactKind(name.to_owned())));
        }
        for name in ["", "a b", "a/b", "..", "a.b", "ä", "a\0", "a\n", &"k".repeat(41)] {
            assert!(ArtifactKind::parse(name).unwrap_err().contains("1 to 40 letters"), "{name:?}");
        }
    }

    #[test]
    fn known_kinds_are_packed_as_gitlab_does_and_others_as_they_come() {
        use ArtifactFormat::{Gzip, Raw, TarZstd, Zip, ZipZstd};
        for (kind, said, packed) in [
            ("archive", None, Ok(Zip)),
            ("archive", Some(Zip), Ok(Zip)),
            ("archive", Some(ZipZstd), Ok(ZipZstd)),
            ("archive", Some(TarZstd), Ok(TarZstd)),
            ("archive", Some(Gzip), Err("are zip, not gzip")),
            ("archive", Some(Raw), Err("are zip, not raw")),
            ("junit", None, Ok(Gzip)),
            ("junit", Some(Gzip), Ok(Gzip)),
            ("junit", Some(Raw), Err("are gzip, not raw")),
            ("junit", Some(ZipZstd), Err("are gzip")),
            ("dotenv", Some(Raw), Err("are gzip")),
            ("metrics_referee", Some(Gzip), Ok(Gzip)),
            ("network_referee", Some(Raw), Err("are gzip")),
            ("codequality", Some(Raw), Ok(Raw)),
            ("sast", Some(Gzip), Err("are raw")),
            ("lsif", Some(Zip), Ok(Zip)),
            ("of-tomorrow", None, Ok(Zip)),
            ("of-tomorrow", Some(Raw), Ok(Raw)),
        ] {
            let result = ArtifactKind::parse(kind).unwrap().packed(said);
            match packed {
                Ok(format) => assert_eq!(result, Ok(format), "{kind} {said:?}"),
                Err(part) => assert!(result.unwrap_err().contains(part), "{kind} {said:?}"),
            }
        }
    }

    #[test]
    fn each_format_has_one_word() {
        for format in ArtifactFormat::ALL {
            assert_eq!(ArtifactFormat::parse(format.as_str()), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
        assert_eq!(ArtifactFormat::parse("rar"), None);
    }
}
