//! The description of this API (OpenAPI 3.1), made from the tables of routes: whatever is served is in it, and nothing else.

use super::TABLES;
use super::call::Call;
use super::object::{put, schema};
use super::route::{Content, May, Route, route, says};
use crate::api::Handler;
use crate::http::params::{Field, Shape};
use crate::http::router::Endpoint;
use crate::http::{Method, Response};
use serde_json::{Map, Value, json};

/// The endpoint that tells it. It needs no token: it says what anybody can read in the documentation.
pub const ENDPOINTS: &[Endpoint<Handler>] = &[route(
    Method::Get,
    "openapi.json",
    May::Anybody,
    &[],
    |call| Ok(Response::json(200, &document(call)).as_routine().into()),
    says("This description", 200, Content::Json),
)];

fn document(call: &Call<'_, '_>) -> Value {
    let mut paths = Map::new();
    for endpoint in TABLES.iter().copied().flatten() {
        let Handler::Program(own) = endpoint.answer else { continue };
        let (path, places) = path_of(endpoint.pattern);
        let operation = operation(endpoint.method, &own, &path, &places);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = methods {
            methods.insert(endpoint.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Baton: GitLab's API for programs",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Jobs, pipelines, runners and projects, as GitLab's own clients ask for them.",
        },
        "servers": [{"url": call.urls().path("/api/v4")}],
        "security": [{"token": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "PRIVATE-TOKEN"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "job": {"type": "apiKey", "in": "header", "name": "JOB-TOKEN"},
            },
            "schemas": schema::all(),
        },
    })
}

/// The path as the description has it, and its places with whether each is a number.
fn path_of(pattern: &str) -> (String, Vec<(&str, bool)>) {
    let (mut path, mut places) = (String::new(), Vec::new());
    for word in pattern.split('/') {
        path.push('/');
        match word.strip_prefix([':', '*']) {
            Some(name) => {
                places.push((name, word == ":id"));
                path.push_str(&format!("{{{name}}}"));
            }
            None => path.push_str(word),
        }
    }
    (path, places)
}

fn operation(method: Method, own: &Route, path: &str, places: &[(&str, bool)]) -> Value {
    let has_body = matches!(method, Method::Post | Method::Put | Method::Patch);
    let mut parameters: Vec<Value> = places
        .iter()
        .map(|(name, is_number)| {
            let kind = if *is_number { "integer" } else { "string" };
            json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
        })
        .collect();
    let mut operation = json!({
        "summary": own.says.summary,
        "operationId": format!("{} {path}", method.as_str().to_ascii_lowercase()),
        "responses": responses(own),
    });
    if has_body && !own.terms.fields.is_empty() {
        let members: Map<String, Value> =
            own.terms.fields.iter().map(|it| (it.name.to_owned(), of_shape(it.shape))).collect();
        let schema = json!({"type": "object", "properties": members});
        put(&mut operation, "requestBody", json!({"content": {"application/json": {"schema": schema}}}));
    } else {
        parameters.extend(own.terms.fields.iter().flat_map(of_field));
    }
    put(&mut operation, "parameters", json!(parameters));
    match own.terms.may {
        May::ReadOrJob => put(&mut operation, "security", json!([{"token": []}, {"bearer": []}, {"job": []}])),
        May::Job => put(&mut operation, "security", json!([{"job": []}])),
        May::Anybody | May::Trigger => put(&mut operation, "security", json!([])),
        May::Read | May::Write => {}
    }
    operation
}

/// A list is repeated as `name[]`.
fn of_field(field: &Field) -> Option<Value> {
    let name = if field.shape == Shape::Words { format!("{}[]", field.name) } else { field.name.to_owned() };
    Some(json!({"name": name, "in": "query", "schema": of_shape(field.shape)}))
}

fn of_shape(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "integer"]}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Words => json!({"type": "array", "items": {"type": "string"}}),
        Shape::Object(_) => json!({"type": "object"}),
        Shape::Map { with_scalars: false } => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}})
        }
        Shape::Map { with_scalars: true } => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}})
        }
        Shape::Objects(members) => {
            let of = |name: &&str| ((*name).to_owned(), json!({"type": ["string", "boolean", "null"]}));
            let properties: Map<String, Value> = members.iter().map(of).collect();
            json!({"type": "array", "items": {"type": "object", "properties": properties}})
        }
    }
}

fn responses(own: &Route) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let of_type =
        |kind: &str, schema: Value| json!({"description": own.says.summary, "content": {kind: {"schema": schema}}});
    let success = match own.says.content {
        Content::Object(name) => of_type("application/json", reference(name)),
        Content::List(name) => of_type("application/json", json!({"type": "array", "items": reference(name)})),
        Content::Json => of_type("application/json", json!({"type": "object"})),
        Content::Text => of_type("text/plain", json!({"type": "string"})),
        Content::File => of_type("application/octet-stream", json!({})),
        Content::Nothing => json!({"description": own.says.summary}),
    };
    let mut all = Map::new();
    all.insert(own.says.status.to_string(), success);
    if matches!(own.says.content, Content::File | Content::Text) {
        for (status, said) in [("206", "A part"), ("304", "It is the one that is known"), ("416", "No such part")] {
            all.insert(status.to_owned(), json!({"description": said}));
        }
    }
    let mut error = |status: &str, said: &str| {
        all.insert(
            status.to_owned(),
            json!({"description": said, "content": {"application/json": {"schema": reference("Error")}}}),
        );
    };
    if own.terms.may != May::Anybody {
        error("401", "No token, or none that is good here");
    }
    error("403", "The token or the state of the thing does not allow it");
    error("404", "There is no such thing for this token");
    error("400", "A parameter is missing or wrong");
    error("405", "Not so: another method, or another kind of pages");
    error("409", "The state of things contradicts it");
    error("413", "Too large");
    error("415", "The body is compressed");
    error("503", "The server is busy");
    Value::Object(all)
}
