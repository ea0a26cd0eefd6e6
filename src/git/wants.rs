//! What a client asks of `git upload-pack`: judged before any program sees it.
//!
//! What must stay true: nothing is wanted but what is offered; no line passes that is not of protocol 0 as git speaks it
//! (`gitprotocol-pack`, "Packfile Negotiation"): lines of a length, first `want`, `shallow` and `deepen`, then a flush, then
//! `have`, flushes and `done`. There are no filters, and there is no protocol 2, which hands out any object whose name one
//! knows.

use crate::domain::git_names::check_ref;
use std::collections::HashSet;

/// Digits of a line's length, which count themselves.
const LENGTH_DIGITS: usize = 4;

/// What comes after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What is wanted.
    Wants,
    /// What is there already.
    Haves,
    /// Nothing.
    End,
}

/// Judges a request's body.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(body: &[u8], offered: &HashSet<String>) -> Result<(), String> {
    let (mut rest, mut part) = (body, Part::Wants);
    while !rest.is_empty() {
        let (line, behind) = next_line(rest)?;
        part = match (part, line) {
            (Part::End, _) => return Err("something comes after its end".to_owned()),
            (_, None) => Part::Haves,
            (Part::Wants, Some(line)) => want(line, offered).map(|()| Part::Wants)?,
            (Part::Haves, Some(line)) => have(line)?,
        };
        rest = behind;
    }
    if part == Part::Wants { Err("it ends in the middle".to_owned()) } else { Ok(()) }
}

/// The next line, without its end; `None`: a flush.
fn next_line(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), String> {
    let wrong = || "a line has no length".to_owned();
    let (digits, _) = bytes.split_at_checked(LENGTH_DIGITS).ok_or_else(wrong)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex).ok_or_else(wrong)?;
    let length = usize::from_str_radix(digits, 16).map_err(|_| wrong())?;
    match length {
        0 => Ok((None, bytes.get(LENGTH_DIGITS..).unwrap_or_default())),
        1..=LENGTH_DIGITS => Err("a line has the length of none in protocol 0".to_owned()),
        length => {
            let (line, rest) = bytes.split_at_checked(length).ok_or("a line is cut off")?;
            let line = line.get(LENGTH_DIGITS..).unwrap_or_default();
            Ok((Some(line.strip_suffix(b"\n").unwrap_or(line)), rest))
        }
    }
}

/// A line of the first part.
fn want(line: &[u8], offered: &HashSet<String>) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "a line is no text")?;
    let unknown = || format!("a line begins with {:?}", line.split(' ').next().unwrap_or_default());
    let (word, value) = line.split_once(' ').ok_or_else(unknown)?;
    let is_number = |text: &str| text.len() <= 19 && !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match word {
        "want" => {
            // What the client can do follows with the first one.
            let name = value.split(' ').next().unwrap_or_default();
            if offered.contains(name) { Ok(()) } else { Err("it wants what is not offered".to_owned()) }
        }
        "shallow" if is_name(value) => Ok(()),
        "deepen" | "deepen-since" if is_number(value) => Ok(()),
        "deepen-not" => check_ref(value).map_err(|_| "deepen-not names no ref".to_owned()),
        _ => Err(unknown()),
    }
}

/// A line of the second part.
fn have(line: &[u8]) -> Result<Part, String> {
    if line == b"done" {
        return Ok(Part::End);
    }
    let name = line.strip_prefix(b"have ").and_then(|name| std::str::from_utf8(name).ok());
    if name.is_some_and(is_name) { Ok(Part::Haves) } else { Err("a line is none of have and done".to_owned()) }
}

/// Whether this can name an object.
fn is_name(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "1111111111111111111111111111111111111111";
    const OTHER: &str = "2222222222222222222222222222222222222222";

    /// Lines with their lengths; an empty one is a flush.
    fn body(lines: &[&str]) -> Vec<u8> {
        let line = |line: &&str| match line.is_empty() {
            true => "0000".to_owned(),
            false => format!("{:04x}{line}", line.len() + 4),
        };
        lines.iter().map(line).collect::<String>().into_bytes()
    }

    fn verdict(body: &[u8]) -> Result<(), String> {
        check(body, &HashSet::from([OWN.to_owned()]))
    }

    #[test]
    fn what_git_sends_passes() {
        let own = format!("want {OWN} multi_ack_detailed no-done side-band-64k agent=git/2.47\n");
        let have = format!("have {OTHER}\n");
        for lines in [
            &[own.as_str(), "deepen 20\n", "", "done\n"][..],
            &[
                &own,
                &format!("want {OWN}"),
                &format!("shallow {OTHER}"),
                "deepen-since 1700000000",
                "",
                &have,
                &have,
                "",
            ],
            &[&own, "deepen-not refs/heads/main\n", "", &have, "", "done"],
            &[&own, "deepen 2147483647", ""],
            &[""],
        ] {
            assert_eq!(verdict(&body(lines)), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn nothing_else_passes() {
        let (own, other) = (format!("want {OWN}\n"), format!("want {OTHER}\n"));
        let upper = own.to_uppercase();
        for (lines, why) in [
            (&[own.as_str(), &other, "", "done"][..], "not offered"),
            (&["want refs/heads/secret", "", "done"], "not offered"),
            (&["want ", ""], "not offered"),
            (&[&format!("want {OWN}{OWN}"), ""], "not offered"),
            (&[&own, "filter blob:none", "", "done"], "begins with"),
            (&["command=fetch", ""], "begins with"),
            (&[&upper, ""], "begins with"),
            (&["want-ref refs/heads/main", ""], "begins with"),
            (&["wait-for-done", ""], "begins with"),
            (&[&own, "deepen -1", ""], "begins with"),
            (&[&own, "deepen 99999999999999999999", ""], "begins with"),
            (&[&own, "deepen-not --all", ""], "names no ref"),
            (&[&own, "shallow 12", ""], "begins with"),
            (&[&own, "", "want 1", "done"], "none of have"),
            (&[&own, "", "have x"], "none of have"),
            (&[&own, "", "done", "done"], "after its end"),
            (&[&own], "in the middle"),
            (&[], "in the middle"),
        ] {
            let verdict = verdict(&body(lines));
            assert!(verdict.as_ref().is_err_and(|said| said.contains(why)), "{lines:?}: {verdict:?}");
        }
        for bytes in
            [&b"0001"[..], b"0002", b"0003", b"0004", b"00", b"zzzz", b"+0a1", b"ffffx", b"0009want", b"0006\xff\xff"]
        {
            assert!(verdict(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_byte_leaves_nothing_wanted_that_is_not_offered() {
        let whole = body(&[&format!("want {OWN} ofs-delta\n"), "deepen 1", "", &format!("have {OTHER}"), "done"]);
        for end in 0..whole.len() {
            let _ = verdict(&whole[..end]);
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                if verdict(&flipped).is_ok() {
                    let text = String::from_utf8_lossy(&flipped);
                    assert!(!text.contains("want ") || text.contains(&format!("want {OWN}")), "{text}");
                }
            }
        }
    }
}
