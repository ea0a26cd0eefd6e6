//! Chains of builds that fail, are allowed to and are made again, against a model that knows no database.

use super::finish::finish;
use crate::coordinator::Coordinator;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::runner::RunnerId;
use crate::domain::runner::RunnerInfo;
use crate::domain::spec::{AllowFailure, Retry};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::limits::Limits;
use crate::store::runners::NewRunner;
use crate::store::{builds, invariants};
use rusqlite::Connection;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NOW: Timestamp = Timestamp(1);
const STEPS: usize = 150;
const JOBS_MAX: usize = 25;

/// What the model knows of a job: of all builds that repeat each other, the last counts.
struct Job {
    first: BuildId,
    needs: Vec<usize>,
    max: u32,
    asks: Asks,
    allow: Asks,
    builds: u32,
    status: Status,
    is_allowed: bool,
}

/// What a failure must be so that it counts.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Asks {
    Never,
    Any,
    Script,
    Code3,
}

impl Asks {
    fn counts(self, reason: FailureReason, code: Option<i64>) -> bool {
        match self {
            Asks::Never => false,
            Asks::Any => true,
            Asks::Script => reason == FailureReason::ScriptFailure,
            Asks::Code3 => code == Some(3),
        }
    }

    fn retry(self, max: u32) -> Option<Retry> {
        let (when, exit_codes) = match self {
            Asks::Never => return None,
            Asks::Any => (vec![], vec![]),
            Asks::Script => (vec!["script_failure".to_owned()], vec![]),
            Asks::Code3 => (vec![], vec![3]),
        };
        Some(Retry { max, when, exit_codes })
    }

    fn allow(self) -> AllowFailure {
        match self {
            Asks::Never | Asks::Script => AllowFailure::Any(false),
            Asks::Any => AllowFailure::Any(true),
            Asks::Code3 => AllowFailure::ExitCodes { exit_codes: vec![3] },
        }
    }
}

/// The jobs, and what is asked of the database.
struct Model {
    coordinator: Coordinator,
    jobs: Vec<Job>,
    state: u64,
}

impl Model {
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % end as u64).unwrap()
    }

    fn pick(&mut self, status: impl Fn(Status) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.jobs.len()).filter(|job| status(self.jobs[*job].status)).collect();
        let index = self.below(fitting.len().max(1));
        fitting.get(index).copied()
    }

    fn last(&self, job: usize) -> BuildId {
        let first = self.jobs[job].first;
        self.coordinator.store.read(|c| builds::latest(c, first)).unwrap()
    }

    fn add(&mut self) {
        let mut needs: Vec<usize> = Vec::new();
        for _ in 0..self.below(3).min(self.jobs.len()) {
            let needed = self.below(self.jobs.len());
            if !needs.contains(&needed) {
                needs.push(needed);
            }
        }
        let asks = [Asks::Never, Asks::Any, Asks::Script, Asks::Code3][self.below(4)];
        let allow = [Asks::Never, Asks::Never, Asks::Any, Asks::Code3][self.below(4)];
        let max = u32::try_from(self.below(3)).unwrap();
        let mut new = crate::store::traces::tests::new_build();
        (new.spec.retry, new.spec.allow_failure) = (asks.retry(max), allow.allow());
        // Whoever names a build that was repeated since means the last one.
        new.needs = needs.iter().map(|job| self.jobs[*job].first).collect();
        let first = self.coordinator.add_builds(vec![new.into()], NOW).unwrap()[0];
        let job = Job { first, needs, max, asks, allow, builds: 1, status: Status::Created, is_allowed: false };
        self.jobs.push(job);
    }

    fn start(&mut self) {
        let Some(job) = self.pick(|status| status == Status::Pending) else { return };
        let id = self.last(job);
        let start =
            move |c: &Connection| builds::start(c, id, &builds::Taker::of(RunnerId(1)), &Token::new_secret()?, NOW);
        assert!(self.coordinator.store.write(start).unwrap());
        self.jobs[job].status = Status::Running;
    }

    fn end(&mut self) {
        let Some(job) = self.pick(|status| status == Status::Running) else { return };
        let (status, reason, code) = match self.below(5) {
            0 | 1 => (Status::Success, None, None),
            2 => (Status::Failed, Some(FailureReason::ScriptFailure), Some(1)),
            3 => (Status::Failed, Some(FailureReason::ScriptFailure), Some(3)),
            _ => (Status::Failed, Some(FailureReason::RunnerLost), None),
        };
        self.finish(job, status, reason, code);
        let model = &mut self.jobs[job];
        model.status = status;
        let Some(reason) = reason else { return };
        model.is_allowed = model.allow.counts(reason, code);
        if model.builds <= model.max && model.asks.counts(reason, code) {
            model.builds += 1;
            model.status = Status::Pending;
        }
    }

    fn cancel(&mut self) {
        let Some(job) = self.pick(|status| !status.is_finished()) else { return };
        self.finish(job, Status::Canceled, None, None);
        self.jobs[job].status = Status::Canceled;
    }

    fn finish(&self, job: usize, to: Status, reason: Option<FailureReason>, code: Option<i64>) {
        let id = self.last(job);
        let end = move |c: &Connection| {
            c.execute("UPDATE builds SET exit_code = ?2 WHERE id = ?1", (id.0, code))?;
            let build = builds::state(c, id)?.unwrap();
            finish(c, &build, to, reason, NOW)
        };
        self.coordinator.store.write(end).unwrap();
    }

    /// What becomes of those that wait.
    fn settle(&mut self) {
        for job in 0..self.jobs.len() {
            if self.jobs[job].status != Status::Created {
                continue;
            }
            let ends: Vec<Status> = self.jobs[job].needs.iter().map(|needed| self.jobs[*needed].as_need()).collect();
            let is_bad = |status: &Status| status.is_finished() && *status != Status::Success;
            if ends.iter().any(is_bad) {
                self.jobs[job].status = Status::Skipped;
            } else if ends.iter().all(|status| *status == Status::Success) {
                self.jobs[job].status = Status::Pending;
            }
        }
    }

    fn compare(&self, when: &str) {
        let total: u32 = self.jobs.iter().map(|job| job.builds).sum();
        let stored: u32 = self
            .coordinator
            .store
            .read(|c| Ok(c.query_row("SELECT count(*) FROM builds", [], |row| row.get(0))?))
            .unwrap();
        assert_eq!(stored, total, "{when}");
        for (index, job) in self.jobs.iter().enumerate() {
            let id = self.last(index);
            let shown = self.coordinator.show_build(id, NOW).unwrap().build;
            assert_eq!(shown.status, job.status, "{when}: build {id} of job {index}");
            assert_eq!(shown.retry_of.is_some(), job.builds > 1, "{when}: build {id}");
            if shown.status == Status::Created {
                let mut needs: Vec<BuildId> = job.needs.iter().map(|needed| self.last(*needed)).collect();
                needs.sort();
                assert_eq!(shown.needs, needs, "{when}: build {id} waits for the last ones");
            }
        }
    }
}

impl Job {
    fn as_need(&self) -> Status {
        if self.status == Status::Failed && self.is_allowed { Status::Success } else { self.status }
    }
}

#[test]
fn random_chains_with_retries_and_allowed_failures_end_as_the_model_does() {
    let clock = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let seed: u64 = std::env::var("BATON_SEED").map_or_else(|_| clock(), |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    coordinator.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
    let runner = NewRunner {
        description: "r".to_owned(),
        tags: crate::domain::tags::Tags::default(),
        run_untagged: true,
        locked: false,
        project: None,
        info: RunnerInfo::default(),
        ..NewRunner::default()
    };
    coordinator.add_runner(runner, None, NOW).unwrap();
    let mut model = Model { coordinator, jobs: Vec::new(), state: seed | 1 };
    for step in 0..STEPS {
        match model.below(10) {
            0..3 if model.jobs.len() < JOBS_MAX => model.add(),
            0..6 => model.start(),
            6..9 => model.end(),
            _ => model.cancel(),
        }
        model.settle();
        model.compare(&format!("BATON_SEED={seed}, step {step}"));
    }
    assert_eq!(model.coordinator.store.read(invariants::examine).unwrap(), [], "BATON_SEED={seed}");
}

#[test]
fn a_build_is_repeated_by_itself_at_most_so_often_and_anew_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    coordinator.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
    let mut new = crate::store::traces::tests::new_build();
    new.spec.retry = Some(Retry { max: 1, ..Retry::default() });
    let first = coordinator.add_builds(vec![new.into()], NOW).unwrap()[0];
    let fail = |id: BuildId| {
        let end = move |c: &Connection| {
            c.execute("UPDATE builds SET status = 'running', token = 'x', started_at = 1 WHERE id = ?1", [id.0])?;
            let build = builds::state(c, id)?.unwrap();
            finish(c, &build, Status::Failed, Some(FailureReason::RunnerLost), NOW)?;
            builds::repeated_by(c, id)
        };
        coordinator.store.write(end).unwrap()
    };
    let second = fail(first).unwrap();
    assert_eq!(fail(second), None, "it was made again already");
    let by_hand = coordinator.retry_build(second, NOW).unwrap();
    let shown = coordinator.show_build(by_hand, NOW).unwrap();
    assert_eq!((shown.build.retry_of, shown.build.status), (Some(second), Status::Pending));
    assert_eq!(coordinator.show_build(second, NOW).unwrap().repeated_by, Some(by_hand));
    let fourth = fail(by_hand).unwrap();
    assert_eq!(fail(fourth), None);
}
