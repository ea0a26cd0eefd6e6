//! One client's way to the HTTP server: its TLS on the outer side, plain bytes on the inner.
//!
//! What must stay true: nothing is taken from one side while the other has not taken what came before, so that memory
//! is bounded and slowness is felt where it comes from; the server hears of a client's end only after all that came
//! before it; a client hears of an orderly end only when the server has ended in order.

use super::Certificate;
use crate::error::{Error, Result};
use crate::http::peers::StandIn;
use crate::limits::HANDSHAKE_BYTES_MAX;
use mio::event::Event;
use mio::net::TcpStream;
use rustls::ServerConnection;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// Bytes that are taken from the server at a time.
pub const PIECE_BYTES: usize = 64 << 10;
/// Steps that one link makes before others have their turn.
const STEPS_MAX: usize = 16;

/// A link has no more to do: it is dropped, and with it both connections.
pub struct Over;

/// What a client's and the server's bytes go through.
pub struct Link {
    tls: ServerConnection,
    outer: Side,
    /// `None` until hands are shaken.
    inner: Option<Side>,
    /// Says at the server who the client is.
    stand_in: Option<StandIn>,
    accepted_at: Instant,
    /// Bytes from the client so far, counted up to the end of the handshake.
    heard_bytes: usize,
    /// Whether decrypted bytes wait for the server.
    has_plaintext: bool,
    /// Whether the server takes no more.
    is_deaf: bool,
    /// When something for the client began to wait, or some of it went last.
    said_at: Instant,
}

/// A connection, and what is known about it.
struct Side {
    stream: TcpStream,
    /// What the last look has shown; edge-triggered events tell of changes only.
    is_readable: bool,
    is_writable: bool,
    /// Whether it has sent its end,
    has_ended: bool,
    /// and whether ours was sent to it, and when.
    ended_at: Option<Instant>,
}

impl Side {
    fn new(stream: TcpStream) -> Side {
        Side { stream, is_readable: false, is_writable: false, has_ended: false, ended_at: None }
    }

    fn hear(&mut self, event: &Event) {
        self.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Says that nothing more comes from us.
    fn end(&mut self, now: Instant) {
        if self.ended_at.is_none() {
            // If it fails, the connection is gone, which shows when it is read.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.ended_at = Some(now);
        }
    }
}

impl Link {
    /// The link of a client that was just accepted.
    ///
    /// # Errors
    /// rustls's, in its begin.
    pub fn new(stream: TcpStream, certificate: &Certificate, now: Instant) -> Result<Link> {
        let mut tls = ServerConnection::new(certificate.0.clone()).map_err(Error::internal)?;
        // Bounded by taking the next piece only after the last one has gone.
        tls.set_buffer_limit(None);
        Ok(Link {
            tls,
            outer: Side::new(stream),
            inner: None,
            stand_in: None,
            accepted_at: now,
            heard_bytes: 0,
            has_plaintext: false,
            is_deaf: false,
            said_at: now,
        })
    }

    /// The client's connection, to be registered.
    pub fn outer(&mut self) -> &mut TcpStream {
        &mut self.outer.stream
    }

    /// Notes what an event says of the client's connection, or of the server's.
    pub fn hear(&mut self, event: &Event, is_inner: bool) {
        if is_inner {
            if let Some(inner) = &mut self.inner {
                inner.hear(event);
            }
        } else {
            self.outer.hear(event);
        }
    }

    /// Whether hands were shaken, and no connection to the server was made yet.
    pub fn wants_server(&self) -> bool {
        self.inner.is_none() && !self.tls.is_handshaking()
    }

    /// Carries bytes from now on to and from this connection, which stands for the client.
    pub fn connect(&mut self, stream: TcpStream, stand_in: Option<StandIn>) {
        self.inner = Some(Side::new(stream));
        self.stand_in = stand_in;
    }

    /// Since when the client has owed its handshake; `None` once that is done.
    pub fn handshaking_since(&self) -> Option<Instant> {
        self.inner.is_none().then_some(self.accepted_at)
    }

    /// Whether the server may still have something to say to the client.
    pub fn is_in_use(&self) -> bool {
        self.inner.is_some() && self.outer.ended_at.is_none()
    }

    /// Whether the client has had its time, for its handshake, for taking what waits for it, or for going.
    pub fn is_late(&self, now: Instant, times: &Times) -> bool {
        let is_longer = |since: Instant, most: Duration| now.saturating_duration_since(since) > most;
        self.handshaking_since().is_some_and(|since| is_longer(since, times.handshake))
            || (self.tls.wants_write() && is_longer(self.said_at, times.stall))
            || self.outer.ended_at.is_some_and(|at| is_longer(at, times.closing))
    }

    /// Carries what can be carried now. Returns whether there is more.
    ///
    /// # Errors
    /// If the link has ended, in whatever way.
    pub fn carry(&mut self, now: Instant, piece: &mut [u8]) -> std::result::Result<bool, Over> {
        for _ in 0..STEPS_MAX {
            let has_moved = self.listen()? | self.hand_in(now)? | self.hand_out(now, piece)? | self.say(now)?;
            let both_ended = self.outer.ended_at.is_some() && self.outer.has_ended;
            if both_ended && !self.has_plaintext {
                return Err(Over);
            }
            if self.wants_server() || !has_moved {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// From the client into TLS.
    fn listen(&mut self) -> std::result::Result<bool, Over> {
        if !self.outer.is_readable || self.outer.has_ended || self.has_plaintext {
            return Ok(false);
        }
        match self.tls.read_tls(&mut self.outer.stream) {
            Ok(0) => self.outer.has_ended = true,
            Ok(count) if self.inner.is_none() => self.heard_bytes += count,
            Ok(_) => {}
            Err(error) => return waits(&error, &mut self.outer.is_readable),
        }
        match self.tls.process_new_packets() {
            // Only the end of all tells a cut from an end in order, so that is looked for, too.
            Ok(state) => {
                self.has_plaintext =
                    state.plaintext_bytes_to_read() > 0 || self.outer.has_ended || state.peer_has_closed()
            }
            Err(error) => {
                log::debug!("a client of TLS: {error}");
                // What it is told of its mistake, if there is room for it.
                let _ = self.tls.write_tls(&mut self.outer.stream);
                return Err(Over);
            }
        }
        if self.inner.is_none() && self.heard_bytes > HANDSHAKE_BYTES_MAX && self.tls.is_handshaking() {
            return Err(Over);
        }
        Ok(true)
    }

    /// From TLS to the server.
    fn hand_in(&mut self, now: Instant) -> std::result::Result<bool, Over> {
        if !self.has_plaintext {
            return Ok(false);
        }
        let Some(inner) = &mut self.inner else {
            // A client that goes before it has shaken hands.
            return if self.outer.has_ended && self.tls.is_handshaking() { Err(Over) } else { Ok(false) };
        };
        let mut reader = self.tls.reader();
        let plaintext = match reader.fill_buf() {
            Ok([]) => {
                inner.end(now);
                (self.has_plaintext, self.outer.has_ended) = (false, true);
                return Ok(true);
            }
            Ok(plaintext) => plaintext,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.has_plaintext = false;
                return Ok(true);
            }
            // It was cut off: the server must not take that for an end, and nobody is there to be answered.
            Err(_) => return Err(Over),
        };
        if self.is_deaf {
            let count = plaintext.len();
            reader.consume(count);
            return Ok(true);
        }
        if !inner.is_writable {
            return Ok(false);
        }
        match inner.stream.write(plaintext) {
            Ok(count) => {
                reader.consume(count);
                Ok(true)
            }
            Err(error) if is_passing(&error) => waits(&error, &mut inner.is_writable),
            // It has closed. What it has said before may still have to be fetched.
            Err(_) => {
                self.is_deaf = true;
                Ok(true)
            }
        }
    }

    /// From the server into TLS.
    fn hand_out(&mut self, now: Instant, piece: &mut [u8]) -> std::result::Result<bool, Over> {
        let Some(inner) = &mut self.inner else { return Ok(false) };
        if !inner.is_readable || inner.has_ended || self.tls.wants_write() {
            return Ok(false);
        }
        let count = match inner.stream.read(piece) {
            Ok(count) => count,
            Err(error) => return waits(&error, &mut inner.is_readable),
        };
        self.said_at = now;
        if count == 0 {
            inner.has_ended = true;
            self.tls.send_close_notify();
        } else {
            self.tls.writer().write_all(piece.get(..count).unwrap_or_default()).map_err(|_| Over)?;
        }
        Ok(true)
    }

    /// From TLS to the client.
    fn say(&mut self, now: Instant) -> std::result::Result<bool, Over> {
        if !self.tls.wants_write() {
            if self.inner.as_ref().is_some_and(|inner| inner.has_ended) {
                self.outer.end(now);
            }
            return Ok(false);
        }
        if !self.outer.is_writable {
            return Ok(false);
        }
        match self.tls.write_tls(&mut self.outer.stream) {
            Ok(_) => {
                self.said_at = now;
                Ok(true)
            }
            Err(error) => waits(&error, &mut self.outer.is_writable),
        }
    }
}

/// How long a client may take.
pub struct Times {
    pub handshake: Duration,
    /// Without taking any of what waits for it.
    pub stall: Duration,
    /// For going, once it was told that nothing more comes.
    pub closing: Duration,
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What a failed attempt comes to: another one at once, or after an event, or the end.
fn waits(error: &io::Error, is_able: &mut bool) -> std::result::Result<bool, Over> {
    if !is_passing(error) {
        return Err(Over);
    }
    if error.kind() == ErrorKind::WouldBlock {
        *is_able = false;
    }
    Ok(*is_able)
}
