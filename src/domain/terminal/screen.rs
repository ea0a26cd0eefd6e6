//! The line that stands at the end, when parts of it were written over.

use super::parser::Sink;
use super::style::Style;

/// Bytes of a line that are shown.
pub const SHOWN_BYTES_MAX: usize = 8 << 10;

/// What was written since the line began, or began anew.
#[derive(Clone, Default, Debug)]
struct Part {
    text: String,
    /// Where each style ends.
    ends: Vec<(usize, Style)>,
    /// Bytes that were left out.
    cut_bytes: u64,
}

/// A line as it is written.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Bytes of text that are kept.
    bytes_max: usize,
    part: Part,
    /// The last one before it that had visible text.
    before: Option<Part>,
    spare: Part,
    /// Whether nothing was written since the line began anew.
    is_at_start: bool,
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::with_limit(SHOWN_BYTES_MAX)
    }
}

impl Part {
    fn is_visible(&self) -> bool {
        is_visible(&self.text) || self.cut_bytes > 0
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.cut_bytes = 0;
    }
}

/// Whether there is anything to see of a text.
fn is_visible(text: &str) -> bool {
    text.bytes().any(|byte| byte > b' ')
}

impl Sink for Screen {
    fn text(&mut self, text: &str, style: Style) {
        self.is_at_start = false;
        let part = &mut self.part;
        let room = self.bytes_max.saturating_sub(part.text.len());
        let (shown, cut) = if part.cut_bytes > 0 {
            ("", text)
        } else if text.len() <= room {
            (text, "")
        } else {
            text.split_at((0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0))
        };
        part.cut_bytes += cut.len() as u64;
        if shown.is_empty() {
            return;
        }
        part.text.push_str(shown);
        match part.ends.last_mut() {
            Some((end, own)) if *own == style => *end = part.text.len(),
            _ => part.ends.push((part.text.len(), style)),
        }
    }

    fn restart(&mut self) {
        self.is_at_start = true;
        if !self.part.is_visible() {
            return self.part.clear();
        }
        let spare = self.before.take().unwrap_or_else(|| std::mem::take(&mut self.spare));
        let part = std::mem::replace(&mut self.part, spare);
        self.part.clear();
        self.before = Some(part);
    }

    fn back(&mut self) {
        let part = &mut self.part;
        if part.cut_bytes > 0 {
            part.cut_bytes -= 1;
            return;
        }
        part.text.pop();
        while part.ends.last().is_some_and(|(end, _)| *end > part.text.len()) {
            let style = part.ends.pop().map(|(_, style)| style);
            let begin = part.ends.last().map_or(0, |(end, _)| *end);
            if let Some(style) = style.filter(|_| begin < part.text.len()) {
                part.ends.push((part.text.len(), style));
            }
        }
    }

    fn erase(&mut self) {
        if self.is_at_start
            && let Some(before) = self.before.take()
        {
            self.spare = before;
        }
    }
}

impl Screen {
    /// One that keeps so many bytes of a line, and not [`SHOWN_BYTES_MAX`].
    #[must_use]
    pub fn with_limit(bytes_max: usize) -> Screen {
        let (part, spare) = (Part::default(), Part::default());
        Screen { bytes_max, part, before: None, spare, is_at_start: false }
    }

    /// An empty line.
    pub fn clear(&mut self) {
        self.part.clear();
        if let Some(before) = self.before.take() {
            self.spare = before;
        }
        self.is_at_start = false;
    }

    /// Its text in pieces of one style, in order.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Style)> {
        let part = self.standing();
        let begins = std::iter::once(0).chain(part.ends.iter().map(|(end, _)| *end));
        begins.zip(&part.ends).map(|(begin, (end, style))| (part.text.get(begin..*end).unwrap_or_default(), *style))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.standing().text
    }

    /// Bytes of text that are not shown, since the line is too long.
    #[must_use]
    pub fn cut_bytes(&self) -> u64 {
        self.standing().cut_bytes
    }

    /// Whether there is anything to see.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        !self.standing().is_visible()
    }

    /// Whether some of what is to be seen is red.
    #[must_use]
    pub fn is_red(&self) -> bool {
        self.pieces().any(|(text, style)| style.is_red() && is_visible(text))
    }

    /// Bytes of memory beside its own.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let parts = [Some(&self.part), self.before.as_ref(), Some(&self.spare)];
        let bytes = |part: &Part| part.text.capacity() + part.ends.capacity() * size_of::<(usize, Style)>();
        parts.into_iter().flatten().map(bytes).sum()
    }

    fn standing(&self) -> &Part {
        match &self.before {
            Some(before) if !self.part.is_visible() => before,
            _ => &self.part,
        }
    }
}
