//! The load generator: many connections in one thread, since it shares the processors with what it measures.
//!
//! One `read` and one `write` a request, prebuilt requests where the work allows it, and no more of HTTP than the
//! answer's head.

use crate::wire::{Connections, Head, parse_head};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A server that says nothing to anybody for so long has stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one client asks, request by request.
pub trait Script {
    /// Puts the next request into `out`, which is empty; false: there is none any more.
    fn ask(&mut self, out: &mut Vec<u8>) -> bool;
    /// Takes the answer, and stops the run if it is not the right one.
    fn hear(&mut self, head: &Head, body: &[u8]);
}

/// What a run has shown.
pub struct Load {
    /// Answers of each client within the time.
    pub answers: Vec<u64>,
    /// The time that they took together.
    pub elapsed: Duration,
    /// Connections beyond the first of each client.
    pub reconnects: u64,
    /// From each request to its answer.
    pub latencies: Vec<Duration>,
}

impl Load {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Answers of each client over several runs: a server cannot shine by serving some of them only.
#[derive(Default)]
pub struct Tally(Cell<Vec<u64>>);

impl Tally {
    /// Counts a run; its answers a second.
    pub fn rate(&self, load: &Load) -> f64 {
        let mut all = self.0.take();
        all.resize(load.answers.len(), 0);
        all.iter_mut().zip(&load.answers).for_each(|(sum, count)| *sum += count);
        self.0.set(all);
        load.rate()
    }

    /// Says how the clients were served. Stops if one was not: if it got less than a fifth of what is usual.
    pub fn note(&self) -> String {
        let all = self.0.take();
        let (least, mean) = (all.iter().copied().min().unwrap_or(0), all.iter().sum::<u64>() / all.len() as u64);
        assert!(least > 0 && least * 5 >= mean, "a client starves: {least} answers, while the mean is {mean}");
        format!("all {} clients are served: {mean} answers on average, at least {least}", all.len())
    }
}

/// Lets every script ask until `time` has passed, or, without one, until they have nothing more to ask. Requests
/// under way at the end are answered, but not counted.
pub fn run<S: Script>(
    address: SocketAddr,
    scripts: &mut [S],
    connections: Connections,
    time: Option<Duration>,
) -> Load {
    let mut poll = Poll::new().unwrap();
    let started = Instant::now();
    let mut crowd = Crowd { address, connections, deadline: time.map(|time| started + time), load: Load::new(scripts) };
    let mut clients: Vec<Client<'_, S>> = Vec::new();
    for (id, script) in scripts.iter_mut().enumerate() {
        clients.push(Client::new(id, script));
    }
    let mut waiting = 0;
    for client in &mut clients {
        waiting += usize::from(crowd.ask(client, &poll));
    }
    let mut events = Events::with_capacity(256);
    while waiting > 0 {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "{waiting} clients wait in vain for an answer");
        for event in &events {
            let client = &mut clients[event.token().0];
            if client.stream.is_some() && !crowd.go_on(client, &poll) {
                waiting -= 1;
            }
        }
    }
    crowd.load.elapsed = time.unwrap_or_else(|| started.elapsed());
    crowd.load
}

/// One client and its connection. Without a connection it has finished.
struct Client<'a, S> {
    id: usize,
    script: &'a mut S,
    stream: Option<TcpStream>,
    out: Vec<u8>,
    /// Bytes of `out` that are sent.
    sent: usize,
    input: Vec<u8>,
    asked_at: Instant,
    connections: u64,
}

/// What the clients share.
struct Crowd {
    address: SocketAddr,
    connections: Connections,
    deadline: Option<Instant>,
    load: Load,
}

impl Load {
    fn new<S>(scripts: &[S]) -> Load {
        let answers = vec![0; scripts.len()];
        Load { answers, elapsed: Duration::ZERO, reconnects: 0, latencies: Vec::with_capacity(1 << 16) }
    }
}

impl Crowd {
    /// Sends the client's next request, on a new connection if need be. False: it has finished.
    fn ask<S: Script>(&mut self, client: &mut Client<'_, S>, poll: &Poll) -> bool {
        client.out.clear();
        client.sent = 0;
        if !client.script.ask(&mut client.out) {
            client.stream = None;
            return false;
        }
        client.asked_at = Instant::now();
        if client.stream.is_none() {
            let mut stream = TcpStream::connect(self.address).unwrap();
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(client.id), interest).unwrap();
            client.stream = Some(stream);
            self.load.reconnects += u64::from(client.connections > 0);
            client.connections += 1;
        }
        // A new connection that is not there yet tells when it is.
        client.send();
        true
    }

    /// Goes on with a client whose connection has told of something. False: it has finished.
    fn go_on<S: Script>(&mut self, client: &mut Client<'_, S>, poll: &Poll) -> bool {
        if !client.send() {
            return true;
        }
        let Some(head) = client.receive() else { return true };
        let whole = head.len + head.body_bytes as usize;
        let now = Instant::now();
        let counts = self.deadline.is_none_or(|deadline| now < deadline);
        if counts {
            self.load.answers[client.id] += 1;
            self.load.latencies.push(now - client.asked_at);
        }
        client.script.hear(&head, &client.input[head.len..whole]);
        assert_eq!(client.input.len(), whole, "more than one answer to a request");
        client.input.clear();
        if head.closes || self.connections == Connections::Fresh || !counts {
            client.stream = None;
        }
        counts && self.ask(client, poll)
    }
}

impl<S: Script> Client<'_, S> {
    fn new(id: usize, script: &mut S) -> Client<'_, S> {
        let (out, input) = (Vec::new(), Vec::with_capacity(16 << 10));
        Client { id, script, stream: None, out, sent: 0, input, asked_at: Instant::now(), connections: 0 }
    }

    /// Sends what is left to send. False: something still is.
    fn send(&mut self) -> bool {
        let stream = self.stream.as_mut().unwrap();
        while self.sent < self.out.len() {
            match stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return false,
                Err(error) => panic!("client {} cannot send: {error}", self.id),
            }
        }
        true
    }

    /// Takes what has arrived; the answer's head once all of the answer has.
    fn receive(&mut self) -> Option<Head> {
        let mut piece = [0; 16 << 10];
        loop {
            match self.stream.as_mut().unwrap().read(&mut piece) {
                Ok(0) => panic!("the server hung up on client {} instead of answering", self.id),
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("client {} cannot receive: {error}", self.id),
            }
            let head = parse_head(&self.input);
            if let Some(head) = head.filter(|head| self.input.len() as u64 >= head.len as u64 + head.body_bytes) {
                return Some(head);
            }
        }
    }
}
