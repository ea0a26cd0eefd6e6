//! Values as text: JSON, and YAML for people.

use super::node::{Node, Yaml};
use super::scalar;
use serde_json::{Map, Number, Value};

/// The value without its places; a reference as the list of its steps.
#[must_use]
pub fn to_json(node: &Node) -> Value {
    match &node.yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(is) => Value::Bool(*is),
        Yaml::Int(number) => i64::try_from(*number).map_or_else(|_| Value::String(number.to_string()), Value::from),
        Yaml::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Yaml::Text(text) => Value::String(text.to_string()),
        Yaml::List(list) | Yaml::Reference(list) => Value::Array(list.iter().map(to_json).collect()),
        Yaml::Map(map) => {
            let entries = map.0.iter().map(|(key, entry)| (key.to_string(), to_json(&entry.node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// The value as YAML that is read back as the same; `files` name the place of each entry of the outermost mapping.
#[must_use]
pub fn to_yaml(node: &Node, files: &[String]) -> String {
    let mut out = String::new();
    let Some(map) = node.map() else {
        block(node, 0, &mut out);
        return out;
    };
    for (key, entry) in &map.0 {
        if !out.is_empty() {
            out.push('\n');
        }
        let index = usize::try_from(entry.place.file).unwrap_or(usize::MAX);
        if let Some(file) = files.get(index) {
            let file: String = file.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            out.push_str(&format!("# {file}:{}\n", entry.place.line));
        }
        out.push_str(&text(key));
        out.push(':');
        block(&entry.node, 1, &mut out);
    }
    out
}

/// A value behind a key or a dash, with what it needs before it.
fn block(node: &Node, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match &node.yaml {
        Yaml::List(list) | Yaml::Reference(list) if list.is_empty() => out.push_str(" []\n"),
        Yaml::Map(map) if map.0.is_empty() => out.push_str(" {}\n"),
        Yaml::List(list) | Yaml::Reference(list) => {
            out.push('\n');
            for entry in list.iter() {
                out.push_str(&format!("{indent}-"));
                block(entry, depth + 1, out);
            }
        }
        Yaml::Map(map) => {
            out.push('\n');
            for (key, entry) in &map.0 {
                out.push_str(&format!("{indent}{}:", text(key)));
                block(&entry.node, depth + 1, out);
            }
        }
        Yaml::Text(value) => out.push_str(&lines(value, &indent).unwrap_or_else(|| format!(" {}\n", text(value)))),
        Yaml::Null | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) => {
            let text = if node.is_null() { "null".to_owned() } else { number(node) };
            out.push_str(&format!(" {text}\n"));
        }
    }
}

fn number(node: &Node) -> String {
    match &node.yaml {
        Yaml::Float(number) if number.is_nan() => ".nan".to_owned(),
        Yaml::Float(number) if number.is_infinite() => if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        Yaml::Float(_)
        | Yaml::Int(_)
        | Yaml::Bool(_)
        | Yaml::Null
        | Yaml::Text(_)
        | Yaml::List(_)
        | Yaml::Map(_)
        | Yaml::Reference(_) => node.scalar_text().unwrap_or_default(),
    }
}

/// Text of several lines as a literal block, if it can be one.
fn lines(value: &str, indent: &str) -> Option<String> {
    let body = value.strip_suffix('\n').unwrap_or(value);
    let is_printable = value
        .chars()
        .all(|c| c == '\n' || (!c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')));
    let first = body.lines().next().unwrap_or_default();
    if !body.contains('\n') || body.ends_with('\n') || !is_printable || first.starts_with(' ') || first.is_empty() {
        return None;
    }
    let mut out = if body.len() < value.len() { " |\n".to_owned() } else { " |-\n".to_owned() };
    for line in body.split('\n') {
        if !line.is_empty() {
            out.push_str(indent);
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}

/// Text in one line: without quotes if it is read back as the same, else in those of JSON, which YAML reads too.
fn text(value: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || " _-./+=@%^~()$<>;".contains(c);
    let starts_well = value.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '$'));
    let is_text = matches!(scalar::plain(value), Ok(Yaml::Text(_)));
    if starts_well && is_text && value.chars().all(is_safe) && !value.ends_with(' ') && !value.starts_with("...") {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        let texts = [
            "",
            " ",
            "a",
            "a b ",
            "yes",
            "08",
            "1:30",
            "2020-01-01",
            "a: b",
            "# a",
            "a #b",
            "- a",
            "x\ny\n",
            "x\ny",
            "x\n\n  y\n",
            " x\ny",
            "\nx\ny",
            "x\n\n",
            "a\tb",
            "\u{1}",
            "é",
            "null",
            "~",
            "\"'",
            "a\\b",
            "{a}",
            "...",
            "---",
            "%a",
            "@a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "\u{2028}",
            "x\ry",
            "<<",
        ];
        for one in texts {
            for two in texts {
                let node =
                    load(&serde_json::json!({"k": [one, {"m": two}, [[two]], []], "l": {}}).to_string(), 0).unwrap();
                let node = &node.documents[0];
                let text = to_yaml(node, &["f.yml".to_owned()]);
                let again = load(&text, 0).unwrap_or_else(|error| panic!("{error:?} in {text}"));
                assert!(again.documents[0].same(node), "{text}");
            }
        }
    }
}
