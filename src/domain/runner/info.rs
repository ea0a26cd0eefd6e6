//! What runners say of themselves.

use serde::{Deserialize, Serialize};

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

    /// The feature of this word, if it is one that is kept.
    #[must_use]
    pub fn parse(word: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.as_str() == word)
    }
}

/// The name by which the built-in runner calls itself.
pub const BUILT_IN: &str = "baton";

/// What a runner says of itself in `info`. Stored as a JSON object of texts.
///
/// It comes with each question for work, so that it is small, quick to compare, and kept without a word for each feature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor: Option<Box<str>>,
    /// `None`: it has said nothing of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<FeatureSet>,
}

/// A set of features: a bit each. Stored as their words in order, separated by commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FeatureSet(u32);

impl From<String> for FeatureSet {
    fn from(words: String) -> FeatureSet {
        let mut features = FeatureSet::default();
        words.split(',').filter_map(Feature::parse).for_each(|feature| features.set(feature, true));
        features
    }
}

impl From<FeatureSet> for String {
    fn from(features: FeatureSet) -> String {
        features.words().collect::<Vec<_>>().join(",")
    }
}

impl FeatureSet {
    fn set(&mut self, feature: Feature, has: bool) {
        let bit = 1 << (feature as u32);
        if has { self.0 |= bit } else { self.0 &= !bit }
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.0 & (1 << (feature as u32)) != 0
    }

    /// The words of its features, in order.
    fn words(self) -> impl Iterator<Item = &'static str> {
        Feature::ALL.into_iter().filter(move |feature| self.has(*feature)).map(Feature::as_str)
    }
}

/// Longest text of a field, in characters.
const FIELD_CHARS_MAX: usize = 63;

impl RunnerInfo {
    /// The fields that are kept; anything else that a runner sends is not.
    pub const FIELDS: [&'static str; 6] = ["name", "version", "revision", "platform", "architecture", "executor"];

    /// Those, in their order.
    fn fields(&self) -> [&Option<Box<str>>; 6] {
        [&self.name, &self.version, &self.revision, &self.platform, &self.architecture, &self.executor]
    }

    fn fields_mut(&mut self) -> [&mut Option<Box<str>>; 6] {
        let RunnerInfo { name, version, revision, platform, architecture, executor, features: _ } = self;
        [name, version, revision, platform, architecture, executor]
    }

    /// Keeps `value`, cut to 63 characters, if `field` is one of [`RunnerInfo::FIELDS`].
    pub fn set(&mut self, field: &str, value: &str) {
        let mut all = RunnerInfo::FIELDS.into_iter().zip(self.fields_mut());
        if let Some((_, place)) = all.find(|(own, _)| *own == field) {
            *place = Some(value.chars().filter(|c| !c.is_control()).take(FIELD_CHARS_MAX).collect());
        }
    }

    /// Keeps whether it has a feature. Who names one has said of all of them whether it has them.
    pub fn set_feature(&mut self, feature: &str, has: bool) {
        let known = self.features.get_or_insert_default();
        if let Some(feature) = Feature::parse(feature) {
            known.set(feature, has);
        }
    }

    /// Whether it has said that it has this feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.feature_set().has(feature)
    }

    /// The features that it has said that it has.
    #[must_use]
    pub fn feature_set(&self) -> FeatureSet {
        self.features.unwrap_or_default()
    }

    /// The words of the features that it has.
    pub fn features(&self) -> impl Iterator<Item = &'static str> {
        self.feature_set().words()
    }

    /// The value of `field`, if the runner has sent it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        let mut all = RunnerInfo::FIELDS.into_iter().zip(self.fields());
        all.find(|(own, _)| *own == field).and_then(|(_, value)| value.as_deref())
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

    /// Whether it is one of GitLab's from 9.0 to 9.4, which cuts the commands of a script at their line ends, as those before
    /// it did, and gets them from an API that does not (`195890fb` of gitlab-runner: "Execute steps for build as-is").
    #[must_use]
    pub fn cuts_commands(&self) -> bool {
        self.version_of_gitlabs().is_some_and(|version| ((9, 0)..(9, 5)).contains(&version))
    }

    /// Whether its scripts are run by a POSIX shell: on Windows they are not, unless they run in containers.
    #[must_use]
    pub fn has_posix_shell(&self) -> bool {
        let says = |field| self.get(field).unwrap_or_default();
        says("platform") != "windows" || !matches!(says("executor"), "" | "shell")
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
        self.features.is_some()
    }

    /// Whether the runner has sent nothing of itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == RunnerInfo::default()
    }

    /// Whether `newer` says nothing that is not known already.
    #[must_use]
    pub fn includes(&self, newer: &RunnerInfo) -> bool {
        let of_fields =
            self.fields().into_iter().zip(newer.fields()).all(|(own, newer)| newer.is_none() || own == newer);
        of_fields && (newer.features.is_none() || self.features == newer.features)
    }

    /// Takes over what `newer` says; fields that it does not name stay.
    pub fn update(&mut self, newer: &RunnerInfo) {
        for (own, newer) in self.fields_mut().into_iter().zip(newer.fields()) {
            if newer.is_some() && own != newer {
                own.clone_from(newer);
            }
        }
        self.features = newer.features.or(self.features);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn runners_from_9_0_to_9_4_cut_commands() {
        for (name, version, cuts) in [
            ("gitlab-ci-multi-runner", "1.11.5", false),
            ("gitlab-ci-multi-runner", "9.0.0", true),
            ("gitlab-ci-multi-runner", "9.4.2", true),
            ("gitlab-ci-multi-runner", "9.5.0", false),
            ("gitlab-runner", "19.3.0", false),
            ("somebodys", "9.1.0", false),
        ] {
            let mut info = RunnerInfo::default();
            info.set("name", name);
            info.set("version", version);
            assert_eq!(info.cuts_commands(), cuts, "{name} {version}");
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
        info.update(&older);
        assert!(!Feature::ALL.into_iter().any(|feature| info.has(feature)));
        let silent = RunnerInfo::default();
        assert!(info.includes(&silent));
    }

    #[test]
    fn what_is_stored_is_read_as_it_was_said_and_what_is_unknown_is_passed_over() {
        let mut info = RunnerInfo::default();
        assert_eq!(serde_json::to_string(&info).unwrap(), "{}");
        info.set("version", "a\"b\u{e9}");
        info.set_feature("nothing", true);
        assert_eq!(serde_json::to_value(&info).unwrap(), serde_json::json!({"version": "a\"b\u{e9}", "features": ""}));
        Feature::ALL.into_iter().for_each(|feature| info.set_feature(feature.as_str(), true));
        let text = serde_json::to_string(&info).unwrap();
        assert_eq!(serde_json::from_str::<RunnerInfo>(&text).unwrap(), info);
        assert_eq!(info.features().count(), Feature::ALL.len(), "each has a bit of its own");
        let older = r#"{"features": "refspecs,of_another_time", "executor": "shell", "mood": "good"}"#;
        let older: RunnerInfo = serde_json::from_str(older).unwrap();
        assert_eq!(older.features().collect::<Vec<_>>(), ["refspecs"]);
        assert_eq!(older.get("executor"), Some("shell"));
    }
}
