//! Tags: words that builds ask for and runners offer.

use serde::{Deserialize, Serialize};

/// Most tags on one build or runner.
const TAGS_MAX: usize = 64;
/// Longest tag, in bytes.
const TAG_BYTES_MAX: usize = 255;

/// A set of tags, sorted and without repetitions, so that equal sets are equal texts in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Tags(Vec<String>);

impl Tags {
    /// The set of these words; surrounding blanks and empty words do not count.
    ///
    /// # Errors
    /// Says which limit is passed: 64 tags, 255 bytes each, no commas or control characters.
    pub fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Tags, String> {
        let mut tags = Vec::new();
        for word in words {
            let word = word.as_ref().trim();
            if word.is_empty() {
                continue;
            }
            if word.len() > TAG_BYTES_MAX {
                return Err(format!("a tag has {} bytes; at most {TAG_BYTES_MAX} are allowed", word.len()));
            }
            if word.contains(|c: char| c.is_control() || c == ',') {
                return Err("a tag has a comma or a control character".to_owned());
            }
            tags.push(word.to_owned());
        }
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > TAGS_MAX {
            return Err(format!("{} tags given; at most {TAGS_MAX} are allowed", tags.len()));
        }
        Ok(Tags(tags))
    }

    /// The set in `list`, words separated by commas, as runners send it.
    ///
    /// # Errors
    /// As [`Tags::new`].
    pub fn from_list(list: &str) -> Result<Tags, String> {
        Tags::new(list.split(','))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every tag is among `offered`.
    #[must_use]
    pub fn are_among(&self, offered: &Tags) -> bool {
        self.0.iter().all(|tag| offered.0.binary_search(tag).is_ok())
    }

    /// The tags that `offered` lacks.
    #[must_use]
    pub fn missing_from(&self, offered: &Tags) -> Vec<&str> {
        let lacks = |tag: &&String| offered.0.binary_search(tag).is_err();
        self.0.iter().filter(lacks).map(String::as_str).collect()
    }

    /// The tags in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The tags separated by `separator`.
    #[must_use]
    pub fn join(&self, separator: &str) -> String {
        self.0.join(separator)
    }
}

impl TryFrom<Vec<String>> for Tags {
    type Error = String;
    fn try_from(words: Vec<String>) -> Result<Tags, String> {
        Tags::new(words)
    }
}

impl From<Tags> for Vec<String> {
    fn from(tags: Tags) -> Vec<String> {
        tags.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_trimmed_and_without_repetitions() {
        let tags = Tags::from_list(" ruby, mysql ,,ruby").unwrap();
        assert_eq!(tags.as_slice(), ["mysql", "ruby"]);
        assert!(Tags::from_list("").unwrap().is_empty());
    }

    #[test]
    fn build_tags_must_all_be_offered() {
        let offered = Tags::from_list("mysql,ruby").unwrap();
        for (asked, fits) in [("", true), ("ruby", true), ("ruby,mysql", true), ("ruby,go", false), ("Ruby", false)] {
            assert_eq!(Tags::from_list(asked).unwrap().are_among(&offered), fits, "{asked}");
        }
        assert_eq!(Tags::from_list("go,ruby").unwrap().missing_from(&offered), ["go"]);
    }

    #[test]
    fn limits_are_said() {
        assert!(Tags::from_list(&"x".repeat(256)).unwrap_err().contains("255"));
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        assert!(Tags::new(many).unwrap_err().contains("64"));
        assert!(Tags::new(["a\nb"]).is_err());
    }
}
