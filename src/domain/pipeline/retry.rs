//! Whether a job that failed is tried again by itself.

use crate::domain::spec::Retry;

/// How often a job is tried again without being asked, if nothing but the coordinator failed.
const SCHEDULER_RETRIES: u32 = 2;

/// How a job failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// GitLab's words for it; one of them is enough.
    pub reasons: &'a [&'a str],
    /// With what its script ended, if it did.
    pub exit_code: Option<i64>,
}

/// Whether a job that was tried `attempts` times, and failed, is tried again.
#[must_use]
pub fn is_retried(retry: Option<&Retry>, attempts: u32, failure: Failure<'_>) -> bool {
    let retries = attempts.saturating_sub(1);
    if failure.reasons.contains(&"scheduler_failure") && retries < SCHEDULER_RETRIES {
        return true;
    }
    retry.is_some_and(|retry| retry.is_due_for(failure.reasons, failure.exit_code, retries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_coordinator_is_tried_again_without_being_asked() {
        let failure = Failure { reasons: &["scheduler_failure"], exit_code: None };
        assert!(is_retried(None, 1, failure) && is_retried(None, 2, failure) && !is_retried(None, 3, failure));
    }

    #[test]
    fn a_reason_or_an_exit_code_is_enough() {
        let retry = Retry { max: 1, when: vec!["runner_system_failure".to_owned()], exit_codes: vec![137] };
        let is = |reasons: &[&str], exit_code| is_retried(Some(&retry), 1, Failure { reasons, exit_code });
        assert!(is(&["runner_system_failure", "stuck_or_timeout_failure"], None));
        assert!(is(&["script_failure"], Some(137)));
        assert!(!is(&["script_failure"], Some(1)));
        assert!(!is_retried(Some(&retry), 2, Failure { reasons: &["script_failure"], exit_code: Some(137) }));
    }
}
