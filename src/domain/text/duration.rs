//! Durations as people write them: `expire_in` of an artifact upload, and options of the command line.
//!
//! The language is that of GitLab's `expire_in` (chronic_duration 0.10.6), because the text comes from a project's
//! `.gitlab-ci.yml` and the runner passes it on unread. What must stay true:
//!
//! * every text GitLab documents has the same length here; a month is 30 days, a year 365.25 days;
//! * a text that chronic_duration would read by dropping a part (`20 and 5 minutes`, `2 hours minute`) is an error
//!   here: artifacts that vanish too early cannot be brought back.
//!
//! Absent on purpose: fractions in words (`half`), which GitLab of that time did not know either. Nor did it know
//! `never`, which is no duration, but which [`parse_keeping`] takes.

use std::fmt;
use std::time::Duration;

/// The longest text that is read, in bytes.
pub const DURATION_TEXT_BYTES_MAX: usize = 256;

/// The longest duration that is accepted: 1000 years of 365.25 days. Added to any clock it stays far from overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(1000 * YEAR);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 31_557_600;

/// Seconds that each part of the colon form counts, from the right. Weeks have no place in it.
const CLOCK_UNITS: [u64; 6] = [1, MINUTE, HOUR, DAY, MONTH, YEAR];

/// Amounts are counted in billionths, so that sums of fractions are exact.
const BILLION: u128 = 1_000_000_000;

/// Digits before the decimal point: keeps every sum of a text of [`DURATION_TEXT_BYTES_MAX`] bytes far inside `u128`.
const WHOLE_DIGITS_MAX: usize = 15;

/// Characters of the input that an error message repeats.
const QUOTED_CHARS_MAX: usize = 40;

/// Why a text is no duration. Its `Display` is a sentence for the person who wrote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError {
    problem: Problem,
    /// The part of the input that the problem is about, cut to [`QUOTED_CHARS_MAX`].
    quoted: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    Empty,
    TextTooLong,
    TooLong,
    Negative,
    UnknownWord,
    UnknownCharacter,
    MalformedNumber,
    NumberWithoutUnit,
    UnitWithoutNumber,
    MalformedClock,
}

impl Problem {
    fn about(self, text: &str) -> DurationError {
        DurationError { problem: self, quoted: text.chars().take(QUOTED_CHARS_MAX).collect() }
    }
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = &self.quoted;
        match self.problem {
            Problem::Empty => write!(f, "the duration is empty"),
            Problem::TextTooLong => write!(f, "{quoted:?}... is longer than {DURATION_TEXT_BYTES_MAX} bytes"),
            Problem::TooLong => write!(f, "{quoted:?} is longer than 1000 years"),
            Problem::Negative => write!(f, "{quoted:?} has a minus sign, but a duration is never negative"),
            Problem::UnknownWord => write!(f, "the word {quoted:?} is not known in a duration"),
            Problem::UnknownCharacter => {
                write!(f, "the character {quoted:?} is not known in a duration")
            }
            Problem::MalformedNumber => write!(f, "{quoted:?} is not a number"),
            Problem::NumberWithoutUnit => write!(f, "{quoted:?} has a number without a unit"),
            Problem::UnitWithoutNumber => write!(f, "{quoted:?} has a unit without a number"),
            Problem::MalformedClock => {
                write!(f, "{quoted:?} is not of the form hours:minutes:seconds")
            }
        }?;
        write!(f, "; write for example \"7 days\", \"2h 30min\", \"1:20:00\" or \"90\" (seconds)")
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration such as `7d`, `2h20min`, `two hours and twenty minutes`, `4:01:01` or `90` (seconds).
///
/// Upper and lower case are the same; commas, `and`, `with` and `plus` are passed over; a unit in front counts once
/// (`minute 30s`); a number at the end without a unit counts seconds. Fractions are kept to the millisecond.
/// Zero is `Ok`: what it means is the caller's rule (for `expire_in`: never).
///
/// Source: `expire_in` of GitLab 8.9 to 9.5, read by chronic_duration.
///
/// # Errors
///
/// Empty text, text above [`DURATION_TEXT_BYTES_MAX`], a length above [`DURATION_MAX`], words or characters outside
/// the language, a minus sign, a number that has no unit before another number, a unit that has no number.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.len() > DURATION_TEXT_BYTES_MAX {
        return Err(Problem::TextTooLong.about(text));
    }
    let lower = text.to_ascii_lowercase();
    let tokens = tokenise(&lower)?;
    let sum = if tokens.contains(&Token::Colon) { clock(&tokens) } else { sequence(&tokens) };
    let billionths = sum.map_err(|problem| problem.about(text))?;
    match u64::try_from((billionths + 500_000) / 1_000_000).map(Duration::from_millis) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        Ok(_) | Err(_) => Err(Problem::TooLong.about(text)),
    }
}

/// Reads for how long something is kept: a duration, or `never`, zero or nothing for "until somebody removes it",
/// which is `None`.
///
/// # Errors
///
/// As [`parse_duration`].
pub fn parse_keeping(text: &str) -> Result<Option<Duration>, DurationError> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    parse_duration(text).map(|duration| (!duration.is_zero()).then_some(duration))
}

/// Refuses a bare number other than zero: it would count seconds, which somebody who writes `30` for what is to be
/// kept or removed by its age hardly means.
///
/// # Errors
///
/// Says what may have been meant.
pub fn check_unit(text: &str) -> Result<(), String> {
    let number = text.trim();
    let is_bare = number.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_bare {
        return Ok(());
    }
    let number: String = number.chars().take(QUOTED_CHARS_MAX).collect();
    Err(format!("a unit is missing: {number}d is days, {number}h hours, {number}s seconds"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A decimal number, in billionths.
    Number(u128),
    /// One English number word.
    NumberWord(u64),
    /// Seconds in the unit.
    Unit(u64),
    Colon,
}

/// Words that join parts are dropped here, as are commas: they mean nothing.
fn tokenise(lower: &str) -> Result<Vec<Token>, DurationError> {
    let mut tokens = Vec::new();
    let mut rest = lower;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        if first.is_ascii_digit() || first == '.' {
            let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
            tokens.push(Token::Number(decimal(number)?));
            rest = after;
        } else if first.is_alphabetic() {
            let (word, after) = split_while(rest, char::is_alphabetic);
            tokens.extend(meaning(word)?);
            rest = skip_hyphen(after);
        } else if let Some(after) = rest.strip_prefix(':') {
            tokens.push(Token::Colon);
            rest = after;
        } else if first == '-' {
            return Err(Problem::Negative.about(lower));
        } else {
            return Err(Problem::UnknownCharacter.about(first.encode_utf8(&mut [0; 4])));
        }
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// The hyphen of `twenty-five` joins words; in any other place it is a minus sign.
fn skip_hyphen(after_word: &str) -> &str {
    after_word.strip_prefix('-').filter(|next| next.starts_with(char::is_alphabetic)).unwrap_or(after_word)
}

/// `90`, `2.5` or `.5` in billionths; digits after the ninth decimal place are dropped.
fn decimal(text: &str) -> Result<u128, DurationError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, fraction)) if fraction.is_empty() || fraction.contains('.') => {
            return Err(Problem::MalformedNumber.about(text));
        }
        Some(halves) => halves,
        None => (text, ""),
    };
    if whole.trim_start_matches('0').len() > WHOLE_DIGITS_MAX {
        return Err(Problem::TooLong.about(text));
    }
    let digits = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(9));
    Ok(digits.fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0')))
}

/// `Ok(None)`: a word that only joins.
fn meaning(word: &str) -> Result<Option<Token>, DurationError> {
    let token = match word {
        "and" | "with" | "plus" => return Ok(None),
        "s" | "sec" | "secs" | "second" | "seconds" => Token::Unit(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Token::Unit(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Token::Unit(HOUR),
        "d" | "dy" | "day" | "days" => Token::Unit(DAY),
        "w" | "wk" | "wks" | "week" | "weeks" => Token::Unit(WEEK),
        "mo" | "mos" | "month" | "months" => Token::Unit(MONTH),
        "y" | "yr" | "yrs" | "year" | "years" => Token::Unit(YEAR),
        other => match number_word(other) {
            Some(value) => Token::NumberWord(value),
            None => return Err(Problem::UnknownWord.about(other)),
        },
    };
    Ok(Some(token))
}

fn number_word(word: &str) -> Option<u64> {
    Some(match word {
        "zero" => 0,
        "one" => 1,
        "two" => 2,
        "three" => 3,
        "four" => 4,
        "five" => 5,
        "six" => 6,
        "seven" => 7,
        "eight" => 8,
        "nine" => 9,
        "ten" => 10,
        "eleven" => 11,
        "twelve" => 12,
        "thirteen" => 13,
        "fourteen" => 14,
        "fifteen" => 15,
        "sixteen" => 16,
        "seventeen" => 17,
        "eighteen" => 18,
        "nineteen" => 19,
        "twenty" => 20,
        "thirty" => 30,
        "forty" => 40,
        "fifty" => 50,
        "sixty" => 60,
        "seventy" => 70,
        "eighty" => 80,
        "ninety" => 90,
        "hundred" => 100,
        _ => return None,
    })
}

/// The number so far with one more word: `twenty` + `five`, `two` + `hundred`, `hundred` + `twenty`.
fn joined(so_far: u64, word: u64) -> Option<u64> {
    match (so_far, word) {
        (1..=99, 100) => Some(so_far * 100),
        (100.., 1..=99) if so_far.is_multiple_of(100) => Some(so_far + word),
        (20.., 1..=9) if so_far.is_multiple_of(10) && so_far % 100 >= 20 => Some(so_far + word),
        _ => None,
    }
}

/// A number whose unit has not come yet.
#[derive(Clone, Copy)]
enum Pending {
    Decimal(u128),
    Words(u64),
}

impl Pending {
    fn billionths(self) -> u128 {
        match self {
            Pending::Decimal(billionths) => billionths,
            Pending::Words(value) => u128::from(value) * BILLION,
        }
    }
}

/// Numbers and units in turn; the sum in billionths of a second.
fn sequence(tokens: &[Token]) -> Result<u128, Problem> {
    if tokens.is_empty() {
        return Err(Problem::Empty);
    }
    let mut sum = 0;
    let mut pending = None;
    for (index, &token) in tokens.iter().enumerate() {
        pending = match (token, pending) {
            (Token::Number(billionths), None) => Some(Pending::Decimal(billionths)),
            (Token::NumberWord(value), None) => Some(Pending::Words(value)),
            (Token::NumberWord(value), Some(Pending::Words(so_far))) => {
                Some(Pending::Words(joined(so_far, value).ok_or(Problem::NumberWithoutUnit)?))
            }
            (Token::Number(_), Some(_)) | (Token::NumberWord(_), Some(Pending::Decimal(_))) => {
                return Err(Problem::NumberWithoutUnit);
            }
            (Token::Unit(seconds), amount) => {
                let billionths = match amount {
                    Some(amount) => amount.billionths(),
                    None if index == 0 => BILLION,
                    None => return Err(Problem::UnitWithoutNumber),
                };
                sum += billionths * u128::from(seconds);
                None
            }
            (Token::Colon, _) => return Err(Problem::MalformedClock),
        };
    }
    Ok(sum + pending.map_or(0, Pending::billionths))
}

/// `minutes:seconds`, `hours:minutes:seconds` and so on up to years; the sum in billionths of a second.
fn clock(tokens: &[Token]) -> Result<u128, Problem> {
    let mut sum = 0;
    let mut units = CLOCK_UNITS.iter();
    for (index, &token) in tokens.iter().rev().enumerate() {
        match token {
            Token::Number(billionths) if index.is_multiple_of(2) => {
                let seconds = units.next().ok_or(Problem::MalformedClock)?;
                sum += billionths * u128::from(*seconds);
            }
            Token::Colon if !index.is_multiple_of(2) => {}
            Token::Number(_) | Token::Colon | Token::NumberWord(_) | Token::Unit(_) => {
                return Err(Problem::MalformedClock);
            }
        }
    }
    if tokens.len().is_multiple_of(2) {
        return Err(Problem::MalformedClock);
    }
    Ok(sum)
}

/// A short form for tables: the two most significant of days, hours, minutes and seconds (`3d 4h`, `3m 20s`, `45s`).
/// The second one is left out when it is zero; smaller parts are cut off, not rounded.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (large, small) = if seconds >= DAY {
        ((seconds / DAY, 'd'), (seconds % DAY / HOUR, 'h'))
    } else if seconds >= HOUR {
        ((seconds / HOUR, 'h'), (seconds % HOUR / MINUTE, 'm'))
    } else if seconds >= MINUTE {
        ((seconds / MINUTE, 'm'), (seconds % MINUTE, 's'))
    } else {
        return format!("{seconds}s");
    };
    if small.0 == 0 {
        format!("{}{}", large.0, large.1)
    } else {
        format!("{}{} {}{}", large.0, large.1, small.0, small.1)
    }
}

#[cfg(test)]
mod tests;
