-- To runners that were made for some builds; schema.sql has the reasons.
CREATE TABLE runner_builds (
    build_id  INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    runner_id INTEGER NOT NULL REFERENCES runners (id)
) STRICT;
CREATE INDEX runner_builds_by_runner ON runner_builds (runner_id);
CREATE TRIGGER runner_may_take_its_own AFTER INSERT ON runner_builds
BEGIN UPDATE queue_state SET generation = generation + 1; END;
