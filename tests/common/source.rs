//! The source code of the server, as the tests of its structure read it.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of a pure room that do I/O on purpose, by file or folder name.
const EDGES: [&str; 4] = ["service", "socket", "book", "watch"];
/// Files that only tests and fuzzers compile, by file or folder name.
const TEST_CODE: [&str; 3] = ["tests", "exercise", "test_packets"];

/// One file of the server without its comments and test code.
pub(crate) struct SourceFile {
    /// The path below `server/`, such as `dhcp/service/mod.rs`.
    pub path: PathBuf,
    pub code: String,
}

impl SourceFile {
    /// The first folder of its path, or the file's own name without one: `dhcp`, `serve`.
    pub(crate) fn room(&self) -> String {
        let first = self.path.components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    pub(crate) fn is_edge(&self) -> bool {
        is_below(&self.path, &EDGES)
    }
}

/// Every source file of the server, in the order of the paths.
pub(crate) fn source_files() -> Vec<SourceFile> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    let mut paths = Vec::new();
    files_below(&server, &mut paths);
    paths.sort();
    let relative = |path: &PathBuf| path.strip_prefix(&server).unwrap().to_owned();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| !is_below(&relative(path), &TEST_CODE))
        .map(|path| SourceFile {
            path: relative(path),
            code: without_comments_and_tests(&fs::read_to_string(path).unwrap()),
        })
        .collect()
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, into) } else { into.push(path) }
    }
}

fn is_below(path: &Path, names: &[&str]) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        names.contains(&name.trim_end_matches(".rs"))
    })
}

/// Leaves out the item behind each `#[cfg(test)]`: up to its `;`, or to the brace that closes
/// it at the indentation of the attribute, where rustfmt puts it.
fn without_comments_and_tests(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut code = String::new();
    while let Some(line) = lines.next() {
        let attribute = line.trim_start();
        if !attribute.starts_with("#[cfg(test)]") && !attribute.starts_with("#[cfg(any(test,") {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let indentation = line.len() - attribute.len();
        for line in lines.by_ref() {
            let item = line.trim_start();
            let is_outermost = line.len() - item.len() == indentation;
            if is_outermost && (item.ends_with(';') || item.starts_with('}')) {
                break;
            }
        }
    }
    code
}

#[test]
fn test_items_and_comments_are_left_out() {
    let text = "// a\nuse b;\n#[cfg(test)]\nmod tests;\nuse c;\n#[cfg(test)]\nmod tests {\n    \
                use d;\n}\nfn e() {}\n";
    assert_eq!(without_comments_and_tests(text), "use b;\nuse c;\nfn e() {}\n");
}
