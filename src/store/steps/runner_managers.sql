-- Runners of API v4: what they say at registration, and their managers; schema.sql has the reasons.
ALTER TABLE runners ADD COLUMN maximum_timeout_s INTEGER CHECK (maximum_timeout_s > 0);
ALTER TABLE runners ADD COLUMN maintenance_note TEXT NOT NULL DEFAULT '';
ALTER TABLE runners ADD COLUMN address TEXT;
CREATE TABLE runner_managers (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    runner_id    INTEGER NOT NULL REFERENCES runners (id),
    system_id    TEXT NOT NULL,
    info         TEXT NOT NULL,
    address      TEXT,
    contacted_at INTEGER NOT NULL,
    UNIQUE (runner_id, system_id)
) STRICT;
ALTER TABLE builds ADD COLUMN manager_id INTEGER;
ALTER TABLE builds ADD COLUMN run_timeout_s INTEGER CHECK (run_timeout_s > 0);
-- Room for the new columns, as new builds have it.
UPDATE builds SET room = zeroblob(128) WHERE length(room) = 112;
