//! Bodies of `multipart/form-data` (RFC 7578): uploads and forms, part by part, in constant memory.
//!
//! What must stay true:
//!
//! * a part's data arrives to the byte, whatever it looks like and however the network splits it;
//! * success means that the closing delimiter `--boundary--` was seen. A chunked body that is cut off ends like a whole
//!   one, so the body's end proves nothing;
//! * no part and no number of parts makes us hold more than a few tens of KiB.
//!
//! The `multipart` crate walks the parts, reads their headers and skips what nobody reads. A [`Guard`] stands between
//! the body and the crate (0.18), because of what the crate does otherwise:
//!
//! * it takes `--boundary` for a delimiter in the middle of a line too. So it is told the boundary `\r\n--boundary`,
//!   which no content can hold, and the guard writes `\r\n--` before each delimiter;
//! * it delivers the CRLF before a delimiter as data when its buffer ends between the two. So no read ends between CR and LF;
//! * a part that is cut off ends like a whole one. So a body without its closing delimiter ends with an error;
//! * a part's header of more than [`PartLimits::HEAD_BYTES_MAX`] is read or refused depending on how reads were split.
//!   So the guard sees to it that longer ones are always refused;
//! * it cuts a file name at `;`, keeps backslashes, and finds `name=` inside `filename=`. So names are read here.
//!
//! Absent on purpose: `filename*`, nested multiparts, transfer encodings, lines that end with LF alone, blanks after a
//! delimiter. No client of ours sends them; the first three are passed over or through, the others are errors.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::{error, fmt, str};

use memchr::memmem;
use multipart::server::Multipart;

/// Longest boundary, in bytes (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// Header lines of a part, which is what the crate has room for. Known clients send one to four.
const HEAD_LINES_MAX: usize = 4;

/// Most bytes taken from the body and not yet passed on.
const HELD_BYTES_MAX: usize = 16 * 1024;

/// Most bytes after the closing delimiter that are read and dropped. Clients send two.
const EPILOGUE_BYTES_MAX: usize = 64 * 1024;

/// Limits on what a multipart body may make us allocate or do. A part's data is limited by whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Most parts of a body, read or not.
    pub parts_max: usize,
    /// Most bytes of a field that is read into memory; for [`read_text`], nothing else looks at it.
    pub text_field_bytes_max: usize,
    /// Most bytes of a part's header lines, with the empty line after them. Values above
    /// [`PartLimits::HEAD_BYTES_MAX`] count as that.
    pub head_bytes_max: usize,
}

impl PartLimits {
    /// The longest header of a part, in bytes. The crate looks at 1024 bytes less a delimiter, whatever the network
    /// does. A file name of 255 bytes, each percent-encoded, fits.
    pub const HEAD_BYTES_MAX: usize = 900;
}

impl Default for PartLimits {
    fn default() -> PartLimits {
        PartLimits { parts_max: 64, text_field_bytes_max: 64 * 1024, head_bytes_max: PartLimits::HEAD_BYTES_MAX }
    }
}

/// A limit, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Parts of a body.
    Parts(usize),
    /// Bytes of a part's header.
    HeadBytes(usize),
    /// Header lines of a part.
    HeadLines(usize),
    /// Bytes of a field that is read into memory.
    TextFieldBytes(usize),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Parts(max) => write!(f, "has more than {max} parts"),
            Limit::HeadBytes(max) => write!(f, "has a part whose header is longer than {max} bytes"),
            Limit::HeadLines(max) => write!(f, "has a part with more than {max} header lines"),
            Limit::TextFieldBytes(max) => write!(f, "has a text field longer than {max} bytes"),
        }
    }
}

/// What is wrong with a multipart body or its `Content-Type`. Its `Display` is a sentence for whoever sent it, and
/// repeats nothing of the body.
#[derive(Debug)]
pub enum MultipartError {
    /// The `Content-Type` has no usable boundary, for this reason.
    Boundary(&'static str),
    /// The body breaks the format, in this way.
    Malformed(&'static str),
    /// The body ended before its closing delimiter.
    Truncated,
    /// A limit was passed.
    OverLimit(Limit),
    /// A text field is not UTF-8.
    NotUtf8,
    /// The body could not be read: the body's own error.
    Io(io::Error),
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::Boundary(problem) => write!(f, "the boundary of the multipart body {problem}"),
            MultipartError::Malformed(problem) => write!(f, "the multipart body is malformed: {problem}"),
            MultipartError::Truncated => write!(f, "the multipart body ends before its closing boundary"),
            MultipartError::OverLimit(limit) => write!(f, "the multipart body {limit}"),
            MultipartError::NotUtf8 => write!(f, "a text field of the multipart body is not UTF-8"),
            MultipartError::Io(error) => write!(f, "cannot read the multipart body: {error}"),
        }
    }
}

impl error::Error for MultipartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            MultipartError::Io(error) => Some(error),
            MultipartError::Boundary(_)
            | MultipartError::Malformed(_)
            | MultipartError::Truncated
            | MultipartError::OverLimit(_)
            | MultipartError::NotUtf8 => None,
        }
    }
}

/// Why [`for_each_part`] stopped.
#[derive(Debug)]
pub enum PartsError<E> {
    /// The body is at fault, or could not be read.
    Body(MultipartError),
    /// The caller's own function gave up.
    Each(E),
}

impl<E: fmt::Display> fmt::Display for PartsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartsError::Body(error) => error.fmt(f),
            PartsError::Each(error) => error.fmt(f),
        }
    }
}

impl<E: error::Error + 'static> error::Error for PartsError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            PartsError::Body(error) => error.source(),
            PartsError::Each(error) => error.source(),
        }
    }
}

impl<E> From<MultipartError> for PartsError<E> {
    fn from(error: MultipartError) -> PartsError<E> {
        PartsError::Body(error)
    }
}

/// What a part says of itself. Names are the client's: unsafe as paths, and any text but control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name, never empty.
    pub name: String,
    /// The file's name as sent, which may be empty (a form whose file was not chosen) or hold directories.
    pub filename: Option<String>,
    /// Whether the part is a file: it has a file name, or a `Content-Type` other than `text/...`.
    pub is_file: bool,
}

/// The boundary of a `multipart/form-data` `Content-Type`; `None` if it is another type.
///
/// # Errors
///
/// [`MultipartError::Boundary`] (inside the `Some`) if the type's parameters cannot be parsed, or the boundary is
/// missing, empty, longer than 70 bytes, ends with a blank, or has characters outside RFC 2046's.
#[must_use]
pub fn boundary(content_type: &str) -> Option<Result<String, MultipartError>> {
    let content_type = content_type.trim_matches([' ', '\t']);
    let essence = content_type.split([';', ' ', '\t']).next().unwrap_or_default();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let Ok(parsed) = content_type.parse::<mime::Mime>() else {
        return Some(Err(MultipartError::Boundary("cannot be parsed")));
    };
    let Some(boundary) = parsed.get_param(mime::BOUNDARY) else {
        return Some(Err(MultipartError::Boundary("is missing")));
    };
    Some(check_boundary(boundary.as_str()).map(|()| boundary.as_str().to_owned()))
}

fn check_boundary(boundary: &str) -> Result<(), MultipartError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let problem = if boundary.is_empty() {
        "is empty"
    } else if boundary.len() > BOUNDARY_BYTES_MAX {
        "is longer than 70 bytes"
    } else if !boundary.bytes().all(allowed) {
        "has a character that is not allowed"
    } else if boundary.ends_with(' ') {
        "ends with a blank"
    } else {
        return Ok(());
    };
    Err(MultipartError::Boundary(problem))
}

/// Reads a text field of at most `limit` bytes.
///
/// # Errors
///
/// [`MultipartError::OverLimit`] if it is longer, [`MultipartError::NotUtf8`] if it is no UTF-8,
/// [`MultipartError::Io`] if it cannot be read ([`for_each_part`] then knows the true reason, and returns that).
pub fn read_text(data: &mut dyn Read, limit: usize) -> Result<String, MultipartError> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    data.take(one_more).read_to_end(&mut bytes).map_err(MultipartError::Io)?;
    if bytes.len() > limit {
        return Err(MultipartError::OverLimit(Limit::TextFieldBytes(limit)));
    }
    String::from_utf8(bytes).map_err(|_| MultipartError::NotUtf8)
}

/// Calls `each` for every part in order. `each` may read all, some or none of the part's data; a read of it fails if
/// the body ends inside the part, so an end of the data is the part's end.
///
/// Returns `Ok` only when the closing delimiter was seen. What follows it is dropped: up to 64 KiB are read, so that the
/// connection can be used again; an error there does not matter any more. After an error, the rest of the body is left
/// unread. What precedes the first delimiter is dropped too.
///
/// The body is read some tens of KiB ahead of `each`. An error further on may therefore end the work on a part, or the
/// whole, before `each` has seen all that precedes the error.
///
/// # Errors
///
/// [`PartsError::Body`] with [`MultipartError::Truncated`] if the body ends before its closing delimiter, `Malformed` or
/// `OverLimit` if it breaks the format or a limit, `Io` with the body's own error, whole, if a read fails;
/// `Boundary` if `boundary` is not one that [`boundary`](fn@boundary) returns. An error of the body counts more than
/// what `each` made of it. Otherwise [`PartsError::Each`] with the error of `each`.
pub fn for_each_part<R: Read, E>(
    mut body: R,
    boundary: &str,
    limits: &PartLimits,
    mut each: impl FnMut(PartHead, &mut dyn Read) -> Result<(), E>,
) -> Result<(), PartsError<E>> {
    check_boundary(boundary)?;
    let seen = Seen::default();
    let mut parts = Multipart::with_body(Guard::new(&mut body, boundary, limits, &seen), format!("\r\n--{boundary}"));
    for count in 1.. {
        // The guard's errors come back in the crate's wrapping; what is left is the crate's own opinion.
        let unreadable = |_| seen.take_fault().unwrap_or(MultipartError::Malformed("a part's header cannot be parsed"));
        let Some(mut part) = parts.read_entry().map_err(unreadable)? else { break };
        if count > limits.parts_max {
            return Err(MultipartError::OverLimit(Limit::Parts(limits.parts_max)).into());
        }
        let (name, filename) = seen.next_names().ok_or(MultipartError::Malformed("a part is out of order"))?;
        let is_file = filename.is_some() || !part.is_text();
        let done = each(PartHead { name, filename, is_file }, &mut part.data);
        if let Some(fault) = seen.take_fault() {
            return Err(fault.into());
        }
        done.map_err(PartsError::Each)?;
    }
    drop(parts);
    drop_epilogue(&mut body);
    Ok(())
}

fn drop_epilogue(body: &mut impl Read) {
    let mut piece = [0; 4096];
    let mut dropped = 0;
    while dropped < EPILOGUE_BYTES_MAX {
        match read_some(body, &mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => dropped += count,
        }
    }
}

/// One read, again if a signal interrupted it.
fn read_some(body: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match body.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A part's name and file name.
type Names = (String, Option<String>);

/// What the guard tells [`for_each_part`] past the crate.
#[derive(Default)]
struct Seen {
    fault: RefCell<Option<MultipartError>>,
    /// Of the parts that the crate has not come to yet: no more than fit into its buffer of 8 KiB.
    names: RefCell<VecDeque<Names>>,
}

impl Seen {
    fn take_fault(&self) -> Option<MultipartError> {
        self.fault.borrow_mut().take()
    }

    fn next_names(&self) -> Option<Names> {
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
struct Guard<'a, R> {
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
    fn new(body: &'a mut R, boundary: &str, limits: &PartLimits, seen: &'a Seen) -> Guard<'a, R> {
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

/// Reads a part's names from its header, a whole one with the empty line.
fn parse_head(head: &[u8], delimiter: &[u8]) -> Result<Names, MultipartError> {
    let head = str::from_utf8(head).map_err(|_| MultipartError::Malformed("a part's header is not UTF-8"))?;
    let mut names = None;
    let mut lines = 0;
    for line in head.trim_end_matches("\r\n").split("\r\n") {
        lines += 1;
        if lines > HEAD_LINES_MAX {
            return Err(MultipartError::OverLimit(Limit::HeadLines(HEAD_LINES_MAX)));
        }
        if delimiter.get(2..).is_some_and(|delimiter| line.as_bytes().starts_with(delimiter)) {
            return Err(MultipartError::Malformed("a part ends inside its header"));
        }
        // The crate takes a lone LF for a line's end, and would see another header than we do.
        if line.contains(['\r', '\n']) {
            return Err(MultipartError::Malformed("a line of a part's header has a CR or LF inside"));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-disposition") && names.replace(parse_disposition(value)?).is_some() {
            return Err(MultipartError::Malformed("a part has two Content-Dispositions"));
        }
    }
    names.ok_or(MultipartError::Malformed("a part has no Content-Disposition"))
}

/// Reads `form-data; name="..."; filename="..."`.
fn parse_disposition(value: &str) -> Result<Names, MultipartError> {
    const BROKEN: MultipartError = MultipartError::Malformed("a part's Content-Disposition cannot be parsed");
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if kind.trim() != "form-data" {
        return Err(MultipartError::Malformed("a part's Content-Disposition is not form-data"));
    }
    let (mut name, mut filename) = (None, None);
    while !rest.trim_start().is_empty() {
        let (key, after_key) = rest.split_once('=').ok_or(BROKEN)?;
        let (text, after_text) = parse_value(after_key).ok_or(BROKEN)?;
        let repeated = match key.trim() {
            "name" => name.replace(text).is_some(),
            "filename" => filename.replace(text).is_some(),
            _ => false,
        };
        if repeated {
            return Err(MultipartError::Malformed("a part has two names or two file names"));
        }
        rest = match after_text.trim_start() {
            "" => "",
            more => more.strip_prefix(';').ok_or(BROKEN)?,
        };
    }
    match name {
        Some(name) if !name.is_empty() => Ok((name, filename)),
        Some(_) | None => Err(MultipartError::Malformed("a part has no name")),
    }
}

/// A parameter's value, quoted or not, and what follows it. `None` if its quotes are not closed.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return Some((value.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            // Old browsers send whole paths and do not double their backslashes: only these two are escaped.
            '\\' if chars.as_str().starts_with(['"', '\\']) => value.extend(chars.next()),
            char => value.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{self, AssertUnwindSafe};

    const BOUNDARY: &str = "boundary";

    /// A generator of numbers (splitmix64).
    #[derive(Clone)]
    struct Rng(u64);

    impl Rng {
        /// The seed of a run: `BATON_SEED`, or this one.
        fn seed() -> u64 {
            std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101)
        }

        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
        }

        fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
            &among[self.below(among.len())]
        }
    }

    /// Delivers `data` in reads of the sizes given, over and over, with interruptions (size 0); then ends or fails.
    struct Pieces<'a> {
        data: &'a [u8],
        sizes: Vec<usize>,
        turn: usize,
        reads_after_end: usize,
        failure: Option<io::Error>,
    }

    impl<'a> Pieces<'a> {
        fn new(data: &'a [u8], sizes: &[usize]) -> Pieces<'a> {
            Pieces { data, sizes: sizes.to_vec(), turn: 0, reads_after_end: 0, failure: None }
        }
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            assert!(!out.is_empty(), "a read without room looks like the end");
            let size = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            if size == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.data.is_empty() {
                self.reads_after_end += 1;
                assert!(self.reads_after_end < 100, "reads on and on after the end");
                return self.failure.take().map_or(Ok(0), Err);
            }
            let room = size.min(out.len());
            self.data.read(&mut out[..room])
        }
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Part {
        head: PartHead,
        data: Vec<u8>,
    }

    fn field(name: &str, data: &[u8]) -> Part {
        let head = PartHead { name: name.to_owned(), filename: None, is_file: false };
        Part { head, data: data.to_owned() }
    }

    fn file(name: &str, filename: &str, data: &[u8]) -> Part {
        let head = PartHead { name: name.to_owned(), filename: Some(filename.to_owned()), is_file: true };
        Part { head, data: data.to_owned() }
    }

    fn body_of(parts: &[Part], boundary: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for Part { head, data } in parts {
            let name = &head.name;
            body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
            if let Some(filename) = &head.filename {
                body.extend(format!("; filename=\"{filename}\"\r\nContent-Type: application/octet-stream").bytes());
            }
            body.extend(b"\r\n\r\n");
            body.extend(data);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        body
    }

    type Parsed = Result<Vec<Part>, PartsError<io::Error>>;

    /// All parts, read whole.
    fn parse_from(body: impl Read, boundary: &str) -> Parsed {
        let mut parts = Vec::new();
        for_each_part(body, boundary, &PartLimits::default(), |head, data| {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            parts.push(Part { head, data: bytes });
            Ok(())
        })?;
        Ok(parts)
    }

    fn parse(body: impl AsRef<[u8]>) -> Parsed {
        parse_from(body.as_ref(), BOUNDARY)
    }

    fn complaint(result: Parsed) -> String {
        result.expect_err("should be refused").to_string()
    }

    fn is_truncated<T, E>(result: &Result<T, PartsError<E>>) -> bool {
        matches!(result, Err(PartsError::Body(MultipartError::Truncated)))
    }

    #[test]
    fn boundaries_are_read_from_the_content_type() {
        let longest = "b".repeat(70);
        for (content_type, expected) in [
            ("multipart/form-data; boundary=abc", "abc"),
            ("multipart/form-data;boundary=aBc", "aBc"),
            ("Multipart/Form-Data; Boundary=aBc", "aBc"),
            (" multipart/form-data; charset=utf-8; boundary=\"a b:c/d=e?\" ", "a b:c/d=e?"),
            ("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", "----WebKitFormBoundary7MA4YWxk"),
            (
                "multipart/form-data; boundary=------------------------c616e5fded96a3c7",
                "------------------------c616e5fded96a3c7",
            ),
            (&format!("multipart/form-data; boundary={longest}"), &longest),
        ] {
            assert_eq!(boundary(content_type).unwrap().unwrap(), expected, "{content_type}");
        }
        for other in [
            "",
            "multipart",
            "multipart/mixed; boundary=abc",
            "multipart/form-datas; boundary=a",
            "text/plain",
            "form-data",
        ] {
            assert!(boundary(other).is_none(), "{other}");
        }
        for (content_type, problem) in [
            ("multipart/form-data", "is missing"),
            ("multipart/form-data; charset=utf-8", "is missing"),
            ("multipart/form-data; boundary=\"\"", "cannot be parsed"),
            ("multipart/form-data; boundary=", "is empty"),
            ("multipart/form-data; boundary=\"a \"", "ends with a blank"),
            ("multipart/form-data; boundary=\"a{b\"", "has a character that is not allowed"),
            ("multipart/form-data; boundary=ä", "cannot be parsed"),
            ("multipart/form-data; boundary=\"a", "cannot be parsed"),
            (&format!("multipart/form-data; boundary={longest}b"), "is longer than 70 bytes"),
        ] {
            let error = boundary(content_type).unwrap().unwrap_err();
            assert_eq!(error.to_string(), format!("the boundary of the multipart body {problem}"), "{content_type}");
        }
        let unchecked = parse_from(&b"--\r\n--"[..], "\r\n");
        assert!(matches!(unchecked, Err(PartsError::Body(MultipartError::Boundary(_)))));
    }

    #[test]
    fn parts_come_in_order_with_their_heads() {
        let body = "preamble, to be ignored\r\n\
            --boundary\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nsecret\r\n\
            --boundary\r\ncontent-disposition:form-data;name=plain ; x=y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\r\n\
            --boundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\
            Content-Type: application/octet-stream\r\n\r\nPK\r\n\r\n\
            --boundary\r\nContent-Disposition: form-data; name=\"json\"\r\nContent-Type: application/json\r\n\r\n{}\r\n\
            --boundary--\r\nepilogue\r\n--boundary\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\n\r\n--boundary--";
        let mut json = field("json", b"{}");
        json.head.is_file = true;
        let expected = [field("token", b"secret"), field("plain", b""), file("file", "a.zip", b"PK\r\n"), json];
        assert_eq!(parse(body).unwrap(), expected);
        for size in [1, 2, 3, 7, 100] {
            assert_eq!(parse_from(Pieces::new(body.as_bytes(), &[size, 0]), BOUNDARY).unwrap(), expected);
        }
    }

    #[test]
    fn names_are_what_the_client_meant() {
        let check = |parameters: &str, name: &str, filename: Option<&str>| {
            let body = format!("--boundary\r\nContent-Disposition: form-data; {parameters}\r\n\r\n\r\n--boundary--");
            let part = &parse(body).unwrap()[0];
            assert_eq!((part.head.name.as_str(), part.head.filename.as_deref()), (name, filename), "{parameters}");
            assert_eq!(part.head.is_file, filename.is_some(), "{parameters}");
        };
        check(r#"name="file"; filename="""#, "file", Some(""));
        check(r#"name="file"; filename="a;b.zip""#, "file", Some("a;b.zip"));
        check(r#"filename="a"; name="file""#, "file", Some("a"));
        check(r#"name="file"; filename="say \"a\\b\".zip""#, "file", Some(r#"say "a\b".zip"#));
        check(r#"name="file"; filename="C:\dir\a.zip""#, "file", Some(r"C:\dir\a.zip"));
        check(r#"name="Größe"; filename="日本.zip""#, "Größe", Some("日本.zip"));
        check(r#"name="file"; filename=../../etc/passwd;"#, "file", Some("../../etc/passwd"));
        check(r#"name="file"; filename*=utf-8''a"#, "file", None);
        check(r#"name=file; filename=a name.zip"#, "file", Some("a name.zip"));
    }

    #[test]
    fn broken_heads_are_refused() {
        let check = |head: &str, problem: &str| {
            let body = format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--");
            assert_eq!(complaint(parse(body)), format!("the multipart body {problem}"), "{head:?}");
        };
        check("", "is malformed: a part has no header");
        check("Content-Type: text/plain", "is malformed: a part has no Content-Disposition");
        check("Content-Disposition: form-data", "is malformed: a part has no name");
        check("Content-Disposition: form-data; filename=\"x\"", "is malformed: a part has no name");
        check("Content-Disposition: form-data; name=\"\"", "is malformed: a part has no name");
        check(
            "Content-Disposition: attachment; name=\"x\"",
            "is malformed: a part's Content-Disposition is not form-data",
        );
        check("Content-Disposition: form-data; name", "is malformed: a part's Content-Disposition cannot be parsed");
        check(
            "Content-Disposition: form-data; name=\"x",
            "is malformed: a part's Content-Disposition cannot be parsed",
        );
        check(
            "Content-Disposition: form-data; name=\"x\"y",
            "is malformed: a part's Content-Disposition cannot be parsed",
        );
        check(
            "Content-Disposition: form-data; name=\"x\"; name=\"y\"",
            "is malformed: a part has two names or two file names",
        );
        let good = "Content-Disposition: form-data; name=\"x\"";
        check(&format!("{good}\r\n{good}"), "is malformed: a part has two Content-Dispositions");
        check(&format!("{good}\r\nContent-Type: nonsense"), "is malformed: a part's header cannot be parsed");
        check(&format!("{good}\r\nno colon"), "is malformed: a part's header cannot be parsed");
        check(&format!("{good}\r\n folded: x"), "is malformed: a part's header cannot be parsed");
        check(&format!("{good}\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
        check(&format!("{good}\n\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
        check(&format!("{good}\r\n--boundary"), "is malformed: a part ends inside its header");
        check(&format!("{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4"), "has a part with more than 4 header lines");
        let four = format!("--boundary\r\n{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n--boundary--");
        assert_eq!(parse(four).unwrap(), [field("x", b"")]);
        let mut latin = b"--boundary\r\nContent-Disposition: form-data; name=\"\xe4\"\r\n\r\n\r\n--boundary--".to_vec();
        assert_eq!(complaint(parse(&latin)), "the multipart body is malformed: a part's header is not UTF-8");
        latin.retain(u8::is_ascii);
        assert!(complaint(parse(&latin)).ends_with("a part has no name"));
    }

    #[test]
    fn stray_delimiters_are_refused() {
        let problem = "the multipart body is malformed: a boundary is followed by neither CRLF nor --";
        let good = "Content-Disposition: form-data; name=\"x\"\r\n\r\n";
        for body in [
            "--boundaryX--".to_owned(),
            format!("--boundary \r\n{good}\r\n--boundary--"),
            format!("--boundary\r\n{good}\r\n--boundary-X\r\n--boundary--"),
            format!("--boundary\r\n{good}--boundaryX\r\n--boundary--"),
            format!("--boundary\n{good}\r\n--boundary--"),
        ] {
            assert_eq!(complaint(parse(&body)), problem, "{body:?}");
        }
    }

    #[test]
    fn odd_but_whole_bodies_are_read() {
        assert_eq!(parse("--boundary--").unwrap(), []);
        assert_eq!(parse("\r\n--boundary--").unwrap(), []);
        // The empty line's CRLF is the delimiter's too: a part without data, by the letter of RFC 2046.
        let head = "Content-Disposition: form-data; name=\"x\"\r\n\r\n";
        let body = format!("--boundary\r\n{head}--boundary\r\n{head}--boundary--");
        assert_eq!(parse(body).unwrap(), [field("x", b""), field("x", b"")]);
    }

    #[test]
    fn content_arrives_to_the_byte() {
        for content in [
            "",
            "\r",
            "\n",
            "\r\n",
            "\n\r",
            "\r\r\n",
            "\r\n\r\n",
            "\r\n\r",
            "-",
            "--",
            "\r\n-",
            "\r\n--",
            "\r\n--\r\n",
            "\r\n--bound",
            "\r\n--boundar",
            "\r\n--boundar\r\n",
            "\r\n--boundarX",
            "\r\r\n--boundar",
            "\r\n--\r\n--boundar",
            "--bound",
            "x--boundary--",
            "x--boundary\r\n",
            "x--boundary",
            "\n--boundary--\r\n",
            "\r--boundary--",
            " --boundary",
            "\r\n--Boundary--",
            "\r\n- -boundary--",
            "\r\n\r\n--",
            "--\r\n--",
            "--\r\n",
            "x\r\n--\r\n--\r\n--\r\n",
            "boundary",
            "boundary--",
        ] {
            let parts = [field("a", content.as_bytes()), file("b", "x", content.as_bytes()), field("c", b"")];
            let body = body_of(&parts, BOUNDARY);
            for size in 1..body.len() {
                let result = parse_from(Pieces::new(&body, &[size]), BOUNDARY);
                assert_eq!(result.unwrap(), parts, "{content:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn ends_of_lines_around_the_edges_of_buffers_arrive_to_the_byte() {
        for middle in ["\r", "\n", "\r\n", "\r\n--boundar", "--boundary"] {
            for at in (8190..=8194).chain(8050..8150).chain([16_382, 16_383, 16_384]) {
                let mut content = vec![b'x'; at];
                content.extend(middle.bytes());
                for after in [0, 1, 3000] {
                    content.resize(at + middle.len() + after, b'z');
                    let parts = [file("file", "x", &content), field("z", b"")];
                    assert_eq!(
                        parse(body_of(&parts, BOUNDARY)).unwrap(),
                        parts,
                        "{middle:?} at {at}, {after} bytes after"
                    );
                }
            }
        }
    }

    /// Contents that hurt: mostly CR, LF, dashes and parts of delimiters.
    fn random_content(rng: &mut Rng, boundary: &str) -> Vec<u8> {
        let bytes_max = *rng.pick(&[0, 3, 30, 300, 9000, 9000]);
        let bytes = rng.below(bytes_max + 1);
        let mut content = Vec::new();
        let filler = rng.below(4);
        while content.len() < bytes {
            match rng.below(8) {
                0 => content.push(b'\r'),
                1 => content.push(b'\n'),
                2 => content.extend(b"\r\n"),
                3 => content.extend_from_slice(rng.pick::<&[u8]>(&[b"-", b"--", b"\r\n--", b"--\r\n--"])),
                4 => {
                    let look_alike = format!("\r\n--{boundary}");
                    let skipped = rng.below(3);
                    content.extend(look_alike.bytes().skip(skipped).take(rng.below(look_alike.len() - skipped + 1)));
                }
                _ if filler == 0 => content.push(rng.next().to_le_bytes()[0]),
                _ => content.extend(vec![b'x'; rng.below(1 << (4 * filler))]),
            }
        }
        content.truncate(bytes);
        // The one thing that no content may hold.
        let delimiter = format!("\r\n--{boundary}");
        while let Some(at) = memmem::find(&content, delimiter.as_bytes()) {
            content[at] = b'.';
        }
        if content.starts_with(&delimiter.as_bytes()[2..]) {
            content[0] = b'.';
        }
        content
    }

    fn random_parts(rng: &mut Rng, boundary: &str) -> Vec<Part> {
        (0..=rng.below(3))
            .map(|i| match rng.below(2) {
                0 => field(&format!("f{i}"), &random_content(rng, boundary)),
                _ => file("file", "a.zip", &random_content(rng, boundary)),
            })
            .collect()
    }

    fn random_sizes(rng: &mut Rng) -> Vec<usize> {
        let size_max = *rng.pick(&[1, 10, 100, 1000, 10_000, 20_000]);
        let mut sizes: Vec<usize> = (0..=rng.below(7)).map(|_| rng.below(size_max + 1)).collect();
        sizes.push(1 + size_max);
        sizes
    }

    const BOUNDARIES: [&str; 4] = ["b", "--", BOUNDARY, "------------------------c616e5fded96a3c7"];

    #[test]
    fn random_uploads_arrive_to_the_byte_however_they_are_split_and_read() {
        let seed = Rng::seed();
        let mut rng = Rng(seed);
        for case in 0..4000 {
            let boundary = *rng.pick(&BOUNDARIES);
            let parts = random_parts(&mut rng, boundary);
            let body = body_of(&parts, boundary);
            let pieces = Pieces::new(&body, &random_sizes(&mut rng));
            let mut seen = 0;
            let result = for_each_part(pieces, boundary, &PartLimits::default(), |head, data| {
                let expected = &parts[seen];
                seen += 1;
                assert_eq!(head, expected.head, "BATON_SEED={seed}, case {case}");
                // All of it, at once or in pieces; or some; or nothing.
                let wanted = if rng.below(3) == 0 { rng.below(expected.data.len() + 1) } else { usize::MAX };
                let room_max = *rng.pick(&[50, 9000, 9000]);
                let mut room = vec![0; 1 + rng.below(room_max)];
                let mut got = Vec::new();
                while got.len() < wanted {
                    match data.read(&mut room)? {
                        0 => break,
                        count => got.extend_from_slice(&room[..count]),
                    }
                }
                let expected = if wanted == usize::MAX { &expected.data[..] } else { &expected.data[..got.len()] };
                assert!(
                    got == expected,
                    "BATON_SEED={seed}, case {case}, part {seen}: {} of {} bytes",
                    got.len(),
                    expected.len()
                );
                Ok::<(), io::Error>(())
            });
            assert!(result.is_ok(), "BATON_SEED={seed}, case {case}: {result:?}");
            assert_eq!(seen, parts.len(), "BATON_SEED={seed}, case {case}");
        }
    }

    /// Cuts `body` after `bytes`; says what came of it, having checked that no part seemed whole that was not.
    fn parse_cut(
        body: &[u8],
        bytes: usize,
        sizes: &[usize],
        parts: &[Part],
        reads: bool,
    ) -> Result<(), PartsError<io::Error>> {
        let mut seen = 0;
        for_each_part(Pieces::new(&body[..bytes], sizes), BOUNDARY, &PartLimits::default(), |head, data| {
            let expected = &parts[seen];
            seen += 1;
            assert_eq!(head, expected.head, "cut at {bytes}");
            let mut got = Vec::new();
            if reads && data.read_to_end(&mut got).is_ok() {
                assert_eq!(got, expected.data, "cut at {bytes}: a part that was cut off seemed whole");
            }
            Ok(())
        })
    }

    #[test]
    fn a_body_without_its_closing_delimiter_is_truncated_wherever_it_is_cut() {
        let parts =
            [field("a", b"one\r\n"), file("b", "x", b""), file("c", "y", b"--bound\r\n--boundar"), field("d", b"4")];
        let body = body_of(&parts, BOUNDARY);
        for bytes in 0..=body.len() {
            for sizes in [&[1][..], &[7, 2], &[100_000]] {
                for reads in [true, false] {
                    let result = parse_cut(&body, bytes, sizes, &parts, reads);
                    // Only the CRLF after the closing delimiter may be missing.
                    if bytes < body.len() - 2 {
                        assert!(is_truncated(&result), "cut at {bytes} of {}: {result:?}", body.len());
                    } else {
                        assert!(result.is_ok(), "cut at {bytes} of {}: {result:?}", body.len());
                    }
                }
            }
        }
    }

    #[test]
    fn a_large_body_that_is_cut_off_is_truncated() {
        let seed = Rng::seed();
        let mut rng = Rng(seed);
        for _ in 0..300 {
            let parts = random_parts(&mut rng, BOUNDARY);
            let body = body_of(&parts, BOUNDARY);
            let bytes = rng.below(body.len() - 2);
            let sizes = random_sizes(&mut rng);
            let result = parse_cut(&body, bytes, &sizes, &parts, rng.below(2) == 0);
            assert!(is_truncated(&result), "BATON_SEED={seed}, cut at {bytes} of {}: {result:?}", body.len());
        }
    }

    #[test]
    fn an_error_of_the_body_is_handed_on_whole() {
        let body = body_of(&[field("a", b"1"), file("b", "x", &[b'x'; 5000])], BOUNDARY);
        for kind in [
            io::ErrorKind::TimedOut,
            io::ErrorKind::InvalidData,
            io::ErrorKind::WouldBlock,
            io::ErrorKind::UnexpectedEof,
        ] {
            for bytes in [0, 5, 30, 60, 100, 1000, body.len() - 3] {
                for reads in [true, false] {
                    let mut pieces = Pieces::new(&body[..bytes], &[64]);
                    pieces.failure = Some(io::Error::new(kind, "the body's own words"));
                    let result = for_each_part(pieces, BOUNDARY, &PartLimits::default(), |_, data| {
                        let mut got = Vec::new();
                        if reads && let Err(error) = data.read_to_end(&mut got) {
                            assert_eq!(error.kind(), kind);
                            assert_eq!(data.read(&mut [0]).unwrap_err().kind(), kind, "an error does not go away");
                            return Err("what the caller makes of it");
                        }
                        Ok(())
                    });
                    let Err(PartsError::Body(MultipartError::Io(error))) = result else {
                        panic!("{kind:?} after {bytes} bytes: {result:?}");
                    };
                    assert_eq!((error.kind(), error.to_string().as_str()), (kind, "the body's own words"));
                }
            }
        }
    }

    #[test]
    fn an_error_that_the_caller_swallows_still_counts() {
        let body = body_of(&[file("b", "x", &[b'x'; 5000])], BOUNDARY);
        let result = for_each_part(&body[..3000], BOUNDARY, &PartLimits::default(), |_, data| {
            let _ = io::copy(data, &mut io::sink());
            Ok::<(), ()>(())
        });
        assert!(is_truncated(&result), "{result:?}");
    }

    #[test]
    fn the_callers_error_ends_the_work() {
        let body = body_of(&[field("a", b"1"), field("b", b"2"), field("c", b"3")], BOUNDARY);
        let mut calls = 0;
        let result = for_each_part(&body[..], BOUNDARY, &PartLimits::default(), |head, _| {
            calls += 1;
            if head.name == "b" { Err("no b, please") } else { Ok(()) }
        });
        assert!(matches!(result, Err(PartsError::Each("no b, please"))), "{result:?}");
        assert_eq!(calls, 2);
    }

    #[test]
    fn limits_are_exact() {
        let parts = vec![field("x", b"1"); 65];
        assert_eq!(parse(body_of(&parts[..64], BOUNDARY)).unwrap().len(), 64);
        assert_eq!(complaint(parse(body_of(&parts, BOUNDARY))), "the multipart body has more than 64 parts");

        // `--boundary`, CRLF and the closing delimiter apart, the body is one header.
        let head_bytes = body_of(&[field("", b"")], BOUNDARY).len() - "--boundary\r\n\r\n--boundary--\r\n".len();
        let limits = PartLimits { head_bytes_max: usize::MAX, ..PartLimits::default() };
        for (bytes, sizes) in
            [(900, [1, 1]), (900, [1030, 1]), (900, [100_000, 1]), (901, [1, 1]), (901, [100_000, 1]), (9000, [500, 1])]
        {
            let name = "n".repeat(bytes - head_bytes);
            for before in (0..1100).step_by(50) {
                let parts = [field("x", &vec![b'x'; before]), field(&name, b"data")];
                let body = body_of(&parts, BOUNDARY);
                let result = for_each_part(Pieces::new(&body, &sizes), BOUNDARY, &limits, |_, _| Ok::<(), ()>(()));
                let refused = matches!(result, Err(PartsError::Body(MultipartError::OverLimit(Limit::HeadBytes(900)))));
                assert!(if bytes > 900 { refused } else { result.is_ok() }, "{bytes} bytes after {before}: {result:?}");
            }
        }
        let limits = PartLimits { head_bytes_max: 40, ..PartLimits::default() };
        let result =
            for_each_part(&body_of(&[field("x", b"")], BOUNDARY)[..], BOUNDARY, &limits, |_, _| Ok::<(), ()>(()));
        assert!(matches!(result, Err(PartsError::Body(MultipartError::OverLimit(Limit::HeadBytes(40))))), "{result:?}");
    }

    #[test]
    fn text_is_utf8_within_its_limit() {
        let read = |text: &[u8], limit| read_text(&mut &*text, limit).map_err(|error| error.to_string());
        assert_eq!(read(b"", 0).unwrap(), "");
        assert_eq!(read("größe".as_bytes(), 7).unwrap(), "größe");
        assert_eq!(read("größe".as_bytes(), 6).unwrap_err(), "the multipart body has a text field longer than 6 bytes");
        assert_eq!(read(b"\xff", 7).unwrap_err(), "a text field of the multipart body is not UTF-8");
        let endless = read_text(&mut io::repeat(b'x'), 64 * 1024);
        assert!(matches!(endless, Err(MultipartError::OverLimit(Limit::TextFieldBytes(65_536)))));
    }

    /// Counts what is read of it.
    struct Counted<R>(R, usize);

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(out)?;
            self.1 += count;
            Ok(count)
        }
    }

    #[test]
    fn what_follows_the_closing_delimiter_is_read_and_dropped_within_a_bound() {
        let body = body_of(&[field("a", b"1")], BOUNDARY);
        for (epilogue, all_read) in [(0, true), (1, true), (50_000, true), (1_000_000, false)] {
            let mut counted = Counted(body.chain(io::repeat(b'\r').take(epilogue)), 0);
            parse_from(&mut counted, BOUNDARY).unwrap();
            let total = body.len() + usize::try_from(epilogue).unwrap();
            assert_eq!(counted.1 == total, all_read, "{} of {total}", counted.1);
            assert!(counted.1 < 100_000);
        }
        let mut failing = Pieces::new(&body, &[100_000]);
        failing.failure = Some(io::ErrorKind::TimedOut.into());
        assert!(parse_from(failing, BOUNDARY).is_ok());
    }

    #[test]
    fn no_read_of_the_crate_splits_crlf_or_a_delimiter() {
        let seed = Rng::seed();
        let mut rng = Rng(seed);
        for _ in 0..500 {
            let parts = random_parts(&mut rng, BOUNDARY);
            let body = body_of(&parts, BOUNDARY);
            let mut body = Pieces::new(&body, &random_sizes(&mut rng));
            let (mut delimiters, mut ended_with_cr) = (0, false);
            let told = Seen::default();
            let mut guard = Guard::new(&mut body, BOUNDARY, &PartLimits::default(), &told);
            let room = *rng.pick(&[2, 3, 10, 1024, 8192]);
            let mut room = vec![0; room];
            loop {
                let count = guard.read(&mut room).unwrap();
                let Some(last) = room[..count].last() else { break };
                let splits = ended_with_cr && room.first() == Some(&b'\n');
                assert!(!splits, "BATON_SEED={seed}, room {}", room.len());
                ended_with_cr = *last == b'\r';
                delimiters += usize::from(room[..count].starts_with(b"\r\n--\r\n--boundary"));
            }
            // The crate has room for 1024 bytes at least.
            assert!(room.len() < 1024 || delimiters == parts.len() + 1, "BATON_SEED={seed}, room {}", room.len());
        }
    }

    #[test]
    fn nothing_is_read_far_ahead_of_the_caller() {
        let mut head = body_of(&[file("a", "x", b"")], BOUNDARY);
        head.truncate(head.len() - "\r\n--boundary--\r\n".len());
        let mut counted = Counted(head.chain(io::repeat(b'x')), 0);
        let result = for_each_part(&mut counted, BOUNDARY, &PartLimits::default(), |_, data| {
            io::copy(&mut data.take(1_000_000), &mut io::sink()).unwrap();
            Err(())
        });
        assert!(matches!(result, Err(PartsError::Each(()))));
        assert!((1_000_000..1_050_000).contains(&counted.1), "{}", counted.1);
    }

    #[test]
    fn no_body_makes_it_panic_or_go_on_for_ever() {
        const WORDS: [&[u8]; 14] = [
            b"\r",
            b"\n",
            b"\r\n",
            b"\r\n\r\n",
            b"-",
            b"--",
            b"--b",
            b"\r\n--b",
            b"\r\n--b\r\n",
            b"\r\n--b--",
            b"b",
            b"\"",
            b"\0\xff\xc3",
            b"Content-Disposition: form-data; name=\"x\"; filename=\"y\"\r\nContent-Type: a/b\r\n\r\n",
        ];
        let seed = Rng::seed();
        let mut rng = Rng(seed);
        let mut good = 0;
        for case in 0..6000 {
            let mut body = Vec::new();
            if case % 2 == 0 {
                (0..rng.below(40)).for_each(|_| body.extend_from_slice(rng.pick::<&[u8]>(&WORDS)));
            } else {
                body = body_of(&random_parts(&mut rng, "b"), "b");
            }
            for _ in 0..rng.below(4) {
                let at = rng.below(body.len() + 1);
                let end = (at + rng.below(30)).min(body.len());
                match rng.below(3) {
                    0 => drop(body.splice(at..at, rng.pick(&WORDS).iter().copied())),
                    1 => drop(body.drain(at..end)),
                    _ => body[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.below(8)),
                }
            }
            let pieces = Pieces::new(&body, &random_sizes(&mut rng));
            let result = panic::catch_unwind(AssertUnwindSafe(|| parse_from(pieces, "b")));
            assert!(result.is_ok(), "BATON_SEED={seed}, case {case}");
            good += usize::from(result.is_ok_and(|parsed| parsed.is_ok()));
        }
        assert!(good > 500, "{good} bodies were good: the others alone test little");
    }

    #[test]
    fn messages_repeat_nothing_of_the_body() {
        let error = PartsError::<io::Error>::from(MultipartError::Io(io::Error::from(io::ErrorKind::TimedOut)));
        assert_eq!(error.to_string(), "cannot read the multipart body: timed out");
        assert!(error::Error::source(&error).is_some());
        let body = b"--boundary\r\nContent-Disposition: form-data; name=\"x\"\r\nhunter2\r\n\r\n\r\n--boundary--";
        assert!(!complaint(parse(body)).contains("hunter2"));
    }
}
