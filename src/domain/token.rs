//! Tokens: who holds one may act. A token never shows itself in `Debug`; SQLite keeps hashes wherever a
//! token need only be checked (`schema.sql` says which are kept readable, and why).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// A secret that a client presents or is given.
#[derive(Clone)]
pub struct Token(String);

/// SHA-256 of a token. Comparing two hashes says nothing about the tokens by its timing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// Shortest and longest token that an operator may choose.
const CHOSEN_BYTES_MIN: usize = 16;
/// As above.
pub const CHOSEN_BYTES_MAX: usize = 255;

/// What the tokens begin with that say that they are a runner's.
const TELLING: &str = "glrt-";

/// What access tokens begin with. Not GitLab's `glpat-`: who looks for lost tokens would tell GitLab of it.
pub const ACCESS: &str = "btn-";
/// What trigger tokens begin with.
pub const TRIGGER: &str = "btt-";

/// What the tokens begin with that say what they are.
pub const PREFIXES: [&str; 3] = [TELLING, ACCESS, TRIGGER];

impl Token {
    /// A token that a client sent; `None` if it is empty.
    #[must_use]
    pub fn received(text: &str) -> Option<Token> {
        (!text.is_empty()).then(|| Token(text.to_owned()))
    }

    /// A new runner token: 32 hexadecimal digits, 128 bits. GitLab's have 30, which is a little short of that.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_runner() -> Result<Token, getrandom::Error> {
        random::<16>().map(|bytes| Token(hex(&bytes)))
    }

    /// A new runner token that says what it is, as runners from 16 on want it to be registered with: `glrt-` and 24
    /// URL-safe characters, 138 bits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_telling() -> Result<Token, getrandom::Error> {
        Token::new_secret().map(|Token(text)| Token(format!("{TELLING}{text}")))
    }

    /// A new access token: `btn-` and 43 URL-safe characters, 256 bits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_access() -> Result<Token, getrandom::Error> {
        random::<32>().map(|bytes| Token(format!("{ACCESS}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Whether it says that it is an access token.
    #[must_use]
    pub fn is_access(&self) -> bool {
        self.0.starts_with(ACCESS)
    }

    /// A new trigger token: `btt-` and 43 URL-safe characters, 256 bits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_trigger() -> Result<Token, getrandom::Error> {
        random::<32>().map(|bytes| Token(format!("{TRIGGER}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Whether it says that it is a trigger token.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.0.starts_with(TRIGGER)
    }

    /// Whether it says that it is a runner's.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.0.starts_with(TELLING)
    }

    /// A new build, project or registration token: 24 URL-safe characters, 138 bits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new_secret() -> Result<Token, getrandom::Error> {
        // 64 characters would need `-` and `_`; a token that begins with `-` is a nuisance on command
        // lines, so 54 are used that are also hard to mistake for each other, by rejection. No `x`: behind the
        // mask of one secret, a token without its first `x` would spell itself.
        const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut text = String::with_capacity(24);
        while text.len() < 24 {
            for byte in random::<32>()? {
                if let Some(&c) = ALPHABET.get(usize::from(byte & 63))
                    && text.len() < 24
                {
                    text.push(char::from(c));
                }
            }
        }
        Ok(Token(text))
    }

    /// A token that an operator has chosen.
    ///
    /// # Errors
    /// If it could be guessed, or would not pass unharmed through URLs, forms and command lines; the sentence does not
    /// repeat it.
    pub fn chosen(text: &str) -> Result<Token, String> {
        let is_safe = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if !(CHOSEN_BYTES_MIN..=CHOSEN_BYTES_MAX).contains(&text.len()) || !text.bytes().all(is_safe) {
            return Err(format!(
                "a token has {CHOSEN_BYTES_MIN} to {CHOSEN_BYTES_MAX} letters, digits, - and _, and nothing else"
            ));
        }
        Ok(Token(text.to_owned()))
    }

    /// What the database keeps of a token that need only be checked.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The token itself, for those that may see it: a response to its new holder, the masking of traces.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Whose tokens a protocol takes for a build.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Takes {
    /// The build's own, its runner's, its project's: they stand for each other.
    #[default]
    Any,
    /// The build's own. Who shows another one does not learn whether there is such a build.
    Own,
}

/// What somebody shows who wants something of a build.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The token, if there is one.
    pub token: Option<Token>,
    /// Which ones count.
    pub takes: Takes,
}

impl From<Token> for Shown {
    /// Any of the build's tokens.
    fn from(token: Token) -> Shown {
        Shown { token: Some(token), takes: Takes::Any }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(hidden)")
    }
}

/// `N` bytes from the operating system's random source.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_distinct_and_safe_in_urls_and_on_command_lines() {
        for make in [Token::new_runner, Token::new_secret, Token::new_telling] {
            let (a, b) = (make().unwrap(), make().unwrap());
            let random = a.reveal().strip_prefix("glrt-").unwrap_or(a.reveal());
            assert!(random.len() >= 24);
            assert!(random.bytes().all(|c| c.is_ascii_alphanumeric()));
            assert_ne!(a.reveal(), b.reveal());
            assert_ne!(a.hash(), b.hash());
        }
    }

    #[test]
    fn an_access_token_says_what_it_is_and_has_256_random_bits() {
        let token = Token::new_access().unwrap();
        assert!(token.is_access() && token.reveal().len() == ACCESS.len() + 43, "{}", token.reveal());
        assert!(Token::chosen(token.reveal()).is_ok(), "it is safe in URLs and on command lines");
        assert_ne!(token.hash(), Token::new_access().unwrap().hash());
    }

    #[test]
    fn a_trigger_token_says_what_it_is_and_has_256_random_bits() {
        let token = Token::new_trigger().unwrap();
        assert!(token.is_trigger() && token.reveal().len() == TRIGGER.len() + 43, "{}", token.reveal());
        assert!(Token::chosen(token.reveal()).is_ok(), "it is safe in URLs and on command lines");
        assert_ne!(token.hash(), Token::new_trigger().unwrap().hash());
    }

    #[test]
    fn debug_shows_no_token() {
        let token = Token::new_secret().unwrap();
        assert!(!format!("{token:?} {:?}", token.hash()).contains(token.reveal()));
    }

    #[test]
    fn a_chosen_token_is_long_and_safe_and_not_repeated_in_errors() {
        let long = "a".repeat(256);
        for text in ["0123456789abcdef", "GR1348941-aZ_09xyz", &long[1..]] {
            assert_eq!(Token::chosen(text).unwrap().reveal(), text);
        }
        for text in [
            "",
            "0123456789abcde",
            "0123456789abcde ",
            "0123456789abcdef\n",
            "0123456789abcdeé",
            "a+b/0123456789==",
            &long,
        ] {
            let message = Token::chosen(text).unwrap_err();
            assert!(message.contains("16 to 255 letters") && (text.is_empty() || !message.contains(text)), "{message}");
        }
    }

    #[test]
    fn an_empty_token_is_none() {
        assert!(Token::received("").is_none());
        assert!(Token::received("x").is_some());
    }
}
