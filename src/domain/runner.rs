//! Runners: what they say of themselves, and which builds they may take.

mod info;

pub use self::info::{BUILT_IN, Feature, FeatureSet, RunnerInfo};

use super::build::{BuildId, ProjectId};
use super::tags::Tags;
use super::time::Timestamp;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Identifies a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize)]
#[serde(transparent)]
pub struct RunnerId(pub i64);

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a runner is to be counted on, as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// It has called lately.
    Online,
    /// It has called, but not lately.
    Stale,
    /// It gets no builds until it is resumed, whether or not it calls.
    Paused,
    /// It has never called.
    NeverSeen,
}

/// A runner that lives calls more often than this, as far as is stored: a request for work is held for at most 50
/// seconds, runners ask again within seconds (those that are busy report on their builds instead, at least every
/// half minute), and the time of a call is stored once a minute. That makes two minutes; the third one is for
/// slow networks and long pauses between requests.
const ONLINE_TIME: Duration = Duration::from_secs(180);

impl RunnerState {
    /// Every state.
    pub const ALL: [RunnerState; 4] =
        [RunnerState::Online, RunnerState::Stale, RunnerState::Paused, RunnerState::NeverSeen];

    /// The state of a runner whose last call, be it for work ([`Runner::contacted_at`]) or for a build that it runs,
    /// is stored as `called_at`.
    #[must_use]
    pub fn of(paused: bool, called_at: Option<Timestamp>, now: Timestamp) -> RunnerState {
        match called_at {
            _ if paused => RunnerState::Paused,
            None => RunnerState::NeverSeen,
            Some(at) if now.since(at) <= ONLINE_TIME => RunnerState::Online,
            Some(_) => RunnerState::Stale,
        }
    }

    /// Its word, for people and machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunnerState::Online => "online",
            RunnerState::Stale => "stale",
            RunnerState::Paused => "paused",
            RunnerState::NeverSeen => "never_seen",
        }
    }
}

/// A runner as operators see it.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Its id.
    pub id: RunnerId,
    /// What its owner calls it.
    pub description: String,
    /// What it offers.
    pub tags: Tags,
    /// Row of `tags` in the database, which names the profile of builds that it matches.
    pub tag_set_id: i64,
    /// Whether it takes builds without tags.
    pub run_untagged: bool,
    /// Whether it is kept to the project that it was registered for.
    pub locked: bool,
    /// Whether it gets no builds at present.
    pub paused: bool,
    /// The only project whose builds it takes: id and name; `None`: every project.
    pub project: Option<(ProjectId, String)>,
    /// What it says of itself.
    pub info: RunnerInfo,
    /// When it last asked for work, to the minute.
    pub contacted_at: Option<Timestamp>,
    /// The longest that it lets a build run, in seconds.
    pub maximum_timeout_s: Option<i64>,
    /// What its owner notes of it.
    pub maintenance_note: String,
    /// Where it last called from.
    pub address: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Runner {
    /// The same runner, as the one of its managers that says this of itself.
    #[must_use]
    pub fn speaking(mut self, info: RunnerInfo) -> Runner {
        self.info = info;
        self
    }

    /// How long a build with this timeout may run here, in seconds.
    #[must_use]
    pub fn timeout_s(&self, timeout_s: i64) -> i64 {
        self.maximum_timeout_s.map_or(timeout_s, |maximum| maximum.min(timeout_s))
    }

    /// Whether the runner's tags and `run_untagged` allow a build with `tags`, as GitLab decides that.
    #[must_use]
    pub fn takes_tags(&self, tags: &Tags) -> bool {
        if tags.is_empty() { self.run_untagged } else { tags.are_among(&self.tags) }
    }

    /// Whether the runner may take builds of `project`, as GitLab decides that. A locked runner without
    /// a project gets nothing.
    #[must_use]
    pub fn takes_project(&self, project: ProjectId) -> bool {
        match &self.project {
            Some((own, _)) => *own == project,
            None => !self.locked,
        }
    }
}

/// A build that a runner has at present.
#[derive(Clone, Debug)]
pub struct RunningBuild {
    /// The build.
    pub id: BuildId,
    /// When the runner got it.
    pub started_at: Timestamp,
    /// When the runner last called for it, to the minute.
    pub seen_at: Timestamp,
    /// The row of the manager that has it, if one was named.
    pub manager_id: Option<i64>,
}

/// A runner, and what it does at present.
#[derive(Clone, Debug)]
pub struct RunnerAtWork {
    /// The runner.
    pub runner: Runner,
    /// Its builds, oldest first.
    pub builds: Vec<RunningBuild>,
}

impl RunnerAtWork {
    /// When it last called, be it for work or for a build.
    #[must_use]
    pub fn called_at(&self) -> Option<Timestamp> {
        self.builds.iter().map(|build| build.seen_at).chain(self.runner.contacted_at).max()
    }

    /// Its state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> RunnerState {
        RunnerState::of(self.runner.paused, self.called_at(), now)
    }

    /// Whether it asks for work at present. How many builds it takes at a time is its own affair: one that has
    /// builds takes more if it has asked since it got the last of them.
    #[must_use]
    pub fn asks_for_work(&self, now: Timestamp) -> bool {
        let asked_after = |at: Timestamp| self.builds.iter().all(|build| at > build.started_at);
        self.runner.contacted_at.is_some_and(|at| now.since(at) <= ONLINE_TIME && asked_after(at))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn runner(tags: &str, run_untagged: bool) -> Runner {
        Runner {
            id: RunnerId(3),
            description: "r".into(),
            tags: Tags::from_list(tags).unwrap(),
            tag_set_id: 1,
            run_untagged,
            locked: false,
            paused: false,
            project: None,
            info: RunnerInfo::default(),
            contacted_at: None,
            maximum_timeout_s: None,
            maintenance_note: String::new(),
            address: None,
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn tags_of_the_build_must_be_among_those_of_the_runner() {
        for (runner_tags, untagged, build_tags, takes) in [
            ("", true, "", true),
            ("a", false, "", false),
            ("a", true, "", true),
            ("a,b", true, "a", true),
            ("a", true, "a,b", false),
        ] {
            let tags = Tags::from_list(build_tags).unwrap();
            assert_eq!(runner(runner_tags, untagged).takes_tags(&tags), takes, "{runner_tags} {untagged} {build_tags}");
        }
    }

    #[test]
    fn a_project_runner_takes_its_project_and_a_locked_one_without_project_nothing() {
        let mut r = runner("", true);
        assert!(r.takes_project(ProjectId(1)));
        r.locked = true;
        assert!(!r.takes_project(ProjectId(1)));
        r.project = Some((ProjectId(1), "p".into()));
        assert!(r.takes_project(ProjectId(1)) && !r.takes_project(ProjectId(2)));
    }

    #[test]
    fn a_runner_is_online_for_three_minutes_after_a_call_unless_it_is_paused() {
        use RunnerState::{NeverSeen, Online, Paused, Stale};
        for (paused, called_s, now_s, expected) in [
            (false, None, 1000, NeverSeen),
            (true, None, 1000, Paused),
            (false, Some(820), 1000, Online),
            (false, Some(819), 1000, Stale),
            (true, Some(1000), 1000, Paused),
            // A clock that went back.
            (false, Some(1100), 1000, Online),
        ] {
            let called_at = called_s.map(|s: i64| Timestamp(s * 1000));
            let state = RunnerState::of(paused, called_at, Timestamp(now_s * 1000));
            assert_eq!(state, expected, "{paused} {called_s:?} {now_s}");
        }
    }

    #[test]
    fn a_runners_maximum_shortens_timeouts_and_lengthens_none() {
        let mut runner = runner("", true);
        assert_eq!(runner.timeout_s(1234), 1234);
        for (maximum, timeout) in [(1000, 1000), (1234, 1234), (2000, 1234)] {
            runner.maximum_timeout_s = Some(maximum);
            assert_eq!(runner.timeout_s(1234), timeout);
        }
    }
}
