//! What is wrong with a configuration, for the people who wrote it.
//!
//! The words are GitLab's, so that a search finds them; the place and the hint are Baton's. No value of a secret
//! variable reaches a message, nor the lines of the file around it: `Teller` puts `[MASKED]` in its place.

use super::excerpt::{Line, MASKED, around};
use super::yaml::Place;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Errors that are told at once.
pub const ERRORS_MAX: usize = 20;
/// Warnings that are told.
const WARNINGS_MAX: usize = 100;
/// Characters of a message.
const WORDS_CHARS_MAX: usize = 2_000;

/// An error or a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The file that it is about, as its include names it; empty: it is about the whole.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// GitLab's words.
    pub words: String,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The lines of the file around its place; of a warning: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<Line>,
}

impl Message {
    /// One that is about the whole, and no line of it.
    #[must_use]
    pub fn of_whole(words: String) -> Message {
        Message { words: cut(words), ..Message::default() }
    }

    /// Whether this one of the lines around it is the one that is meant.
    #[must_use]
    pub fn is_about(&self, line: &Line) -> bool {
        line.number == self.line
    }
}

/// As in `.gitlab-ci.yml:12: jobs:unit config contains unknown keys: scirpt (did you mean script?)`.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:{}: ", self.file, self.line)?;
        }
        f.write_str(&self.words)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// A message before its file has a name.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) place: Place,
    pub(crate) words: String,
    pub(crate) hint: Option<String>,
}

impl Finding {
    pub(crate) fn new(place: Place, words: impl Into<String>) -> Finding {
        Finding { place, words: words.into(), hint: None }
    }

    /// With a suggestion, if there is one.
    pub(crate) fn hint(mut self, hint: Option<String>) -> Finding {
        self.hint = hint;
        self
    }
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    warned: HashSet<String>,
    seen: HashSet<(Place, String)>,
}

impl Report {
    /// The same words about the same place are told once, however many jobs inherit it.
    pub(crate) fn error(&mut self, finding: Finding) {
        if self.errors.len() < ERRORS_MAX && self.seen.insert((finding.place, finding.words.clone())) {
            self.errors.push(finding);
        }
    }

    pub(crate) fn warn(&mut self, finding: Finding) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(finding);
        }
    }

    /// Warns of something once, whoever does it how often.
    pub(crate) fn warn_once(&mut self, about: &str, finding: Finding) {
        if self.warned.insert(about.to_owned()) {
            self.warn(finding);
        }
    }

    /// Whether further errors would not be told.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    pub(crate) fn is_good(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Gives findings the names of their files, and hides secrets.
pub(crate) struct Teller<'a> {
    pub(crate) files: &'a [String],
    pub(crate) secrets: Vec<&'a str>,
}

impl Teller<'_> {
    pub(crate) fn tell(&self, finding: Finding) -> Message {
        let place = finding.place;
        let index = usize::try_from(place.file).unwrap_or(usize::MAX);
        let file = self.files.get(index).cloned().unwrap_or_default();
        let hint = finding.hint.map(|hint| self.masked(hint));
        let words = self.masked(finding.words);
        if file.is_empty() {
            return Message { hint, ..Message::of_whole(words) };
        }
        let (line, column, file) = (place.line.max(1), place.column.max(1), self.masked(file));
        Message { file, line, column, words, hint, around: Vec::new() }
    }

    /// The same with the lines of its file around it; `forms` are those of the secrets.
    pub(crate) fn tell_all(&self, finding: Finding, texts: &[Cow<'_, [u8]>], forms: &[String]) -> Message {
        let text = usize::try_from(finding.place.file).ok().and_then(|index| texts.get(index));
        let message = self.tell(finding);
        let text = text.filter(|_| !message.file.is_empty());
        let around = text.map(|text| around(text, message.line, forms)).unwrap_or_default();
        Message { around, ..message }
    }

    fn masked(&self, mut text: String) -> String {
        for secret in &self.secrets {
            if !secret.is_empty() && text.contains(secret) {
                text = text.replace(secret, MASKED);
            }
        }
        cut(text)
    }
}

/// The begin of a text that is too long.
fn cut(text: String) -> String {
    match text.char_indices().nth(WORDS_CHARS_MAX) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// `did you mean x?`, of the nearest known word.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().filter(|known| *known != word).collect();
    let nearest = crate::domain::text::did_you_mean::nearest(word, known.iter().copied());
    let nearest = nearest.or_else(|| {
        let is_part = |known: &&str| known.split('_').any(|part| part.len() > 3 && word.starts_with(part));
        let chars = word.chars().count();
        known.iter().copied().filter(is_part).find(|known| known.chars().count().abs_diff(chars) <= chars)
    });
    nearest.map(|word| format!("did you mean {word}?"))
}
