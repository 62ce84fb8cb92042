//! Reads the arithmetic of expressions. Pure.

use super::Expression;

/// One word of an arithmetic expression.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(i64),
    Name(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |is_part: fn(char) -> bool| {
            rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()).max(first.len_utf8())
        };
        let (token, length) = match first {
            '0'..='9' => {
                let length = length(|c| c.is_ascii_digit());
                let number = rest[..length].parse();
                let number = number.map_err(|_| format!("{} is too large", &rest[..length]))?;
                (Token::Number(number), length)
            }
            'a'..='z' | 'A'..='Z' => {
                let length = length(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                (Token::Name(rest[..length].to_owned()), length)
            }
            '+' | '-' | '*' | '(' | ')' => (Token::Sign(first), 1),
            _ => return Err(format!("\"{first}\" has no meaning in the expression \"{text}\"")),
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// How deep parentheses may stand in one another.
const DEEPEST: usize = 16;

/// Reads numbers, names, `+`, `-`, `*` and parentheses.
pub(super) fn sum(text: &str) -> Result<Expression, String> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, text: text.trim(), depth: 0 };
    let found = reader.sum()?;
    if reader.tokens.is_empty() { Ok(found) } else { Err(reader.wrong()) }
}

struct Reader<'a> {
    tokens: &'a [Token],
    text: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn wrong(&self) -> String {
        format!(
            "\"{}\" is no expression: numbers, names, + - * and parentheses are, such as index + 10",
            self.text
        )
    }

    fn take_sign(&mut self, wanted: &[char]) -> Option<char> {
        let Some((Token::Sign(sign), rest)) = self.tokens.split_first() else { return None };
        wanted.contains(sign).then(|| self.tokens = rest)?;
        Some(*sign)
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        while let Some(sign) = self.take_sign(&['+', '-']) {
            left = Expression::Arithmetic(left.into(), sign, self.product()?.into());
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.factor()?;
        while let Some(sign) = self.take_sign(&['*']) {
            left = Expression::Arithmetic(left.into(), sign, self.factor()?.into());
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, String> {
        if self.take_sign(&['(']).is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.wrong());
            }
            let inner = self.sum()?;
            self.depth -= 1;
            return self.take_sign(&[')']).map(|_| inner).ok_or_else(|| self.wrong());
        }
        let Some((token, rest)) = self.tokens.split_first() else { return Err(self.wrong()) };
        self.tokens = rest;
        match token {
            Token::Number(number) => Ok(Expression::Number(*number)),
            Token::Name(name) => Ok(Expression::Name(name.clone())),
            Token::Sign(_) => Err(self.wrong()),
        }
    }
}
