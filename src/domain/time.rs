//! Points in time, as an argument: nothing below the edge asks the clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system's clock. Only the edges (HTTP, command line, timer) call this.
    #[must_use]
    pub fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// A time as ISO 8601 has it: a day, or a day and a time of it, with or without fractions of a second, in UTC or with an
    /// offset. `None`: it is none, or before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Timestamp> {
        // A `+` of a query string that nobody has encoded is a blank.
        let text = text.trim().replace(' ', "+");
        let (day, rest) = text.split_once('T').map_or((text.as_str(), "00:00:00Z"), |(day, rest)| (day, rest));
        let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(at)?;
        let utc = humantime::parse_rfc3339(&format!("{day}T{clock}Z")).ok()?;
        let ms = i64::try_from(utc.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
        let offset_ms = match zone.split_at_checked(1) {
            None | Some(("Z" | "z", "")) => 0,
            Some((sign @ ("+" | "-"), offset)) => {
                let digits: String = offset.chars().filter(|c| *c != ':').collect();
                let (hours, minutes) = digits.split_at_checked(2).filter(|_| digits.len() == 4)?;
                let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
                if sign == "+" { minutes * 60_000 } else { -minutes * 60_000 }
            }
            Some(_) => return None,
        };
        Some(Timestamp(ms - offset_ms))
    }

    /// This time plus `duration`, at the latest the end of representable time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Timestamp {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }

    /// This time less `duration`, at the earliest the begin of representable time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Timestamp {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(ms))
    }

    /// RFC 3339 in UTC without fractions, as in `2026-01-02T03:04:05Z`.
    #[must_use]
    pub fn to_the_second(self) -> String {
        let text = self.to_string();
        text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{whole}Z"))
    }

    /// How long before this time `earlier` was; zero if it was not earlier.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with milliseconds, as in `2026-01-02T03:04:05.678Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last moment of the year 9999: the formatter refuses years of five digits.
        let ms = u64::try_from(self.0).unwrap_or(0).min(253_402_300_799_999);
        let time = UNIX_EPOCH + Duration::from_millis(ms);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_rfc3339_utc() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_000_000_000_123).to_string(), "2001-09-09T01:46:40.123Z");
        assert_eq!(Timestamp(1_000_000_000_999).to_the_second(), "2001-09-09T01:46:40Z");
        assert_eq!(Timestamp(-5).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn times_are_read_as_clients_write_them() {
        for (text, ms) in [
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T00:00:01.250Z", Some(1250)),
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1970-01-01T02:00:00 0200", Some(0)),
            ("1970-01-01T00:00:00-01:30", Some(5_400_000)),
            ("1970-01-01T00:00:05", Some(5000)),
            ("yesterday", None),
            ("1970-13-01", None),
            ("1970-01-01T00:00:00+2", None),
            ("1970-01-01T00:00:00+é0", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::parse(text).map(|at| at.0), ms, "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(5).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(-5).minus(Duration::MAX), Timestamp(i64::MIN));
        assert_eq!(Timestamp(5).minus(Duration::from_millis(2)), Timestamp(3));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Duration::from_millis(4));
    }
}
