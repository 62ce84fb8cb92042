//! nftables rules that drop packets of clients, as far as the text of the ruleset shows.

use tokio::process::Command;

use super::Finding;
use crate::config::Config;

const CHECK: &str = "firewall";

/// Checks that no rule drops a port that is served.
pub(super) async fn rules(config: &Config) -> Vec<Finding> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().await;
    let Ok(output) = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    else {
        return Vec::new();
    };
    let on_links = !config.interfaces.is_empty();
    let machine_port = config.machine_listen.port();
    let wanted = [
        ("udp", 67, on_links && config.dhcp),
        ("udp", 69, on_links && config.tftp),
        ("tcp", machine_port, true),
    ];
    let wanted = wanted.into_iter().filter(|(_, _, served)| *served);
    let blocked: Vec<Finding> = wanted
        .filter_map(|(protocol, port, _)| {
            let why = blocked(&output, protocol, port)?;
            let text = format!("nftables probably drops {protocol} port {port}: {why}");
            let fix = format!("add a rule before it: {protocol} dport {port} accept");
            Some(Finding::error(CHECK, text, fix))
        })
        .collect();
    if blocked.is_empty() {
        return vec![Finding::ok(CHECK, "no nftables rule drops a served port")];
    }
    blocked
}

/// The rule or policy that probably drops the packets of a port. It reads the text of the
/// ruleset and does not follow jumps, so it can be wrong both ways.
fn blocked(ruleset: &str, protocol: &str, port: u16) -> Option<String> {
    let lines: Vec<&str> = ruleset.lines().map(str::trim).collect();
    let matches = |line: &str| mentions(line, protocol, port);
    let accepted = |line: &str| matches(line) && line.contains("accept");
    let mut chain = "";
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        }
        if matches(line) && (line.contains(" drop") || line.contains(" reject")) {
            // An earlier rule may accept it.
            let is_accepted = lines[..at].iter().any(|line| accepted(line));
            return (!is_accepted).then(|| format!("\"{line}\""));
        }
        if line.contains("hook input") && line.contains("policy drop") {
            let is_accepted = lines.iter().any(|line| accepted(line) || accepts_interface(line));
            if !is_accepted {
                return Some(format!("chain {chain} has policy drop"));
            }
        }
    }
    None
}

/// Whether a rule accepts everything of an interface other than loopback.
fn accepts_interface(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["iifname" | "iif", interface, .., "accept"] => {
            !line.contains("dport") && interface.trim_matches('"') != "lo"
        }
        _ => false,
    }
}

/// Whether a rule matches a destination port of a protocol.
fn mentions(line: &str, protocol: &str, port: u16) -> bool {
    let Some((before, ports)) = line.split_once("dport ") else { return false };
    let of_protocol = before.trim_end().ends_with(protocol) || before.trim_end().ends_with("th");
    let ports = match ports.strip_prefix('{') {
        Some(set) => set.split('}').next().unwrap_or_default(),
        None => ports.split_whitespace().next().unwrap_or_default(),
    };
    let number = |text: &str| match text {
        "bootps" => Some(67),
        "tftp" => Some(69),
        "http" => Some(80),
        other => other.parse::<u16>().ok(),
    };
    let holds = |part: &str| match part.split_once('-') {
        Some((from, to)) => match (number(from), number(to)) {
            (Some(from), Some(to)) => (from..=to).contains(&port),
            _ => false,
        },
        None => number(part) == Some(port),
    };
    of_protocol && ports.split(',').any(|part| holds(part.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ruleset with one chain on the input hook.
    fn input(policy: &str, rules: &str) -> String {
        format!(
            "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; \
             policy {policy};\n\t\t{rules}\n\t}}\n}}\n"
        )
    }

    #[test]
    fn the_rule_that_drops_a_port_is_named() {
        let cases = [
            ("nothing", String::new(), None),
            ("an open chain", input("accept", ""), None),
            (
                "a closed chain",
                input("drop", "iifname \"lo\" accept"),
                Some("chain input has policy drop"),
            ),
            ("let in by number", input("drop", "udp dport 67 accept"), None),
            ("let in by name", input("drop", "udp dport { bootps, tftp } accept"), None),
            ("let in by range", input("drop", "udp dport 60-70 accept"), None),
            ("let in by interface", input("drop", "iifname \"lan\" accept"), None),
            (
                "another port",
                input("drop", "udp dport 68 accept"),
                Some("chain input has policy drop"),
            ),
            (
                "another protocol",
                input("drop", "tcp dport 67 accept"),
                Some("chain input has policy drop"),
            ),
            ("dropped", input("accept", "udp dport 67 counter drop"), Some("udp dport 67")),
            (
                "let in before it is dropped",
                input("accept", "udp dport 67 accept\n\t\tudp dport { 1-1023 } drop"),
                None,
            ),
        ];
        for (name, ruleset, expected) in cases {
            let found = blocked(&ruleset, "udp", 67);
            match expected {
                None => assert_eq!(found, None, "{name}"),
                Some(text) => {
                    assert!(found.as_ref().is_some_and(|f| f.contains(text)), "{name}: {found:?}")
                }
            }
        }
    }
}
