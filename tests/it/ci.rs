//! Promise: `baton run` in a checkout makes the pipeline of its `.gitlab-ci.yml` on what lies there, by GitLab's rules, and
//! changes nothing of the checkout; it says what a file means and what is wrong with it; and its exit status is the result.

use crate::harness::command::{done, refused, text};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A user's checkout, with nothing else on the machine.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A checkout of one commit with these files.
    fn new(files: &[(&str, &str)]) -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.path("home")).unwrap();
        fs::create_dir_all(place.path("work")).unwrap();
        place.git(&["init", "--quiet", "--initial-branch=main", "."]);
        for (name, text) in files {
            place.write(name, text);
        }
        place.commit("First words\n\nMore words.");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path("work")).env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        for (role, value) in [("NAME", "me"), ("EMAIL", "me@example.com")] {
            command.env(format!("GIT_AUTHOR_{role}"), value).env(format!("GIT_COMMITTER_{role}"), value);
        }
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn baton(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command
            .env_remove("BATON_DATA")
            .env_remove("RUST_LOG")
            .env_remove("XDG_CACHE_HOME")
            .env("HOME", self.path("home"));
        command.current_dir(self.path("work")).arg("--data").arg(self.path("data")).args(words).output().unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        self.baton(&[&["run"], words].concat())
    }

    /// The jobs of `--list --json`: names in order.
    fn listed(&self, words: &[&str]) -> (Vec<String>, Value) {
        let output = self.run(&[&["--list", "--json"], words].concat());
        let value: Value = serde_json::from_str(&done(&output)).unwrap();
        let names = value["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned());
        (names.collect(), value)
    }

    /// States of the jobs of a pipeline, by name.
    fn states(&self, pipeline: &str) -> Vec<(String, String)> {
        let value: Value = serde_json::from_str(&done(&self.baton(&["pipeline", "show", pipeline, "--json"]))).unwrap();
        let word = |job: &Value, key: &str| job[key].as_str().unwrap_or_default().to_owned();
        value["jobs"].as_array().unwrap().iter().map(|job| (word(job, "name"), word(job, "status"))).collect()
    }

    /// All that git knows of the checkout, and the index to the byte.
    fn state(&self) -> (String, String, String, Vec<u8>) {
        let refs = self.git(&["for-each-ref"]);
        let head = self.git(&["rev-parse", "HEAD"]);
        let index = fs::read(self.path("work/.git/index")).unwrap();
        (refs, head, self.git(&["status", "--porcelain"]), index)
    }
}

fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

const PIPELINE: &str = "
stages: [build, test, deploy]
variables: {GREETING: 'hello $CI_COMMIT_BRANCH'}
compile:
  stage: build
  script:
    - echo \"$GREETING in $CI_PIPELINE_SOURCE\"
    - cat state.txt new.txt > out.txt
    - echo VERSION=1.2 > made.env
  artifacts: {paths: [out.txt], reports: {dotenv: made.env}}
unit:
  stage: test
  parallel: {matrix: [{DB: [pg, my]}]}
  script: ['grep changed out.txt && grep untracked out.txt', 'echo \"$DB has $VERSION\"']
lint:
  stage: test
  needs: []
  script: exit 3
  allow_failure: {exit_codes: [3]}
release:
  stage: deploy
  script: echo release
  rules: [{if: $CI_COMMIT_TAG}]
deploy:
  stage: deploy
  script: echo \"deploying $VERSION\"
approve:
  stage: deploy
  script: echo approved
  when: manual
";

#[test]
fn a_pipeline_of_the_present_state_is_green_and_leaves_the_checkout_as_it_was() {
    let place = Place::new(&[(".gitlab-ci.yml", PIPELINE), ("state.txt", "first\n"), (".gitignore", "ignored\n")]);
    place.write("state.txt", "changed\n");
    place.write("new.txt", "untracked\n");
    place.write("ignored", "secret\n");
    let before = place.state();
    let output = place.run(&["--output", "../out"]);
    let said = all(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(place.state(), before, "nothing of the checkout changes");
    for part in [
        "hello main in push",
        "pg has 1.2",
        "my has 1.2",
        "deploying 1.2",
        "new.txt",
        "which is allowed",
        "success with warnings",
        "baton build play",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(fs::read_to_string(place.path("out/compile/out.txt")).unwrap(), "changed\nuntracked\n");
    let states = place.states("1");
    let of = |name: &str| states.iter().find(|(other, _)| other == name).map(|(_, state)| state.as_str());
    assert_eq!((of("lint"), of("approve"), of("release")), (Some("failed"), Some("manual"), None), "{states:?}");
    let shown = done(&place.baton(&["pipeline", "show", "1"]));
    assert!(shown.contains("release") && shown.contains("First words"), "{shown}");
    done(&place.baton(&["check"]));
}

#[test]
fn the_exit_status_is_the_result() {
    let place = Place::new(&[(
        ".gitlab-ci.yml",
        "stages: [one, two]\nred:\n  stage: one\n  script: exit 7\nafter:\n  stage: two\n  script: echo never\n\
         clean:\n  stage: two\n  script: echo always\n  when: always\n",
    )]);
    let red = place.run(&[]);
    let said = all(&red);
    assert_eq!(red.status.code(), Some(1), "{said}");
    assert!(said.contains("exit code 7") && said.contains("baton build log 1"), "{said}");
    let states = [("red", "failed"), ("after", "skipped"), ("clean", "success")];
    assert_eq!(place.states("1"), states.map(|(name, state)| (name.to_owned(), state.to_owned())));

    place.write(".gitlab-ci.yml", "only-tags:\n  script: echo\n  rules: [{if: $CI_COMMIT_TAG}]\n");
    let none = place.run(&[]);
    assert_eq!(none.status.code(), Some(3), "{}", all(&none));
    assert!(all(&none).contains("The rules configuration prevented any jobs"), "{}", all(&none));

    place.write(".gitlab-ci.yml", "mr:\n  script: echo\n  rules: [{if: $CI_MERGE_REQUEST_IID}]\n");
    let hint = all(&place.run(&[]));
    assert!(hint.contains("--source merge_request_event"), "{hint}");
    let merge_request = place.run(&["--source", "merge_request_event"]);
    assert!(merge_request.status.success(), "{}", all(&merge_request));

    place.write(".gitlab-ci.yml", "ask:\n  script: echo\n  when: manual\n  allow_failure: false\n");
    assert_eq!(place.run(&[]).status.code(), Some(4));
    assert!(place.run(&["--manual", "ask"]).status.success());
    let json: Value = serde_json::from_str(&done(&place.run(&["ask", "--json"]))).unwrap();
    assert_eq!((&json["status"], &json["jobs"][0]["status"]), (&"success".into(), &"success".into()));
}

#[test]
fn a_wrong_file_is_refused_with_its_place_and_nothing_is_queued() {
    let place = Place::new(&[(".gitlab-ci.yml", "build:\n  stage: biuld\n  script: make\n")]);
    for words in [&[][..], &["--list"], &["--lint"]] {
        let output = place.run(words);
        let said = all(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("build job: chosen stage biuld does not exist"), "{said}");
        assert!(said.contains("(did you mean build?)") && said.contains("|   stage: biuld"), "{said}");
    }
    assert!(place.baton(&["pipeline", "list", "--json"]).stdout.is_empty());
    place.write(".gitlab-ci.yml", "build:\n  script: [make]\n\x1b[31mred: 1\n");
    let said = all(&place.run(&[]));
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn what_a_file_means_is_shown_without_anything_being_made() {
    let place = Place::new(&[
        (".gitlab-ci.yml", PIPELINE),
        ("other.yml", "include: {local: /more.yml}\na: {script: echo, needs: [b]}\n"),
        ("more.yml", "b: {extends: .base}\n.base: {script: [echo b], tags: [x]}\n"),
    ]);
    let plain = done(&place.run(&["--list", "--plain", "unit"]));
    assert_eq!(plain, "compile\nunit: [pg]\nunit: [my]\n");
    let (names, value) = place.listed(&[]);
    assert_eq!(names, ["compile", "unit: [pg]", "unit: [my]", "lint", "deploy", "approve"]);
    assert_eq!(value["left_out"][0]["name"], "release");
    assert_eq!(place.listed(&["--tag", "v1"]).0.last().map(String::as_str), Some("approve"));
    assert!(place.listed(&["--tag", "v1"]).0.contains(&"release".to_owned()));
    assert_eq!(place.listed(&["unit"]).0, ["compile", "unit: [pg]", "unit: [my]"]);
    assert_eq!(place.listed(&["--no-needs", "unit*"]).0, ["unit: [pg]", "unit: [my]"]);
    let (names, value) = place.listed(&["--file", "other.yml", "--secret", "TOKEN=hunter22hunter"]);
    assert_eq!(names, ["b", "a"]);
    assert_eq!(value["jobs"][0]["tags"][0], "x");
    assert_eq!(value["jobs"][0]["variables"]["TOKEN"], Value::Null, "a secret is not shown");
    let expanded = done(&place.run(&["--file", "other.yml", "--expand"]));
    assert!(expanded.contains("# more.yml:1\nb:") && expanded.contains("- echo b"), "{expanded}");
    let lint = done(&place.run(&["--lint"]));
    assert!(lint.contains("is valid") && lint.contains("tag v1.0.0: 7 jobs"), "{lint}");
    assert!(!place.path("data").exists(), "no data directory is made");
    assert!(!place.git(&["for-each-ref"]).contains("baton"));
}

#[test]
fn changes_are_those_since_the_last_push_and_of_what_is_not_committed() {
    let file = "docs:\n  script: echo\n  rules: [{changes: [docs/*]}]\ncode:\n  script: echo\n  rules: [{changes: ['src/**/*']}]\n\
                always: {script: echo}\n";
    let place = Place::new(&[(".gitlab-ci.yml", file), ("docs/a", "1"), ("src/a/b", "1")]);
    place.git(&["checkout", "--quiet", "-b", "topic"]);
    place.write("src/a/c", "2");
    place.commit("Code");
    assert_eq!(place.listed(&[]).0, ["code", "always"]);
    place.write("docs/b", "2");
    assert_eq!(place.listed(&[]).0, ["docs", "code", "always"]);
    assert_eq!(place.listed(&["--committed"]).0, ["code", "always"]);
    assert_eq!(place.listed(&["--compare-to", "HEAD"]).0, ["docs", "always"]);
    assert_eq!(place.listed(&["--compare-to", "HEAD", "--committed"]).0, ["always"]);
    assert_eq!(place.listed(&["--all-changes", "--committed"]).0, ["docs", "code", "always"]);
    let unknown = place.run(&["--list", "--compare-to", "nowhere"]);
    assert!(refused(&unknown).contains("\"nowhere\""));
}

#[test]
fn variables_come_from_files_and_the_command_line_the_latter_wins_and_secrets_are_masked() {
    let file = "show:\n  script: ['echo \"$A $B $C\"', 'cat $D']\n  variables: {A: file, B: file, C: file}\n";
    let place = Place::new(&[(".gitlab-ci.yml", file), ("settings", "content of D")]);
    place.write(".baton/variables.yml", "A: own\nB: own\n");
    place.write("more.yml", "B: more\n");
    let words = ["--variables-file", "more.yml", "--secret", "C=hunter22hunter", "--variable-file", "D=settings"];
    let output = place.run(&words);
    let said = all(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("own more [MASKED]") && said.contains("content of D"), "{said}");
    assert!(!said.contains("hunter22hunter"));
    assert!(!place.git(&["status", "--porcelain"]).contains(".baton"), "the file is hidden from git");
}

#[test]
fn files_of_other_projects_come_from_the_checkouts_that_are_named() {
    let other = Place::new(&[
        ("ci/base.yml", ".base: {script: [echo old]}\n"),
        ("templates/lint.yml", "lint: {script: echo lint}\n"),
    ]);
    other.git(&["tag", "1.0.0"]);
    other.write("ci/base.yml", ".base: {script: [echo new]}\n");
    other.write("templates/lint.yml", "lint: {script: echo newer lint}\n");
    other.commit("New");
    other.git(&["tag", "1.2.0"]);
    let file = "include:\n  - {project: group/tools, file: /ci/base.yml, ref: 1.0.0}\n\
                \x20 - {component: $CI_SERVER_FQDN/group/tools/lint@1}\njob: {extends: .base}\n";
    let place = Place::new(&[(".gitlab-ci.yml", file)]);
    place.git(&["remote", "add", "origin", "git@gitlab.example:mine/app.git"]);
    let refused = all(&place.run(&["--list"]));
    assert!(refused.contains("--include-project group/tools=DIR"), "{refused}");
    let dir = format!("group/tools={}", other.path("work").display());
    assert_eq!(place.listed(&["--include-project", &dir]).0, ["lint", "job"]);
    let expanded = done(&place.run(&["--expand", "--include-project", &dir]));
    assert!(expanded.contains("echo old") && expanded.contains("echo newer lint"), "{expanded}");
}

#[test]
fn jobs_make_pipelines_of_their_own_from_files_and_from_what_others_made() {
    let file = "stages: [make, child, after]\n\
        generate:\n  stage: make\n  script: ['echo \"made: {script: echo made by \\$CI_PIPELINE_SOURCE with \\$LEVEL}\" > child.yml']\n\
        \x20 artifacts: {paths: [child.yml]}\n\
        static:\n  stage: child\n  trigger: {include: sub.yml, strategy: depend}\n  variables: {LEVEL: deep}\n\
        dynamic:\n  stage: child\n  trigger: {include: [{artifact: child.yml, job: generate}], strategy: depend}\n\
        \x20 variables: {LEVEL: high}\n\
        last:\n  stage: after\n  script: echo last\n";
    let place = Place::new(&[(".gitlab-ci.yml", file), ("sub.yml", "sub: {script: 'echo below with $LEVEL'}\n")]);
    let output = place.run(&[]);
    let said = all(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("below with deep") && said.contains("made by parent_pipeline with high"), "{said}");
    let states = place.states("1");
    assert!(states.iter().all(|(_, state)| state == "success"), "{states:?}");
    place.write("sub.yml", "sub: {script: exit 1}\n");
    let red = place.run(&["static", "last"]);
    assert_eq!(red.status.code(), Some(1), "{}", all(&red));
    place.write("sub.yml", "sub: {skript: exit 1}\n");
    let wrong = all(&place.run(&["static"]));
    assert!(wrong.contains("sub.yml:1: jobs sub config should implement the script:"), "{wrong}");
}

#[test]
fn a_checkout_without_a_file_or_a_commit_says_what_to_do() {
    let place = Place::new(&[("a", "a")]);
    let said = refused(&place.run(&[]));
    assert!(said.contains("has no .gitlab-ci.yml") && said.contains("baton run -- COMMAND"), "{said}");
    let usage = place.run(&["--list", "--image", "alpine"]);
    assert_eq!((usage.status.code(), all(&usage).contains("--image goes with a command")), (Some(2), true));
    let usage = place.run(&["--branch", "x", "--", "true"]);
    assert_eq!((usage.status.code(), all(&usage).contains("--branch goes with the pipeline")), (Some(2), true));
    let usage = place.run(&["--max-parallel", "2", "--", "true"]);
    assert_eq!((usage.status.code(), all(&usage).contains("--max-parallel goes with the pipeline")), (Some(2), true));
    fs::remove_dir_all(place.path("work/.git")).unwrap();
    assert!(refused(&place.run(&["--list"])).contains("no git checkout"));
}
