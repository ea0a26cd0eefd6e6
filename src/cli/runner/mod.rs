//! `baton runner`: runners and the registration token.

mod show;
pub(super) mod start;

use super::show::print;
use super::{Done, Stop, duration, runner_id, tags};
use crate::coordinator::{Coordinator, RunnerChange};
use crate::domain::runner::RunnerId;
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::store::runners::NewRunner;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::time::Duration;

/// Make, list, change and pause runners: the machines that take builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "runner",
    example = "\
        gitlab-runner register --non-interactive --executor shell \\\n    --url http://127.0.0.1:8080 --token $({command_name} add --token-only)",
    note = "\
        Runners from 9.0 on are registered so. Those of 1.x, and newer ones that are to bring their own tags, are\n\
        registered with --registration-token $(baton runner token); 1.x with a URL that ends in /ci."
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
    Show(Show),
    Set(Set),
    Pause(Pause),
    Resume(Resume),
    Remove(Remove),
    Start(start::Start),
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
    note = "\
        The token is for `gitlab-runner register --token`, or belongs into the `token` of a [[runners]] section of\n\
        the runner's config.toml. It may serve on several machines."
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

    /// longest run of a build on it, as in 90min or 3600 (seconds); default: as long as the build may
    #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
    max_timeout: Option<Duration>,

    /// what to note of it, for its owner; default: nothing
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    note: String,

    /// give it no builds until `baton runner resume`
    #[argh(switch)]
    paused: bool,

    /// print nothing but the token, for `$(...)`
    #[argh(switch)]
    token_only: bool,

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
    /// print JSON, an object a line: id, description, tags, run_untagged, project, paused, max_timeout (seconds),
    /// note, version, platform, address, contacted_at, state, builds, managers (system_id, version, platform, address,
    /// contacted_at, builds)
    #[argh(switch)]
    json: bool,
}

/// Show a runner, and its managers: the processes that use its token.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "show",
    example = "{command_name} 3\n{command_name} 3 --json",
    note = "\
        Runners from 15.8 on say which manager they are. The last call of each is kept, of a thousand at most.\n\
        What stands for the runner itself is what the manager said that called last."
)]
struct Show {
    /// the runner's id, as in `baton runner list`
    #[argh(positional, from_str_fn(runner_id))]
    id: RunnerId,

    /// print JSON, as `baton runner list` has it
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

    /// longest run of builds that it takes from now on, as in 90min or 3600 (seconds)
    #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
    max_timeout: Option<Duration>,

    /// let its builds run as long as they may
    #[argh(switch)]
    no_max_timeout: bool,

    /// what to note of it; '' for nothing
    #[argh(option, arg_name = "TEXT")]
    note: Option<String>,
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

impl Runner {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_) | Command::Show(_))
    }

    /// Does what the command line says.
    pub fn run(self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        match self.command {
            Command::Start(start) => start.run(open),
            Command::Token(token) => token.run(&open()?),
            Command::Add(add) => add.run(&open()?),
            Command::List(list) => show::list(&open()?, list.json),
            Command::Show(show) => show::show(&open()?, show.id, show.json),
            Command::Set(set) => set.run(&open()?),
            Command::Pause(pause) => {
                open()?.pause_runner(pause.id, true)?;
                say(pause.id, "is paused")
            }
            Command::Resume(resume) => {
                open()?.pause_runner(resume.id, false)?;
                say(resume.id, "takes builds again")
            }
            Command::Remove(remove) => {
                open()?.remove_runner(remove.id, Timestamp::now())?;
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
        let maximum_timeout_s = match (self.max_timeout, self.no_max_timeout) {
            (Some(_), true) => return Err(set_usage("--max-timeout and --no-max-timeout do not go together")),
            (Some(timeout), false) => Some(Some(seconds(timeout))),
            (None, true) => Some(None),
            (None, false) => None,
        };
        let is_text = self.description.is_some() || self.tags.is_some() || self.note.is_some();
        if !is_text && run_untagged.is_none() && maximum_timeout_s.is_none() {
            return Err(set_usage("what to change is missing"));
        }
        let change = RunnerChange {
            description: self.description,
            tags: self.tags,
            run_untagged,
            maximum_timeout_s,
            maintenance_note: self.note,
            paused: None,
        };
        coordinator.change_runner(self.id, change)?;
        say(self.id, "is changed")
    }
}

/// Whole seconds, as they are stored.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
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
        if self.json && self.token_only {
            return Err(Stop::Usage(
                "--json and --token-only do not go together; `baton runner add --help` explains".into(),
            ));
        }
        let new = NewRunner {
            description: self.description,
            tags: self.tags,
            run_untagged: !self.no_untagged,
            locked: self.project.is_some(),
            paused: self.paused,
            maximum_timeout_s: self.max_timeout.map(seconds),
            maintenance_note: self.note,
            ..NewRunner::default()
        };
        let added = coordinator.add_runner(new, self.project.as_deref(), Timestamp::now())?;
        if self.token_only {
            return print::out(&format!("{}\n", added.token.reveal()));
        }
        if self.json {
            return print::json(&Added { id: added.id, token: added.token.reveal() });
        }
        print::out(&format!("runner {}, token {}\n", added.id, added.token.reveal()))
    }
}
