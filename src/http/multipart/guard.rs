//! Stands between a body and the `multipart` crate; the head of the parent module says why.
//!
//! The crate gets the body's [`Outline`]: its delimiters and headers, and a single byte in place of each part's data.
//! The data goes past it, from the body's reader into the memory of whoever wants it ([`PartData`]).

use super::head::{Names, parse_head};
use super::{Limit, MultipartError, PartLimits, read_some};
use memchr::memmem;
use std::cell::RefCell;
use std::io::{self, Read};

/// Bytes taken from the body at a time, unless a caller who reads data has more room.
const HELD_BYTES: usize = 16 * 1024;

/// What the crate gets in place of a part's data. Without anything behind it, it takes a header's end for a
/// delimiter's begin.
const STAND_IN: &[u8] = b".";

/// Where in the body the guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// In a part's header.
    Head,
    /// In a part's data.
    Data,
    /// At a delimiter, of which so many bytes are held.
    Delimiter(usize),
    /// After the closing delimiter.
    Closed,
    /// After an error, which was of this kind.
    Failed(io::ErrorKind),
}

/// Bytes read from the body and not yet passed on, at `start..end` of the buffer.
struct ReadAhead {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    body_ended: bool,
}

impl ReadAhead {
    fn new() -> ReadAhead {
        ReadAhead { buffer: vec![0; HELD_BYTES], start: 0, end: 0, body_ended: false }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Moves as many bytes to `out` as it has room for, and returns how many.
    fn take(&mut self, out: &mut [u8]) -> usize {
        // Memory can always be read.
        let count = self.bytes().read(out).unwrap_or(0);
        self.consume(count);
        count
    }

    /// Takes bytes back when none are held.
    fn put_back(&mut self, bytes: &[u8]) {
        if self.buffer.len() < bytes.len() {
            self.buffer.resize(bytes.len(), 0);
        }
        if let Some(place) = self.buffer.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        (self.start, self.end) = (0, bytes.len());
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

/// A body, part by part. An error ends it.
pub struct Guard<'a, R> {
    body: &'a mut R,
    /// `\r\n--boundary`.
    delimiter: memmem::Finder<'static>,
    head_bytes_max: usize,
    place: Place,
    /// Whether a delimiter may come at once, without the CRLF that belongs to it: at the start of body and data.
    at_line_start: bool,
    held: ReadAhead,
    /// How many of the bytes held are known to be data, or preamble.
    data_bytes: usize,
    /// To be passed on to the crate, from `ready_start`.
    ready: Vec<u8>,
    ready_start: usize,
    /// Of the part that the crate comes to next.
    names: Option<Names>,
    /// The fault that ended the body.
    fault: Option<MultipartError>,
}

impl<'a, R: Read> Guard<'a, R> {
    /// The guard of a body with this boundary.
    pub fn new(body: &'a mut R, boundary: &str, limits: &PartLimits) -> Guard<'a, R> {
        Guard {
            body,
            delimiter: memmem::Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            head_bytes_max: limits.head_bytes_max.min(PartLimits::HEAD_BYTES_MAX),
            place: Place::Preamble,
            at_line_start: true,
            held: ReadAhead::new(),
            data_bytes: 0,
            ready: Vec::new(),
            ready_start: 0,
            names: None,
            fault: None,
        }
    }

    /// The names of the part whose header the crate has just read.
    pub fn take_names(&mut self) -> Option<Names> {
        self.names.take()
    }

    /// What ended the body, if it was a fault.
    pub fn take_fault(&mut self) -> Option<MultipartError> {
        self.fault.take()
    }

    /// Passes over what nobody has read of the present part's data, or of the preamble.
    pub fn skip_data(&mut self) -> Result<(), MultipartError> {
        loop {
            match self.find_data()? {
                0 => return Ok(()),
                bytes => self.pass_data(bytes),
            }
        }
    }

    /// Reads data of the present part; nothing at its end.
    fn read_data(&mut self, out: &mut [u8]) -> Result<usize, MultipartError> {
        let holds_little = self.data_bytes == 0 && self.held.bytes().len() < self.delimiter.needle().len();
        if self.place == Place::Data && !self.at_line_start && holds_little && out.len() > HELD_BYTES {
            return self.read_data_directly(out);
        }
        let found = self.find_data()?.min(out.len());
        let count = self.held.take(out.get_mut(..found).unwrap_or_default());
        self.data_bytes -= count;
        Ok(count)
    }

    /// The same without a copy, when no more is held than may be a delimiter's beginning, into more room than that.
    fn read_data_directly(&mut self, out: &mut [u8]) -> Result<usize, MultipartError> {
        loop {
            let held = self.held.take(out);
            let count = read_some(self.body, out.get_mut(held..).unwrap_or_default()).map_err(MultipartError::Io)?;
            let bytes = out.get(..held + count).unwrap_or_default();
            let found = self.delimiter.find(bytes);
            let data = found.unwrap_or(bytes.len() - self.begun_delimiter_bytes(bytes));
            self.held.put_back(bytes.get(data..).unwrap_or_default());
            if found.is_some() {
                self.place = Place::Delimiter(self.delimiter.needle().len());
                return Ok(data);
            }
            if count == 0 {
                return Err(MultipartError::Truncated);
            }
            if data > 0 {
                return Ok(data);
            }
        }
    }

    /// Reads until some of the bytes held are known to be data, and returns how many; none at the data's end.
    fn find_data(&mut self) -> Result<usize, MultipartError> {
        if self.data_bytes > 0 || !matches!(self.place, Place::Preamble | Place::Data) {
            return Ok(self.data_bytes);
        }
        let delimiter_bytes = self.delimiter.needle().len();
        // The closing delimiter is as long as this, so that nothing waits for bytes that need not come.
        self.held.fill(delimiter_bytes + 2, self.body)?;
        if std::mem::take(&mut self.at_line_start)
            && self.delimiter.needle().get(2..).is_some_and(|line| self.held.bytes().starts_with(line))
        {
            self.place = Place::Delimiter(delimiter_bytes - 2);
            return Ok(0);
        }
        let bytes = self.held.bytes();
        match self.delimiter.find(bytes) {
            Some(0) => self.place = Place::Delimiter(delimiter_bytes),
            Some(start) => self.data_bytes = start,
            None if self.held.body_ended => return Err(MultipartError::Truncated),
            None => self.data_bytes = bytes.len() - self.begun_delimiter_bytes(bytes),
        }
        Ok(self.data_bytes)
    }

    fn pass_data(&mut self, bytes: usize) {
        self.held.consume(bytes);
        self.data_bytes -= bytes;
    }

    /// How many bytes at the end of `bytes` may be a delimiter's beginning.
    fn begun_delimiter_bytes(&self, bytes: &[u8]) -> usize {
        let delimiter = self.delimiter.needle();
        (1..delimiter.len())
            .rev()
            .find(|&count| delimiter.get(..count).is_some_and(|begun| bytes.ends_with(begun)))
            .unwrap_or(0)
    }

    /// Makes the next part of the outline ready, if it can be known yet.
    fn advance(&mut self) -> Result<(), MultipartError> {
        self.ready.clear();
        self.ready_start = 0;
        match self.place {
            Place::Preamble => self.skip_data(),
            Place::Delimiter(line_bytes) => self.pass_delimiter(line_bytes),
            Place::Head => self.pass_head(),
            Place::Data | Place::Closed | Place::Failed(_) => Ok(()),
        }
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
        let (names, outline) = parse_head(head, self.delimiter.needle())?;
        self.ready.extend_from_slice(&outline);
        self.ready.extend_from_slice(STAND_IN);
        self.held.consume(bytes);
        self.names = Some(names);
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

    /// Keeps the error for [`for_each_part`]; the crate gets one that looks like it.
    fn fail(&mut self, fault: MultipartError) -> io::Error {
        let kind = match &fault {
            MultipartError::Io(error) => error.kind(),
            MultipartError::Truncated => io::ErrorKind::UnexpectedEof,
            MultipartError::Boundary(_) | MultipartError::Malformed(_) | MultipartError::OverLimit(_) => {
                io::ErrorKind::InvalidData
            }
        };
        self.place = Place::Failed(kind);
        let stand_in = io::Error::new(kind, fault.to_string());
        self.fault = Some(fault);
        stand_in
    }
}

/// What the crate reads: the body with [`STAND_IN`] for data. Ends for the time being where a part's data begins, and
/// goes on when that was read or skipped.
pub struct Outline<'g, 'a, R>(pub &'g RefCell<Guard<'a, R>>);

impl<R: Read> Read for Outline<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let guard = &mut *self.0.borrow_mut();
        loop {
            let mut ready = guard.ready.get(guard.ready_start..).unwrap_or_default();
            if !ready.is_empty() {
                let count = ready.read(out)?;
                guard.ready_start += count;
                return Ok(count);
            }
            match guard.place {
                Place::Data | Place::Closed => return Ok(0),
                Place::Failed(kind) => return Err(kind.into()),
                Place::Preamble | Place::Delimiter(_) | Place::Head => {}
            }
            guard.advance().map_err(|fault| guard.fail(fault))?;
        }
    }
}

/// The data of the part whose header the crate has just read.
pub struct PartData<'g, 'a, R>(pub &'g RefCell<Guard<'a, R>>);

impl<R: Read> Read for PartData<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let guard = &mut *self.0.borrow_mut();
        if let Place::Failed(kind) = guard.place {
            return Err(kind.into());
        }
        guard.read_data(out).map_err(|fault| guard.fail(fault))
    }
}
