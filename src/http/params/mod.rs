//! Parameters of a request, whichever way they came: query string, form, multipart or JSON (protocol 1.0).

use super::message::Request;
use super::multipart::{self, MultipartError, PartLimits, PartsError};
pub use crate::artifacts::read_error;
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};
use std::io::Read;

/// Named values. A JSON body may hold values of any type, all other encodings hold texts.
#[derive(Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// The query string's.
    #[must_use]
    pub fn of_query(request: &Request<'_>) -> Params {
        let mut params = Params::default();
        params.add_form(request.query.as_bytes());
        params
    }

    /// The query string's and the body's; the body's win, as in GitLab. Files in a multipart body are passed
    /// over.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a body that its type does not fit, [`Kind::TooLarge`] beyond `bytes_max`.
    pub fn of_request(request: &mut Request<'_>, bytes_max: u64) -> Result<Params> {
        let mut params = Params::of_query(request);
        if request.body_bytes == Some(0) {
            return Ok(params);
        }
        let content_type = request.headers.get("Content-Type").unwrap_or_default().to_owned();
        if let Some(boundary) = multipart::boundary(&content_type) {
            let boundary = boundary.map_err(multipart_error)?;
            params.add_multipart(request.body, &boundary, bytes_max)?;
            return Ok(params);
        }
        let body = read_body(request, bytes_max)?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        if is_json || (media_type.is_empty() && body.first() == Some(&b'{')) {
            params.add_json(&body)?;
        } else {
            params.add_form(&body);
        }
        Ok(params)
    }

    fn add_form(&mut self, text: &[u8]) {
        for (name, value) in form_urlencoded::parse(text) {
            self.insert(name.into_owned(), value.into_owned());
        }
    }

    fn add_json(&mut self, body: &[u8]) -> Result<()> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => self.0.extend(object),
            Ok(_) => return Err(Error::invalid("the JSON body must be an object")),
            // Its own text would quote the body.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return Err(Error::invalid(format!("the body is not JSON: line {line}, column {column}")));
            }
        }
        Ok(())
    }

    fn add_multipart(&mut self, body: &mut dyn Read, boundary: &str, bytes_max: u64) -> Result<()> {
        let mut bytes_left = bytes_max;
        multipart::for_each_part(body, boundary, &PartLimits::default(), |head, data| {
            if head.is_file {
                return Ok(());
            }
            let text = read_field(data, bytes_left)?;
            bytes_left -= text.len() as u64;
            self.insert(head.name, text);
            Ok(())
        })
        .map_err(parts_error)
    }

    /// Adds a text; `info[version]` is the field `version` of `info`, as forms write nested values.
    pub fn insert(&mut self, name: String, value: String) {
        if let Some((outer, inner)) = name.strip_suffix(']').and_then(|name| name.split_once('['))
            && !inner.is_empty()
        {
            let object = self.0.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(object) = object {
                object.insert(inner.to_owned(), Value::String(value));
                return;
            }
        }
        self.0.insert(name, Value::String(value));
    }

    /// A text; numbers and booleans of a JSON body count as theirs.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(is) => Some(is.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A text, taken out without copying it.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Yes or no, in the words that GitLab takes.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for any other word.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.text(name).as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some("true" | "1" | "t" | "yes" | "on") => Ok(Some(true)),
            Some("false" | "0" | "f" | "no" | "off") => Ok(Some(false)),
            Some(_) => Err(Error::invalid(format!("{name} must be true or false"))),
        }
    }

    /// The value itself.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// So much memory a declared length is worth before the body is there.
const BODY_BYTES_EXPECTED_MAX: u64 = 64 << 10;

/// Reads a whole body into memory.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `bytes_max`, before it is read if it declares its length; what the reader says.
pub fn read_body(request: &mut Request<'_>, bytes_max: u64) -> Result<Vec<u8>> {
    if request.body_bytes.is_some_and(|bytes| bytes > bytes_max) {
        return Err(over(bytes_max));
    }
    let expected = request.body_bytes.unwrap_or(0).min(BODY_BYTES_EXPECTED_MAX);
    let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
    (&mut *request.body).take(bytes_max + 1).read_to_end(&mut body).map_err(read_error)?;
    if body.len() as u64 > bytes_max { Err(over(bytes_max)) } else { Ok(body) }
}

fn over(bytes_max: u64) -> Error {
    Error::new(Kind::TooLarge, format!("the body may have at most {bytes_max} bytes"))
}

/// Reads a text field of a multipart body.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `bytes_max`, [`Kind::Invalid`] for what is not UTF-8; what the reader says.
pub fn read_field(data: &mut dyn Read, bytes_max: u64) -> Result<String> {
    multipart::read_text(data, usize::try_from(bytes_max).unwrap_or(usize::MAX)).map_err(multipart_error)
}

/// A multipart body's fault as ours.
pub fn multipart_error(error: MultipartError) -> Error {
    match error {
        MultipartError::Io(error) => read_error(error),
        MultipartError::OverLimit(_) => Error::new(Kind::TooLarge, error.to_string()),
        MultipartError::Boundary(_)
        | MultipartError::Malformed(_)
        | MultipartError::Truncated
        | MultipartError::NotUtf8 => Error::invalid(error.to_string()),
    }
}

/// Whatever ended [`multipart::for_each_part`], as ours.
pub fn parts_error(error: PartsError<Error>) -> Error {
    match error {
        PartsError::Each(error) => error,
        PartsError::Body(error) => multipart_error(error),
    }
}
