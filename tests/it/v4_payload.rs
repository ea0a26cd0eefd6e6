//! What a runner of API v4 is told of a job, field by field: rows 46 to 48, 52 to 63, 74 to 89 of section 9 of that protocol's
//! reference. What differs on purpose: no ref of a pipeline among the refspecs of a repository that is not Baton's (61), and
//! a runner that cannot leave files out gets the job all the same (89). Not here: image ports (86), and what needs a
//! registry, triggers, releases or `run` (65, 66, 80, 81).

use crate::harness::*;
use baton::domain::build::{BuildId, NewBuild, Variable};
use baton::domain::spec::{ArtifactFormat, ArtifactKind, ArtifactsSpec, BuildSpec, CacheSpec, Hooks, Image, Service};
use baton::limits::Limits;
use baton::store::runners::NewRunner;
use serde_json::{Value, json};
use std::time::Duration;

const OF_TODAY: &str = "gitlab-runner 19.3.0 (19-3-stable; go1.26.5; linux/amd64)";

/// The request of a runner that can do this.
fn request(runner: &TestRunner, features: &[&str]) -> Request {
    let features: Value = features.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect();
    let info = json!({"name": "gitlab-runner", "version": "19.3.0", "features": features});
    Request::post("/api/v4/jobs/request").agent(OF_TODAY).json(&json!({"token": runner.token, "info": info}))
}

/// What the runner is told of the next job, with all features of today.
fn told(baton: &Baton, runner: &TestRunner) -> Value {
    let all = ["upload_multiple_artifacts", "artifacts_exclude", "refspecs"];
    baton.send(request(runner, &all)).expect(201).json()
}

fn told_of(new: NewBuild) -> Value {
    let baton = Baton::with_project();
    let runner = baton.runner();
    baton.queue(new);
    told(&baton, &runner)
}

fn of_spec(spec: BuildSpec) -> Value {
    told_of(NewBuild { spec: BuildSpec { script: vec!["true".to_owned()], ..spec }, ..new_build("demo") })
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// Rows 46, 52, 53 and 78.
#[test]
fn who_may_have_nothing_is_told_so_whatever_calls_itself_how() {
    let baton = Baton::with_project();
    baton.project("other");
    let runner = baton.project_runner("other");
    let tagged_only = baton.runner_like(NewRunner { run_untagged: false, tags: tags("a"), ..new_runner() }, None);
    let (_, done) = baton.running();
    baton.finish(&done, "success");
    let pending = baton.build();
    for agent in [
        OF_TODAY,
        "gitlab-ci-multi-runner 9.5.1 (HEAD; go1.19.8; linux/amd64)",
        "gitlab-ci-multi-runner 1.0.4 (HEAD; go1.19.8; linux/amd64)",
        "gitlab-ci-multi-runner 1.6.0~beta.167.g2b2bacc (master; go1.6.3; linux/amd64)",
        "",
    ] {
        for runner in [&runner, &tagged_only] {
            let ask = Request::post("/api/v4/jobs/request").agent(agent).json(&json!({"token": runner.token}));
            let none = baton.send(ask).expect(204);
            assert!(none.body.is_empty() && none.header("X-GitLab-Last-Update").is_some(), "{agent}");
        }
    }
    assert_eq!(claimed(&baton.send(request(&baton.runner(), &[])).expect(201)).id, pending);
}

/// Rows 47 and 48.
#[test]
fn what_a_runner_knows_is_repeated_while_it_holds_and_replaced_when_it_does_not() {
    let baton = Baton::with_limits(Limits { hold_time_max: Duration::ZERO, ..Limits::default() });
    baton.project("demo");
    let runner = baton.runner_like(NewRunner { run_untagged: false, tags: tags("a"), ..new_runner() }, None);
    let ask = |known: Option<&str>| {
        let answer = baton.send(Speech::Today.poll(&runner.token, known)).expect(204);
        answer.header("X-GitLab-Last-Update").unwrap().to_owned()
    };
    let known = ask(None);
    assert_eq!(ask(Some(&known)), known);
    assert_eq!(ask(Some("older")), known);
    baton.build();
    let newer = ask(Some(&known));
    assert_ne!(newer, known);
    assert_eq!(ask(Some(&newer)), newer);
}

/// Rows 55, 84 and 85.
#[test]
fn the_job_says_what_it_is_and_how_long_it_has_waited() {
    let baton = Baton::start();
    let (runner, project) = (baton.runner(), "group/sub/demo");
    baton.project(project);
    let id = baton.queue(new_build(project));
    baton.database().execute("UPDATE builds SET created_at = created_at - 61000 WHERE id = ?1", [id.0]).unwrap();
    let job = told(&baton, &runner);
    let info = &job["job_info"];
    assert_eq!((&info["id"], &info["name"], &info["stage"]), (&json!(id.0), &json!("spinach"), &json!("test")));
    assert_eq!((&info["project_name"], &info["project_full_path"]), (&json!("demo"), &json!(project)));
    assert!(info["time_in_queue_seconds"].as_f64().unwrap() >= 60.0, "{info}");
    assert_eq!(info["project_jobs_running_on_instance_runners_count"], "+Inf");
    assert_eq!(job["features"]["trace_sections"], true);
    assert!(job["features"]["failure_reasons"].as_array().unwrap().contains(&json!("script_failure")));
    assert_eq!(job["allow_git_fetch"], true);
}

/// Rows 56 and 82.
#[test]
fn steps_are_the_script_and_what_comes_after_it_with_the_jobs_timeout() {
    let hooks = Hooks {
        pre_get_sources_script: strings(&["before"]),
        post_get_sources_script: strings(&["behind", "it\nin two lines"]),
    };
    let spec = BuildSpec {
        script: strings(&["first", "second\nin two lines"]),
        after_script: strings(&["bye"]),
        hooks,
        ..BuildSpec::default()
    };
    let job = told_of(NewBuild { spec, timeout_s: Some(1234), ..new_build("demo") });
    let step = |name: &str, script: Value, when: &str, allow_failure: bool| json!({"name": name, "script": script, "timeout": 1234, "when": when, "allow_failure": allow_failure});
    let script = step("script", json!(["first", "second\nin two lines"]), "on_success", false);
    assert_eq!(job["steps"], json!([script, step("after_script", json!(["bye"]), "always", true)]));
    assert_eq!(job["runner_info"], json!({"timeout": 1234}));
    let before = json!({"name": "pre_get_sources_script", "script": ["before"]});
    let behind = json!({"name": "post_get_sources_script", "script": ["behind", "it\nin two lines"]});
    assert_eq!(job["hooks"], json!([before, behind]));
}

/// Row 83.
#[test]
fn runners_from_9_0_to_9_4_get_commands_that_they_do_not_cut() {
    let told = |version: &str, platform: &str| {
        let baton = Baton::with_project();
        let lines = strings(&["true", "cat <<'X'\n one\nX"]);
        let spec = BuildSpec { script: lines.clone(), after_script: lines, ..BuildSpec::default() };
        baton.queue(NewBuild { spec, ..new_build("demo") });
        let info =
            json!({"name": "gitlab-ci-multi-runner", "version": version, "platform": platform, "executor": "shell"});
        let ask = json!({"token": baton.runner().token, "info": info});
        baton.send(Request::post("/api/v4/jobs/request").json(&ask)).expect(201).json()["steps"].clone()
    };
    for (version, platform, second) in [
        ("9.0.0", "linux", r#"eval "$(printf %b 'cat <<'\''X'\''\n one\nX')""#),
        ("9.4.2", "linux", r#"eval "$(printf %b 'cat <<'\''X'\''\n one\nX')""#),
        ("9.0.0", "windows", "cat <<'X'\n one\nX"),
        ("9.5.0", "linux", "cat <<'X'\n one\nX"),
    ] {
        let steps = told(version, platform);
        for step in [&steps[0], &steps[1]] {
            assert_eq!(step["script"], json!(["true", second]), "{version} {platform}");
        }
    }
}

#[test]
fn a_runners_maximum_shortens_the_timeout_that_it_is_told() {
    let baton = Baton::with_project();
    for (maximum, seconds) in [(1000, 1000), (2000, 1234)] {
        let runner = baton.runner_like(NewRunner { maximum_timeout_s: Some(maximum), ..new_runner() }, None);
        baton.queue(NewBuild { timeout_s: Some(1234), ..new_build("demo") });
        let job = told(&baton, &runner);
        assert_eq!((&job["runner_info"]["timeout"], &job["steps"][0]["timeout"]), (&json!(seconds), &json!(seconds)));
    }
}

/// Rows 57, 87 and 88.
#[test]
fn containers_are_told_with_all_that_they_have_and_nothing_else() {
    assert_eq!(of_spec(BuildSpec::default())["image"], Value::Null);
    let bare =
        of_spec(BuildSpec { image: Some(Image { name: "alpine".into(), ..Image::default() }), ..BuildSpec::default() });
    assert_eq!(bare["image"], json!({"name": "alpine"}));
    let options = object(json!({"docker": {"platform": "arm64/v8", "user": "dave"}}));
    let image = Image {
        name: "alpine:3.20".to_owned(),
        entrypoint: Some(strings(&["/bin/sh", "-c"])),
        pull_policy: strings(&["always", "if-not-present"]),
        executor_opts: options.clone(),
    };
    let service = Service {
        image: Image { name: "postgres".into(), entrypoint: Some(vec![]), ..Image::default() },
        alias: Some("db".to_owned()),
        command: Some(strings(&["-c", "x"])),
        variables: vec![("POSTGRES_DB".to_owned(), "a$b".to_owned())],
    };
    let plain = Service { image: Image { name: "redis".into(), ..Image::default() }, ..Service::default() };
    let job = of_spec(BuildSpec { image: Some(image), services: vec![service, plain], ..BuildSpec::default() });
    let expected = json!({"name": "alpine:3.20", "entrypoint": ["/bin/sh", "-c"],
        "pull_policy": ["always", "if-not-present"], "executor_opts": options});
    assert_eq!(job["image"], expected);
    let service = &job["services"][0];
    assert_eq!((&service["name"], &service["alias"]), (&json!("postgres"), &json!("db")));
    assert_eq!((&service["entrypoint"], &service["command"]), (&json!([]), &json!(["-c", "x"])));
    let variable = &service["variables"][0];
    assert_eq!(
        (&variable["key"], &variable["value"]),
        (&json!("POSTGRES_DB"), &json!("a$$b")),
        "written so that it stays"
    );
    assert_eq!(job["services"][1], json!({"name": "redis"}));
}

/// Row 58.
#[test]
fn caches_are_told_with_what_they_leave_unsaid() {
    let full = CacheSpec {
        key: Some("main-protected".to_owned()),
        paths: strings(&["node_modules/"]),
        untracked: true,
        policy: Some("pull".to_owned()),
        when: Some("always".to_owned()),
        fallback_keys: strings(&["main"]),
    };
    let bare = CacheSpec { paths: strings(&["c"]), ..CacheSpec::default() };
    let job = of_spec(BuildSpec { cache: vec![full, bare], ..BuildSpec::default() });
    let full = json!({"key": "main-protected", "untracked": true, "paths": ["node_modules/"], "policy": "pull",
        "when": "always", "fallback_keys": ["main"]});
    let bare = json!({"key": "", "untracked": false, "paths": ["c"], "policy": "pull-push", "when": "on_success",
        "fallback_keys": []});
    assert_eq!(job["cache"], json!([full, bare]));
}

/// Rows 79 and 89, and what runners before 11.2 would upload as the archive, one in the other's place.
#[test]
fn artifacts_are_told_as_the_runner_can_upload_them() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let archive = ArtifactsSpec {
        name: Some("all".to_owned()),
        untracked: true,
        paths: strings(&["out/"]),
        exclude: strings(&["out/*.o"]),
        when: Some("on_failure".to_owned()),
        expire_in: Some("7d".to_owned()),
        ..ArtifactsSpec::default()
    };
    let coverage = ArtifactsSpec {
        name: Some("cobertura-coverage.xml".to_owned()),
        paths: strings(&["coverage.xml"]),
        when: Some("always".to_owned()),
        expire_in: Some("7d".to_owned()),
        kind: ArtifactKind("cobertura".to_owned()),
        format: ArtifactFormat::Gzip,
        ..ArtifactsSpec::default()
    };
    let spec = BuildSpec { artifacts: vec![archive, coverage], ..BuildSpec::of_script("x") };
    let archive = json!({"name": "all", "untracked": true, "paths": ["out/"], "exclude": ["out/*.o"], "when": "on_failure",
        "expire_in": "7d", "artifact_type": "archive", "artifact_format": "zip"});
    let coverage = json!({"name": "cobertura-coverage.xml", "untracked": false, "paths": ["coverage.xml"], "when": "always",
        "expire_in": "7d", "artifact_type": "cobertura", "artifact_format": "gzip"});
    for (features, expected) in [
        (&["upload_multiple_artifacts", "artifacts_exclude"][..], json!([archive, coverage])),
        (&["upload_multiple_artifacts"], json!([archive, coverage])),
        (&[], json!([archive])),
    ] {
        baton.queue(NewBuild { spec: spec.clone(), ..new_build("demo") });
        let job = baton.send(request(&runner, features)).expect(201).json();
        assert_eq!(job["artifacts"], expected, "{features:?}");
    }
}

/// Rows 60 to 63.
#[test]
fn refs_are_fetched_by_what_they_are() {
    let every = ["+HEAD:refs/remotes/origin/HEAD", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
    for (ref_, is_tag, kind, refspecs) in [
        ("v1.0", true, "tag", &["+refs/tags/v1.0:refs/tags/v1.0"][..]),
        ("main", false, "branch", &["+refs/heads/main:refs/remotes/origin/main"]),
        ("feature/x", false, "branch", &["+refs/heads/feature/x:refs/remotes/origin/feature/x"]),
        ("HEAD", false, "branch", &every),
        ("0b3bce98f5d8", false, "branch", &every),
    ] {
        let repo_url = Some("https://git.test/demo.git".to_owned());
        let job = told_of(NewBuild { ref_: ref_.to_owned(), is_tag, repo_url, ..new_build("demo") });
        let git = &job["git_info"];
        assert_eq!((&git["ref"], &git["ref_type"]), (&json!(ref_), &json!(kind)));
        assert_eq!(git["refspecs"], json!(refspecs), "{ref_}");
        assert_eq!((&git["repo_url"], &git["depth"]), (&json!("https://git.test/demo.git"), &json!(0)));
        assert_eq!((&git["before_sha"], &git["repo_object_format"]), (&json!("0".repeat(40)), &json!("sha1")));
    }
}

/// Rows 74 to 77.
#[test]
fn a_job_gets_the_archives_of_those_that_it_needs_and_names_those_without_one() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let done = |name: &str, has_archive: bool| -> BuildId {
        let id = baton.queue(NewBuild { name: name.to_owned(), ..new_build("demo") });
        let job = claimed(&baton.send(request(&runner, &[])).expect(201));
        if has_archive {
            baton.send(Speech::Today.upload(&job, &[Part::file("a.zip", b"content")])).expect(201);
        }
        baton.send(Speech::Today.report(&job, json!({"state": "success"}))).expect(200);
        id
    };
    let (with, without) = (done("with", true), done("without", false));
    for (dependencies, expected) in [(None, 2), (Some(vec!["without"]), 1), (Some(vec![]), 0)] {
        let dependencies = dependencies.map(|names| strings(&names));
        let spec = BuildSpec { dependencies, ..BuildSpec::of_script("x") };
        baton.queue(NewBuild { needs: vec![with, without], spec, ..new_build("demo") });
        let job = told(&baton, &runner);
        let (token, own) = (&job["token"], job["dependencies"].as_array().unwrap());
        assert_eq!(own.len(), expected);
        let of = |id: BuildId| own.iter().find(|one| one["id"] == id.0);
        if let Some(one) = of(with) {
            let file = json!({"filename": "a.zip", "size": 7});
            assert_eq!(one, &json!({"id": with.0, "name": "with", "token": token, "artifacts_file": file}));
        }
        if let Some(one) = of(without) {
            assert_eq!(one, &json!({"id": without.0, "name": "without", "token": token}));
        }
    }
}

/// Section 3: what is secret is masked and not public, what is a file is one, and each dollar arrives as one.
#[test]
fn variables_say_whether_they_may_be_seen() {
    let variables = vec![
        Variable::public("PLAIN", "a $HOME"),
        Variable::secret("SECRET", "correct horse"),
        Variable { file: true, ..Variable::public("CONFIG", "x") },
        Variable { expand: true, ..Variable::public("PATHS", "$HOME/x") },
    ];
    let job = told_of(NewBuild { variables, ..new_build("demo") });
    let of = |key: &str| {
        let all = job["variables"].as_array().unwrap();
        all.iter().rfind(|one| one["key"] == key).cloned().unwrap_or_default()
    };
    let plain = json!({"key": "PLAIN", "value": "a $$HOME", "public": true, "masked": false});
    assert_eq!(of("PLAIN"), plain);
    assert_eq!(of("SECRET"), json!({"key": "SECRET", "value": "correct horse", "public": false, "masked": true}));
    assert_eq!(of("CONFIG")["file"], true);
    assert_eq!(of("PATHS")["value"], "$HOME/x");
    let token = of("CI_JOB_TOKEN");
    assert_eq!((&token["value"], &token["public"], &token["masked"]), (&job["token"], &json!(false), &json!(true)));
}

/// Rows 105, 108, 113, 116 and 129: what shows that a runner lives, and what is not said twice.
#[test]
fn each_call_about_a_job_is_a_sign_of_life_and_nothing_that_is_repeated_counts_twice() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    let seen = |id: BuildId| -> i64 {
        baton.database().query_row("SELECT seen_at FROM builds WHERE id = ?1", [id.0], |row| row.get(0)).unwrap()
    };
    let id = baton.build();
    let job = claimed(&baton.send(request(&runner, &[])).expect(201));
    let calls: [(&str, Request, u16); 4] = [
        ("running", Speech::Today.report(&job, json!({"state": "running"})), 200),
        ("pending", Speech::Today.report(&job, json!({"state": "pending"})), 200),
        ("a piece", Speech::Today.patch(&job, 0, b"log"), 202),
        ("the same piece again", Speech::Today.patch(&job, 0, b"log"), 416),
    ];
    for (what, call, status) in calls {
        baton.database().execute("UPDATE builds SET seen_at = 1 WHERE id = ?1", [id.0]).unwrap();
        baton.send(call).expect(status);
        assert!(seen(id) > 1, "{what}");
    }
    assert_eq!(baton.trace_text(id), "log");
    // An answer that comes too late is told what became of the job.
    baton.cancel(id);
    let told = baton.send(Speech::Today.report(&job, json!({"state": "success"}))).expect(403);
    assert_eq!(told.header("Job-Status"), Some("canceled"));
}
