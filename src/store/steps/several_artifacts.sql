-- To several artifacts a build, dotenv reports, and builds that are made again by themselves; schema.sql has the reasons.
-- A build's one upload becomes its archive. What is renamed in the legacy way takes its indexes and triggers along.
PRAGMA legacy_alter_table = ON;
ALTER TABLE artifacts RENAME TO artifacts_of_builds;
PRAGMA legacy_alter_table = OFF;
CREATE TABLE artifacts (
    build_id      INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    kind          TEXT NOT NULL,
    format        TEXT NOT NULL,
    path          TEXT NOT NULL UNIQUE,
    filename      TEXT NOT NULL,
    size          INTEGER NOT NULL,
    sha256        BLOB NOT NULL CHECK (length(sha256) = 32),
    metadata_path TEXT UNIQUE,
    uploaded_at   INTEGER NOT NULL,
    expire_at     INTEGER,
    PRIMARY KEY (build_id, kind)
) STRICT;
INSERT INTO artifacts (build_id, kind, format, path, filename, size, sha256, metadata_path, uploaded_at, expire_at)
SELECT build_id, 'archive', 'zip', path, filename, size, sha256, metadata_path, uploaded_at, expire_at
FROM artifacts_of_builds;
DROP TABLE artifacts_of_builds;
CREATE INDEX artifacts_expiring ON artifacts (expire_at) WHERE expire_at IS NOT NULL;
CREATE TRIGGER artifact_bytes_in AFTER INSERT ON artifacts
BEGIN UPDATE stored_bytes SET artifacts = artifacts + NEW.size; END;
CREATE TRIGGER artifact_bytes_out AFTER DELETE ON artifacts
BEGIN UPDATE stored_bytes SET artifacts = artifacts - OLD.size; END;
CREATE TABLE build_dotenv (
    build_id  INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    variables TEXT NOT NULL
) STRICT;
ALTER TABLE builds ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE builds ADD COLUMN failure_allowed INTEGER NOT NULL DEFAULT 0 CHECK (failure_allowed IN (0, 1));
CREATE INDEX builds_repeating ON builds (retry_of) WHERE retry_of IS NOT NULL;
