//! A JSON object, member by member, in constant memory.
//!
//! serde_json builds each key, and each text that is asked for, in memory before anybody can say how long it may be.
//! So objects, lists and texts are read here, as RFC 8259 has them; numbers and words are left to serde_json. The tests
//! compare both on random input.

use super::{Count, DEEPER, Given, NAME_BYTES_MAX, Name, Sink, body_error, read_name};
use crate::error::{Error, Kind, Result};
use crate::limits::JSON_DEPTH_MAX;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::mem;

/// Bytes of a number or a word.
const SCALAR_BYTES_MAX: usize = 128;

/// Hands each member of the object to `sink`; those of its members, and items, when they are wanted. A body of blanks
/// has none.
pub fn read(body: &mut impl BufRead, sink: &mut dyn Sink) -> Result<()> {
    let mut json = Json { body, count: Count::default(), at: 0, fault: None, path: Path::default() };
    match json.next()? {
        None => return Ok(()),
        Some(b'{') => json.members(Wanted::Parameters, 1, sink)?,
        Some(_) => return Err(Error::invalid("the JSON body must be an object")),
    }
    match json.next()? {
        None => Ok(()),
        Some(_) => Err(json.malformed()),
    }
}

struct Json<'a, B> {
    body: &'a mut B,
    count: Count,
    /// Bytes read.
    at: u64,
    /// What is wrong with the text that is being read.
    fault: Option<Error>,
    /// Where the value is that is being read, if it is wanted.
    path: Path,
}

/// The name of a value, in one piece of memory for all of them: a runner of today sends dozens with each question.
#[derive(Default)]
struct Path {
    text: String,
    /// Bytes of the parameter's name, when `text` goes on to a place in it.
    outer_bytes: Option<usize>,
}

impl Path {
    fn name(&self) -> Name<'_> {
        match self.outer_bytes.and_then(|bytes| self.text.split_at_checked(bytes)) {
            Some((outer, inner)) => Name { outer, inner: Some(inner) },
            None => Name { outer: &self.text, inner: None },
        }
    }
}

/// Whether the members of an object are wanted, and what they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    No,
    /// Parameters.
    Parameters,
    /// Places in what the path names.
    Places,
}

impl<B: BufRead> Json<'_, B> {
    fn malformed(&self) -> Error {
        Error::invalid(format!("the body is not JSON: byte {}", self.at))
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.body.fill_buf().map_err(body_error)?.first().copied())
    }

    fn consume(&mut self, bytes: usize) {
        self.body.consume(bytes);
        self.at += bytes as u64;
    }

    /// The next byte that is no blank, not read yet.
    #[inline]
    fn next(&mut self) -> Result<Option<u8>> {
        loop {
            let held = self.body.fill_buf().map_err(body_error)?;
            match held.first() {
                // Machines write none.
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.consume(1),
                byte => return Ok(byte.copied()),
            }
        }
    }

    /// Reads the next byte that is no blank, if it is this one.
    fn skip(&mut self, byte: u8) -> Result<bool> {
        let is_next = self.next()? == Some(byte);
        if is_next {
            self.consume(1);
        }
        Ok(is_next)
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.skip(byte)? { Ok(()) } else { Err(self.malformed()) }
    }

    /// An object's members, passed over unless they are wanted.
    fn members(&mut self, wanted: Wanted, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.expect(b'{')?;
        if self.skip(b'}')? {
            return Ok(());
        }
        let (begin, outer_bytes) = (self.path.text.len(), self.path.outer_bytes);
        loop {
            if self.next()? != Some(b'"') {
                return Err(self.malformed());
            }
            if wanted == Wanted::Places {
                match outer_bytes {
                    None => self.path.outer_bytes = Some(begin),
                    Some(_) => self.path.text.push_str(DEEPER),
                }
            }
            let is_name = self.key()?;
            self.expect(b':')?;
            self.value(is_name && wanted != Wanted::No, depth, sink)?;
            self.path.text.truncate(begin);
            self.path.outer_bytes = outer_bytes;
            if !self.skip(b',')? {
                return self.expect(b'}');
            }
        }
    }

    /// Reads a member's key to the end of the path. False: it is longer than any that is known.
    fn key(&mut self) -> Result<bool> {
        if let Some(bytes) = self.held_text()?.filter(|bytes| *bytes as u64 <= NAME_BYTES_MAX) {
            let held = self.body.fill_buf().map_err(body_error)?;
            let key = held.get(1..=bytes).unwrap_or_default();
            match std::str::from_utf8(key) {
                Ok(key) => self.path.text.push_str(key),
                Err(_) => self.path.text.push_str(&String::from_utf8_lossy(key)),
            }
            self.consume(bytes + 2);
            return Ok(true);
        }
        let key = self.text(|text| read_name(text))?;
        self.path.text.push_str(key.as_deref().unwrap_or_default());
        Ok(key.is_some())
    }

    fn items(&mut self, wanted: bool, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.expect(b'[')?;
        if self.skip(b']')? {
            return Ok(());
        }
        // Items have no name of their own; a list in an object is none that is wanted.
        let outer_bytes = self.path.outer_bytes.replace(self.path.text.len());
        loop {
            self.value(wanted, depth, sink)?;
            if !self.skip(b',')? {
                self.path.outer_bytes = outer_bytes;
                return self.expect(b']');
            }
        }
    }

    /// A value; one that is not wanted is passed over.
    fn value(&mut self, wanted: bool, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.count.one_more()?;
        let first = self.next()?;
        if matches!(first, Some(b'{' | b'[')) && depth >= JSON_DEPTH_MAX {
            return Err(Error::invalid(format!("the JSON body has more than {JSON_DEPTH_MAX} levels")));
        }
        match first {
            Some(b'"') => self.text_value(wanted, sink),
            Some(open @ (b'{' | b'[')) => {
                let given = if open == b'{' { Given::Object } else { Given::List };
                let wanted = wanted && sink.take(self.path.name(), given)?;
                match open {
                    b'{' => self.members(if wanted { Wanted::Places } else { Wanted::No }, depth + 1, sink),
                    _ => self.items(wanted, depth + 1, sink),
                }
            }
            _ => {
                let scalar = self.scalar()?;
                if wanted {
                    let given = if scalar == "null" { Given::Null } else { Given::Scalar(scalar) };
                    sink.take(self.path.name(), given)?;
                }
                Ok(())
            }
        }
    }

    fn text_value(&mut self, wanted: bool, sink: &mut dyn Sink) -> Result<()> {
        if let Some(bytes) = self.held_text()? {
            if wanted {
                let held = self.body.fill_buf().map_err(body_error)?;
                let mut data = held.get(1..=bytes).unwrap_or_default();
                sink.take(self.path.name(), Given::Text { data: &mut data, lossy: false })?;
            }
            self.consume(bytes + 2);
            return Ok(());
        }
        let path = mem::take(&mut self.path);
        self.text(
            |data| {
                if wanted { sink.take(path.name(), Given::Text { data, lossy: false }).map(drop) } else { Ok(()) }
            },
        )?;
        self.path = path;
        Ok(())
    }

    /// The bytes of the text that comes next, without its quotes, if it is held whole and stands for itself: most are short,
    /// and nothing in them is escaped.
    fn held_text(&mut self) -> Result<Option<usize>> {
        let held = self.body.fill_buf().map_err(body_error)?;
        let Some((b'"', rest)) = held.split_first() else { return Ok(None) };
        let end = rest.iter().position(|byte| is_special(*byte));
        Ok(end.filter(|end| rest.get(*end) == Some(&b'"')))
    }

    /// A number or a word, as serde_json writes it.
    fn scalar(&mut self) -> Result<Cow<'static, str>> {
        // Most of what runners say of themselves.
        let held = self.body.fill_buf().map_err(body_error)?;
        let word = ["true", "false", "null"].into_iter().find(|word| {
            held.split_at_checked(word.len()).is_some_and(|(begin, rest)| {
                begin == word.as_bytes() && rest.first().is_some_and(|next| matches!(next, b',' | b'}' | b']'))
            })
        });
        if let Some(word) = word {
            self.consume(word.len());
            return Ok(Cow::Borrowed(word));
        }
        let mut bytes = Vec::new();
        loop {
            let held = self.body.fill_buf().map_err(body_error)?;
            let held = held.get(..=SCALAR_BYTES_MAX).unwrap_or(held);
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            let count = held.iter().take_while(|byte| is_part(byte)).count();
            let is_end = count < held.len() || held.is_empty();
            bytes.extend(held.iter().take(count));
            self.consume(count);
            if bytes.len() > SCALAR_BYTES_MAX {
                return Err(self.malformed());
            }
            if is_end {
                break;
            }
        }
        match serde_json::from_slice(&bytes) {
            Ok(scalar @ (Value::Null | Value::Bool(_) | Value::Number(_))) => Ok(Cow::Owned(scalar.to_string())),
            Ok(Value::String(_) | Value::Array(_) | Value::Object(_)) | Err(_) => Err(self.malformed()),
        }
    }

    /// Has `take` read a text, and passes over what it leaves. A fault of the text counts more than what `take` made of it.
    fn text<T>(&mut self, take: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        self.expect(b'"')?;
        let mut text = Text { json: self, has_ended: false, pending: [0; 4], pending_bytes: (0, 0) };
        let taken = take(&mut text);
        if taken.is_ok() {
            // A fault of the text is kept, see below.
            let _ = text.skip_rest();
        }
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => taken,
        }
    }
}

/// Whether a byte of a text is one that does not stand for itself.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// A text, decoded as it is read.
struct Text<'a, 'b, B> {
    json: &'a mut Json<'b, B>,
    has_ended: bool,
    /// A character that was escaped; these of its bytes are yet to be read.
    pending: [u8; 4],
    pending_bytes: (usize, usize),
}

impl<B: BufRead> Text<'_, '_, B> {
    fn skip_rest(&mut self) -> io::Result<()> {
        // Most texts have been read, and end here: a large piece would cost more than they.
        let mut piece = [0; 256];
        while self.read(&mut piece)? > 0 {}
        Ok(())
    }

    fn decode(&mut self, out: &mut [u8]) -> Result<usize> {
        while !self.has_ended {
            let (from, to) = self.pending_bytes;
            if from < to {
                let count = self.pending.get(from..to).unwrap_or_default().read(out).unwrap_or(0);
                self.pending_bytes = (from + count, to);
                return Ok(count);
            }
            match self.json.peek()? {
                None => return Err(self.json.malformed()),
                Some(b'"') => {
                    self.json.consume(1);
                    self.has_ended = true;
                }
                Some(b'\\') => {
                    self.json.consume(1);
                    let character = self.escaped()?;
                    self.pending_bytes = (0, character.encode_utf8(&mut self.pending).len());
                }
                Some(0..0x20) => return Err(self.json.malformed()),
                Some(_) => return self.plain(out),
            }
        }
        Ok(0)
    }

    /// What stands for itself, as far as it is there and there is room.
    fn plain(&mut self, out: &mut [u8]) -> Result<usize> {
        let held = self.json.body.fill_buf().map_err(body_error)?;
        let held = held.get(..out.len()).unwrap_or(held);
        let count = held.iter().position(|byte| is_special(*byte)).unwrap_or(held.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), held.get(..count)) {
            to.copy_from_slice(from);
        }
        self.json.consume(count);
        Ok(count)
    }

    /// The character of an escape whose backslash was read.
    fn escaped(&mut self) -> Result<char> {
        let byte = self.json.peek()?.ok_or_else(|| self.json.malformed())?;
        self.json.consume(1);
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.json.malformed()),
        };
        Ok(character)
    }

    /// The character of one `\uXXXX`, or of two that are a pair of surrogates.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            for expected in [b'\\', b'u'] {
                if self.json.peek()? != Some(expected) {
                    return Err(self.json.malformed());
                }
                self.json.consume(1);
            }
            let second = self.hex()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(|| self.json.malformed())?;
            0x10000 + ((first - 0xd800) << 10 | low)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.json.malformed())
    }

    fn hex(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.json.peek()?.and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.json.malformed())?;
            self.json.consume(1);
        }
        Ok(code)
    }
}

impl<B: BufRead> Read for Text<'_, '_, B> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.decode(out).map_err(|fault| {
            // A limit of the body is one for whoever reads, too.
            let kind =
                if fault.kind == Kind::TooLarge { io::ErrorKind::FileTooLarge } else { io::ErrorKind::InvalidData };
            self.json.fault = Some(fault);
            kind.into()
        })
    }
}
