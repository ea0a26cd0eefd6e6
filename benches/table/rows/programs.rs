//! Programs that list and poll: however much is stored, and beside runners at work.

use super::CLIENTS;
use super::builds::finish_builds;
use crate::Scale;
use crate::client::Client;
use crate::data::Data;
use crate::procs::Served;
use crate::report::{Row, Target, Unit, alternate, median_latency};
use crate::wire::{Api, request};
use baton::coordinator::NewAccessToken;
use baton::domain::access_token::AccessScope;
use baton::domain::time::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// As fast among many as among few.
const SAME: Target = Target::AtMost(1.2);

/// What is asked for, and in which words. Up to 10,000 pipelines of a branch are counted for a page of them.
const ASKED: [(&str, &str, Target); 6] = [
    ("a job", "jobs/500", SAME),
    ("a list of 100 jobs", "jobs?per_page=100", SAME),
    ("the same by keyset", "jobs?per_page=100&pagination=keyset&cursor=900", SAME),
    ("a page of 100 pipelines", "pipelines?per_page=100", SAME),
    ("for information: a page of 20 of a branch's pipelines", "pipelines?ref=master", Target::None),
    ("the newest pipeline of a branch", "pipelines/latest?ref=master", SAME),
];

/// Builds among which the floor is measured.
const FEW: u64 = 1000;
/// Between two calls of a program beside runners at work.
const PAUSE: Duration = Duration::from_secs(1);

fn access_token(data: &Data) -> String {
    let new = NewAccessToken { name: "bench".to_owned(), scope: AccessScope::ReadApi, project: None, life: None };
    data.operator().add_access_token(new, Timestamp::now()).unwrap().1.reveal().to_owned()
}

fn get(token: &str, path: &str) -> Vec<u8> {
    request("GET", &format!("/api/v4/projects/demo/{path}"), &[("PRIVATE-TOKEN", token)], b"")
}

/// A server whose project has so many builds that have ended, each with a pipeline of its own.
struct Stored {
    server: Served,
    token: String,
    _data: Data,
}

impl Stored {
    fn new(builds: u64) -> Stored {
        let data = Data::new();
        let token = access_token(&data);
        data.connect()
            .execute_batch(&format!(
                "BEGIN;
                 INSERT OR IGNORE INTO tag_sets (tags) VALUES ('[]');
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {builds})
                 INSERT INTO pipelines (project_id, iid, ref, is_tag, sha, source, stages, left_out, warnings, created_at)
                 SELECT 1, i, iif(i % 2, 'master', 'other'), 0, '0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6', 'push', '[]',
                     '[]', '[]', 1700000000000 FROM n;

                 INSERT INTO builds (project_id, status, tag_set_id, timeout_s, created_at, started_at, finished_at,
                     pipeline_id)
                 SELECT 1, 'success', (SELECT id FROM tag_sets WHERE tags = '[]'), 3600, 1700000000000, 1700000001000,
                     1700000002000, id FROM pipelines ORDER BY id;

                 INSERT INTO build_specs (build_id, name, stage, ref, sha, is_tag, allow_git_fetch, spec, variables)
                 SELECT id, 'unit', 'test', 'master', '0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6', 0, 1,
                     '{{\"script\":[\"make test\"]}}', '[]' FROM builds;
                 COMMIT;"
            ))
            .unwrap();
        Stored { server: Served::baton(data.path(), &[]), token, _data: data }
    }

    /// The median latency of so many calls, in seconds.
    fn latency(&self, count: usize, path: &str) -> f64 {
        let (mut client, request) = (Client::new(self.server.address), get(&self.token, path));
        median_latency(count, || drop(client.ask(&request).expect(200)))
    }
}

/// What programs ask for among many builds; the floor is the same among few.
pub fn lists(scale: &Scale) -> Vec<Row> {
    let (many, few) = (Stored::new(scale.many_builds), Stored::new(FEW));
    let measure = |(work, path, target): (&str, &str, Target)| {
        let [many, few] = alternate(
            scale.short_rounds,
            [&mut || many.latency(scale.calls / 4, path), &mut || few.latency(scale.calls / 4, path)],
        );
        let work = format!("programs: {work} among {} builds, floor the same among {FEW}", scale.many_builds);
        Row::compared(&work, Unit::Time, &many, &few, target)
    };
    ASKED.map(measure).into_iter().collect()
}

/// Programs that ask by turns for lists and things, each once in a while, until they are told to stop.
fn look_on(address: SocketAddr, token: &str, stop: &AtomicBool, answers: &AtomicU64) {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(address)).collect();
    let paths = ["jobs", "pipelines", "jobs/1", "jobs/1/trace", "jobs?scope[]=running"];
    let requests = paths.map(|path| get(token, path));
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        for client in &mut clients {
            client.ask(&requests[turn % requests.len()]).expect(200);
            turn += 1;
            answers.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PAUSE / u32::try_from(CLIENTS).unwrap_or(1));
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// 64 runners at work, with as many programs that list and poll, and without them.
pub fn beside_runners(scale: &Scale) -> Vec<Row> {
    let answers = AtomicU64::new(0);
    let rate = |with_programs: bool| {
        let data = Data::new();
        data.queue(scale.builds);
        let (runners, token) = (data.runners(CLIENTS), access_token(&data));
        let server = Served::baton(data.path(), &[]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            if with_programs {
                scope.spawn(|| look_on(server.address, &token, &stop, &answers));
            }
            let (finished, rate) = finish_builds(Api::V4, server.address, &runners, usize::MAX);
            stop.store(true, Ordering::Relaxed);
            assert_eq!(finished.iter().sum::<usize>(), scale.builds);
            rate
        })
    };
    let [beside, alone] = alternate(scale.rounds, [&mut || rate(true), &mut || rate(false)]);
    let work = "claim and finish, 64 runners, beside 64 programs that each ask once a second, floor the same alone";
    let row = Row::compared(work, Unit::PerSecond, &beside, &alone, Target::AtLeast(0.9));
    vec![row.note(format!("the programs got {} answers in all rounds", answers.load(Ordering::Relaxed)))]
}
