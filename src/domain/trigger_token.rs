//! What is known of a trigger token: it starts pipelines of one project, and opens nothing else.

use super::time::Timestamp;
use serde::Serialize;
use std::fmt;

/// Characters of the token that lists show.
pub const SHOWN_CHARS: usize = 8;

/// Identifies a trigger token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct TriggerTokenId(pub i64);

impl fmt::Display for TriggerTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A trigger token, without the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerToken {
    /// Its id.
    pub id: TriggerTokenId,
    /// The project's name.
    pub project: String,
    /// What the token begins with.
    pub first_characters: String,
    /// What it is for; maybe empty.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}
