//! A build as runners 1.x read it: the body of the 201 of `builds/register` and of uploads (protocol 1.9).
//!
//! Types matter: one that the runner's decoder does not expect makes it drop the whole answer, with the build
//! already its own.

use crate::coordinator::{Assigned, Dependency};
use crate::domain::build::ArtifactsFile;
use serde_json::{Value, json};

/// All fields of protocol 1.9.
pub fn job_json(assigned: &Assigned) -> Value {
    let (build, spec) = (&assigned.build, &assigned.spec);
    let mut job = json!({
        "id": build.id,
        "ref": build.ref_,
        "tag": spec.is_tag,
        "sha": assigned.sha(),
        "status": build.status,
        "name": build.name,
        "token": assigned.token.reveal(),
        "stage": build.stage,
        "project_id": build.project_id,
        "project_name": build.project,
        "commands": spec.commands,
        "repo_url": assigned.repo_url(),
        "before_sha": assigned.before_sha(),
        "allow_git_fetch": spec.allow_git_fetch,
        "timeout": spec.timeout_s,
        "options": spec.options,
        "variables": assigned.variables(),
        "depends_on_builds": assigned.dependencies.iter().map(|needed| dependency_json(assigned, needed)).collect::<Vec<_>>(),
        "credentials": [],
        "artifacts_file": assigned.artifacts().map(artifacts_json),
        "artifacts_expire_at": assigned.artifacts().and_then(|file| file.expire_at).map(|at| at.to_string()),
    });
    // GitLab leaves the two out while there are none; runners take both.
    if assigned.artifacts().is_none()
        && let Some(job) = job.as_object_mut()
    {
        job.remove("artifacts_file");
        job.remove("artifacts_expire_at");
    }
    job
}

/// A build whose artifacts this one may read: with its own token, while it runs (`design.md`, Tokens).
fn dependency_json(assigned: &Assigned, needed: &Dependency) -> Value {
    let build = &needed.build;
    json!({
        "id": build.id,
        "ref": build.ref_,
        "tag": needed.is_tag,
        "sha": build.sha,
        "status": build.status,
        "name": build.name,
        "token": assigned.token.reveal(),
        "stage": build.stage,
        "project_id": build.project_id,
        "project_name": build.project,
        "artifacts_file": build.artifacts.as_ref().map(artifacts_json),
    })
}

/// `{filename, size}`.
fn artifacts_json(file: &ArtifactsFile) -> Value {
    json!({ "filename": file.filename, "size": file.size })
}
