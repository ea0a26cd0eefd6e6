//! A build as runners 9.0 to 19.3 read it: the body of the 201 of `jobs/request`.
//!
//! What must stay true: types matter. One that a runner's decoder does not expect makes it drop the whole answer, with the
//! build already its own. The strictest reader wants each field there, as null or as an empty list if there is nothing to
//! say; no list has a null in it.

use super::variables;
use crate::coordinator::{Assigned, Dependency};
use crate::domain::base_url::BaseUrl;
use crate::domain::build::{ArtifactsFile, BuildId, ProjectId, Variable};
use crate::domain::runner::{Feature, FeatureSet};
use crate::domain::script;
use crate::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec, BuildSpec, CacheSpec, Image, Service};
use crate::domain::time::Timestamp;
use crate::domain::token::PREFIXES;
use crate::git::snapshot::REFS;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The reasons that a runner may give, as it reads them: without them, it says one of three.
const FAILURE_REASONS: [&str; 9] = [
    "unknown_failure",
    "script_failure",
    "runner_system_failure",
    "job_execution_timeout",
    "image_pull_failure",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "job_canceled",
];

/// Bytes of an answer, usually.
const ANSWER_BYTES: usize = 8 << 10;

/// All that a runner is told of a build.
#[derive(Serialize)]
pub struct Job<'a> {
    id: BuildId,
    token: &'a str,
    allow_git_fetch: bool,
    job_info: JobInfo<'a>,
    git_info: GitInfo<'a>,
    runner_info: RunnerLimits,
    inputs: [(); 0],
    /// Most of the answer: [`Job::to_json`] writes them.
    #[serde(skip)]
    variables: Vec<SentVariable>,
    steps: Vec<Step<'a>>,
    image: Option<SentImage<'a>>,
    services: Vec<SentService<'a>>,
    artifacts: Vec<SentArtifacts<'a>>,
    cache: Vec<SentCache<'a>>,
    credentials: [(); 0],
    dependencies: Vec<Needed<'a>>,
    hooks: Vec<Hook<'a>>,
    features: SentFeatures,
}

#[derive(Serialize)]
struct JobInfo<'a> {
    id: BuildId,
    name: &'a str,
    stage: &'a str,
    project_id: ProjectId,
    project_name: &'a str,
    project_full_path: &'a str,
    /// A number, of seconds.
    time_in_queue_seconds: f64,
    /// A text.
    project_jobs_running_on_instance_runners_count: &'static str,
}

#[derive(Serialize)]
struct GitInfo<'a> {
    repo_url: String,
    #[serde(rename = "ref")]
    ref_: &'a str,
    ref_type: &'static str,
    /// At least 8 characters: runners cut it there without a look.
    sha: String,
    before_sha: &'a str,
    refspecs: Vec<String>,
    depth: u32,
    repo_object_format: &'static str,
}

#[derive(Serialize)]
struct RunnerLimits {
    /// Seconds.
    timeout: i64,
}

/// Later ones win in the runner.
#[derive(Serialize)]
struct SentVariable {
    key: String,
    value: String,
    public: bool,
    masked: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    file: bool,
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'static str,
    script: Cow<'a, [String]>,
    /// Seconds.
    timeout: i64,
    when: &'static str,
    allow_failure: bool,
}

#[derive(Serialize)]
struct SentImage<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<&'a [String]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pull_policy: &'a [String],
    #[serde(skip_serializing_if = "Map::is_empty")]
    executor_opts: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct SentService<'a> {
    #[serde(flatten)]
    image: SentImage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variables: Vec<SentVariable>,
}

#[derive(Serialize)]
struct SentArtifacts<'a> {
    name: &'a str,
    untracked: bool,
    paths: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    exclude: &'a [String],
    when: &'a str,
    expire_in: &'a str,
    artifact_type: &'a str,
    artifact_format: ArtifactFormat,
}

#[derive(Serialize)]
struct SentCache<'a> {
    key: &'a str,
    untracked: bool,
    paths: &'a [String],
    policy: &'a str,
    when: &'a str,
    fallback_keys: &'a [String],
}

/// A build whose archive this one gets, with its own token, while it runs.
#[derive(Serialize)]
struct Needed<'a> {
    id: BuildId,
    name: &'a str,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts_file: Option<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    size: u64,
}

#[derive(Serialize)]
struct Hook<'a> {
    name: &'static str,
    script: &'a [String],
}

#[derive(Serialize)]
struct SentFeatures {
    trace_sections: bool,
    failure_reasons: [&'static str; 9],
    /// What tokens begin with that runners from 15.11 on mask in logs wherever they meet them.
    token_mask_prefixes: [&'static str; 3],
}

impl<'a> Job<'a> {
    /// The build as a runner gets it that has these features and has come by `server`.
    #[must_use]
    pub fn of(assigned: &'a Assigned, features: FeatureSet, server: Option<&BaseUrl>, now: Timestamp) -> Job<'a> {
        let (build, spec) = (&assigned.build, &assigned.spec);
        let asked = &spec.asked;
        let timeout = assigned.timeout_s();
        Job {
            id: build.id,
            token: assigned.token.reveal(),
            allow_git_fetch: spec.allow_git_fetch,
            job_info: job_info(assigned, now),
            git_info: git_info(assigned, server),
            runner_info: RunnerLimits { timeout },
            inputs: [],
            variables: variables::of(assigned, features, server).into_iter().map(sent).collect(),
            steps: steps(assigned, timeout),
            image: asked.image.as_ref().map(image),
            services: asked.services.iter().map(service).collect(),
            artifacts: artifacts(asked, features),
            cache: asked.cache.iter().map(cache).collect(),
            credentials: [],
            dependencies: assigned.dependencies.iter().map(|needed| Needed::of(assigned, needed)).collect(),
            hooks: hooks(asked),
            features: SentFeatures {
                trace_sections: true,
                failure_reasons: FAILURE_REASONS,
                token_mask_prefixes: PREFIXES,
            },
        }
    }

    /// The answer. It has some fifty variables, with four fields each: they are written without asking about every one of
    /// these, which takes longer than all the rest.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ANSWER_BYTES);
        // Only a map whose keys are no texts cannot be written.
        serde_json::to_writer(&mut out, self).unwrap_or_default();
        let is_object = out.pop();
        debug_assert_eq!(is_object, Some(b'}'));
        out.extend_from_slice(b",\"variables\":[");
        for (place, variable) in self.variables.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"" } else { b"," });
            variable.write(&mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

impl SentVariable {
    /// The same as its `Serialize`.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        write_text(&self.key, out);
        out.extend_from_slice(b",\"value\":");
        write_text(&self.value, out);
        out.extend_from_slice(if self.public { b",\"public\":true" } else { b",\"public\":false" });
        out.extend_from_slice(if self.masked { b",\"masked\":true" } else { b",\"masked\":false" });
        out.extend_from_slice(if self.file { b",\"file\":true}" } else { b"}" });
    }
}

/// A text as JSON: as it is, if nothing in it must be escaped.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        // A text can be written.
        serde_json::to_writer(out, text).unwrap_or_default();
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

fn job_info(assigned: &Assigned, now: Timestamp) -> JobInfo<'_> {
    let build = &assigned.build;
    JobInfo {
        id: build.id,
        name: &build.name,
        stage: &build.stage,
        project_id: build.project_id,
        project_name: build.project.rsplit('/').next().unwrap_or_default(),
        project_full_path: &build.project,
        time_in_queue_seconds: now.since(build.created_at).as_secs_f64(),
        project_jobs_running_on_instance_runners_count: "+Inf",
    }
}

/// Runners from 12 on fetch what the refspecs name and nothing else.
fn git_info<'a>(assigned: &'a Assigned, server: Option<&BaseUrl>) -> GitInfo<'a> {
    let name = &assigned.build.ref_;
    let (refspecs, depth) = match assigned.sources_key() {
        Some(key) => (refspecs_of_snapshot(assigned, key), assigned.depth()),
        None => (refspecs_of_repository(name, assigned.spec.is_tag), 0),
    };
    GitInfo {
        repo_url: assigned.repo_url(server),
        ref_: name,
        ref_type: if assigned.spec.is_tag { "tag" } else { "branch" },
        sha: assigned.sha(),
        before_sha: assigned.before_sha(),
        refspecs,
        depth,
        repo_object_format: if assigned.sha().len() == SHA256_DIGITS { "sha256" } else { "sha1" },
    }
}

/// What there is of a snapshot: the commit by its own ref, and by the name that the build goes by. Who fetches all of the
/// history gets its tags too, as in GitLab.
fn refspecs_of_snapshot(assigned: &Assigned, key: &str) -> Vec<String> {
    let (own, name) = (format!("{REFS}{key}"), &assigned.build.ref_);
    let mut refspecs = vec![format!("+{own}:{own}")];
    if assigned.spec.is_tag {
        refspecs.push(format!("+refs/tags/{name}:refs/tags/{name}"));
    } else if is_branch_name(name) {
        refspecs.push(format!("+{own}:refs/remotes/origin/{name}"));
    }
    if assigned.depth() == 0 {
        refspecs.push("+refs/tags/*:refs/tags/*".to_owned());
    }
    refspecs
}

fn refspecs_of_repository(name: &str, is_tag: bool) -> Vec<String> {
    match (is_tag, is_branch_name(name)) {
        (true, _) => vec![format!("+refs/tags/{name}:refs/tags/{name}")],
        (false, true) => vec![format!("+refs/heads/{name}:refs/remotes/origin/{name}")],
        // Nobody but `clone` has git note where the other side's HEAD is.
        (false, false) => {
            ["+HEAD:refs/remotes/origin/HEAD", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
                .map(str::to_owned)
                .to_vec()
        }
    }
}

/// Digits of a commit in a repository of the newer kind.
const SHA256_DIGITS: usize = 64;

/// Whether the ref can be a branch's name: `HEAD` and a commit are none.
fn is_branch_name(name: &str) -> bool {
    let is_commit = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name != "HEAD" && !name.starts_with("refs/") && !is_commit
}

impl<'a> Needed<'a> {
    fn of(assigned: &'a Assigned, needed: &'a Dependency) -> Needed<'a> {
        let build = &needed.build;
        Needed {
            id: build.id,
            name: &build.name,
            token: assigned.token.reveal(),
            artifacts_file: build.artifacts.as_ref().map(File::of),
        }
    }
}

impl File<'_> {
    fn of(file: &ArtifactsFile) -> File<'_> {
        File { filename: &file.filename, size: file.size }
    }
}

fn image(image: &Image) -> SentImage<'_> {
    SentImage {
        name: &image.name,
        entrypoint: image.entrypoint.as_deref(),
        pull_policy: &image.pull_policy,
        executor_opts: &image.executor_opts,
    }
}

fn service(service: &Service) -> SentService<'_> {
    let variable = |(key, value): &(String, String)| sent(Variable::public(key, value));
    SentService {
        image: image(&service.image),
        alias: service.alias.as_deref(),
        command: service.command.as_deref(),
        variables: service.variables.iter().map(variable).collect(),
    }
}

/// Runners from 9 to 11.1 know one kind of upload: they would send each entry as the archive.
fn artifacts(spec: &BuildSpec, features: FeatureSet) -> Vec<SentArtifacts<'_>> {
    let takes_all = features.has(Feature::UploadMultipleArtifacts);
    let taken = spec.artifacts.iter().filter(|entry| takes_all || entry.kind == ArtifactKind::default());
    taken.map(upload).collect()
}

fn upload(entry: &ArtifactsSpec) -> SentArtifacts<'_> {
    SentArtifacts {
        name: entry.name.as_deref().unwrap_or_default(),
        untracked: entry.untracked,
        paths: &entry.paths,
        exclude: &entry.exclude,
        when: entry.when.as_deref().unwrap_or("on_success"),
        expire_in: entry.expire_in.as_deref().unwrap_or_default(),
        artifact_type: &entry.kind.0,
        artifact_format: entry.format,
    }
}

fn cache(cache: &CacheSpec) -> SentCache<'_> {
    SentCache {
        key: cache.key.as_deref().unwrap_or_default(),
        untracked: cache.untracked,
        paths: &cache.paths,
        policy: cache.policy.as_deref().unwrap_or("pull-push"),
        when: cache.when.as_deref().unwrap_or("on_success"),
        fallback_keys: &cache.fallback_keys,
    }
}

/// What runs, for a runner that reads steps by their names.
fn steps(assigned: &Assigned, timeout: i64) -> Vec<Step<'_>> {
    let spec = &assigned.spec.asked;
    let of = |script| commands(assigned, script);
    let script = Step { name: "script", script: of(&spec.script), timeout, when: "on_success", allow_failure: false };
    if spec.after_script.is_empty() {
        return vec![script];
    }
    let after = of(&spec.after_script);
    vec![script, Step { name: "after_script", script: after, timeout, when: "always", allow_failure: true }]
}

/// The commands of a step, each in one line where the runner would cut it.
fn commands<'a>(assigned: &'a Assigned, given: &'a [String]) -> Cow<'a, [String]> {
    let is_cut = assigned.runner.as_ref().is_some_and(|runner| runner.info.cuts_commands());
    if is_cut && assigned.has_posix_shell() {
        given.iter().map(|command| script::for_lines(command).into_owned()).collect()
    } else {
        Cow::Borrowed(given)
    }
}

fn hooks(spec: &BuildSpec) -> Vec<Hook<'_>> {
    let hooks = &spec.hooks;
    let named = [
        ("pre_get_sources_script", &hooks.pre_get_sources_script),
        ("post_get_sources_script", &hooks.post_get_sources_script),
    ];
    named.into_iter().filter(|(_, script)| !script.is_empty()).map(|(name, script)| Hook { name, script }).collect()
}

/// All runners replace `$NAME` in values by other variables, and `$$` by `$`.
fn sent(variable: Variable) -> SentVariable {
    let is_literal = variable.expand || !variable.value.contains('$');
    let value = if is_literal { variable.value } else { variable.value.replace('$', "$$") };
    SentVariable { key: variable.key, value, public: variable.public, masked: !variable.public, file: variable.file }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_written_as_serde_writes_it() {
        for value in ["", "plain, größe 日本", "a\"b", "a\\b", "a\nb\u{1}", "\u{7f}\u{2028}", "$$HOME"] {
            for (public, file) in [(true, false), (false, false), (true, true), (false, true)] {
                let given = Variable { public, file, ..Variable::public(value, value) };
                let (variable, mut out) = (sent(given), Vec::new());
                variable.write(&mut out);
                assert_eq!(out, serde_json::to_vec(&variable).unwrap());
            }
        }
    }
}
