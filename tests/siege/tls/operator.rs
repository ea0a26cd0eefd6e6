//! The program with TLS, as operators see it.

use super::client::*;
use crate::harness::hold::wait_until;
use crate::harness::victim::Victim;
use crate::harness::*;
use baton::limits::Limits;
use baton::process::drain::Farewells;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

fn options(pair: &Pair) -> [&str; 4] {
    ["--tls-cert", pair.files.certificate.to_str().unwrap(), "--tls-key", pair.files.key.to_str().unwrap()]
}

fn hang_up(victim: &Victim) {
    kill(Pid::from_raw(victim.supervisor()), Signal::SIGHUP).unwrap();
}

#[test]
fn a_hang_up_brings_a_new_certificate_and_a_bad_one_leaves_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pair::new(dir.path());
    let victim = Victim::with(&options(&first), &[], "");
    let before = victim.vitals();
    let old = Trust::in_pair(&first);
    // A connection from before lives on.
    let mut kept = old.connect(victim.address);
    let mut health = || {
        let request = Request::get("/-/health");
        kept.send_raw(&request.bytes());
        kept.read("GET").expect(200);
    };
    health();

    let second = Pair::new(dir.path());
    let new = Trust::in_pair(&second);
    assert!(new.shakes_hands(victim.address).is_err());
    hang_up(&victim);
    wait_until("the new certificate is shown", || new.shakes_hands(victim.address).is_ok());
    assert!(old.shakes_hands(victim.address).is_err());
    health();

    let key = fs::read_to_string(&second.files.key).unwrap();
    let other_dir = tempfile::tempdir().unwrap();
    let other = Pair::new(other_dir.path());
    let broken: [(&str, String); 3] = [
        ("no private key", "nonsense".to_owned()),
        ("cannot be used together", fs::read_to_string(&other.files.key).unwrap()),
        ("no private key", key[..key.len() / 2].to_owned()),
    ];
    for (number, (why, key)) in broken.iter().enumerate() {
        fs::write(&second.files.key, key).unwrap();
        hang_up(&victim);
        wait_until("it is logged", || victim.log().matches("the certificate in use stays").count() == number + 1);
        assert!(victim.log().contains(why), "{why}");
        new.shakes_hands(victim.address).unwrap();
    }
    fs::remove_file(&second.files.certificate).unwrap();
    hang_up(&victim);
    wait_until("it is logged", || victim.log().matches("the certificate in use stays").count() == 4);
    new.send(victim.address, &Request::get("/-/health")).expect(200);
    assert_eq!(victim.vitals().pid, before.pid);
    assert!(!victim.log().contains(key.lines().nth(1).unwrap()));
}

#[test]
fn a_hang_up_without_a_certificate_does_nothing() {
    let mut victim = Victim::start();
    let before = victim.vitals();
    hang_up(&victim);
    wait_until("it is logged", || victim.log().contains("SIGHUP: nothing to do"));
    http::send(victim.address, &Request::get("/-/health")).expect(200);
    assert_eq!(victim.vitals().pid, before.pid);
    // Nor is it a first signal to stop, after which a second would be rude.
    assert!(victim.terminate().success());
}

#[test]
fn a_server_goes_with_the_terminal_that_it_was_started_from() {
    let dir = tempfile::tempdir().unwrap();
    // Closed in all that is started meanwhile: whoever had it open would keep the terminal alive.
    let outside = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&outside).unwrap();
    unlockpt(&outside).unwrap();
    let inside = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(ptsname_r(&outside).unwrap()).unwrap()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(dir.path().join("data"));
    let mut process = command.stdin(inside()).stdout(inside()).stderr(inside()).spawn().unwrap();
    drop(command);
    wait_until("it has a database", || dir.path().join("data/serve.lock").exists());
    drop(outside);
    kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGHUP).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while process.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            process.kill().unwrap();
            panic!("it lives on without its terminal");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_certificate_that_will_not_do_is_refused_at_the_start_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path());
    let other_dir = tempfile::tempdir().unwrap();
    let other = Pair::new(other_dir.path());
    let (certificate, key) = (pair.files.certificate.to_str().unwrap(), pair.files.key.to_str().unwrap());
    let others = other.files.key.to_str().unwrap();
    for (options, status, part) in [
        (&["--tls-cert", certificate][..], 2, "--tls-key"),
        (&["--tls-key", key], 2, "--tls-cert"),
        (&["--tls-cert", certificate, "--tls-key", others], 1, "cannot be used together"),
        (&["--tls-cert", key, "--tls-key", key], 1, "no certificate in PEM"),
        (&["--tls-cert", certificate, "--tls-key", certificate], 1, "no private key in PEM"),
        (&["--tls-cert", "absent", "--tls-key", key], 1, "absent: it cannot be read: No such file"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("--data").arg(dir.path().join("data")).args(["serve", "--listen", "127.0.0.1:0"]).args(options);
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{line}");
        assert!(line.contains(part) && line.matches('\n').count() == 1 && output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn ping_asks_a_server_with_tls_whatever_its_certificate_names() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path());
    let victim = Victim::with(&options(&pair), &[], "");
    let port = victim.address.port();
    let ping = |listen: &str, certificate: &str, url: Option<String>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("ping").env("BATON_LISTEN", listen).env("BATON_TLS_CERT", certificate);
        command.args(url.iter().flat_map(|url| ["--url", url]));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let everywhere = format!("0.0.0.0:{port}");
    for (certificate, url) in [
        ("anything", None),
        ("", Some(format!("https://127.0.0.1:{port}"))),
        ("", Some(format!("https://localhost:{port}/"))),
    ] {
        let (status, said) = ping(&everywhere, certificate, url);
        assert!(status == Some(0) && said.starts_with("https://") && said.ends_with(" is ready\n"), "{said}");
    }
    let (status, said) = ping(&everywhere, "", None);
    assert!(status == Some(1) && said.starts_with("baton: http://"), "{said}");
}

#[test]
fn who_comes_while_the_server_stops_is_answered_over_tls_too() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let farewells = Farewells { certificate: Some(pair.files.load().unwrap()), answer: baton::api::health::farewell };
    farewells.begin(listener, &Limits::default()).unwrap();
    // Those who say nothing keep nobody from it for long.
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    let trust = Trust::in_pair(&pair);
    let ready = trust.send(address, &Request::get("/-/readiness")).expect(503).json();
    assert_eq!(ready["status"], "draining");
    trust.send(address, &Request::get("/-/health")).expect(200);
    trust.send(address, &ask("token")).expect_error(503);
    drop(silent);
}

#[test]
fn the_log_names_the_client_and_not_the_relay() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::new(dir.path());
    let victim = Victim::with(&options(&pair), &[], "");
    let stream = Trust::in_pair(&pair).open(victim.address);
    let own = stream.sock.local_addr().unwrap();
    let mut client = Connection::over(stream, victim.address);
    client.send_raw(&ask("token").bytes());
    client.read("POST").expect(403);
    wait_until("it is logged", || victim.log().contains("POST   403"));
    assert!(victim.log().contains(&format!("remote={own}\n")), "{own}: {}", victim.log());
}
