//! From text to tokens.

use super::{Pattern, TOKENS_MAX};

#[derive(Clone, Debug)]
pub(super) enum Token {
    Open,
    Close,
    Or,
    And,
    Not,
    Equals,
    Differs,
    Matches,
    MatchesNot,
    Variable(String),
    Text(String),
    Pattern(Pattern),
    Bool(bool),
    Null,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if tokens.len() == TOKENS_MAX {
            return Err(format!("more than {TOKENS_MAX} parts"));
        }
        let (token, after) = token(rest)?;
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// The first token, and what stands behind it.
fn token(text: &str) -> Result<(Token, &str), String> {
    const WORDS: [(&str, Token); 12] = [
        ("(", Token::Open),
        (")", Token::Close),
        ("null", Token::Null),
        ("true", Token::Bool(true)),
        ("false", Token::Bool(false)),
        ("==", Token::Equals),
        ("=~", Token::Matches),
        ("!=", Token::Differs),
        ("!~", Token::MatchesNot),
        ("&&", Token::And),
        ("||", Token::Or),
        ("!", Token::Not),
    ];
    if let Some(rest) = text.strip_prefix('$') {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or_default();
        if name.is_empty() {
            return Err("a `$` without a name behind it".to_owned());
        }
        return Ok((Token::Variable(name.to_owned()), after));
    }
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let rest = text.get(1..).unwrap_or_default();
        let (inner, after) = rest.split_once(quote).ok_or("a text that does not end")?;
        if inner.contains('\n') {
            return Err("a text over several lines".to_owned());
        }
        return Ok((Token::Text(inner.to_owned()), after));
    }
    if text.starts_with('/') {
        return pattern(text);
    }
    for (word, token) in WORDS {
        if let Some(after) = text.strip_prefix(word) {
            return Ok((token, after));
        }
    }
    let word: String = text.chars().take_while(|c| !c.is_whitespace()).take(40).collect();
    Err(format!("`{word}` is neither a variable, nor a text in quotes, nor an operator"))
}

/// `/.../` with its flags. It ends at the first slash that has no backslash before it.
fn pattern(text: &str) -> Result<(Token, &str), String> {
    let mut before = ' ';
    let end = text.char_indices().skip(1).find_map(|(at, c)| {
        let is_end = c == '/' && before != '\\';
        before = c;
        is_end.then_some(at)
    });
    let end = end.ok_or("a pattern that does not end")?;
    let inner = text.get(1..end).unwrap_or_default();
    if inner.chars().nth(1).is_none() {
        return Err("a pattern of less than two characters".to_owned());
    }
    let rest = text.get(end + 1..).unwrap_or_default();
    let flags_end = rest.find(|c| !"ismU".contains(c)).unwrap_or(rest.len());
    let (flags, after) = rest.split_at_checked(flags_end).unwrap_or_default();
    let pattern = Pattern::new(&inner.replace("\\/", "/"), flags).map_err(|error| error.0)?;
    Ok((Token::Pattern(pattern), after))
}
