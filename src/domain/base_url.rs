//! The URL under which runners and people reach a server, which a proxy before it may make another than the address
//! where it listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest URL, in bytes; far more than anybody types.
const BYTES_MAX: usize = 1024;

/// `http` or `https`, a host, maybe a port and a path, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// If runners could not take it; the sentence says how it must be. It does not repeat the URL, which may hold a
    /// password.
    pub fn parse(text: &str) -> Result<BaseUrl, String> {
        let shape = || "it must be a URL such as https://ci.example or http://proxy:8080/baton".to_owned();
        let text = text.trim_end_matches('/');
        let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) || text.len() > BYTES_MAX {
            return Err(shape());
        }
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        if authority.contains('@') {
            return Err("it must have no user and no password in it: whoever runs the server prints it".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err("it must have no query and no fragment: runners append their paths to it".to_owned());
        }
        let path_is_fine = path.is_none_or(|path| path.split('/').all(is_segment));
        if !is_authority(authority) || !path_is_fine {
            return Err(shape());
        }
        Ok(BaseUrl(text.to_owned()))
    }

    /// The URL by which somebody has come who asked for this host; `None` if it is none.
    #[must_use]
    pub fn of_host(is_tls: bool, host: &str) -> Option<BaseUrl> {
        let scheme = if is_tls { "https" } else { "http" };
        (!host.contains('/')).then(|| BaseUrl::parse(&format!("{scheme}://{host}")).ok()).flatten()
    }

    /// A URL below this one, with a user and a password, which must need no encoding.
    #[must_use]
    pub fn with_login(&self, user: &str, password: &str, path: &str) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("http", &self.0));
        format!("{scheme}://{user}:{password}@{rest}/{path}")
    }

    /// `http` or `https`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.0.split_once("://").map_or("http", |(protocol, _)| protocol)
    }

    /// The host with its port, if one is said.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// The host alone; an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().strip_suffix(self.said_port().unwrap_or_default()).unwrap_or_default().trim_end_matches(':')
    }

    /// The path, with a slash in front; empty without one.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }

    /// The port, also that which is meant where none is said.
    #[must_use]
    pub fn port(&self) -> &str {
        self.said_port().unwrap_or(if self.protocol().eq_ignore_ascii_case("https") { "443" } else { "80" })
    }

    fn said_port(&self) -> Option<&str> {
        let (_, port) = self.authority().rsplit_once(':')?;
        (!port.is_empty() && port.bytes().all(|c| c.is_ascii_digit())).then_some(port)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a server listens, and whether TLS is spoken there. It shows itself as a URL without a slash at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: SocketAddr,
    /// Whether it is `https`.
    pub is_tls: bool,
}

impl Endpoint {
    /// The same for whoever is on the same machine: a server that listens everywhere listens here, too.
    #[must_use]
    pub fn from_here(self) -> Endpoint {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        Endpoint { address: SocketAddr::new(ip, self.address.port()), ..self }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }
}

/// A host, or an IPv6 address in brackets, and maybe a port.
fn is_authority(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && port_is_fine;
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    let looks_like_address = host.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let host_is_fine = if looks_like_address { host.parse::<IpAddr>().is_ok() } else { host.split('.').all(is_label) };
    host_is_fine && port.is_none_or(is_port)
}

/// Characters that mean themselves in a path, and neither `.` nor `..`.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~%+@!$&*,;=:".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_parts_and_a_host_makes_one() {
        for (url, parts) in [
            ("https://ci.example", ("https", "ci.example", "443")),
            ("http://ci.example:8080/baton", ("http", "ci.example", "8080")),
            ("http://[::1]:8080", ("http", "[::1]", "8080")),
            ("http://[::1]", ("http", "[::1]", "80")),
            ("http://127.0.0.1", ("http", "127.0.0.1", "80")),
        ] {
            let url = BaseUrl::parse(url).unwrap();
            assert_eq!((url.protocol(), url.host(), url.port()), parts, "{url}");
        }
        let of_host = |host| BaseUrl::of_host(true, host).map(|url| url.to_string());
        assert_eq!(of_host("ci:8443").as_deref(), Some("https://ci:8443"));
        for host in ["", "a/b", "a b", "u@h", "h:0", "[::1", "a\"b", "h?x"] {
            assert_eq!(of_host(host), None, "{host}");
        }
    }

    #[test]
    fn a_url_is_taken_without_the_slash_at_its_end() {
        for (text, url) in [
            ("https://ci.example", "https://ci.example"),
            ("https://ci.example/", "https://ci.example"),
            ("HTTP://ci.example:8080", "HTTP://ci.example:8080"),
            ("https://proxy/a/baton//", "https://proxy/a/baton"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://[::1]", "http://[::1]"),
            ("http://my_host-1", "http://my_host-1"),
        ] {
            assert_eq!(BaseUrl::parse(text).map(|url| url.to_string()), Ok(url.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_runners_could_not_use_is_refused_and_not_repeated() {
        let long = format!("http://h/{}", "a".repeat(1024));
        for text in [
            "",
            "/",
            "ci.example",
            "ci.example:8080",
            "ftp://h",
            "https://",
            "https:///x",
            "http://h:0",
            "http://h:x",
            "http://h:65536",
            "http://h:",
            "http://a..b",
            "http://.a",
            "http://1.2.3",
            "http://256.1.1.1",
            "http://[::1",
            "http://[x]",
            "http://[::1]8",
            "http://::1",
            "http://a b",
            "http://a'b",
            "http://h/a b",
            "http://h/a\nb",
            "http://h/'x",
            "http://h/../x",
            "http://h//x",
            "http://größe",
            "http://h?x",
            "http://h/x#y",
            "http://u:p@h",
            &long,
        ] {
            let message = BaseUrl::parse(text).expect_err(text);
            assert!(message.starts_with("it must ") && !message.contains("u:p"), "{text}: {message}");
        }
    }
}
