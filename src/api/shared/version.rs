//! The version of a runner that calls itself by one, whatever protocol it speaks.

/// The name runners 1.3 to 9.x send, with the blank before the version.
const RUNNER_NAME: &str = "gitlab-ci-multi-runner ";

/// The name runners send from 10.0 on.
const LATER_RUNNER_NAME: &str = "gitlab-runner ";

/// The longest version that is one, in bytes.
const VERSION_BYTES_MAX: usize = 20;

/// The version of the runner that calls itself so: digits and dots only, so that it can be shown.
///
/// Runners before 10.0 are `gitlab-ci-multi-runner 9.5.1 (...)`, later ones `gitlab-runner 15.11.0 (...)`.
pub fn runner_version(user_agent: Option<&str>) -> Option<&str> {
    let user_agent = user_agent?;
    let after_name = user_agent.strip_prefix(RUNNER_NAME).or_else(|| user_agent.strip_prefix(LATER_RUNNER_NAME))?;
    let version = after_name.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    (version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= VERSION_BYTES_MAX).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_digits_and_dots() {
        for (user_agent, version) in [
            ("gitlab-ci-multi-runner 9.5.1 (9-5-stable; go1.8.3; windows/386)", Some("9.5.1")),
            ("gitlab-runner 15.11.0 (15-11-stable; go1.19.6; linux/amd64)", Some("15.11.0")),
            ("gitlab-runner 16.0.0~beta.12.gabcdef (main; go1.19.6; linux/amd64)", Some("16.0.0")),
            ("gitlab-runner 10.0.0", Some("10.0.0")),
            ("gitlab-runner development version (HEAD; go1.19.6; linux/amd64)", None),
            ("gitlab-runner 1234567890.1234567890.1", None),
            ("gitlab-runner .", None),
            ("gitlab-runner ", None),
            ("curl/8.0", None),
        ] {
            assert_eq!(runner_version(Some(user_agent)), version, "{user_agent}");
        }
        assert_eq!(runner_version(None), None);
    }
}
