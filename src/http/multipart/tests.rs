//! Tests of the whole: parts through guard and crate.

use super::*;
use memchr::memmem;
use std::panic::{self, AssertUnwindSafe};

const BOUNDARY: &str = "boundary";

/// A generator of numbers (splitmix64).
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    /// The seed of a run: `BATON_SEED`, or this one.
    fn seed() -> u64 {
        std::env::var("BATON_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// Delivers `data` in reads of the sizes given, over and over, with interruptions (size 0); then ends or fails.
struct Pieces<'a> {
    data: &'a [u8],
    sizes: Vec<usize>,
    turn: usize,
    reads_after_end: usize,
    failure: Option<io::Error>,
}

impl<'a> Pieces<'a> {
    fn new(data: &'a [u8], sizes: &[usize]) -> Pieces<'a> {
        Pieces { data, sizes: sizes.to_vec(), turn: 0, reads_after_end: 0, failure: None }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        assert!(!out.is_empty(), "a read without room looks like the end");
        let size = self.sizes[self.turn % self.sizes.len()];
        self.turn += 1;
        if size == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.data.is_empty() {
            self.reads_after_end += 1;
            assert!(self.reads_after_end < 100, "reads on and on after the end");
            return self.failure.take().map_or(Ok(0), Err);
        }
        let room = size.min(out.len());
        self.data.read(&mut out[..room])
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    head: PartHead,
    data: Vec<u8>,
}

fn field(name: &str, data: &[u8]) -> Part {
    let head = PartHead { name: name.to_owned(), filename: None, is_file: false };
    Part { head, data: data.to_owned() }
}

fn file(name: &str, filename: &str, data: &[u8]) -> Part {
    let head = PartHead { name: name.to_owned(), filename: Some(filename.to_owned()), is_file: true };
    Part { head, data: data.to_owned() }
}

fn body_of(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for Part { head, data } in parts {
        let name = &head.name;
        body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"").bytes());
        if let Some(filename) = &head.filename {
            body.extend(format!("; filename=\"{filename}\"\r\nContent-Type: application/octet-stream").bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(data);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").bytes());
    body
}

type Parsed = Result<Vec<Part>, PartsError<io::Error>>;

/// All parts, read whole.
fn parse_from(body: impl Read, boundary: &str) -> Parsed {
    let mut parts = Vec::new();
    for_each_part(body, boundary, &PartLimits::default(), |head, data| {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        parts.push(Part { head, data: bytes });
        Ok(())
    })?;
    Ok(parts)
}

fn parse(body: impl AsRef<[u8]>) -> Parsed {
    parse_from(body.as_ref(), BOUNDARY)
}

fn complaint(result: Parsed) -> String {
    result.expect_err("should be refused").to_string()
}

fn is_truncated<T, E>(result: &Result<T, PartsError<E>>) -> bool {
    matches!(result, Err(PartsError::Body(MultipartError::Truncated)))
}

#[test]
fn boundaries_are_read_from_the_content_type() {
    let longest = "b".repeat(70);
    for (content_type, expected) in [
        ("multipart/form-data; boundary=abc", "abc"),
        ("multipart/form-data;boundary=aBc", "aBc"),
        ("Multipart/Form-Data; Boundary=aBc", "aBc"),
        (" multipart/form-data; charset=utf-8; boundary=\"a b:c/d=e?\" ", "a b:c/d=e?"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", "----WebKitFormBoundary7MA4YWxk"),
        (
            "multipart/form-data; boundary=------------------------c616e5fded96a3c7",
            "------------------------c616e5fded96a3c7",
        ),
        (&format!("multipart/form-data; boundary={longest}"), &longest),
    ] {
        assert_eq!(boundary(content_type).unwrap().unwrap(), expected, "{content_type}");
    }
    for other in [
        "",
        "multipart",
        "multipart/mixed; boundary=abc",
        "multipart/form-datas; boundary=a",
        "text/plain",
        "form-data",
    ] {
        assert!(boundary(other).is_none(), "{other}");
    }
    for (content_type, problem) in [
        ("multipart/form-data", "is missing"),
        ("multipart/form-data; charset=utf-8", "is missing"),
        ("multipart/form-data; boundary=\"\"", "cannot be parsed"),
        ("multipart/form-data; boundary=", "is empty"),
        ("multipart/form-data; boundary=\"a \"", "ends with a blank"),
        ("multipart/form-data; boundary=\"a{b\"", "has a character that is not allowed"),
        ("multipart/form-data; boundary=ä", "cannot be parsed"),
        ("multipart/form-data; boundary=\"a", "cannot be parsed"),
        (&format!("multipart/form-data; boundary={longest}b"), "is longer than 70 bytes"),
    ] {
        let error = boundary(content_type).unwrap().unwrap_err();
        assert_eq!(error.to_string(), format!("the boundary of the multipart body {problem}"), "{content_type}");
    }
    let unchecked = parse_from(&b"--\r\n--"[..], "\r\n");
    assert!(matches!(unchecked, Err(PartsError::Body(MultipartError::Boundary(_)))));
}

#[test]
fn parts_come_in_order_with_their_heads() {
    let body = "preamble, to be ignored\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nsecret\r\n\
        --boundary\r\ncontent-disposition:form-data;name=plain ; x=y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\
        Content-Type: application/octet-stream\r\n\r\nPK\r\n\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"json\"\r\nContent-Type: application/json\r\n\r\n{}\r\n\
        --boundary--\r\nepilogue\r\n--boundary\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\n\r\n--boundary--";
    let mut json = field("json", b"{}");
    json.head.is_file = true;
    let expected = [field("token", b"secret"), field("plain", b""), file("file", "a.zip", b"PK\r\n"), json];
    assert_eq!(parse(body).unwrap(), expected);
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(parse_from(Pieces::new(body.as_bytes(), &[size, 0]), BOUNDARY).unwrap(), expected);
    }
}

#[test]
fn names_are_what_the_client_meant() {
    let check = |parameters: &str, name: &str, filename: Option<&str>| {
        let body = format!("--boundary\r\nContent-Disposition: form-data; {parameters}\r\n\r\n\r\n--boundary--");
        let part = &parse(body).unwrap()[0];
        assert_eq!((part.head.name.as_str(), part.head.filename.as_deref()), (name, filename), "{parameters}");
        assert_eq!(part.head.is_file, filename.is_some(), "{parameters}");
    };
    check(r#"name="file"; filename="""#, "file", Some(""));
    check(r#"name="file"; filename="a;b.zip""#, "file", Some("a;b.zip"));
    check(r#"filename="a"; name="file""#, "file", Some("a"));
    check(r#"name="file"; filename="say \"a\\b\".zip""#, "file", Some(r#"say "a\b".zip"#));
    check(r#"name="file"; filename="C:\dir\a.zip""#, "file", Some(r"C:\dir\a.zip"));
    check(r#"name="Größe"; filename="日本.zip""#, "Größe", Some("日本.zip"));
    check(r#"name="file"; filename=../../etc/passwd;"#, "file", Some("../../etc/passwd"));
    check(r#"name="file"; filename*=utf-8''a"#, "file", Some("a"));
    check(r#"name=file; filename=a name.zip"#, "file", Some("a name.zip"));
}

#[test]
fn broken_heads_are_refused() {
    let check = |head: &str, problem: &str| {
        let body = format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--");
        assert_eq!(complaint(parse(body)), format!("the multipart body {problem}"), "{head:?}");
    };
    check("", "is malformed: a part has no header");
    check("Content-Type: text/plain", "is malformed: a part has no Content-Disposition");
    check("Content-Disposition: form-data", "is malformed: a part has no name");
    check("Content-Disposition: form-data; filename=\"x\"", "is malformed: a part has no name");
    check("Content-Disposition: form-data; name=\"\"", "is malformed: a part has no name");
    check("Content-Disposition: attachment; name=\"x\"", "is malformed: a part's Content-Disposition is not form-data");
    check("Content-Disposition: form-data; name", "is malformed: a part's Content-Disposition cannot be parsed");
    check("Content-Disposition: form-data; name=\"x", "is malformed: a part's Content-Disposition cannot be parsed");
    check("Content-Disposition: form-data; name=\"x\"y", "is malformed: a part's Content-Disposition cannot be parsed");
    check(
        "Content-Disposition: form-data; name=\"x\"; name=\"y\"",
        "is malformed: a part has two names or two file names",
    );
    let good = "Content-Disposition: form-data; name=\"x\"";
    check(&format!("{good}\r\n{good}"), "is malformed: a part has two Content-Dispositions");
    check(&format!("{good}\r\nContent-Type: nonsense"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\r\nno colon"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\r\n folded: x"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
    check(&format!("{good}\n\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
    check(&format!("{good}\r\n--boundary"), "is malformed: a part ends inside its header");
    check(&format!("{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4"), "has a part with more than 4 header lines");
    let four = format!("--boundary\r\n{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n--boundary--");
    assert_eq!(parse(four).unwrap(), [field("x", b"")]);
    let mut latin = b"--boundary\r\nContent-Disposition: form-data; name=\"\xe4\"\r\n\r\n\r\n--boundary--".to_vec();
    assert_eq!(complaint(parse(&latin)), "the multipart body is malformed: a part's header is not UTF-8");
    latin.retain(u8::is_ascii);
    assert!(complaint(parse(&latin)).ends_with("a part has no name"));
}

#[test]
fn stray_delimiters_are_refused() {
    let problem = "the multipart body is malformed: a boundary is followed by neither CRLF nor --";
    let good = "Content-Disposition: form-data; name=\"x\"\r\n\r\n";
    for body in [
        "--boundaryX--".to_owned(),
        format!("--boundary \r\n{good}\r\n--boundary--"),
        format!("--boundary\r\n{good}\r\n--boundary-X\r\n--boundary--"),
        format!("--boundary\r\n{good}--boundaryX\r\n--boundary--"),
        format!("--boundary\n{good}\r\n--boundary--"),
    ] {
        assert_eq!(complaint(parse(&body)), problem, "{body:?}");
    }
}

#[test]
fn odd_but_whole_bodies_are_read() {
    assert_eq!(parse("--boundary--").unwrap(), []);
    assert_eq!(parse("\r\n--boundary--").unwrap(), []);
    // The empty line's CRLF is the delimiter's too: a part without data, by the letter of RFC 2046.
    let head = "Content-Disposition: form-data; name=\"x\"\r\n\r\n";
    let body = format!("--boundary\r\n{head}--boundary\r\n{head}--boundary--");
    assert_eq!(parse(body).unwrap(), [field("x", b""), field("x", b"")]);
}

#[test]
fn content_arrives_to_the_byte() {
    for content in [
        "",
        "\r",
        "\n",
        "\r\n",
        "\n\r",
        "\r\r\n",
        "\r\n\r\n",
        "\r\n\r",
        "-",
        "--",
        "\r\n-",
        "\r\n--",
        "\r\n--\r\n",
        "\r\n--bound",
        "\r\n--boundar",
        "\r\n--boundar\r\n",
        "\r\n--boundarX",
        "\r\r\n--boundar",
        "\r\n--\r\n--boundar",
        "--bound",
        "x--boundary--",
        "x--boundary\r\n",
        "x--boundary",
        "\n--boundary--\r\n",
        "\r--boundary--",
        " --boundary",
        "\r\n--Boundary--",
        "\r\n- -boundary--",
        "\r\n\r\n--",
        "--\r\n--",
        "--\r\n",
        "x\r\n--\r\n--\r\n--\r\n",
        "boundary",
        "boundary--",
    ] {
        let parts = [field("a", content.as_bytes()), file("b", "x", content.as_bytes()), field("c", b"")];
        let body = body_of(&parts, BOUNDARY);
        for size in 1..body.len() {
            let result = parse_from(Pieces::new(&body, &[size]), BOUNDARY);
            assert_eq!(result.unwrap(), parts, "{content:?} in pieces of {size}");
        }
    }
}

#[test]
fn ends_of_lines_around_the_edges_of_buffers_arrive_to_the_byte() {
    for middle in ["\r", "\n", "\r\n", "\r\n--boundar", "--boundary"] {
        for at in (8190..=8194).chain(8050..8150).chain([16_382, 16_383, 16_384]) {
            let mut content = vec![b'x'; at];
            content.extend(middle.bytes());
            for after in [0, 1, 3000] {
                content.resize(at + middle.len() + after, b'z');
                let parts = [file("file", "x", &content), field("z", b"")];
                assert_eq!(parse(body_of(&parts, BOUNDARY)).unwrap(), parts, "{middle:?} at {at}, {after} bytes after");
            }
        }
    }
}

/// Contents that hurt: mostly CR, LF, dashes and parts of delimiters.
fn random_content(rng: &mut Rng, boundary: &str) -> Vec<u8> {
    let bytes_max = *rng.pick(&[0, 3, 30, 300, 9000, 60_000]);
    let bytes = rng.below(bytes_max + 1);
    let mut content = Vec::new();
    let filler = rng.below(4);
    while content.len() < bytes {
        match rng.below(8) {
            0 => content.push(b'\r'),
            1 => content.push(b'\n'),
            2 => content.extend(b"\r\n"),
            3 => content.extend_from_slice(rng.pick::<&[u8]>(&[b"-", b"--", b"\r\n--", b"--\r\n--"])),
            4 => {
                let look_alike = format!("\r\n--{boundary}");
                let skipped = rng.below(3);
                content.extend(look_alike.bytes().skip(skipped).take(rng.below(look_alike.len() - skipped + 1)));
            }
            _ if filler == 0 => content.push(rng.next().to_le_bytes()[0]),
            _ => content.extend(vec![b'x'; rng.below(1 << (4 * filler))]),
        }
    }
    content.truncate(bytes);
    // The one thing that no content may hold.
    let delimiter = format!("\r\n--{boundary}");
    while let Some(at) = memmem::find(&content, delimiter.as_bytes()) {
        content[at] = b'.';
    }
    if content.starts_with(&delimiter.as_bytes()[2..]) {
        content[0] = b'.';
    }
    content
}

fn random_parts(rng: &mut Rng, boundary: &str) -> Vec<Part> {
    (0..=rng.below(3))
        .map(|i| match rng.below(2) {
            0 => field(&format!("f{i}"), &random_content(rng, boundary)),
            _ => file("file", "a.zip", &random_content(rng, boundary)),
        })
        .collect()
}

fn random_sizes(rng: &mut Rng) -> Vec<usize> {
    let size_max = *rng.pick(&[1, 10, 100, 1000, 10_000, 50_000]);
    let mut sizes: Vec<usize> = (0..=rng.below(7)).map(|_| rng.below(size_max + 1)).collect();
    sizes.push(1 + size_max);
    sizes
}

const BOUNDARIES: [&str; 4] = ["b", "--", BOUNDARY, "------------------------c616e5fded96a3c7"];

#[test]
fn random_uploads_arrive_to_the_byte_however_they_are_split_and_read() {
    let seed = Rng::seed();
    let mut rng = Rng(seed);
    for case in 0..4000 {
        let boundary = *rng.pick(&BOUNDARIES);
        let parts = random_parts(&mut rng, boundary);
        let body = body_of(&parts, boundary);
        let pieces = Pieces::new(&body, &random_sizes(&mut rng));
        let mut seen = 0;
        let result = for_each_part(pieces, boundary, &PartLimits::default(), |head, data| {
            let expected = &parts[seen];
            seen += 1;
            assert_eq!(head, expected.head, "BATON_SEED={seed}, case {case}");
            // All of it, at once or in pieces; or some; or nothing.
            let wanted = if rng.below(3) == 0 { rng.below(expected.data.len() + 1) } else { usize::MAX };
            let room_max = *rng.pick(&[50, 9000, 50_000]);
            let mut room = vec![0; 1 + rng.below(room_max)];
            let mut got = Vec::new();
            while got.len() < wanted {
                match data.read(&mut room)? {
                    0 => break,
                    count => got.extend_from_slice(&room[..count]),
                }
            }
            let expected = if wanted == usize::MAX { &expected.data[..] } else { &expected.data[..got.len()] };
            assert!(
                got == expected,
                "BATON_SEED={seed}, case {case}, part {seen}: {} of {} bytes",
                got.len(),
                expected.len()
            );
            Ok::<(), io::Error>(())
        });
        assert!(result.is_ok(), "BATON_SEED={seed}, case {case}: {result:?}");
        assert_eq!(seen, parts.len(), "BATON_SEED={seed}, case {case}");
    }
}

#[test]
fn reads_with_more_room_than_the_guard_end_where_the_data_ends() {
    let seed = Rng::seed();
    let mut rng = Rng(seed);
    for case in 0..400 {
        let sizes = [0, 0, 1, 100, 5000, 17_000, 40_000];
        let parts: Vec<Part> = (0..10).map(|_| file("file", "x", &vec![b'x'; *rng.pick(&sizes)])).collect();
        let mut body = body_of(&parts, BOUNDARY);
        if case % 2 == 0 {
            // The empty line's CRLF is the delimiter's too.
            while let Some(at) = memmem::find(&body, b"\r\n\r\n\r\n--") {
                body.drain(at..at + 2);
            }
        }
        let mut got = Vec::new();
        let result = for_each_part(
            Pieces::new(&body, &random_sizes(&mut rng)),
            BOUNDARY,
            &PartLimits::default(),
            |head, data| {
                let mut part = Part { head, data: Vec::new() };
                loop {
                    let mut room = vec![0; *rng.pick(&[1, 100, 16_384, 16_385, 20_000, 60_000])];
                    match data.read(&mut room)? {
                        0 => break,
                        count => part.data.extend_from_slice(&room[..count]),
                    }
                }
                got.push(part);
                Ok::<(), io::Error>(())
            },
        );
        assert!(result.is_ok(), "BATON_SEED={seed}, case {case}: {result:?}");
        assert!(got == parts, "BATON_SEED={seed}, case {case}");
    }
}

/// Cuts `body` after `bytes`; says what came of it, having checked that no part seemed whole that was not.
fn parse_cut(
    body: &[u8],
    bytes: usize,
    sizes: &[usize],
    parts: &[Part],
    reads: bool,
) -> Result<(), PartsError<io::Error>> {
    let mut seen = 0;
    for_each_part(Pieces::new(&body[..bytes], sizes), BOUNDARY, &PartLimits::default(), |head, data| {
        let expected = &parts[seen];
        seen += 1;
        assert_eq!(head, expected.head, "cut at {bytes}");
        let mut got = Vec::new();
        if reads && data.read_to_end(&mut got).is_ok() {
            assert_eq!(got, expected.data, "cut at {bytes}: a part that was cut off seemed whole");
        }
        Ok(())
    })
}

#[test]
fn a_body_without_its_closing_delimiter_is_truncated_wherever_it_is_cut() {
    let parts =
        [field("a", b"one\r\n"), file("b", "x", b""), file("c", "y", b"--bound\r\n--boundar"), field("d", b"4")];
    let body = body_of(&parts, BOUNDARY);
    for bytes in 0..=body.len() {
        for sizes in [&[1][..], &[7, 2], &[100_000]] {
            for reads in [true, false] {
                let result = parse_cut(&body, bytes, sizes, &parts, reads);
                // Only the CRLF after the closing delimiter may be missing.
                if bytes < body.len() - 2 {
                    assert!(is_truncated(&result), "cut at {bytes} of {}: {result:?}", body.len());
                } else {
                    assert!(result.is_ok(), "cut at {bytes} of {}: {result:?}", body.len());
                }
            }
        }
    }
}

#[test]
fn a_large_body_that_is_cut_off_is_truncated() {
    let seed = Rng::seed();
    let mut rng = Rng(seed);
    for _ in 0..300 {
        let parts = random_parts(&mut rng, BOUNDARY);
        let body = body_of(&parts, BOUNDARY);
        let bytes = rng.below(body.len() - 2);
        let sizes = random_sizes(&mut rng);
        let result = parse_cut(&body, bytes, &sizes, &parts, rng.below(2) == 0);
        assert!(is_truncated(&result), "BATON_SEED={seed}, cut at {bytes} of {}: {result:?}", body.len());
    }
}

#[test]
fn an_error_of_the_body_is_handed_on_whole() {
    let body = body_of(&[field("a", b"1"), file("b", "x", &[b'x'; 5000])], BOUNDARY);
    for kind in
        [io::ErrorKind::TimedOut, io::ErrorKind::InvalidData, io::ErrorKind::WouldBlock, io::ErrorKind::UnexpectedEof]
    {
        for bytes in [0, 5, 30, 60, 100, 1000, body.len() - 3] {
            for reads in [true, false] {
                let mut pieces = Pieces::new(&body[..bytes], &[64]);
                pieces.failure = Some(io::Error::new(kind, "the body's own words"));
                let result = for_each_part(pieces, BOUNDARY, &PartLimits::default(), |_, data| {
                    let mut got = Vec::new();
                    if reads && let Err(error) = data.read_to_end(&mut got) {
                        assert_eq!(error.kind(), kind);
                        assert_eq!(data.read(&mut [0]).unwrap_err().kind(), kind, "an error does not go away");
                        return Err("what the caller makes of it");
                    }
                    Ok(())
                });
                let Err(PartsError::Body(MultipartError::Io(error))) = result else {
                    panic!("{kind:?} after {bytes} bytes: {result:?}");
                };
                assert_eq!((error.kind(), error.to_string().as_str()), (kind, "the body's own words"));
            }
        }
    }
}

#[test]
fn an_error_that_the_caller_swallows_still_counts() {
    let body = body_of(&[file("b", "x", &[b'x'; 5000])], BOUNDARY);
    let result = for_each_part(&body[..3000], BOUNDARY, &PartLimits::default(), |_, data| {
        let _ = io::copy(data, &mut io::sink());
        Ok::<(), ()>(())
    });
    assert!(is_truncated(&result), "{result:?}");
}

#[test]
fn the_callers_error_ends_the_work() {
    let body = body_of(&[field("a", b"1"), field("b", b"2"), field("c", b"3")], BOUNDARY);
    let mut calls = 0;
    let result = for_each_part(&body[..], BOUNDARY, &PartLimits::default(), |head, _| {
        calls += 1;
        if head.name == "b" { Err("no b, please") } else { Ok(()) }
    });
    assert!(matches!(result, Err(PartsError::Each("no b, please"))), "{result:?}");
    assert_eq!(calls, 2);
}

#[test]
fn limits_are_exact() {
    let parts = vec![field("x", b"1"); 65];
    assert_eq!(parse(body_of(&parts[..64], BOUNDARY)).unwrap().len(), 64);
    assert_eq!(complaint(parse(body_of(&parts, BOUNDARY))), "the multipart body has more than 64 parts");

    // `--boundary`, CRLF and the closing delimiter apart, the body is one header.
    const MAX: usize = PartLimits::HEAD_BYTES_MAX;
    let head_bytes = body_of(&[field("", b"")], BOUNDARY).len() - "--boundary\r\n\r\n--boundary--\r\n".len();
    let limits = PartLimits { head_bytes_max: usize::MAX, ..PartLimits::default() };
    for (bytes, sizes) in [
        (MAX, [1, 1]),
        (MAX, [1030, 1]),
        (MAX, [100_000, 1]),
        (MAX + 1, [1, 1]),
        (MAX + 1, [100_000, 1]),
        (90_000, [500, 1]),
    ] {
        let name = "n".repeat(bytes - head_bytes);
        for before in (0..1100).step_by(50) {
            let parts = [field("x", &vec![b'x'; before]), field(&name, b"data")];
            let body = body_of(&parts, BOUNDARY);
            let result = for_each_part(Pieces::new(&body, &sizes), BOUNDARY, &limits, |_, _| Ok::<(), ()>(()));
            let refused = matches!(result, Err(PartsError::Body(MultipartError::OverLimit(Limit::HeadBytes(MAX)))));
            assert!(if bytes > MAX { refused } else { result.is_ok() }, "{bytes} bytes after {before}: {result:?}");
        }
    }
    // The crate has less room for lines that are not names.
    for (bytes, is_taken) in [(800, true), (1100, false)] {
        let head = format!("Content-Disposition: form-data; name=\"x\"\r\nX-Other: {}", "y".repeat(bytes));
        let body = format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--");
        assert_eq!(parse(&body).is_ok(), is_taken, "{bytes} bytes");
    }
    let limits = PartLimits { head_bytes_max: 40, ..PartLimits::default() };
    let result = for_each_part(&body_of(&[field("x", b"")], BOUNDARY)[..], BOUNDARY, &limits, |_, _| Ok::<(), ()>(()));
    assert!(matches!(result, Err(PartsError::Body(MultipartError::OverLimit(Limit::HeadBytes(40))))), "{result:?}");
}

#[test]
fn names_come_in_every_way_that_is_written() {
    for (written, expected) in [
        ("form-data; name=\"file\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.zip", Some("größe.zip")),
        ("form-data; name=\"file\"; filename*=utf-8'de'a%20b", Some("a b")),
        ("form-data; name=\"file\"; filename=\"plain\"; filename*=UTF-8''%e2%82%ac", Some("€")),
        ("form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac; filename=\"plain\"", Some("€")),
        ("form-data; name=\"file\"; FileName*=\"ISO-8859-1''%e9\"", Some("é")),
        ("Form-Data; Name=\"file\"; FILENAME=\"a.zip\"", Some("a.zip")),
        ("FORM-DATA; name=file", None),
    ] {
        let body = format!("--boundary\r\nCONTENT-DISPOSITION: {written}\r\n\r\ndata\r\n--boundary--");
        let parts = parse(&body).unwrap_or_else(|error| panic!("{written}: {error}"));
        let head = &parts[0].head;
        assert_eq!((head.name.as_str(), head.filename.as_deref()), ("file", expected), "{written}");
    }
    for unreadable in ["UTF-8''%ff", "UTF-8''%4", "UTF-8'%41", "%41", "KOI8-R''%41"] {
        for (plain, expected) in [("", ""), ("filename=\"plain\"; ", "plain")] {
            let head = format!("Content-Disposition: form-data; name=\"file\"; {plain}filename*={unreadable}");
            let parts = parse(format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--")).unwrap();
            assert_eq!(parts[0].head.filename.as_deref(), Some(expected), "{head}");
            assert!(parts[0].head.is_file, "{head}");
        }
    }
}

/// Counts what is read of it.
struct Counted<R>(R, usize);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(out)?;
        self.1 += count;
        Ok(count)
    }
}

#[test]
fn what_follows_the_closing_delimiter_is_read_and_dropped_within_a_bound() {
    let body = body_of(&[field("a", b"1")], BOUNDARY);
    for (epilogue, all_read) in [(0, true), (1, true), (50_000, true), (1_000_000, false)] {
        let mut counted = Counted(body.chain(io::repeat(b'\r').take(epilogue)), 0);
        parse_from(&mut counted, BOUNDARY).unwrap();
        let total = body.len() + usize::try_from(epilogue).unwrap();
        assert_eq!(counted.1 == total, all_read, "{} of {total}", counted.1);
        assert!(counted.1 < 100_000);
    }
    let mut failing = Pieces::new(&body, &[100_000]);
    failing.failure = Some(io::ErrorKind::TimedOut.into());
    assert!(parse_from(failing, BOUNDARY).is_ok());
}

#[test]
fn the_crate_gets_whole_delimiters_and_headers_and_no_data() {
    let seed = Rng::seed();
    let mut rng = Rng(seed);
    for _ in 0..500 {
        let parts = random_parts(&mut rng, BOUNDARY);
        let body = body_of(&parts, BOUNDARY);
        let mut body = Pieces::new(&body, &random_sizes(&mut rng));
        let guard = RefCell::new(Guard::new(&mut body, BOUNDARY, &PartLimits::default()));
        // The crate has room for 1024 bytes at least.
        let mut room = vec![0; *rng.pick(&[1024, 8192])];
        let mut read = || {
            let count = Outline(&guard).read(&mut room).unwrap();
            room[..count].to_vec()
        };
        for part in &parts {
            let of_file = part.head.filename.as_ref().map_or("", |_| "Content-Type: application/octet-stream\r\n");
            let head = format!("Content-Disposition: form-data; name=\"part\"\r\n{of_file}\r\n.");
            assert_eq!(read(), b"\r\n--\r\n--boundary\r\n", "BATON_SEED={seed}");
            assert_eq!(String::from_utf8(read()).unwrap(), head, "BATON_SEED={seed}");
            assert_eq!(read(), b"", "BATON_SEED={seed}");
            guard.borrow_mut().skip_data().unwrap();
        }
        assert_eq!(read(), b"\r\n--\r\n--boundary--", "BATON_SEED={seed}");
        assert_eq!(read(), b"", "BATON_SEED={seed}");
    }
}

#[test]
fn nothing_is_read_far_ahead_of_the_caller() {
    let mut head = body_of(&[file("a", "x", b"")], BOUNDARY);
    head.truncate(head.len() - "\r\n--boundary--\r\n".len());
    let mut counted = Counted(head.chain(io::repeat(b'x')), 0);
    let result = for_each_part(&mut counted, BOUNDARY, &PartLimits::default(), |_, data| {
        io::copy(&mut data.take(1_000_000), &mut io::sink()).unwrap();
        Err(())
    });
    assert!(matches!(result, Err(PartsError::Each(()))));
    assert!((1_000_000..1_050_000).contains(&counted.1), "{}", counted.1);
}

#[test]
fn no_body_makes_it_panic_or_go_on_for_ever() {
    const WORDS: [&[u8]; 14] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"-",
        b"--",
        b"--b",
        b"\r\n--b",
        b"\r\n--b\r\n",
        b"\r\n--b--",
        b"b",
        b"\"",
        b"\0\xff\xc3",
        b"Content-Disposition: form-data; name=\"x\"; filename=\"y\"\r\nContent-Type: a/b\r\n\r\n",
    ];
    let seed = Rng::seed();
    let mut rng = Rng(seed);
    let mut good = 0;
    for case in 0..6000 {
        let mut body = Vec::new();
        if case % 2 == 0 {
            (0..rng.below(40)).for_each(|_| body.extend_from_slice(rng.pick::<&[u8]>(&WORDS)));
        } else {
            body = body_of(&random_parts(&mut rng, "b"), "b");
        }
        for _ in 0..rng.below(4) {
            let at = rng.below(body.len() + 1);
            let end = (at + rng.below(30)).min(body.len());
            match rng.below(3) {
                0 => drop(body.splice(at..at, rng.pick(&WORDS).iter().copied())),
                1 => drop(body.drain(at..end)),
                _ => body[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.below(8)),
            }
        }
        let pieces = Pieces::new(&body, &random_sizes(&mut rng));
        let result = panic::catch_unwind(AssertUnwindSafe(|| parse_from(pieces, "b")));
        assert!(result.is_ok(), "BATON_SEED={seed}, case {case}");
        good += usize::from(result.is_ok_and(|parsed| parsed.is_ok()));
    }
    assert!(good > 500, "{good} bodies were good: the others alone test little");
}

#[test]
fn messages_repeat_nothing_of_the_body() {
    let error = PartsError::<io::Error>::from(MultipartError::Io(io::Error::from(io::ErrorKind::TimedOut)));
    assert_eq!(error.to_string(), "cannot read the multipart body: timed out");
    assert!(error::Error::source(&error).is_some());
    let body = b"--boundary\r\nContent-Disposition: form-data; name=\"x\"\r\nhunter2\r\n\r\n\r\n--boundary--";
    assert!(!complaint(parse(body)).contains("hunter2"));
}
