//! Lines of files with sections, as networkd and NetworkManager have them. Pure.

use crate::import::draft::place;
use crate::import::{Place, Source};

/// A line `Key=value` in its section.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) section: String,
    /// Which section of the file it is in: some repeat their name.
    pub(super) number: usize,
    pub(super) key: String,
    pub(super) value: String,
}

impl Line {
    pub(super) fn text(&self) -> String {
        format!("[{}] {}={}", self.section, self.key, self.value)
    }
}

/// A line that is neither a section nor a key with its value.
#[derive(Clone, Debug)]
pub(super) struct Stray {
    pub(super) place: Place,
    pub(super) text: String,
}

/// The lines of a file, and what is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) strays: Vec<Stray>,
}

/// The lines of a file of NetworkManager's (GKeyFile).
pub(super) fn lines(file: &Source) -> Lines {
    let lines = file.text.lines().enumerate().map(|(index, line)| (index, line.trim().to_owned()));
    parsed(file, lines)
}

/// The lines of a file of systemd's, each with those that it goes on in: a `\` at the end of a line is a
/// space before the next one (systemd.syntax(7)).
pub(super) fn continued(file: &Source) -> Lines {
    let mut whole: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, raw) in file.text.lines().enumerate() {
        let line = raw.trim();
        // A comment between two lines that are one is left out.
        if line.starts_with(['#', ';']) {
            continue;
        }
        match whole.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(line),
            None => whole.push((index, line.to_owned())),
        }
        let Some((_, line)) = whole.last_mut() else { continue };
        // Two of them are one `\` that is meant.
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        goes_on = backslashes % 2 == 1;
        if goes_on {
            line.pop();
            line.push(' ');
        }
    }
    parsed(file, whole.into_iter().map(|(index, line)| (index, line.trim().to_owned())))
}

fn parsed(file: &Source, lines: impl Iterator<Item = (usize, String)>) -> Lines {
    let (mut section, mut number) = (String::new(), 0);
    let mut all = Lines::default();
    for (index, line) in lines {
        let place = place(&file.name, index + 1);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            number += 1;
        } else if let Some((key, value)) = line.split_once('=') {
            all.lines.push(Line {
                place,
                section: section.clone(),
                number,
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        } else {
            all.strays.push(Stray { place, text: line });
        }
    }
    all
}

/// The value of a key: the last one counts.
pub(super) fn value<'a>(lines: &'a [Line], section: &str, key: &str) -> Option<&'a str> {
    let found = lines.iter().rfind(|line| line.section == section && line.key == key);
    found.map(|line| line.value.as_str())
}
