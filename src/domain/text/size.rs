//! Sizes as people write and read them: limits on the command line, columns of tables.
//!
//! Powers of 1024 throughout, as GitLab counts its artifact limit. Absent on purpose: fractions on the way in (a limit
//! is exact) and powers of 1000.

use std::fmt;

/// Characters of the input that an error message repeats.
const QUOTED_CHARS_MAX: usize = 40;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Why a text is no size. Its `Display` is a sentence for the person who wrote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeError {
    problem: Problem,
    quoted: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoNumber,
    Fraction,
    UnknownUnit,
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = &self.quoted;
        match self.problem {
            Problem::NoNumber => write!(f, "{quoted:?} does not begin with a number"),
            Problem::Fraction => write!(f, "{quoted:?} is not a whole number"),
            Problem::UnknownUnit => write!(f, "{quoted:?} has a unit other than K, M, G or T"),
            Problem::TooLarge => write!(f, "{quoted:?} is too large"),
        }?;
        write!(f, "; write for example \"64K\", \"100M\", \"2G\" or \"1048576\" (bytes)")
    }
}

impl std::error::Error for SizeError {}

/// Reads a size in bytes: a whole number with an optional `K`, `M`, `G` or `T` (powers of 1024) and an optional `B` or
/// `iB` after it, in upper or lower case, with or without a blank between. `512B` is 512 bytes.
///
/// # Errors
///
/// No number, a sign, a fraction, another unit, or more than `u64::MAX` bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let refused = |problem| SizeError { problem, quoted: text.chars().take(QUOTED_CHARS_MAX).collect() };
    let trimmed = text.trim();
    let digits_end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, after) = trimmed.split_at(digits_end);
    if digits.is_empty() {
        return Err(refused(Problem::NoNumber));
    }
    if after.starts_with(['.', ',']) {
        return Err(refused(Problem::Fraction));
    }
    let factor = factor(after.trim_start()).ok_or_else(|| refused(Problem::UnknownUnit))?;
    let number: u64 = digits.parse().map_err(|_| refused(Problem::TooLarge))?;
    number.checked_mul(factor).ok_or_else(|| refused(Problem::TooLarge))
}

fn factor(unit: &str) -> Option<u64> {
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1 << 30),
        "t" | "tb" | "tib" => Some(1 << 40),
        _ => None,
    }
}

/// A size in bytes for tables: `512 B`, `1.5 KiB`, `300.0 MiB`; one decimal place, rounded to the nearest.
pub fn format_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = 0;
    let mut name = "";
    for (unit, power) in UNITS.iter().zip((10..).step_by(10)) {
        let size = 1_u128 << power;
        tenths = (u128::from(bytes) * 10 + size / 2) / size;
        name = unit;
        if tenths < 10_240 {
            break;
        }
    }
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("512B", 512),
            ("64K", 65_536),
            ("100M", 104_857_600),
            ("100MB", 104_857_600),
            ("100MiB", 104_857_600),
            ("100mib", 104_857_600),
            (" 100 M ", 104_857_600),
            ("2G", 2_147_483_648),
            ("2g", 2_147_483_648),
            ("1T", 1_099_511_627_776),
            ("1TiB", 1_099_511_627_776),
            ("007", 7),
            ("18446744073709551615", u64::MAX),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_exact_size_is_refused() {
        for (text, problem) in [
            ("", Problem::NoNumber),
            (" ", Problem::NoNumber),
            ("M", Problem::NoNumber),
            ("-1", Problem::NoNumber),
            ("+1", Problem::NoNumber),
            (".5M", Problem::NoNumber),
            ("1.5G", Problem::Fraction),
            ("1,5G", Problem::Fraction),
            ("1P", Problem::UnknownUnit),
            ("1iB", Problem::UnknownUnit),
            ("1 M B", Problem::UnknownUnit),
            ("1_000", Problem::UnknownUnit),
            ("0x10", Problem::UnknownUnit),
            ("1Mü", Problem::UnknownUnit),
            ("18446744073709551616", Problem::TooLarge),
            ("16777216T", Problem::TooLarge),
        ] {
            assert_eq!(parse_size(text).map_err(|e| e.problem), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn an_error_shows_the_start_of_the_input_and_a_right_one() {
        let message = |text: &str| parse_size(text).unwrap_err().to_string();
        assert_eq!(
            message("1.5G"),
            "\"1.5G\" is not a whole number; write for example \"64K\", \"100M\", \"2G\" or \"1048576\" (bytes)"
        );
        assert!(message(&"ü".repeat(1000)).chars().count() < 150);
    }

    #[test]
    fn a_size_is_shown_in_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_525, "1.0 MiB"),
            (314_572_800, "300.0 MiB"),
            (1 << 30, "1.0 GiB"),
            (1 << 40, "1.0 TiB"),
            (1 << 50, "1.0 PiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
