//! Runners: what they say of themselves, and which builds they may take.

use super::build::{BuildId, ProjectId};
use super::tags::Tags;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
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

/// Something that some runners can do and others cannot. What no build depends on is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// Uploads several artifacts and reports of one build.
    UploadMultipleArtifacts,
    /// Uploads artifacts that are no archive.
    UploadRawArtifacts,
    /// Fetches the refs that it is told to.
    Refspecs,
    /// Masks secrets in the log.
    Masking,
    /// Leaves variables that are raw unexpanded.
    RawVariables,
    /// Tells with which number a script ended.
    ReturnExitCode,
    /// Stops a build that is canceled.
    Cancelable,
    /// Runs `after_script` of a build that is canceled.
    CancelGracefully,
    /// Says that it begins a build that it got.
    TwoPhaseJobCommit,
    /// Tells the log's checksum at the end.
    TraceChecksum,
    /// Tells the log's size at the end.
    TraceSize,
    /// Leaves files out of artifacts.
    ArtifactsExclude,
    /// Runs further steps behind the script.
    MultiBuildSteps,
    /// Takes options of the executor for images.
    ImageExecutorOpts,
    /// Takes options of the executor for services.
    ServiceExecutorOpts,
    /// Tries further keys where a cache is missing.
    FallbackCacheKeys,
}

impl Feature {
    /// Every feature that is kept.
    pub const ALL: [Feature; 16] = [
        Feature::UploadMultipleArtifacts,
        Feature::UploadRawArtifacts,
        Feature::Refspecs,
        Feature::Masking,
        Feature::RawVariables,
        Feature::ReturnExitCode,
        Feature::Cancelable,
        Feature::CancelGracefully,
        Feature::TwoPhaseJobCommit,
        Feature::TraceChecksum,
        Feature::TraceSize,
        Feature::ArtifactsExclude,
        Feature::MultiBuildSteps,
        Feature::ImageExecutorOpts,
        Feature::ServiceExecutorOpts,
        Feature::FallbackCacheKeys,
    ];

    /// Its word, as runners send it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Feature::UploadMultipleArtifacts => "upload_multiple_artifacts",
            Feature::UploadRawArtifacts => "upload_raw_artifacts",
            Feature::Refspecs => "refspecs",
            Feature::Masking => "masking",
            Feature::RawVariables => "raw_variables",
            Feature::ReturnExitCode => "return_exit_code",
            Feature::Cancelable => "cancelable",
            Feature::CancelGracefully => "cancel_gracefully",
            Feature::TwoPhaseJobCommit => "two_phase_job_commit",
            Feature::TraceChecksum => "trace_checksum",
            Feature::TraceSize => "trace_size",
            Feature::ArtifactsExclude => "artifacts_exclude",
            Feature::MultiBuildSteps => "multi_build_steps",
            Feature::ImageExecutorOpts => "image_executor_opts",
            Feature::ServiceExecutorOpts => "service_executor_opts",
            Feature::FallbackCacheKeys => "fallback_cache_keys",
        }
    }
}

/// The name by which the built-in runner calls itself.
pub const BUILT_IN: &str = "baton";

/// What a runner says of itself in `info`: name, version, revision, platform, architecture, executor, and which features
/// it has: their words in order, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunnerInfo(BTreeMap<Cow<'static, str>, String>);

/// Where the features are.
const FEATURES: &str = "features";

impl RunnerInfo {
    /// The fields that are kept; anything else that a runner sends is not.
    pub const FIELDS: [&'static str; 6] = ["name", "version", "revision", "platform", "architecture", "executor"];

    /// Keeps `value`, cut to 63 characters, if `field` is one of [`RunnerInfo::FIELDS`].
    pub fn set(&mut self, field: &str, value: &str) {
        if let Some(field) = RunnerInfo::FIELDS.into_iter().find(|own| *own == field) {
            let text: String = value.chars().filter(|c| !c.is_control()).take(63).collect();
            self.0.insert(Cow::Borrowed(field), text);
        }
    }

    /// Keeps whether it has a feature. Who names one has said of all of them whether it has them.
    pub fn set_feature(&mut self, feature: &str, has: bool) {
        self.set_features([(feature, has)]);
    }

    /// The same of several at once: a runner of today says it of two dozen, each time it asks for work.
    pub fn set_features<'a>(&mut self, said: impl IntoIterator<Item = (&'a str, bool)>) {
        let known = self.0.entry(Cow::Borrowed(FEATURES)).or_default();
        let mut all =
            Feature::ALL.map(|feature| (feature.as_str(), known.split(',').any(|own| own == feature.as_str())));
        for (feature, has) in said {
            all.iter_mut().filter(|(word, _)| *word == feature).for_each(|(_, own)| *own = has);
        }
        let words: Vec<&str> = all.into_iter().filter(|(_, has)| *has).map(|(word, _)| word).collect();
        *known = words.join(",");
    }

    /// Whether it has said that it has this feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features().any(|word| word == feature.as_str())
    }

    /// The words of the features that it has.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.get(FEATURES).unwrap_or_default().split(',').filter(|word| !word.is_empty())
    }

    /// The value of `field`, if the runner has sent it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// Whether its version is known to fetch sources always: older than 1.7, which knows `GIT_STRATEGY=none`. Who has a
    /// feature of today is not of those, whatever number it gives itself: the crate `gitlab-runner` says 0.3.2.
    #[must_use]
    pub fn needs_sources(&self) -> bool {
        if self.get("name") == Some(BUILT_IN) || self.features().next().is_some() {
            return false;
        }
        self.version().is_some_and(|version| version < (1, 7))
    }

    /// The first two numbers of its version, if it has some.
    fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.get("version")?.split(['.', '~', '-']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }

    /// The same of a runner of GitLab's, by its name: whoever makes another one numbers it as he likes.
    #[must_use]
    pub fn version_of_gitlabs(&self) -> Option<(u32, u32)> {
        let is_gitlabs =
            self.get("name").is_some_and(|name| ["gitlab-runner", "gitlab-ci-multi-runner"].contains(&name));
        self.version().filter(|_| is_gitlabs)
    }

    /// Whether it has said which features it has.
    #[must_use]
    pub fn names_features(&self) -> bool {
        self.0.contains_key(FEATURES)
    }

    /// Whether the runner has sent nothing of itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `newer` says nothing that is not known already.
    #[must_use]
    pub fn includes(&self, newer: &RunnerInfo) -> bool {
        newer.0.iter().all(|(field, value)| self.0.get(field) == Some(value))
    }

    /// Takes over what `newer` says; fields that it does not name stay.
    pub fn update(&mut self, newer: RunnerInfo) {
        self.0.extend(newer.0);
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
    fn runners_older_than_1_7_need_sources() {
        for (version, needs) in [
            ("1.6.9", true),
            ("0.7.2", true),
            ("1.6.0~beta.3.gabc", true),
            ("1.7.0", false),
            ("1.11.5", false),
            ("12.1.0", false),
            ("dev", false),
            ("", false),
        ] {
            let mut info = RunnerInfo::default();
            info.set("version", version);
            assert_eq!(info.needs_sources(), needs, "{version:?}");
        }
        assert!(!RunnerInfo::default().needs_sources(), "what is not known is no reason");
        let mut of_today = RunnerInfo::default();
        of_today.set("version", "0.3.2");
        of_today.set_feature("refspecs", true);
        assert!(!of_today.needs_sources(), "the number is its own");
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
    fn info_keeps_known_fields_and_bounds_them() {
        let mut info = RunnerInfo::default();
        info.set("version", &"9".repeat(5000));
        info.set("features", "x");
        assert_eq!(info.get("version").unwrap().len(), 63);
        assert_eq!(info.get("features"), None);
    }

    #[test]
    fn features_are_kept_that_builds_depend_on_and_later_words_win() {
        let mut info = RunnerInfo::default();
        info.set_feature("trace_size", true);
        info.set_feature("session", true);
        info.set_feature("refspecs", true);
        assert_eq!(info.features().collect::<Vec<_>>(), ["refspecs", "trace_size"]);
        assert!(info.has(Feature::Refspecs) && !info.has(Feature::Masking));
        let mut older = RunnerInfo::default();
        older.set_feature("masking", false);
        assert!(!info.includes(&older), "it says that it has none");
        info.update(older);
        assert!(!Feature::ALL.into_iter().any(|feature| info.has(feature)));
        let silent = RunnerInfo::default();
        assert!(info.includes(&silent));
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
