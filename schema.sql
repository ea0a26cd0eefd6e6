-- Baton's data model, version 12. One file, `baton.db`, holds all of it but the artifacts' bytes.
--
-- This is the reading copy and the schema of a new database at once: src/store/migrations.rs runs it for a
-- new file and brings older files to the same shape. Times are milliseconds since 1970 UTC, sizes bytes,
-- durations seconds where the name ends in `_s`. The file is readable by its owner only.

-- One row: what the installation as a whole knows.
CREATE TABLE settings (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    -- Readable, since `baton runner token` shows it again.
    registration_token TEXT NOT NULL,
    -- Keys the opaque `last_update` values, so that they cannot be guessed or carried between installations.
    queue_key          BLOB NOT NULL CHECK (length(queue_key) = 16),
    -- When a server last said that it serves, to half a minute: silence of runners while no server ran does
    -- not count against them. NULL: no server has run.
    alive_at           INTEGER,
    created_at         INTEGER NOT NULL
) STRICT;

-- One row: moves whenever a build may have become claimable, whichever process did it. The triggers below
-- keep it; a runner whose `last_update` names the present generation is answered without a search.
CREATE TABLE queue_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO queue_state (id, generation) VALUES (1, 1);

CREATE TABLE projects (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- Where runners fetch sources from; NULL: builds run without sources.
    repo_url   TEXT,
    -- Readable, since `baton project token` shows it again and traces are masked for it.
    ci_token   TEXT NOT NULL,
    -- SHA-256; what a presented token is looked up by.
    ci_token_hash BLOB NOT NULL UNIQUE CHECK (length(ci_token_hash) = 32),
    timeout_s  INTEGER NOT NULL CHECK (timeout_s > 0),
    created_at INTEGER NOT NULL,
    -- What `HEAD` of its repository points to. NULL: nobody has asked it yet.
    default_branch TEXT
) STRICT;

-- Each distinct set of tags once: a JSON array, sorted, without repetitions; '[]' for none.
-- A claim asks the index below once per set that the runner matches, not once per build.
CREATE TABLE tag_sets (
    id   INTEGER PRIMARY KEY,
    tags TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runners (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of the runner token; the token itself is shown once and never stored. NULL: removed.
    token_hash   BLOB UNIQUE CHECK (length(token_hash) = 32),
    description  TEXT NOT NULL,
    tag_set_id   INTEGER NOT NULL REFERENCES tag_sets (id),
    run_untagged INTEGER NOT NULL CHECK (run_untagged IN (0, 1)),
    locked       INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
    paused       INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    -- NULL: a shared runner, which takes builds of every project.
    project_id   INTEGER REFERENCES projects (id),
    -- What the runner says of itself: a JSON object of strings (name, version, revision, platform, ..., and features,
    -- words separated by commas). With several managers, what the one said that called last.
    info         TEXT NOT NULL DEFAULT '{}',
    -- Last request for work; written at most once a minute. NULL: never.
    contacted_at INTEGER,
    created_at   INTEGER NOT NULL,
    -- A removed runner's row stays, since its builds name it.
    removed_at   INTEGER,
    -- The longest that it lets a build run. NULL: as long as the build may.
    maximum_timeout_s INTEGER CHECK (maximum_timeout_s > 0),
    -- What its owner notes of it; any text.
    maintenance_note TEXT NOT NULL DEFAULT '',
    -- Where it last called from. NULL: not known.
    address TEXT
) STRICT;

-- Each process of a runner that names itself: one token may serve on several machines, with several versions. At most
-- 1,000 a runner, since any client with its token may call itself anything; those that were silent for longest go.
CREATE TABLE runner_managers (
    -- AUTOINCREMENT: builds name it, also after it is gone.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    runner_id    INTEGER NOT NULL REFERENCES runners (id),
    system_id    TEXT NOT NULL,
    -- As runners.info.
    info         TEXT NOT NULL,
    -- Where it last called from. NULL: not known.
    address      TEXT,
    -- Last request for work or check of its token; written at most once a minute.
    contacted_at INTEGER NOT NULL,
    UNIQUE (runner_id, system_id)
) STRICT;

-- What one commit and one start asked for: its builds are those that name it. Builds that are queued together, without a
-- configuration, are a pipeline too; one that is queued alone is a pipeline of one. Its state is what its builds say.
CREATE TABLE pipelines (
    -- AUTOINCREMENT: an id is never used twice.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id  INTEGER NOT NULL REFERENCES projects (id),
    -- Its number in the project, from 1.
    iid         INTEGER NOT NULL,
    ref         TEXT NOT NULL,
    is_tag      INTEGER NOT NULL CHECK (is_tag IN (0, 1)),
    -- NULL: whatever `ref` points to.
    sha         TEXT,
    before_sha  TEXT,
    -- Why there is one: a word of src/domain/pipeline/mod.rs.
    source      TEXT NOT NULL,
    -- `workflow:name`. NULL: it has none.
    name        TEXT,
    -- JSON array of the stages' names, in order; builds name their place in it. '[]': its builds know needs only.
    stages      TEXT NOT NULL,
    -- JSON array of the jobs that rules have left out, and why: {name, stage, why, file, line}.
    left_out    TEXT NOT NULL,
    -- JSON array of sentences that people were told when it was made.
    warnings    TEXT NOT NULL,
    -- The first line of the commit's message. NULL: not known.
    title       TEXT,
    -- Who started it, in words.
    actor       TEXT,
    -- Name of the bare repository below `sources/` that holds its commit. NULL: it lies where the builds' URL says.
    sources_key TEXT,
    -- JSON object of the circumstances under which it was made, secrets among them: its children are made under the same.
    -- NULL: it has no children, and nobody gave it variables.
    context     TEXT,
    -- The build that made this pipeline as its child; it may have been pruned since. NULL: no build did.
    parent_id   INTEGER,
    created_at  INTEGER NOT NULL,
    -- JSON array of what is wrong with its configuration, for which it has no builds: {file, line, column, words, hint,
    -- around}. NULL: its configuration was taken. Last, since lists read it not: SQLite need not fetch its pages.
    refusal     TEXT,
    UNIQUE (project_id, iid)
) STRICT;
CREATE INDEX pipelines_of_sources ON pipelines (sources_key) WHERE sources_key IS NOT NULL;
CREATE INDEX pipelines_of_builds ON pipelines (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX pipelines_of_project ON pipelines (project_id, id);
CREATE INDEX pipelines_of_ref ON pipelines (project_id, ref, id);
CREATE INDEX pipelines_of_sha ON pipelines (project_id, sha) WHERE sha IS NOT NULL;
-- Those that retention finds by themselves: they have no builds with which they would go.
CREATE INDEX pipelines_refused ON pipelines (created_at) WHERE refusal IS NOT NULL;

-- How many pipelines each project has, so that a page of them can say so. The triggers below keep it.
CREATE TABLE pipeline_counts (
    project_id INTEGER PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    pipelines  INTEGER NOT NULL
) STRICT;
CREATE TRIGGER pipeline_counted AFTER INSERT ON pipelines
BEGIN
    INSERT INTO pipeline_counts (project_id, pipelines) VALUES (NEW.project_id, 1)
    ON CONFLICT DO UPDATE SET pipelines = pipelines + 1;
END;
CREATE TRIGGER pipeline_counted_out AFTER DELETE ON pipelines
BEGIN UPDATE pipeline_counts SET pipelines = pipelines - 1 WHERE project_id = OLD.project_id; END;

-- How many builds of each stage stand how, so that the end of one costs the same in a pipeline of any size. The triggers
-- below keep it. Builds that were made again do not count, nor do those that no stage orders.
CREATE TABLE stage_counts (
    pipeline_id INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    stage_index INTEGER NOT NULL,
    status      TEXT NOT NULL,
    -- builds.failure_allowed
    is_allowed  INTEGER NOT NULL,
    builds      INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, stage_index, status, is_allowed)
) STRICT, WITHOUT ROWID;

-- What changes while a build lives. What was asked for is in build_specs, so that claims write narrow rows.
CREATE TABLE builds (
    -- AUTOINCREMENT: an id is never used twice, also after builds were pruned.
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id     INTEGER NOT NULL REFERENCES projects (id),
    -- The words of states and reasons are in src/domain/build.rs, and what must be true of a build in each state in
    -- src/store/invariants.rs, by which `baton check` finds others: SQLite changes no CHECK of a table that is there.
    status         TEXT NOT NULL,
    -- NULL for builds that have not failed.
    failure_reason TEXT,
    -- The reason in the runner's own word, where that is none of ours; NULL: it said none.
    failure_text   TEXT,
    -- How the script ended, as the runner says; NULL: it did not say.
    exit_code      INTEGER,
    tag_set_id     INTEGER NOT NULL REFERENCES tag_sets (id),
    runner_id      INTEGER REFERENCES runners (id),
    -- Readable while the build runs: the register response carries it and the trace is masked for it. A
    -- build canceled while it ran keeps it, since its runner still sends a last trace.
    token          TEXT,
    -- SHA-256; stays after the end, since finished builds' tokens still read and remove artifacts.
    token_hash     BLOB CHECK (length(token_hash) = 32),
    timeout_s      INTEGER NOT NULL CHECK (timeout_s > 0),
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    -- Last authenticated call for this build, written at most once a minute.
    seen_at        INTEGER,
    -- When it is given up as timed out; NULL: its timeout and a grace after its start. Set when that moment
    -- passed while no server ran, since its runner is then still trying to say how it ended.
    deadline_at    INTEGER,
    -- When artifacts were refused for their size: a failure after that is for that reason. NULL: never, or others
    -- were taken since.
    artifacts_refused_at INTEGER,
    erased_at      INTEGER,
    -- The build that this one repeats, which may have been pruned since; NULL: none.
    retry_of       INTEGER,
    -- Nothing, as long as what a claim and an end write, so that the row never grows. Else pages were split, and the
    -- forgotten part of one could keep the token of a build that has ended since. NULL: it has grown.
    room           BLOB,
    -- The row of runner_managers that has or had it. No reference, since that row may go. NULL: no manager was named.
    manager_id     INTEGER,
    -- The timeout that its runner was told, when the runner has a maximum. NULL: timeout_s.
    run_timeout_s  INTEGER CHECK (run_timeout_s > 0),
    -- How often it was made again by itself until now, since somebody queued it.
    retries        INTEGER NOT NULL DEFAULT 0,
    -- Whether those behind it go on although it failed, was canceled, or is manual and nobody starts it.
    failure_allowed INTEGER NOT NULL DEFAULT 0 CHECK (failure_allowed IN (0, 1)),
    -- Whether its runner stops the script and runs what comes after it when it is told that the build is canceled.
    is_graceful    INTEGER NOT NULL DEFAULT 0 CHECK (is_graceful IN (0, 1)),
    -- When its runner was asked to bring it to an end; NULL: it was not.
    canceling_at   INTEGER,
    -- When it goes back into the queue unless something was heard of it, as must be at once from some runners. NULL:
    -- something was, or need not be.
    unheard_until  INTEGER,
    pipeline_id    INTEGER REFERENCES pipelines (id),
    -- Place of its stage in the pipeline's list. NULL: no stage orders it; it waits for what it needs.
    stage_index    INTEGER,
    -- Whether it waits for all builds of earlier stages, and not for those that it needs.
    waits_for_stages INTEGER NOT NULL DEFAULT 0 CHECK (waits_for_stages IN (0, 1)),
    -- When its turn comes: GitLab's word for `when`.
    plays          TEXT NOT NULL DEFAULT 'on_success',
    -- How long it waits once its turn has come. NULL: not at all.
    start_in_s     INTEGER,
    -- While it is `scheduled`: when it becomes pending.
    scheduled_at   INTEGER,
    -- Of the project's builds with this word, one at a time is pending or running. NULL: it shares nothing.
    resource_group TEXT,
    -- The build of the same pipeline that counts in its place. NULL: it counts.
    retried_by     INTEGER,
    CHECK (token IS NULL OR started_at IS NOT NULL)
) STRICT;
CREATE INDEX builds_pending ON builds (tag_set_id, id) WHERE status = 'pending';
CREATE INDEX builds_pending_of_project ON builds (project_id, tag_set_id, id) WHERE status = 'pending';
CREATE INDEX builds_running ON builds (runner_id) WHERE status = 'running';
-- Those that wait for others: looked through after a crash.
CREATE INDEX builds_created ON builds (id) WHERE status = 'created';

-- Those that repeat others: by the others.
CREATE INDEX builds_repeating ON builds (retry_of) WHERE retry_of IS NOT NULL;

CREATE INDEX builds_of_pipeline ON builds (pipeline_id, stage_index);
CREATE INDEX builds_behind_stages ON builds (pipeline_id, stage_index) WHERE status = 'created' AND waits_for_stages = 1;
CREATE INDEX builds_scheduled ON builds (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX builds_of_resource ON builds (project_id, resource_group, id) WHERE resource_group IS NOT NULL;

CREATE INDEX builds_of_project ON builds (project_id, id);
CREATE INDEX builds_manual ON builds (id) WHERE status = 'manual';

CREATE INDEX builds_canceled_with_token ON builds (finished_at) WHERE status = 'canceled' AND token IS NOT NULL;

CREATE TABLE build_specs (
    build_id        INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    stage           TEXT NOT NULL,
    ref             TEXT NOT NULL,
    -- NULL: whatever `ref` points to when the runner fetches it.
    sha             TEXT CHECK (length(sha) >= 8),
    before_sha      TEXT,
    is_tag          INTEGER NOT NULL CHECK (is_tag IN (0, 1)),
    repo_url        TEXT,
    allow_git_fetch INTEGER NOT NULL CHECK (allow_git_fetch IN (0, 1)),
    -- JSON object, as src/domain/spec.rs has it: script, image, services, artifacts, cache, ...
    spec            TEXT NOT NULL,
    -- JSON array of {key, value, public[, file][, expand]}; the values of secret ones are masked in the trace.
    variables       TEXT NOT NULL,
    -- JSON object, as src/domain/pipeline/about.rs has it: what people are told of a job of a configuration. NULL: the
    -- build is none.
    job             TEXT
) STRICT;

CREATE TABLE build_needs (
    build_id  INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    needs_id  INTEGER NOT NULL REFERENCES builds (id),
    -- Whether the artifacts of the one go along to the other.
    artifacts INTEGER NOT NULL DEFAULT 1 CHECK (artifacts IN (0, 1)),
    PRIMARY KEY (build_id, needs_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX build_needs_by_needs ON build_needs (needs_id);

-- A build's log: its length here, its bytes in 16 KiB segments, so that an append costs what it appends.
CREATE TABLE traces (
    build_id INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    -- Which segments are this trace's. A replaced trace gets a new number, and the old one is detached.
    number   INTEGER NOT NULL UNIQUE,
    size     INTEGER NOT NULL,
    -- The end of the log that could be the begin of a secret, unmasked: see src/domain/masking.rs.
    carry    BLOB NOT NULL DEFAULT x'',
    -- CRC-32 of what was received, before it was masked, to be compared with what the runner says at the end. NULL: the
    -- trace was begun by a version that did not keep it.
    crc32    INTEGER
) STRICT;
CREATE TABLE trace_segments (
    -- traces.number << 20 | index of the segment
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
-- The next number; never used twice, so that a reader never meets another build's bytes.
CREATE TABLE trace_numbers (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL
) STRICT;
INSERT INTO trace_numbers (id, next) VALUES (1, 1);

-- Numbers whose segments belong to no build: of traces that were removed, or that are still being written. A
-- trace may be long, so its segments go a few at a time, and then its number.
CREATE TABLE detached_traces (
    number INTEGER PRIMARY KEY
) STRICT;
CREATE TRIGGER trace_removed AFTER DELETE ON traces
BEGIN INSERT INTO detached_traces (number) VALUES (OLD.number); END;

-- What builds have uploaded: one archive each, and reports. The files lie beside the database, in `artifacts/`.
CREATE TABLE artifacts (
    build_id      INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    -- 'archive', or the kind of a report, also one that Baton does not know: src/domain/uploads.rs.
    kind          TEXT NOT NULL,
    -- How it is packed: 'zip', 'gzip', 'raw', ...
    format        TEXT NOT NULL,
    -- Name of the file below `artifacts/`; each upload gets a new one.
    path          TEXT NOT NULL UNIQUE,
    -- What the client called it.
    filename      TEXT NOT NULL,
    size          INTEGER NOT NULL,
    sha256        BLOB NOT NULL CHECK (length(sha256) = 32),
    -- The optional second file of an upload, kept for whoever asks for it; NULL: none came.
    metadata_path TEXT UNIQUE,
    uploaded_at   INTEGER NOT NULL,
    -- NULL: kept until somebody removes them.
    expire_at     INTEGER,
    PRIMARY KEY (build_id, kind)
) STRICT;
CREATE INDEX artifacts_expiring ON artifacts (expire_at) WHERE expire_at IS NOT NULL;

-- The variables of dotenv reports, which builds get that need these ones. They outlive the report itself.
CREATE TABLE build_dotenv (
    build_id  INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    -- JSON array of [name, value].
    variables TEXT NOT NULL
) STRICT;

-- Builds for which a runner was made: that of a `baton run`, which is locked and of no project. It takes these, whatever
-- their tags, and nobody else does.
CREATE TABLE runner_builds (
    build_id  INTEGER PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    runner_id INTEGER NOT NULL REFERENCES runners (id)
) STRICT;
CREATE INDEX runner_builds_by_runner ON runner_builds (runner_id);

-- Browsers that were let in to the page.
CREATE TABLE sessions (
    -- AUTOINCREMENT: an id is never used twice.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Whom the link was made for; several sessions may be one's.
    name       TEXT NOT NULL,
    -- SHA-256 of what the browser keeps.
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at INTEGER NOT NULL,
    -- Last request; written at most once a minute. It ends some time after that.
    used_at    INTEGER NOT NULL
) STRICT;

-- Links that let a browser in, each once.
CREATE TABLE login_keys (
    -- SHA-256 of the key in the link.
    key_hash  BLOB PRIMARY KEY CHECK (length(key_hash) = 32),
    name      TEXT NOT NULL,
    expire_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Programs that may use the API for programs.
CREATE TABLE access_tokens (
    -- AUTOINCREMENT: an id is never used twice.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    -- SHA-256; the token itself is shown once and never stored.
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scope      TEXT NOT NULL CHECK (scope IN ('api', 'read_api')),
    -- NULL: all projects.
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    -- NULL: never.
    expire_at  INTEGER,
    -- Last use; written at most once a minute. NULL: never.
    used_at    INTEGER,
    -- NULL: it was not. The row stays for lists.
    revoked_at INTEGER
) STRICT;

-- What starts pipelines of one project, and nothing else.
CREATE TABLE triggers (
    -- AUTOINCREMENT: an id is never used twice.
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- SHA-256; the token itself is shown once and never stored.
    token_hash  BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    -- What lists show of it.
    first_characters TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Last use; written at most once a minute. NULL: never.
    used_at     INTEGER
) STRICT;

-- Variables that a project gives to its builds.
CREATE TABLE project_variables (
    project_id   INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key          TEXT NOT NULL,
    -- Readable, since builds get it.
    value        TEXT NOT NULL,
    -- Whether builds get the name of a file with the value.
    is_file      INTEGER NOT NULL CHECK (is_file IN (0, 1)),
    -- Whether its value is masked in logs.
    is_masked    INTEGER NOT NULL CHECK (is_masked IN (0, 1)),
    -- Whether nothing in it is expanded.
    is_raw       INTEGER NOT NULL CHECK (is_raw IN (0, 1)),
    -- Whether only builds of the default branch get it.
    is_protected INTEGER NOT NULL CHECK (is_protected IN (0, 1)),
    description  TEXT NOT NULL,
    PRIMARY KEY (project_id, key)
) STRICT, WITHOUT ROWID;

-- What people and programs did to builds, and who.
CREATE TABLE build_acts (
    id       INTEGER PRIMARY KEY,
    build_id INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    -- A word of src/domain/act.rs.
    act      TEXT NOT NULL,
    actor    TEXT NOT NULL,
    acted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX build_acts_of_build ON build_acts (build_id);

CREATE TRIGGER build_added_to_queue AFTER INSERT ON builds WHEN NEW.status = 'pending'
BEGIN UPDATE queue_state SET generation = generation + 1; END;
CREATE TRIGGER build_moved_to_queue AFTER UPDATE OF status ON builds WHEN NEW.status = 'pending'
BEGIN UPDATE queue_state SET generation = generation + 1; END;
CREATE TRIGGER runner_may_take_its_own AFTER INSERT ON runner_builds
BEGIN UPDATE queue_state SET generation = generation + 1; END;
CREATE TRIGGER runner_may_take_others
AFTER UPDATE OF tag_set_id, run_untagged, locked, paused, project_id, token_hash ON runners
BEGIN UPDATE queue_state SET generation = generation + 1; END;

-- What is counted here would else be counted by reading all builds. The triggers below keep it, whichever process
-- changes a build; `baton check` counts again.

-- How many builds there are and ever were.
CREATE TABLE build_counts (
    status         TEXT NOT NULL,
    -- '' for none.
    failure_reason TEXT NOT NULL,
    -- Builds in this state.
    stored         INTEGER NOT NULL,
    -- Builds that ever came to this state, also those that were pruned since.
    total          INTEGER NOT NULL,
    PRIMARY KEY (status, failure_reason)
) STRICT, WITHOUT ROWID;

-- How long builds wait and run: a histogram each, in the order of `up_to_ms`. Never less than before.
CREATE TABLE build_times (
    -- 'wait': from when a build could be handed out to when it was; 'run': from then to its end.
    what     TEXT NOT NULL CHECK (what IN ('wait', 'run')),
    -- The longest time that this row counts; the one before counts shorter ones.
    up_to_ms INTEGER NOT NULL,
    builds   INTEGER NOT NULL,
    -- Of all builds that this row counts, together.
    total_ms INTEGER NOT NULL,
    PRIMARY KEY (what, up_to_ms)
) STRICT, WITHOUT ROWID;
WITH bounds (ms) AS (VALUES (100), (500), (1000), (5000), (15000), (30000), (60000), (120000), (300000), (600000),
    (1200000), (1800000), (3600000), (7200000), (14400000), (43200000), (86400000), (9223372036854775807))
INSERT INTO build_times (what, up_to_ms, builds, total_ms)
SELECT what, ms, 0, 0 FROM bounds, (SELECT 'wait' AS what UNION ALL SELECT 'run');

-- One row: the sizes of all traces, and of all artifacts, without what is being removed.
CREATE TABLE stored_bytes (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    traces    INTEGER NOT NULL,
    artifacts INTEGER NOT NULL
) STRICT;
INSERT INTO stored_bytes (id, traces, artifacts) VALUES (1, 0, 0);

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
-- Not so for one that was given back to the queue.
CREATE TRIGGER build_has_run AFTER UPDATE OF status ON builds
WHEN OLD.status = 'running' AND NEW.finished_at IS NOT NULL
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
