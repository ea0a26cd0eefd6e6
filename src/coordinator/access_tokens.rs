//! Tokens of programs, and who shows one.
//!
//! What must stay true: who shows a token that is not known costs the same as who shows one that has ended. The last use
//! is noted at most once a minute, and whoever reads does not wait for that.

use super::Coordinator;
use super::projects::named;
use crate::domain::access_token::{AccessScope, AccessState, AccessToken, AccessTokenId, Caller};
use crate::domain::build::check_word;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::error::{Error, Kind, Result};
use crate::limits::{ACCESS_TOKENS_MAX, USE_STEP};
use crate::store::{access_tokens, builds};
use rusqlite::Connection;
use std::time::Duration;

/// What a new access token is to be.
#[derive(Debug)]
pub struct NewAccessToken {
    /// What to call it.
    pub name: String,
    /// What it opens.
    pub scope: AccessScope,
    /// Name of the only project that it opens.
    pub project: Option<String>,
    /// How long it opens anything; `None`: until it is revoked.
    pub life: Option<Duration>,
}

impl Coordinator {
    /// Makes an access token. The token itself is returned this once.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a bad name, [`Kind::Conflict`] for one that is taken, [`Kind::NotFound`] for an unknown project.
    pub fn add_access_token(&self, new: NewAccessToken, now: Timestamp) -> Result<(AccessToken, Token)> {
        check_word("the token's name", &new.name).map_err(Error::invalid)?;
        if new.name.bytes().all(|c| c.is_ascii_digit()) {
            return Err(Error::invalid("a token's name must not be a number, which is a token's id"));
        }
        self.store.write(move |c| {
            if let Some(other) = access_tokens::by_name(c, &new.name)? {
                let why = match other.state(now) {
                    AccessState::Active => "already",
                    AccessState::Expired => "already, which has expired and stays in the list",
                    AccessState::Revoked => "already, which was revoked and stays in the list",
                };
                return Err(Error::new(Kind::Conflict, format!("there is a token {:?} {why}", new.name)));
            }
            if access_tokens::all(c)?.len() >= ACCESS_TOKENS_MAX {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("there are {ACCESS_TOKENS_MAX} tokens, which is the most"),
                ));
            }
            let project = new.project.as_deref().map(|name| named(c, name)).transpose()?.map(|project| project.id);
            let (token, expire_at) = (Token::new_access()?, new.life.map(|life| now.plus(life)));
            let id = access_tokens::insert(c, &new.name, token.hash(), new.scope, project, expire_at, now)?;
            Ok((by_id(c, id)?, token))
        })
    }

    /// All access tokens, oldest first, also those that open nothing any more.
    pub fn list_access_tokens(&self) -> Result<Vec<AccessToken>> {
        self.store.read(access_tokens::all)
    }

    /// Has the token of this name or id open nothing any more; one that was revoked stays so.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn revoke_access_token(&self, which: &str, now: Timestamp) -> Result<AccessToken> {
        let which = which.to_owned();
        self.store.write(move |c| {
            let found = match which.parse().map(AccessTokenId) {
                Ok(id) => access_tokens::by_id(c, id)?,
                Err(_) => access_tokens::by_name(c, &which)?,
            };
            let said = || Error::not_found(format!("there is no token {which:?}; `baton token list` shows them"));
            let token = found.ok_or_else(said)?;
            access_tokens::revoke(c, token.id, now)?;
            by_id(c, token.id)
        })
    }

    /// Who shows this token: a program with one of its own that opens something, or a job that runs. `None`: nobody.
    ///
    /// # Errors
    /// The database's.
    pub fn caller(&self, token: &Token, now: Timestamp) -> Result<Option<Caller>> {
        let hash = token.hash();
        if !token.is_access() {
            return self.store.read(|c| {
                let Some(build) = builds::running_by_token(c, hash)? else { return Ok(None) };
                Ok(builds::state(c, build)?.map(|state| Caller::Job { build, project: state.project_id }))
            });
        }
        let found = self.store.read(|c| access_tokens::by_hash(c, hash))?;
        let Some(own) = found.filter(|own| own.state(now) == AccessState::Active) else { return Ok(None) };
        self.note_use(&own, now);
        Ok(Some(Caller::Program(own)))
    }

    /// Nobody waits for it, and who may read reads also where nothing can be written.
    fn note_use(&self, token: &AccessToken, now: Timestamp) {
        if token.used_at.is_some_and(|at| now.since(at) < USE_STEP) {
            return;
        }
        let id = token.id;
        self.store.submit(
            move |c| access_tokens::touch(c, id, now),
            move |noted| {
                if let Err(error) = noted {
                    log::warn!("the last use of access token {id} is not noted: {error}");
                }
            },
        );
    }
}

fn by_id(c: &Connection, id: AccessTokenId) -> Result<AccessToken> {
    access_tokens::by_id(c, id)?.ok_or_else(|| Error::internal("the access token has vanished"))
}
