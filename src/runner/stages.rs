//! The stages of a job as data: what they are called, how often they are tried, and what a failure comes to.
//!
//! What must stay true: the words are those of gitlab-runner 19.3; a failure's state, reason and last line follow from
//! one table.

use super::variables::Variables;
use std::time::Duration;

/// A stage of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The runner makes ready.
    PrepareExecutor,
    /// A first shell shows that shells work here.
    PrepareScript,
    /// The checkout.
    GetSources,
    /// Between two tries of that.
    ClearWorktree,
    /// Caches come back.
    RestoreCache,
    /// Archives of other jobs come.
    DownloadArtifacts,
    /// One of the job's scripts.
    Step(String),
    /// The script that runs whatever became of the others.
    AfterScript,
    /// Caches are saved; of a job that went well, or failed.
    ArchiveCache(bool),
    /// Artifacts are uploaded; of a job that went well, or failed.
    UploadArtifacts(bool),
    /// What holds secrets goes.
    Cleanup,
}

/// Most tries of anything.
const TRIES_MAX: u32 = 10;

impl Stage {
    /// The name of its section in the log.
    #[must_use]
    pub fn section(&self) -> String {
        match self {
            Stage::PrepareExecutor => "prepare_executor",
            Stage::PrepareScript => "prepare_script",
            Stage::GetSources => "get_sources",
            Stage::ClearWorktree => "clear_worktree",
            Stage::RestoreCache => "restore_cache",
            Stage::DownloadArtifacts => "download_artifacts",
            Stage::Step(name) => return step_name(name),
            Stage::AfterScript => "after_script",
            Stage::ArchiveCache(true) => "archive_cache",
            Stage::ArchiveCache(false) => "archive_cache_on_failure",
            Stage::UploadArtifacts(true) => "upload_artifacts_on_success",
            Stage::UploadArtifacts(false) => "upload_artifacts_on_failure",
            Stage::Cleanup => "cleanup_file_variables",
        }
        .to_owned()
    }

    /// Its first line in the log.
    #[must_use]
    pub fn heading(&self) -> String {
        match self {
            Stage::PrepareExecutor => "Preparing the \"shell\" executor",
            Stage::PrepareScript => "Preparing environment",
            Stage::GetSources => "Getting source from Git repository",
            Stage::ClearWorktree => "Deleting all tracked and untracked files due to source fetch failure",
            Stage::RestoreCache => "Restoring cache",
            Stage::DownloadArtifacts => "Downloading artifacts",
            Stage::Step(name) => return format!("Executing \"{}\" stage of the job script", step_name(name)),
            Stage::AfterScript => "Running after_script",
            Stage::ArchiveCache(true) => "Saving cache for successful job",
            Stage::ArchiveCache(false) => "Saving cache for failed job",
            Stage::UploadArtifacts(true) => "Uploading artifacts for successful job",
            Stage::UploadArtifacts(false) => "Uploading artifacts for failed job",
            Stage::Cleanup => "Cleaning up project directory and file based variables",
        }
        .to_owned()
    }

    /// How often it is tried.
    #[must_use]
    pub fn tries(&self, variables: &Variables) -> u32 {
        let name = match self {
            Stage::GetSources => "GET_SOURCES_ATTEMPTS",
            Stage::RestoreCache => "RESTORE_CACHE_ATTEMPTS",
            Stage::DownloadArtifacts => "ARTIFACT_DOWNLOAD_ATTEMPTS",
            Stage::PrepareExecutor
            | Stage::PrepareScript
            | Stage::ClearWorktree
            | Stage::Step(_)
            | Stage::AfterScript
            | Stage::ArchiveCache(_)
            | Stage::UploadArtifacts(_)
            | Stage::Cleanup => return 1,
        };
        variables
            .text(name)
            .trim()
            .parse::<i64>()
            .map_or(1, |tries| u32::try_from(tries.clamp(1, i64::from(TRIES_MAX))).unwrap_or(1))
    }
}

/// What a step is called as a stage: the one that every job has is `step_script`.
fn step_name(name: &str) -> String {
    format!("step_{name}")
}

/// Pauses between the tries of a stage.
#[must_use]
pub fn pause(try_number: u32) -> Duration {
    Duration::from_secs(5 << try_number.min(6)).min(Duration::from_secs(300))
}

/// Why a stage, or a job, did not go well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A script, or a part of the runner that is like one, ended with this status.
    Exit(i32),
    /// The outer shell was ended by this signal.
    Signal(String),
    /// The first shell of a job failed.
    Environment(Box<Failure>),
    /// The runner itself could not.
    System(String),
    /// The job asks for something that is not allowed here.
    Configuration(String),
    /// The job's time is up.
    JobTimeout(Duration),
    /// The script's time is up.
    ScriptTimeout,
    /// Somebody has cancelled the job.
    Canceled,
    /// The runner was told to stop.
    Interrupted,
    /// The server does not want the job any more: nobody need be told.
    Aborted,
}

impl Failure {
    /// What went wrong, as a part of a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Failure::Exit(status) => format!("exit status {status}"),
            Failure::Signal(name) => format!("signal: {name}"),
            Failure::Environment(cause) => format!(
                "prepare environment: {}. Check https://docs.gitlab.com/runner/shells/#shell-profile-loading \
                 for more information",
                cause.text()
            ),
            Failure::System(text) | Failure::Configuration(text) => text.clone(),
            Failure::JobTimeout(time) => format!("execution took longer than {} seconds", go_duration(*time)),
            Failure::ScriptTimeout => "script timeout: context deadline exceeded".to_owned(),
            Failure::Canceled | Failure::Aborted => "canceled".to_owned(),
            Failure::Interrupted => "aborted: terminated".to_owned(),
        }
    }

    /// What `CI_JOB_STATUS` is in `after_script`.
    #[must_use]
    pub fn job_status(&self) -> &'static str {
        match self {
            Failure::JobTimeout(_) | Failure::ScriptTimeout => "timedout",
            Failure::Canceled | Failure::Aborted | Failure::Interrupted => "canceled",
            Failure::Exit(_)
            | Failure::Signal(_)
            | Failure::Environment(_)
            | Failure::System(_)
            | Failure::Configuration(_) => "failed",
        }
    }

    /// Whether nothing of the job runs any more.
    #[must_use]
    pub fn ends_everything(&self) -> bool {
        match self {
            Failure::JobTimeout(_) | Failure::Interrupted | Failure::Aborted => true,
            Failure::Exit(_)
            | Failure::Signal(_)
            | Failure::Environment(_)
            | Failure::System(_)
            | Failure::Configuration(_)
            | Failure::ScriptTimeout
            | Failure::Canceled => false,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Failure::Exit(_) | Failure::Signal(_) | Failure::Environment(_) => "script_failure",
            Failure::System(_) => "runner_system_failure",
            Failure::Configuration(_) => "runner_configuration_error",
            Failure::JobTimeout(_) | Failure::ScriptTimeout => "job_execution_timeout",
            Failure::Canceled | Failure::Aborted => "job_canceled",
            Failure::Interrupted => "runner_interrupted",
        }
    }

    fn exit_code(&self) -> i32 {
        match self {
            Failure::Exit(status) => *status,
            Failure::Signal(_) => -1,
            Failure::Environment(cause) => cause.exit_code(),
            Failure::System(_)
            | Failure::Configuration(_)
            | Failure::JobTimeout(_)
            | Failure::ScriptTimeout
            | Failure::Canceled
            | Failure::Interrupted
            | Failure::Aborted => 0,
        }
    }
}

/// What the server is told of a job that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// `success` or `failed`.
    pub state: &'static str,
    /// Why it failed, in a word that the server knows.
    pub reason: Option<&'static str>,
    /// The script's status; 0 is not sent.
    pub exit_code: i32,
    /// The log's last line.
    pub line: String,
}

impl Verdict {
    /// What a job comes to. `reasons` are those that the server knows.
    #[must_use]
    pub fn of(failure: Option<&Failure>, reasons: &[String]) -> Verdict {
        let Some(failure) = failure else {
            return Verdict { state: "success", reason: None, exit_code: 0, line: "Job succeeded".to_owned() };
        };
        let reason = failure.reason();
        let is_old = ["script_failure", "runner_system_failure", "job_execution_timeout"].contains(&reason);
        let is_known = is_old || reasons.iter().any(|known| known == reason);
        let reason = match reason {
            _ if is_known => reason,
            "runner_configuration_error" => "script_failure",
            _ => "unknown_failure",
        };
        let is_system = matches!(failure, Failure::System(_));
        let kind = if is_system { " (system failure)" } else { "" };
        Verdict {
            state: "failed",
            reason: Some(reason),
            exit_code: failure.exit_code(),
            line: format!("Job failed{kind}: {}", failure.text()),
        }
    }
}

/// A duration as Go prints it: `1h0m0s`, `4s`.
fn go_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Reads a duration as Go does: `1h30m`, `90s`, `1.5h`, `100ms`. `None` for anything else, and for what is not above 0.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim().strip_prefix('+').unwrap_or(text.trim());
    let mut sum = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(sum).ok().filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_a_failure_comes_to_is_one_table() {
        let all: Vec<String> = ["job_canceled", "runner_interrupted", "runner_configuration_error"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        let hour = Duration::from_secs(3600);
        for (failure, reason, old, code, line) in [
            (Failure::Exit(3), "script_failure", "script_failure", 3, "Job failed: exit status 3"),
            (Failure::Signal("killed".into()), "script_failure", "script_failure", -1, "Job failed: signal: killed"),
            (
                Failure::JobTimeout(hour),
                "job_execution_timeout",
                "job_execution_timeout",
                0,
                "Job failed: execution took longer than 1h0m0s seconds",
            ),
            (
                Failure::ScriptTimeout,
                "job_execution_timeout",
                "job_execution_timeout",
                0,
                "Job failed: script timeout: context deadline exceeded",
            ),
            (Failure::Canceled, "job_canceled", "unknown_failure", 0, "Job failed: canceled"),
            (Failure::Interrupted, "runner_interrupted", "unknown_failure", 0, "Job failed: aborted: terminated"),
            (Failure::Configuration("no".into()), "runner_configuration_error", "script_failure", 0, "Job failed: no"),
            (
                Failure::System("no".into()),
                "runner_system_failure",
                "runner_system_failure",
                0,
                "Job failed (system failure): no",
            ),
        ] {
            let verdict = Verdict::of(Some(&failure), &all);
            assert_eq!((verdict.state, verdict.reason, verdict.exit_code), ("failed", Some(reason), code));
            assert_eq!(verdict.line, line);
            assert_eq!(Verdict::of(Some(&failure), &[]).reason, Some(old));
        }
        assert_eq!(Verdict::of(None, &[]).line, "Job succeeded");
    }

    #[test]
    fn a_shell_that_does_not_start_well_keeps_its_status() {
        let verdict = Verdict::of(Some(&Failure::Environment(Box::new(Failure::Exit(4)))), &[]);
        assert_eq!((verdict.reason, verdict.exit_code), (Some("script_failure"), 4));
        assert!(verdict.line.contains("prepare environment: exit status 4. Check https://"), "{}", verdict.line);
    }

    #[test]
    fn tries_are_bounded() {
        for (value, tries) in [("", 1), ("3", 3), ("0", 1), ("-5", 1), ("99999999999", 10), ("x", 1), (" 2 ", 2)] {
            let (mut variables, _) = Variables::new(&[], &[], &[], Path::new("/t"));
            variables.set("GET_SOURCES_ATTEMPTS", value);
            assert_eq!(Stage::GetSources.tries(&variables), tries, "{value:?}");
            assert_eq!(Stage::AfterScript.tries(&variables), 1);
        }
        assert_eq!((pause(0), pause(1), pause(9)), [5, 10, 300].map(Duration::from_secs).into());
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [("1h30m", 5_400_000), ("90s", 90_000), ("1.5h", 5_400_000), ("100ms", 100)] {
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "x", "0s", "-1s", "1d", "s", "1h 30m", "1..2s"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
        assert_eq!(go_duration(Duration::from_secs(3723)), "1h2m3s");
        assert_eq!(go_duration(Duration::from_secs(63)), "1m3s");
    }
}
