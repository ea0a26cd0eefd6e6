//! `application/x-www-form-urlencoded`, pair by pair: what `form_urlencoded` makes of a whole text, in constant memory.

use super::{Count, Given, Name, Sink, body_error, read_name};
use crate::error::Result;
use std::io::{self, BufRead, Read};

/// Hands each pair to `sink`.
pub fn read(body: &mut dyn BufRead, sink: &mut dyn Sink) -> Result<()> {
    let mut count = Count::default();
    while !body.fill_buf().map_err(body_error)?.is_empty() {
        count.one_more()?;
        let mut name = Part::new(body, true);
        let text = read_name(&mut name)?;
        let has_value = name.finish()? == Some(b'=');
        let mut value = Part::new(body, false);
        value.has_ended = !has_value;
        if let Some(text) = text.filter(|text| has_value || !text.is_empty()) {
            sink.take(Name::parse(&text), Given::Text { data: &mut value, lossy: true })?;
        }
        value.finish()?;
    }
    Ok(())
}

/// A name or a value, decoded as it is read.
struct Part<'a> {
    body: &'a mut dyn BufRead,
    is_name: bool,
    has_ended: bool,
    /// What has ended it; `None`: the body's end.
    end: Option<u8>,
    /// A digit behind a percent sign that begins no escape.
    pending: Option<u8>,
}

impl Part<'_> {
    fn new(body: &mut dyn BufRead, is_name: bool) -> Part<'_> {
        Part { body, is_name, has_ended: false, end: None, pending: None }
    }

    /// Passes over what was not read, and says what has ended it.
    fn finish(mut self) -> Result<Option<u8>> {
        let mut piece = [0; 4096];
        while self.read(&mut piece).map_err(body_error)? > 0 {}
        Ok(self.end)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.body.fill_buf()?.first().copied())
    }

    /// What stands for itself, as far as it is there and there is room.
    fn plain(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let held = self.body.fill_buf()?;
        let held = held.get(..out.len()).unwrap_or(held);
        let count = held.iter().position(|&byte| is_special(byte, self.is_name)).unwrap_or(held.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), held.get(..count)) {
            to.copy_from_slice(from);
        }
        self.body.consume(count);
        Ok(count)
    }

    /// The byte of an escape whose percent sign was read, or the percent sign.
    fn escaped(&mut self) -> io::Result<u8> {
        let Some(high) = self.peek()?.filter(u8::is_ascii_hexdigit) else { return Ok(b'%') };
        self.body.consume(1);
        let Some(low) = self.peek()?.filter(u8::is_ascii_hexdigit) else {
            self.pending = Some(high);
            return Ok(b'%');
        };
        self.body.consume(1);
        Ok(digit(high) << 4 | digit(low))
    }
}

/// Whether a byte does not stand for itself, in a name or in a value.
fn is_special(byte: u8, is_name: bool) -> bool {
    matches!(byte, b'&' | b'+' | b'%') || (is_name && byte == b'=')
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

impl Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !self.has_ended && filled < out.len() {
            let byte = if let Some(pending) = self.pending.take() {
                pending
            } else {
                match self.peek()? {
                    None => {
                        self.has_ended = true;
                        break;
                    }
                    Some(byte) if is_special(byte, self.is_name) => {
                        self.body.consume(1);
                        match byte {
                            b'+' => b' ',
                            b'%' => self.escaped()?,
                            end => {
                                (self.has_ended, self.end) = (true, Some(end));
                                break;
                            }
                        }
                    }
                    Some(_) => {
                        filled += self.plain(out.get_mut(filled..).unwrap_or_default())?;
                        continue;
                    }
                }
            };
            if let Some(place) = out.get_mut(filled) {
                *place = byte;
                filled += 1;
            }
        }
        Ok(filled)
    }
}
