//! What the documentation says is true: its sites are applied, its broken sites break the rule
//! they stand for, its commands parse, its links lead somewhere, its tables are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rackstrap::config::Config;
use rackstrap::model::{KeyState, Keyring, MasterKey};
use rackstrap::network::{
    BootFiles, Finding, Format, Severity, Surroundings, check_site, check_site_within,
};
use rackstrap::profile::ResolvedSite;

use crate::common::desk::Desk;
use crate::common::store::Store;

/// The fence of a block that is a whole site file.
const SITE: &str = "yaml site";

/// A piece of the documentation.
pub(crate) struct Example {
    /// The page, and the line that its block begins at.
    pub place: String,
    pub text: String,
}

/// Every site file of README and the guide.
pub(crate) fn sites() -> Vec<Example> {
    let pages = pages().into_iter();
    pages.flat_map(|page| page.blocks(SITE)).collect()
}

/// The first block with this fence below a heading of a page, whose lines may be indented as part of
/// a list.
pub(crate) fn example(page: &str, heading: &str, fence: &str) -> String {
    let text = guide_page(page);
    let place = format!("{page}, {heading}, {fence}");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect(&place);
    let mut lines = section.lines().skip_while(|line| line.trim_start() != format!("```{fence}"));
    let indent = lines.next().expect(&place).find('`').unwrap();
    let block = lines.take_while(|line| line.trim() != "```");
    block.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect()
}

struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page for people.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> =
        ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG"]
            .map(|name| root().join(name).with_extension("md"))
            .into_iter()
            .filter(|path| path.exists())
            .collect();
    for directory in ["docs/guide", "docs/decisions"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            paths.push(entry.unwrap().path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let page = |path: PathBuf| Page { text: fs::read_to_string(&path).unwrap(), path };
    paths.into_iter().map(page).collect()
}

fn guide_page(name: &str) -> String {
    fs::read_to_string(root().join("docs/guide").join(name)).unwrap()
}

impl Page {
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// The blocks with this fence.
    fn blocks(&self, fence: &str) -> Vec<Example> {
        let mut found = Vec::new();
        let mut open: Option<Example> = None;
        for (number, line) in self.text.lines().enumerate() {
            if let Some(example) = &mut open {
                if line.starts_with("```") {
                    found.extend(open.take());
                } else {
                    example.text.push_str(line);
                    example.text.push('\n');
                }
            } else if line.strip_prefix("```") == Some(fence) {
                let place = format!("{}:{}", self.name(), number + 1);
                open = Some(Example { place, text: String::new() });
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name());
        found
    }

    /// Its text without the blocks.
    fn prose(&self) -> String {
        let mut outside = true;
        let lines = self.text.lines().filter(|line| {
            if line.starts_with("```") {
                outside = !outside;
                return false;
            }
            outside
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The anchor that a heading gets on the usual forges.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_of_the_documentation_resolves() {
    let mut dead = Vec::new();
    for page in pages() {
        for rest in page.prose().split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let lost = !fragment.is_empty()
                && !fs::read_to_string(&path).is_ok_and(|text| anchors(&text).contains(fragment));
            if !path.exists() || lost {
                dead.push(format!("{}: {target}", page.name()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_of_the_guide_is_in_its_index() {
    let directory = root().join("docs/guide");
    let index = guide_page("README.md");
    for page in pages().iter().filter(|page| page.path.parent() == Some(&*directory)) {
        let file = page.path.file_name().unwrap().to_str().unwrap();
        assert!(file == "README.md" || index.contains(&format!("({file})")), "{}", page.name());
    }
}

#[tokio::test]
async fn every_site_of_the_guide_is_applied_without_a_finding() {
    let sites = sites();
    assert!(sites.len() >= 8, "{} sites", sites.len());
    for store in Store::both().await {
        let desk = Desk::new(store);
        for Example { place, text } in &sites {
            let site: ResolvedSite =
                serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{place}: {e}"));
            // Addresses that are left out are given by `apply`.
            let findings = check_site(&site);
            let wrong = findings
                .iter()
                .filter(|finding| finding.severity != Severity::Silenced && finding.rule != "N146");
            assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Finding>::new(), "{place}");
            desk.file("site.yaml", text);
            desk.good("apply --dry-run site.yaml");
        }
    }
}

/// The ids of all rules, as the checks name them.
fn rules() -> BTreeSet<String> {
    fn collect(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(text.split('"').filter(|word| is_rule(word)).map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(&root().join("server/network"), &mut found);
    found
}

fn is_rule(word: &str) -> bool {
    let digits = word.strip_prefix('N').unwrap_or_default();
    digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn every_rule_has_an_example_that_breaks_it_and_one_that_does_not() {
    let page = guide_page("rules.md");
    let mut explained = BTreeSet::new();
    let mut wrong = Vec::new();
    for section in page.split("\n### ").skip(1) {
        let rule = section.split([' ', '\n']).next().unwrap();
        assert!(explained.insert(rule.to_owned()), "{rule} is explained twice");
        let (prose, rest) = section.split_once("```diff\n").unwrap_or_else(|| panic!("{rule}"));
        let example = rest.split("```").next().unwrap();
        let side = |mark: char| {
            let lines = example.lines().filter(|line| !line.starts_with(mark));
            let text: String =
                lines.map(|line| format!("{}\n", line.get(2..).unwrap_or(""))).collect();
            serde_saphyr::from_str::<ResolvedSite>(&text)
                .unwrap_or_else(|e| panic!("{rule}: {e}\n{text}"))
                .with_keyring(keyring())
        };
        // Files whose names begin with "missing" are not there.
        let is_missing = |file: &str| file.starts_with("missing").then(|| "missing".to_owned());
        let around = Surroundings {
            files: BootFiles::new(is_missing),
            recipes: Some(rackstrap::recipe::fault_text),
            ..Default::default()
        };
        let broken = check_site_within(&side('+'), &around);
        // A mistake may break a second rule: the section then says so.
        let expected = broken.iter().any(|finding| finding.rule == rule)
            && broken.iter().all(|finding| finding.rule == rule || prose.contains(finding.rule));
        let mut fixed = check_site_within(&side('-'), &around);
        fixed.retain(|finding| finding.severity != Severity::Silenced);
        if !expected || !fixed.is_empty() {
            wrong.push(format!("{rule}: broken: {broken:#?} fixed: {fixed:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(explained, rules());
}

/// The secrets that the examples of rules name: none is called `missing`.
fn keyring() -> Keyring {
    let values = [("leaf-bgp", "correct-horse"), ("sentence", "two words"), ("macsec", MACSEC)];
    let secrets = values.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into();
    Keyring::new(secrets, KeyState::Open(MasterKey::new([0; 32]).into()))
}

const MACSEC: &str = "0123456789abcdef0123456789abcdef";

/// The words of a shell command, up to a pipe, a redirection or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '|' | '>' | '<' | ';' | '&' | '#') => break,
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty())),
            _ => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn every_command_of_the_documentation_parses() {
    let mut count = 0;
    for page in pages() {
        let page_name = page.name();
        for block in ["sh", "console"].iter().flat_map(|fence| page.blocks(fence)) {
            for line in block.text.lines() {
                let line = line.trim_start_matches("$ ").trim_start_matches("sudo ");
                if !line.starts_with("rackstrap ") {
                    continue;
                }
                let parsed = rackstrap::cli::grammar().try_get_matches_from(words(line));
                assert!(parsed.is_ok(), "{page_name}: {line}\n{}", parsed.unwrap_err());
                count += 1;
            }
        }
        // In a sentence a command may lack what it needs; its words must be there.
        for piece in page.prose().split('`').skip(1).step_by(2) {
            let Some(rest) = piece.strip_prefix("rackstrap ") else { continue };
            let mut command = rackstrap::cli::grammar();
            command.build();
            for word in words(rest) {
                if let Some(flag) = word.strip_prefix("--") {
                    let flag = flag.split('=').next().unwrap();
                    let known = command.get_arguments().any(|one| one.get_long() == Some(flag));
                    assert!(known, "{page_name}: `{piece}`: there is no --{flag}");
                } else if let Some(below) = command.find_subcommand(&word) {
                    command = below.clone();
                } else {
                    let takes = command.get_positionals().next().is_some() || word == "--help";
                    let flagged = rest.contains("--");
                    assert!(takes || flagged, "{page_name}: `{piece}`: {word}");
                }
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} commands");
}

/// The names in the first column of a page's tables.
fn rows(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| {
        let cell = row.split(" | ").next().unwrap().to_owned();
        cell.split("`, `").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn every_configuration_key_is_in_the_guide_with_its_default() {
    let config = serde_json::to_value(Config::default()).unwrap();
    let config: BTreeMap<String, serde_json::Value> = serde_json::from_value(config).unwrap();
    let page = guide_page("configuration.md");
    let expected: BTreeSet<String> = config.keys().cloned().collect();
    assert_eq!(rows(&page), expected);
    for (key, value) in config {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{key}`"))).unwrap();
        // What is not set is written as an empty text.
        let value = if value.is_null() { "\"\"".to_owned() } else { value.to_string() };
        let default = format!("| `{value}` |");
        assert!(row.contains(&default), "{key}: the default is {value}: {row}");
    }
}

#[test]
fn every_metric_of_the_guide_exists() {
    fn collect(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(metrics(text.split('"')));
            }
        }
    }
    fn metrics<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let is_name = |word: &&str| {
            word.strip_prefix("rackstrap_").is_some_and(|rest| {
                !rest.is_empty()
                    && rest.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            })
        };
        words.filter(is_name).map(str::to_owned).collect()
    }
    let mut in_code = BTreeSet::new();
    collect(&root().join("server"), &mut in_code);
    let page = guide_page("metrics.md");
    let separators = |c: char| !(c == '_' || c.is_ascii_alphanumeric());
    let in_guide = metrics(page.split(separators));
    let unknown: Vec<_> = in_guide.difference(&in_code).collect();
    assert!(unknown.is_empty() && in_guide.len() > 10, "not in the code: {unknown:?}");
}

#[test]
fn the_table_of_formats_has_every_format() {
    let page = guide_page("networks.md");
    let table = page.split("## Formats").nth(1).unwrap().split("\n## ").next().unwrap();
    for format in Format::ALL {
        assert!(table.contains(&format!("`{format}`")), "{format} is not in the table of formats");
    }
}
