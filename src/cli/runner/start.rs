//! `baton runner start`: the built-in runner as a process of its own.
//!
//! What must stay true: the token is read before anything else is done, and is in no list of processes. Jobs work in no
//! data directory and below no checkout.

use crate::cli::show::print;
use crate::cli::{Done, Stop, signals, tags};
use crate::coordinator::{Coordinator, reached};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, hex};
use crate::error::{Error, Kind};
use crate::runner::{self, Ending, Options, Shell, usual_places};
use crate::store::runners::NewRunner;
use argh::{ArgsInfo, FromArgs};
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a server is, unless it says otherwise.
const URL: &str = "http://127.0.0.1:8080";

/// Longest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 1024;

/// The file in the data directory that keeps the token of the runner that is made there once.
const TOKEN_FILE: &str = "runner-token";

/// Run builds on this machine with its shell, without gitlab-runner.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "start",
    example = "\
        {command_name}\n\
        {command_name} --url https://ci.example --token-file /etc/baton/runner-token --tags linux",
    note = "\
        Without --token-file it works for the server on the data directory: a runner named after this machine is\n\
        made once, and its token kept in there. Builds run as the user who starts it: what they may do, they do.\n\
        SIGTERM and Ctrl-C cancel the builds that run; a second one kills them; SIGQUIT waits for them, and takes\n\
        no others.",
    error_code(0, "It was told to end, or has run as many builds as it was to.")
)]
pub struct Start {
    /// where the server is; default: that of the data directory, wherever it is; with --token-file
    /// http://127.0.0.1:8080
    #[argh(option, arg_name = "URL")]
    url: Option<String>,

    /// a file with the runner's token, as from `baton runner add --token-only`; - is standard input
    #[argh(option, arg_name = "FILE")]
    token_file: Option<String>,

    /// what the runner that is made offers, separated by commas; default: none
    #[argh(option, arg_name = "A,B", from_str_fn(tags), default = "Tags::default()")]
    tags: Tags,

    /// builds at a time; default: as many as there are processors, at most 4
    #[argh(option, arg_name = "N")]
    concurrent: Option<usize>,

    /// shell that runs scripts, bash or sh; default: bash where it is installed
    #[argh(option, arg_name = "SH", from_str_fn(shell))]
    shell: Option<Shell>,

    /// where builds work; default: below $XDG_CACHE_HOME/baton or ~/.cache/baton
    #[argh(option, arg_name = "DIR")]
    builds_dir: Option<PathBuf>,

    /// where caches are kept; default: beside that
    #[argh(option, arg_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// a variable of this process's environment that builds get; may be given several times
    #[argh(option, arg_name = "NAME")]
    pass_env: Vec<String>,

    /// end after so many builds
    #[argh(option, arg_name = "N")]
    max_builds: Option<u64>,
}

/// For argh: a shell by its name.
pub fn shell(name: &str) -> Result<Shell, String> {
    let shells = [Shell::Bash, Shell::Sh];
    shells.into_iter().find(|shell| shell.program() == name).ok_or_else(|| "it must be bash or sh".to_owned())
}

impl Start {
    /// Does what the command line says, on what `open` opens.
    pub fn run(self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        let (token, place, data) = match &self.token_file {
            Some(file) => (read_token(file)?, self.url.clone().unwrap_or_else(|| URL.to_owned()), None),
            None => {
                let coordinator = open()?;
                let token = own_token(&coordinator, &self.tags)?;
                (token, place_of(&coordinator), Some(coordinator.data().to_owned()))
            }
        };
        hide_memory()?;
        let now = data.as_deref().and_then(reached).map_or_else(|| URL.to_owned(), |place| place.url);
        let url = self.url.clone().unwrap_or(now);
        let (builds, cache) = places(&place, self.builds_dir.as_deref(), self.cache_dir.as_deref())?;
        let mut options = Options::new(&url, token, &builds, &cache)?;
        if let (None, Some(data)) = (&self.url, data) {
            // It may come later, or come back elsewhere.
            options.place = Some(Arc::new(move || reached(&data).map(|place| place.url)));
        }
        options.name = host_name();
        options.pass_env = self.pass_env;
        options.jobs_max = self.max_builds;
        options.concurrent = self.concurrent.unwrap_or(options.concurrent);
        options.shell = self.shell.unwrap_or(options.shell);
        // It outlives a server that is started anew.
        options.gone_time_max = None;
        let stop = runner::Stop::default();
        let told = stop.clone();
        signals::each(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT], move |signal| {
            told.tell(match (signal, told.ending()) {
                (Signal::SIGQUIT, _) => Ending::Drain,
                (_, Ending::No | Ending::Drain) => Ending::Interrupt,
                (_, Ending::Interrupt | Ending::Kill) => Ending::Kill,
            });
        })?;
        print::note(&format!("running builds of {} on this machine, in {}", url, builds.display()));
        runner::serve(options, &stop)?;
        Ok(())
    }
}

/// Where builds work and caches are kept for what this names, unless it is said.
pub fn places(name: &str, builds_dir: Option<&Path>, cache_dir: Option<&Path>) -> Done<(PathBuf, PathBuf)> {
    let id = hex(Sha256::digest(name.as_bytes()).get(..8).unwrap_or_default());
    let place = |given: Option<&Path>, usual: Option<PathBuf>, option: &str| match given {
        Some(dir) => std::path::absolute(dir).map_err(|error| Stop::from(Error::file(dir, &error))),
        None => usual.ok_or_else(|| Stop::Usage(format!("{option} is missing, since the user has no home folder"))),
    };
    let (builds, cache) = usual_places(&id).map_or((None, None), |(builds, cache)| (Some(builds), Some(cache)));
    Ok((place(builds_dir, builds, "--builds-dir")?, place(cache_dir, cache, "--cache-dir")?))
}

/// From now on, builds of the same user find no token in this process's memory, environment or descriptors.
pub fn hide_memory() -> Done {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false).map_err(|errno| Stop::from(Error::from(io::Error::from(errno))))?;
    Ok(())
}

/// What names a data directory: the places of the builds that its runners on this machine run.
pub fn place_of(coordinator: &Coordinator) -> String {
    coordinator.data().canonicalize().unwrap_or_default().display().to_string()
}

/// What this machine is called.
pub fn host_name() -> String {
    let name = nix::sys::utsname::uname().ok().and_then(|system| system.nodename().to_str().map(ToOwned::to_owned));
    name.unwrap_or_else(|| "built-in".to_owned())
}

/// The token in a file.
fn read_token(file: &str) -> Done<Token> {
    let mut text = String::new();
    let read = match file {
        "-" => io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text),
        path => fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| Error::file(Path::new(file), &error))?;
    Token::received(text.trim()).ok_or_else(|| Stop::Failed(format!("{file} holds no token")))
}

/// The token of the runner of this data directory, which is made if there is none, or if it was removed.
fn own_token(coordinator: &Coordinator, tags: &Tags) -> Done<Token> {
    let path = coordinator.data().join(TOKEN_FILE);
    match read_token(&path.to_string_lossy()) {
        Ok(token) if coordinator.is_runners(&token)? => return Ok(token),
        Ok(_) | Err(_) => {}
    }
    let new = NewRunner { description: host_name(), tags: tags.clone(), ..NewRunner::default() };
    let token = coordinator.add_runner(new, None, Timestamp::now())?.token;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| Error::file(&path, &error))?;
    file.write_all(token.reveal().as_bytes()).map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
    Ok(token)
}
