//! What the tests of the page begin with: a server, somebody who is signed in, jobs and their logs.

use crate::harness::browser::{Browser, Tab};
use crate::harness::*;
use baton::coordinator::NewPipeline;
use baton::domain::pipeline::{Job, Need, Pipeline, Source, When, Work};
use baton::domain::spec::{AllowFailure, BuildSpec};
use baton::domain::time::Timestamp;

/// The script runs, and follows: until then, what it shows so stands there hidden.
pub const LIVE: &str = "(e => e && !e.hidden && e.innerText == 'live' && document.readyState == 'complete')(document.querySelector('.live'))";

/// A server with a project, and a browser, if there is one.
pub fn start() -> Option<(Baton, Browser)> {
    let browser = Browser::start()?;
    Some((Baton::with_project(), browser))
}

/// The address of a page.
pub fn url(baton: &Baton, path: &str) -> String {
    format!("http://{}{path}", baton.address())
}

/// The page of a job of project `demo`.
pub fn job_url(baton: &Baton, build: &Claimed) -> String {
    url(baton, &format!("/demo/-/jobs/{}", build.id))
}

/// Signs mira in, by a link below `base`, and leaves her on the overview.
#[track_caller]
pub fn sign_in(tab: &Tab, baton: &Baton, base: &str) {
    let key = baton.operator().make_login_key("mira", Timestamp::now()).unwrap();
    tab.open(&format!("{base}/-/login?key={}", key.reveal()));
    tab.click("main form button");
    tab.wait("document.querySelector('h1').innerText == 'Overview'");
}

/// Whoever sends a log.
pub struct Writer<'a> {
    baton: &'a Baton,
    pub build: Claimed,
    offset: usize,
}

impl Writer<'_> {
    /// One with a job of project `demo` that runs.
    pub fn of(baton: &Baton) -> Writer<'_> {
        let (_, build) = baton.running();
        Writer { baton, build, offset: 0 }
    }

    /// Sends more of it; returns when it is stored.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        self.baton.append(&self.build, self.offset, text);
        self.offset += text.len();
    }

    pub fn end(&self, state: &str) {
        self.baton.finish(&self.build, state);
    }
}

/// A tab in which mira looks at a job that runs, whose log begins so.
#[track_caller]
pub fn watch<'a>(baton: &'a Baton, browser: &Browser, log: &str) -> (Tab, Writer<'a>) {
    let tab = browser.tab();
    sign_in(&tab, baton, &url(baton, ""));
    let mut writer = Writer::of(baton);
    writer.write(log);
    tab.open(&job_url(baton, &writer.build));
    tab.wait(LIVE);
    (tab, writer)
}

/// Lines `from` to `to`, which say their number.
pub fn numbered(from: u64, to: u64) -> String {
    (from..=to).map(|number| format!("line {number} of the log\n")).collect()
}

/// A job of a pipeline, changed.
pub fn job(name: &str, stage: usize, change: impl FnOnce(&mut Job)) -> Job {
    let mut job = Job {
        name: name.to_owned(),
        group: name.to_owned(),
        stage_index: stage,
        stage: STAGES[stage].to_owned(),
        work: Work::Build(Box::new(BuildSpec::of_script("true"))),
        ..Job::default()
    };
    change(&mut job);
    job
}

const STAGES: [&str; 4] = ["lint", "build", "test", "deploy"];

pub fn needs(name: &str) -> impl Fn(&mut Job) + '_ {
    |job| job.needs = Some(vec![Need { job: name.to_owned(), artifacts: true, optional: false }])
}

pub fn may_fail(job: &mut Job) {
    job.allow_failure = AllowFailure::Any(true);
    if let Work::Build(spec) = &mut job.work {
        spec.allow_failure = AllowFailure::Any(true);
    }
}

pub fn manual(job: &mut Job) {
    job.when = When::Manual;
}

/// Starts a pipeline of project `demo`.
pub fn start_pipeline(baton: &Baton, branch: &str, title: &str, jobs: Vec<Job>) -> i64 {
    let stages = STAGES.map(str::to_owned).to_vec();
    let new = NewPipeline {
        project: "demo".to_owned(),
        pipeline: Pipeline { source: Source::Push, stages, jobs, ..Pipeline::default() },
        ref_: branch.to_owned(),
        sha: Some("0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6".to_owned()),
        title: Some(title.to_owned()),
        actor: Some("mira".to_owned()),
        ..NewPipeline::default()
    };
    baton.operator().add_pipeline(new, Timestamp::now()).unwrap().id.0
}
