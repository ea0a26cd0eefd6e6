//! The `Content-Range` header with which a runner says where a trace patch belongs.
//!
//! Runners write `start-end` without a unit. Up to 11.10 the end is exclusive (`0-0` for an empty log), from 11.11 on
//! inclusive; GitLab reads the start alone. A patch's end is therefore a check of the body's length, never a length.

/// Most digits of a number: nineteen always fit into `u64`.
const DIGITS_MAX: usize = 19;

/// Where a trace patch begins and what its sender believes to be its end, in bytes of the whole trace.
///
/// Source: `PATCH builds/:id/trace.txt` (API v1), `PATCH jobs/:id/trace` (API v4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Bytes of the trace before the patch.
    pub start: u64,
    /// Exclusive or inclusive, depending on the runner's version; `start - 1` in GitLab's empty force-patch (`11-10`).
    pub end: u64,
}

impl ContentRange {
    /// Reads `start-end`, optionally after `bytes ` and before `/total` or `/*`. The total is checked for its form and
    /// not kept.
    ///
    /// `None` for anything else: signs, blanks between, missing numbers, numbers of more than 19 digits.
    pub fn parse(header: &str) -> Option<ContentRange> {
        let header = header.trim_matches([' ', '\t']);
        let range = match header.split_once(' ') {
            Some((unit, range)) if unit.eq_ignore_ascii_case("bytes") => range.trim_start_matches(' '),
            Some(_) => return None,
            None => header,
        };
        let (start, end) = match range.split_once('/') {
            Some((ends, "*")) => ends,
            Some((ends, total)) => number(total).map(|_| ends)?,
            None => range,
        }
        .split_once('-')?;
        Some(ContentRange { start: number(start)?, end: number(end)? })
    }

    /// Whether the end fits a body of `body_bytes` bytes, in either reading of the end. An empty body (a sign of life)
    /// fits any end.
    pub fn agrees_with(&self, body_bytes: u64) -> bool {
        if body_bytes == 0 {
            return true;
        }
        let inclusive = self.start.checked_add(body_bytes - 1);
        let exclusive = self.start.checked_add(body_bytes);
        inclusive == Some(self.end) || exclusive == Some(self.end)
    }
}

fn number(digits: &str) -> Option<u64> {
    let fits = digits.len() <= DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_runners_and_specs_send_is_read() {
        for (header, start, end) in [
            ("0-0", 0, 0),
            ("0-100", 0, 100),
            ("11-10", 11, 10),
            (" 11-20\t", 11, 20),
            ("bytes 11-20", 11, 20),
            ("Bytes  11-20", 11, 20),
            ("11-20/21", 11, 20),
            ("11-20/*", 11, 20),
            ("bytes 11-20/21", 11, 20),
            ("bytes 11-20/*", 11, 20),
            ("0011-0020", 11, 20),
            ("9999999999999999999-9999999999999999999", 9_999_999_999_999_999_999, 9_999_999_999_999_999_999),
        ] {
            assert_eq!(ContentRange::parse(header), Some(ContentRange { start, end }), "{header:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for header in [
            "",
            " ",
            "-",
            "5",
            "5-",
            "-5",
            "a-b",
            "0-0-0",
            "0--1",
            "+1-2",
            "1-+2",
            "1 - 2",
            "1- 2",
            "0x1-2",
            "1.0-2",
            "bytes",
            "bytes ",
            "bytes 1",
            "bytes=1-2",
            "bytes: 1-2",
            "items 1-2",
            "bytes1-2",
            "bytes */5",
            "*/5",
            "1-2/",
            "1-2/x",
            "1-2/-1",
            "1-2/3/4",
            "1-2/**",
            "1-2 /3",
            "1-2,3-4",
            "\u{a0}1-2",
            "\u{661}-\u{662}",
            "1-2\r\n",
            "10000000000000000000-1",
            "1-10000000000000000000",
            "1-2/10000000000000000000",
            "00000000000000000000-1",
        ] {
            assert_eq!(ContentRange::parse(header), None, "{header:?}");
        }
    }

    #[test]
    fn an_end_is_right_in_either_reading() {
        for (start, end, body_bytes, agrees) in [
            (0, 0, 0, true),
            (11, 10, 0, true),
            (11, 500, 0, true),
            (u64::MAX, 0, 0, true),
            (11, 20, 9, true),
            (11, 19, 9, true),
            (11, 21, 9, false),
            (11, 18, 9, false),
            (0, 0, 1, true),
            (0, 1, 1, true),
            (0, 2, 1, false),
            (20, 11, 9, false),
            (5, 4, 1, false),
            (u64::MAX, u64::MAX, 1, true),
            (u64::MAX, 0, 1, false),
            (u64::MAX, u64::MAX, 2, false),
            (1, 0, u64::MAX, false),
            (1, u64::MAX, u64::MAX, true),
        ] {
            let range = ContentRange { start, end };
            assert_eq!(range.agrees_with(body_bytes), agrees, "{range:?} with {body_bytes} bytes");
        }
    }
}
