//! Projects.

use super::last_part;
use crate::api::gitlab_v4::urls::Urls;
use crate::domain::repo_url::shown;
use crate::domain::time::Timestamp;
use crate::store::projects::Project;
use serde_json::{Value, json};

/// A project. What is before the last slash of its name is its namespace, of which there is one.
pub fn project(urls: &Urls, project: &Project, last_asked_at: Option<Timestamp>) -> Value {
    let (name, web_url) = (project.name.as_str(), urls.project(&project.name));
    let namespace = name.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    let url = project.repo_url.as_deref().map(shown);
    let is_ssh = url.as_deref().is_some_and(|url| url.starts_with("ssh://"));
    json!({
        "id": project.id,
        "description": null,
        "name": last_part(name),
        "name_with_namespace": name.replace('/', " / "),
        "path": last_part(name),
        "path_with_namespace": name,
        "created_at": project.created_at.to_string(),
        "updated_at": project.created_at.to_string(),
        "default_branch": project.default_branch,
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": url.as_deref().filter(|_| is_ssh),
        "http_url_to_repo": url.as_deref().filter(|_| !is_ssh),
        "web_url": web_url,
        "readme_url": null,
        "forks_count": 0,
        "avatar_url": null,
        "star_count": 0,
        "last_activity_at": last_asked_at.unwrap_or(project.created_at).to_string(),
        "visibility": "private",
        "namespace": {
            "id": 1,
            "name": last_part(namespace),
            "path": last_part(namespace),
            "kind": "group",
            "full_path": namespace,
            "parent_id": null,
            "avatar_url": null,
            "web_url": urls.page(),
        },
        "archived": false,
        "empty_repo": project.repo_url.is_none(),
        "jobs_enabled": true,
        "builds_access_level": "enabled",
        "shared_runners_enabled": true,
        "build_timeout": project.timeout_s,
        "ci_config_path": ".gitlab-ci.yml",
        "issues_enabled": false,
        "merge_requests_enabled": false,
        "wiki_enabled": false,
        "snippets_enabled": false,
        "permissions": {"project_access": {"access_level": 50, "notification_level": 3}, "group_access": null},
    })
}

/// The same in short, for whoever asks for simple ones.
pub fn simple_project(urls: &Urls, from: &Project, last_asked_at: Option<Timestamp>) -> Value {
    const KEPT: [&str; 19] = [
        "id",
        "description",
        "name",
        "name_with_namespace",
        "path",
        "path_with_namespace",
        "created_at",
        "default_branch",
        "tag_list",
        "topics",
        "ssh_url_to_repo",
        "http_url_to_repo",
        "web_url",
        "readme_url",
        "forks_count",
        "avatar_url",
        "star_count",
        "last_activity_at",
        "namespace",
    ];
    let mut whole = project(urls, from, last_asked_at);
    if let Value::Object(fields) = &mut whole {
        fields.retain(|name, _| KEPT.contains(&name.as_str()));
    }
    whole
}
