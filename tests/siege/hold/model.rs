//! Random histories against a simple model: runners of all kinds are held, builds are queued and canceled by two
//! processes. In the end every build that was not canceled in the queue has gone to one runner that may take it, and
//! nobody was left waiting beside it.

use super::*;
use baton::domain::build::Build;
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of each operator.
const STEPS: usize = 150;
const TAGS: [&str; 4] = ["", "ruby", "mysql", "mysql,ruby"];
const PROJECTS: [&str; 2] = ["demo", "other"];

/// A step of an operator. What it is done to is a number modulo those that there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    Queue { count: usize, project: &'static str, tags: &'static str, needs: Option<usize> },
    Cancel(usize),
    PauseAndResume(usize),
    Pause(Duration),
}

fn steps(random: &mut Random) -> Vec<Step> {
    let one = |_| match random.below(10) {
        0..=4 => Step::Queue {
            count: 1 + random.below(4),
            project: random.pick(&PROJECTS),
            tags: random.pick(&TAGS),
            needs: (random.below(3) == 0).then(|| random.below(1000)),
        },
        5 | 6 => Step::Cancel(random.below(1000)),
        7 => Step::PauseAndResume(random.below(1000)),
        _ => Step::Pause(Duration::from_micros(random.next() % 4000)),
    };
    (0..STEPS).map(one).collect()
}

/// A runner with what it may take.
#[derive(Clone)]
struct Kind {
    runner: TestRunner,
    tags: &'static str,
    run_untagged: bool,
    project: Option<&'static str>,
}

impl Kind {
    fn takes(&self, project: &str, wanted: &str) -> bool {
        let fits = if wanted.is_empty() { self.run_untagged } else { tags(wanted).are_among(&tags(self.tags)) };
        fits && self.project.is_none_or(|own| own == project)
    }
}

/// Somebody for each build, and several for most.
fn kinds(baton: &Baton) -> Vec<Kind> {
    let kinds = [
        ("", true, None),
        ("", true, None),
        ("ruby", true, None),
        ("mysql", false, None),
        ("mysql,ruby", false, None),
        ("mysql,ruby", true, Some("demo")),
        ("ruby", false, Some("other")),
    ];
    let kind = |(list, run_untagged, project)| {
        let new = NewRunner { tags: tags(list), run_untagged, ..new_runner() };
        Kind { runner: baton.runner_like(new, project), tags: list, run_untagged, project }
    };
    kinds.map(kind).to_vec()
}

struct World {
    kinds: Vec<Kind>,
    /// What was queued, by project.
    queued: Mutex<Vec<(BuildId, &'static str, &'static str)>>,
    /// What came to which runner, in the order of the answers.
    got: Mutex<Vec<(BuildId, usize)>>,
    /// Runners go when they are told that there is nothing.
    over: AtomicBool,
}

impl World {
    /// The life of a runner. `fickle`: it waits for an answer only so long at a time.
    fn work(&self, which: usize, address: SocketAddr, mut random: Random, fickle: bool) {
        let token = &self.kinds[which].runner.token;
        let (mut raw, mut last_update) = (Raw::open(address).unwrap(), String::new());
        while !self.over.load(Ordering::Acquire) {
            raw.set_patience(if fickle { Duration::from_micros(500 + random.next() % 20_000) } else { HOUR });
            // Today's protocol for some of the runners, and now this, now that for one of them.
            let speech = if which == 0 { random.pick(&Speech::BOTH) } else { Speech::of(which) };
            let answer = match raw.ask(&speech.poll(token, Some(&last_update))) {
                Ok(answer) => answer,
                Err(_) if fickle || self.over.load(Ordering::Acquire) => {
                    raw = match Raw::open(address) {
                        Ok(raw) => raw,
                        Err(_) => return,
                    };
                    continue;
                }
                Err(error) => panic!("runner {which} was not answered: {error}"),
            };
            match answer.status {
                201 => {
                    let build = claimed(&answer);
                    self.got.lock().unwrap().push((build.id, which));
                    let report =
                        speech.report(&build, json!({"state": random.pick(&["success", "success", "failed"])}));
                    let status = http::send(address, &report).status;
                    // It may have been canceled meanwhile.
                    assert!([200, speech.not_here()].contains(&status), "{status}");
                }
                204 => last_update = value_of(&answer),
                // Paused for a moment.
                404 => last_update.clear(),
                other => panic!("{other}: {}", answer.text()),
            }
            if answer.header("Connection") == Some("close") {
                return;
            }
        }
    }

    fn operate(&self, operator: &Coordinator, steps: &[Step]) {
        let now = Timestamp::now;
        for step in steps {
            match *step {
                Step::Queue { count, project, tags: list, needs } => {
                    let mut queued = self.queued.lock().unwrap();
                    let same: Vec<BuildId> =
                        queued.iter().filter(|(_, of, _)| *of == project).map(|(id, _, _)| *id).collect();
                    let needs = needs.and_then(|which| same.get(which % same.len().max(1)).copied());
                    let new = NewBuild { tags: tags(list), needs: needs.into_iter().collect(), ..new_build(project) };
                    let several = (0..count).map(|_| Queued { new: new.clone(), needs_names: vec![] }).collect();
                    let ids = operator.add_builds(several, now()).unwrap();
                    queued.extend(ids.into_iter().map(|id| (id, project, list)));
                }
                Step::Cancel(which) => {
                    let queued = self.queued.lock().unwrap();
                    // One of the newest: others have ended.
                    if let Some((id, _, _)) = queued.iter().rev().nth(which % 8) {
                        let _ = operator.cancel_build(*id, now());
                    }
                }
                Step::PauseAndResume(which) => {
                    let runner = self.kinds[which % self.kinds.len()].runner.id;
                    operator.pause_runner(runner, true).unwrap();
                    operator.pause_runner(runner, false).unwrap();
                }
                Step::Pause(time) => thread::sleep(time),
            }
        }
    }

    /// Builds that somebody must still take or end.
    fn open_builds(&self, operator: &Coordinator, fickle: bool) -> Vec<BuildId> {
        let all = list(operator);
        let got: HashSet<BuildId> = self.got.lock().unwrap().iter().map(|(id, _)| *id).collect();
        let is_open = |build: &Build| match build.status {
            // Who had it may have left before it arrived; then nobody will end it.
            Status::Running if fickle && !got.contains(&build.id) => {
                let _ = operator.cancel_build(build.id, Timestamp::now());
                true
            }
            status => matches!(status, Status::Created | Status::Pending | Status::Running),
        };
        all.into_iter().filter(is_open).map(|build| build.id).collect()
    }

    /// Every build that was given away went to one runner, which may take it and has it in the database; and
    /// those that were given away in the database arrived, unless runners may have left at that moment.
    fn check(&self, builds: Vec<Build>, fickle: bool) {
        let mut arrived = BTreeMap::new();
        for (id, which) in self.got.lock().unwrap().iter() {
            assert_eq!(arrived.insert(*id, *which), None, "build {id} was given away twice");
        }
        let queued: BTreeMap<BuildId, _> =
            self.queued.lock().unwrap().iter().map(|(id, project, list)| (*id, (*project, *list))).collect();
        assert_eq!(builds.len(), queued.len());
        for build in builds {
            let (project, wanted) = queued[&build.id];
            let name = format!("build {} of {project}, tags {wanted:?}", build.id);
            let owner = build.runner.map(|(id, _)| self.kinds.iter().position(|kind| kind.runner.id.0 == id).unwrap());
            if let Some(owner) = owner {
                assert!(self.kinds[owner].takes(project, wanted), "{name}: not for runner {owner}");
            }
            match arrived.get(&build.id) {
                None => assert!(owner.is_none() || fickle, "{name}: runner {owner:?} never heard of it"),
                arrived => assert_eq!(arrived, owner.as_ref(), "{name}"),
            }
        }
    }
}

fn list(operator: &Coordinator) -> Vec<Build> {
    let all = operator.list_builds(None, None, Some(u32::MAX), Timestamp::now()).unwrap();
    all.into_iter().map(|report| report.build).collect()
}

fn history(hold_time_max: Duration, fickle: bool) {
    let mut random = Random::new();
    let baton = Baton::with_limits(Limits { hold_time_max, ..Limits::default() });
    PROJECTS.iter().for_each(|project| drop(baton.project(project)));
    let (beside, address) = (beside(&baton), baton.address());
    let (queued, got, over) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
    let world = World { kinds: kinds(&baton), queued, got, over };
    let plans = [steps(&mut random), steps(&mut random)];
    let (left, builds) = thread::scope(|scope| {
        for which in 0..world.kinds.len() {
            let (world, random) = (&world, random.fork());
            scope.spawn(move || world.work(which, address, random, fickle));
        }
        thread::scope(|operators| {
            operators.spawn(|| world.operate(baton.operator(), &plans[0]));
            operators.spawn(|| world.operate(&beside, &plans[1]));
        });
        let deadline = Instant::now() + PATIENCE;
        let mut left = world.open_builds(&beside, fickle);
        while !left.is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
            left = world.open_builds(&beside, fickle);
        }
        let builds = list(&beside);
        world.over.store(true, Ordering::Release);
        // All are held, and are told so.
        drop(baton);
        (left, builds)
    });
    assert!(left.is_empty(), "builds that nobody takes or ends: {left:?}");
    let got = world.got.lock().unwrap().len();
    println!("{} builds, {got} given to runners", builds.len());
    world.check(builds, fickle);
}

#[test]
fn every_build_goes_to_one_runner_that_may_take_it_and_none_is_left_beside_a_runner() {
    history(HOUR, false);
}

#[test]
fn the_same_while_holds_end_all_the_time() {
    history(Duration::from_millis(100), false);
}

#[test]
fn the_same_while_runners_leave_all_the_time() {
    history(HOUR, true);
}
