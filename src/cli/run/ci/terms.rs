//! What the command line says, for a pipeline.

use super::outside::Named;
use super::select::Selection;
use super::start::{self, Live};
use super::{FILE, How, Show, Terms, show};
use crate::cli::build::add::{seconds, variables};
use crate::cli::run::Run;
use crate::cli::run::interrupt::Interrupt;
use crate::cli::show::logger;
use crate::cli::words::secrets::{read_secret, warn_of_short};
use crate::cli::{Done, Stop, Typed};
use crate::coordinator::Coordinator;
use crate::domain::pipeline::Source;
use crate::domain::text::did_you_mean::nearest;
use crate::gitlab_ci::context::Given;
use argh::ArgsInfo;
use std::path::{Path, PathBuf};

/// Bytes of the content of a file variable.
const FILE_VARIABLE_BYTES_MAX: usize = 1 << 20;

/// What the help of an option begins with that only a pipeline has.
const OF_PIPELINES: &str = "pipeline:";

/// Options that only a command has.
const OF_COMMANDS: [&str; 11] = [
    "--no-sources",
    "--ref",
    "--sha",
    "--repo-url",
    "--name",
    "--tags",
    "--image",
    "--service",
    "--artifacts",
    "--expire-in",
    "--needs",
];

/// For argh: why there is a pipeline.
pub fn source(text: &str) -> Result<Source, String> {
    Source::parse(text).ok_or_else(|| {
        let words = Source::ALL.map(Source::as_str);
        match nearest(text, words) {
            Some(near) => format!("there is no such source; did you mean {near}?"),
            None => format!("there is no such source; there are {}", words.join(", ")),
        }
    })
}

/// For argh: `NAME=VALUE`.
pub fn input(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// For argh: how many at a time.
pub fn parallel(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=1000).contains(&count) => Ok(count),
        _ => Err("it must be a number from 1 to 1000".to_owned()),
    }
}

impl Run {
    /// Refuses options of the other kind.
    pub(in crate::cli::run) fn check_mode(is_pipeline: bool, typed: &Typed) -> Done {
        let info = Run::get_args_info();
        let is_pipelines = |option: &&str| {
            info.flags.iter().any(|flag| flag.long == *option && flag.description.starts_with(OF_PIPELINES))
        };
        let is_other =
            |option: &&&'static str| if is_pipeline { OF_COMMANDS.contains(option) } else { is_pipelines(option) };
        let Some(option) = typed.options.iter().find(is_other) else { return Ok(()) };
        let said = if is_pipeline {
            format!(
                "{option} goes with a command, as in `baton run {option} ... -- make test`, and not with a pipeline"
            )
        } else {
            format!("{option} goes with the pipeline of a checkout, and not with a command behind `--`")
        };
        Err(Stop::Usage(format!("{said}; `baton run --help` explains")))
    }

    /// The pipeline of the checkout in which this is called.
    pub(in crate::cli::run) fn run_pipeline(mut self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        let shows = [(self.list, Show::List), (self.lint, Show::Lint), (self.expand, Show::Expand)];
        let mut shows = shows.into_iter().filter(|(is, _)| *is).map(|(_, what)| what);
        let (what, other) = (shows.next(), shows.next());
        if other.is_some() {
            return Err(Stop::Usage("--list, --lint and --expand do not go together".to_owned()));
        }
        let json = self.json;
        if let Some(what) = what {
            let how = if json {
                How::Json
            } else if self.plain {
                How::Names
            } else {
                How::Text
            };
            return show(what, how, &self.terms()?);
        }
        if let Some(dir) = &self.output {
            crate::cli::run::guard::check_place(Path::new(dir))?;
        }
        let interrupt = Interrupt::watch()?;
        logger::be_quiet();
        let live = Live {
            plain: self.plain,
            json,
            fail_fast: self.fail_fast,
            any_runner: self.any_runner,
            project: self.project.take(),
            output: self.output.take().map(PathBuf::from),
        };
        let mut work = self.work();
        work.concurrent = self.max_parallel;
        start::run(&interrupt, open, work, &self.terms()?, live)
    }

    fn terms(&mut self) -> Done<Terms> {
        let given = std::mem::take(&mut self.variable);
        let (secrets, files) = (std::mem::take(&mut self.secret), std::mem::take(&mut self.secret_file));
        let all = variables(given, secrets, files)?;
        warn_of_short(&all);
        let mut given: Vec<Given> = all.into_iter().map(Given::from).collect();
        for (key, path) in &self.variable_file {
            let value = read_secret(path, FILE_VARIABLE_BYTES_MAX)
                .map_err(|error| Stop::Failed(format!("--variable-file {key}=...: {error}")))?;
            given.push(Given { file: true, raw: true, ..Given::public(key, value) });
        }
        let selection = Selection {
            jobs: std::mem::take(&mut self.command),
            stages: self.stage.take().into_iter().collect(),
            no_needs: self.no_needs,
            manual: std::mem::take(&mut self.manual),
            manual_all: self.manual_all,
            no_delay: self.no_delay,
            timeout_s: self.timeout.map(seconds).and_then(|seconds| u64::try_from(seconds).ok()),
        };
        let projects = std::mem::take(&mut self.include_project);
        Ok(Terms {
            file: self.file.take().unwrap_or_else(|| FILE.to_owned()),
            source: self.source,
            branch: self.branch.take(),
            tag: self.tag.take(),
            target: self.target.take(),
            default_branch: self.default_branch.take(),
            protected: self.protected,
            compare_to: self.compare_to.take(),
            all_changes: self.all_changes,
            committed: self.committed,
            tracked: self.tracked,
            large: self.large,
            inputs: std::mem::take(&mut self.input),
            given,
            variables_files: std::mem::take(&mut self.variables_file),
            named: Named {
                projects: projects.into_iter().map(|(name, dir)| (name, PathBuf::from(dir))).collect(),
                templates: self.include_templates.take(),
                remote: self.allow_remote,
            },
            selection,
        })
    }
}
