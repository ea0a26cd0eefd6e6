//! What of the runner's own environment a job sees: a list of what passes, not of what does not.
//!
//! What must stay true: no token, no address and no folder of Baton's passes; nothing that would lead the job's git to
//! the user's repository; none of the user's keys. More only if it is asked for by name, and never what is Baton's.

use std::ffi::{OsStr, OsString};

/// What passes.
const PASSED: [&str; 19] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "ALL_PROXY",
];

/// What of `all` a job sees; `more` was asked for by name.
#[must_use]
pub fn passed(all: impl Iterator<Item = (OsString, OsString)>, more: &[String]) -> Vec<(OsString, OsString)> {
    let is_passed = |name: &OsStr| {
        let name = name.to_string_lossy();
        let is_ours = name.starts_with("BATON_");
        !is_ours && (PASSED.contains(&&*name) || name.starts_with("LC_") || more.iter().any(|other| *other == name))
    };
    all.filter(|(name, _)| is_passed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_or_asked_for_passes_and_never_what_is_batons() {
        let all = [
            "PATH",
            "LC_ALL",
            "HOME",
            "GIT_DIR",
            "CI",
            "CI_JOB_TOKEN",
            "BATON_RUNNER_TOKEN",
            "BATON_DATA",
            "AWS_KEY",
            "SSH_AUTH_SOCK",
            "MY_OWN",
            "RUNNER_ENV",
            "LD_PRELOAD",
        ];
        let all = || all.into_iter().map(|name| (name.into(), "x".into()));
        let names = |more: &[&str]| -> Vec<String> {
            let more: Vec<String> = more.iter().map(|&name| name.to_owned()).collect();
            passed(all(), &more).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
        };
        assert_eq!(names(&[]), ["PATH", "LC_ALL", "HOME"]);
        assert_eq!(names(&["MY_OWN", "BATON_DATA", "BATON_RUNNER_TOKEN"]), ["PATH", "LC_ALL", "HOME", "MY_OWN"]);
    }
}
