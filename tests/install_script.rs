//! The install script on a host with a real systemd-networkd: it applies, and puts back what
//! cuts the host off.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rackstrap::config::Config;
use rackstrap::inventory::{Change, HostConfig};
use rackstrap::model::Site;
use rackstrap::network::ConfigState;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::machine::Server;
use crate::common::netns::Netns;

/// A veth has no permanent MAC, hence `match: name`.
const SITE: &str = r#"
subnets:
  rack: {cidr: 10.77.0.0/24, gateway: 10.77.0.1}
profiles:
  plain: {match: name, nics: {eth0: {subnet: rack}}}
hosts:
  n1:
    profile: plain
    nics: {eth0: "52:54:00:aa:00:01"}
    addresses: {eth0: 10.77.0.12}
"#;

/// What a host had before: its address, no gateway.
fn old(address: &str) -> String {
    format!(
        "[Match]\nName=eth0\n\n[Network]\nAddress={address}/24\n\
         LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
}

/// A shell on a host with networkd; all of it ends when dropped.
pub(crate) struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    _files: TempDir,
}

impl Host {
    /// Starts networkd in the namespace with one old file, which has this address.
    pub(crate) fn start(inside: &Netns, address: &str) -> Self {
        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("50-old.network"), old(address)).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/networkd-host.sh");
        let mut child = Command::new("ip")
            .args(["netns", "exec", &inside.name])
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args([&script, files.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout, _files: files }
    }

    /// Runs one line and gives what it printed and its exit status.
    pub(crate) fn run(&mut self, line: &str) -> (String, i32) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the host ended: {printed}");
            match line.strip_prefix("ended ") {
                Some(status) => return (printed, status.trim().parse().unwrap()),
                None => printed.push_str(&line),
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The end of its input ends the shell, and the shell ends the rest.
        drop(self.stdin.take());
        self.child.wait().unwrap();
    }
}

async fn status(server: &Server) -> (&'static str, String) {
    let status = server.app.inventory.states.find("n1", 0).unwrap();
    (status.state.label(), status.reason)
}

/// A server with this site, and a host with one old file on the same wire.
async fn rack(site: &str) -> (Server, Host, [Netns; 2]) {
    let (rack, inside) = (Netns::new("rack"), Netns::new("host"));
    rack.join("port", &inside, "eth0");
    rack.ip("addr add 10.77.0.1/24 dev port");
    let listener = rack.run(|| std::net::TcpListener::bind("10.77.0.1:80").unwrap());
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let server = Server::start_on(listener, site, Config::default()).await;
    let host = Host::start(&inside, "10.77.0.12");
    (server, host, [rack, inside])
}

const FETCH: &str = "curl -fs --retry 30 --retry-all-errors --retry-delay 1 \
                     http://10.77.0.1/config/52:54:00:aa:00:01.sh";

/// Puts another site in the place of the server's.
pub(crate) async fn set_site(server: &Server, text: &str) {
    let change = Change { who: "test", summary: "another site", ..Change::default() };
    let replace = |site: &mut Site| {
        *site = serde_saphyr::from_str(text).unwrap();
        Ok(())
    };
    server.app.inventory.change_site(change, replace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_settings_are_applied_with_the_files_and_put_back_with_them() {
    let site = |policy: &str, more: &str| {
        let sysctls =
            format!("sysctls: {{net.ipv4.fib_multipath_hash_policy: \"{policy}\"{more}}}");
        SITE.replace("match: name,", &format!("match: name, {sysctls},"))
    };
    let good = site("1", "");
    let (server, mut host, _wire) = rack(&good).await;
    let file = "cat /etc/sysctl.d/90-rackstrap.conf";
    let policy = "sysctl -n net.ipv4.fib_multipath_hash_policy";
    let in_place = |host: &mut Host| {
        let line = "net.ipv4.fib_multipath_hash_policy = 1\n";
        assert_eq!((host.run(policy).0.as_str(), host.run(file).0.as_str()), ("1\n", line));
    };
    let apply = format!("{FETCH} | WAIT=4 sh");
    assert_eq!(host.run(policy).0, "0\n");
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 1\n".into(), 0));
    in_place(&mut host);

    let silent = site("2", "").replace("gateway: 10.77.0.1}", "gateway: 10.77.0.254}");
    set_site(&server, &silent).await;
    let verdict = "rolled back revision 2: no answer from gateway 10.77.0.254 after 4 s";
    assert_eq!(host.run(&apply), (format!("rackstrap: {verdict}\n"), 1));
    in_place(&mut host);

    for (revision, wrong) in [("3", site("0", ", net.ipv4.nonsense: \"1\"")), ("4", site("99", ""))]
    {
        set_site(&server, &wrong).await;
        let verdict = format!("rolled back revision {revision}: the kernel rejected its settings");
        assert_eq!(host.run(&apply), (format!("rackstrap: {verdict}\n"), 1));
        assert_eq!(status(&server).await, ("failed", verdict));
        in_place(&mut host);
    }

    set_site(&server, SITE).await;
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 5\n".into(), 0));
    assert_eq!(host.run("ls -A /etc/sysctl.d").0, "");
}

/// The files that the host does not run as the inventory has them; none if it has not said.
async fn differing(server: &Server) -> Option<Vec<String>> {
    let inventory = &server.app.inventory;
    let reported = inventory.database.find_fingerprint("n1").await.unwrap();
    let compared = HostConfig::compare(&inventory.snapshot(), "n1", reported.as_ref());
    let shown = inventory.database.find_report("n1").await.unwrap();
    assert!(!shown.is_some_and(|report| report.body.contains("config")), "digests are not shown");
    let listed = inventory.config_states().await.unwrap().remove("n1");
    assert_eq!(listed.unwrap_or(ConfigState::Unknown), compared.state);
    (compared.state != ConfigState::Unknown).then_some(compared.differing)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_runs_is_compared_with_the_inventory() {
    let site = |policy: &str, gateway: &str| {
        let sysctls = format!("sysctls: {{net.ipv4.fib_multipath_hash_policy: \"{policy}\"}}");
        let site = SITE.replace("match: name,", &format!("match: name, {sysctls},"));
        site.replace("gateway: 10.77.0.1}", &format!("gateway: {gateway}}}"))
    };
    let (server, mut host, _wire) = rack(&site("1", "10.77.0.1")).await;
    let (settings, network) =
        ("/etc/sysctl.d/90-rackstrap.conf", "/etc/systemd/network/01-eth0.network");
    assert_eq!(differing(&server).await, None);
    let apply = format!("{FETCH} | WAIT=4 sh");
    assert_eq!(host.run(&apply).1, 0);
    assert_eq!(differing(&server).await.unwrap(), [""; 0]);

    // The inventory goes on, the host does not.
    set_site(&server, &site("0", "10.77.0.1")).await;
    assert_eq!(differing(&server).await.unwrap(), [settings]);
    set_site(&server, &site("0", "10.77.0.254")).await;
    assert_eq!(host.run(&apply).1, 1);
    let mut rolled_back = differing(&server).await.unwrap();
    rolled_back.sort();
    assert_eq!(rolled_back, [settings, network]);
    // What it returned to is in the inventory again.
    set_site(&server, &site("1", "10.77.0.1")).await;
    assert_eq!(differing(&server).await.unwrap(), [""; 0]);

    // The report unit of a live system says the same, also of what somebody edited by hand.
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("server/live/guest/rackstrap-report.sh");
    let words = "RACKSTRAP_URL=http://10.77.0.1 RACKSTRAP_MAC=52:54:00:aa:00:01";
    let report = format!("{words} sh {} 2>&1", unit.display());
    host.run(&format!("echo '# mine' >>{network}"));
    let (said, _) = host.run(&report);
    assert_eq!(differing(&server).await.unwrap(), [network], "{said}");
    host.run(&format!("sed -i '/# mine/d' {network}"));
    host.run(&report);
    assert_eq!(differing(&server).await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_modules_are_written_with_the_files_and_put_back_with_them() {
    let dummy = |address: &str| {
        let dummies =
            format!("dummies: {{vip0: {{addresses: [{{address: {address}/32, role: anycast}}]}}}}");
        SITE.replace("match: name,", &format!("match: name, {dummies},"))
    };
    let (server, mut host, _wire) = rack(&dummy("192.0.2.1")).await;
    let file = "cat /etc/modprobe.d/90-rackstrap-modules.conf";
    let apply = format!("{FETCH} | WAIT=4 sh");
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 1\n".into(), 0));
    assert!(host.run(file).0.ends_with("plain.\noptions dummy numdummies=0\n"));

    let silent = SITE.replace("gateway: 10.77.0.1}", "gateway: 10.77.0.254}");
    set_site(&server, &silent).await;
    let verdict = "rolled back revision 2: no answer from gateway 10.77.0.254 after 4 s";
    assert_eq!(host.run(&apply), (format!("rackstrap: {verdict}\n"), 1));
    assert!(host.run(file).0.ends_with("options dummy numdummies=0\n"));

    set_site(&server, SITE).await;
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 3\n".into(), 0));
    assert_eq!(host.run("ls -A /etc/modprobe.d").0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_packets_are_loaded_with_the_files_and_put_back_with_them() {
    let words = "subnet: rack, table: 100, mark: 1, default-route: true, cpus: ";
    let with = |cpus: &str| SITE.replace("{subnet: rack}", &format!("{{{words}{cpus}}}"));
    let (server, mut host, _wire) = rack(&with("0-7")).await;
    let apply = format!("{FETCH} | WAIT=4 sh");
    let loaded = |host: &mut Host| {
        let rules = host.run("nft list table inet rackstrap").0;
        rules.contains("meta cpu 0-7") && rules.contains("snat ip to 10.77.0.12")
    };
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 1\n".into(), 0));
    assert!(loaded(&mut host), "{}", host.run("nft list ruleset").0);

    set_site(&server, &with("8-9").replace("gateway: 10.77.0.1}", "gateway: 10.77.0.254}")).await;
    let verdict = "rolled back revision 2: no answer from gateway 10.77.0.254 after 4 s";
    assert_eq!(host.run(&apply), (format!("rackstrap: {verdict}\n"), 1));
    assert!(loaded(&mut host), "{}", host.run("nft list ruleset").0);
    let file = "cat /etc/systemd/system/systemd-networkd.service.d/90-rackstrap.nft";
    assert!(host.run(file).0.contains("meta cpu { 0-7 }"));

    set_site(&server, SITE).await;
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 3\n".into(), 0));
    assert_eq!(host.run("ls -A /etc/systemd/system/systemd-networkd.service.d").0, "");
    assert_eq!(host.run("nft list ruleset").0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_started_with_the_files_and_put_back_with_them() {
    let with = |processors: &str| {
        SITE.replace(
            "{subnet: rack}",
            &format!("{{subnet: rack, affinity: {{rps: {processors}}}}}"),
        )
    };
    let (server, mut host, _wire) = rack(&with("1")).await;
    // There is no manager of services here: what it is told is written down.
    host.run(
        "mkdir /run/tools && printf '#!/bin/sh\\necho \"$@\" >>/run/called\\n' >/run/tools/systemctl && \
         chmod +x /run/tools/systemctl",
    );
    let apply = format!("export PATH=/run/tools:$PATH; {FETCH} | WAIT=4 sh");
    let called = |host: &mut Host| host.run("cat /run/called; rm -f /run/called").0;
    let started = "daemon-reload\nrestart rackstrap-nics.service\n";
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 1\n".into(), 0));
    assert_eq!(called(&mut host), started);
    let script = "grep '^ *receive [0-9]' /etc/systemd/system/rackstrap-nics.sh";
    assert_eq!(host.run(script).0.trim(), "receive 1");
    let wanted = "cat /etc/systemd/system/systemd-networkd.service.d/90-rackstrap-units.conf";
    assert!(host.run(wanted).0.ends_with("[Unit]\nWants=rackstrap-nics.service\n"));

    set_site(&server, &with("0").replace("gateway: 10.77.0.1}", "gateway: 10.77.0.254}")).await;
    let verdict = "rolled back revision 2: no answer from gateway 10.77.0.254 after 4 s";
    assert_eq!(host.run(&apply), (format!("rackstrap: {verdict}\n"), 1));
    let stopped = "stop rackstrap-nics.service\n";
    assert_eq!(called(&mut host), [stopped, started, stopped, started].concat());
    assert_eq!(host.run(script).0.trim(), "receive 1");

    set_site(&server, SITE).await;
    assert_eq!(host.run(&apply), ("rackstrap: applied revision 3\n".into(), 0));
    assert_eq!(called(&mut host), format!("{stopped}daemon-reload\n"));
    assert_eq!(host.run("ls -A /etc/systemd/system").0, "systemd-networkd.service.d\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_applied_if_it_works_and_put_back_if_not() {
    let (server, mut host, _wire) = rack(SITE).await;
    let default_route = |host: &mut Host| host.run("ip -4 route show default").0;

    let (said, ended) = host.run(&format!("{FETCH} | WAIT=20 sh"));
    assert_eq!((said.trim_end(), ended), ("rackstrap: applied revision 1", 0));
    assert!(default_route(&mut host).starts_with("default via 10.77.0.1 dev eth0"));
    assert_eq!(status(&server).await, ("up", "applied revision 1".into()));
    let (said, ended) = host.run(&format!("{FETCH} | WAIT=20 sh"));
    assert_eq!((said.trim_end(), ended), ("rackstrap: revision 1 is already applied", 0));

    let bridge_without_gateway = SITE
        .replace("gateway: 10.77.0.1}", "gateway: 10.77.0.254}")
        .replace(
            "nics: {eth0: {subnet: rack}}",
            "bridges: {br0: {interfaces: [eth0], subnet: rack}}",
        )
        .replace("addresses: {eth0:", "addresses: {br0:");
    set_site(&server, &bridge_without_gateway).await;
    let (said, ended) = host.run(&format!("{FETCH} | WAIT=4 sh"));
    let verdict = "rolled back revision 2: no answer from gateway 10.77.0.254 after 4 s";
    assert_eq!((said.trim_end(), ended), (format!("rackstrap: {verdict}").as_str(), 1));
    assert!(default_route(&mut host).starts_with("default via 10.77.0.1 dev eth0"), "{said}");
    assert_eq!(status(&server).await, ("failed", verdict.into()));
    assert_ne!(host.run("ip link show br0 2>&1").1, 0, "the bridge stayed");
    let (files, _) = host.run("ls -A /etc/systemd/network");
    assert_eq!(files, "01-eth0.network\n50-old.network\n");
}
