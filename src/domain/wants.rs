//! What a build asks for that not every runner knows.
//!
//! What must stay true: no runner is refused a build for it. One that does not know something runs the build without it,
//! so that a laptop with an old runner gets its builds, and people are told so.

use super::runner::{BUILT_IN, Feature, RunnerInfo};
use super::spec::{AllowFailure, ArtifactKind, BuildSpec};

/// Something that a build asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Want {
    /// Uploads beside the archive.
    Reports,
    /// An archive that leaves files out.
    Exclude,
    /// A failure that is allowed, or repeated, by how the script ended.
    ExitCodes,
    /// Keys to try where a cache is missing.
    FallbackKeys,
    /// More than one cache.
    SeveralCaches,
    /// A cache that is only fetched, or only stored.
    CachePolicy,
    /// An image whose entrypoint is another.
    Entrypoint,
    /// A service that is more than an image.
    ServiceDetails,
    /// Scripts around the fetching of sources.
    Hooks,
    /// A script behind the script.
    AfterScript,
    /// An archive that is uploaded when the script fails.
    ArtifactsWhen,
}

impl Want {
    /// Every want.
    pub const ALL: [Want; 11] = [
        Want::Reports,
        Want::Exclude,
        Want::ExitCodes,
        Want::FallbackKeys,
        Want::SeveralCaches,
        Want::CachePolicy,
        Want::Entrypoint,
        Want::ServiceDetails,
        Want::Hooks,
        Want::AfterScript,
        Want::ArtifactsWhen,
    ];

    /// In the words of a `.gitlab-ci.yml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Want::Reports => "artifacts:reports",
            Want::Exclude => "artifacts:exclude",
            Want::ExitCodes => "exit_codes",
            Want::FallbackKeys => "cache:fallback_keys",
            Want::SeveralCaches => "more than one cache",
            Want::CachePolicy => "cache:policy",
            Want::Entrypoint => "image:entrypoint",
            Want::ServiceDetails => "services with an alias, a command or variables",
            Want::Hooks => "hooks",
            Want::AfterScript => "after_script",
            Want::ArtifactsWhen => "artifacts:when",
        }
    }

    /// All that a build asks for.
    #[must_use]
    pub fn all_of(spec: &BuildSpec) -> Vec<Want> {
        Want::ALL.into_iter().filter(|want| want.is_in(spec)).collect()
    }

    /// The words of those among `wants` that a runner does not know which says this of itself.
    #[must_use]
    pub fn unknown_to(info: &RunnerInfo, wants: &[Want]) -> Vec<&'static str> {
        wants.iter().filter(|want| !want.is_known_by(info)).map(|want| want.as_str()).collect()
    }

    fn is_in(self, spec: &BuildSpec) -> bool {
        match self {
            Want::Reports => spec.artifacts.iter().any(|one| one.kind != ArtifactKind::default()),
            Want::Exclude => spec.artifacts.iter().any(|one| !one.exclude.is_empty()),
            Want::ExitCodes => {
                matches!(spec.allow_failure, AllowFailure::ExitCodes { .. })
                    || spec.retry.as_ref().is_some_and(|retry| !retry.exit_codes.is_empty())
            }
            Want::FallbackKeys => spec.cache.iter().any(|cache| !cache.fallback_keys.is_empty()),
            Want::SeveralCaches => spec.cache.len() > 1,
            Want::CachePolicy => {
                spec.cache.iter().any(|cache| cache.policy.as_ref().is_some_and(|policy| policy != "pull-push"))
            }
            Want::Entrypoint => spec.image.as_ref().is_some_and(|image| image.entrypoint.is_some()),
            Want::ServiceDetails => spec
                .services
                .iter()
                .any(|one| one.alias.is_some() || one.command.is_some() || !one.variables.is_empty()),
            Want::Hooks => !spec.hooks.is_empty(),
            Want::AfterScript => !spec.after_script.is_empty(),
            Want::ArtifactsWhen => {
                spec.artifacts.iter().any(|one| one.when.as_ref().is_some_and(|when| when != "on_success"))
            }
        }
    }

    /// Whether a runner that says this of itself knows it. What is not known of a runner is no reason to doubt it.
    #[must_use]
    pub fn is_known_by(self, info: &RunnerInfo) -> bool {
        let has = |feature| info.has(feature) || !(info.names_features() || info.version_of_gitlabs().is_some());
        let is_since = |since| info.version_of_gitlabs().is_none_or(|version| version >= since);
        if info.get("name") == Some(BUILT_IN) {
            return true;
        }
        match self {
            Want::Reports => has(Feature::UploadMultipleArtifacts),
            Want::Exclude => has(Feature::ArtifactsExclude),
            Want::ExitCodes => has(Feature::ReturnExitCode),
            Want::FallbackKeys => has(Feature::FallbackCacheKeys),
            Want::SeveralCaches => is_since((9, 0)),
            Want::CachePolicy | Want::Entrypoint | Want::ServiceDetails => is_since((9, 5)),
            Want::Hooks => is_since((15, 11)),
            Want::AfterScript => is_since((1, 2)),
            Want::ArtifactsWhen => is_since((1, 3)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::spec::{ArtifactFormat, ArtifactsSpec, CacheSpec, Hooks, Image, Retry, Service};

    fn info(name: &str, version: &str, features: &[&str]) -> RunnerInfo {
        let mut info = RunnerInfo::default();
        info.set("name", name);
        info.set("version", version);
        if !features.is_empty() {
            features.iter().for_each(|feature| info.set_feature(feature, true));
        }
        info
    }

    fn unknown_to(info: &RunnerInfo) -> Vec<Want> {
        Want::ALL.into_iter().filter(|want| !want.is_known_by(info)).collect()
    }

    #[test]
    fn a_runner_lacks_what_its_version_and_its_features_say() {
        let all = ["upload_multiple_artifacts", "artifacts_exclude", "return_exit_code", "fallback_cache_keys"];
        assert_eq!(unknown_to(&info("gitlab-ci-multi-runner", "1.0.4", &[])), Want::ALL);
        assert_eq!(
            unknown_to(&info("gitlab-ci-multi-runner", "1.2.0", &[])),
            [&Want::ALL[..9], &Want::ALL[10..]].concat()
        );
        assert_eq!(unknown_to(&info("gitlab-ci-multi-runner", "1.11.5", &[])), Want::ALL[..9]);
        let of_9_5 = [Want::Reports, Want::Exclude, Want::ExitCodes, Want::FallbackKeys, Want::Hooks];
        assert_eq!(unknown_to(&info("gitlab-ci-multi-runner", "9.5.1", &[])), of_9_5);
        let of_12_10 = [Want::Exclude, Want::ExitCodes, Want::FallbackKeys, Want::Hooks];
        assert_eq!(unknown_to(&info("gitlab-runner", "12.10.3", &all[..1])), of_12_10);
        for knows_all in [
            info("gitlab-runner", "19.3.0", &all),
            info("baton", "0.1.0", &[]),
            info("", "", &[]),
            info("somebodys", "0.1", &all),
        ] {
            assert_eq!(unknown_to(&knows_all), [], "{knows_all:?}");
        }
        // Its number is its own, its features are not.
        let of_the_crate = [Want::Exclude, Want::ExitCodes, Want::FallbackKeys];
        assert_eq!(unknown_to(&info("", "0.3.2", &["upload_multiple_artifacts", "refspecs"])), of_the_crate);
    }

    #[test]
    fn a_build_wants_what_its_specification_says() {
        assert_eq!(Want::all_of(&BuildSpec::of_script("x")), []);
        let report = ArtifactsSpec {
            kind: ArtifactKind("junit".to_owned()),
            format: ArtifactFormat::Gzip,
            ..ArtifactsSpec::default()
        };
        let archive = ArtifactsSpec { exclude: vec!["x".to_owned()], ..ArtifactsSpec::default() };
        let cache = |policy: &str| CacheSpec { policy: Some(policy.to_owned()), ..CacheSpec::default() };
        let spec = || BuildSpec::of_script("x");
        let when = |when: &str| ArtifactsSpec { when: Some(when.to_owned()), ..ArtifactsSpec::default() };
        let image = Image { entrypoint: Some(vec![]), ..Image::default() };
        let hooks = Hooks { pre_get_sources_script: vec!["x".to_owned()], ..Hooks::default() };
        for (spec, wants) in [
            (BuildSpec { artifacts: vec![ArtifactsSpec::default()], ..spec() }, vec![]),
            (BuildSpec { artifacts: vec![archive, report], ..spec() }, vec![Want::Reports, Want::Exclude]),
            (BuildSpec { cache: vec![cache("pull-push")], ..spec() }, vec![]),
            (BuildSpec { cache: vec![cache("pull"); 2], ..spec() }, vec![Want::SeveralCaches, Want::CachePolicy]),
            (
                BuildSpec { allow_failure: AllowFailure::ExitCodes { exit_codes: vec![3] }, ..spec() },
                vec![Want::ExitCodes],
            ),
            (
                BuildSpec { retry: Some(Retry { exit_codes: vec![3], ..Retry::default() }), ..spec() },
                vec![Want::ExitCodes],
            ),
            (BuildSpec { image: Some(image), ..spec() }, vec![Want::Entrypoint]),
            (BuildSpec { services: vec![Service::default()], ..spec() }, vec![]),
            (
                BuildSpec { services: vec![Service { alias: Some("db".to_owned()), ..Service::default() }], ..spec() },
                vec![Want::ServiceDetails],
            ),
            (BuildSpec { hooks, ..spec() }, vec![Want::Hooks]),
            (BuildSpec { after_script: vec!["x".to_owned()], ..spec() }, vec![Want::AfterScript]),
            (BuildSpec { artifacts: vec![when("on_success"), when("always")], ..spec() }, vec![Want::ArtifactsWhen]),
        ] {
            assert_eq!(Want::all_of(&spec), wants);
        }
    }
}
