//! A limit on everything, in one place. `serve` has options for those that an operator may want to change.

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
