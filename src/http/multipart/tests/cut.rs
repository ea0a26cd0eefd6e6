//! A body that is cut off or fails is never taken for a whole one.

use super::*;

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
