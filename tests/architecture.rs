//! Which room of the server may name which: the arrows of the design, read from the code.
//!
//! A room is a folder of `server/`, or a file there. To let a room use another one, add it to
//! [`ROOMS`] and think about why; the table has to stay free of cycles.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::source::{SourceFile, source_files};

struct Room {
    name: &'static str,
    /// What all of its files may name.
    uses: &'static [&'static str],
    /// What its edges may name besides: `service`, `socket`, `book` and `watch`.
    edges_use: &'static [&'static str],
}

const fn room(
    name: &'static str,
    uses: &'static [&'static str],
    edges_use: &'static [&'static str],
) -> Room {
    Room { name, uses, edges_use }
}

const ROOMS: [Room; 40] = [
    // The pure core, from the bottom to the top.
    room("tree", &[], &[]),
    room("options", &[], &[]),
    room("model", &["tree", "options"], &[]),
    room("profile", &["model", "tree"], &[]),
    room("network", &["model", "profile", "tree"], &[]),
    room("site_file", &["model", "profile", "tree"], &[]),
    room("recipe", &["model", "profile", "network", "tree"], &[]),
    room("netbox", &["model", "profile", "network"], &["causes"]),
    room("import", &["model", "options", "profile", "network", "site_file", "tree", "netbox"], &[]),
    room("config", &["model", "tree"], &[]),
    room("lifecycle", &["model", "profile"], &[]),
    room("boot", &["model", "lifecycle", "options"], &[]),
    room("deploy", &["model", "lifecycle"], &[]),
    room("bundle", &["model", "network", "boot"], &[]),
    // What packets ask for: pure, with services and sockets at the edge.
    room("leases", &["model"], &["inventory", "metrics"]),
    room(
        "dhcp",
        // `udp` says how a packet arrived, which answers depend on; its sockets are the services'.
        &["model", "profile", "options", "leases", "boot", "lifecycle", "udp"],
        &["network", "config", "app", "inventory", "metrics", "priority"],
    ),
    room("dhcp6", &["model"], &["boot", "lifecycle", "app", "inventory"]),
    room(
        "tftp",
        &["model", "config"],
        &["boot", "lifecycle", "app", "files", "metrics", "udp", "priority"],
    ),
    // The edges.
    room("metrics", &[], &[]),
    room("udp", &[], &[]),
    room("priority", &[], &[]),
    room("causes", &[], &[]),
    room("authority", &[], &[]),
    room("memory", &[], &[]),
    room("supervisor", &[], &[]),
    room("logs", &["config"], &[]),
    room("files", &[], &[]),
    room(
        "inventory",
        &["model", "profile", "network", "recipe", "lifecycle", "site_file", "metrics"],
        &[],
    ),
    room("images", &["model", "deploy", "inventory", "causes"], &[]),
    room("app", &["config", "files", "inventory", "leases"], &[]),
    room("address_owner", &["model", "inventory", "leases", "app"], &[]),
    room("syslog", &["lifecycle", "inventory", "app", "metrics", "address_owner"], &[]),
    room("dns", &["config", "lifecycle", "inventory", "app", "metrics", "model"], &[]),
    room("webhooks", &["config", "lifecycle", "inventory", "app", "metrics"], &[]),
    room(
        "http",
        &[
            "import",
            "tree",
            "model",
            "profile",
            "network",
            "site_file",
            "lifecycle",
            "boot",
            "bundle",
            "recipe",
            "deploy",
            "config",
            "leases",
            "files",
            "images",
            "inventory",
            "app",
            "metrics",
            "memory",
            "causes",
            "address_owner",
            "authority",
        ],
        &[],
    ),
    room(
        "serve",
        &[
            "config",
            "files",
            "images",
            "lifecycle",
            "inventory",
            "leases",
            "app",
            "http",
            "dhcp",
            "dhcp6",
            "tftp",
            "memory",
            "supervisor",
            "syslog",
            "webhooks",
            "dns",
        ],
        &[],
    ),
    // What is built of Debian packages, and what runs in it on a host.
    room("live", &["bundle", "model"], &[]),
    room("agent", &["model", "lifecycle", "deploy", "causes"], &[]),
    room("lab", &["model", "site_file", "lifecycle", "bundle", "inventory", "live"], &[]),
    room(
        "cli",
        &[
            "authority",
            "causes",
            "import",
            "netbox",
            "recipe",
            "model",
            "options",
            "profile",
            "network",
            "site_file",
            "lifecycle",
            "boot",
            "config",
            "leases",
            "dhcp",
            "files",
            "images",
            "inventory",
            "app",
            "serve",
            "supervisor",
            "memory",
            "webhooks",
            "logs",
            "lab",
            "live",
            "agent",
        ],
        &[],
    ),
];

/// Arrows that are still to be removed: a file below `server/`, and the room that it names.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// The files that belong to no room: what declares the rooms, and what starts the program.
const ROOTS: [&str; 2] = ["lib", "main"];

/// The names behind each `crate::`, and behind each chain of `super::` that leaves the room.
fn rooms_named(file: &SourceFile) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = &file.code;
    for (at, word) in code.match_indices("crate::") {
        let is_other_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if !is_other_word {
            found.extend(names_after(&code[at + word.len()..]));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let rest = code[at..].trim_start_matches("super::");
        let steps = (code.len() - at - rest.len()) / "super::".len();
        if steps == depth(file) {
            found.extend(names_after(rest));
        }
    }
    found
}

/// How many modules a file is below the root of the crate: 1 for `udp/mod.rs` and `serve.rs`.
fn depth(file: &SourceFile) -> usize {
    let parts = file.path.components().count();
    if file.path.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// The first names of a path or of a group of paths: `a::b` or `{a::{b, c}, d}`.
fn names_after(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        return vec![first_name(text)];
    };
    let mut names = vec![first_name(group)];
    let mut open = 0;
    for (at, character) in group.char_indices() {
        match character {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => names.push(first_name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let mut offences = Vec::new();
    let mut unused = EXCEPTIONS.to_vec();
    for file in source_files() {
        let (room, path) = (file.room(), file.path.to_string_lossy().into_owned());
        if ROOTS.contains(&room.as_str()) {
            continue;
        }
        let Some(row) = ROOMS.iter().find(|row| row.name == room) else {
            offences.push(format!("{path}: the room {room} is not in the table"));
            continue;
        };
        for named in rooms_named(&file) {
            let is_room = ROOMS.iter().any(|row| row.name == named);
            let allowed = named == room
                || row.uses.contains(&named.as_str())
                || (file.is_edge() && row.edges_use.contains(&named.as_str()));
            if !is_room || allowed {
                continue;
            }
            let known = unused.iter().position(|(file, room)| *file == path && *room == named);
            match known {
                Some(at) => drop(unused.remove(at)),
                None => offences.push(format!("{path}: {room} may not name {named}")),
            }
        }
    }
    offences.extend(unused.iter().map(|(path, named)| {
        format!("{path} no longer names {named}: take it off the list of exceptions")
    }));
    assert!(offences.is_empty(), "arrows that the design does not allow:\n{}", offences.join("\n"));
}

#[test]
fn the_table_has_no_cycles() {
    let mut rooms: BTreeMap<&str, BTreeSet<&str>> = ROOMS
        .iter()
        .map(|row| (row.name, row.uses.iter().chain(row.edges_use).copied().collect()))
        .collect();
    assert_eq!(rooms.len(), ROOMS.len(), "a room is in the table twice");
    for uses in rooms.values() {
        let unknown: Vec<_> = uses.iter().filter(|name| !rooms.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "rooms that do not exist: {unknown:?}");
    }
    // Rooms that use nothing are taken away until none is left.
    while !rooms.is_empty() {
        let bottom: Vec<&str> =
            rooms.iter().filter(|(_, uses)| uses.is_empty()).map(|(name, _)| *name).collect();
        assert!(!bottom.is_empty(), "these rooms use each other in a cycle: {:?}", rooms.keys());
        for name in bottom {
            rooms.remove(name);
            for uses in rooms.values_mut() {
                uses.remove(name);
            }
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let cases = [
        ("use crate::model::Site;", "serve.rs", "model"),
        ("use crate::{dhcp, http::{self, ui::page}, tftp};", "serve.rs", "dhcp http tftp"),
        ("let x = crate::boot::arch::of(y);", "dhcp/mod.rs", "boot"),
        ("pub(crate) fn f(x: some_crate::y::Z) {}", "dhcp/mod.rs", ""),
        ("use super::inventory::Error;", "http/mod.rs", "inventory"),
        ("use super::super::inventory::Error;", "http/ui.rs", "inventory"),
        ("use super::error::Error;", "http/ui.rs", ""),
    ];
    for (code, path, expected) in cases {
        let file = SourceFile { path: path.into(), code: code.to_owned() };
        let found: Vec<String> = rooms_named(&file).into_iter().collect();
        assert_eq!(found.join(" "), expected, "{code}");
    }
}
