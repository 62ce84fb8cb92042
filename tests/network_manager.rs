//! What the real NetworkManager's library reads in our keyfiles: `nmcli --offline` reads
//! one and writes it anew, without whatever it did not understand.

use std::collections::BTreeMap;

use rackstrap::network::{Format, render_host};

use crate::common::skip::skip;
use crate::common::tools::{self, Tool};
use crate::golden;

/// The values of a keyfile, by section and key.
type Keys = BTreeMap<(String, String), String>;

fn nmcli(test: &str) -> Option<Tool> {
    let found = tools::find("usr/bin/nmcli", &["--version"]);
    if found.is_none() {
        skip(test, "nmcli of the package network-manager is not unpacked, or does not start");
    }
    found
}

#[test]
fn networkmanager_reads_every_key_that_we_write() {
    let Some(nmcli) = nmcli("networkmanager_reads_every_key_that_we_write") else { return };
    let mut read = 0;
    for (name, site) in golden::sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::NetworkManager) else { continue };
        for file in files.iter().filter(|file| file.name.ends_with(".nmconnection")) {
            assert_eq!(file.mode, 0o600, "{}", file.name);
            assert_eq!(unread(&nmcli, &file.text), Keys::new(), "{name}: {}", file.text);
            read += 1;
        }
    }
    assert!(read > 30, "only {read} keyfiles were read");
}

#[test]
fn the_check_of_keyfiles_sees_what_is_not_read() {
    let Some(nmcli) = nmcli("the_check_of_keyfiles_sees_what_is_not_read") else { return };
    let text = "[connection]\nid=b\nuuid=0b1a5e0e-7a3a-5a3a-8a3a-0a3a0a3a0a3a\ntype=bond\n\
                interface-name=b\n\n[bond]\nmode=802.3ad\nmii-monitor=100\n\n\
                [ipv4]\nmethod=auto\nroute1=10.0.0.0/8,nowhere\n";
    let unread: Vec<String> = unread(&nmcli, text).into_keys().map(|(_, key)| key).collect();
    assert_eq!(unread, ["mii-monitor", "route1"]);
}

/// The keys that NetworkManager did not read, or read as something else.
fn unread(nmcli: &Tool, text: &str) -> Keys {
    let mut command = nmcli.command();
    // It must change something; the id is what it is already.
    let id = text.lines().find_map(|line| line.strip_prefix("id=")).unwrap();
    command.args(["--offline", "connection", "modify", "connection.id", id]);
    let output = tools::feed(&mut command, text);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    let read = keys(&String::from_utf8(output.stdout).unwrap());
    let mut ours = keys(text);
    ours.retain(|place, value| read.get(place) != Some(value) && !is_default(place, value));
    ours
}

/// Values that it leaves out when it writes, because they are its own.
fn is_default((section, key): &(String, String), value: &str) -> bool {
    let defaults = [
        ("bridge", "stp", "true"),
        ("bridge", "ageing-time", "300"),
        ("bridge", "vlan-default-pvid", "1"),
        ("bridge", "multicast-snooping", "true"),
        ("bridge-port", "path-cost", "100"),
        ("vxlan", "learning", "true"),
    ];
    defaults.contains(&(section, key, value))
}

/// Reads a keyfile, with every value in one notation.
fn keys(text: &str) -> Keys {
    let mut keys = Keys::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let place = (section.clone(), key.to_owned());
            match (key, value.split_once(',')) {
                // It writes the router behind the first address.
                ("address1", Some((address, router))) => {
                    keys.insert((section.clone(), "gateway".into()), router.into());
                    keys.insert(place, address.into());
                }
                (key, _) if key.ends_with("_options") => {
                    let mut options: Vec<&str> = value.split(',').collect();
                    options.sort_unstable();
                    keys.insert(place, options.join(","));
                }
                (key, _) if key.starts_with("routing-rule") => {
                    keys.insert(place, value.replace("/32 ", " ").replace("/128 ", " "));
                }
                _ => {
                    keys.insert(place, value.to_ascii_lowercase());
                }
            }
        }
    }
    keys
}
