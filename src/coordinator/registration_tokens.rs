//! The tokens by which runners make themselves: the registration token, and the CI token of a project.

use super::Coordinator;
use super::project_by_name::named;
use crate::domain::token::Token;
use crate::error::Result;
use crate::store::{projects, settings};

impl Coordinator {
    /// A project's CI token; a new one, and the old one void, with `reset`.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for an unknown project.
    pub fn project_token(&self, name: &str, reset: bool) -> Result<String> {
        if !reset {
            return self.store.read(|c| Ok(named(c, name)?.ci_token));
        }
        let name = name.to_owned();
        self.store.write(move |c| {
            let token = Token::new_secret()?;
            projects::set_ci_token(c, named(c, &name)?.id, &token)?;
            Ok(token.reveal().to_owned())
        })
    }

    /// Makes `token` the registration token; the old one is void.
    pub fn set_registration_token(&self, token: Token) -> Result<()> {
        self.store.write(move |c| settings::set_registration_token(c, token.reveal()))
    }

    /// The registration token; a new one, and the old one void, with `reset`.
    pub fn registration_token(&self, reset: bool) -> Result<String> {
        if !reset {
            return self.store.read(settings::registration_token);
        }
        self.store.write(|c| {
            let token = Token::new_secret()?;
            settings::set_registration_token(c, token.reveal())?;
            Ok(token.reveal().to_owned())
        })
    }
}
