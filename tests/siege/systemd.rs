//! Under a service manager: it holds the socket while the server is restarted, and it is told how the server is.

use crate::harness::served::{PATIENCE, Served, refusal, serve, wait_for};
use crate::harness::*;
use nix::sys::signal::Signal;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// `baton serve` with a socket as descriptor 3, as a service manager starts it.
fn activated(socket: impl Into<OwnedFd>, data: &Path) -> Command {
    activated_with("exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=baton.socket", socket, data)
}

/// The same, with what a shell does before it becomes the program.
fn activated_with(begin: &str, socket: impl Into<OwnedFd>, data: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{begin}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_baton"), "--data"]);
    command.arg(data).args(["serve", "--listen", "127.0.0.1:0"]).env_remove("RUST_LOG").stdin(socket.into());
    command
}

/// A listener with its address.
fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn cloned(listener: &TcpListener) -> TcpListener {
    listener.try_clone().unwrap()
}

#[test]
fn connections_that_came_before_the_server_are_served_on_the_managers_socket() {
    let (held, address) = listener();
    let mut early: Vec<Connection> = (0..20).map(|_| Connection::open(address)).collect();
    for connection in &mut early {
        connection.send_raw(&Request::get("/-/health").bytes());
    }
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(&mut activated(cloned(&held), dir.path()));
    assert_eq!(served.address, address);
    for connection in &mut early {
        connection.read("GET").expect(200);
    }
}

#[test]
fn a_restart_refuses_no_connection_and_loses_none_that_waits() {
    let (held, address) = listener();
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::of(&mut activated(cloned(&held), dir.path()));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut connections = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let mut stream = TcpStream::connect(address).expect("no connection is refused");
                        stream.set_read_timeout(Some(PATIENCE)).unwrap();
                        // One that was accepted, but not heard yet, may be cut by the end; runners then try again.
                        let _ = stream.write_all(&Request::get("/-/health").header("Connection", "close").bytes());
                        let _ = stream.read_to_end(&mut Vec::new());
                        connections += 1;
                    }
                    connections
                })
            })
            .collect();
        for _ in 0..3 {
            served.signal(Signal::SIGTERM);
            assert_eq!(served.end().code(), Some(0), "{}", served.log());
            // Nobody accepts now; these wait.
            let mut waiting: Vec<Connection> = (0..10).map(|_| Connection::open(address)).collect();
            for connection in &mut waiting {
                connection.send_raw(&Request::get("/-/health").bytes());
            }
            served = Served::of(&mut activated(cloned(&held), dir.path()));
            for connection in &mut waiting {
                connection.read("GET").expect(200);
            }
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
}

#[test]
fn the_managers_socket_gets_the_time_limits_and_its_variables_go_no_further() {
    let (held, _) = listener();
    let dir = tempfile::tempdir().unwrap();
    let served = Served::of(&mut activated(cloned(&held), dir.path()));
    // It is one socket, whoever looks at it.
    let socket = SockRef::from(&held);
    let stall = baton::limits::Limits::default().stall_time_max;
    assert_eq!((socket.read_timeout().unwrap(), socket.write_timeout().unwrap()), (Some(stall), Some(stall)));
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
    let variables = std::fs::read(format!("/proc/{}/environ", served.child())).unwrap();
    let variables = String::from_utf8_lossy(&variables);
    assert!(!variables.contains("LISTEN_") && variables.contains("PATH="), "{variables}");
}

#[test]
fn another_kind_of_socket_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (held, address) = listener();
    let sockets: [(OwnedFd, &str); 4] = [
        (UnixListener::bind(dir.path().join("local")).unwrap().into(), "a local one"),
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "for datagrams"),
        (TcpStream::connect(address).unwrap().into(), "does not listen"),
        (std::fs::File::open("/dev/null").unwrap().into(), "no socket at all"),
    ];
    let data = dir.path().join("data");
    for (socket, words) in sockets {
        let why = refusal(&activated(socket, &data).output().unwrap());
        assert!(why.contains(words) && why.contains("ListenStream="), "{why}");
    }
    for (begin, words) in [
        ("exec 3<&0 4<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=2", "hands over 2 sockets"),
        ("exec 3<&- </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1", "promises a socket as descriptor 3"),
    ] {
        let why = refusal(&activated_with(begin, cloned(&held), &data).output().unwrap());
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_socket_for_another_process_is_not_taken() {
    let (held, address) = listener();
    let dir = tempfile::tempdir().unwrap();
    let begin = "exec 3<&0 </dev/null; export LISTEN_PID=1 LISTEN_FDS=1";
    let served = Served::of(&mut activated_with(begin, held, dir.path()));
    assert_ne!(served.address, address);
}

/// A service manager's ear.
pub struct Ear(UnixDatagram);

impl Ear {
    /// The next message that has this line.
    pub fn hears(&self, line: &str) -> String {
        let mut all = Vec::new();
        wait_for(&format!("{line} of {all:?}"), || {
            let mut words = [0; 4096];
            let count = self.0.recv(&mut words).ok()?;
            let words = String::from_utf8(words[..count].to_vec()).unwrap();
            all.push(words.clone());
            words.lines().any(|own| own.starts_with(line)).then_some(words)
        })
    }

    /// Whether a message that has this line is there or comes in a moment; what comes before it is forgotten.
    pub fn has_heard(&self, line: &str) -> bool {
        let mut words = [0; 4096];
        while let Ok(count) = self.0.recv(&mut words) {
            if String::from_utf8_lossy(&words[..count]).lines().any(|own| own.starts_with(line)) {
                return true;
            }
        }
        false
    }

    /// Forgets what is there.
    pub fn forget(&self) {
        while self.has_heard("") {}
    }
}

pub fn notifying(command: &mut Command, dir: &Path) -> Ear {
    let path = dir.join("notify");
    let ear = UnixDatagram::bind(&path).unwrap();
    ear.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    command.env("NOTIFY_SOCKET", &path);
    Ear(ear)
}

#[test]
fn the_manager_hears_of_the_service_from_its_start_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(&dir.path().join("data"));
    let ear = notifying(&mut command, dir.path());
    let mut served = Served::of(&mut command);
    let ready = ear.hears("READY=1");
    assert!(ready.contains(&format!("STATUS=listening on {}", served.address)), "{ready}");

    served.kill_child();
    assert!(ear.hears("STATUS=").contains("was ended by SIGKILL; restarting"));
    assert!(ear.hears("READY=1").contains("restarts so far: 1"));
    let variables = std::fs::read(format!("/proc/{}/environ", served.child())).unwrap();
    assert!(!String::from_utf8_lossy(&variables).contains("NOTIFY_SOCKET"));

    served.signal(Signal::SIGTERM);
    ear.hears("STOPPING=1");
    assert_eq!(served.end().code(), Some(0));
}

#[test]
fn a_server_that_cannot_start_is_never_called_ready() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let mut command = serve(&dir.path().join("file"));
    let ear = notifying(&mut command, dir.path());
    refusal(&command.output().unwrap());
    ear.0.set_nonblocking(true).unwrap();
    assert_eq!(ear.0.recv(&mut [0; 100]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn the_watchdog_hears_while_nothing_happens() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(&dir.path().join("data"));
    let ear = notifying(&mut command, dir.path());
    let _served = Served::of(command.env("WATCHDOG_USEC", "900000"));
    for _ in 0..4 {
        ear.hears("WATCHDOG=1");
    }
}
