use super::*;
use crate::cli::show::print::tests::report as any;
use crate::domain::build::{ArtifactsFile, Build, FailureReason};
use crate::domain::pipeline::{Environment, PipelineId, Source};
use crate::domain::spec::ArtifactFormat;
use crate::domain::time::Timestamp;
use crate::store::artifacts::Stored;
use crate::store::jobs::Standing;
use crate::store::pipelines::Pipeline;

/// A pipeline of these builds.
fn report(builds: Vec<(BuildReport, About)>) -> PipelineReport {
    let mut standing =
        Standing { started_at: Some(Timestamp(0)), finished_at: Some(Timestamp(63_000)), ..Standing::default() };
    for (report, _) in builds.iter().filter(|(report, _)| report.build.retried_by.is_none()) {
        standing.tally.add(report.build.status, report.build.failure_allowed, 1);
    }
    let pipeline = Pipeline {
        id: PipelineId(7),
        project_id: crate::domain::build::ProjectId(1),
        project: "demo".into(),
        iid: 3,
        ref_: "main".into(),
        is_tag: false,
        sha: None,
        source: Source::Push,
        name: None,
        stages: vec![],
        left_out: serde_json::Value::Null,
        warnings: vec![],
        title: None,
        actor: None,
        sources_key: None,
        parent: None,
        context: None,
        before_sha: None,
        created_at: Timestamp(0),
    };
    PipelineReport { pipeline, standing, builds, refusal: vec![] }
}

fn job(id: i64, name: &str, status: Status, change: impl FnOnce(&mut BuildReport, &mut About)) -> (BuildReport, About) {
    let build = Build { id: BuildId(id), name: name.into(), status, ..any().build };
    let mut report = BuildReport { build, pending_reason: None, ..any() };
    let mut about = About::default();
    change(&mut report, &mut about);
    (report, about)
}

fn fails(allowed: bool, code: i64) -> impl FnOnce(&mut BuildReport, &mut About) {
    move |report, _| {
        report.build.failure_reason = Some(FailureReason::ScriptFailure);
        report.build.exit_code = Some(code);
        report.build.failure_allowed = allowed;
    }
}

fn skipped_since(why: &'static str) -> impl FnOnce(&mut BuildReport, &mut About) {
    move |report, _| report.pending_reason = Some(why.into())
}

#[test]
fn the_end_says_what_failed_what_is_allowed_what_does_not_run_and_where_things_are() {
    let archive = |report: &mut BuildReport, about: &mut About| {
        let file =
            ArtifactsFile { path: "p".into(), filename: "a.zip".into(), size: 1, sha256: [0; 32], expire_at: None };
        report.artifacts.push(Stored {
            id: report.build.id,
            kind: ArtifactKind::archive(),
            format: ArtifactFormat::Zip,
            file,
            metadata_path: None,
            uploaded_at: Timestamp(0),
        });
        about.environment = Some(Environment { name: "production".into(), ..Environment::default() });
    };
    let mut again = job(1, "unit 1/2", Status::Failed, fails(false, 1));
    again.0.build.retried_by = Some(BuildId(3));
    let builds = vec![
        again,
        job(2, "lint", Status::Failed, fails(true, 2)),
        job(3, "unit 1/2", Status::Failed, fails(false, 1)),
        job(4, "dist", Status::Success, archive),
        job(5, "deploy eu", Status::Skipped, skipped_since("does not run, since a job before it failed")),
        job(6, "deploy us", Status::Skipped, skipped_since("does not run, since a job before it failed")),
        job(7, "pages", Status::Skipped, skipped_since("does not run: it needs another project")),
        job(8, "clean", Status::Manual, |report, _| report.build.failure_allowed = true),
    ];
    let mut facts = Facts::default();
    let lines = vec!["$ make".to_owned(), String::new(), "broken".to_owned()];
    facts.note(BuildId(3), Found { lines, ..Found::default() });
    let tests = Summary {
        tests: 120,
        failures: 4,
        failed: ["a", "b\u{1b}", "c", "d"].map(String::from).into(),
        is_whole: true,
        ..Summary::default()
    };
    let url = Some("https://example.org/\u{202e}".to_owned());
    facts.note(BuildId(4), Found { coverage: Some("87.5".into()), tests: Some(tests), url, lines: vec![] });
    let expected = "\
failed: unit 1/2 (build 3): script_failure, exit code 1
  | $ make
  |
  | broken
  `baton build log 3` shows the whole log
warning: lint (build 2) failed, which is allowed: script_failure, exit code 2
skipped: deploy eu, deploy us: does not run, since a job before it failed
skipped: pages: does not run: it needs another project
coverage: dist: 87.5 %
tests: dist: 4 of 120 tests failed: a, b?, c, ...
environment: production: https://example.org/?
manual: clean may be started: `baton build play 8` starts it
artifacts: dist: `baton build artifacts 4` saves them
pipeline 7: failed, 7 jobs in 1m 3s
";
    assert_eq!(text(&report(builds), &facts), expected);
}

#[test]
fn the_last_line_says_how_it_ended() {
    let plain = |_: &mut BuildReport, _: &mut About| {};
    for (jobs, expected) in [
        (vec![job(1, "a", Status::Success, plain)], "pipeline 7: success, 1 job in 1m 3s\n"),
        (
            vec![job(1, "a", Status::Success, plain), job(2, "b", Status::Failed, fails(true, 1))],
            "warning: b (build 2) failed, which is allowed: script_failure, exit code 1\n\
             pipeline 7: success with warnings, 2 jobs in 1m 3s\n",
        ),
        (vec![job(1, "a", Status::Canceled, plain)], "pipeline 7: canceled, 1 job in 1m 3s\n"),
        (
            vec![job(1, "a", Status::Manual, plain)],
            "manual: a holds the pipeline up: `baton build play 1` starts it\npipeline 7: manual (blocked), 1 job in 1m 3s\n",
        ),
        (
            vec![job(1, "a", Status::Skipped, plain)],
            "skipped: a: does not run\npipeline 7: skipped (nothing ran), 1 job in 1m 3s\n",
        ),
    ] {
        assert_eq!(text(&report(jobs), &Facts::default()), expected);
    }
}

#[test]
fn the_end_of_a_large_pipeline_stays_short() {
    let builds = (0..500).map(|id| match id % 4 {
        0 => job(id, &format!("a{id}"), Status::Failed, fails(false, 1)),
        1 => job(id, &format!("b{id}"), Status::Failed, fails(true, 1)),
        2 => job(id, &format!("c{id}"), Status::Skipped, skipped_since("does not run")),
        _ => job(id, &format!("d{id}"), Status::Manual, |_, _| {}),
    });
    let text = text(&report(builds.collect()), &Facts::default());
    assert!(text.lines().count() < 50, "{text}");
    for part in [
        "failed: and 115 more; `baton pipeline show 7` shows all",
        "warning: and 115 more",
        "and 115 more: does not run",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
