//! Builds, claimed and finished by the statements that the coordinator runs, on its own tables.

use super::{GROUP, NOW, group, open, run, value};
use rusqlite::{Connection, named_params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The database of a data directory, as the server opens it.
pub struct Builds {
    writer: Connection,
    /// Sees only what is committed.
    reader: Connection,
}

impl Builds {
    pub fn open(path: &Path) -> Builds {
        Builds { writer: open(path), reader: open(path) }
    }

    /// Claims so many builds, up to 64, in one commit: their ids.
    pub fn claim(&self, count: usize, runners: &[[u8; 32]]) -> Vec<i64> {
        let runner = |index: usize| &runners[index % runners.len()];
        let mut claimed = Vec::with_capacity(count);
        group(&self.writer, count, |c, index| claimed.push(claim(c, runner(index))));
        claimed
    }

    /// Claims and finishes so many queued builds: a commit of 64 claims, then one of their 64 ends.
    pub fn claim_and_finish(&self, builds: usize, runners: &[[u8; 32]]) {
        let mut left = builds;
        while left > 0 {
            let claimed = self.claim(left.min(GROUP), runners);
            group(&self.writer, claimed.len(), |c, index| finish(c, claimed[index]));
            left -= claimed.len();
        }
    }

    /// How many builds have succeeded.
    pub fn succeeded(&self) -> i64 {
        value(&self.reader, "SELECT count(*) FROM builds WHERE status = 'success'", [])
    }
}

/// What the database knows runners by.
pub fn hashes(tokens: &[String]) -> Vec<[u8; 32]> {
    tokens.iter().map(|token| Sha256::digest(token).into()).collect()
}

const RUNNER: &str = "SELECT r.id, r.description, t.tags, r.tag_set_id, r.run_untagged, r.locked, r.paused,
        r.project_id, p.name, r.info, r.contacted_at, r.maximum_timeout_s, r.maintenance_note, r.address
    FROM runners r JOIN tag_sets t ON t.id = r.tag_set_id LEFT JOIN projects p ON p.id = r.project_id";

fn oldest_pending(c: &Connection) -> i64 {
    let set = value(c, "SELECT coalesce(max(id), 0) FROM tag_sets", []);
    value(c, "SELECT min(id) FROM builds WHERE status = 'pending' AND tag_set_id = ?1", [set])
}

/// The statements of `Coordinator::claim_build` for a runner that got a build before, in its order.
fn claim(c: &Connection, runner_token: &[u8; 32]) -> i64 {
    let runner = value(c, &format!("{RUNNER} WHERE r.token_hash = ?1"), [runner_token]);
    let id = oldest_pending(c);
    run(
        c,
        "UPDATE builds SET status = 'running', runner_id = :runner, token = :token, token_hash = :hash,
             started_at = :now, seen_at = :now, room = zeroblob(32), manager_id = NULL,
             run_timeout_s = min(timeout_s, NULL)
         WHERE id = :id AND status = 'pending'",
        named_params! {
            ":runner": runner, ":token": "abcdefghjkmnpqrstuvwyzAB", ":hash": [7_u8; 32], ":now": NOW, ":id": id,
        },
    );
    run(
        c,
        "SELECT b.id, b.project_id, p.name, s.name, s.stage, s.ref, s.sha, b.status, b.failure_reason, t.tags,
             b.created_at, b.started_at, b.finished_at, b.erased_at, r.id, r.description, coalesce(tr.size, 0),
             a.path, a.filename, a.size, a.sha256, a.expire_at
         FROM builds b
         JOIN projects p ON p.id = b.project_id
         JOIN build_specs s ON s.build_id = b.id
         JOIN tag_sets t ON t.id = b.tag_set_id
         LEFT JOIN runners r ON r.id = b.runner_id
         LEFT JOIN traces tr ON tr.build_id = b.id
         LEFT JOIN artifacts a ON a.build_id = b.id AND coalesce(a.expire_at > :now, 1)
         WHERE b.id = :id",
        named_params! {":now": NOW, ":id": id},
    );
    run(c, "SELECT needs_id FROM build_needs WHERE build_id = ?1 ORDER BY needs_id", [id]);
    run(
        c,
        "SELECT s.spec, s.before_sha, s.is_tag, s.repo_url, s.allow_git_fetch, s.variables, b.timeout_s
         FROM build_specs s JOIN builds b ON b.id = s.build_id WHERE b.id = ?1",
        [id],
    );
    run(c, "SELECT id, name, repo_url, ci_token, timeout_s, created_at FROM projects WHERE id = ?1", [1]);
    run(c, &format!("{RUNNER} WHERE r.id = ?1 AND r.removed_at IS NULL"), [runner]);
    id
}

/// The statements of `Coordinator::update_build` for a build that ended without a log, in its order.
fn finish(c: &Connection, id: i64) {
    run(c, "SELECT id, project_id, status, runner_id, token_hash, seen_at, erased_at FROM builds WHERE id = ?1", [id]);
    run(
        c,
        "UPDATE builds SET status = :to, failure_reason = :reason, finished_at = :finished_at,
             token = CASE WHEN :to = 'canceled' THEN token END, room = CASE WHEN :to = 'pending' THEN room END
         WHERE id = :id AND status = :from",
        named_params! {
            ":to": "success", ":reason": None::<&str>, ":finished_at": NOW, ":id": id, ":from": "running",
        },
    );
    run(c, "SELECT number, size, carry FROM traces WHERE build_id = ?1", [id]);
    run(c, "UPDATE traces SET carry = x'' WHERE build_id = ?1 AND carry <> x''", [id]);
    run(
        c,
        "SELECT n.build_id FROM build_needs n JOIN builds b ON b.id = n.build_id
         WHERE n.needs_id = ?1 AND b.status = 'created' ORDER BY n.build_id",
        [id],
    );
}
