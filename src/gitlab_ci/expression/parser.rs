//! From tokens to a tree. The number of tokens is bounded, and with it the depth.

use super::Tree;
use super::lexer::Token;

struct Parser<'a> {
    tokens: std::iter::Peekable<std::slice::Iter<'a, Token>>,
}

pub(super) fn parse(tokens: &[Token]) -> Result<Tree, String> {
    let mut parser = Parser { tokens: tokens.iter().peekable() };
    let tree = parser.or()?;
    match parser.tokens.next() {
        None => Ok(tree),
        Some(_) => Err("something behind its end".to_owned()),
    }
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Tree, String> {
        let mut left = self.and()?;
        while self.tokens.next_if(|token| matches!(token, Token::Or)).is_some() {
            left = Tree::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Tree, String> {
        let mut left = self.comparison()?;
        while self.tokens.next_if(|token| matches!(token, Token::And)).is_some() {
            left = Tree::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Tree, String> {
        let mut left = self.unary()?;
        let is_comparison =
            |token: &&Token| matches!(token, Token::Equals | Token::Differs | Token::Matches | Token::MatchesNot);
        while let Some(operator) = self.tokens.next_if(is_comparison) {
            let (one, two) = (Box::new(left), Box::new(self.unary()?));
            left = if matches!(operator, Token::Equals) {
                Tree::Equals(one, two)
            } else if matches!(operator, Token::Differs) {
                Tree::Differs(one, two)
            } else if matches!(operator, Token::Matches) {
                Tree::Matches(one, two)
            } else {
                Tree::MatchesNot(one, two)
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, String> {
        if self.tokens.next_if(|token| matches!(token, Token::Not)).is_some() {
            return Ok(Tree::Not(Box::new(self.unary()?)));
        }
        self.value()
    }

    fn value(&mut self) -> Result<Tree, String> {
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.or()?;
                match self.tokens.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err("a parenthesis that is not closed".to_owned()),
                }
            }
            Some(Token::Variable(name)) => Ok(Tree::Variable(name.clone())),
            Some(Token::Text(text)) => Ok(Tree::Text(text.clone())),
            Some(Token::Pattern(pattern)) => Ok(Tree::Pattern(pattern.clone())),
            Some(Token::Bool(is)) => Ok(Tree::Bool(*is)),
            Some(Token::Null) => Ok(Tree::Null),
            Some(
                Token::Close
                | Token::Or
                | Token::And
                | Token::Not
                | Token::Equals
                | Token::Differs
                | Token::Matches
                | Token::MatchesNot,
            ) => Err("an operator without a value before it".to_owned()),
            None => Err("a value is missing at its end".to_owned()),
        }
    }
}
