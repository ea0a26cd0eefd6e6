//! Behind the proxies of `docs/proxy/`, with just the settings that are written there: only addresses, names and
//! certificates are others. A proxy that is not on this machine is not tried, and that is said aloud.

use crate::harness::hold::{HOUR, poll, value_of, wait_until};
use crate::harness::*;
use crate::tls::client::{Pair, Trust};
use crate::tls::noise;
use baton::domain::build::Status;
use baton::limits::Limits;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A proxy that does not answer within this fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is read and written, with TLS or without.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A server behind a proxy.
struct Proxied {
    process: Child,
    baton: Baton,
    socket: PathBuf,
    /// `None`: it speaks plain HTTP.
    trust: Option<Trust>,
    dir: TempDir,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
        }
    }
}

/// The text of a file of `docs/proxy/`, with the words in it that depend on the place changed, each of them once.
fn with(file: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxy").join(file);
    let text = fs::read_to_string(path).unwrap();
    let settings: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    changes.iter().fold(settings.join("\n"), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
        text.replace(from, to)
    })
}

fn is_missing(program: &str, version: &str) -> bool {
    let missing = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err();
    if missing {
        skipped(&format!("there is no {program} on this machine"));
    }
    missing
}

fn baton() -> Baton {
    let baton = Baton::with_limits(Limits { artifacts_bytes_max: 10 << 20, hold_time_max: HOUR, ..Limits::default() });
    baton.project("demo");
    baton
}

impl Proxied {
    fn by_nginx() -> Option<Proxied> {
        if is_missing("nginx", "-v") {
            return None;
        }
        let (baton, dir) = (baton(), tempfile::tempdir().unwrap());
        let (pair, socket) = (Pair::new(dir.path()), dir.path().join("socket"));
        let server = with(
            "nginx.conf",
            &[
                ("listen 443 ssl", &format!("listen unix:{} ssl", socket.display())),
                ("listen [::]:443 ssl;", ""),
                ("/etc/ssl/certs/ci.example.pem", pair.files.certificate.to_str().unwrap()),
                ("/etc/ssl/private/ci.example.key", pair.files.key.to_str().unwrap()),
                ("127.0.0.1:8080", &baton.address().to_string()),
            ],
        );
        let place = dir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|what| format!("{what}_temp_path {place}/{what};\n"))
            .collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{server}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-e").arg(dir.path().join("log")).arg("-c").arg(file);
        Some(Proxied::start(command, baton, socket, Some(Trust::in_pair(&pair)), dir))
    }

    /// Without TLS: its own certificates would come from outside.
    fn by_caddy() -> Option<Proxied> {
        if is_missing("caddy", "version") {
            return None;
        }
        let (baton, dir) = (baton(), tempfile::tempdir().unwrap());
        let socket = dir.path().join("socket");
        let site = with(
            "Caddyfile",
            &[
                ("ci.example {", &format!("http://baton.test {{\n\tbind unix/{}", socket.display())),
                ("127.0.0.1:8080", &baton.address().to_string()),
            ],
        );
        let file = dir.path().join("Caddyfile");
        fs::write(&file, format!("{{\n\tadmin off\n}}\n{site}\n")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, dir.path());
        }
        Some(Proxied::start(command, baton, socket, None, dir))
    }

    fn start(mut command: Command, baton: Baton, socket: PathBuf, trust: Option<Trust>, dir: TempDir) -> Proxied {
        let log = fs::OpenOptions::new().create(true).append(true).open(dir.path().join("log")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the proxy starts");
        let mut proxied = Proxied { process, baton, socket, trust, dir };
        wait_until("the proxy listens", || {
            assert!(proxied.process.try_wait().unwrap().is_none(), "the proxy has ended");
            UnixStream::connect(&proxied.socket).is_ok()
        });
        proxied
    }

    fn connect(&self) -> Connection<Box<dyn Stream>> {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let stream: Box<dyn Stream> = match &self.trust {
            Some(trust) => Box::new(trust.over(stream)),
            None => Box::new(stream),
        };
        Connection::over(stream, self.baton.address())
    }

    fn send(&self, request: &Request) -> Response {
        let mut connection = self.connect();
        connection.send_raw(&request.clone().header("Connection", "close").bytes());
        connection.read(request.method())
    }

    fn running(&self) -> Claimed {
        self.baton.build();
        claimed(&self.send(&ask(&self.baton.runner().token)).expect(201))
    }
}

/// All that runners do.
fn check(proxied: &Proxied) {
    builds_live_their_lives(proxied);
    uploads_go_on_as_they_come(proxied);
    refusals_reach_the_runner(proxied);
    held_runners_get_their_builds(proxied);
}

fn builds_live_their_lives(proxied: &Proxied) {
    let archive = noise(5 << 20);
    for chunked in [false, true] {
        let build = proxied.running();
        proxied.send(&patch(&build, 0, b"hello ")).expect(202);
        proxied.send(&patch(&build, 6, b"world\n")).expect(202);
        let request = upload(&build, "a.zip", &archive);
        let request = if chunked { request.chunked(100_000) } else { request };
        proxied.send(&request).expect(201);
        assert!(proxied.send(&download(&build)).expect(200).body == archive);
        let body = json!({"token": build.token, "state": "success"});
        proxied.send(&Request::put(&format!("builds/{}", build.id)).json(&body)).expect(200);
        assert_eq!(proxied.baton.trace_text(build.id), "hello world\n");
        assert_eq!(proxied.baton.status(build.id), Status::Success);
    }
}

fn uploads_go_on_as_they_come(proxied: &Proxied) {
    let build = proxied.running();
    let before = proxied.baton.files().len();
    let archive = noise(5 << 20);
    let bytes = upload(&build, "a.zip", &archive).bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut connection = proxied.connect();
    connection.send_raw(first);
    wait_until("the first half has come", || proxied.baton.files().len() > before);
    connection.send_raw(second);
    connection.read("POST").expect(201);
    // A runner that goes in the middle leaves nothing.
    let build = proxied.running();
    let bytes = upload(&build, "a.zip", &archive).bytes();
    let mut connection = proxied.connect();
    connection.send_raw(&bytes[..bytes.len() / 2]);
    wait_until("the first half has come", || proxied.baton.files().len() > before + 1);
    drop(connection);
    wait_until("nothing is left of it", || proxied.baton.files().len() == before + 1);
}

fn refusals_reach_the_runner(proxied: &Proxied) {
    let build = proxied.running();
    proxied.send(&upload(&build, "a.zip", &noise(11 << 20))).expect_error(413);
    proxied.send(&patch(&build, 7, b"a hole")).expect(416);
}

fn held_runners_get_their_builds(proxied: &Proxied) {
    let runner = proxied.baton.runner();
    let hold = || {
        let value = value_of(&proxied.send(&ask(&runner.token)).expect(204));
        let mut connection = proxied.connect();
        connection.send_raw(&poll(&runner.token, &value).bytes());
        wait_until("it is held", || proxied.baton.operator().count_waiting() == 1);
        connection
    };
    let mut connection = hold();
    let id = proxied.baton.build();
    let build = claimed(&connection.read("POST").expect(201));
    assert_eq!(build.id, id);
    proxied.baton.finish(&build, "success");
    let connection = hold();
    drop(connection);
    wait_until("it is let go", || proxied.baton.operator().count_waiting() == 0);
}

#[test]
fn behind_nginx_all_is_as_without() {
    Proxied::by_nginx().iter().for_each(check);
}

#[test]
fn behind_caddy_all_is_as_without() {
    Proxied::by_caddy().iter().for_each(check);
}
