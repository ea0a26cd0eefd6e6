//! A log that was said again in UTF-8. Patches bring a log's bytes as they are. A report brings them in JSON, where each
//! byte that is no UTF-8 has become a replacement character, U+FFFD: for some senders one for each byte, for others one
//! for each begun letter.
//!
//! What must stay true: whatever is said here of two texts, the caller compares the result byte by byte; nothing is
//! taken for a repetition that differs in anything else.

use memchr::memmem;

/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

/// The begin of a report, as what is stored may have it.
#[derive(Debug, PartialEq, Eq)]
pub struct Aligned {
    /// As many bytes as are stored: the report's, but for those that it could not say.
    pub bytes: Vec<u8>,
    /// Bytes of the report that these are.
    pub taken: usize,
}

/// Puts the bytes that are `known` in the place of the replacement characters of `data` that may stand for them. `None`:
/// there is less than what is known.
pub fn align(data: &[u8], known: &[u8]) -> Option<Aligned> {
    let same = data.get(..known.len())?;
    // Secrets make a difference, too, which is not looked at here.
    // One may begin before the end of what is as long, and end behind it.
    let near = data.get(..known.len() + REPLACEMENT.len() - 1).unwrap_or(data);
    if same == known || memmem::find(near, REPLACEMENT).is_none() {
        return Some(Aligned { bytes: same.to_vec(), taken: same.len() });
    }
    let mut bytes = Vec::with_capacity(known.len());
    let mut taken = 0;
    while bytes.len() < known.len() {
        let (rest, rest_known) = (data.get(taken..)?, known.get(bytes.len()..)?);
        let replaced = replacements(rest);
        let unsaid = if replaced == 0 { Unsaid::default() } else { unsaid(rest_known) };
        if unsaid.bytes == 0 {
            bytes.push(*rest.first()?);
            taken += 1;
            continue;
        }
        let is_end = unsaid.bytes == rest_known.len();
        // At the end of what is known, further ones stand for what is not known yet.
        let stand_for_it = if is_end { replaced.min(unsaid.letters_max) } else { replaced };
        bytes.extend_from_slice(rest_known.get(..unsaid.bytes)?);
        taken += stand_for_it * REPLACEMENT.len();
    }
    Some(Aligned { bytes, taken })
}

/// As much of a piece of a longer text as ends where a letter does, as far as ASCII tells.
pub fn whole_letters(piece: &[u8]) -> &[u8] {
    let end = piece.iter().rposition(u8::is_ascii).map_or(piece.len(), |last| last + 1);
    piece.get(..end).unwrap_or(piece)
}

/// How many replacement characters `text` begins with.
fn replacements(text: &[u8]) -> usize {
    text.chunks(REPLACEMENT.len()).take_while(|letter| *letter == REPLACEMENT).count()
}

/// The begin of a text that a report cannot say, or says as it is but with the same characters.
#[derive(Default)]
struct Unsaid {
    bytes: usize,
    /// Most replacement characters that can stand for it.
    letters_max: usize,
}

/// The bytes that `text` begins with which are no UTF-8, and replacement characters among them.
fn unsaid(text: &[u8]) -> Unsaid {
    let mut found = Unsaid::default();
    while let Some(rest) = text.get(found.bytes..).filter(|rest| !rest.is_empty()) {
        let letters = replacements(rest);
        let no_letters = if letters == 0 { begin_of_no_letter(rest) } else { 0 };
        if letters + no_letters == 0 {
            break;
        }
        found.bytes += letters * REPLACEMENT.len() + no_letters;
        found.letters_max += letters + no_letters;
    }
    found
}

/// How many bytes `text` begins with that are no UTF-8, up to where a letter may begin.
fn begin_of_no_letter(text: &[u8]) -> usize {
    // Longer than any letter: an error in its begin is there for sure.
    let begin = text.get(..text.len().min(8)).unwrap_or(text);
    match std::str::from_utf8(begin) {
        Err(error) if error.valid_up_to() == 0 => error.error_len().unwrap_or(begin.len()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's JSON says it: a character for each byte.
    fn byte_by_byte(log: &[u8]) -> Vec<u8> {
        let mut said = Vec::new();
        for piece in log.utf8_chunks() {
            said.extend_from_slice(piece.valid().as_bytes());
            said.extend(REPLACEMENT.repeat(piece.invalid().len()));
        }
        said
    }

    const LOGS: [&[u8]; 12] = [
        b"",
        b"plain\n",
        "gr\u{f6}\u{df}e \u{20ac}\n".as_bytes(),
        b"caf\xe9\n",
        b"\xff\xfe\xfd",
        b"caf\xe9",
        b"cut \xe2\x82",
        b"cut \xf0\x9f\x98 and on",
        b"\xe9\xef\xbf\xbd\xe9 mixed",
        b"\xef\xbf\xbd\xe9\xef\xbf\xbd",
        b"\xef\xbf lone lead \xef",
        b"\x80\x80\x80x\xc0\xaf",
    ];

    #[test]
    fn a_log_is_known_again_however_it_was_said_in_utf_8() {
        for log in LOGS {
            let said = [log.to_vec(), byte_by_byte(log), String::from_utf8_lossy(log).into_owned().into_bytes()];
            for said in said.iter().filter(|said| said.len() >= log.len()) {
                let expected = Aligned { bytes: log.to_vec(), taken: said.len() };
                assert_eq!(align(said, log), Some(expected), "{}", log.escape_ascii());
                let longer = [said.as_slice(), b" and more"].concat();
                let aligned = align(&longer, log).unwrap();
                assert_eq!((aligned.bytes.as_slice(), aligned.taken), (log, said.len()), "{}", log.escape_ascii());
            }
        }
    }

    #[test]
    fn what_differs_in_more_is_not_made_the_same() {
        for (data, known) in [
            ("caf\u{fffd}s", &b"caf\xe9\n"[..]),
            ("cafe\u{fffd}\n", b"caf\xe9\n--"),
            ("\u{fffd}x", b"ab\n "),
            ("\u{fffd}\u{fffd}", b"\xe9a\xe9b"),
        ] {
            let aligned = align(data.as_bytes(), known);
            assert!(aligned.is_none_or(|aligned| aligned.bytes != known), "{data:?}");
        }
        assert_eq!(align(b"short", b"shorter"), None);
    }

    #[test]
    fn a_piece_is_cut_where_no_letter_is() {
        assert_eq!(whole_letters("ab\u{20ac}".as_bytes()), b"ab");
        assert_eq!(whole_letters(b"ab\xe2\x82"), b"ab");
        assert_eq!(whole_letters(b"ab"), b"ab");
        assert_eq!(whole_letters(b"\xff\xff"), b"\xff\xff");
    }
}
