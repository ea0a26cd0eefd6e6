//! A git repository behind HTTP, as a forge has one: `git http-backend` behind a small server that notes who asks for what,
//! and that can behave badly.

use super::sources::git;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::{fs, thread};
use tempfile::TempDir;

/// How the server behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Manner {
    /// As it should.
    Good,
    /// It redirects to this URL, with the path behind it.
    Redirects(String),
    /// It says nothing until it is good again.
    Silent,
    /// It wants this `Authorization`.
    Wants(String),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
}

/// The server. Dropping it ends it.
pub struct Forge {
    dir: TempDir,
    address: SocketAddr,
    manner: Arc<(Mutex<Manner>, Condvar)>,
    log: Arc<Mutex<Log>>,
    is_over: Arc<AtomicBool>,
}

impl Forge {
    /// One with an empty repository, `group/demo.git`.
    pub fn start() -> Forge {
        let dir = tempfile::tempdir().unwrap();
        let (bare, work) = (dir.path().join("root/group/demo.git"), dir.path().join("work"));
        fs::create_dir_all(&bare).unwrap();
        fs::create_dir_all(&work).unwrap();
        git(&bare, &["init", "--quiet", "--bare"]);
        git(&work, &["init", "--quiet"]);
        git(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new((Mutex::new(Manner::Good), Condvar::new()));
        let (log, is_over) = (Arc::<Mutex<Log>>::default(), Arc::new(AtomicBool::new(false)));
        let served = Served { root: dir.path().join("root"), manner: Arc::clone(&manner), log: Arc::clone(&log) };
        let (served, ends) = (Arc::new(served), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                thread::spawn(move || served.answer(stream.unwrap()));
            }
        });
        Forge { dir, address, manner, log, is_over }
    }

    /// The repository's URL.
    pub fn url(&self) -> String {
        format!("http://{}/group/demo.git", self.address)
    }

    /// The repository's path.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("root/group/demo.git")
    }

    /// A checkout of it.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Pushes a commit with these files to a branch; its name.
    pub fn push(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let work = self.work();
        for (path, content) in files {
            let path = work.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--allow-empty", "--message", "Change it\n\nIn all places."]);
        git(&work, &["push", "--quiet", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(&work, &["rev-parse", "HEAD"])
    }

    /// Behaves so from now on.
    pub fn behave(&self, manner: Manner) {
        *self.manner.0.lock().unwrap() = manner;
        self.manner.1.notify_all();
    }

    /// What was asked since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.log.lock().unwrap().seen)
    }

    /// Waits until so many requests came since the last [`Forge::take_seen`].
    pub fn wait_for_requests(&self, count: usize) {
        super::served::wait_for("requests", || (self.log.lock().unwrap().seen.len() >= count).then_some(()));
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.behave(Manner::Good);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
    }
}

struct Served {
    root: PathBuf,
    manner: Arc<(Mutex<Manner>, Condvar)>,
    log: Arc<Mutex<Log>>,
}

struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> Option<Head> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => return Some(Head { method, target, headers }),
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Served {
    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(head) = Head::read(&mut reader) else { return };
        let authorization = head.get("authorization").map(ToOwned::to_owned);
        self.log.lock().unwrap().seen.push(Seen { path: head.target.clone(), authorization: authorization.clone() });
        let bytes = head.get("content-length").and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        reader.take(bytes).read_to_end(&mut body).unwrap();
        let mut manner = self.manner.0.lock().unwrap();
        while *manner == Manner::Silent {
            manner = self.manner.1.wait(manner).unwrap();
        }
        let answer = match manner.clone() {
            Manner::Redirects(to) => {
                format!("HTTP/1.1 302 Found\r\nLocation: {to}{}\r\nContent-Length: 0\r\n", head.target).into_bytes()
            }
            Manner::Wants(wanted) if authorization.as_ref() != Some(&wanted) => {
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n".to_vec()
            }
            Manner::Good | Manner::Wants(_) | Manner::Silent => {
                drop(manner);
                self.backend(&head, &body)
            }
        };
        let answer = if answer.windows(4).any(|end| end == b"\r\n\r\n") {
            answer
        } else {
            [answer.as_slice(), b"Connection: close\r\n\r\n"].concat()
        };
        // Whoever has left does not hear it.
        let _ = (&stream).write_all(&answer);
    }

    fn backend(&self, head: &Head, body: &[u8]) -> Vec<u8> {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let mut command = Command::new("git");
        command.arg("http-backend").env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", &head.method);
        for (variable, name) in [
            ("CONTENT_TYPE", "content-type"),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("HTTP_GIT_PROTOCOL", "git-protocol"),
            ("GIT_PROTOCOL", "git-protocol"),
        ] {
            if let Some(value) = head.get(name) {
                command.env(variable, value);
            }
        }
        command.env("CONTENT_LENGTH", body.len().to_string()).env("REMOTE_ADDR", "127.0.0.1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let body = body.to_vec();
        let writes = thread::spawn(move || drop(input.write_all(&body)));
        let said = child.wait_with_output().unwrap().stdout;
        writes.join().unwrap();
        let end = said.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
        let text = String::from_utf8_lossy(&said[..end]).into_owned();
        let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
        let others = text.lines().filter(|line| !line.starts_with("Status: "));
        let headers: String = others.map(|line| format!("{line}\r\n")).collect();
        let content = &said[end + 4..];
        let begin =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", content.len());
        [begin.as_bytes(), content].concat()
    }
}
