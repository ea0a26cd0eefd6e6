//! What a log must be that arrived whole: its bytes and their checksum, as runners from 13.4 on tell them with a job's end.
//!
//! What must stay true: both are of the bytes that the runner sent, before anything of them was masked.

use std::fmt;

/// Bytes and checksum of a log, as far as they are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSum {
    /// CRC-32, as in IEEE 802.3.
    pub crc32: Option<u32>,
    /// Bytes.
    pub bytes: Option<u64>,
}

impl LogSum {
    /// What a runner says, in its words: `crc32:1a2b3c4d` and a number. `None`: nothing that is understood.
    #[must_use]
    pub fn said(checksum: Option<&str>, bytes: Option<&str>) -> Option<LogSum> {
        let hex = checksum.and_then(|text| text.trim().strip_prefix("crc32:")).filter(|hex| is_hex(hex));
        let crc32 = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let bytes = bytes.and_then(|text| text.trim().parse().ok());
        (crc32.is_some() || bytes.is_some()).then_some(LogSum { crc32, bytes })
    }
}

/// `from_str_radix` takes a sign, too.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for LogSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "{bytes} bytes")?,
            None => f.write_str("an unknown number of bytes")?,
        }
        self.crc32.map_or(Ok(()), |crc32| write!(f, " with crc32:{crc32:08x}"))
    }
}

/// What a runner says that it sent, beside what has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogCheck {
    /// What it says.
    pub said: LogSum,
    /// What has arrived.
    pub received: LogSum,
}

/// What comes of such a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogVerdict {
    /// They are the same.
    Same,
    /// They are not.
    Different,
    /// Of one of them the checksum is not known.
    Unknown,
}

impl LogVerdict {
    /// Every verdict.
    pub const ALL: [LogVerdict; 3] = [LogVerdict::Same, LogVerdict::Different, LogVerdict::Unknown];

    /// Its word in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogVerdict::Same => "same",
            LogVerdict::Different => "different",
            LogVerdict::Unknown => "unknown",
        }
    }
}

impl LogCheck {
    /// What comes of it.
    #[must_use]
    pub fn verdict(&self) -> LogVerdict {
        let (said, received) = (self.said, self.received);
        let differ = |pair: (Option<u64>, Option<u64>)| matches!(pair, (Some(one), Some(other)) if one != other);
        let crc32s = (said.crc32.map(u64::from), received.crc32.map(u64::from));
        if differ((said.bytes, received.bytes)) || differ(crc32s) {
            return LogVerdict::Different;
        }
        if crc32s.0.is_none() || crc32s.1.is_none() { LogVerdict::Unknown } else { LogVerdict::Same }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(crc32: Option<u32>, bytes: Option<u64>) -> LogSum {
        LogSum { crc32, bytes }
    }

    #[test]
    fn what_runners_say_is_understood_and_nothing_else_is() {
        let both = sum(Some(0x1a2b_3c4d), Some(2048));
        assert_eq!(LogSum::said(Some("crc32:1a2b3c4d"), Some("2048")), Some(both));
        assert_eq!(LogSum::said(Some("crc32:1A2B3C4D "), Some(" 2048")), Some(both));
        assert_eq!(LogSum::said(Some("crc32:0000000f"), None), Some(sum(Some(15), None)));
        assert_eq!(LogSum::said(None, Some("0")), Some(sum(None, Some(0))));
        for (checksum, bytes) in [
            (None, None),
            (Some("1a2b3c4d"), Some("")),
            (Some("md5:1a2b3c4d"), Some("-1")),
            (Some("crc32:+a2b3c4d"), Some("2k")),
            (Some("crc32:11a2b3c4d"), None),
            (Some("crc32:"), Some("99999999999999999999999")),
        ] {
            assert_eq!(LogSum::said(checksum, bytes), None, "{checksum:?} {bytes:?}");
        }
        assert_eq!(both.to_string(), "2048 bytes with crc32:1a2b3c4d");
    }

    #[test]
    fn what_is_known_of_both_decides() {
        let received = sum(Some(7), Some(10));
        for (said, verdict) in [
            (sum(Some(7), Some(10)), LogVerdict::Same),
            (sum(Some(7), None), LogVerdict::Same),
            (sum(Some(8), Some(10)), LogVerdict::Different),
            (sum(Some(7), Some(11)), LogVerdict::Different),
            (sum(None, Some(11)), LogVerdict::Different),
            (sum(None, Some(10)), LogVerdict::Unknown),
        ] {
            assert_eq!(LogCheck { said, received }.verdict(), verdict, "{said}");
        }
        let unknown = LogCheck { said: sum(Some(7), Some(10)), received: sum(None, Some(10)) };
        assert_eq!(unknown.verdict(), LogVerdict::Unknown);
    }
}
