//! Programs that use the API for programs: their tokens, and what those open.
//!
//! What must stay true: a token that is kept to a project opens nothing of another one, and nothing that is all projects'.

use super::build::{BuildId, ProjectId};
use super::time::Timestamp;
use serde::Serialize;
use std::fmt;

/// Identifies an access token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct AccessTokenId(pub i64);

impl fmt::Display for AccessTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an access token opens, by GitLab's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessScope {
    /// All.
    Api,
    /// What changes nothing, without the values of variables.
    ReadApi,
}

impl AccessScope {
    /// Both.
    pub const ALL: [AccessScope; 2] = [AccessScope::Api, AccessScope::ReadApi];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AccessScope::Api => "api",
            AccessScope::ReadApi => "read_api",
        }
    }

    /// The scope of this word, if there is one.
    #[must_use]
    pub fn parse(word: &str) -> Option<AccessScope> {
        AccessScope::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// An access token, as lists show it: the token itself is known to its holder only.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Its id.
    pub id: AccessTokenId,
    /// What its owner calls it: who does something with it is called so.
    pub name: String,
    /// What it opens.
    pub scope: AccessScope,
    /// The only project that it opens: id and name; `None`: all.
    pub project: Option<(ProjectId, String)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing; `None`: it does not end.
    pub expire_at: Option<Timestamp>,
    /// Last use, to the minute.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Whether an access token opens anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody has revoked it.
    Revoked,
}

impl AccessState {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AccessState::Active => "active",
            AccessState::Expired => "expired",
            AccessState::Revoked => "revoked",
        }
    }
}

impl AccessToken {
    /// Its state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> AccessState {
        match (self.revoked_at, self.expire_at) {
            (Some(_), _) => AccessState::Revoked,
            (None, Some(at)) if at <= now => AccessState::Expired,
            (None, _) => AccessState::Active,
        }
    }
}

/// Who uses the API for programs.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A program with an access token.
    Program(AccessToken),
    /// A job that runs, with its own token.
    Job {
        /// The job.
        build: BuildId,
        /// Its project.
        project: ProjectId,
    },
}

impl Caller {
    /// The only project that it may see; `None`: all.
    #[must_use]
    pub fn project(&self) -> Option<ProjectId> {
        match self {
            Caller::Program(token) => token.project.as_ref().map(|(id, _)| *id),
            Caller::Job { project, .. } => Some(*project),
        }
    }

    /// Whether it may see this project.
    #[must_use]
    pub fn sees(&self, project: ProjectId) -> bool {
        self.project().is_none_or(|own| own == project)
    }

    /// Whether it may change things, and see secrets.
    #[must_use]
    pub fn may_change(&self) -> bool {
        match self {
            Caller::Program(token) => token.scope == AccessScope::Api,
            Caller::Job { .. } => false,
        }
    }

    /// Who that is, for people.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Caller::Program(token) => token.name.clone(),
            Caller::Job { build, .. } => format!("job {build}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(expire_at: Option<i64>, revoked_at: Option<i64>, project: Option<i64>) -> AccessToken {
        AccessToken {
            id: AccessTokenId(1),
            name: "ci".to_owned(),
            scope: AccessScope::Api,
            project: project.map(|id| (ProjectId(id), "p".to_owned())),
            created_at: Timestamp(0),
            expire_at: expire_at.map(Timestamp),
            used_at: None,
            revoked_at: revoked_at.map(Timestamp),
        }
    }

    #[test]
    fn a_token_opens_nothing_from_its_end_or_its_revocation_on() {
        for (expire_at, revoked_at, state) in [
            (None, None, AccessState::Active),
            (Some(11), None, AccessState::Active),
            (Some(10), None, AccessState::Expired),
            (Some(11), Some(5), AccessState::Revoked),
            (Some(9), Some(5), AccessState::Revoked),
        ] {
            assert_eq!(token(expire_at, revoked_at, None).state(Timestamp(10)), state, "{expire_at:?} {revoked_at:?}");
        }
    }

    #[test]
    fn who_is_kept_to_a_project_sees_that_one_only() {
        let all = Caller::Program(token(None, None, None));
        let one = Caller::Program(token(None, None, Some(3)));
        let job = Caller::Job { build: BuildId(1), project: ProjectId(3) };
        assert!(all.sees(ProjectId(3)) && all.sees(ProjectId(4)) && all.may_change());
        for kept in [one, job] {
            assert!(kept.sees(ProjectId(3)) && !kept.sees(ProjectId(4)));
        }
        assert_eq!(AccessScope::ALL.map(|scope| AccessScope::parse(scope.as_str())), AccessScope::ALL.map(Some));
    }
}
