//! A JSON object, member by member, in constant memory.
//!
//! serde_json builds each key, and each text that is asked for, in memory before anybody can say how long it may be.
//! So objects, lists and texts are read here, as RFC 8259 has them; numbers and words are left to serde_json. The tests
//! compare both on random input.

use super::{Count, Given, Name, Sink, body_error, read_name};
use crate::error::{Error, Kind, Result};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};

/// Objects and lists within each other.
const DEPTH_MAX: usize = 64;
/// Bytes of a number or a word.
const SCALAR_BYTES_MAX: usize = 128;

/// Hands each member of the object to `sink`; those of its members, and items, when they are wanted. A body of blanks
/// has none.
pub fn read(body: &mut dyn BufRead, sink: &mut dyn Sink) -> Result<()> {
    let mut json = Json { body, count: Count::default(), at: 0, fault: None };
    match json.next()? {
        None => return Ok(()),
        Some(b'{') => json.members(None, true, 1, sink)?,
        Some(_) => return Err(Error::invalid("the JSON body must be an object")),
    }
    match json.next()? {
        None => Ok(()),
        Some(_) => Err(json.malformed()),
    }
}

struct Json<'a> {
    body: &'a mut dyn BufRead,
    count: Count,
    /// Bytes read.
    at: u64,
    /// What is wrong with the text that is being read.
    fault: Option<Error>,
}

impl Json<'_> {
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
    fn next(&mut self) -> Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.consume(1),
                byte => return Ok(byte),
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

    /// An object's members: parameters, or within the parameter `outer`; passed over unless they are wanted.
    fn members(&mut self, outer: Option<Name<'_>>, wanted: bool, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.expect(b'{')?;
        if self.skip(b'}')? {
            return Ok(());
        }
        loop {
            if self.next()? != Some(b'"') {
                return Err(self.malformed());
            }
            let key = self.text(|text| read_name(text))?;
            self.expect(b':')?;
            let key = key.filter(|_| wanted);
            let within = outer.and_then(|name| name.inner);
            let inner = key.as_ref().map(|key| within.map_or_else(|| key.clone(), |within| Name::deeper(within, key)));
            let name = inner.as_deref().map(|inner| match outer {
                Some(Name { outer, .. }) => Name { outer, inner: Some(inner) },
                None => Name { outer: inner, inner: None },
            });
            self.value(name, depth, sink)?;
            if !self.skip(b',')? {
                return self.expect(b'}');
            }
        }
    }

    fn items(&mut self, outer: Option<&str>, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.expect(b'[')?;
        if self.skip(b']')? {
            return Ok(());
        }
        loop {
            self.value(outer.map(|outer| Name { outer, inner: Some("") }), depth, sink)?;
            if !self.skip(b',')? {
                return self.expect(b']');
            }
        }
    }

    /// A value; without a name it is passed over.
    fn value(&mut self, name: Option<Name<'_>>, depth: usize, sink: &mut dyn Sink) -> Result<()> {
        self.count.one_more()?;
        let first = self.next()?;
        if matches!(first, Some(b'{' | b'[')) && depth >= DEPTH_MAX {
            return Err(Error::invalid(format!("the JSON body has more than {DEPTH_MAX} levels")));
        }
        match first {
            Some(b'"') => self.text(|data| match name {
                Some(name) => sink.take(name, Given::Text { data, lossy: false }).map(drop),
                None => Ok(()),
            }),
            Some(open @ (b'{' | b'[')) => {
                let given = if open == b'{' { Given::Object } else { Given::List };
                let wanted = name.map_or(Ok(false), |name| sink.take(name, given))?;
                let outer = name.filter(|_| wanted);
                match open {
                    b'{' => self.members(outer, wanted, depth + 1, sink),
                    _ => self.items(outer.map(|name| name.outer), depth + 1, sink),
                }
            }
            _ => {
                let scalar = self.scalar()?;
                let Some(name) = name else { return Ok(()) };
                let given = if scalar == "null" { Given::Null } else { Given::Scalar(&scalar) };
                sink.take(name, given).map(drop)
            }
        }
    }

    /// A number or a word, as serde_json writes it.
    fn scalar(&mut self) -> Result<Cow<'static, str>> {
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
        // Most of what runners say of themselves.
        if let Some(word) = ["true", "false", "null"].into_iter().find(|word| word.as_bytes() == bytes) {
            return Ok(Cow::Borrowed(word));
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

/// A text, decoded as it is read.
struct Text<'a, 'b> {
    json: &'a mut Json<'b>,
    has_ended: bool,
    /// A character that was escaped; these of its bytes are yet to be read.
    pending: [u8; 4],
    pending_bytes: (usize, usize),
}

impl Text<'_, '_> {
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
        let count = held.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(held.len());
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

impl Read for Text<'_, '_> {
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
