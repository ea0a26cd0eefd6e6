//! GitLab's own clients, unmodified, in a session of each: python-gitlab, `@gitbeaker/rest`, the crate `gitlab`, and what fuzzes
//! the API by its own description. Each is installed below `target/` once, in the versions that are written here.

use crate::harness::*;
use crate::package;
use baton::coordinator::{NewAccessToken, NewPipeline};
use baton::domain::access_token::AccessScope;
use baton::domain::build::NewBuild;
use baton::domain::pipeline::{Job, Pipeline, Source, When, Work};
use baton::domain::spec::BuildSpec;
use baton::domain::time::Timestamp;
use baton::gitlab_ci::context::{Context, Given};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Longest that the fuzzing takes, in seconds.
const FUZZ_S: &str = "10";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/siege/clients")
}

/// What a command prints; `Err`: it is not there, or has failed.
fn ran(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(output) } else { Err(format!("{:?}: {said}", command.get_program())) }
}

/// A Python with these packages in it; `Err`: it cannot be had here.
fn python(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, mark) = (place.join("bin/python"), place.join("installed"));
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    ran(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    ran(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    std::fs::write(&mark, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

/// A folder with gitbeaker in it.
fn node() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-node");
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let wanted = std::fs::read(folder().join("package.json")).unwrap();
    let is_installed = std::fs::read(place.join("installed")).is_ok_and(|installed| installed == wanted);
    std::fs::copy(folder().join("session.mjs"), place.join("session.mjs")).map_err(|error| error.to_string())?;
    ran(Command::new("node").arg("--version"))?;
    if !is_installed {
        std::fs::write(place.join("package.json"), &wanted).map_err(|error| error.to_string())?;
        let arguments = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
        ran(Command::new("npm").args(arguments).current_dir(&place))?;
        std::fs::write(place.join("installed"), &wanted).map_err(|error| error.to_string())?;
    }
    Ok(place)
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn job(name: &str, stage_index: usize, when: When) -> Job {
    Job {
        name: name.to_owned(),
        group: name.to_owned(),
        stage_index,
        stage: ["build", "test"][stage_index].to_owned(),
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        when,
        ..Job::default()
    }
}

/// What the sessions begin with: of project 2, `group/demo`, a job that succeeded with an archive, one that failed, one
/// that waits, and a pipeline with three jobs, one of them by hand.
struct Stage {
    baton: Baton,
    token: String,
    reading: String,
}

fn stage() -> Stage {
    let baton = Baton::with_project();
    baton.project("group/demo");
    let runner = baton.runner();
    let queue = |ref_: &str, name: &str| {
        baton.queue(NewBuild { ref_: ref_.to_owned(), name: name.to_owned(), ..new_build("group/demo") })
    };
    let work = |archive: Option<&[u8]>, state: &str| {
        let claimed = baton.claim(&runner);
        baton.append(&claimed, 0, "a line\n");
        archive.into_iter().for_each(|archive| {
            baton.send(upload(&claimed, "artifacts.zip", archive)).expect(201);
        });
        baton.finish(&claimed, state);
    };
    queue("feature/slash", "compile");
    work(Some(&zip(&[("report.json", b"{}"), ("out/a b/\u{fc}.txt", b"text")])), "success");
    queue("main", "second");
    work(None, "failed");
    queue("main", "third");
    let given = Given { key: "TOKEN".to_owned(), value: "hunter2".to_owned(), public: false, file: false, raw: true };
    let jobs =
        vec![job("compile", 0, When::OnSuccess), job("test", 1, When::OnSuccess), job("by hand", 0, When::Manual)];
    let new = NewPipeline {
        project: "group/demo".to_owned(),
        pipeline: Pipeline {
            source: Source::Push,
            stages: vec!["build".to_owned(), "test".to_owned()],
            jobs,
            ..Pipeline::default()
        },
        ref_: "main".to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        title: Some("Make it so".to_owned()),
        actor: Some("somebody".to_owned()),
        context: Some(Context { given: vec![given], ..Context::default() }),
        ..NewPipeline::default()
    };
    baton.operator().add_pipeline(new, Timestamp::now()).unwrap();
    let token = |name: &str, scope| {
        let new = NewAccessToken { name: name.to_owned(), scope, project: None, life: None };
        baton.operator().add_access_token(new, Timestamp::now()).unwrap().1.reveal().to_owned()
    };
    let (all, reading) = (token("all", AccessScope::Api), token("reading", AccessScope::ReadApi));
    Stage { token: all, reading, baton }
}

impl Stage {
    /// Runs a session, which must come to its end.
    #[track_caller]
    fn play(&self, command: &mut Command) -> String {
        let url = format!("http://{}", self.baton.address());
        let envs = [("BATON_URL", url.as_str()), ("BATON_TOKEN", &self.token), ("BATON_READING", &self.reading)];
        // Whatever a user has set up for GitLab is none of this.
        command.env_remove("PYTHON_GITLAB_CFG").env_remove("http_proxy").env_remove("HTTP_PROXY");
        let output = ran(command.envs(envs)).unwrap_or_else(|why| panic!("{why}"));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn packages() -> Vec<String> {
    let text = std::fs::read_to_string(folder().join("requirements.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn with_gitlab() -> Result<PathBuf, String> {
    let packages = packages();
    python("clients-python", &packages.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn python_gitlab_does_what_it_does_with_gitlab() {
    let python = match with_gitlab() {
        Ok(python) => python,
        Err(why) => return skipped(&why),
    };
    let stage = stage();
    let said = stage.play(Command::new(python).arg(folder().join("session.py")));
    assert_eq!(said, "done\n");
    expect_well(stage.baton.data());
}

#[test]
fn gitbeaker_does_what_it_does_with_gitlab() {
    let node = match node() {
        Ok(node) => node,
        Err(why) => return skipped(&why),
    };
    let stage = stage();
    let said = stage.play(Command::new("node").arg("session.mjs").current_dir(node));
    assert_eq!(said, "done\n");
    expect_well(stage.baton.data());
}

#[test]
fn the_crate_gitlab_does_what_it_does_with_gitlab() {
    let program = match package::build("gitlab-client") {
        Ok(program) => program,
        Err(why) => return skipped(&why),
    };
    let stage = stage();
    let said = stage.play(&mut Command::new(program));
    assert_eq!(said, "done\n");
    expect_well(stage.baton.data());
}

/// The lines that a newcomer would copy.
#[test]
fn the_lines_of_python_in_the_readme_work() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let lines = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("lines of Python");
    assert!(lines.lines().count() <= 5, "{lines}");
    let python = match with_gitlab() {
        Ok(python) => python,
        Err(why) => return skipped(&why),
    };
    let stage = stage();
    stage.baton.build();
    let runner = stage.baton.runner();
    // That of project `demo` fails.
    let states = [stage.baton.claim(&runner), stage.baton.claim(&runner), stage.baton.claim(&runner)];
    states.iter().for_each(|claimed| {
        stage.baton.append(claimed, 0, "it broke\n");
        stage.baton.finish(claimed, "failed");
    });
    let url = format!("http://{}", stage.baton.address());
    let script = format!("token = {:?}\n{}", stage.token, lines.replace("http://127.0.0.1:8080", &url));
    let said = stage.play(Command::new(python).arg("-c").arg(script));
    assert!(said.contains("spinach") && said.contains("it broke") && said.contains("pending"), "{said}");
}

/// No answer to whatever fits the description, or does not, is a fault of the server, or one that the description lacks.
#[test]
fn whatever_is_asked_by_the_description_is_answered_by_it() {
    let python = match python("clients-schemathesis", &["schemathesis==4.32.5"]) {
        Ok(python) => python,
        Err(why) => return skipped(&why),
    };
    let stage = stage();
    let url = format!("http://{}/api/v4/openapi.json", stage.baton.address());
    // What the paths name is there, so that more than its absence is answered.
    let dir = tempfile::tempdir().unwrap();
    let places = "[parameters]\n\"path.project\" = \"2\"\n\"path.id\" = 1\n\"path.sha\" = \"main\"\n";
    std::fs::write(dir.path().join("schemathesis.toml"), places).unwrap();
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.args(["run", &url, "--header", &format!("PRIVATE-TOKEN: {}", stage.token)]);
    command.args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]);
    command.args([
        "--phases",
        "fuzzing",
        "--max-examples",
        "6",
        "--request-timeout",
        "20",
        "--suppress-health-check",
        "all",
    ]);
    command.args(["--generation-deterministic", "--no-color", "--exclude-operation-id", "get /openapi.json"]);
    // All else would be of a project that has gone.
    command.args(["--exclude-operation-id", "delete /projects/{project}"]);
    let said = stage.play(command.args(["--max-time", FUZZ_S]).current_dir(dir.path()));
    assert!(said.contains("generated"), "{said}");
    expect_well(stage.baton.data());
}
