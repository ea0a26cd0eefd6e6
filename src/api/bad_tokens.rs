//! Calls of programs without a token that is good for them: all are counted, and the log has a line a minute.
//!
//! What must stay true: nobody is held up or refused for others' wrong tokens, and the log has none of them.

use super::seldom::Seldom;
use crate::metrics::Counter;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How many there were.
#[derive(Default)]
pub struct BadTokens {
    all: Counter,
    /// Those that the log knows of.
    told: AtomicU64,
    line: Seldom,
}

impl BadTokens {
    /// One more, from there.
    pub fn note(&self, peer: Option<IpAddr>) {
        if let Some(line) = self.line_of(peer, Instant::now()) {
            log::warn!("{line}");
        }
    }

    /// How many there were since the server began.
    pub fn count(&self) -> u64 {
        self.all.get()
    }

    /// Counts one, and says what the log is told of it.
    fn line_of(&self, peer: Option<IpAddr>, now: Instant) -> Option<String> {
        self.all.increment();
        if !self.line.is_due(now) {
            return None;
        }
        let all = self.all.get();
        let new = all.saturating_sub(self.told.swap(all, Ordering::Relaxed));
        let calls = if new == 1 { "a call of a program".to_owned() } else { format!("{new} calls of programs") };
        let from = peer.map_or_else(|| "an unknown address".to_owned(), |peer| peer.to_string());
        Some(format!(
            "{calls} without a token that is good for it since the last such line, the last from {from}; \
             `baton token list` shows those that are"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_log_has_a_line_a_minute_with_their_number_and_the_last_ones_address() {
        let (bad, start, peer) = (BadTokens::default(), Instant::now(), "192.0.2.7".parse().ok());
        let line = |s: u64| bad.line_of(peer, start + Duration::from_secs(s));
        let first = line(0).unwrap();
        assert!(first.starts_with("a call of a program without") && first.contains("from 192.0.2.7;"), "{first}");
        assert_eq!([line(1), line(59)], [None, None]);
        let next = line(60).unwrap();
        assert!(next.starts_with("3 calls of programs without"), "{next}");
        assert_eq!(bad.count(), 4);
    }
}
