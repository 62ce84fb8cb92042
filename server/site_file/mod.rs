//! The site file: YAML text to a site and back, every error with its line. Pure.
//!
//! The text is read into a tree that knows where each value stands; the nouns
//! are then read from the tree one by one, so that all errors are found at once.

mod read;
mod refusal;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::model::Site;
use refusal::{Refusal, unknown};
use tree::Node;
pub use tree::Position;

/// One thing that is wrong with a site file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFileError {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// Which value: keys joined by dots, such as `hosts.r1-n02.nics.eth0`; empty for the file.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl std::error::Error for SiteFileError {}

impl fmt::Display for SiteFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position: Position { line, column }, path, message } = self;
        match path.as_str() {
            "" => write!(f, "{file}:{line}:{column}: {message}"),
            path => write!(f, "{file}:{line}:{column}: {path}: {message}"),
        }
    }
}

/// A site and where in its file everything stands.
#[derive(Clone, Debug)]
pub struct SiteFile {
    /// The site that the file describes.
    pub site: Site,
    name: String,
    root: Arc<Node>,
}

impl SiteFile {
    /// Reads the text of the file `name`. All errors are found, not only the first; within
    /// one host, subnet and so on the first.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<SiteFileError>> {
        let mut errors = Vec::new();
        let root = match tree::parse(text) {
            Ok(root) => root,
            Err(refusal) => return Err(vec![refusal.into_error(name)]),
        };
        let site = read_site(&root, &mut errors);
        if !errors.is_empty() {
            errors.sort_by_key(|error: &Refusal| error.position);
            return Err(errors.into_iter().map(|error| error.into_error(name)).collect());
        }
        Ok(Self { site, name: name.to_owned(), root })
    }

    /// An error about the value at `path`; of one that is not in the file, about what
    /// would hold it.
    pub fn error_at(&self, path: &str, message: String) -> SiteFileError {
        let position = tree::locate(&self.root, path);
        SiteFileError { file: self.name.clone(), position, path: path.to_owned(), message }
    }
}

/// Reads the text of the file `name` and forgets where everything stood.
pub fn parse(text: &str, name: &str) -> Result<Site, Vec<SiteFileError>> {
    Ok(SiteFile::parse(text, name)?.site)
}

/// The text of a site file that says everything about `site`.
pub fn render(site: &Site) -> String {
    // Every model type serialises: its maps have string keys and its numbers are finite.
    serde_saphyr::to_string(site).unwrap_or_else(|error| format!("# {error}\n"))
}

const SECTIONS: [&str; 6] = ["racks", "tenants", "subnets", "profiles", "images", "hosts"];

fn read_site(root: &Node, errors: &mut Vec<Refusal>) -> Site {
    let sections = match root.entries() {
        Ok(sections) => sections,
        Err(refusal) => {
            errors.push(refusal);
            return Site::default();
        }
    };
    for (key, _) in sections {
        if !SECTIONS.contains(&key.text.as_str()) {
            errors.push(Refusal::at(key.position, unknown("key", &key.text, &SECTIONS)));
        }
    }
    let section = |name: &str| {
        sections.iter().find(|(key, _)| key.text == name).map(|(_, node)| (name.to_owned(), node))
    };
    Site {
        racks: read_section(section("racks"), errors),
        tenants: read_section(section("tenants"), errors),
        subnets: read_section(section("subnets"), errors),
        profiles: read_section(section("profiles"), errors),
        images: read_section(section("images"), errors),
        hosts: read_section(section("hosts"), errors),
    }
}

fn read_section<T: DeserializeOwned>(
    section: Option<(String, &Arc<Node>)>,
    errors: &mut Vec<Refusal>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some((section_name, node)) = section else { return found };
    let entries = match node.entries() {
        Ok(entries) => entries,
        Err(refusal) => {
            errors.push(refusal.within(&section_name));
            return found;
        }
    };
    for (key, node) in entries {
        match read::value(node) {
            Ok(value) => drop(found.insert(key.text.clone(), value)),
            Err(refusal) => errors.push(refusal.within(&key.text).within(&section_name)),
        }
    }
    found
}
