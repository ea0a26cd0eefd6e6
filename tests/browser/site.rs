//! Servers that stand beside Baton.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

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
