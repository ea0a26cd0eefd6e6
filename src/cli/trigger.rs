//! `baton trigger`: trigger tokens, each of which starts pipelines of one project.

use super::Done;
use super::show::cells::clean;
use super::show::print;
use crate::coordinator::Coordinator;
use crate::domain::time::Timestamp;
use crate::domain::trigger_token::{TriggerToken, TriggerTokenId};
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

/// Make, list and remove trigger tokens: each starts pipelines of one project, and opens nothing else.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "trigger",
    example = "\
        {command_name} add --project demo --description nightly\n\
        curl --form token=TOKEN --form ref=main http://127.0.0.1:8080/api/v4/projects/demo/trigger/pipeline"
)]
pub struct Trigger {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Make a trigger token; it is shown this once.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "add", example = "{command_name} --project demo --description nightly")]
struct Add {
    /// the project whose pipelines it starts
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// what it is for; default: nothing
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    description: String,

    /// print nothing but the token, for `$(...)`
    #[argh(switch)]
    token_only: bool,

    /// print JSON: id, project, description, token
    #[argh(switch)]
    json: bool,
}

/// List a project's trigger tokens, oldest first.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name} --project demo")]
struct List {
    /// the project
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// print JSON, an object a line: id, project, description, first_characters, created_at, used_at (to the minute)
    #[argh(switch)]
    json: bool,
}

/// Remove a trigger token. It opens nothing from now on; what it has started goes on.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", example = "{command_name} --project demo 3")]
struct Remove {
    /// the project
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// the token's id
    #[argh(positional, from_str_fn(trigger_id))]
    id: TriggerTokenId,
}

#[derive(Serialize)]
struct Made<'a> {
    id: TriggerTokenId,
    project: &'a str,
    description: &'a str,
    token: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: TriggerTokenId,
    project: &'a str,
    description: &'a str,
    first_characters: &'a str,
    created_at: String,
    used_at: Option<String>,
}

/// For argh: a trigger token's id.
fn trigger_id(text: &str) -> Result<TriggerTokenId, String> {
    let why = "a trigger token's id is a number, as in `baton trigger list`";
    text.parse().map(TriggerTokenId).map_err(|_| why.to_owned())
}

impl Trigger {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Add(add) => add.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Remove(remove) => remove.run(coordinator),
        }
    }
}

impl Add {
    fn run(self, coordinator: &Coordinator) -> Done {
        let (made, token) = coordinator.add_trigger(&self.project, &self.description, Timestamp::now())?;
        let TriggerToken { id, project, description, .. } = &made;
        let token = token.reveal();
        if self.json {
            return print::json(&Made { id: *id, project, description, token });
        }
        if self.token_only {
            return print::out(&format!("{token}\n"));
        }
        print::out(&format!("trigger token {id} of {}: {token}\n", clean(project)))
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let all = coordinator.list_triggers(&self.project)?;
        if self.json {
            return print::json_lines(all.iter().map(|one| Listed {
                id: one.id,
                project: &one.project,
                description: &one.description,
                first_characters: &one.first_characters,
                created_at: one.created_at.to_string(),
                used_at: one.used_at.map(|at| at.to_string()),
            }));
        }
        let rows = all.iter().map(|one| {
            [
                one.id.to_string(),
                format!("{}...", one.first_characters),
                print::short_time(Some(one.created_at)),
                print::short_time(one.used_at),
                print::or_dash(&clean(&one.description)),
            ]
        });
        print::table(
            ["ID", "TOKEN", "CREATED", "USED", "DESCRIPTION"],
            rows.collect(),
            "no trigger tokens yet; `baton trigger add --project NAME` makes one",
        )
    }
}

impl Remove {
    fn run(self, coordinator: &Coordinator) -> Done {
        let removed = coordinator.remove_trigger(&self.project, self.id)?;
        print::out(&format!("trigger token {} of {} is removed\n", removed.id, clean(&removed.project)))
    }
}
