//! On which terms an endpoint is called: who may, and with how much.

use crate::http::params::Field;

/// What an endpoint asks of its callers.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Who may.
    pub may: May,
    /// The parameters, beside those for tokens.
    pub fields: &'static [Field],
    /// Bytes of parameters more than those of any stranger, for whoever has shown a good token before the body.
    pub room_bytes: u64,
}

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum May {
    /// Any access token.
    Read,
    /// Any access token, and the token of a job that runs.
    ReadOrJob,
    /// Access tokens that open all.
    Write,
    /// A job that runs.
    Job,
    /// Whoever shows a token that starts pipelines of the project, which the endpoint looks at itself.
    Trigger,
    /// Anybody.
    Anybody,
}
