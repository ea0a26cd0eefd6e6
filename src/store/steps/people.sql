-- To the page and the API for programs; schema.sql has the reasons.
ALTER TABLE projects ADD COLUMN default_branch TEXT;
CREATE INDEX pipelines_of_project ON pipelines (project_id, id);
CREATE INDEX pipelines_of_ref ON pipelines (project_id, ref, id);
CREATE INDEX pipelines_of_sha ON pipelines (project_id, sha) WHERE sha IS NOT NULL;
CREATE INDEX builds_of_project ON builds (project_id, id);
CREATE INDEX builds_manual ON builds (id) WHERE status = 'manual';
CREATE TABLE pipeline_counts (
    project_id INTEGER PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    pipelines  INTEGER NOT NULL
) STRICT;
INSERT INTO pipeline_counts (project_id, pipelines) SELECT project_id, count(*) FROM pipelines GROUP BY 1;
CREATE TRIGGER pipeline_counted AFTER INSERT ON pipelines
BEGIN
    INSERT INTO pipeline_counts (project_id, pipelines) VALUES (NEW.project_id, 1)
    ON CONFLICT DO UPDATE SET pipelines = pipelines + 1;
END;
CREATE TRIGGER pipeline_counted_out AFTER DELETE ON pipelines
BEGIN UPDATE pipeline_counts SET pipelines = pipelines - 1 WHERE project_id = OLD.project_id; END;
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
) STRICT;
CREATE TABLE login_keys (
    key_hash  BLOB PRIMARY KEY CHECK (length(key_hash) = 32),
    name      TEXT NOT NULL,
    expire_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE access_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scope      TEXT NOT NULL CHECK (scope IN ('api', 'read_api')),
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expire_at  INTEGER,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE TABLE triggers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    token_hash  BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    first_characters TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER
) STRICT;
CREATE TABLE project_variables (
    project_id   INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    is_file      INTEGER NOT NULL CHECK (is_file IN (0, 1)),
    is_masked    INTEGER NOT NULL CHECK (is_masked IN (0, 1)),
    is_raw       INTEGER NOT NULL CHECK (is_raw IN (0, 1)),
    is_protected INTEGER NOT NULL CHECK (is_protected IN (0, 1)),
    description  TEXT NOT NULL,
    PRIMARY KEY (project_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE build_acts (
    id       INTEGER PRIMARY KEY,
    build_id INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    act      TEXT NOT NULL,
    actor    TEXT NOT NULL,
    acted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX build_acts_of_build ON build_acts (build_id);
