//! Stands between a body and the `multipart` crate; the head of the parent module says why.

use super::head::{Names, parse_head};
use super::{Limit, MultipartError, PartLimits, read_some};
use memchr::memmem;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Most bytes taken from the body and not yet passed on.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// What the guard tells [`for_each_part`] past the crate.
#[derive(Default)]
pub struct Seen {
    fault: RefCell<Option<MultipartError>>,
    /// Of the parts that the crate has not come to yet: no more than fit into its buffer of 8 KiB.
    names: RefCell<VecDeque<Names>>,
}

impl Seen {
    /// The fault that ended the body.
    pub fn take_fault(&self) -> Option<MultipartError> {
        self.fault.borrow_mut().take()
    }

    /// The names of the part that the crate comes to next.
    pub fn next_names(&self) -> Option<Names> {
        self.names.borrow_mut().pop_front()
    }
}

/// Where in the body the guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// In a part's header.
    Head,
    /// In a part's data.
    Data,
    /// After the closing delimiter.
    Closed,
    /// After an error, which was of this kind.
    Failed(io::ErrorKind),
}

/// Bytes read from the body and not yet passed on, at `start..end` of a fixed buffer.
struct Held {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    body_ended: bool,
}

impl Held {
    fn new() -> Held {
        Held { buffer: vec![0; HELD_BYTES_MAX], start: 0, end: 0, body_ended: false }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Reads until at least `bytes` are held or the body ends. `bytes` is far below the buffer's size.
    fn fill(&mut self, bytes: usize, body: &mut impl Read) -> Result<(), MultipartError> {
        while self.bytes().len() < bytes && !self.body_ended {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let count = read_some(body, room).map_err(MultipartError::Io)?;
            self.end += count;
            self.body_ended = count == 0;
        }
        Ok(())
    }
}

/// The body as the crate can bear it; the module's head says why. Ends after the closing delimiter or with an error.
pub struct Guard<'a, R> {
    body: &'a mut R,
    seen: &'a Seen,
    /// `\r\n--boundary`.
    delimiter: memmem::Finder<'static>,
    head_bytes_max: usize,
    place: Place,
    /// Whether a delimiter may come at once, without the CRLF that belongs to it: at the start of body and data.
    at_line_start: bool,
    held: Held,
    /// To be passed on, from `ready_start`. Never ends with CR.
    ready: Vec<u8>,
    ready_start: usize,
}

impl<'a, R: Read> Guard<'a, R> {
    /// The guard of a body with this boundary.
    pub fn new(body: &'a mut R, boundary: &str, limits: &PartLimits, seen: &'a Seen) -> Guard<'a, R> {
        Guard {
            body,
            seen,
            delimiter: memmem::Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            head_bytes_max: limits.head_bytes_max.min(PartLimits::HEAD_BYTES_MAX),
            place: Place::Preamble,
            at_line_start: true,
            held: Held::new(),
            ready: Vec::new(),
            ready_start: 0,
        }
    }

    /// Looks at what comes next: makes some of it ready, or changes the place.
    fn advance(&mut self) -> Result<(), MultipartError> {
        self.ready.clear();
        self.ready_start = 0;
        match self.place {
            Place::Preamble | Place::Data => self.advance_to_delimiter(),
            Place::Head => self.pass_head(),
            Place::Closed | Place::Failed(_) => Ok(()),
        }
    }

    fn advance_to_delimiter(&mut self) -> Result<(), MultipartError> {
        let delimiter_bytes = self.delimiter.needle().len();
        // The closing delimiter is as long as this, so that nothing waits for bytes that need not come.
        self.held.fill(delimiter_bytes + 2, self.body)?;
        if self.at_line_start {
            self.at_line_start = false;
            if self.delimiter.needle().get(2..).is_some_and(|line| self.held.bytes().starts_with(line)) {
                return self.pass_delimiter(delimiter_bytes - 2);
            }
        }
        match self.delimiter.find(self.held.bytes()) {
            Some(0) => self.pass_delimiter(delimiter_bytes),
            Some(start) => {
                self.pass_data(start);
                Ok(())
            }
            None if self.held.body_ended => Err(MultipartError::Truncated),
            None => {
                self.pass_data(self.held.bytes().len() - self.begun_delimiter_bytes());
                Ok(())
            }
        }
    }

    /// How many bytes at the end of `held` may be a delimiter's beginning. At least one if the last is CR.
    fn begun_delimiter_bytes(&self) -> usize {
        let delimiter = self.delimiter.needle();
        (1..delimiter.len())
            .rev()
            .find(|&count| delimiter.get(..count).is_some_and(|begun| self.held.bytes().ends_with(begun)))
            .unwrap_or(0)
    }

    /// Passes a delimiter on in the crate's form. Its first `line_bytes` bytes are held; two more say what it means.
    fn pass_delimiter(&mut self, line_bytes: usize) -> Result<(), MultipartError> {
        self.held.fill(line_bytes + 2, self.body)?;
        let end = self.held.bytes().get(line_bytes..line_bytes + 2).ok_or(MultipartError::Truncated)?;
        self.place = match end {
            b"\r\n" => Place::Head,
            b"--" => Place::Closed,
            _ => return Err(MultipartError::Malformed("a boundary is followed by neither CRLF nor --")),
        };
        self.ready.extend_from_slice(b"\r\n--");
        self.ready.extend_from_slice(self.delimiter.needle());
        self.ready.extend_from_slice(end);
        self.held.consume(line_bytes + 2);
        Ok(())
    }

    fn pass_head(&mut self) -> Result<(), MultipartError> {
        let bytes = self.hold_head()?;
        let head = self.held.bytes().get(..bytes).unwrap_or_default();
        let names = parse_head(head, self.delimiter.needle())?;
        self.ready.extend_from_slice(head);
        self.held.consume(bytes);
        self.seen.names.borrow_mut().push_back(names);
        self.place = Place::Data;
        self.at_line_start = true;
        Ok(())
    }

    /// Reads until a whole header is held, and returns its length with the empty line.
    fn hold_head(&mut self) -> Result<usize, MultipartError> {
        let mut wanted = 2;
        loop {
            self.held.fill(wanted, self.body)?;
            let held = self.held.bytes();
            if held.starts_with(b"\r\n") {
                return Err(MultipartError::Malformed("a part has no header"));
            }
            let within = held.get(..self.head_bytes_max).unwrap_or(held);
            if let Some(end) = memmem::find(within, b"\r\n\r\n") {
                return Ok(end + 4);
            }
            if held.len() >= self.head_bytes_max {
                return Err(MultipartError::OverLimit(Limit::HeadBytes(self.head_bytes_max)));
            }
            if self.held.body_ended {
                return Err(MultipartError::Truncated);
            }
            wanted = held.len() + 1;
        }
    }

    /// Passes data on; drops it before the first delimiter.
    fn pass_data(&mut self, bytes: usize) {
        if self.place == Place::Data {
            self.ready.extend_from_slice(self.held.bytes().get(..bytes).unwrap_or_default());
        }
        self.held.consume(bytes);
    }

    /// Keeps the error for [`for_each_part`]; the crate gets one that looks like it.
    fn fail(&mut self, fault: MultipartError) -> io::Error {
        let kind = match &fault {
            MultipartError::Io(error) => error.kind(),
            MultipartError::Truncated => io::ErrorKind::UnexpectedEof,
            MultipartError::Boundary(_)
            | MultipartError::Malformed(_)
            | MultipartError::OverLimit(_)
            | MultipartError::NotUtf8 => io::ErrorKind::InvalidData,
        };
        self.place = Place::Failed(kind);
        let stand_in = io::Error::new(kind, fault.to_string());
        *self.seen.fault.borrow_mut() = Some(fault);
        stand_in
    }
}

impl<R: Read> Read for Guard<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.ready.get(self.ready_start..).unwrap_or_default();
            if !ready.is_empty() {
                let room = ready.len().min(out.len());
                // With room for one byte there is no choice. The crate always has room for 1024.
                let splits_crlf = room > 1 && ready.get(room - 1..=room) == Some(b"\r\n");
                let count = ready.read(out.get_mut(..room - usize::from(splits_crlf)).unwrap_or_default())?;
                self.ready_start += count;
                return Ok(count);
            }
            match self.place {
                Place::Closed => return Ok(0),
                Place::Failed(kind) => return Err(kind.into()),
                Place::Preamble | Place::Head | Place::Data => {}
            }
            if let Err(fault) = self.advance() {
                return Err(self.fail(fault));
            }
        }
    }
}
