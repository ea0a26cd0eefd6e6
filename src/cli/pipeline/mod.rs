//! `baton pipeline`: the jobs of one commit, and what became of them.

pub(super) mod document;
pub(super) mod facts;
mod find;
mod start;
mod text;

use self::document::PipelineDocument;
use self::facts::Facts;
use self::find::named;
use super::build::{limit, new_builds};
use super::run::live;
use super::show::cells::clean;
use super::show::print;
use super::{Done, Stop, pipeline_id};
use crate::coordinator::Coordinator;
use crate::domain::pipeline::PipelineId;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};

/// Start, list, show, cancel and repeat pipelines, and start their manual jobs.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "pipeline",
    example = "\
        {command_name} run --project demo --ref main\n\
        {command_name} list --project demo\n\
        {command_name} show 7\n\
        {command_name} play 7 deploy"
)]
pub struct Pipeline {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Run(start::Run),
    List(List),
    Show(Show),
    Follow(Follow),
    Cancel(Cancel),
    Retry(Retry),
    Play(Play),
}

/// List pipelines, newest first.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name} --project demo --limit 10")]
struct List {
    /// only pipelines of this project
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// at most so many; default: 50
    #[argh(option, arg_name = "N", from_str_fn(limit), default = "50")]
    limit: u32,

    /// print JSON, an object a line, as `pipeline show --json` has it, without jobs
    #[argh(switch)]
    json: bool,
}

/// Show a pipeline: its jobs, why one does not run, what rules left out, or what is wrong with its file.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "{command_name} 7\n{command_name} 7 --json")]
struct Show {
    /// the pipeline's id
    #[argh(positional, from_str_fn(pipeline_id))]
    id: PipelineId,

    /// print JSON: id, iid, project, name, ref, tag, sha, before_sha, title, source, actor, status, has_warnings, created_at,
    /// started_at, finished_at, parent, stages, warnings, left_out (a list: name, stage, why, file, line), refused, refusal
    /// (of a refused configuration a list: file, line, column, words, hint, around), and jobs: builds as `build show
    /// --json` has them
    #[argh(switch)]
    json: bool,
}

/// Follow a pipeline until nothing of it moves any more, and exit as it ended.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "follow",
    example = "{command_name} 7\n{command_name} 7 --plain",
    note = "\
        On a terminal it draws a table of the jobs and the log of one of them, and asks whether manual jobs start\n\
        that hold the pipeline up; elsewhere, and with --plain, it prints each line of all logs behind the job's name.",
    error_code(0, "It succeeded, maybe with warnings."),
    error_code(1, "It failed or was canceled."),
    error_code(3, "None of its jobs ran."),
    error_code(4, "It is blocked by a manual job.")
)]
struct Follow {
    /// the pipeline's id
    #[argh(positional, from_str_fn(pipeline_id))]
    id: PipelineId,

    /// print all logs as they come, also on a terminal
    #[argh(switch)]
    plain: bool,

    /// print JSON when it has ended, as `pipeline show --json` has it, and nothing else
    #[argh(switch)]
    json: bool,

    /// cancel the rest when a job fails that is not allowed to
    #[argh(switch)]
    fail_fast: bool,
}

/// End all of a pipeline that has not ended; runners are told at their next call.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "cancel", example = "{command_name} 7")]
struct Cancel {
    /// the pipeline's id
    #[argh(positional, from_str_fn(pipeline_id))]
    id: PipelineId,
}

/// Queue all jobs of a pipeline that failed or were canceled once more, as new builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "retry", example = "{command_name} 7")]
struct Retry {
    /// the pipeline's id
    #[argh(positional, from_str_fn(pipeline_id))]
    id: PipelineId,

    /// print the new builds as JSON, an object a line, as `build show --json` has it
    #[argh(switch)]
    json: bool,
}

/// Start a job of a pipeline that is manual, or that waits for its time.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "play",
    example = "{command_name} 7 deploy\n{command_name} 7 'deploy: [eu, blue]'",
    note = "\
        JOB is a job's name as `pipeline show` has it. The name that several jobs of a matrix, or of `parallel`,\n\
        have in common starts all of them."
)]
struct Play {
    /// the pipeline's id
    #[argh(positional, from_str_fn(pipeline_id))]
    id: PipelineId,

    /// the job's name
    #[argh(positional)]
    job: String,
}

impl Pipeline {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_) | Command::Show(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Run(run) => run.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Show(show) => show.run(coordinator),
            Command::Follow(follow) => follow.run(coordinator),
            Command::Cancel(cancel) => cancel.run(coordinator),
            Command::Retry(retry) => retry.run(coordinator),
            Command::Play(play) => play.run(coordinator),
        }
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let list = coordinator.list_pipelines(self.project.as_deref(), Some(self.limit))?;
        if self.json {
            return print::json_lines(list.iter().map(PipelineDocument::in_short));
        }
        text::list(&list, self.project.is_none())?;
        if u32::try_from(list.len()).is_ok_and(|count| count == self.limit) {
            print::note(&format!("these are the newest {}; `--limit N` shows more", self.limit));
        }
        Ok(())
    }
}

impl Show {
    fn run(self, coordinator: &Coordinator) -> Done {
        let report = coordinator.show_pipeline(self.id, Timestamp::now())?;
        let facts = Facts::of(coordinator, &report, false)?;
        if self.json {
            print::json(&PipelineDocument::new(&report, &facts))
        } else {
            print::out(&text::pipeline(&report, &facts, Timestamp::now()))
        }
    }
}

impl Follow {
    fn run(self, coordinator: &Coordinator) -> Done {
        // A signal ends this process, and leaves the pipeline alone.
        let is_interrupted = &|| false;
        let options = live::Options { plain: self.plain, json: self.json, fail_fast: self.fail_fast, is_interrupted };
        match live::follow(coordinator, self.id, &options, &mut || Ok(()))?.code {
            0 => Ok(()),
            code => Err(Stop::Ended { code, message: String::new() }),
        }
    }
}

impl Cancel {
    fn run(self, coordinator: &Coordinator) -> Done {
        let count = coordinator.cancel_pipeline(self.id, Timestamp::now())?;
        print::out(&format!("pipeline {} is canceled: {}\n", self.id, print::count(count as u64, "build")))
    }
}

impl Retry {
    fn run(self, coordinator: &Coordinator) -> Done {
        let ids = coordinator.retry_pipeline(self.id, Timestamp::now())?;
        new_builds(coordinator, &ids, self.json)
    }
}

impl Play {
    fn run(self, coordinator: &Coordinator) -> Done {
        let report = coordinator.show_pipeline(self.id, Timestamp::now())?;
        for build in named(&report, &self.job)? {
            coordinator.play_build(build.id, Timestamp::now())?;
            print::out(&format!("build {} is started: {}\n", build.id, clean(&build.name)))?;
        }
        Ok(())
    }
}
