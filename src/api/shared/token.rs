//! The token of a request: a parameter, or a header whose name is the protocol's.

use crate::domain::token::{Shown, Takes, Token};
use crate::http::Request;
use crate::http::params::{Field, Params, text};

/// The parameter, which every endpoint takes.
pub const TOKEN: Field = text("token");

/// The parameters of an endpoint that takes the token only.
pub const TOKEN_ONLY: &[Field] = &[TOKEN];

/// A protocol's words for the tokens of builds.
#[derive(Clone, Copy)]
pub struct Keys {
    /// The header that one may come in.
    pub header: &'static str,
    /// Whose tokens count.
    pub takes: Takes,
}

impl Keys {
    /// The token in the header.
    pub fn in_header(&self, request: &Request<'_>) -> Option<Token> {
        request.headers.get(self.header).and_then(Token::received)
    }

    /// The parameter wins over the header, also if it is no token.
    pub fn chosen(&self, params: &Params, in_header: Option<&Token>) -> Shown {
        let token = match params.text(TOKEN.name) {
            Some(text) => Token::received(text),
            None => in_header.cloned(),
        };
        Shown { token, takes: self.takes }
    }

    /// What a request shows whose parameters these are.
    pub fn of_request(&self, params: &Params, request: &Request<'_>) -> Shown {
        self.chosen(params, self.in_header(request).as_ref())
    }
}
