//! Which failures have a build made again by itself, and which are allowed (`.gitlab-ci.yml`: `retry`, `allow_failure`).

use super::build::FailureReason;
use super::spec::{AllowFailure, Retry};

/// A build's failure.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// Why it failed.
    pub reason: FailureReason,
    /// The reason in its runner's own word, where that is none of ours.
    pub text: Option<&'a str>,
    /// How its script ended, if its runner said so.
    pub exit_code: Option<i64>,
}

/// What runners may say of a build that failed, as GitLab knows it; another word is an unknown reason.
const RUNNERS_WORDS: [&str; 8] = [
    "script_failure",
    "runner_system_failure",
    "job_execution_timeout",
    "image_pull_failure",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "runner_unsupported",
];

impl Failure<'_> {
    /// GitLab's words for the reason. A log or artifacts that are too large will be so again: there is no word for them
    /// but `always`.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        match self.reason {
            FailureReason::ScriptFailure => vec!["script_failure"],
            FailureReason::RunnerLost => vec!["runner_system_failure", "stuck_or_timeout_failure"],
            FailureReason::TimedOut => vec!["job_execution_timeout"],
            FailureReason::TraceTooLarge | FailureReason::ArtifactsTooLarge => vec![],
            FailureReason::SchedulerFailure => vec!["scheduler_failure"],
            FailureReason::RunnerFailure => {
                vec![self.text.filter(|text| RUNNERS_WORDS.contains(text)).unwrap_or("unknown_failure")]
            }
        }
    }

    fn ends_with(&self, exit_codes: &[i64]) -> bool {
        self.exit_code.is_some_and(|code| exit_codes.contains(&code))
    }
}

impl Retry {
    /// Whether a build that failed so is made again, if it was made again so often already.
    #[must_use]
    pub fn is_due(&self, failure: &Failure<'_>, retries: u32) -> bool {
        if retries >= self.max {
            return false;
        }
        let words = failure.words();
        let names = |when: &String| when == "always" || words.contains(&when.as_str());
        let by_itself = self.when.is_empty() && self.exit_codes.is_empty();
        by_itself || self.when.iter().any(names) || failure.ends_with(&self.exit_codes)
    }
}

impl AllowFailure {
    /// Whether those behind a build that failed so go on.
    #[must_use]
    pub fn allows(&self, failure: &Failure<'_>) -> bool {
        match self {
            AllowFailure::Any(is_allowed) => *is_allowed,
            AllowFailure::ExitCodes { exit_codes } => failure.ends_with(exit_codes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureReason::*;

    fn failure(reason: FailureReason, text: Option<&str>, exit_code: Option<i64>) -> Failure<'_> {
        Failure { reason, text, exit_code }
    }

    #[test]
    fn reasons_and_exit_codes_say_whether_a_build_is_made_again() {
        let script = failure(ScriptFailure, None, Some(3));
        let lost = failure(RunnerLost, None, None);
        let said = |text| failure(RunnerFailure, text, None);
        for (when, exit_codes, failure, is_due) in [
            (&[][..], &[][..], script, true),
            (&[], &[], lost, true),
            (&[], &[3], script, true),
            (&[], &[4], script, false),
            (&[], &[3], lost, false),
            (&["always"], &[], lost, true),
            (&["always"], &[4], script, true),
            (&["script_failure"], &[], script, true),
            (&["script_failure"], &[], lost, false),
            (&["runner_system_failure"], &[], lost, true),
            (&["stuck_or_timeout_failure"], &[], lost, true),
            (&["runner_system_failure"], &[3], script, true),
            (&["job_execution_timeout"], &[], failure(TimedOut, None, None), true),
            (&["stuck_or_timeout_failure"], &[], failure(TimedOut, None, None), false),
            (&["script_failure", "unknown_failure"], &[], failure(TraceTooLarge, None, None), false),
            (&["always"], &[], failure(ArtifactsTooLarge, None, None), true),
            (&["runner_system_failure"], &[], said(Some("runner_system_failure")), true),
            (&["unknown_failure"], &[], said(Some("runner_system_failure")), false),
            (&["unknown_failure"], &[], said(Some("of_tomorrow")), true),
            (&["unknown_failure"], &[], said(None), true),
            (&["image_pull_failure"], &[], said(Some("image_pull_failure")), true),
            (&["api_failure"], &[], script, false),
        ] {
            let when: Vec<String> = when.iter().map(|word: &&str| (*word).to_owned()).collect();
            let retry = Retry { max: 1, when: when.clone(), exit_codes: exit_codes.to_vec() };
            assert_eq!(retry.is_due(&failure, 0), is_due, "{when:?} {exit_codes:?} {failure:?}");
            assert!(!retry.is_due(&failure, 1));
        }
        assert!(!Retry::default().is_due(&script, 0), "nobody asked for one");
    }

    #[test]
    fn a_failure_is_allowed_by_itself_or_by_its_exit_code() {
        let codes = AllowFailure::ExitCodes { exit_codes: vec![3, 137] };
        for (allow, exit_code, is_allowed) in [
            (AllowFailure::Any(false), Some(3), false),
            (AllowFailure::Any(true), None, true),
            (codes.clone(), Some(137), true),
            (codes.clone(), Some(1), false),
            (codes, None, false),
        ] {
            assert_eq!(allow.allows(&failure(ScriptFailure, None, exit_code)), is_allowed, "{allow:?} {exit_code:?}");
        }
    }
}
