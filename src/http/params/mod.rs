//! Parameters of a request, whichever way they come: query string, form, multipart or JSON.
//!
//! What must stay true: whoever sends parameters may have shown no token, so that what is held of them is bounded in
//! memory, not only in bytes. An endpoint says which parameters it takes, and of which type ([`Field`]). The body is read
//! piece by piece; a known parameter goes to its place, at most [`STRANGER_BYTES_MAX`] of all together; any other is passed
//! over without being built. A value of the wrong type is an error, in every encoding.

mod allowance;
mod form;
mod json;
mod nested;
mod read;

pub use self::allowance::{Allowance, Metered, body_error, read_body};
pub use self::read::{is_json, multipart_error, parts_error, read_all, read_declared, read_params, read_query};

use super::message::Request;
use crate::error::{Error, Kind, Result};
use crate::limits::{PARAMETERS_MAX, STRANGER_BYTES_MAX};
use std::borrow::Cow;
use std::io::Read;

/// Longer names are unknown.
const NAME_BYTES_MAX: u64 = 256;

/// A parameter that an endpoint takes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub shape: Shape,
}

/// What a parameter may hold. `null`, and an empty text where a text is not what is asked for, count as absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A text; numbers and booleans of a JSON body count as theirs.
    Text,
    /// Yes or no, in the words that GitLab takes.
    Flag,
    /// A text, or a list of texts.
    Words,
    /// An object with these members, texts all; others are passed over. A member of an object in it is named as in
    /// forms: `features][masking` is `masking` in `features`.
    Object(&'static [&'static str]),
    /// An object whose members have any names, texts all.
    Map {
        /// Whether numbers and booleans of a JSON body count as theirs.
        with_scalars: bool,
    },
    /// A list of objects with these members, texts all; others are passed over.
    Objects(&'static [&'static str]),
}

impl Shape {
    /// For whoever sent something else.
    fn as_words(self) -> &'static str {
        match self {
            Shape::Text => "a text",
            Shape::Flag => "true or false",
            Shape::Words => "a text or a list of texts",
            Shape::Object(_) => "an object",
            Shape::Map { with_scalars: false } => "an object of texts",
            Shape::Map { with_scalars: true } => "an object of texts, numbers and booleans",
            Shape::Objects(_) => "a list of objects",
        }
    }
}

/// A field that holds a text.
#[must_use]
pub const fn text(name: &'static str) -> Field {
    Field { name, shape: Shape::Text }
}

/// A parameter's name: `info[version]` is `version` in `info`, as forms write nested values.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// The parameter's own.
    pub outer: &'a str,
    /// The place in it; empty for an item of a list. Deeper ones are separated by `][`, as forms write them.
    pub inner: Option<&'a str>,
}

/// Between a place and one in it.
const DEEPER: &str = "][";

impl<'a> Name<'a> {
    /// The name that a form has written like this.
    #[must_use]
    pub fn parse(text: &'a str) -> Name<'a> {
        match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((outer, inner)) => Name { outer, inner: Some(inner) },
            None => Name { outer: text, inner: None },
        }
    }
}

/// What was given for a parameter.
pub enum Given<'a> {
    /// A text, to be read. What is not read is passed over.
    Text {
        /// The text.
        data: &'a mut dyn Read,
        /// Whether bytes that are no UTF-8 are for the reader to replace; otherwise they are an error.
        lossy: bool,
    },
    /// A number or a boolean of a JSON body.
    Scalar(Cow<'static, str>),
    /// Nothing, said aloud.
    Null,
    /// A list; its items follow, if they are wanted.
    List,
    /// An object; its members follow, if they are wanted.
    Object,
}

/// Whoever takes parameters as they come.
pub trait Sink {
    /// Takes one. For a list or an object the answer is whether its contents are wanted.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a known parameter of another type; whatever else ends the reading.
    fn take(&mut self, name: Name<'_>, given: Given<'_>) -> Result<bool>;
}

/// The error for a parameter of another type than `expected`.
#[must_use]
pub fn wrong_type(name: &str, expected: &str) -> Error {
    Error::invalid(format!("{name} must be {expected}"))
}

#[derive(Debug)]
enum Kept {
    Text(String),
    Flag(bool),
    List(Vec<String>),
    /// By the place of the member.
    Object(Vec<Option<Cow<'static, str>>>),
    Pairs(Vec<(String, String)>),
    Objects(Vec<Vec<(&'static str, String)>>),
}

/// The known parameters of a request.
#[derive(Debug)]
pub struct Params {
    fields: &'static [Field],
    /// By the place of the field.
    kept: Vec<Option<Kept>>,
    bytes_left: u64,
}

impl Params {
    /// None yet, of these.
    #[must_use]
    pub fn of(fields: &'static [Field]) -> Params {
        Params { fields, kept: fields.iter().map(|_| None).collect(), bytes_left: STRANGER_BYTES_MAX }
    }

    /// The query string's.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a value of the wrong type, [`Kind::TooLarge`] for too many.
    pub fn of_query(request: &Request<'_>, fields: &'static [Field]) -> Result<Params> {
        let mut params = Params::of(fields);
        read_query(request, &mut params)?;
        Ok(params)
    }

    /// The query string's and the body's; the body's win, as in GitLab. Files in a multipart body are passed
    /// over.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a body that its type does not fit and for a value of the wrong type, [`Kind::TooLarge`]
    /// beyond `bytes_max`, before anything is read if the body declares its length.
    pub fn of_request(request: &mut Request<'_>, fields: &'static [Field], bytes_max: u64) -> Result<Params> {
        let mut params = Params::of(fields);
        read_all(request, bytes_max, &mut params)?;
        Ok(params)
    }

    /// Keeps so many bytes more than of a stranger.
    pub fn make_room(&mut self, bytes: u64) {
        self.bytes_left += bytes;
    }

    /// What was given for a field.
    fn kept(&self, name: &str) -> Option<&Kept> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        self.kept.get(at)?.as_ref()
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.kept(name)? {
            Kept::Text(text) => Some(text),
            Kept::Flag(_) | Kept::List(_) | Kept::Object(_) | Kept::Pairs(_) | Kept::Objects(_) => None,
        }
    }

    /// Yes or no.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.kept(name)? {
            Kept::Flag(is) => Some(*is),
            Kept::Text(_) | Kept::List(_) | Kept::Object(_) | Kept::Pairs(_) | Kept::Objects(_) => None,
        }
    }

    /// Whether it was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.kept(name).is_some()
    }

    /// The items of a list; `None` unless it came as one.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&[String]> {
        match self.kept(name)? {
            Kept::List(items) => Some(items),
            Kept::Text(_) | Kept::Flag(_) | Kept::Object(_) | Kept::Pairs(_) | Kept::Objects(_) => None,
        }
    }

    /// The members of an object.
    pub fn members(&self, name: &str) -> impl Iterator<Item = (&'static str, &str)> {
        let shape = self.fields.iter().find(|field| field.name == name).map(|field| field.shape);
        let (names, values) = match (shape, self.kept(name)) {
            (Some(Shape::Object(names)), Some(Kept::Object(values))) => (names, values.as_slice()),
            _ => (&[][..], &[][..]),
        };
        names.iter().zip(values).filter_map(|(name, value)| Some((*name, value.as_deref()?)))
    }

    fn read_text(&mut self, name: &str, data: &mut dyn Read, lossy: bool) -> Result<String> {
        let mut bytes = Vec::new();
        data.take(self.bytes_left + 1).read_to_end(&mut bytes).map_err(body_error)?;
        let left = self.bytes_left.checked_sub(bytes.len() as u64);
        self.bytes_left = left.ok_or_else(|| too_long(name))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) if lossy => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            Err(_) => Err(Error::invalid(format!("{name} is not UTF-8"))),
        }
    }

    /// Keeps a text for the field at this place.
    fn keep(&mut self, at: usize, field: &Field, text: String) -> Result<()> {
        let kept = match field.shape {
            Shape::Text | Shape::Words => Kept::Text(text),
            // `True` is what Python's clients write.
            Shape::Flag => match text.trim().to_ascii_lowercase().as_str() {
                "" => return Ok(()),
                "true" | "1" | "t" | "yes" | "on" => Kept::Flag(true),
                "false" | "0" | "f" | "no" | "off" => Kept::Flag(false),
                _ => return Err(wrong_type(field.name, field.shape.as_words())),
            },
            Shape::Object(_) | Shape::Map { .. } | Shape::Objects(_) if text.is_empty() => return Ok(()),
            Shape::Object(_) | Shape::Map { .. } | Shape::Objects(_) => {
                return Err(wrong_type(field.name, field.shape.as_words()));
            }
        };
        self.set(at, Some(kept));
        Ok(())
    }

    fn set(&mut self, at: usize, kept: Option<Kept>) {
        if let Some(place) = self.kept.get_mut(at) {
            *place = kept;
        }
    }

    /// Where it is kept what was given for a field.
    fn place(&mut self, field: &Field) -> Option<&mut Option<Kept>> {
        let at = self.fields.iter().position(|own| own.name == field.name)?;
        self.kept.get_mut(at)
    }

    /// An item of a list.
    fn take_item(&mut self, at: usize, field: &Field, given: Given<'_>) -> Result<bool> {
        let Given::Text { data, lossy } = given else {
            return Err(wrong_type(field.name, field.shape.as_words()));
        };
        let text = self.read_text(field.name, data, lossy)?;
        match self.kept.get_mut(at) {
            Some(Some(Kept::List(items))) => items.push(text),
            _ => self.set(at, Some(Kept::List(vec![text]))),
        }
        Ok(false)
    }

    /// A member of an object.
    fn take_member(
        &mut self,
        at: usize,
        field: &Field,
        members: &[&'static str],
        inner: &str,
        given: Given<'_>,
    ) -> Result<bool> {
        let Some(place) = members.iter().position(|member| *member == inner) else {
            // An object in the object: wanted, if something in it is.
            return Ok(matches!(given, Given::Object) && members.iter().any(|member| is_in(member, inner)));
        };
        let text = match given {
            Given::Text { data, lossy } => Cow::Owned(self.read_text(field.name, data, lossy)?),
            Given::Scalar(text) => text,
            Given::Null => return Ok(false),
            // Newer clients may say more there: what is not understood is as if it were not said.
            Given::List | Given::Object if inner.contains(DEEPER) => return Ok(false),
            Given::List | Given::Object => {
                return Err(wrong_type(&format!("{}[{inner}]", field.name), "a text"));
            }
        };
        if !matches!(self.kept.get(at), Some(Some(Kept::Object(_)))) {
            self.set(at, Some(Kept::Object(vec![None; members.len()])));
        }
        if let Some(Some(Kept::Object(values))) = self.kept.get_mut(at)
            && let Some(value) = values.get_mut(place)
        {
            *value = Some(text);
        }
        Ok(false)
    }
}

/// The error for parameters that are too long together.
fn too_long(name: &str) -> Error {
    Error::new(Kind::TooLarge, format!("the parameters up to {name} are longer than {STRANGER_BYTES_MAX} bytes"))
}

/// Whether this member is in the object of this name.
fn is_in(member: &str, object: &str) -> bool {
    member.strip_prefix(object).is_some_and(|rest| rest.starts_with(DEEPER))
}

impl Sink for Params {
    fn take(&mut self, name: Name<'_>, given: Given<'_>) -> Result<bool> {
        let Some(at) = self.fields.iter().position(|field| field.name == name.outer) else { return Ok(false) };
        let Some(field) = self.fields.get(at) else { return Ok(false) };
        match (name.inner, field.shape) {
            (None, _) => {}
            (Some(inner), Shape::Object(members)) => return self.take_member(at, field, members, inner, given),
            // Some clients number the items.
            (Some(inner), Shape::Words) if inner.bytes().all(|c| c.is_ascii_digit()) => {
                return self.take_item(at, field, given);
            }
            (Some(inner), Shape::Map { with_scalars }) => return self.take_pair(field, inner, given, with_scalars),
            (Some(inner), Shape::Objects(members)) => return self.take_of_object(field, inner, given, members),
            (Some(_), _) => return Err(wrong_type(field.name, field.shape.as_words())),
        }
        match (given, field.shape) {
            (Given::Text { data, lossy }, _) => {
                let text = self.read_text(field.name, data, lossy)?;
                self.keep(at, field, text)?;
                Ok(false)
            }
            (Given::Scalar(text), Shape::Text | Shape::Flag) => {
                self.keep(at, field, text.into_owned())?;
                Ok(false)
            }
            (Given::Null, _) => {
                self.set(at, None);
                Ok(false)
            }
            (Given::List, Shape::Objects(_)) | (Given::Object, Shape::Map { .. }) => {
                self.set(at, None);
                Ok(true)
            }
            (Given::List, Shape::Words) => {
                self.set(at, Some(Kept::List(Vec::new())));
                Ok(true)
            }
            (Given::Object, Shape::Object(_)) => {
                self.set(at, None);
                Ok(true)
            }
            (Given::Scalar(_) | Given::List | Given::Object, _) => Err(wrong_type(field.name, field.shape.as_words())),
        }
    }
}

/// Counts parameters.
#[derive(Default)]
struct Count(usize);

impl Count {
    fn one_more(&mut self) -> Result<()> {
        self.0 += 1;
        if self.0 > PARAMETERS_MAX {
            return Err(Error::new(Kind::TooLarge, format!("there are more than {PARAMETERS_MAX} parameters")));
        }
        Ok(())
    }
}

/// The name in `data`; `None` if it is longer than any that is known.
fn read_name(data: &mut dyn Read) -> Result<Option<String>> {
    // Most are shorter than this, and a runner of today sends dozens of them with each question.
    let mut bytes = Vec::with_capacity(64);
    data.take(NAME_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(body_error)?;
    if bytes.len() as u64 > NAME_BYTES_MAX {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())))
}
