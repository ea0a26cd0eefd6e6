//! What is judged of a request before a thread is spent on it: the head, as it lies in the kernel's buffer.
//!
//! What must stay true: a head that passes is complete, bounded, and of a version and a framing that leave no doubt
//! where the request ends. What is read of the connection afterwards is what was judged, to the byte.

use super::message::{Headers, Method};
use crate::limits::{BODY_AWAITED_BYTES_MAX, REQUEST_HEADERS_MAX};

/// A head that passed.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target, as sent.
    pub target: String,
    /// The headers.
    pub headers: Headers,
    /// Bytes of the head, its empty line included.
    pub bytes: usize,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection may carry another request: HTTP/1.1 without `Connection: close`.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// How a request's body is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// So many bytes, zero if none is declared.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// The verdict on the bytes that have arrived.
#[derive(Debug)]
pub enum Verdict {
    /// More must arrive.
    Incomplete,
    /// The request may be served.
    Ready(Head),
    /// It must be answered with this status and sentence, and the connection closed.
    Refused(u16, &'static str),
}

/// Judges the begin of a connection's unread bytes.
#[must_use]
pub fn judge(unread: &[u8], head_bytes_max: usize) -> Verdict {
    let mut headers = [httparse::EMPTY_HEADER; REQUEST_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let bounded = unread.get(..head_bytes_max).unwrap_or(unread);
    match request.parse(bounded) {
        Ok(httparse::Status::Complete(bytes)) if !is_plain(bounded.get(..bytes).unwrap_or_default()) => {
            Verdict::Refused(400, "the request's head has characters other than printable ASCII and line ends of CR LF")
        }
        Ok(httparse::Status::Complete(bytes)) => match head(&request, bytes) {
            Ok(head) if head.is_awaited() && unread.len() < head.bytes_with_body() => Verdict::Incomplete,
            Ok(head) => Verdict::Ready(head),
            Err((status, why)) => Verdict::Refused(status, why),
        },
        Ok(httparse::Status::Partial) if bounded.len() >= head_bytes_max => too_long(bounded),
        Ok(httparse::Status::Partial) => Verdict::Incomplete,
        Err(httparse::Error::TooManyHeaders) => Verdict::Refused(431, "too many headers"),
        Err(httparse::Error::Version) if has_version(bounded) => {
            Verdict::Refused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        Err(_) => Verdict::Refused(400, "the request's head is malformed"),
    }
}

/// Whether the request line ends with a version, of whatever number.
fn has_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    words.next().is_some_and(|word| word.starts_with(b"HTTP/")) && words.next().is_none()
}

/// Whether everybody reads the head alike: some take a lone CR or LF for the end of a line, and some do not.
fn is_plain(head: &[u8]) -> bool {
    let mut bytes = head.iter();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'\r' => bytes.next() == Some(&b'\n'),
            byte => matches!(byte, b'\t' | b' '..=b'~'),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

impl Head {
    /// Bytes of the head and of a body with a length.
    #[must_use]
    pub fn bytes_with_body(&self) -> usize {
        match self.framing {
            Framing::Length(bytes) => self.bytes.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX)),
            Framing::Chunked => self.bytes,
        }
    }

    /// Whether the body must have arrived before the request is served.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        matches!(self.framing, Framing::Length(bytes) if bytes <= BODY_AWAITED_BYTES_MAX as u64)
            && !self.expects_continue
    }

    /// Whether the unread bytes hold more than this request: a client that does not wait for answers.
    #[must_use]
    pub fn is_followed_by_more(&self, unread: usize) -> bool {
        matches!(self.framing, Framing::Length(_)) && unread > self.bytes_with_body()
    }
}

fn too_long(bounded: &[u8]) -> Verdict {
    if bounded.contains(&b'\n') {
        Verdict::Refused(431, "the request's headers are too long")
    } else {
        Verdict::Refused(414, "the request's target is too long")
    }
}

type Refusal = (u16, &'static str);

fn head(request: &httparse::Request<'_, '_>, bytes: usize) -> Result<Head, Refusal> {
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err((400, "the request's head is malformed"));
    };
    let target = path_of(target).ok_or((400, "the request's target must be a path"))?;
    let mut headers = Vec::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| (400, "a header is not UTF-8"))?;
        headers.push((header.name.to_owned(), value.trim().to_owned()));
    }
    let headers = Headers(headers);
    let framing = framing(&headers, version)?;
    let connection = headers.get("Connection").unwrap_or_default().to_ascii_lowercase();
    if connection.contains("upgrade") {
        return Err((400, "no other protocol is spoken here"));
    }
    let expects_continue = match headers.get("Expect") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("100-continue") => true,
        Some(_) => return Err((400, "the only expectation that is met here is 100-continue")),
    };
    Ok(Head {
        method: Method::parse(method),
        target: target.to_owned(),
        headers,
        bytes,
        framing,
        keep_alive: version == 1 && !connection.contains("close"),
        expects_continue,
    })
}

/// The path and query of a target, which clients of proxies write as a whole URL (RFC 9112, 3.2.2).
fn path_of(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#'])?;
    (end > 0).then(|| rest.get(end..)).flatten().filter(|path| path.starts_with('/'))
}

/// RFC 9112, 6.3: whatever leaves a doubt where the body ends is refused, since the rest of it could be
/// taken for a request.
fn framing(headers: &Headers, version: u8) -> Result<Framing, Refusal> {
    let all = |name: &str| -> Vec<&str> {
        let same = headers.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    let (lengths, encodings) = (all("Content-Length"), all("Transfer-Encoding"));
    match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) if length.bytes().all(|c| c.is_ascii_digit()) && !length.is_empty() => {
            length.parse().map(Framing::Length).map_err(|_| (413, "the declared length is beyond reason"))
        }
        ([], [encoding]) if encoding.eq_ignore_ascii_case("chunked") && version == 1 => Ok(Framing::Chunked),
        (_, []) => Err((400, "Content-Length must be one number")),
        ([], _) => Err((400, "the only Transfer-Encoding that is taken is chunked")),
        _ => Err((400, "Content-Length and Transfer-Encoding exclude each other")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> String {
        match judge(text.as_bytes(), 1000) {
            Verdict::Incomplete => "incomplete".to_owned(),
            Verdict::Ready(head) => {
                format!("{:?} {} {:?} keep={}", head.method, head.target, head.framing, head.keep_alive)
            }
            Verdict::Refused(status, _) => status.to_string(),
        }
    }

    #[test]
    fn heads_are_judged_before_anything_is_spent_on_them() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2000));
        let wide = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        for (text, expected) in [
            ("", "incomplete"),
            ("GET / HT", "incomplete"),
            ("GET /x?y HTTP/1.1\r\n\r\n", "Get /x?y Length(0) keep=true"),
            ("GET / HTTP/1.0\r\n\r\n", "Get / Length(0) keep=false"),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "Get / Length(0) keep=false"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", "incomplete"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "Post / Length(3) keep=true"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "Post / Length(3) keep=true"),
            ("POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", "Post / Length(99999) keep=true"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", "Post / Chunked keep=true"),
            ("BREW / HTTP/1.1\r\n\r\n", "Other / Length(0) keep=true"),
            ("GET / HTTP/2.0\r\n\r\n", "505"),
            ("GET / HTTP/3.0\r\n\r\n", "505"),
            ("GET http://x/y?z HTTP/1.1\r\n\r\n", "Get /y?z Length(0) keep=true"),
            ("GET HTTPS://x:1/ HTTP/1.1\r\n\r\n", "Get / Length(0) keep=true"),
            ("GET http:///x HTTP/1.1\r\n\r\n", "400"),
            ("GET http://x?y/ HTTP/1.1\r\n\r\n", "400"),
            ("GET ftp://x/ HTTP/1.1\r\n\r\n", "400"),
            ("GET x HTTP/1.1\r\n\r\n", "400"),
            ("GET * HTTP/1.1\r\n\r\n", "400"),
            ("GET\0/ HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\n\n", "400"),
            ("\r\nGET / HTTP/1.1\r\n\r\n", "Get / Length(0) keep=true"),
            ("GET /a b HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nA: b\tc\r\n\r\n", "Get / Length(0) keep=true"),
            ("GET / HTTP/1.1\r\nA.b: c\r\n\r\n", "Get / Length(0) keep=true"),
            ("GET\t/ HTTP/1.1\r\n\r\n", "400"),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n", "400"),
            ("\u{16}\u{3}\u{1}", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "413"),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nConnection: Upgrade\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nExpect: tea\r\n\r\n", "400"),
            (&long, "414"),
            (&wide, "431"),
            (&many, "431"),
        ] {
            assert_eq!(verdict(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_second_request_in_the_buffer_is_seen() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\naGET";
        let Verdict::Ready(head) = judge(text, 1000) else { panic!("not ready") };
        assert!(head.is_followed_by_more(text.len()));
        assert!(!head.is_followed_by_more(text.len() - 3));
    }
}
