//! Pipelines: the jobs of one commit, in which order they run, and what becomes of the whole.
//!
//! A pipeline here is a value: what a configuration asks for, before anything is queued. [`states`] says how its jobs
//! move, [`board`] what one of them means to the others, [`about`] what people are told of one.

pub mod about;
pub mod board;
pub mod states;

use super::spec::{AllowFailure, BuildSpec};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a pipeline.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PipelineId(pub i64);

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there is a pipeline, by GitLab's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Commits arrived.
    #[default]
    Push,
    /// A merge request was opened or changed.
    MergeRequestEvent,
    /// A time came.
    Schedule,
    /// Somebody pressed a button.
    Web,
    /// A program asked.
    Api,
    /// A trigger token asked.
    Trigger,
    /// A pipeline of another project.
    Pipeline,
    /// A pipeline of the same project: this one is its child.
    ParentPipeline,
    /// The editor in the browser.
    Webide,
    /// A chat.
    Chat,
    /// Another service.
    External,
}

impl Source {
    /// All, with `push` first.
    pub const ALL: [Source; 11] = [
        Source::Push,
        Source::MergeRequestEvent,
        Source::Schedule,
        Source::Web,
        Source::Api,
        Source::Trigger,
        Source::Pipeline,
        Source::ParentPipeline,
        Source::Webide,
        Source::Chat,
        Source::External,
    ];

    /// The word in `CI_PIPELINE_SOURCE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Push => "push",
            Source::MergeRequestEvent => "merge_request_event",
            Source::Schedule => "schedule",
            Source::Web => "web",
            Source::Api => "api",
            Source::Trigger => "trigger",
            Source::Pipeline => "pipeline",
            Source::ParentPipeline => "parent_pipeline",
            Source::Webide => "webide",
            Source::Chat => "chat",
            Source::External => "external",
        }
    }

    /// Whether a pipeline is stored, as failed and without jobs, although its configuration was refused. As GitLab does,
    /// except where somebody has asked who reads the answer, which says the same: a program that starts a pipeline, and
    /// somebody at a terminal. Those that call for others (triggers, hooks, timers, jobs) read none, so that people must see on
    /// the page why nothing runs.
    #[must_use]
    pub fn keeps_refusals(self) -> bool {
        match self {
            Source::Web | Source::Api => false,
            Source::Push
            | Source::MergeRequestEvent
            | Source::Schedule
            | Source::Trigger
            | Source::Pipeline
            | Source::ParentPipeline
            | Source::Webide
            | Source::Chat
            | Source::External => true,
        }
    }

    /// The source of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// When a job runs, by the state of what it waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// If all went well.
    #[default]
    OnSuccess,
    /// If something failed.
    OnFailure,
    /// In any case.
    Always,
    /// If all went well and somebody starts it.
    Manual,
    /// If all went well, after a time.
    Delayed,
}

impl When {
    /// All, in the order in which GitLab names them.
    pub const ALL: [When; 5] = [When::OnSuccess, When::OnFailure, When::Always, When::Manual, When::Delayed];

    /// The word in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            When::OnSuccess => "on_success",
            When::OnFailure => "on_failure",
            When::Always => "always",
            When::Manual => "manual",
            When::Delayed => "delayed",
        }
    }

    /// The meaning of this word, if it has one.
    #[must_use]
    pub fn parse(word: &str) -> Option<When> {
        When::ALL.into_iter().find(|when| when.as_str() == word)
    }
}

/// A pipeline that may be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pipeline {
    /// `workflow:name`, expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why there is one.
    pub source: Source,
    /// Global variables of the file, as they are written.
    pub variables: Vec<JobVariable>,
    /// What the file says of its global variables, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub about_variables: Vec<AboutVariable>,
    /// All stages, also those without jobs, in order.
    pub stages: Vec<String>,
    /// Stage by stage, inside of a stage as in the file.
    pub jobs: Vec<Job>,
}

impl Pipeline {
    /// The jobs that a job waits for.
    pub fn waits_for<'a>(&'a self, job: &'a Job) -> Vec<&'a Job> {
        match &job.needs {
            Some(needs) => {
                let is_needed = |other: &&Job| needs.iter().any(|need| need.job == other.name);
                self.jobs.iter().filter(is_needed).collect()
            }
            None => self.jobs.iter().filter(|other| other.stage_index < job.stage_index).collect(),
        }
    }

    /// The jobs whose artifacts a job downloads.
    pub fn artifacts_from<'a>(&'a self, job: &'a Job) -> Vec<&'a Job> {
        let listed = match &job.work {
            Work::Build(spec) => spec.dependencies.as_ref(),
            Work::Trigger(_) | Work::Refused { .. } => return Vec::new(),
        };
        let mut from = self.waits_for(job);
        from.retain(|other| other.uploads && listed.is_none_or(|listed| listed.contains(&other.name)));
        from
    }
}

/// What a file says of a variable that people may give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutVariable {
    /// Its name.
    pub key: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Values that it may have; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A job of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// With its number or its matrix: `j 1/3`, `j: [a, b]`.
    pub name: String,
    /// Its name in the file.
    pub group: String,
    /// Place of its stage in the pipeline's list.
    pub stage_index: usize,
    /// Name of its stage.
    pub stage: String,
    /// When it runs.
    pub when: When,
    /// For a delayed job: how long it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_in: Option<Span>,
    /// Whether the pipeline goes on when it fails.
    pub allow_failure: AllowFailure,
    /// What it waits for, by name; `None`: for all jobs of earlier stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<Need>>,
    /// Whether later jobs have something of it to download.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uploads: bool,
    /// Only runners with all of these take it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it deploys to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Of the jobs with this name, one at a time runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// Pattern of the number in its log, without slashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// Whether a newer pipeline may end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruptible: Option<bool>,
    /// How long it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Which of how many it is, from 1, if the file has `parallel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Part>,
    /// What is asked before it is started by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_confirmation: Option<String>,
    /// All variables that are known beforehand, expanded: predefined, of the file, given. By name.
    pub variables: Vec<JobVariable>,
    /// Those of the file, as they are written.
    pub file_variables: Vec<JobVariable>,
    /// What it does.
    pub work: Work,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A runner runs it.
    Build(Box<BuildSpec>),
    /// It makes another pipeline.
    Trigger(Box<Trigger>),
    /// It cannot run here; it is listed and skipped.
    Refused {
        /// Why, in a sentence.
        why: String,
    },
}

impl Default for Work {
    fn default() -> Work {
        Work::Build(Box::default())
    }
}

/// A length of time, as people wrote it and in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// As in `30 minutes`.
    pub text: String,
    /// The same in seconds.
    pub seconds: u64,
}

/// Which of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub index: usize,
    /// How many.
    pub total: usize,
}

/// A job that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Its name.
    pub job: String,
    /// Whether its artifacts are downloaded.
    pub artifacts: bool,
    /// Whether it may be absent.
    pub optional: bool,
}

/// Where a job deploys to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Expanded.
    pub name: String,
    /// The name for URLs.
    pub slug: String,
    /// Not yet expanded: dotenv variables may be in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `start`, `prepare`, `stop`, `verify` or `access`.
    pub action: String,
    /// `production`, `staging`, `testing`, `development` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The job that takes it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<String>,
}

/// A job that makes another pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// Of which files the child's configuration is made, merged in order.
    pub include: Vec<ChildSource>,
    /// Whether the job waits for the child and takes over how it ends.
    pub depends: bool,
    /// Whether the child gets the variables of the file.
    pub forward_file_variables: bool,
    /// Whether the child gets the variables that people gave.
    pub forward_given_variables: bool,
}

impl Trigger {
    /// The child's configuration: nothing but what it includes. The child's source is `parent_pipeline`.
    #[must_use]
    pub fn configuration(&self) -> String {
        let include: serde_json::Value = self.include.iter().map(ChildSource::entry).collect();
        serde_json::json!({ "include": include }).to_string()
    }
}

impl ChildSource {
    /// The entry of `include` for it.
    fn entry(&self) -> serde_json::Value {
        match self {
            ChildSource::Local { path, inputs } => serde_json::json!({"local": path, "inputs": inputs}),
            ChildSource::Artifact { path, job, inputs } => {
                serde_json::json!({"artifact": path, "job": job, "inputs": inputs})
            }
            ChildSource::Other(entry) => entry.clone(),
        }
    }
}

/// A file of a child's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildSource {
    /// A file of the checkout.
    Local {
        /// From its root.
        path: String,
        /// Values for its inputs, as JSON.
        #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
        inputs: serde_json::Map<String, serde_json::Value>,
    },
    /// A file that a job makes.
    Artifact {
        /// Path in the artifacts.
        path: String,
        /// The job's name.
        job: String,
        /// Values for its inputs, as JSON.
        #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
        inputs: serde_json::Map<String, serde_json::Value>,
    },
    /// An entry of `include` of another kind, as JSON, to be read as one.
    Other(serde_json::Value),
}

/// A variable of a job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobVariable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether it may be shown.
    pub public: bool,
    /// Whether the build gets the name of a file with the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    /// Whether nothing in it is expanded, by a runner neither.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}

impl JobVariable {
    /// A variable that anybody may see.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> JobVariable {
        JobVariable { key: key.into(), value: value.into(), public: true, file: false, raw: false }
    }
}

/// Shows the value of public variables only.
impl fmt::Debug for JobVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, if self.public { &self.value } else { "hidden" })
    }
}
