-- To pipelines; schema.sql has the reasons.
CREATE TABLE pipelines (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id  INTEGER NOT NULL REFERENCES projects (id),
    iid         INTEGER NOT NULL,
    ref         TEXT NOT NULL,
    is_tag      INTEGER NOT NULL CHECK (is_tag IN (0, 1)),
    sha         TEXT,
    before_sha  TEXT,
    source      TEXT NOT NULL,
    name        TEXT,
    stages      TEXT NOT NULL,
    left_out    TEXT NOT NULL,
    warnings    TEXT NOT NULL,
    title       TEXT,
    actor       TEXT,
    sources_key TEXT,
    context     TEXT,
    parent_id   INTEGER,
    created_at  INTEGER NOT NULL,
    UNIQUE (project_id, iid)
) STRICT;
CREATE INDEX pipelines_of_sources ON pipelines (sources_key) WHERE sources_key IS NOT NULL;
CREATE INDEX pipelines_of_builds ON pipelines (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE stage_counts (
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    stage_index INTEGER NOT NULL,
    status      TEXT NOT NULL,
    is_allowed  INTEGER NOT NULL,
    builds      INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, stage_index, status, is_allowed)
) STRICT, WITHOUT ROWID;

ALTER TABLE builds ADD COLUMN pipeline_id INTEGER REFERENCES pipelines (id);
ALTER TABLE builds ADD COLUMN stage_index INTEGER;
ALTER TABLE builds ADD COLUMN waits_for_stages INTEGER NOT NULL DEFAULT 0 CHECK (waits_for_stages IN (0, 1));
ALTER TABLE builds ADD COLUMN plays TEXT NOT NULL DEFAULT 'on_success';
ALTER TABLE builds ADD COLUMN start_in_s INTEGER;
ALTER TABLE builds ADD COLUMN scheduled_at INTEGER;
ALTER TABLE builds ADD COLUMN resource_group TEXT;
ALTER TABLE builds ADD COLUMN retried_by INTEGER;
ALTER TABLE build_specs ADD COLUMN job TEXT;

-- Each build of before is a pipeline of its own, with its number. Rows take what they grow by from the room that they have.
INSERT INTO pipelines (id, project_id, iid, ref, is_tag, sha, before_sha, source, stages, left_out, warnings, created_at)
SELECT b.id, b.project_id, row_number() OVER (PARTITION BY b.project_id ORDER BY b.id), s.ref, s.is_tag, s.sha,
    s.before_sha, 'api', '[]', '[]', '[]', b.created_at
FROM builds b JOIN build_specs s ON s.build_id = b.id;
UPDATE builds SET pipeline_id = id, room = iif(length(room) > 8, zeroblob(length(room) - 8), room)
WHERE EXISTS (SELECT 1 FROM pipelines p WHERE p.id = builds.id);

CREATE INDEX builds_of_pipeline ON builds (pipeline_id, stage_index);
CREATE INDEX builds_behind_stages ON builds (pipeline_id, stage_index) WHERE status = 'created' AND waits_for_stages = 1;
CREATE INDEX builds_scheduled ON builds (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX builds_of_resource ON builds (project_id, resource_group, id) WHERE resource_group IS NOT NULL;
CREATE TRIGGER build_counted_in_stage AFTER INSERT ON builds
WHEN NEW.stage_index IS NOT NULL AND NEW.retried_by IS NULL
BEGIN
    INSERT INTO stage_counts (pipeline_id, stage_index, status, is_allowed, builds)
    VALUES (NEW.pipeline_id, NEW.stage_index, NEW.status, NEW.failure_allowed, 1)
    ON CONFLICT DO UPDATE SET builds = builds + 1;
END;
CREATE TRIGGER build_counted_anew_in_stage AFTER UPDATE OF status, failure_allowed, retried_by ON builds
WHEN NEW.stage_index IS NOT NULL
BEGIN
    UPDATE stage_counts SET builds = builds - 1
    WHERE OLD.retried_by IS NULL AND pipeline_id = OLD.pipeline_id AND stage_index = OLD.stage_index
        AND status = OLD.status AND is_allowed = OLD.failure_allowed;
    INSERT INTO stage_counts (pipeline_id, stage_index, status, is_allowed, builds)
    SELECT NEW.pipeline_id, NEW.stage_index, NEW.status, NEW.failure_allowed, 1 WHERE NEW.retried_by IS NULL
    ON CONFLICT DO UPDATE SET builds = builds + 1;
END;
CREATE TRIGGER build_counted_out_of_stage AFTER DELETE ON builds
WHEN OLD.stage_index IS NOT NULL AND OLD.retried_by IS NULL
BEGIN
    UPDATE stage_counts SET builds = builds - 1
    WHERE pipeline_id = OLD.pipeline_id AND stage_index = OLD.stage_index
        AND status = OLD.status AND is_allowed = OLD.failure_allowed;
END;
