//! `baton token`: access tokens, for programs that use the API for programs.

use super::show::cells::clean;
use super::show::print;
use super::{Done, Stop, duration};
use crate::coordinator::{Coordinator, NewAccessToken};
use crate::domain::access_token::{AccessScope, AccessToken, AccessTokenId};
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::time::Duration;

/// Make, list and revoke access tokens: by one a program uses the API.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "token",
    example = "\
        {command_name} add --name exporter --scope read_api\n\
        curl --header \"PRIVATE-TOKEN: $({command_name} add --name laptop --token-only)\" \\\n    \
        http://127.0.0.1:8080/api/v4/projects"
)]
pub struct Token {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Add(Add),
    List(List),
    Revoke(Revoke),
}

/// Make an access token; it is shown this once.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "add",
    example = "{command_name} --name exporter --scope read_api --project demo --expires 90d",
    note = "\
        What a program does is done in the token's name. A token of one project sees nothing of the others, and\n\
        changes no runner that all projects share."
)]
struct Add {
    /// what to call it; not only digits
    #[argh(option, arg_name = "NAME")]
    name: String,

    /// api, which opens all, or read_api, which changes nothing and sees no values of variables; default: api
    #[argh(option, arg_name = "SCOPE", from_str_fn(scope), default = "AccessScope::Api")]
    scope: AccessScope,

    /// the only project that it opens; default: all
    #[argh(option, arg_name = "NAME")]
    project: Option<String>,

    /// how long it is good, as in 90d or 12h; default: until it is revoked
    #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
    expires: Option<Duration>,

    /// print nothing but the token, for `$(...)`
    #[argh(switch)]
    token_only: bool,

    /// print JSON: id, name, scope, project, expires_at, token
    #[argh(switch)]
    json: bool,
}

/// List the access tokens, oldest first, also those that have expired or were revoked.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name}\n{command_name} --json")]
struct List {
    /// print JSON, an object a line: id, name, scope, project, state (active, expired, revoked), created_at, expires_at,
    /// used_at (to the minute), revoked_at
    #[argh(switch)]
    json: bool,
}

/// Revoke an access token: it is void at once.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "revoke", example = "{command_name} exporter\n{command_name} 3")]
struct Revoke {
    /// its name or id, as in `baton token list`
    #[argh(positional)]
    token: String,

    /// print JSON, as `baton token list` has it
    #[argh(switch)]
    json: bool,
}

fn scope(word: &str) -> Result<AccessScope, String> {
    AccessScope::parse(word).ok_or_else(|| "it must be api or read_api".to_owned())
}

#[derive(Serialize)]
struct Added<'a> {
    id: AccessTokenId,
    name: &'a str,
    scope: &'a str,
    project: Option<&'a str>,
    expires_at: Option<String>,
    token: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: AccessTokenId,
    name: &'a str,
    scope: &'a str,
    project: Option<&'a str>,
    state: &'a str,
    created_at: String,
    expires_at: Option<String>,
    used_at: Option<String>,
    revoked_at: Option<String>,
}

fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|at| at.to_string())
}

fn project(token: &AccessToken) -> Option<&str> {
    token.project.as_ref().map(|(_, name)| name.as_str())
}

impl<'a> Listed<'a> {
    fn new(token: &'a AccessToken, now: Timestamp) -> Listed<'a> {
        Listed {
            id: token.id,
            name: &token.name,
            scope: token.scope.as_str(),
            project: project(token),
            state: token.state(now).as_str(),
            created_at: token.created_at.to_string(),
            expires_at: text(token.expire_at),
            used_at: text(token.used_at),
            revoked_at: text(token.revoked_at),
        }
    }
}

impl Token {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }

    /// Does what the command line says.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Add(add) => add.run(coordinator),
            Command::List(list) => list.run(coordinator),
            Command::Revoke(revoke) => revoke.run(coordinator),
        }
    }
}

impl Add {
    fn run(self, coordinator: &Coordinator) -> Done {
        if self.json && self.token_only {
            return Err(Stop::Usage(
                "--json and --token-only do not go together; `baton token add --help` explains".into(),
            ));
        }
        let new = NewAccessToken { name: self.name, scope: self.scope, project: self.project, life: self.expires };
        let (added, token) = coordinator.add_access_token(new, Timestamp::now())?;
        if self.token_only {
            return print::out(&format!("{}\n", token.reveal()));
        }
        if self.json {
            return print::json(&Added {
                id: added.id,
                name: &added.name,
                scope: added.scope.as_str(),
                project: project(&added),
                expires_at: text(added.expire_at),
                token: token.reveal(),
            });
        }
        print::out(&format!("token {} {}: {}\n", added.id, clean(&added.name), token.reveal()))
    }
}

impl List {
    fn run(self, coordinator: &Coordinator) -> Done {
        let (tokens, now) = (coordinator.list_access_tokens()?, Timestamp::now());
        if self.json {
            return print::json_lines(tokens.iter().map(|token| Listed::new(token, now)));
        }
        let rows = tokens.iter().map(|token| {
            [
                token.id.to_string(),
                token.name.clone(),
                token.scope.as_str().to_owned(),
                project(token).map_or_else(print::dash, str::to_owned),
                token.state(now).as_str().to_owned(),
                print::short_time(token.used_at),
                print::short_time(token.expire_at),
            ]
        });
        print::table(
            ["ID", "NAME", "SCOPE", "PROJECT", "STATE", "LAST USED", "EXPIRES"],
            rows.collect(),
            "no tokens yet; `baton token add --name NAME` makes one",
        )
    }
}

impl Revoke {
    fn run(self, coordinator: &Coordinator) -> Done {
        let now = Timestamp::now();
        let revoked = coordinator.revoke_access_token(&self.token, now)?;
        if self.json {
            return print::json(&Listed::new(&revoked, now));
        }
        print::out(&format!("token {} {} is revoked\n", revoked.id, clean(&revoked.name)))
    }
}
