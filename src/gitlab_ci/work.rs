//! What a job does: the specification for a runner, or the child that it makes.

use super::context::{Context, environment_slug};
use super::keywords::{Artifacts, Cache, CacheKey, Common, JobConfig, TriggerEntry};
use super::messages::{Finding, Report};
use super::surroundings::Surroundings;
use super::variables::{expand, expand_all};
use crate::domain::pipeline::{Environment, JobVariable, When, Work};
use crate::domain::spec::{AllowFailure, ArtifactsSpec, BuildSpec, CacheSpec};
use sha1::{Digest, Sha1};

/// What GitLab has and Baton has not, by the start of the variables' names.
const ABSENT: [&str; 5] = ["CI_REGISTRY", "CI_DEPENDENCY_PROXY_", "CI_PAGES_", "CI_DEPLOY_", "CI_KUBERNETES_ACTIVE"];

/// Where a job's fields come from.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a JobConfig,
    pub(crate) default: &'a Common,
    pub(crate) context: &'a Context,
    pub(crate) outside: &'a dyn Surroundings,
    /// Whether the ref is protected.
    pub(crate) is_protected: bool,
    pub(crate) dependencies: Option<Vec<String>>,
}

impl<'a> Parts<'a> {
    /// The job's own value of a keyword, else that of `default`, if the job takes it.
    fn pick<T>(&self, key: &str, of: impl Fn(&'a Common) -> Option<&'a T>) -> Option<&'a T> {
        let takes = self.config.trigger.is_none() && self.config.inherit_default.has(key);
        of(&self.config.common).or_else(|| of(self.default).filter(|_| takes))
    }

    pub(crate) fn tags(&self) -> &'a [String] {
        self.pick("tags", |common| common.tags.as_ref()).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn interruptible(&self) -> Option<bool> {
        self.pick("interruptible", |common| common.interruptible.as_ref()).copied()
    }

    /// Variables that are known once a job is in the pipeline.
    pub(crate) fn add_variables(&self, when: When, variables: &mut Vec<JobVariable>) {
        let image = self.pick("image", |common| common.image.as_ref()).map(|image| image.name.clone());
        let timeout = self.config.common.timeout_s.map(|seconds| seconds.to_string());
        let manual = (when == When::Manual).then(|| "true".to_owned());
        for (key, value) in [("CI_JOB_IMAGE", image), ("CI_JOB_TIMEOUT", timeout), ("CI_JOB_MANUAL", manual)] {
            let Some(value) = value else { continue };
            if !variables.iter().any(|variable| variable.key == key) {
                variables.push(JobVariable::public(key, value));
            }
        }
    }
}

/// About how many bytes the work of a job has.
pub(crate) fn bytes(work: &Work) -> usize {
    let Work::Build(spec) = work else { return 0 };
    let uploads = spec.artifacts.iter().flat_map(|upload| upload.paths.iter().chain(&upload.exclude));
    let caches = spec.cache.iter().flat_map(|cache| &cache.paths);
    let texts = spec.script.iter().chain(&spec.after_script).chain(uploads).chain(caches);
    let services = spec.services.iter().flat_map(|service| &service.variables);
    let services: usize = services.map(|(key, value)| key.len() + value.len() + 48).sum();
    services + texts.map(|text| text.len() + 24).sum::<usize>()
}

/// The value of a variable, of a list that is sorted by name.
pub(crate) fn value<'v>(variables: &'v [JobVariable], name: &str) -> Option<&'v str> {
    let at = variables.binary_search_by(|variable| variable.key.as_str().cmp(name)).ok()?;
    variables.get(at).map(|variable| variable.value.as_str())
}

/// The environment of a job, whose variables are added.
pub(crate) fn environment(config: &JobConfig, variables: &mut Vec<JobVariable>) -> Result<Option<Environment>, String> {
    let Some(entry) = &config.environment else { return Ok(None) };
    let mut known = variables.clone();
    known.sort_by(|one, two| one.key.cmp(&two.key));
    expand_all(&mut known)?;
    let name = expand(&entry.name, |name| value(&known, name));
    let environment = Environment {
        slug: environment_slug(&name),
        name,
        url: entry.url.clone(),
        action: entry.action.clone().unwrap_or_else(|| "start".to_owned()),
        tier: entry.tier.clone(),
        on_stop: entry.on_stop.clone(),
    };
    let mut put = |key: &str, value: &str| {
        variables.retain(|variable| variable.key != key);
        variables.push(JobVariable::public(key, value));
    };
    put("CI_ENVIRONMENT_NAME", &environment.name);
    put("CI_ENVIRONMENT_SLUG", &environment.slug);
    put("CI_ENVIRONMENT_ACTION", &environment.action);
    if let Some(tier) = &environment.tier {
        put("CI_ENVIRONMENT_TIER", tier);
    }
    if let Some(url) = &environment.url {
        put("CI_ENVIRONMENT_URL", url);
    }
    Ok(Some(environment))
}

/// What the job does.
pub(crate) fn work(parts: &Parts<'_>, allow_failure: AllowFailure, report: &mut Report) -> Work {
    if let Some(TriggerEntry::Child(trigger)) = &parts.config.trigger {
        return Work::Trigger(trigger.clone());
    }
    if let Some(why) = refused(parts, report) {
        let words = format!("{} does not run: {why}", parts.config.name);
        report.warn_once(&words.clone(), Finding::new(parts.config.place, words));
        return Work::Refused { why };
    }
    let spec = spec(parts, allow_failure);
    warn_of_absent(parts, &spec, report);
    Work::Build(Box::new(spec))
}

/// Why a job cannot run here.
fn refused(parts: &Parts<'_>, report: &mut Report) -> Option<String> {
    let config = parts.config;
    if let Some(TriggerEntry::Project(project)) = &config.trigger {
        return Some(format!("it makes a pipeline of {project}, which Baton does not have"));
    }
    if config.refused.is_some() {
        return config.refused.clone();
    }
    let tokens = parts.pick("id_tokens", |common| common.id_tokens.as_ref()).into_iter().flatten();
    let secrets = config.secrets.iter().map(|name| ("secrets", name));
    for (keyword, name) in tokens.map(|name| ("id_tokens", name)).chain(secrets) {
        if !parts.context.given.iter().any(|given| given.key == *name) {
            return Some(format!("Baton has no {keyword}; give a variable {name} in its place"));
        }
        let words = format!("{keyword} has no effect: the given variable {name} is taken");
        report.warn_once(keyword, Finding::new(config.place, words));
    }
    None
}

fn spec(parts: &Parts<'_>, allow_failure: AllowFailure) -> BuildSpec {
    let config = parts.config;
    let before = parts.pick("before_script", |common| common.before_script.as_ref()).into_iter().flatten();
    let artifacts = parts.pick("artifacts", |common| common.artifacts.as_ref());
    let caches = parts.pick("cache", |common| common.cache.as_ref()).into_iter().flatten();
    BuildSpec {
        script: before.chain(&config.script).cloned().collect(),
        after_script: parts.pick("after_script", |common| common.after_script.as_ref()).cloned().unwrap_or_default(),
        hooks: parts.pick("hooks", |common| common.hooks.as_ref()).cloned().unwrap_or_default(),
        image: parts.pick("image", |common| common.image.as_ref()).cloned(),
        services: parts.pick("services", |common| common.services.as_ref()).cloned().unwrap_or_default(),
        artifacts: artifacts.map(|artifacts: &Artifacts| artifacts.uploads.clone()).unwrap_or_default(),
        cache: caches.map(|cache| cache_spec(cache, parts.is_protected, parts.outside)).collect(),
        dependencies: parts.dependencies.clone(),
        allow_failure,
        retry: parts.pick("retry", |common| common.retry.as_ref()).cloned(),
        run: config.run.clone(),
        ..BuildSpec::default()
    }
}

fn cache_spec(cache: &Cache, is_protected: bool, outside: &dyn Surroundings) -> CacheSpec {
    let key = match &cache.key {
        CacheKey::Default => "default".to_owned(),
        CacheKey::Text(text) => text.clone(),
        CacheKey::Files { files, prefix } => {
            let mut ids = outside.last_commits(files);
            ids.sort();
            let hash = if ids.is_empty() { "default".to_owned() } else { sha1_hex(&ids.join("-")) };
            prefix.as_ref().map_or(hash.clone(), |prefix| format!("{prefix}-{hash}"))
        }
    };
    // Whoever may push to an unprotected branch must not write what protected ones read.
    let suffix = if is_protected && !cache.unprotect { "protected" } else { "non_protected" };
    CacheSpec {
        key: Some(format!("{key}-{suffix}")),
        paths: cache.paths.clone(),
        untracked: cache.untracked,
        policy: Some(cache.policy.clone().unwrap_or_else(|| "pull-push".to_owned())),
        when: Some(cache.when.clone().unwrap_or_else(|| "on_success".to_owned())),
        fallback_keys: cache.fallback_keys.iter().map(|key| format!("{key}-{suffix}")).collect(),
    }
}

fn sha1_hex(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Warns of variables of GitLab that a job names and nobody gave.
fn warn_of_absent(parts: &Parts<'_>, spec: &BuildSpec, report: &mut Report) {
    let images = spec.image.iter().chain(spec.services.iter().map(|service| &service.image)).map(|image| &image.name);
    let uploads = spec.artifacts.iter().flat_map(|artifacts: &ArtifactsSpec| &artifacts.paths);
    for text in spec.script.iter().chain(&spec.after_script).chain(images).chain(uploads) {
        for (at, _) in text.match_indices("$") {
            let rest = text.get(at + 1..).unwrap_or_default();
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            if !ABSENT.iter().any(|start| rest.starts_with(start)) {
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = rest.get(..end).unwrap_or_default();
            let is_known = parts.context.given.iter().any(|given| given.key == name)
                || parts.context.predefined.iter().any(|(key, _)| key == name)
                || parts.config.variables.contains_key(name);
            if !is_known {
                let words = format!("{name} is empty: Baton does not have what it names; give it as a variable");
                report.warn_once(name, Finding::new(parts.config.place, words));
            }
        }
    }
}
