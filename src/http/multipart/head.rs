//! The header of a part: its names.

use super::{Limit, MultipartError};
use std::str;

/// Header lines of a part, which is what the crate has room for. Known clients send one to four.
const HEAD_LINES_MAX: usize = 4;

/// A part's name and file name.
pub type Names = (String, Option<String>);

/// Reads a part's names from its header, a whole one with the empty line.
pub fn parse_head(head: &[u8], delimiter: &[u8]) -> Result<Names, MultipartError> {
    let head = str::from_utf8(head).map_err(|_| MultipartError::Malformed("a part's header is not UTF-8"))?;
    let mut names = None;
    let mut lines = 0;
    for line in head.trim_end_matches("\r\n").split("\r\n") {
        lines += 1;
        if lines > HEAD_LINES_MAX {
            return Err(MultipartError::OverLimit(Limit::HeadLines(HEAD_LINES_MAX)));
        }
        if delimiter.get(2..).is_some_and(|delimiter| line.as_bytes().starts_with(delimiter)) {
            return Err(MultipartError::Malformed("a part ends inside its header"));
        }
        // The crate takes a lone LF for a line's end, and would see another header than we do.
        if line.contains(['\r', '\n']) {
            return Err(MultipartError::Malformed("a line of a part's header has a CR or LF inside"));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-disposition") && names.replace(parse_disposition(value)?).is_some() {
            return Err(MultipartError::Malformed("a part has two Content-Dispositions"));
        }
    }
    names.ok_or(MultipartError::Malformed("a part has no Content-Disposition"))
}

/// Reads `form-data; name="..."; filename="..."`.
fn parse_disposition(value: &str) -> Result<Names, MultipartError> {
    const BROKEN: MultipartError = MultipartError::Malformed("a part's Content-Disposition cannot be parsed");
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if kind.trim() != "form-data" {
        return Err(MultipartError::Malformed("a part's Content-Disposition is not form-data"));
    }
    let (mut name, mut filename) = (None, None);
    while !rest.trim_start().is_empty() {
        let (key, after_key) = rest.split_once('=').ok_or(BROKEN)?;
        let (text, after_text) = parse_value(after_key).ok_or(BROKEN)?;
        let repeated = match key.trim() {
            "name" => name.replace(text).is_some(),
            "filename" => filename.replace(text).is_some(),
            _ => false,
        };
        if repeated {
            return Err(MultipartError::Malformed("a part has two names or two file names"));
        }
        rest = match after_text.trim_start() {
            "" => "",
            more => more.strip_prefix(';').ok_or(BROKEN)?,
        };
    }
    match name {
        Some(name) if !name.is_empty() => Ok((name, filename)),
        Some(_) | None => Err(MultipartError::Malformed("a part has no name")),
    }
}

/// A parameter's value, quoted or not, and what follows it. `None` if its quotes are not closed.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return Some((value.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            // Old browsers send whole paths and do not double their backslashes: only these two are escaped.
            '\\' if chars.as_str().starts_with(['"', '\\']) => value.extend(chars.next()),
            char => value.push(char),
        }
    }
}
