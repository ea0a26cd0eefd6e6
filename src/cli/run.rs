//! `baton run`: a build as if it were a local command.

use super::build::outcome;
use super::build_add::{Secret, build_options, options, seconds, unread, variable, variables};
use super::interrupt::Interrupt;
use super::patience::Patience;
use super::shell::quoted;
use super::unpack::unpack;
use super::{Done, Stop, artifacts, build_id, duration, keeping_text, print, sources, tags, trace};
use crate::coordinator::{Coordinator, Download};
use crate::domain::build::{BuildId, NewBuild, Status, Variable};
use crate::domain::size::format_size;
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::store::projects::Project;
use argh::{ArgsInfo, FromArgs};
use serde_json::Value;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// Longest run of builds of the project that is made when there is none.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Most names in a message.
const NAMES_MAX: usize = 10;

build_options! {
    /// Run a command as a build: queue it, follow its log, exit as it did.
    #[argh(
        subcommand,
        name = "run",
        usage = "[--project NAME] [options] -- COMMAND...",
        example = "\
            {command_name} -- make test\n\
            {command_name} --artifacts dist/ --output . -- make dist\n\
            {command_name} --project demo --ref master --tags docker --image alpine:3.5 -- make -j4\n\
            {command_name} -- sh -c 'make && make test'",
        note = "\
            Each argument of COMMAND arrives as it is; for the shell's syntax, let a shell be the command.\n\
            In a git checkout the build is of its present commit, unless --repo-url, --ref, --sha or --no-sources say\n\
            otherwise: from the project's repository, or, if the project has none, from the checkout itself, which\n\
            only runners on this machine can fetch. What is not committed is not part of it.\n\
            Ctrl-C cancels the build; a second one ends this at once.",
        error_code(0, "The build succeeded."),
        error_code(1, "It did not, or could not be queued; one line on standard error says why.")
    )]
    pub struct Run {
        /// the project's name; default: the only project; if there is none, one named `default` is made
        #[argh(option, arg_name = "NAME")]
        project: Option<String>,

        /// where the files of --artifacts are unpacked, over what is there, also when the build fails
        #[argh(option, arg_name = "DIR")]
        output: Option<String>,

        /// run without sources, also in a git checkout
        #[argh(switch)]
        no_sources: bool,

        /// print the log without colours and what else is meant for a terminal
        #[argh(switch)]
        plain: bool,

        #[argh(positional, greedy)]
        command: Vec<String>,
    }
}

impl Run {
    /// Does what the command line says, on what `open` opens.
    pub fn run(mut self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        let interrupt = Interrupt::watch()?;
        self.check()?;
        let (project, output, plain) = (self.project.take(), self.output.take(), self.plain);
        let (no_sources, is_told) = (self.no_sources, self.tells_sources());
        let command = quoted(&std::mem::take(&mut self.command));
        let mut new = self.new_build(String::new(), command)?;
        if let (Some(_), Some(Value::Object(artifacts))) = (&output, new.options.get_mut("artifacts")) {
            artifacts.insert("when".to_owned(), "always".into());
        }
        let coordinator = Arc::new(open()?);
        let project = match project {
            Some(name) => coordinator.project(&name)?,
            None => only_project(&coordinator)?,
        };
        let sources = match (no_sources, is_told) {
            (true, _) => Some(sources::none(&mut new)),
            (false, true) => None,
            (false, false) => Some(sources::present_commit(&mut new, project.repo_url.as_deref(), coordinator.data())?),
        };
        new.project = project.name;
        let id = interrupt.queue(&coordinator, || {
            let ids = coordinator.add_builds(vec![new.into()], Timestamp::now())?;
            ids.first().copied().ok_or_else(|| Stop::Failed("the build was not queued".to_owned()))
        })?;
        let sources = sources.map_or_else(String::new, |words| format!(": {words}"));
        print::note(&format!("build {id} is queued{sources}"));
        follow(&coordinator, id, plain)?;
        let stop = interrupt.after_build();
        let brought = output.map_or(Ok(()), |dir| bring(&coordinator, id, Path::new(&dir), stop));
        let outcome = outcome(&coordinator, id);
        match (brought, &outcome) {
            (Err(Stop::Failed(message)), Err(_)) => print::note(&message),
            (brought, _) => brought?,
        }
        outcome
    }

    /// Whether the command line says where the sources come from.
    fn tells_sources(&self) -> bool {
        self.repo_url.is_some() || self.sha.is_some() || self.ref_name.is_some()
    }

    fn check(&self) -> Done {
        let wrong = |message: &str| Err(Stop::Usage(format!("{message}; `baton run --help` explains")));
        if self.command.is_empty() {
            return wrong("a command is missing, as in `baton run -- make test`");
        }
        if self.no_sources && self.tells_sources() {
            return wrong("--no-sources does not go with --repo-url, --sha and --ref, which say which sources");
        }
        match &self.output {
            Some(_) if self.artifacts.is_empty() => {
                wrong("--output says where the files of --artifacts go, which is missing")
            }
            Some(dir) if Path::new(dir).exists() && !Path::new(dir).is_dir() => {
                wrong(&format!("--output {dir:?} is not a directory"))
            }
            _ => Ok(()),
        }
    }
}

/// Prints the build's log while it grows, to its end.
fn follow(coordinator: &Coordinator, id: BuildId, plain: bool) -> Done {
    let (mut output, mut unread) = (trace::Output::new(plain), false);
    // The result still counts when nobody reads the log.
    let mut print = |printed: Done| match printed {
        Err(Stop::Unread) => {
            unread = true;
            Ok(())
        }
        result => result,
    };
    let mut patience = Patience::new(id);
    let wait = |status: Status, pause: Duration| {
        thread::sleep(pause);
        patience.look(coordinator, status)
    };
    trace::follow(coordinator, id, |piece| print(output.print(piece)), wait)?;
    print(output.end())
}

/// Unpacks the build's artifacts, if it has any, into `dir`.
fn bring(coordinator: &Coordinator, id: BuildId, dir: &Path, stop: &AtomicBool) -> Done {
    let status = coordinator.show_build(id, Timestamp::now())?.build.status;
    let Download { artifacts, mut file } = match coordinator.operator_artifacts(id, Timestamp::now()) {
        Err(error) if error.kind == Kind::NotFound => {
            if status == Status::Success {
                print::note(&format!("build {id} has no artifacts, nothing goes to {}", dir.display()));
            }
            return Ok(());
        }
        download => download?,
    };
    let copy = file.try_clone().map_err(Error::from)?;
    artifacts::copy(Download { artifacts, file: copy }, &mut io::sink(), Stop::output)?;
    file.rewind().map_err(Error::from)?;
    let unpacked = unpack(file, dir, stop)?;
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    if !unpacked.left_out.is_empty() {
        let left_out = some_of(&names(&unpacked.left_out));
        print::note(&format!("left out, since they are links that lead out of {}: {left_out}", dir.display()));
    }
    if unpacked.files.is_empty() {
        print::note("the artifacts are empty: the build had no files at the paths of --artifacts");
        return Ok(());
    }
    let names = names(&unpacked.files);
    let (count, bytes) = (print::count(names.len() as u64, "file"), format_size(unpacked.bytes));
    print::note(&format!("{count}, {bytes}, unpacked into {}: {}", dir.display(), some_of(&names)));
    Ok(())
}

/// The only project, or a new one.
fn only_project(coordinator: &Coordinator) -> Done<Project> {
    let mut projects = coordinator.list_projects()?;
    match projects.as_slice() {
        [] => {
            print::note("there is no project yet; this makes one named \"default\"");
            Ok(coordinator.add_project("default", None, TIMEOUT, Timestamp::now())?)
        }
        [_] => Ok(projects.remove(0)),
        several => {
            let names: Vec<String> = several.iter().map(|project| project.name.clone()).collect();
            Err(Stop::Failed(format!("which project? `--project NAME` says it: {}", some_of(&names))))
        }
    }
}

/// As many names as people read.
fn some_of(names: &[String]) -> String {
    let more = if names.len() > NAMES_MAX { ", ..." } else { "" };
    names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ") + more
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
