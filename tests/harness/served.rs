//! `baton serve` in processes of its own, with its log.

use super::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// What does not come about within this does not come about.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// More than is awaited before a request is handed to a handler, so that it is under way while it is being sent.
pub const LONG_BYTES: usize = 200_000;

/// `baton serve`, with its log. Ended with the test.
pub struct Served {
    pub process: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

pub fn baton(data: &Path) -> Command {
    baton_at(Path::new(env!("CARGO_BIN_EXE_baton")), data)
}

pub fn baton_at(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG").arg("--data").arg(data);
    command
}

pub fn serve(data: &Path) -> Command {
    let mut command = baton(data);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Served {
    pub fn start(data: &Path) -> Served {
        Served::of(&mut serve(data))
    }

    pub fn of(command: &mut Command) -> Served {
        turn::beside_others();
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, copy) = (BufReader::new(process.stderr.take().unwrap()).lines(), Arc::clone(&log));
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                copy.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_suffix('\n').and_then(|line| line.strip_prefix("baton listening on http://"));
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = process.kill();
            reader.join().unwrap();
            panic!("the first line is {line:?}; {:?}", log.lock());
        };
        Served { process, address, log }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn log_has(&self, words: &str) {
        wait_for(&format!("{words:?} in the log:\n{}", self.log()), || self.log().contains(words).then_some(()));
    }

    pub fn child(&self) -> Pid {
        wait_for("a child", || child_of(self.pid()))
    }

    /// Kills the serving process, and returns when it is dead.
    pub fn kill_child(&self) {
        let child = self.child();
        kill(child, Signal::SIGKILL).unwrap();
        wait_for("the child's death", || is_dead(child).then_some(()));
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn end(&mut self) -> ExitStatus {
        wait_for("the end of the server", || self.process.try_wait().unwrap())
    }

    pub fn send(&self, request: &Request) -> Response {
        http::send(self.address, request)
    }

    pub fn restarts(&self) -> u64 {
        let metrics = self.send(&Request::get("/-/metrics")).expect(200).text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("baton_restarts_total ")).unwrap();
        line.parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// State and parent of a process, if there is one.
pub fn state(pid: Pid) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Whether nothing is left of a process but its exit status. A first thread that has ended is not enough: others may
/// still hold the files.
pub fn is_dead(pid: Pid) -> bool {
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    state(pid).is_none_or(|(state, _)| (state == "Z" || state == "X") && threads() <= 1)
}

/// The process that serves, of this supervisor.
pub fn child_of(parent: Pid) -> Option<Pid> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = all.filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)));
    pids.find(|pid| !is_dead(*pid) && state(*pid).is_some_and(|(_, of)| of == parent.as_raw()))
}

/// The operator, beside the server.
pub fn operator(data: &Path) -> Coordinator {
    Coordinator::open(data, Limits::default()).unwrap()
}

/// A build of a new project that a new runner has got from the server.
pub fn running(served: &Served, data: &Path, project: &str) -> Claimed {
    let operator = operator(data);
    add_project(&operator, project);
    queue(&operator, new_build(project));
    let runner = operator.add_runner(new_runner(), Some(project), Timestamp::now()).unwrap();
    claimed(&served.send(&ask(runner.token.reveal())).expect(201))
}

/// The answer that says that the handler reads.
pub fn expect_continue(connection: &mut Connection) {
    let mut interim = String::new();
    while !interim.ends_with("\r\n\r\n") {
        connection.reader().read_line(&mut interim).unwrap();
    }
    assert!(interim.starts_with("HTTP/1.1 100 Continue\r\n"), "{interim}");
}

/// A long patch of which the handler has the head, and half of the body is still to come.
pub fn begin_long_patch(served: &Served, build: &Claimed) -> (Connection, Vec<u8>) {
    let request = patch(build, 0, &[b'x'; LONG_BYTES]).header("Expect", "100-continue").bytes();
    let (begin, rest) = request.split_at(request.len() - LONG_BYTES / 2);
    let mut connection = Connection::open(served.address);
    connection.send_raw(begin);
    expect_continue(&mut connection);
    (connection, rest.to_vec())
}

/// Sends a request as a runner does that tries again when it gets no answer: status and head, or nothing.
pub fn try_send(address: SocketAddr, request: Request) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&request.header("Connection", "close").bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let head = answer.split_once("\r\n\r\n")?.0.to_owned();
    Some((head.get(9..12)?.parse().ok()?, head))
}

/// What a program that fails at its start has to say.
pub fn refusal(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("baton: ")).collect();
    assert_eq!(lines.len(), 1, "{error}");
    lines[0].to_owned()
}
