//! What a service manager hands to a server and hears from it, in systemd's words, which others speak, too:
//! a socket that listens already (`sd_listen_fds(3)`), and the state of the service (`sd_notify(3)`).
//!
//! What must stay true: a manager that does not listen holds nobody up and stops nothing; none of its variables
//! reaches another process ([`VARIABLES`]).

use crate::error::{Error, Result};
use crate::http::server::adopt;
use crate::limits::Limits;
use crate::process::descriptors;
use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// What a manager says by its variables is for one process only.
pub const VARIABLES: [&str; 6] =
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The number of the first descriptor that a manager hands over.
const FIRST_DESCRIPTOR: RawFd = 3;

/// Looks a variable up; in tests, elsewhere than in the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The socket that the manager has made for this process, with the time limits that every connection inherits.
/// To be called before the process opens anything.
///
/// # Errors
/// If what it hands over is not one TCP socket that listens.
pub fn listener(limits: &Limits) -> Result<Option<TcpListener>> {
    match handed(&|name| std::env::var_os(name)) {
        0 => Ok(None),
        1 => {
            let descriptor = descriptors::take(FIRST_DESCRIPTOR).map_err(|error| {
                Error::invalid(format!("LISTEN_FDS promises a socket as descriptor {FIRST_DESCRIPTOR}: {error}"))
            })?;
            adopt(descriptor, limits).map(Some)
        }
        count => Err(Error::invalid(format!(
            "the service manager hands over {count} sockets, and Baton listens on one; \
             keep one ListenStream= in the socket unit"
        ))),
    }
}

/// How many descriptors are handed to this process.
fn handed(variable: Variable<'_>) -> RawFd {
    let is_ours = number(variable, "LISTEN_PID") == Some(u64::from(std::process::id()));
    let count = number(variable, "LISTEN_FDS").filter(|_| is_ours);
    count.and_then(|count| RawFd::try_from(count).ok()).unwrap_or(0)
}

fn number(variable: Variable<'_>, name: &str) -> Option<u64> {
    variable(name)?.to_str()?.parse().ok()
}

/// The service manager, if there is one that wants to hear.
pub struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Watchdog>,
}

/// A manager that ends a service of which it has not heard for too long.
struct Watchdog {
    every: Duration,
    last: Option<Instant>,
}

impl Manager {
    /// The manager that has started this process.
    #[must_use]
    pub fn from_environment() -> Manager {
        Manager::of(&|name| std::env::var_os(name))
    }

    fn of(variable: Variable<'_>) -> Manager {
        let path = variable("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let socket = path.and_then(|path| match connected(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                log::warn!("cannot reach the service manager at {}: {error}", path.to_string_lossy());
                None
            }
        });
        let is_ours = number(variable, "WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number(variable, "WATCHDOG_USEC").filter(|&micros| is_ours && micros > 0);
        let watchdog = patience.map(|micros| Watchdog { every: Duration::from_micros(micros / 3), last: None });
        Manager { socket, watchdog }
    }

    /// The service serves; `status` is a line for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// How the service is, in a line for people.
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", one_line(status)));
    }

    /// The service stops.
    pub fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// The caller is alive. To be called more often than the manager wants to hear it, which it then does.
    pub fn alive(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        if watchdog.last.is_none_or(|last| last.elapsed() >= watchdog.every) {
            watchdog.last = Some(Instant::now());
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, words: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(words.as_bytes())
        {
            log::debug!("the service manager does not hear: {error}");
        }
    }
}

/// A line of the protocol must stay one.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn connected(path: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address(path)?)?;
    Ok(socket)
}

/// A path, or, after an `@`, a name that only the kernel knows.
fn address(path: &OsStr) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = path.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, String)]) -> Manager {
        Manager::of(&|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut words = [0; 1000];
        let count = socket.recv(&mut words).unwrap();
        String::from_utf8(words[..count].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_by_a_path_and_by_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let told = manager(&[("NOTIFY_SOCKET", path.to_str().unwrap().to_owned())]);
        told.ready("serving\nREADY=0");
        assert_eq!(heard(&by_path), "READY=1\nSTATUS=serving READY=0");
        told.stopping("bye");
        assert_eq!(heard(&by_path), "STOPPING=1\nSTATUS=bye");

        #[cfg(target_os = "linux")]
        {
            let name = format!("@baton-test-{}", std::process::id());
            let by_name = UnixDatagram::bind_addr(&address(OsStr::new(&name)).unwrap()).unwrap();
            manager(&[("NOTIFY_SOCKET", name)]).status("well");
            assert_eq!(heard(&by_name), "STATUS=well");
        }
    }

    #[test]
    fn nobody_who_listens_stops_nothing() {
        for variables in [&[][..], &[("NOTIFY_SOCKET", String::new())], &[("NOTIFY_SOCKET", "/none/there".to_owned())]]
        {
            manager(variables).ready("serving");
        }
    }

    #[test]
    fn a_manager_that_is_behind_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let told = manager(&[("NOTIFY_SOCKET", path.to_str().unwrap().to_owned())]);
        for _ in 0..10_000 {
            told.status("busy");
        }
    }

    #[test]
    fn the_watchdog_hears_thrice_in_its_time_and_only_of_the_process_that_it_means() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = path.to_str().unwrap().to_owned();
        let own = std::process::id();
        for (micros, pid, times) in [("1", own, 3), ("90000000", own, 1), ("1", own + 1, 0), ("0", own, 0)] {
            let mut told = manager(&[
                ("NOTIFY_SOCKET", address.clone()),
                ("WATCHDOG_USEC", micros.to_owned()),
                ("WATCHDOG_PID", pid.to_string()),
            ]);
            (0..3).for_each(|_| told.alive());
            let words: Vec<String> = std::iter::from_fn(|| {
                let mut words = [0; 100];
                let count = socket.recv(&mut words).ok()?;
                Some(String::from_utf8_lossy(&words[..count]).into_owned())
            })
            .collect();
            assert_eq!(words, vec!["WATCHDOG=1"; times], "{micros} {pid}");
        }
    }

    #[test]
    fn descriptors_are_for_the_process_that_is_named() {
        let own = std::process::id();
        for (pid, count, handed_over) in [
            (own.to_string(), "1", 1),
            (own.to_string(), "2", 2),
            ((own + 1).to_string(), "1", 0),
            (String::new(), "1", 0),
        ] {
            let variable = |name: &str| match name {
                "LISTEN_PID" => Some(OsString::from(&pid)),
                "LISTEN_FDS" => Some(OsString::from(count)),
                _ => None,
            };
            assert_eq!(handed(&variable), handed_over, "{pid} {count}");
        }
    }
}
