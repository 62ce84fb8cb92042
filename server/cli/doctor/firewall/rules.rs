//! The packet filter rules of this machine, as its programs list and load them.

use std::fs;
use std::process::Output;
use std::thread::sleep;
use std::time::Duration;

use super::bench::{Bench, run, spawn};
use super::{CheckResult, TestError, not_tested};

/// Marks every packet, so that `nft monitor trace` names the rule that drops it.
const TRACE: &str = "table inet rackstrap_trace {
	chain in { type filter hook prerouting priority -450; meta nftrace set 1; }
	chain out { type filter hook output priority -450; meta nftrace set 1; }
}
";
/// How long `nft monitor` takes to listen, and a trace to arrive.
const TRACE_WAIT: Duration = Duration::from_millis(300);

/// All rules, by the program that loads them.
pub(super) struct Rules {
    /// Tables that `nft` loads.
    nft: Vec<String>,
    /// Tables of iptables-nft with matches that `nft` cannot load.
    iptables_nft: String,
    /// Of the kernel's older filter, which `nft` does not list.
    iptables_legacy: String,
}

impl Rules {
    /// The rules, and a finding for each kind that cannot be read.
    pub(super) fn read() -> (Self, Vec<CheckResult>) {
        let mut findings = Vec::new();
        let mut failed = |error: &TestError, fix: &str| {
            findings.push(not_tested(&error.to_string(), fix));
        };
        let mut rules =
            Self { nft: Vec::new(), iptables_nft: String::new(), iptables_legacy: String::new() };
        match run("nft", &["--stateless", "list", "ruleset"], "") {
            Ok(output) => rules.nft = tables(&text(&output)),
            Err(error) => failed(&error, "apt install nftables"),
        }
        // Matches of xtables that have no form in nftables; IPv6 packets are not sent.
        let foreign =
            |table: &String| table.contains(" xt match ") || table.contains(" xt target ");
        if rules.nft.iter().any(foreign) {
            match run("iptables-nft-save", &[], "") {
                Ok(output) => rules.iptables_nft = text(&output),
                Err(error) => failed(&error, "apt install iptables"),
            }
            rules.nft.retain(|table| !foreign(table));
            // iptables-nft-restore loads all that it saved.
            let names: Vec<String> = rules.iptables_nft.lines().filter_map(own_table).collect();
            rules.nft.retain(|table| !names.iter().any(|name| table.starts_with(name)));
        }
        // The names of the tables that the older filter has; missing without its module.
        let legacy = fs::read_to_string("/proc/thread-self/net/ip_tables_names");
        if legacy.is_ok_and(|names| !names.trim().is_empty()) {
            match run("iptables-legacy-save", &[], "") {
                Ok(output) => rules.iptables_legacy = text(&output),
                Err(error) => failed(&error, "apt install iptables"),
            }
        }
        let has_rule = |line: &str| line.starts_with("-A") || line.contains(" DROP ");
        if !rules.iptables_legacy.lines().any(has_rule) {
            rules.iptables_legacy.clear();
        }
        (rules, findings)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nft.is_empty() && self.iptables_nft.is_empty() && self.iptables_legacy.is_empty()
    }

    /// Whether a rule lets a program decide.
    pub(super) fn has_queue(&self) -> bool {
        let by_nft = |line: &str| line.split_whitespace().any(|word| word == "queue");
        self.nft.iter().flat_map(|table| table.lines()).any(by_nft)
            || [&self.iptables_nft, &self.iptables_legacy].iter().any(|all| all.contains("NFQUEUE"))
    }

    /// Loads them into the server's side.
    pub(super) fn load(&self, bench: &Bench) -> Result<(), TestError> {
        bench.server.run(|| {
            if !self.nft.is_empty() {
                run("nft", &["-f", "-"], &self.nft.concat())?;
            }
            if !self.iptables_nft.is_empty() {
                run("iptables-nft-restore", &[], &self.iptables_nft)?;
            }
            if !self.iptables_legacy.is_empty() {
                run("iptables-legacy-restore", &[], &self.iptables_legacy)?;
            }
            Ok(())
        })
    }

    /// The rule or policy that drops a packet of an exchange, which is done once more.
    pub(super) fn dropping(
        &self,
        bench: &Bench,
        again: impl FnOnce() -> Result<(), TestError>,
    ) -> Result<String, TestError> {
        let legacy = !self.iptables_legacy.is_empty();
        let unknown = if legacy { "a rule of iptables-legacy" } else { "a packet filter rule" };
        let traced = bench.server.run(|| {
            run("nft", &["-f", "-"], TRACE)?;
            spawn("nft", &["monitor", "trace"])
        });
        let Ok(mut monitor) = traced else { return Ok(unknown.to_owned()) };
        sleep(TRACE_WAIT);
        let done = again();
        sleep(TRACE_WAIT);
        monitor.kill()?;
        let trace = text(&monitor.wait_with_output()?);
        bench.server.run(|| run("nft", &["delete", "table", "inet", "rackstrap_trace"], ""))?;
        done?;
        Ok(trace.lines().find_map(dropping_rule).unwrap_or_else(|| unknown.to_owned()))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A ruleset's tables, each with its lines.
fn tables(ruleset: &str) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for line in ruleset.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with("table ") {
            tables.push(String::new());
        }
        if let Some(table) = tables.last_mut() {
            table.push_str(line);
            table.push('\n');
        }
    }
    tables
}

/// How a table begins in nft that `iptables-save` lists as `*NAME`.
fn own_table(line: &str) -> Option<String> {
    line.strip_prefix('*').map(|name| format!("table ip {name} {{"))
}

/// What a line of `nft monitor trace` says of a packet that ends there: `trace id ID FAMILY
/// TABLE CHAIN rule RULE (verdict drop)`, or `... policy drop`.
fn dropping_rule(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["trace", "id", _, family, table, chain, kind, rest @ ..] = words.as_slice() else {
        return None;
    };
    let of_chain = format!("chain {chain} of table {family} {table}");
    match *kind {
        "policy" if rest.first() == Some(&"drop") => Some(format!("the policy of {of_chain}")),
        "rule" => {
            let rule = rest.join(" ");
            let rule = rule.strip_suffix(" (verdict drop)")?;
            Some(format!("\"{rule}\" in {of_chain}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_dropped_a_packet_is_read_from_a_trace() {
        let cases = [
            (
                "trace id b0906b87 inet f i policy drop ",
                Some("the policy of chain i of table inet f"),
            ),
            (
                "trace id e9b8db66 inet f svc rule udp dport 67 counter packets 0 bytes 0 drop \
                 (verdict drop)",
                Some(
                    "\"udp dport 67 counter packets 0 bytes 0 drop\" in chain svc of table inet f",
                ),
            ),
            ("trace id e9b8db66 inet f i rule udp dport 69 accept (verdict accept)", None),
            ("trace id b0906b87 inet f p policy accept ", None),
            ("trace id b0906b87 inet f i packet: iif \"lo\" ip daddr 10.0.0.1 policy drop", None),
        ];
        for (line, expected) in cases {
            assert_eq!(dropping_rule(line).as_deref(), expected, "{line}");
        }
    }
}
