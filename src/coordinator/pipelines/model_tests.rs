//! Random pipelines, whose jobs start, end, are canceled, started by hand and repeated, against the board, which knows no
//! database.

use super::NewPipeline;
use crate::coordinator::Coordinator;
use crate::coordinator::builds::finish::finish;
use crate::domain::build::{BuildId, FailureReason, Status};
use crate::domain::pipeline::board::{Board, BoardJob};
use crate::domain::pipeline::{Job, Need, Pipeline, PipelineId, Span, When, Work};
use crate::domain::runner::RunnerId;
use crate::domain::spec::{AllowFailure, BuildSpec, Retry};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::limits::Limits;
use crate::store::runners::NewRunner;
use crate::store::{builds, invariants};
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NOW: Timestamp = Timestamp(1_000_000);
const LATER: Timestamp = Timestamp(2_000_000);

/// A pipeline in the database, and what the board makes of the same.
struct Model {
    coordinator: Coordinator,
    id: PipelineId,
    /// The build at each place of the board.
    ids: Vec<BuildId>,
    board: Board,
    retries: Vec<u32>,
    pipeline: Pipeline,
    state: u64,
}

fn below(state: &mut u64, end: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % end as u64).unwrap()
}

/// A job that runs `true` in this stage.
pub fn job(name: &str, stage_index: usize) -> Job {
    let work = Work::Build(Box::new(BuildSpec::of_script("true")));
    let (name, stage) = (name.to_owned(), format!("s{stage_index}"));
    Job { group: name.clone(), name, stage_index, stage, work, ..Job::default() }
}

fn random_job(state: &mut u64, at: usize, stage: usize, earlier: &[Job]) -> Job {
    let mut new = job(&format!("j{at}"), stage);
    new.when =
        [When::OnSuccess, When::OnSuccess, When::OnSuccess, When::OnFailure, When::Always, When::Manual, When::Delayed]
            [below(state, 7)];
    new.start_in = (new.when == When::Delayed).then(|| Span { text: "1 minute".to_owned(), seconds: 60 });
    new.allow_failure = match below(state, 4) {
        0 => AllowFailure::Any(true),
        1 => AllowFailure::ExitCodes { exit_codes: vec![3] },
        _ => AllowFailure::Any(false),
    };
    if below(state, 2) == 0 {
        let mut needs: Vec<Need> = Vec::new();
        for _ in 0..below(state, 3).min(earlier.len()) {
            let job = earlier[below(state, earlier.len())].name.clone();
            if needs.iter().all(|need| need.job != job) {
                needs.push(Need { job, artifacts: true, optional: false });
            }
        }
        new.needs = Some(needs);
    }
    if let Work::Build(spec) = &mut new.work {
        spec.allow_failure = new.allow_failure.clone();
        spec.retry = (below(state, 3) == 0).then(|| Retry { max: 1, ..Retry::default() });
    }
    if below(state, 12) == 0 {
        new.work = Work::Refused { why: "it is not for here".to_owned() };
    }
    new
}

fn random_pipeline(state: &mut u64) -> Pipeline {
    let stages = 1 + below(state, 4);
    let mut jobs: Vec<Job> = Vec::new();
    for stage in 0..stages {
        for _ in 0..below(state, 4) {
            let new = random_job(state, jobs.len(), stage, &jobs);
            jobs.push(new);
        }
    }
    if jobs.is_empty() {
        jobs.push(job("j0", 0));
    }
    Pipeline { jobs, stages: (0..stages).map(|stage| format!("s{stage}")).collect(), ..Pipeline::default() }
}

/// A coordinator with a project `p` and a runner.
pub fn coordinator(dir: &Path) -> Coordinator {
    let coordinator = Coordinator::open(dir, Limits::default()).unwrap();
    coordinator.add_project("p", None, Duration::from_secs(60), NOW).unwrap();
    let runner = NewRunner { description: "r".to_owned(), run_untagged: true, ..NewRunner::default() };
    coordinator.add_runner(runner, None, NOW).unwrap();
    coordinator
}

pub fn add(coordinator: &Coordinator, pipeline: &Pipeline) -> super::Added {
    let new = NewPipeline {
        project: "p".to_owned(),
        ref_: "main".to_owned(),
        pipeline: pipeline.clone(),
        ..NewPipeline::default()
    };
    coordinator.add_pipeline(new, NOW).unwrap()
}

/// Hands a build that is pending to the runner.
pub fn start(coordinator: &Coordinator, id: BuildId) {
    let start = move |c: &Connection| builds::start(c, id, &builds::Taker::of(RunnerId(1)), &Token::new_secret()?, NOW);
    assert!(coordinator.store.write(start).unwrap());
}

pub fn end(coordinator: &Coordinator, id: BuildId, to: Status, code: Option<i64>) {
    let end = move |c: &Connection| {
        c.execute("UPDATE builds SET exit_code = ?2 WHERE id = ?1", (id.0, code))?;
        let build = builds::state(c, id)?.unwrap();
        let reason = (to == Status::Failed).then_some(FailureReason::ScriptFailure);
        finish(c, &build, to, reason, NOW)
    };
    coordinator.store.write(end).unwrap();
}

pub fn status(coordinator: &Coordinator, id: BuildId) -> Status {
    coordinator.store.read(|c| builds::state(c, id)).unwrap().unwrap().status
}

impl Model {
    fn pick(&mut self, fits: impl Fn(&BoardJob) -> bool) -> Option<usize> {
        let fitting: Vec<usize> =
            self.board.jobs().iter().enumerate().filter(|(_, job)| fits(job)).map(|(at, _)| at).collect();
        let index = below(&mut self.state, fitting.len().max(1));
        fitting.get(index).copied()
    }

    fn start(&mut self) {
        let Some(at) = self.pick(|job| job.state == Status::Pending) else { return };
        start(&self.coordinator, self.ids[at]);
        self.board.set(at, Status::Running, None);
    }

    fn end(&mut self) {
        let Some(at) = self.pick(|job| job.state == Status::Running) else { return };
        let (to, code) =
            [(Status::Success, None), (Status::Failed, Some(1)), (Status::Failed, Some(3))][below(&mut self.state, 3)];
        end(&self.coordinator, self.ids[at], to, code);
        let Work::Build(spec) = &self.pipeline.jobs[at].work else { panic!("a job ran that cannot") };
        if to == Status::Failed && self.retries[at] == 0 && spec.retry.is_some() {
            self.retries[at] += 1;
            self.follow(at);
            self.board.set(at, Status::Pending, None);
        } else {
            self.board.set(at, to, code);
        }
    }

    /// The build that repeats the one at this place.
    fn follow(&mut self, at: usize) {
        let id = self.ids[at];
        self.ids[at] = self.coordinator.store.read(|c| builds::latest(c, id)).unwrap();
        assert!(self.ids[at] > id);
    }

    fn cancel(&mut self) {
        let Some(at) = self.pick(|job| !job.state.is_finished()) else { return };
        self.coordinator.cancel_build(self.ids[at], NOW).unwrap();
        self.board.set(at, Status::Canceled, None);
    }

    fn play(&mut self) {
        let Some(at) = self.pick(|job| matches!(job.state, Status::Manual | Status::Scheduled)) else {
            return;
        };
        self.coordinator.play_build(self.ids[at], NOW).unwrap();
        self.board.restart(at);
    }

    fn wait(&mut self) {
        assert_eq!(self.coordinator.start_due(NOW).unwrap(), 0);
        self.coordinator.start_due(LATER).unwrap();
        while let Some(at) = self.pick(|job| job.state == Status::Scheduled) {
            self.board.set(at, Status::Pending, None);
        }
    }

    fn retry(&mut self) {
        let ended = |job: &BoardJob| job.state.is_finished() && job.state != Status::Skipped;
        let Some(at) = self.pick(ended) else { return };
        if !self.board.jobs()[at].can_run {
            return;
        }
        self.coordinator.retry_build(self.ids[at], NOW).unwrap();
        self.coordinator.retry_build(self.ids[at], NOW).unwrap_err();
        self.retries[at] = 0;
        self.follow(at);
        self.board.restart(at);
    }

    fn cancel_all(&mut self) {
        let mut jobs = self.board.jobs().to_vec();
        let open = jobs.iter_mut().filter(|job| !job.state.is_finished() && job.state != Status::Manual);
        let count = open.map(|job| job.state = Status::Canceled).count();
        assert_eq!(self.coordinator.cancel_pipeline(self.id, NOW).ok(), (count > 0).then_some(count));
        self.board = Board::new(jobs);
    }

    fn retry_all(&mut self) {
        let mut jobs = self.board.jobs().to_vec();
        let bad = |job: &BoardJob| matches!(job.state, Status::Failed | Status::Canceled);
        let again: Vec<usize> = (0..jobs.len()).filter(|at| bad(&jobs[*at])).collect();
        let made = self.coordinator.retry_pipeline(self.id, NOW);
        assert_eq!(made.map_or(0, |made| made.len()), again.len());
        if again.is_empty() {
            return;
        }
        for job in jobs.iter_mut().filter(|job| bad(job) || job.state == Status::Skipped) {
            (job.state, job.exit_code) = (Status::Created, None);
        }
        self.board = Board::new(jobs);
        self.board.start();
        for at in again {
            self.retries[at] = 0;
            self.follow(at);
            if matches!(self.board.state(at), Status::Manual | Status::Scheduled) {
                self.board.set(at, Status::Pending, None);
            }
        }
    }

    fn compare(&self, when: &str) {
        for (at, id) in self.ids.iter().enumerate() {
            assert_eq!(
                status(&self.coordinator, *id),
                self.board.state(at),
                "{when}: build {id}, job {at}\n{:?}",
                self.board.jobs()
            );
        }
        let standing = self.coordinator.pipeline_standing(self.id).unwrap();
        assert_eq!((standing.tally.pipeline(), standing.tally.has_warnings()), self.board.pipeline(), "{when}");
    }
}

#[test]
fn random_pipelines_move_as_the_board_says_whatever_is_done_to_them() {
    let clock = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let seed: u64 = std::env::var("BATON_SEED").map_or_else(|_| clock(), |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut coordinator, mut state) = (coordinator(dir.path()), seed | 1);
    for round in 0..12 {
        let pipeline = random_pipeline(&mut state);
        let added = add(&coordinator, &pipeline);
        let mut board = Board::from(&pipeline);
        board.start();
        let retries = vec![0; pipeline.jobs.len()];
        let mut model = Model { coordinator, id: added.id, ids: added.builds, board, retries, pipeline, state };
        model.compare(&format!("BATON_SEED={seed}, round {round}, new"));
        for step in 0..50 {
            match below(&mut model.state, 20) {
                0..6 => model.start(),
                6..12 => model.end(),
                12 => model.cancel(),
                13 | 14 => model.play(),
                15 => model.wait(),
                16 => model.retry(),
                17 if below(&mut model.state, 4) == 0 => model.cancel_all(),
                18 => model.retry_all(),
                // As after a crash: nothing is known but what is stored, and nothing is left undecided.
                _ => {
                    let Model { coordinator: old, .. } = model;
                    drop(old);
                    let new = Coordinator::open(dir.path(), Limits::default()).unwrap();
                    assert_eq!(new.find_undecided(NOW).unwrap(), 0, "BATON_SEED={seed}");
                    model = Model { coordinator: new, ..model };
                }
            }
            model.compare(&format!("BATON_SEED={seed}, round {round}, step {step}"));
        }
        assert_eq!(model.coordinator.store.read(invariants::examine).unwrap(), [], "BATON_SEED={seed}");
        (coordinator, state) = (model.coordinator, model.state);
    }
}

#[test]
fn of_jobs_that_share_a_resource_one_at_a_time_is_handed_out_the_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = coordinator(dir.path());
    let share = |name: &str| Job { resource_group: Some("production".to_owned()), ..job(name, 0) };
    let one = Pipeline {
        jobs: vec![share("a"), share("b"), job("free", 0)],
        stages: vec!["s0".to_owned()],
        ..Pipeline::default()
    };
    let ids = [add(&coordinator, &one).builds, add(&coordinator, &one).builds].concat();
    let states = || ids.iter().map(|id| status(&coordinator, *id)).collect::<Vec<_>>();
    use Status::{Canceled, Failed, Pending, Running, Success, WaitingForResource as Waits};
    assert_eq!(states(), [Pending, Waits, Pending, Waits, Waits, Pending]);
    let why = coordinator.show_build(ids[1], NOW).unwrap().pending_reason.unwrap();
    assert_eq!(why, format!("waits for the resource group production, which build {} has", ids[0]));
    start(&coordinator, ids[0]);
    assert_eq!(states(), [Running, Waits, Pending, Waits, Waits, Pending]);
    end(&coordinator, ids[0], Status::Failed, Some(1));
    assert_eq!(states(), [Failed, Pending, Pending, Waits, Waits, Pending]);
    // One that is repeated stands behind those that wait.
    let again = coordinator.retry_build(ids[0], NOW).unwrap();
    assert_eq!(status(&coordinator, again), Waits);
    coordinator.cancel_build(ids[3], NOW).unwrap();
    coordinator.cancel_build(ids[1], NOW).unwrap();
    assert_eq!(states(), [Failed, Canceled, Pending, Canceled, Pending, Pending]);
    start(&coordinator, ids[4]);
    end(&coordinator, ids[4], Status::Success, None);
    assert_eq!((status(&coordinator, ids[4]), status(&coordinator, again)), (Success, Pending));
    assert_eq!(coordinator.store.read(invariants::examine).unwrap(), []);
}

#[test]
fn what_is_not_run_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = coordinator(dir.path());
    let manual = Job { when: When::Manual, ..job("approve", 1) };
    let refused =
        Job { work: Work::Refused { why: "it makes a pipeline of another project".to_owned() }, ..job("bridge", 0) };
    let stages = (0..3).map(|stage| format!("s{stage}")).collect();
    let jobs = vec![job("build", 0), refused, manual, job("deploy", 2)];
    let ids = add(&coordinator, &Pipeline { jobs, stages, ..Pipeline::default() }).builds;
    let why = |at: usize| coordinator.show_build(ids[at], NOW).unwrap().pending_reason.unwrap_or_default();
    assert_eq!(why(1), "does not run: it makes a pipeline of another project");
    assert_eq!(why(2), format!("waits for build {} (pending)", ids[0]));
    start(&coordinator, ids[0]);
    end(&coordinator, ids[0], Status::Success, None);
    assert_eq!(why(2), format!("waits until somebody starts it: `baton build play {}`", ids[2]));
    assert_eq!(why(3), format!("waits for build {} (manual)", ids[2]));
    coordinator.play_build(ids[2], NOW).unwrap();
    start(&coordinator, ids[2]);
    end(&coordinator, ids[2], Status::Failed, Some(1));
    assert_eq!(why(3), "does not run, since a job before it failed");
}
