//! `baton page`: who may look at the page, and `baton open`, which looks at it.

use super::show::print;
use super::{Done, Stop};
use crate::coordinator::{Coordinator, is_served, reached};
use crate::domain::text::shell::quoted;
use crate::domain::time::Timestamp;
use argh::{ArgsInfo, FromArgs};
use serde::Serialize;
use std::env;
use std::io::{self, IsTerminal};
use std::process::{Command as Program, Stdio};

/// Let people look at the page in a browser, and list and end their sessions.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "page",
    example = "{command_name} login --name mira\n{command_name} logout mira",
    note = "\
        Whoever may read the data directory may let people in, and nobody else. A session ends 30 days after its\n\
        last use. `baton open` makes a link for oneself and opens it."
)]
pub struct Page {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Login(Login),
    List(List),
    Logout(Logout),
}

/// Make a link that signs one browser in: it is good once, for ten minutes.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "login", example = "{command_name} --name mira")]
struct Login {
    /// whom it is for: what the page calls who did something; default: the user's name
    #[argh(option, arg_name = "NAME")]
    name: Option<String>,

    /// print JSON: name, url
    #[argh(switch)]
    json: bool,
}

/// List who is signed in, those first that were there last.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "{command_name} --json")]
struct List {
    /// print JSON, an object a line: name, created_at, used_at
    #[argh(switch)]
    json: bool,
}

/// Sign somebody out, in all browsers; links that were not used yet become void.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "logout", example = "{command_name} mira\n{command_name} --all")]
struct Logout {
    /// who
    #[argh(positional)]
    name: Option<String>,

    /// everybody
    #[argh(switch)]
    all: bool,
}

/// Open the page in a browser, signed in; over ssh, print the link.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "open",
    example = "{command_name}\n{command_name} /demo/-/pipelines",
    note = "The link is good once, for ten minutes. $BROWSER names another browser than the desktop's."
)]
pub struct Open {
    /// the page's path, as in /demo/-/jobs/7; default: the overview
    #[argh(positional)]
    path: Option<String>,

    /// print the link, and open nothing
    #[argh(switch)]
    print: bool,
}

#[derive(Serialize)]
struct LinkDocument<'a> {
    name: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct SessionDocument {
    name: String,
    created_at: String,
    used_at: String,
}

impl Page {
    /// Runs the command.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        match self.command {
            Command::Login(it) => it.run(coordinator),
            Command::List(it) => it.run(coordinator),
            Command::Logout(it) => it.run(coordinator),
        }
    }

    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self.command, Command::List(_))
    }
}

impl Login {
    fn run(self, coordinator: &Coordinator) -> Done {
        let name = self.name.unwrap_or_else(own_name);
        let url = link(coordinator, &name, None)?;
        if self.json {
            return print::json(&LinkDocument { name: &name, url: &url });
        }
        print::out(&format!("{url}\n"))
    }
}

impl List {
    fn run(&self, coordinator: &Coordinator) -> Done {
        let all = coordinator.list_sessions(Timestamp::now())?;
        if self.json {
            return print::json_lines(all.into_iter().map(|session| SessionDocument {
                name: session.name,
                created_at: session.created_at.to_string(),
                used_at: session.used_at.to_string(),
            }));
        }
        let row = |session: crate::coordinator::Session| {
            [session.name, print::short_time(Some(session.created_at)), print::short_time(Some(session.used_at))]
        };
        let empty = "nobody is signed in; `baton open` lets you in, `baton page login --name NAME` somebody else";
        print::table(["NAME", "SINCE", "LAST SEEN"], all.into_iter().map(row).collect(), empty)
    }
}

impl Logout {
    fn run(self, coordinator: &Coordinator) -> Done {
        let ended = match (self.name, self.all) {
            (Some(_), true) => return Err(Stop::Usage("a name and --all do not go together".to_owned())),
            (None, false) => return Err(Stop::Usage("a name is missing, or --all for everybody".to_owned())),
            (name, _) => coordinator.end_sessions(name.as_deref())?,
        };
        print::note(&format!("{} ended", print::count(ended as u64, "session")));
        Ok(())
    }
}

impl Open {
    /// Runs the command.
    pub fn run(self, coordinator: &Coordinator) -> Done {
        let url = link(coordinator, &own_name(), self.path.as_deref())?;
        let is_remote = env::var_os("SSH_CONNECTION").is_some() || env::var_os("SSH_TTY").is_some();
        let programs = if self.print || is_remote { Vec::new() } else { browsers() };
        if programs.iter().any(|program| starts(program, &url)) {
            print::note("opened in the browser; the link is good once");
            return Ok(());
        }
        print::out(&format!("{url}\n"))?;
        if io::stdout().is_terminal() {
            print::note("open this link in a browser; it is good once, for ten minutes");
        }
        Ok(())
    }
}

/// A link that signs a browser in and leads to `path`.
pub fn link(coordinator: &Coordinator, name: &str, path: Option<&str>) -> Done<String> {
    if let Some(path) = path.filter(|path| !path.starts_with('/') || path.starts_with("//")) {
        return Err(Stop::Usage(format!("{path:?} is no path of the page: it begins with one slash, as in /demo")));
    }
    let url = is_served(coordinator.data())?.then(|| reached(coordinator.data())).flatten();
    let url = url.ok_or_else(|| Stop::Failed("no server runs; `baton serve` starts one".to_owned()))?.url;
    link_at(coordinator, &url, name, path)
}

/// The same at the server of this URL.
pub fn link_at(coordinator: &Coordinator, url: &str, name: &str, path: Option<&str>) -> Done<String> {
    let key = coordinator.make_login_key(name, Timestamp::now())?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("key", key.reveal());
    if let Some(path) = path {
        query.append_pair("to", path);
    }
    Ok(format!("{}/-/login?{}", url.trim_end_matches('/'), query.finish()))
}

/// What the user is called.
pub fn own_name() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned())
}

/// Programs that open a link, the user's choice first; none where there is no screen.
fn browsers() -> Vec<String> {
    let own = env::var("BROWSER").ok().filter(|program| !program.is_empty());
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some());
    let usual: &[&str] = if cfg!(target_os = "macos") {
        &["open"]
    } else if has_screen {
        &["xdg-open", "gio open", "sensible-browser"]
    } else {
        &[]
    };
    own.into_iter().chain(usual.iter().map(|program| (*program).to_owned())).collect()
}

/// Whether this program took the link.
fn starts(program: &str, url: &str) -> bool {
    let mut words = program.split_whitespace();
    let Some(name) = words.next() else { return false };
    log::debug!("{} is asked to open the page", quoted(&[name.to_owned()]));
    let mut program = Program::new(name);
    program.args(words).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program.status().is_ok_and(|status| status.success())
}
