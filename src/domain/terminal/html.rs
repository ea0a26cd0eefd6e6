//! Text of builds as HTML: the one place where it is escaped.

use super::screen::Screen;
use super::style::Style;
use memchr::memmem;

/// Bytes of an address that is made a link.
const LINK_BYTES_MAX: usize = 2048;

/// Writes what stands of a line.
pub fn write_line(screen: &Screen, out: &mut String) {
    for (text, style) in screen.pieces() {
        write_styled(text, style, out);
    }
}

/// Writes text in a style, with links.
pub fn write_styled(text: &str, style: Style, out: &mut String) {
    if style.is_plain() {
        return write_linked(text, out);
    }
    out.push_str("<span class=\"");
    style.write_classes(out);
    out.push_str("\">");
    write_linked(text, out);
    out.push_str("</span>");
}

/// Writes text as it is, for content and for attributes in double quotes.
pub fn write_escaped(mut text: &str, out: &mut String) {
    let is_special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    if !text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        return out.push_str(text);
    }
    while let Some(at) = text.bytes().position(is_special) {
        let (before, rest) = text.split_at(at);
        out.push_str(before);
        out.push_str(match rest.as_bytes().first() {
            Some(b'&') => "&amp;",
            Some(b'<') => "&lt;",
            Some(b'>') => "&gt;",
            Some(b'"') => "&quot;",
            _ => "&#39;",
        });
        text = rest.get(1..).unwrap_or_default();
    }
    out.push_str(text);
}

/// Writes text in which addresses are links.
fn write_linked(mut text: &str, out: &mut String) {
    while let Some((before, link, after)) = first_link(text) {
        write_escaped(before, out);
        out.push_str("<a href=\"");
        write_escaped(link, out);
        out.push_str("\" rel=\"nofollow noopener noreferrer\">");
        write_escaped(link, out);
        out.push_str("</a>");
        text = after;
    }
    write_escaped(text, out);
}

/// The first address in a text, with what stands before and behind it.
fn first_link(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    // What was looked at is not looked at again, however many begins of addresses stand in it.
    while let Some(at) = memmem::find(text.as_bytes().get(from..)?, b"://").map(|at| from + at) {
        let address = address(text.get(at + 3..)?);
        let begin = text.get(from..at)?;
        let scheme = ["https", "http"].into_iter().find(|scheme| begin.ends_with(scheme));
        from = at + 3 + address.len();
        let Some(scheme) = scheme.filter(|_| address.len() <= LINK_BYTES_MAX) else { continue };
        let address = trimmed(address);
        let start = at - scheme.len();
        let before = text.get(..start)?;
        if address.starts_with(|c: char| c.is_alphanumeric() || c == '[')
            && !before.ends_with(|c: char| c.is_alphanumeric())
        {
            let end = at + 3 + address.len();
            return Some((before, text.get(start..end)?, text.get(end..)?));
        }
    }
    None
}

/// What may belong to an address at the begin of a text.
fn address(text: &str) -> &str {
    let is_outside = |c: char| !(c.is_alphanumeric() || c.is_ascii_graphic()) || "<>\"'`\\^{|}".contains(c);
    text.get(..text.find(is_outside).unwrap_or(text.len())).unwrap_or_default()
}

/// An address without what ends a sentence, or a bracket around it.
fn trimmed(address: &str) -> &str {
    let (is_round, is_square) = (!address.contains('('), !address.contains('['));
    address.trim_end_matches(|c: char| match c {
        ')' => is_round,
        ']' => is_square,
        _ => ".,;:!?*".contains(c),
    })
}
