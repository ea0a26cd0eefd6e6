//! The token of a request: a parameter, or a header whose name is the protocol's.

use crate::domain::token::Token;
use crate::http::Request;
use crate::http::params::{Field, Params, text};

/// The parameter, which every endpoint takes.
pub const TOKEN: Field = text("token");

/// The token in this header.
pub fn in_header(request: &Request<'_>, header: &str) -> Option<Token> {
    request.headers.get(header).and_then(Token::received)
}

/// The parameter wins over the header, also if it is no token.
pub fn chosen(params: &Params, in_header: Option<&Token>) -> Option<Token> {
    match params.text(TOKEN.name) {
        Some(text) => Token::received(text),
        None => in_header.cloned(),
    }
}

/// The token of a request whose parameters these are.
pub fn of_request(params: &Params, request: &Request<'_>, header: &str) -> Option<Token> {
    chosen(params, in_header(request, header).as_ref())
}
