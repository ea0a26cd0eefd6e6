//! A text that is sought in a stream, however the stream is cut.

use memchr::memmem::Finder;

/// A text, with what makes the search linear: `memmem` up to an occurrence, then the automaton of Knuth, Morris and Pratt
/// as long as a further occurrence may overlap. No byte is seen more than a constant number of times. Has no `Debug`, since
/// it may be a secret.
pub struct Sought {
    finder: Finder<'static>,
    /// By length of a beginning of the text: the longest shorter beginning that it also ends with.
    borders: Vec<usize>,
}

impl Sought {
    /// `bytes` must not be empty.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Sought {
        let mut sought = Sought { finder: Finder::new(bytes).into_owned(), borders: vec![0, 0] };
        let mut matched = 0;
        for &byte in bytes.iter().skip(1) {
            matched = sought.step(matched, byte);
            sought.borders.push(matched);
        }
        sought
    }

    /// Bytes of the text.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.finder.needle().len()
    }

    /// Finds the text in complete pieces.
    #[must_use]
    pub fn finder(&self) -> &Finder<'static> {
        &self.finder
    }

    /// Where the next occurrence has begun already, once `matched` bytes of the text have matched.
    #[must_use]
    pub fn border(&self, matched: usize) -> usize {
        self.borders.get(matched).copied().unwrap_or(0)
    }

    /// How many bytes of the text match after `byte`, when `matched` bytes of it matched before.
    #[must_use]
    pub fn step(&self, mut matched: usize, byte: u8) -> usize {
        loop {
            if self.finder.needle().get(matched) == Some(&byte) {
                return matched + 1;
            }
            if matched == 0 {
                return 0;
            }
            matched = self.border(matched);
        }
    }

    /// Length of the longest end of `bytes` that is a beginning of the text, but not all of it.
    #[must_use]
    pub fn unfinished(&self, bytes: &[u8]) -> usize {
        let start = bytes.len().saturating_sub(self.len() - 1);
        bytes.get(start..).unwrap_or_default().iter().fold(0, |matched, &byte| self.step(matched, byte))
    }
}
