//! Debian's own installer, answered by the shipped recipe: it comes up over the host's bond and
//! VLAN, and with more time installs from a mirror in the host's own network that has a key of its
//! own, and the host comes up from its disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::common::dhcp::{DhcpServer, Running, lan, wait_for};
use crate::common::netns::run;
use crate::common::qemu::{Guest, Nic};
use crate::common::skip::skip;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  internal: {cidr: 10.50.0.0/24, vlan: 500, gateway: 10.50.0.1, dns: [10.50.0.1]}
profiles:
  bonded:
    bonds: {bond0: {nics: [eth0, eth1], mode: active-backup}}
    vlans: {vlan500: {link: bond0, id: 500}}
    bridges: {br0: {interfaces: [vlan500], subnet: internal}}
images:
  debian:
    kernel: di/linux
    initrd: [di/initrd.gz]
    cmdline: "auto=true priority=critical console=ttyS0 TERM=dumb DEBIAN_FRONTEND=noninteractive"
    boot: once
    recipe:
      use: debian-preseed
      values: {disk: /dev/vda, mirror: 10.50.0.1, mirror-directory: /files/debian, mirror-key: "MIRROR_KEY",
               services: none, ssh-key: "SSH_KEY"}
hosts:
  n1: {profile: bonded, image: debian, addresses: {br0: 10.50.0.11}, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}}
"#;

const NICS: [Nic<'static>; 2] =
    [Nic { tap: "tap0", mac: "52:54:00:aa:00:01" }, Nic { tap: "tap1", mac: "52:54:00:aa:00:02" }];

/// How long the installer may take to come up on a busy machine, an installation, and a boot from
/// the disk.
const COMES_UP: Duration = Duration::from_secs(1200);
const INSTALL: Duration = Duration::from_secs(7200);
const BOOT: Duration = Duration::from_secs(900);

/// Set to anything, it has an installation run to its end.
const WHOLE: &str = "RACKSTRAP_DEBIAN_INSTALL";

/// The installer and a repository for it; if they cannot be had, the test is reported as skipped.
fn mirror(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/tools/get-debian-mirror.sh")).output().unwrap();
    if !output.status.success() {
        skip(test, &String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(root.join("target/debian-mirror"))
}

/// A namespace with the server, the mirror and a switch of two ports that passes the tagged
/// network; the guest's disk.
struct Rack {
    server: DhcpServer,
    disk: PathBuf,
    login: PathBuf,
    _vlan: Running,
    runtime: Runtime,
}

impl Rack {
    fn new(mirror: &Path) -> Self {
        let (server, _clients) = lan("subnets: {}", &[]);
        let directory = server.directory.path();
        let login = directory.join("login");
        let path = login.to_str().unwrap();
        run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path]);
        let ssh_key = fs::read_to_string(directory.join("login.pub")).unwrap();
        let mirror_key = run(&["base64", "-w0", mirror.join("repo-key.gpg").to_str().unwrap()]);
        let site = SITE.replace("SSH_KEY", ssh_key.trim()).replace("MIRROR_KEY", &mirror_key);
        server.set_site(&site);

        let files = directory.join("files");
        fs::create_dir_all(&files).unwrap();
        for (from, to) in [("di", "di"), ("repo", "debian")] {
            let (from, to) = (mirror.join(from), files.join(to));
            run(&["cp", "-r", from.to_str().unwrap(), to.to_str().unwrap()]);
        }
        for tap in ["tap0", "tap1"] {
            server.inside.ip(&format!("tuntap add {tap} mode tap"));
            server.inside.ip(&format!("link set {tap} master lan up"));
        }
        // The kernel of this machine may lack 802.1Q; those of the guests have it.
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools");
        let log = directory.join("vlan.log");
        let program = tools.join("vlan-port.py");
        let mut vlan = server.inside.command(program.to_str().unwrap());
        vlan.args(["trunk", "500", "vlan500"]);
        let vlan = crate::common::dhcp::start(&mut vlan, &log);
        wait_for("the VLAN has an end", || fs::read_to_string(&log).unwrap().contains("ready"));
        server.inside.ip("link set trunk master lan up");
        server.inside.ip("address add 10.50.0.1/24 dev vlan500");
        server.inside.ip("link set vlan500 up");

        let disk = directory.join("disk.raw");
        fs::File::create(&disk).unwrap().set_len(4 << 30).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, disk, login, _vlan: vlan, runtime }
    }

    fn power_on(&self) -> Guest {
        let _inside = self.runtime.enter();
        Guest::installing(&self.server.inside, &NICS, &self.disk)
    }

    /// Runs a line as root on the host; what it printed, if it succeeded.
    fn ssh(&self, line: &str) -> Option<String> {
        let mut ssh = self.server.inside.command("ssh");
        ssh.args(["-i", self.login.to_str().unwrap(), "-F", "none", "-o", "BatchMode=yes"]);
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        ssh.args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", "root@10.50.0.11", line]);
        let output = ssh.stderr(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until `ready`; panics with what the guest showed after `limit`.
    fn wait(&self, guest: &mut Guest, what: &str, limit: Duration, ready: impl Fn(&Self) -> bool) {
        let end = Instant::now() + limit;
        while !ready(self) {
            let events = self.server.events_of("n1");
            assert!(Instant::now() < end, "never: {what}\n{}\n{events:#?}", guest.shown);
            self.runtime.block_on(guest.look(Duration::from_secs(3)));
        }
    }

    fn has_event(&self, words: &str) -> bool {
        self.server.events_of("n1").iter().any(|event| event.contains(words))
    }
}

fn arm(server: &DhcpServer) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path()).args(["host", "install", "n1"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "Debian's installer as far as its own packages: make test-full"]
fn debians_installer_comes_up_over_bond_and_vlan_and_verifies_its_mirror() {
    let test = "debians_installer_comes_up_over_bond_and_vlan_and_verifies_its_mirror";
    let Some(mirror) = mirror(test) else { return };
    let mut rack = Rack::new(&mirror);
    rack.server.start(&["lan"]);
    arm(&rack.server);
    let started = Instant::now();
    let mut guest = rack.power_on();
    // Nothing of the pool is fetched before the signature of Release is that of the key.
    for (what, file) in [
        ("it finds its mirror", "dists/bookworm/Release to 10.50.0.11"),
        ("it fetches the signature", "dists/bookworm/Release.gpg to 10.50.0.11"),
        ("it loads its packages", "pool/base-installer_"),
    ] {
        rack.wait(&mut guest, what, COMES_UP, |rack| rack.has_event(file));
        println!("{test}: {what} {:.0} s after power-on", started.elapsed().as_secs_f64());
    }
    assert!(rack.has_event("installs debian"), "{:#?}", rack.server.events_of("n1"));
}

#[test]
#[ignore = "Debian's installer to its end, an hour and more in emulation: see WHOLE"]
fn debians_installer_installs_over_bond_and_vlan_and_the_host_comes_up_by_itself() {
    let test = "debians_installer_installs_over_bond_and_vlan_and_the_host_comes_up_by_itself";
    if std::env::var_os(WHOLE).is_none() {
        return skip(test, &format!("takes an hour and more in emulation: {WHOLE}=1 runs it"));
    }
    let Some(mirror) = mirror(test) else { return };
    let standins = fs::read_to_string(mirror.join("standins")).unwrap_or_default();
    if !standins.is_empty() {
        let names: Vec<&str> = standins.lines().collect();
        println!("{test}: the mirror lacks these, stand-ins are used: {}", names.join(" "));
    }
    let mut rack = Rack::new(&mirror);
    rack.server.start(&["lan"]);
    arm(&rack.server);

    let started = Instant::now();
    let mut guest = rack.power_on();
    let passed = |what: &str| {
        println!("{test}: {what} {:.0} s after power-on", started.elapsed().as_secs_f64());
    };
    rack.wait(&mut guest, "it begins", BOOT, |rack| rack.has_event("installs debian"));
    passed("began");
    rack.wait(&mut guest, "it reports the end", INSTALL, |rack| rack.has_event("has installed"));
    passed("installed");
    rack.wait(&mut guest, "it comes up", BOOT, |rack| rack.ssh("true").is_some());
    passed("logged in to the installed system");

    let network = rack.ssh("ip -4 -o address; cat /proc/net/bonding/bond0").unwrap();
    for expected in ["br0    inet 10.50.0.11/24", "active-backup", "MII Status: up"] {
        assert!(network.contains(expected), "no {expected:?} in:\n{network}");
    }
    assert_eq!(network.matches("Slave Interface").count(), 2, "{network}");
    let rest = rack.ssh("hostname; test ! -e /etc/network/interfaces; getent hosts n1").unwrap();
    assert!(rest.starts_with("n1\n127.0.1.1"), "{rest}");
    // Its apt trusts the mirror's key, and nothing else is asked.
    let apt = rack.ssh("apt-get update 2>&1 && apt-get -s upgrade 2>&1").unwrap();
    assert!(apt.contains("10.50.0.1/files/debian bookworm") && !apt.contains("NO_PUBKEY"), "{apt}");

    // Power fails: it boots the same system again.
    let identity = rack.ssh("sync; cat /etc/machine-id").unwrap();
    rack.runtime.block_on(guest.power_off());
    let mut guest = rack.power_on();
    let cycle = Instant::now();
    rack.wait(&mut guest, "it comes up again", BOOT, |rack| {
        rack.ssh("cat /etc/machine-id").is_some_and(|now| now == identity)
    });
    println!("{test}: up again {:.0} s after a power cycle", cycle.elapsed().as_secs_f64());
    let events = rack.server.events_of("n1");
    let installs = events.iter().filter(|event| event.contains("installs debian")).count();
    assert_eq!(installs, 1, "{events:#?}");
}
