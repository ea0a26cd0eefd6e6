//! The header of a part: its names.

use super::{Limit, MultipartError};
use std::str;

/// Header lines of a part, which is what the crate has room for. Known clients send one to four.
const HEAD_LINES_MAX: usize = 4;

/// Bytes of a header without its names. The crate looks at 1024 bytes less a delimiter, whatever the network does.
const OUTLINE_BYTES_MAX: usize = 900;

/// A part's name and file name.
pub type Names = (String, Option<String>);

/// What the crate gets in place of a `Content-Disposition`, so that names may be longer than it has room for.
const DISPOSITION: &str = "Content-Disposition: form-data; name=\"part\"";

/// Reads a part's names from its header, a whole one with the empty line; and says which header the crate is to get.
pub fn parse_head(head: &[u8], delimiter: &[u8]) -> Result<(Names, Vec<u8>), MultipartError> {
    let head = str::from_utf8(head).map_err(|_| MultipartError::Malformed("a part's header is not UTF-8"))?;
    let mut names = None;
    let mut outline = String::new();
    for (index, line) in head.trim_end_matches("\r\n").split("\r\n").enumerate() {
        if index >= HEAD_LINES_MAX {
            return Err(MultipartError::OverLimit(Limit::HeadLines(HEAD_LINES_MAX)));
        }
        if delimiter.get(2..).is_some_and(|delimiter| line.as_bytes().starts_with(delimiter)) {
            return Err(MultipartError::Malformed("a part ends inside its header"));
        }
        // The crate takes a lone LF for a line's end, and would see another header than we do.
        if line.contains(['\r', '\n']) {
            return Err(MultipartError::Malformed("a line of a part's header has a CR or LF inside"));
        }
        let disposition = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
        if let Some((_, value)) = disposition
            && names.replace(parse_disposition(value)?).is_some()
        {
            return Err(MultipartError::Malformed("a part has two Content-Dispositions"));
        }
        outline.push_str(if disposition.is_some() { DISPOSITION } else { line });
        outline.push_str("\r\n");
    }
    outline.push_str("\r\n");
    if outline.len() > OUTLINE_BYTES_MAX {
        return Err(MultipartError::OverLimit(Limit::HeadBytes(OUTLINE_BYTES_MAX)));
    }
    let names = names.ok_or(MultipartError::Malformed("a part has no Content-Disposition"))?;
    Ok((names, outline.into_bytes()))
}

/// Reads `form-data; name="..."; filename="..."`. These words know no case. A `filename*`, which can hold any character,
/// counts more than a `filename` (RFC 6266, 4.3).
fn parse_disposition(value: &str) -> Result<Names, MultipartError> {
    const BROKEN: MultipartError = MultipartError::Malformed("a part's Content-Disposition cannot be parsed");
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(MultipartError::Malformed("a part's Content-Disposition is not form-data"));
    }
    let (mut name, mut filename, mut extended) = (None, None, None);
    while !rest.trim_start().is_empty() {
        let (key, after_key) = rest.split_once('=').ok_or(BROKEN)?;
        let (text, after_text) = parse_value(after_key).ok_or(BROKEN)?;
        let repeated = match key.trim().to_ascii_lowercase().as_str() {
            "name" => name.replace(text).is_some(),
            "filename" => filename.replace(text).is_some(),
            "filename*" => extended.replace(parse_extended(&text)).is_some(),
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
        Some(name) if !name.is_empty() => Ok((name, file_name(filename, extended))),
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

/// The file name of two, of which the second may be there without being readable: then the part is a file all the same.
fn file_name(plain: Option<String>, extended: Option<Option<String>>) -> Option<String> {
    match extended {
        None => plain,
        Some(Some(name)) => Some(name),
        Some(None) => Some(plain.unwrap_or_default()),
    }
}

/// Reads `UTF-8'en'gr%C3%B6%C3%9Fe`, the language being of no interest (RFC 8187). `None` for another character set, and
/// for what is not of it.
fn parse_extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            byte => byte,
        });
    }
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}
