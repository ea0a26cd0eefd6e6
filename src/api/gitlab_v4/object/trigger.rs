//! Trigger tokens.

use super::people::user;
use super::time;
use crate::api::gitlab_v4::urls::Urls;
use crate::domain::token::Token;
use crate::domain::trigger_token::TriggerToken;
use serde_json::{Value, json};

/// A trigger token: all of it when it is made, later what it begins with.
pub fn trigger(urls: &Urls, it: &TriggerToken, token: Option<&Token>) -> Value {
    json!({
        "id": it.id,
        "description": it.description,
        "token": token.map_or(it.first_characters.as_str(), Token::reveal),
        "created_at": it.created_at.to_string(),
        "updated_at": it.created_at.to_string(),
        "deleted_at": null,
        "last_used": time(it.used_at),
        "expires_at": null,
        "owner": user(urls, None),
    })
}
