//! GitLab's API for programs. Every answer that these tests get is held against the API's own description.

mod description;
mod files;
mod jobs;
mod pages;
mod pipelines;
mod refusals;
mod router;
mod runners;
mod start;
mod tokens;

use self::description::Description;
use crate::harness::*;
use baton::coordinator::NewAccessToken;
use baton::domain::access_token::AccessScope;
use baton::domain::build::{BuildId, NewBuild};
use baton::domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A server, and a program that may do all.
struct Programs {
    baton: Baton,
    token: String,
    description: Description,
}

/// A token that is made for a test.
struct Wanted<'a> {
    name: &'a str,
    scope: AccessScope,
    project: Option<&'a str>,
    life: Option<Duration>,
}

impl Programs {
    /// With a project `demo`.
    fn start() -> Programs {
        Programs::with(Baton::with_project())
    }

    fn with(baton: Baton) -> Programs {
        let description = Description::of(&baton);
        let token = token(&baton, &Wanted { name: "all", scope: AccessScope::Api, project: None, life: None });
        Programs { baton, token, description }
    }

    /// The answer to a request with this token, which must be as the API describes it.
    #[track_caller]
    fn ask(&self, request: Request, token: &str) -> Response {
        let (method, target) = (request.method().to_owned(), request.target().to_owned());
        let request = match token {
            "" => request,
            own if own.starts_with("btn-") => request.header("PRIVATE-TOKEN", own),
            other => request.header("JOB-TOKEN", other),
        };
        let response = self.baton.send(request);
        self.description.expect_fits(&method, &target, &response);
        response
    }

    #[track_caller]
    fn get(&self, path: &str) -> Response {
        self.ask(Request::get(&format!("/api/v4/{path}")), &self.token)
    }

    /// An object or a list, with status 200.
    #[track_caller]
    fn json(&self, path: &str) -> Value {
        self.get(path).expect(200).json()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Response {
        self.ask(Request::post(&format!("/api/v4/{path}")).json(body), &self.token)
    }

    #[track_caller]
    fn put(&self, path: &str, body: &Value) -> Response {
        self.ask(Request::put(&format!("/api/v4/{path}")).json(body), &self.token)
    }

    #[track_caller]
    fn delete(&self, path: &str) -> Response {
        self.ask(Request::delete(&format!("/api/v4/{path}")), &self.token)
    }
}

fn token(baton: &Baton, wanted: &Wanted<'_>) -> String {
    let new = NewAccessToken {
        name: wanted.name.to_owned(),
        scope: wanted.scope,
        project: wanted.project.map(str::to_owned),
        life: wanted.life,
    };
    let (_, token) = baton.operator().add_access_token(new, Timestamp::now()).unwrap();
    token.reveal().to_owned()
}

/// Of every entry this member.
fn each(list: &Value, member: &str) -> Vec<Value> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(|entry| entry[member].clone()).collect()
}

/// A build of a branch, queued alone.
fn of_branch(baton: &Baton, branch: &str, name: &str) -> BuildId {
    baton.queue(NewBuild { ref_: branch.to_owned(), name: name.to_owned(), ..new_build("demo") })
}

/// Has a runner take the oldest build, upload this archive, if there is one, and end so.
fn work(baton: &Baton, runner: &TestRunner, archive: Option<&[u8]>, state: &str) -> Claimed {
    let claimed = baton.claim(runner);
    baton.append(&claimed, 0, "a line\n");
    if let Some(archive) = archive {
        baton.send(upload(&claimed, "artifacts.zip", archive)).expect(201);
    }
    baton.finish(&claimed, state);
    claimed
}

#[test]
fn a_program_is_told_who_it_is_and_what_it_speaks_with() {
    let programs = Programs::start();
    let version = programs.json("version");
    assert_eq!(version, programs.json("metadata"));
    assert!(version["version"].as_str().unwrap().starts_with("18."), "{version}");
    let user = programs.json("user");
    assert_eq!((&user["id"], &user["username"], &user["name"]), (&json!(1), &json!("operator"), &json!("all")));
    let own = programs.json("personal_access_tokens/self");
    assert_eq!((&own["name"], &own["active"], &own["scopes"]), (&json!("all"), &json!(true), &json!(["api"])));
    assert!(!own.to_string().contains(&programs.token), "the token is in its own object");
    for nothing in [
        "groups",
        "namespaces",
        "projects/demo/merge_requests?source_branch=x",
        "projects/1/environments",
        "projects/demo/pipeline_schedules?scope=active",
    ] {
        assert_eq!(programs.json(nothing), json!([]), "{nothing}");
    }
    programs.get("projects/demo/pipeline_schedules/1").expect(404);
    programs.post("projects/demo/pipeline_schedules", &json!({"cron": "* * * * *"})).expect(403);
    // The last use is noted soon, and nobody waits for it.
    let used = || programs.baton.operator().list_access_tokens().unwrap()[0].used_at;
    while used().is_none() {
        programs.get("version");
    }
}

#[test]
fn a_project_is_found_by_number_and_by_encoded_name() {
    let programs = Programs::start();
    programs.baton.operator().add_project("group/sub/a.b", None, Duration::from_secs(60), Timestamp::now()).unwrap();
    for path in ["2", "group%2Fsub%2Fa.b", "group%2fsub%2fa%2Eb", "GROUP%2Fsub%2Fa.b"] {
        let project = programs.json(&format!("projects/{path}"));
        assert_eq!(project["path_with_namespace"], "group/sub/a.b", "{path}");
        let parts = (&project["id"], &project["name"], &project["namespace"]["full_path"], &project["build_timeout"]);
        assert_eq!(parts, (&json!(2), &json!("a.b"), &json!("group/sub"), &json!(60)), "{path}");
        assert_eq!(project["web_url"], "http://baton.test/group/sub/a.b");
        assert!(project.get("runners_token").is_none() && !project.to_string().contains("ci_token"));
    }
    for path in ["3", "99999999999999999999", "nobody", "group%2Fsub", "%ff", "%00"] {
        let said = programs.get(&format!("projects/{path}")).expect(404).json();
        assert_eq!(said, json!({"message": "404 Project Not Found"}), "{path}");
    }
    assert_eq!(each(&programs.json("projects"), "id"), [2, 1]);
    assert_eq!(each(&programs.json("projects?order_by=name&sort=asc"), "id"), [1, 2]);
    assert_eq!(each(&programs.json("projects?search=SUB&membership=True&owned=yes"), "id"), [2]);
    assert_eq!(each(&programs.json("projects?id_after=1"), "id"), [2]);
    assert_eq!(each(&programs.json("projects?archived=true"), "id"), Vec::<Value>::new());
    let simple = programs.json("projects?simple=True&per_page=1");
    assert!(simple[0].get("permissions").is_none() && simple[0]["namespace"]["kind"] == "group", "{simple}");
    programs.get("projects?order_by=shape").expect(400);
    programs.get("projects?simple=maybe").expect(400);

    let made = programs.post("projects", &json!({"name": "new"})).expect(201).json();
    assert_eq!((&made["id"], &made["path"]), (&json!(3), &json!("new")));
    let taken = programs.post("projects", &json!({"path": "NEW"})).expect(400).json();
    assert_eq!(taken, json!({"message": {"name": ["has already been taken"]}}));
    programs.post("projects", &json!({"name": "x", "import_url": "http://127.0.0.1:1/x"})).expect(403);
    programs.post("projects", &json!({})).expect(400);
    programs.post("projects", &json!({"name": "123"})).expect(400);
    assert_eq!(each(&programs.json("projects"), "id"), [3, 2, 1], "what was refused has changed nothing");
}

#[test]
fn a_project_is_renamed_given_another_timeout_and_removed_with_all_that_it_has() {
    let programs = Programs::start();
    let baton = &programs.baton;
    baton.project("group/old");
    let runner = baton.project_runner("group/old");
    let queue = || baton.queue(NewBuild { project: "group/old".to_owned(), ..new_build("demo") });
    let put = |body: Value| programs.put("projects/2", &body);
    let changed = put(json!({"name": "new", "build_timeout": 120})).expect(200).json();
    assert_eq!((&changed["path_with_namespace"], &changed["build_timeout"]), (&json!("group/new"), &json!(120)));
    assert_eq!(put(json!({"path": "old", "name": "other"})).expect(200).json()["path"], "old");
    let form = Request::put("/api/v4/projects/group%2Fold").form(&[("build_timeout", "60")]);
    assert_eq!(programs.ask(form, &programs.token).expect(200).json()["build_timeout"], 60);
    programs.post("projects", &json!({"path": "group/taken"})).expect(201);
    for (body, said) in [
        (json!({"name": "taken"}), json!({"message": {"name": ["has already been taken"]}})),
        (json!({"build_timeout": "long"}), json!({"error": "build_timeout is invalid"})),
        (
            json!({"default_branch": "x"}),
            json!({"message": {"default_branch": ["is what HEAD of its repository points to"]}}),
        ),
    ] {
        assert_eq!(put(body).expect(400).json(), said);
    }
    for (body, status) in [
        (json!({}), 400),
        (json!({"description": "x"}), 400),
        (json!({"name": "a/b"}), 400),
        (json!({"name": "-"}), 400),
        (json!({"build_timeout": 0}), 400),
        (json!({"name": "x", "import_url": "http://127.0.0.1:1/x"}), 403),
    ] {
        assert_eq!(put(body.clone()).status, status, "{body}");
    }
    let kept = programs.json("projects/2");
    assert_eq!((&kept["path_with_namespace"], &kept["build_timeout"]), (&json!("group/old"), &json!(60)));

    // What runs is canceled, and nothing of it is left; who is kept to it may not.
    let id = queue();
    let claimed = baton.claim(&runner);
    queue();
    let own = Wanted { name: "own", scope: AccessScope::Api, project: Some("group/old"), life: None };
    let own = token(baton, &own);
    programs.ask(Request::delete("/api/v4/projects/2"), &own).expect(403);
    assert_eq!(programs.delete("projects/group%2Fold").expect(202).json(), json!({"message": "202 Accepted"}));
    programs.get("projects/2").expect(404);
    programs.delete("projects/2").expect(404);
    programs.ask(Request::get("/api/v4/user"), &own).expect(401);
    assert!(baton.operator().show_build(id, Timestamp::now()).is_err());
    baton.send(patch(&claimed, 0, b"more")).expect(404);
    assert_eq!(each(&programs.json("projects"), "id"), [3, 1]);
}
