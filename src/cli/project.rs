//! `baton project`: projects and their CI tokens.

use super::show::print;
use super::words::secrets::read_secret;
use super::{Done, Stop, duration};
use crate::coordinator::{Coordinator, ProjectChange};
use crate::domain::build::ProjectId;
use crate::domain::repo_url::shown;
use crate::domain::text::duration::format_duration;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// Bytes of the credentials of a repository.
const CREDENTIALS_BYTES_MAX: usize = 1024;

/// Make, list, change and remove projects: where builds come from.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "project", example = "{command_name} add demo --repo-url https://git.example/demo.git")]
pub struct Project {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Add(Add),
    List(List),
    Token(Token),
    Set(Set),
    Rename(Rename),
    Remove(Remove),
}

/// Make a project.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "add",
    example = "{command_name} demo --repo-url https://git.example/group/demo.git --timeout 2h"
)]
struct Add {
    /// its name, unique without regard to case
    #[argh(positional)]
    name: String,

    /// where runners fetch its sources from: a URL, or a path that begins with /; default: nowhere
    #[argh(option, arg_name = "URL")]
    repo_url: Option<String>,

    /// longest run of its builds, unless a build says otherwise, as in 90min or 3600 (seconds); default: 1h
    #[argh(option, arg_name = "DURATION", from_str_fn(duration), default = "Duration::from_secs(3600)")]
    timeout: Duration,

    /// print JSON: id, name, repo_url, ci_token
    #[argh(switch)]
    json: bool,
}

/// List the projects, oldest first.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name} --json")]
struct List {
    /// print JSON, an object a line: id, name, repo_url, timeout (seconds), created_at
    #[argh(switch)]
    json: bool,
}

/// Show a project's CI token, which registers runners for this project only.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "token", example = "{command_name} demo\n{command_name} demo --reset")]
struct Token {
    /// the project's name
    #[argh(positional)]
    name: String,

    /// make a new token; the old one is void at once
    #[argh(switch)]
    reset: bool,

    /// print JSON: name, ci_token
    #[argh(switch)]
    json: bool,
}

/// Change where a project's sources are, or how long its builds may run.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "set",
    example = "{command_name} demo --repo-url https://git.example/group/demo.git\n{command_name} demo --timeout 2h",
    note = "\
        Builds that wait get their sources from the new repository, unless they were queued with one of their own.\n\
        The timeout is that of builds that are queued from now on. What runs goes on as it began."
)]
struct Set {
    /// the project's name
    #[argh(positional)]
    name: String,

    /// where runners fetch its sources from: a URL, or a path that begins with /
    #[argh(option, arg_name = "URL")]
    repo_url: Option<String>,

    /// it has no sources
    #[argh(switch)]
    no_repo_url: bool,

    /// a file with `user:token`, - for standard input, with which its repository is fetched, by runners too: best one
    /// that only reads
    #[argh(option, arg_name = "FILE")]
    repo_credentials_file: Option<String>,

    /// longest run of its builds, unless a build says otherwise, as in 90min or 3600 (seconds)
    #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
    timeout: Option<Duration>,
}

/// Give a project another name. Its builds, runners and tokens stay.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "rename", example = "{command_name} demo group/demo")]
struct Rename {
    /// the project's name
    #[argh(positional)]
    name: String,

    /// its name from now on, unique without regard to case
    #[argh(positional)]
    new_name: String,
}

/// Remove a project, its CI token and its own runners; with --force, also its builds.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "remove",
    example = "{command_name} demo\n{command_name} demo --force",
    note = "\
        A project that has builds is removed with --force only. Builds that have not ended are then canceled, and all\n\
        of its builds go, with their logs and artifacts: `baton backup` keeps a copy. Runners of all projects stay.\n\
        Ids are never used again."
)]
struct Remove {
    /// the project's name
    #[argh(positional)]
    name: String,

    /// cancel its builds that have not ended, and remove all of them
    #[argh(switch)]
    force: bool,

    /// print JSON: name, builds, log_bytes, artifact_bytes, runners
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    builds: u64,
    log_bytes: u64,
    artifact_bytes: u64,
    runners: u64,
}

#[derive(Serialize)]
struct Added<'a> {
    id: ProjectId,
    name: &'a str,
    repo_url: Option<Cow<'a, str>>,
    ci_token: &'a str,
}

#[derive(Serialize)]
struct Listed {
    id: ProjectId,
    name: String,
    repo_url: Option<String>,
    timeout: i64,
    created_at: String,
}

#[derive(Serialize)]
struct CiToken<'a> {
    name: &'a str,
    ci_token: &'a str,
}

impl Project {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Add(add) => add.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Token(token) => token.run(coordinator),
            Command::Set(set) => set.run(coordinator),
            Command::Rename(rename) => rename.run(coordinator),
            Command::Remove(remove) => remove.run(coordinator),
        }
    }

    #[cfg(test)]
    pub fn token_name(&self) -> Option<&str> {
        match &self.command {
            Command::Token(token) => Some(&token.name),
            Command::Add(_) | Command::List(_) | Command::Set(_) | Command::Rename(_) | Command::Remove(_) => None,
        }
    }
}

impl Add {
    fn run(self, coordinator: &Coordinator) -> Done {
        let project = coordinator.add_project(&self.name, self.repo_url.as_deref(), self.timeout, Timestamp::now())?;
        let (name, ci_token) = (project.name.as_str(), project.ci_token.as_str());
        if self.json {
            return print::json(&Added {
                id: project.id,
                name,
                repo_url: project.repo_url.as_deref().map(shown),
                ci_token,
            });
        }
        print::out(&format!("project {} {name}, CI token {ci_token}\n", project.id.0))
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let projects = coordinator.list_projects()?;
        if self.json {
            return print::json_lines(projects.into_iter().map(|project| Listed {
                id: project.id,
                name: project.name,
                repo_url: project.repo_url.map(|url| shown(&url).into_owned()),
                timeout: project.timeout_s,
                created_at: project.created_at.to_string(),
            }));
        }
        let rows = projects.into_iter().map(|project| {
            let timeout = Duration::from_secs(project.timeout_s.unsigned_abs());
            [
                project.id.0.to_string(),
                project.name,
                format_duration(timeout),
                print::short_time(Some(project.created_at)),
                project.repo_url.map_or_else(print::dash, |url| shown(&url).into_owned()),
            ]
        });
        print::table(
            ["ID", "NAME", "TIMEOUT", "CREATED", "REPOSITORY"],
            rows.collect(),
            "no projects yet; `baton project add NAME` makes one",
        )
    }
}

impl Token {
    fn run(self, coordinator: &Coordinator) -> Done {
        let ci_token = coordinator.project_token(&self.name, self.reset)?;
        if self.json {
            return print::json(&CiToken { name: &self.name, ci_token: &ci_token });
        }
        print::out(&format!("{ci_token}\n"))
    }
}

impl Set {
    fn run(self, coordinator: &Coordinator) -> Done {
        let usage = |message: &str| Err(Stop::Usage(format!("{message}; `baton project set --help` explains")));
        let repo_url = match (self.repo_url, self.no_repo_url) {
            (Some(_), true) => return usage("--repo-url and --no-repo-url do not go together"),
            (Some(url), false) => Some(Some(url)),
            (None, true) => Some(None),
            (None, false) => None,
        };
        let repo_credentials = match self.repo_credentials_file {
            Some(_) if repo_url == Some(None) => {
                return usage("--no-repo-url and --repo-credentials-file do not go together");
            }
            Some(file) => Some(
                read_secret(&file, CREDENTIALS_BYTES_MAX)
                    .map_err(|error| Stop::Failed(format!("--repo-credentials-file: {error}")))?,
            ),
            None => None,
        };
        if repo_url.is_none() && self.timeout.is_none() && repo_credentials.is_none() {
            return usage("what to change is missing");
        }
        let change = ProjectChange { name: None, repo_url, repo_credentials, timeout: self.timeout };
        let project = coordinator.change_project(&self.name, change)?;
        print::out(&format!("project {} is changed\n", project.name))
    }
}

impl Rename {
    fn run(self, coordinator: &Coordinator) -> Done {
        let change = ProjectChange { name: Some(self.new_name), ..ProjectChange::default() };
        let project = coordinator.change_project(&self.name, change)?;
        print::out(&format!("project {} is {} now\n", self.name, project.name))
    }
}

impl Remove {
    fn run(self, coordinator: &Coordinator) -> Done {
        let removed = coordinator.remove_project(&self.name, self.force, Timestamp::now())?;
        coordinator.reclaim_unserved()?;
        let taken = removed.taken;
        if self.json {
            return print::json(&Removed {
                name: &removed.name,
                builds: taken.builds,
                log_bytes: taken.log_bytes,
                artifact_bytes: taken.artifact_bytes,
                runners: removed.runners,
            });
        }
        print::out(&format!(
            "removed project {}: {}, {} of logs, {} of artifacts, {}\n",
            removed.name,
            print::count(taken.builds, "build"),
            format_size(taken.log_bytes),
            format_size(taken.artifact_bytes),
            print::count(removed.runners, "runner"),
        ))
    }
}
