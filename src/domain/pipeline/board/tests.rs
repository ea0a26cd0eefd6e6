use super::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// Random numbers (splitmix64); a test that fails says the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

fn job(stage: usize) -> BoardJob {
    BoardJob {
        stage,
        needs: None,
        when: When::OnSuccess,
        allow_failure: AllowFailure::Any(false),
        can_run: true,
        state: Status::Created,
        exit_code: None,
    }
}

fn random_jobs(random: &mut Random) -> Vec<BoardJob> {
    let count = 1 + random.below(25);
    let mut jobs: Vec<BoardJob> = Vec::new();
    for at in 0..count {
        let stage = jobs.last().map_or(0, |job| job.stage) + random.below(2);
        let needs = (random.below(3) == 0).then(|| (0..at).filter(|_| random.below(4) == 0).collect());
        jobs.push(BoardJob {
            needs,
            when: When::ALL[random.below(5)],
            allow_failure: AllowFailure::Any(random.below(3) == 0),
            can_run: random.below(12) > 0,
            ..job(stage)
        });
    }
    jobs
}

/// Looks at all jobs until none moves.
fn settled_by_looking_at_all(jobs: Vec<BoardJob>) -> Vec<Status> {
    let mut board = Board::new(jobs);
    loop {
        let next = (0..board.jobs.len()).find_map(|at| {
            let state = board.decision(at)?.state;
            (state != Status::Created).then_some((at, state))
        });
        let Some((at, state)) = next else { break };
        let mut jobs = board.jobs.clone();
        jobs[at].state = state;
        board = Board::new(jobs);
    }
    board.jobs.iter().map(|job| job.state).collect()
}

#[test]
fn looking_at_what_is_behind_one_job_is_as_good_as_looking_at_all() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for round in 0..300 {
        let mut random = Random(seed.wrapping_add(round));
        let jobs = random_jobs(&mut random);
        let mut board = Board::new(jobs.clone());
        let mut expected = settled_by_looking_at_all(jobs);
        board.start();
        for _ in 0..40 {
            let states: Vec<Status> = board.jobs.iter().map(|job| job.state).collect();
            assert_eq!(states, expected, "seed {seed}, round {round}: {:#?}", board.jobs);
            let moving: Vec<usize> = (0..states.len())
                .filter(|&at| {
                    matches!(states[at], Status::Pending | Status::Manual | Status::Scheduled | Status::Running)
                })
                .collect();
            if moving.is_empty() {
                break;
            }
            let at = moving[random.below(moving.len())];
            if states[at] == Status::Manual {
                let back = board.skipped_behind(at);
                let mut jobs = board.jobs.clone();
                jobs[at].state = Status::Pending;
                back.iter().for_each(|&(_, at)| jobs[at].state = Status::Created);
                board.restart(at);
                expected = settled_by_looking_at_all(jobs);
                continue;
            }
            let ends = [Status::Running, Status::Success, Status::Success, Status::Failed, Status::Canceled];
            let state = ends[random.below(ends.len())];
            let mut jobs = board.jobs.clone();
            jobs[at].state = state;
            board.set(at, state, None);
            expected = settled_by_looking_at_all(jobs);
        }
        assert_eq!(board.all, Board::new(board.jobs.clone()).all, "seed {seed}, round {round}");
    }
}

#[test]
fn the_end_of_one_of_many_jobs_looks_at_none_of_the_next_stage() {
    let mut jobs: Vec<BoardJob> = (0..500).map(|_| job(0)).collect();
    jobs.extend((0..500).map(|_| job(1)));
    let mut board = Board::new(jobs);
    board.start();
    for at in 0..499 {
        assert!(board.behind(at).is_empty());
        assert_eq!(board.set(at, Status::Success, None).len(), 1);
    }
    assert_eq!(board.set(499, Status::Success, None).len(), 501);
}

#[test]
fn a_job_that_is_started_again_brings_back_what_was_skipped_behind_it() {
    let needing = BoardJob { needs: Some(vec![1]), ..job(2) };
    let mut board = Board::new(vec![job(0), job(1), needing]);
    board.start();
    let changes = board.set(0, Status::Failed, Some(1));
    assert_eq!(
        changes.iter().map(|change| change.to).collect::<Vec<_>>(),
        [Status::Failed, Status::Skipped, Status::Skipped]
    );
    assert_eq!(changes[2].why, "a job that it needs does not run");
    assert_eq!(board.pipeline(), (PipelineState::Failed, false));
    board.restart(0);
    assert_eq!((board.state(1), board.state(2)), (Status::Created, Status::Created));
    board.set(0, Status::Success, None);
    assert_eq!(board.state(1), Status::Pending);
}

#[test]
fn a_job_that_baton_cannot_run_is_skipped_when_its_turn_comes() {
    let mut board = Board::new(vec![BoardJob { can_run: false, ..job(0) }, job(1)]);
    board.start();
    assert_eq!((board.state(0), board.state(1)), (Status::Skipped, Status::Pending));
}
