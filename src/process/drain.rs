//! Answers those who come while the serving process finishes what is under way and takes on nothing new: else they
//! would wait in the kernel's backlog, and be cut off at the end. Runners take a 503 better than that, and whoever
//! asks for readiness learns that the server drains.
//!
//! What must stay true: each client has little time, little room, and one of few places, so that a process that is
//! about to end cannot be kept from it; nothing is promised to anybody.

use crate::http::slow_clients::Pace;
use crate::http::wire::write_response;
use crate::http::{Method, Response};
use crate::limits::{DRAIN_CLIENTS_MAX, DRAIN_REST_BYTES_MAX, DRAIN_STEP_TIME_MAX, Limits};
use crate::tls::Certificate;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Between two tries to accept when that cannot be done.
const PAUSE: Duration = Duration::from_millis(20);

/// How those are answered.
#[derive(Clone)]
pub struct Farewells {
    /// With TLS, what is shown to clients.
    pub certificate: Option<Certificate>,
    /// The answer to a request for a path.
    pub answer: fn(&str) -> Response,
}

impl Farewells {
    /// From now on, for as long as this process lives, whoever connects to `listener` is answered.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn begin(&self, listener: TcpListener, limits: &Limits) -> io::Result<()> {
        let (own, limits, places) = (self.clone(), limits.clone(), Arc::new(()));
        let accept = move || {
            let shared = Arc::new((own, limits));
            loop {
                // Another process has made the listener one that does not wait.
                let _ = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
                let has_place = Arc::strong_count(&places) <= DRAIN_CLIENTS_MAX;
                let Some(Ok((client, _))) = has_place.then(|| listener.accept()) else {
                    thread::sleep(PAUSE);
                    continue;
                };
                let (shared, place) = (Arc::clone(&shared), Arc::clone(&places));
                let serve = move || {
                    let (own, limits) = shared.as_ref();
                    // Whoever leaves early, or is too slow, is owed nothing more.
                    let _ = own.serve(&client, limits);
                    drop(place);
                };
                if thread::Builder::new().name("farewell".to_owned()).spawn(serve).is_err() {
                    thread::sleep(PAUSE);
                }
            }
        };
        thread::Builder::new().name("farewells".to_owned()).spawn(accept).map(drop)
    }

    fn serve(&self, mut client: &TcpStream, limits: &Limits) -> io::Result<()> {
        client.set_read_timeout(Some(DRAIN_STEP_TIME_MAX))?;
        client.set_write_timeout(Some(DRAIN_STEP_TIME_MAX))?;
        match &self.certificate {
            Some(certificate) => self.answer(&mut certificate.speak(client.try_clone()?)?, limits)?,
            None => self.answer(&mut client, limits)?,
        }
        client.shutdown(Shutdown::Write)?;
        let until = Instant::now() + DRAIN_STEP_TIME_MAX;
        let (mut rest, mut piece) = (client.take(DRAIN_REST_BYTES_MAX), [0; 16 << 10]);
        while rest.read(&mut piece)? > 0 && Instant::now() < until {}
        Ok(())
    }

    fn answer(&self, client: &mut (impl Read + Write), limits: &Limits) -> io::Result<()> {
        let (method, path) = read_request(client, limits.head_bytes_max)?;
        write_response(client, (self.answer)(&path), method != Method::Head, false, Pace::new(limits)).map(drop)
    }
}

/// Reads a request's head: its method, and its path without the query.
fn read_request(client: &mut impl Read, bytes_max: usize) -> io::Result<(Method, String)> {
    let until = Instant::now() + DRAIN_STEP_TIME_MAX;
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while head.len() < bytes_max && Instant::now() < until {
        let count = client.read(&mut piece)?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let is_whole = request.parse(&head).map_err(io::Error::other)?.is_complete();
        if let (true, Some(method), Some(target)) = (is_whole, request.method, request.path) {
            let path = target.split('?').next().unwrap_or_default();
            return Ok((Method::parse(method), path.to_owned()));
        }
    }
    Err(ErrorKind::InvalidData.into())
}
