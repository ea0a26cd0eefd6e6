//! Pipelines: what a configuration means, queued, ended job by job, and from a checkout to a runner.

#[path = "../../../tests/golden/configuration.rs"]
mod configuration;

use super::holds::claim_when_there_is;
use super::run::gitlab_ci_local;
use crate::Scale;
use crate::client::Client;
use crate::data::{Data, PROJECT, last_update};
use crate::procs::{Served, baton};
use crate::report::{Row, Samples, Target, Unit, alternate};
use crate::wire::{Api, Connections, field};
use baton::coordinator::NewPipeline;
use baton::domain::pipeline::{Job, Pipeline, Work};
use baton::domain::spec::BuildSpec;
use baton::domain::time::Timestamp;
use baton::gitlab_ci::context::Context;
use baton::gitlab_ci::surroundings::{Base, Changes, Surroundings};
use baton::gitlab_ci::yaml::load;
use baton::gitlab_ci::{Outcome, compile as compiled};
use configuration::configuration;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Jobs of a large pipeline.
const MANY: usize = 1000;
/// Jobs of a small one.
const FEW: usize = 10;
/// Files of a checkout.
const FILES: usize = 1000;

struct Files {
    all: BTreeMap<String, String>,
    paths: Arc<Vec<String>>,
}

impl Surroundings for Files {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.all.get(path).map(|text| text.clone().into_bytes())
    }

    fn paths(&self) -> Arc<Vec<String>> {
        Arc::clone(&self.paths)
    }

    fn changes(&self, _base: Base<'_>) -> Changes {
        Changes::Paths(Arc::new(vec!["src/a.rs".to_owned()]))
    }

    fn last_commits(&self, _paths: &[String]) -> Vec<String> {
        Vec::new()
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

/// From text to a pipeline of 512 jobs; the floor reads the YAML of the same files, and makes nothing of it.
pub fn compile(scale: &Scale) -> Vec<Row> {
    let (content, all) = configuration();
    let files = Files { paths: Arc::new(all.keys().cloned().collect()), all };
    let context = Context::default();
    let texts: Vec<&str> =
        files.all.iter().filter(|(path, _)| path.starts_with("ci/")).map(|(_, text)| text.as_str()).collect();
    let [own, floor] = alternate(
        scale.short_rounds,
        [
            &mut || {
                seconds(|| match compiled(content.as_bytes(), &context, &files).outcome {
                    Outcome::Pipeline(pipeline) => assert_eq!(pipeline.jobs.len(), 512),
                    other @ (Outcome::Nothing(_) | Outcome::Refused(_)) => panic!("{other:?}"),
                })
            },
            &mut || {
                seconds(|| {
                    for text in texts.iter().copied().chain([content.as_str()]) {
                        black_box(load(text, 0).map(|documents| documents.nodes).unwrap_or_default());
                    }
                })
            },
        ],
    );
    let what = "compile 512 jobs of 40 files";
    vec![
        Row::alone(what, Unit::Time, own.clone(), Target::Below(0.05)),
        Row::compared(
            &format!("for information: {what}, floor reading their YAML"),
            Unit::Time,
            &own,
            &floor,
            Target::None,
        ),
    ]
}

/// A pipeline of one stage.
fn pipeline(jobs: usize) -> NewPipeline {
    let job = |at: usize| Job {
        name: format!("job {at}"),
        group: format!("job {at}"),
        stage: "test".to_owned(),
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        ..Job::default()
    };
    NewPipeline {
        project: PROJECT.to_owned(),
        ref_: "main".to_owned(),
        pipeline: Pipeline {
            jobs: (0..jobs).map(job).collect(),
            stages: vec!["test".to_owned()],
            ..Pipeline::default()
        },
        ..NewPipeline::default()
    }
}

/// A pipeline of many jobs in one transaction.
pub fn queue(scale: &Scale) -> Vec<Row> {
    let data = Data::new();
    let operator = data.operator();
    let new = pipeline(MANY);
    let [time] = alternate(
        scale.short_rounds,
        [&mut || {
            let new = new.clone();
            seconds(|| drop(operator.add_pipeline(new, Timestamp::now()).unwrap()))
        }],
    );
    vec![Row::alone(&format!("queue a pipeline of {MANY} jobs, durably"), Unit::Time, time, Target::Below(0.1))]
}

/// Claims and ends jobs over one connection: a job of a large pipeline beside one of small ones.
pub fn finish(scale: &Scale) -> Vec<Row> {
    let jobs = (scale.builds / 40).clamp(50, 250);
    let time = |of: usize| {
        let data = Data::new();
        let runners = data.runners(1);
        let operator = data.operator();
        for _ in 0..(jobs * 2).div_ceil(of) {
            operator.add_pipeline(pipeline(of), Timestamp::now()).unwrap();
        }
        drop(operator);
        let server = Served::baton(data.path(), &[]);
        let mut client = Client::new(server.address);
        let mut one = || {
            let answer = client.ask(&Api::V4.poll(&runners[0], None, Connections::Kept)).expect(201);
            let id = field(&answer.body, "id").parse().unwrap();
            client.ask(&Api::V4.finish(id, field(&answer.body, "token"))).expect(200);
        };
        (0..jobs / 4).for_each(|_| one());
        seconds(|| (0..jobs).for_each(|_| one())) / jobs as f64
    };
    let [many, few] = {
        let (mut many, mut few) = (Samples::default(), Samples::default());
        for _ in 0..scale.rounds {
            many.0.push(time(MANY));
            few.0.push(time(FEW));
        }
        [many, few]
    };
    let work = format!("claim and end a job of a pipeline of {MANY}, floor one of {FEW}");
    vec![Row::compared(&work, Unit::Time, &many, &few, Target::AtMost(1.1))]
}

fn git(dir: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(dir).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words);
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "git {words:?}");
}

/// From `baton run` in a checkout to a held runner that has its first job; and `--list` there.
pub fn checkout(scale: &Scale) -> Vec<Row> {
    let place = tempfile::tempdir().unwrap();
    let top = place.path();
    std::fs::write(top.join(".gitlab-ci.yml"), "job: {script: echo}\n").unwrap();
    for at in 0..FILES {
        let dir = top.join(format!("src/{}", at / 50));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{at}.rs")), format!("// {at}\n")).unwrap();
    }
    git(top, &["init", "--quiet", "--initial-branch=main"]);
    git(top, &["add", "."]);
    git(top, &["commit", "--quiet", "--message", "one"]);
    std::fs::write(top.join("src/0/0.rs"), "// changed\n").unwrap();
    let run = |data: &Path, words: &[&str]| {
        let mut command = baton(data);
        command
            .current_dir(top)
            .arg("run")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let data = Data::new();
    let runners = data.runners(1);
    let server = Served::baton(data.path(), &[]);
    let (address, mut client) = (server.address, Client::new(server.address));
    let mut handed = Samples::default();
    for _ in 0..scale.short_rounds {
        let known = last_update(address, &runners[0]);
        let token = runners[0].clone();
        let waiter = thread::spawn(move || claim_when_there_is(Api::V4, address, &token, &known));
        thread::sleep(Duration::from_millis(150));
        let started = Instant::now();
        let mut command = run(data.path(), &["--runner", "none", "--plain"]).spawn().unwrap();
        let (claimed_at, id, token) = waiter.join().unwrap();
        handed.0.push(claimed_at.saturating_duration_since(started).as_secs_f64());
        client.ask(&Api::V4.finish(id, &token)).expect(200);
        assert!(command.wait().unwrap().success());
    }
    let list = |command: &mut Command| seconds(|| assert!(command.status().unwrap().success()));
    let nothing = top.join("no-data");
    let [listed] = alternate(scale.short_rounds, [&mut || list(&mut run(&nothing, &["--list"]))]);
    let what = format!("`baton run` in a checkout of {FILES} files, one changed, to the first job at a held runner");
    let mut rows = vec![
        Row::alone(&what, Unit::Time, handed, Target::Below(0.15)),
        Row::alone(
            &format!("`baton run --list` in a checkout of {FILES} files"),
            Unit::Time,
            listed.clone(),
            Target::None,
        ),
    ];
    let work = "`gitlab-ci-local --list`, floor `baton run --list`";
    rows.push(match gitlab_ci_local() {
        None => Row::skipped(work, "no gitlab-ci-local runs here (`npm install --global gitlab-ci-local`)"),
        Some(program) => {
            git(top, &["remote", "add", "origin", "git@git.example:group/project.git"]);
            let mut other = || {
                let mut command = Command::new(&program[0]);
                command.args(&program[1..]).arg("--list").current_dir(top);
                list(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
            };
            let [other] = alternate(scale.rounds, [&mut other]);
            Row::compared(work, Unit::Time, &other, &listed, Target::AtLeast(20.0))
        }
    });
    rows
}
