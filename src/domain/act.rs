//! What people and programs do to builds, beside asking for them.

/// A deed that somebody did to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Had it repeated.
    Retry,
    /// Ended it.
    Cancel,
    /// Started it by hand.
    Play,
    /// Removed its log and artifacts.
    Erase,
}

impl Act {
    /// Every deed.
    pub const ALL: [Act; 4] = [Act::Retry, Act::Cancel, Act::Play, Act::Erase];

    /// The word for it in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Retry => "retry",
            Act::Cancel => "cancel",
            Act::Play => "play",
            Act::Erase => "erase",
        }
    }

    /// What was done, for people.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Act::Retry => "retried",
            Act::Cancel => "canceled",
            Act::Play => "started",
            Act::Erase => "erased",
        }
    }

    /// The deed of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Act> {
        Act::ALL.into_iter().find(|act| act.as_str() == word)
    }
}

/// A deed, with who did it and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// What was done.
    pub act: Act,
    /// Who did it: a session's or a token's name, or "command line".
    pub actor: String,
    /// When.
    pub at: super::time::Timestamp,
}
