//! Bodies of `multipart/form-data` (RFC 7578): uploads and forms, part by part, in constant memory.
//!
//! What must stay true:
//!
//! * a part's data arrives to the byte, whatever it looks like and however the network splits it;
//! * success means that the closing delimiter `--boundary--` was seen. A chunked body that is cut off ends like a whole
//!   one, so the body's end proves nothing;
//! * no part and no number of parts makes us hold more than a few tens of KiB, or than one read of a caller has room for.
//!
//! The `multipart` crate walks the parts and reads their headers. A guard stands between the body and the crate
//! (0.18), because of what the crate does otherwise:
//!
//! * it takes `--boundary` for a delimiter in the middle of a line too. So it is told the boundary `\r\n--boundary`,
//!   which no content can hold, and the guard writes `\r\n--` before each delimiter;
//! * it delivers the CRLF before a delimiter as data when its buffer ends between the two, and searches and copies all
//!   data once more, 8 KiB at a time. So data goes past it, and each read of its is a whole delimiter or header;
//! * a part that is cut off ends like a whole one. So a body without its closing delimiter ends with an error;
//! * a part's header of more than some 900 bytes is read or refused depending on how reads were split. So it gets the
//!   header without its names, and the guard sees to it that longer ones are always refused;
//! * it cuts a file name at `;`, keeps backslashes, knows no `filename*`, and finds `name=` inside `filename=`. So names
//!   are read here.
//!
//! Absent on purpose: nested multiparts, transfer encodings, lines that end with LF alone, blanks after a
//! delimiter. No client of ours sends them; the first two are passed through, the others are errors.

mod guard;
mod head;
#[cfg(test)]
mod tests;

use crate::limits::EPILOGUE_BYTES_MAX;
use guard::{Guard, Outline, PartData};
use multipart::server::Multipart;
use std::cell::RefCell;
use std::io::{self, Read};
use std::{error, fmt};

/// Longest boundary, in bytes (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// Limits on what a multipart body may make us allocate or do. A part's data is limited by whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Most parts of a body, read or not.
    pub parts_max: usize,
    /// Most bytes of a part's header lines, with the empty line after them. Values above
    /// [`PartLimits::HEAD_BYTES_MAX`] count as that.
    pub head_bytes_max: usize,
}

impl PartLimits {
    /// The longest header of a part, in bytes. Names that are longer than any file's fit: they are cut, not refused.
    pub const HEAD_BYTES_MAX: usize = 8 << 10;
}

impl Default for PartLimits {
    fn default() -> PartLimits {
        PartLimits { parts_max: 64, head_bytes_max: PartLimits::HEAD_BYTES_MAX }
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
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Parts(max) => write!(f, "has more than {max} parts"),
            Limit::HeadBytes(max) => write!(f, "has a part whose header is longer than {max} bytes"),
            Limit::HeadLines(max) => write!(f, "has a part with more than {max} header lines"),
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
            | MultipartError::OverLimit(_) => None,
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

/// Calls `each` for every part in order. `each` may read all, some or none of the part's data; a read of it fails if
/// the body ends inside the part, so an end of the data is the part's end.
///
/// Returns `Ok` only when the closing delimiter was seen. What follows it is dropped: up to 64 KiB are read, so that the
/// connection can be used again; an error there does not matter any more. After an error, the rest of the body is left
/// unread. What precedes the first delimiter is dropped too.
///
/// The body is read ahead of `each` by at most 16 KiB, or by what a single read of its has room for. A reader with more
/// room than that gets the data without a copy.
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
    let guard = RefCell::new(Guard::new(&mut body, boundary, limits));
    let mut parts = Multipart::with_body(Outline(&guard), format!("\r\n--{boundary}"));
    for count in 1.. {
        // The guard's errors come back in the crate's wrapping; what is left is the crate's own opinion.
        let opinion = MultipartError::Malformed("a part's header cannot be parsed");
        let unreadable = |_| guard.borrow_mut().take_fault().unwrap_or(opinion);
        let Some(part) = parts.read_entry().map_err(unreadable)? else { break };
        if count > limits.parts_max {
            return Err(MultipartError::OverLimit(Limit::Parts(limits.parts_max)).into());
        }
        let names = guard.borrow_mut().take_names();
        let (name, filename) = names.ok_or(MultipartError::Malformed("a part is out of order"))?;
        let is_file = filename.is_some() || !part.is_text();
        let done = each(PartHead { name, filename, is_file }, &mut PartData(&guard));
        let mut guard = guard.borrow_mut();
        if let Some(fault) = guard.take_fault() {
            return Err(fault.into());
        }
        done.map_err(PartsError::Each)?;
        guard.skip_data()?;
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
