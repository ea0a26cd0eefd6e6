//! One job, from its claim to the word of its end: slot, variables, log, and who tells the server.
//!
//! What must stay true: whatever happens to a claimed job, the server is told of its end, unless it does not want to
//! hear. The log's last line says the same as what the server is told.

use super::client::{Asked, End, Wish, architecture};
use super::directories::{self, Slot};
use super::job::Job;
use super::log::Log;
use super::mask::Secrets;
use super::orders::Wishes;
use super::process::Kept;
use super::report::Reporter;
use super::shell::Watch;
use super::stages::{Failure, Verdict};
use super::variables::{self, Variables};
use super::work::{ENV_FILE, Work};
use super::{Ending, Host};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A job's time, if the server says none.
const TIMEOUT: Duration = Duration::from_secs(2 * 3600);
/// The folder of nameless files.
const LOGS: &str = ".logs";

/// Runs a job, which is number `number` of those that this runner runs. What is returned keeps what is left of it.
pub(super) fn run(host: &Host, job: &Job, number: usize) -> Option<Kept> {
    let started_at = Instant::now();
    let wishes = Arc::new(Wishes::default());
    // The server may have given it up meanwhile; if it does not answer, it is told later.
    if let Ok(answer) = host.client.running(job.id, &job.token) {
        wishes.note(answer.wish);
        if answer.wish == Wish::Abort || answer.status == 404 {
            return None;
        }
    }
    let ready = match Ready::make(host, job, number) {
        Ok(ready) => ready,
        Err(error) => {
            log::error!("job {}: {error}", job.id);
            refuse_one(host, job.id, &job.token, "runner_system_failure");
            return None;
        }
    };
    let reporter = Reporter {
        client: Arc::clone(&host.client),
        id: job.id,
        token: job.token.clone(),
        log: Arc::clone(&ready.log),
        wishes: Arc::clone(&wishes),
        stop: host.stop.clone(),
        interval: host.options.log_interval,
    };
    let timeout = u64::try_from(job.runner_info.timeout).ok().filter(|&seconds| seconds > 0);
    let timeout = timeout.map_or(TIMEOUT, Duration::from_secs);
    let (stop, patience) = (host.stop.clone(), host.options.patience);
    let watch = Watch { timeout, deadline: started_at + timeout, wishes, stop, patience };
    let (kept, verdict) = thread::scope(|scope| {
        scope.spawn(|| reporter.follow());
        let (kept, failure) = ready.run(host, job, &watch);
        let verdict = Verdict::of(failure.as_ref(), &job.features.failure_reasons);
        match verdict.state {
            "success" => ready.log.success(&verdict.line),
            _ => ready.log.error(&verdict.line),
        }
        ready.log.end();
        (kept, verdict)
    });
    reporter.end(&verdict);
    kept
}

/// What a job needs to begin.
struct Ready {
    slot: Slot,
    variables: Variables,
    log: Arc<Log>,
}

impl Ready {
    fn make(host: &Host, job: &Job, number: usize) -> io::Result<Ready> {
        let builds = &host.options.builds;
        let is_empty = {
            let strategy = job.variables.iter().rev().find(|variable| variable.key == "GIT_STRATEGY");
            strategy.is_some_and(|variable| variable.value == "empty")
        };
        let path = directories::project_path(&job.git_info.repo_url, job.job_info.project_id, is_empty);
        let slot = directories::take(builds, &path)?;
        let (variables, unusable) = variables_of(host, job, &slot, number);
        let masked = job.variables.iter().filter(|variable| variable.masked);
        let mut secrets: Vec<String> = masked.clone().map(|variable| variable.value.clone()).collect();
        // As it is after it was expanded.
        secrets
            .extend(masked.filter(|variable| !variable.file).map(|variable| variables.text(&variable.key).to_owned()));
        secrets.push(job.token.reveal().to_owned());
        let secrets = Secrets::new(secrets.iter().map(String::as_str), &job.features.token_mask_prefixes);
        let folder = directories::real_folder(builds, Path::new(LOGS))?;
        let has_times = variables.flag("FF_TIMESTAMPS", true);
        let log = Log::new(&folder, host.options.log_bytes_max, secrets, has_times, job.features.trace_sections)?;
        log.plain(&format!("Running with baton {}", env!("CARGO_PKG_VERSION")));
        log.plain(&format!("  on {}, in {}", host.options.name, builds.display()));
        for name in unusable {
            log.warning(&format!("no shell takes {name:?} for a variable's name"));
        }
        Ok(Ready { slot, variables, log: Arc::new(log) })
    }

    fn run(&self, host: &Host, job: &Job, watch: &Watch) -> (Option<Kept>, Option<Failure>) {
        let (log, slot, variables) = (&self.log, &self.slot, self.variables.clone());
        let mut work = Work { host, job, log, watch, slot, variables, keeper: None };
        let failure = work.run();
        let Some(mut keeper) = work.keeper.take() else { return (None, failure) };
        if failure.as_ref().is_some_and(Failure::ends_everything) {
            keeper.kill_all();
        }
        let is_left_alone = !host.options.ends_leftovers && host.stop.ending() < Ending::Interrupt;
        if is_left_alone {
            keeper.leave();
            return (None, failure);
        }
        (Some(keeper.stay()), failure)
    }
}

fn variables_of(host: &Host, job: &Job, slot: &Slot, number: usize) -> (Variables, variables::Unusable) {
    let text = |path: &Path| path.display().to_string();
    let seconds = u64::try_from(job.runner_info.timeout).ok().filter(|&seconds| seconds > 0);
    let mut before = vec![
        ("CI_RUNNER_SHORT_TOKEN", "local".to_owned()),
        ("CI_SERVER", "yes".to_owned()),
        ("CI_JOB_STATUS", "running".to_owned()),
        ("CI_JOB_TIMEOUT", seconds.unwrap_or(TIMEOUT.as_secs()).to_string()),
    ];
    if !job.image.name.is_empty() {
        before.push(("CI_JOB_IMAGE", job.image.name.clone()));
    }
    let after = [
        ("CI_BUILDS_DIR", text(&host.options.builds)),
        ("CI_PROJECT_DIR", text(&slot.project)),
        ("CI_CONCURRENT_ID", number.to_string()),
        ("CI_CONCURRENT_PROJECT_ID", slot.number.to_string()),
        ("CI_SHARED_ENVIRONMENT", "true".to_owned()),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("CI_RUNNER_REVISION", "baton".to_owned()),
        ("CI_RUNNER_EXECUTABLE_ARCH", format!("{}/{}", std::env::consts::OS, architecture())),
        ("RUNNER_TEMP_PROJECT_DIR", text(&slot.temporary)),
        ("GITLAB_ENV", text(&slot.temporary.join(ENV_FILE))),
    ];
    Variables::new(&before, &job.variables, &after, &slot.temporary)
}

/// Tells the server that a claimed job does not run here.
pub(super) fn refuse(host: &Host, asked: Asked, reason: &str) {
    match asked {
        Asked::Job(job) => refuse_one(host, job.id, &job.token, reason),
        Asked::Unreadable(id, token, _) => refuse_one(host, id, &token, reason),
        Asked::Nothing(_) | Asked::Refused | Asked::Trouble(_) => {}
    }
}

fn refuse_one(host: &Host, id: u64, token: &crate::domain::token::Token, reason: &str) {
    let end = End { state: "failed", reason: Some(reason), exit_code: 0, checksum: (0, 0) };
    if let Err(error) = host.client.ended(id, token, &end) {
        log::warn!(job = id; "the server was not told that the job does not run: {error}");
    }
}
