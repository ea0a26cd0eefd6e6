//! Secrets in traces: every byte of every occurrence becomes `x`.
//!
//! What must stay true:
//!
//! * **Length never changes.** A runner compares the stored length with its own log and may crash on a longer one.
//! * **Borders hide nothing.** A trace comes in patches cut anywhere. Whatever the cuts, the stored bytes equal
//!   [`Masker::mask_whole`] of the whole trace. GitLab (8.12 to 9.5) masks patch by patch and misses such secrets.
//! * **A masked byte stays masked.** Bytes at the end of the trace may begin another occurrence, so their original
//!   values are needed for the search; the [`Carry`] remembers beside them which are masked already.
//! * **Time is linear** in the data, for each secret, also for data made to be slow (`aaaa...`).
//!
//! Until the rest of a secret arrives, its beginning is readable in the trace: a beginning of a secret is no secret
//! yet, and a runner's offsets allow no holding back.
//!
//! Absent on purpose: which values are secret, and how short one may be, is the caller's rule.

use super::sought::Sought;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// What stands in the place of each secret byte, as in GitLab.
const MASK: u8 = b'x';

/// The secrets of one build, prepared for searching. Its `Debug` shows their number only.
pub struct Masker {
    secrets: Vec<Sought>,
}

/// The end of a trace that may be the beginning of a secret, to be kept between two patches: the original bytes, and
/// how they are stored. Empty at the start of a trace, and whenever the trace's end begins no secret.
///
/// It holds a part of a secret in clear: its `Debug` shows the length only, and it belongs into no log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Carry {
    /// The longest end of the trace that is a beginning of a secret, but not a whole one.
    raw: Vec<u8>,
    /// The same bytes as they are stored: each one either as in `raw` or [`MASK`].
    stored: Vec<u8>,
}

/// What [`Masker::mask_append`] asks of the caller.
#[derive(PartialEq, Eq)]
pub struct Appended {
    /// `Some(tail)`: the last `tail.len()` bytes stored so far must be overwritten with `tail`, in the transaction that
    /// appends the data. `None`: they stay as they are. Never longer than the longest secret.
    pub tail: Option<Vec<u8>>,
    /// What to keep for the next patch, in place of the carry that was passed in.
    pub carry: Carry,
}

impl Masker {
    /// Prepares a search. Empty and repeated secrets are dropped. Memory: about nine bytes per byte of the secrets.
    pub fn new(secrets: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Masker {
        let mut secrets: Vec<Vec<u8>> = secrets.into_iter().map(Into::into).collect();
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_unstable();
        secrets.dedup();
        Masker { secrets: secrets.iter().map(|secret| Sought::new(secret)).collect() }
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Masks a complete trace in place: every byte that is part of an occurrence of a secret, overlapping ones
    /// included.
    pub fn mask_whole(&self, data: &mut [u8]) {
        let covered = self.covered(data);
        mask(data, &covered);
    }

    /// Masks `data`, which continues a trace, in place. `carry` is what the previous call for this trace returned, or
    /// an empty one at its start.
    ///
    /// Secrets may differ from call to call; an occurrence over a border is then sure to be found only of a secret
    /// that was known at both calls.
    pub fn mask_append(&self, carry: &Carry, data: &mut [u8]) -> Appended {
        let border = carry.raw.len();
        let raw: Cow<'_, [u8]> =
            if border == 0 { Cow::Borrowed(&*data) } else { Cow::Owned([&carry.raw, &*data].concat()) };
        let covered = self.covered(&raw);
        let next_raw = self.unfinished(&raw).to_vec();
        drop(raw);

        let mut tail = carry.stored.clone();
        for range in covered {
            let in_data = range.start.saturating_sub(border)..range.end.saturating_sub(border);
            mask(&mut tail, &[range]);
            mask(data, &[in_data]);
        }
        let stored = last(&tail, data, next_raw.len());
        Appended { tail: (tail != carry.stored).then_some(tail), carry: Carry { raw: next_raw, stored } }
    }

    /// The parts of `raw` that are occurrences, in no order, maybe overlapping.
    fn covered(&self, raw: &[u8]) -> Vec<Range<usize>> {
        let mut covered = Vec::new();
        for secret in &self.secrets {
            cover(secret, raw, &mut covered);
        }
        covered
    }

    /// The longest end of `raw` that is a beginning of a secret, but not a whole one.
    fn unfinished<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        let lengths = self.secrets.iter().map(|secret| secret.unfinished(raw));
        suffix(raw, lengths.max().unwrap_or(0))
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masker({} secrets)", self.secrets.len())
    }
}

impl Carry {
    /// Bytes of the trace's end that may begin a secret.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether the end of the trace begins no secret.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The form for a BLOB column: the original bytes, then as many bytes as they are stored. Empty for an empty carry.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.raw.as_slice(), &self.stored].concat()
    }

    /// Reads what [`Carry::to_bytes`] wrote. `None` for bytes that it cannot have written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Carry> {
        let (raw, stored) = bytes.split_at_checked(bytes.len() / 2)?;
        let is_masking = |(raw, stored): (&u8, &u8)| raw == stored || *stored == MASK;
        let fits = raw.len() == stored.len() && raw.iter().zip(stored).all(is_masking);
        fits.then(|| Carry { raw: raw.to_vec(), stored: stored.to_vec() })
    }
}

impl fmt::Debug for Carry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Carry({} bytes)", self.raw.len())
    }
}

/// Adds all occurrences of a secret in `raw`; those that overlap or touch each other as one range.
fn cover(secret: &Sought, raw: &[u8], covered: &mut Vec<Range<usize>>) {
    let mut position = 0;
    while let Some(found) = raw.get(position..).and_then(|rest| secret.finder().find(rest)) {
        let mut range = position + found..position + found + secret.len();
        position = range.end;
        let mut matched = secret.border(secret.len());
        for &byte in raw.get(position..).unwrap_or_default() {
            if matched == 0 {
                break;
            }
            matched = secret.step(matched, byte);
            position += 1;
            if matched == secret.len() {
                matched = secret.border(matched);
                let start = position - secret.len();
                if start > range.end {
                    covered.push(range);
                    range = start..position;
                } else {
                    range.end = position;
                }
            }
        }
        covered.push(range);
    }
}

/// The last `count` bytes; all of them when there are fewer.
fn suffix(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default()
}

/// The last `count` bytes of `front` and `back` put together.
fn last(front: &[u8], back: &[u8], count: usize) -> Vec<u8> {
    let from_back = suffix(back, count);
    let from_front = suffix(front, count - from_back.len());
    [from_front, from_back].concat()
}

/// Masks the parts of the ranges that lie in `data`.
fn mask(data: &mut [u8], ranges: &[Range<usize>]) {
    for range in ranges {
        let end = range.end.min(data.len());
        if let Some(part) = data.get_mut(range.start.min(end)..end) {
            part.fill(MASK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    fn masked(secrets: &[&str], text: &str) -> String {
        let mut data = text.as_bytes().to_vec();
        Masker::new(secrets.iter().copied()).mask_whole(&mut data);
        String::from_utf8(data).unwrap()
    }

    /// A trace as the store keeps it, patched as a caller should.
    #[derive(Default)]
    struct Stored {
        trace: Vec<u8>,
        carry: Vec<u8>,
    }

    impl Stored {
        fn append(&mut self, masker: &Masker, data: &[u8]) {
            let mut data = data.to_vec();
            let appended = masker.mask_append(&Carry::from_bytes(&self.carry).unwrap(), &mut data);
            if let Some(tail) = appended.tail {
                let start = self.trace.len() - tail.len();
                self.trace[start..].copy_from_slice(&tail);
            }
            self.trace.extend(data);
            self.carry = appended.carry.to_bytes();
        }
    }

    fn appended(secrets: &[&str], patches: &[&str]) -> String {
        let masker = Masker::new(secrets.iter().copied());
        let mut stored = Stored::default();
        for patch in patches {
            stored.append(&masker, patch.as_bytes());
        }
        String::from_utf8(stored.trace).unwrap()
    }

    #[test]
    fn every_byte_of_every_occurrence_becomes_x() {
        for (secrets, text, expected) in [
            (&["secret"][..], "a secret, secretsecret", "a xxxxxx, xxxxxxxxxxxx"),
            (&["secret"], "secre ecret Secret", "secre ecret Secret"),
            (&["abab"], "xababab-abab", "xxxxxxx-xxxx"),
            (&["abcab"], "abcabaabcab", "xxxxxaxxxxx"),
            (&["aaa"], "aaaaaba", "xxxxxba"),
            (&["abc", "cde"], "abcde", "xxxxx"),
            (&["abc", "b"], "abc b", "xxx x"),
            (&["ab", "abcd"], "abcd abc", "xxxx xxc"),
            (&["größe"], "die größe", "die xxxxxxx"),
            (&["a"], "banana", "bxnxnx"),
            (&[], "banana", "banana"),
            (&["", "b"], "ab", "ax"),
            (&["b", "b"], "ab", "ax"),
            (&["secret"], "", ""),
        ] {
            assert_eq!(masked(secrets, text), expected, "{secrets:?} in {text:?}");
            assert_eq!(masked(secrets, text).len(), text.len());
        }
    }

    #[test]
    fn overlapping_matches_leave_the_gap_between_them_readable() {
        assert_eq!(masked(&["abcab"], "abcab+abcab"), "xxxxx+xxxxx");
        assert_eq!(masked(&["abcab"], "abcabaabcab"), "xxxxxaxxxxx");
        assert_eq!(masked(&["abcab"], "abcababcabcab"), "xxxxxxxxxxxxx");
    }

    #[test]
    fn a_secret_over_a_border_is_masked_when_its_end_arrives() {
        assert_eq!(appended(&["secret"], &["the sec"]), "the sec");
        assert_eq!(appended(&["secret"], &["the sec", "ret."]), "the xxxxxx.");
        assert_eq!(appended(&["secret"], &["the s", "e", "c", "", "r", "e", "t", "."]), "the xxxxxx.");
        assert_eq!(appended(&["secret"], &["the sec", "ond"]), "the second");
        assert_eq!(appended(&["secret"], &["the sec", "secret"]), "the secxxxxxx");
    }

    #[test]
    fn a_masked_byte_at_the_border_never_becomes_readable() {
        assert_eq!(appended(&["abab"], &["abab", "c"]), "xxxxc");
        assert_eq!(appended(&["abab"], &["abab", "ab", "c"]), "xxxxxxc");
        assert_eq!(appended(&["aaaa"], &["aaaa", "b"]), "xxxxb");
        assert_eq!(appended(&["abc", "cdef"], &["abc", "de", "f"]), "xxxxxx");
        assert_eq!(appended(&["abc", "cdef"], &["abc", "de", "g"]), "xxxdeg");
    }

    #[test]
    fn the_tail_is_rewritten_only_when_it_changes() {
        let masker = Masker::new(["secret"]);
        let mut data = *b"the sec";
        let first = masker.mask_append(&Carry::default(), &mut data);
        assert!(first.tail.is_none() && first.carry.raw == b"sec" && first.carry.stored == b"sec");
        let second = masker.mask_append(&first.carry, &mut []);
        assert!(second.tail.is_none() && second.carry == first.carry);
        let mut data = *b"ret";
        let third = masker.mask_append(&second.carry, &mut data);
        assert!(third.tail == Some(b"xxx".to_vec()) && third.carry.is_empty() && &data == b"xxx");
    }

    #[test]
    fn without_secrets_nothing_changes_and_nothing_is_carried() {
        let masker = Masker::new([""; 2]);
        assert!(masker.is_empty());
        let mut data = *b"any text";
        let carry = Carry { raw: b"se".to_vec(), stored: b"xx".to_vec() };
        let appended = masker.mask_append(&carry, &mut data);
        assert!(&data == b"any text" && appended.tail.is_none() && appended.carry.is_empty());
    }

    #[test]
    fn a_carry_survives_storing_and_a_damaged_one_is_refused() {
        for (raw, stored) in [("", ""), ("a", "a"), ("a", "x"), ("abx", "xbx")] {
            let carry = Carry { raw: raw.into(), stored: stored.into() };
            assert_eq!(Carry::from_bytes(&carry.to_bytes()), Some(carry));
        }
        assert!(Carry::default().to_bytes().is_empty());
        for damaged in ["a", "aba", "ab", "abba"] {
            assert_eq!(Carry::from_bytes(damaged.as_bytes()), None, "{damaged:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let masker = Masker::new(["hunter2222"]);
        let carry = masker.mask_append(&Carry::default(), &mut b"hunter".to_owned()).carry;
        assert_eq!(format!("{masker:?} {carry:?}"), "Masker(1 secrets) Carry(6 bytes)");
    }

    #[test]
    fn hostile_repetition_stays_linear() {
        let secrets =
            ["a".repeat(65_536), "aaaaaaaa".to_owned(), "a".repeat(30_000) + "b", "b".to_owned() + &"a".repeat(30_000)];
        let masker = Masker::new(secrets);
        let mut data = vec![b'a'; 4 << 20];
        let carry = masker.mask_append(&Carry::default(), &mut data).carry;
        assert!(data.iter().all(|&byte| byte == MASK) && carry.raw.len() == 65_535);
        let mut near_misses = ("a".repeat(7) + "b").repeat(1 << 18).into_bytes();
        Masker::new(["aaaaaaaa", "aaaaaaabaaaaaaac"]).mask_whole(&mut near_misses);
        assert!(near_misses.iter().all(|&byte| byte != MASK));
    }

    struct Xorshift(u64);

    impl Xorshift {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % bound
        }

        fn text(&mut self, letters: &[u8], length: usize) -> Vec<u8> {
            (0..length).map(|_| letters[self.below(letters.len())]).collect()
        }
    }

    /// The rule in its plainest words.
    fn model(secrets: &[Vec<u8>], raw: &[u8]) -> Vec<u8> {
        let mut result = raw.to_vec();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            for (start, window) in raw.windows(secret.len()).enumerate() {
                if window == secret {
                    result[start..start + secret.len()].fill(b'x');
                }
            }
        }
        result
    }

    fn longest_unfinished(secrets: &[Vec<u8>], raw: &[u8]) -> usize {
        let begins = |end: &[u8]| secrets.iter().any(|s| s.len() > end.len() && s.starts_with(end));
        (0..=raw.len()).rev().find(|&length| begins(&raw[raw.len() - length..])).unwrap_or(0)
    }

    #[test]
    fn any_cutting_into_patches_equals_masking_the_whole() {
        let given = std::env::var("BATON_SEED").ok().and_then(|text| text.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| std::hash::RandomState::new().hash_one(0)).max(1);
        let mut random = Xorshift(seed);
        for round in 0..20_000 {
            let letters = [&b"a"[..], b"ab", b"abx", b"abcx"][random.below(4)];
            let secrets: Vec<Vec<u8>> = (0..random.below(4))
                .map(|_| {
                    let length = random.below(8);
                    random.text(letters, length)
                })
                .collect();
            let length = random.below(60);
            let raw = random.text(letters, length);
            let masker = Masker::new(secrets.clone());

            let mut whole = raw.clone();
            masker.mask_whole(&mut whole);
            let case = format!("round {round}, secrets {secrets:?}, data {raw:?}, BATON_SEED={seed}");
            assert_eq!(whole, model(&secrets, &raw), "{case}");

            let mut stored = Stored::default();
            let mut position = 0;
            while position < raw.len() {
                let end = raw.len().min(position + random.below(9));
                stored.append(&masker, &raw[position..end]);
                position = end;
                assert_eq!(stored.trace, model(&secrets, &raw[..position]), "after {position}: {case}");
                let carried = Carry::from_bytes(&stored.carry).unwrap();
                assert_eq!(carried.raw.len(), longest_unfinished(&secrets, &raw[..position]), "{case}");
                assert!(raw[..position].ends_with(&carried.raw), "{case}");
                assert!(stored.trace.ends_with(&carried.stored), "{case}");
            }
        }
    }
}
