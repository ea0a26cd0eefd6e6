//! `baton ping`: is the server ready, for the health checks of containers and the like.
//!
//! What must stay true: it needs no data directory and no token, ends within [`PATIENCE`], and whatever answers, no
//! more of the answer is read than a line of JSON needs.

use super::serve::{LISTEN, address};
use super::show::print;
use super::words::settings::variable;
use super::{Done, Stop};
use crate::domain::base_url::BaseUrl;
use crate::tls::speak_unverified;
use argh::{ArgsInfo, FromArgs};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// For all of it: finding the address, connecting, asking, being answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Ask the server whether it is ready.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "ping",
    example = "{command_name}\n{command_name} --url http://ci.example:8080",
    note = "\
        For the health checks of containers: it asks for /-/readiness, which makes a durable commit and looks at the\n\
        disk, and waits 5 seconds at most. It needs no data directory. Of a server with TLS the certificate is not\n\
        verified: what is asked is whether it works, not who it is.",
    error_code(0, "It is ready."),
    error_code(1, "It is not, or does not answer; one line on standard error says what is wrong.")
)]
pub struct Ping {
    /// the server's URL; default: where `serve` listens by $BATON_LISTEN, else 127.0.0.1:8080, with TLS if there is
    /// $BATON_TLS_CERT
    #[argh(option, arg_name = "URL", from_str_fn(base_url))]
    url: Option<BaseUrl>,

    /// print the answer as JSON: status, database, disk, draining
    #[argh(switch)]
    json: bool,
}

impl Ping {
    /// Asks.
    pub fn run(self) -> Done {
        let given = |option| std::env::var(variable(option)).ok().filter(|text| !text.is_empty());
        let target = match &self.url {
            Some(url) => Target::of_url(url),
            None => Target::of_listen(given("--listen").as_deref(), given("--tls-cert").is_some())?,
        };
        let answer = target.ask(PATIENCE).map_err(|why| Stop::Failed(format!("{target} {why}")))?;
        if self.json {
            print::json(&answer.document)?;
        }
        if !answer.is_ready {
            return Err(Stop::Failed(format!("{target} is not ready: {}", answer.document)));
        }
        if self.json { Ok(()) } else { print::out(&format!("{target} is ready\n")) }
    }
}

fn base_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::parse(text)
}

/// Whom to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    is_tls: bool,
    /// Host and maybe a port, as in a URL.
    authority: String,
    port: u16,
    /// What stands before our own paths.
    path: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// What a server has answered.
struct Answer {
    is_ready: bool,
    document: Value,
}

impl Target {
    fn of_url(url: &BaseUrl) -> Target {
        let text = url.to_string();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
        let is_tls = scheme.eq_ignore_ascii_case("https");
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        let port = after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        Target { is_tls, authority: authority.to_owned(), port, path: path.to_owned() }
    }

    /// The server that listens at this address, which need not be one that can be connected to.
    fn of_listen(listen: Option<&str>, is_tls: bool) -> Done<Target> {
        let source = variable("--listen");
        let wrong = |why: &str| Stop::Usage(format!("{source}: {why}; name the server with --url"));
        let listens = match listen {
            Some(text) => address(text).map_err(|why| wrong(&why))?,
            None => LISTEN,
        };
        if listens.port() == 0 {
            return Err(wrong("port 0 says not which port the server has"));
        }
        let host = match listens.ip() {
            host if !host.is_unspecified() => host,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let authority = SocketAddr::new(host, listens.port()).to_string();
        Ok(Target { is_tls, authority, port: listens.port(), path: String::new() })
    }

    /// Asks whether it is ready. `Err` says what is wrong.
    fn ask(&self, patience: Duration) -> Result<Answer, String> {
        let (sender, answer) = channel();
        let target = self.clone();
        // Names are looked up without a time limit: whoever waits for this thread has one.
        let ask = move || drop(sender.send(target.ask_patiently(patience)));
        thread::Builder::new().spawn(ask).map_err(|error| format!("cannot be asked: {error}"))?;
        let late = || format!("has not answered within {} s", patience.as_secs_f32());
        match answer.recv_timeout(patience) {
            Ok(Ok(response)) => read_answer(&response).ok_or_else(|| "answers, but not as baton does".to_owned()),
            Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(late())
            }
            Ok(Err(error)) => Err(format!("does not answer: {error}")),
            Err(_) => Err(late()),
        }
    }

    /// The whole answer, as it came.
    fn ask_patiently(&self, patience: Duration) -> io::Result<Vec<u8>> {
        let host = self.authority.strip_suffix(&format!(":{}", self.port)).unwrap_or(&self.authority);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in (host, self.port).to_socket_addrs()? {
            result = TcpStream::connect_timeout(&address, patience).and_then(|stream| {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                if self.is_tls { self.exchange(speak_unverified(stream, host)?) } else { self.exchange(stream) }
            });
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn exchange(&self, mut stream: impl Read + Write) -> io::Result<Vec<u8>> {
        let Target { authority, path, .. } = self;
        let version = env!("CARGO_PKG_VERSION");
        let request = format!(
            "GET {path}/-/readiness HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: baton/{version}\r\n\
             Accept: application/json\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            // A server may close without TLS's word for that; whether the answer is whole shows in it.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            Ok(_) | Err(_) => Ok(answer),
        }
    }
}

/// What an answer says, if it is one of ours: a status of 200 or 503, and a JSON object with a `status`. Proxies may
/// have put it into chunks.
fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(bytes).ok()? else { return None };
    let is_ready = match head.code? {
        200 => true,
        503 => false,
        _ => return None,
    };
    let body = std::str::from_utf8(bytes.get(end..)?).ok()?;
    let object = body.get(body.find('{')?..=body.rfind('}')?)?;
    let document: Value = serde_json::from_str(object).ok()?;
    document.get("status")?.is_string().then_some(Answer { is_ready, document })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_address_that_a_server_listens_on_becomes_one_that_can_be_reached() {
        for (listen, url) in [
            (None, "http://127.0.0.1:8080"),
            (Some("127.0.0.1:9000"), "http://127.0.0.1:9000"),
            (Some("0.0.0.0:80"), "http://127.0.0.1:80"),
            (Some("[::]:9000"), "http://[::1]:9000"),
            (Some("10.1.2.3:9000"), "http://10.1.2.3:9000"),
        ] {
            assert_eq!(Target::of_listen(listen, false).unwrap().to_string(), url, "{listen:?}");
        }
        assert_eq!(Target::of_listen(Some("0.0.0.0:1"), true).unwrap().to_string(), "https://127.0.0.1:1");
        for listen in ["127.0.0.1:0", "nonsense"] {
            match Target::of_listen(Some(listen), false).err() {
                Some(Stop::Usage(message)) => assert!(message.contains("BATON_LISTEN") && message.contains("--url")),
                other => panic!("{listen}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_url_names_host_port_and_path() {
        for (url, authority, port, path) in [
            ("http://h", "h", 80, ""),
            ("HTTPS://h", "h", 443, ""),
            ("http://h:8080/", "h:8080", 8080, ""),
            ("http://[::1]:9/a/b", "[::1]:9", 9, "/a/b"),
            ("http://[::1]", "[::1]", 80, ""),
        ] {
            let is_tls = port == 443;
            let expected = Target { is_tls, authority: authority.to_owned(), port, path: path.to_owned() };
            assert_eq!(Target::of_url(&BaseUrl::parse(url).unwrap()), expected, "{url}");
        }
    }

    /// What is said of a server that answers so.
    fn asked(answer: &'static [u8]) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::of_listen(Some(&listener.local_addr().unwrap().to_string()), false).unwrap();
        let server = thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let count = client.read(&mut request).unwrap();
            client.write_all(answer).unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        let answer = target.ask(PATIENCE);
        assert!(server.join().unwrap().starts_with("GET /-/readiness HTTP/1.1\r\nHost: 127.0.0.1:"));
        answer
    }

    #[test]
    fn ready_is_who_says_so_as_baton_does() {
        let ready = asked(b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ok\"}").unwrap();
        assert!(ready.is_ready && ready.document["status"] == "ok");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"status\":\"ok\"}\r\n0\r\n\r\n";
        assert!(asked(chunked).unwrap().is_ready);
        let failing = asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"failing\"}").unwrap();
        assert!(!failing.is_ready && failing.document["status"] == "failing");
        for other in [
            &b""[..],
            b"220 smtp.example\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n<html>{}</html>",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\n\r\n{\"status\":\"ok\"}",
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"message\":\"503\"}",
        ] {
            assert_eq!(asked(other).err().as_deref(), Some("answers, but not as baton does"));
        }
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for_and_who_is_not_there_is_said_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::of_listen(Some(&listener.local_addr().unwrap().to_string()), false).unwrap();
        let why = target.ask(Duration::from_millis(50)).err().unwrap();
        assert!(why.contains("has not answered within"), "{why}");
        drop(listener);
        let why = target.ask(PATIENCE).err().unwrap();
        assert!(why.starts_with("does not answer: "), "{why}");
    }
}
