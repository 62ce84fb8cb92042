//! `rackstrap keys` and `rackstrap schema`: the keys of a site file.

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::model::{Key, Section, sections, site_schema};

/// `rackstrap keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Only keys whose path contains this text, such as `bonds` or `mtu`
    words: Option<String>,
}

impl Keys {
    /// Prints the keys with type and purpose.
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let wanted = self.words.as_deref().unwrap_or_default();
        let found: Vec<Section> = sections().iter().filter_map(|one| part(one, wanted)).collect();
        if found.is_empty() {
            anyhow::bail!("no key matches \"{wanted}\"; rackstrap keys lists all");
        }
        context.print(&found, || found.iter().map(section_text).collect::<Vec<_>>().join("\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the JSON Schema of the site file.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(site_schema())?);
    Ok(ExitCode::SUCCESS)
}

/// A section whose path contains the word, or else its keys that do; `None` if none does.
fn part(section: &Section, word: &str) -> Option<Section> {
    let mut part = section.clone();
    if !section.path.contains(word) {
        part.keys.retain(|key| key.name.contains(word));
    }
    (!part.keys.is_empty()).then_some(part)
}

fn section_text(section: &Section) -> String {
    let mut text = format!("{}\n  {}\n", section.anchor(), section.purpose);
    if section.is_link {
        text.push_str("  Also takes the keys of every link: profiles.NAME.dummies.NAME.\n");
    }
    section.keys.iter().for_each(|key| text.push_str(&key_text(key)));
    text
}

fn key_text(key: &Key) -> String {
    let needed = if key.required { " (required)" } else { "" };
    let at = key.section.as_ref().map(|path| format!(", see {path}")).unwrap_or_default();
    let mut text = format!("  {}{needed}: {}{at}\n      {}\n", key.name, key.kind, key.purpose);
    for (word, meaning) in &key.words {
        let meaning = if meaning.is_empty() { String::new() } else { format!(": {meaning}") };
        text.push_str(&format!("      - {word}{meaning}\n"));
    }
    text
}
