//! Runners at the wrong place: with a wrong URL. They ask for ever, and show their owner no more than a status. So the answer says what the right URL is, and the log says so once a minute.
//!
//! What must stay true: the answer is 404, since that is what the path is. Nothing that a client sent goes to the log as
//! it came: paths may hold tokens.

use super::seldom::Seldom;
use super::shared::version::runner_version;
use super::{PROTOCOLS, Protocol, gitlab_v4};
use crate::http::router::{Found, find};
use crate::http::{Method, Request, Response};
use std::time::Instant;

/// The longest `Host` that is repeated, in bytes.
const HOST_BYTES_MAX: usize = 255;
/// More segments than any path of ours has.
const SEGMENTS_MAX: usize = 16;

/// What is wrong with a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    /// It has doubled slashes, or one at its end.
    Slashes,
    /// It is a runner's, but below another prefix.
    Prefix,
    /// It is a URL for runners, without what they append to it.
    Bare,
}

impl Mistake {
    /// In a path that leads nowhere; `None`: it is nothing that a runner could mean.
    fn of(path: &str) -> Option<Mistake> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if gitlab_v4::is_for_programs(path) {
            None
        } else if is_prefixed(&segments) {
            Some(Mistake::Slashes)
        } else if of_runners().any(|own| ends_in_endpoint(own, &segments) && !is_anothers(own, path)) {
            Some(Mistake::Prefix)
        } else if is_part_of_prefix(&segments) {
            Some(Mistake::Bare)
        } else {
            None
        }
    }

    /// In words, about a runner of this version.
    fn sentence(self, version: Option<&str>) -> String {
        let runner = version.map_or_else(|| "a client".to_owned(), |version| format!("a runner of version {version}"));
        match self {
            Mistake::Slashes => format!("{runner} asks with doubled slashes, or with one at the end of the path"),
            Mistake::Prefix => format!("{runner} asks below a path that is not this server's"),
            Mistake::Bare => format!("{runner} asks for the URL of runners itself, to which they append their paths"),
        }
    }
}

/// The protocols that runners speak.
fn of_runners() -> impl Iterator<Item = &'static Protocol> {
    PROTOCOLS.into_iter().filter(|protocol| protocol.is_for_runners)
}

/// Whether there is an endpoint at this path, as the protocol's table may have it.
fn is_endpoint(protocol: &Protocol, path: &str) -> bool {
    protocol.tables.iter().any(|table| !matches!(find(table, Method::Other, path), Found::Nothing))
}

/// Whether the path of these segments is an endpoint's. None of ours has many: a stranger's may have thousands.
fn is_prefixed(segments: &[&str]) -> bool {
    if segments.len() > SEGMENTS_MAX {
        return false;
    }
    let path = format!("/{}", segments.join("/"));
    let is_ones =
        |protocol: &Protocol| protocol.below_prefix(&path).is_some_and(|in_table| is_endpoint(protocol, &in_table));
    of_runners().any(is_ones)
}

/// Whether the path is below the prefix of another protocol, which is right then.
fn is_anothers(own: &Protocol, path: &str) -> bool {
    own.below_prefix(path).is_none() && of_runners().any(|protocol| protocol.below_prefix(path).is_some())
}

/// Whether a path ends in one of an endpoint. Only as many segments are looked at as an endpoint can have.
fn ends_in_endpoint(protocol: &Protocol, segments: &[&str]) -> bool {
    let most = protocol.endpoints().map(|endpoint| endpoint.pattern.split('/').count()).max().unwrap_or(0);
    let begin = segments.len().saturating_sub(most);
    (begin..segments.len()).any(|from| {
        let path = segments.get(from..).unwrap_or_default().join("/");
        is_endpoint(protocol, &(protocol.in_table)(&path))
    })
}

/// Whether these segments are the begin of a prefix, or all of one.
fn is_part_of_prefix(segments: &[&str]) -> bool {
    let begins = |prefix: &&str| {
        let mut own = prefix.split('/').filter(|segment| !segment.is_empty());
        segments.iter().all(|segment| own.next() == Some(segment))
    };
    !segments.is_empty() && of_runners().any(|protocol| protocol.prefixes.iter().any(begins))
}

/// What was told of late.
#[derive(Default)]
pub struct Elsewhere {
    url: Seldom,
}

impl Elsewhere {
    /// Answers a request whose path leads nowhere.
    pub fn answer(&self, request: &Request<'_>) -> Response {
        let Some(mistake) = Mistake::of(&request.path) else { return gitlab_v4::unknown_path(&request.path) };
        let version = runner_version(request.headers.get("User-Agent"));
        let sentence = mistake.sentence(version);
        let is_warned = match mistake {
            Mistake::Slashes | Mistake::Prefix => true,
            // Maybe a person with a browser, who reads the answer.
            Mistake::Bare => version.is_some(),
        };
        if is_warned && self.url.is_due(Instant::now()) {
            log::warn!(
                "{sentence}; the URL in its configuration must be {}, without anything behind it",
                url("HOST:PORT", version)
            );
        }
        let host = request.headers.get("Host").filter(|host| is_host(host)).unwrap_or("HOST:PORT");
        Response::error(404, &format!("{sentence}. The right URL for runners is {}", url(host, version)))
            .because(&sentence)
    }
}

/// The URL that runners of this version are to be given. All of them take one with `/ci`; those from 9.0 on need none.
fn url(host: &str, version: Option<&str>) -> String {
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 9) {
        format!("http://{host} (https where TLS is spoken; behind a proxy, its address)")
    } else {
        format!("http://{host}/ci (https where TLS is spoken; behind a proxy, its address with /ci)")
    }
}

fn is_host(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte);
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_a_runner_could_mean_is_known() {
        for (path, mistake) in [
            ("/ci/api/v4/runners/verify", Some(Mistake::Prefix)),
            ("//api/v4/runners/verify", Some(Mistake::Slashes)),
            ("/api/v4/runners/", Some(Mistake::Slashes)),
            ("/gitlab/api/v4/jobs/1/trace", Some(Mistake::Prefix)),
            ("/api/v4/api/v4/runners", Some(Mistake::Prefix)),
            ("/api/v4", Some(Mistake::Bare)),
            ("/api/v4/projects/1/issues", None),
            ("/api/v4/projects/1/jobs/7/trace/", None),
            ("/api/v4/projects/group%2Fdemo/runners/verify", None),
            ("/ci//api/v1/builds/register.json", Some(Mistake::Slashes)),
            ("//ci/api/v1/builds/register.json", Some(Mistake::Slashes)),
            ("/ci/api/v1/builds/7/artifacts/", Some(Mistake::Slashes)),
            ("/api/v1//runners/register", Some(Mistake::Slashes)),
            ("/ci/ci/api/v1/builds/register.json", Some(Mistake::Prefix)),
            ("/builds/register.json", Some(Mistake::Prefix)),
            ("/v1/runners/register.json", Some(Mistake::Prefix)),
            ("/ci/api/v2/builds/7", Some(Mistake::Prefix)),
            ("/baton/ci/api/v1/builds/7/trace.txt", Some(Mistake::Prefix)),
            ("/ci", Some(Mistake::Bare)),
            ("/ci/", Some(Mistake::Bare)),
            ("/ci/api/v1/", Some(Mistake::Bare)),
            ("/", None),
            ("/favicon.ico", None),
            ("/ci/api/v1/builds/7/nothing", None),
            ("/api/v41/jobs", None),
            (&format!("{}/builds/7/artifacts/authorize", "/a".repeat(8000)), Some(Mistake::Prefix)),
            (&"/a".repeat(8000), None),
        ] {
            assert_eq!(Mistake::of(path), mistake, "{path}");
        }
    }

    #[test]
    fn runners_from_9_0_on_are_told_of_a_url_without_ci() {
        for (version, is_ci) in [(Some("1.11.5"), true), (Some("9.5.1"), false), (Some("19.3.0"), false), (None, true)]
        {
            assert_eq!(url("host", version).contains("http://host/ci"), is_ci, "{version:?}");
        }
    }
}
