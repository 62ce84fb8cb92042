//! Firmware with Secure Boot, and firmware of arm64, from power-on to a live system with its
//! configuration, and to the local disk; behind relays, VLANs and beside another DHCP server. What is booted is in `docs/guide/firmware.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::dhcp::{DhcpServer, Running, lan, start, wait_for};
use crate::common::guest::Image;
use crate::common::netns::Netns;
use crate::common::skip::skip;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.1
    conflict-probe: off
    boot-files: {x64: signed/shimx64.efi}
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  far: {cidr: 10.78.0.0/24, gateway: 10.78.0.1, ranges: [{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]}
profiles:
  far: {nics: {eth0: {subnet: far}}}
  plain: {nics: {eth0: {subnet: provisioning}}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
  arm: {kernel: live-arm64/vmlinuz, initrd: [live-arm64/initrd.img], cmdline: "console=ttyAMA0"}
  disk: {local: true}
  debian: {disk: images/debian.raw.zst, live-system: deploy}
  deploy: {kernel: deploy/vmlinuz, initrd: [deploy/initrd.img], cmdline: "console=ttyS0"}
  debian-arm64: {disk: images/debian-arm64.raw.zst, live-system: arm}
hosts:
  live: {profile: plain, image: live, addresses: {eth0: 10.77.0.11}, nics: {eth0: "52:54:00:aa:00:01"}}
  menu: {image: disk, nics: {eth0: "52:54:00:aa:00:02"}}
  chain: {image: disk, local-boot: sanboot, nics: {eth0: "52:54:00:aa:00:03"}}
  arm: {profile: plain, image: arm, addresses: {eth0: 10.77.0.14}, nics: {eth0: "52:54:00:aa:00:04"}}
  installed: {profile: plain, image: debian, addresses: {eth0: 10.77.0.16}, nics: {eth0: "52:54:00:aa:00:06"}}
  ipxe: {profile: plain, image: live, boot-file: snponly.efi, addresses: {eth0: 10.77.0.17}, nics: {eth0: "52:54:00:aa:00:07"}}
  far: {profile: far, image: live, boot-file: snponly.efi, addresses: {eth0: 10.78.0.19}, nics: {eth0: "52:54:00:aa:00:09"}}
  installed-arm: {profile: plain, image: debian-arm64, addresses: {eth0: 10.77.0.18}, nics: {eth0: "52:54:00:aa:00:08"}}
  signed-arm: {profile: plain, image: arm, boot-file: signed/shimaa64.efi, addresses: {eth0: 10.77.0.15}, nics: {eth0: "52:54:00:aa:00:05"}}
"#;

/// How long a guest may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(1500);
/// What the disk's own GRUB says.
const DISK_STARTED: &str = "DISK HAS STARTED";

/// How firmware asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Pxe,
    Http,
    /// HTTP boot by HTTPS; it trusts the server's CA.
    Https,
    /// PXE over IPv6 alone.
    PxeV6,
}

/// A guest without its host's processor: what it is emulated as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    /// OVMF without Secure Boot.
    X64,
    /// OVMF with Microsoft's keys and Secure Boot.
    SecureX64,
    /// AAVMF.
    Arm64,
    /// AAVMF with Microsoft's keys and Secure Boot.
    SecureArm64,
}

/// The disk of a guest.
#[derive(Clone, Copy)]
enum Disk<'a> {
    File(&'a Path),
    /// A directory that is shown as a disk with a FAT file system.
    Directory(&'a Path),
}

/// A running guest; ended when dropped.
struct Guest {
    process: Child,
    console: PathBuf,
    started: Instant,
}

impl Guest {
    fn start(
        server: &DhcpServer,
        machine: Machine,
        by: Protocol,
        mac: &str,
        disk: Option<Disk<'_>>,
    ) -> Self {
        Self::start_at(server, (&server.inside, "lan"), (machine, by), mac, disk)
    }

    /// The same, with its cable to a bridge of another namespace.
    fn start_at(
        server: &DhcpServer,
        (rack, bridge): (&Netns, &str),
        (machine, by): (Machine, Protocol),
        mac: &str,
        disk: Option<Disk<'_>>,
    ) -> Self {
        let directory = server.directory.path();
        let (variables, console) = (directory.join("variables"), directory.join("console"));
        let (program, code, settings) = match machine {
            Machine::X64 => ("qemu-system-x86_64", "OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
            Machine::SecureX64 => {
                ("qemu-system-x86_64", "OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.ms.fd")
            }
            Machine::Arm64 => ("qemu-system-aarch64", "AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"),
            Machine::SecureArm64 => {
                ("qemu-system-aarch64", "AAVMF/AAVMF_CODE.ms.fd", "AAVMF/AAVMF_VARS.ms.fd")
            }
        };
        fs::copy(Path::new("/usr/share").join(settings), &variables).unwrap();
        rack.ip("tuntap add tap0 mode tap");
        rack.ip(&format!("link set tap0 master {bridge} up"));
        let mut qemu = rack.command(program);
        qemu.args(["-accel", "tcg,thread=multi", "-m", "1024", "-display", "none", "-nodefaults"]);
        match machine {
            Machine::X64 => qemu.args(["-machine", "q35,graphics=off", "-cpu", "qemu64"]),
            Machine::SecureX64 => qemu
                .args(["-machine", "q35,smm=on,graphics=off", "-cpu", "qemu64"])
                .args(["-global", "driver=cfi.pflash01,property=secure,value=on"]),
            _ => qemu.args(["-machine", "virt", "-cpu", "cortex-a57"]),
        };
        qemu.args(["-drive", &format!("if=pflash,format=raw,readonly=on,file=/usr/share/{code}")]);
        qemu.args(["-drive", &format!("if=pflash,format=raw,file={}", variables.display())]);
        qemu.arg("-serial").arg(format!("file:{}", console.display()));
        qemu.args([
            "-device",
            "virtio-rng-pci",
            "-netdev",
            "tap,id=n,ifname=tap0,script=no,downscript=no",
        ]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev=n,mac={mac},bootindex=0,romfile=")]);
        let without_pxe: &[&str] = match by {
            Protocol::Pxe => &[],
            Protocol::Http | Protocol::Https => &["IPv4", "IPv6"],
            Protocol::PxeV6 => &["IPv4"],
        };
        for family in without_pxe {
            qemu.args(["-fw_cfg", &format!("opt/org.tianocore/{family}PXESupport,string=n")]);
        }
        if by == Protocol::Https {
            let authorities = directory.join("cacerts.esl");
            fs::write(&authorities, rackstrap_bytes(server, &["ca", "export", "--format", "esl"]))
                .unwrap();
            let given = format!("name=etc/edk2/https/cacerts,file={}", authorities.display());
            qemu.args(["-fw_cfg", &given]);
        }
        let file = match disk {
            // What is installed restarts.
            Some(Disk::File(path)) => Some(path.display().to_string()),
            Some(Disk::Directory(path)) => Some(format!("fat:rw:{}", path.display())),
            None => None,
        };
        if !matches!(disk, Some(Disk::File(_))) {
            qemu.arg("-no-reboot");
        }
        if let Some(file) = file {
            qemu.args(["-drive", &format!("if=none,format=raw,id=d,file={file}")]);
            qemu.args(["-device", "virtio-blk-pci,drive=d,bootindex=9"]);
        }
        let process = qemu.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        Self { process, console, started: Instant::now() }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Waits until something is so; panics with what the console showed.
    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> Duration {
        loop {
            let shown = self.shown();
            if is_so(&shown) {
                return self.started.elapsed();
            }
            let tail: String =
                shown.chars().skip(shown.chars().count().saturating_sub(6000)).collect();
            assert!(
                self.process.try_wait().unwrap().is_none(),
                "the guest ended without {what}:\n{tail}"
            );
            assert!(self.started.elapsed() < LIMIT, "{what} is not so after {LIMIT:?}:\n{tail}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where `tests/tools/get-signed.sh` has put signed programs; none, and the test is skipped, without them.
fn signed(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/tools/get-signed.sh")).output().unwrap();
    if !output.status.success() {
        skip(
            test,
            &format!(
                "Debian 13 is not in apt's mirror: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        );
        return None;
    }
    Some(root.join("target/signed"))
}

fn server_with(programs: &Path) -> DhcpServer {
    let (server, _clients) = lan(SITE, &[]);
    let files = server.directory.path().join("files");
    fs::create_dir_all(files.join("signed")).unwrap();
    for name in ["shimx64.efi", "grubx64.efi", "shimaa64.efi", "grubaa64.efi"] {
        fs::copy(programs.join(name), files.join("signed").join(name)).unwrap();
    }
    fs::copy(programs.join("ipxe-arm64.efi"), files.join("ipxe-arm64.efi")).unwrap();
    server
}

/// Waits until the host has its configuration and reports that it is up.
fn wait_until_up(server: &DhcpServer, guest: &mut Guest, host: &str, boot: &str) {
    wait_for_report(server, guest, host, boot);
    let events = server.events_of(host);
    for file in ["/vmlinuz to ", "/initrd.img to ", "configuration (initrd) to "] {
        assert!(events.iter().any(|event| event.contains(file)), "{file}: {events:#?}");
    }
}

fn wait_for_report(server: &DhcpServer, guest: &mut Guest, host: &str, boot: &str) {
    let took = guest.wait("the host reports that it is up", |_| {
        let answers = |event: &String| event.contains("gateway 10.7") && event.contains(" answers");
        server.events_of(host).iter().any(answers)
    });
    println!("{boot}: up and configured {:.0} s after power-on", took.as_secs_f64());
}

fn live_on_x64(test: &str, by: Protocol) {
    let Some(programs) = signed(test) else { return };
    let image = match Image::build(None) {
        Ok(image) => image,
        Err(why) => return skip(test, &why),
    };
    let mut server = server_with(&programs);
    let live = server.directory.path().join("files/live");
    fs::create_dir_all(&live).unwrap();
    fs::copy(image.kernel(), live.join("vmlinuz")).unwrap();
    fs::copy(image.initrd(), live.join("initrd.img")).unwrap();
    server.start(&["lan"]);
    let mut guest = Guest::start(&server, Machine::SecureX64, by, "52:54:00:aa:00:01", None);
    guest.wait("Secure Boot is enabled", |shown| shown.contains("Secure boot enabled"));
    guest.wait("the kernel is locked down", |shown| {
        shown.contains("Kernel is locked down from EFI Secure Boot")
    });
    wait_until_up(&server, &mut guest, "live", test);
    let log = server.log();
    assert!(!log.contains("snponly.efi") && !log.contains("(iPXE"), "iPXE was not needed: {log}");
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_secure_boot_host_comes_up_by_pxe() {
    live_on_x64("a_secure_boot_host_comes_up_by_pxe", Protocol::Pxe);
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_secure_boot_host_comes_up_by_http_boot() {
    live_on_x64("a_secure_boot_host_comes_up_by_http_boot", Protocol::Http);
}

/// Runs `rackstrap` on the server's data; what it says.
fn rackstrap(server: &DhcpServer, words: &[&str]) -> String {
    String::from_utf8(rackstrap_bytes(server, words)).unwrap()
}

fn rackstrap_bytes(server: &DhcpServer, words: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    let output = command.arg("--data-dir").arg(server.directory.path()).args(words).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    output.stdout
}

/// Builds a disk image as people do, and gives it the name that the site has.
fn build_disk(server: &DhcpServer, words: &[&str], name: &str) {
    let said = rackstrap(server, &[&["image", "build", "disk"], words].concat());
    let (_, path) = said.split_once("disk=").unwrap();
    let files = server.directory.path().join("files");
    let path = files.join(path.split_whitespace().next().unwrap());
    fs::rename(path, files.join("images").join(name)).unwrap();
}

/// Arms a host, installs it once, and waits until it reports from its disk.
fn installs(
    test: &str,
    server: &mut DhcpServer,
    (machine, by): (Machine, Protocol),
    host: &str,
    mac: &str,
) {
    let disk = server.directory.path().join("disk.raw");
    fs::File::create(&disk).unwrap().set_len(4 << 30).unwrap();
    server.start(&["lan"]);
    rackstrap(server, &["host", "install", host]);
    let mut guest = Guest::start(server, machine, by, mac, Some(Disk::File(&disk)));
    if machine == Machine::SecureX64 {
        guest.wait("the live system is locked down", |shown| {
            shown.contains("Kernel is locked down from EFI Secure Boot")
        });
    }
    let has = |what: &str| server.events_of(host).iter().any(|event| event.contains(what));
    let installed = guest.wait("the image is installed", |_| has("has installed debian"));
    let up = guest.wait("the host reports from its disk", |_| {
        has("has booted from its disk for the first time") && has("gateway 10.77.0.1 answers")
    });
    let (installed, up) = (installed.as_secs_f64(), up.as_secs_f64());
    println!("{test}: installed {installed:.0} s, up from its disk {up:.0} s after power-on");
    let events = server.events_of(host);
    let loads = events.iter().filter(|event| event.contains("/vmlinuz to ")).count();
    assert_eq!(loads, 1, "one boot loads the live system: {events:#?}");
}

/// An installation with Secure Boot, and the boot from the disk after it.
fn installs_with_secure_boot(test: &str, by: Protocol) {
    let Some(programs) = signed(test) else { return };
    let mut server = server_with(&programs);
    rackstrap(&server, &["image", "build", "live"]);
    let files = server.directory.path().join("files");
    fs::rename(files.join("live"), files.join("deploy")).unwrap();
    build_disk(&server, &[], "debian.raw.zst");
    installs(test, &mut server, (Machine::SecureX64, by), "installed", "52:54:00:aa:00:06");
    let log = server.log();
    assert!(!log.contains("snponly.efi") && !log.contains("(iPXE"), "iPXE was not needed: {log}");
}

#[test]
#[ignore = "a whole OVMF boot, installed: make test-full"]
fn a_secure_boot_host_is_installed_by_pxe_and_boots_from_its_disk() {
    let test = "a_secure_boot_host_is_installed_by_pxe_and_boots_from_its_disk";
    installs_with_secure_boot(test, Protocol::Pxe);
}

#[test]
#[ignore = "a whole OVMF boot, installed: make test-full"]
fn a_secure_boot_host_is_installed_by_http_boot_and_boots_from_its_disk() {
    let test = "a_secure_boot_host_is_installed_by_http_boot_and_boots_from_its_disk";
    installs_with_secure_boot(test, Protocol::Http);
}

/// Whose iPXE is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ipxe {
    /// The one that this machine has.
    Own,
    Debian13,
}

/// A server with the live system of the lab; none, and the test is skipped, where it cannot be built.
fn server_with_live(test: &str) -> Option<DhcpServer> {
    Some(server_and_rack_with_live(test, &[])?.0)
}

/// The same with the clients' namespace, and an `eth0` in it for a NIC.
fn server_and_rack_with_live(test: &str, nics: &[&str]) -> Option<(DhcpServer, Netns)> {
    let image = match Image::build(None) {
        Ok(image) => image,
        Err(why) => {
            skip(test, &why);
            return None;
        }
    };
    let (server, clients) = lan(SITE, nics);
    let live = server.directory.path().join("files/live");
    fs::create_dir_all(&live).unwrap();
    fs::copy(image.kernel(), live.join("vmlinuz")).unwrap();
    fs::copy(image.initrd(), live.join("initrd.img")).unwrap();
    Some((server, clients))
}

/// Boots a live system by OVMF, PXE and an iPXE.
fn live_by_ipxe(test: &str, whose: Ipxe) {
    let Some(programs) = signed(test) else { return };
    let Some(mut server) = server_with_live(test) else { return };
    if whose == Ipxe::Debian13 {
        let files = server.directory.path().join("files");
        fs::copy(programs.join("snponly.efi"), files.join("snponly.efi")).unwrap();
    }
    server.start(&["lan"]);
    let mac = "52:54:00:aa:00:07";
    let mut guest = Guest::start(&server, Machine::X64, Protocol::Pxe, mac, None);
    wait_until_up(&server, &mut guest, "ipxe", test);
    let program = match whose {
        Ipxe::Own => PathBuf::from("/usr/lib/ipxe/snponly.efi"),
        Ipxe::Debian13 => programs.join("snponly.efi"),
    };
    let kibibytes = fs::metadata(program).unwrap().len() as f64 / 1024.0;
    let sent = format!("sent snponly.efi ({kibibytes:.0} KiB)");
    let events = server.events_of("ipxe");
    assert!(events.iter().any(|event| event.contains(&sent)), "{sent}: {events:#?}");
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_by_the_ipxe_of_this_machine() {
    live_by_ipxe("a_host_comes_up_by_the_ipxe_of_this_machine", Ipxe::Own);
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_by_the_ipxe_of_debian_13() {
    live_by_ipxe("a_host_comes_up_by_the_ipxe_of_debian_13", Ipxe::Debian13);
}

/// Firmware and the iPXE of Debian 13 both trust the server's CA, and fetch nothing by HTTP: its port
/// is closed until the kernel starts.
#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_by_https_boot_and_by_the_ipxe_of_debian_13() {
    let test = "a_host_comes_up_by_https_boot_and_by_the_ipxe_of_debian_13";
    let Some(programs) = signed(test) else { return };
    let Some(mut server) = server_with_live(test) else { return };
    let files = server.directory.path().join("files");
    fs::copy(programs.join("snponly.efi"), files.join("snponly.efi")).unwrap();
    rackstrap(&server, &["ca", "create"]);
    server.set("machine_tls_listen", "[::]:443");
    server.set("https_boot", "10.77.0.0/24");
    server.start(&["lan"]);
    let mac = "52:54:00:aa:00:07";
    let mut guest = Guest::start(&server, Machine::X64, Protocol::Https, mac, None);
    let nft = |line: &str| {
        let output = server.inside.sh(&format!("nft '{line}'"));
        assert!(output.status.success(), "{line}: {output:?}");
    };
    nft("add table netdev test");
    nft("add chain netdev test in { type filter hook ingress device tap0 priority 0; }");
    nft("add rule netdev test in udp dport 69 drop");
    nft("add rule netdev test in tcp dport 80 drop");
    let has = |what: &str| server.events_of("ipxe").iter().any(|event| event.contains(what));
    let program = guest.wait("the boot program is loaded", |_| has("snponly.efi to "));
    let loaded = guest.wait("all is loaded", |_| has("configuration (initrd) to "));
    nft("delete table netdev test");
    let (program, loaded) = (program.as_secs_f64(), loaded.as_secs_f64());
    println!("{test}: iPXE loaded after {program:.0} s, kernel and initrd after {loaded:.0} s");
    wait_until_up(&server, &mut guest, "ipxe", test);
}

/// The MAC of the rack's own router or switch.
const UPLINK: &str = "52:54:00:cc:00:01";

/// dnsmasq in a namespace, without a configuration file; it serves by the time that this returns.
fn dnsmasq(inside: &Netns, directory: &Path, words: &[&str], ready: &str) -> Running {
    let log = directory.join("dnsmasq.log");
    let mut command = inside.command("dnsmasq");
    command.args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--port=0"]);
    command.args(["--conf-file=/dev/null", "--bind-interfaces", "--user=root"]).args(words);
    command.arg(format!("--dhcp-leasefile={}", directory.join("dnsmasq.leases").display()));
    let running = start(&mut command, &log);
    wait_for("dnsmasq serves", || fs::read_to_string(&log).unwrap().contains(ready));
    running
}

/// The relay is dnsmasq's, on the router of the host's rack.
#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_behind_a_relay() {
    let test = "a_host_comes_up_behind_a_relay";
    let Some((mut server, router)) = server_and_rack_with_live(test, &[UPLINK]) else { return };
    router.ip("address add 10.77.0.2/24 dev eth0");
    router.ip("link set eth0 up");
    router.bridge("rack", "10.78.0.1/24");
    assert!(router.sh("echo 1 >/proc/sys/net/ipv4/ip_forward").status.success());
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    server.start(&["lan"]);
    let words = ["--interface=rack", "--interface=eth0", "--dhcp-relay=10.78.0.1,10.77.0.1"];
    let _relay = dnsmasq(&router, server.directory.path(), &words, "DHCP relay");
    let by = (Machine::X64, Protocol::Pxe);
    let mut guest = Guest::start_at(&server, (&router, "rack"), by, "52:54:00:aa:00:09", None);
    wait_until_up(&server, &mut guest, "far", test);
}

/// Addresses are dnsmasq's; the server adds the boot program as a proxy.
#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_beside_another_dhcp_server() {
    let test = "a_host_comes_up_beside_another_dhcp_server";
    let Some((mut server, rack)) = server_and_rack_with_live(test, &[UPLINK]) else { return };
    rack.bridge("rack", "10.77.0.2/24");
    rack.ip("link set eth0 master rack up");
    server.set("proxy_dhcp", "direct");
    server.set("proxy_interfaces", "lan");
    server.start(&["lan"]);
    let words = ["--interface=rack", "--dhcp-range=10.77.0.50,10.77.0.90,255.255.255.0"];
    let _other = dnsmasq(&rack, server.directory.path(), &words, "DHCP, IP range");
    let by = (Machine::X64, Protocol::Pxe);
    let mut guest = Guest::start_at(&server, (&rack, "rack"), by, "52:54:00:aa:00:07", None);
    // Its files go to an address that this server did not give, hence not into the host's events.
    wait_for_report(&server, &mut guest, "ipxe", test);
    let given = fs::read_to_string(server.directory.path().join("dnsmasq.leases")).unwrap();
    assert!(given.contains("52:54:00:aa:00:07"), "dnsmasq gave the address: {given}");
    assert!(server.leases().is_empty(), "this server gave none");
}

/// The server reaches its hosts by a tagged VLAN; their ports have it untagged.
#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_behind_a_vlan_sub_interface_of_the_server() {
    let test = "a_host_comes_up_behind_a_vlan_sub_interface_of_the_server";
    let Some(mut server) = server_with_live(test) else { return };
    if !server.inside.sh("ip link add link lan name probe type vlan id 2").status.success() {
        return skip(test, "this kernel has no VLANs (8021q)");
    }
    for line in [
        // The port of a switch, which has the VLAN untagged on the other ones.
        "ip link add trunk type veth peer name port",
        "ip link add link port name port.100 type vlan id 100",
        "ip link set port.100 master lan",
        "ip link set port up",
        "ip link set port.100 up",
        "ip link set trunk up",
        "ip link add link trunk name trunk.100 type vlan id 100",
        "ip address del 10.77.0.1/24 dev lan",
        "ip address add 10.77.0.1/24 dev trunk.100",
        "ip link set trunk.100 up",
    ] {
        let output = server.inside.sh(line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
    server.start(&["trunk.100"]);
    let mac = "52:54:00:aa:00:07";
    let mut guest = Guest::start(&server, Machine::X64, Protocol::Pxe, mac, None);
    wait_until_up(&server, &mut guest, "ipxe", test);
    let events = server.events_of("ipxe");
    assert!(events.iter().any(|event| event.contains("on trunk.100")), "{events:#?}");
}

/// Boots a live system whose firmware asks over IPv6; what lets DHCP over IPv4 through is called once
/// the boot program was loaded.
fn boots_over_ipv6(test: &str, by: Protocol, program: &str) {
    let Some(mut server) = server_with_live(test) else { return };
    server.inside.ip("address add fd00:77::1/64 dev lan nodad");
    server.start(&["lan"]);
    let mac = "52:54:00:aa:00:07";
    let mut guest = Guest::start(&server, Machine::X64, by, mac, None);
    let nft = |line: &str| {
        let output = server.inside.sh(&format!("nft '{line}'"));
        assert!(output.status.success(), "{line}: {output:?}");
    };
    // Firmware would be served over IPv4 first.
    nft("add table netdev test");
    nft("add chain netdev test in { type filter hook ingress device tap0 priority 0; }");
    nft("add rule netdev test in udp dport 67 drop");
    let loaded = guest.wait("the boot program is loaded", |_| {
        server.log().lines().any(|line| line.contains(program) && !line.contains("DHCPv6"))
    });
    nft("delete table netdev test");
    println!("{test}: boot program loaded {:.0} s after power-on", loaded.as_secs_f64());
    wait_until_up(&server, &mut guest, "ipxe", test);
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_by_pxe_over_ipv6() {
    boots_over_ipv6("a_host_comes_up_by_pxe_over_ipv6", Protocol::PxeV6, "snponly.efi");
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_comes_up_by_http_boot_over_ipv6() {
    boots_over_ipv6("a_host_comes_up_by_http_boot_over_ipv6", Protocol::Http, "/files/snponly.efi");
}

/// A directory that QEMU shows as a disk with Debian's signed loaders.
fn signed_disk(programs: &Path, directory: &Path) {
    let (boot, debian) = (directory.join("EFI/BOOT"), directory.join("EFI/debian"));
    fs::create_dir_all(&boot).unwrap();
    fs::create_dir_all(&debian).unwrap();
    fs::copy(programs.join("shimx64.efi"), boot.join("BOOTX64.EFI")).unwrap();
    fs::copy(programs.join("disk-grubx64.efi"), boot.join("grubx64.efi")).unwrap();
    fs::write(debian.join("grub.cfg"), format!("echo '{DISK_STARTED}'\nsleep 3600\n")).unwrap();
}

#[test]
#[ignore = "two whole OVMF boots: make test-full"]
fn a_secure_boot_host_goes_to_its_disk_by_the_menu_and_by_grub() {
    let test = "a_secure_boot_host_goes_to_its_disk_by_the_menu_and_by_grub";
    let Some(programs) = signed(test) else { return };
    for (host, mac, loads) in
        [("menu", "52:54:00:aa:00:02", false), ("chain", "52:54:00:aa:00:03", true)]
    {
        let mut server = server_with(&programs);
        let disk = server.directory.path().join("disk");
        signed_disk(&programs, &disk);
        server.start(&["lan"]);
        let mut guest = Guest::start(
            &server,
            Machine::SecureX64,
            Protocol::Pxe,
            mac,
            Some(Disk::Directory(&disk)),
        );
        let took = guest.wait("the disk's GRUB runs", |shown| shown.contains(DISK_STARTED));
        println!("{test}, {host}: {:.0} s from power-on to the disk's GRUB", took.as_secs_f64());
        let events = server.events_of(host);
        let loaded = events.iter().any(|event| event.contains("shimx64.efi ("));
        assert_eq!(loaded, loads, "{events:#?}");
    }
}

/// A server for arm64; none, and the test is skipped, where that cannot be emulated.
fn server_for_arm64(test: &str) -> Option<DhcpServer> {
    let needed = ["/usr/bin/qemu-system-aarch64", "/usr/share/AAVMF/AAVMF_CODE.fd"];
    if !needed.iter().all(|path| Path::new(path).exists()) {
        skip(test, "qemu-system-arm and qemu-efi-aarch64 are not installed");
        return None;
    }
    Some(server_with(&signed(test)?))
}

fn live_on_arm64(test: &str, machine: Machine, host: &str, mac: &str) {
    let Some(mut server) = server_for_arm64(test) else { return };
    rackstrap(&server, &["image", "build", "live", "--arch", "arm64"]);
    server.start(&["lan"]);
    let mut guest = Guest::start(&server, machine, Protocol::Pxe, mac, None);
    if machine == Machine::SecureArm64 {
        guest.wait("Secure Boot is enabled", |shown| shown.contains("UEFI Secure Boot is enabled"));
    }
    wait_until_up(&server, &mut guest, host, test);
}

#[test]
#[ignore = "a whole boot on an emulated arm64: make test-full"]
fn an_arm64_host_comes_up_by_ipxe() {
    live_on_arm64("an_arm64_host_comes_up_by_ipxe", Machine::Arm64, "arm", "52:54:00:aa:00:04");
}

#[test]
#[ignore = "a whole boot on an emulated arm64: make test-full"]
fn an_arm64_host_with_secure_boot_comes_up_by_grub() {
    let test = "an_arm64_host_with_secure_boot_comes_up_by_grub";
    live_on_arm64(test, Machine::SecureArm64, "signed-arm", "52:54:00:aa:00:05");
}

#[test]
#[ignore = "an emulated arm64, installed: make test-full"]
fn an_arm64_host_is_installed_and_boots_from_its_disk() {
    let test = "an_arm64_host_is_installed_and_boots_from_its_disk";
    let Ok(agent) = std::env::var("RACKSTRAP_ARM64") else {
        return skip(test, "RACKSTRAP_ARM64 names no rackstrap for arm64, which is the agent");
    };
    if !Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        return skip(test, "qemu-user-static and binfmt-support are not installed or set up");
    }
    let Some(mut server) = server_for_arm64(test) else { return };
    rackstrap(&server, &["image", "build", "live", "--arch", "arm64", "--agent", &agent]);
    match std::env::var("RACKSTRAP_ARM64_DISK") {
        Ok(built) => {
            let images = server.directory.path().join("files/images");
            fs::create_dir_all(&images).unwrap();
            fs::copy(built, images.join("debian-arm64.raw.zst")).unwrap();
        }
        Err(_) => build_disk(&server, &["--arch", "arm64"], "debian-arm64.raw.zst"),
    }
    let arm64 = (Machine::Arm64, Protocol::Pxe);
    installs(test, &mut server, arm64, "installed-arm", "52:54:00:aa:00:08");
}
