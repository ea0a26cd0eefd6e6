//! The API's own description, and whether answers are as it says. Of JSON Schema it reads what is used there.

use crate::harness::*;
use serde_json::{Map, Value};

pub struct Description(Value);

impl Description {
    pub fn of(baton: &Baton) -> Description {
        Description(baton.send(Request::get("/api/v4/openapi.json")).expect(200).json())
    }

    fn paths(&self) -> &Map<String, Value> {
        self.0["paths"].as_object().expect("paths")
    }

    /// What is said of this method and path; of paths that fit, the one with the fewest places.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        let fitting = self.paths().iter().filter(|(pattern, _)| fits(pattern, path));
        let mut all: Vec<(usize, &Value)> =
            fitting.map(|(pattern, methods)| (pattern.matches('{').count(), &methods[method.as_str()])).collect();
        all.retain(|(_, operation)| operation.is_object());
        all.sort_by_key(|(places, _)| *places);
        all.first().map(|(_, operation)| *operation)
    }

    /// Fails unless the description has this answer to this request.
    #[track_caller]
    pub fn expect_fits(&self, method: &str, target: &str, response: &Response) {
        let path = target.split('?').next().unwrap().strip_prefix("/api/v4").expect("a path of API v4");
        let Some(operation) = self.operation(method, path) else {
            assert!([404, 405].contains(&response.status), "{method} {target} is not described: {response:?}");
            return;
        };
        let said = &operation["responses"][response.status.to_string()];
        assert!(said.is_object(), "{method} {target}: {} is not described: {}", response.status, response.text());
        if method == "HEAD" {
            return;
        }
        let Some(content) = said["content"].as_object() else { return };
        let kind = response.header("Content-Type").unwrap_or_default();
        let media = kind.split(';').next().unwrap();
        let Some(described) = content.get(media) else { panic!("{method} {target}: {media} is not described") };
        if media == "application/json" {
            let mut wrong = Vec::new();
            self.check(&described["schema"], &response.json(), "", &mut wrong);
            assert!(wrong.is_empty(), "{method} {target}: {wrong:#?} in {}", response.text());
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/").expect("a schema of the description");
            let referred = &self.0["components"]["schemas"][name];
            assert!(referred.is_object(), "there is no schema {name}");
            return self.check(referred, value, at, wrong);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let is_one = any.iter().any(|schema| {
                let mut wrong = Vec::new();
                self.check(schema, value, at, &mut wrong);
                wrong.is_empty()
            });
            if !is_one {
                wrong.push(format!("{at} is none of what it may be: {value}"));
            }
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
            wrong.push(format!("{at} must be {kinds:?}, and is {value}"));
        }
        if schema["format"] == "date-time" && value.as_str().is_some_and(|text| !is_time(text)) {
            wrong.push(format!("{at} is no time: {value}"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            if schema["items"].is_object() {
                self.check(&schema["items"], item, &format!("{at}[{index}]"), wrong);
            }
        }
        let Some(members) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(own) => self.check(own, member, &format!("{at}.{name}"), wrong),
                None if schema["additionalProperties"] == false => wrong.push(format!("{at}.{name} is not described")),
                None => {}
            }
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the type {other} is unknown here"),
    }
}

/// `2026-11-28T07:55:01.123Z`, or with microseconds
fn is_time(text: &str) -> bool {
    let fits = |(own, c): (char, char)| if own == 'd' { c.is_ascii_digit() } else { own == c };
    let is_of = |pattern: &str| text.len() == pattern.len() && pattern.chars().zip(text.chars()).all(fits);
    ["dddd-dd-ddTdd:dd:dd.dddZ", "dddd-dd-ddTdd:dd:dd.ddddddZ"].into_iter().any(is_of)
}

/// Whether a path is of this pattern; `{path}` and `{ref_and_path}` stand for all that follows.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut words, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (words.next(), segments.next()) {
            (None, None) => return true,
            (Some("{path}" | "{ref_and_path}"), Some(_)) => return true,
            (Some("{id}"), Some(segment)) if segment.parse::<i64>().is_ok() => {}
            (Some("{id}"), _) => return false,
            (Some(word), Some(segment)) if word.starts_with('{') && !segment.is_empty() => {}
            (Some(word), Some(segment)) if word == segment => {}
            _ => return false,
        }
    }
}

#[test]
fn the_description_has_every_route_and_no_other() {
    let description = Description::of(&Baton::start());
    assert_eq!(description.0["openapi"], "3.1.0");
    let mut described: Vec<String> = description.paths().keys().cloned().collect();
    let brace = |word: &str| word.strip_prefix([':', '*']).map_or(word.to_owned(), |name| format!("{{{name}}}"));
    let of_program = |route: &&str| description.paths().contains_key(&format!("/{}", braced(route, brace)));
    let mut routes: Vec<String> =
        baton::api::program_routes().iter().map(|route| format!("/{}", braced(route, brace))).collect();
    assert!(baton::api::program_routes().iter().all(of_program));
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
    let mut ids = Vec::new();
    for operation in description.paths().values().flat_map(|methods| methods.as_object().unwrap().values()) {
        assert!(operation["summary"].as_str().is_some_and(|words| !words.is_empty()), "{operation}");
        let id = operation["operationId"].as_str().expect("an id").to_owned();
        assert!(!ids.contains(&id), "{id} is there twice");
        ids.push(id);
    }
    assert!(ids.len() > 40, "{ids:?}");
}

fn braced(route: &str, brace: impl Fn(&str) -> String) -> String {
    route.split('/').map(brace).collect::<Vec<_>>().join("/")
}

#[test]
fn an_answer_that_is_not_as_it_is_described_is_noticed() {
    let description = Description(serde_json::json!({"components": {"schemas": {"Thing": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "at": {"type": ["string", "null"], "format": "date-time"}},
        "required": ["id", "at"],
        "additionalProperties": false,
    }}}}));
    let schema = serde_json::json!({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}});
    let wrong = |value: Value| {
        let mut wrong = Vec::new();
        description.check(&schema, &value, "", &mut wrong);
        wrong.len()
    };
    assert_eq!(wrong(serde_json::json!([{"id": 1, "at": null}, {"id": 2, "at": "2026-11-28T07:55:01.123Z"}])), 0);
    for bad in [
        serde_json::json!({"id": 1}),
        serde_json::json!([{"id": "1", "at": null}]),
        serde_json::json!([{"id": 1}]),
        serde_json::json!([{"id": 1, "at": ""}]),
        serde_json::json!([{"id": 1, "at": null, "more": 1}]),
    ] {
        assert_eq!(wrong(bad.clone()), 1, "{bad}");
    }
}
