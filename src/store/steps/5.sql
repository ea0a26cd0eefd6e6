-- From version 4 to 5; schema.sql has the reasons. The tables of builds are made anew: SQLite changes no CHECK of a table
-- that is there. It runs without foreign keys, else the old table would take with it what names its rows. A table that is
-- renamed in the legacy way leaves alone who names it, and takes its indexes and triggers along.
PRAGMA legacy_alter_table = ON;
ALTER TABLE builds RENAME TO builds_4;
ALTER TABLE build_specs RENAME TO build_specs_4;
ALTER TABLE build_needs RENAME TO build_needs_4;
PRAGMA legacy_alter_table = OFF;
CREATE TABLE builds (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id     INTEGER NOT NULL REFERENCES projects (id),
    status         TEXT NOT NULL,
    failure_reason TEXT,
    failure_text   TEXT,
    exit_code      INTEGER,
    tag_set_id     INTEGER NOT NULL REFERENCES tag_sets (id),
    runner_id      INTEGER REFERENCES runners (id),
    token          TEXT,
    token_hash     BLOB CHECK (length(token_hash) = 32),
    timeout_s      INTEGER NOT NULL CHECK (timeout_s > 0),
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    seen_at        INTEGER,
    deadline_at    INTEGER,
    artifacts_refused_at INTEGER,
    erased_at      INTEGER,
    retry_of       INTEGER,
    room           BLOB,
    CHECK (token IS NULL OR started_at IS NOT NULL)
) STRICT;
INSERT INTO builds (id, project_id, status, failure_reason, tag_set_id, runner_id, token, token_hash, timeout_s,
    created_at, started_at, finished_at, seen_at, deadline_at, erased_at, room)
SELECT id, project_id, status, failure_reason, tag_set_id, runner_id, token, token_hash, timeout_s,
    created_at, started_at, finished_at, seen_at, deadline_at, erased_at,
    iif(status IN ('created', 'pending'), zeroblob(136), iif(status = 'running', zeroblob(32), NULL))
FROM builds_4;
-- The newest builds may have been pruned: their ids are not used again.
DELETE FROM sqlite_sequence WHERE name = 'builds';
UPDATE sqlite_sequence SET name = 'builds' WHERE name = 'builds_4';
DROP TABLE builds_4;
CREATE INDEX builds_pending ON builds (tag_set_id, id) WHERE status = 'pending';
CREATE INDEX builds_pending_of_project ON builds (project_id, tag_set_id, id) WHERE status = 'pending';
CREATE INDEX builds_running ON builds (runner_id) WHERE status = 'running';
CREATE INDEX builds_created ON builds (id) WHERE status = 'created';
CREATE INDEX builds_canceled_with_token ON builds (finished_at) WHERE status = 'canceled' AND token IS NOT NULL;
CREATE TABLE build_needs (
    build_id  INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    needs_id  INTEGER NOT NULL REFERENCES builds (id),
    artifacts INTEGER NOT NULL DEFAULT 1 CHECK (artifacts IN (0, 1)),
    PRIMARY KEY (build_id, needs_id)
) STRICT, WITHOUT ROWID;
INSERT INTO build_needs (build_id, needs_id) SELECT build_id, needs_id FROM build_needs_4;
DROP TABLE build_needs_4;
CREATE INDEX build_needs_by_needs ON build_needs (needs_id);
CREATE TABLE build_specs (
    build_id        INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    stage           TEXT NOT NULL,
    ref             TEXT NOT NULL,
    sha             TEXT CHECK (length(sha) >= 8),
    before_sha      TEXT,
    is_tag          INTEGER NOT NULL CHECK (is_tag IN (0, 1)),
    repo_url        TEXT,
    allow_git_fetch INTEGER NOT NULL CHECK (allow_git_fetch IN (0, 1)),
    spec            TEXT NOT NULL,
    variables       TEXT NOT NULL
) STRICT;
CREATE TRIGGER build_added_to_queue AFTER INSERT ON builds WHEN NEW.status = 'pending'
BEGIN UPDATE queue_state SET generation = generation + 1; END;
CREATE TRIGGER build_moved_to_queue AFTER UPDATE OF status ON builds WHEN NEW.status = 'pending'
BEGIN UPDATE queue_state SET generation = generation + 1; END;
CREATE TRIGGER build_counted AFTER INSERT ON builds
BEGIN
    INSERT INTO build_counts (status, failure_reason, stored, total)
    VALUES (NEW.status, coalesce(NEW.failure_reason, ''), 1, 1)
    ON CONFLICT DO UPDATE SET stored = stored + 1, total = total + 1;
END;
CREATE TRIGGER build_counted_anew AFTER UPDATE OF status ON builds WHEN NEW.status <> OLD.status
BEGIN
    UPDATE build_counts SET stored = stored - 1
    WHERE status = OLD.status AND failure_reason = coalesce(OLD.failure_reason, '');
    INSERT INTO build_counts (status, failure_reason, stored, total)
    VALUES (NEW.status, coalesce(NEW.failure_reason, ''), 1, 1)
    ON CONFLICT DO UPDATE SET stored = stored + 1, total = total + 1;
END;
CREATE TRIGGER build_counted_out AFTER DELETE ON builds
BEGIN
    UPDATE build_counts SET stored = stored - 1
    WHERE status = OLD.status AND failure_reason = coalesce(OLD.failure_reason, '');
END;
CREATE TRIGGER build_has_waited AFTER UPDATE OF status ON builds WHEN OLD.status = 'pending' AND NEW.status = 'running'
BEGIN
    INSERT INTO build_times (what, up_to_ms, builds, total_ms)
    SELECT 'wait', (SELECT min(up_to_ms) FROM build_times WHERE what = 'wait' AND up_to_ms >= ms), 1, ms
    FROM (SELECT max(0, NEW.started_at - max(NEW.created_at, coalesce(
              (SELECT max(b.finished_at) FROM build_needs n JOIN builds b ON b.id = n.needs_id
               WHERE n.build_id = NEW.id), 0))) AS ms)
    WHERE true
    ON CONFLICT DO UPDATE SET builds = builds + 1, total_ms = total_ms + excluded.total_ms;
END;
CREATE TRIGGER build_has_run AFTER UPDATE OF status ON builds
WHEN OLD.status = 'running' AND NEW.finished_at IS NOT NULL
BEGIN
    INSERT INTO build_times (what, up_to_ms, builds, total_ms)
    SELECT 'run', (SELECT min(up_to_ms) FROM build_times WHERE what = 'run' AND up_to_ms >= ms), 1, ms
    FROM (SELECT max(0, NEW.finished_at - NEW.started_at) AS ms)
    WHERE true
    ON CONFLICT DO UPDATE SET builds = builds + 1, total_ms = total_ms + excluded.total_ms;
END;
