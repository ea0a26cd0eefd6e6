//! Samples, targets, and the table.

use std::fmt;
use std::time::{Duration, Instant};

/// What was measured, round by round.
#[derive(Clone, Default)]
pub struct Samples(pub Vec<f64>);

/// What a number means, and so how it is written.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Things a second.
    PerSecond,
    /// Seconds.
    Time,
    /// Bytes a second.
    Throughput,
    /// Bytes.
    Bytes,
    /// A number of its own, of these.
    Count(&'static str),
}

/// What a ratio or a value should be.
#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// For information.
    None,
}

/// A line of the table.
pub struct Row {
    work: String,
    baton: String,
    floor: String,
    ratio: String,
    target: String,
    verdict: String,
    /// What else is worth knowing of it; printed below the table.
    notes: Vec<String>,
}

/// Measures the sides in alternation, each `rounds` times, after a round of each that does not count. Every other
/// round goes backwards, so that no side always bears what the same other has left behind.
pub fn alternate<const N: usize>(rounds: usize, mut sides: [&mut dyn FnMut() -> f64; N]) -> [Samples; N] {
    let mut all = [const { Samples(Vec::new()) }; N];
    for side in &mut sides {
        side();
    }
    for round in 0..rounds {
        for turn in 0..N {
            let index = if round % 2 == 0 { turn } else { N - 1 - turn };
            all[index].0.push(sides[index]());
        }
    }
    all
}

/// The median of what `count` calls take, in seconds.
pub fn median_latency(count: usize, mut call: impl FnMut()) -> f64 {
    let time = |()| {
        let started = Instant::now();
        call();
        started.elapsed().as_secs_f64()
    };
    Samples(std::iter::repeat_n((), count).map(time).collect()).median()
}

impl Samples {
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which this part of the samples lies.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("something was measured");
        #[expect(clippy::cast_sign_loss, reason = "a part of a length")]
        let index = (last as f64 * part).round() as usize;
        sorted[index]
    }

    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The median, and how far the extremes lie from it, so that noise can be seen.
    fn show(&self, unit: Unit) -> String {
        let (median, low, high) = (self.median(), self.quantile(0.0), self.max());
        if self.0.len() == 1 || median == 0.0 {
            return unit.show(median);
        }
        let percent = |value: f64| (value / median - 1.0) * 100.0;
        format!("{} ({:+.0} {:+.0} %)", unit.show(median), percent(low), percent(high))
    }
}

impl From<f64> for Samples {
    fn from(value: f64) -> Samples {
        Samples(vec![value])
    }
}

impl From<Duration> for Samples {
    fn from(value: Duration) -> Samples {
        Samples(vec![value.as_secs_f64()])
    }
}

impl Unit {
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", thousands(value)),
            Unit::Time if value < 0.001 => format!("{:.0} µs", value * 1e6),
            Unit::Time if value < 1.0 => format!("{:.2} ms", value * 1e3),
            Unit::Time => format!("{value:.2} s"),
            Unit::Throughput => format!("{} MiB/s", thousands(value / f64::from(1 << 20))),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::Count(of) if value.fract() == 0.0 => format!("{} {of}", thousands(value)),
            Unit::Count(of) => format!("{value:.3} {of}"),
        }
    }
}

/// `12,345`
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Target {
    fn verdict(self, value: f64) -> &'static str {
        let met = match self {
            Target::AtLeast(limit) => value >= limit,
            Target::AtMost(limit) => value <= limit,
            Target::Below(limit) => value < limit,
            Target::None => return "",
        };
        if met { "met" } else { "MISSED" }
    }

    fn show(self, show: impl Fn(f64) -> String) -> String {
        match self {
            Target::AtLeast(limit) => format!(">= {}", show(limit)),
            Target::AtMost(limit) => format!("<= {}", show(limit)),
            Target::Below(limit) => format!("< {}", show(limit)),
            Target::None => String::new(),
        }
    }
}

impl Row {
    /// Baton beside its floor; the target is one for Baton's number divided by the floor's.
    pub fn compared(work: &str, unit: Unit, baton: &Samples, floor: &Samples, target: Target) -> Row {
        let ratio = baton.median() / floor.median();
        Row {
            work: work.to_owned(),
            baton: baton.show(unit),
            floor: floor.show(unit),
            ratio: format!("{ratio:.3}"),
            target: target.show(|limit| limit.to_string()),
            verdict: target.verdict(ratio).to_owned(),
            notes: Vec::new(),
        }
    }

    /// Baton alone, with a target for its number.
    pub fn alone(work: &str, unit: Unit, baton: impl Into<Samples>, target: Target) -> Row {
        let baton = baton.into();
        Row {
            work: work.to_owned(),
            baton: baton.show(unit),
            floor: String::new(),
            ratio: String::new(),
            target: target.show(|limit| unit.show(limit)),
            verdict: target.verdict(baton.median()).to_owned(),
            notes: Vec::new(),
        }
    }

    /// Not measured, and why.
    pub fn skipped(work: &str, why: &str) -> Row {
        Row { verdict: format!("skipped: {why}"), ..Row::empty(work) }
    }

    /// Something went wrong; the panic's message has said what.
    pub fn failed(work: &str) -> Row {
        Row { verdict: "FAILED, see above".to_owned(), ..Row::empty(work) }
    }

    fn empty(work: &str) -> Row {
        let none = String::new;
        let (baton, floor, ratio, target, verdict) = (none(), none(), none(), none(), none());
        Row { work: work.to_owned(), baton, floor, ratio, target, verdict, notes: Vec::new() }
    }

    /// The same with a note.
    pub fn note(mut self, note: impl Into<String>) -> Row {
        self.notes.push(note.into());
        self
    }

    /// Says it at once, before the table is complete.
    pub fn tell(&self) {
        eprintln!("  {self}");
        self.notes.iter().for_each(|note| eprintln!("    {note}"));
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { work, baton, floor, ratio, target, verdict, .. } = self;
        write!(f, "| {work} | {baton} | {floor} | {ratio} | {target} | {verdict} |")
    }
}

/// The table in Markdown, and what it was measured on. Numbers are medians; in brackets, how far the least and the greatest round lie from them.
/// `sync_latency`: what a small durable write takes on its disk, in seconds.
pub fn print_table(rows: &[Row], sync_latency: f64) {
    println!("| work | baton | floor | ratio | target | verdict |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| println!("{row}"));
    println!();
    for row in rows {
        row.notes.iter().for_each(|note| println!("* {}: {note}", row.work));
    }
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let sync = Unit::Time.show(sync_latency);
    println!("* measured on {processors} processors and a disk where 4 KiB and an fdatasync take {sync}");
}
