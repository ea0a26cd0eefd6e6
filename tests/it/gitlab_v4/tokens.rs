//! Every route with every kind of token: what is whose, and what is said to whom it is not.

use super::{Programs, Wanted, of_branch, token, work};
use crate::harness::command::{self, baton as run};
use crate::harness::*;
use baton::domain::access_token::AccessScope;
use baton::domain::build::BuildId;
use baton::domain::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a token opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opens {
    All,
    Reading,
    /// All of project `demo`, or what is read of it.
    Own(bool),
    /// What a job of `demo` may read.
    Job,
    Nothing,
}

/// The tokens, by what they are.
fn tokens(baton: &Baton) -> Vec<(&'static str, String, Opens)> {
    let of = |name: &str, scope, project, life| token(baton, &Wanted { name, scope, project, life });
    let revoked = of("revoked", AccessScope::Api, None, None);
    baton.operator().revoke_access_token("revoked", Timestamp::now()).unwrap();
    let expired = of("expired", AccessScope::Api, None, Some(Duration::from_millis(1)));
    let runner = baton.runner();
    let ended = {
        of_branch(baton, "main", "ended");
        work(baton, &runner, None, "success")
    };
    of_branch(baton, "main", "running");
    let running = baton.claim(&runner);
    let ci_token = baton.operator().project_token("demo", false).unwrap();
    let registration = baton.operator().registration_token(false).unwrap();
    vec![
        ("all", of("every", AccessScope::Api, None, None), Opens::All),
        ("reading", of("reading", AccessScope::ReadApi, None, Some(Duration::from_secs(3600))), Opens::Reading),
        ("all of one", of("one", AccessScope::Api, Some("demo"), None), Opens::Own(true)),
        ("reading of one", of("one-reading", AccessScope::ReadApi, Some("demo"), None), Opens::Own(false)),
        ("job", running.token, Opens::Job),
        ("ended job", ended.token, Opens::Nothing),
        ("revoked", revoked, Opens::Nothing),
        ("expired", expired, Opens::Nothing),
        ("unknown", "btn-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(), Opens::Nothing),
        ("runner", runner.token, Opens::Nothing),
        ("CI token", ci_token, Opens::Nothing),
        ("registration token", registration, Opens::Nothing),
        ("none", String::new(), Opens::Nothing),
    ]
}

/// Routes of which nothing is a project's, and what somebody with a token of one project is told.
const OF_ALL: [(&str, &str, u16); 15] = [
    ("GET", "version", 200),
    ("GET", "metadata", 200),
    ("GET", "user", 200),
    ("GET", "personal_access_tokens/self", 200),
    ("GET", "groups", 200),
    ("GET", "namespaces", 200),
    ("GET", "projects", 200),
    ("GET", "runners", 200),
    ("GET", "runners/all", 403),
    ("GET", "runners/:id", 403),
    ("GET", "runners/:id/jobs", 403),
    ("GET", "runners/:id/managers", 403),
    ("POST", "user/runners", 400),
    ("POST", "projects", 403),
    ("POST", "ci/lint", 400),
];
/// Those that job tokens open.
const OF_JOBS: [&str; 6] = [
    "projects/:project/jobs",
    "projects/:project/jobs/:id",
    "projects/:project/jobs/:id/artifacts",
    "projects/:project/jobs/:id/artifacts/*path",
    "projects/:project/jobs/artifacts/*ref_and_path",
    "projects/:project/pipelines/:id/jobs",
];
/// What reads and shows secrets, or who starts pipelines: for tokens that open all.
const SECRET: [&str; 5] = [
    "projects/:project/pipelines/:id/variables",
    "projects/:project/triggers",
    "projects/:project/triggers/:id",
    "projects/:project/variables",
    "projects/:project/variables/:key",
];
/// How those end that look at a token of their own, see `start`.
const OWN_TOKEN: &str = "/trigger/pipeline";

/// A path of this pattern, of things that there are not, so that nothing is changed.
fn path(pattern: &str, project: &str, id: &str) -> String {
    let word = |word: &str| match word {
        ":project" => project.to_owned(),
        ":id" => id.to_owned(),
        other => other.trim_start_matches([':', '*']).to_owned(),
    };
    pattern.split('/').map(word).collect::<Vec<_>>().join("/")
}

/// The methods of each pattern.
fn routes(description: &Value) -> Vec<(String, String)> {
    let mut patterns = BTreeMap::new();
    for pattern in baton::api::program_routes() {
        let braced = |word: &str| word.strip_prefix([':', '*']).map_or(word.to_owned(), |name| format!("{{{name}}}"));
        let path = pattern.split('/').map(braced).collect::<Vec<_>>().join("/");
        patterns.insert(format!("/{path}"), pattern);
    }
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            all.push((method.to_uppercase(), patterns[path].to_owned()));
        }
    }
    all
}

/// What somebody is told who opens this and asks for a thing that is not there: 401, 403, the project's 404, or anything
/// else, which shows that he was let in.
fn expected(method: &str, pattern: &str, project: &str, opens: Opens) -> Option<(u16, &'static str)> {
    const UNAUTHORIZED: Option<(u16, &str)> = Some((401, "401 Unauthorized"));
    const NO_PROJECT: Option<(u16, &str)> = Some((404, "404 Project Not Found"));
    const SCOPE: Option<(u16, &str)> = Some((403, "insufficient_scope"));
    let writes = method != "GET" || SECRET.contains(&pattern);
    let is_of_project = pattern.contains(":project");
    let is_own = project == "demo";
    match opens {
        Opens::Nothing => UNAUTHORIZED,
        Opens::Job if pattern == "job" => None,
        Opens::Job if !OF_JOBS.contains(&pattern) || method != "GET" => UNAUTHORIZED,
        Opens::Job | Opens::Own(_) if is_of_project && !is_own => NO_PROJECT,
        Opens::Job => None,
        _ if pattern == "job" => Some((404, "404 Job Not Found")),
        _ if is_of_project && project == "nobody" => NO_PROJECT,
        Opens::Reading | Opens::Own(false) if writes => SCOPE,
        _ => None,
    }
}

#[test]
fn every_route_lets_in_whom_it_is_for_and_tells_all_others_the_same() {
    let programs = Programs::start();
    let baton = &programs.baton;
    baton.project("other");
    let tokens = tokens(baton);
    let description = baton.send(Request::get("/api/v4/openapi.json")).expect(200).json();
    let mut connection = Connection::open(baton.address());
    let mut asked = 0;
    for (method, pattern) in routes(&description) {
        if pattern == "openapi.json" || pattern.ends_with(OWN_TOKEN) {
            continue;
        }
        // Whoever is let in removes all that is asked about: `mod.rs` tries it.
        let removes_all = (method.as_str(), pattern.as_str()) == ("DELETE", "projects/:project");
        for (name, token, opens) in &tokens {
            let projects: &[&str] = if pattern.contains(":project") { &["demo", "other", "nobody"] } else { &["demo"] };
            for project in projects {
                if removes_all && expected(&method, &pattern, project, *opens).is_none() {
                    continue;
                }
                let request = Request::new(&method, &format!("/api/v4/{}", path(&pattern, project, "987654")));
                let request = match token.as_str() {
                    "" => request,
                    own if own.starts_with("btn-") => request.header("PRIVATE-TOKEN", own),
                    other => request.header("Authorization", &format!("Bearer {other}")),
                };
                let response = connection.send(&request);
                asked += 1;
                let what = format!("{method} {pattern} of {project} with {name}: {}", response.text());
                match expected(&method, &pattern, project, *opens) {
                    Some((status, words)) => {
                        assert_eq!(response.status, status, "{what}");
                        assert!(response.text().contains(words), "{what}");
                    }
                    None => {
                        let said = response.text();
                        assert!(response.status != 401 && !said.contains("insufficient_scope"), "{what}");
                        assert!(!said.contains("Project Not Found") && !said.contains("Job Not Found"), "{what}");
                    }
                }
                assert!(token.is_empty() || !response.text().contains(token.as_str()), "{what} repeats the token");
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    // Of what is all projects', who is kept to one sees his part.
    let one = &tokens.iter().find(|(name, ..)| *name == "all of one").unwrap().1;
    let shared = baton.runner();
    for (method, pattern, status) in OF_ALL {
        let request = Request::new(method, &format!("/api/v4/{}", path(pattern, "demo", &shared.id.to_string())));
        let request = if method == "POST" { request.json(&json!({})) } else { request };
        assert_eq!(programs.ask(request, one).status, status, "{method} {pattern}");
    }
    let list = programs.ask(Request::get("/api/v4/projects"), one).expect(200).json();
    assert_eq!(super::each(&list, "path"), ["demo"]);
    let foreign = baton.project_runner("other");
    programs.ask(Request::get(&format!("/api/v4/runners/{}", foreign.id)), one).expect(404);
    let body = json!({"runner_type": "project_type", "project_id": 2});
    let said = programs.ask(Request::post("/api/v4/user/runners").json(&body), one).expect(404).json();
    assert_eq!(said["message"], "404 Project Not Found");
    // A job reads what its project has, and nothing that is not there is another's.
    let job = &tokens.iter().find(|(name, ..)| *name == "job").unwrap().1;
    programs.ask(Request::get("/api/v4/projects/demo/jobs/1"), job).expect(200);
    programs.ask(Request::get("/api/v4/projects/1/jobs/1/trace"), job).expect(401);
    baton.cancel(BuildId(2));
    programs.ask(Request::get("/api/v4/projects/demo/jobs/1"), job).expect(401);
}

#[test]
fn a_token_is_taken_wherever_gitlabs_clients_put_it_and_the_first_place_counts() {
    let programs = Programs::start();
    let (good, bad) = (programs.token.as_str(), "btn-bad");
    let runner = programs.baton.runner();
    programs.baton.build();
    let job = programs.baton.claim(&runner).token;
    let path = "/api/v4/projects/demo/jobs/1";
    let basic = |text: &str| {
        use base64::Engine;
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(text))
    };
    let get = || Request::get(path);
    for (request, status) in [
        (get().query("private_token", good), 200),
        (get().header("PRIVATE-TOKEN", good), 200),
        (get().header("private-token", good), 200),
        (get().header("Authorization", &format!("Bearer {good}")), 200),
        (get().header("Authorization", &format!("bearer {good}")), 200),
        (get().query("job_token", &job), 200),
        (get().header("JOB-TOKEN", &job), 200),
        (get().header("Authorization", &format!("Bearer {job}")), 200),
        (get().header("Authorization", &basic(&format!("gitlab-ci-token:{job}"))), 200),
        (get().header("Authorization", &basic(&format!("somebody:{job}"))), 401),
        (get().header("Authorization", good), 401),
        (get().header("PRIVATE-TOKEN", &job), 401),
        (get().header("JOB-TOKEN", good), 401),
        (get().header("BUILD-TOKEN", good), 401),
        (get().header("RUNNER-TOKEN", &runner.token), 401),
        (get().header("Cookie", &format!("session={good}")), 401),
        (get().query("token", good), 401),
        // The first one counts, also if it is none.
        (get().query("private_token", bad).header("PRIVATE-TOKEN", good), 401),
        (get().query("private_token", good).header("PRIVATE-TOKEN", bad), 200),
        (get().header("PRIVATE-TOKEN", bad).header("JOB-TOKEN", &job), 401),
        (get().header("PRIVATE-TOKEN", good).header("JOB-TOKEN", bad), 200),
        (get().query("private_token", "").header("PRIVATE-TOKEN", good), 200),
        // What is wrong with the parameters is said to those that may come in only.
        (get().query("private_token[]", good), 401),
        (Request::get("/api/v4/projects/demo/jobs?page=x"), 401),
        (Request::get("/api/v4/projects/demo/jobs?page=x").header("PRIVATE-TOKEN", good), 400),
        (Request::post(&format!("{path}/cancel")).form(&[("private_token", good)]), 201),
        (Request::post(&format!("{path}/retry")).json(&json!({"private_token": bad})), 401),
        (Request::post(&format!("{path}/retry")).body("application/json", "{"), 401),
        (Request::post(&format!("{path}/retry")).json(&json!({"private_token": good})), 201),
    ] {
        let shown = format!("{:?}", request.bytes());
        assert_eq!(programs.baton.send(request).status, status, "{shown}");
    }
}

#[test]
fn operators_make_list_and_revoke_tokens_which_are_shown_once() {
    let baton = Baton::with_project();
    let data = baton.data();
    let done = |words: &[&str]| command::done(&run(data, words));
    let made: Value = serde_json::from_str(&done(&[
        "token",
        "add",
        "--name",
        "exporter",
        "--scope",
        "read_api",
        "--project",
        "demo",
        "--expires",
        "90d",
        "--json",
    ]))
    .unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("btn-") && made["scope"] == "read_api" && made["expires_at"].is_string(), "{made}");
    let only = done(&["token", "add", "--name", "laptop", "--token-only"]);
    let ask = |token: &str| baton.send(Request::get("/api/v4/projects").header("PRIVATE-TOKEN", token.trim()));
    ask(&token).expect(200);
    ask(&only).expect(200);
    let listed = done(&["token", "list", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["project"], &listed[0]["state"]),
        (&json!("exporter"), &json!("demo"), &json!("active"))
    );
    assert!(!format!("{listed:?}").contains(&token) && !done(&["token", "list"]).contains("btn-"));
    for (words, said) in [
        (&["token", "add", "--name", "exporter"][..], "already"),
        (&["token", "add", "--name", "7"], "must not be a number"),
        (&["token", "add", "--name", ""], "1 to 255"),
        (&["token", "add", "--name", "x", "--project", "nobody"], "no project"),
        (&["token", "revoke", "nobody"], "no token"),
    ] {
        assert!(command::refused(&run(data, words)).contains(said), "{words:?}");
    }
    done(&["token", "revoke", "exporter"]);
    ask(&token).expect(401);
    ask(&only).expect(200);
    done(&["token", "revoke", "2"]);
    ask(&only).expect(401);
    assert!(done(&["token", "list"]).contains("revoked"), "it stays in the list");
    // Neither the file nor the log has a token.
    let database = std::fs::read(data.join("baton.db")).unwrap();
    assert!(!database.windows(token.len()).any(|bytes| bytes == token.as_bytes()));
}
