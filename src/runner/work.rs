//! One job, from its first stage to its last.
//!
//! What must stay true: which stages run after a failure is decided here and nowhere else, as the table of
//! [`super::stages`] says. Every shell is new, and finds the files of the job's variables anew. A job whose time is up,
//! that nobody wants, or whose runner ends, does nothing more.

use super::directories::Slot;
use super::frames::Start;
use super::job::Job;
use super::log::{Log, Stream};
use super::process::Keeper;
use super::script::{self, Script};
use super::shell::{Run, Watch};
use super::sources::{self, Sources, Strategy};
use super::stages::{Failure, Stage, parse_go_duration, pause};
use super::variables::Variables;
use super::{Host, variables};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// The file that a stage makes as its last act.
const RAN: &str = ".ran";
/// The file of `GITLAB_ENV`.
pub const ENV_FILE: &str = "gitlab_runner_env";
/// For how long `after_script` may run, unless the job says so.
const AFTER_SCRIPT_TIME: Duration = Duration::from_secs(300);
/// Bytes of `GITLAB_ENV` that are read.
const ENV_BYTES_MAX: usize = 1 << 20;

/// What comes of a stage.
pub type Done = Result<(), Failure>;

/// A job at work.
pub struct Work<'a> {
    /// What all jobs of this runner have in common.
    pub host: &'a Host,
    /// The job.
    pub job: &'a Job,
    /// Its log.
    pub log: &'a Log,
    /// What may end it.
    pub watch: &'a Watch,
    /// Where it works.
    pub slot: &'a Slot,
    /// Its variables.
    pub variables: Variables,
    /// What keeps its processes.
    pub keeper: Option<Keeper>,
}

impl Work<'_> {
    /// Runs all stages. Returns what the job failed by.
    pub fn run(&mut self) -> Option<Failure> {
        let failure = self.live();
        if !failure.as_ref().is_some_and(Failure::ends_everything) {
            let clean = self.stage(&Stage::Cleanup, |work| {
                work.slot.clear_temporary().map_err(|error| Failure::System(error.to_string()))
            });
            if let Err(failure) = clean {
                log::warn!("job {}: {}", self.job.job_info.name, failure.text());
            }
        } else if let Err(error) = self.slot.clear_temporary() {
            log::warn!("job {}: what holds secrets was not removed: {error}", self.job.job_info.name);
        }
        failure
    }

    fn live(&mut self) -> Option<Failure> {
        if let Err(failure) = self.make_ready() {
            return Some(failure);
        }
        let mut failure = self.fetch_all().err();
        let has_begun = failure.is_none();
        if has_begun {
            failure = self.steps().err();
        } else if failure == Some(Failure::Canceled) {
            return failure;
        }
        if has_begun && !failure.as_ref().is_some_and(Failure::ends_everything) {
            failure = self.after_script(failure);
        }
        if failure.as_ref().is_some_and(Failure::ends_everything) {
            return failure;
        }
        self.keep_all(failure)
    }

    /// Runs a stage, in a section of its own.
    fn stage(&mut self, stage: &Stage, deed: impl FnOnce(&mut Self) -> Done) -> Done {
        self.log.section_start(&stage.section());
        self.log.heading(&stage.heading());
        let done = deed(self);
        self.log.end_of_shell();
        self.log.section_end(&stage.section());
        done
    }

    fn make_ready(&mut self) -> Done {
        let job = self.job;
        self.stage(&Stage::PrepareExecutor, |work| {
            for flag in work.variables.odd_flags() {
                work.log.warning(&format!("{flag} is no boolean"));
            }
            if !work.variables.text("GIT_CLONE_PATH").is_empty() {
                let text = "setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature";
                return Err(Failure::Configuration(text.to_owned()));
            }
            work.slot
                .prepare(&work.host.options.builds)
                .map_err(|error| Failure::System(format!("the folders cannot be made ready: {error}")))?;
            work.log.plain(&format!("Using Shell ({}) executor...", work.host.options.shell.program()));
            Ok(())
        })?;
        self.stage(&Stage::PrepareScript, |work| {
            let mut script = Script::default();
            script.line("printf 'Running on %s...\\n' \"$(hostname 2> /dev/null || uname -n)\"");
            work.shell(&script, None, true).map_err(|failure| match failure {
                Failure::Exit(_) | Failure::Signal(_) => Failure::Environment(Box::new(failure)),
                Failure::Environment(_)
                | Failure::System(_)
                | Failure::Configuration(_)
                | Failure::JobTimeout(_)
                | Failure::ScriptTimeout
                | Failure::Canceled
                | Failure::Interrupted
                | Failure::Aborted => failure,
            })
        })?;
        if job.steps.is_empty() {
            return Err(Failure::Configuration("the job has no script".to_owned()));
        }
        Ok(())
    }

    /// What comes before the script.
    fn fetch_all(&mut self) -> Done {
        self.get_sources()?;
        if self.has_any_cache() {
            self.repeated(&Stage::RestoreCache, Work::restore_cache)?;
        }
        if self.has_downloads() {
            self.repeated(&Stage::DownloadArtifacts, Work::download_artifacts)?;
        }
        Ok(())
    }

    /// What comes behind the script. Returns what the job failed by.
    fn keep_all(&mut self, failure: Option<Failure>) -> Option<Failure> {
        let is_good = failure.is_none();
        let mut result = failure;
        if self.has_cache(is_good) {
            let done = self.stage(&Stage::ArchiveCache(is_good), |work| work.archive_cache(is_good));
            result = result.or(done.err());
            if result.as_ref().is_some_and(Failure::ends_everything) {
                return result;
            }
        }
        if self.has_artifacts(is_good) {
            let done = self.stage(&Stage::UploadArtifacts(is_good), |work| work.upload_artifacts(is_good));
            result = result.or(done.err());
        }
        result
    }

    /// Runs a stage until it goes well, or often enough.
    fn repeated(&mut self, stage: &Stage, deed: fn(&mut Self) -> Done) -> Done {
        let tries = stage.tries(&self.variables);
        for number in 1.. {
            let done = self.stage(stage, deed);
            match done {
                Err(failure) if number < tries && !is_order(&failure) => self.wait_to_retry(number)?,
                done => return done,
            }
        }
        Ok(())
    }

    fn wait_to_retry(&self, number: u32) -> Done {
        self.log.warning("Retrying...");
        let until = Instant::now() + pause(number - 1);
        while Instant::now() < until {
            if let Some(failure) = self.watch.cause(true) {
                return Err(failure);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn get_sources(&mut self) -> Done {
        let tries = Stage::GetSources.tries(&self.variables);
        let (strategy, _) = Strategy::of(self.job, &self.variables);
        for number in 1.. {
            let mut was_used = false;
            let done = self.stage(&Stage::GetSources, |work| work.get_sources_once(strategy, &mut was_used));
            let Err(failure) = done else { return done };
            // A checkout that was used before may be broken: one more try, with a new one.
            let is_own = number == 1 && tries == 1 && was_used && strategy == Strategy::Fetch;
            if is_order(&failure) || matches!(failure, Failure::Configuration(_)) || number >= tries && !is_own {
                return Err(failure);
            }
            if !is_own {
                self.wait_to_retry(number)?;
            }
            if strategy.is_git() {
                self.stage(&Stage::ClearWorktree, |work| {
                    work.log.notice("Deleting tracked and untracked files...");
                    work.slot.empty().map_err(|error| Failure::System(error.to_string()))
                })?;
            }
        }
        Ok(())
    }

    fn get_sources_once(&mut self, strategy: Strategy, was_used: &mut bool) -> Done {
        let failed = |error: std::io::Error| Failure::System(format!("the checkout cannot be made ready: {error}"));
        match strategy {
            Strategy::Fetch => *was_used = self.slot.clear_git().map_err(failed)?,
            Strategy::Clone | Strategy::Empty => self.slot.empty().map_err(failed)?,
            Strategy::None => {}
        }
        let (external, url) = if strategy.is_git() {
            sources::external(&self.job.git_info.repo_url)?
        } else {
            (String::new(), String::new())
        };
        let (project, temporary) = (self.slot.project.as_path(), self.slot.temporary.as_path());
        if strategy.is_git() {
            let template = sources::template(&temporary.join(sources::EXTERNAL));
            let place = temporary.join(sources::TEMPLATE);
            super::directories::remove_tree(&place).map_err(failed)?;
            self.slot.write(sources::EXTERNAL, &external).map_err(failed)?;
            fs::create_dir(&place).map_err(failed)?;
            self.slot.write(&format!("{}/config", sources::TEMPLATE), &template).map_err(failed)?;
        }
        let body = Sources { job: self.job, variables: &self.variables, project, temporary, url: &url }.script()?;
        self.shell_text(&body, None, true)
    }

    fn steps(&mut self) -> Done {
        let job = self.job;
        let timeout = self.duration("RUNNER_SCRIPT_TIMEOUT");
        let deadline = timeout.map(|time| Instant::now() + time);
        for step in job.steps.iter().filter(|step| step.name != "after_script") {
            let name = if step.name.is_empty() { "script".to_owned() } else { step.name.to_lowercase() };
            let stage = Stage::Step(name);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let done = self.stage(&stage, |work| {
                let mut script = work.own_script();
                script.entries(&step.script, work.sections("script_step"));
                work.shell(&script, left, true)
            });
            if let Err(failure) = &done {
                self.tell_why(&stage, failure);
                return done;
            }
        }
        Ok(())
    }

    /// The beginning of a script of the job.
    pub fn own_script(&self) -> Script {
        let mut script = Script::checking(self.variables.flag("FF_ENABLE_BASH_EXIT_CODE_CHECK", false));
        script.exports(&self.variables);
        script.enter(&self.slot.project);
        script
    }

    fn sections(&self, name: &'static str) -> Option<&'static str> {
        (self.variables.flag("FF_SCRIPT_SECTIONS", false) && self.job.features.trace_sections).then_some(name)
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        let text = self.variables.text(name);
        if text.is_empty() {
            return None;
        }
        let time = parse_go_duration(text);
        if time.is_none() {
            self.log.warning(&format!("Ignoring malformed {name} timeout: {text}"));
        }
        time
    }

    fn tell_why(&self, stage: &Stage, failure: &Failure) {
        match failure {
            Failure::Canceled => self.log.warning("script canceled externally (UI, API)"),
            Failure::JobTimeout(_) => self.log.warning(&format!(
                "{} could not run to completion because the timeout was exceeded. For more control over job and \
                 script timeouts see: https://docs.gitlab.com/ci/runners/configure_runners/\
                 #set-script-and-after_script-timeouts",
                stage.section()
            )),
            Failure::Exit(_)
            | Failure::Signal(_)
            | Failure::Environment(_)
            | Failure::System(_)
            | Failure::Configuration(_)
            | Failure::ScriptTimeout
            | Failure::Interrupted
            | Failure::Aborted => {}
        }
    }

    /// Runs `after_script`, after a script that went as `failure` says. Returns what the job failed by.
    fn after_script(&mut self, failure: Option<Failure>) -> Option<Failure> {
        let job = self.job;
        let status = failure.as_ref().map_or("success", Failure::job_status);
        self.variables.set("CI_JOB_STATUS", status);
        let Some(step) = job.steps.iter().find(|step| step.name == "after_script" && !step.script.is_empty()) else {
            return failure;
        };
        let timeout = self.duration("RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIME);
        let done = self.stage(&Stage::AfterScript, |work| {
            let mut script = work.own_script();
            script.notice("Running after script...");
            script.entries(&step.script, work.sections("after_script_step"));
            work.shell(&script, Some(timeout), false)
        });
        let Err(own) = done else { return failure };
        if own.ends_everything() {
            self.tell_why(&Stage::AfterScript, &own);
            return Some(own);
        }
        if failure.is_none() && !self.variables.flag("AFTER_SCRIPT_IGNORE_ERRORS", true) {
            return Some(own);
        }
        self.log.warning(&format!("after_script failed, but job will continue unaffected: {}", own.text()));
        failure
    }

    fn shell(&mut self, script: &Script, timeout: Option<Duration>, counts_cancel: bool) -> Done {
        self.shell_text(script.text(), timeout, counts_cancel)
    }

    fn shell_text(&mut self, body: &str, timeout: Option<Duration>, counts_cancel: bool) -> Done {
        let log = self.log;
        self.shell_to(body, timeout, counts_cancel, &|stream, bytes| log.write(stream, bytes))
    }

    /// Runs a shell that evaluates `body`, and whose output goes to `output`.
    pub fn shell_to(
        &mut self,
        body: &str,
        timeout: Option<Duration>,
        counts_cancel: bool,
        output: &dyn Fn(Stream, &[u8]),
    ) -> Done {
        if let Some(failure) = self.watch.cause(counts_cancel) {
            return Err(failure);
        }
        let failed = |error: std::io::Error| Failure::System(format!("the job cannot be run: {error}"));
        let Host { options, environment, .. } = self.host;
        if self.keeper.is_none() {
            self.keeper = Some(Keeper::start(&options.keeper, environment, &options.builds).map_err(failed)?);
        }
        for (name, content) in self.variables.files() {
            self.slot.write(name, content).map_err(failed)?;
        }
        let ran = self.slot.temporary.join(RAN);
        super::directories::remove_tree(&ran).map_err(failed)?;
        let start = Start {
            program: options.shell.program().to_owned(),
            arguments: vec!["-l".to_owned()],
            folder: options.builds.clone(),
            script: script::stage(body, &ran, self.variables.flag("CI_DEBUG_TRACE", false)),
        };
        let (watch, name) = (self.watch, self.job.job_info.name.as_str());
        Run { output, watch, timeout, counts_cancel, name }.run(&mut self.keeper, &start)?;
        // A job may have removed the folder, or put a link there, which is its own affair.
        let is_there = fs::symlink_metadata(&self.slot.temporary).is_ok_and(|found| found.is_dir());
        if is_there && !ran.exists() {
            let text = "the shell ended without running the script (does your profile read standard input?)";
            return Err(Failure::System(text.to_owned()));
        }
        Ok(())
    }

    /// The variables with what the job has written into `GITLAB_ENV`.
    pub fn present_variables(&self) -> Variables {
        let mut present = self.variables.clone();
        let file = self.slot.temporary.join(ENV_FILE);
        let is_file = fs::symlink_metadata(&file).is_ok_and(|found| found.is_file());
        let text = if is_file { fs::read(&file).unwrap_or_default() } else { Vec::new() };
        let text = String::from_utf8_lossy(text.get(..text.len().min(ENV_BYTES_MAX)).unwrap_or_default()).into_owned();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            if variables::is_name(name.trim_start()) {
                present.set(name.trim_start(), value);
            }
        }
        present
    }
}

/// Whether a failure was asked for: then nothing is tried again.
fn is_order(failure: &Failure) -> bool {
    failure.ends_everything() || *failure == Failure::Canceled
}
