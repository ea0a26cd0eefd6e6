//! Whether a job that failed is tried again by itself.

use crate::domain::build::FailureReason;
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

/// GitLab's words for a reason of Baton.
#[must_use]
pub fn reasons(reason: FailureReason) -> &'static [&'static str] {
    match reason {
        FailureReason::ScriptFailure => &["script_failure"],
        FailureReason::ArtifactsTooLarge => &["script_failure"],
        FailureReason::RunnerFailure => &["runner_system_failure", "unknown_failure"],
        FailureReason::RunnerLost => &["runner_system_failure", "stuck_or_timeout_failure"],
        FailureReason::TimedOut => &["job_execution_timeout"],
        FailureReason::TraceTooLarge => &["trace_size_exceeded"],
    }
}

/// Whether a job that was tried `attempts` times, and failed, is tried again.
#[must_use]
pub fn is_retried(retry: Option<&Retry>, attempts: u32, failure: Failure<'_>) -> bool {
    let retries = attempts.saturating_sub(1);
    if failure.reasons.contains(&"scheduler_failure") && retries < SCHEDULER_RETRIES {
        return true;
    }
    let Some(retry) = retry.filter(|retry| retries < retry.max) else { return false };
    if retry.when.is_empty() && retry.exit_codes.is_empty() {
        return true;
    }
    let has_reason = retry.when.iter().any(|word| word == "always" || failure.reasons.contains(&word.as_str()));
    has_reason || failure.exit_code.is_some_and(|code| retry.exit_codes.contains(&code))
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
        let is = |reasons, exit_code| is_retried(Some(&retry), 1, Failure { reasons, exit_code });
        assert!(is(reasons(FailureReason::RunnerLost), None));
        assert!(is(&["script_failure"], Some(137)));
        assert!(!is(&["script_failure"], Some(1)));
        assert!(!is_retried(Some(&retry), 2, Failure { reasons: &["script_failure"], exit_code: Some(137) }));
    }
}
