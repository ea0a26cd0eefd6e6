//! 300 MB there and back, with flat memory: the server is a process of its own, whose memory the kernel tells.

use crate::harness::http::{BOUNDARY, part_head, parts_end};
use crate::harness::served::child_of;
use crate::harness::*;
use baton::coordinator::Coordinator;
use baton::domain::time::Timestamp;
use baton::limits::Limits;
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const BYTES: usize = 300_000_000;
const PIECE_BYTES: usize = 1 << 20;
/// What the server's memory may grow by, whatever passes through it.
const GROWTH_KIB_MAX: u64 = 16 << 10;

/// `baton serve`, ended with the test.
struct Served {
    process: Child,
    address: SocketAddr,
}

impl Served {
    fn start(data: &Path) -> Served {
        let mut process = Command::new(env!("CARGO_BIN_EXE_baton"))
            .arg("--data")
            .arg(data)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("baton listening on http://").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("the first line is {line:?}")).parse().unwrap();
        Served { process, address }
    }

    /// The most memory that the serving process has had, and what it has now, in KiB.
    fn memory_kib(&self) -> (u64, u64) {
        let serving = child_of(Pid::from_raw(self.process.id().cast_signed())).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{serving}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmHWM:"), field("VmRSS:"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `index`th piece of the file: noise that differs from piece to piece.
fn stamp(piece: &mut [u8], index: usize) {
    piece[..8].copy_from_slice(&(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
}

fn pieces() -> impl Iterator<Item = (usize, usize)> {
    (0..BYTES.div_ceil(PIECE_BYTES)).map(|index| (index, PIECE_BYTES.min(BYTES - index * PIECE_BYTES)))
}

fn upload_head(build: &Claimed, length: Option<usize>) -> String {
    let length = match length {
        Some(bytes) => format!("Content-Length: {bytes}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    format!(
        "POST /ci/api/v1/builds/{}/artifacts? HTTP/1.1\r\nHost: baton.test\r\nBuild-Token: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n{length}\r\n\r\n",
        build.id, build.token
    )
}

fn send_file(connection: &mut Connection, build: &Claimed, noise: &mut [u8], chunked: bool) -> Response {
    let (start, end) = (part_head(&Part::file("big.zip", b"")), parts_end());
    let send = |connection: &mut Connection, bytes: &[u8]| {
        if chunked {
            connection.send_raw(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        connection.send_raw(bytes);
        if chunked {
            connection.send_raw(b"\r\n");
        }
    };
    let length = (!chunked).then_some(start.len() + BYTES + end.len());
    connection.send_raw(upload_head(build, length).as_bytes());
    send(connection, start.as_bytes());
    for (index, size) in pieces() {
        stamp(noise, index);
        send(connection, &noise[..size]);
    }
    send(connection, end.as_bytes());
    if chunked {
        connection.send_raw(b"0\r\n\r\n");
    }
    connection.read("POST")
}

fn expect_file(connection: &mut Connection, build: &Claimed, noise: &mut [u8]) {
    connection.send_raw(&download(build).bytes());
    let head = connection.read_head().expect(200);
    assert_eq!(head.header("Content-Length"), Some(BYTES.to_string().as_str()));
    let mut piece = vec![0; PIECE_BYTES];
    for (index, size) in pieces() {
        stamp(noise, index);
        connection.reader().read_exact(&mut piece[..size]).unwrap();
        assert!(piece[..size] == noise[..size], "piece {index} is not what was sent");
    }
}

#[test]
fn three_hundred_megabytes_pass_in_flat_memory() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    // The command line works on the same file beside the server; so does the library.
    let operator = Coordinator::open(dir.path(), Limits::default()).unwrap();
    add_project(&operator, "demo");
    queue(&operator, new_build("demo"));
    let runner = operator.add_runner(new_runner(), None, Timestamp::now()).unwrap();
    let mut connection = Connection::open(served.address);
    let build = claimed(&connection.send(&ask(runner.token.reveal())).expect(201));
    connection.send(&upload(&build, "small.zip", &[0; 100_000])).expect(201);
    connection.send(&download(&build)).expect(200);

    let (before, _) = served.memory_kib();
    let mut random = random::Random::new();
    let mut noise = random.bytes(PIECE_BYTES);
    for chunked in [true, false] {
        // A connection ends with a chunked body.
        let mut connection = Connection::open(served.address);
        let json = send_file(&mut connection, &build, &mut noise, chunked).expect(201).json();
        assert_eq!(json["artifacts_file"]["size"], BYTES);
        expect_file(&mut Connection::open(served.address), &build, &mut noise);
        let (most, now) = served.memory_kib();
        assert!(most < before + GROWTH_KIB_MAX, "memory went from {before} to {most} KiB, now {now}");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("artifacts")).unwrap().count(), 1);
}
