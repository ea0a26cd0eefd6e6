//! What a record of the log looks like: a line for people, or a JSON object for machines.
//!
//! What must stay true: a record is one line, and no character in it moves a terminal's cursor, whatever a client has
//! put into it.

use crate::domain::text::foreign::is_dangerous;
use crate::domain::time::Timestamp;
use crate::http::record::TARGET;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};
use std::fmt::{self, Write};

/// A line for people: time, level, message, fields. Of a request, the fields come first and in columns.
pub fn text(now: Timestamp, record: &Record<'_>, colours: bool) -> String {
    let mut line = String::with_capacity(160);
    let paint = if colours { paint } else { plain };
    let level = match record.level() {
        Level::Error => "31",
        Level::Warn => "33",
        Level::Info => "32",
        Level::Debug => "34",
        Level::Trace => "2",
    };
    write(&mut line, format_args!("{} {}", paint("2", &now), paint(level, &format_args!("{:5}", record.level()))));
    if record.target() != TARGET {
        line.push(' ');
        write(&mut Clean(&mut line), *record.args());
    }
    // Ours never fails.
    let _ = record.key_values().visit(&mut TextFields { line: &mut line, paint });
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// One JSON object: `time`, `level`, `message`, and the fields.
pub fn json(now: Timestamp, record: &Record<'_>) -> String {
    let mut line = String::with_capacity(256);
    let level = record.level().as_str().to_ascii_lowercase();
    write(&mut line, format_args!("{{\"time\":\"{now}\",\"level\":\"{level}\",\"message\":\""));
    write(&mut Quoted(&mut line), *record.args());
    line.push('"');
    // Ours never fails.
    let _ = record.key_values().visit(&mut JsonFields(&mut line));
    line.push_str("}\n");
    line
}

type Painted<'a> = (&'a str, &'a dyn fmt::Display, &'a str);

struct Paint<'a>(Painted<'a>);

impl fmt::Display for Paint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (colour, what, end) = self.0;
        if end.is_empty() { what.fmt(f) } else { write!(f, "\x1b[{colour}m{what}{end}") }
    }
}

fn paint<'a>(colour: &'a str, what: &'a dyn fmt::Display) -> Paint<'a> {
    Paint((colour, what, "\x1b[0m"))
}

fn plain<'a>(colour: &'a str, what: &'a dyn fmt::Display) -> Paint<'a> {
    Paint((colour, what, ""))
}

struct TextFields<'a> {
    line: &'a mut String,
    paint: for<'b> fn(&'b str, &'b dyn fmt::Display) -> Paint<'b>,
}

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.line.push(' ');
        match key.as_str() {
            "method" => write(self.line, format_args!("{value:6}")),
            "status" => {
                let colour = match value.to_u64().unwrap_or_default() {
                    500.. => "31",
                    400.. => "33",
                    300.. => "36",
                    _ => "32",
                };
                write(self.line, format_args!("{}", (self.paint)(colour, &value)));
            }
            "duration_ms" => write(self.line, format_args!("{:>8}", duration(value.to_f64().unwrap_or_default()))),
            "route" => write(self.line, format_args!("{value:30}")),
            key => {
                write(self.line, format_args!("{key}="));
                match value.to_borrowed_str().filter(|text| text.contains([' ', '"']) || text.is_empty()) {
                    Some(_) => {
                        self.line.push('"');
                        write(&mut Quoted(self.line), format_args!("{value}"));
                        self.line.push('"');
                    }
                    None => write(&mut Clean(self.line), format_args!("{value}")),
                }
            }
        }
        Ok(())
    }
}

/// Three or four digits, and a unit.
fn duration(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2}ms"),
        ..1000.0 => format!("{ms:.0}ms"),
        _ => format!("{:.1}s", ms / 1000.0),
    }
}

struct JsonFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        write(self.0, format_args!(",\"{key}\":"));
        let is_number = value.to_i64().is_some() || value.to_u64().is_some();
        if is_number || value.to_f64().is_some_and(f64::is_finite) || value.to_bool().is_some() {
            write(self.0, format_args!("{value}"));
        } else {
            self.0.push('"');
            write(&mut Quoted(self.0), format_args!("{value}"));
            self.0.push('"');
        }
        Ok(())
    }
}

/// Writes dangerous characters as in Rust.
struct Clean<'a>(&'a mut String);

impl Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|c| if is_dangerous(c) { self.0.extend(c.escape_default()) } else { self.0.push(c) });
        Ok(())
    }
}

/// Writes the inside of a JSON string. Dangerous characters, all of them in the first plane, go by number.
struct Quoted<'a>(&'a mut String);

impl Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            '\n' => self.0.write_str("\\n"),
            c if is_dangerous(c) => write!(self.0, "\\u{:04x}", u32::from(c)),
            c => self.0.write_char(c),
        })
    }
}

/// Writing to a string cannot fail.
fn write(to: &mut dyn Write, what: fmt::Arguments<'_>) {
    let _ = to.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::kv::Source;

    fn with<T>(
        level: Level,
        target: &str,
        message: &str,
        fields: &dyn Source,
        look: impl FnOnce(&Record<'_>) -> T,
    ) -> T {
        look(&Record::builder().level(level).target(target).args(format_args!("{message}")).key_values(&fields).build())
    }

    const EVIL: &str = "a \"b\" \\ \n\r\x1b[2J\u{9b}\u{202e}\u{2028}";

    #[test]
    fn a_line_says_time_level_message_and_fields_without_colours_or_with_them() {
        let fields: &[(&str, i64)] = &[("n", 3)];
        let line = |colours| with(Level::Warn, "x", "careful", &fields, |record| text(Timestamp(0), record, colours));
        assert_eq!(line(false), "1970-01-01T00:00:00.000Z WARN  careful n=3\n");
        assert_eq!(line(true), "\x1b[2m1970-01-01T00:00:00.000Z\x1b[0m \x1b[33mWARN \x1b[0m careful n=3\n");
    }

    #[test]
    fn a_record_is_one_line_that_moves_no_cursor_whatever_is_in_it() {
        let fields: &[(&str, &str)] = &[("e", EVIL)];
        let line = with(Level::Info, "x", EVIL, &fields, |record| text(Timestamp(0), record, false));
        assert!(!line.trim_end_matches('\n').chars().any(is_dangerous), "{line:?}");
        assert!(line.contains(r#"a "b" \ \n\r\u{1b}[2J\u{9b}"#), "{line}");
        assert!(line.ends_with("\\u202e\\u2028\"\n"), "{line}");
        let object = with(Level::Info, "x", EVIL, &fields, |record| json(Timestamp(0), record));
        assert!(!object.trim_end_matches('\n').chars().any(is_dangerous), "{object:?}");
        let parsed: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!((parsed["message"].as_str(), parsed["e"].as_str()), (Some(EVIL), Some(EVIL)));
    }

    #[test]
    fn numbers_and_switches_are_such_in_json() {
        let fields: &[(&str, Value<'_>)] =
            &[("a", Value::from(-1)), ("b", Value::from(0.25)), ("c", Value::from(true)), ("d", Value::from("7"))];
        let object = with(Level::Error, "x", "m", &fields, |record| json(Timestamp(0), record));
        let expected =
            r#"{"time":"1970-01-01T00:00:00.000Z","level":"error","message":"m","a":-1,"b":0.25,"c":true,"d":"7"}"#;
        assert_eq!(object, format!("{expected}\n"));
    }

    #[test]
    fn a_request_is_in_columns() {
        let fields: &[(&str, Value<'_>)] = &[
            ("method", Value::from("PUT")),
            ("status", Value::from(404)),
            ("duration_ms", Value::from(1.234)),
            ("route", Value::from("/builds/:id")),
            ("build", Value::from(7)),
            ("error", Value::from("no \"such\"")),
        ];
        let line =
            |colours| with(Level::Info, TARGET, "request", &fields, |record| text(Timestamp(0), record, colours));
        let expected = format!(
            "1970-01-01T00:00:00.000Z INFO  PUT    404   1.23ms {:30} build=7 error=\"no \\\"such\\\"\"\n",
            "/builds/:id"
        );
        assert_eq!(line(false), expected);
        assert!(line(true).contains("\x1b[33m404\x1b[0m"));
        for (ms, text) in [(0.05, "0.05ms"), (9.99, "9.99ms"), (10.0, "10ms"), (999.0, "999ms"), (30_000.0, "30.0s")] {
            assert_eq!(duration(ms), text);
        }
    }
}
