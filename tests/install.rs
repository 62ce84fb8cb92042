//! Boot once: however often a host is powered on, and whenever its server is killed, an armed
//! host is installed exactly once. `RACKSTRAP_RUNS=10` repeats each proof ten times.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rackstrap::bundle::archive::{HostFile, cpio_gz};

use crate::common::dhcp::{Client, DhcpServer, Message, lan_on, wait_for};
use crate::common::disk;
use crate::common::guest::Image;
use crate::common::netns::Netns;
use crate::common::qemu::{Firmware, Guest, Nic};
use crate::common::skip::skip;
use crate::common::store::Store;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  installer: {kernel: di/vmlinuz, initrd: [di/initrd], cmdline: "console=ttyS0 quiet", boot: once}
labels: {database: {protected: true}}
hosts:
  n1: {image: installer, nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
  n2: {image: installer, nics: {eth0: "52:54:00:aa:00:02"}, labels: [database]}
"#;
const MAC: &str = "52:54:00:aa:00:01";
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
const POWER_CYCLES: usize = 10;

/// Where a boot is when the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Discover,
    Offer,
    Program,
    Script,
    Kernel,
    Initrd,
    /// The installer runs: the disk changes.
    Running,
    /// The server has the report, and its answer is lost.
    Report,
}

/// What a power cycle came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The power was cut.
    Cut,
    Installed,
    Disk,
}

/// How often each proof runs.
fn runs() -> usize {
    std::env::var("RACKSTRAP_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn rackstrap(server: &DhcpServer, database: Option<&str>, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path());
    command.args(database.map(|url| format!("--database={url}")));
    command.args(words.split(' ')).output().unwrap()
}

fn arm(server: &DhcpServer, database: Option<&str>) {
    let output = rackstrap(server, database, "host install n1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A host made of this machine's own clients: firmware, iPXE, kernel and installer by turns.
struct Host<'a> {
    clients: &'a Netns,
    client: Client,
    transaction: u8,
    /// How often its disk was erased.
    installs: usize,
}

impl Host<'_> {
    fn ask(
        &mut self,
        server: &mut DhcpServer,
        is_ipxe: bool,
        kill: Option<Stage>,
    ) -> Option<String> {
        let message = |kind: u8, transaction: u8| {
            let mut message = Message::new(kind, HOST)
                .option(55, &[1, 3, 43, 60, 66, 67])
                .option(60, b"PXEClient:Arch:00000:UNDI:002001")
                .option(93, &[0, 0]);
            message.0[4] = transaction;
            match is_ipxe {
                true => message.option(77, b"iPXE").option(175, &[0x13, 1, 1]),
                false => message,
            }
        };
        self.transaction = self.transaction.wrapping_add(1);
        let offer = self.client.ask(&message(1, self.transaction), EVERYBODY).unwrap();
        if kill == Some(Stage::Offer) {
            restart(server);
            return None;
        }
        let request = message(3, self.transaction)
            .option(50, &offer.your_address().octets())
            .option(54, &SERVER.octets());
        let ack = self.client.ask(&request, EVERYBODY).unwrap();
        assert_eq!((offer.boot_file(), offer.option(43)), (ack.boot_file(), ack.option(43)));
        Some(ack.boot_file())
    }

    fn fetch(&self, url: &str) -> Option<()> {
        let output = self.clients.sh(&format!("curl -sSf -m 60 -o /dev/null '{url}'"));
        output.status.success().then_some(())
    }

    fn script(&self, url: &str) -> String {
        let output = self.clients.sh(&format!("curl -sSf -m 20 '{url}'"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends the installer's report once. Whether it was answered with 200.
    fn reports(&self, base: &str, token: &str) -> bool {
        let line = format!(
            "curl -sS -m 5 -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {token}' \
             -d installed {base}/report/{MAC}"
        );
        String::from_utf8(self.clients.sh(&line).stdout).unwrap() == "200"
    }

    /// Powers the host on. At `kill` the server is killed with -9 and started again; before the
    /// installer runs, the host loses its power at the same moment.
    fn power_on(&mut self, server: &mut DhcpServer, kill: &[Stage]) -> Outcome {
        let at = |stage: Stage| kill.contains(&stage);
        if at(Stage::Discover) {
            server.kill();
            self.client.send(&Message::new(1, HOST).option(60, b"PXEClient"), EVERYBODY);
            server.start(&["lan"]);
            return Outcome::Cut;
        }
        let kill_offer = at(Stage::Offer).then_some(Stage::Offer);
        let Some(program) = self.ask(server, false, kill_offer) else { return Outcome::Cut };
        if program.is_empty() {
            return Outcome::Disk;
        }
        if at(Stage::Program) {
            restart(server);
            return Outcome::Cut;
        }
        self.fetch(&format!("tftp://{SERVER}/{program}")).expect("the boot program");
        let url = self.ask(server, true, None).unwrap();
        let script = self.script(&url);
        if script.contains("sanboot") {
            return Outcome::Disk;
        }
        if at(Stage::Script) {
            restart(server);
            return Outcome::Cut;
        }
        let words: Vec<&str> = script.split_whitespace().collect();
        let value = |key: &str| {
            let word = words.iter().find_map(|word| word.strip_prefix(key));
            word.unwrap_or_else(|| panic!("no {key} in {script}")).to_owned()
        };
        let (base, token) = (value("rackstrap.url="), value("rackstrap.token="));
        let files: Vec<&&str> = words.iter().filter(|word| word.contains("/files/")).collect();
        assert_eq!(files.len(), 2, "{script}");
        self.fetch(files[0]).expect("the kernel");
        if at(Stage::Kernel) {
            restart(server);
            return Outcome::Cut;
        }
        if at(Stage::Initrd) {
            // In its middle, however fast this machine is.
            let slow = format!("curl -s -m 20 --limit-rate 4M -o /dev/null '{}'", files[1]);
            let mut curl = self.clients.command("sh").args(["-c", &slow]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(700));
            restart(server);
            assert!(!curl.wait().unwrap().success(), "the initrd came whole");
            return Outcome::Cut;
        }
        self.fetch(files[1]).expect("the initrd");
        self.installs += 1;
        if at(Stage::Running) {
            restart(server);
        }
        if at(Stage::Report) {
            assert!(self.reports(&base, &token));
            restart(server);
        }
        wait_for("the report is taken", || self.reports(&base, &token));
        Outcome::Installed
    }
}

fn restart(server: &mut DhcpServer) {
    server.kill();
    server.start(&["lan"]);
}

/// What the server is killed at in each power cycle: all stages once, three boots in peace.
const SERIES: [&[Stage]; POWER_CYCLES] = [
    &[Stage::Discover],
    &[Stage::Offer],
    &[Stage::Program],
    &[Stage::Script],
    &[Stage::Kernel],
    &[Stage::Initrd],
    &[Stage::Running, Stage::Report],
    &[],
    &[],
    &[],
];

fn ten_power_cycles_install_once(database: Option<&str>) {
    let (mut server, clients) = lan_on(database, SITE, &[MAC]);
    let files = server.directory.path().join("files/di");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("vmlinuz"), "kernel").unwrap();
    // More than the buffers of both sockets hold: else it has left when the server dies.
    std::fs::write(files.join("initrd"), vec![7; 48 << 20]).unwrap();
    server.start(&["lan"]);
    clients.ip(&format!("address add {OWN}/24 dev eth0"));
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut host = Host { clients: &clients, client, transaction: 0, installs: 0 };
    assert_eq!(host.power_on(&mut server, &[]), Disk, "not armed");
    use Outcome::{Cut, Disk, Installed};
    for run in 1..=runs() {
        arm(&server, database);
        // Another process armed it: the server learns it within half a second.
        let armed = Instant::now() + Duration::from_secs(10);
        let mut outcomes = Vec::new();
        for kill in SERIES {
            let mut outcome = host.power_on(&mut server, kill);
            while outcomes.is_empty() && outcome == Disk && Instant::now() < armed {
                std::thread::sleep(Duration::from_millis(100));
                outcome = host.power_on(&mut server, kill);
            }
            outcomes.push(outcome);
        }
        let expected = [Cut, Cut, Cut, Cut, Cut, Cut, Installed, Disk, Disk, Disk];
        assert_eq!(outcomes, expected, "run {run}: {}", server.log());
        assert_eq!(host.installs, run, "installs after {run} runs");
    }
}

#[test]
fn a_host_is_installed_once_whenever_its_server_is_killed() {
    ten_power_cycles_install_once(None);
}

#[tokio::test]
async fn a_host_is_installed_once_on_postgresql_too() {
    let store = Store::postgres().await;
    let url = store.url.clone();
    tokio::task::spawn_blocking(move || ten_power_cycles_install_once(Some(&url))).await.unwrap();
}

/// A server that runs, with an installer, whose host is armed and has its address.
fn armed() -> (DhcpServer, Netns) {
    let (mut server, clients) = lan_on(None, SITE, &[MAC]);
    let files = server.directory.path().join("files/di");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("vmlinuz"), "kernel").unwrap();
    std::fs::write(files.join("initrd"), "initrd").unwrap();
    arm(&server, None);
    server.start(&["lan"]);
    clients.ip(&format!("address add {OWN}/24 dev eth0"));
    (server, clients)
}

#[test]
fn a_boot_that_was_cut_after_its_installer_was_loaded_is_not_repeated() {
    let (mut server, clients) = armed();
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut host = Host { clients: &clients, client, transaction: 0, installs: 0 };
    let url = format!("http://{SERVER}/boot/{MAC}.ipxe");
    host.ask(&mut server, true, None).unwrap();
    let script = host.script(&url);
    for file in script.split_whitespace().filter(|word| word.contains("/files/")) {
        host.fetch(file).unwrap();
    }
    let token = script.split_once("rackstrap.token=").unwrap().1.split_whitespace().next().unwrap();
    // The same iPXE may ask again, as when its kernel does not start.
    assert_eq!(host.script(&format!("{url}?token={token}")), script);
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
    let status = rackstrap(&server, None, "host show n1");
    assert!(status.status.success());
    // A second stage, from the disk, still says that all went well.
    assert!(host.reports(&format!("http://{SERVER}"), token));
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
}

#[test]
fn an_installed_host_that_returns_to_pxe_is_stuck_until_its_system_reports() {
    let (mut server, clients) = armed();
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut host = Host { clients: &clients, client, transaction: 0, installs: 0 };
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Installed);
    let shows = |server: &DhcpServer, text: &str| {
        wait_for(text, || {
            let shown = rackstrap(server, None, "host show n1");
            String::from_utf8_lossy(&shown.stdout).contains(text)
        });
    };
    // The offer and the ACK send it to its disk, and it asks again at once: nothing boots there.
    assert_eq!(host.ask(&mut server, false, None), Some(String::new()));
    for times in ["1 time", "2 times"] {
        std::thread::sleep(Duration::from_millis(3200));
        assert_eq!(host.ask(&mut server, false, None), Some(String::new()));
        shows(&server, &format!("returned to PXE {times}"));
    }
    let report = format!("curl -sS -m 20 -d 'up: bond0' http://{SERVER}/report/{MAC}");
    assert!(clients.sh(&report).status.success());
    let events = rackstrap(&server, None, "event list n1");
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    let first = "has booted from its disk for the first time";
    assert_eq!(events.matches(first).count(), 1, "{events}");
    // The second report is one like any other, and so is the next boot.
    assert!(clients.sh(&report).status.success());
    assert_eq!(host.ask(&mut server, false, None), Some(String::new()));
    let events = rackstrap(&server, None, "event list n1");
    assert_eq!(String::from_utf8_lossy(&events.stdout).matches(first).count(), 1);
    let shown = rackstrap(&server, None, "host show n1");
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("returned to PXE"));
}

/// A rack whose new hosts are installed, one whose hosts wait, and hosts that are not new.
const NEW: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  live: {kernel: di/vmlinuz, initrd: [di/initrd], cmdline: quiet}
  debian: {disk: di/disk.raw}
racks:
  r1: {network: {new-hosts: install debian}}
  r2: {network: {new-hosts: ask}}
hosts:
  n1: {rack: RACK, nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;

/// Starts a server whose only host has never been armed, with the clients that stand for it.
fn new_host(site: &str) -> (DhcpServer, Netns) {
    let (mut server, clients) = lan_on(None, site, &[MAC]);
    let files = server.directory.path().join("files/di");
    std::fs::create_dir_all(&files).unwrap();
    for name in ["vmlinuz", "initrd", "disk.raw"] {
        std::fs::write(files.join(name), name).unwrap();
    }
    server.start(&["lan"]);
    clients.ip(&format!("address add {OWN}/24 dev eth0"));
    (server, clients)
}

#[test]
fn a_new_host_is_armed_once_by_the_policy_of_its_rack() {
    let (mut server, clients) = new_host(&NEW.replace("RACK", "r1"));
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut host = Host { clients: &clients, client, transaction: 0, installs: 0 };
    let url = format!("http://{SERVER}/boot/{MAC}.ipxe");
    // A look at the script from elsewhere arms nothing.
    let events = |server: &DhcpServer| {
        let events = rackstrap(server, None, "event list n1");
        String::from_utf8_lossy(&events.stdout).into_owned()
    };
    assert!(!events(&server).contains("armed"));
    let program = host.ask(&mut server, false, None).unwrap();
    assert!(!program.is_empty(), "it is not sent to its disk");
    let script = host.script(&url);
    assert!(script.contains("rackstrap.token="), "{script}");
    let armed = "new-hosts armed it: its next boot may install debian";
    wait_for("the event is stored", || events(&server).contains(armed));
    let shown = rackstrap(&server, None, "export");
    let site = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(site.contains("image: debian"), "{site}");
    let audit = rackstrap(&server, None, "audit");
    let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.contains("new-hosts"), "{audit}");
    // It installs as if a person had armed it, once.
    let words: Vec<&str> = script.split_whitespace().collect();
    for file in words.iter().filter(|word| word.contains("/files/")) {
        host.fetch(file).unwrap();
    }
    let token = script.split_once("rackstrap.token=").unwrap().1.split_whitespace().next().unwrap();
    wait_for("the report is taken", || host.reports(&format!("http://{SERVER}"), token));
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
    assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
    assert_eq!(events(&server).matches("new-hosts armed it").count(), 1);
    // The same site file once more: it leaves the image to the inventory.
    let file = server.directory.path().join("site-again.yaml");
    std::fs::write(&file, NEW.replace("RACK", "r1")).unwrap();
    let applied = rackstrap(&server, None, &format!("apply {}", file.display()));
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    let shown = rackstrap(&server, None, "export");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("image: debian"));
}

#[test]
fn a_new_host_waits_where_the_policy_asks_or_something_forbids_it() {
    let protected = NEW.replace("rack: RACK", "rack: r1, protected: true");
    let cancelled = NEW.replace("rack: RACK", "rack: r1, image: debian");
    for (name, site) in [
        ("ask", NEW.replace("RACK", "r2")),
        ("protected", protected),
        ("cancelled by hand", cancelled),
    ] {
        let (mut server, clients) = new_host(&site);
        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        let mut host = Host { clients: &clients, client, transaction: 0, installs: 0 };
        if name == "cancelled by hand" {
            arm(&server, None);
            assert!(rackstrap(&server, None, "host install n1 --cancel").status.success());
            // Another process did it: the server learns it within half a second.
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(host.power_on(&mut server, &[]), Outcome::Disk);
            continue;
        }
        host.ask(&mut server, false, None).unwrap();
        let script = host.script(&format!("http://{SERVER}/boot/{MAC}.ipxe"));
        assert!(script.contains("n1 has no image to boot"), "{name}: {script}");
        assert!(!script.contains("rackstrap.token="), "{name}: {script}");
    }
}

#[test]
fn arming_says_what_it_does_and_is_refused_where_it_is_protected() {
    let (server, _clients) = lan_on(None, SITE, &[MAC]);
    let files = server.directory.path().join("files/di");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("vmlinuz"), "kernel").unwrap();
    let run = |words: &str| {
        let output = rackstrap(&server, None, words);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let (armed, text) = run("host install n1");
    assert!(!armed && text.contains("image installer of host n1 cannot be booted"), "{text}");
    std::fs::write(files.join("initrd"), "initrd").unwrap();
    let (armed, text) = run("host install n1");
    assert!(
        armed && text.contains("its next boot installs installer and erases its disk"),
        "{text}"
    );
    let (cancelled, text) = run("host install n1 --cancel");
    assert!(cancelled && text.contains("install cancelled"), "{text}");
    let (cancelled, text) = run("host install n1 --cancel");
    assert!(!cancelled && text.contains("nothing to cancel"), "{text}");
    let (armed, text) = run("host install n2");
    assert!(!armed && text.contains("host n2 is protected"), "{text}");
}

/// The installer of the guest: it asks whether it may begin, marks the disk, says so, and ends.
const INSTALLER: &str = r#"#!/usr/bin/sh
PATH=/usr/bin:/usr/sbin
box() { /usr/bin/busybox "$@"; }
box mount -t proc proc /proc
box mount -t sysfs sysfs /sys
box mount -t devtmpfs devtmpfs /dev
modprobe -a virtio_pci virtio_net virtio_blk
for word in $(box cat /proc/cmdline); do
    case $word in
        rackstrap.url=*) url=${word#*=} ;;
        rackstrap.token=*) token=${word#*=} ;;
    esac
done
until [ -e /sys/class/net/eth0 ] && [ -e /dev/vda ]; do box sleep 1; done
ip address add 10.77.0.12/24 dev eth0
ip link set eth0 up
report() {
    curl -sSf -m 5 -o /dev/null -H "Authorization: Bearer $token" -d "$1" \
        "$url/report/52:54:00:aa:00:01"
}
tries=0
until report installing; do
    tries=$((tries + 1))
    [ $tries = 60 ] && box reboot -f
    box sleep 1
done
echo INSTALLER RUNS >/dev/console
count=$(box dd if=/dev/vda bs=512 skip=128 count=1 2>/dev/null | box tr -d '\0' | box wc -c)
printf I | box dd of=/dev/vda bs=1 seek=$((65536 + count)) conv=notrunc 2>/dev/null
box sync
until report installed; do box sleep 1; done
echo INSTALLER ENDS >/dev/console
box reboot -f
"#;

/// The initramfs of the lab's guests with [`INSTALLER`] in place of its init.
fn installer_initrd(image: &Image, at: &Path) {
    let init = HostFile { path: "/init".into(), mode: 0o755, text: INSTALLER.into() };
    let mut initrd = std::fs::read(image.initrd()).unwrap();
    initrd.extend(cpio_gz(&[init]).unwrap());
    std::fs::write(at, initrd).unwrap();
}

/// How often the guest's disk was installed.
fn marks(disk: &Path) -> usize {
    let bytes = std::fs::read(disk).unwrap();
    bytes[65536..66048].iter().filter(|byte| **byte == b'I').count()
}

#[test]
#[ignore = "ten power cycles of a whole guest"]
fn a_virtual_host_is_installed_once_whenever_its_server_is_killed() {
    const LIMIT: Duration = Duration::from_secs(240);
    let image = match Image::build(None) {
        Ok(image) => image,
        Err(error) => return skip("install on a virtual host", &error),
    };
    let site = SITE.replace("boot: once", "boot: once, install-begins: reported");
    let (mut server, _clients) = lan_on(None, &site, &["52:54:00:cc:00:01"]);
    let files = server.directory.path().join("files/di");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::copy(image.kernel(), files.join("vmlinuz")).unwrap();
    installer_initrd(&image, &files.join("initrd"));
    server.inside.ip("tuntap add tap0 mode tap");
    server.inside.ip("link set tap0 master lan up");
    let directory = tempfile::tempdir().unwrap();
    let disk: PathBuf = directory.path().join("disk");
    disk::bios(&disk);
    server.start(&["lan"]);
    let nics = [Nic { tap: "tap0", mac: MAC }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for run in 1..=runs() {
        arm(&server, None);
        std::thread::sleep(Duration::from_secs(2));
        for cycle in 1..=POWER_CYCLES {
            let began = Instant::now();
            let before = server.log().len();
            let reached = |server: &DhcpServer, text: &str| server.log()[before..].contains(text);
            // Longer than elsewhere: a guest is slow where others have the processor.
            let wait_until = |server: &DhcpServer, text: &str| {
                let end = Instant::now() + LIMIT;
                while !reached(server, text) {
                    assert!(Instant::now() < end, "never: {text}\n{}", server.log());
                    std::thread::sleep(Duration::from_millis(20));
                }
            };
            let guest = |server: &DhcpServer| {
                let _inside = runtime.enter();
                Guest::with_disk(&server.inside, &Firmware::Bios, &nics, &disk)
            };
            // Where this boot loses its power, and the server its life.
            let cut_at = match cycle {
                2 => Some("offer: "),
                3 => Some("ack: "),
                4 => Some("GET /boot/"),
                5 => Some("GET /files/di/vmlinuz"),
                6 => Some("GET /files/di/initrd"),
                _ => None,
            };
            match (cycle, cut_at) {
                (1, _) => {
                    server.kill();
                    let guest = guest(&server);
                    std::thread::sleep(Duration::from_secs(4));
                    drop(guest);
                    server.start(&["lan"]);
                }
                (_, Some(text)) => {
                    let guest = guest(&server);
                    wait_until(&server, text);
                    server.kill();
                    drop(guest);
                    server.start(&["lan"]);
                }
                (7, _) => {
                    let mut guest = guest(&server);
                    runtime.block_on(guest.wait_for(&["INSTALLER RUNS"], LIMIT));
                    restart(&mut server);
                    wait_until(&server, "POST /report/");
                    restart(&mut server);
                    runtime.block_on(guest.wait_for(&["INSTALLER ENDS"], LIMIT));
                }
                _ => {
                    let mut guest = guest(&server);
                    runtime.block_on(guest.wait_for(&[disk::STARTED], LIMIT));
                }
            }
            println!("run {run}, power cycle {cycle}: {:.1} s", began.elapsed().as_secs_f64());
            // QEMU lets go of the tap and of the disk.
            std::thread::sleep(Duration::from_secs(1));
            let expected = if cycle < 7 { run - 1 } else { run };
            assert_eq!(marks(&disk), expected, "run {run}, power cycle {cycle}");
        }
    }
    println!("{} runs of {POWER_CYCLES} power cycles: {} installs", runs(), marks(&disk));
}
