//! Pipelines: lists by everything that one may ask for, and what is done with them.

use super::{Programs, each, of_branch, work};
use crate::harness::*;
use baton::coordinator::NewPipeline;
use baton::domain::pipeline::{Job, Pipeline, PipelineId, Source, When, Work};
use baton::domain::spec::BuildSpec;
use baton::domain::time::Timestamp;
use baton::gitlab_ci::context::{Context, Given};
use serde_json::{Value, json};

const SHA: &str = "0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6";

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

/// A pipeline of `ref_` with these jobs.
fn add(baton: &Baton, ref_: &str, jobs: Vec<Job>) -> PipelineId {
    let secret = Given { key: "TOKEN".to_owned(), value: "hunter2".to_owned(), public: false, file: false, raw: true };
    let new = NewPipeline {
        project: "demo".to_owned(),
        pipeline: Pipeline {
            source: Source::Schedule,
            name: Some("nightly".to_owned()),
            stages: vec!["build".to_owned(), "test".to_owned()],
            jobs,
            ..Pipeline::default()
        },
        ref_: ref_.to_owned(),
        is_tag: ref_.starts_with('v'),
        sha: Some(SHA.to_owned()),
        title: Some("Make it so".to_owned()),
        actor: Some("schedule nightly".to_owned()),
        context: Some(Context { given: vec![secret], ..Context::default() }),
        ..NewPipeline::default()
    };
    baton.operator().add_pipeline(new, Timestamp::now()).unwrap().id
}

#[test]
fn a_pipeline_tells_how_it_stands_and_its_jobs_are_repeated_and_canceled_together() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let runner = baton.runner();
    let id = add(
        baton,
        "main",
        vec![job("compile", 0, When::OnSuccess), job("test", 1, When::OnSuccess), job("by hand", 1, When::Manual)],
    );
    let path = format!("projects/demo/pipelines/{id}");
    let created = programs.json(&path);
    for (member, value) in [
        ("status", json!("pending")),
        ("source", json!("schedule")),
        ("name", json!("nightly")),
        ("ref", json!("main")),
        ("sha", json!(SHA)),
        ("tag", json!(false)),
        ("before_sha", json!("0000000000000000000000000000000000000000")),
        ("started_at", Value::Null),
        ("finished_at", Value::Null),
        ("duration", Value::Null),
        ("yaml_errors", Value::Null),
        ("coverage", Value::Null),
        ("web_url", json!("http://baton.test/demo/-/pipelines/1")),
    ] {
        assert_eq!(created[member], value, "{member}");
    }
    assert_eq!(created["user"]["name"], "schedule nightly");
    let status = &created["detailed_status"];
    assert_eq!((&status["label"], &status["details_path"]), (&json!("pending"), &json!("/demo/-/pipelines/1")));
    let jobs = programs.json(&format!("{path}/jobs"));
    assert_eq!(each(&jobs, "id"), [3, 2, 1]);
    assert_eq!(each(&jobs, "status"), ["created", "created", "pending"]);
    assert_eq!(jobs[0]["user"]["name"], "schedule nightly");
    assert_eq!(programs.json(&format!("{path}/bridges")), json!([]));
    let variables = json!([{"key": "TOKEN", "value": "hunter2", "variable_type": "env_var", "raw": true}]);
    assert_eq!(programs.json(&format!("{path}/variables")), variables);

    work(baton, &runner, None, "failed");
    let failed = programs.json(&path);
    assert_eq!((&failed["status"], &failed["detailed_status"]["text"]), (&json!("failed"), &json!("Failed")));
    assert!(failed["duration"].is_u64() && failed["finished_at"].is_string(), "{failed}");
    let again = programs.post(&format!("{path}/retry"), &json!({})).expect(201).json();
    assert_eq!(again["status"], "pending");
    assert_eq!(each(&programs.json(&format!("{path}/jobs")), "id"), [4, 3, 2], "those that count");
    assert_eq!(each(&programs.json(&format!("{path}/jobs?include_retried=True")), "id"), [4, 3, 2, 1]);
    assert_eq!(each(&programs.json(&format!("{path}/jobs?scope[]=failed&include_retried=true")), "id"), [1]);
    assert_eq!(each(&programs.json(&format!("{path}/jobs?per_page=1&page=2")), "id"), [3]);
    programs.get(&format!("{path}/jobs?scope=x")).expect(400);
    work(baton, &runner, None, "success");
    work(baton, &runner, None, "success");
    let played = programs.post("projects/demo/jobs/3/play", &json!({})).expect(200).json();
    assert_eq!(played["status"], "pending");
    programs
        .post("projects/demo/jobs/3/play", &json!({"job_variables_attributes": [{"key": "A", "value": "b"}]}))
        .expect(400);
    let canceled = programs.post(&format!("{path}/cancel"), &json!({})).expect(200).json();
    assert_eq!(canceled["id"], json!(id));
    assert_eq!(programs.json("projects/demo/jobs/3")["status"], "canceled");
    programs.post(&format!("{path}/cancel"), &json!({})).expect(200);

    let report = programs.json(&format!("{path}/test_report"));
    assert_eq!((&report["total_count"], &report["test_suites"]), (&json!(0), &json!([])));
    assert_eq!(programs.json(&format!("{path}/test_report_summary"))["total"]["count"], 0);

    let claimed = of_branch(baton, "main", "other");
    programs.delete(&path).expect(204);
    programs.get(&path).expect(404);
    for (gone, there) in [("jobs/1", false), ("jobs/4", false), (&format!("jobs/{claimed}"), true)] {
        let status = programs.get(&format!("projects/demo/{gone}")).status;
        assert_eq!(status, if there { 200 } else { 404 }, "{gone}");
    }
    for deed in ["cancel", "retry"] {
        programs.post(&format!("{path}/{deed}"), &json!({})).expect(404);
    }
    assert_eq!(programs.get("projects/demo/pipelines").expect(200).header("X-Total"), Some("1"));
    expect_well(baton.data());
}

#[test]
fn pipelines_are_listed_by_whatever_gitlab_lists_them_by() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let runner = baton.runner();
    let alone = of_branch(baton, "main", "alone");
    work(baton, &runner, None, "success");
    let nightly = add(baton, "main", vec![job("compile", 0, When::OnSuccess)]);
    let tag = add(baton, "v1", vec![job("compile", 0, When::OnSuccess)]);
    work(baton, &runner, None, "failed");
    assert_eq!((alone.0, nightly, tag), (1, PipelineId(2), PipelineId(3)));
    let early = Timestamp(0);
    let late = Timestamp::now().plus(std::time::Duration::from_secs(60));
    for (query, ids) in [
        (String::new(), &[3, 2, 1][..]),
        ("sort=asc".to_owned(), &[1, 2, 3]),
        ("ref=main".to_owned(), &[2, 1]),
        ("ref=main&sha=x".to_owned(), &[]),
        (format!("sha={SHA}"), &[3, 2, 1]),
        (format!("ref=main&sha={SHA}&source=schedule"), &[2]),
        ("source=api".to_owned(), &[1]),
        ("name=nightly".to_owned(), &[3, 2]),
        ("username=schedule+nightly&scope=branches".to_owned(), &[2]),
        ("scope=tags".to_owned(), &[3]),
        ("scope=pending".to_owned(), &[3]),
        ("scope=finished".to_owned(), &[2, 1]),
        ("status=success".to_owned(), &[1]),
        ("scope=finished&status=pending".to_owned(), &[]),
        ("status=canceling".to_owned(), &[]),
        ("yaml_errors=true".to_owned(), &[]),
        ("order_by=status&sort=asc".to_owned(), &[2, 3, 1]),
        ("order_by=ref".to_owned(), &[3, 2, 1]),
        ("order_by=updated_at&status=failed".to_owned(), &[2]),
        (format!("updated_after={early}"), &[3, 2, 1]),
        (format!("updated_after={late}"), &[]),
        (format!("created_before={late}&created_after={early}"), &[3, 2, 1]),
        ("created_after=2999-01-01T00:00:00%2B02:00".to_owned(), &[]),
    ] {
        assert_eq!(each(&programs.json(&format!("projects/demo/pipelines?{query}")), "id"), ids, "{query}");
    }
    for wrong in ["status=done", "scope=all", "order_by=shape", "sort=up", "updated_after=soon", "yaml_errors=maybe"] {
        programs.get(&format!("projects/demo/pipelines?{wrong}")).expect(400);
    }
    assert_eq!(programs.json("projects/demo/pipelines/latest")["id"], 3);
    assert_eq!(programs.json("projects/demo/pipelines/latest?ref=main")["id"], 2);
    programs.get("projects/demo/pipelines/latest?ref=nothing").expect(404);

    // What pipelines have told of commits, branches and tags.
    let commit = programs.json(&format!("projects/demo/repository/commits/{SHA}"));
    assert_eq!((&commit["title"], &commit["last_pipeline"]["id"]), (&json!("Make it so"), &json!(3)));
    assert_eq!(programs.json("projects/demo/repository/commits/main")["last_pipeline"]["id"], 2);
    programs.get("projects/demo/repository/commits/nothing").expect(404);
    let statuses = programs.json("projects/demo/repository/commits/main/statuses?stage=build");
    assert_eq!((each(&statuses, "name"), each(&statuses, "status")), (vec![json!("compile")], vec![json!("failed")]));
    assert_eq!(each(&programs.json("projects/demo/repository/branches"), "name"), ["main"]);
    assert_eq!(each(&programs.json("projects/demo/repository/branches?search=x"), "name"), Vec::<Value>::new());
    assert_eq!(programs.json("projects/demo/repository/branches/main")["commit"]["id"], SHA);
    programs.get("projects/demo/repository/branches/v1").expect(404);
    assert_eq!(each(&programs.json("projects/demo/repository/tags"), "name"), ["v1"]);
    programs.post("projects/demo/statuses/x", &json!({"state": "success"})).expect(403);
}

/// glab puts them in order by these times.
#[test]
fn jobs_of_a_pipeline_are_made_one_after_the_other_also_those_that_are_repeated() {
    let programs = Programs::start();
    let runner = programs.baton.runner();
    of_branch(&programs.baton, "main", "alone");
    work(&programs.baton, &runner, None, "success");
    let jobs = (0..12).map(|at| job(&format!("job {at}"), at / 6, When::OnSuccess)).collect();
    let id = add(&programs.baton, "main", jobs);
    let in_order = |query: &str| {
        let all = programs.json(&format!("projects/demo/pipelines/{id}/jobs?per_page=100{query}"));
        let mut times: Vec<(String, Value)> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|job| (job["created_at"].as_str().unwrap().to_owned(), job["id"].clone()))
            .collect();
        times.sort_by(|one, two| one.0.cmp(&two.0));
        assert!(times.windows(2).all(|pair| pair[0].0 < pair[1].0), "{times:?}");
        times.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_eq!(in_order(""), (2..14).collect::<Vec<i64>>());
    work(&programs.baton, &runner, None, "failed");
    programs.post("projects/demo/jobs/2/retry", &json!({})).expect(201);
    assert_eq!(in_order(""), (3..15).collect::<Vec<i64>>());
}

#[test]
fn a_pipeline_is_given_another_name() {
    let programs = Programs::start();
    programs.baton.project("other");
    let id = add(&programs.baton, "main", vec![job("compile", 0, When::OnSuccess)]);
    let path = format!("projects/demo/pipelines/{id}/metadata");
    let named = programs.put(&path, &json!({"name": "weekly"})).expect(200).json();
    assert_eq!((&named["id"], &named["name"]), (&json!(id), &json!("weekly")));
    assert_eq!(each(&programs.json("projects/demo/pipelines?name=weekly"), "id"), [json!(id)]);
    for (body, said) in [
        (json!({}), json!({"error": "name is missing"})),
        (json!({"name": "a\nb"}), json!({"message": {"name": ["the pipeline's name has a control character"]}})),
    ] {
        assert_eq!(programs.put(&path, &body).expect(400).json(), said);
    }
    programs.put(&path, &json!({"name": "x".repeat(256)})).expect(400);
    let form = Request::put(&format!("/api/v4/{path}")).form(&[("name", "daily build")]);
    assert_eq!(programs.ask(form, &programs.token).expect(200).json()["name"], "daily build");
    assert_eq!(programs.put(&path, &json!({"name": ""})).expect(200).json()["name"], Value::Null);
    programs.put("projects/other/pipelines/1/metadata", &json!({"name": "x"})).expect(404);
    programs.put("projects/demo/pipelines/99/metadata", &json!({"name": "x"})).expect(404);
}
