//! Text by the cells that it takes on a terminal: some letters take two, some none.
//!
//! What must stay true: what comes out of [`clean`] is one line that moves no cursor, and what comes out of the others
//! takes no more cells than it was given.

use crate::domain::text::foreign::is_dangerous;
use std::borrow::Cow;
use std::io;
use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns for tabs.
const TAB: usize = 8;

/// What stands for the middle of a word that is too long.
const GAP: &str = "...";

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: usize,
    /// Cells of a line.
    pub columns: usize,
}

/// What a terminal has that does not say.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// The size of the terminal that is standard output, at this moment.
pub fn size() -> Size {
    let said = terminal_size_of(io::stdout()).filter(|(Width(columns), Height(rows))| *columns > 0 && *rows > 0);
    said.map_or(USUAL, |(Width(columns), Height(rows))| Size { rows: rows.into(), columns: columns.into() })
}

/// As much of a line as fits into so many columns.
pub fn fitting(line: &str, columns: usize) -> &str {
    let mut taken = 0;
    let too_far = line.char_indices().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > columns
    });
    too_far.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// The begin and the end of a word that is longer than so many columns: names that differ do so at either.
pub fn shortened(word: &str, columns: usize) -> Cow<'_, str> {
    if word.width() <= columns {
        return Cow::Borrowed(word);
    }
    if columns < GAP.len() + 2 {
        return Cow::Borrowed(fitting(word, columns));
    }
    let room = columns - GAP.len();
    let begin = fitting(word, room.div_ceil(2));
    let mut taken = 0;
    let fits = |&(_, letter): &(usize, char)| {
        taken += letter.width().unwrap_or(0);
        taken <= room / 2
    };
    let from = word.char_indices().rev().take_while(fits).last().map_or(word.len(), |(at, _)| at);
    Cow::Owned(format!("{begin}{GAP}{}", word.get(from..).unwrap_or_default()))
}

/// A word with as many blanks behind it as make it so many columns long, shortened if it is longer.
pub fn padded(word: &str, columns: usize) -> String {
    let word = shortened(word, columns);
    let blanks = columns.saturating_sub(word.width());
    format!("{word}{}", " ".repeat(blanks))
}

/// Text from elsewhere as one line: tabs are blanks, and what would end the line, move the cursor or turn the direction of
/// writing is a question mark.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut column = 0;
    for letter in text.chars() {
        match letter {
            '\t' => {
                let blanks = TAB - column % TAB;
                line.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            letter => {
                let letter = if is_dangerous(letter) { '?' } else { letter };
                line.push(letter);
                column += letter.width().unwrap_or(0);
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_the_cells_that_its_letters_take() {
        for (line, columns, cut) in
            [("日本語", 5, "日本"), ("日本", 4, "日本"), ("e\u{301}a", 1, "e\u{301}"), ("ab", 0, "")]
        {
            assert_eq!(fitting(line, columns), cut, "{line} {columns}");
        }
    }

    #[test]
    fn a_word_that_is_too_long_keeps_its_begin_and_its_end() {
        for (word, columns, short) in [
            ("build: [linux, arm64]", 21, "build: [linux, arm64]"),
            ("build: [linux, arm64]", 12, "build...m64]"),
            ("日本語日本語", 9, "日...語"),
            ("abcdef", 5, "a...f"),
            ("abcdef", 4, "abcd"),
            ("abcdef", 0, ""),
        ] {
            assert_eq!(shortened(word, columns), short, "{word} {columns}");
            assert_eq!(padded(word, columns).width(), columns, "{word} {columns}");
        }
        assert_eq!(padded("日本", 6), "日本  ");
    }

    #[test]
    fn a_clean_line_moves_no_cursor() {
        assert_eq!(clean("a\tb\x1b[2J\u{9b}1\u{202e}x\r\n"), "a       b?[2J?1?x??");
        assert_eq!(clean("日本\tx größe"), "日本    x größe");
    }
}
