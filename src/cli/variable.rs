//! `baton variable`: variables that a project gives to its builds.

use super::show::cells::clean;
use super::show::print;
use super::words::secrets::read_secret;
use super::{Done, Stop};
use crate::coordinator::{Coordinator, Presence};
use crate::domain::project_variable::{ProjectVariable, VALUE_BYTES_MAX};
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

/// Set, list and remove variables that a project gives to its builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "variable",
    example = "\
        {command_name} set --project demo --value eu REGION\n\
        {command_name} set --project demo --value-file token.txt --masked --protected DEPLOY_TOKEN"
)]
pub struct ProjectVariables {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Set(Set),
    List(List),
    Remove(Remove),
}

/// Give a project a variable, in the place of one of that name.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "set",
    example = "{command_name} --project demo --value-file token.txt --masked --protected DEPLOY_TOKEN",
    note = "\
        Builds that are queued from now on get it: those of `build add`, and of pipelines that are started of the\n\
        project's repository. Pipelines that `run` makes of a checkout do not. What is given for one build or pipeline\n\
        wins."
)]
struct Set {
    /// the project's name
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// its value; other users of this machine can see it in the list of processes
    #[argh(option, arg_name = "VALUE")]
    value: Option<String>,

    /// a file with its value, - for standard input
    #[argh(option, arg_name = "FILE")]
    value_file: Option<String>,

    /// mask the value in logs; it must have at least 8 bytes
    #[argh(switch)]
    masked: bool,

    /// only for builds of the default branch
    #[argh(switch)]
    protected: bool,

    /// builds get the name of a file with the value
    #[argh(switch)]
    file: bool,

    /// nothing in the value is expanded
    #[argh(switch)]
    raw: bool,

    /// what it is for; default: nothing
    #[argh(option, arg_name = "TEXT", default = "String::new()")]
    description: String,

    /// the variable's name
    #[argh(positional)]
    key: String,
}

/// List a project's variables by name, without their values.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name} --project demo")]
struct List {
    /// the project's name
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// print JSON, an object a line: key, masked, protected, file, raw, description
    #[argh(switch)]
    json: bool,
}

/// Remove a variable of a project. Builds that are queued already keep it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", example = "{command_name} --project demo REGION")]
struct Remove {
    /// the project's name
    #[argh(option, arg_name = "NAME")]
    project: String,

    /// the variable's name
    #[argh(positional)]
    key: String,
}

#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    masked: bool,
    protected: bool,
    file: bool,
    raw: bool,
    description: &'a str,
}

impl ProjectVariables {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Set(set) => set.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Remove(remove) => remove.run(coordinator),
        }
    }
}

impl Set {
    fn run(self, coordinator: &Coordinator) -> Done {
        let value = match (self.value, self.value_file) {
            (Some(value), None) => value,
            (None, Some(file)) => {
                read_secret(&file, VALUE_BYTES_MAX).map_err(|error| Stop::Failed(format!("--value-file: {error}")))?
            }
            (None, None) | (Some(_), Some(_)) => {
                let why = "one of --value and --value-file says the value";
                return Err(Stop::Usage(format!("{why}; `baton variable set --help` explains")));
            }
        };
        let new = ProjectVariable {
            key: self.key,
            value,
            is_file: self.file,
            is_masked: self.masked,
            is_raw: self.raw,
            is_protected: self.protected,
            description: self.description,
        };
        let said = format!("variable {} of {} is set\n", clean(&new.key), clean(&self.project));
        coordinator.put_project_variable(&self.project, new, Presence::Any)?;
        print::out(&said)
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let all = coordinator.project_variables(&self.project)?;
        if self.json {
            return print::json_lines(all.iter().map(|one| Listed {
                key: &one.key,
                masked: one.is_masked,
                protected: one.is_protected,
                file: one.is_file,
                raw: one.is_raw,
                description: &one.description,
            }));
        }
        let rows = all.iter().map(|one| {
            let said = [
                (one.is_masked, "masked"),
                (one.is_protected, "protected"),
                (one.is_file, "file"),
                (one.is_raw, "raw"),
            ];
            let said: Vec<&str> = said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
            [clean(&one.key), print::or_dash(&said.join(", ")), print::or_dash(&clean(&one.description))]
        });
        let none = "no variables yet; `baton variable set` makes one";
        print::table(["NAME", "IS", "DESCRIPTION"], rows.collect(), none)
    }
}

impl Remove {
    fn run(self, coordinator: &Coordinator) -> Done {
        coordinator.remove_project_variable(&self.project, &self.key)?;
        print::out(&format!("variable {} of {} is removed\n", clean(&self.key), clean(&self.project)))
    }
}
