//! Arithmetic with whole numbers and names, such as `index + 10`. Pure.

use std::fmt;

/// A part of a formula and all that it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Formula {
    /// A number as it was written.
    Number(i64),
    /// A parameter, the number of a loop, or `index`.
    Name(String),
    /// Two parts and what connects them.
    Operation(Box<Formula>, Operator, Box<Formula>),
}

/// What can be done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
}

/// A text that is not a formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidFormula {
    #[error("\"{character}\" has no meaning in the expression \"{text}\"")]
    Character { character: char, text: String },
    #[error("{0} is too large")]
    TooLarge(String),
    #[error(
        "\"{0}\" is not an expression: expected numbers, names, + - * and parentheses, such as index + 10"
    )]
    Syntax(String),
}

/// A result that does not fit into 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left} {operator} {right} is too large")]
pub struct Overflow {
    pub left: i64,
    pub operator: Operator,
    pub right: i64,
}

/// The deepest nesting of parentheses.
const DEEPEST: usize = 16;

impl Formula {
    /// Reads numbers, names, `+`, `-`, `*` and parentheses.
    ///
    /// # Errors
    /// Where the text stops making sense.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidFormula> {
        let tokens = tokens(text)?;
        let mut reader = Reader { tokens: &tokens, text: text.trim(), depth: 0 };
        let found = reader.sum()?;
        if reader.tokens.is_empty() { Ok(found) } else { Err(reader.refuse()) }
    }

    /// The number that it comes to, with the values that `value_of` gives to its names.
    ///
    /// # Errors
    /// Those of `value_of`, and a result that is too large.
    pub(crate) fn compute<E: From<Overflow>>(
        &self,
        value_of: &impl Fn(&str) -> Result<i64, E>,
    ) -> Result<i64, E> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => value_of(name),
            Self::Operation(left, operator, right) => {
                Ok(operator.apply(left.compute(value_of)?, right.compute(value_of)?)?)
            }
        }
    }

    /// The same with the value in place of every name but `kept`.
    ///
    /// # Errors
    /// Those of [`compute`](Self::compute).
    pub(crate) fn fold<E: From<Overflow>>(
        &self,
        kept: &str,
        value_of: &impl Fn(&str) -> Result<i64, E>,
    ) -> Result<Self, E> {
        match self {
            Self::Name(name) if name == kept => Ok(self.clone()),
            Self::Operation(left, operator, right) => {
                match (left.fold(kept, value_of)?, right.fold(kept, value_of)?) {
                    (Self::Number(left), Self::Number(right)) => {
                        Ok(Self::Number(operator.apply(left, right)?))
                    }
                    (left, right) => Ok(Self::Operation(left.into(), *operator, right.into())),
                }
            }
            _ => self.compute(value_of).map(Self::Number),
        }
    }

    /// Calls `each` with every name in it.
    pub(crate) fn names(&self, each: &mut impl FnMut(&str)) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => each(name),
            Self::Operation(left, _, right) => {
                left.names(each);
                right.names(each);
            }
        }
    }
}

impl Operator {
    fn apply(self, left: i64, right: i64) -> Result<i64, Overflow> {
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
        };
        result.ok_or(Overflow { left, operator: self, right })
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
        })
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
            Self::Operation(left, operator, right) => {
                left.write_as_part(f)?;
                write!(f, " {operator} ")?;
                right.write_as_part(f)
            }
        }
    }
}

impl Formula {
    fn write_as_part(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(..) => write!(f, "({self})"),
            Self::Number(_) | Self::Name(_) => write!(f, "{self}"),
        }
    }
}

/// One word of a formula.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(i64),
    Name(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, InvalidFormula> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |is_part: fn(char) -> bool| {
            rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()).max(first.len_utf8())
        };
        let (token, length) = match first {
            '0'..='9' => {
                let length = length(|c| c.is_ascii_digit());
                let digits = &rest[..length];
                let number =
                    digits.parse().map_err(|_| InvalidFormula::TooLarge(digits.to_owned()))?;
                (Token::Number(number), length)
            }
            'a'..='z' | 'A'..='Z' => {
                let length = length(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                (Token::Name(rest[..length].to_owned()), length)
            }
            '+' | '-' | '*' | '(' | ')' => (Token::Sign(first), 1),
            character => {
                return Err(InvalidFormula::Character { character, text: text.to_owned() });
            }
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

struct Reader<'a> {
    tokens: &'a [Token],
    text: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn refuse(&self) -> InvalidFormula {
        InvalidFormula::Syntax(self.text.to_owned())
    }

    fn take_sign(&mut self, wanted: &[char]) -> Option<char> {
        let Some((Token::Sign(sign), rest)) = self.tokens.split_first() else { return None };
        wanted.contains(sign).then(|| self.tokens = rest)?;
        Some(*sign)
    }

    fn sum(&mut self) -> Result<Formula, InvalidFormula> {
        let mut left = self.product()?;
        while let Some(sign) = self.take_sign(&['+', '-']) {
            let operator = if sign == '+' { Operator::Add } else { Operator::Subtract };
            left = Formula::Operation(left.into(), operator, self.product()?.into());
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Formula, InvalidFormula> {
        let mut left = self.factor()?;
        while self.take_sign(&['*']).is_some() {
            left = Formula::Operation(left.into(), Operator::Multiply, self.factor()?.into());
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Formula, InvalidFormula> {
        if self.take_sign(&['(']).is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(self.refuse());
            }
            let inner = self.sum()?;
            self.depth -= 1;
            return self.take_sign(&[')']).map(|_| inner).ok_or_else(|| self.refuse());
        }
        let Some((token, rest)) = self.tokens.split_first() else { return Err(self.refuse()) };
        self.tokens = rest;
        match token {
            Token::Number(number) => Ok(Formula::Number(*number)),
            Token::Name(name) => Ok(Formula::Name(name.clone())),
            Token::Sign(_) => Err(self.refuse()),
        }
    }
}
