//! A build as runners 1.x read it: the body of the 201 of `builds/register` and of uploads.
//!
//! Types matter: one that the runner's decoder does not expect makes it drop the whole answer, with the build
//! already its own.

use super::{options, variables};
use crate::coordinator::{Assigned, Dependency};
use crate::domain::base_url::BaseUrl;
use crate::domain::build::{ArtifactsFile, BuildId, ProjectId, Status, Variable};
use crate::domain::script;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// All fields that runners 1.x know (`docs/http.md`, POST builds/register).
#[derive(Serialize)]
pub struct Job<'a> {
    id: BuildId,
    #[serde(rename = "ref")]
    ref_: &'a str,
    tag: bool,
    sha: String,
    status: Status,
    name: &'a str,
    token: &'a str,
    stage: &'a str,
    project_id: ProjectId,
    project_name: &'a str,
    commands: Cow<'a, str>,
    repo_url: String,
    before_sha: &'a str,
    allow_git_fetch: bool,
    timeout: i64,
    options: Map<String, Value>,
    variables: Vec<Sent>,
    depends_on_builds: Vec<Needed<'a>>,
    credentials: [(); 0],
    /// GitLab leaves this one and the next out while there are none; runners take both.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts_file: Option<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts_expire_at: Option<Option<String>>,
}

/// A variable. Runners from 1.9 read `file`.
#[derive(Serialize)]
struct Sent {
    key: String,
    value: String,
    public: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    file: bool,
}

/// A build whose artifacts this one may read: with its own token, while it runs (`docs/http.md`, Tokens).
#[derive(Serialize)]
struct Needed<'a> {
    id: BuildId,
    #[serde(rename = "ref")]
    ref_: &'a str,
    tag: bool,
    sha: Option<&'a str>,
    status: Status,
    name: &'a str,
    token: &'a str,
    stage: &'a str,
    project_id: ProjectId,
    project_name: &'a str,
    artifacts_file: Option<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    size: u64,
}

impl<'a> Job<'a> {
    /// The build as its runner gets it that has come by `server`.
    #[must_use]
    pub fn of(assigned: &'a Assigned, server: Option<&BaseUrl>) -> Job<'a> {
        let (build, spec) = (&assigned.build, &assigned.spec);
        Job {
            id: build.id,
            ref_: &build.ref_,
            tag: spec.is_tag,
            sha: assigned.sha(),
            status: build.status,
            name: &build.name,
            token: assigned.token.reveal(),
            stage: &build.stage,
            project_id: build.project_id,
            project_name: &build.project,
            commands: commands(assigned),
            repo_url: assigned.repo_url(server),
            before_sha: assigned.before_sha(),
            allow_git_fetch: spec.allow_git_fetch,
            timeout: assigned.timeout_s(),
            options: options::of(&spec.asked),
            variables: variables::of(assigned, server).into_iter().map(Sent::of).collect(),
            depends_on_builds: assigned.dependencies.iter().map(|needed| Needed::of(assigned, needed)).collect(),
            credentials: [],
            artifacts_file: assigned.artifacts().map(File::of),
            artifacts_expire_at: assigned.artifacts().map(|file| file.expire_at.map(|at| at.to_string())),
        }
    }
}

/// The script for a runner 1.x.
fn commands(assigned: &Assigned) -> Cow<'_, str> {
    let given = assigned.spec.asked.commands();
    if !assigned.has_posix_shell() {
        return given;
    }
    match given {
        Cow::Borrowed(text) => script::for_lines(text),
        Cow::Owned(text) => Cow::Owned(script::for_lines(&text).into_owned()),
    }
}

impl Sent {
    fn of(variable: Variable) -> Sent {
        let value = variables::sent_value(&variable);
        Sent { key: variable.key, value, public: variable.public, file: variable.file }
    }
}

impl<'a> Needed<'a> {
    fn of(assigned: &'a Assigned, needed: &'a Dependency) -> Needed<'a> {
        let build = &needed.build;
        Needed {
            id: build.id,
            ref_: &build.ref_,
            tag: needed.is_tag,
            sha: build.sha.as_deref(),
            status: build.status,
            name: &build.name,
            token: assigned.token.reveal(),
            stage: &build.stage,
            project_id: build.project_id,
            project_name: &build.project,
            artifacts_file: build.artifacts.as_ref().map(File::of),
        }
    }
}

impl File<'_> {
    fn of(file: &ArtifactsFile) -> File<'_> {
        File { filename: &file.filename, size: file.size }
    }
}
