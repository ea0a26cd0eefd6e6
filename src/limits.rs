//! A limit on everything that others may cost a server, in one place: memory, threads, connections, time, rows.
//!
//! What stands where: what an operator or a test sets is a field of [`Limits`], for which `serve` may have an option; what
//! nobody sets is a constant below it. Units are last in a name. Beside the code that they are about stay: how long a
//! single value may be (a name, a tag, a number), which its own type judges; what a `.gitlab-ci.yml` may ask for, which
//! is part of that language (`gitlab_ci/`); how much of a thing is shown; how much is done at a step, between two looks at
//! the clock or in one commit; and all that only the caller of a command can cause.

use std::time::Duration;

/// Every limit of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most connections at a time; at the limit, the one that has waited longest makes room, and if none waits,
    /// further ones stay in the kernel's backlog.
    pub connections_max: usize,
    /// Most requests that are worked on at a time, each by a thread of its own.
    pub workers_max: usize,
    /// Bytes of a request's line and headers. At most 16 KiB more than a body that is awaited fit into the
    /// kernel's receive buffer, where both are looked at before a thread is spent.
    pub head_bytes_max: usize,
    /// Bytes of a JSON or form body, except of a trace.
    pub form_bytes_max: u64,
    /// Bytes of the body of a `PUT`, which repeats a whole trace with up to six bytes for one.
    pub put_bytes_max: u64,
    /// Bytes of one trace patch. Runners before 11.11 send all that is new in one.
    pub trace_patch_bytes_max: u64,
    /// Bytes of a whole trace.
    pub trace_bytes_max: u64,
    /// Artifacts must be smaller than this, as in GitLab.
    pub artifacts_bytes_max: u64,
    /// Uploads and downloads of artifacts at a time.
    pub transfers_max: u64,
    /// Memory for bodies of traces at a time, in bytes; further ones are told to come again.
    pub bodies_bytes_max: u64,
    /// Memory for such bodies of senders who have shown no token yet, in bytes.
    pub strangers_bytes_max: u64,
    /// Bytes of the metadata beside artifacts.
    pub metadata_bytes_max: u64,
    /// From a client's arrival to the end of its TLS handshake.
    pub handshake_time_max: Duration,
    /// From the first byte of a request's head to its last.
    pub head_time_max: Duration,
    /// Between two requests on a connection.
    pub idle_time_max: Duration,
    /// How long a runner that asks for work, and knows that there is none, waits for an answer; 0: not at all.
    pub hold_time_max: Duration,
    /// Without a byte of progress, on a body or a response.
    pub stall_time_max: Duration,
    /// A body or a response may take so long, and longer only at the rate below.
    pub transfer_grace: Duration,
    /// Bytes a second of a body or a response, after the grace.
    pub transfer_bytes_per_second_min: u64,
    /// From a stop until the requests under way are given up.
    pub drain_time_max: Duration,
    /// A running build without a sign of life for so long is lost.
    pub runner_timeout: Duration,
    /// A build that its runner did not end so long after the build's own timeout has timed out. Runners end
    /// builds themselves; their `after_script` has five minutes of its own.
    pub timeout_grace: Duration,
    /// Builds that ended longer ago are removed, with their logs and artifacts; `None`: none is.
    pub keep_builds: Option<Duration>,
    /// How long artifacts are kept when neither their upload nor their build says; `None`: for ever. It counts at
    /// the upload: what was uploaded before it was changed stays as long as was said then.
    pub keep_artifacts: Option<Duration>,
    /// Below so much room on the disk, nothing new is taken on; ends, reads and removals go on.
    pub disk_reserve_bytes: u64,
    /// Processes of git that hand sources to builds, at a time.
    pub git_children_max: usize,
    /// Of those, for one build.
    pub git_children_per_build_max: usize,
    /// How long a build's git waits for one of those places.
    pub git_wait_max: Duration,
    /// How long such a process may run.
    pub git_time_max: Duration,
    /// Bytes of what a build's git asks for, unpacked.
    pub git_request_bytes_max: u64,
    /// Bytes that it is sent.
    pub git_response_bytes_max: u64,
    /// Pipelines that are made of fetched commits at a time, and configurations that are checked.
    pub starts_max: usize,
    /// Of those, for one project: one fetches, others wait for it.
    pub starts_per_project_max: usize,
    /// How long one question to a project's repository may take, and how long one waits for another's.
    pub fetch_time_max: Duration,
    /// Bytes of what is kept of a project's repository.
    pub mirror_bytes_max: u64,
    /// A serving process that holds more memory is ended by its supervisor, which starts another.
    pub memory_bytes_max: u64,
    /// A serving process that shows no life for so long is ended by its supervisor, which starts another.
    pub silence_max: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 10_000,
            workers_max: 1_000,
            head_bytes_max: 16 << 10,
            form_bytes_max: 1 << 20,
            put_bytes_max: 128 << 20,
            trace_patch_bytes_max: 32 << 20,
            trace_bytes_max: 100 << 20,
            artifacts_bytes_max: 1 << 30,
            metadata_bytes_max: 64 << 20,
            transfers_max: 256,
            bodies_bytes_max: 512 << 20,
            strangers_bytes_max: 32 << 20,
            handshake_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(20),
            idle_time_max: Duration::from_secs(75),
            hold_time_max: Duration::from_secs(30),
            stall_time_max: Duration::from_secs(30),
            transfer_grace: Duration::from_secs(30),
            transfer_bytes_per_second_min: 1024,
            drain_time_max: Duration::from_secs(30),
            silence_max: Duration::from_secs(30),
            runner_timeout: Duration::from_secs(3600),
            timeout_grace: Duration::from_secs(600),
            keep_builds: None,
            keep_artifacts: None,
            disk_reserve_bytes: 64 << 20,
            git_children_max: 16,
            git_children_per_build_max: 4,
            git_wait_max: Duration::from_secs(60),
            git_time_max: Duration::from_secs(1800),
            git_request_bytes_max: 4 << 20,
            git_response_bytes_max: 8 << 30,
            starts_max: 8,
            starts_per_project_max: 4,
            fetch_time_max: Duration::from_secs(60),
            mirror_bytes_max: 2 << 30,
            memory_bytes_max: 1 << 30,
        }
    }
}

impl Limits {
    /// Most requests of readers that are held at a time, beside those of runners.
    #[must_use]
    pub fn readers_max(&self) -> usize {
        (self.connections_max / 8).min(256)
    }

    /// How stale the stored time of a runner's or build's last call may be: reports are many, writes are dear.
    #[must_use]
    pub fn seen_step(&self) -> Duration {
        (self.runner_timeout / 10).min(Duration::from_secs(60))
    }
}

// Requests and connections: what any stranger may send.

/// Headers of a request.
pub const REQUEST_HEADERS_MAX: usize = 64;
/// Bytes of a body that is awaited in the kernel's buffer, so that a slow one costs no thread.
pub const BODY_AWAITED_BYTES_MAX: usize = 32 << 10;
/// Bytes of a line that begins a chunk, and of a line of the trailers, its end included.
pub const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;
/// Bytes of all trailers of a body.
pub const TRAILERS_BYTES_MAX: usize = 8 << 10;
/// Bytes that are held of one who has shown no token: of all parameters together, or of one body.
pub const STRANGER_BYTES_MAX: u64 = 64 << 10;
/// Parameters of a query string or body, known or not, nested ones counted too.
pub const PARAMETERS_MAX: usize = 4096;
/// Bytes of memory that a declared length is worth before the body is there.
pub const BODY_BYTES_EXPECTED_MAX: u64 = 64 << 10;
/// Objects and lists within each other: each level takes some of the stack.
pub const JSON_DEPTH_MAX: usize = 64;
/// Objects of a list of objects.
pub const JSON_OBJECTS_MAX: usize = 1000;
/// Bytes after the last part of a multipart body that are read and dropped. Clients send two.
pub const EPILOGUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of memory for requests that came in part behind others, of all connections together.
pub const PIPELINED_BYTES_MAX: u64 = 8 << 20;
/// A client that does not fetch its refusal is let go after this.
pub const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes that such a client may go on sending: an answer must not be lost to a reset while the client is in the middle of a
/// usual body, but nobody is owed a gigabyte.
pub const CLOSING_BYTES_MAX: usize = 64 << 20;
/// At the limit of connections, one that carried a request may wait for the next one at least this long.
pub const IDLE_TIME_GRANTED: Duration = Duration::from_secs(2);
/// Refusals of one status that the server's log lists in a second.
pub const REFUSALS_LISTED_PER_SECOND_MAX: u64 = 20;
/// Bytes that a client may send before it has shaken hands; usual ones send two thousand.
pub const HANDSHAKE_BYTES_MAX: usize = 16 << 10;
/// Clients with TLS beyond the HTTP server's limit: only one that waits for it makes it let go of another.
pub const TLS_WAITING_MAX: usize = 64;
/// A client with TLS that was told that nothing more comes has this time to go; a little more than the HTTP server gives it.
pub const TLS_CLOSING_TIME_MAX: Duration = Duration::from_secs(3);
/// Clients that are told at a time that the server stops; further ones wait in the backlog.
pub const DRAIN_CLIENTS_MAX: usize = 32;
/// For such a client's request, for taking its answer, and for going.
pub const DRAIN_STEP_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes that are taken of what such a client sends behind its request's head, so that the answer is not lost to a reset.
pub const DRAIN_REST_BYTES_MAX: u64 = 1 << 20;
/// Wrong keys for the page, of all strangers together, after which none is looked at for a while.
pub const WRONG_KEYS_MAX: u32 = 10;
/// That while, and the time in which they are counted.
pub const WRONG_KEYS_TIME: Duration = Duration::from_secs(60);
/// Bytes of the form that signs somebody in.
pub const SIGN_IN_BYTES_MAX: u64 = 16 << 10;

// Work for those with a token, and for who reads.

/// Builds' gits that may wait for each seat among the processes of git.
pub const GIT_WAITING_PER_SEAT: usize = 16;
/// Logs and artifacts that the page sends at a time: each keeps a thread.
pub const PAGE_TRANSFERS_MAX: u64 = 64;
/// Bytes that a report unpacks to.
pub const REPORT_BYTES_MAX: u64 = 256 << 20;
/// JUnit reports of one pipeline that are read for one request.
pub const JUNIT_REPORTS_MAX: usize = 20;
/// Pipelines of which it is looked up how they stand, for who asks for some of them by that.
pub const STANDINGS_LOOKED_MAX: usize = 1000;
/// The same where a browser asks, a page at a time: each costs a look at its builds.
pub const PAGE_STANDINGS_LOOKED_MAX: usize = 2000;
/// Newest builds in which a page looks for the jobs of a runner.
pub const RUNNER_JOBS_LOOKED_MAX: usize = 2000;
/// Builds that are looked at for one page of those in a state.
pub const PAGE_BUILDS_LOOKED_MAX: usize = 20_000;
/// Entries that a page by number skips: beyond, whoever asks by the last entry of the page before costs less.
pub const ENTRIES_SKIPPED_MAX: u64 = 50_000;
/// Builds that a list with a filter looks at, beside those that have not ended.
pub const BUILDS_LOOKED_MAX: usize = 10_000;
/// Pipelines that a list with a filter looks at, where the filter is of what their rows say.
pub const PIPELINES_LOOKED_MAX: usize = 10_000;
/// Pipelines with a filter are counted up to this: one more than people are told.
pub const PIPELINES_COUNTED_MAX: u64 = 10_001;
/// Pipelines of a branch in which an earlier job is looked for.
pub const EARLIER_PIPELINES_MAX: i64 = 8;
/// Builds of all of them that are looked at: one pipeline of a thousand jobs must not make a page slow.
pub const EARLIER_BUILDS_MAX: i64 = 4000;
/// Connections to the database that read at a time: each has a page cache of up to 2 MB. Further threads wait.
pub const READERS_MAX: usize = 16;

// What is remembered of others, in memory or as rows.

/// Runners of which it is remembered that there was nothing for them; then all are forgotten, which costs each one search.
pub const ASKERS_MAX: usize = 16_384;
/// Sets of tags and features for which it is remembered what they match; a runner with a set of its own costs one.
pub const PROFILES_MAX: usize = 4096;
/// Builds whose maskers are kept in memory.
pub const MASKERS_MAX: usize = 4096;
/// Bytes of secrets in all of them. A masker takes nine times as many, and some hundred for each secret.
pub const MASKER_SECRETS_BYTES_MAX: usize = 2 << 20;
/// Managers of one runner; then the one goes that has been silent for longest.
pub const MANAGERS_MAX: usize = 1000;
/// Deeds of people that are kept of a build; the newest.
pub const ACTS_KEPT_MAX: u32 = 32;
/// How stale the stored last use of a token or session may be: uses are many, writes are dear.
pub const USE_STEP: Duration = Duration::from_secs(60);
/// Access tokens, those that open nothing any more among them.
pub const ACCESS_TOKENS_MAX: usize = 10_000;
/// Trigger tokens of a project.
pub const TRIGGERS_MAX: usize = 1000;
/// Newest builds of a project among which a trigger's token is looked for that was a build's.
pub const TRIGGER_BUILDS_LOOKED_MAX: usize = 1000;
/// Links to the page that were not used yet.
pub const LOGIN_LINKS_MAX: usize = 1000;
/// Variables of a project.
pub const PROJECT_VARIABLES_MAX: usize = 1000;
/// Bytes of all values of a project together: less than a build may have.
pub const PROJECT_VALUES_BYTES_MAX: usize = 512 << 10;
/// Bytes of what is kept of why a pipeline's configuration was refused.
pub const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// Jobs of a pipeline.
pub const PIPELINE_JOBS_MAX: usize = 2000;
/// Kinds of artifacts that one build may upload; GitLab has about thirty.
pub const UPLOAD_KINDS_MAX: usize = 64;

// Repositories of others.

/// Packs of a mirror, which is begun anew with so many.
pub const MIRROR_PACKS_MAX: usize = 64;
/// Bytes of a list of a few refs.
pub const REFS_LIST_BYTES_MAX: usize = 1 << 20;
/// Bytes of the list of a commit's files.
pub const FILES_LIST_BYTES_MAX: usize = 32 << 20;
/// For one look into a mirror.
pub const MIRROR_LOOK_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of the list of what a build's git is offered.
pub const OFFER_BYTES_MAX: usize = 16 << 20;
/// For making that list.
pub const OFFER_TIME_MAX: Duration = Duration::from_secs(30);
