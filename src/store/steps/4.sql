CREATE INDEX builds_created ON builds (id) WHERE status = 'created';
DROP TRIGGER build_has_run;
CREATE TRIGGER build_has_run AFTER UPDATE OF status ON builds
WHEN OLD.status = 'running' AND NEW.finished_at IS NOT NULL
BEGIN
    INSERT INTO build_times (what, up_to_ms, builds, total_ms)
    SELECT 'run', (SELECT min(up_to_ms) FROM build_times WHERE what = 'run' AND up_to_ms >= ms), 1, ms
    FROM (SELECT max(0, NEW.finished_at - NEW.started_at) AS ms)
    WHERE true
    ON CONFLICT DO UPDATE SET builds = builds + 1, total_ms = total_ms + excluded.total_ms;
END;
