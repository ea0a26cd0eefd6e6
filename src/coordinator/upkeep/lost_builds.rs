//! What must happen without anybody asking: builds whose runners are gone end, expired artifacts go.

use crate::coordinator::Coordinator;
use crate::coordinator::builds::finish::finish;
use crate::domain::build::{FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::Limits;
use crate::store::builds::{self, BuildState, Running};
use crate::store::{artifacts, settings, silence, traces};
use crate::sync::lock;
use rusqlite::Connection;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A canceled build's runner stops reporting within seconds; its token stays readable for this, to mask its
/// last words.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A runner that is told to stop a script runs what comes after it for five minutes at most, and uploads what there is.
const CANCELING_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Clocks that differ by less over one look were not set: they only tick unevenly.
const JUMP_MIN: Duration = Duration::from_millis(500);
/// A server that looks each second and did not for longer was not there to hear anybody: more does not count as time.
const LIVED_PER_LOOK_MAX: Duration = Duration::from_secs(15);

/// When the clock was looked at last: the one that can be set, and the one that cannot.
#[derive(Default)]
pub struct Looked(Mutex<Option<(Timestamp, Instant)>>);

/// That the clock was set, or that time passed in which nobody lived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Jump {
    /// By so much later the clock shows, in milliseconds.
    ms: i64,
    /// It came within so much time before now.
    within: Duration,
}

impl Looked {
    /// What has happened to the clock since the last look, of which this is the next.
    fn jump(&self, now: Timestamp, at: Instant) -> Option<Jump> {
        let last = lock(&self.0).replace((now, at));
        let (then, begun) = last?;
        let within = at.saturating_duration_since(begun).min(LIVED_PER_LOOK_MAX);
        let ms = now.0.saturating_sub(then.plus(within).0);
        (u128::from(ms.unsigned_abs()) >= JUMP_MIN.as_millis()).then_some(Jump { ms, within })
    }
}

/// What a sweep did.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Builds that failed since their runner was silent.
    pub runner_lost: usize,
    /// Builds that failed since they ran too long.
    pub timed_out: usize,
    /// Builds that ended as somebody had asked before, without a word of their runners.
    pub canceled: usize,
    /// Builds that wait again, since nothing was heard of them.
    pub given_back: usize,
    /// Artifacts that were removed since they had expired.
    pub expired: usize,
}

impl Coordinator {
    /// Notices that the clock was set, or that the machine slept, and moves with it what silence and deadlines are
    /// counted from: neither makes a runner's silence longer or shorter. `at` is the same moment by a clock that cannot
    /// be set and stands still while the machine sleeps. To be called each second, and before each
    /// [`Coordinator::sweep`].
    pub fn notice_absence(&self, now: Timestamp, at: Instant) -> Result<()> {
        let Some(Jump { ms, within }) = self.looked.jump(now, at) else { return Ok(()) };
        let by = Duration::from_millis(ms.unsigned_abs());
        let what =
            if ms > 0 { "the clock was set forward, or nothing was done, by" } else { "the clock was set back by" };
        log::warn!("{what} {by:?}: that does not count for or against runners");
        let grace = self.limits().timeout_grace;
        self.store.write(move |c| {
            silence::move_times(c, ms, now.minus(within), now, grace)?;
            settings::set_alive_at(c, now)
        })
    }

    /// Ends builds whose runner is lost or that ran too long, and removes expired artifacts.
    pub fn sweep(&self, now: Timestamp) -> Result<Swept> {
        let mut swept = Swept::default();
        let verdict = |running: &Running| verdict(running, self.limits(), now);
        let running = self.store.read(builds::running)?;
        self.maskers.retain(&running.iter().map(|running| running.id).collect());
        let late = running.into_iter().filter_map(|running| Some((running.id, verdict(&running)?)));
        for (id, verdict) in late {
            let done = self.store.write(move |c| match builds::state(c, id)? {
                Some(build) if build.status == Status::Running => verdict.carry_out(c, &build, now),
                _ => Ok(false),
            })?;
            if done {
                log::warn!("build {id} {verdict}");
                *verdict.count(&mut swept) += 1;
            }
        }
        let forget_before = now.minus(LAST_WORDS_TIME_MAX);
        let files = self.store.write(move |c| {
            // The carries first: by the tokens it is known whose they are.
            traces::forget_carries(c, forget_before)?;
            builds::forget_tokens(c, forget_before)?;
            let mut files = Vec::new();
            for (id, kind) in artifacts::expired(c, now)? {
                files.extend(artifacts::remove(c, id, &kind)?);
            }
            Ok(files)
        })?;
        swept.expired = files.len();
        self.artifacts.remove(&files);
        Ok(swept)
    }
}

/// When a build that its runner does not end is given up.
pub(super) fn deadline(build: &Running, grace: Duration) -> Timestamp {
    let timeout = Duration::from_secs(u64::try_from(build.timeout_s).unwrap_or(0));
    build.deadline_at.unwrap_or_else(|| build.started_at.plus(timeout).plus(grace))
}

/// What becomes of a running build by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Fails(FailureReason),
    /// It was to end, and its runner does not say that it has.
    Canceled,
    /// Nobody has heard that it is whose it is.
    GivenBack,
}

impl Verdict {
    /// Returns whether it still holds.
    fn carry_out(self, c: &Connection, build: &BuildState, now: Timestamp) -> Result<bool> {
        match self {
            Verdict::Fails(reason) => finish(c, build, Status::Failed, Some(reason), now).map(|()| true),
            Verdict::Canceled => finish(c, build, Status::Canceled, None, now).map(|()| true),
            Verdict::GivenBack if !build.is_unheard => Ok(false),
            Verdict::GivenBack => match build.token_hash {
                Some(hash) => builds::give_back(c, build.id, hash),
                None => Ok(false),
            },
        }
    }

    fn count(self, swept: &mut Swept) -> &mut usize {
        match self {
            Verdict::Fails(FailureReason::TimedOut) => &mut swept.timed_out,
            Verdict::Fails(_) => &mut swept.runner_lost,
            Verdict::Canceled => &mut swept.canceled,
            Verdict::GivenBack => &mut swept.given_back,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Fails(reason) => write!(f, "failed: {}", reason.as_str()),
            Verdict::Canceled => f.write_str("is canceled: its runner did not bring it to an end in time"),
            Verdict::GivenBack => f.write_str("waits again: nothing was heard of it since its runner got it"),
        }
    }
}

/// What must become of a running build by `now`, if anything.
fn verdict(build: &Running, limits: &Limits, now: Timestamp) -> Option<Verdict> {
    let is_late = now > deadline(build, limits.timeout_grace);
    // The stored time is up to a step older than the last call.
    let is_silent = now.since(build.seen_at) > limits.runner_timeout + limits.seen_step();
    match build.canceling_at {
        Some(at) if is_late || is_silent || now.since(at) > CANCELING_TIME_MAX => return Some(Verdict::Canceled),
        Some(_) => return None,
        None => {}
    }
    if is_late {
        return Some(Verdict::Fails(FailureReason::TimedOut));
    }
    if build.unheard_until.is_some_and(|until| now > until) {
        return Some(Verdict::GivenBack);
    }
    is_silent.then_some(Verdict::Fails(FailureReason::RunnerLost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::build::BuildId;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_ticks_and_from_time_that_was_lived() {
        let begun = Instant::now();
        for (lived_ms, shown_ms, expected) in [
            (1000, 1000, None),
            (1000, 1400, None),
            (1000, 61_000, Some((60_000, 1000))),
            (1000, -86_400_000, Some((-86_401_000, 1000))),
            // The process was stopped, and time went on.
            (3_600_000, 3_600_000, Some((3_585_000, 15_000))),
        ] {
            let looked = Looked::default();
            assert_eq!(looked.jump(Timestamp(0), begun), None);
            let got = looked.jump(Timestamp(shown_ms), begun + Duration::from_millis(lived_ms));
            let expected = expected.map(|(ms, within)| Jump { ms, within: Duration::from_millis(within) });
            assert_eq!(got, expected, "{lived_ms} {shown_ms}");
        }
    }

    #[test]
    fn silent_and_late_builds_are_given_up_but_not_for_our_own_absence() {
        let (lost, timed_out) = (Verdict::Fails(FailureReason::RunnerLost), Verdict::Fails(FailureReason::TimedOut));
        let limits = Limits {
            runner_timeout: Duration::from_secs(100),
            timeout_grace: Duration::from_secs(50),
            ..Limits::default()
        };
        for (seen_s, timeout_s, deadline_s, now_s, expected) in [
            (0, 1000, None, 100, None),
            (0, 1000, None, 110, None),
            (0, 1000, None, 111, Some(lost)),
            (90, 1000, None, 111, None),
            (140, 100, None, 150, None),
            (140, 100, None, 151, Some(timed_out)),
            // The deadline passed while nobody listened, and was put off.
            (990, 100, Some(1050), 1001, None),
            (1040, 100, Some(1050), 1050, None),
            (1050, 100, Some(1050), 1051, Some(timed_out)),
        ] {
            let build = Running {
                id: BuildId(1),
                started_at: Timestamp(0),
                seen_at: Timestamp(seen_s * 1000),
                timeout_s,
                manager_id: None,
                deadline_at: deadline_s.map(|s: i64| Timestamp(s * 1000)),
                runner_id: None,
                canceling_at: None,
                unheard_until: None,
            };
            let got = verdict(&build, &limits, Timestamp(now_s * 1000));
            assert_eq!(got, expected, "seen {seen_s}, timeout {timeout_s}, now {now_s}");
        }
    }

    #[test]
    fn what_is_to_end_ends_and_what_nobody_has_heard_of_waits_again() {
        let limits = Limits { runner_timeout: Duration::from_secs(3600), ..Limits::default() };
        let minute = |minute: i64| Timestamp(minute * 60_000);
        for (canceling, unheard, now, expected) in [
            (Some(1), None, 15, None),
            (Some(1), None, 17, Some(Verdict::Canceled)),
            (None, Some(1), 1, None),
            (None, Some(1), 2, Some(Verdict::GivenBack)),
            (Some(1), Some(1), 2, None),
            (Some(99), None, 101, Some(Verdict::Canceled)),
        ] {
            let build = Running {
                id: BuildId(1),
                started_at: minute(0),
                seen_at: minute(now - 1),
                timeout_s: 6000 - 600,
                manager_id: None,
                deadline_at: None,
                runner_id: None,
                canceling_at: canceling.map(minute),
                unheard_until: unheard.map(minute),
            };
            let got = verdict(&build, &limits, minute(now));
            assert_eq!(got, expected, "{canceling:?} {unheard:?} {now}");
        }
    }
}
