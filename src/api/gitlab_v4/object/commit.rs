//! Commits, as far as pipelines tell of them: Baton has no repository to ask. Who wrote one is not known.

use super::people::OPERATOR;
use super::pipeline::short_pipeline;
use crate::api::gitlab_v4::urls::Urls;
use crate::coordinator::PipelineReport;
use serde_json::{Value, json};

/// The commit of a pipeline; where that names none, what its ref pointed to is not known.
pub fn commit_of_pipeline(urls: &Urls, report: &PipelineReport) -> Value {
    let it = &report.pipeline;
    let sha = it.sha.as_deref().unwrap_or_default();
    let title = it.title.as_deref().unwrap_or_default();
    let at = it.created_at.to_string();
    json!({
        "id": sha,
        "short_id": sha.chars().take(8).collect::<String>(),
        "created_at": at,
        "parent_ids": it.before_sha.iter().collect::<Vec<_>>(),
        "title": title,
        "message": title,
        "author_name": it.actor.as_deref().unwrap_or(OPERATOR),
        "author_email": "",
        "authored_date": at,
        "committer_name": it.actor.as_deref().unwrap_or(OPERATOR),
        "committer_email": "",
        "committed_date": at,
        "trailers": {},
        "web_url": urls.commit(&it.project, sha),
    })
}

/// The same by itself, with its newest pipeline.
pub fn commit(urls: &Urls, report: &PipelineReport) -> Value {
    let mut whole = commit_of_pipeline(urls, report);
    if let Value::Object(fields) = &mut whole {
        let more = [
            ("stats", json!({"additions": 0, "deletions": 0, "total": 0})),
            ("status", json!(report.state().as_str())),
            ("project_id", json!(report.pipeline.project_id)),
            ("last_pipeline", short_pipeline(urls, report)),
        ];
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    whole
}
