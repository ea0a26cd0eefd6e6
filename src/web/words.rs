//! Times, durations, sizes and numbers, as pages say them.
//!
//! What must stay true: what changes while nothing happens (durations that run) stands between [`BEGIN`] and [`END`], so
//! that a page whose clock alone has moved is known to be the same. Both are control characters, which no page holds
//! otherwise: [`cleaned`] takes them out of all that is shown.

use crate::domain::text::foreign::is_dangerous;
use crate::domain::time::Timestamp;
use maud::{Markup, PreEscaped, html};
use std::time::Duration;

/// Begins what the clock alone changes.
pub const BEGIN: char = '\u{1}';
/// Ends it.
pub const END: char = '\u{2}';

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration, as in `2 min 31 s`.
pub fn duration(of: Duration) -> String {
    let s = of.as_secs();
    if s >= DAY {
        format!("{} d {} h", s / DAY, s % DAY / HOUR)
    } else if s >= HOUR {
        format!("{} h {:02} min", s / HOUR, s % HOUR / MINUTE)
    } else if s >= MINUTE {
        format!("{} min {:02} s", s / MINUTE, s % MINUTE)
    } else {
        format!("{s} s")
    }
}

/// How long something goes on, ticking.
pub fn running(since: Timestamp, now: Timestamp) -> Markup {
    html! {
        time data-since=(since.to_the_second()) { (BEGIN) (duration(now.since(since))) (END) }
    }
}

/// How long ago something was, ticking slowly; whoever has no script reads the time itself.
pub fn ago(at: Timestamp) -> Markup {
    html! { time data-ago datetime=(at.to_the_second()) { (in_utc(at)) } }
}

/// A point in time.
pub fn at(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_the_second()) { (in_utc(at)) } }
}

/// As in `2026-11-29 10:42 UTC`.
pub fn in_utc(at: Timestamp) -> String {
    let text = at.to_the_second();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or(time))
}

/// A number with a comma each three digits.
pub fn number(of: u64) -> String {
    let digits = of.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes, as in `1.2 MB`.
pub fn size(bytes: u64) -> String {
    let (mut whole, mut rest, mut unit) = (bytes, 0, "bytes");
    for next in ["KB", "MB", "GB", "TB"] {
        if whole < 1024 {
            break;
        }
        (rest, whole, unit) = (whole % 1024, whole / 1024, next);
    }
    if unit == "bytes" || whole >= 100 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", rest * 10 / 1024)
    }
}

/// `1 job`, `2 jobs`.
pub fn count(of: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(of), if of == 1 { "" } else { "s" })
}

/// A number and what so many do: `1` `waits`, `2` `wait`.
pub fn so_many(of: u64, one: &str, more: &str) -> Markup {
    html! { b { (number(of)) } " " (if of == 1 { one } else { more }) }
}

/// A sentence of the command line, as one of a page: it begins with a capital letter and ends with a stop.
pub fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut said: String = first.to_uppercase().chain(letters).collect();
    if !said.ends_with(['.', '!', '?']) {
        said.push('.');
    }
    said
}

/// The same without the marks of what ticks.
pub fn shown(html: &str) -> String {
    html.replace([BEGIN, END], "")
}

/// The same without what ticks: equal for two pages between which nothing has happened.
pub fn still(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        text.push_str(before);
        rest = behind.split_once(END).map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    text
}

/// Text of a stranger's without control characters, and with nothing that turns the direction of what follows.
pub fn cleaned(text: &str) -> String {
    // A browser takes the marks of a direction as well.
    let is_turn = |c: char| is_dangerous(c) || matches!(c, '\u{200e}' | '\u{200f}');
    text.chars().map(|c| if is_turn(c) { '\u{fffd}' } else { c }).collect()
}

/// A stranger's text inside of a line of ours, whatever its direction.
pub fn foreign(text: &str) -> Markup {
    html! { bdi { (cleaned(text)) } }
}

/// The first eight digits of a commit.
pub fn short_sha(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// What a runner is called: its description, else its number.
pub fn runner(id: i64, description: &str) -> Markup {
    foreign(&runner_text(id, description))
}

/// The same where only text can stand.
pub fn runner_text(id: i64, description: &str) -> String {
    if description.trim().is_empty() { format!("runner {id}") } else { cleaned(description) }
}

/// Nothing.
pub fn nothing() -> Markup {
    PreEscaped(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_numbers_are_read_at_a_glance() {
        for (s, said) in
            [(0, "0 s"), (59, "59 s"), (151, "2 min 31 s"), (3900, "1 h 05 min"), (2 * 86_400 + 3 * 3600, "2 d 3 h")]
        {
            assert_eq!(duration(Duration::from_secs(s)), said);
        }
        for (bytes, said) in [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KB"), (104_857_600, "100 MB")] {
            assert_eq!(size(bytes), said);
        }
        assert_eq!([number(0), number(999), number(12_412), number(1_000_000)], ["0", "999", "12,412", "1,000,000"]);
        assert_eq!(sentence("no runner runs"), "No runner runs.");
        assert_eq!(in_utc(Timestamp(1_000_000_000_123)), "2001-09-09 01:46 UTC");
    }

    #[test]
    fn what_ticks_does_not_count_and_no_stranger_can_say_that_it_ticks() {
        let page = |s: i64| {
            html! { (running(Timestamp(0), Timestamp(s * 1000))) b { (cleaned("a\u{1}b\u{202e}")) } }.into_string()
        };
        assert_ne!(shown(&page(1)), shown(&page(2)));
        assert_eq!(still(&page(1)), still(&page(2)));
        assert!(shown(&page(1)).contains(">1 s<") && still(&page(1)).contains("a\u{fffd}b\u{fffd}"));
    }
}
