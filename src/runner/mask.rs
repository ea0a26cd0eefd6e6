//! Masks secrets in a stream: each becomes `[MASKED]`, wherever the stream was cut.
//!
//! What must stay true: nothing that may be the beginning of a secret goes on before it is known what follows; what is
//! held back is bounded by twice the longest secret. Secrets that overlap become one mask. Beside the values of masked
//! variables, these are secret: what follows a known beginning of a token, and the values of some parameters of URLs.
//!
//! [`crate::domain::masking`] is the other one: it keeps the length, since what it masks is stored already.

use crate::domain::sought::Sought;
use std::collections::BTreeSet;
use std::fmt;

/// What stands in the place of a secret.
const MASK: &[u8] = b"[MASKED]";

/// What GitLab's tokens begin with.
const PREFIXES: [&str; 14] = [
    "glpat-",
    "gloas-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glrtr-",
    "glptt-",
    "glft-",
    "glimt-",
    "glagent-",
    "glsoat-",
    "glffct-",
    "_gitlab_session=",
    "gltok-",
];

/// Parameters of URLs whose values are secret; upper and lower case are the same.
const PARAMETERS: [&str; 6] =
    ["private_token", "authenticity_token", "rss_token", "x-amz-signature", "x-amz-credential", "x-amz-security-token"];

/// What is secret. Its `Debug` shows numbers only.
pub struct Secrets {
    words: Vec<Word>,
}

/// A text that is looked for.
struct Word {
    sought: Sought,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is the secret.
    Whole,
    /// A token begins with it.
    Token,
    /// It is the name of a parameter, with `=`; in lower case.
    Parameter,
}

/// One stream that is masked.
#[derive(Default)]
pub struct Masking {
    /// The end of the stream, if it may begin a secret.
    held: Vec<u8>,
    /// Inside the value of one: its kind, and whether there was any of it.
    value: Option<(Kind, bool)>,
}

/// A place where a word was found.
struct Found {
    start: usize,
    end: usize,
    kind: Kind,
}

impl Secrets {
    /// Secrets are `values`, and what follows `prefixes` and those that are known.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>, prefixes: &[String]) -> Secrets {
        let mut wholes: BTreeSet<&str> = values.into_iter().collect();
        wholes.remove("");
        let mut words: Vec<Word> = wholes.into_iter().map(|value| Word::new(value, Kind::Whole)).collect();
        let known = PREFIXES.into_iter().chain(prefixes.iter().map(String::as_str));
        words.extend(known.filter(|prefix| !prefix.is_empty()).map(|prefix| Word::new(prefix, Kind::Token)));
        for parameter in PARAMETERS {
            words.extend(['?', '&'].map(|begin| Word::new(&format!("{begin}{parameter}="), Kind::Parameter)));
        }
        Secrets { words }
    }

    fn found(&self, bytes: &[u8], lower: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for word in &self.words {
            let bytes = if word.kind == Kind::Parameter { lower } else { bytes };
            let length = word.sought.len();
            found.extend(word.sought.finder().find_iter(bytes).map(|start| Found {
                start,
                end: start + length,
                kind: word.kind,
            }));
        }
        // Of two that begin together, the longer one first.
        found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
        found
    }

    /// Length of the longest end that begins a word, but is none.
    fn unfinished(&self, bytes: &[u8], lower: &[u8]) -> usize {
        let lengths = self.words.iter().map(|word| {
            let bytes = if word.kind == Kind::Parameter { lower } else { bytes };
            word.sought.unfinished(bytes)
        });
        lengths.max().unwrap_or(0)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.words.len())
    }
}

impl Word {
    /// `text` must not be empty.
    fn new(text: &str, kind: Kind) -> Word {
        Word { sought: Sought::new(text.as_bytes()), kind }
    }
}

impl Masking {
    /// Takes what follows in the stream, and gives what can go on.
    #[must_use]
    pub fn feed(&mut self, secrets: &Secrets, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let lower = all.to_ascii_lowercase();
        let cut = all.len() - secrets.unfinished(&all, &lower);
        let mut out = Vec::with_capacity(all.len());
        let mut place = self.go_on_in_value(&all, 0, &mut out);
        for found in secrets.found(&all, &lower) {
            if found.end > cut {
                break;
            }
            if found.end <= place {
                continue;
            }
            if found.start >= place {
                out.extend_from_slice(all.get(place..found.start).unwrap_or_default());
                if found.kind == Kind::Whole {
                    out.extend_from_slice(MASK);
                }
            }
            if found.kind != Kind::Whole {
                // Its beginning may be masked already.
                out.extend_from_slice(all.get(found.start.max(place)..found.end).unwrap_or_default());
                self.value = Some((found.kind, false));
            }
            place = found.end;
            place = self.go_on_in_value(&all, place, &mut out);
        }
        let hold = self.first_beyond(secrets, &all, &lower, cut).max(place);
        out.extend_from_slice(all.get(place..hold).unwrap_or_default());
        self.held = all.split_off(hold.min(all.len()));
        out
    }

    /// Gives what was held back, at the end of the stream.
    #[must_use]
    pub fn finish(&mut self, secrets: &Secrets) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::new();
        let mut place = 0;
        for found in secrets.found(&held, &held).iter().filter(|found| found.kind == Kind::Whole) {
            if found.start >= place {
                out.extend_from_slice(held.get(place..found.start).unwrap_or_default());
                out.extend_from_slice(MASK);
            }
            place = place.max(found.end);
        }
        out.extend_from_slice(held.get(place..).unwrap_or_default());
        if let Some((_, true)) = self.value.take() {
            out.extend_from_slice(MASK);
        }
        out
    }

    /// Where it is first that more must come before it is known what it is.
    fn first_beyond(&self, secrets: &Secrets, all: &[u8], lower: &[u8], cut: usize) -> usize {
        let beyond = secrets.found(all, lower).into_iter().find(|found| found.end > cut && found.start < cut);
        beyond.map_or(cut, |found| found.start)
    }

    /// Leaves out a value's bytes from `place` on; returns where it ends.
    fn go_on_in_value(&mut self, all: &[u8], place: usize, out: &mut Vec<u8>) -> usize {
        let Some((kind, had_any)) = self.value else { return place };
        let rest = all.get(place..).unwrap_or_default();
        match rest.iter().position(|&byte| !kind.goes_on_with(byte)) {
            Some(length) => {
                if had_any || length > 0 {
                    out.extend_from_slice(MASK);
                }
                self.value = None;
                place + length
            }
            None => {
                self.value = Some((kind, had_any || !rest.is_empty()));
                all.len()
            }
        }
    }
}

impl Kind {
    /// Whether the byte is a part of such a value.
    fn goes_on_with(self, byte: u8) -> bool {
        match self {
            Kind::Whole => false,
            Kind::Token => byte.is_ascii_alphanumeric() || b"-._=".contains(&byte),
            Kind::Parameter => !byte.is_ascii_whitespace() && !byte.is_ascii_control() && !b"?&".contains(&byte),
        }
    }
}

/// Makes UTF-8 of a stream: what is none becomes U+FFFD.
#[derive(Default)]
pub struct Decoding {
    /// The beginning of a character at the end of the stream.
    held: Vec<u8>,
}

impl Decoding {
    /// Takes what follows in the stream, and gives what can go on.
    #[must_use]
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut out = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            let is_last = chunks.peek().is_none();
            if is_last && is_beginning(chunk.invalid()) {
                self.held = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        out
    }

    /// Gives what was held back.
    #[must_use]
    pub fn finish(&mut self) -> &'static str {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], pieces: &[&str]) -> String {
        let secrets = Secrets::new(secrets.iter().copied(), &["mine_".to_owned()]);
        let mut masking = Masking::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(masking.feed(&secrets, piece.as_bytes()));
        }
        out.extend(masking.finish(&secrets));
        String::from_utf8(out).unwrap()
    }

    const CASES: [(&[&str], &str, &str); 16] = [
        (&["secret"], "a secret, secretsecret.", "a [MASKED], [MASKED][MASKED]."),
        (&["secret"], "secre ecret Secret", "secre ecret Secret"),
        (&["abcd", "cdef"], "xabcdefx", "x[MASKED]x"),
        (&["ab", "abcd"], "abcd abc", "[MASKED] [MASKED]c"),
        (&["größe"], "die größe", "die [MASKED]"),
        (&["", "b"], "ab", "a[MASKED]"),
        (&[], "glpat-abc_1.x= glpat- xglrt-A", "glpat-[MASKED] glpat- xglrt-[MASKED]"),
        (&[], "mine_a/b", "mine_[MASKED]/b"),
        (&[], "u?private_token=abc&x=1", "u?private_token=[MASKED]&x=1"),
        (&[], "u?a=1&X-Amz-Signature=0a/b%20\nx", "u?a=1&X-Amz-Signature=[MASKED]\nx"),
        (&[], "u?xprivate_token=abc", "u?xprivate_token=abc"),
        (&["word"], "u?rss_token=aword_b w", "u?rss_token=[MASKED] w"),
        (&["glpat-x"], "glpat-xyz glpat-q", "[MASKED]yz glpat-[MASKED]"),
        (&["lines\nof"], "two lines\nof it", "two [MASKED] it"),
        (&["secret"], "", ""),
        (&["secret"], "the end is secret", "the end is [MASKED]"),
    ];

    #[test]
    fn every_secret_becomes_a_mask() {
        for (secrets, text, expected) in CASES {
            assert_eq!(masked(secrets, &[text]), expected, "{secrets:?} in {text:?}");
        }
    }

    #[test]
    fn no_cut_shows_a_secret() {
        for (secrets, text, _) in CASES {
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            let by_char = masked(secrets, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                let (a, b) = text.split_at(cut);
                for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                    assert!(!masked(secrets, &[a, b]).contains(secret), "{a:?} {b:?}");
                    assert!(!by_char.contains(secret), "{text:?}: {by_char:?}");
                }
            }
        }
    }

    #[test]
    fn cuts_change_nothing_where_secrets_do_not_overlap() {
        for (secrets, text, expected) in CASES.into_iter().filter(|(secrets, _, _)| secrets.len() < 2) {
            if secrets == ["glpat-x"] {
                continue;
            }
            for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
                let (a, b) = text.split_at(cut);
                assert_eq!(masked(secrets, &[a, b]), expected, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let secrets = Secrets::new(["aaaaaaaaaaaaaaab"], &[]);
        let mut masking = Masking::default();
        for _ in 0..100 {
            let _ = masking.feed(&secrets, &[b'a'; 1000]);
            assert!(masking.held.len() <= 32);
        }
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_wherever_it_is_cut() {
        for (bytes, expected) in [
            (&b"a\xffb"[..], "a\u{fffd}b"),
            ("größe €".as_bytes(), "größe €"),
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xe2\x28", "\u{fffd}("),
        ] {
            for cut in 0..=bytes.len() {
                let mut decoding = Decoding::default();
                let (a, b) = bytes.split_at(cut);
                let text = decoding.feed(a) + &decoding.feed(b) + decoding.finish();
                assert_eq!(text, expected, "{bytes:?} at {cut}");
            }
        }
    }
}
