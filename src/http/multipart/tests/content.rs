//! What is between the delimiters arrives to the byte, however it is split and read.

use super::*;

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
