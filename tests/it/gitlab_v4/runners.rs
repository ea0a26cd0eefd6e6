//! Runners, as programs make, change and remove them.

use super::{Programs, each, work};
use crate::harness::*;
use baton::domain::build::{FailureReason, NewBuild};
use serde_json::{Value, json};

#[test]
fn runners_are_made_listed_changed_and_removed() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let made = programs
        .post("user/runners", &json!({"runner_type": "project_type", "project_id": 1, "tag_list": "kit,linux"}))
        .expect(201)
        .json();
    let token = made["token"].as_str().expect("a token").to_owned();
    assert!(token.starts_with("glrt-") && made["token_expires_at"].is_null(), "{made}");
    let list = json!(["kit", "linux"]);
    let body = json!({"runner_type": "instance_type", "tag_list": list, "run_untagged": "false", "paused": "True", "description": "all"});
    assert_eq!(programs.post("user/runners", &body).expect(201).json()["id"], 2);
    for (body, status) in [
        (json!({}), 400),
        (json!({"runner_type": "x"}), 400),
        (json!({"runner_type": "group_type", "group_id": 1}), 400),
        (json!({"runner_type": "project_type"}), 400),
        (json!({"runner_type": "project_type", "project_id": 9}), 404),
        (json!({"runner_type": "instance_type", "run_untagged": false}), 400),
        (json!({"runner_type": "instance_type", "maximum_timeout": "soon"}), 400),
    ] {
        programs.post("user/runners", &body).expect(status);
    }
    for list in ["runners", "runners/all", "projects/demo/runners"] {
        assert_eq!(each(&programs.json(list), "id"), [2, 1], "{list}");
    }
    for (query, ids) in [
        ("type=instance_type", &[2][..]),
        ("type=project_type&status=never_contacted", &[1]),
        ("status=online", &[]),
        ("paused=true", &[2]),
        ("tag_list=kit,linux", &[2, 1]),
        ("tag_list[]=kit&tag_list[]=windows", &[]),
        ("scope=paused", &[2]),
        ("version_prefix=15.", &[]),
    ] {
        assert_eq!(each(&programs.json(&format!("runners?{query}")), "id"), ids, "{query}");
    }
    programs.get("runners?status=tired").expect(400);

    let details = programs.json("runners/1");
    for (member, value) in [
        ("tag_list", json!(["kit", "linux"])),
        ("run_untagged", json!(true)),
        ("locked", json!(true)),
        ("runner_type", json!("project_type")),
        ("is_shared", json!(false)),
        ("status", json!("never_contacted")),
        ("maximum_timeout", Value::Null),
        ("contacted_at", Value::Null),
    ] {
        assert_eq!(details[member], value, "{member}");
    }
    assert_eq!(each(&details["projects"], "path_with_namespace"), ["demo"]);
    assert!(!details.to_string().contains(&token));
    let change = json!({"tag_list": ["kit"], "description": "new", "paused": true, "maximum_timeout": 60, "maintenance_note": "n"});
    let changed = programs.put("runners/1", &change).expect(200).json();
    for (member, value) in [
        ("tag_list", json!(["kit"])),
        ("description", json!("new")),
        ("paused", json!(true)),
        ("active", json!(false)),
        ("maximum_timeout", json!(60)),
    ] {
        assert_eq!(changed[member], value, "{member}");
    }
    assert_eq!(programs.put("runners/1", &json!({"active": true})).expect(200).json()["paused"], false);
    for (body, status) in [
        (json!({}), 400),
        (json!({"active": true, "paused": false}), 400),
        (json!({"tag_list": [], "run_untagged": false}), 400),
        (json!({"paused": "maybe"}), 400),
    ] {
        programs.put("runners/1", &body).expect(status);
    }
    assert_eq!(programs.json("runners/1")["tag_list"], json!(["kit"]), "what was refused has changed nothing");
    programs.post("projects/demo/runners", &json!({"runner_id": 2})).expect(403);
    programs.delete("projects/demo/runners/1").expect(403);

    let runner = TestRunner { id: baton::domain::runner::RunnerId(1), token };
    baton.build();
    baton.queue(NewBuild { name: "second".to_owned(), ..new_build("demo") });
    work(baton, &runner, None, "success");
    let claimed = baton.claim(&runner);
    assert_eq!(programs.json("runners/1")["running_jobs"], json!([claimed.id]));
    assert_eq!(programs.json("runners?status=online")[0]["job_execution_status"], "active");
    assert_eq!(each(&programs.json("runners/1/jobs"), "id"), [2, 1]);
    assert_eq!(each(&programs.json("runners/1/jobs?status=success"), "id"), [1]);
    assert_eq!(programs.json("runners/1/managers"), json!([]), "runners of 1.x do not say which they are");
    let other = programs.post("runners/1/reset_authentication_token", &json!({})).expect(201).json();
    baton.ask(&runner).expect(403);
    assert!(other["token"].as_str().is_some_and(|token| token.starts_with("glrt-")));
    programs.delete("runners/1").expect(204);
    assert_eq!(baton.show(claimed.id).failure_reason, Some(FailureReason::RunnerLost));
    programs.get("runners/1").expect(404);
    programs.delete("runners/1").expect(404);
    // Its jobs name it still.
    assert_eq!(programs.json(&format!("projects/demo/jobs/{}", claimed.id))["runner"]["id"], 1);
}
