//! Pipelines as people deal with them: `baton pipeline`, and what is shown of one that runs.

use crate::harness::command::{baton, done, refused, text};
use crate::harness::served;
use crate::harness::terminal::Terminal;
use crate::harness::*;
use baton::coordinator::{Added, NewPipeline};
use baton::domain::build::{BuildId, Status};
use baton::domain::pipeline::{Environment, Job, JobVariable, Part, Pipeline, Source, When, Work};
use baton::domain::spec::{AllowFailure, ArtifactsSpec, BuildSpec};
use baton::domain::time::Timestamp;
use serde_json::{Value, json};
use std::process::{Child, Command, Output, Stdio};

const STAGES: [&str; 3] = ["build", "test", "deploy"];

/// A job of a stage, changed.
fn job(name: &str, stage: usize, change: impl FnOnce(&mut Job)) -> Job {
    let mut job = Job {
        name: name.to_owned(),
        group: name.to_owned(),
        stage_index: stage,
        stage: STAGES[stage].to_owned(),
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        ..Job::default()
    };
    change(&mut job);
    job
}

fn plain(_: &mut Job) {}

fn manual(job: &mut Job) {
    job.when = When::Manual;
}

fn may_fail(job: &mut Job) {
    job.allow_failure = AllowFailure::Any(true);
    if let Work::Build(spec) = &mut job.work {
        spec.allow_failure = AllowFailure::Any(true);
    }
}

/// A pipeline of project `demo`.
fn pipeline(jobs: Vec<Job>) -> NewPipeline {
    let stages = STAGES.map(str::to_owned).to_vec();
    NewPipeline {
        project: "demo".to_owned(),
        pipeline: Pipeline { source: Source::Push, stages, jobs, ..Pipeline::default() },
        ref_: "main".to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        title: Some("Make it so".to_owned()),
        actor: Some("somebody".to_owned()),
        ..NewPipeline::default()
    }
}

fn add(server: &Baton, jobs: Vec<Job>) -> Added {
    server.operator().add_pipeline(pipeline(jobs), Timestamp::now()).unwrap()
}

/// `baton pipeline follow` beside the server, with what it prints.
fn follow(server: &Baton, added: &Added, options: &[&str]) -> Child {
    let mut command = served::baton(server.data());
    command.args(["pipeline", "follow", &added.id.to_string()]).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> (Output, String) {
    let output = child.wait_with_output().unwrap();
    let shown = text(&output.stdout);
    (output, shown)
}

/// Runs the next job: its name, what it logs, and how it ends.
#[track_caller]
fn run(server: &Baton, runner: &TestRunner, name: &str, log: &str, state: &str) -> BuildId {
    let build = server.claim(runner);
    assert_eq!(server.show(build.id).name, name);
    if !log.is_empty() {
        server.append(&build, 0, log);
    }
    server.finish(&build, state);
    build.id
}

#[test]
fn without_a_terminal_all_logs_come_line_by_line_and_each_job_that_moves_is_told() {
    let server = Baton::with_project();
    let runner = server.runner();
    let jobs = vec![job("compile", 0, plain), job("unit", 1, plain), job("lint", 1, may_fail), job("deploy", 2, plain)];
    let added = add(&server, jobs);
    let follower = follow(&server, &added, &[]);
    let log = "section_start:1:x\r\x1b[0K\x1b[32;1m$ make\x1b[0;m\n50 %\r100 %\r\nbye \u{202e}\x1b[2J";
    run(&server, &runner, "compile", log, "success");
    run(&server, &runner, "unit", "broken\n", "failed");
    run(&server, &runner, "lint", "", "failed");
    let (output, shown) = ended(follower);
    assert_eq!(output.status.code(), Some(1), "{shown}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "the lines say all");
    let (moves, end) = shown.split_at(shown.find("failed: unit").unwrap());
    for line in [
        "compile | $ make",
        "compile | 50 %",
        "compile | 100 %",
        "compile | bye ?",
        "unit    | broken",
        "deploy  * skipped",
    ] {
        assert_eq!(moves.lines().filter(|shown| *shown == line).count(), 1, "{line}: {shown}");
    }
    let lint = moves.lines().find(|line| line.starts_with("lint    * failed after ")).unwrap();
    assert!(lint.ends_with(": script_failure, which is allowed"), "{lint}");
    let place = |part: &str| moves.find(part).unwrap_or_else(|| panic!("{part}: {shown}"));
    assert!(place("compile | bye") < place("compile * success after"), "{shown}");
    assert!(place("unit    | broken") < place("unit    * failed after"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let ids = &added.builds;
    let expected = format!(
        "failed: unit (build {0}): script_failure\n  | broken\n  `baton build log {0}` shows the whole log\n\
         warning: lint (build {1}) failed, which is allowed: script_failure\n\
         skipped: deploy: does not run, since a job before it failed\n",
        ids[1], ids[2]
    );
    assert!(end.starts_with(&expected), "{end}");
    let last = end.lines().last().unwrap();
    assert!(last.starts_with(&format!("pipeline {}: failed, 4 jobs in ", added.id)), "{last}");
}

#[test]
fn coverage_environments_and_artifacts_are_told_at_the_end_and_json_has_them_alone() {
    let server = Baton::with_project();
    let runner = server.runner();
    let dist = |job: &mut Job| {
        job.coverage = Some(r"coverage: (\d+\.\d+)".to_owned());
        let environment = Environment {
            name: "review".to_owned(),
            url: Some("https://$HOST/$SECRET/$NONE".into()),
            ..Environment::default()
        };
        job.environment = Some(environment);
        job.variables = vec![
            JobVariable::public("HOST", "example.org"),
            JobVariable { public: false, ..JobVariable::public("SECRET", "hunter22hunter") },
        ];
        if let Work::Build(spec) = &mut job.work {
            spec.artifacts = vec![ArtifactsSpec { paths: vec!["out/".to_owned()], ..ArtifactsSpec::default() }];
        }
    };
    let added = add(&server, vec![job("dist", 0, dist)]);
    let build = server.claim(&runner);
    server.append(&build, 0, "coverage: 12.5\ncoverage: 87.5 percent\nbye\n");
    server.send(upload(&build, "out.zip", b"content")).expect(201);
    server.finish(&build, "success");
    let (output, shown) = ended(follow(&server, &added, &["--plain"]));
    assert!(output.status.success(), "{shown}");
    let id = build.id;
    for line in [
        "coverage: dist: 87.5 %".to_owned(),
        "environment: review: https://example.org/$SECRET/$NONE".to_owned(),
        format!("artifacts: dist: `baton build artifacts {id}` saves them"),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(shown.contains(&format!("pipeline {}: success, 1 job", added.id)) && !shown.contains("hunter"), "{shown}");
    let (output, shown) = ended(follow(&server, &added, &["--json"]));
    assert!(output.status.success() && text(&output.stderr).is_empty(), "{shown}");
    let document: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&document["status"], &document["jobs"][0]["coverage"]), (&json!("success"), &json!("87.5")));
    assert_eq!(document["jobs"][0]["environment"]["url"], "https://example.org/$SECRET/$NONE");
    assert_eq!(document["jobs"][0]["artifacts_file"]["filename"], "out.zip");
    assert!(!shown.contains("hunter"), "{shown}");
    let shown = done(&baton(server.data(), &["build", "show", &id.to_string()]));
    for part in ["coverage", "87.5 %", "environment", "review, https://example.org/$SECRET/$NONE"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = done(&baton(server.data(), &["build", "show", &id.to_string(), "--json"]));
    let build: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(build, document["jobs"][0]);
}

#[test]
fn the_first_failure_that_counts_cancels_the_rest_where_that_is_asked_for() {
    let server = Baton::with_project();
    let runner = server.runner();
    let added = add(
        &server,
        vec![job("lint", 0, may_fail), job("unit", 0, plain), job("slow", 0, plain), job("deploy", 1, plain)],
    );
    let follower = follow(&server, &added, &["--fail-fast"]);
    run(&server, &runner, "lint", "", "failed");
    run(&server, &runner, "unit", "", "failed");
    let (output, shown) = ended(follower);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(text(&output.stderr).contains("the rest is canceled, as --fail-fast says"), "{}", text(&output.stderr));
    assert_eq!(server.status(added.builds[2]), Status::Canceled);
    assert!(matches!(server.status(added.builds[3]), Status::Canceled | Status::Skipped));
}

#[test]
fn a_manual_job_holds_a_pipeline_up_until_it_is_started() {
    let server = Baton::with_project();
    let runner = server.runner();
    let jobs = vec![job("compile", 0, plain), job("gate", 1, manual), job("deploy", 2, plain)];
    let added = add(&server, jobs);
    run(&server, &runner, "compile", "", "success");
    let (output, shown) = ended(follow(&server, &added, &[]));
    assert_eq!(output.status.code(), Some(4), "{shown}");
    let gate = added.builds[1];
    assert!(
        shown.contains(&format!("manual: gate holds the pipeline up: `baton build play {gate}` starts it")),
        "{shown}"
    );
    assert!(shown.contains("manual (blocked), 3 jobs"), "{shown}");
    let id = added.id.to_string();
    let reason = refused(&baton(server.data(), &["pipeline", "play", &id, "gat"]));
    assert!(reason.contains("has no job \"gat\"; did you mean gate?"), "{reason}");
    let reason = refused(&baton(server.data(), &["pipeline", "play", &id, "compile"]));
    assert!(reason.contains("is success: only manual and scheduled ones are started"), "{reason}");
    let answer = done(&baton(server.data(), &["pipeline", "play", &id, "gate"]));
    assert_eq!(answer, format!("build {gate} is started: gate\n"));
    run(&server, &runner, "gate", "", "success");
    run(&server, &runner, "deploy", "", "success");
    let (output, shown) = ended(follow(&server, &added, &[]));
    assert!(output.status.success(), "{shown}");
}

#[test]
fn who_starts_a_manual_build_may_give_it_variables() {
    let server = Baton::with_project();
    let runner = server.runner();
    let gate = add(&server, vec![job("gate", 0, manual)]).builds[0].to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hidden-away-from-all\n").unwrap();
    let secret = format!("KEY={}", file.display());
    let play = |more: &[&str]| baton(server.data(), &[&["build", "play", &gate], more].concat());
    for (wrong, said) in
        [("CI_JOB_ID=7", "CI_JOB_ID is set for every build"), ("TARGET", "NAME=VALUE"), ("1=x", "\"1\"")]
    {
        let output = play(&["--variable", wrong]);
        let reason = text(&output.stderr);
        assert!(!output.status.success());
        assert!(reason.contains(said), "{wrong}: {reason}");
    }
    done(&play(&["--variable", "TARGET=staging", "--secret-file", &secret]));
    let build = server.claim(&runner);
    server.append(&build, 0, "to staging with hidden-away-from-all\n").expect(202);
    let all = build.json["variables"].as_array().unwrap();
    let sent = |key: &str| all.iter().rev().find(|variable| variable["key"] == key).unwrap().clone();
    assert_eq!((sent("TARGET")["value"].as_str(), sent("KEY")["public"].as_bool()), (Some("staging"), Some(false)));
    assert_eq!(server.trace_text(build.id), "to staging with xxxxxxxxxxxxxxxxxxxx\n");
    assert!(refused(&play(&[])).contains("running"));
}

#[test]
fn parts_of_a_job_are_started_together_by_the_name_that_they_have_in_common() {
    let server = Baton::with_project();
    let part = |index: usize| {
        job(&format!("deploy {index}/2"), 0, |job| {
            job.group = "deploy".to_owned();
            job.parallel = Some(Part { index, total: 2 });
            manual(job);
        })
    };
    let added = add(&server, vec![part(1), part(2)]);
    let id = added.id.to_string();
    let answer = done(&baton(server.data(), &["pipeline", "play", &id, "deploy 2/2"]));
    assert_eq!(answer, format!("build {} is started: deploy 2/2\n", added.builds[1]));
    let answer = done(&baton(server.data(), &["pipeline", "play", &id, "deploy"]));
    assert_eq!(answer, format!("build {} is started: deploy 1/2\n", added.builds[0]));
    assert!(added.builds.iter().all(|id| server.status(*id) == Status::Pending));
    let reason = refused(&baton(server.data(), &["build", "play", &added.builds[0].to_string()]));
    assert!(reason.contains("is pending: only manual and scheduled ones are started"), "{reason}");
}

#[test]
fn pipelines_are_listed_shown_canceled_and_repeated() {
    let server = Baton::with_project();
    let runner = server.runner();
    let left_out =
        json!([{"name": "pages", "stage": "deploy", "why": "no rule holds", "file": ".gitlab-ci.yml", "line": 12}]);
    let jobs = vec![job("compile", 0, plain), job("unit", 1, plain), job("gate", 2, manual)];
    let new = NewPipeline { left_out, warnings: vec!["careful\u{1b}".to_owned()], ..pipeline(jobs) };
    let added = server.operator().add_pipeline(new, Timestamp::now()).unwrap();
    let (id, data) = (added.id.to_string(), server.data());
    run(&server, &runner, "compile", "", "success");
    run(&server, &runner, "unit", "", "failed");

    let list = done(&baton(data, &["pipeline", "list", "--project", "demo"]));
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], [id.as_str(), "demo", "main", "push", "failed"], "{list}");
    assert!(list.lines().nth(1).unwrap().ends_with("Make it so"), "{list}");
    let short: Value = serde_json::from_str(&done(&baton(data, &["pipeline", "list", "--json"]))).unwrap();
    assert_eq!((&short["title"], short.get("jobs")), (&json!("Make it so"), None));

    let shown = done(&baton(data, &["pipeline", "show", &id]));
    for words in [
        &["started", "by", "somebody"][..],
        &["commit", "Make", "it", "so"],
        &["STAGE", "JOB", "BUILD", "STATUS"],
        &["test", "unit"],
        &["deploy", "gate"],
        &["deploy", "pages", ".gitlab-ci.yml:12", "no", "rule", "holds"],
        &["warning:", "careful?"],
    ] {
        let has = |line: &str| line.split_whitespace().take(words.len()).eq(words.iter().copied());
        assert!(shown.lines().any(has), "{words:?}: {shown}");
    }
    let unit = shown.lines().find(|line| line.contains("unit")).unwrap();
    assert!(unit.contains("failed") && unit.ends_with("script_failure"), "{unit}");
    let gate = shown.lines().find(|line| line.contains("gate")).unwrap();
    assert!(gate.contains("does not run, since a job before it failed"), "{gate}");
    let document: Value = serde_json::from_str(&done(&baton(data, &["pipeline", "show", &id, "--json"]))).unwrap();
    assert_eq!((&document["iid"], &document["left_out"][0]["line"]), (&json!(1), &json!(12)));
    let names: Vec<&str> =
        document["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["compile", "unit", "gate"]);
    assert_eq!(document["jobs"][2]["when"], "manual");

    let again = done(&baton(data, &["pipeline", "retry", &id]));
    let new = BuildId(again.trim().strip_prefix("build ").unwrap().parse().unwrap());
    assert_eq!((server.status(new), server.status(added.builds[2])), (Status::Pending, Status::Created));
    let shown = done(&baton(data, &["pipeline", "show", &id]));
    assert!(shown.contains(&format!("made again as build {new}")), "{shown}");
    let answer = done(&baton(data, &["pipeline", "cancel", &id]));
    assert!(answer.starts_with(&format!("pipeline {id} is canceled: ")), "{answer}");
    assert_eq!(server.status(new), Status::Canceled);
    let reason = refused(&baton(data, &["pipeline", "cancel", &id]));
    assert!(reason.contains("nothing of pipeline"), "{reason}");
    let reason = refused(&baton(data, &["pipeline", "show", "99"]));
    assert!(reason.contains("there is no pipeline 99; `baton pipeline list` shows them"), "{reason}");
}

/// A follower on a terminal of this size.
fn on_terminal(server: &Baton, added: &Added, size: (u16, u16)) -> terminal::Running {
    let mut command: Command = served::baton(server.data());
    command.args(["pipeline", "follow", &added.id.to_string()]);
    Terminal::new(size.0, size.1).run(command.env("NO_COLOR", "1"))
}

#[test]
fn on_a_terminal_there_is_a_table_with_the_log_of_one_job_and_a_question_for_each_that_holds_it_up() {
    let server = Baton::with_project();
    let runner = server.runner();
    let confirmed = |job: &mut Job| {
        manual(job);
        job.manual_confirmation = Some("Are you sure?".to_owned());
    };
    let added = add(
        &server,
        vec![job("größe 日本", 0, plain), job("gate", 1, confirmed), job("other", 1, manual), job("deploy", 2, plain)],
    );
    let mut running = on_terminal(&server, &added, (20, 60));
    running.wait_for("  : größe 日本");
    let build = server.claim(&runner);
    server.append(&build, 0, "\x1b[31mcompiling\x1b[0m\nsomething");
    let shown = running.wait_for("something");
    assert!(shown.contains("  > größe 日本  running    laptop"), "{shown}");
    assert!(shown.contains(&format!("--- log of größe 日本, build {}, running ---", build.id)), "{shown}");
    server.finish(&build, "success");
    running.wait_for(&format!("Are you sure? start gate (build {})? [y/N] ", added.builds[1]));
    running.type_in("y\n");
    running.wait_for(&format!("start other (build {})? [y/N] ", added.builds[2]));
    running.type_in("\n");
    let gate = served::wait_for("gate", || {
        let answer = server.ask(&runner);
        (answer.status == 201).then(|| claimed(&answer))
    });
    assert_eq!(gate.id, added.builds[1]);
    server.finish(&gate, "success");
    let (status, shown) = running.end();
    assert_eq!(status.code(), Some(4), "{shown}");
    assert_eq!(shown.matches("start other").count(), 1, "who said no is not asked again: {shown}");
    assert!(shown.contains("manual: other holds the pipeline up"), "{shown}");
    assert!(!shown.contains("\x1b[36m") && !shown.contains("\x1b[32m"), "NO_COLOR: {shown:?}");
    // What is left on the screen: the whole table, then the end.
    let last = &shown[shown.rfind("pipeline 1: manual, ").unwrap()..];
    assert!(last.contains("  + gate") && last.contains("  ? other") && !last.contains("--- log of"), "{last}");
}

#[test]
fn a_large_pipeline_fits_a_low_terminal() {
    let server = Baton::with_project();
    let jobs = (0..300).map(|at| job(&format!("job {at}"), at / 200, plain)).collect();
    let added = add(&server, jobs);
    let running = on_terminal(&server, &added, (12, 40));
    let shown = running.wait_for(" more: 1");
    // What was drawn first: its lines end where the rest of the screen is erased.
    let first = &shown[..shown.find("\x1b[J").unwrap()];
    assert!(first.lines().count() <= 11, "{first}");
    server.operator().cancel_pipeline(added.id, Timestamp::now()).unwrap();
    let (status, shown) = running.end();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.trim_end().lines().last().unwrap().contains("canceled, 300 jobs"), "{shown}");
}
