//! Tells the server of a job: its log while it runs, signs of life, and how it has ended.
//!
//! What must stay true: the server's bytes are the log's, in order, once: where they go on is the server's to say. A
//! lost answer loses nothing. What the server wants of the job is noted from every answer.

use super::client::{Answer, Client, End, Wish};
use super::log::Log;
use super::orders::{Ending, Stop, Wishes};
use super::stages::Verdict;
use crate::domain::token::Token;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the log that are sent at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Between two pieces, until the server says otherwise.
const INTERVAL: Duration = Duration::from_secs(3);
/// Without anything to say for so long, the runner says that the job runs.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Between two tries, doubling.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often the end of a log, and of a job, are told in vain.
const TRIES_MAX: u32 = 10;
/// How often the server may ask for the whole log again.
const REPEATS_MAX: u32 = 3;
/// When the server says nothing else, after a "not yet".
const NOT_YET: Duration = Duration::from_secs(3);

/// Tells of one job.
pub struct Reporter {
    /// Who is told.
    pub client: Arc<Client>,
    /// Of which job.
    pub id: u64,
    /// What shows that we may.
    pub token: Token,
    /// What is told.
    pub log: Arc<Log>,
    /// Where the server's wishes go.
    pub wishes: Arc<Wishes>,
    /// Whether there is no more time to try again.
    pub stop: Stop,
    /// Between two pieces; as the server says, if it is not said here.
    pub interval: Option<Duration>,
}

impl Reporter {
    /// Sends the log until it is over. To be called in a thread of its own.
    pub fn follow(&self) {
        let mut sent = 0;
        let mut interval = self.interval.unwrap_or(INTERVAL);
        let mut told_at = Instant::now();
        let mut failures = 0;
        loop {
            let is_over = self.log.wait(sent, SILENCE_MAX.saturating_sub(told_at.elapsed()));
            let answer = if self.log.bytes() > sent {
                self.send(&mut sent)
            } else if is_over {
                return;
            } else if told_at.elapsed() >= SILENCE_MAX {
                self.client.running(self.id, &self.token)
            } else {
                continue;
            };
            told_at = Instant::now();
            match answer {
                Ok(answer) => {
                    self.wishes.note(answer.wish);
                    let is_good = matches!(answer.status, 200 | 202 | 416);
                    failures = if is_good { 0 } else { failures + 1 };
                    if is_over && (answer.wish == Wish::Abort || answer.status == 404) {
                        // Nobody wants the rest.
                        return;
                    }
                    let said = answer.interval.filter(|time| !time.is_zero());
                    interval = self.interval.or(said).unwrap_or(interval);
                }
                Err(_) => failures += 1,
            }
            if is_over && (failures >= TRIES_MAX || failures > 0 && self.stop.ending() == Ending::Kill) {
                return;
            }
            let pause = if failures > 0 { pause(failures) } else { interval };
            if is_over && failures > 0 {
                self.sleep(pause);
            } else if !is_over {
                // Wakes up early only at the end.
                let _ = self.log.wait(u64::MAX, pause);
            }
        }
    }

    /// Sends the next piece.
    fn send(&self, sent: &mut u64) -> io::Result<Answer> {
        let piece = self.log.read(*sent, PIECE_BYTES)?;
        let answer = self.client.patch(self.id, &self.token, *sent, &piece)?;
        match (answer.status, answer.range_end) {
            (202, _) => *sent += piece.len() as u64,
            (416, Some(end)) => *sent = end.min(self.log.bytes()),
            _ => {}
        }
        Ok(answer)
    }

    /// Says how the job has ended, until the server knows it or does not want to.
    pub fn end(&self, verdict: &Verdict) {
        let (mut failures, mut repeats) = (0, 0);
        loop {
            let checksum = self.log.checksum();
            let Verdict { state, reason, exit_code, .. } = *verdict;
            match self.client.ended(self.id, &self.token, &End { state, reason, exit_code, checksum }) {
                Ok(answer) if answer.wish == Wish::Abort => return,
                Ok(answer) => match answer.status {
                    200 | 403 | 404 => return,
                    202 => self.sleep(answer.interval.unwrap_or(NOT_YET)),
                    412 if repeats < REPEATS_MAX => {
                        repeats += 1;
                        self.follow();
                    }
                    _ => failures += 1,
                },
                Err(_) => failures += 1,
            }
            if failures >= TRIES_MAX || self.stop.ending() == Ending::Kill {
                log::warn!(job = self.id; "the server was not told how the job has ended");
                return;
            }
            if failures > 0 {
                self.sleep(pause(failures));
            }
        }
    }

    /// Sleeps, but not when the runner is killed.
    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && self.stop.ending() < Ending::Kill {
            thread::sleep(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// The pause after so many failures in a row.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    (PAUSE_MIN * 2_u32.pow(failures.saturating_sub(1).min(8))).min(PAUSE_MAX)
}
