//! A `gitlab-runner` that is installed, started for one run: `--runner gitlab-runner`, `--runner PATH`.
//!
//! What must stay true: its token stands in a file that its owner alone reads, and in no list of processes; it writes
//! nothing to the user's own configuration. Its folder goes with the run, or, if that was killed, with the next one.

use crate::cli::{Done, Stop};
use crate::domain::token::Token;
use crate::ephemeral::{self, Ephemeral};
use crate::error::Error;
use crate::runner::Other;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to say its version.
const VERSION_TIME: Duration = Duration::from_secs(5);
/// Bytes of what it says of its version.
const VERSION_BYTES_MAX: u64 = 4096;
/// The file by whose lock a folder is known to be in use.
const CONFIG: &str = "config.toml";

/// A `gitlab-runner` that runs.
pub struct Installed {
    // Ends before its folder goes.
    other: Other,
    _config: Flock<File>,
    _folder: Ephemeral,
}

/// What it is to be told.
pub struct Telling<'a> {
    /// The server's URL.
    pub url: &'a str,
    /// Its token.
    pub token: &'a Token,
    /// What it is called.
    pub name: &'a str,
    /// Builds at a time.
    pub concurrent: usize,
    /// The shell of its builds.
    pub shell: &'a str,
    /// Where folders of runs are made.
    pub place: &'a Path,
    /// Where its builds work; `None`: in the folder of the run.
    pub builds: Option<&'a Path>,
    /// Where it keeps caches.
    pub cache: &'a Path,
    /// Variables that its builds get.
    pub pass_env: &'a [String],
}

impl Installed {
    /// Starts it.
    pub fn start(program: &Path, telling: &Telling<'_>) -> Done<Installed> {
        let program = found(program)?;
        let (major, minor) = version(&program)?;
        if (major, minor) < (1, 1) {
            let why = "runners before 1.1 cannot be started for one run; `--runner builtin` needs none";
            return Err(Stop::Failed(format!("{} is version {major}.{minor}: {why}", program.display())));
        }
        let failed = |error: &io::Error| Stop::from(Error::file(telling.place, error));
        DirBuilder::new().recursive(true).mode(0o700).create(telling.place).map_err(|error| failed(&error))?;
        sweep(telling.place);
        let folder = Ephemeral::below(telling.place)?;
        let builds = telling.builds.map_or_else(|| folder.path().join("builds"), Path::to_owned);
        let path = if major < 9 { "/ci" } else { "" };
        let text = format!(
            "concurrent = {}\ncheck_interval = 1\nlog_level = \"error\"\n\n[[runners]]\n  name = {}\n  url = {}\n  \
             token = {}\n  executor = \"shell\"\n  shell = {}\n  builds_dir = {}\n  cache_dir = {}\n",
            telling.concurrent,
            toml(telling.name),
            toml(&format!("{}{path}", telling.url)),
            toml(telling.token.reveal()),
            toml(telling.shell),
            toml(&builds.to_string_lossy()),
            toml(&telling.cache.to_string_lossy()),
        );
        let place = folder.path().join(CONFIG);
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place);
        let config = written.and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
        let config = config.map_err(|error| Stop::from(Error::file(&place, &error)))?;
        let config = Flock::lock(config, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| Stop::Failed(format!("cannot lock {}: {errno}", place.display())))?;
        let words = ["run", "--config", &place.to_string_lossy(), "--working-directory"].map(str::to_owned);
        let arguments = words.into_iter().chain([folder.path().to_string_lossy().into_owned()]).collect();
        let print = |bytes: &[u8]| {
            // Who does not read it misses it.
            let _ = io::stderr().write_all(bytes);
        };
        let other = Other::start(&program, arguments, telling.pass_env, folder.path(), print)?;
        Ok(Installed { other, _config: config, _folder: folder })
    }

    /// Why it has ended, if it has.
    #[must_use]
    pub fn why_over(&self) -> Option<String> {
        self.other.why_over()
    }
}

/// Removes the folders of runs that were killed.
fn sweep(place: &Path) {
    for folder in fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Ok(file) = File::open(folder.join(CONFIG)) else { continue };
        if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
            && let Err(error) = ephemeral::remove(&folder)
        {
            log::warn!("cannot remove {}: {error}", folder.display());
        }
    }
}

/// Where the program is: a path from the root, or a name in `PATH`.
fn found(program: &Path) -> Done<PathBuf> {
    if program.components().count() > 1 {
        let path = std::path::absolute(program).map_err(|error| Stop::from(Error::file(program, &error)))?;
        return match fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(Stop::Failed(format!("{} is no program", path.display()))),
            Err(error) => Err(Stop::from(Error::file(&path, &error))),
        };
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // It was called otherwise until version 10.
    for name in [program, Path::new("gitlab-ci-multi-runner")] {
        if let Some(path) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
            return Ok(path);
        }
    }
    Err(Stop::Failed(
        "no gitlab-runner is in PATH; `--runner PATH` names one, `--runner builtin` needs none".to_owned(),
    ))
}

/// What it says of its version.
fn version(program: &Path) -> Done<(u32, u32)> {
    let failed = |why: &str| Stop::Failed(format!("{} does not tell its version: {why}", program.display()));
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().map_err(|error| failed(&error.to_string()))?;
    let deadline = Instant::now() + VERSION_TIME;
    while process.try_wait().map_err(|error| failed(&error.to_string()))?.is_none() {
        if Instant::now() >= deadline {
            // It may have ended in this moment.
            let _ = process.kill();
            let _ = process.wait();
            return Err(failed("it takes longer than 5 seconds"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let mut text = String::new();
    if let Some(output) = process.stdout.take() {
        output.take(VERSION_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error.to_string()))?;
    }
    read_version(&text).ok_or_else(|| failed("it says something else"))
}

/// Major and minor number, from `Version:      19.3.0` or `gitlab-runner version 1.0.4 (...)`.
fn read_version(text: &str) -> Option<(u32, u32)> {
    let number =
        text.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("version") && *word != "Version:");
    let mut parts = number.skip(1).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A text in TOML.
fn toml(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)).chars().collect(),
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_of_them_says_it() {
        for (text, expected) in [
            ("Version:      19.3.0\nGit revision: 1234\n", Some((19, 3))),
            ("Version:      12.10.3\n", Some((12, 10))),
            ("gitlab-ci-multi-runner version 1.11.5 (f8f6b4f)\n", Some((1, 11))),
            ("Version:      1.0.4\n", Some((1, 0))),
            ("hello\n", None),
            ("", None),
        ] {
            assert_eq!(read_version(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_of_the_configuration_is_one_text() {
        assert_eq!(toml("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }

    #[test]
    fn folders_of_runs_that_were_killed_go_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            File::create(dir.path().join(name).join(CONFIG)).unwrap()
        };
        let (held, _) = (Flock::lock(make("held"), FlockArg::LockExclusive).unwrap(), make("left"));
        fs::create_dir(dir.path().join("other")).unwrap();
        sweep(dir.path());
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["held", "other"]);
        drop(held);
    }
}
