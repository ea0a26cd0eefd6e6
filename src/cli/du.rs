//! `baton du`: what takes how much room.

use super::Done;
use super::show::print;
use crate::coordinator::{Coordinator, Taken};
use crate::domain::text::size::format_size;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;

/// Say how much room each project takes, and the database.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "du",
    example = "{command_name}\n{command_name} --json",
    note = "\
        Logs are in the database. What is free in it is used for what comes next; more than 8 MiB of that goes back\n\
        to the file system. `baton prune` removes old builds, `baton build erase` what a build has left."
)]
pub struct Du {
    /// print JSON: projects (of project, builds, log_bytes, artifact_bytes), database_bytes, database_free_bytes,
    /// artifact_bytes, total_bytes
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    projects: Vec<ProjectDocument<'a>>,
    database_bytes: u64,
    database_free_bytes: u64,
    artifact_bytes: u64,
    total_bytes: u64,
}

#[derive(Serialize)]
struct ProjectDocument<'a> {
    project: &'a str,
    builds: u64,
    log_bytes: u64,
    artifact_bytes: u64,
}

impl Du {
    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        let usage = coordinator.disk_use()?;
        let (database_bytes, database_free_bytes) = (usage.database_bytes, usage.database_free_bytes);
        let sum = usage.projects.iter().fold(Taken::default(), |sum, (_, taken)| sum.and(*taken));
        let total_bytes = database_bytes + sum.artifact_bytes;
        if self.json {
            return print::json(&Document {
                projects: usage.projects.iter().map(|(project, taken)| project_document(project, taken)).collect(),
                database_bytes,
                database_free_bytes,
                artifact_bytes: sum.artifact_bytes,
                total_bytes,
            });
        }
        let header = ["PROJECT", "BUILDS", "LOGS", "ARTIFACTS"].map(str::to_owned);
        let rows = usage.projects.iter().map(|(name, taken)| row(name, taken));
        let table: Vec<[String; 4]> = [header].into_iter().chain(rows).chain([row("all", &sum)]).collect();
        print::out(&format!(
            "{}\nThe database has {}, {} of that free; with the artifacts that is {}.\n",
            print::aligned(&table),
            format_size(database_bytes),
            format_size(database_free_bytes),
            format_size(total_bytes),
        ))
    }
}

fn project_document<'a>(project: &'a str, taken: &Taken) -> ProjectDocument<'a> {
    let Taken { builds, log_bytes, artifact_bytes } = *taken;
    ProjectDocument { project, builds, log_bytes, artifact_bytes }
}

fn row(name: &str, taken: &Taken) -> [String; 4] {
    let (logs, artifacts) = (format_size(taken.log_bytes), format_size(taken.artifact_bytes));
    [name.to_owned(), taken.builds.to_string(), logs, artifacts]
}
