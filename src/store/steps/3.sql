-- From version 2 to 3; schema.sql has the reasons.
CREATE TABLE build_counts (
    status         TEXT NOT NULL,
    failure_reason TEXT NOT NULL,
    stored         INTEGER NOT NULL,
    total          INTEGER NOT NULL,
    PRIMARY KEY (status, failure_reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE build_times (
    what     TEXT NOT NULL CHECK (what IN ('wait', 'run')),
    up_to_ms INTEGER NOT NULL,
    builds   INTEGER NOT NULL,
    total_ms INTEGER NOT NULL,
    PRIMARY KEY (what, up_to_ms)
) STRICT, WITHOUT ROWID;
WITH bounds (ms) AS (VALUES (100), (500), (1000), (5000), (15000), (30000), (60000), (120000), (300000), (600000),
    (1200000), (1800000), (3600000), (7200000), (14400000), (43200000), (86400000), (9223372036854775807))
INSERT INTO build_times (what, up_to_ms, builds, total_ms)
SELECT what, ms, 0, 0 FROM bounds, (SELECT 'wait' AS what UNION ALL SELECT 'run');
CREATE TABLE stored_bytes (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    traces    INTEGER NOT NULL,
    artifacts INTEGER NOT NULL
) STRICT;
INSERT INTO build_counts (status, failure_reason, stored, total)
SELECT status, coalesce(failure_reason, ''), count(*), count(*) FROM builds GROUP BY 1, 2;
INSERT INTO stored_bytes (id, traces, artifacts)
SELECT 1, (SELECT coalesce(sum(size), 0) FROM traces), (SELECT coalesce(sum(size), 0) FROM artifacts);
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
CREATE TRIGGER build_has_run AFTER UPDATE OF status ON builds WHEN OLD.status = 'running' AND NEW.status <> 'running'
BEGIN
    INSERT INTO build_times (what, up_to_ms, builds, total_ms)
    SELECT 'run', (SELECT min(up_to_ms) FROM build_times WHERE what = 'run' AND up_to_ms >= ms), 1, ms
    FROM (SELECT max(0, NEW.finished_at - NEW.started_at) AS ms)
    WHERE true
    ON CONFLICT DO UPDATE SET builds = builds + 1, total_ms = total_ms + excluded.total_ms;
END;
CREATE TRIGGER trace_bytes_in AFTER INSERT ON traces
BEGIN UPDATE stored_bytes SET traces = traces + NEW.size; END;
CREATE TRIGGER trace_bytes_changed AFTER UPDATE OF size ON traces WHEN NEW.size <> OLD.size
BEGIN UPDATE stored_bytes SET traces = traces + NEW.size - OLD.size; END;
CREATE TRIGGER trace_bytes_out AFTER DELETE ON traces
BEGIN UPDATE stored_bytes SET traces = traces - OLD.size; END;
CREATE TRIGGER artifact_bytes_in AFTER INSERT ON artifacts
BEGIN UPDATE stored_bytes SET artifacts = artifacts + NEW.size; END;
CREATE TRIGGER artifact_bytes_out AFTER DELETE ON artifacts
BEGIN UPDATE stored_bytes SET artifacts = artifacts - OLD.size; END;
