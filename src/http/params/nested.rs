//! Parameters that hold others: objects with members of any names, and lists of objects.

use super::{DEEPER, Field, Given, Kept, Params, wrong_type};
use crate::error::{Error, Kind, Result};
use crate::limits::JSON_OBJECTS_MAX;

impl Params {
    /// The members of an object whose members may have any names.
    #[must_use]
    pub fn pairs(&self, name: &str) -> &[(String, String)] {
        match self.kept(name) {
            Some(Kept::Pairs(pairs)) => pairs,
            _ => &[],
        }
    }

    /// The objects of a list, each with the members that it was given.
    #[must_use]
    pub fn objects(&self, name: &str) -> &[Vec<(&'static str, String)>] {
        match self.kept(name) {
            Some(Kept::Objects(objects)) => objects,
            _ => &[],
        }
    }

    /// A member of an object whose members may have any names.
    pub(super) fn take_pair(
        &mut self,
        field: &Field,
        inner: &str,
        given: Given<'_>,
        with_scalars: bool,
    ) -> Result<bool> {
        let text = match given {
            Given::Text { data, lossy } => self.read_text(field.name, data, lossy)?,
            Given::Scalar(text) if with_scalars => text.into_owned(),
            Given::Null => return Ok(false),
            Given::Scalar(_) | Given::List | Given::Object => {
                return Err(wrong_type(field.name, field.shape.as_words()));
            }
        };
        self.charge(field, inner)?;
        let place = self.place(field).map(|place| place.get_or_insert_with(|| Kept::Pairs(Vec::new())));
        if let Some(Kept::Pairs(pairs)) = place {
            match pairs.iter_mut().find(|(own, _)| own == inner) {
                Some((_, value)) => *value = text,
                None => pairs.push((inner.to_owned(), text)),
            }
        }
        Ok(false)
    }

    /// An item of a list of objects, or a member of its last one. In a form, an item begins with a member that the last one
    /// has already.
    pub(super) fn take_of_object(
        &mut self,
        field: &Field,
        inner: &str,
        given: Given<'_>,
        members: &[&'static str],
    ) -> Result<bool> {
        let wrong = || wrong_type(field.name, field.shape.as_words());
        let Some((_, member)) = inner.split_once(DEEPER) else {
            return match given {
                Given::Object => self.begin_object(field).map(|()| true),
                Given::Text { .. } | Given::Scalar(_) | Given::Null | Given::List => Err(wrong()),
            };
        };
        let Some(member) = members.iter().find(|own| **own == member) else { return Ok(false) };
        let text = match given {
            Given::Text { data, lossy } => self.read_text(field.name, data, lossy)?,
            Given::Scalar(text) => text.into_owned(),
            Given::Null => return Ok(false),
            Given::List | Given::Object => return Err(wrong_type(&format!("{}[{member}]", field.name), "a text")),
        };
        let has_it = |object: &Vec<(&str, String)>| object.iter().any(|(own, _)| own == member);
        if self.objects(field.name).last().is_none_or(has_it) {
            self.begin_object(field)?;
        }
        if let Some(Some(Kept::Objects(objects))) = self.place(field)
            && let Some(last) = objects.last_mut()
        {
            last.push((member, text));
        }
        Ok(false)
    }

    fn begin_object(&mut self, field: &Field) -> Result<()> {
        let place = self.place(field).map(|place| place.get_or_insert_with(|| Kept::Objects(Vec::new())));
        if let Some(Kept::Objects(objects)) = place {
            if objects.len() >= JSON_OBJECTS_MAX {
                let why = format!("{} has more than {JSON_OBJECTS_MAX} entries", field.name);
                return Err(Error::new(Kind::TooLarge, why));
            }
            objects.push(Vec::new());
        }
        Ok(())
    }

    /// Counts what is kept of a name.
    fn charge(&mut self, field: &Field, name: &str) -> Result<()> {
        let left = self.bytes_left.checked_sub(name.len() as u64);
        self.bytes_left = left.ok_or_else(|| super::too_long(field.name))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::http::message::{Headers, Method, Note, Request};
    use crate::http::params::{Field, Params, Shape};

    const FIELDS: &[Field] = &[
        Field { name: "variables", shape: Shape::Objects(&["key", "value"]) },
        Field { name: "map", shape: Shape::Map { with_scalars: false } },
        Field { name: "inputs", shape: Shape::Map { with_scalars: true } },
    ];

    fn read(content_type: &str, body: &str) -> Result<Params, String> {
        let mut bytes = body.as_bytes();
        let mut request = Request {
            method: Method::Post,
            path: String::new(),
            query: String::new(),
            headers: Headers(vec![("Content-Type".to_owned(), content_type.to_owned())]),
            body: &mut bytes,
            body_bytes: None,
            peer: None,
            stranger: None,
            note: Note::default(),
        };
        Params::of_request(&mut request, FIELDS, 1 << 20).map_err(|error| error.message)
    }

    fn shown(params: &Params) -> String {
        format!("{:?} {:?} {:?}", params.objects("variables"), params.pairs("map"), params.pairs("inputs"))
    }

    #[test]
    fn lists_of_objects_and_objects_of_any_names_are_read_from_json_and_forms() {
        let json = r#"{"variables": [{"key": "A", "value": "1", "other": [{}]}, {"value": true, "key": "B"}, {}],
            "map": {"X": "y", "Z": null}, "inputs": {"n": 3, "t": "x", "b": false}}"#;
        let read_json = read("application/json", json).unwrap();
        assert_eq!(
            shown(&read_json),
            r#"[[("key", "A"), ("value", "1")], [("value", "true"), ("key", "B")], []] [("X", "y")] [("n", "3"), ("t", "x"), ("b", "false")]"#
        );
        let form = "variables[][key]=A&variables[][value]=1&variables[][key]=B&map[X]=y&map[X]=z&inputs[n]=3";
        let read_form = read("application/x-www-form-urlencoded", form).unwrap();
        assert_eq!(shown(&read_form), r#"[[("key", "A"), ("value", "1")], [("key", "B")]] [("X", "z")] [("n", "3")]"#);
        let empty = read("application/json", r#"{"variables": [], "map": {}, "inputs": null}"#).unwrap();
        assert_eq!(shown(&empty), "[] [] []");
    }

    #[test]
    fn what_is_of_another_shape_is_refused() {
        for (json, says) in [
            (r#"{"variables": {"A": "1"}}"#, "variables must be a list of objects"),
            (r#"{"variables": ["A"]}"#, "variables must be a list of objects"),
            (r#"{"variables": [{"key": ["A"]}]}"#, "variables[key] must be a text"),
            (r#"{"map": {"A": 1}}"#, "map must be an object of texts"),
            (r#"{"map": [1]}"#, "map must be an object of texts"),
            (r#"{"inputs": {"A": ["x"]}}"#, "inputs must be an object of texts, numbers and booleans"),
            (r#"{"map": "x"}"#, "map must be an object of texts"),
        ] {
            assert_eq!(read("application/json", json).unwrap_err(), says, "{json}");
        }
        let long = format!(r#"{{"map": {{"A": "{}"}}}}"#, "x".repeat(70_000));
        assert!(read("application/json", &long).unwrap_err().contains("longer than"));
        let many = format!(r#"{{"variables": [{}{{}}]}}"#, "{},".repeat(1000));
        assert!(read("application/json", &many).unwrap_err().contains("more than 1000"));
    }
}
