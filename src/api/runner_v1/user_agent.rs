//! Which answer means "no build" to a runner 1.x, by its `User-Agent`.

/// The name runners 1.3 to 9.x send, with the blank before the version.
const RUNNER_NAME: &str = "gitlab-ci-multi-runner ";

/// Whether "no build" is 204 for this client; otherwise it is 404.
///
/// GitLab's rule is a search anywhere in the text for
/// `gitlab-ci-multi-runner \d+\.\d+\.\d+(~beta\.\d+\.g[0-9a-f]+)? `, with one blank at the end. It holds for "no
/// build" alone: a paused runner gets 404 whatever it is.
///
/// Source: `POST builds/register`, GitLab 8.12 to 9.5.
pub fn understands_no_content(user_agent: Option<&str>) -> bool {
    user_agent
        .unwrap_or_default()
        .split(RUNNER_NAME)
        .skip(1)
        .any(|after_name| after_version(after_name).is_some_and(|rest| rest.starts_with(' ')))
}

/// What follows `1.2.3` or `1.2.3~beta.4.g5a6b`; `None` when there is no version.
fn after_version(text: &str) -> Option<&str> {
    let text = after_some(text, |byte| byte.is_ascii_digit())?.strip_prefix('.')?;
    let text = after_some(text, |byte| byte.is_ascii_digit())?.strip_prefix('.')?;
    let text = after_some(text, |byte| byte.is_ascii_digit())?;
    match text.strip_prefix("~beta.") {
        None => Some(text),
        Some(beta) => {
            let revision = after_some(beta, |byte| byte.is_ascii_digit())?.strip_prefix(".g")?;
            after_some(revision, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }
    }
}

/// What follows one or more bytes of a kind (ASCII only).
fn after_some(text: &str, belongs: impl Fn(u8) -> bool) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(&belongs));
    (rest.len() < text.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_and_beta_runners_understand_204() {
        for user_agent in [
            "gitlab-ci-multi-runner 1.5.2 (1-5-stable; go1.6.3; linux/amd64)",
            "gitlab-ci-multi-runner 1.6.0~beta.167.g2b2bacc (master; go1.6.3; linux/amd64)",
            "gitlab-ci-multi-runner 9.5.1 (9-5-stable; go1.8.3; windows/386)",
            "gitlab-ci-multi-runner 10.20.300 ",
            "gitlab-ci-multi-runner 1.6.0~beta.0.g0 ",
            "proxy/1.0 gitlab-ci-multi-runner 1.5.2 (via)",
            "gitlab-ci-multi-runner dev gitlab-ci-multi-runner 1.5.2 x",
            "gitlab-ci-multi-runner gitlab-ci-multi-runner 1.5.2 x",
        ] {
            assert!(understands_no_content(Some(user_agent)), "{user_agent:?}");
        }
    }

    #[test]
    fn others_need_404() {
        assert!(!understands_no_content(None));
        for user_agent in [
            "",
            "Go-http-client/1.1",
            "Go 1.1 package http",
            "curl/7.50.0",
            "gitlab-ci-multi-runner dev (HEAD; go1.6.3; linux/amd64)",
            "gitlab-runner 10.0.0 (10-0-stable; go1.8.3; linux/amd64)",
            "gitlab-ci-multi-runner 1.5.2",
            "gitlab-ci-multi-runner 1.5.2(x)",
            "gitlab-ci-multi-runner 1.5.2\t(x)",
            "gitlab-ci-multi-runner 1.5 (x)",
            "gitlab-ci-multi-runner 1.5.2.3 (x)",
            "gitlab-ci-multi-runner 1..2 (x)",
            "gitlab-ci-multi-runner .5.2 (x)",
            "gitlab-ci-multi-runner 1.5. (x)",
            "gitlab-ci-multi-runner v1.5.2 (x)",
            "gitlab-ci-multi-runner  1.5.2 (x)",
            "gitlab-ci-multi-runner-1.5.2 (x)",
            "Gitlab-CI-Multi-Runner 1.5.2 (x)",
            "gitlab-ci-multi-runner 1.6.0~beta (x)",
            "gitlab-ci-multi-runner 1.6.0~beta. (x)",
            "gitlab-ci-multi-runner 1.6.0~beta.1 (x)",
            "gitlab-ci-multi-runner 1.6.0~beta.1.g (x)",
            "gitlab-ci-multi-runner 1.6.0~beta.1.2b2bacc (x)",
            "gitlab-ci-multi-runner 1.6.0~beta.1.g2B2BACC (x)",
            "gitlab-ci-multi-runner 1.6.0~beta.1.g2b2bacc",
            "gitlab-ci-multi-runner 1.6.0~rc1 (x)",
            "gitlab-ci-multi-runner \u{661}.5.2 (x)",
        ] {
            assert!(!understands_no_content(Some(user_agent)), "{user_agent:?}");
        }
    }
}
