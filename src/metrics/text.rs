//! Prometheus' text format, version 0.0.4.
//!
//! What must stay true: a family's lines stand together, below its HELP and TYPE; whatever is in a label or a help
//! text ends neither its quotes nor its line.

use super::Distribution;
use std::fmt::{self, Write};

/// What a number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are distributed.
    Histogram,
}

/// A text of metrics, as it grows.
#[derive(Default)]
pub struct Text(String);

/// A metric, to which samples are added.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

/// Names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// What the format calls itself in HTTP.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric. `help` is a sentence.
    pub fn family<'a>(&'a mut self, kind: Kind, name: &'a str, help: &str) -> Family<'a> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        write(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// A metric of one number.
    pub fn number(&mut self, kind: Kind, name: &str, help: &str, value: impl fmt::Display) {
        self.family(kind, name, help).sample(&[], value);
    }

    /// A metric of one distribution.
    pub fn distribution(&mut self, name: &str, help: &str, values: &Distribution) {
        self.family(Kind::Histogram, name, help).distribution(&[], values);
    }

    /// All of it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl Family<'_> {
    /// Adds a number.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl fmt::Display) {
        self.line("", labels, None, value);
    }

    /// Adds a distribution.
    pub fn distribution(&mut self, labels: Labels<'_>, values: &Distribution) {
        let mut count = 0;
        for (bound, values) in &values.ranges {
            count += values;
            self.line("_bucket", labels, Some(*bound), count);
        }
        self.line("_sum", labels, None, values.sum);
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<f64>, value: impl fmt::Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels {
            write(self.text, format_args!("{separator}{name}=\"{}\"", Escaped(value)));
            separator = ',';
        }
        if let Some(bound) = bound {
            let bound: &dyn fmt::Display = if bound.is_infinite() { &"+Inf" } else { &bound };
            write(self.text, format_args!("{separator}le=\"{bound}\""));
            separator = ',';
        }
        write(self.text, format_args!("{} {value}\n", if separator == ',' { "}" } else { "" }));
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

/// Writing to a string cannot fail.
fn write(to: &mut String, what: fmt::Arguments<'_>) {
    let _ = to.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_labels_and_buckets_are_written_as_the_format_wants_them() {
        let mut text = Text::default();
        text.number(Kind::Gauge, "up", "One\nline, one \\.", 1);
        let mut family = text.family(Kind::Counter, "n_total", "Things.");
        family.sample(&[("a", "plain"), ("b", "a \"b\"\\\n")], 2);
        family.sample(&[], 0.25);
        let values = Distribution { ranges: vec![(0.005, 2), (1.0, 0), (f64::INFINITY, 1)], sum: 7.5 };
        text.distribution("t_seconds", "Times.", &values);
        text.family(Kind::Histogram, "l", "Labels, too.")
            .distribution(&[("x", "y")], &Distribution { ranges: vec![(f64::INFINITY, 0)], sum: 0.0 });
        let expected = "# HELP up One\\nline, one \\\\.\n# TYPE up gauge\nup 1\n\
            # HELP n_total Things.\n# TYPE n_total counter\nn_total{a=\"plain\",b=\"a \\\"b\\\"\\\\\\n\"} 2\nn_total 0.25\n\
            # HELP t_seconds Times.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"0.005\"} 2\n\
            t_seconds_bucket{le=\"1\"} 2\nt_seconds_bucket{le=\"+Inf\"} 3\nt_seconds_sum 7.5\nt_seconds_count 3\n\
            # HELP l Labels, too.\n# TYPE l histogram\nl_bucket{x=\"y\",le=\"+Inf\"} 0\nl_sum{x=\"y\"} 0\nl_count{x=\"y\"} 0\n";
        assert_eq!(String::from_utf8(text.into_bytes()).unwrap(), expected);
    }
}
