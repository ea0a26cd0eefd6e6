//! What the page says of pipelines whose configuration was refused.

use super::{Browser, own, visit};
use crate::harness::forge::Forge;
use crate::harness::served::wait_for;
use crate::harness::*;
use baton::coordinator::{PipelineRequest, ProjectChange, StartOutcome};
use baton::domain::pipeline::Source;
use baton::domain::time::Timestamp;
use baton::git::mirror::Protocols;
use baton::server::Config;
use baton::web::Access;

/// A server whose page everybody may look at, with project `demo`, which is what a forge has.
fn stand() -> (Baton, Forge) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { page: Access::Public, ..Config::local(dir.path().join("data")) };
    let (server, forge) = (Baton::start_with(dir, config), Forge::start());
    server.project("demo");
    let change = ProjectChange { repo_url: Some(Some(forge.url())), ..ProjectChange::default() };
    server.operator().change_project("demo", change).unwrap();
    (server, forge)
}

fn start(server: &Baton, source: Source) -> StartOutcome {
    let request = PipelineRequest {
        project: "demo".to_owned(),
        ref_: Some("main".to_owned()),
        source,
        given: Vec::new(),
        inputs: Vec::new(),
        actor: "trigger token nightly".to_owned(),
        protocols: Protocols::Web,
        warnings: Vec::new(),
    };
    server.operator().start_pipeline(&request, Timestamp::now()).unwrap()
}

#[test]
fn the_page_says_why_nothing_runs_and_shows_the_lines_to_those_who_are_signed_in() {
    let (server, forge) = stand();
    let config = "stages: [build]\n# <script>alert(1)</script>\n\ncompile:\n\tscript: [make]\n";
    let config = config.replace('\t', "  ") + "  <script>alert(2)</script>\u{202e}: [<b>x</b>]\n# the last\n";
    forge.push("main", &[(".gitlab-ci.yml", &config)]);
    assert!(matches!(start(&server, Source::Trigger), StartOutcome::Refused(_)));
    let known = Browser::sign_in(&server, "mira");
    let path = "/demo/-/pipelines/1";
    let (own_page, strangers) = (known.page(path), server.send(visit(Request::get(path))).expect(200).text());
    for page in [&own_page, &strangers] {
        for part in
            ["Configuration refused", ">failed<", ".gitlab-ci.yml</bdi>:6:3</b>", "&lt;script&gt;alert(2)", "no jobs"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        for part in ["<script>alert", "<b>x", "\u{202e}", "method=\"post\" action=\"/demo/-/pipelines/1"] {
            assert!(!page.contains(part), "{part}: {page}");
        }
    }
    assert!(own_page.contains("&lt;b&gt;x&lt;/b&gt;") && own_page.contains("# the last"), "{own_page}");
    assert!(own_page.contains("<i>6</i>") && own_page.matches("this line: ").count() == 1, "{own_page}");
    assert!(!own_page.contains("alert(1)"), "the second line is more than three before: {own_page}");
    assert!(!strangers.contains("# the last") && !strangers.contains("class=\"l err"), "{strangers}");

    // Wherever it is listed it has failed, and says why it has no stages.
    for path in ["/", "/demo", "/-/pipelines", "/-/pipelines?status=failed", "/demo/-/pipelines?ref=main"] {
        let page = known.page(path);
        assert!(page.contains("configuration refused") && page.contains("failed"), "{path}: {page}");
    }
    assert!(known.page("/demo/-/pipelines?ref=main").contains("1 of 1 failed"));
    for path in ["/-/pipelines?status=success", "/-/pipelines?status=skipped"] {
        assert!(!known.page(path).contains("configuration refused"), "{path}");
    }
    let badge = server.send(visit(Request::get("/demo/badges/main/pipeline.svg"))).expect(200).text();
    assert!(badge.contains("failed"), "{badge}");
    // Nothing is repeated, and nothing is canceled.
    for verb in ["retry", "cancel"] {
        known.press(&format!("/demo/-/pipelines/1/{verb}")).expect(409);
    }
}

#[test]
fn a_job_whose_child_was_refused_and_its_pipeline_lead_to_it() {
    let (server, forge) = stand();
    let parent = "makes: {trigger: {include: [{local: child.yml}]}}\n";
    forge.push("main", &[(".gitlab-ci.yml", parent), ("child.yml", "job: {scirpt: [x]}\n")]);
    assert!(matches!(start(&server, Source::Web), StartOutcome::Pipeline(_)));
    let known = Browser::sign_in(&server, "mira");
    wait_for("the child", || known.page("/demo/-/pipelines/1").contains("Child pipelines").then_some(()));
    for path in ["/demo/-/pipelines/1", "/demo/-/jobs/1"] {
        let page = known.page(path);
        assert!(page.contains("href=\"/-/pipelines/2\""), "{path}: {page}");
        let link = page.split("href=\"/-/pipelines/2\"").nth(1).unwrap();
        assert!(link[..300].contains("failed"), "{path}: {page}");
        assert!(page.contains("It failed: child.yml:1: jobs job config should implement"), "{path}: {page}");
    }
    let job = known.page("/demo/-/jobs/1");
    assert!(job.contains("it has no log") && !job.contains("none yet") && !job.contains("sent no log"), "{job}");
    let child = known.page("/demo/-/pipelines/2");
    for part in
        ["child.yml", "Configuration refused", "href=\"/-/jobs/1\"", "child by <bdi>trigger token nightly</bdi>"]
    {
        assert!(child.contains(part), "{part}: {child}");
    }
}

#[test]
fn a_page_that_is_held_hears_of_a_refused_pipeline() {
    let (server, forge) = stand();
    forge.push("main", &[(".gitlab-ci.yml", "job: {scirpt: [x]}\n")]);
    let known = Browser::sign_in(&server, "mira");
    let first = known.page("/-/pipelines");
    let token = first.split("data-live=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let token = token.unwrap_or_else(|| panic!("{first}"));
    let held = std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            let request = own(Request::get("/-/pipelines")).query("part", "1").query("v", &token).query("hold", "20");
            known.send(request)
        });
        start(&server, Source::Trigger);
        held.join().unwrap()
    });
    assert!(held.expect(200).text().contains("configuration refused"));
}
