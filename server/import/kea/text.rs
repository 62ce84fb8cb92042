//! Kea's text as JSON without comments, with what it includes in its place. Pure.

use crate::import::draft::{Draft, place};
use crate::import::{Include, Library, Place, Reason, Source};
use crate::tree::Position;

/// One text, and where each of its lines comes from.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) text: String,
    places: Vec<Place>,
}

impl Lines {
    pub(super) fn read(draft: &mut Draft, source: &Source, library: &dyn Library) -> Self {
        let mut lines = Self { text: String::new(), places: Vec::new() };
        lines.add(draft, source, library, &mut vec![source.name.to_string()]);
        lines
    }

    /// The place in the files of a place in the text.
    pub(super) fn place(&self, position: Position) -> Place {
        let index = position.line.saturating_sub(1).min(self.places.len().saturating_sub(1));
        self.places.get(index).cloned().unwrap_or_else(|| place(&"".into(), position.line))
    }

    fn push_line(&mut self, text: &str, at: Place) {
        self.text.push_str(text);
        self.text.push('\n');
        self.places.push(at);
    }

    fn add(
        &mut self,
        draft: &mut Draft,
        source: &Source,
        library: &dyn Library,
        opened: &mut Vec<String>,
    ) {
        let bare = without_comments(source.text.trim_start_matches('\u{feff}'));
        for (index, line) in bare.lines().enumerate() {
            let at = place(&source.name, index + 1);
            let mut rest = line;
            while let Some((before, path, after)) = include_in(rest) {
                self.push_line(before, at.clone());
                let text = format!("<?include \"{path}\"?>");
                if opened.iter().any(|open| open == path) {
                    draft.report(&at, text, Reason::IncludesItself);
                } else {
                    let include = Include {
                        path: path.to_owned(),
                        from: source.name.clone(),
                        is_directory: false,
                    };
                    match library.open(&include) {
                        Ok(sources) => {
                            opened.push(path.to_owned());
                            sources.iter().for_each(|one| self.add(draft, one, library, opened));
                            opened.pop();
                        }
                        Err(why) => draft.report(&at, text, Reason::Unreadable(why)),
                    }
                }
                rest = after;
            }
            self.push_line(rest, at);
        }
    }
}

/// What stands before, in and after `<?include "PATH"?>`.
fn include_in(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once("<?include")?;
    let (path, after) = rest.split_once("?>")?;
    Some((before, path.trim().trim_matches('"'), after))
}

/// The same text with blanks for `#`, `//` and `/* */`, and for tabs, which YAML does not take.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let (mut in_text, mut escaped) = (false, false);
    while let Some(next) = characters.next() {
        let following = characters.peek().copied();
        match next {
            _ if in_text => {
                in_text = escaped || next != '"';
                escaped = !escaped && next == '\\';
                out.push(next);
            }
            '"' => {
                in_text = true;
                out.push(next);
            }
            '#' => skip_line(&mut characters),
            '/' if following == Some('/') => skip_line(&mut characters),
            '/' if following == Some('*') => {
                let mut last = ' ';
                for inner in characters.by_ref() {
                    if inner == '\n' {
                        out.push('\n');
                    }
                    if (last, inner) == ('*', '/') {
                        break;
                    }
                    last = inner;
                }
            }
            '\t' | '\r' => out.push(' '),
            // YAML wants a space behind the colon of a plain value.
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out
}

fn skip_line(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while characters.peek().is_some_and(|next| *next != '\n') {
        characters.next();
    }
}
