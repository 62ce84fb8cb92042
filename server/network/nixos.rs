//! Writes a host's network as a NixOS module: networkd's files as the options of `systemd.network`
//! (NixOS 24.11), and kernel settings, module settings and rules of nftables as those of NixOS. Pure.

use std::fmt::Write as _;

use super::links::{HostNetwork, Kind};
use super::losses::Losses;
use super::{File, Format, extra, modules, networkd, source_nat};

/// Sections of a `.network` file that an option holds, and of what form.
const NETWORK: [(&str, &str); 12] = [
    ("Match", "matchConfig"),
    ("Link", "linkConfig"),
    ("Network", "networkConfig"),
    ("DHCPv4", "dhcpV4Config"),
    ("DHCPv6", "dhcpV6Config"),
    ("IPv6AcceptRA", "ipv6AcceptRAConfig"),
    ("Bridge", "bridgeConfig"),
    ("Address", "addresses"),
    ("Route", "routes"),
    ("RoutingPolicyRule", "routingPolicyRules"),
    ("BridgeVLAN", "bridgeVLANs"),
    ("BridgeFDB", "bridgeFDBs"),
];
const NETDEV: [(&str, &str); 10] = [
    ("Match", "matchConfig"),
    ("NetDev", "netdevConfig"),
    ("Bond", "bondConfig"),
    ("Bridge", "bridgeConfig"),
    ("VLAN", "vlanConfig"),
    ("VXLAN", "vxlanConfig"),
    ("VRF", "vrfConfig"),
    ("MACVLAN", "macvlanConfig"),
    ("Tunnel", "tunnelConfig"),
    ("Peer", "peerConfig"),
];
const LINK: [(&str, &str); 2] = [("Match", "matchConfig"), ("Link", "linkConfig")];

/// A value of the Nix language.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Nix {
    Number(u64),
    Text(String),
    Bool(bool),
    List(Vec<Self>),
    /// Attributes in this order.
    Set(Vec<(String, Self)>),
}

/// The one file with the module.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    losses.add_if(host.bgp.is_some(), "profile", "bgp");
    for link in host.links.values() {
        // Everybody may read what is in its store, the file of a key among them.
        let is_private = matches!(link.kind, Kind::Wireguard { .. } | Kind::Macsec { .. });
        losses.add_if(is_private, &link.name, link.kind.label());
    }
    let files = networkd::render(host, losses);
    let units = |ending: &str, options: &[(&str, &str)]| {
        let of_kind = files.iter().filter_map(|file| Some((file.name.strip_suffix(ending)?, file)));
        Nix::Set(of_kind.map(|(name, file)| (name.to_owned(), unit(&file.text, options))).collect())
    };
    let network = Nix::Set(vec![
        ("enable".into(), Nix::Bool(true)),
        ("links".into(), units(".link", &LINK)),
        ("netdevs".into(), units(".netdev", &NETDEV)),
        ("networks".into(), units(".network", &NETWORK)),
    ]);
    let mut module = vec![
        // Its own way to bring links up, and to ask DHCP on all of them.
        ("networking.useDHCP".to_owned(), Nix::Bool(false)),
        ("systemd.network".to_owned(), network),
    ];
    if !host.sysctls.is_empty() {
        let text = |(name, value): (&String, &String)| (name.clone(), Nix::Text(value.clone()));
        let settings = host.sysctls.iter().map(text).collect();
        module.push(("boot.kernel.sysctl".into(), Nix::Set(settings)));
    }
    if let Some(file) = modules::render(host) {
        module.push(("boot.extraModprobeConfig".into(), Nix::Text(file.text)));
    }
    if !host.source_nat.is_empty() {
        module.push(("networking.nftables.enable".into(), Nix::Bool(true)));
        let rules = Nix::Text(source_nat::rules(host));
        module.push(("networking.nftables.ruleset".into(), rules));
    }
    for file in extra::files(host) {
        let path = file.path();
        let Some(name) = path.strip_prefix("/etc/") else {
            losses.add_if(true, "profile", &format!("extra file {path} outside /etc"));
            continue;
        };
        // Everybody may read what is in its store.
        let is_private = file.mode & 0o077 == 0;
        losses.add_if(is_private, "profile", &format!("private extra file {path}"));
        let mode = Nix::Text(file.mode_text());
        let keys = vec![("text".into(), Nix::Text(file.text.clone())), ("mode".into(), mode)];
        module.push((format!("environment.etc.{}", quoted(name)), Nix::Set(keys)));
    }
    let mut text = format!("# {}\n{{\n", host.origin());
    for (path, value) in &module {
        let _ = write!(text, "  {path} = ");
        write_value(&mut text, value, 1);
        text.push_str(";\n");
    }
    text.push_str("}\n");
    vec![File::of(Format::NixOs, "rackstrap-network.nix", text)]
}

/// The options of one of networkd's files (systemd.syntax(7)). What no option holds is appended by
/// NixOS as it is.
fn unit(text: &str, options: &[(&str, &str)]) -> Nix {
    let mut set: Vec<(String, Nix)> = Vec::new();
    let mut rest = String::new();
    for (section, keys) in sections(text) {
        let Some((_, option)) = options.iter().find(|(name, _)| *name == section) else {
            let _ = writeln!(rest, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(rest, "{key}={value}");
            }
            continue;
        };
        let keys = keys_of(keys);
        let known = set.iter_mut().find(|(name, _)| name == option).map(|(_, value)| value);
        match (option.ends_with("Config"), known) {
            (true, Some(Nix::Set(known))) => known.extend(keys),
            (true, _) => set.push(((*option).to_owned(), Nix::Set(keys))),
            (false, Some(Nix::List(known))) => known.push(Nix::Set(keys)),
            (false, _) => set.push(((*option).to_owned(), Nix::List(vec![Nix::Set(keys)]))),
        }
    }
    if !rest.is_empty() {
        set.push(("extraConfig".into(), Nix::Text(rest)));
    }
    Nix::Set(set)
}

/// A section with its lines of keys and values.
type Section<'a> = (&'a str, Vec<(&'a str, &'a str)>);

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut all: Vec<Section<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            all.push((name, Vec::new()));
        } else if let (Some((key, value)), Some((_, keys))) = (line.split_once('='), all.last_mut())
        {
            keys.push((key, value));
        }
    }
    all
}

/// The keys of a section; one that is there several times has a list.
fn keys_of(lines: Vec<(&str, &str)>) -> Vec<(String, Nix)> {
    let mut keys: Vec<(String, Nix)> = Vec::new();
    for (key, value) in lines {
        let value = value_of(key, value);
        match keys.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value) {
            Some(Nix::List(values)) => values.push(value),
            Some(known) => *known = Nix::List(vec![known.clone(), value]),
            None => keys.push((key.to_owned(), value)),
        }
    }
    keys
}

/// NixOS checks numbers as numbers, but for sizes and ports.
fn value_of(key: &str, value: &str) -> Nix {
    let is_text = key.ends_with("Bytes") || key.ends_with("Port");
    let plain = value == "0" || !value.starts_with('0');
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = (digits && plain && !is_text).then(|| value.parse().ok()).flatten();
    number.map_or_else(|| Nix::Text(value.to_owned()), Nix::Number)
}

fn write_value(text: &mut String, value: &Nix, depth: usize) {
    let indent = "  ".repeat(depth + 1);
    let end = "  ".repeat(depth);
    match value {
        Nix::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Nix::Text(value) => text.push_str(&quoted(value)),
        Nix::Bool(value) => {
            let _ = write!(text, "{value}");
        }
        Nix::List(values) if values.is_empty() => text.push_str("[ ]"),
        Nix::List(values) => {
            text.push_str("[\n");
            for value in values {
                text.push_str(&indent);
                write_value(text, value, depth + 1);
                text.push('\n');
            }
            let _ = write!(text, "{end}]");
        }
        Nix::Set(keys) if keys.is_empty() => text.push_str("{ }"),
        Nix::Set(keys) => {
            text.push_str("{\n");
            for (key, value) in keys {
                let _ = write!(text, "{indent}{} = ", attribute(key));
                write_value(text, value, depth + 1);
                text.push_str(";\n");
            }
            let _ = write!(text, "{end}}}");
        }
    }
}

/// A name of an attribute: plain where it is an identifier and no word of the language.
fn attribute(name: &str) -> String {
    const WORDS: [&str; 9] = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then"];
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_plain = begins && name.chars().all(inner) && name != "with" && !WORDS.contains(&name);
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A text between double quotes (the Nix manual, "String literal"): nothing in it is an expression.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' if characters.peek() == Some(&'{') => quoted.push_str("\\$"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_would_read_as_more_than_text_is_escaped() {
        for (text, expected) in [
            ("", r#""""#),
            ("eth0", r#""eth0""#),
            ("a \"b\"", r#""a \"b\"""#),
            ("${pkgs.hello}", r#""\${pkgs.hello}""#),
            ("$${x}", r#""$\${x}""#),
            ("$ {", r#""$ {""#),
            ("''${x}''", r#""''\${x}''""#),
            ("back\\slash\n", r#""back\\slash\n""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(attribute("01-eth0"), "\"01-eth0\"");
        assert_eq!(attribute("net.ipv4.ip_forward"), "\"net.ipv4.ip_forward\"");
        assert_eq!(attribute("with"), "\"with\"");
        assert_eq!(attribute("matchConfig"), "matchConfig");
    }

    #[test]
    fn sections_become_options() {
        let text = "# ours\n\n[Match]\nName=eth0\n\n[Network]\nDNS=192.0.2.1\nDNS=192.0.2.2\n\n\
                    [Route]\nGateway=192.0.2.1\nTable=100\n\n[Route]\nGateway=192.0.2.2\n\n\
                    [SR-IOV]\nVirtualFunction=0\n\n[Link]\nMTUBytes=9000\n";
        let mut written = String::new();
        write_value(&mut written, &unit(text, &NETWORK), 0);
        let expected = r#"{
  matchConfig = {
    Name = "eth0";
  };
  networkConfig = {
    DNS = [
      "192.0.2.1"
      "192.0.2.2"
    ];
  };
  routes = [
    {
      Gateway = "192.0.2.1";
      Table = 100;
    }
    {
      Gateway = "192.0.2.2";
    }
  ];
  linkConfig = {
    MTUBytes = "9000";
  };
  extraConfig = "[SR-IOV]\nVirtualFunction=0\n";
}"#;
        assert_eq!(written, expected);
    }
}
