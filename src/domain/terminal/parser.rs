//! Bytes as a terminal reads them: the states of <https://vt100.net/emu/dec_ansi_parser>, as far as text, colours, and the
//! few movements depend on them.
//!
//! What must stay true: it does not matter where the bytes are cut.

use super::style::{Param, Style};
use memchr::memchr;

/// Parameters of a sequence; one with more is passed over.
const PARAMS_MAX: usize = 32;

/// Bytes of the parameters of a simple sequence; it has fewer of them than [`PARAMS_MAX`].
const MARK_BYTES_MAX: usize = 30;

/// What stands for bytes that are no UTF-8.
const REPLACEMENT: &str = "\u{fffd}";

/// What a line is written to.
pub trait Sink {
    /// Text without control characters but tabs.
    fn text(&mut self, text: &str, style: Style);
    /// The line begins anew (CR).
    fn restart(&mut self);
    /// One character back.
    fn back(&mut self);
    /// The rest of the line is emptied.
    fn erase(&mut self);
}

/// Where nobody wants to see the text.
impl Sink for () {
    fn text(&mut self, _: &str, _: Style) {}
    fn restart(&mut self) {}
    fn back(&mut self) {}
    fn erase(&mut self) {}
}

/// Where in a line it is, and the style there.
#[derive(Clone, Default, Debug)]
pub struct Parser {
    /// Of the text that comes next.
    pub style: Style,
    state: State,
    params: Vec<Param>,
    param: Param,
    /// Whether the sequence is none of ours.
    is_foreign: bool,
    /// The begin of a character.
    partial: [u8; 4],
    partial_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Behind `ESC` and a byte that says that more follows.
    EscapeMore,
    Csi,
    /// Behind `ESC ]`.
    Osc,
    /// Behind `ESC P`, `ESC X`, `ESC ^` or `ESC _`.
    Text,
}

/// A sequence that many logs have: `ESC [ ... m`, or `ESC [ ... K`, which empties a line that has begun anew.
pub struct Simple<'a> {
    /// The parameters, if it is about the style.
    style: Option<&'a [u8]>,
    /// What comes behind it.
    pub rest: &'a [u8],
}

impl<'a> Simple<'a> {
    /// The one that `bytes` begin with, if they do.
    pub fn parse(bytes: &'a [u8]) -> Option<Simple<'a>> {
        let bytes = bytes.strip_prefix(b"\x1b[")?;
        let is_of_params = |byte: &u8| matches!(byte, b'0'..=b'9' | b';');
        let length = bytes.iter().take(MARK_BYTES_MAX).position(|byte| !is_of_params(byte))?;
        let (params, rest) = bytes.split_at_checked(length)?;
        let (kind, rest) = rest.split_first()?;
        match kind {
            b'm' => Some(Simple { style: Some(params), rest }),
            b'K' => Some(Simple { style: None, rest }),
            _ => None,
        }
    }
}

impl Parser {
    /// At the begin of a line, in this style.
    #[must_use]
    pub fn new(style: Style) -> Parser {
        Parser { style, ..Parser::default() }
    }

    /// Takes the next bytes of the line.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        while let Some(byte) = bytes.first() {
            if self.partial_bytes > 0 {
                if self.complete(*byte, sink) {
                    bytes = bytes.get(1..).unwrap_or_default();
                }
            } else if self.state == State::Ground {
                let plain = memchr(0x1b, bytes).unwrap_or(bytes.len());
                let (text, rest) = bytes.split_at(plain);
                self.ground(text, rest.is_empty(), sink);
                if let Some((_, rest)) = rest.split_first() {
                    self.state = State::Escape;
                    bytes = rest;
                } else {
                    return;
                }
            } else {
                self.step(*byte, sink);
                bytes = bytes.get(1..).unwrap_or_default();
            }
        }
    }

    /// Takes whole lines for their style only, if they are simple and nothing in them is red. False: nothing was taken.
    pub fn skim(&mut self, mut lines: &[u8]) -> bool {
        let mut style = self.style;
        while let Some(at) = memchr(0x1b, lines) {
            let Some(sequence) = lines.get(at..).and_then(Simple::parse) else { return false };
            if let Some(params) = sequence.style {
                match params {
                    b"" | b"0" => style = Style::PLAIN,
                    [digit @ b'0'..=b'9'] => style.take(&[(u16::from(digit - b'0'), false)]),
                    _ => {
                        self.params.clear();
                        let number = |digits: &[u8]| digits.iter().fold(0_u16, |sum, digit| with_digit(sum, *digit));
                        self.params.extend(params.split(|byte| *byte == b';').map(|digits| (number(digits), false)));
                        style.take(&self.params);
                    }
                }
                if style.is_red() {
                    return false;
                }
            }
            lines = sequence.rest;
        }
        self.style = style;
        true
    }

    /// The line ends, and with it what was begun, but for the style.
    pub fn end_line(&mut self, sink: &mut impl Sink) {
        if self.partial_bytes > 0 {
            self.partial_bytes = 0;
            sink.text(REPLACEMENT, self.style);
        }
        self.state = State::Ground;
    }

    /// Takes the next byte of a character, if it is that.
    fn complete(&mut self, byte: u8, sink: &mut impl Sink) -> bool {
        if let Some(place) = self.partial.get_mut(self.partial_bytes) {
            *place = byte;
        }
        let bytes = self.partial.get(..=self.partial_bytes).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                print(text, self.style, sink);
                self.partial_bytes = 0;
                true
            }
            Err(error) if error.error_len().is_none() => {
                self.partial_bytes += 1;
                true
            }
            Err(_) => {
                self.partial_bytes = 0;
                sink.text(REPLACEMENT, self.style);
                false
            }
        }
    }

    /// Takes bytes without an escape.
    fn ground(&mut self, mut bytes: &[u8], is_end: bool, sink: &mut impl Sink) {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return print(text, self.style, sink),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            print(std::str::from_utf8(valid).unwrap_or_default(), self.style, sink);
            match error.error_len() {
                None if is_end => {
                    self.partial_bytes = rest.len();
                    if let Some(partial) = self.partial.get_mut(..rest.len()) {
                        partial.copy_from_slice(rest);
                    }
                    return;
                }
                wrong => {
                    sink.text(REPLACEMENT, self.style);
                    bytes = rest.get(wrong.unwrap_or(rest.len())..).unwrap_or_default();
                }
            }
        }
    }

    /// Takes a byte inside a sequence.
    fn step(&mut self, byte: u8, sink: &mut impl Sink) {
        match (self.state, byte) {
            (_, 0x1b) => self.state = State::Escape,
            (_, 0x18 | 0x1a) | (State::Osc, 0x07) => self.state = State::Ground,
            (State::Osc | State::Text, _) | (_, 0x7f..) => {}
            (_, ..0x20) => control(char::from(byte), self.style, sink),
            (State::Csi, _) => self.csi(byte, sink),
            (_, 0x20..=0x2f) => self.state = State::EscapeMore,
            (State::Escape, b'[') => {
                self.params.clear();
                self.param = (0, false);
                self.is_foreign = false;
                self.state = State::Csi;
            }
            (State::Escape, b']') => self.state = State::Osc,
            (State::Escape, b'P' | b'X' | b'^' | b'_') => self.state = State::Text,
            _ => self.state = State::Ground,
        }
    }

    fn csi(&mut self, byte: u8, sink: &mut impl Sink) {
        match byte {
            b'0'..=b'9' => self.param.0 = with_digit(self.param.0, byte),
            b':' | b';' => {
                self.end_param();
                self.param = (0, byte == b':');
            }
            b'@'..=b'~' => {
                self.state = State::Ground;
                self.end_param();
                if self.is_foreign {
                    return;
                }
                match (byte, self.params.first()) {
                    (b'm', _) => self.style.take(&self.params),
                    (b'K', Some((0 | 2, _))) => sink.erase(),
                    _ => {}
                }
            }
            _ => self.is_foreign = true,
        }
    }

    fn end_param(&mut self) {
        if self.params.len() < PARAMS_MAX {
            self.params.push(self.param);
        } else {
            self.is_foreign = true;
        }
    }
}

fn with_digit(number: u16, digit: u8) -> u16 {
    number.saturating_mul(10).saturating_add(u16::from(digit.saturating_sub(b'0')))
}

/// Writes text that may have control characters.
fn print(mut text: &str, style: Style, sink: &mut impl Sink) {
    // In one go over all of it, which compilers make quick.
    let is_special = |byte: u8| byte < 0x20 || byte == 0x7f || byte == 0xc2;
    if !text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        if !text.is_empty() {
            sink.text(text, style);
        }
        return;
    }
    let is_control = |c: char| c.is_control() && c != '\t';
    while let Some(at) = text.find(is_control) {
        let (before, rest) = text.split_at(at);
        if !before.is_empty() {
            sink.text(before, style);
        }
        let mut rest = rest.chars();
        rest.next().into_iter().for_each(|c| control(c, style, sink));
        text = rest.as_str();
    }
    if !text.is_empty() {
        sink.text(text, style);
    }
}

fn control(c: char, style: Style, sink: &mut impl Sink) {
    match c {
        '\t' => sink.text("\t", style),
        '\r' => sink.restart(),
        '\x08' => sink.back(),
        _ => {}
    }
}
