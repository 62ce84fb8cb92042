//! Debian's own installer comes up over the host's bond and VLAN, with the answers of the shipped
//! recipe, and looks for its mirror from the host's own address.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::dhcp::{DhcpServer, Running, lan};
use crate::common::qemu::{Firmware, Guest, Nic};
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
    recipe: {use: debian-preseed, values: {disk: /dev/vda, mirror: 10.50.0.1, mirror-directory: /files/debian}}
hosts:
  n1: {profile: bonded, image: debian, addresses: {br0: 10.50.0.11}, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}}
"#;

/// How long a guest may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// Unpacks the installer's kernel and initrd into `directory`; why it cannot be had.
fn installer(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory).unwrap();
    let package = "debian-installer-12-netboot-amd64";
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(directory);
    let output = apt.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let line = "dpkg-deb -x debian-installer-*.deb tree && \
                cp $(find tree -path '*text*' -name linux | head -n 1) linux && \
                cp $(find tree -path '*text*' -name initrd.gz | head -n 1) initrd.gz && rm -rf tree *.deb";
    let output = Command::new("sh").args(["-c", line]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

fn arm(server: &DhcpServer) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path()).args(["host", "install", "n1"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "a whole boot of Debian's installer: make test-full"]
fn debians_installer_comes_up_over_bond_and_vlan() {
    let test = "debians_installer_comes_up_over_bond_and_vlan";
    let (mut server, _clients) = lan(SITE, &[]);
    if let Err(why) = installer(&server.directory.path().join("files/di")) {
        return skip(test, &why);
    }
    for tap in ["tap0", "tap1"] {
        server.inside.ip(&format!("tuntap add {tap} mode tap"));
        server.inside.ip(&format!("link set {tap} master lan up"));
    }
    let disk = server.directory.path().join("disk.raw");
    fs::File::create(&disk).unwrap().set_len(4 << 30).unwrap();
    server.start(&["lan"]);
    arm(&server);
    let nics = [
        Nic { tap: "tap0", mac: "52:54:00:aa:00:01" },
        Nic { tap: "tap1", mac: "52:54:00:aa:00:02" },
    ];
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut guest = {
        let _inside = runtime.enter();
        Guest::with_disk(&server.inside, &Firmware::Bios, &nics, &disk)
    };
    // Its mirror is on the tagged link alone; nothing answers there.
    let mut capture = server.inside.command("tcpdump");
    capture.args(["-n", "-l", "-c", "1", "-i", "lan", "vlan 500 and arp host 10.50.0.11"]);
    let mut capture = Running(capture.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while capture.0.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < LIMIT, "{}\n{}", guest.shown, server.log());
        runtime.block_on(guest.look(Duration::from_secs(2)));
    }
    println!(
        "{test}: looks for its mirror {:.0} s after power-on",
        started.elapsed().as_secs_f64()
    );
    let events = server.events_of("n1");
    assert!(events.iter().any(|event| event.contains("install")), "{events:#?}");
}
