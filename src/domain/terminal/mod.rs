//! What a terminal makes of a line of a log, as HTML.
//!
//! What must stay true: a style goes on over the ends of lines, nothing else does, so that a log can be shown from any line
//! on by whoever knows the style there. Of what a build writes, text reaches the page by one function, which escapes it;
//! classes are ours, and no attribute holds a word of it but the address of a link. Memory is bounded, whatever comes.
//!
//! `style`: colours and attributes. `parser`: bytes to text and style. `screen`: the line that stands at the end.
//! `html`: that line as HTML. `palette`: how its colours look on the page.

pub mod html;
pub mod palette;
mod parser;
mod screen;
mod style;

pub use parser::{Parser, Simple, Sink};
pub use screen::{SHOWN_BYTES_MAX, Screen};
pub use style::Style;

#[cfg(test)]
mod tests;
