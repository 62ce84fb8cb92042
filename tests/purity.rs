//! The pure folders stay pure: no sockets, files, clocks or chance in them.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose files decide and never act.
const PURE: [&str; 12] = [
    "tree",
    "model",
    "profile",
    "network",
    "leases",
    "lifecycle",
    "dhcp",
    "tftp",
    "boot",
    "bundle",
    "config",
    "site_file",
];
/// Files in them that are edges on purpose.
const EDGES: [&str; 4] = ["service", "socket", "book", "watch"];
/// What a pure file may not name.
const FORBIDDEN: [&str; 13] = [
    "tokio::",
    "sqlx",
    "axum",
    "std::fs",
    "std::process",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "SystemTime::now",
    "Instant::now",
    "rand::",
    "std::env",
    "nix::",
];

fn files_below(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_file() {
        into.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        files_below(&entry.unwrap().path(), into);
    }
}

fn is_edge(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        EDGES.contains(&name.trim_end_matches(".rs"))
    })
}

/// The file without its unit tests and comments.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_pure_folders_do_no_io() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    let mut files = Vec::new();
    for folder in PURE {
        files_below(&server.join(folder), &mut files);
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "rs") && !is_edge(path));
    let mut offences = Vec::new();
    for path in files {
        let code = code_of(&path);
        for word in FORBIDDEN.iter().filter(|word| code.contains(**word)) {
            offences.push(format!("{} names {word}", path.display()));
        }
    }
    assert!(offences.is_empty(), "pure files that do I/O:\n{}", offences.join("\n"));
}
