//! A long queue must not make anything slower.

use crate::Scale;
use crate::client::{Client, ask_once};
use crate::data::{Data, add_runner, queue_tagged};
use crate::procs::Served;
use crate::report::{Row, Samples, Target, Unit, alternate, median_latency};
use crate::wire::{Connections, poll};
use baton::domain::tags::Tags;
use std::time::Instant;

/// Tag of the builds and the runner that match each other.
const OWN_TAG: &str = "own";
/// Projects that the other builds belong to.
const PROJECTS: usize = 100;
/// Sets of tags that they have: pairs of tags.
const TAG_SETS: usize = 200;
/// Enough tags for so many pairs.
const TAGS: usize = 21;

/// A server, a queue of builds of others, and runners that do not match them.
struct Crowded {
    server: Served,
    /// Takes builds with [`OWN_TAG`], of which there are some behind the others.
    claims: Vec<u8>,
    /// Takes builds with a tag that no build has.
    nothing: Vec<u8>,
    /// Takes builds with any of the tags, but of one project only, which has none waiting.
    nothing_of_project: Vec<u8>,
    data: Data,
}

impl Crowded {
    fn new(others: u64, own: usize) -> Crowded {
        let data = Data::new();
        fill(&data, others, "pending");
        let pool = (0..TAGS).map(|n| format!("tag{n:02}"));
        let operator = data.operator();
        let tags = |tags: Vec<String>| Tags::new(&tags).unwrap();
        let runner = |list, project| add_runner(&operator, tags(list), false, project);
        let claims = runner(vec![OWN_TAG.to_owned()], None);
        let nothing = runner(vec!["other".to_owned()], None);
        let nothing_of_project = runner(pool.collect(), Some(crate::data::PROJECT));
        queue_tagged(&operator, own, &tags(vec![OWN_TAG.to_owned()]));
        drop(operator);
        let server = Served::baton(data.path(), &[]);
        let [claims, nothing, nothing_of_project] =
            [claims, nothing, nothing_of_project].map(|token| poll(&token, None, Connections::Kept));
        Crowded { server, claims, nothing, nothing_of_project, data }
    }

    /// The median latency of so many calls, in seconds.
    fn latency(&self, count: usize, request: &[u8], status: u16) -> f64 {
        let mut client = Client::new(self.server.address);
        median_latency(count, || drop(client.ask(request).expect(status)))
    }

    /// The same of polls before each of which the queue has moved, so that what was found last time does not hold.
    fn search_latency(&self, count: usize, request: &[u8]) -> f64 {
        let (database, mut client) = (self.data.connect(), Client::new(self.server.address));
        let search = |()| {
            database.execute("UPDATE queue_state SET generation = generation + 1", []).unwrap();
            let started = Instant::now();
            client.ask(request).expect(204);
            started.elapsed().as_secs_f64()
        };
        Samples(std::iter::repeat_n((), count).map(search).collect()).median()
    }
}

/// Puts so many builds straight into the tables, spread over projects and sets of tags.
fn fill(data: &Data, count: u64, status: &str) {
    let finished_at = if status == "pending" { "NULL" } else { "1700000000000" };
    data.connect()
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PROJECTS})
             INSERT INTO projects (name, ci_token, ci_token_hash, timeout_s, created_at)
             SELECT 'other' || i, 'token' || i, randomblob(32), 3600, 1700000000000 FROM n;

             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {TAGS} - 1)
             INSERT INTO tag_sets (tags)
             SELECT json_array(printf('tag%02d', a.i), printf('tag%02d', b.i)) FROM n a JOIN n b ON a.i < b.i
             LIMIT {TAG_SETS};

             CREATE TEMP TABLE places AS
             SELECT row_number() OVER () AS place, p.id AS project, t.id AS tags FROM tag_sets t, projects p
             WHERE p.name LIKE 'other%' AND t.tags LIKE '%,%';
             CREATE UNIQUE INDEX temp.places_by_place ON places (place);
             CREATE TEMP TABLE own_ids AS SELECT coalesce(max(id), 0) AS last FROM builds;

             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)
             INSERT INTO builds (project_id, status, tag_set_id, timeout_s, created_at, finished_at)
             SELECT project, '{status}', tags, 3600, 1700000000000, {finished_at}
             FROM n JOIN places ON place = 1 + i * 7919 % ({PROJECTS} * {TAG_SETS});

             INSERT INTO build_specs (build_id, name, stage, ref, sha, is_tag, allow_git_fetch, spec,
                 variables)
             SELECT id, 'unit', 'test', 'master', '0b3bce98f5d8d2c2a9b7d3b2f5f0c1e2a3b4c5d6', 0, 1,
                 '{{\"script\":[\"make test\"]}}', '[]'
             FROM builds, own_ids WHERE id > last;
             COMMIT;"
        ))
        .unwrap();
}

/// Claims and empty polls among many waiting builds; the floor is the same among few. Then, how soon a server that
/// stores them answers.
pub fn long_queue(scale: &Scale) -> Vec<Row> {
    let calls = scale.calls / 2;
    let own = calls * (scale.short_rounds + 1);
    let (many, few) = (Crowded::new(scale.many_builds, own), Crowded::new(1000, own));
    let [claim_many, claim_few, poll_many, poll_few, search_many, search_few, hard_many, hard_few] = alternate(
        scale.short_rounds,
        [
            &mut || many.latency(calls, &many.claims, 201),
            &mut || few.latency(calls, &few.claims, 201),
            &mut || many.latency(calls, &many.nothing, 204),
            &mut || few.latency(calls, &few.nothing, 204),
            &mut || many.search_latency(calls, &many.nothing),
            &mut || few.search_latency(calls, &few.nothing),
            &mut || many.search_latency(calls, &many.nothing_of_project),
            &mut || few.search_latency(calls, &few.nothing_of_project),
        ],
    );
    let count = scale.many_builds;
    let row = |work: &str, many, few, target| {
        let work = format!("{work} among {count} pending builds that do not match, floor the same among 1000");
        Row::compared(&work, Unit::Time, many, few, target)
    };
    let mut rows = vec![
        row("claim", &claim_many, &claim_few, Target::AtMost(1.5)),
        row("empty poll", &poll_many, &poll_few, Target::AtMost(1.5)),
        row("empty poll after the queue moved,", &search_many, &search_few, Target::AtMost(1.5)),
        row("the same of a project's runner that matches 200 sets of tags,", &hard_many, &hard_few, Target::None),
    ];
    drop(few);
    rows.extend(starts(scale, many));
    rows
}

/// From the start of the process to the first answer, with all builds waiting, then with all of them finished.
fn starts(scale: &Scale, crowded: Crowded) -> Vec<Row> {
    let Crowded { server, nothing, data, .. } = crowded;
    drop(server);
    let start = || {
        let started = Instant::now();
        let server = Served::baton(data.path(), &[]);
        ask_once(server.address, &nothing).expect(204);
        started.elapsed().as_secs_f64()
    };
    let row = |state| {
        let samples = Samples((0..=scale.rounds).map(|_| start()).collect());
        let work = format!("start with {} {state} builds, to the first answer", scale.many_builds);
        Row::alone(&work, Unit::Time, samples, Target::Below(0.2))
    };
    let pending = row("pending");
    let database = data.connect();
    database.execute_batch("UPDATE builds SET status = 'success', token = NULL, finished_at = 1700000000000").unwrap();
    drop(database);
    vec![pending, row("finished")]
}
