//! The fields of an object whose types are known.

use crate::domain::text::did_you_mean::nearest;
use serde_json::{Map, Value};

/// Where something is written, for errors, and whether fields that nothing here knows are errors there.
pub struct Place {
    path: String,
    is_strict: bool,
}

impl Place {
    /// A place where each field has a meaning.
    #[must_use]
    pub fn strict(path: &str) -> Place {
        Place { path: path.to_owned(), is_strict: true }
    }

    /// A place that may have fields for others.
    #[must_use]
    pub fn open(path: &str) -> Place {
        Place { path: path.to_owned(), is_strict: false }
    }

    /// In words.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// That of a field of what stands here.
    pub(super) fn inner(&self, key: &str) -> Place {
        Place { path: format!("{}.{key}", self.path), is_strict: self.is_strict }
    }
}

/// The fields of an object that were not taken yet. Those that say no more than an absent one stay.
pub(super) struct Fields<'a> {
    place: &'a Place,
    map: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Those of `value`, which must be an object; `what` says so, and what else it could have been.
    pub fn of(place: &'a Place, value: Value, what: &str) -> Result<Fields<'a>, String> {
        match value {
            Value::Object(map) => Ok(Fields { place, map, asked: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(format!("{} must be {what}", place.path))
            }
        }
    }

    /// Where the object stands.
    pub fn place(&self) -> &str {
        &self.place.path
    }

    fn take(&mut self, key: &'static str, says_nothing: impl Fn(&Value) -> bool) -> Option<Value> {
        self.asked.push(key);
        if self.map.get(key).is_some_and(says_nothing) {
            return None;
        }
        self.map.remove(key)
    }

    fn wrong<T>(&self, key: &str, what: &str) -> Result<T, String> {
        Err(format!("{}.{key} must be {what}", self.place.path))
    }

    /// A field of any type.
    pub fn any(&mut self, key: &'static str) -> Option<Value> {
        self.take(key, Value::is_null)
    }

    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(key, "a string"),
        }
    }

    /// One of these words. Where others may read it, too, any word will do.
    pub fn word(&mut self, key: &'static str, words: &[&str]) -> Result<Option<String>, String> {
        let word = self.text(key)?;
        if self.place.is_strict && word.as_deref().is_some_and(|word| !words.contains(&word)) {
            return self.wrong(key, &format!("one of {}", words.join(", ")));
        }
        Ok(word)
    }

    /// The same, or an array of them.
    pub fn words(&mut self, key: &'static str, words: &[&str]) -> Result<Vec<String>, String> {
        let all = self.lines(key)?;
        if self.place.is_strict && all.iter().any(|word| !words.contains(&word.as_str())) {
            return self.wrong(key, &format!("one of {}, or an array of them", words.join(", ")));
        }
        Ok(all)
    }

    pub fn flag(&mut self, key: &'static str) -> Result<bool, String> {
        match self.take(key, |value| value.is_null() || value == &Value::Bool(false)) {
            None => Ok(false),
            Some(Value::Bool(is)) => Ok(is),
            Some(_) => self.wrong(key, "true or false"),
        }
    }

    pub fn object(&mut self, key: &'static str) -> Result<Option<Map<String, Value>>, String> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => self.wrong(key, "an object"),
        }
    }

    /// An array of texts; none is as good as an empty one.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<String>, String> {
        let Some(value) = self.take(key, says_no_items) else { return Ok(Vec::new()) };
        all_texts(value).map_or_else(|| self.wrong(key, "an array of strings"), Ok)
    }

    /// An array of texts, of which an empty one means something else than none.
    pub fn optional_texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.any(key) else { return Ok(None) };
        all_texts(value).map_or_else(|| self.wrong(key, "an array of strings"), |texts| Ok(Some(texts)))
    }

    /// A text, or an array of texts.
    pub fn lines(&mut self, key: &'static str) -> Result<Vec<String>, String> {
        let Some(value) = self.take(key, says_no_items) else { return Ok(Vec::new()) };
        one_or_all_texts(value).map_or_else(|| self.wrong(key, "a string, or an array of strings"), Ok)
    }

    /// A whole number, or an array of them.
    pub fn numbers(&mut self, key: &'static str) -> Result<Vec<i64>, String> {
        let Some(value) = self.take(key, says_no_items) else { return Ok(Vec::new()) };
        let items = if let Value::Array(items) = value { items } else { vec![value] };
        let numbers: Option<Vec<i64>> = items.iter().map(Value::as_i64).collect();
        numbers.map_or_else(|| self.wrong(key, "a whole number, or an array of them"), Ok)
    }

    /// What was not taken.
    ///
    /// # Errors
    /// Names a field that has no meaning, where each must have one.
    pub fn rest(self) -> Result<Map<String, Value>, String> {
        let unknown = self.map.keys().find(|key| !self.asked.contains(&key.as_str()));
        match unknown.filter(|_| self.place.is_strict) {
            None => Ok(self.map),
            Some(key) => Err(match nearest(key, self.asked.iter().copied()) {
                Some(near) => format!("{} has no field {key:?}; did you mean {near:?}?", self.place.path),
                None => format!("{} has no field {key:?}; there are {}", self.place.path, self.asked.join(", ")),
            }),
        }
    }
}

fn says_no_items(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

pub(super) fn all_texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    let text = |item| if let Value::String(text) = item { Some(text) } else { None };
    items.into_iter().map(text).collect()
}

pub(super) fn one_or_all_texts(value: Value) -> Option<Vec<String>> {
    if let Value::String(text) = value { Some(vec![text]) } else { all_texts(value) }
}

/// What people write as a variable's value, as the text that it becomes.
#[must_use]
pub fn plain(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
