//! `baton runner`: runners and the registration token.

use super::show::print;
use super::{Done, Stop, runner_id, tags};
use crate::coordinator::{Coordinator, RunnerChange};
use crate::domain::build::BuildId;
use crate::domain::runner::{RunnerAtWork, RunnerId, RunnerInfo};
use crate::domain::tags::Tags;
use crate::domain::text::duration::format_duration;
use crate::domain::time::Timestamp;
use crate::store::runners::NewRunner;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

/// Make, list, change and pause runners: the machines that take builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "runner",
    example = "\
        gitlab-runner register --non-interactive --executor shell \\\n    --url http://127.0.0.1:8080/ci --registration-token $({command_name} token)"
)]
pub struct Runner {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Token(Token),
    Add(Add),
    List(List),
    Set(Set),
    Pause(Pause),
    Resume(Resume),
    Remove(Remove),
}

/// Show the registration token, which registers runners for all projects.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "token", example = "{command_name}\n{command_name} --reset")]
struct Token {
    /// make a new token; the old one is void at once, runners that used it stay
    #[argh(switch)]
    reset: bool,

    /// print JSON: registration_token
    #[argh(switch)]
    json: bool,
}

/// Make a runner without `gitlab-runner register`; its token is shown this once.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "add",
    example = "{command_name} --description 'big machine' --tags docker,linux --no-untagged",
    note = "The token belongs into the `token` of a [[runners]] section of the runner's config.toml."
)]
struct Add {
    /// what to call it in lists; default: nothing
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    description: String,

    /// what it offers, separated by commas: it takes builds that ask for some of these; default: none
    #[argh(option, arg_name = "A,B", from_str_fn(tags), default = "Tags::default()")]
    tags: Tags,

    /// take no builds without tags
    #[argh(switch)]
    no_untagged: bool,

    /// take builds of this project only; default: of all projects
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// print JSON: id, token
    #[argh(switch)]
    json: bool,
}

/// List the runners, oldest first.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "list",
    example = "{command_name} --json",
    note = "\
        Its state is online when a runner has called in the last 3 minutes, for work or for a build that it runs,\n\
        and stale when it has not; paused; or never seen (never_seen in JSON). Calls are noted once a minute."
)]
struct List {
    /// print JSON, an object a line: id, description, tags, run_untagged, project, paused, version, platform,
    /// contacted_at, state, builds
    #[argh(switch)]
    json: bool,
}

/// Change what a runner is called and which builds it takes; what it runs goes on.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "set",
    example = "{command_name} 3 --tags docker,linux --no-untagged\n{command_name} 3 --description 'in the cellar'"
)]
struct Set {
    /// the runner's id, as in `baton runner list`
    #[argh(positional, from_str_fn(runner_id))]
    id: RunnerId,

    /// what to call it in lists
    #[argh(option, arg_name = "TEXT")]
    description: Option<String>,

    /// what it offers, separated by commas, in place of what it offered; '' for nothing
    #[argh(option, arg_name = "A,B", from_str_fn(tags))]
    tags: Option<Tags>,

    /// take builds without tags
    #[argh(switch)]
    untagged: bool,

    /// take no builds without tags
    #[argh(switch)]
    no_untagged: bool,
}

/// Give a runner no more builds; it finishes the one that it has.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "pause", example = "{command_name} 3")]
struct Pause {
    /// the runner's id, as in `baton runner list`
    #[argh(positional, from_str_fn(runner_id))]
    id: RunnerId,
}

/// Give a paused runner builds again.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "resume", example = "{command_name} 3")]
struct Resume {
    /// the runner's id, as in `baton runner list`
    #[argh(positional, from_str_fn(runner_id))]
    id: RunnerId,
}

/// Remove a runner: its token is void at once, and a build that it has fails.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", example = "{command_name} 3")]
struct Remove {
    /// the runner's id, as in `baton runner list`
    #[argh(positional, from_str_fn(runner_id))]
    id: RunnerId,
}

#[derive(Serialize)]
struct RegistrationToken {
    registration_token: String,
}

#[derive(Serialize)]
struct Added<'a> {
    id: RunnerId,
    token: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: RunnerId,
    description: &'a str,
    tags: &'a Tags,
    run_untagged: bool,
    project: Option<&'a str>,
    paused: bool,
    version: Option<&'a str>,
    platform: Option<&'a str>,
    contacted_at: Option<String>,
    state: &'a str,
    builds: Vec<BuildId>,
}

impl Runner {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Token(token) => token.run(coordinator),
            Command::Add(add) => add.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Set(set) => set.run(coordinator),
            Command::Pause(pause) => {
                coordinator.pause_runner(pause.id, true)?;
                say(pause.id, "is paused")
            }
            Command::Resume(resume) => {
                coordinator.pause_runner(resume.id, false)?;
                say(resume.id, "takes builds again")
            }
            Command::Remove(remove) => {
                coordinator.remove_runner(remove.id, Timestamp::now())?;
                say(remove.id, "is removed")
            }
        }
    }
}

/// What has become of a runner.
fn say(id: RunnerId, what: &str) -> Done {
    print::out(&format!("runner {id} {what}\n"))
}

impl Set {
    fn run(self, coordinator: &Coordinator) -> Done {
        let run_untagged = match (self.untagged, self.no_untagged) {
            (true, true) => return Err(set_usage("--untagged and --no-untagged do not go together")),
            (true, false) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        if self.description.is_none() && self.tags.is_none() && run_untagged.is_none() {
            return Err(set_usage("what to change is missing"));
        }
        let change = RunnerChange { description: self.description, tags: self.tags, run_untagged };
        coordinator.change_runner(self.id, change)?;
        say(self.id, "is changed")
    }
}

fn set_usage(message: &str) -> Stop {
    Stop::Usage(format!("{message}; `baton runner set --help` explains"))
}

impl Token {
    fn run(self, coordinator: &Coordinator) -> Done {
        let registration_token = coordinator.registration_token(self.reset)?;
        if self.json {
            return print::json(&RegistrationToken { registration_token });
        }
        print::out(&format!("{registration_token}\n"))
    }
}

impl Add {
    fn run(self, coordinator: &Coordinator) -> Done {
        let new = NewRunner {
            description: self.description,
            tags: self.tags,
            run_untagged: !self.no_untagged,
            locked: self.project.is_some(),
            project: None,
            info: RunnerInfo::default(),
        };
        let added = coordinator.add_runner(new, self.project.as_deref(), Timestamp::now())?;
        if self.json {
            return print::json(&Added { id: added.id, token: added.token.reveal() });
        }
        print::out(&format!("runner {}, token {}\n", added.id, added.token.reveal()))
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let (runners, now) = (coordinator.runners_at_work()?, Timestamp::now());
        if self.json {
            return print::json_lines(runners.iter().map(|it| document(it, now)));
        }
        print::table(
            ["ID", "STATE", "BUILDS", "TAGS", "UNTAGGED", "PROJECT", "VERSION", "PLATFORM", "CONTACT", "DESCRIPTION"],
            runners.iter().map(|it| row(it, now)).collect(),
            "no runners yet; `baton runner token` prints the token for `gitlab-runner register`",
        )
    }
}

fn document(it: &RunnerAtWork, now: Timestamp) -> Listed<'_> {
    let runner = &it.runner;
    Listed {
        id: runner.id,
        description: &runner.description,
        tags: &runner.tags,
        run_untagged: runner.run_untagged,
        project: runner.project.as_ref().map(|(_, name)| name.as_str()),
        paused: runner.paused,
        version: runner.info.get("version"),
        platform: runner.info.get("platform"),
        contacted_at: runner.contacted_at.map(|at| at.to_string()),
        state: it.state(now).as_str(),
        builds: it.builds.iter().map(|build| build.id).collect(),
    }
}

/// Builds of a runner that a table lists.
const BUILDS_SHOWN_MAX: usize = 5;

fn row(it: &RunnerAtWork, now: Timestamp) -> [String; 10] {
    let runner = &it.runner;
    let info = |field| print::or_dash(runner.info.get(field).unwrap_or_default());
    let builds: Vec<String> = it.builds.iter().take(BUILDS_SHOWN_MAX).map(|build| build.id.to_string()).collect();
    let cut = if it.builds.len() > BUILDS_SHOWN_MAX { ",..." } else { "" };
    [
        runner.id.to_string(),
        it.state(now).as_str().replace('_', " "),
        print::or_dash(&(builds.join(",") + cut)),
        print::or_dash(&runner.tags.join(",")),
        if runner.run_untagged { "yes" } else { "no" }.to_owned(),
        runner.project.as_ref().map_or_else(|| "all".to_owned(), |(_, name)| name.clone()),
        info("version"),
        info("platform"),
        it.called_at().map_or_else(print::dash, |at| format!("{} ago", format_duration(now.since(at)))),
        runner.description.clone(),
    ]
}
