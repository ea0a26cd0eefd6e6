//! The expressions of `if`, and what they say of variables.
//!
//! Text has no escapes and is never expanded; an absent variable is null, which equals null alone; patterns are
//! searched for, not anchored. An expression that is too long or too deep is no expression.

mod lexer;
mod parser;
mod pattern;

pub use pattern::{Pattern, PatternError};

/// Tokens of an expression.
pub const TOKENS_MAX: usize = 100;

/// The whole of an `if`.
#[derive(Clone, Debug)]
pub struct Expression(Tree);

#[derive(Clone, Debug)]
enum Tree {
    Or(Box<Tree>, Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Not(Box<Tree>),
    Equals(Box<Tree>, Box<Tree>),
    Differs(Box<Tree>, Box<Tree>),
    Matches(Box<Tree>, Box<Tree>),
    MatchesNot(Box<Tree>, Box<Tree>),
    Variable(String),
    Text(String),
    Pattern(Pattern),
    Bool(bool),
    Null,
}

/// What a part of an expression is worth.
enum Value<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
    Pattern(&'a Pattern),
}

impl Value<'_> {
    fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(is) => *is,
            Value::Text(text) => !text.is_empty(),
            Value::Pattern(_) => true,
        }
    }

    fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Pattern(one), Value::Pattern(two)) => one.text() == two.text(),
            (Value::Null | Value::Bool(_) | Value::Text(_) | Value::Pattern(_), _) => false,
        }
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// What is not understood, in a few words. GitLab says `invalid expression syntax` to all of it.
    pub fn parse(text: &str) -> Result<Expression, String> {
        let tokens = lexer::tokens(text)?;
        parser::parse(&tokens).map(Expression)
    }

    /// Whether it holds for these variables.
    pub fn holds<'a>(&'a self, variables: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        self.0.value(variables).is_true()
    }

    /// Variables whose text would be a pattern if it looked like one: on the right of `=~` and `!~`.
    #[must_use]
    pub fn pattern_variables(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.0.pattern_variables(&mut found);
        found
    }
}

impl Tree {
    fn value<'a>(&'a self, variables: &dyn Fn(&str) -> Option<&'a str>) -> Value<'a> {
        match self {
            Tree::Or(left, right) => Value::Bool(left.value(variables).is_true() || right.value(variables).is_true()),
            Tree::And(left, right) => Value::Bool(left.value(variables).is_true() && right.value(variables).is_true()),
            Tree::Not(inner) => Value::Bool(!inner.value(variables).is_true()),
            Tree::Equals(left, right) => Value::Bool(left.value(variables).equals(&right.value(variables))),
            Tree::Differs(left, right) => Value::Bool(!left.value(variables).equals(&right.value(variables))),
            Tree::Matches(left, right) => Value::Bool(matches(&left.value(variables), &right.value(variables))),
            Tree::MatchesNot(left, right) => Value::Bool(!matches(&left.value(variables), &right.value(variables))),
            Tree::Variable(name) => variables(name).map_or(Value::Null, Value::Text),
            Tree::Text(text) => Value::Text(text),
            Tree::Pattern(pattern) => Value::Pattern(pattern),
            Tree::Bool(is) => Value::Bool(*is),
            Tree::Null => Value::Null,
        }
    }

    fn pattern_variables<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Tree::Matches(_, right) | Tree::MatchesNot(_, right) => {
                if let Tree::Variable(name) = &**right {
                    found.push(name);
                }
            }
            Tree::Or(left, right) | Tree::And(left, right) => {
                left.pattern_variables(found);
                right.pattern_variables(found);
            }
            Tree::Not(inner) => inner.pattern_variables(found),
            Tree::Equals(..)
            | Tree::Differs(..)
            | Tree::Variable(_)
            | Tree::Text(_)
            | Tree::Pattern(_)
            | Tree::Bool(_)
            | Tree::Null => {}
        }
    }
}

/// Whether a text has what is searched for. Text that is no pattern is asked whether it has the left side in it.
fn matches(text: &Value<'_>, sought: &Value<'_>) -> bool {
    let text = match text {
        Value::Text(text) => text,
        Value::Null => "",
        Value::Bool(is) => {
            if *is {
                "true"
            } else {
                "false"
            }
        }
        Value::Pattern(pattern) => pattern.text(),
    };
    match sought {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => "true".contains(text),
        Value::Pattern(pattern) => pattern.is_match(text),
        Value::Text(sought) => match Pattern::of_delimited(sought) {
            Some(Ok(pattern)) => pattern.is_match(text),
            Some(Err(_)) => false,
            None => sought.contains(text),
        },
    }
}
