//! Promise 3 for artifacts: they come back as they went in, to the byte. The multipart parser reads through buffers,
//! so what matters is where CR, LF and what looks like a delimiter fall, above all the end of the file.

use crate::harness::http::{BOUNDARY, part_head};
use crate::harness::random::Random;
use crate::harness::*;

/// Sizes of buffers that a server may read through.
const BUFFERS: [usize; 4] = [8192, 16_384, 65_536, 262_144];

/// Uploads, downloads and compares over one connection, which must stay in step.
struct Exchange<'a> {
    baton: &'a Baton,
    connection: Connection,
    build: Claimed,
}

impl Exchange<'_> {
    fn new(baton: &Baton) -> Exchange<'_> {
        let (_, build) = baton.running();
        Exchange { baton, connection: Connection::open(baton.address()), build }
    }

    fn send(&mut self, request: &Request) -> Response {
        let response = self.connection.send(request);
        if response.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Connection::open(self.baton.address());
        }
        response
    }

    #[track_caller]
    fn there_and_back(&mut self, data: &[u8], chunk_bytes: Option<usize>) {
        match chunk_bytes {
            Some(bytes) => self.there_in_chunks_and_back(data, &[bytes]),
            None => self.there_in_chunks_and_back(data, &[]),
        }
    }

    /// No sizes: with a length.
    #[track_caller]
    fn there_in_chunks_and_back(&mut self, data: &[u8], chunk_bytes: &[usize]) {
        let request = upload(&self.build, "x.zip", data);
        let request = if chunk_bytes.is_empty() { request } else { request.in_chunks(chunk_bytes) };
        let json = self.send(&request).expect(201).json();
        assert_eq!(json["artifacts_file"]["size"], data.len(), "in chunks of {chunk_bytes:?}");
        let request = download(&self.build);
        let back = self.send(&request).expect(200).body;
        if back != data {
            let at = back.iter().zip(data).take_while(|(a, b)| a == b).count();
            panic!("{} bytes in chunks of {chunk_bytes:?} came back as {}, other from {at} on", data.len(), back.len());
        }
    }
}

/// Bytes that a parser of delimiters must look at twice. The delimiter itself, CRLF and all, cannot be part of a
/// file: its sender chooses the boundary so.
fn look_alikes(random: &mut Random, count: usize) -> Vec<u8> {
    let cut = BOUNDARY.len() - 1;
    let pieces: [&[u8]; 14] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\r\n",
        b"\n\r",
        b"-",
        b"--",
        b"\r\n--",
        b"\r\n-",
        b"\r\n\r\n",
        BOUNDARY.as_bytes(),
        &[b"\r\n--", &BOUNDARY.as_bytes()[..cut]].concat(),
        &[b"\n--", BOUNDARY.as_bytes()].concat(),
        &[b"\r\n--", &BOUNDARY.to_uppercase().into_bytes()[..]].concat(),
    ];
    let mut data = Vec::with_capacity(count + 80);
    while data.len() < count {
        if random.below(4) == 0 {
            let length = random.below(40);
            data.extend_from_slice(&random.bytes(length));
        } else {
            data.extend_from_slice(random.pick(&pieces));
        }
    }
    data.truncate(count);
    // Pieces may have met so that they make up a delimiter.
    let delimiter = [b"\r\n--", BOUNDARY.as_bytes()].concat();
    while let Some(at) = find(&data, &delimiter) {
        data[at] = b'n';
    }
    if data.starts_with(&delimiter[2..]) {
        data[0] = b'n';
    }
    data
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(data, wanted)
}

#[test]
fn nothing_and_next_to_nothing_come_back() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    for data in [&b""[..], b"x", b"\r", b"\n", b"\0", b"-", b"--", b"\r\n", b"\r\n\r\n", b"\r\n--", b"\n\r\n\r"] {
        for chunk_bytes in [None, Some(1), Some(1000)] {
            exchange.there_and_back(data, chunk_bytes);
        }
    }
}

#[test]
fn sizes_around_the_buffers_come_back() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    let mut random = Random::new();
    for buffer in BUFFERS {
        for size in buffer - 2..=buffer + 3 {
            for chunk_bytes in [None, Some(4096), Some(buffer - 1)] {
                let data = look_alikes(&mut random, size);
                exchange.there_and_back(&data, chunk_bytes);
            }
        }
    }
}

/// The CRLF before the closing delimiter, the delimiter itself and what looks like them at the file's end fall on
/// every side of every border.
#[test]
fn a_file_may_end_anywhere_in_a_buffer() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    let head = part_head(&Part::file("x.zip", b"")).len();
    for buffer in BUFFERS {
        for shift in 0..7 {
            for end in [&b""[..], b"\r", b"\n", b"\r\n", b"\r\n-", b"\r\n--", b"\r\r"] {
                // The CR before the delimiter lies at `buffer - 3 + shift` of the body.
                let size = buffer - 3 + shift - head;
                let mut data = vec![b'\r'; size];
                data[size - end.len()..].copy_from_slice(end);
                exchange.there_and_back(&data, None);
            }
        }
    }
}

/// Reads end where chunks end: on every byte from the file's last ones to the end of the closing delimiter, and on two
/// of them at once.
#[test]
fn a_read_may_end_anywhere_in_the_closing_delimiter() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    for (end, step) in [(&b""[..], 1), (b"\r", 1), (b"\r\n--", 1), (b"\r\n\r", 3)] {
        let data = [b"content ".as_slice(), end].concat();
        let body_bytes = upload(&exchange.build, "x.zip", &data).body_bytes();
        let last = BOUNDARY.len() + 8 + end.len() + 2;
        for cut in (body_bytes - last..body_bytes).step_by(step) {
            exchange.there_in_chunks_and_back(&data, &[cut, step, usize::MAX]);
        }
    }
}

/// CR and LF on every position around a border inside the file.
#[test]
fn line_ends_may_fall_on_every_border() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    let head = part_head(&Part::file("x.zip", b"")).len();
    for buffer in BUFFERS {
        for shift in 0..8 {
            for line_end in [&b"\r"[..], b"\n", b"\r\n", b"\r\n--", b"\r\n--27d0a9a6"] {
                let mut data = vec![b'a'; buffer + 100];
                // Borders of the body, and of the file alone.
                for border in [buffer - head, buffer] {
                    let start = border - 4 + shift;
                    data[start..start + line_end.len()].copy_from_slice(line_end);
                }
                exchange.there_and_back(&data, if shift % 2 == 0 { None } else { Some(buffer) });
            }
        }
    }
}

#[test]
fn random_uploads_come_back() {
    let baton = Baton::with_project();
    let mut exchange = Exchange::new(&baton);
    let mut random = Random::new();
    for _ in 0..150 {
        let size = random.below(30_000);
        let data = if random.below(2) == 0 { random.bytes(size) } else { look_alikes(&mut random, size) };
        let chunk_bytes = (random.below(2) == 0).then(|| 16 + random.below(20_000));
        exchange.there_and_back(&data, chunk_bytes);
    }
}

/// Other clients choose other boundaries, and quote them.
#[test]
fn any_boundary_delimits() {
    let baton = Baton::with_project();
    let (_, build) = baton.running();
    for (boundary, said) in [
        ("x", "x".to_owned()),
        ("----WebKitFormBoundary7MA4YWxkTrZu0gW", "----WebKitFormBoundary7MA4YWxkTrZu0gW".to_owned()),
        ("with blank", "\"with blank\"".to_owned()),
        ("a:b=c?d/e", "\"a:b=c?d/e\"".to_owned()),
        (&"b".repeat(70), "b".repeat(70)),
    ] {
        let data = b"content\r\n-\r\n--\r\r\n";
        let body = [
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.zip\"\r\n\r\n")
                .as_bytes(),
            data,
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat();
        let request = Request::post(&format!("builds/{}/artifacts", build.id)).build_token(&build.token);
        baton.send(request.body(&format!("multipart/form-data; boundary={said}"), body)).expect(201);
        assert_eq!(baton.send(download(&build)).expect(200).body, data, "{boundary}");
    }
}
