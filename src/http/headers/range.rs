//! The `Range` header of a download (RFC 9110, 14.1 and 14.2).
//!
//! One range is served; several ranges, other units and malformed headers are passed over, which the RFC allows, and
//! the whole file is sent. Downloads that are resumed need no more.

use crate::http::message::{Method, Request, Response};

/// What part of a file to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All of it, with status 200: no usable range was asked for.
    Whole,
    /// One part, with status 206. `start <= end < size`.
    Part {
        /// Offset of the first byte.
        start: u64,
        /// Offset of the last byte, which is part of the answer.
        end: u64,
    },
    /// Nothing, with status 416: the range is well formed but no byte of the file is in it.
    Unsatisfiable,
}

/// Decides what to send of a file of `size` bytes. `header` is the value of `Range`, `None` when there was none.
///
/// `bytes=a-b`, `bytes=a-` and `bytes=-n` are read; numbers beyond `u64` count as the largest one.
pub fn resolve(header: Option<&str>, size: u64) -> ByteRange {
    let Some((first, last)) = header.and_then(single_range) else {
        return ByteRange::Whole;
    };
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(end)) if start <= end => (start, end),
        (Some(start), None) if last.is_empty() => (start, u64::MAX),
        (None, Some(suffix)) if first.is_empty() => match suffix {
            0 => return ByteRange::Unsatisfiable,
            1.. => (size.saturating_sub(suffix), u64::MAX),
        },
        _ => return ByteRange::Whole,
    };
    match size.checked_sub(1) {
        Some(last_offset) if start <= last_offset => ByteRange::Part { start, end: end.min(last_offset) },
        Some(_) | None => ByteRange::Unsatisfiable,
    }
}

/// Which bytes of a file are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Offset of the first one.
    pub start: u64,
    /// How many.
    pub bytes: u64,
    size: u64,
    is_part: bool,
}

impl Slice {
    /// What a GET asks for of a file of `size` bytes; others, and who has another version of it than `etag`, get all.
    ///
    /// # Errors
    /// The `size`, for [`unsatisfiable`].
    pub fn asked(request: &Request<'_>, etag: Option<&str>, size: u64) -> Result<Slice, u64> {
        let is_unchanged = request.headers.get("If-Range").is_none_or(|tag| etag.is_none_or(|etag| tag == etag));
        let range = request.headers.get("Range").filter(|_| is_unchanged && request.method == Method::Get);
        match resolve(range, size) {
            ByteRange::Whole => Ok(Slice { start: 0, bytes: size, size, is_part: false }),
            ByteRange::Part { start, end } => Ok(Slice { start, bytes: end - start + 1, size, is_part: true }),
            ByteRange::Unsatisfiable => Err(size),
        }
    }

    /// 200, or 206.
    #[must_use]
    pub fn status(self) -> u16 {
        if self.is_part { 206 } else { 200 }
    }

    /// The response, which says of a part which one it is.
    #[must_use]
    pub fn told(self, response: Response) -> Response {
        let response = response.with("Accept-Ranges", "bytes");
        if !self.is_part {
            return response;
        }
        let Slice { start, bytes, size, .. } = self;
        response.with("Content-Range", format!("bytes {start}-{}/{size}", start + bytes - 1))
    }
}

/// The response to a range that has no byte of a file of this size.
#[must_use]
pub fn unsatisfiable(size: u64) -> Response {
    Response::error(416, "").with("Content-Range", format!("bytes */{size}"))
}

/// The two sides of the one hyphen; with more ranges than one, neither side is a number.
fn single_range(header: &str) -> Option<(&str, &str)> {
    let (unit, range) = header.trim_matches([' ', '\t']).split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(range)?.split_once('-')
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ByteRange::{Part, Unsatisfiable, Whole};

    #[test]
    fn a_single_range_is_cut_to_the_file() {
        for (header, size, start, end) in [
            ("bytes=0-499", 1000, 0, 499),
            ("bytes=500-999", 1000, 500, 999),
            ("bytes=500-9999", 1000, 500, 999),
            ("bytes=0-0", 1000, 0, 0),
            ("bytes=999-", 1000, 999, 999),
            ("bytes=0-", 1000, 0, 999),
            ("bytes=-1", 1000, 999, 999),
            ("bytes=-500", 1000, 500, 999),
            ("bytes=-5000", 1000, 0, 999),
            ("BYTES=0-4", 1000, 0, 4),
            (" bytes=0-4\t", 1000, 0, 4),
            ("bytes=0-99999999999999999999999999", 1000, 0, 999),
            ("bytes=-99999999999999999999999999", 1000, 0, 999),
            ("bytes=0-", u64::MAX, 0, u64::MAX - 1),
        ] {
            let part = Part { start, end };
            assert_eq!(resolve(Some(header), size), part, "{header:?} of {size}");
        }
    }

    #[test]
    fn a_range_without_a_byte_is_unsatisfiable() {
        for (header, size) in [
            ("bytes=1000-", 1000),
            ("bytes=1000-2000", 1000),
            ("bytes=-0", 1000),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
            ("bytes=-5", 0),
            ("bytes=-0", 0),
            ("bytes=99999999999999999999999999-", 1000),
            ("bytes=99999999999999999999999999-99999999999999999999999999", u64::MAX),
        ] {
            assert_eq!(resolve(Some(header), size), Unsatisfiable, "{header:?} of {size}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_gets_the_whole_file() {
        assert_eq!(resolve(None, 1000), Whole);
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=a-1",
            "bytes=0-1,5-6",
            "bytes=0-1,",
            "bytes=,0-1",
            "bytes=-1,-2",
            "bytes=0-1-2",
            "bytes=--1",
            "bytes=+0-1",
            "bytes= 0-1",
            "bytes=0 -1",
            "bytes 0-1",
            "items=0-1",
            "=0-1",
            "bytes==0-1",
            "bytes=\u{661}-",
            "bytes=0-1\r\n",
        ] {
            for size in [0, 1, 1000] {
                assert_eq!(resolve(Some(header), size), Whole, "{header:?} of {size}");
            }
        }
    }

    #[test]
    fn a_part_holds_exactly_the_bytes_that_were_asked_for() {
        for size in 0..7 {
            for first in 0..9 {
                for last in first..9 {
                    let asked: Vec<u64> = (0..size).filter(|byte| (first..=last).contains(byte)).collect();
                    let expected = match (asked.first(), asked.last()) {
                        (Some(&start), Some(&end)) => Part { start, end },
                        _ => Unsatisfiable,
                    };
                    assert_eq!(resolve(Some(&format!("bytes={first}-{last}")), size), expected);
                }
            }
        }
    }
}
