//! The pure folders stay pure: no sockets, files, clocks or chance in them.

use crate::common::source::source_files;

/// Rooms whose files decide and never act, edges excepted.
const PURE: [&str; 17] = [
    "import",
    "netbox",
    "recipe",
    "tree",
    "options",
    "model",
    "profile",
    "network",
    "leases",
    "lifecycle",
    "dhcp",
    "tftp",
    "boot",
    "deploy",
    "bundle",
    "config",
    "site_file",
];
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

#[test]
fn the_pure_folders_do_no_io() {
    let mut offences = Vec::new();
    for file in source_files() {
        if !PURE.contains(&file.room().as_str()) || file.is_edge() {
            continue;
        }
        for word in FORBIDDEN.iter().filter(|word| file.code.contains(**word)) {
            offences.push(format!("{} names {word}", file.path.display()));
        }
    }
    assert!(offences.is_empty(), "pure files that do I/O:\n{}", offences.join("\n"));
}
