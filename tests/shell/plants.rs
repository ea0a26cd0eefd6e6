//! What a job leaves in its folder for the next one: links, hooks and settings that would run or lead elsewhere.

use super::fake::job;
use super::pipeline::{Repository, git};
use super::stand::Stand;
use serde_json::{Value, json};

fn repository(stand: &Stand) -> Repository {
    let place = stand.dir.path().canonicalize().unwrap().join("repository");
    Repository::make(&place, &json!({"yaml": "", "files": {"README.md": "read me\n", "sub/file": "x\n"}}))
}

fn checked_out(id: u64, repository: &Repository, script: &[&str], more: Value) -> Value {
    let mut job = job(
        id,
        script,
        json!({
            "git_info": {
                "repo_url": format!("file://{}", repository.place.display()), "sha": repository.sha,
                "refspecs": ["+refs/heads/main:refs/remotes/origin/main"]
            },
            "variables": []
        }),
    );
    for (key, value) in more.as_object().unwrap() {
        job[key] = value.clone();
    }
    job
}

#[test]
fn nothing_that_a_job_plants_runs_in_the_next_one() {
    let stand = Stand::start();
    let repository = repository(&stand);
    let home = stand.dir.path().canonicalize().unwrap().join("home");
    let run = format!("touch {}/planted", home.display());
    let script = [
        format!("printf '#!/bin/sh\\n{run}\\n' > $CI_BUILDS_DIR/evil; chmod +x $CI_BUILDS_DIR/evil"),
        "mkdir -p .git/hooks; for h in post-checkout pre-commit post-merge reference-transaction; do cp $CI_BUILDS_DIR/evil .git/hooks/$h; done".to_owned(),
        "git config core.fsmonitor $CI_BUILDS_DIR/evil; git config core.hooksPath $CI_BUILDS_DIR/hooks".to_owned(),
        "git config filter.evil.smudge $CI_BUILDS_DIR/evil; git config filter.evil.process $CI_BUILDS_DIR/evil".to_owned(),
        "mkdir -p .git/info; echo '* filter=evil' > .git/info/attributes".to_owned(),
        "git config remote.origin.uploadpack $CI_BUILDS_DIR/evil; git config core.sshCommand $CI_BUILDS_DIR/evil".to_owned(),
        "mkdir -p \"$CI_PROJECT_DIR.tmp/git-template/hooks\"; cp $CI_BUILDS_DIR/evil \"$CI_PROJECT_DIR.tmp/git-template/hooks/post-checkout\"".to_owned(),
        "echo changed > README.md".to_owned(),
    ];
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    let log = stand.run(checked_out(1, &repository, &script, json!({})));
    assert!(log.contains("Job succeeded"), "{log}");
    let _ = std::fs::remove_file(home.join("planted"));
    let artifacts = json!([{"untracked": true, "paths": ["README.md"]}]);
    let log =
        stand.run(checked_out(2, &repository, &["cat README.md; git status --short"], json!({"artifacts": artifacts})));
    assert!(log.contains("\nread me\n") && log.contains("Job succeeded"), "{log}");
    assert!(!home.join("planted").exists(), "{log}");
    assert!(!log.contains("Created fresh repository."), "the checkout is kept: {log}");
}

#[test]
fn a_checkout_that_was_led_elsewhere_does_no_harm_there() {
    let plants = [
        "cd ..; rm -rf \"$CI_PROJECT_DIR\"; ln -s VICTIM \"$CI_PROJECT_DIR\"",
        "rm -rf .git; ln -s VICTIM/.git .git",
        "rm -rf .git; echo 'gitdir: VICTIM/.git' > .git",
        "echo VICTIM/.git > .git/commondir",
        "git config core.worktree VICTIM",
        "rm -rf \"$CI_PROJECT_DIR.tmp\"; ln -s VICTIM \"$CI_PROJECT_DIR.tmp\"",
        "rm -rf .git/refs; ln -s VICTIM/.git/refs .git/refs",
        "cd /; rm -rf $CI_BUILDS_DIR/local; ln -s VICTIM $CI_BUILDS_DIR/local",
    ];
    for plant in plants {
        let stand = Stand::start();
        let repository = repository(&stand);
        let victim = stand.dir.path().canonicalize().unwrap().join("victim");
        git(stand.dir.path(), &["clone", "-q", repository.place.to_str().unwrap(), victim.to_str().unwrap()]);
        std::fs::write(victim.join("work in progress"), "mine").unwrap();
        git(&victim, &["branch", "mine"]);
        let plant = plant.replace("VICTIM", victim.to_str().unwrap());
        stand.run(checked_out(1, &repository, &[&plant], json!({})));
        let log = stand.run(checked_out(2, &repository, &["cat README.md"], json!({})));
        assert!(log.contains("\nread me\n") && log.contains("Job succeeded"), "{plant}: {log}");
        assert_eq!(std::fs::read_to_string(victim.join("work in progress")).unwrap(), "mine", "{plant}");
        assert_eq!(git(&victim, &["status", "--short"]), "?? \"work in progress\"", "{plant}");
        assert_eq!(git(&victim, &["branch", "--list", "mine"]), "mine", "{plant}");
        assert!(!victim.join(".ran").exists(), "{plant}");
    }
}

#[test]
fn no_token_stays_in_the_checkout() {
    let stand = Stand::start();
    let repository = repository(&stand);
    let script = ["cat .git/config", "git remote -v", "git fetch -q origin && echo fetched"];
    let log = stand.run(checked_out(1, &repository, &script, json!({})));
    assert!(log.contains("\nfetched\n") && log.contains(".gitlab-runner.ext.conf"), "{log}");
    let builds = stand.dir.path().canonicalize().unwrap().join("builds/local/0");
    assert!(!builds.join("project-1.tmp/.gitlab-runner.ext.conf").exists());
}

#[test]
fn submodules_come_with_the_checkout_and_are_clean_the_next_time() {
    let stand = Stand::start();
    let inner = repository(&stand);
    let place = stand.dir.path().canonicalize().unwrap().join("outer");
    let outer = Repository::make(&place, &json!({"yaml": "", "files": {"a": "a\n"}}));
    git(&place, &["submodule", "add", "-q", inner.place.to_str().unwrap(), "deps/inner"]);
    git(&place, &["commit", "-q", "-m", "submodule"]);
    let outer = Repository { sha: git(&place, &["rev-parse", "HEAD"]), ..outer };
    std::fs::write(stand.dir.path().join("home/.gitconfig"), "[protocol \"file\"]\n\tallow = always\n").unwrap();
    for (id, strategy) in [(1, "recursive"), (2, "normal"), (3, "recursive")] {
        let variables = json!({"variables": [{"key": "GIT_SUBMODULE_STRATEGY", "value": strategy}]});
        let script = ["cat deps/inner/README.md", "echo x > deps/inner/README.md; touch deps/inner/new"];
        let log = stand.run(checked_out(id, &outer, &script, variables));
        assert!(log.contains("\nread me\n") && log.contains("Job succeeded"), "{id}: {log}");
        assert!(log.contains("Updated submodules"), "{id}: {log}");
    }
    let none = stand.run(checked_out(4, &outer, &["ls"], json!({})));
    assert!(none.contains("Skipping Git submodules setup"), "{none}");
    let odd = json!({"variables": [{"key": "GIT_SUBMODULE_STRATEGY", "value": "odd"}]});
    let log = stand.run(checked_out(5, &outer, &["ls"], odd));
    assert!(log.contains("unknown GIT_SUBMODULE_STRATEGY"), "{log}");
}

#[test]
fn a_failed_checkout_is_tried_as_often_as_the_job_says() {
    let stand = Stand::start();
    let mut repository = repository(&stand);
    repository.sha = "f".repeat(40);
    let log = stand.run(checked_out(1, &repository, &["true"], json!({})));
    assert_eq!(log.matches("Getting source from Git repository").count(), 1, "{log}");
    assert!(log.contains("exit status 128") && stand.fake.job(1).end.unwrap()["exit_code"] == 128, "{log}");
    let variables = json!({"variables": [{"key": "GET_SOURCES_ATTEMPTS", "value": "2"}]});
    let log = stand.run(checked_out(2, &repository, &["true"], variables));
    assert_eq!(log.matches("Getting source from Git repository").count(), 2, "{log}");
    assert!(log.contains("WARNING: Retrying...") && log.contains("Deleting all tracked and untracked files"), "{log}");
}
