//! The tables of `tests/README.md` name tests that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The name of every function below a directory.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = |rest: &str| rest.split(['(', '<']).next().unwrap().to_owned();
            found.extend(text.split("fn ").skip(1).map(name));
        }
    }
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    ["server", "tests"].iter().for_each(|directory| functions(&root.join(directory), &mut found));
    let readme = include_str!("README.md");
    let rows: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("| ") && line.contains("`, `")).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in readme.lines().filter(|line| line.starts_with("| ")) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let missing: Vec<&str> = tests
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .filter(|name| *name != "tests" && !found.contains(*name))
            .collect();
        assert!(missing.is_empty(), "there is no {missing:?}");
    }
}
