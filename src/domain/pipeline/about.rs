//! What people are told of a job, beside what is asked of its runner.

use super::{Environment, Job, Part, Trigger, Work};
use serde::{Deserialize, Serialize};

/// What people are told of a job. It is stored as JSON: fields that are added later have defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its name in the file, where that differs from the job's: one entry made several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Which of how many it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Part>,
    /// Where it deploys to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Pattern of the number in its log, without slashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// Whether a newer pipeline may end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruptible: Option<bool>,
    /// What is asked before it is started by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_confirmation: Option<String>,
    /// Why it cannot run here, in a sentence: when its turn comes, it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The pipeline that it makes when its turn comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Box<Trigger>>,
}

impl From<&Job> for About {
    fn from(job: &Job) -> About {
        let (refused, trigger) = match &job.work {
            Work::Build(_) => (None, None),
            Work::Trigger(trigger) => (None, Some(trigger.clone())),
            Work::Refused { why } => (Some(why.clone()), None),
        };
        About {
            group: (job.group != job.name).then(|| job.group.clone()),
            parallel: job.parallel,
            environment: job.environment.clone(),
            coverage: job.coverage.clone(),
            interruptible: job.interruptible,
            manual_confirmation: job.manual_confirmation.clone(),
            refused,
            trigger,
        }
    }
}
