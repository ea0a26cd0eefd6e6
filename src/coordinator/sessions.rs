//! Who may read the page: browsers that a link of the command line has let in.
//!
//! What must stay true: a link is good once, and for [`LINK_TIME`]; whoever may read the data directory may make one, and
//! nobody else; of keys and of what browsers keep only hashes are stored; the use of a session costs at most one write a
//! minute.

use super::Coordinator;
use crate::domain::build::check_word;
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, hex};
use crate::error::{Error, Kind, Result};
use crate::limits::{LOGIN_LINKS_MAX, USE_STEP};
use crate::store::sessions;
pub use crate::store::sessions::Session;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a link is good.
pub const LINK_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts after its last use.
pub const SESSION_TIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// A link's key that the link never was: nothing that is longer is looked up.
const KEY_BYTES_MAX: usize = 64;

impl Coordinator {
    /// Eight digits that are this installation's: what browsers keep of several servers of one host gets several names.
    #[must_use]
    pub fn installation(&self) -> String {
        let digest: [u8; 32] = Sha256::digest(self.queue_key.value(crate::domain::runner::RunnerId(0), 0)).into();
        hex(digest.get(..4).unwrap_or_default())
    }

    /// The key of a link that lets one browser in, as `name`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that is none; [`Kind::Conflict`] if too many links were made and not used.
    pub fn make_login_key(&self, name: &str, now: Timestamp) -> Result<Token> {
        check_word("the name", name).map_err(Error::invalid)?;
        let (key, name) = (Token::new_secret()?, name.to_owned());
        let hash = key.hash();
        self.store.write(move |c| {
            sessions::remove_old(c, now.minus(SESSION_TIME), now)?;
            if sessions::count_keys(c)? >= LOGIN_LINKS_MAX {
                let said = format!("{LOGIN_LINKS_MAX} links were made in ten minutes and not used; wait, or use one");
                return Err(Error::new(Kind::Conflict, said));
            }
            sessions::insert_key(c, hash, &name, now.plus(LINK_TIME))
        })?;
        Ok(key)
    }

    /// Whom a key would let in; `None`: nobody, since it was used, is too old, or never was one.
    ///
    /// # Errors
    /// The database's.
    pub fn name_of_login_key(&self, key: &str, now: Timestamp) -> Result<Option<String>> {
        let Some(key) = received(key) else { return Ok(None) };
        self.store.read(|c| sessions::name_of_key(c, key.hash(), now))
    }

    /// Uses a key up: the name of whom it lets in, and what the browser is to keep. `None`: it lets nobody in.
    ///
    /// # Errors
    /// The database's.
    pub fn log_in(&self, key: &str, now: Timestamp) -> Result<Option<(String, Token)>> {
        let Some(key) = received(key) else { return Ok(None) };
        let (hash, kept) = (key.hash(), Token::new_secret()?);
        let new = kept.hash();
        let name = self.store.write(move |c| {
            let Some(name) = sessions::name_of_key(c, hash, now)? else { return Ok(None) };
            sessions::remove_key(c, hash)?;
            sessions::insert(c, &name, new, now)?;
            Ok(Some(name))
        })?;
        Ok(name.map(|name| (name, kept)))
    }

    /// The session of a browser that shows what it keeps.
    ///
    /// # Errors
    /// The database's.
    pub fn session(&self, kept: &str, now: Timestamp) -> Result<Option<Session>> {
        let Some(kept) = received(kept) else { return Ok(None) };
        let found = self.store.read(|c| sessions::by_token(c, kept.hash(), now.minus(SESSION_TIME)))?;
        if let Some(session) = &found
            && now.since(session.used_at) >= USE_STEP
        {
            let id = session.id;
            // A disk that is full keeps nobody out.
            self.store.submit(
                move |c| sessions::touch(c, id, now),
                |result| {
                    if let Err(error) = result {
                        log::debug!("the use of a session was not noted: {error}");
                    }
                },
            );
        }
        Ok(found)
    }

    /// The sessions that last, those first that were used last.
    ///
    /// # Errors
    /// The database's.
    pub fn list_sessions(&self, now: Timestamp) -> Result<Vec<Session>> {
        self.store.read(|c| sessions::all(c, now.minus(SESSION_TIME)))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database's.
    pub fn end_session(&self, id: i64) -> Result<()> {
        self.store.write(move |c| sessions::remove(c, id))
    }

    /// Ends all sessions of `name`, or everybody's, and makes links void that were not used. Returns how many sessions.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of that name.
    pub fn end_sessions(&self, name: Option<&str>) -> Result<usize> {
        let name = name.map(str::to_owned);
        self.store.write(move |c| {
            let ended = sessions::remove_of(c, name.as_deref())?;
            match name {
                Some(name) if ended == 0 => {
                    let said = format!("nobody called {name:?} is signed in; `baton page list` shows who is");
                    Err(Error::not_found(said))
                }
                Some(_) | None => Ok(ended),
            }
        })
    }
}

fn received(text: &str) -> Option<Token> {
    Token::received(text).filter(|_| text.len() <= KEY_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn a_link_lets_one_browser_in_once_and_what_it_keeps_ends_some_time_after_its_last_use() {
        let dir = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(dir.path(), Limits::default()).unwrap();
        let start = Timestamp(1_000_000_000_000);
        let day = Duration::from_secs(24 * 3600);
        let key = coordinator.make_login_key("mira", start).unwrap();
        let key = key.reveal();
        let late = start.plus(LINK_TIME);
        assert_eq!(
            coordinator.name_of_login_key(key, start).unwrap().as_deref(),
            Some("mira"),
            "asking uses nothing up"
        );
        assert_eq!(coordinator.name_of_login_key(key, late).unwrap(), None);
        assert!(coordinator.log_in(key, late).unwrap().is_none(), "too late");
        let (name, kept) = coordinator.log_in(key, start).unwrap().unwrap();
        assert_eq!(name, "mira");
        assert!(coordinator.log_in(key, start).unwrap().is_none(), "used up");
        for wrong in ["", "x", key, &"x".repeat(1 << 20)] {
            assert!(coordinator.session(wrong, start).unwrap().is_none());
        }
        let session = coordinator.session(kept.reveal(), start.plus(29 * day)).unwrap().unwrap();
        assert_eq!(session.name, "mira");
        // The use is noted behind the answer, in the same queue as this write.
        coordinator.end_session(99).unwrap();
        assert!(coordinator.session(kept.reveal(), start.plus(58 * day)).unwrap().is_some());
        coordinator.end_session(99).unwrap();
        assert!(coordinator.session(kept.reveal(), start.plus(90 * day)).unwrap().is_none());
        assert_eq!(coordinator.list_sessions(start.plus(59 * day)).unwrap().len(), 1);
        let unused = coordinator.make_login_key("mira", start.plus(59 * day)).unwrap();
        assert_eq!(coordinator.end_sessions(Some("jon")).unwrap_err().kind, Kind::NotFound);
        assert_eq!(coordinator.end_sessions(Some("mira")).unwrap(), 1);
        assert!(coordinator.session(kept.reveal(), start.plus(59 * day)).unwrap().is_none());
        assert!(coordinator.log_in(unused.reveal(), start.plus(59 * day)).unwrap().is_none(), "links end, too");
        assert_eq!(coordinator.make_login_key("a\nb", start).unwrap_err().kind, Kind::Invalid);
    }
}
