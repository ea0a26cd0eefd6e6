//! What things look like to programs: GitLab's objects, with all of their fields.
//!
//! What must stay true: an id is a number, a time a text or null, never an empty text: clients with fixed types fail on the
//! whole list else. No token and no value of a variable is in an object. What Baton knows beyond GitLab's fields is in
//! fields more, which GitLab's clients ignore.

pub mod commit;
pub mod job;
pub mod linted;
pub mod people;
pub mod pipeline;
pub mod project;
pub mod runner;
pub mod schema;
pub mod trigger;
pub mod variable;

use crate::domain::time::Timestamp;
use serde_json::{Value, json};

/// A time, or null.
pub fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_string()))
}

/// Gives an object this member, in place of one of that name.
pub fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// What comes behind the last slash.
pub fn last_part(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}
