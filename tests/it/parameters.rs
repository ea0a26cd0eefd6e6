//! Parameters: how they are read, of which type they must be, and how much of them there may be. What is read in pieces is
//! compared with what well-known crates make of the whole.

use crate::harness::random::Random;
use crate::harness::*;
use baton::domain::build::Status;
use baton::error::{Error, Kind, Result};
use baton::http::message::Headers;
use baton::http::params::{Allowance, Field, Given, Name, Params, Shape, Sink, read_params, text};
use baton::http::{Method, Note};
use baton::limits::STRANGER_BYTES_MAX;
use serde_json::{Map, Value, json};
use std::io::{self, Read};

/// Delivers in pieces of a size, as networks do.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.1.min(buffer.len());
        self.0.read(&mut buffer[..room])
    }
}

/// Reads a body of this type.
fn read(content_type: &str, body: &[u8], piece_bytes: usize, sink: &mut dyn Sink) -> Result<()> {
    let mut pieces = Pieces(body, piece_bytes);
    let mut request = baton::http::Request {
        method: Method::Post,
        path: String::new(),
        query: String::new(),
        headers: Headers(vec![("Content-Type".to_owned(), content_type.to_owned())]),
        body: &mut pieces,
        body_bytes: None,
        peer: None,
        stranger: None,
        note: Note::default(),
    };
    read_params(&mut request, &Allowance::new(1 << 20), sink)
}

/// Wants everything, and keeps it.
#[derive(Default)]
struct All {
    members: Map<String, Value>,
    pairs: Vec<(String, String)>,
}

impl Sink for All {
    fn take(&mut self, name: Name<'_>, given: Given<'_>) -> Result<bool> {
        let (value, is_wanted) = match given {
            Given::Text { data, lossy } => {
                let mut bytes = Vec::new();
                data.read_to_end(&mut bytes).map_err(Error::internal)?;
                let text = match lossy {
                    true => String::from_utf8_lossy(&bytes).into_owned(),
                    false => String::from_utf8(bytes).map_err(|_| Error::invalid("UTF-8"))?,
                };
                let inner = name.inner.map(|inner| format!("[{inner}]")).unwrap_or_default();
                self.pairs.push((format!("{}{inner}", name.outer), text.clone()));
                (Value::String(text), false)
            }
            Given::Scalar(text) => (serde_json::from_str(&text).expect("a scalar"), false),
            Given::Null => (Value::Null, false),
            Given::List => (json!([]), name.inner.is_none()),
            Given::Object => (json!({}), name.inner.is_none()),
        };
        match (name.inner, self.members.get_mut(name.outer)) {
            (Some(_), Some(Value::Array(items))) => items.push(value),
            (Some(inner), Some(Value::Object(members))) => drop(members.insert(inner.to_owned(), value)),
            _ => drop(self.members.insert(name.outer.to_owned(), value)),
        }
        Ok(is_wanted)
    }
}

/// As much as [`All`] keeps: what is within the members of members is gone.
fn shallow(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth < 2 => {
            Value::Object(members.into_iter().map(|(key, value)| (key, shallow(value, depth + 1))).collect())
        }
        Value::Array(items) if depth < 2 => {
            Value::Array(items.into_iter().map(|item| shallow(item, depth + 1)).collect())
        }
        Value::Object(_) => json!({}),
        Value::Array(_) => json!([]),
        scalar => scalar,
    }
}

const TEXTS: [&str; 12] = [
    "",
    "a",
    "größe",
    "日本 🦊",
    "\"",
    "\\",
    "\n\t\u{8}\u{c}",
    "\u{1}",
    "\u{ffff}",
    "a/b",
    "{[,:]}",
    "0123456789abcdef",
];
const SCALARS: [&str; 12] = [
    "0",
    "-0",
    "1.5e3",
    "-7",
    "1e-5",
    "18446744073709551615",
    "99999999999999999999",
    "true",
    "false",
    "null",
    "01",
    "1e999",
];

fn random_text(random: &mut Random) -> String {
    let text = random.pick(&TEXTS).repeat(1 + random.below(3));
    if random.below(2) == 0 {
        return Value::String(text).to_string();
    }
    // Every unit as an escape, surrogates in pairs.
    text.encode_utf16().fold("\"".to_owned(), |all, unit| all + &format!("\\u{unit:04X}")) + "\""
}

fn random_value(random: &mut Random, depth: usize) -> String {
    let blank = random.pick(&["", " ", "\r\n", "\t"]);
    let count = random.below(4);
    let inner = match random.below(if depth < 5 { 6 } else { 4 }) {
        0 | 1 => random_text(random),
        2 | 3 => {
            let of = if random.below(8) > 0 { 10 } else { 12 };
            random.pick(&SCALARS[..of]).to_owned()
        }
        4 => {
            let items: Vec<String> = (0..count).map(|_| random_value(random, depth + 1)).collect();
            format!("[{blank}{}{blank}]", items.join(","))
        }
        _ => random_object(random, depth + 1),
    };
    format!("{blank}{inner}{blank}")
}

fn random_object(random: &mut Random, depth: usize) -> String {
    let count = random.below(5);
    let members: Vec<String> = (0..count).map(|_| random_text(random) + ":" + &random_value(random, depth)).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn json_is_read_as_serde_json_reads_it() {
    let mut random = Random::new();
    let mut good = 0;
    for case in 0..20_000 {
        let mut body = random_object(&mut random, 0).into_bytes();
        for _ in 0..random.below(3) {
            let at = random.below(body.len() + 1);
            let end = (at + random.below(4)).min(body.len());
            let words: [&[u8]; 12] =
                [b"", b"\"", b"\\", b"\\u", b"{", b"}", b"[", b"]", b",", b":", b"\\ud83d\\u0041", b"\\udc00"];
            body.splice(at..end, random.pick(&words).iter().copied());
        }
        let Ok(text) = std::str::from_utf8(&body) else { continue };
        if text.trim().is_empty() {
            continue;
        }
        let expected = serde_json::from_str::<Map<String, Value>>(text);
        let mut all = All::default();
        let piece_bytes = 1 + random.below(20);
        let result = read("application/json", &body, piece_bytes, &mut all);
        match expected {
            Ok(expected) => {
                assert!(result.is_ok(), "case {case}: {result:?} for {text}");
                assert_eq!(Value::Object(all.members), shallow(Value::Object(expected), 0), "case {case}: {text}");
                good += 1;
            }
            Err(error) => assert!(result.is_err(), "case {case}: taken, though {error}: {text}"),
        }
    }
    assert!(good > 3000, "{good} were good: the others alone test little");
}

#[test]
fn forms_are_read_as_form_urlencoded_reads_them() {
    let mut random = Random::new();
    let words: [&[u8]; 16] = [
        b"a", b"b=", b"&", b"=", b"+", b"%", b"%4", b"%41", b"%zz", b"%%41", b"%c3%a4", b"%ff", b"\xff", b"[x]",
        b"%26", b"%3D",
    ];
    for case in 0..20_000 {
        let body: Vec<u8> = (0..random.below(25)).flat_map(|_| random.pick(&words).to_vec()).collect();
        let expected: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let mut all = All::default();
        read("application/x-www-form-urlencoded", &body, 1 + random.below(20), &mut all).unwrap();
        assert_eq!(all.pairs, expected, "case {case}: {:?}", String::from_utf8_lossy(&body));
    }
}

const FIELDS: &[Field] = &[
    text("word"),
    Field { name: "flag", shape: Shape::Flag },
    Field { name: "tags", shape: Shape::Words },
    Field { name: "info", shape: Shape::Object(&["version"]) },
];

fn refusal(content_type: &str, body: &str) -> Error {
    let mut params = Params::of(FIELDS);
    read(content_type, body.as_bytes(), 1000, &mut params).expect_err(&body[..body.len().min(100)])
}

#[test]
fn known_parameters_have_one_type_and_unknown_ones_any() {
    for (body, expected) in [
        (r#"{"word":[]}"#, "word must be a text"),
        (r#"{"word":{}}"#, "word must be a text"),
        (r#"{"flag":{}}"#, "flag must be true or false"),
        (r#"{"flag":"maybe"}"#, "flag must be true or false"),
        (r#"{"flag":2}"#, "flag must be true or false"),
        (r#"{"tags":5}"#, "tags must be a text or a list of texts"),
        (r#"{"tags":{}}"#, "tags must be a text or a list of texts"),
        (r#"{"tags":["a",5]}"#, "tags must be a text or a list of texts"),
        (r#"{"tags":[null]}"#, "tags must be a text or a list of texts"),
        (r#"{"info":"x"}"#, "info must be an object"),
        (r#"{"info":[]}"#, "info must be an object"),
        (r#"{"info":true}"#, "info must be an object"),
        (r#"{"info":{"version":[1]}}"#, "info[version] must be a text"),
    ] {
        assert_eq!(refusal("application/json", body).message, expected, "{body}");
    }
    for (body, expected) in [
        ("word[]=x", "word must be a text"),
        ("word[a]=x", "word must be a text"),
        ("flag=x", "flag must be true or false"),
        ("flag[]=1", "flag must be true or false"),
        ("tags[a]=x", "tags must be a text or a list of texts"),
        ("info=x", "info must be an object"),
    ] {
        assert_eq!(refusal("application/x-www-form-urlencoded", body).message, expected, "{body}");
    }
    for (content_type, body) in [
        ("application/json", r#"{"other":[[{}]],"word":7,"flag":1,"tags":["a","b"],"info":{"version":2,"x":[1]}}"#),
        ("application/json", r#"{"word":"7","flag":true,"tags":["a","b"],"info":{"version":"2","x":{}}}"#),
        (
            "application/x-www-form-urlencoded",
            "word=7&flag=yes&tags[]=a&tags[]=b&info[version]=2&info[x][y]=z&other[]=1",
        ),
    ] {
        let mut params = Params::of(FIELDS);
        read(content_type, body.as_bytes(), 1, &mut params).unwrap();
        assert_eq!((params.text("word"), params.flag("flag")), (Some("7"), Some(true)), "{body}");
        assert_eq!(params.list("tags"), Some(&["a".to_owned(), "b".to_owned()][..]), "{body}");
        assert_eq!(params.members("info").collect::<Vec<_>>(), [("version", "2")], "{body}");
    }
    let mut params = Params::of(FIELDS);
    read("application/json", br#"{"word":null,"flag":null,"tags":null,"info":null}"#, 9, &mut params).unwrap();
    read("", b"flag=&info=", 9, &mut params).unwrap();
    assert!(params.text("word").is_none() && params.flag("flag").is_none() && params.list("tags").is_none());
}

/// Whoever has shown no token may send much; little of it is held.
#[test]
fn depth_number_and_length_of_parameters_are_bounded() {
    let json = "application/json";
    let nested = |depth: usize| format!("{{\"other\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    read(json, nested(60).as_bytes(), 1000, &mut Params::of(FIELDS)).unwrap();
    assert_eq!(refusal(json, &nested(100)).kind, Kind::Invalid);
    assert_eq!(refusal(json, &format!("{{\"other\":[{}0]}}", "0,".repeat(5000))).kind, Kind::TooLarge);
    assert_eq!(refusal(json, &format!("{{{}\"a\":0}}", "\"a\":0,".repeat(5000))).kind, Kind::TooLarge);
    assert_eq!(refusal("", &"a&".repeat(5000)).kind, Kind::TooLarge);
    let long = "x".repeat(STRANGER_BYTES_MAX as usize + 1);
    assert_eq!(refusal(json, &format!("{{\"word\":\"{long}\"}}")).kind, Kind::TooLarge);
    assert_eq!(refusal("", &format!("word={long}")).kind, Kind::TooLarge);
    // All together, also those of one list.
    let half = &long[..long.len() / 2 + 1];
    assert_eq!(refusal(json, &format!("{{\"tags\":[\"{half}\",\"{half}\"]}}")).kind, Kind::TooLarge);
    assert_eq!(refusal("", &format!("word={half}&word={half}")).kind, Kind::TooLarge);
    // What nobody knows is passed over.
    let mut params = Params::of(FIELDS);
    read(json, format!("{{\"other\":\"{long}\",\"{long}\":\"{long}\",\"word\":\"x\"}}").as_bytes(), 1000, &mut params)
        .unwrap();
    read("", format!("other={long}&{long}={long}&flag=1").as_bytes(), 1000, &mut params).unwrap();
    assert_eq!((params.text("word"), params.flag("flag")), (Some("x"), Some(true)));
}

/// A number is no log, a list no state; also where the rest of the report would be taken.
#[test]
fn a_value_of_the_wrong_type_is_400_and_changes_nothing() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    baton.append(&build, 0, "begin");
    let put = || Request::put(&format!("builds/{}", build.id)).query("token", &runner.token);
    for body in [
        json!({"state": []}),
        json!({"state": {}}),
        json!({"trace": {}, "state": "success"}),
        json!({"state": "success", "trace": ["x"]}),
        json!({"state": "success", "trace": 5}),
        json!({"state": "success", "info": 5}),
        json!({"token": {"a": 1}, "state": "success"}),
    ] {
        let message = baton.send(put().json(&body)).expect_error(400).text();
        assert!(message.contains(" must be "), "{message}");
    }
    for name in ["state[]", "trace[x]", "token[]", "info"] {
        baton.send(put().form(&[(name, "success"), ("state", "success")])).expect_error(400);
        baton.send(put().multipart(&[Part::field(name, "success"), Part::field("state", "success")])).expect_error(400);
        baton.send(put().query(name, "success").query("state", "success")).expect_error(400);
    }
    assert_eq!(baton.status(build.id), Status::Running);
    assert_eq!(baton.trace_text(build.id), "begin");

    let token = baton.operator().registration_token(false).unwrap();
    let runners = baton.operator().list_runners().unwrap().len();
    for (name, wrong) in [
        ("description", json!({})),
        ("tag_list", json!(5)),
        ("tag_list", json!([["a"]])),
        ("run_untagged", json!({})),
        ("run_untagged", json!("maybe")),
        ("locked", json!([])),
        ("info", json!("1.0")),
        ("info", json!({"version": {}})),
    ] {
        let body = json!({"token": token, name: wrong});
        let message = baton.send(Request::post("runners/register").json(&body)).expect_error(400).text();
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(baton.operator().list_runners().unwrap().len(), runners);

    let id = baton.build();
    for (name, wrong) in [("last_update", json!([])), ("info", json!([1])), ("token", json!([runner.token]))] {
        let mut body = object(json!({"token": runner.token}));
        body.insert(name.to_owned(), wrong);
        baton.send(Request::post("builds/register").json(&Value::Object(body))).expect_error(400);
    }
    assert_eq!(baton.status(id), Status::Pending);
    let upload = Request::post(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
    baton.send(upload.query("expire_in[]", "1").multipart(&[Part::file("a.zip", b"x")])).expect_error(400);
    assert!(baton.files().is_empty());
}

#[test]
fn the_limit_of_a_form_holds_for_all_of_its_fields_together() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let long = "x".repeat(400 << 10);
    let fields = ["a", "b", "c"].map(|name| (name, long.as_str()));
    let parts: Vec<Part> = fields.iter().map(|(name, value)| Part::field(name, value)).collect();
    let post = || Request::post("builds/register");
    for request in
        [post().form(&fields), post().multipart(&parts), post().json(&json!({"a": long, "b": long, "c": long}))]
    {
        baton.send(request).expect_error(413);
    }
    // An upload may be large, its fields may not.
    let upload = Request::post(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
    let mut with_file = vec![Part::file("a.zip", b"content")];
    with_file.extend(fields.map(|(name, value)| Part::field(name, value)));
    baton.send(upload.multipart(&with_file)).expect_error(413);
    assert!(baton.files().is_empty());
}

#[test]
fn a_compressed_body_is_415_before_anything_of_it_is_read() {
    let baton = Baton::with_project();
    let (runner, build) = baton.running();
    let id = build.id;
    let of_v1 = endpoints(id).map(|(method, path)| (method, format!("/ci/api/v1/{path}")));
    for (method, path) in of_v1.into_iter().chain(v4_endpoints(id)) {
        for coding in ["gzip", "identity, br", "DEFLATE"] {
            let mut connection = Connection::open(baton.address());
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: baton.test\r\nBUILD-TOKEN: {}\r\nContent-Range: 0-100000\r\n\
                 Content-Encoding: {coding}\r\nContent-Length: 100000\r\n\r\n",
                runner.token
            );
            connection.send_raw(head.as_bytes());
            let answer = connection.read(method).expect_error(415);
            assert_eq!(answer.header("Accept-Encoding"), Some("identity"), "{method} {path} {coding}");
        }
    }
    baton.send(ask(&runner.token).header("Content-Encoding", "identity")).expect(204);
    assert_eq!((baton.status(id), baton.trace_text(id).as_str()), (Status::Running, ""));
}

#[test]
fn a_description_that_cannot_be_kept_is_400_and_the_answer_says_why() {
    let baton = Baton::start();
    let token = baton.operator().registration_token(false).unwrap();
    for description in ["x".repeat(1025), "a\tb".to_owned(), "a\nb".to_owned()] {
        let body = json!({"token": token, "description": description});
        let message = baton.send(Request::post("runners/register").json(&body)).expect_error(400).text();
        assert!(message.contains("the description must have at most 1024 bytes"), "{message}");
    }
    assert!(baton.operator().list_runners().unwrap().is_empty());
}

#[test]
fn authorizing_an_upload_tells_nothing_of_the_servers_disk() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    let request = Request::post(&format!("builds/{}/artifacts/authorize", build.id)).build_token(&build.token);
    let text = baton.send(request).expect(200).text();
    assert!(!text.contains(baton.data().to_str().unwrap()) && text.contains("MaximumSize"), "{text}");
}
