//! Users, of whom there is one, whatever he is called, and access tokens.

use super::time;
use crate::api::gitlab_v4::urls::Urls;
use crate::domain::access_token::{AccessState, AccessToken};
use crate::domain::time::Timestamp;
use serde_json::{Value, json};

/// Who does things where nobody is known by name.
pub const OPERATOR: &str = "operator";

/// The user, named as whoever did it.
pub fn user(urls: &Urls, name: Option<&str>) -> Value {
    json!({
        "id": 1,
        "username": OPERATOR,
        "name": name.unwrap_or(OPERATOR),
        "state": "active",
        "locked": false,
        "avatar_url": null,
        "web_url": urls.page(),
    })
}

/// The user as the caller himself.
pub fn own_user(urls: &Urls, name: &str, created_at: Timestamp) -> Value {
    let mut own = user(urls, Some(name));
    if let Value::Object(fields) = &mut own {
        let more = [
            ("created_at", json!(created_at.to_string())),
            ("is_admin", json!(true)),
            ("bio", json!("")),
            ("email", Value::Null),
            ("public_email", Value::Null),
            ("can_create_group", json!(false)),
            ("can_create_project", json!(true)),
            ("two_factor_enabled", json!(false)),
            ("external", json!(false)),
        ];
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    own
}

/// An access token, without itself. It ends at a moment; GitLab's field is a day.
pub fn access_token(token: &AccessToken, now: Timestamp) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "description": null,
        "revoked": token.revoked_at.is_some(),
        "created_at": token.created_at.to_string(),
        "scopes": [token.scope.as_str()],
        "user_id": 1,
        "last_used_at": time(token.used_at),
        "active": token.state(now) == AccessState::Active,
        "expires_at": token.expire_at.map(|at| at.to_string().chars().take(10).collect::<String>()),
        "project_id": token.project.as_ref().map(|(id, _)| *id),
    })
}
