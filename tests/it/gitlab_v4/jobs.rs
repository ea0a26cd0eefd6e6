//! Jobs: what they look like in each state, and what is done with them.

use super::{Programs, each, of_branch, work};
use crate::harness::command;
use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::spec::{AllowFailure, BuildSpec};
use serde_json::{Value, json};

fn job(programs: &Programs, id: BuildId) -> Value {
    programs.json(&format!("projects/demo/jobs/{id}"))
}

#[test]
fn a_job_tells_all_that_the_command_line_tells_of_its_build() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let id = baton.build();
    let waiting = job(&programs, id);
    for (member, value) in [
        ("status", json!("pending")),
        ("name", json!("spinach")),
        ("stage", json!("test")),
        ("ref", json!("master")),
        ("tag", json!(false)),
        ("started_at", Value::Null),
        ("finished_at", Value::Null),
        ("duration", Value::Null),
        ("runner", Value::Null),
        ("runner_manager", Value::Null),
        ("artifacts", json!([])),
        ("archived", json!(false)),
        ("web_url", json!("http://baton.test/demo/-/jobs/1")),
    ] {
        assert_eq!(waiting[member], value, "{member}");
    }
    let reason = baton.operator().show_build(id, baton::domain::time::Timestamp::now()).unwrap().pending_reason;
    assert_eq!(waiting["pending_reason"], json!(reason.expect("a reason")), "what the command line says");
    assert!(waiting["queued_duration"].is_number() && waiting.get("failure_reason").is_none());
    assert_eq!((&waiting["pipeline"]["id"], &waiting["pipeline"]["iid"]), (&json!(1), &json!(1)));
    assert_eq!(waiting["commit"]["short_id"], "0b3bce98");

    let runner = baton.runner();
    let claimed = baton.claim(&runner);
    let running = job(&programs, id);
    assert_eq!((&running["status"], &running["runner"]["id"]), (&json!("running"), &json!(runner.id)));
    assert_eq!((&running["runner"]["status"], &running["pipeline"]["status"]), (&json!("online"), &json!("running")));
    assert!(running["started_at"].is_string() && running["duration"].is_number(), "{running}");
    assert!(!running.to_string().contains(&claimed.token), "no token is in a job");

    baton.send(upload(&claimed, "out.zip", b"bytes")).expect(201);
    baton.finish(&claimed, "failed");
    let failed = job(&programs, id);
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&json!("failed"), &json!("script_failure")));
    assert_eq!(failed["artifacts_file"], json!({"filename": "out.zip", "size": 5}));
    let archive = json!([{"file_type": "archive", "size": 5, "filename": "out.zip", "file_format": "zip"}]);
    assert_eq!(failed["artifacts"], archive);
    assert!(failed["finished_at"].is_string());

    // One that waits for another cannot be handed out.
    let needed = baton.build();
    let needing = baton.build_needing(&[needed]);
    let created = job(&programs, needing);
    assert_eq!((&created["status"], &created["queued_duration"]), (&json!("created"), &Value::Null));
    assert_eq!(created["needs"], json!([needed]));
}

#[test]
fn jobs_are_canceled_retried_and_erased_and_what_their_state_forbids_is_403() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let runner = baton.runner();
    let id = baton.build();
    let deed = |id: BuildId, deed: &str| programs.post(&format!("projects/demo/jobs/{id}/{deed}"), &json!({}));
    let says = |response: Response, words: &str| assert_eq!(response.expect(403).json()["message"], words);
    says(deed(id, "retry"), "403 Forbidden - Job is not retryable");
    says(deed(id, "erase"), "403 Forbidden - Job is not erasable!");
    let unplayable = deed(id, "play").expect(400).json();
    assert_eq!(unplayable["message"], "400 Bad request - Unplayable Job");
    let claimed = baton.claim(&runner);
    says(deed(id, "erase"), "403 Forbidden - Job is not erasable!");
    assert_eq!(deed(id, "cancel").expect(201).json()["status"], "canceled");
    assert_eq!(baton.status(claimed.id), Status::Canceled);
    assert_eq!(deed(id, "cancel").expect(201).json()["status"], "canceled", "also when it had ended");
    let again = deed(id, "retry").expect(201).json();
    assert_eq!((&again["id"], &again["status"], &again["retry_of"]), (&json!(2), &json!("pending"), &json!(1)));
    assert_eq!(job(&programs, id)["retried_by"], json!(2));
    says(deed(id, "retry"), "403 Forbidden - Job is not retryable");

    let ended = work(baton, &runner, Some(b"archive"), "success");
    assert_eq!(ended.id, BuildId(2));
    let kept = deed(ended.id, "artifacts/keep").expect(200).json();
    assert_eq!((&kept["artifacts_expire_at"], &kept["artifacts_file"]["size"]), (&Value::Null, &json!(7)));
    let erased = deed(ended.id, "erase").expect(201).json();
    assert!(erased["erased_at"].is_string() && erased["artifacts"] == json!([]), "{erased}");
    says(deed(ended.id, "erase"), "403 Forbidden - Job is not erasable!");
    deed(ended.id, "artifacts/keep").expect(404);
    assert_eq!(programs.get("projects/demo/jobs/2/trace").expect(200).text(), "");
    for deed_of_nothing in ["cancel", "retry", "erase", "play", "artifacts/keep"] {
        let said = deed(BuildId(99), deed_of_nothing).expect(404).json();
        assert_eq!(said, json!({"message": "404 Not found"}), "{deed_of_nothing}");
    }
}

#[test]
fn a_list_of_jobs_has_the_newest_first_and_can_be_asked_for_states() {
    let programs = Programs::start();
    let baton = &programs.baton;
    baton.project("other");
    let runner = baton.runner();
    for name in ["one", "two", "three"] {
        of_branch(baton, "main", name);
    }
    baton.queue(new_build("other"));
    work(baton, &runner, None, "success");
    work(baton, &runner, None, "failed");
    let spec = BuildSpec { allow_failure: AllowFailure::Any(true), ..BuildSpec::of_script("false") };
    baton.queue(NewBuild { spec, ..new_build("demo") });
    assert_eq!(each(&programs.json("projects/demo/jobs"), "id"), [5, 3, 2, 1]);
    for (scope, ids) in [
        ("scope=failed", &[2][..]),
        ("scope[]=success&scope[]=failed", &[2, 1]),
        ("scope%5B0%5D=pending", &[5, 3]),
        ("scope[]=pending&scope[]=success&sort=asc", &[1, 3, 5]),
        ("scope=manual", &[]),
        ("scope[]=pending&per_page=1&page=2", &[3]),
    ] {
        assert_eq!(each(&programs.json(&format!("projects/demo/jobs?{scope}")), "id"), ids, "{scope}");
    }
    // Whose token it is.
    let claimed = baton.claim(&runner);
    let own = baton.send(Request::get("/api/v4/job").header("JOB-TOKEN", &claimed.token)).expect(200).json();
    assert_eq!((&own["id"], &own["status"]), (&json!(claimed.id), &json!("running")));
    let basic = baton.send(Request::get("/api/v4/job").header("Authorization", &format!("Bearer {}", claimed.token)));
    assert_eq!(basic.expect(200).json()["id"], own["id"]);
    assert_eq!(programs.get("job").expect(404).json()["message"], "404 Job Not Found");
}

/// Where the API has what `baton build show --json` has. The project is in the path.
const FACTS: &[(&str, &str)] = &[
    ("id", "/id"),
    ("project", ""),
    ("name", "/name"),
    ("stage", "/stage"),
    ("ref", "/ref"),
    ("sha", "/commit/id"),
    ("status", "/status"),
    ("failure_reason", "/failure_reason"),
    ("pending_reason", "/pending_reason"),
    ("runs_without", "/runs_without"),
    ("tags", "/tag_list"),
    ("needs", "/needs"),
    ("created_at", "/created_at"),
    ("started_at", "/started_at"),
    ("finished_at", "/finished_at"),
    ("runner", "/runner/id"),
    ("manager", "/runner_manager/system_id"),
    ("trace_size", "/log_bytes"),
    ("artifacts_file", "/artifacts_file/size"),
    ("artifacts", "/artifacts/0/file_type"),
    ("exit_code", "/exit_code"),
    ("failure_text", "/failure_text"),
    ("failure_allowed", "/allow_failure"),
    ("retry_of", "/retry_of"),
    ("retried_as", "/retried_by"),
    ("pipeline", "/pipeline/id"),
    ("stage_index", "/stage_index"),
    ("when", "/when"),
    ("group", "/group"),
    ("parallel", "/parallel"),
    ("environment", "/environment"),
    ("coverage", "/coverage"),
    ("interruptible", "/interruptible"),
    ("manual_confirmation", "/manual_confirmation"),
    ("refused", "/refused"),
    // What a bridge makes is among the pipelines, with its `parent_job`; what a JUnit report says is the pipeline's.
    ("trigger", ""),
    ("junit", ""),
    ("erased_at", "/erased_at"),
];

#[test]
fn each_fact_that_is_shown_elsewhere_is_in_a_job() {
    let programs = Programs::start();
    let baton = &programs.baton;
    let runner = baton.runner();
    let ended = baton.build();
    work(baton, &runner, Some(b"archive"), "failed");
    let waiting = baton.build_needing(&[ended]);
    let mut compared = 0;
    for id in [ended, waiting] {
        let output = command::baton(baton.data(), &["build", "show", &id.to_string(), "--json"]);
        let document: Value = serde_json::from_str(&command::done(&output)).unwrap();
        let job = job(&programs, id);
        for (member, value) in document.as_object().unwrap() {
            let place =
                FACTS.iter().find(|(own, _)| own == member).unwrap_or_else(|| panic!("{member} is nowhere in a job"));
            let expected = match member.as_str() {
                "runner" => value["id"].clone(),
                "artifacts_file" => value["size"].clone(),
                "artifacts" => value[0]["kind"].clone(),
                // With its place in the pipeline, of which it is the first.
                "created_at" => json!(value.as_str().unwrap().replace('Z', "000Z")),
                _ => value.clone(),
            };
            let own = job.pointer(place.1).cloned().unwrap_or_default();
            assert!(place.1.is_empty() || own == expected, "{member} of build {id}: {expected} is {own}");
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared}");
}
