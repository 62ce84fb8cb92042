//! What the real NetworkManager reads in our kernel command lines: its generator for an
//! initramfs makes connections of them.

use std::collections::BTreeSet;

use rackstrap::network::{Format, render_host};

use crate::common::skip::skip;
use crate::common::tools::{self, Tool};
use crate::golden;

/// NetworkManager's generator: it is asked to read nothing.
fn generator(test: &str) -> Option<Tool> {
    let found = tools::find("usr/lib/NetworkManager/nm-initrd-generator", &["-s", "--"]);
    if found.is_none() {
        skip(test, "nm-initrd-generator of the package network-manager is not unpacked");
    }
    found
}

/// The lines of the connections that it makes, each with the name of its connection.
fn connections(generator: &Tool, words: &str) -> BTreeSet<String> {
    let output = generator.command().args(["-s", "--"]).args(words.split_whitespace()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}{words}");
    let mut connection = "";
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("*** Connection '") {
            Some(name) => connection = name.trim_end_matches("' ***"),
            None => _ = lines.insert(format!("{connection} {line}")),
        }
    }
    lines
}

#[test]
fn networkmanagers_generator_reads_every_word_that_we_write_for_dracut() {
    let test = "networkmanagers_generator_reads_every_word_that_we_write_for_dracut";
    let Some(generator) = generator(test) else { return };
    let mut read = BTreeSet::new();
    for (name, site) in golden::sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::Dracut) else { continue };
        let text = &files[0].text;
        let connections = connections(&generator, text);
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap();
            for line in expected(key, value) {
                assert!(connections.contains(&line), "{name}: {word}: {line}: {connections:#?}");
            }
            read.insert(key.to_owned());
        }
    }
    let keys = ["bond", "bootdev", "ifname", "ip", "nameserver", "rd.neednet", "rd.route", "vlan"];
    assert_eq!(read, keys.map(str::to_owned).into(), "the sites do not use every word");
}

/// The lines that a word must lead to.
fn expected(key: &str, value: &str) -> Vec<String> {
    let fields = fields(value);
    let field = |at: usize| fields.get(at).map_or("", String::as_str);
    match key {
        "bond" => {
            let options = field(2).split(',').map(|option| format!("{} {option}", field(0)));
            let nics = field(1).split(',').map(|nic| format!("{nic} slave-type=bond"));
            options.chain(nics).chain([format!("{} mtu={}", field(0), field(3))]).collect()
        }
        "vlan" => vec![
            format!("{} parent={}", field(0), field(1)),
            format!("{} id={}", field(0), field(0).trim_start_matches("vlan")),
        ],
        // LINK:METHOD:MTU:MAC
        "ip" if ["off", "dhcp", "dhcp6", "auto6"].contains(&field(1)) => {
            let method = if field(1) == "off" { "disabled" } else { "auto" };
            hardware(field(0), field(2), fields.get(3..).unwrap_or_default())
                .chain([format!("{} method={method}", field(0))])
                .collect()
        }
        // ADDRESS::ROUTER:MASK::LINK:none:MTU:MAC
        "ip" => {
            let comma = if field(2).is_empty() { "" } else { "," };
            let length = field(3).replace("255.255.255.0", "24");
            let address = format!("{} address1={}/{length}{comma}{}", field(5), field(0), field(2));
            hardware(field(5), field(7), fields.get(8..).unwrap_or_default())
                .chain([address])
                .collect()
        }
        "rd.route" => vec![format!("{} route1={},{}", field(2), field(0), field(1))],
        // ifname= is udev's; resolvers are of whichever connection has the family.
        _ => Vec::new(),
    }
}

/// The lines that an MTU and a MAC, split at its colons, must lead to.
fn hardware<'a>(link: &'a str, mtu: &str, mac: &[String]) -> impl Iterator<Item = String> + 'a {
    let mac = mac.join(":").to_ascii_uppercase();
    let lines = [("mtu", mtu.to_owned()), ("cloned-mac-address", mac)];
    let given = lines.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(move |(key, value)| format!("{link} {key}={value}"))
}

/// The fields between colons, what is in brackets being one.
fn fields(value: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut bracketed = false;
    for c in value.chars() {
        match c {
            '[' | ']' => bracketed = c == '[',
            ':' if !bracketed => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// Without `rd.bootif=0`, which a boot script writes before our words, the NIC that booted would
/// be asked by DHCP though the bond has taken it.
#[test]
fn the_nic_that_booted_has_no_connection_of_its_own_beside_the_bond() {
    let test = "the_nic_that_booted_has_no_connection_of_its_own_beside_the_bond";
    let Some(generator) = generator(test) else { return };
    let site = golden::sites().remove("openstack").unwrap();
    let words = &render_host(&site, golden::HOST, Format::Dracut).unwrap()[0].text;
    for (own, expected) in [("", true), ("rd.bootif=0", false)] {
        let line = format!("BOOTIF=01-52-54-00-aa-00-01 {own} {words}");
        let all = connections(&generator, &line);
        let found = all.iter().any(|line| line.starts_with("bootif_connection "));
        assert_eq!(found, expected, "{own}: {all:#?}");
    }
}
