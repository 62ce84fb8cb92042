//! What a host says of its network when it is up: the script of the live system and of installed
//! hosts, in a network namespace without networkd.

use std::os::unix::fs::symlink;
use std::path::Path;

use rackstrap::config::Config;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::machine::Server;
use crate::common::netns::Netns;

const SITE: &str = "racks: {r1: {}}\nsubnets: {rack: {cidr: 10.77.0.0/24}}\n\
                    hosts: {n1: {rack: r1, nics: {eth0: \"52:54:00:aa:00:01\"}, \
                    reservations: {rack: 10.77.0.12}}}\n";

/// A way that a host's network comes up by itself, and what the host says of it.
struct Case {
    name: &'static str,
    /// Shell lines before the script starts, in the host's namespace.
    before: &'static str,
    state: &'static str,
    text: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        name: "a gateway of IPv4",
        before: "ip addr add 10.77.0.12/24 dev eth0; ip route add default via 10.77.0.1",
        state: "up",
        text: "gateway 10.77.0.1 answers",
    },
    Case {
        name: "a gateway that comes late",
        before: "ip addr add 10.77.0.12/24 dev eth0; (sleep 2; ip route add default via 10.77.0.1) &",
        state: "up",
        text: "gateway 10.77.0.1 answers",
    },
    Case {
        name: "a link-local gateway of IPv6 alone",
        before: "ip addr add 10.77.0.12/24 dev eth0; ip addr add fd00:77::12/64 dev eth0 nodad; \
                 ip route add default via fe80::1 dev eth0",
        state: "up",
        text: "gateway fe80::1%eth0 answers",
    },
    Case {
        name: "no gateway",
        before: "ip addr add 10.77.0.12/24 dev eth0",
        state: "up",
        text: "without a gateway",
    },
    Case {
        name: "a gateway that does not answer",
        before: "ip addr add 10.77.0.12/24 dev eth0; ip route add default via 10.77.0.254",
        state: "failed",
        text: "the gateway 10.77.0.254 does not answer",
    },
];

/// A directory with the programs that the live system has, and no others.
fn programs() -> TempDir {
    const KEPT: &str = include_str!("../server/live/guest/keep.txt");
    const APPLETS: &str = include_str!("../server/live/guest/applets.txt");
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
    let kept = lines(KEPT).filter_map(|line| line.strip_prefix("usr/"));
    let kept = kept.filter_map(|line| line.split_once("bin/").map(|(_, name)| name));
    let directory = TempDir::new().unwrap();
    for name in kept.chain(lines(APPLETS)).chain(["sh"]).map(str::trim) {
        let found = ["/usr/bin", "/usr/sbin"].map(|place| Path::new(place).join(name));
        // Of busybox's applets the real one stands in here.
        if let Some(found) = found.iter().find(|path| path.exists()) {
            symlink(found, directory.path().join(name)).unwrap();
        }
    }
    directory
}

/// The script's environment: its files are its own, and its programs those of the live system.
fn run(host: &Netns, line: &str, seconds: u32) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/server/live/guest/rackstrap-report.sh");
    let (files, programs) = (TempDir::new().unwrap(), programs());
    let line = format!(
        "ip addr flush dev eth0 scope global; ip route flush default; ip -6 route flush default\n{line}\n\
         export RACKSTRAP_URL=http://10.77.0.1 RACKSTRAP_MAC=52:54:00:aa:00:01 WAIT=6\n\
         mount --bind {} /run && PATH={} /usr/bin/timeout {seconds} sh {script}\n\
         cat /run/rackstrap-report.json",
        files.path().display(),
        programs.path().display(),
    );
    let mut command = host.command("unshare");
    let output = command.args(["--mount", "sh", "-c", &line]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("not found"), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_up_when_its_way_out_answers() {
    let (rack, host) = (Netns::new("rack"), Netns::new("host"));
    rack.join("port", &host, "eth0");
    rack.ip("addr add 10.77.0.1/24 dev port");
    rack.ip("addr add fe80::1/64 dev port nodad");
    host.ip("link set lo up");
    host.ip("link set eth0 address 52:54:00:aa:00:01");
    let listener = rack.run(|| std::net::TcpListener::bind("10.77.0.1:80").unwrap());
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let server = Server::start_on(listener, SITE, Config::default()).await;
    for Case { name, before, state, text } in CASES {
        let said = tokio::task::block_in_place(|| run(&host, before, 60));
        assert!(said.contains(&format!("rackstrap: reported {state}: ")), "{name}: {said}");
        let status = server.app.inventory.states.find("n1", 0).unwrap();
        assert_eq!(status.state.label(), state, "{name}: {said}");
        assert!(said.contains(text), "{name}: {said}");
    }
    // It cannot be heard yet, and goes on trying.
    let said = tokio::task::block_in_place(|| run(&host, "", 12));
    assert!(said.contains(r#""state":"failed","text":"no link has an address""#), "{said}");
}
