//! Who asks for work: a runner, and which of its managers.
//!
//! What must stay true: what a manager calls itself is a stranger's text of bounded length. It tells managers of one
//! runner apart, and proves nothing: the runner's token does.

use super::runner::RunnerInfo;
use super::time::Timestamp;
use super::token::Token;
use std::fmt;
use std::net::IpAddr;

/// Longest name of a manager, in characters.
const SYSTEM_ID_CHARS_MAX: usize = 64;

/// What a manager calls itself: `s_` or `r_` and 12 characters, in all runners that were seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SystemId(String);

impl SystemId {
    /// One that a client sent, cut to 64 characters and without control characters; `None` if nothing is left.
    #[must_use]
    pub fn received(text: &str) -> Option<SystemId> {
        let text: String = text.chars().filter(|c| !c.is_control()).take(SYSTEM_ID_CHARS_MAX).collect();
        (!text.is_empty()).then_some(SystemId(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// The runner's token, if there is one.
    pub token: Option<Token>,
    /// What it says of itself.
    pub info: RunnerInfo,
    /// Which manager of the runner it is; runners before 15.8 do not say it.
    pub system_id: Option<SystemId>,
    /// Where it calls from, as far as that is known.
    pub address: Option<IpAddr>,
}

impl From<Token> for Asker {
    /// One that says nothing but its token.
    fn from(token: Token) -> Asker {
        Asker { token: Some(token), ..Asker::default() }
    }
}

/// A manager of a runner, as operators see it.
#[derive(Clone, Debug)]
pub struct Manager {
    /// Its row.
    pub id: i64,
    /// What it calls itself.
    pub system_id: String,
    /// What it says of itself.
    pub info: RunnerInfo,
    /// Where it last called from.
    pub address: Option<String>,
    /// When it last asked for work, to the minute.
    pub contacted_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_manager_is_short_and_of_one_line() {
        for (sent, kept) in [
            ("s_1746f8786189", Some("s_1746f8786189")),
            ("r_\u{1b}[31mred\n", Some("r_[31mred")),
            ("", None),
            ("\n", None),
            (&"ü".repeat(100), Some("ü".repeat(64).as_str())),
        ] {
            assert_eq!(SystemId::received(sent).as_ref().map(SystemId::as_str), kept);
        }
    }
}
