//! Every parser of what strangers send, under random and mutated input, for a bounded time: none may panic, and none
//! may take long. A failure says its seed, and `BATON_SEED` repeats it.

use crate::harness::http::BOUNDARY;
use crate::harness::random::Random;
use baton::api::Api;
use baton::coordinator::Coordinator;
use baton::domain::filename::artifacts_filename;
use baton::domain::text::duration::{format_duration, parse_duration};
use baton::domain::text::size::parse_size;
use baton::http::gate::{Framing, Verdict, judge};
use baton::http::headers::content_range::ContentRange;
use baton::http::headers::disposition::content_disposition;
use baton::http::headers::range::{ByteRange, resolve};
use baton::http::message::Headers;
use baton::http::multipart::{PartLimits, boundary, for_each_part};
use baton::http::params::{Field, Params, Shape, text as text_field};
use baton::http::traffic::Traffic;
use baton::http::{Method, Note, Request};
use baton::limits::Limits;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each parser is tried for so long.
const TIME: Duration = Duration::from_secs(2);
/// No input may take more of a processor's time; what else the machine does does not count.
const INPUT_TIME_MAX: Duration = Duration::from_secs(3);
/// Most bytes of an input.
const INPUT_BYTES_MAX: usize = 4096;

/// Tries a parser with mutations of `seeds`, made with pieces of `words`.
fn try_parser(name: &str, seeds: &[&[u8]], words: &[&[u8]], mut parse: impl FnMut(&[u8], &mut Random)) {
    let mut random = Random::new();
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < TIME {
        let input = mutated(seeds, words, &mut random);
        let begun = Instant::now();
        parse(&input, &mut random);
        if begun.elapsed() > INPUT_TIME_MAX {
            // Was it the parser, or did others have the processor?
            let before = processor_time();
            parse(&input, &mut random);
            let time = processor_time() - before;
            assert!(time < INPUT_TIME_MAX, "{name} took {time:?} for {:?}", String::from_utf8_lossy(&input));
        }
        count += 1;
    }
    println!("{name}: {count} inputs");
}

/// How long this thread has had a processor.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

fn mutated(seeds: &[&[u8]], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    if random.below(20) == 0 {
        let count = random.below(200);
        return random.bytes(count);
    }
    let mut input = random.pick(seeds).to_vec();
    for _ in 0..random.below(8) {
        mutate(&mut input, words, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn mutate(input: &mut Vec<u8>, words: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(20)).min(input.len());
    match random.below(6) {
        0 => drop(input.splice(at..end, [])),
        1 => drop(input.splice(at..at, random.pick(words).iter().copied())),
        2 => {
            let piece = input[at..end].repeat(1 + random.below(30));
            drop(input.splice(at..at, piece));
        }
        3 => {
            let byte = random.next().to_le_bytes()[0];
            drop(input.splice(at..end.min(at + 1), [byte]));
        }
        4 => input.truncate(at),
        _ => {
            let digits = [&b"0"[..], b"-1", b"9223372036854775807", b"18446744073709551616", b"1e999", b"007"];
            drop(input.splice(at..end, random.pick(&digits).iter().copied()));
        }
    }
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

#[test]
fn content_ranges_neither_panic_nor_hang() {
    let seeds: [&[u8]; 5] = [b"0-5", b"bytes 10-20/30", b"5-4", b"0-18446744073709551615", b"1-2/*"];
    try_parser("Content-Range", &seeds, &[b"bytes ", b"-", b"/", b"*", "\u{661}".as_bytes()], |input, random| {
        if let Some(range) = ContentRange::parse(&text(input)) {
            let bytes = random.next() >> random.below(64);
            if range.agrees_with(bytes) && bytes > 0 {
                assert!(range.end - range.start == bytes || range.end - range.start == bytes - 1);
            }
        }
    });
}

#[test]
fn byte_ranges_neither_panic_nor_hang_nor_leave_the_file() {
    let seeds: [&[u8]; 5] = [b"bytes=0-5", b"bytes=-5", b"bytes=5-", b"bytes=0-0,2-3", b"bytes=0-18446744073709551615"];
    try_parser("Range", &seeds, &[b"bytes=", b"-", b",", b"=", b" "], |input, random| {
        let size = random.next() >> random.below(64);
        if let ByteRange::Part { start, end } = resolve(Some(&text(input)), size) {
            assert!(start <= end && end < size, "{:?} of {size}: {start} to {end}", text(input));
        }
    });
}

#[test]
fn durations_neither_panic_nor_hang() {
    let seeds: [&[u8]; 6] = [b"1 week", b"3 mins 4 sec", b"2h20min", b"47 yrs 6 mos and 4d", b"1:30:00", b"3600"];
    let words: [&[u8]; 8] = [b"years", b" and ", b",", b".5", b"mos", b":", b"e9", "\u{b5}s".as_bytes()];
    try_parser("durations", &seeds, &words, |input, _| {
        if let Ok(duration) = parse_duration(&text(input)) {
            // What is shown can be read back.
            let shown = format_duration(duration);
            assert!(parse_duration(&shown).is_ok(), "{shown}");
        }
    });
}

#[test]
fn sizes_neither_panic_nor_hang() {
    let seeds: [&[u8]; 5] = [b"100M", b"1.5 GiB", b"64 KiB", b"18446744073709551615", b"0.000001T"];
    try_parser("sizes", &seeds, &[b"K", b"E", b"iB", b".", b" ", b"_"], |input, _| {
        let _ = parse_size(&text(input));
    });
}

#[test]
fn file_names_neither_panic_nor_break_a_header() {
    let seeds: [&[u8]; 4] = [b"a.zip", b"../../x", "\u{e4}\u{f6}.zip".as_bytes(), b"a\r\nX: y"];
    let words: [&[u8]; 8] = [b"/", b"\\", b"\"", b"\r\n", b"\0", b"..", b"%2f", "\u{85}".as_bytes()];
    try_parser("file names", &seeds, &words, |input, _| {
        let name = artifacts_filename(Some(&text(input)));
        assert!(!name.is_empty() && name.len() <= 255 && !name.contains(['/', '\\']), "{name:?}");
        assert!(!name.chars().any(char::is_control) && name != ".." && name != ".", "{name:?}");
        let shown = content_disposition(&name);
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown:?}");
    });
}

/// What passes the gate must leave no doubt; what it says of a prefix must not contradict what it says of the whole.
#[test]
fn heads_neither_panic_nor_hang() {
    let seeds: [&[u8]; 5] = [
        b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /x?y=z HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"PUT / HTTP/1.0\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n",
        b"PATCH /a HTTP/1.1\r\nContent-Range: 0-5\r\nUser-Agent: x\r\nBuild-Token: t\r\n\r\n",
    ];
    let words: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b": ",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/2.0",
        b" ",
        b"\0",
        b"\r\n\r\n",
        b"Connection: upgrade\r\n",
        b"\xff",
    ];
    try_parser("heads", &seeds, &words, |input, random| {
        let max = 1 + random.below(INPUT_BYTES_MAX);
        let whole = judge(input, max);
        if let Verdict::Ready(head) = &whole {
            expect_no_doubt(input, head);
        }
        let prefix = judge(&input[..random.below(input.len() + 1)], max);
        if let (Verdict::Refused(status, _), Verdict::Ready(_)) = (&prefix, &whole) {
            panic!("a prefix is refused with {status}, the whole is not: {:?}", text(input));
        }
    });
}

fn expect_no_doubt(input: &[u8], head: &baton::http::gate::Head) {
    let shown = text(input);
    let bytes = &input[..head.bytes];
    assert!(bytes.ends_with(b"\r\n\r\n"), "the head does not end as one does: {shown:?}");
    let bare = bytes.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r'));
    assert!(!bare, "a lone LF passes: {shown:?}");
    assert!(head.target.starts_with('/'), "{shown:?}");
    let count = |name: &str| head.headers.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).count();
    assert!(count("Content-Length") + count("Transfer-Encoding") <= 1, "{shown:?}");
    assert_eq!(head.framing == Framing::Chunked, count("Transfer-Encoding") == 1, "{shown:?}");
}

/// Delivers in pieces of a size, as networks do.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len()).min(self.0.len());
        let (piece, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.0 = rest;
        Ok(count)
    }
}

const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nx\r\n--b\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\nContent-Type: application/zip\r\n\r\n\
    content\r\n\r\nmore\r\n--b--\r\n";

const FORM_WORDS: [&[u8]; 9] = [
    b"\r\n",
    b"--b",
    b"--b--",
    b"--",
    b"Content-Disposition: form-data; name=\"file\"",
    b"\"",
    b"\r",
    b"; ",
    b"\r\n\r\n",
];

#[test]
fn multipart_bodies_neither_panic_nor_hang() {
    let seeds: [&[u8]; 3] = [FORM, b"--b--\r\n", b"preamble\r\n--b\r\n\r\n\r\n--b--epilogue"];
    try_parser("multipart", &seeds, &FORM_WORDS, |input, random| {
        let mut bytes = 0;
        let result = for_each_part(Pieces(input, 1 + random.below(40)), "b", &PartLimits::default(), |head, data| {
            assert!(!head.name.is_empty());
            bytes += io::copy(data, &mut io::sink())?;
            Ok::<(), io::Error>(())
        });
        assert!(bytes <= input.len() as u64);
        assert!(result.is_err() || memchr::memmem::find(input, b"--b--").is_some(), "{:?}", text(input));
    });
}

#[test]
fn content_types_neither_panic_nor_hang() {
    let seeds: [&[u8]; 3] =
        [b"multipart/form-data; boundary=b", b"multipart/form-data; boundary=\"a b\"", b"text/plain"];
    try_parser("Content-Type", &seeds, &[b";", b"=", b"\"", b"\\", b" ", b"boundary"], |input, _| {
        if let Some(Ok(boundary)) = boundary(&text(input)) {
            assert!((1..=70).contains(&boundary.len()));
        }
    });
}

const FIELDS: &[Field] = &[
    text_field("token"),
    Field { name: "run_untagged", shape: Shape::Flag },
    Field { name: "info", shape: Shape::Object(&["version"]) },
    Field { name: "a", shape: Shape::Words },
];

#[test]
fn parameters_neither_panic_nor_hang() {
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let types = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        &form,
        "",
        "a+json",
        ";",
    ];
    let seeds: [&[u8]; 5] = [
        br#"{"token":"x","info":{"version":"1","features":{"a":[1,2.5e3,null,true]}},"run_untagged":"\u00e4"}"#,
        b"token=x&info[version]=1&a[b]=c&run_untagged=true",
        b"[[[[[[[[]]]]]]]]",
        b"{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}",
        FORM,
    ];
    let words: [&[u8]; 12] =
        [b"{", b"[", b"]", b"}", b"\"", b"\\u", b"\\", b"%", b"&", b"=", b"\xff", b"{\"a\":[{\"a\":["];
    try_parser("parameters", &seeds, &words, |input, random| {
        let mut body = Pieces(input, 1 + random.below(40));
        let headers = Headers(vec![("Content-Type".to_owned(), random.pick(&types).to_owned())]);
        let mut request = Request {
            method: Method::Post,
            path: String::new(),
            query: text(&input[..random.below(input.len() + 1)]),
            headers,
            body: &mut body,
            body_bytes: [None, Some(input.len() as u64)][random.below(2)],
            peer: None,
            stranger: None,
            note: Note::default(),
        };
        if let Ok(params) = Params::of_request(&mut request, FIELDS, 2000) {
            let _ = (params.text("token"), params.flag("run_untagged"), params.members("info").count());
            let _ = params.list("a");
        }
    });
}

/// The whole way of a request but for the sockets. Nobody of these has a token.
#[test]
fn requests_neither_panic_nor_hang_nor_are_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let api = Api::new(
        Arc::new(Coordinator::open(dir.path(), Limits::default()).unwrap()),
        Arc::new(Traffic::new(&baton::api::routes())),
        baton::api::Reached::default(),
        0,
    );
    let seeds: [&[u8]; 15] = [
        b"/api/v4/jobs/request?token=x&last_update=y&system_id=s_1&info[features][refspecs]=true",
        b"/api/v4/jobs/1?state=success&output[checksum]=crc32:1a2b3c4d&output[bytesize]=7&exit_code=3",
        b"/api/v4/jobs/1/trace?debug_trace=true",
        b"/api/v4/jobs/1/artifacts?artifact_type=junit&artifact_format=gzip&expire_in=7d",
        b"/api/v4/runners?token=x&tag_list[]=a&maximum_timeout=9000&paused=1",
        b"/api/v4/runners/managers?token=x&system_id=s_1",
        b"/api/v4/runners/1/reset_authentication_token",
        b"/ci/api/v1/builds/register.json",
        b"/ci/api/v1/builds/1",
        b"/ci/api/v1/builds/1/trace.txt",
        b"/api/v1/builds/-1/artifacts?token=x",
        b"/ci/api/v1/builds/1/artifacts/authorize.json?filesize=5",
        b"/ci/api/v1/runners/register?token=x&tag_list=a,b",
        b"/ci/api/v1/runners/delete",
        b"/-/nothing",
    ];
    let words: [&[u8]; 12] = [
        b"/",
        b"..",
        b"%00",
        b"%2f",
        b"?",
        b"token=",
        b"&",
        b".json",
        b"artifacts",
        b"/ci/api/v1/",
        b"/api/v4/",
        b"\xff",
    ];
    let methods = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Other];
    try_parser("requests", &seeds, &words, |input, random| {
        let target = text(input);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let header = |name: &str| (name.to_owned(), target.clone());
        let mut body = Pieces(input, 1 + random.below(40));
        let mut request = Request {
            method: random.pick(&methods),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers(vec![header(random.pick(&[
                "BUILD-TOKEN",
                "JOB-TOKEN",
                "RUNNER-TOKEN",
                "Content-Range",
                "Content-Type",
                "Range",
            ]))]),
            body: &mut body,
            body_bytes: None,
            peer: None,
            stranger: None,
            note: Note::default(),
        };
        let response = api.handle(&mut request).at_once();
        let is_public = path.starts_with("/-/");
        assert!((400..500).contains(&response.status) || is_public, "{} for {target:?}", response.status);
        assert!(response.headers.iter().all(|(_, value)| !value.contains(['\r', '\n', '\0'])), "{response:?}");
    });
}
