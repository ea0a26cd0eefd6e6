//! Texts of strangers inside of lines of ours.

/// Whether a character would end the line, move the cursor, or turn the direction of writing.
#[must_use]
pub fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
