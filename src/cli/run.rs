//! `baton run`: a build as if it were a local command.

use super::build::outcome;
use super::build_add::{Secret, build_options, options, seconds, unread, variable, variables};
use super::patience::Patience;
use super::shell::quoted;
use super::{Done, Stop, build_id, duration, keeping_text, print, signals, tags, trace};
use crate::coordinator::{Coordinator, Queued};
use crate::domain::build::{BuildId, NewBuild, Status, Variable};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::Kind;
use argh::{ArgsInfo, FromArgs};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// Longest run of builds of the project that is made when there is none.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Most names in an error.
const NAMES_MAX: usize = 10;

build_options! {
    /// Run a command as a build: queue it, follow its log, exit as it did.
    #[argh(
        subcommand,
        name = "run",
        usage = "[--project NAME] [options] -- COMMAND...",
        example = "\
            {command_name} -- make test\n\
            {command_name} --project demo --ref master --tags docker --image alpine:3.5 -- make -j4\n\
            {command_name} -- sh -c 'make && make test'",
        note = "\
            Each argument of COMMAND arrives as it is; for the shell's syntax, let a shell be the command.\n\
            Ctrl-C cancels the build.",
        error_code(0, "The build succeeded."),
        error_code(1, "It did not, or could not be queued; one line on standard error says why.")
    )]
    pub struct Run {
        /// the project's name; default: the only project; if there is none, one named `default` is made
        #[argh(option, arg_name = "NAME")]
        project: Option<String>,

        #[argh(positional, greedy)]
        command: Vec<String>,
    }
}

impl Run {
    /// Does what the command line says, on what `open` opens.
    pub fn run(mut self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        let signals = signals::watch()?;
        let command = std::mem::take(&mut self.command);
        if command.is_empty() {
            return Err(Stop::Usage("a command is missing, as in `baton run -- make test`".to_owned()));
        }
        let given = self.project.take();
        let mut new = self.new_build(String::new(), quoted(&command))?;
        let coordinator = open()?;
        new.project = match given {
            Some(name) => name,
            None => only_project(&coordinator)?,
        };
        let ids = coordinator.add_builds(vec![Queued { new, needs_names: Vec::new() }], Timestamp::now())?;
        let id = *ids.first().ok_or_else(|| Stop::Failed("the build was not queued".to_owned()))?;
        print::note(&format!("build {id} is queued"));

        let mut unread = false;
        let mut patience = Patience::new(id);
        let print = |piece: &[u8]| match if unread { Ok(()) } else { print::bytes(piece) } {
            // The result still counts when nobody reads the log.
            Err(Stop::Unread) => {
                unread = true;
                Ok(())
            }
            result => result,
        };
        let wait = |status: Status, pause: Duration| {
            match signals.recv_timeout(pause) {
                Ok(_) => return cancel(&coordinator, id),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
            }
            patience.look(&coordinator, status)
        };
        trace::follow(&coordinator, id, print, wait)?;
        outcome(&coordinator, id)
    }
}

fn cancel(coordinator: &Coordinator, id: BuildId) -> Done {
    match coordinator.cancel_build(id, Timestamp::now()) {
        Ok(()) => {
            Err(Stop::Failed(format!("build {id} was canceled by a signal; `baton build retry {id}` runs it again")))
        }
        // It has ended in the meantime.
        Err(error) if error.kind == Kind::Conflict => Err(Stop::Failed(error.message)),
        Err(error) => Err(error.into()),
    }
}

/// The only project's name, or that of a new one.
fn only_project(coordinator: &Coordinator) -> Done<String> {
    let mut names = coordinator.project_names()?;
    match names.as_slice() {
        [] => {
            print::note("there is no project yet; this makes one named \"default\"");
            Ok(coordinator.add_project("default", None, TIMEOUT, Timestamp::now())?.name)
        }
        [_] => Ok(names.remove(0)),
        several => {
            let shown: Vec<&str> = several.iter().take(NAMES_MAX).map(String::as_str).collect();
            let more = if several.len() > NAMES_MAX { ", ..." } else { "" };
            Err(Stop::Failed(format!("which project? `--project NAME` says it: {}{more}", shown.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_dashes_are_those_of_build_add() {
        let args = ["--project", "p", "--ref", "r", "--secret", "A=b", "--", "make", "--ref", "x", "--help"];
        let run = Run::from_args(&["baton", "run"], &args).map_err(|exit| exit.output).unwrap();
        assert_eq!(run.command, ["make", "--ref", "x", "--help"]);
        let new = run.new_build("p".into(), "x".into()).unwrap();
        assert_eq!((new.ref_.as_str(), new.variables), ("r", vec![Variable::secret("A", "b")]));
    }
}
