//! `baton build`: the queue and what became of it.

pub(super) mod add;
pub(super) mod artifacts;
mod file;
pub(super) mod log;
mod watch;

use super::pipeline::facts;
use super::show::job::{self, JobDocument};
use super::show::print;
use super::words::secrets::warn_of_short;
use super::{Done, Stop, build_id};
use crate::coordinator::{self, BuildReport, Coordinator};
use crate::domain::build::{BuildId, Status, Variable};
use crate::domain::text::did_you_mean::nearest;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};

/// Queue, list, follow and end builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "build",
    example = "\
        {command_name} add --project demo --script 'make test'\n\
        {command_name} list --status failed\n\
        {command_name} log 7 --follow"
)]
pub struct Build {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Command {
    Add(add::Add),
    List(List),
    Show(Show),
    Log(log::Log),
    Artifacts(artifacts::Artifacts),
    Cancel(Cancel),
    Retry(Retry),
    Play(Play),
    Erase(Erase),
}

/// List builds, newest first.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "list",
    example = "{command_name} --project demo --status failed --limit 10\n{command_name} --watch",
    note = "\
        --watch looks each second, until Ctrl-C. On a terminal it draws the table anew; elsewhere, and with\n\
        --json, it prints what there is, oldest first, and then each build that is in another state than before."
)]
struct List {
    /// only builds of this project
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// only builds in this state: created, pending, running, success, failed, canceled or skipped
    #[argh(option, arg_name = "STATE", from_str_fn(status))]
    status: Option<Status>,

    /// at most so many; default: 50
    #[argh(option, arg_name = "N", from_str_fn(limit), default = "50")]
    limit: u32,

    /// go on, and show what changes
    #[argh(switch)]
    watch: bool,

    /// print JSON, an object a line, as `build show --json` has it
    #[argh(switch)]
    json: bool,
}

/// Show a build.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "{command_name} 7\n{command_name} 7 --json")]
struct Show {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,

    /// print JSON: id, project, name, stage, ref, sha, status, failure_reason, pending_reason, runs_without (what
    /// its runner does not know of it), tags, needs, created_at, started_at, finished_at, runner (id, description),
    /// manager (the machine, as gitlab-runner names it), trace_size, artifacts_file (filename, size,
    /// sha256, expire_at), artifacts (a list: kind, format and the same), exit_code, failure_text, failure_allowed,
    /// retry_of, retried_as, pipeline; of a job of a configuration: stage_index, when, group, parallel, environment,
    /// coverage, interruptible, manual_confirmation, refused, trigger; and junit (tests, failures, errors, skipped,
    /// failed, is_whole) if there is such a report
    #[argh(switch)]
    json: bool,
}

/// End a build that has not ended; its runner is told at its next call.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "cancel", example = "{command_name} 7")]
struct Cancel {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,
}

/// Queue a build that has ended once more, as a new build.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "retry", example = "{command_name} 7")]
struct Retry {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,

    /// print the new build as JSON, as `build show --json` has it
    #[argh(switch)]
    json: bool,
}

/// Start a build that is manual, or that waits for its time.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "play", example = "{command_name} 7\n{command_name} 7 --variable TARGET=staging")]
struct Play {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,

    /// a variable of this build alone that everybody may see; it wins over all others of its name. May be given several
    /// times
    #[argh(option, arg_name = "K=V", from_str_fn(add::variable))]
    variable: Vec<Variable>,

    /// the same with a value that is masked in the log, which stands in a file, without the line end at its end; - is
    /// standard input; may be given several times
    #[argh(option, arg_name = "K=FILE", from_str_fn(add::unread))]
    secret_file: Vec<add::Secret>,
}

/// Remove the log and the artifacts of a build that has ended; it stays listed.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "erase", example = "{command_name} 7")]
struct Erase {
    /// the build's id
    #[argh(positional, from_str_fn(build_id))]
    id: BuildId,
}

impl Build {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_) | Command::Show(_) | Command::Log(_) | Command::Artifacts(_))
    }

    /// Does what the command line says, on what `open` opens.
    pub fn run(self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        match self.command {
            Command::Add(add) => add.run(open),
            Command::List(list) => list.run(&open()?),
            Command::Show(show) => show.run(&open()?),
            Command::Log(log) => log.run(&open()?),
            Command::Artifacts(artifacts) => artifacts.run(&open()?),
            Command::Cancel(cancel) => cancel.run(&open()?),
            Command::Retry(retry) => retry.run(&open()?),
            Command::Play(play) => play.run(&open()?),
            Command::Erase(erase) => erase.run(&open()?),
        }
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let look = || {
            let limit = Some(self.limit);
            Ok(coordinator.list_builds(self.project.as_deref(), self.status, limit, Timestamp::now())?)
        };
        if self.watch {
            return watch::run(look, self.json);
        }
        let list = look()?;
        if self.json {
            return print::json_lines(list.iter().map(print::BuildDocument::new));
        }
        print::builds(&list, self.project.is_none() && self.status.is_none())?;
        if u32::try_from(list.len()).is_ok_and(|count| count == self.limit) {
            print::note(&format!("these are the newest {}; `--limit N` shows more", self.limit));
        }
        Ok(())
    }
}

impl Show {
    fn run(self, coordinator: &Coordinator) -> Done {
        let now = Timestamp::now();
        let (report, junit) = (coordinator.show_build(self.id, now)?, coordinator.junit_summary(self.id, now)?);
        let Some(about) = coordinator.about_job(self.id)? else {
            return match self.json {
                true => print::json(&print::BuildDocument::new(&report).with_tests(junit)),
                false => print::build(&report, junit.as_ref(), Vec::new()),
            };
        };
        let found = facts::found(coordinator, &report, &about)?;
        let (coverage, url) = (found.coverage.as_deref(), found.url.as_deref());
        if self.json {
            let job = JobDocument::new(&report, &about, coverage, url);
            print::json(&print::BuildDocument::new(&report).with_tests(junit).with_job(job))
        } else {
            print::build(&report, junit.as_ref(), job::lines(&report, &about, coverage, url))
        }
    }
}

impl Retry {
    fn run(self, coordinator: &Coordinator) -> Done {
        let id = coordinator.retry_build(self.id, Timestamp::now())?;
        new_builds(coordinator, &[id], self.json)
    }
}

impl Play {
    fn run(self, coordinator: &Coordinator) -> Done {
        let given = add::variables(self.variable, Vec::new(), self.secret_file)?;
        warn_of_short(&given);
        coordinator.play_build_with(self.id, given, Timestamp::now())?;
        print::out(&format!("build {} is started\n", self.id))
    }
}

impl Cancel {
    fn run(self, coordinator: &Coordinator) -> Done {
        let id = self.id;
        let becomes = match coordinator.cancel_build(id, Timestamp::now())? {
            coordinator::Cancel::Done => format!("build {id} is canceled\n"),
            coordinator::Cancel::Asked => format!(
                "build {id} is being canceled: its runner stops the script and runs what comes after it; \
                 once more ends it at once\n"
            ),
        };
        print::out(&becomes)
    }
}

impl Erase {
    fn run(self, coordinator: &Coordinator) -> Done {
        coordinator.erase_build(self.id, Timestamp::now())?;
        coordinator.reclaim_unserved()?;
        print::out(&format!("build {} is erased: its log and its artifacts are gone\n", self.id))
    }
}

/// Prints what was queued: the builds as JSON, or `build 7` for each.
pub fn new_builds(coordinator: &Coordinator, ids: &[BuildId], json: bool) -> Done {
    if !json {
        let lines: Vec<String> = ids.iter().map(|id| format!("build {id}\n")).collect();
        return print::out(&lines.concat());
    }
    for id in ids {
        let report = coordinator.show_build(*id, Timestamp::now())?;
        print::json(&print::BuildDocument::new(&report))?;
    }
    Ok(())
}

/// What the command line says of a build that has ended.
pub fn outcome(coordinator: &Coordinator, id: BuildId) -> Done {
    let BuildReport { build, repeated_by, .. } = coordinator.show_build(id, Timestamp::now())?;
    let hint = match repeated_by {
        Some(again) => format!("it was made again as build {again}"),
        None => format!("`baton build retry {id}` queues it once more"),
    };
    let reason = build.failure_reason.map_or_else(String::new, |reason| format!(": {}", reason.as_str()));
    match build.status {
        Status::Success => Ok(()),
        Status::Skipped => {
            Err(Stop::Failed(format!("build {id} was skipped, since a build that it needs did not succeed; {hint}")))
        }
        status @ (Status::Created
        | Status::WaitingForResource
        | Status::Pending
        | Status::Running
        | Status::Scheduled
        | Status::Manual
        | Status::Failed
        | Status::Canceled) => Err(Stop::Failed(format!("build {id} ended as {status}{reason}; {hint}"))),
    }
}

fn status(word: &str) -> Result<Status, String> {
    Status::parse(word).ok_or_else(|| {
        let words = Status::ALL.map(Status::as_str);
        match nearest(word, words) {
            Some(near) => format!("there is no such state; did you mean {near}?"),
            None => format!("there is no such state; there are {}", words.join(", ")),
        }
    })
}

pub(super) fn limit(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(limit) => Ok(limit),
        Err(_) => Err(format!("it must be a number from 1 to {}", u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_state_suggests_the_near_one() {
        for (word, part) in
            [("sucess", "did you mean success?"), ("PENDING", "did you mean pending?"), ("x", "there are created,")]
        {
            assert!(status(word).unwrap_err().contains(part), "{word}");
        }
        assert_eq!(status("failed"), Ok(Status::Failed));
    }

    #[test]
    fn a_limit_is_a_positive_number() {
        assert_eq!(limit("3"), Ok(3));
        for text in ["0", "-1", "x", "4294967296"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
