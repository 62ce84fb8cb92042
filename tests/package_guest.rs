//! The life of a server from its package, in a guest with Debian and systemd that reaches no other
//! network: installed, asked by a client, upgraded with live leases, removed, installed again, purged.
//! Meanwhile another guest netboots from it behind a VLAN sub-interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use crate::common::dhcp::Running;
use crate::common::guest::{Guest, Hardware, Image, OUTWARD, outward};
use crate::common::skip::skip;
use crate::packages::built;

/// A client behind a cable of its own, in a namespace of the guest: it asks DHCP as UEFI firmware does
/// and says what it was given.
const CLIENT: &str = "set -e; modprobe veth; ip netns add client; \
    ip link add srv0 type veth peer name c0 netns client; ip address add 10.77.0.1/24 dev srv0; \
    ip link set srv0 up; ip -n client link set lo up; ip -n client link set c0 address 52:54:00:aa:00:01 up; \
    printf '#!/bin/sh\\n[ \"$1\" = bound ] || exit 0\\nip address replace $ip/24 dev c0\\n\
    echo $ip $siaddr $boot_file\\n' >/run/hook; chmod +x /run/hook";
const ASK: &str = "ip netns exec client busybox udhcpc -i c0 -n -q -t 10 -s /run/hook \
                   -V PXEClient:Arch:00007:UNDI:003016 -x 0x5d:0007 2>/dev/null";
const INIT: &str = "rackstrap init --interface srv0 --subnet 10.77.0.0/24 \
                    --dhcp-range 10.77.0.100-10.77.0.199";
const PAGE: &str = "curl -sS --max-time 60 -L http://localhost:8080/ && echo";

/// A switch that passes VLAN 100 to the server tagged and to the other guest untagged, and the server's
/// sub-interface.
const VLAN: &str = "set -e; ip link set OUTWARD netns switch name client; \
    ip -n switch link add sw type bridge vlan_filtering 1 forward_delay 0; ip -n switch link set sw up; \
    for port in port0 client; do ip -n switch link set $port master sw mtu 1500 up; \
    bridge -n switch vlan del dev $port vid 1; done; \
    bridge -n switch vlan add dev port0 vid 100; \
    bridge -n switch vlan add dev client vid 100 pvid untagged; \
    ip link add link eth0 name eth0.100 type vlan id 100; \
    ip address add 10.78.0.1/24 dev eth0.100; ip link set eth0 up; ip link set eth0.100 up";
/// What the other guest is in the inventory, as an engineer would add it.
const NETBOOT: [&str; 6] = [
    "sed -i 's/^interfaces = .*/interfaces = [\"srv0\", \"eth0.100\"]/' /etc/rackstrap/rackstrap.toml",
    "systemctl restart rackstrap",
    "rackstrap subnet set rack cidr=10.78.0.0/24 gateway=10.78.0.1 conflict-probe=off \
     'ranges=[{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]'",
    "rackstrap profile set plain nics.eth0.subnet=rack",
    "rackstrap image add live --kernel /live/vmlinuz --initrd /live/initrd.img \
     --cmdline console=ttyS0",
    "rackstrap host set n1 nics.eth0=52:54:00:aa:00:07 profile=plain image=live \
     addresses.eth0=10.78.0.11",
];
/// How long the other guest may take on a busy machine.
const UP: Duration = Duration::from_secs(1800);

/// A guest with OVMF and one NIC, at the other end of the cable.
fn netboot(directory: &Path, cable: &Path) -> Running {
    let variables = directory.join("variables");
    fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).unwrap();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-machine", "q35,graphics=off", "-cpu", "qemu64"]);
    qemu.args(["-m", "1024", "-display", "none", "-nodefaults", "-no-reboot"]);
    qemu.args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
    qemu.args(["-drive", &format!("if=pflash,format=raw,file={}", variables.display())]);
    qemu.arg("-serial").arg(format!("file:{}", directory.join("console").display()));
    let (netdev, device) = outward(cable, false, "52:54:00:aa:00:07");
    qemu.args(["-device", "virtio-rng-pci", "-netdev", &netdev]);
    qemu.args(["-device", &format!("{device},bootindex=0")]);
    Running(qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// The image of the guest with the packages in it, and a live system for others.
fn image(directory: &Path, packages: &[PathBuf], live: &Image) -> Result<Image, String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/package-guest");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/build-package-guest.sh");
    let output = Command::new(script).arg(&base).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let tree = directory.join("tree");
    fs::create_dir_all(tree.join("packages")).unwrap();
    for package in packages {
        let name = package.file_name().unwrap();
        fs::copy(package, tree.join("packages").join(name)).unwrap();
    }
    fs::create_dir(tree.join("live")).unwrap();
    for (from, name) in [(live.kernel(), "vmlinuz"), (live.initrd(), "initrd.img")] {
        fs::copy(from, tree.join("live").join(name)).unwrap();
    }
    let initrd = directory.join("initrd");
    let pack = "cp \"$1\" \"$2\" && cd \"$3\" && find packages live | cpio -o -H newc --quiet | gzip -1 >>\"$2\"";
    let mut command = Command::new("sh");
    command.args(["-c", pack, "pack"]).arg(base.join("initrd.img")).arg(&initrd).arg(&tree);
    assert!(command.status().unwrap().success());
    fs::remove_dir_all(&tree).unwrap();
    Ok(Image::of(base.join("vmlinuz"), initrd))
}

#[test]
#[ignore = "a whole guest that installs packages"]
fn a_server_lives_from_its_package() {
    let test = "a_server_lives_from_its_package";
    if !Uid::effective().is_root() {
        return skip(test, "mmdebstrap builds the guest as root");
    }
    let out = tempfile::tempdir().unwrap();
    let of =
        |version| built(&out.path().join(version), &["deb"], &[("VERSION", version)]).remove(0);
    let packages = [of("0.0.9"), of("1.2.3")];
    let live = match Image::build(None) {
        Ok(image) => image,
        Err(why) => return skip(test, &why),
    };
    let image = match image(out.path(), &packages, &live) {
        Ok(image) => image,
        Err(why) => return skip(test, &format!("the guest's image cannot be built: {why}")),
    };
    let cable = out.path().join("cable");
    let hardware = Hardware { mebibytes: 3072, outward: Some(&cable) };
    let mut guest = Guest::boot_with(&image, Vec::new(), &hardware);
    guest.ok(CLIENT);

    // Three commands: install, init, open the page.
    let said = guest.ok("dpkg -i /packages/rackstrap_0.0.9-1_amd64.deb");
    assert!(said.contains("\"rackstrap init\" configures and starts it."), "{said}");
    assert_eq!(guest.run("systemctl is-active rackstrap").0.trim(), "inactive");
    let (said, code) = guest.run(&format!("{} 2>&1", INIT.replace("srv0", "eth9")));
    assert!(
        code == 1 && said.contains("does not exist") && said.contains("srv0"),
        "{code}: {said}"
    );
    assert_eq!(guest.run("grep -q '^interfaces = .*eth9' /etc/rackstrap/rackstrap.toml").1, 1);
    let said = guest.ok(INIT);
    assert!(said.contains("started rackstrap.service"), "{said}");
    let password = said.lines().find(|line| line.contains("password")).unwrap().to_owned();
    let page = guest.ok(PAGE);
    assert!(page.contains("<form") && page.contains("password"), "{page}");

    // Nothing with a secret is readable by every user.
    let modes = guest.ok("stat -c '%a %U:%G %n' /etc/rackstrap /etc/rackstrap/rackstrap.toml \
                          /var/lib/rackstrap /var/lib/rackstrap/rackstrap.db");
    assert_eq!(
        modes.lines().collect::<Vec<_>>(),
        [
            "2750 root:rackstrap /etc/rackstrap",
            "640 root:rackstrap /etc/rackstrap/rackstrap.toml",
            "750 rackstrap:rackstrap /var/lib/rackstrap",
            "600 rackstrap:rackstrap /var/lib/rackstrap/rackstrap.db",
        ]
    );
    let exposure = guest.ok("systemd-analyze security --no-pager rackstrap | tail -n 1");
    println!("in the guest: {}", exposure.trim());

    // A client is given an address and a boot file, and gets the file.
    let given = guest.ok(ASK);
    println!("the client was given: {}", given.trim());
    let words: Vec<&str> = given.split_whitespace().collect();
    assert!(words.len() == 3 && words[0].starts_with("10.77.0.1"), "{given}");
    let (address, server, file) = (words[0].to_owned(), words[1], words[2]);
    let fetch = format!("ip netns exec client curl -sS tftp://{server}/{file} | wc -c");
    let size: u64 = guest.ok(&fetch).trim().parse().unwrap();
    assert!(size > 50_000, "{file}: {size} bytes");
    let leases = guest.ok("rackstrap lease list");
    assert!(leases.contains(&address), "{leases}");

    // Another guest boots from it.
    guest.ok(&VLAN.replace("OUTWARD", OUTWARD));
    for line in NETBOOT {
        print!("{}", guest.ok(line));
    }
    let started = Instant::now();
    let other = netboot(out.path(), &cable);
    loop {
        let events = guest.ok("sleep 5; rackstrap event list n1");
        if events.contains("gateway 10.78.0.1 answers") {
            assert!(events.contains("on eth0.100"), "{events}");
            break;
        }
        let console = fs::read(out.path().join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        assert!(started.elapsed() < UP, "the other guest is not up:\n{events}\n{console}");
    }
    let took = started.elapsed().as_secs_f64();
    println!("behind a VLAN sub-interface: up and configured {took:.0} s after power-on");
    drop(other);

    // A reload, and an upgrade with a live lease.
    guest.ok(
        "sed -i '1i offer_seconds = 30' /etc/rackstrap/rackstrap.toml; systemctl reload rackstrap",
    );
    let log = guest.ok("sleep 1; journalctl -q --no-pager -u rackstrap");
    assert!(log.contains("configuration reloaded: offer_seconds is now 30"), "{log}");
    // One that cannot be used says so, and changes nothing.
    let broken =
        "sed -i '1i log_levl = \"info\"' /etc/rackstrap/rackstrap.toml; systemctl reload rackstrap";
    assert_ne!(guest.run(broken).1, 0);
    let log = guest.ok("sleep 1; journalctl -q --no-pager -u rackstrap");
    assert!(log.contains("did you mean \"log_level\"?"), "{log}");
    guest.ok("sed -i 1d /etc/rackstrap/rackstrap.toml; systemctl is-active rackstrap");
    let process = guest.ok("systemctl show -p MainPID --value rackstrap");
    guest.ok("dpkg -i /packages/rackstrap_1.2.3-1_amd64.deb");
    assert_eq!(guest.ok("dpkg-query -W -f '${Version}\\n' rackstrap").trim(), "1.2.3-1");
    assert_ne!(guest.ok("systemctl show -p MainPID --value rackstrap"), process);
    assert_eq!(guest.ok("systemctl is-active rackstrap").trim(), "active");
    assert!(guest.ok("rackstrap lease list").contains(&address));
    assert!(guest.ok(ASK).starts_with(&address), "the client keeps its address");
    let config = guest.ok("cat /etc/rackstrap/rackstrap.toml");
    assert!(config.contains("srv0") && config.contains("offer_seconds = 30"), "{config}");

    // Removed, it keeps its data; installed again, it goes on.
    guest.ok("dpkg -r rackstrap");
    assert_eq!(guest.run("systemctl is-active rackstrap").0.trim(), "inactive");
    assert_eq!(guest.run("test -e /usr/bin/rackstrap").1, 1);
    guest.ok("test -e /var/lib/rackstrap/rackstrap.db && test -e /etc/rackstrap/rackstrap.toml");
    guest.ok("dpkg -i /packages/rackstrap_1.2.3-1_amd64.deb");
    assert_eq!(guest.ok("systemctl is-active rackstrap").trim(), "active");
    assert!(guest.ok(ASK).starts_with(&address), "the client keeps its address");
    assert!(guest.ok("rackstrap user list").contains("admin"), "{password}");

    // Purged without a terminal, the data stay, and it is said; asked and told so, they go.
    let said = guest.ok("DEBIAN_FRONTEND=noninteractive dpkg -P rackstrap 2>&1");
    assert!(said.contains("kept in /var/lib/rackstrap"), "{said}");
    guest.ok("test -e /var/lib/rackstrap/rackstrap.db && ! test -e /etc/rackstrap");
    guest.ok("dpkg -i /packages/rackstrap_1.2.3-1_amd64.deb");
    guest.ok("echo 'rackstrap rackstrap/purge-data boolean true' | debconf-set-selections");
    guest.ok("DEBIAN_FRONTEND=noninteractive dpkg -P rackstrap 2>&1");
    guest.ok("! test -e /var/lib/rackstrap && ! test -e /etc/rackstrap");
    let left = guest.run("systemctl list-unit-files --no-pager --no-legend 'rackstrap*'").0;
    assert_eq!(left.trim(), "");
}
