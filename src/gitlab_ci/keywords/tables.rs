//! Which keys stand where.

/// Keys of the whole that are no jobs.
pub(super) const GLOBAL: [&str; 9] =
    ["default", "image", "services", "before_script", "after_script", "variables", "stages", "cache", "workflow"];

/// Old forms of `default`.
pub(super) const GLOBAL_DEFAULTS: [&str; 5] = ["image", "services", "before_script", "after_script", "cache"];

/// Keys of `default`.
pub(super) const DEFAULT: [&str; 13] = [
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

/// Keys of a job that a runner runs.
pub(super) const JOB: [&str; 37] = [
    "script",
    "stage",
    "artifacts",
    "variables",
    "needs",
    "extends",
    "tags",
    "rules",
    "before_script",
    "after_script",
    "image",
    "services",
    "allow_failure",
    "parallel",
    "timeout",
    "cache",
    "dependencies",
    "retry",
    "when",
    "start_in",
    "only",
    "except",
    "interruptible",
    "coverage",
    "resource_group",
    "environment",
    "inherit",
    "id_tokens",
    "secrets",
    "release",
    "pages",
    "publish",
    "hooks",
    "run",
    "identity",
    "dast_configuration",
    "manual_confirmation",
];

/// Keys of a job that makes another pipeline.
pub(super) const BRIDGE: [&str; 17] = [
    "trigger",
    "stage",
    "variables",
    "needs",
    "extends",
    "rules",
    "allow_failure",
    "parallel",
    "when",
    "start_in",
    "only",
    "except",
    "interruptible",
    "resource_group",
    "environment",
    "inherit",
    "manual_confirmation",
];

/// Keys of a job's rule.
pub(super) const RULE: [&str; 9] =
    ["if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"];

/// Keys of a rule of `workflow`.
pub(super) const WORKFLOW_RULE: [&str; 6] = ["if", "changes", "exists", "when", "variables", "auto_cancel"];

/// Keys of a rule of `include`.
pub(super) const INCLUDE_RULE: [&str; 4] = ["if", "changes", "exists", "when"];

/// Reports that stand below `coverage_report`, and not beside it.
pub(super) const COVERAGE_REPORTS: [&str; 2] = ["cobertura", "jacoco"];

/// Reasons that `retry:when` may name: all reasons for which GitLab lets a job fail, and `always`.
pub(super) const RETRY_WHEN: [&str; 36] = [
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "runner_interrupted",
    "runner_provisioning_timeout",
    "stale_schedule",
    "job_execution_timeout",
    "job_execution_server_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "missing_dependency_failure",
    "forward_deployment_failure",
    "user_blocked",
    "project_deleted",
    "ci_quota_exceeded",
    "pipeline_loop_detected",
    "no_matching_runner",
    "trace_size_exceeded",
    "builds_disabled",
    "environment_creation_failure",
    "deployment_rejected",
    "protected_environment_failure",
    "failed_outdated_deployment_job",
    "ip_restriction_failure",
    "secrets_provider_not_found",
    "insufficient_bridge_permissions",
    "downstream_bridge_project_not_found",
    "downstream_pipeline_creation_failed",
    "invalid_bridge_trigger",
    "reached_max_descendant_pipelines_depth",
];
