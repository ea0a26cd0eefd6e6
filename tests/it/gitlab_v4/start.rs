//! Pipelines that programs start, by access tokens and by those that can do nothing else, and what a configuration means.

use super::{Programs, Wanted, token};
use crate::harness::forge::{Forge, Manner};
use crate::harness::*;
use baton::coordinator::ProjectChange;
use baton::domain::access_token::AccessScope;
use baton::limits::Limits;
use serde_json::{Value, json};

const CONFIG: &str = "
spec: {inputs: {level: {type: number, default: 1}}}
---
job: {script: ['echo $A $[[ inputs.level ]]']}
triggered: {script: [x], rules: [{if: '$CI_PIPELINE_TRIGGERED'}]}
";

/// Project `demo` is what a forge has.
pub(super) fn stand(limits: Limits) -> (Programs, Forge) {
    let (baton, forge) = (Baton::with_limits(limits), Forge::start());
    baton.project("demo");
    let change = ProjectChange { repo_url: Some(Some(forge.url())), ..ProjectChange::default() };
    baton.operator().change_project("demo", change).unwrap();
    forge.push("main", &[(".gitlab-ci.yml", CONFIG)]);
    (Programs::with(baton), forge)
}

/// A trigger token of project `demo`.
pub(super) fn trigger_token(programs: &Programs) -> String {
    let made = programs.post("projects/demo/triggers", &json!({"description": "nightly"})).expect(201).json();
    made["token"].as_str().unwrap().to_owned()
}

fn value(build: &Claimed, key: &str) -> Value {
    let all = build.json["variables"].as_array().unwrap();
    all.iter().rev().find(|one| one["key"] == key).map_or(Value::Null, |one| one["value"].clone())
}

#[test]
fn a_program_starts_a_pipeline_in_whatever_way_its_library_says_it() {
    let (programs, forge) = stand(Limits::default());
    let runner = programs.baton.runner();
    let sha = forge.push("feature/x", &[]);
    let body = json!({
        "ref": "feature/x", "inputs": {"level": 3},
        "variables": [{"key": "A", "value": "b"}, {"key": "F", "value": "text", "variable_type": "file"}],
    });
    let made = programs.post("projects/demo/pipeline", &body).expect(201).json();
    let shown = (&made["id"], &made["ref"], &made["sha"], &made["source"], &made["status"], &made["user"]["name"]);
    assert_eq!(shown, (&json!(1), &json!("feature/x"), &json!(sha), &json!("api"), &json!("pending"), &json!("all")));
    assert_eq!(programs.json("projects/demo")["default_branch"], "main");
    let build = programs.baton.claim(&runner);
    assert_eq!((value(&build, "A"), value(&build, "F")), (json!("b"), json!("text")));
    assert!(build.json["commands"].as_str().unwrap().contains("echo $A 3"), "{}", build.json["commands"]);
    let given = programs.json("projects/demo/pipelines/1/variables");
    assert_eq!(super::each(&given, "key"), ["A", "F"]);
    // As a form and as a query without a body.
    let path = "/api/v4/projects/demo/pipeline";
    let form = Request::post(path).form(&[
        ("ref", "main"),
        ("variables[][key]", "A"),
        ("variables[][value]", "c"),
        ("inputs[level]", "4"),
    ]);
    programs.ask(form, &programs.token).expect(201);
    let build = programs.baton.claim(&runner);
    assert_eq!(value(&build, "A"), json!("c"));
    programs.ask(Request::post(path).query("ref", "main"), &programs.token).expect(201);

    // What is wrong is said in the framework's form, or the deed's.
    for (body, said) in [
        (json!({}), json!({"error": "ref is missing"})),
        (json!({"ref": "nope"}), json!({"message": {"base": ["Reference not found"]}})),
        (json!({"ref": "main", "variables": [{"value": "x"}]}), json!({"error": "variables[0][key] is missing"})),
    ] {
        assert_eq!(programs.post("projects/demo/pipeline", &body).expect(400).json(), said, "{body}");
    }
    for body in [
        json!({"ref": "main", "variables": {"A": "b"}}),
        json!({"ref": "main", "variables": [{"key": "A", "value": "b", "variable_type": "x"}]}),
        json!({"ref": "main", "inputs": {"level": ["x"]}}),
        json!({"ref": "main", "inputs": {"level": "many"}}),
        json!({"ref": "main", "inputs": {"unknown": "1"}}),
        json!({"ref": "main", "variables": [{"key": "CI_JOB_TOKEN", "value": "x"}]}),
    ] {
        programs.post("projects/demo/pipeline", &body).expect(400);
    }
    forge.push("main", &[(".gitlab-ci.yml", "job: {scirpt: [x]}")]);
    let said = programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(400).json();
    let base = said["message"]["base"].as_array().unwrap();
    assert!(base.iter().any(|one| one.as_str().unwrap().starts_with(".gitlab-ci.yml:1: ")), "{said}");
    forge.push("main", &[(".gitlab-ci.yml", "workflow: {rules: [{when: never}]}\njob: {script: [x]}")]);
    let said = programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(400).json();
    assert_eq!(said["message"]["base"][0], "Pipeline filtered out by workflow rules.");
    assert_eq!(programs.baton.operator().list_pipelines(None, None).unwrap().len(), 3);
}

#[test]
fn a_trigger_token_starts_pipelines_of_its_project_and_opens_nothing_else() {
    let (programs, forge) = stand(Limits::default());
    programs.baton.project("other");
    let runner = programs.baton.runner();
    let own = trigger_token(&programs);
    let listed = programs.json("projects/demo/triggers");
    assert_eq!((&listed[0]["token"], &listed[0]["description"]), (&json!(own[..8]), &json!("nightly")));
    let described = programs.put("projects/demo/triggers/1", &json!({"description": "daily"})).expect(200).json();
    assert_eq!(described["description"], "daily");
    let path = "/api/v4/projects/demo/trigger/pipeline";
    let send = |request: Request| programs.ask(request, "");
    // As JSON, in the query with a multipart body, as a form, with the ref in the path.
    let body = json!({"ref": "main", "token": own, "variables": {"A": "b"}, "inputs": {}});
    let made = send(Request::post(path).json(&body)).expect(201).json();
    assert_eq!((&made["source"], &made["user"]["name"]), (&json!("trigger"), &json!("trigger token daily")));
    let build = programs.baton.claim(&runner);
    assert_eq!((value(&build, "A"), value(&build, "CI_PIPELINE_TRIGGERED")), (json!("b"), json!("true")));
    assert_eq!(programs.json("projects/demo/pipelines/1/jobs").as_array().unwrap().len(), 2);
    let multipart = Request::post(path).query("token", &own).query("ref", "main");
    let part = Part { name: "variables[A]", filename: None, data: b"c" };
    send(multipart.multipart(&[part])).expect(201);
    send(Request::post(path).form(&[("token", &own), ("ref", "main"), ("variables[A]", "d")])).expect(201);
    let of_path = "/api/v4/projects/demo/ref/feature%2Fx/trigger/pipeline";
    forge.push("feature/x", &[]);
    let made = send(Request::post(of_path).form(&[("token", &own)])).expect(201).json();
    assert_eq!(made["ref"], "feature/x");
    assert!(programs.json("projects/demo/triggers/1")["last_used"].is_string());

    // Whoever has no such token does not learn whether there is a project.
    let other = format!("btt-{}", "A".repeat(43));
    for (project, token) in [("demo", other.as_str()), ("other", &own), ("nobody", &own), ("demo", &programs.token)] {
        let request = Request::post(&format!("/api/v4/projects/{project}/trigger/pipeline"));
        let said = send(request.json(&json!({"ref": "main", "token": token}))).expect(404).json();
        assert_eq!(said, json!({"message": "404 Project Not Found"}), "{project}");
    }
    for (body, status) in [
        (json!({"ref": "main"}), 400),
        (json!({"token": own}), 400),
        (json!({"token": own, "ref": "main", "variables": {"A": 1}}), 400),
        (json!({"token": own, "ref": "main", "variables": {"A": {"b": "c"}}}), 400),
        (json!({"token": own, "ref": "nope"}), 400),
    ] {
        send(Request::post(path).json(&body)).expect(status);
    }
    let notice = Request::post(path).header("X-Gitlab-Event", "Pipeline Hook");
    send(notice.json(&json!({"token": own, "ref": "main"}))).expect(403);
    for path in ["projects/demo", "projects/demo/triggers", "user", "job"] {
        programs.ask(Request::get(&format!("/api/v4/{path}")), &own).expect(401);
    }
    // Only reading opens no list of them.
    let reading =
        token(&programs.baton, &Wanted { name: "reading", scope: AccessScope::ReadApi, project: None, life: None });
    programs.ask(Request::get("/api/v4/projects/demo/triggers"), &reading).expect(403);

    // A job's token starts one of its own project, as long as the job runs.
    let job = json!({"ref": "main", "token": build.token});
    let made = send(Request::post(path).json(&job)).expect(201).json();
    assert_eq!((&made["source"], &made["user"]["name"]), (&json!("pipeline"), &json!(format!("job {}", build.id))));
    send(Request::post("/api/v4/projects/other/trigger/pipeline").json(&job)).expect(404);
    programs.baton.finish(&build, "success");
    let ended = send(Request::post(path).json(&job)).expect(401).json();
    assert_eq!(ended, json!({"message": "401 Unauthorized"}));
    send(Request::post("/api/v4/projects/other/trigger/pipeline").json(&job)).expect(404);
    programs.delete("projects/demo/triggers/1").expect(204);
    programs.delete("projects/demo/triggers/1").expect(404);
    send(Request::post(path).json(&json!({"ref": "main", "token": own}))).expect(404);
}

#[test]
fn what_a_trigger_is_told_is_a_file_for_its_jobs_but_for_tokens() {
    let (programs, _forge) = stand(Limits::default());
    let runner = programs.baton.runner();
    let own = trigger_token(&programs);
    let path = "/api/v4/projects/demo/trigger/pipeline";
    let payload = |request: Request| {
        let made = programs.ask(request, "").expect(201).json();
        let build = programs.baton.claim(&runner);
        // The second job is for triggers.
        programs.baton.claim(&runner);
        let all = build.json["variables"].as_array().unwrap();
        let found = all.iter().find(|one| one["key"] == "TRIGGER_PAYLOAD");
        assert!(found.is_none_or(|one| one["file"] == true), "{found:?}");
        (found.map(|one| serde_json::from_str::<Value>(one["value"].as_str().unwrap()).unwrap()), made)
    };
    // As a forge calls: the token in the URL, and whatever it has to say in the body.
    let hook = json!({"pusher": {"name": "mira"}, "token": own, "job_token": own, "list": [1, null], "ref": "main"});
    let (told, _) = payload(Request::post(path).query("token", &own).json(&hook));
    assert_eq!(told, Some(json!({"pusher": {"name": "mira"}, "list": [1, null], "ref": "main"})));
    let request = Request::post(path).query("token", &own).query("ref", "main");
    let (told, _) = payload(request.json(&json!({"before": "x", "variables": {"A": "b"}})));
    assert_eq!(told, Some(json!({"before": "x", "ref": "main", "variables": {"A": "b"}})));
    let form = Request::post(path).form(&[("token", &own), ("ref", "main"), ("variables[A]", "b"), ("other", "c")]);
    assert_eq!(payload(form).0, Some(json!({"ref": "main", "variables": {"A": "b"}, "inputs": {}})));
    let blank = Request::post(path).query("token", &own).query("ref", "main").body("application/json", " ");
    assert_eq!(payload(blank).0, Some(json!({"ref": "main", "variables": {}, "inputs": {}})));
    // What is too long is told of.
    let long = json!({"ref": "main", "token": own, "other": "x".repeat(70_000)});
    let (told, made) = payload(Request::post(path).json(&long));
    assert_eq!(told, None);
    assert_eq!(made["warnings"], json!(["there is no TRIGGER_PAYLOAD: the body has more than 65536 bytes"]));
    assert!(!programs.json("projects/demo/pipelines/1/variables").to_string().contains(&own));
}

#[test]
fn whoever_starts_a_manual_job_gives_it_variables_that_its_repetition_has_too() {
    let (programs, forge) = stand(Limits::default());
    let runner = programs.baton.runner();
    let config = "
variables: {A: file, B: file}
by hand: {script: ['echo $A'], when: manual}
makes: {when: manual, trigger: {include: [{local: child.yml}]}}
";
    forge.push("main", &[(".gitlab-ci.yml", config), ("child.yml", "job: {script: [x]}")]);
    let given = json!({"ref": "main", "variables": [{"key": "A", "value": "pipeline"}]});
    programs.post("projects/demo/pipeline", &given).expect(201);
    let play = |body: &Value| programs.post("projects/demo/jobs/1/play", body);
    for (entry, said) in [
        (json!({"value": "x"}), json!({"error": "job_variables_attributes[0][key] is missing"})),
        (
            json!({"key": "A", "variable_type": "x"}),
            json!({"error": "job_variables_attributes[0][variable_type] does not have a valid value"}),
        ),
    ] {
        assert_eq!(play(&json!({"job_variables_attributes": [entry]})).expect(400).json(), said);
    }
    let long = "x".repeat(60_000);
    for entry in [json!({"key": "1A", "value": "hunter2"}), json!({"key": "CI_JOB_ID", "value": "hunter2"})] {
        let said = play(&json!({"job_variables_attributes": [entry]})).expect(400).json();
        assert!(said["message"]["base"].is_array() && !said.to_string().contains("hunter2"), "{said}");
    }
    play(&json!({"job_variables_attributes": {"A": "x"}})).expect(400);
    let body = json!({"job_variables_attributes": [{"key": "A", "value": "x"}]});
    programs.post("projects/demo/jobs/2/play", &body).expect(400);
    let states = || super::each(&programs.json("projects/demo/pipelines/1/jobs"), "status");
    assert_eq!(states(), ["manual", "manual"], "what was refused has changed nothing");

    let list = json!([{"key": "A", "value": "job"}, {"key": "L", "value": long, "variable_type": "file"}]);
    let played = play(&json!({"job_variables_attributes": list})).expect(200).json();
    assert_eq!((&played["id"], &played["status"]), (&json!(1), &json!("pending")));
    let build = programs.baton.claim(&runner);
    assert_eq!(
        (value(&build, "A"), value(&build, "B"), value(&build, "L")),
        (json!("job"), json!("file"), json!(long))
    );
    play(&body).expect(400);
    programs.baton.finish(&build, "failed");
    programs.post("projects/demo/jobs/1/retry", &json!({})).expect(201);
    assert_eq!(value(&programs.baton.claim(&runner), "A"), json!("job"));
    assert_eq!(super::each(&programs.json("projects/demo/pipelines/1/variables"), "value"), ["pipeline"]);
    // As a form, and with an empty list.
    programs.post("projects/demo/jobs/2/play", &json!({"job_variables_attributes": []})).expect(200);
    programs.post("projects/demo/pipeline", &given).expect(201);
    let newest = programs.json("projects/demo/jobs?scope=manual")[1]["id"].clone();
    let form = [("job_variables_attributes[][key]", "A"), ("job_variables_attributes[][value]", "form")];
    let path = format!("/api/v4/projects/demo/jobs/{newest}/play");
    programs.ask(Request::post(&path).form(&form), &programs.token).expect(200);
    assert_eq!(value(&programs.baton.claim(&runner), "A"), json!("form"));
}

#[test]
fn a_job_that_makes_a_pipeline_and_waits_for_what_it_shares_is_no_runners() {
    let (programs, forge) = stand(Limits::default());
    let runner = programs.baton.runner();
    let config = "
holds: {script: [x], resource_group: one}
makes: {trigger: {include: [{local: child.yml}]}, resource_group: one, when: manual}
";
    forge.push("main", &[(".gitlab-ci.yml", config), ("child.yml", "job: {script: [x]}")]);
    programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(201);
    let holds = programs.baton.claim(&runner);
    let played = programs.post("projects/demo/jobs/2/play", &json!({})).expect(200).json();
    assert_eq!(played["status"], "waiting_for_resource");
    programs.baton.finish(&holds, "success");
    crate::harness::served::wait_for("a child", || {
        let job = programs.json("projects/demo/jobs/2");
        assert_ne!(job["status"], "pending", "a runner would take it");
        (job["status"] == "success").then_some(())
    });
    assert_eq!(programs.json("projects/demo/pipelines/2")["parent_job"], 2);
}

#[test]
fn who_comes_when_too_many_start_pipelines_is_told_to_come_again() {
    let limits = Limits { starts_max: 2, starts_per_project_max: 2, ..Limits::default() };
    let (programs, forge) = stand(limits);
    let own = trigger_token(&programs);
    forge.take_seen();
    forge.behave(Manner::Silent);
    let start = || {
        let body = json!({"ref": "main", "token": own});
        programs.ask(Request::post("/api/v4/projects/demo/trigger/pipeline").json(&body), "")
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        crate::harness::served::wait_for("refusals", || {
            (all.iter().filter(|one| one.is_finished()).count() == 6).then_some(())
        });
        let lint = programs.post("projects/demo/ci/lint", &json!({"content": "job: {script: [x]}"}));
        assert_eq!((lint.status, lint.header("Retry-After")), (503, Some("1")));
        forge.behave(Manner::Good);
        all.into_iter().map(|one| one.join().unwrap().status).collect()
    });
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(201), count(503)), (2, 6), "{statuses:?}");
}

#[test]
fn lint_answers_200_whatever_is_wrong_with_the_configuration() {
    let (programs, forge) = stand(Limits::default());
    let good = json!({"content": "job: {script: [x], tags: [a]}", "include_jobs": true});
    let said = programs.post("projects/demo/ci/lint", &good).expect(200).json();
    assert_eq!((&said["valid"], &said["errors"], &said["includes"]), (&json!(true), &json!([]), &json!([])));
    let job = &said["jobs"][0];
    assert_eq!((&job["name"], &job["script"], &job["tag_list"]), (&json!("job"), &json!(["x"]), &json!(["a"])));
    assert!(said["merged_yaml"].as_str().unwrap().contains("job:"), "{said}");
    let wrong = programs.post("projects/demo/ci/lint", &json!({"content": "job: {scirpt: [x]}"})).expect(200).json();
    assert_eq!((&wrong["valid"], &wrong["jobs"]), (&json!(false), &Value::Null));
    assert!(wrong["errors"].to_string().contains("did you mean script?"), "{wrong}");
    let of_ref = programs.json("projects/demo/ci/lint?include_jobs=true");
    assert_eq!(super::each(&of_ref["jobs"], "name"), ["job"]);
    forge.push("broken", &[(".gitlab-ci.yml", "a: [")]);
    assert_eq!(programs.json("projects/demo/ci/lint?content_ref=broken")["valid"], false);
    assert_eq!(programs.json("projects/demo/ci/lint?content_ref=nope")["errors"][0], "Reference not found");
    let rules = json!({"content": "job: {script: [x], rules: [{if: '$CI_COMMIT_TAG'}]}", "dry_run": true});
    let said = programs.post("projects/demo/ci/lint", &rules).expect(200).json();
    assert_eq!(said["valid"], false, "{said}");
    // As long as a file may be, for whoever shows a token before it.
    let long = format!("job: {{script: [x]}}\n{}", "# \"a\" comment\n".repeat(130_000));
    assert!(long.len() > 1 << 20);
    let body = json!({"content": long});
    for path in ["projects/demo/ci/lint", "ci/lint"] {
        assert_eq!(programs.post(path, &body).expect(200).json()["valid"], true, "{path}");
    }
    let form = Request::post("/api/v4/ci/lint").form(&[("content", &long)]);
    programs.ask(form, &programs.token).expect(200);
    let behind = json!({"content": "x".repeat(70_000), "private_token": programs.token});
    programs.ask(Request::post("/api/v4/ci/lint").json(&behind), "").expect(413);
    let query = Request::post("/api/v4/ci/lint").query("private_token", &programs.token).json(&behind);
    programs.ask(query, "").expect(200);
    programs.ask(Request::post("/api/v4/ci/lint").json(&body), "btn-nothing").expect(413);
    programs.post("ci/lint", &json!({"content": "x".repeat(3 << 20)})).expect(413);
    let old = programs.post("ci/lint", &json!({"content": "job: {script: [x]}"})).expect(200).json();
    assert_eq!(old["status"], "valid");
    assert_eq!(programs.post("ci/lint", &json!({})).expect(400).json(), json!({"error": "content is missing"}));
}

#[test]
fn a_projects_variables_reach_its_builds_masked_and_protected_as_they_say() {
    let (programs, forge) = stand(Limits::default());
    let runner = programs.baton.runner();
    let rules = "job: {script: [x], rules: [{if: '$REGION == \"eu\"'}]}";
    forge.push("main", &[(".gitlab-ci.yml", rules)]);
    forge.push("other", &[]);
    let put = |body: Value| programs.post("projects/demo/variables", &body);
    let said = put(json!({"key": "REGION", "value": "eu"})).expect(201).json();
    assert_eq!((&said["masked"], &said["environment_scope"]), (&json!(false), &json!("*")));
    put(json!({"key": "DEPLOY", "value": "hunter2hunter2", "masked": true, "protected": true})).expect(201);
    put(json!({"key": "CERT", "value": "text", "variable_type": "file"})).expect(201);
    let taken = put(json!({"key": "REGION", "value": "us"})).expect(400).json();
    assert_eq!(taken, json!({"message": {"key": ["(REGION) has already been taken"]}}));
    for (body, field) in [
        (json!({"key": "1A", "value": "x"}), "key"),
        (json!({"key": "CI_JOB_TOKEN", "value": "x"}), "key"),
        (json!({"key": "SHORT", "value": "hunter2", "masked": true}), "value"),
        (json!({"key": "E", "value": "x", "environment_scope": "prod*"}), "environment_scope"),
    ] {
        let said = put(body).expect(400).json();
        assert!(said["message"][field].is_array() && !said.to_string().contains("hunter2"), "{said}");
    }
    assert_eq!(put(json!({"key": "A"})).expect(400).json(), json!({"error": "value is missing"}));

    // Rules see them; the default branch alone gets the protected one; a run's own variable wins.
    let start = |body: Value| programs.post("projects/demo/pipeline", &body);
    start(json!({"ref": "main"})).expect(201);
    let build = programs.baton.claim(&runner);
    assert_eq!((value(&build, "DEPLOY"), value(&build, "CERT")), (json!("hunter2hunter2"), json!("text")));
    programs.baton.append(&build, 0, "the secret is hunter2hunter2, is it\n");
    programs.baton.finish(&build, "success");
    let log = programs.baton.trace_text(build.id);
    assert!(!log.contains("hunter2") && log.contains("the secret is"), "{log}");
    start(json!({"ref": "other"})).expect(201);
    assert_eq!(value(&programs.baton.claim(&runner), "DEPLOY"), Value::Null);
    start(json!({"ref": "main", "variables": [{"key": "REGION", "value": "us"}]})).expect(400);
    // A build that is queued alone gets them, too.
    programs.baton.build();
    assert_eq!(value(&programs.baton.claim(&runner), "REGION"), json!("eu"));

    let changed = programs.put("projects/demo/variables/REGION", &json!({"value": "us"})).expect(200).json();
    assert_eq!((&changed["value"], &changed["key"]), (&json!("us"), &json!("REGION")));
    assert_eq!(programs.json("projects/demo/variables/DEPLOY")["protected"], true);
    assert_eq!(super::each(&programs.json("projects/demo/variables"), "key"), ["CERT", "DEPLOY", "REGION"]);
    let said = start(json!({"ref": "main"})).expect(400).json();
    assert!(said["message"]["base"][0].as_str().unwrap().starts_with("Pipeline will not run for"), "{said}");
    programs.delete("projects/demo/variables/REGION").expect(204);
    programs.delete("projects/demo/variables/REGION").expect(404);
    programs.put("projects/demo/variables/REGION", &json!({"value": "x"})).expect(404);

    // The command line sets them, and lists no value.
    let run = |words: &[&str]| crate::harness::command::baton(programs.baton.data(), words);
    let done = |words: &[&str]| crate::harness::command::done(&run(words));
    done(&["variable", "set", "--project", "demo", "--value", "hunter2hunter2", "--masked", "TOKEN"]);
    for words in [&["variable", "list", "--project", "demo"][..], &["variable", "list", "--project", "demo", "--json"]]
    {
        let listed = done(words);
        assert!(listed.contains("TOKEN") && listed.contains("masked") && !listed.contains("hunter2"), "{listed}");
    }
    let remove = ["variable", "remove", "--project", "demo", "TOKEN"];
    done(&remove);
    assert!(crate::harness::command::refused(&run(&remove)).contains("no variable"));
}
