//! `baton build add`, and the options that it shares with `baton run`.

use super::{file, new_builds};
use crate::cli::show::print;
use crate::cli::words::secrets::{read_secret, warn_of_short};
use crate::cli::{Done, Stop, build_id, duration, keeping_text, tags};
use crate::coordinator::{Coordinator, Queued};
use crate::domain::build::{BuildId, NewBuild, Variable};
use crate::domain::spec::{ArtifactsSpec, BuildSpec, Image, Service};
use crate::domain::tags::Tags;
use crate::domain::time::Timestamp;
use crate::domain::{reserved, script};
use argh::{ArgsInfo, FromArgs};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

/// Bytes of a script file that are read; a build takes less.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a secret that are read from a file; a build takes less of all variables together.
const SECRET_BYTES_MAX: usize = 1 << 20;

/// Makes an argh command that has the options of a build besides its own: argh cannot flatten one struct into
/// another. `new_build` makes the build of them.
macro_rules! build_options {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        #[derive(FromArgs, ArgsInfo)]
        $(#[$meta])*
        pub struct $name {
            $($own)*

            /// branch or tag; default: HEAD
            #[argh(option, long = "ref", arg_name = "REF")]
            ref_name: Option<String>,

            /// commit, at least 8 characters; default: what the ref points to when a runner fetches it, whose log
            /// then names no commit (`Checking out refs/rem`)
            #[argh(option, arg_name = "SHA")]
            sha: Option<String>,

            /// where the runner fetches the sources from; default: the project's repository
            #[argh(option, arg_name = "URL")]
            repo_url: Option<String>,

            /// the build's name; default: build
            #[argh(option, arg_name = "NAME")]
            name: Option<String>,

            /// the stage's name; default: test
            #[argh(option, arg_name = "STAGE")]
            stage: Option<String>,

            /// a variable of the build that everybody may see; the value arrives as it is, also with $ in it. May be
            /// given several times
            #[argh(option, arg_name = "K=V", from_str_fn(variable))]
            variable: Vec<Variable>,

            /// a variable whose value is masked in the log, each line of it with at least 8 bytes; may be given several
            /// times. Other users of this machine can see it in the list of processes; --secret-file keeps it out of
            /// there
            #[argh(option, arg_name = "K=V", from_str_fn(unread))]
            secret: Vec<Secret>,

            /// the same with the value in a file, without the line end at its end; - is standard input; may be given
            /// several times
            #[argh(option, arg_name = "K=FILE", from_str_fn(unread))]
            secret_file: Vec<Secret>,

            /// what a runner must offer, separated by commas; default: nothing
            #[argh(option, arg_name = "A,B", from_str_fn(tags), default = "Tags::default()")]
            tags: Tags,

            /// container image to run in; default: the runner's
            #[argh(option, arg_name = "IMAGE")]
            image: Option<String>,

            /// container image of a service beside the build; may be given several times
            #[argh(option, arg_name = "IMAGE")]
            service: Vec<String>,

            /// path or pattern of files to keep when the build succeeds; may be given several times
            #[argh(option, arg_name = "PATH")]
            artifacts: Vec<String>,

            /// how long to keep the artifacts, as in 7d, 3600 (seconds) or never; default: as `baton serve` says, 30d
            #[argh(option, arg_name = "DURATION", from_str_fn(keeping_text))]
            expire_in: Option<String>,

            /// a build that must succeed first, and whose artifacts this one gets; may be given several times
            #[argh(option, arg_name = "ID", from_str_fn(build_id))]
            needs: Vec<BuildId>,

            /// longest run, as in 90min or 3600 (seconds); default: the project's
            #[argh(option, arg_name = "DURATION", from_str_fn(duration))]
            timeout: Option<Duration>,
        }

        impl $name {
            /// The build of `script` that the options ask for.
            fn new_build(self, project: String, script: Vec<String>) -> Done<NewBuild> {
                $crate::cli::build::add::checked(NewBuild {
                    project,
                    name: self.name.unwrap_or_else(|| "build".to_owned()),
                    stage: self.stage.unwrap_or_else(|| "test".to_owned()),
                    ref_: self.ref_name.unwrap_or_else(|| "HEAD".to_owned()),
                    sha: self.sha,
                    before_sha: None,
                    is_tag: false,
                    repo_url: self.repo_url,
                    spec: BuildSpec {
                        script,
                        ..asked(self.image, self.service, self.artifacts, self.expire_in)?
                    },
                    allow_git_fetch: true,
                    variables: variables(self.variable, self.secret, self.secret_file)?,
                    tags: self.tags,
                    needs: self.needs,
                    timeout_s: self.timeout.map(seconds),
                })
            }
        }
    };
}
pub(in crate::cli) use build_options;

build_options! {
    /// Queue a build, or with --from a file of builds.
    #[argh(
        subcommand,
        name = "add",
        usage = "--project NAME (--script LINE... | --script-file FILE) [options]\n       baton build add --from FILE",
        example = "\
            {command_name} --project demo --ref master --script 'make' --script 'make test'\n\
            {command_name} --project demo --script-file ci.sh --tags docker --image alpine:3.5\n\
            {command_name} --from builds.jsonl",
        note = "\
            A line of --from is a JSON object: the fields project, name, stage, ref, sha, tags and needs as in\n\
            `build show --json` (needs may also name earlier builds of the file); script (a string, or an array of\n\
            lines); repo_url, before_sha, tag (true or false), timeout (seconds, or text); image; services and\n\
            artifacts, arrays of what the options take; expire_in; variables, an array of {{\"key\", \"value\",\n\
            \"public\"}}, or an object of public ones; secrets, an object; values arrive as they are, but for\n\
            {{\"expand\": true}}. image, services, artifacts, cache, after_script, hooks, retry, allow_failure and\n\
            dependencies may also be written as in .gitlab-ci.yml, in JSON; options holds some of them as runners\n\
            1.x get them. A line names no files of this machine, as --script-file does: it may come from others.",
        example = "echo '{{\"project\": \"demo\", \"script\": [\"make\", \"make test\"]}}' | {command_name} --from -"
    )]
    pub struct Add {
        /// the project's name
        #[argh(option, arg_name = "NAME")]
        project: Option<String>,

        /// a line of shell script, or several; may be given several times
        #[argh(option, arg_name = "LINE")]
        script: Vec<String>,

        /// a file with the script, which the runner's shell runs as it is; - is standard input
        #[argh(option, arg_name = "FILE")]
        script_file: Option<String>,

        /// queue the builds of this file, one JSON object a line, all of them or, on an error, none; - is standard
        /// input. Goes with --project, for lines that name none, and --json only
        #[argh(option, arg_name = "FILE")]
        from: Option<String>,

        /// print the new builds as JSON, an object a line, as `build show --json` has it
        #[argh(switch)]
        json: bool,
    }
}

/// `K=V` of `--secret` or `K=FILE` of `--secret-file`, unread: an error of argh's would repeat it.
pub struct Secret(String);

impl Secret {
    /// Name and value, or name and file; `option` is where they come from.
    fn split(&self, option: &str, value: &str) -> Done<(&str, &str)> {
        self.0
            .split_once('=')
            .ok_or_else(|| Stop::Usage(format!("{option} must be NAME={value} (what was given is not repeated here)")))
    }

    /// Whether the value is read from standard input.
    pub(in crate::cli) fn is_standard_input(&self) -> bool {
        self.0.split_once('=').is_some_and(|(_, file)| file == "-")
    }
}

impl Add {
    /// Does what the command line says, on what `open` opens.
    pub fn run(mut self, open: impl FnOnce() -> Done<Coordinator>) -> Done {
        let json = self.json;
        if let Some(file) = &self.from {
            let lines = file::read(&mut input(file)?, self.project.as_deref())
                .map_err(|message| Stop::Failed(format!("{message}; nothing was queued")))?;
            let coordinator = open()?;
            file::warn_of_short_secrets(&lines);
            return new_builds(&coordinator, &file::queue(&coordinator, lines)?, json);
        }
        let project = self.project.take().ok_or_else(|| usage("--project is missing"))?;
        if self.script_file.as_deref() == Some("-") && self.secret_file.iter().any(Secret::is_standard_input) {
            return Err(usage("standard input cannot be both the script and a secret"));
        }
        let script = script(&self.script, self.script_file.as_deref())?;
        let new = self.new_build(project, script)?;
        let coordinator = open()?;
        warn_of_short(&new.variables);
        let ids = coordinator.add_builds(vec![Queued { new, needs_names: Vec::new() }], Timestamp::now())?;
        new_builds(&coordinator, &ids, json)
    }
}

fn usage(message: &str) -> Stop {
    Stop::Usage(format!("{message}; `baton build add --help` explains"))
}

/// A file, or standard input for `-`.
fn input(file: &str) -> Done<Box<dyn BufRead>> {
    if file == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).map_err(|error| Stop::Failed(format!("cannot read {file}: {error}")))?;
    Ok(Box::new(BufReader::new(opened)))
}

fn script(lines: &[String], file: Option<&str>) -> Done<Vec<String>> {
    match (lines, file) {
        ([], None) => Err(usage("--script or --script-file is missing")),
        (lines, None) => Ok(lines.to_vec()),
        ([], Some(file)) => {
            let mut bytes = Vec::new();
            let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("cannot read {file}: {error}"));
            input(file)?.take(SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
            if bytes.len() as u64 > SCRIPT_BYTES_MAX {
                return Err(failed(&format!("a script has at most {SCRIPT_BYTES_MAX} bytes")));
            }
            let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
            let text = script::from_editor(&text).into_owned();
            if let Some(program) = script::foreign_interpreter(&text) {
                print::note(&format!(
                    "the first line of {file} is {program:?}, but the runner's shell runs it; to have that program run a \
                     file of the sources, call it: --script 'PROGRAM FILE'"
                ));
            }
            Ok(vec![text])
        }
        (_, Some(_)) => Err(usage("--script and --script-file do not go together")),
    }
}

/// What a build asks for beside its script.
pub(in crate::cli) fn asked(
    image: Option<String>,
    services: Vec<String>,
    paths: Vec<String>,
    expire_in: Option<String>,
) -> Done<BuildSpec> {
    if paths.is_empty() && expire_in.is_some() {
        return Err(Stop::Usage(
            "--expire-in says how long to keep the files of --artifacts, which is missing".to_owned(),
        ));
    }
    let named = |name| Image { name, ..Image::default() };
    let service = |name| Service { image: named(name), ..Service::default() };
    let has_artifacts = !paths.is_empty();
    let archive = ArtifactsSpec { paths, expire_in, ..ArtifactsSpec::default() };
    Ok(BuildSpec {
        image: image.map(named),
        services: services.into_iter().map(service).collect(),
        artifacts: has_artifacts.then_some(archive).into_iter().collect(),
        ..BuildSpec::default()
    })
}

/// A build that may be queued. What is wrong with it is wrong usage, whichever option it comes from.
pub(in crate::cli) fn checked(new: NewBuild) -> Done<NewBuild> {
    check(&new).map_err(|message| usage(&message))?;
    Ok(new)
}

/// What is asked of a build that a person describes: more than of one that is repeated.
///
/// # Errors
/// Says what is wrong.
pub(in crate::cli) fn check(new: &NewBuild) -> Result<(), String> {
    new.check()?;
    reserved::check(&new.variables)?;
    let services = new.spec.services.iter().map(|service| &service.image);
    for Image { name, .. } in new.spec.image.iter().chain(services) {
        if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err(format!(
                "{name:?} cannot be an image's name, which is a word without blanks, as in alpine:3.5"
            ));
        }
    }
    Ok(())
}

/// Public variables, then secret ones: the later of two with the same name wins in the runner.
pub(in crate::cli) fn variables(
    public: Vec<Variable>,
    secrets: Vec<Secret>,
    files: Vec<Secret>,
) -> Done<Vec<Variable>> {
    let mut all = public;
    for secret in &secrets {
        let (key, value) = secret.split("--secret", "VALUE")?;
        all.push(Variable::secret(key, value));
    }
    if files.iter().filter(|file| file.is_standard_input()).count() > 1 {
        return Err(Stop::Usage("standard input can be the file of one --secret-file only".to_owned()));
    }
    for file in &files {
        let (key, file) = file.split("--secret-file", "FILE")?;
        let value = read_secret(file, SECRET_BYTES_MAX)
            .map_err(|error| Stop::Failed(format!("--secret-file {key}=...: {error}")))?;
        all.push(Variable::secret(key, value));
    }
    Ok(all)
}

/// For argh: a public variable.
pub(in crate::cli) fn variable(text: &str) -> Result<Variable, String> {
    let (key, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok(Variable::public(key, value))
}

/// For argh: never an error, since argh's errors repeat the value.
#[expect(clippy::unnecessary_wraps, reason = "argh wants a Result")]
pub(in crate::cli) fn unread(text: &str) -> Result<Secret, String> {
    Ok(Secret(text.to_owned()))
}

/// Whole seconds, as builds keep their timeout.
pub(in crate::cli) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(line: &[&str]) -> Add {
        Add::from_args(&["baton", "build", "add"], line).map_err(|exit| exit.output).unwrap()
    }

    fn new_build(line: &[&str]) -> Done<NewBuild> {
        let given = add(line);
        let script = script(&given.script, given.script_file.as_deref())?;
        given.new_build("p".to_owned(), script)
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let new = new_build(&["--script", "true"]).unwrap();
        assert_eq!((new.name.as_str(), new.stage.as_str(), new.ref_.as_str()), ("build", "test", "HEAD"));
        assert_eq!(new.spec, BuildSpec::of_script("true"));
        assert!(new.sha.is_none() && new.before_sha.is_none() && new.repo_url.is_none() && new.timeout_s.is_none());
        assert!(!new.is_tag && new.allow_git_fetch && new.tags.is_empty() && new.needs.is_empty());
        assert!(new.variables.is_empty());
    }

    #[test]
    fn options_become_the_build_that_runners_get() {
        let line = "--script make --script test --ref v1 --sha 0123456789 --repo-url /r --name n --stage s \
                    --variable A=1=2 --secret S=x=y --variable B= --tags b,a --image i --service s1 --service s2 \
                    --artifacts out/ --artifacts *.log --expire-in 7d --needs 3 --needs 4 --timeout 2min";
        let new = new_build(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(new.spec.script, ["make", "test"]);
        assert_eq!(
            (new.ref_.as_str(), new.sha.as_deref(), new.repo_url.as_deref()),
            ("v1", Some("0123456789"), Some("/r"))
        );
        assert_eq!((new.name.as_str(), new.stage.as_str()), ("n", "s"));
        let variables = [Variable::public("A", "1=2"), Variable::public("B", ""), Variable::secret("S", "x=y")];
        assert_eq!(new.variables, variables);
        assert_eq!(new.tags, Tags::from_list("a,b").unwrap());
        assert_eq!(new.spec.image.unwrap().name, "i");
        assert_eq!(
            new.spec.services.iter().map(|service| service.image.name.as_str()).collect::<Vec<_>>(),
            ["s1", "s2"]
        );
        assert_eq!((new.spec.artifacts[0].paths.len(), new.spec.artifacts[0].expire_in.as_deref()), (2, Some("7d")));
        assert_eq!((new.needs, new.timeout_s), (vec![BuildId(3), BuildId(4)], Some(120)));
    }

    #[test]
    fn options_that_do_not_go_together_are_wrong_usage() {
        for (line, part) in [
            (&[][..], "--script or --script-file"),
            (&["--script", "x", "--script-file", "y"], "together"),
            (&["--script", "x", "--expire-in", "1d"], "--artifacts"),
            (&["--script", "x", "--secret", "hunter2"], "NAME=VALUE"),
            (&["--script", " "], "no commands"),
            (&["--script", "x", "--image", "foo bar"], "\"foo bar\" cannot be an image's name"),
            (&["--script", "x", "--image", ""], "\"\" cannot be"),
            (&["--script", "x", "--service", "a\tb"], "cannot be an image's name"),
            (&["--script", "x", "--variable", "CI_BUILD_ID=5"], "CI_BUILD_ID is set for every build"),
            (&["--script", "x", "--secret", "CI_JOB_TOKEN=hunter2"], "CI_JOB_TOKEN is set for every build"),
            (&["--script", "x", "--name", ""], "name has 0 bytes"),
            (&["--script", "x", "--secret-file", "hunter2"], "NAME=FILE"),
            (&["--script", "x", "--secret-file", "A=-", "--secret-file", "B=-"], "standard input"),
        ] {
            match new_build(line) {
                Err(Stop::Usage(message)) => {
                    assert!(message.contains(part) && !message.contains("hunter2"), "{line:?}: {message}");
                }
                other => panic!("{line:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn values_are_checked_at_once() {
        for line in [["--expire-in", "soon"], ["--timeout", "0"], ["--needs", "x"], ["--variable", "A"]] {
            assert!(Add::from_args(&["add"], &line).is_err(), "{line:?}");
        }
    }
}
