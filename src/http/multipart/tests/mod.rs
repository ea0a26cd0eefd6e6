//! Tests of the whole: parts through guard and crate. Here is what they share: bodies, readers, and chance.

mod bounds;
mod content;
mod cut;
mod heads;

use super::*;
use memchr::memmem;

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
