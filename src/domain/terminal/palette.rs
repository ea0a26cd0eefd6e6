//! The style of the 240 colours that a terminal has beside its sixteen.
//!
//! What must stay true: each is read on the log's ground. Where a colour is too near to it, it is mixed with black on the
//! light ground, with white on the dark one, until it is not: its hue stays. As a ground, it stands behind text in the
//! colour of the panel, with the same contrast.

use super::style::STEPS;
use std::fmt::Write;

type Colour = [u8; 3];

/// The log's ground, light and dark.
pub const GROUNDS: [Colour; 2] = [[0xff; 3], [0x1a, 0x1d, 0x21]];
/// What WCAG 2.2 asks for (1.4.3, AA).
const CONTRAST: f64 = 4.5;
/// How finely colours are mixed.
const MIX_STEPS: u16 = 200;

/// The rules of the classes `x16` to `x255` and `y16` to `y255`, see [`super::Style::write_classes`].
#[must_use]
pub fn rules() -> String {
    let mut rules = String::new();
    let [light, dark] = GROUNDS;
    for (begin, ground, end) in [(":root{", light, "}\n"), ("@media (prefers-color-scheme: dark){:root{", dark, "}}\n")]
    {
        rules.push_str(begin);
        for number in 16..=255 {
            let [red, green, blue] = readable(original(number), ground);
            // Writing to a string does not fail.
            let _ = write!(rules, "--x{number}:#{red:02x}{green:02x}{blue:02x};");
        }
        rules.push_str(end);
    }
    for number in 16..=255 {
        let _ = write!(
            rules,
            ".x{number}{{color:var(--x{number})}}.y{number}{{background:var(--x{number});color:var(--panel)}}"
        );
    }
    rules
}

/// The colour as terminals have it: a cube, and greys.
fn original(number: u8) -> Colour {
    match number.checked_sub(232) {
        Some(grey) => [8 + 10 * grey; 3],
        None => {
            let place = usize::from(number.saturating_sub(16));
            [place / 36, place / 6 % 6, place % 6].map(|step| STEPS.get(step).copied().unwrap_or_default())
        }
    }
}

fn readable(colour: Colour, ground: Colour) -> Colour {
    let towards: u16 = if luminance(ground) > 0.5 { 0 } else { 255 };
    let mixed = |step: u16| {
        let part = |of: u8| (u16::from(of) * (MIX_STEPS - step) + towards * step + MIX_STEPS / 2) / MIX_STEPS;
        colour.map(|of| u8::try_from(part(of)).unwrap_or(u8::MAX))
    };
    (0..=MIX_STEPS).map(mixed).find(|it| contrast(*it, ground) >= CONTRAST).unwrap_or(colour)
}

/// As WCAG 2.2 defines it.
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: Colour) -> f64 {
    let linear = |of: u8| {
        let of = f64::from(of) / 255.0;
        if of <= 0.03928 { of / 12.92 } else { ((of + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_colour_is_read_on_both_grounds_and_keeps_what_it_can() {
        for ground in GROUNDS {
            for number in 16..=255 {
                let (colour, shown) = (original(number), readable(original(number), ground));
                assert!(contrast(shown, ground) >= CONTRAST, "{number}: {shown:?} on {ground:?}");
                assert!(contrast(colour, ground) < CONTRAST || shown == colour, "{number} is read as it is");
                let order = |[red, green, blue]: Colour| [red.cmp(&green), green.cmp(&blue), red.cmp(&blue)];
                assert!(order(shown).iter().zip(order(colour)).all(|(a, b)| a.is_eq() || *a == b), "{number}");
            }
        }
        // Contrasts that WCAG's own tools give.
        for (one, other, expected) in
            [([0; 3], [255; 3], 21.0), ([0x76; 3], [255; 3], 4.54), ([255, 0, 0], [255; 3], 4.0)]
        {
            assert!((contrast(one, other) - expected).abs() < 0.01, "{one:?} on {other:?}");
        }
    }

    #[test]
    fn terminals_have_these_colours() {
        for (number, colour) in
            [(16, [0; 3]), (21, [0, 0, 255]), (67, [95, 135, 175]), (196, [255, 0, 0]), (231, [255; 3]), (232, [8; 3])]
        {
            assert_eq!(original(number), colour, "{number}");
        }
        assert_eq!(original(255), [238; 3]);
        let rules = rules();
        for rule in ["--x21:#0000ff;", "--x21:#7373ff;", ".x16{color:var(--x16)}", ".y255{background:var(--x255);"] {
            assert!(rules.contains(rule), "{rule}");
        }
    }
}
