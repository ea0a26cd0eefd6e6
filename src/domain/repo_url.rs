//! What is secret in a repository's URL: a password, or a token in the place of the user.
//!
//! What must stay true: no list, message or document shows a URL but by [`shown`]; only the runner gets it whole.

use std::borrow::Cow;

/// What stands for what is not shown.
const HIDDEN: &str = "***";

/// The URL for people and documents.
#[must_use]
pub fn shown(url: &str) -> Cow<'_, str> {
    match Credentials::of(url) {
        Some(it) => Cow::Owned(match it.password {
            Some(_) => format!("{}{}:{HIDDEN}@{}", it.scheme, it.user, it.rest),
            None => format!("{}{HIDDEN}@{}", it.scheme, it.rest),
        }),
        None => Cow::Borrowed(url),
    }
}

/// What of the URL must not be readable in a log: the secret as it stands there and as it is meant, and all before the
/// host, for one that is too short to be looked for by itself.
#[must_use]
pub fn secrets(url: &str) -> Vec<String> {
    let Some(it) = Credentials::of(url) else { return Vec::new() };
    let secret = it.password.unwrap_or(it.user);
    let before_host = url.get(..url.len() - it.rest.len()).unwrap_or_default();
    vec![secret.to_owned(), decoded(secret), before_host.to_owned()]
}

/// The URL without what is secret in it, and that as `user:password`, as it is meant.
#[must_use]
pub fn parted(url: &str) -> (String, Option<String>) {
    match Credentials::of(url) {
        Some(it) => {
            let login = format!("{}:{}", decoded(it.user), it.password.map(decoded).unwrap_or_default());
            (format!("{}{}", it.scheme, it.rest), Some(login))
        }
        None => (url.to_owned(), None),
    }
}

/// The URL with these credentials, as `user:password`, in place of those that it has; `None`: it is none of the web.
#[must_use]
pub fn with_login(url: &str, login: &str) -> Option<String> {
    let (scheme, rest) = url.split_at_checked(url.find("://")? + 3)?;
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http://" | "https://") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let rest = rest.get(authority.rfind('@').map_or(0, |at| at + 1)..)?;
    let (user, password) = login.split_once(':')?;
    Some(format!("{scheme}{}:{}@{rest}", encoded(user), encoded(password)))
}

/// With percent signs in place of all that could mean something else.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

struct Credentials<'a> {
    /// With `://`.
    scheme: &'a str,
    user: &'a str,
    password: Option<&'a str>,
    /// From the host on.
    rest: &'a str,
}

impl<'a> Credentials<'a> {
    /// Those of the URL, if something of them is secret: `git` of `ssh://git@host` is not.
    fn of(url: &'a str) -> Option<Credentials<'a>> {
        let (scheme, rest) = url.split_at_checked(url.find("://")? + 3)?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (userinfo, _) = authority.rsplit_once('@')?;
        let rest = rest.get(userinfo.len() + 1..)?;
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password).filter(|password| !password.is_empty())),
            None => (userinfo, None),
        };
        let is_http = scheme.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("http"));
        let is_secret = password.is_some() || is_http && !user.is_empty();
        is_secret.then_some(Credentials { scheme, user, password, rest })
    }
}

/// With what percent signs stand for in its place; what is not UTF-8 then is as it was.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.filter(|code| !code.starts_with('+')).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        for (url, expected, secret) in [
            ("https://ann:s3cr%40t@host/a.git", "https://ann:***@host/a.git", Some("s3cr@t")),
            ("https://ann:a:b@c@host:8/a@b", "https://ann:***@host:8/a@b", Some("a:b@c")),
            ("HTTP://token@host", "HTTP://***@host", Some("token")),
            ("https://token:@host/", "https://***@host/", Some("token")),
            ("ssh://git:pw%zz@host/a", "ssh://git:***@host/a", Some("pw%zz")),
            ("ssh://git@host/a.git", "ssh://git@host/a.git", None),
            ("https://host/a@b.git", "https://host/a@b.git", None),
            ("https://@host/", "https://@host/", None),
            ("/srv/a:b@c", "/srv/a:b@c", None),
        ] {
            assert_eq!(shown(url), expected, "{url}");
            assert_eq!(secrets(url).get(1).map(String::as_str), secret, "{url}");
        }
        assert_eq!(parted("https://token@host/a"), ("https://host/a".to_owned(), Some("token:".to_owned())));
        let url = with_login("https://old:x@host:8/a", "ann:s3@:t/").unwrap();
        assert_eq!(url, "https://ann:s3%40%3At%2F@host:8/a");
        assert_eq!(parted(&url), ("https://host:8/a".to_owned(), Some("ann:s3@:t/".to_owned())));
        assert_eq!(with_login("/srv/a", "ann:x").or(with_login("https://host/", "ann")), None);
        assert_eq!(secrets("https://ann:s3cr%40t@host/a"), ["s3cr%40t", "s3cr@t", "https://ann:s3cr%40t@"]);
    }
}
