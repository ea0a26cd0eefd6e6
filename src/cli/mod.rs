//! The command line: every command is parse, deed, print, and nothing else.
//!
//! What must stay true: what a command prints on standard output is its answer and nothing else; whatever goes
//! wrong is one line on standard error that says what to do; what is made for eyes (progress, a table that is drawn
//! anew) goes to terminals only; no value of `--secret` or `--secret-file` is ever printed. Absent on purpose: colours,
//! prompts.

mod backup;
mod build;
mod check;
mod du;
mod page;
mod ping;
mod pipeline;
mod project;
mod prune;
mod run;
mod runner;
mod serve;
mod show;
mod signals;
mod status;
mod token;
mod trigger;
mod variable;
mod words;

/// The tests beside the code and those of the whole program say in the same way that they are skipped.
#[cfg(test)]
#[path = "../../tests/harness/skip.rs"]
mod skip;

use crate::coordinator::Coordinator;
use crate::domain::build::BuildId;
use crate::domain::pipeline::PipelineId;
use crate::domain::runner::RunnerId;
use crate::domain::tags::Tags;
use crate::domain::text::duration::{check_unit, parse_duration, parse_keeping};
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::limits::Limits;
use argh::{ArgsInfo, FromArgs};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fmt, fs, io};
use words::arguments::Words;
use words::settings::Variables;

pub use show::logger::start as start_logger;

/// The data directory, unless it is said otherwise.
const DATA: &str = "baton-data";

/// Coordinates builds: keeps a queue, hands builds to GitLab runners, and stores their logs and artifacts.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "\
        {command_name} serve\n\
        {command_name} project add demo --repo-url https://git.example/demo.git\n\
        {command_name} build add --project demo --script 'make test'\n\
        {command_name} run -- make test",
    note = "\
        {command_name} COMMAND --help explains a command. Every command but serve works whether or not\n\
        the server runs.",
    error_code(0, "Done."),
    error_code(1, "Refused or failed, or the build failed; one line on standard error says why."),
    error_code(2, "Wrong usage.")
)]
struct Baton {
    /// the data directory, made on first use; default: $BATON_DATA, else ./baton-data
    #[argh(option, arg_name = "DIR")]
    data: Option<String>,

    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,

    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
#[expect(clippy::large_enum_variant, reason = "one is made a process")]
enum Command {
    Serve(serve::Serve),
    Project(project::Project),
    Runner(runner::Runner),
    Build(build::Build),
    Pipeline(pipeline::Pipeline),
    Open(page::Open),
    Page(page::Page),
    Run(run::Run),
    Token(token::Token),
    Backup(backup::Backup),
    Check(check::Check),
    Completions(words::completions::Completions),
    Man(words::man::Man),
    Ping(ping::Ping),
    Prune(prune::Prune),
    Du(du::Du),
    Status(status::Status),
    Trigger(trigger::Trigger),
    Variable(variable::ProjectVariables),
}

/// Why a command ends before its natural end.
#[derive(Debug)]
enum Stop {
    /// It was asked for this text only, which goes to standard output: `--help`, `--version`.
    Answer(String),
    /// The command line is wrong; the message says how.
    Usage(String),
    /// It was refused or has failed; the message says what and what to do.
    Failed(String),
    /// It ended in a way that scripts can tell from others, by this exit status.
    Ended {
        /// The exit status.
        code: u8,
        /// What happened and what to do; empty: it was said already.
        message: String,
    },
    /// Nobody reads standard output any more, as in `baton build log 1 | head`.
    Unread,
}

/// The result of a command.
type Done<T = ()> = Result<T, Stop>;

/// Runs the command that `arguments`, without the program's name, ask for. Prints its answer on standard output
/// and its refusal on standard error.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.first().is_some_and(|word| word == crate::runner::KEEPER_COMMAND) {
        // Nobody types it: a runner starts it.
        return crate::runner::keep();
    }
    let parsed = parse(arguments, &Variables::of(std::env::vars_os()));
    let stop = match parsed.and_then(|(baton, typed)| dispatch(baton, &typed)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Stop::Answer(text)) => match show::print::out(&text) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(stop) => stop,
        },
        Err(stop) => stop,
    };
    match stop {
        Stop::Answer(_) | Stop::Unread => ExitCode::SUCCESS,
        Stop::Usage(message) => {
            show::print::note(&message);
            ExitCode::from(2)
        }
        Stop::Failed(message) => {
            show::print::note(&message);
            ExitCode::FAILURE
        }
        Stop::Ended { code, message } => {
            if !message.is_empty() {
                show::print::note(&message);
            }
            ExitCode::from(code)
        }
    }
}

/// What was typed beside what argh makes of it.
#[derive(Debug, Default)]
struct Typed {
    /// Whether `--` stood there.
    has_dashes: bool,
    /// The options of the command itself, with their dashes.
    options: Vec<&'static str>,
}

fn parse(arguments: impl IntoIterator<Item = OsString>, variables: &Variables) -> Done<(Baton, Typed)> {
    let arguments: Vec<String> = arguments
        .into_iter()
        .map(|word| word.into_string().map_err(|_| Stop::Usage("an argument is not UTF-8".to_owned())))
        .collect::<Done<_>>()?;
    let words = Words::read(&arguments, variables, &Baton::get_args_info())?;
    let args: Vec<&str> = words.args.iter().map(String::as_str).collect();
    let baton = Baton::from_args(&["baton"], &args).map_err(|exit| match exit.status {
        Ok(()) => Stop::Answer(exit.output),
        Err(()) => words.usage(&in_our_words(&exit.output, &args, &words)),
    })?;
    for warning in &words.warnings {
        show::print::note(warning);
    }
    if words.path == ["build", "add"]
        && words.own.contains(&"--from")
        && let Some(other) = words.own.iter().find(|name| !["--from", "--project", "--json"].contains(name))
    {
        return Err(words.usage(&format!("{other} does not go with --from, whose file says all of its builds")));
    }
    if words.given.contains(&"--data") && matches!(&baton.command, Some(Command::Serve(serve)) if serve.is_ephemeral())
    {
        return Err(words.usage("--data does not go with --ephemeral, whose data is new and goes with it"));
    }
    if baton.version {
        return Err(Stop::Answer(format!("baton {}\n", env!("CARGO_PKG_VERSION"))));
    }
    Ok((baton, Typed { has_dashes: words.has_dashes, options: words.own }))
}

/// argh's errors in one line: which option or variable, its value, what is wrong.
fn in_our_words(error: &str, args: &[&str], words: &Words) -> String {
    let of_value = |begin: &str| {
        let (name, rest) = error.trim_end().strip_prefix(begin)?.split_once("' with value '")?;
        let (value, message) =
            args.iter().find_map(|value| Some((value, rest.strip_prefix(value)?.strip_prefix("': ")?)))?;
        // A URL may have a password in it.
        let shown = if value.contains('@') { "..." } else { value };
        Some(format!("{} {shown:?}: {message}", words.source(name)))
    };
    let missing = || {
        let begins = ["Required positional arguments not provided:", "Required options not provided:"];
        let names = begins.iter().find_map(|begin| error.strip_prefix(begin))?;
        Some(format!("{} is missing", names.split_whitespace().collect::<Vec<_>>().join(", ")))
    };
    of_value("Error parsing option '")
        .or_else(|| of_value("Error parsing positional argument '"))
        .or_else(missing)
        .unwrap_or_else(|| error.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn dispatch(baton: Baton, typed: &Typed) -> Done {
    let data = baton.data.map_or_else(|| PathBuf::from(DATA), PathBuf::from);
    let opened = |only_reads: bool| {
        let open = if only_reads { Coordinator::open_to_read } else { Coordinator::open };
        let opened = open(&data, Limits::default()).map_err(|error| {
            Stop::from(Error::new(error.kind, format!("data directory {}: {}", data.display(), error.message)))
        })?;
        // A `baton run` that was killed is noticed by whoever looks next, also where no server runs.
        if let Err(error) = opened.end_lost_runners(Timestamp::now()) {
            log::debug!("what a run has left behind stays for now: {error}");
        }
        Ok(opened)
    };
    let only_reads = baton.command.as_ref().is_some_and(Command::only_reads);
    let open = || opened(only_reads);
    match baton.command {
        None => Err(Stop::Usage("a command is missing; `baton --help` lists them".to_owned())),
        Some(Command::Serve(serve)) => serve.run(data),
        Some(Command::Project(project)) => project.run(&open()?),
        Some(Command::Runner(runner)) => runner.run(open),
        Some(Command::Build(build)) => build.run(open),
        Some(Command::Pipeline(pipeline)) => pipeline.run(&open()?),
        Some(Command::Open(page)) => page.run(&open()?),
        Some(Command::Page(page)) => page.run(&open()?),
        Some(Command::Run(run)) => run.run(open, typed),
        Some(Command::Token(token)) => token.run(&open()?),
        Some(Command::Backup(backup)) => backup.run(&data),
        Some(Command::Check(check)) => check.run(&data),
        Some(Command::Completions(completions)) => completions.run(Baton::get_args_info()),
        Some(Command::Man(man)) => man.run(Baton::get_args_info()),
        Some(Command::Ping(ping)) => ping.run(),
        Some(Command::Prune(prune)) => prune.run(&open()?),
        Some(Command::Du(du)) => du.run(&open()?),
        Some(Command::Status(status)) => status.run(&open()?, &data),
        Some(Command::Trigger(trigger)) => trigger.run(&open()?),
        Some(Command::Variable(variable)) => variable.run(&open()?),
    }
}

impl Command {
    /// Whether it changes nothing, so that it must make nothing, and works where nothing can be written.
    fn only_reads(&self) -> bool {
        match self {
            Command::Project(project) => project.only_reads(),
            Command::Runner(runner) => runner.only_reads(),
            Command::Build(build) => build.only_reads(),
            Command::Pipeline(pipeline) => pipeline.only_reads(),
            Command::Page(page) => page.only_reads(),
            Command::Token(token) => token.only_reads(),
            Command::Trigger(trigger) => trigger.only_reads(),
            Command::Variable(variable) => variable.only_reads(),
            Command::Status(_) | Command::Du(_) => true,
            Command::Serve(_)
            | Command::Run(_)
            | Command::Open(_)
            | Command::Backup(_)
            | Command::Check(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Ping(_)
            | Command::Prune(_) => false,
        }
    }
}

/// How a command is called that is to work on this data directory, from any directory.
fn program(data: &Path) -> String {
    let place = fs::canonicalize(data).or_else(|_| std::path::absolute(data)).unwrap_or_else(|_| data.to_owned());
    crate::domain::text::shell::quoted(&["baton".to_owned(), "--data".to_owned(), place.display().to_string()])
}

impl Stop {
    /// What a failed write to standard output comes to.
    fn output(error: io::Error) -> Stop {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Stop::Unread
        } else {
            Stop::Failed(format!("cannot write to standard output: {error}"))
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Answer(text) | Stop::Usage(text) | Stop::Failed(text) | Stop::Ended { message: text, .. } => text,
            Stop::Unread => "nobody reads the answer",
        })
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        let advice = match error.kind {
            Kind::Busy => "; try again in a moment",
            Kind::DiskFull => "; make room on the disk and try again",
            Kind::Invalid
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::Conflict
            | Kind::TooLarge
            | Kind::TooSlow
            | Kind::Internal
            | Kind::Damaged => "",
        };
        Stop::Failed(format!("{}{advice}", error.message))
    }
}

/// For argh: a build's id.
fn build_id(text: &str) -> Result<BuildId, String> {
    text.parse().map(BuildId).map_err(|_| "a build's id is a number, as in `baton build list`".to_owned())
}

/// For argh: a pipeline's id.
fn pipeline_id(text: &str) -> Result<PipelineId, String> {
    text.parse().map(PipelineId).map_err(|_| "a pipeline's id is a number, as in `baton pipeline list`".to_owned())
}

/// For argh: a runner's id.
fn runner_id(text: &str) -> Result<RunnerId, String> {
    text.parse().map(RunnerId).map_err(|_| "a runner's id is a number, as in `baton runner list`".to_owned())
}

/// For argh: a duration of at least a second.
fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(duration) if duration < Duration::from_secs(1) => Err("it must be at least one second".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

/// For argh: for how long to keep something, as it was written.
fn keeping_text(text: &str) -> Result<String, String> {
    parse_keeping(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// For argh: a duration of at least a second, with a unit: a bare number would be seconds, which nobody means who
/// removes something that is older.
fn duration_with_unit(text: &str) -> Result<Duration, String> {
    check_unit(text)?;
    duration(text)
}

/// For argh: tags separated by commas, each a word; nothing for none.
fn tags(text: &str) -> Result<Tags, String> {
    let words = || text.split(',').map(str::trim);
    if !text.trim().is_empty() && words().any(str::is_empty) {
        return Err("a tag is empty; they are separated by single commas, and '' is for none".to_owned());
    }
    if words().any(|word| word.contains(char::is_whitespace)) {
        return Err("a tag has a blank; they are separated by commas".to_owned());
    }
    Tags::from_list(text)
}

#[cfg(test)]
mod tests;
