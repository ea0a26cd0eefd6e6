//! The server starts pipelines by itself, of what a project's own repository has: what it fetches, what it makes of that, and
//! what it refuses.

use crate::harness::command::{baton, done, refused};
use crate::harness::forge::{Forge, Manner};
use crate::harness::sources::git;
use crate::harness::*;
use baton::coordinator::{Added, LintRequest, LintSubject, PipelineRequest, ProjectChange, StartOutcome};
use baton::domain::pipeline::Source;
use baton::domain::time::Timestamp;
use baton::error::{Error, Kind};
use baton::git::mirror::Protocols;
use baton::gitlab_ci::context::Given;
use baton::limits::Limits;
use serde_json::json;
use std::fs;
use std::time::Duration;

const CONFIG: &str = "
include: [{local: ci/more.yml}]
stages: [build, test]
workflow: {name: 'by $CI_PIPELINE_SOURCE'}
compile:
  stage: build
  script: ['echo $LEVEL $CI_COMMIT_SHA']
triggered:
  stage: build
  script: [echo]
  rules: [{if: '$CI_PIPELINE_TRIGGERED'}]
";
const MORE: &str = "unit:\n  stage: test\n  script: [make test]\n  cache: {key: {files: [lock]}, paths: [x]}\n";

/// A server whose project `group/demo` is what a forge has.
struct Stand {
    baton: Baton,
    forge: Forge,
}

impl Stand {
    fn new() -> Stand {
        Stand::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Stand {
        let (baton, forge) = (Baton::with_limits(limits), Forge::start());
        baton.project("group/demo");
        let stand = Stand { baton, forge };
        stand.set_url(&stand.forge.url());
        stand
    }

    fn set_url(&self, url: &str) {
        let change = ProjectChange { repo_url: Some(Some(url.to_owned())), ..ProjectChange::default() };
        self.baton.operator().change_project("group/demo", change).unwrap();
    }

    fn ask(&self, request: &PipelineRequest) -> Result<StartOutcome, Error> {
        self.baton.operator().start_pipeline(request, Timestamp::now())
    }

    fn start(&self, ref_name: Option<&str>) -> Added {
        match self.ask(&asked(ref_name)) {
            Ok(StartOutcome::Pipeline(added)) => added,
            other => panic!("{other:?}"),
        }
    }

    /// Why there is no pipeline: nothing has changed then.
    fn refusal(&self, request: &PipelineRequest) -> String {
        let before = self.baton.operator().list_pipelines(None, None).unwrap().len();
        let outcome = self.ask(request).unwrap();
        assert_eq!(self.baton.operator().list_pipelines(None, None).unwrap().len(), before);
        let StartOutcome::Refused(sentences) = outcome else { panic!("{outcome:?}") };
        sentences.join("\n")
    }
}

fn asked(ref_name: Option<&str>) -> PipelineRequest {
    PipelineRequest {
        project: "group/demo".to_owned(),
        ref_: ref_name.map(ToOwned::to_owned),
        source: Source::Api,
        given: vec![Given::public("LEVEL", "3")],
        inputs: Vec::new(),
        actor: "laptop".to_owned(),
        protocols: Protocols::Web,
        warnings: Vec::new(),
    }
}

#[test]
fn a_pipeline_is_made_of_the_newest_commit_of_a_ref_and_its_builds_fetch_just_that() {
    let stand = Stand::new();
    let runner = stand.baton.runner();
    let first = stand.forge.push("main", &[(".gitlab-ci.yml", CONFIG), ("ci/more.yml", MORE), ("lock", "1")]);
    let added = stand.start(None);
    let operator = stand.baton.operator();
    let pipeline = operator.pipeline(added.id).unwrap();
    assert_eq!(
        (pipeline.ref_.as_str(), pipeline.is_tag, pipeline.sha.as_deref()),
        ("main", false, Some(first.as_str()))
    );
    assert_eq!((pipeline.source, pipeline.name.as_deref()), (Source::Api, Some("by api")));
    assert_eq!((pipeline.title.as_deref(), pipeline.actor.as_deref()), (Some("Change it"), Some("laptop")));
    assert_eq!(added.builds.len(), 2, "one is left out");
    assert_eq!(operator.project("group/demo").unwrap().default_branch.as_deref(), Some("main"));
    let build = stand.baton.claim(&runner);
    assert_eq!((&build.json["sha"], &build.json["repo_url"]), (&json!(first), &json!(stand.forge.url())));
    let variables = build.json["variables"].as_array().unwrap();
    let value = |key: &str| variables.iter().rev().find(|one| one["key"] == key).map(|one| one["value"].clone());
    for (key, expected) in [
        ("LEVEL", "3"),
        ("CI_COMMIT_SHA", &first),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_PROTECTED", "true"),
        ("CI_PIPELINE_SOURCE", "api"),
        ("CI_PROJECT_PATH", "group/demo"),
        ("GITLAB_USER_NAME", "laptop"),
    ] {
        assert_eq!(value(key), Some(json!(expected)), "{key}");
    }
    assert_eq!(value("CI_PIPELINE_TRIGGERED"), None);

    // What was fetched is not fetched again: only the refs are asked for.
    stand.forge.take_seen();
    stand.start(Some("refs/heads/main"));
    let paths =
        |seen: Vec<crate::harness::forge::Seen>| seen.iter().filter(|one| one.path.contains("info/refs")).count();
    assert_eq!(paths(stand.forge.take_seen()), 1);

    // Another branch, a tag with a message, and the newest commit of the first one.
    let second = stand.forge.push("feature/x", &[("lock", "2")]);
    git(&stand.forge.work(), &["tag", "--annotate", "--message", "The first one", "v1"]);
    git(&stand.forge.work(), &["push", "--quiet", "origin", "v1"]);
    let of_branch = operator.pipeline(stand.start(Some("feature/x")).id).unwrap();
    assert_eq!((of_branch.sha.as_deref(), of_branch.is_tag), (Some(second.as_str()), false));
    let triggered = PipelineRequest { source: Source::Trigger, ..asked(Some("v1")) };
    let StartOutcome::Pipeline(added) = stand.ask(&triggered).unwrap() else { panic!("no pipeline") };
    assert_eq!(added.builds.len(), 3);
    let of_tag = operator.pipeline(added.id).unwrap();
    assert_eq!((of_tag.ref_.as_str(), of_tag.is_tag, of_tag.sha.as_deref()), ("v1", true, Some(second.as_str())));
    let main = operator.pipeline(stand.start(Some("main")).id).unwrap();
    assert_eq!(main.sha.as_deref(), Some(first.as_str()));

    // The cache may go at any time.
    fs::remove_dir_all(stand.baton.data().join("git")).unwrap();
    stand.start(Some("main"));
    expect_well(stand.baton.data());
}

#[test]
fn why_there_is_no_pipeline_is_a_sentence_and_nothing_changes() {
    let stand = Stand::new();
    let said = |wanted: Option<&str>, words: &str| {
        let why = stand.refusal(&asked(wanted));
        assert!(why.contains(words), "{wanted:?}: {why}");
    };
    said(None, "Reference not found");
    stand.forge.push("main", &[("a", "1")]);
    said(None, "Missing CI config file: main has no .gitlab-ci.yml");
    stand.forge.push("main", &[(".gitlab-ci.yml", "job:\n  scirpt: [make]\n")]);
    said(None, ".gitlab-ci.yml:2: ");
    said(None, "did you mean script?");
    stand.forge.push("main", &[(".gitlab-ci.yml", "include: [{local: nowhere.yml}]\njob: {script: [x]}\n")]);
    said(None, "nowhere.yml");
    stand.forge.push("main", &[(".gitlab-ci.yml", "include: [{project: a/b, file: c.yml}]\njob: {script: [x]}\n")]);
    said(None, "Project `a/b` is not at hand");
    let rules = "workflow: {rules: [{if: '$X'}]}\njob: {script: [x]}\n";
    stand.forge.push("main", &[(".gitlab-ci.yml", rules)]);
    let nothing = stand.ask(&asked(None)).unwrap();
    assert_eq!(nothing, StartOutcome::Nothing("Pipeline filtered out by workflow rules.".to_owned()));
    let given = vec![Given::public("X", "1")];
    assert!(matches!(stand.ask(&PipelineRequest { given, ..asked(None) }), Ok(StartOutcome::Pipeline(_))));
    for (name, words) in [("1A", "no name for a variable"), ("CI_JOB_TOKEN", "is set for every build")] {
        let given = vec![Given::public("X", "1"), Given::public(name, "x")];
        let why = stand.refusal(&PipelineRequest { given, ..asked(None) });
        assert!(why.contains(words), "{why}");
    }

    // Names that are none, and refs that are gone or mean two things.
    for name in ["", "-x", "--upload-pack=touch /tmp/x", "a b", "ma*n", "main:main", "..", "HEAD", "refs/x", "nope"] {
        said(Some(name), "Reference not found");
    }
    git(&stand.forge.work(), &["push", "--quiet", "origin", "HEAD:refs/tags/main"]);
    said(Some("main"), "Ref is ambiguous");
    git(&stand.forge.path(), &["update-ref", "-d", "refs/heads/main"]);
    said(Some("refs/heads/main"), "Reference not found");

    // A broken commit is said to be one; so is a repository that is no more.
    fs::remove_dir_all(stand.forge.path()).unwrap();
    said(Some("main"), "git: ");
    let none = ProjectChange { repo_url: Some(None), ..ProjectChange::default() };
    stand.baton.operator().change_project("group/demo", none).unwrap();
    said(None, "the project has no repository URL");
    let unknown = PipelineRequest { project: "nope".to_owned(), ..asked(None) };
    assert_eq!(stand.ask(&unknown).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn nothing_is_asked_but_the_projects_own_host_by_the_protocols_of_the_web() {
    let stand = Stand::new();
    let (victim, hooks) = (Forge::start(), stand.baton.data().join("was-run"));
    stand.forge.push("main", &[(".gitlab-ci.yml", "job: {script: [x]}")]);
    victim.push("main", &[(".gitlab-ci.yml", "job: {script: [x]}")]);
    let command = format!("touch {}", hooks.display());
    for (url, words) in [
        (format!("file://{}", stand.forge.path().display()), "is a file"),
        (stand.forge.path().display().to_string(), "is a path"),
        ("ssh://git@127.0.0.1/demo.git".to_owned(), "is `ssh`"),
        ("git://127.0.0.1/demo.git".to_owned(), "is `git`"),
        (format!("ext::sh://-c {command}"), "ssh's short form"),
        (format!("--upload-pack={command}://x"), "is `--upload-pack"),
    ] {
        let change = ProjectChange { repo_url: Some(Some(url.clone())), ..ProjectChange::default() };
        // One is no URL that a project may have.
        let why = match stand.baton.operator().change_project("group/demo", change) {
            Ok(_) => stand.refusal(&asked(None)),
            Err(error) => error.message,
        };
        assert!(why.contains(words), "{url}: {why}");
    }
    // A redirect leads nowhere, and shows nobody a password.
    let with_password = stand.forge.url().replace("http://", "http://ann:s3cret%40@");
    stand.set_url(&with_password);
    stand.forge.behave(Manner::Redirects(format!("http://{}", victim.url().split('/').nth(2).unwrap())));
    let why = stand.refusal(&asked(None));
    assert!(why.starts_with("git: ") && !why.contains("s3cret"), "{why}");
    assert_eq!(victim.take_seen().len(), 0);
    stand.forge.behave(Manner::Wants("Basic other".to_owned()));
    let why = stand.refusal(&asked(None));
    assert!(why.starts_with("git: ") && !why.contains("s3cret"), "{why}");
    assert!(!hooks.exists());

    // The password that is right is shown, and the runner gets it as before.
    let login = {
        use base64::Engine;
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode("bob:to:ken"))
    };
    stand.forge.behave(Manner::Wants(login.clone()));
    let change = ProjectChange { repo_credentials: Some("bob:to:ken".to_owned()), ..ProjectChange::default() };
    stand.baton.operator().change_project("group/demo", change).unwrap();
    stand.forge.take_seen();
    stand.start(None);
    assert!(stand.forge.take_seen().iter().all(|one| one.authorization.as_ref() == Some(&login)));
    let build = stand.baton.claim(&stand.baton.runner());
    assert_eq!(build.json["repo_url"], json!(stand.forge.url().replace("http://", "http://bob:to%3Aken@")));
}

#[test]
fn a_repository_that_is_too_big_or_too_slow_is_left_and_leaves_nothing() {
    let limits = Limits { mirror_bytes_max: 300_000, ..Limits::default() };
    let stand = Stand::with_limits(limits);
    let mut random = crate::harness::random::Random::new();
    let noise: String = (0..2_000_000).map(|_| char::from(b'!' + (random.next() % 90) as u8)).collect();
    stand.forge.push("big", &[(".gitlab-ci.yml", "job: {script: [x]}"), ("noise", &noise)]);
    let why = stand.refusal(&asked(Some("big")));
    assert!(why.contains("too big"), "{why}");
    fs::remove_file(stand.forge.work().join("noise")).unwrap();
    stand.forge.push("main", &[("lock", "1")]);
    stand.start(Some("main"));
    // The file itself may be too big.
    let long = format!("job: {{script: [x]}}\n#{}", "x".repeat(2 << 20));
    stand.forge.push("long", &[(".gitlab-ci.yml", &long)]);
    let why = stand.refusal(&asked(Some("long")));
    assert!(why.contains("bytes"), "{why}");
    let impatient = Limits { fetch_time_max: Duration::from_secs(1), ..Limits::default() };
    let stand = Stand::with_limits(impatient);
    stand.forge.behave(Manner::Silent);
    let why = stand.refusal(&asked(Some("main")));
    assert!(why.contains("git took longer than 1 seconds"), "{why}");
}

#[test]
fn of_many_who_start_at_once_some_wait_some_are_told_to_come_again_and_runners_are_served() {
    let limits = Limits { starts_max: 5, starts_per_project_max: 3, ..Limits::default() };
    let stand = Stand::with_limits(limits);
    let runner = stand.baton.runner();
    stand.forge.push("main", &[(".gitlab-ci.yml", "job: {script: [x]}")]);
    stand.forge.behave(Manner::Silent);
    stand.forge.take_seen();
    let outcomes: Vec<Result<StartOutcome, Error>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..100).map(|_| scope.spawn(|| stand.ask(&asked(None)))).collect();
        stand.forge.wait_for_requests(1);
        // Nothing of it keeps a runner waiting.
        for _ in 0..20 {
            assert_eq!(stand.baton.ask(&runner).status, 204);
        }
        crate::harness::served::wait_for("refusals", || {
            (all.iter().filter(|one| one.is_finished()).count() == 97).then_some(())
        });
        stand.forge.behave(Manner::Good);
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let made = outcomes.iter().filter(|one| matches!(one, Ok(StartOutcome::Pipeline(_)))).count();
    let busy = outcomes.iter().filter(|one| matches!(one, Err(Error { kind: Kind::Busy, .. }))).count();
    assert_eq!((made, busy), (3, 97), "{:?}", outcomes.iter().find(|one| matches!(one, Ok(StartOutcome::Refused(_)))));
    let iids: Vec<i64> =
        stand.baton.operator().list_pipelines(None, None).unwrap().iter().map(|one| one.pipeline.iid).collect();
    assert_eq!(iids, [3, 2, 1]);
    expect_well(stand.baton.data());
}

#[test]
fn a_child_is_made_of_the_commit_of_its_parent() {
    let stand = Stand::new();
    let config = "child:\n  trigger: {include: [{local: child.yml}], strategy: depend}\n";
    stand.forge.push("main", &[(".gitlab-ci.yml", config), ("child.yml", "inner: {script: [first]}\n")]);
    let added = stand.start(None);
    let child = || {
        crate::harness::served::wait_for("a child", || {
            stand.baton.operator().children_of_pipeline(added.id).unwrap().pop()
        })
    };
    let shown = stand.baton.operator().show_pipeline(child(), Timestamp::now()).unwrap();
    assert_eq!(shown.builds.iter().map(|(build, _)| build.build.name.as_str()).collect::<Vec<_>>(), ["inner"]);
    let build = stand.baton.claim(&stand.baton.runner());
    assert_eq!(build.json["repo_url"], json!(stand.forge.url()));
    stand.baton.finish(&build, "success");
}

#[test]
fn lint_says_what_a_text_or_the_file_of_a_ref_means() {
    let stand = Stand::new();
    let lint = |subject: LintSubject, dry_run: Option<Option<&str>>| {
        let dry_run = dry_run.map(|name| name.map(ToOwned::to_owned));
        let request = LintRequest { project: Some("group/demo".to_owned()), subject, dry_run };
        stand.baton.operator().lint(&request).unwrap()
    };
    let content = |text: &str| LintSubject::Content(text.as_bytes().to_vec());
    // Nothing is fetched for a text that names no file.
    stand.forge.behave(Manner::Redirects("http://127.0.0.1:9".to_owned()));
    let good = lint(content("job: {script: [x]}"), None);
    assert!(good.errors.is_empty() && good.jobs.len() == 1 && good.merged_yaml.unwrap().contains("job:"));
    let wrong = lint(content("job: {scirpt: [x]}"), None);
    assert!(wrong.errors.join(" ").contains("did you mean script?") && wrong.jobs.is_empty(), "{:?}", wrong.errors);
    assert!(lint(content("a: ["), None).errors[0].starts_with(".gitlab-ci.yml:"));
    assert_eq!(stand.forge.take_seen().len(), 0);
    stand.forge.behave(Manner::Good);
    stand.forge.push("main", &[(".gitlab-ci.yml", CONFIG), ("ci/more.yml", MORE)]);
    let of_ref = lint(LintSubject::Ref(None), None);
    assert_eq!((of_ref.errors.as_slice(), of_ref.includes.as_slice()), (&[][..], &["ci/more.yml".to_owned()][..]));
    let names: Vec<&str> = of_ref.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["compile", "unit"]);
    assert!(lint(content("include: [{local: ci/more.yml}]\nstages: [test]"), None).errors.is_empty());
    assert!(!lint(LintSubject::Ref(Some("nope".to_owned())), None).errors.is_empty());
    let rules = "job: {script: [x], rules: [{if: '$CI_COMMIT_TAG'}]}";
    assert!(lint(content(rules), None).errors.is_empty());
    assert_eq!(lint(content(rules), Some(Some("main"))).errors.len(), 1);
    assert!(lint(content(rules), Some(Some("refs/tags/v1"))).errors.is_empty());
}

#[test]
fn the_command_line_starts_one_without_a_server_and_makes_trigger_tokens() {
    let (forge, dir) = (Forge::start(), tempfile::tempdir().unwrap());
    let data = dir.path().join("data");
    let run = |words: &[&str]| baton(&data, words);
    let sha = forge.push("main", &[(".gitlab-ci.yml", CONFIG), ("ci/more.yml", MORE)]);
    let none = refused(&run(&["pipeline", "run"]));
    assert!(none.contains("there is no project yet"), "{none}");
    // A path is right for one who sits there.
    done(&run(&["project", "add", "demo", "--repo-url", forge.path().to_str().unwrap()]));
    let said = done(&run(&["pipeline", "run", "--variable", "LEVEL=4"]));
    assert_eq!(said, format!("pipeline 1 is queued: 2 jobs, commit {} of main\n", &sha[..8]));
    done(&run(&["project", "set", "demo", "--repo-url", &forge.url()]));
    let said = done(&run(&["pipeline", "run", "--project", "demo", "--ref", "main", "--source", "trigger", "--json"]));
    assert_eq!(said, "{\"id\":2,\"jobs\":[3,4,5]}\n");
    let why = refused(&run(&["pipeline", "run", "--ref", "nope"]));
    assert!(why.contains("Reference not found"), "{why}");

    let token = done(&run(&["trigger", "add", "--project", "demo", "--description", "nightly", "--token-only"]));
    let token = token.trim();
    assert!(token.starts_with("btt-") && token.len() == 47, "{token}");
    let listed = done(&run(&["trigger", "list", "--project", "demo"]));
    assert!(listed.contains("nightly") && listed.contains(&token[..8]) && !listed.contains(token), "{listed}");
    done(&run(&["trigger", "remove", "--project", "demo", "1"]));
    assert!(refused(&run(&["trigger", "remove", "--project", "demo", "1"])).contains("no trigger token 1"));
    let database = open_database(&data);
    let dump: String = database.query_row("SELECT count(*) || '' FROM triggers", [], |row| row.get(0)).unwrap();
    assert_eq!(dump, "0");
}
