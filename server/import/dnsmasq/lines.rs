//! The lines of dnsmasq's files as `key=value`, whichever file they stand in. Pure.

use std::net::IpAddr;

use crate::import::draft::{Draft, place};
use crate::import::{Include, Library, Place, Reason, Source};
use crate::model::Mac;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) place: Place,
    /// The key, `ethers` for a line of `/etc/ethers`, `hosts` for one of `/etc/hosts`.
    pub(super) key: String,
    pub(super) value: String,
    /// As it is written.
    pub(super) text: String,
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Configuration,
    /// Each line is the value of this key.
    Values(&'static str),
}

impl Shape {
    /// What the lines of a file look like.
    fn of(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let Some(first) = lines.clone().find(|line| !line.is_empty() && !line.starts_with('#'))
        else {
            return Self::Configuration;
        };
        let words: Vec<&str> = first.split_whitespace().collect();
        let starts_with_mac =
            first.split(',').next().is_some_and(|cell| cell.parse::<Mac>().is_ok());
        match words.as_slice() {
            [address, _, ..] if address.parse::<IpAddr>().is_ok() => Self::Values("hosts"),
            [mac, _] if mac.parse::<Mac>().is_ok() => Self::Values("ethers"),
            _ if starts_with_mac || first.starts_with("id:") => Self::Values("dhcp-host"),
            _ => Self::Configuration,
        }
    }
}

/// Reads the lines of a file and of those that it includes.
pub(super) fn read(
    draft: &mut Draft,
    source: &Source,
    library: &dyn Library,
    opened: &mut Vec<String>,
    all: &mut Vec<Line>,
) {
    read_as(draft, source, Shape::of(&source.text), library, opened, all);
}

fn read_as(
    draft: &mut Draft,
    source: &Source,
    shape: Shape,
    library: &dyn Library,
    opened: &mut Vec<String>,
    all: &mut Vec<Line>,
) {
    for (index, raw) in source.text.trim_start_matches('\u{feff}').lines().enumerate() {
        let text = without_comment(raw).trim();
        if text.is_empty() {
            continue;
        }
        let at = place(&source.name, index + 1);
        let (key, value) = match shape {
            Shape::Values(key) => (key, text),
            Shape::Configuration => {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                (key.trim().trim_start_matches("--"), value.trim())
            }
        };
        let line =
            Line { place: at, key: key.to_owned(), value: value.to_owned(), text: text.to_owned() };
        match included(&line) {
            Some((path, suffixes, shape)) => {
                let paths = Paths { path, suffixes, shape };
                open(draft, &line, &paths, library, opened, all);
            }
            None => all.push(line),
        }
    }
}

/// What a line includes.
struct Paths {
    path: String,
    /// What names of files in a directory end with; those with `-` before them are left out.
    suffixes: Vec<String>,
    shape: Option<Shape>,
}

fn included(line: &Line) -> Option<(String, Vec<String>, Option<Shape>)> {
    let mut words = line.value.split(',').map(|word| word.trim().to_owned());
    let path = words.next().unwrap_or_default();
    let suffixes: Vec<String> = words.collect();
    Some(match line.key.as_str() {
        "conf-file" | "conf-dir" => (path, suffixes, None),
        "dhcp-hostsfile" | "dhcp-hostsdir" => (path, suffixes, Some(Shape::Values("dhcp-host"))),
        "dhcp-optsfile" | "dhcp-optsdir" => (path, suffixes, Some(Shape::Values("dhcp-option"))),
        "addn-hosts" | "hostsdir" => (path, suffixes, Some(Shape::Values("hosts"))),
        "read-ethers" => ("/etc/ethers".to_owned(), suffixes, Some(Shape::Values("ethers"))),
        _ => return None,
    })
}

fn open(
    draft: &mut Draft,
    line: &Line,
    paths: &Paths,
    library: &dyn Library,
    opened: &mut Vec<String>,
    all: &mut Vec<Line>,
) {
    let Paths { path, suffixes, shape } = paths;
    let from = line.place.file.clone();
    let sources = match library.open(&Include { path: path.clone(), from, is_directory: true }) {
        Ok(sources) => sources,
        Err(why) => {
            draft.report(&line.place, line.text.clone(), Reason::Unreadable(why));
            return;
        }
    };
    for source in sources.iter().filter(|source| is_wanted(&source.name, suffixes)) {
        if opened.contains(&source.name.to_string()) {
            draft.report(&line.place, line.text.clone(), Reason::IncludesItself);
            continue;
        }
        opened.push(source.name.to_string());
        let shape = shape.unwrap_or(Shape::Configuration);
        read_as(draft, source, shape, library, opened, all);
        opened.pop();
    }
}

/// Whether a file of a directory is read (dnsmasq(8), conf-dir).
fn is_wanted(name: &str, suffixes: &[String]) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    if base.ends_with('~')
        || base.starts_with('.')
        || (base.starts_with('#') && base.ends_with('#'))
    {
        return false;
    }
    let (wanted, unwanted): (Vec<&String>, Vec<&String>) =
        suffixes.iter().partition(|suffix| suffix.starts_with('*'));
    let ends = |suffix: &&String| base.ends_with(suffix.trim_start_matches('*'));
    !unwanted.iter().any(ends) && (wanted.is_empty() || wanted.iter().any(ends))
}

/// A `#` begins a comment at the begin of a line and behind white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = character;
    }
    line
}
