//! Values with their places.

use indexmap::IndexMap;
use std::sync::Arc;

/// Where something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Number of the file, in the order of reading.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// A value. What aliases and merges repeat is shared.
#[derive(Clone, Debug)]
pub enum Yaml {
    /// `~`, `null`, or nothing.
    Null,
    /// `yes`, `on` and their like too.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Node>>),
    /// A mapping.
    Map(Arc<Map>),
    /// `!reference [...]` with its steps.
    Reference(Arc<Vec<Node>>),
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub yaml: Yaml,
    /// Where it begins.
    pub place: Place,
}

/// The entries of a mapping, in the order of writing.
#[derive(Clone, Debug, Default)]
pub struct Map(pub IndexMap<Arc<str>, Entry>);

/// An entry of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where its key is written.
    pub place: Place,
    /// Whether the key is text, and not for example the number 10.
    pub is_text: bool,
    /// Whether it is written in the mapping itself, and not merged into it.
    pub is_own: bool,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A value at a place.
    #[must_use]
    pub fn new(yaml: Yaml, place: Place) -> Node {
        Node { yaml, place }
    }

    /// Text at a place.
    #[must_use]
    pub fn text_at(text: &str, place: Place) -> Node {
        Node::new(Yaml::Text(text.into()), place)
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.yaml, Yaml::Null)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Yaml::Text(text) = &self.yaml { Some(text) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn list(&self) -> Option<&[Node]> {
        if let Yaml::List(list) = &self.yaml { Some(list) } else { None }
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn map(&self) -> Option<&Map> {
        if let Yaml::Map(map) = &self.yaml { Some(map) } else { None }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        if let Yaml::Bool(is) = self.yaml { Some(is) } else { None }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn int(&self) -> Option<i128> {
        if let Yaml::Int(number) = self.yaml { Some(number) } else { None }
    }

    /// Text of text, numbers and booleans, as Ruby writes them.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.yaml {
            Yaml::Text(text) => Some(text.to_string()),
            Yaml::Int(number) => Some(number.to_string()),
            Yaml::Float(number) => Some(float_text(*number)),
            Yaml::Bool(is) => Some(is.to_string()),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) | Yaml::Reference(_) => None,
        }
    }

    /// How many values it is, with everything in it.
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.yaml {
            Yaml::List(list) | Yaml::Reference(list) => 1 + list.iter().map(Node::weight).sum::<usize>(),
            Yaml::Map(map) => 1 + map.0.values().map(|entry| 1 + entry.node.weight()).sum::<usize>(),
            Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::Text(_) => 1,
        }
    }

    /// Whether two values are the same, wherever they are written.
    #[must_use]
    pub fn same(&self, other: &Node) -> bool {
        match (&self.yaml, &other.yaml) {
            (Yaml::Null, Yaml::Null) => true,
            (Yaml::Bool(one), Yaml::Bool(two)) => one == two,
            (Yaml::Int(one), Yaml::Int(two)) => one == two,
            (Yaml::Float(one), Yaml::Float(two)) => one == two,
            (Yaml::Text(one), Yaml::Text(two)) => one == two,
            (Yaml::List(one), Yaml::List(two)) | (Yaml::Reference(one), Yaml::Reference(two)) => {
                one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| one.same(two))
            }
            (Yaml::Map(one), Yaml::Map(two)) => {
                one.0.len() == two.0.len()
                    && one.0.iter().all(|(key, entry)| two.get(key).is_some_and(|node| node.same(&entry.node)))
            }
            (
                Yaml::Null
                | Yaml::Bool(_)
                | Yaml::Int(_)
                | Yaml::Float(_)
                | Yaml::Text(_)
                | Yaml::List(_)
                | Yaml::Map(_)
                | Yaml::Reference(_),
                _,
            ) => false,
        }
    }
}

impl Map {
    /// The value of a key, also if it is null.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|entry| &entry.node)
    }

    /// The value of a key, if it is there and not null.
    #[must_use]
    pub fn set(&self, key: &str) -> Option<&Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// The keys, in the order of writing.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|key| &**key)
    }
}

/// A number as Ruby writes it: `1.0`, `1.5`, `1.0e+20`.
fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = number.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ruby_writes_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (1e15, "1000000000000000.0"),
            (1e20, "1.0e+20"),
            (1.5e-7, "1.5e-07"),
            (0.0, "0.0"),
        ] {
            assert_eq!(float_text(number), text);
        }
    }
}
