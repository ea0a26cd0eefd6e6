//! Promise 2: a build is handed to exactly one runner, in order of age among those that the runner may take. Row 14's
//! conflict cannot be seen: the loser of a race gets the next build.

use crate::harness::metrics::Metrics;
use crate::harness::raw::Raw;
use crate::harness::*;
use baton::coordinator::Queued;
use baton::domain::build::{BuildId, NewBuild, Status};
use baton::domain::time::Timestamp;
use baton::store::runners::NewRunner;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 16;
const BUILDS: usize = 500;

fn queue_many(baton: &Baton, count: usize, of: impl Fn(usize) -> NewBuild) -> Vec<BuildId> {
    let queued = (0..count).map(|index| Queued { new: of(index), needs_names: vec![] }).collect();
    baton.operator().add_builds(queued, Timestamp::now()).unwrap()
}

/// Asks in these protocols in turn until there is nothing; the ids in the order in which they came.
fn drain(address: SocketAddr, token: &str, speeches: &[Speech]) -> Vec<BuildId> {
    let mut connection = Connection::open(address);
    let (mut got, mut speeches) = (Vec::new(), speeches.iter().cycle());
    loop {
        let response = connection.send(&speeches.next().unwrap().ask(token));
        match response.status {
            201 => got.push(claimed(&response).id),
            204 => return got,
            other => panic!("{other}: {}", response.text()),
        }
    }
}

/// Lets a thread for each token drain the queue, all at once, every other one in today's protocol.
fn race(address: SocketAddr, tokens: &[String]) -> Vec<Vec<BuildId>> {
    let start = Barrier::new(tokens.len());
    thread::scope(|scope| {
        let racers: Vec<_> = tokens
            .iter()
            .enumerate()
            .map(|(number, token)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    drain(address, token, &[Speech::of(number)])
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}

#[track_caller]
fn expect_each_once(got: &[Vec<BuildId>], ids: &[BuildId]) {
    let mut all: Vec<BuildId> = got.iter().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, ids);
    for of_one in got {
        assert!(of_one.is_sorted(), "a runner that asks one after the other gets them by age: {of_one:?}");
    }
}

#[test]
fn sixteen_runners_share_five_hundred_builds_without_a_double() {
    let baton = Baton::with_project();
    let ids = queue_many(&baton, BUILDS, |_| new_build("demo"));
    let tokens: Vec<String> = (0..THREADS).map(|_| baton.runner().token).collect();
    let got = race(baton.address(), &tokens);
    expect_each_once(&got, &ids);
    for build in baton.operator().list_builds(None, Some(Status::Running), None, Timestamp::now()).unwrap() {
        let holder = got.iter().position(|of_one| of_one.contains(&build.build.id)).unwrap();
        assert_eq!(build.build.runner.unwrap().0, holder as i64 + 1);
    }
}

/// Old runners ask with several requests at once.
#[test]
fn sixteen_requests_of_one_runner_share_builds_without_a_double() {
    let baton = Baton::with_project();
    let ids = queue_many(&baton, 100, |_| new_build("demo"));
    let token = baton.runner().token;
    expect_each_once(&race(baton.address(), &vec![token; THREADS]), &ids);
}

#[test]
fn a_single_runner_gets_builds_in_order_of_age() {
    let baton = Baton::with_project();
    baton.project("other");
    let ids = queue_many(&baton, 100, |index| new_build(if index % 3 == 0 { "other" } else { "demo" }));
    assert_eq!(drain(baton.address(), &baton.runner().token, &Speech::BOTH), ids);
}

/// Whoever asks first, in whichever protocol, has the build: the others' tokens open nothing of it, and nobody gets it again.
#[test]
fn a_build_that_one_protocol_has_handed_out_is_nobody_elses_in_the_other() {
    let baton = Baton::with_project();
    let runners: Vec<TestRunner> = (0..THREADS).map(|_| baton.runner()).collect();
    for round in 0..20 {
        let id = baton.build();
        let start = Barrier::new(THREADS);
        let answers: Vec<Response> = thread::scope(|scope| {
            let ask = |(number, runner): (usize, &TestRunner)| {
                let (request, start, baton) = (Speech::of(number + round).ask(&runner.token), &start, &baton);
                scope.spawn(move || {
                    start.wait();
                    baton.send(request)
                })
            };
            let asking: Vec<_> = runners.iter().enumerate().map(ask).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let holders: Vec<usize> = (0..THREADS).filter(|number| answers[*number].status == 201).collect();
        let [holder] = holders[..] else { panic!("build {id} was handed to {holders:?}") };
        assert!(answers.iter().all(|answer| [201, 204].contains(&answer.status)));
        let build = claimed(&answers[holder]);
        assert_eq!((build.id, baton.show(id).runner.unwrap().0), (id, runners[holder].id.0));
        for (number, other) in runners.iter().enumerate().filter(|(number, _)| *number != holder) {
            let with_theirs = Claimed { token: other.token.clone(), ..claimed(&answers[holder]) };
            let report = Speech::of(number).report(&with_theirs, json!({"state": "failed"}));
            assert_eq!(baton.send(report).status, Speech::of(number).not_here(), "runner {number}");
        }
        assert_eq!(baton.status(id), Status::Running);
        let end = Speech::of(holder + round).report(&build, json!({"state": "success"}));
        baton.send(end).expect(200);
    }
}

#[test]
fn runners_with_different_tags_race_only_for_what_they_may_take() {
    let baton = Baton::with_project();
    let tag_of = |index: usize| ["", "ruby", "mysql", "mysql,ruby"][index % 4];
    let ids = queue_many(&baton, 200, |index| NewBuild { tags: tags(tag_of(index)), ..new_build("demo") });
    let runners: Vec<_> = (0..THREADS)
        .map(|index| {
            let new = NewRunner { tags: tags(tag_of(index)), run_untagged: index % 4 == 0, ..new_runner() };
            baton.runner_like(new, None).token
        })
        .collect();
    let got = race(baton.address(), &runners);
    expect_each_once(&got, &ids);
    for (index, of_one) in got.iter().enumerate() {
        for id in of_one {
            let asked = tags(tag_of(ids.iter().position(|other| other == id).unwrap()));
            let fits = if asked.is_empty() { index % 4 == 0 } else { asked.are_among(&tags(tag_of(index))) };
            assert!(fits, "runner {index} got build {id}");
        }
    }
}

/// Builds are queued while runners ask, and canceled while they are claimed.
#[test]
fn a_build_is_either_canceled_or_handed_out() {
    let baton = Baton::with_project();
    let ids = queue_many(&baton, 100, |_| new_build("demo"));
    let tokens: Vec<String> = (0..8).map(|_| baton.runner().token).collect();
    let address = baton.address();
    let got = thread::scope(|scope| {
        let canceler = scope.spawn(|| {
            for id in ids.iter().rev() {
                let _ = baton.operator().cancel_build(*id, Timestamp::now());
            }
        });
        let got = race(address, &tokens);
        canceler.join().unwrap();
        got
    });
    let handed_out: Vec<BuildId> = got.into_iter().flatten().collect();
    for id in ids {
        let shown = baton.show(id);
        assert_eq!(shown.status, Status::Canceled);
        assert_eq!(shown.started_at.is_some(), handed_out.contains(&id), "build {id}");
    }
}

/// The last report of a runner and a cancel meet: one of them wins, whole.
#[test]
fn a_report_and_a_cancel_do_not_mix() {
    let baton = Baton::with_project();
    let runner = baton.runner();
    for round in 0..40 {
        let (id, speech) = (baton.build(), Speech::of(round));
        let build = claimed(&baton.send(speech.ask(&runner.token)).expect(201));
        let report = speech.report(&build, json!({"state": "success", "trace": "all of it"}));
        let (status, canceled) = thread::scope(|scope| {
            let report = scope.spawn(|| baton.send(report.clone()).status);
            let canceled = baton.operator().cancel_build(id, Timestamp::now()).is_ok();
            (report.join().unwrap(), canceled)
        });
        let expected = if canceled { (speech.not_here(), Status::Canceled) } else { (200, Status::Success) };
        assert_eq!((status, baton.status(id)), expected);
        assert_eq!(baton.trace_text(id), "all of it");
    }
}

/// The answer says whose the build is. Whoever has left before it could be written has not heard it, and would keep the
/// build until its runner counts as lost.
#[test]
fn a_build_whose_answer_could_not_be_written_waits_again() {
    Speech::BOTH.into_iter().for_each(waits_again_if_its_answer_could_not_be_written);
}

fn waits_again_if_its_answer_could_not_be_written(speech: Speech) {
    let baton = Baton::with_project();
    let (first, second) = (baton.runner(), baton.runner());
    let id = baton.build();
    let claims = || {
        let metrics = Metrics::parse(&baton.send(Request::get("/-/metrics")).expect(200).text());
        metrics.value("baton_claims_total", &[("outcome", "build")])
    };
    // The request must have been read before the connection breaks, which a busy machine may take its time for.
    let mut pause = Duration::from_millis(50);
    while claims() == 0.0 {
        let lock = baton.database();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut raw = Raw::open(baton.address()).unwrap();
        raw.send(&speech.ask(&first.token).bytes());
        thread::sleep(pause);
        raw.reset();
        lock.execute_batch("COMMIT").unwrap();
        thread::sleep(pause);
        pause *= 2;
        assert!(pause < Duration::from_secs(10), "the request was never read");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while baton.status(id) != Status::Pending {
        assert!(Instant::now() < deadline, "the build stays {}", baton.status(id));
        thread::sleep(Duration::from_millis(5));
    }
    let claimed = claimed(&baton.send(ask(&second.token)).expect(201));
    assert_eq!(claimed.id, id);
    baton.finish(&claimed, "success");
}
