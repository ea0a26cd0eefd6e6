//! What must happen without anybody asking: builds whose runners are gone end, expired artifacts go.

use super::Coordinator;
use super::builds::finish;
use crate::domain::build::{FailureReason, Status};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::limits::Limits;
use crate::store::builds::Running;
use crate::store::{artifacts, builds, settings};
use rusqlite::Connection;
use std::time::Duration;

/// A canceled build's runner stops reporting within seconds; its token stays readable for this, to mask its
/// last words.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A server says every half minute that it lives. If it has not for so long, the machine slept, or its clock was set.
const ABSENCE_MIN: Duration = Duration::from_secs(120);

/// What a sweep did.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Builds that failed since their runner was silent.
    pub runner_lost: usize,
    /// Builds that failed since they ran too long.
    pub timed_out: usize,
    /// Artifacts that were removed since they had expired.
    pub expired: usize,
}

impl Coordinator {
    /// Readies the data for serving: removes files that a crash left behind, and forgives runners the time in
    /// which no server ran. Only before anything is received. Returns how many files it removed.
    ///
    /// # Errors
    /// The database's or the file system's.
    pub fn begin_serving(&self, now: Timestamp) -> Result<usize> {
        let orphans = self.artifacts.sweep(&self.store.read(artifacts::all_files)?)?;
        let grace = self.limits().timeout_grace;
        self.store.write(move |c| {
            forgive_absence(c, Duration::ZERO, grace, now)?;
            settings::set_alive_at(c, now)
        })?;
        Ok(orphans)
    }

    /// Says that a server serves. To be called every half minute.
    ///
    /// # Errors
    /// The database's.
    pub fn say_alive(&self, now: Timestamp) -> Result<()> {
        let grace = self.limits().timeout_grace;
        self.store.write(move |c| {
            forgive_absence(c, ABSENCE_MIN, grace, now)?;
            settings::set_alive_at(c, now)
        })
    }

    /// Forgives runners a time in which this server was there, but did not live: the machine slept, say. To be called
    /// before each [`Coordinator::sweep`].
    ///
    /// # Errors
    /// The database's.
    pub fn notice_absence(&self, now: Timestamp) -> Result<()> {
        match self.store.read(settings::alive_at)? {
            Some(from) if now.since(from) >= ABSENCE_MIN => {
                log::warn!("nothing was done since {from}: that time does not count against runners");
                self.say_alive(now)
            }
            _ => Ok(()),
        }
    }

    /// Ends builds whose runner is lost or that ran too long, and removes expired artifacts.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep(&self, now: Timestamp) -> Result<Swept> {
        let mut swept = Swept::default();
        let verdict = |running: &Running| verdict(running, self.limits(), now);
        let running = self.store.read(builds::running)?;
        self.maskers.retain(&running.iter().map(|running| running.id).collect());
        let late = running.into_iter().filter_map(|running| Some((running.id, verdict(&running)?)));
        for (id, reason) in late {
            let ended = self.store.write(move |c| match builds::state(c, id)? {
                Some(build) if build.status == Status::Running => {
                    finish(c, &build, Status::Failed, Some(reason), now).map(|()| true)
                }
                _ => Ok(false),
            })?;
            if ended {
                log::warn!("build {id} failed: {}", reason.as_str());
                let count =
                    if reason == FailureReason::TimedOut { &mut swept.timed_out } else { &mut swept.runner_lost };
                *count += 1;
            }
        }
        let forget_before = now.minus(LAST_WORDS_TIME_MAX);
        let files = self.store.write(move |c| {
            builds::forget_tokens(c, forget_before)?;
            let mut files = Vec::new();
            for id in artifacts::expired(c, now)? {
                files.extend(artifacts::remove(c, id)?);
            }
            Ok(files)
        })?;
        swept.expired = files.len();
        self.artifacts.remove(&files);
        Ok(swept)
    }
}

/// If no server has lived for `absence_min`: that time counts neither as silence nor against deadlines.
fn forgive_absence(c: &Connection, absence_min: Duration, grace: Duration, now: Timestamp) -> Result<()> {
    let Some(from) = settings::alive_at(c)?.filter(|from| now.since(*from) >= absence_min) else { return Ok(()) };
    builds::forgive_silence(c, now.0.saturating_sub(from.0).max(0))?;
    for build in builds::running(c)? {
        let deadline = deadline(&build, grace);
        if from <= deadline && deadline <= now {
            builds::put_off(c, build.id, now.plus(grace))?;
        }
    }
    Ok(())
}

/// When a build that its runner does not end is given up.
fn deadline(build: &Running, grace: Duration) -> Timestamp {
    let timeout = Duration::from_secs(u64::try_from(build.timeout_s).unwrap_or(0));
    build.deadline_at.unwrap_or_else(|| build.started_at.plus(timeout).plus(grace))
}

/// Whether a running build must be given up by `now`, and why.
fn verdict(build: &Running, limits: &Limits, now: Timestamp) -> Option<FailureReason> {
    let deadline = deadline(build, limits.timeout_grace);
    if now > deadline {
        return Some(FailureReason::TimedOut);
    }
    // The stored time is up to a step older than the last call.
    let silence = limits.runner_timeout + limits.seen_step();
    (now.since(build.seen_at) > silence).then_some(FailureReason::RunnerLost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::build::BuildId;

    #[test]
    fn silent_and_late_builds_are_given_up_but_not_for_our_own_absence() {
        use FailureReason::{RunnerLost, TimedOut};
        let limits = Limits {
            runner_timeout: Duration::from_secs(100),
            timeout_grace: Duration::from_secs(50),
            ..Limits::default()
        };
        for (seen_s, timeout_s, deadline_s, now_s, expected) in [
            (0, 1000, None, 100, None),
            (0, 1000, None, 110, None),
            (0, 1000, None, 111, Some(RunnerLost)),
            (90, 1000, None, 111, None),
            (140, 100, None, 150, None),
            (140, 100, None, 151, Some(TimedOut)),
            // The deadline passed while nobody listened, and was put off.
            (990, 100, Some(1050), 1001, None),
            (1040, 100, Some(1050), 1050, None),
            (1050, 100, Some(1050), 1051, Some(TimedOut)),
        ] {
            let build = Running {
                id: BuildId(1),
                started_at: Timestamp(0),
                seen_at: Timestamp(seen_s * 1000),
                timeout_s,
                deadline_at: deadline_s.map(|s: i64| Timestamp(s * 1000)),
                runner_id: None,
            };
            let got = verdict(&build, &limits, Timestamp(now_s * 1000));
            assert_eq!(got, expected, "seen {seen_s}, timeout {timeout_s}, now {now_s}");
        }
    }
}
