//! Names of commits and of branches and tags, as git takes them. What git would not take is refused when it is queued:
//! later it could only fail at the runner.

/// Fewest digits of a commit: with less, runners 1.x panic, which log the first 8 characters.
const SHA_DIGITS_MIN: usize = 8;

/// Most digits of a commit: those of SHA-256.
const SHA_DIGITS_MAX: usize = 64;

/// Checks a commit's name: hexadecimal digits, all of them or the first.
///
/// # Errors
/// Says what is wrong with the field.
pub fn check_sha(field: &str, sha: &str) -> Result<(), String> {
    if sha.is_empty() || !sha.bytes().all(|c| c.is_ascii_hexdigit()) {
        let advice = "`git rev-parse NAME` says the digits of a name";
        return Err(format!("{field} {sha:?} is no commit: it must be hexadecimal digits; {advice}"));
    }
    if (SHA_DIGITS_MIN..=SHA_DIGITS_MAX).contains(&sha.len()) {
        return Ok(());
    }
    let limits = format!("runners need at least {SHA_DIGITS_MIN}, and git has at most {SHA_DIGITS_MAX}");
    Err(format!("{field} has {} characters; {limits}", sha.len()))
}

/// Checks the name of a branch or a tag, or of any other ref, by the rules of `git check-ref-format --allow-onelevel`,
/// and that it does not look like an option.
///
/// # Errors
/// Says what is wrong with the name.
pub fn check_ref(name: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("ref {name:?} is no name that git takes for a branch or a tag: {why}"));
    let is_wrong_sign = |c: char| c <= ' ' || c == '\x7f' || "~^:?*[\\".contains(c);
    if let Some(sign) = name.chars().find(|&c| is_wrong_sign(c)) {
        return wrong(&format!("it has a {sign:?}"));
    }
    if let Some(part) = ["..", "@{"].into_iter().find(|part| name.contains(part)) {
        return wrong(&format!("it has a {part:?}"));
    }
    if name.starts_with('-') {
        return wrong("it begins like an option");
    }
    if name.is_empty() || name == "@" || name.ends_with('.') {
        return wrong("it is empty, \"@\", or ends with a dot");
    }
    match name.split('/').find(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
        Some(_) => wrong("between its slashes a part is empty, begins with a dot, or ends with \".lock\""),
        None => Ok(()),
    }
}

/// The URL that says what `host:path`, ssh's short form, says; `None` if this is not that form.
#[must_use]
pub fn url_of_short_form(text: &str) -> Option<String> {
    let (host, path) = text.split_once(':')?;
    let name = host.rsplit_once('@').map_or(host, |(_, name)| name);
    let is_host = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let is_short = !name.is_empty()
        && name.bytes().all(is_host)
        && !host.contains(['/', ' '])
        && !path.starts_with("//")
        // Else this is a user and a password.
        && !path.contains('@')
        && !path.is_empty();
    is_short.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_commit_is_hexadecimal_digits_and_enough_of_them() {
        for sha in ["01234567", "0123456789abcdefABCDEF", &"a".repeat(40), &"0".repeat(64)] {
            assert_eq!(check_sha("sha", sha), Ok(()), "{sha}");
        }
        let long = "a".repeat(65);
        for sha in
            ["", "0123456", "HEAD~1", "xyz12345678", "abcdefgh", "01234567 ", "0x01234567", "-1234567", "ａａａ", &long]
        {
            assert!(check_sha("before_sha", sha).unwrap_err().starts_with("before_sha "), "{sha}");
        }
    }

    /// Git itself is asked, if it is there.
    #[test]
    fn a_ref_is_what_git_takes_for_one() {
        let taken = "HEAD master v1.0 feature/größe-1 refs/merge-requests/1/head a@b @a a.b a{b} a=b a\"b a'b $a a;b \
                     a.lockx #1 a- 日本 a,b a|b a&b !a %a {";
        let taken: Vec<&str> = taken.split(' ').collect();
        let refused = [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "..",
            ".",
            "a..b",
            "a...b",
            ".a",
            "a/.b",
            "a.",
            "a/",
            "/a",
            "a//b",
            "a.lock",
            "a.lock/b",
            "@",
            "a@{1}",
            "@{u}",
            "HEAD~1",
            "HEAD^",
            "a:b",
            "a?b",
            "a*",
            "[a",
            "a\\b",
            "a\nb",
            "a\tb",
            "a\x7fb",
            "\0",
        ];
        for (names, is_taken) in [(&taken[..], true), (&refused[..], false)] {
            for name in names {
                assert_eq!(check_ref(name).is_ok(), is_taken, "{name:?}");
                if name.starts_with('-') || name.contains('\0') {
                    continue;
                }
                let git = Command::new("git").args(["check-ref-format", "--allow-onelevel", name]).output();
                if let Ok(output) = git {
                    assert_eq!(output.status.success(), is_taken, "git on {name:?}");
                }
            }
        }
    }

    #[test]
    fn the_short_form_of_ssh_has_a_url() {
        for (text, url) in [
            ("git@host:group/repo.git", Some("ssh://git@host/group/repo.git")),
            ("host.example:repo.git", Some("ssh://host.example/repo.git")),
            ("git@host:/srv/repo.git", Some("ssh://git@host/srv/repo.git")),
            ("https://host/a", None),
            ("repo.git", None),
            ("dir/a:b", None),
            ("user:word@host/a", None),
            ("user:word@host:a", None),
            (":a", None),
            ("host:", None),
        ] {
            assert_eq!(url_of_short_form(text).as_deref(), url, "{text}");
        }
    }
}
