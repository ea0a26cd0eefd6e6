//! `baton run` in a checkout: the pipeline of its `.gitlab-ci.yml`.
//!
//! `context` says under which circumstances it is made, `outside` what the file may name, `given` which variables people
//! give; `select` takes some of its jobs, `list` shows what it means, `problems` what is wrong with it, and `start` queues
//! it and follows it to its end.

mod context;
mod given;
mod list;
mod outside;
mod problems;
mod remote;
mod select;
mod start;
mod terms;

pub use context::path_of_checkout;
pub use outside::Named;
pub use terms::{input, parallel, source};

use self::context::{Place, base, context, what_for};
use self::outside::Outside;
use self::select::Selection;
use crate::cli::show::print;
use crate::cli::{Done, Stop};
use crate::coordinator::start::circumstances::CONFIG_PATH;
use crate::domain::pipeline::{Pipeline, Source};
use crate::git::checkout::{Found, look};
use crate::git::{Snapshot, Wanted};
use crate::gitlab_ci::context::{Context, Given};
use crate::gitlab_ci::surroundings::Surroundings;
use crate::gitlab_ci::{Compiled, Outcome, compile};
use std::path::{Path, PathBuf};

/// The file that is read unless another one is named.
pub const FILE: &str = CONFIG_PATH;

/// Rules let nothing through: not the same as a pipeline that failed.
const NO_PIPELINE: u8 = 3;

/// Names of files that a note lists.
const NAMES_MAX: usize = 10;

/// What the command line says of the pipeline.
#[derive(Debug, Default)]
pub struct Terms {
    /// Path of the configuration, from the top of the checkout.
    pub file: String,
    /// Why there is a pipeline.
    pub source: Option<Source>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The target branch of a merge request.
    pub target: Option<String>,
    /// The default branch.
    pub default_branch: Option<String>,
    /// Whether the ref is protected.
    pub protected: bool,
    /// What `changes` are compared with.
    pub compare_to: Option<String>,
    /// Whether each `changes` holds.
    pub all_changes: bool,
    /// Whether only what is committed counts.
    pub committed: bool,
    /// Whether only files count that git knows.
    pub tracked: bool,
    /// Whether large files that git does not know are taken.
    pub large: bool,
    /// Values of the file's own inputs.
    pub inputs: Vec<(String, String)>,
    /// Variables that the command line gives; the later wins.
    pub given: Vec<Given>,
    /// Files of variables.
    pub variables_files: Vec<PathBuf>,
    /// Where files of other projects are.
    pub named: Named,
    /// Which jobs run.
    pub selection: Selection,
}

/// What is to be shown instead of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Show {
    /// The jobs.
    List,
    /// Whether the file is good.
    Lint,
    /// The file with all that it includes and extends.
    Expand,
}

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// For people.
    Text,
    /// The names of the jobs alone, a line each: for shells.
    Names,
    /// For programs.
    Json,
}

/// A checkout whose file was read.
pub struct Reading {
    place: Place,
    what: context::For,
    base: Option<String>,
    snapshot: Snapshot,
    context: Context,
    outside: Outside,
    content: Vec<u8>,
}

/// The checkout that this is called in, if it has the file.
///
/// # Errors
/// What git finds wrong with it; a folder that is no checkout, or has no commit, or not this file, as a sentence.
pub fn find(file: &str) -> Done<Place> {
    let failed = |words: String| Err(Stop::Failed(words));
    let here = std::env::current_dir()
        .map_err(|error| Stop::Failed(format!("the current directory cannot be used: {error}")))?;
    let checkout = match look(&here)? {
        Found::Checkout(checkout) if checkout.has_work_tree => *checkout,
        Found::Checkout(_) | Found::Nothing => {
            let advice = "`git init` makes one; `baton run -- COMMAND` runs a command anywhere";
            return failed(format!("this is no git checkout, so that it has no pipeline; {advice}"));
        }
        Found::NoGit => {
            return failed("`git` is not installed, which is asked for the state of the checkout".to_owned());
        }
    };
    if !checkout.top.join(file).is_file() {
        let advice = "--file names another; `baton run -- COMMAND` runs a command without one";
        return failed(format!("{} has no {file}; {advice}", checkout.top.display()));
    }
    let settings = checkout.settings()?;
    let Some(head) = checkout.head()? else {
        return failed("this checkout has no commit yet; `git commit` makes one".to_owned());
    };
    Ok(Place { checkout, head, settings })
}

impl Reading {
    /// Takes the present state of the checkout, into a folder of `sources`, and reads its file. `data` is left out of it.
    ///
    /// # Errors
    /// What git finds wrong; variables that cannot be read.
    pub fn of(place: Place, terms: &Terms, sources: &Path, data: Option<&Path>) -> Done<Reading> {
        let what = what_for(&place, terms)?;
        let base = base(&place, &what, terms)?;
        let wanted = Wanted {
            committed: terms.committed,
            tracked: terms.tracked,
            large: terms.large,
            ref_name: what.ref_name(),
            is_tag: what.tag.is_some(),
            leave_out: data,
            ..Wanted::default()
        };
        let snapshot = Snapshot::take(&place.checkout, &place.head, &place.settings, sources, &wanted)?;
        let given = given::all(&place.checkout, terms)?;
        let context = context(&place, &what, base.as_deref(), &snapshot, terms, given)?;
        let outside =
            Outside::new(&place.checkout, snapshot.contents()?, base.clone(), terms.all_changes, terms.named.clone());
        let Some(content) = outside.file(&terms.file) else {
            outside.check()?;
            let said = format!(
                "{} is not part of what the pipeline would run on: git ignores it, or it is not committed",
                terms.file
            );
            return Err(Stop::Failed(said));
        };
        Ok(Reading { place, what, base, snapshot, context, outside, content })
    }

    /// What the file means under these circumstances.
    fn compile(&self, context: &Context) -> Done<Compiled> {
        let compiled = compile(&self.content, context, &self.outside);
        self.outside.check()?;
        Ok(compiled)
    }

    /// The pipeline, after all that there is to be said about it was said.
    ///
    /// # Errors
    /// A file that is wrong; rules that let nothing through.
    fn pipeline(&self) -> Done<(Pipeline, Compiled)> {
        let mut compiled = self.compile(&self.context)?;
        problems::warnings(&compiled.warnings);
        match std::mem::replace(&mut compiled.outcome, Outcome::Refused(Vec::new())) {
            Outcome::Pipeline(pipeline) => Ok((*pipeline, compiled)),
            Outcome::Refused(messages) => Err(problems::refused(&messages)),
            Outcome::Nothing(words) => {
                let hint = self.other_source()?.map_or_else(String::new, |hint| format!("; {hint}"));
                Err(Stop::Ended { code: NO_PIPELINE, message: format!("{words}{hint}") })
            }
        }
    }

    /// What would have given a pipeline, where a push gives none, and the other way round.
    fn other_source(&self) -> Done<Option<String>> {
        let (source, option) = match self.context.source {
            Source::Push => (Source::MergeRequestEvent, "`--source merge_request_event` makes that of a merge request"),
            Source::MergeRequestEvent => (Source::Push, "`--source push` makes that of a push"),
            Source::Schedule
            | Source::Web
            | Source::Api
            | Source::Trigger
            | Source::Pipeline
            | Source::ParentPipeline
            | Source::Webide
            | Source::Chat
            | Source::External => return Ok(None),
        };
        if self.context.tag.is_some() {
            return Ok(None);
        }
        let target = Some(self.what.target.clone());
        let compiled = self.compile(&Context { source, target, ..self.context.clone() })?;
        Ok(matches!(compiled.outcome, Outcome::Pipeline(_)).then(|| option.to_owned()))
    }

    /// Says which files are taken in that git does not know, and what the snapshot has to say.
    fn tell(&self) {
        let names: Vec<String> = self.snapshot.untracked.iter().take(NAMES_MAX).cloned().collect();
        if !names.is_empty() {
            let more = self.snapshot.untracked.len().saturating_sub(NAMES_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            print::note(&format!(
                "taken in, though git does not know them: {}{more}; --tracked leaves them out",
                names.join(", ")
            ));
        }
        self.snapshot.warnings.iter().for_each(|warning| print::note(warning));
    }
}

/// Shows what the file means, and queues nothing.
///
/// # Errors
/// As [`find`] and [`Reading::of`]; a file that is wrong.
pub fn show(show: Show, how: How, terms: &Terms) -> Done {
    let place = find(&terms.file)?;
    let reading = Reading::of(place, terms, &std::env::temp_dir(), None)?;
    match show {
        Show::List => list::list(&reading, terms, how),
        Show::Lint => problems::lint(&reading, how == How::Json),
        Show::Expand => list::expand(&reading),
    }
}
