//! Each page, looked at: light and dark, on a desk and on a phone, by eyes and by programs that read to people.

use crate::checks::{axe, expect_quiet, look_at};
use crate::harness::browser::{Tab, Transfer};
use crate::harness::*;
use crate::seen::*;
use baton::coordinator::NewPipeline;
use baton::coordinator::start::files::CommitFiles;
use baton::domain::pipeline::Source;
use baton::domain::time::Timestamp;
use baton::gitlab_ci::compile;
use baton::gitlab_ci::context::Context;
use baton::store::runners::NewRunner;
use std::io::Write;

/// As people call nothing, but may.
const HOSTILE: &str = "<script>alert(1)</script>&quot;";

/// An archive as a build uploads it.
fn archive() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in
        [("report/index.html", "<h1>Report</h1>"), ("report/a & b.txt", "one\ntwo\n"), ("notes.md", "# Notes")]
    {
        archive.start_file(name, options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Runs the next job: what it logs, and how it ends.
fn run(baton: &Baton, runner: &TestRunner, log: &str, state: &str) -> Claimed {
    let build = baton.claim(runner);
    if !log.is_empty() {
        baton.append(&build, 0, log);
    }
    baton.send(upload(&build, "artifacts.zip", &archive())).expect(201);
    baton.finish(&build, state);
    build
}

const LOG: &str = "Running with gitlab-runner 19.3.0\n\
    section_start:1500000000:get_sources\r\x1b[0K\x1b[0;mGetting source from Git repository\x1b[0;m\n\
    Checking out 0b3bce98 as main...\nsection_end:1500000003:get_sources\r\x1b[0K\
    section_start:1500000003:step_script\r\x1b[0K\x1b[0;mExecuting \"step_script\" stage of the job script\x1b[0;m\n\
    \x1b[32;1m$ cargo test --workspace\x1b[0;m\n\x1b[1m\x1b[32m   Compiling\x1b[0m baton v0.1.0\n\
    \x1b[33mwarning\x1b[0m: unused <b>variable</b>\n[\x1b[36m━━━━━━━━━\x1b[38;5;245m━━━━\x1b[0m] 50 %\r[\x1b[36m━━━━━━━━━━━━━\x1b[0m] 100 %\n\
    a line that is much longer than a phone is wide, and has no end for quite a while: https://example.org/a/b?c=d&e=f\n\
    \x1b[31mtest hold::a_held_reader_keeps_no_thread ... FAILED\x1b[0m\n\
    section_end:1500000009:step_script\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 101\x1b[0;m\n";

/// What a busy server has: of each state something, and names that mean to do harm. The failed job.
fn fill(baton: &Baton) -> Claimed {
    let runner = baton.runner();
    let title = format!("Hold readers as runners are held {HOSTILE}");
    for (branch, state) in [("main", "success"), ("main", "failed"), ("feature/held", "success")] {
        start_pipeline(
            baton,
            branch,
            "Read the log by lines, not by bytes",
            vec![job("compile", 1, |_| {}), job("unit", 2, |_| {})],
        );
        run(baton, &runner, LOG, "success");
        run(baton, &runner, LOG, state);
    }
    let jobs = vec![
        job("fmt", 0, |_| {}),
        job("compile", 1, |_| {}),
        job("docs", 1, needs("fmt")),
        job("unit", 2, needs("compile")),
        job("fuzz", 2, may_fail),
        job(HOSTILE, 2, |_| {}),
        job("windows", 2, |job| job.tags = vec!["windows".to_owned()]),
        job("production", 3, manual),
    ];
    start_pipeline(baton, "feature/held", &title, jobs);
    let mut failed = None;
    for name in ["fmt", "compile", "docs", "unit", "fuzz"] {
        let bad = ["unit", "fuzz"].contains(&name);
        let build = run(baton, &runner, LOG, if bad { "failed" } else { "success" });
        if baton.show(build.id).name == "unit" {
            failed = Some(build);
        }
    }
    let build = baton.claim(&runner);
    baton.append(&build, 0, LOG);
    start_refused(baton);
    let paused = baton
        .runner_like(NewRunner { description: HOSTILE.to_owned(), tags: tags("linux,fast"), ..new_runner() }, None);
    baton.operator().pause_runner(paused.id, true).unwrap();
    failed.expect("the job failed")
}

/// A pipeline whose configuration was refused for this and that.
fn start_refused(baton: &Baton) {
    let config = format!(
        "stages: [build, test]\n\n# {HOSTILE}\ncompile:\n  stage: build\n  scirpt:\n    - make {}\n  script:\n    - \tmake\n\n\
         unit:\n  stage: test\n  script: [make test]\n  {HOSTILE}: 1\n",
        "-j2 ".repeat(70)
    );
    let context = Context { source: Source::Trigger, config_path: ".gitlab-ci.yml".to_owned(), ..Context::default() };
    let new = NewPipeline {
        project: "demo".to_owned(),
        ref_: "main".to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        title: Some("Make it twice as fast".to_owned()),
        actor: Some("trigger token nightly".to_owned()),
        ..NewPipeline::of(&context, compile(config.as_bytes(), &context, &CommitFiles::none())).unwrap()
    };
    assert!(new.refusal.len() > 1, "{:?}", new.refusal);
    baton.operator().add_pipeline(new, Timestamp::now()).unwrap();
}

/// The addresses of the page's links that stay on the server.
fn links(tab: &Tab, base: &str) -> Vec<String> {
    let all = tab.value("[...document.querySelectorAll('a[href]')].map(a => a.href.split('#')[0])");
    let all = all.as_array().unwrap().iter().map(|url| url.as_str().unwrap().to_owned());
    all.filter(|url| url.starts_with(base)).collect()
}

#[test]
fn every_page_is_quiet_fits_and_keeps_nobody_out() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base, axe) = (browser.tab(), url(&baton, ""), axe());
    let look = |name: &str| {
        look_at(&tab, name, axe.as_deref());
        assert_eq!(
            tab.number("[...document.scripts].filter(e => !e.src).length"),
            0.0,
            "{name} has a script of its own"
        );
        expect_quiet(&tab, &base);
    };

    tab.open(&url(&baton, "/"));
    assert!(tab.complaints().iter().all(|said| said.contains("401")), "{:?}", tab.complaints());
    tab.forget();
    look("sign-in");
    let key = baton.operator().make_login_key("mira", Timestamp::now()).unwrap();
    tab.open(&url(&baton, &format!("/-/login?key={}", key.reveal())));
    look("login");
    tab.click("main form button");
    tab.wait("document.querySelector('h1').innerText == 'Overview'");
    look("first");

    let failed = fill(&baton);
    let pages = [
        ("overview", "/".to_owned()),
        ("project", "/demo".to_owned()),
        ("pipelines", "/-/pipelines".to_owned()),
        ("branch", "/demo/-/pipelines?ref=feature%2Fheld".to_owned()),
        ("pipeline", "/-/pipelines/4".to_owned()),
        ("pipeline-refused", "/-/pipelines/5".to_owned()),
        ("jobs", "/-/jobs".to_owned()),
        ("job", format!("/demo/-/jobs/{}", failed.id)),
        (
            "job-running",
            format!("/demo/-/jobs/{}", baton.operator().show_build(failed.id, Timestamp::now()).unwrap().build.id),
        ),
        ("artifacts", format!("/demo/-/jobs/{}/artifacts/browse/report", failed.id)),
        ("artifact", format!("/demo/-/jobs/{}/artifacts/file/report/a%20%26%20b.txt", failed.id)),
        ("runners", "/-/runners".to_owned()),
        ("runner", "/-/runners/1".to_owned()),
        ("erase", format!("/demo/-/jobs/{}/erase", failed.id)),
        ("search", "/-/search?q=nothing+is+called+that".to_owned()),
    ];
    let mut found = std::collections::BTreeSet::new();
    for (name, path) in pages {
        tab.forget();
        tab.follow(&url(&baton, &path));
        assert!(tab.transfers()[0].status.is_some_and(|status| status < 400), "{name}: {:?}", tab.transfers());
        look(name);
        found.extend(links(&tab, &base));
    }
    let cookie = tab.value("document.cookie");
    assert_eq!(cookie, "", "scripts read no cookie");
    for link in found {
        let status = tab.number(&format!(
            "fetch({}, {{redirect: 'follow'}}).then(answer => answer.status)",
            serde_json::json!(link)
        ));
        assert_eq!(status, 200.0, "{link}");
    }
}

#[test]
fn a_first_visit_takes_three_requests_and_little() {
    let Some((baton, browser)) = start() else { return };
    let (tab, base) = (browser.tab(), url(&baton, ""));
    sign_in(&tab, &baton, &base);
    let failed = fill(&baton);
    let other = browser.tab();
    other.open(&url(&baton, &format!("/demo/-/jobs/{}", failed.id)));
    other.wait(LIVE);
    let fresh = |tab: &Tab| -> Vec<Transfer> {
        let all = tab.transfers().into_iter();
        all.filter(|transfer| !transfer.is_from_cache && transfer.kind != "Fetch").collect()
    };
    let (before, first) = (fresh(&tab), fresh(&other));
    let of = |kind: &str| before.iter().filter(|transfer| transfer.kind == kind).collect::<Vec<_>>();
    let assets = [of("Stylesheet"), of("Script")].concat();
    assert_eq!(assets.len(), 2, "once for all pages: {before:#?}");
    assert!(assets[1].bytes.is_some_and(|bytes| bytes < 12_000), "the script: {assets:#?}");
    assert!(first.len() == 1 && first[0].kind == "Document", "{first:#?}");
    let bytes: u64 = assets.into_iter().chain(&first).filter_map(|transfer| transfer.bytes).sum();
    eprintln!("a first visit takes {bytes} bytes");
    assert!(bytes < 40_000, "{bytes}");
}
