//! Large files, up and down.

use super::CLIENTS;
use crate::Scale;
use crate::client::{Body, Framing, ask_once, receive_large, send_large};
use crate::data::{Data, Running, claim_each};
use crate::floors::files;
use crate::floors::nginx::Nginx;
use crate::procs::Served;
use crate::report::{Row, Samples, Target, Unit, alternate};
use crate::wire;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Delimits the parts of the uploads made here.
const BOUNDARY: &str = "27d0a9a674d4274b9814a147ec07ba3a7133ab0585280a898a7a6ae41f7e";

/// A file of bytes that nothing can compress.
pub(super) struct Archive {
    dir: TempDir,
    pub(super) path: PathBuf,
    sha256: [u8; 32],
    pub(super) bytes: u64,
}

impl Archive {
    pub(super) fn new(bytes: u64) -> Archive {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive.zip");
        let (mut file, mut hash, mut left) = (File::create(&path).unwrap(), Sha256::new(), bytes);
        let mut piece = vec![0; 1 << 20];
        while left > 0 {
            let count = left.min(piece.len() as u64) as usize;
            getrandom::fill(&mut piece[..count]).unwrap();
            hash.update(&piece[..count]);
            file.write_all(&piece[..count]).unwrap();
            left -= count as u64;
        }
        file.sync_all().unwrap();
        Archive { dir, path, sha256: hash.finalize().into(), bytes }
    }

    fn path_beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Bytes a second.
    pub(super) fn rate(&self, time: Duration) -> f64 {
        self.bytes as f64 / time.as_secs_f64()
    }
}

/// Uploads a file as runners do, in one part of a form.
pub(super) fn upload(address: SocketAddr, build: &Running, file: &Path, framing: Framing, pause: impl FnMut(u64)) {
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"artifacts.zip\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let head = |length: (&str, &str)| {
        let headers = [(build.api.token_header(), build.token.as_str()), ("Content-Type", &form), length];
        wire::head("POST", &build.api.artifacts(build.id), &headers)
    };
    let body = Body { before: before.as_bytes(), file, after: after.as_bytes() };
    send_large(address, framing, head, &body, pause).expect(201);
}

pub(super) fn artifacts_request(method: &str, build: &Running) -> Vec<u8> {
    let headers = [(build.api.token_header(), build.token.as_str()), ("Connection", "close")];
    wire::head(method, &build.api.artifacts(build.id), &headers)
}

/// A server with so many running builds.
pub(super) fn server_with_builds(count: usize) -> (Data, Served, Vec<Running>) {
    let data = Data::new();
    data.queue(count);
    let runners = data.runners(count);
    let server = Served::baton(data.path(), &["--max-artifact-size", "2G"]);
    let builds = claim_each(server.address, &runners);
    (data, server, builds)
}

/// Puts a file with nginx and makes it durable.
fn put(nginx: &Nginx, archive: &Archive) {
    let body = Body { before: &[], file: &archive.path, after: &[] };
    let head = |length: (&str, &str)| wire::head("PUT", "/archive.zip", &[length]);
    send_large(nginx.address, Framing::Length, head, &body, |_| {}).expect(201);
    files::sync(&nginx.file("archive.zip"));
}

/// Uploads; the floor is the slower of a copy and nginx's `PUT`, both made durable. What a round has written is
/// removed before the next.
pub fn upload_large(scale: &Scale) -> Vec<Row> {
    let archive = Archive::new(scale.artifact_bytes);
    let (_data, server, builds) = server_with_builds(1);
    let build = &builds[0];
    let nginx = Nginx::start();
    let timed = |work: &dyn Fn(), clear: &dyn Fn()| {
        files::settle();
        let started = Instant::now();
        work();
        let rate = archive.rate(started.elapsed());
        clear();
        rate
    };
    let baton = |framing| {
        let clear = || drop(ask_once(server.address, &artifacts_request("DELETE", build)).expect(200));
        timed(&|| upload(server.address, build, &archive.path, framing, |_| {}), &clear)
    };
    let copied = archive.path_beside("copy");
    let [chunked, with_length, copy, put] = alternate(
        scale.rounds,
        [
            &mut || baton(Framing::Chunked),
            &mut || baton(Framing::Length),
            &mut || timed(&|| files::copy(&archive.path, &copied), &|| std::fs::remove_file(&copied).unwrap()),
            &mut || match &nginx {
                Ok(nginx) => {
                    timed(&|| put(nginx, &archive), &|| std::fs::remove_file(nginx.file("archive.zip")).unwrap())
                }
                Err(_) => f64::INFINITY,
            },
        ],
    );
    upload(server.address, build, &archive.path, Framing::Chunked, |_| {});
    check_download(&server, build, &archive);
    let size = Unit::Bytes.show(archive.bytes as f64);
    let slower = if copy.median() < put.median() { &copy } else { &put };
    let row = |how, samples: &Samples| {
        let work = format!("artifact upload of {size}, {how}");
        Row::compared(&work, Unit::Throughput, samples, slower, Target::AtLeast(1.0))
    };
    let told = match nginx {
        Ok(_) => format!("nginx's PUT with fsync {}", Unit::Throughput.show(put.median())),
        Err(why) => format!("nginx's PUT is skipped: {why}"),
    };
    let told =
        format!("the floor is the slower of: a copy with fsync {}; {told}", Unit::Throughput.show(copy.median()));
    vec![row("with a length", &with_length).note(told), row("chunked", &chunked)]
}

/// What comes down is what went up.
pub(super) fn check_download(server: &Served, build: &Running, archive: &Archive) {
    let mut hash = Sha256::new();
    let received = receive_large(server.address, &artifacts_request("GET", build), |piece| hash.update(piece));
    assert_eq!(received, archive.bytes);
    assert_eq!(<[u8; 32]>::from(hash.finalize()), archive.sha256, "the artifacts have other bytes");
}

/// Downloads; the floor is nginx, serving the same file.
pub fn download_large(scale: &Scale) -> Vec<Row> {
    let size = Unit::Bytes.show(scale.artifact_bytes as f64);
    let work = format!("artifact download of {size}");
    let nginx = match Nginx::start() {
        Ok(nginx) => nginx,
        Err(why) => return vec![Row::skipped(&work, why)],
    };
    let archive = Archive::new(scale.artifact_bytes);
    let (_data, server, builds) = server_with_builds(1);
    let build = &builds[0];
    upload(server.address, build, &archive.path, Framing::Length, |_| {});
    check_download(&server, build, &archive);
    put(&nginx, &archive);
    let timed = |address, request: &[u8]| {
        let started = Instant::now();
        assert_eq!(receive_large(address, request, |_| {}), archive.bytes);
        archive.rate(started.elapsed())
    };
    let (own, other) = (artifacts_request("GET", build), wire::head("GET", "/archive.zip", &[]));
    let [baton, floor] =
        alternate(scale.rounds, [&mut || timed(server.address, &own), &mut || timed(nginx.address, &other)]);
    vec![Row::compared(&work, Unit::Throughput, &baton, &floor, Target::AtLeast(1.0))]
}

/// Waits until `is_true`, in vain for at most two minutes.
fn wait_until(complaint: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_true() {
        assert!(Instant::now() < deadline, "{complaint}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes after which an upload waits for the others. Not much more: the server ends uploads that stand still for
/// half a minute, and a slow disk may be the reason why the others have not come so far.
const STEP_BYTES: u64 = 4 << 20;

/// Memory while 64 uploads are under way, which keep step, so that they all are until the end.
pub fn uploads_memory(scale: &Scale) -> Vec<Row> {
    let archive = Archive::new(scale.small_artifact_bytes);
    let (_data, server, builds) = server_with_builds(CLIENTS);
    let steps_of_all = AtomicUsize::new(0);
    let upload_one = |build| {
        let mut steps = 0;
        upload(server.address, build, &archive.path, Framing::Chunked, |sent| {
            if sent.is_multiple_of(STEP_BYTES) {
                steps += 1;
                steps_of_all.fetch_add(1, Ordering::AcqRel);
                wait_until("an upload does not get as far as the others", || {
                    steps_of_all.load(Ordering::Acquire) >= steps * CLIENTS
                });
            }
        });
    };
    let highest = thread::scope(|scope| {
        let uploads: Vec<_> = builds.iter().map(|build| scope.spawn(|| upload_one(build))).collect();
        let mut highest: f64 = 0.0;
        while uploads.iter().any(|upload| !upload.is_finished()) {
            highest = highest.max(server.memory());
            thread::sleep(Duration::from_millis(20));
        }
        highest
    });
    let each = Unit::Bytes.show(archive.bytes as f64);
    let work = format!("resident memory, 64 uploads of {each} at once");
    vec![Row::alone(&work, Unit::Bytes, highest, Target::Below(64e6))]
}
