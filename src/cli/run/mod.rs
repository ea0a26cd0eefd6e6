//! `baton run`: a build as if it were a local command.

mod ci;
mod guard;
mod house;
mod installed;
mod interrupt;
pub(super) mod live;
pub(super) mod patience;
mod sources;
mod unpack;
mod wake;
mod work;

pub(super) use self::ci::{input, path_of_checkout, source};
use self::guard::check_place;
use self::house::House;
use self::interrupt::{Interrupt, Queued};
use self::patience::Patience;
use self::unpack::unpack;
use self::wake::Wake;
use self::work::{Choice, Work, choice};
use super::build::add::{Secret, asked, build_options, seconds, unread, variable, variables};
use super::build::{artifacts, log, outcome};
use super::runner::start::shell;
use super::show::{logger, print};
use super::words::secrets::warn_of_short;
use super::{Done, Stop, Typed, build_id, duration, keeping_text, tags};
use crate::coordinator::{Coordinator, Download};
use crate::domain::build::{BuildId, NewBuild, Status, Variable};
use crate::domain::folder_in_checkout::pattern_from_top;
use crate::domain::pending::Asked;
use crate::domain::pipeline::Source;
use crate::domain::spec::{ArtifactKind, BuildSpec};
use crate::domain::tags::Tags;
use crate::domain::text::shell::quoted;
use crate::domain::text::size::format_size;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::runner::Shell;
use crate::store::projects::Project;
use argh::{ArgsInfo, FromArgs};
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Longest run of builds of the project that is made when there is none.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Most names in a message.
const NAMES_MAX: usize = 10;

build_options! {
    /// Run the pipeline of a checkout's .gitlab-ci.yml, or a command as a build: queue, follow, exit as it ends.
    #[argh(
        subcommand,
        name = "run",
        usage = "[JOB...] [options]\n       baton run [options] -- COMMAND...",
        example = "\
            {command_name}\n\
            {command_name} --list\n\
            {command_name} 'unit: [a]' --variable LEVEL=2 --output out\n\
            {command_name} -- make test\n\
            {command_name} --artifacts dist/ --output . -- make dist\n\
            {command_name} --project demo --ref master --tags docker --image alpine:3.5 -- make -j4\n\
            {command_name} -- sh -c 'make && make test'",
        note = "\
            Without COMMAND it is the pipeline of the checkout in which this is called, on its present state: what is\n\
            not committed is part of it, and nothing of the checkout changes. JOB is a job's name, that of an entry\n\
            which makes several, or a pattern; what it needs runs, too. Variables are also read from\n\
            .baton/variables.yml. Options that begin with `pipeline:` go with this, those of a build (--ref, --sha,\n\
            --tags, ...) with COMMAND.\n\
            Each argument of COMMAND arrives as it is; for the shell's syntax, let a shell be the command. Standard\n\
            input does not reach it.\n\
            In a git checkout the build is of its present commit, unless --repo-url, --ref, --sha or --no-sources say\n\
            otherwise: from the project's repository, or, if the project has none, from the checkout itself, which\n\
            only runners on this machine can fetch. What is not committed is not part of it. COMMAND runs in the same\n\
            folder of the checkout as this, and the paths of --artifacts and --output begin there.\n\
            --output leaves out what git or a shell would read or run by itself, and says so: all of `.git`, git's\n\
            hooks and settings wherever they are, other repositories, and what is hidden directly in the home folder.\n\
            Ctrl-C cancels the build, as do SIGTERM, SIGQUIT, and SIGHUP, by which a closed terminal ends programs; one\n\
            of them more than a second later ends this at once. With `nohup`, SIGHUP does nothing.",
        error_code(0, "The build or the pipeline succeeded."),
        error_code(1, "It did not, whatever COMMAND exited with, or could not be queued; standard error says why."),
        error_code(3, "Rules let nothing through: there is no pipeline."),
        error_code(4, "A manual job blocks the pipeline, and nobody is there to be asked.")
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

        /// print the log without colours and what else is meant for a terminal; with --list, names alone
        #[argh(switch)]
        plain: bool,

        /// which runner runs it: builtin, none (one that is there or comes), gitlab-runner, or the path of one;
        /// default: one that is there and could take it, else the built-in one
        #[argh(option, arg_name = "RUNNER", from_str_fn(choice), default = "Choice::Any")]
        runner: Choice,

        /// shell of the built-in runner, bash or sh; default: bash where it is installed
        #[argh(option, arg_name = "SH", from_str_fn(shell))]
        shell: Option<Shell>,

        /// where the runner that is started works; default: below $XDG_CACHE_HOME/baton or ~/.cache/baton
        #[argh(option, arg_name = "DIR")]
        builds_dir: Option<PathBuf>,

        /// a variable of this process's environment that the build gets from the built-in runner; may be given several
        /// times
        #[argh(option, arg_name = "NAME")]
        pass_env: Vec<String>,

        /// pipeline: show its jobs and what rules leave out, and queue nothing
        #[argh(switch)]
        list: bool,

        /// pipeline: say whether the file is good for a push, a tag and a merge request, and queue nothing
        #[argh(switch)]
        lint: bool,

        /// pipeline: show the file with all that it includes and extends, and queue nothing
        #[argh(switch)]
        expand: bool,

        /// pipeline: print JSON, with --list, with --lint, or of the pipeline when it has ended
        #[argh(switch)]
        json: bool,

        /// pipeline: the file, from the top of the checkout; default: .gitlab-ci.yml
        #[argh(option, arg_name = "PATH")]
        file: Option<String>,

        /// pipeline: why there is one, as in push, merge_request_event, schedule, web, api; default: push
        #[argh(option, arg_name = "WORD", from_str_fn(ci::source))]
        source: Option<Source>,

        /// pipeline: its branch; default: the one that is checked out
        #[argh(option, arg_name = "NAME")]
        branch: Option<String>,

        /// pipeline: its tag
        #[argh(option, arg_name = "NAME")]
        tag: Option<String>,

        /// pipeline: the target branch, which makes it that of a merge request
        #[argh(option, arg_name = "BRANCH")]
        target: Option<String>,

        /// pipeline: the default branch; default: that of origin, else main or master
        #[argh(option, arg_name = "BRANCH")]
        default_branch: Option<String>,

        /// pipeline: the ref counts as protected
        #[argh(switch)]
        protected: bool,

        /// pipeline: what `changes` are compared with
        #[argh(option, arg_name = "REF")]
        compare_to: Option<String>,

        /// pipeline: each `changes` holds
        #[argh(switch)]
        all_changes: bool,

        /// pipeline: run on the present commit, without what is not committed
        #[argh(switch)]
        committed: bool,

        /// pipeline: leave out files that git does not know
        #[argh(switch)]
        tracked: bool,

        /// pipeline: take in files above 10 MiB that git does not know
        #[argh(switch)]
        large: bool,

        /// pipeline: an input of the file's own `spec`; may be given several times
        #[argh(option, arg_name = "K=V", from_str_fn(ci::input))]
        input: Vec<(String, String)>,

        /// pipeline: a file with variables, in YAML; may be given several times
        #[argh(option, arg_name = "FILE")]
        variables_file: Vec<PathBuf>,

        /// pipeline: a variable that is the name of a file with this file's content; may be given several times
        #[argh(option, arg_name = "K=FILE", from_str_fn(ci::input))]
        variable_file: Vec<(String, String)>,

        /// pipeline: where a project lies that the file includes; may be given several times
        #[argh(option, arg_name = "GROUP/NAME=DIR", from_str_fn(ci::input))]
        include_project: Vec<(String, String)>,

        /// pipeline: where GitLab's templates lie
        #[argh(option, arg_name = "DIR")]
        include_templates: Option<PathBuf>,

        /// pipeline: fetch `include:remote`, by https
        #[argh(switch)]
        allow_remote: bool,

        /// pipeline: the named jobs alone, without those that they need
        #[argh(switch)]
        no_needs: bool,

        /// pipeline: a manual job that starts by itself; may be given several times
        #[argh(option, arg_name = "JOB")]
        manual: Vec<String>,

        /// pipeline: all manual jobs start by themselves
        #[argh(switch)]
        manual_all: bool,

        /// pipeline: delayed jobs start at once
        #[argh(switch)]
        no_delay: bool,

        /// pipeline: cancel it at the first job that fails and is not allowed to
        #[argh(switch)]
        fail_fast: bool,

        /// pipeline: jobs whose tags no runner has go to any
        #[argh(switch)]
        any_runner: bool,

        /// pipeline: so many jobs at a time, of the runner that this starts
        #[argh(option, arg_name = "N", from_str_fn(ci::parallel))]
        max_parallel: Option<usize>,

        #[argh(positional, greedy)]
        command: Vec<String>,
    }
}

impl Run {
    /// Does what the command line says, on what `open` opens.
    pub fn run(mut self, open: impl FnOnce() -> Done<Coordinator>, typed: &Typed) -> Done {
        let is_pipeline = !typed.has_dashes;
        Run::check_mode(is_pipeline, typed)?;
        if is_pipeline {
            return self.run_pipeline(open);
        }
        let interrupt = Interrupt::watch()?;
        self.check()?;
        logger::be_quiet();
        let (project, output, plain) = (self.project.take(), self.output.take(), self.plain);
        let work = self.work();
        let (no_sources, is_told) = (self.no_sources, self.tells_sources());
        let is_input_unread = has_unread_input(&self.secret_file);
        let command = quoted(&std::mem::take(&mut self.command));
        let mut new = self.new_build(String::new(), vec![command])?;
        if let (Some(_), Some(archive)) = (&output, new.spec.archive_mut()) {
            archive.when = Some("always".to_owned());
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
        let (words, below) = sources.map_or_else(Default::default, |sources| (sources.words, sources.below));
        artifacts_of(&mut new.spec, &below)?;
        warn_of_short(&new.variables);
        let has_sources = new.repo_url.is_some() || project.repo_url.is_some();
        let asked = Asked { project: project.id, tags: new.tags.clone(), has_sources };
        new.project = project.name;
        let mut house = House::open(&coordinator, work)?;
        let runner = house.runner_for(&[asked])?;
        let mut id = BuildId(0);
        interrupt.queue(&coordinator, house.canceler(), || {
            let ids = coordinator.add_builds_for(runner, vec![new.into()], Timestamp::now())?;
            id = ids.first().copied().ok_or_else(|| Stop::Failed("the build was not queued".to_owned()))?;
            Ok(Queued::Build(id))
        })?;
        let sources = if words.is_empty() { words } else { format!(": {words}") };
        print::note(&format!("build {id} is queued{sources}"));
        if is_input_unread {
            print::note("standard input does not reach the command, which runs elsewhere; a file of the commit would");
        }
        // Whatever ends this: a build that is to be canceled is, before.
        let followed = follow(&coordinator, id, plain, &mut house).inspect_err(|_| interrupt.wait_for_effect());
        let output_failed = followed?;
        let stop = interrupt.after_build();
        let brought = output.map_or(Ok(()), |dir| bring(&coordinator, id, Path::new(&dir), &below, stop));
        house.close();
        let outcome = outcome(&coordinator, id);
        match (output_failed.map_or(Ok(()), Err).and(brought), &outcome) {
            (Err(Stop::Failed(message)), Err(_)) => print::note(&message),
            (brought, _) => brought?,
        }
        outcome
    }

    fn work(&mut self) -> Work {
        Work {
            choice: self.runner.clone(),
            // There is one build.
            concurrent: Some(1),
            shell: self.shell,
            builds_dir: self.builds_dir.take(),
            pass_env: std::mem::take(&mut self.pass_env),
        }
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
            Some(dir) => check_place(Path::new(dir)),
            None => Ok(()),
        }
    }
}

/// Whether this is given something on standard input that is not one of the secrets.
fn has_unread_input(secrets: &[Secret]) -> bool {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let found = input.and_then(|input| input.metadata()).map(|found| found.file_type());
    found.is_ok_and(|kind| kind.is_fifo() || kind.is_file()) && !secrets.iter().any(Secret::is_standard_input)
}

/// Has the paths of artifacts begin in the folder `below` of the checkout.
fn artifacts_of(spec: &mut BuildSpec, below: &Path) -> Done {
    for pattern in spec.archive_mut().into_iter().flat_map(|archive| &mut archive.paths) {
        *pattern = pattern_from_top(below, pattern).map_err(|why| Stop::Failed(format!("--artifacts: {why}")))?;
    }
    Ok(())
}

/// Prints the build's log while it grows, to its end. The result still counts when the log cannot be printed, be it that
/// nobody reads it or that the terminal is gone; what there is to be said of that is the answer.
fn follow(coordinator: &Coordinator, id: BuildId, plain: bool, house: &mut House) -> Done<Option<Stop>> {
    let mut output = log::Output::new(plain);
    let mut failed = None;
    let mut patience = Patience::new(id);
    let mut wake = Wake::of(coordinator.data());
    let wait = |status: Status, pause: Duration| {
        wake.wait(pause);
        if !status.is_finished() {
            house.check()?;
        }
        patience.look(coordinator, status)
    };
    let print = |piece: &[u8]| {
        if failed.is_none() {
            failed = output.print(piece).err();
        }
        Ok(())
    };
    log::follow(coordinator, id, print, wait)?;
    Ok(failed.or_else(|| output.end().err()).filter(|stop| !matches!(stop, Stop::Unread)))
}

/// Unpacks the build's artifacts, if it has any, into `dir`.
fn bring(coordinator: &Coordinator, id: BuildId, dir: &Path, below: &Path, stop: &AtomicBool) -> Done {
    let status = coordinator.show_build(id, Timestamp::now())?.build.status;
    let Download { artifacts, mut file } =
        match coordinator.operator_artifacts(id, &ArtifactKind::archive(), Timestamp::now()) {
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
    let unpacked = unpack(file, dir, below, stop)?;
    let names = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let kept: Vec<PathBuf> = unpacked.kept.into_iter().collect();
    let why_out = format!("links that lead out of {}", dir.display());
    let reasons = [(&unpacked.left_out, why_out.as_str()), (&kept, "git or a shell reads or runs such by itself")];
    let left_out: Vec<String> = reasons
        .iter()
        .filter(|(paths, _)| !paths.is_empty())
        .map(|(paths, why)| format!("{} ({why})", some_of(&names(paths))))
        .collect();
    if !left_out.is_empty() {
        print::note(&format!("left out: {}; `baton build artifacts {id}` saves all as it is", left_out.join("; ")));
    }
    if unpacked.files.is_empty() {
        if left_out.is_empty() {
            print::note("the artifacts are empty: the build had no files at the paths of --artifacts");
        }
        return Ok(());
    }
    let names = names(&unpacked.files);
    let (count, bytes) = (print::count(names.len() as u64, "file"), format_size(unpacked.bytes));
    print::note(&format!("{count}, {bytes}, unpacked into {}: {}", dir.display(), some_of(&names)));
    Ok(())
}

/// The only project, or a new one.
pub(super) fn only_project(coordinator: &Coordinator) -> Done<Project> {
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
        let new = run.new_build("p".into(), vec!["x".into()]).unwrap();
        assert_eq!((new.ref_.as_str(), new.variables), ("r", vec![Variable::secret("A", "b")]));
    }
}
