//! The statements of `dhcpd.conf`: words that end with a semicolon, or with a block. Pure.

use crate::import::draft::place;
use crate::import::{ImportError, Place, Source};

/// A word or a text in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// Words up to a semicolon or a brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) place: Place,
    pub(super) tokens: Vec<Token>,
    /// What stands in braces behind them.
    pub(super) block: Option<Vec<Statement>>,
}

impl Token {
    /// The bytes of `01:aa:2`, or of a single one.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let parts = self.text.split(':');
        parts.map(|part| u8::from_str_radix(part, 16).ok()).collect()
    }
}

impl Statement {
    /// Its words, without quotes. Lists keep their commas.
    pub(super) fn words(&self) -> Vec<&str> {
        self.tokens.iter().map(|token| token.text.as_str()).collect()
    }

    /// The words as they are written.
    pub(super) fn head(&self) -> String {
        let mut text = String::new();
        for token in &self.tokens {
            if !text.is_empty() && token.text != "," {
                text.push(' ');
            }
            match token.is_quoted {
                true => text.push_str(&format!("\"{}\"", token.text)),
                false => text.push_str(&token.text),
            }
        }
        text
    }

    /// The same with its end.
    pub(super) fn text(&self) -> String {
        let end = if self.block.is_some() { "" } else { ";" };
        format!("{}{end}", self.head())
    }
}

struct Reader<'a> {
    source: &'a Source,
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

/// What comes next in the text.
enum Next {
    Token(Token),
    End,
    Open,
    Close,
}

/// Reads the statements of a file.
///
/// # Errors
/// A brace or a quote is not closed, or a statement does not end.
pub(super) fn parse(source: &Source) -> Result<Vec<Statement>, ImportError> {
    let text = source.text.trim_start_matches('\u{feff}');
    let mut reader = Reader { source, characters: text.chars().peekable(), line: 1 };
    let statements = reader.block(None)?;
    Ok(statements)
}

impl Reader<'_> {
    fn error(&self, line: usize, message: &str) -> ImportError {
        ImportError::Syntax { place: place(&self.source.name, line), message: message.to_owned() }
    }

    fn block(&mut self, opened_at: Option<usize>) -> Result<Vec<Statement>, ImportError> {
        let mut statements = Vec::new();
        let (mut tokens, mut begin): (Vec<Token>, usize) = (Vec::new(), 0);
        loop {
            let next = self.next()?;
            if tokens.is_empty() {
                begin = self.line;
            }
            let line = begin;
            let statement = |tokens: &mut Vec<Token>, block| Statement {
                place: place(&self.source.name, line),
                tokens: std::mem::take(tokens),
                block,
            };
            match next {
                Some(Next::Token(token)) => tokens.push(token),
                Some(Next::End) if tokens.is_empty() => {}
                Some(Next::End) => statements.push(statement(&mut tokens, None)),
                Some(Next::Open) => {
                    let mut made = statement(&mut tokens, None);
                    made.block = Some(self.block(Some(begin))?);
                    statements.push(made);
                }
                Some(Next::Close) if !tokens.is_empty() => {
                    return Err(self.error(begin, "a semicolon is missing before the brace"));
                }
                Some(Next::Close) => match opened_at {
                    Some(_) => return Ok(statements),
                    None => return Err(self.error(self.line, "no brace is open here")),
                },
                None if !tokens.is_empty() => {
                    return Err(self.error(begin, "the last statement has no semicolon"));
                }
                None => match opened_at {
                    Some(line) => return Err(self.error(line, "the brace is not closed")),
                    None => return Ok(statements),
                },
            }
        }
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.characters.next()?;
        self.line += usize::from(next == '\n');
        Some(next)
    }

    fn next(&mut self) -> Result<Option<Next>, ImportError> {
        loop {
            let Some(next) = self.characters.peek().copied() else { return Ok(None) };
            match next {
                c if c.is_whitespace() => drop(self.advance()),
                '#' => {
                    while self.characters.peek().is_some_and(|c| *c != '\n') {
                        self.advance();
                    }
                }
                ';' => {
                    self.advance();
                    return Ok(Some(Next::End));
                }
                '{' => {
                    self.advance();
                    return Ok(Some(Next::Open));
                }
                '}' => {
                    self.advance();
                    return Ok(Some(Next::Close));
                }
                '"' => return self.quoted().map(|token| Some(Next::Token(token))),
                ',' | '(' | ')' | '=' | '~' => {
                    self.advance();
                    let token = Token { text: next.to_string(), is_quoted: false };
                    return Ok(Some(Next::Token(token)));
                }
                _ => {
                    let ends = |c: char| c.is_whitespace() || ";{}\"#,()=~".contains(c);
                    let mut text = String::new();
                    while let Some(c) = self.characters.peek().copied().filter(|c| !ends(*c)) {
                        text.push(c);
                        self.advance();
                    }
                    return Ok(Some(Next::Token(Token { text, is_quoted: false })));
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<Token, ImportError> {
        let begin = self.line;
        self.advance();
        let mut text = String::new();
        loop {
            match self.advance() {
                None => return Err(self.error(begin, "the quote is not closed")),
                Some('"') => return Ok(Token { text, is_quoted: true }),
                Some('\\') => match self.advance() {
                    Some('t') => text.push('\t'),
                    Some('n') => text.push('\n'),
                    Some(other) => text.push(other),
                    None => {}
                },
                Some(other) => text.push(other),
            }
        }
    }
}
