//! Pipelines whose configuration is refused: stored where nobody reads the answer, and what becomes of them.

use super::Programs;
use super::start::{stand, trigger_token};
use crate::harness::command::{baton, done, text};
use crate::harness::served::wait_for;
use crate::harness::*;
use baton::coordinator::Removal;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Two errors; the first is in the fourth line.
const WRONG: &str = "stages: [build]\n\ncompile:\n  scirpt: [make]\n  script: [make]\n\nunit: {tags: 5, script: [x]}\n";

/// Triggers a pipeline of a branch.
fn trigger(programs: &Programs, token: &str, branch: &str) -> Response {
    let body = json!({"ref": branch, "token": token});
    programs.ask(Request::post("/api/v4/projects/demo/trigger/pipeline").json(&body), "")
}

fn ids(programs: &Programs, query: &str) -> Vec<Value> {
    super::each(&programs.json(&format!("projects/demo/pipelines?{query}")), "id")
}

#[test]
fn a_trigger_with_a_wrong_configuration_leaves_a_failed_pipeline_that_says_why() {
    let (programs, forge) = stand(Limits::default());
    let token = trigger_token(&programs);
    let sha = forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    let said = trigger(&programs, &token, "main").expect(400).json();
    let base: Vec<&str> = said["message"]["base"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(base[0].starts_with(".gitlab-ci.yml:4: ") && base[0].contains("scirpt"), "{base:?}");

    let shown = programs.json("projects/demo/pipelines/1");
    for (field, value) in [
        ("status", json!("failed")),
        ("source", json!("trigger")),
        ("yaml_errors", json!(base.join("\n"))),
        ("sha", json!(sha)),
        ("iid", json!(1)),
        ("title", json!("Change it")),
        ("started_at", Value::Null),
        ("duration", Value::Null),
        ("finished_at", shown["created_at"].clone()),
        ("has_warnings", json!(false)),
        ("stages", json!([])),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(
        (&shown["detailed_status"]["group"], &shown["user"]["name"]),
        (&json!("failed"), &json!("trigger token nightly"))
    );
    assert_eq!(programs.json("projects/demo/pipelines/1/jobs"), json!([]));
    assert_eq!(programs.json("projects/demo/pipelines/1/variables"), json!([]));
    assert_eq!(programs.json("projects/demo/pipelines/latest?ref=main")["yaml_errors"], shown["yaml_errors"]);
    for (query, found) in [
        ("", &[1][..]),
        ("yaml_errors=true", &[1]),
        ("yaml_errors=false", &[]),
        ("yaml_errors=true&ref=main&status=failed", &[1]),
        ("status=failed", &[1]),
        ("scope=finished", &[1]),
        ("status=skipped", &[]),
        ("status=success", &[]),
    ] {
        assert_eq!(ids(&programs, query), found, "{query}");
    }
    // There is nothing to cancel, and nothing to repeat.
    let again = programs.post("projects/demo/pipelines/1/cancel", &json!({})).expect(200).json();
    assert_eq!(again["status"], "failed");
    let again = programs.post("projects/demo/pipelines/1/retry", &json!({})).expect(201).json();
    assert_eq!((&again["status"], &again["yaml_errors"]), (&json!("failed"), &shown["yaml_errors"]));

    // Good ones are none of it.
    forge.push("main", &[(".gitlab-ci.yml", "job: {script: [x]}")]);
    trigger(&programs, &token, "main").expect(201);
    assert_eq!(
        (ids(&programs, "yaml_errors=true"), ids(&programs, "yaml_errors=false")),
        (vec![json!(1)], vec![json!(2)])
    );
    assert_eq!(programs.json("projects/demo/pipelines/2")["yaml_errors"], Value::Null);
    expect_well(programs.baton.data());
    programs.delete("projects/demo/pipelines/1").expect(204);
    programs.get("projects/demo/pipelines/1").expect(404);
    assert_eq!(ids(&programs, "yaml_errors=true"), Vec::<Value>::new());
    expect_well(programs.baton.data());
}

#[test]
fn nothing_is_stored_where_somebody_reads_the_answer_or_where_there_is_nothing_to_run() {
    let (programs, forge) = stand(Limits::default());
    let (runner, token) = (programs.baton.runner(), trigger_token(&programs));
    let count = || programs.json("projects/demo/pipelines").as_array().unwrap().len();
    forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(400);
    let from = forge.url();
    let run = |source: &str| {
        let words = ["pipeline", "run", "--project", "demo", "--ref", "main", "--source", source];
        let output = baton(programs.baton.data(), &words);
        assert_eq!(output.status.code(), Some(1), "{from}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(".gitlab-ci.yml:4: "), "{}", text(&output.stderr));
    };
    run("web");
    run("api");
    assert_eq!(count(), 0);
    // A hook on the same machine calls so.
    run("push");
    assert_eq!(count(), 1);
    assert_eq!(programs.json("projects/demo/pipelines/1")["source"], "push");
    forge.push("main", &[(".gitlab-ci.yml", "job: {script: [x], rules: [{when: never}]}")]);
    trigger(&programs, &token, "main").expect(400);
    trigger(&programs, &token, "nowhere").expect(400);
    let work = forge.work();
    std::fs::remove_file(work.join(".gitlab-ci.yml")).unwrap();
    forge.push("main", &[("other.yml", "")]);
    let said = trigger(&programs, &token, "main").expect(400).json();
    assert!(said.to_string().contains("Missing CI config file"), "{said}");
    assert_eq!(count(), 1);

    // What only its jobs show is kept, too, and none of its jobs.
    let long = "x".repeat(300);
    let config = format!("good: {{script: [x]}}\nlong: {{script: [x], tags: [{long}]}}");
    forge.push("main", &[(".gitlab-ci.yml", &config)]);
    let said = trigger(&programs, &token, "main").expect(400).json();
    assert_eq!(programs.json("projects/demo/pipelines/2")["yaml_errors"], said["message"]["base"][0]);
    assert_eq!(programs.json("projects/demo/jobs"), json!([]));
    programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(400);
    assert_eq!(count(), 2);

    // A job's own token: its script may pass over what it was answered.
    programs.baton.build();
    let build = programs.baton.claim(&runner);
    forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    trigger(&programs, &build.token, "main").expect(400);
    assert_eq!(programs.json("projects/demo/pipelines?yaml_errors=true")[0]["source"], "pipeline");
    expect_well(programs.baton.data());
}

#[test]
fn no_secret_is_kept_with_what_is_wrong() {
    let (programs, forge) = stand(Limits::default());
    let token = trigger_token(&programs);
    let secret = json!({"key": "DEPLOY", "value": "hunter2hunter2", "masked": true});
    programs.post("projects/demo/variables", &secret).expect(201);
    let config = "job:\n  scirpt: [login hunter2hunter2]\n  # hunter2hunter2\n  hunter2hunter2: 1\n";
    forge.push("main", &[(".gitlab-ci.yml", config)]);
    let said = trigger(&programs, &token, "main").expect(400).json();
    let kept: String =
        programs.baton.database().query_row("SELECT refusal FROM pipelines", [], |row| row.get(0)).unwrap();
    for text in [&kept, &said.to_string(), &done(&baton(programs.baton.data(), &["pipeline", "show", "1", "--json"]))] {
        assert!(!text.contains("hunter2") && text.contains("[MASKED]"), "{text}");
    }
    let context: Option<String> =
        programs.baton.database().query_row("SELECT context FROM pipelines", [], |row| row.get(0)).unwrap();
    assert_eq!(context, None, "its variables are nobody's");
}

#[test]
fn a_child_that_is_refused_is_there_and_fails_the_job_that_wants_it() {
    let (programs, forge) = stand(Limits::default());
    let parent = "makes: {trigger: {include: [{local: child.yml}], strategy: depend}}\n";
    forge.push("main", &[(".gitlab-ci.yml", parent), ("child.yml", "job: {scirpt: [x]}\n")]);
    programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(201);
    wait_for("the end", || (programs.json("projects/demo/pipelines/1")["status"] == "failed").then_some(()));
    let child = programs.json("projects/demo/pipelines/2");
    let shown = (&child["status"], &child["source"], &child["parent_job"]);
    assert_eq!(shown, (&json!("failed"), &json!("parent_pipeline"), &json!(1)));
    let errors = child["yaml_errors"].as_str().unwrap();
    assert!(errors.contains("scirpt"), "{errors}");
    assert_eq!(programs.json("projects/demo/jobs/1")["status"], "failed");
    let kept = programs.baton.show(baton::domain::build::BuildId(1)).failure_text.unwrap();
    assert!(errors.starts_with(&kept), "{kept}");
    expect_well(programs.baton.data());
    // What the job itself names and nobody has stands in no line of the child's.
    let missing = "makes: {trigger: {include: [{local: nowhere.yml}]}}\n";
    forge.push("missing", &[(".gitlab-ci.yml", missing)]);
    programs.post("projects/demo/pipeline", &json!({"ref": "missing"})).expect(201);
    wait_for("the end", || (programs.json("projects/demo/pipelines/3")["status"] == "failed").then_some(()));
    let child = programs.json("projects/demo/pipelines/4");
    assert_eq!(child["yaml_errors"], "Local file `nowhere.yml` does not exist!");
    // One through which rules let nothing is none.
    let never = "job: {script: [x], rules: [{when: never}]}\n";
    forge.push("main", &[(".gitlab-ci.yml", parent), ("child.yml", never)]);
    programs.post("projects/demo/pipeline", &json!({"ref": "main"})).expect(201);
    wait_for("the end", || (programs.json("projects/demo/pipelines/5")["status"] == "failed").then_some(()));
    assert_eq!(ids(&programs, ""), [5, 4, 3, 2, 1]);
}

#[test]
fn the_command_line_lists_shows_and_follows_a_refused_pipeline_as_failed() {
    let (programs, forge) = stand(Limits::default());
    let token = trigger_token(&programs);
    forge.push("main", &[(".gitlab-ci.yml", &WRONG.replace("scirpt", "\u{1b}[31mscirpt"))]);
    trigger(&programs, &token, "main").expect(400);
    forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    trigger(&programs, &token, "main").expect(400);
    let run = |words: &[&str]| baton(programs.baton.data(), words);
    let listed = done(&run(&["pipeline", "list"]));
    assert_eq!(listed.matches("failed (refused)").count(), 2, "{listed}");
    let json: Value =
        serde_json::from_str(done(&run(&["pipeline", "list", "--json"])).lines().next().unwrap()).unwrap();
    assert_eq!((&json["status"], &json["refused"]), (&json!("failed"), &json!(true)));
    let shown = done(&run(&["pipeline", "show", "2"]));
    for line in
        ["failed (refused)", "its configuration was refused", "\n       3 | compile:", "\n  >    4 |   scirpt: [make]"]
    {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!done(&run(&["pipeline", "show", "1"])).contains('\u{1b}'));
    let json: Value = serde_json::from_str(&done(&run(&["pipeline", "show", "2", "--json"]))).unwrap();
    let first = &json["refusal"][0];
    assert_eq!((&first["line"], &first["around"][3]), (&json!(4), &json!({"number": 4, "text": "  scirpt: [make]"})));
    assert_eq!((&json["jobs"], json["refusal"].as_array().unwrap().len()), (&json!([]), 2));
    let followed = run(&["pipeline", "follow", "2"]);
    assert_eq!(followed.status.code(), Some(1));
    assert!(
        text(&followed.stdout).ends_with("pipeline 2: failed (its configuration was refused), 0 jobs\n"),
        "{}",
        text(&followed.stdout)
    );
    for verb in ["cancel", "retry"] {
        assert_eq!(run(&["pipeline", verb, "2"]).status.code(), Some(1), "{verb}");
    }
}

#[test]
fn refused_pipelines_go_when_they_are_old_and_with_their_project() {
    let keep = Limits { keep_builds: Some(7 * DAY), ..Limits::default() };
    let (programs, forge) = stand(keep);
    let (token, operator) = (trigger_token(&programs), programs.baton.operator());
    forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    trigger(&programs, &token, "main").expect(400);
    let mut database = programs.baton.database();
    let age = |database: &rusqlite::Connection, id: i64, days: u32| {
        let at = Timestamp::now().minus(days * DAY).0;
        assert_eq!(database.execute("UPDATE pipelines SET created_at = ?1 WHERE id = ?2", [at, id]).unwrap(), 1);
    };
    let copy = "INSERT INTO pipelines (project_id, iid, ref, is_tag, source, stages, left_out, warnings, created_at, refusal)
        SELECT project_id, ?1, ref, is_tag, source, stages, left_out, warnings, ?2, refusal FROM pipelines WHERE id = 1";
    let at = Timestamp::now().minus(3 * DAY).0;
    let transaction = database.transaction().unwrap();
    for iid in 2..=120 {
        transaction.execute(copy, [iid, at]).unwrap();
    }
    transaction.commit().unwrap();
    let count = || operator.list_pipelines(None, None).unwrap().len();
    let prune = |arguments: &[&str]| -> Value {
        let words = [&["prune", "--json"], arguments].concat();
        serde_json::from_str(&done(&baton(programs.baton.data(), &words))).unwrap()
    };
    assert_eq!(prune(&["--older-than", "2d", "--dry-run"])["refused_pipelines"], 119);
    assert_eq!((prune(&["--older-than", "4d"])["refused_pipelines"].as_u64(), count()), (Some(0), 120));
    programs.baton.project("other");
    assert_eq!(prune(&["--older-than", "2d", "--project", "other"])["refused_pipelines"], 0);
    let said = done(&baton(programs.baton.data(), &["prune", "--older-than", "2d"]));
    assert!(said.starts_with("removed 0 builds and 119 refused pipelines that ended more than "), "{said}");
    assert_eq!(count(), 1);

    // The server removes them by itself, and nothing that is younger.
    trigger(&programs, &token, "main").expect(400);
    age(&database, 1, 8);
    operator.retire(Timestamp::now()).unwrap();
    let left: Vec<i64> = operator.list_pipelines(None, None).unwrap().iter().map(|one| one.pipeline.id.0).collect();
    assert_eq!(left, [121]);
    let plan: String = database
        .query_row(
            "EXPLAIN QUERY PLAN SELECT created_at, id FROM pipelines WHERE refusal IS NOT NULL AND created_at <= 1
            AND (created_at, id) > (0, 0) ORDER BY created_at, id LIMIT 5",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("pipelines_refused"), "{plan}");
    expect_well(programs.baton.data());
    assert_eq!(operator.prune_refused(DAY, None, Removal::Done, Timestamp::now()).unwrap(), 0);

    // They are no reason to keep a project.
    operator.remove_project("demo", false, Timestamp::now()).unwrap();
    assert_eq!(count(), 0);
    expect_well(programs.baton.data());
}

#[test]
fn a_check_complains_of_a_pipeline_with_neither_builds_nor_refusal_and_of_one_with_both() {
    let (programs, forge) = stand(Limits::default());
    let token = trigger_token(&programs);
    trigger(&programs, &token, "main").expect(201);
    forge.push("main", &[(".gitlab-ci.yml", WRONG)]);
    trigger(&programs, &token, "main").expect(400);
    let database = programs.baton.database();
    for (change, undo, complaint) in [
        (
            "UPDATE pipelines SET refusal = NULL WHERE id = 2",
            "UPDATE pipelines SET refusal = '[]' WHERE id = 2",
            "pipeline 2 has no builds",
        ),
        (
            "UPDATE pipelines SET refusal = '[]' WHERE id = 1",
            "UPDATE pipelines SET refusal = NULL WHERE id = 1",
            "pipeline 1 has builds, although",
        ),
        (
            "UPDATE pipelines SET refusal = '{' WHERE id = 2",
            "UPDATE pipelines SET refusal = '[]' WHERE id = 2",
            "what pipeline 2 was made of is damaged",
        ),
    ] {
        database.execute(change, []).unwrap();
        let output = baton(programs.baton.data(), &["check"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(complaint), "{change}: {said}");
        database.execute(undo, []).unwrap();
        expect_well(programs.baton.data());
    }
}
