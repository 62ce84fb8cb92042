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

/// The lines of a file.
pub(super) fn lines(file: &Source) -> Vec<Line> {
    let (mut section, mut number) = (String::new(), 0);
    let mut all = Vec::new();
    for (index, raw) in file.text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            number += 1;
        } else if let Some((key, value)) = line.split_once('=') {
            all.push(Line {
                place: place(&file.name, index + 1),
                section: section.clone(),
                number,
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    all
}

/// The value of a key: the last one counts.
pub(super) fn value<'a>(lines: &'a [Line], section: &str, key: &str) -> Option<&'a str> {
    let found = lines.iter().rfind(|line| line.section == section && line.key == key);
    found.map(|line| line.value.as_str())
}
