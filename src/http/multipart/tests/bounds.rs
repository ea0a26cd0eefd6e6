//! Limits, and what is read, kept and repeated of a body.

use super::*;
use std::panic::{self, AssertUnwindSafe};

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
