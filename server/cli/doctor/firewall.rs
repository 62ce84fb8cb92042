//! nftables rules that keep clients' packets from this server, as far as their text tells.

use tokio::process::Command;

use super::Finding;
use crate::config::Config;

const CHECK: &str = "firewall";

/// Whether the rules of the kernel let clients in.
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
            let text = format!("nftables seems to drop {protocol} port {port}: {why}");
            let remedy = format!("allow it before that, such as: {protocol} dport {port} accept");
            Some(Finding::trouble(CHECK, text, remedy))
        })
        .collect();
    if blocked.is_empty() {
        return vec![Finding::good(CHECK, "no nftables rule keeps clients out")];
    }
    blocked
}

/// The rule or policy that seems to keep a port's packets out. It reads the text of the
/// rules and does not follow every jump: what it says is worth a look, not a proof.
fn blocked(ruleset: &str, protocol: &str, port: u16) -> Option<String> {
    let lines: Vec<&str> = ruleset.lines().map(str::trim).collect();
    let speaks_of = |line: &str| mentions(line, protocol, port);
    let accepted = |line: &str| speaks_of(line) && line.contains("accept");
    let mut chain = "";
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        }
        if speaks_of(line) && (line.contains(" drop") || line.contains(" reject")) {
            // An earlier rule may have let it in.
            let let_in = lines[..at].iter().any(|line| accepted(line));
            return (!let_in).then(|| format!("\"{line}\""));
        }
        if line.contains("hook input") && line.contains("policy drop") {
            let let_in = lines.iter().any(|line| accepted(line) || is_for_all(line));
            if !let_in {
                return Some(format!("chain {chain} drops what no rule accepts"));
            }
        }
    }
    None
}

/// Whether a rule accepts everything of an interface other than loopback.
fn is_for_all(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["iifname" | "iif", interface, .., "accept"] => {
            !line.contains("dport") && interface.trim_matches('"') != "lo"
        }
        _ => false,
    }
}

/// Whether a rule is about a destination port of a protocol.
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

    /// A ruleset with one chain at the input hook.
    fn input(policy: &str, rules: &str) -> String {
        format!(
            "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; \
             policy {policy};\n\t\t{rules}\n\t}}\n}}\n"
        )
    }

    #[test]
    fn what_keeps_clients_out_is_named() {
        let cases = [
            ("nothing", String::new(), None),
            ("an open chain", input("accept", ""), None),
            ("a closed chain", input("drop", "iifname \"lo\" accept"), Some("chain input drops")),
            ("let in by number", input("drop", "udp dport 67 accept"), None),
            ("let in by name", input("drop", "udp dport { bootps, tftp } accept"), None),
            ("let in by range", input("drop", "udp dport 60-70 accept"), None),
            ("let in by interface", input("drop", "iifname \"lan\" accept"), None),
            ("another port", input("drop", "udp dport 68 accept"), Some("chain input drops")),
            ("another protocol", input("drop", "tcp dport 67 accept"), Some("chain input drops")),
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
