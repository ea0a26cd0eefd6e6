//! Servers that stand beside Baton or before it: one of fixed pages, and a proxy that serves Baton below a path.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Serves each connection by itself, until it is dropped.
pub struct Site {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Site {
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, is_over, serve) =
            (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let over = Arc::clone(&is_over);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Site { address, is_over, accepting: Some(accepting) }
    }

    /// The first of `pages` whose path is asked for: path, further lines of the head, and text.
    pub fn of_pages(pages: Vec<(&'static str, &'static str, String)>) -> Site {
        Site::start(move |mut stream| {
            let Some((line, _)) = head(&stream) else { return };
            let path = line.split(' ').nth(1).unwrap_or_default();
            let found = pages.iter().find(|page| page.0 == path);
            let (status, more, text) = found.map_or(("404 Not Found", "", ""), |page| ("200 OK", page.1, &page.2));
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n", text.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
        })
    }

    /// A proxy that leads what is below `/PREFIX/` to where `to` says, with that or without, and knows nothing else.
    pub fn below(prefix: &'static str, is_kept: bool, to: Arc<OnceLock<SocketAddr>>) -> Site {
        Site::start(move |mut stream| {
            let Some((line, rest)) = head(&stream) else { return };
            let start = format!(" /{prefix}/");
            if !line.contains(&start) {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return;
            }
            let line = if is_kept { line } else { line.replacen(&start, " /", 1) };
            pass(stream, *to.get().expect("it is known where to"), &format!("{line}{rest}"), |mut answer, stream| {
                let _ = std::io::copy(&mut answer, stream);
            });
        })
    }

    /// A proxy before `to` that stops before the first `mark` of each answer until it `may_go_on`.
    pub fn stopping(to: SocketAddr, mark: &'static str, may_go_on: Arc<AtomicBool>) -> Site {
        Site::start(move |stream| {
            let Some((line, rest)) = head(&stream) else { return };
            // What is packed has no marks.
            let rest: String = rest
                .split_inclusive('\n')
                .filter(|line| !line.to_ascii_lowercase().starts_with("accept-enc"))
                .collect();
            pass(stream, to, &format!("{line}{rest}"), |mut answer, stream| {
                let mut all = Vec::new();
                let _ = answer.read_to_end(&mut all);
                let place = all.windows(mark.len()).position(|part| part == mark.as_bytes()).unwrap_or(0);
                let _ = stream.write_all(&all[..place]);
                while place > 0 && !may_go_on.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
                let _ = stream.write_all(&all[place..]);
            });
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

/// Passes a request with this head on, and its answer by `back`. One request a connection, so that the next one is looked
/// at, too.
fn pass(mut stream: TcpStream, to: SocketAddr, head: &str, back: impl FnOnce(TcpStream, &mut TcpStream)) {
    let Ok(mut upstream) = TcpStream::connect(to) else { return };
    if upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).is_err() {
        return;
    }
    let (mut reader, mut up) = (stream.try_clone().unwrap(), upstream.try_clone().unwrap());
    let sender = thread::spawn(move || {
        let _ = std::io::copy(&mut reader, &mut up);
        let _ = up.shutdown(Shutdown::Both);
    });
    back(upstream, &mut stream);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = sender.join();
}

/// The first line of a request, with its end, and the other lines of its head but `Connection`.
fn head(stream: &TcpStream) -> Option<(String, String)> {
    // By single bytes, so that nothing of the body is taken.
    let mut reader = BufReader::with_capacity(1, stream.take(64 << 10));
    let (mut first, mut rest) = (String::new(), String::new());
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(1..) if line == "\r\n" => return Some((first, rest)),
            Ok(1..) if line.to_ascii_lowercase().starts_with("connection:") => (),
            Ok(1..) => rest += &line,
            _ => return None,
        }
    }
}
