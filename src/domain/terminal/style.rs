//! Colours and attributes of text (`ESC [ ... m`, ECMA-48 8.3.117 and what terminals have added).

use std::fmt::Write;

const BOLD: u8 = 1;
const DIM: u8 = 1 << 1;
const ITALIC: u8 = 1 << 2;
const UNDERLINED: u8 = 1 << 3;
const STRUCK: u8 = 1 << 4;
const REVERSED: u8 = 1 << 5;

/// What is red: the two of the sixteen, and the plain ones of the cube.
const RED: [u8; 5] = [1, 9, 124, 160, 196];

/// The steps of the cube of colours 16 to 231.
pub(super) const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// How text looks. The default is plain.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Style {
    /// Of 256; true colours are rounded to the nearest of the last 240.
    fore: Option<u8>,
    back: Option<u8>,
    marks: u8,
}

/// One parameter of a sequence, and whether it stands behind a colon, that is, belongs to the one before.
pub type Param = (u16, bool);

impl Style {
    /// Plain text.
    pub const PLAIN: Style = Style { fore: None, back: None, marks: 0 };

    /// Whether it is plain.
    #[must_use]
    pub fn is_plain(self) -> bool {
        self == Style::default()
    }

    /// Whether text in it is red.
    #[must_use]
    pub fn is_red(self) -> bool {
        self.fore.is_some_and(|colour| RED.contains(&colour))
    }

    /// Takes the parameters of a sequence; none are one of zero.
    pub fn take(&mut self, mut params: &[Param]) {
        if params.is_empty() {
            *self = Style::default();
        }
        while let Some(((number, _), rest)) = params.split_first() {
            // What belongs to it by colons.
            let own = rest.iter().take_while(|(_, is_below)| *is_below).count();
            let (below, rest) = rest.split_at(own);
            params = rest;
            match *number {
                38 | 48 | 58 => {
                    let colour = if below.is_empty() { coloured(&mut params) } else { coloured_below(below) };
                    match number {
                        38 => self.fore = colour.or(self.fore),
                        48 => self.back = colour.or(self.back),
                        _ => {}
                    }
                }
                4 if below.first().is_some_and(|(kind, _)| *kind == 0) => self.set(UNDERLINED, false),
                number => self.take_simple(number),
            }
        }
    }

    fn take_simple(&mut self, number: u16) {
        let colour = |base: u16, first: u16| u8::try_from(number - first + base).ok();
        match number {
            0 => *self = Style::default(),
            1 => self.set(BOLD, true),
            2 => self.set(DIM, true),
            3 => self.set(ITALIC, true),
            4 | 21 => self.set(UNDERLINED, true),
            7 => self.set(REVERSED, true),
            9 => self.set(STRUCK, true),
            22 => self.set(BOLD | DIM, false),
            23 => self.set(ITALIC, false),
            24 => self.set(UNDERLINED, false),
            27 => self.set(REVERSED, false),
            29 => self.set(STRUCK, false),
            30..=37 => self.fore = colour(0, 30),
            39 => self.fore = None,
            40..=47 => self.back = colour(0, 40),
            49 => self.back = None,
            90..=97 => self.fore = colour(8, 90),
            100..=107 => self.back = colour(8, 100),
            _ => {}
        }
    }

    fn set(&mut self, mark: u8, is_on: bool) {
        self.marks = if is_on { self.marks | mark } else { self.marks & !mark };
    }

    /// Writes its classes, with a blank between: `f1` to `f15` for text, `b1` to `b15` for the ground, `x16` to `x255` and
    /// `y16` to `y255` for the others; `bo`, `di`, `it`, `un`, `st9`; `rv` for the plain one reversed.
    pub fn write_classes(self, out: &mut String) {
        let is_reversed = self.marks & REVERSED != 0;
        let (fore, back) = if is_reversed { (self.back, self.fore) } else { (self.fore, self.back) };
        let mut blank = "";
        let mut class = |name: &str, number: Option<u8>| {
            out.push_str(blank);
            out.push_str(name);
            if let Some(number) = number {
                // A string takes all.
                let _ = write!(out, "{number}");
            }
            blank = " ";
        };
        if let Some(colour) = fore {
            class(if colour < 16 { "f" } else { "x" }, Some(colour));
        }
        match back {
            Some(colour) => class(if colour < 16 { "b" } else { "y" }, Some(colour)),
            None if is_reversed => class("rv", None),
            None => {}
        }
        for (mark, name) in [(BOLD, "bo"), (DIM, "di"), (ITALIC, "it"), (UNDERLINED, "un"), (STRUCK, "st9")] {
            if self.marks & mark != 0 {
                class(name, None);
            }
        }
    }
}

/// The colour of `5;n` or `2;r;g;b`, which is taken off the parameters.
fn coloured(params: &mut &[Param]) -> Option<u8> {
    let (used, colour) = match params {
        [(5, _), (number, _), ..] => (2, u8::try_from(*number).ok()),
        [(2, _), (red, _), (green, _), (blue, _), ..] => (4, nearest(*red, *green, *blue)),
        // Cut off: what follows means nothing.
        _ => (params.len(), None),
    };
    *params = params.get(used..).unwrap_or_default();
    colour
}

/// The same with colons, where a colour space may stand before red.
fn coloured_below(params: &[Param]) -> Option<u8> {
    match params {
        [(5, _), (number, _), ..] => u8::try_from(*number).ok(),
        [(2, _), (red, _), (green, _), (blue, _)] | [(2, _), _, (red, _), (green, _), (blue, _), ..] => {
            nearest(*red, *green, *blue)
        }
        _ => None,
    }
}

/// The nearest of the colours 16 to 255.
fn nearest(red: u16, green: u16, blue: u16) -> Option<u8> {
    let parts = [u8::try_from(red).ok()?, u8::try_from(green).ok()?, u8::try_from(blue).ok()?];
    let distance = |of: [u8; 3]| -> u32 {
        of.iter().zip(parts).map(|(a, b)| u32::from(a.abs_diff(b)) * u32::from(a.abs_diff(b))).sum()
    };
    let step = |part: u8| (0_u8..).zip(STEPS).min_by_key(|(_, step)| step.abs_diff(part)).unwrap_or((0, 0));
    let cube = parts.map(step);
    let number = cube.iter().fold(0, |number: u8, (step, _)| number * 6 + step);
    let mean = parts.iter().map(|part| u16::from(*part)).sum::<u16>() / 3;
    let grey = u8::try_from((mean.saturating_sub(3) / 10).min(23)).unwrap_or(0);
    let of_grey = 8 + 10 * grey;
    let is_grey = distance([of_grey; 3]) < distance(cube.map(|(_, step)| step));
    Some(if is_grey { 232 + grey } else { 16 + number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_colours_become_the_nearest_of_240() {
        for (colour, number) in [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([255, 0, 0], 196),
            ([95, 135, 175], 67),
            ([97, 133, 174], 67),
            ([8, 8, 8], 232),
            ([128, 128, 128], 244),
            ([238, 238, 238], 255),
            ([250, 250, 250], 231),
        ] {
            assert_eq!(nearest(colour[0], colour[1], colour[2]), Some(number), "{colour:?}");
        }
        assert_eq!(nearest(256, 0, 0), None);
        let all = |value: u16| (0..=255).step_by(5).map(move |other| nearest(value, other, 255 - other));
        assert!((0..=255).step_by(5).flat_map(all).all(|number| number.is_some_and(|number| number >= 16)));
    }
}
