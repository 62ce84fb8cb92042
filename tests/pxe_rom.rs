//! A BIOS host whose NIC has a plain PXE ROM: Debian's undionly.kpxe comes by TFTP and
//! fetches its script through the ROM's own driver (UNDI, PXE 2.1 section 4).

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::dhcp::{Client, DhcpServer, Message, Reply, lan, options};
use crate::common::guest::Image;
use crate::common::netns::Netns;
use crate::common::qemu::Guest;
use crate::common::skip::skip;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  behind-relay:
    cidr: 10.78.0.0/24
    gateway: 10.78.0.1
    ranges: [{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]
profiles:
  plain: {nics: {eth0: {subnet: behind-relay}}}
images:
  menu: {script: menu.ipxe}
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
hosts:
  n1: {image: menu, nics: {eth0: "52:54:00:aa:00:01"}}
  n2: {profile: plain, image: live, addresses: {eth0: 10.78.0.12}, nics: {eth0: "52:54:00:aa:00:02"}}
"#;

const MAC: &str = "52:54:00:aa:00:01";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const LIMIT: Duration = Duration::from_secs(240);
/// How long a whole boot may take on a busy machine.
const BOOT: Duration = Duration::from_secs(1200);
/// How long either side of the relay is listened to before the other has its turn.
const TURN: Duration = Duration::from_millis(20);
const ACK: u8 = 5;

/// A relay agent on the way of a host whose ROM is an iPXE, as all of QEMU's are: of the
/// first exchange it takes away what says so, and the server sees a plain PXE ROM. What
/// undionly.kpxe says afterwards passes as it is. Ends when dropped.
struct Relay(Arc<AtomicBool>);

impl Relay {
    /// Between the clients on `below` and the server on `above`.
    fn start(below: Client, above: Client) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        std::thread::spawn(move || {
            let mut is_rom = true;
            while !told.load(Ordering::Relaxed) {
                if let Some(asked) = below.next(TURN) {
                    above.send(&relayed(&asked, is_rom), SERVER);
                }
                if let Some(answer) = above.next(TURN) {
                    below.pass(&answer.0, Ipv4Addr::BROADCAST, 68);
                    is_rom &= answer.kind() != ACK;
                }
            }
        });
        Self(ends)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client's words as the relay passes them on. iPXE names itself in its user class (77)
/// and in its own options (175).
fn relayed(asked: &Reply, is_rom: bool) -> Message {
    let header = Message(asked.0[..240].to_vec()).address(24, RELAY);
    let kept =
        options(&asked.0).into_iter().filter(|(code, _)| !is_rom || ![77, 175].contains(code));
    kept.fold(header, |message, (code, data)| message.option(code, data))
}

/// A server on `eth0` of the rack's router, behind which hosts are on `host0`. Both route.
fn behind_a_router() -> (DhcpServer, Netns) {
    let (server, rack) = lan(SITE, &["52:54:00:cc:00:01"]);
    rack.ip("address add 10.77.0.2/24 dev eth0");
    rack.ip("tuntap add host0 mode tap");
    rack.ip("address add 10.78.0.1/24 dev host0");
    rack.ip("link set host0 up");
    assert!(rack.sh("echo 1 >/proc/sys/net/ipv4/ip_forward").status.success());
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    (server, rack)
}

fn relay(rack: &Netns) -> Relay {
    let any = Ipv4Addr::UNSPECIFIED;
    let below = Client::bind(rack, any, 67, Some("host0"));
    Relay::start(below, Client::bind(rack, any, 67, Some("eth0")))
}

#[test]
#[ignore = "a whole boot: make test-full"]
fn a_plain_pxe_rom_behind_a_relay_brings_a_live_system_up() {
    let test = "a_plain_pxe_rom_behind_a_relay_brings_a_live_system_up";
    let image = match Image::build(None) {
        Ok(image) => image,
        Err(why) => return skip(test, &why),
    };
    let (mut server, rack) = behind_a_router();
    let live = server.directory.path().join("files/live");
    fs::create_dir_all(&live).unwrap();
    fs::copy(image.kernel(), live.join("vmlinuz")).unwrap();
    fs::copy(image.initrd(), live.join("initrd.img")).unwrap();
    server.start(&["lan"]);
    let _relay = relay(&rack);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let mut guest =
        runtime.block_on(async { Guest::bios_of(&rack, "host0", "52:54:00:aa:00:02", "1024") });
    let has = |what: &str| server.events_of("n2").iter().any(|event| event.contains(what));
    while !has("gateway 10.78.0.1 answers") {
        assert!(started.elapsed() < BOOT, "{}\n{:#?}", guest.shown, server.events_of("n2"));
        runtime.block_on(guest.look(Duration::from_secs(2)));
    }
    for file in ["sent undionly.kpxe (", "/vmlinuz to ", "/initrd.img to "] {
        assert!(has(file), "{file}: {:#?}", server.events_of("n2"));
    }
    let took = started.elapsed().as_secs_f64();
    println!("{test}: up and configured {took:.0} s after power-on");
}

#[test]
fn a_plain_pxe_rom_starts_undionly_which_boots_by_the_roms_own_driver() {
    let (mut server, rack) = behind_a_router();
    let files = server.directory.path().join("files");
    fs::create_dir_all(&files).unwrap();
    let menu = "#!ipxe\necho MENU OF ${rackstrap-mac}.\nsleep 600\n";
    fs::write(files.join("menu.ipxe"), menu).unwrap();
    server.start(&["lan"]);
    let _relay = relay(&rack);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut guest = Guest::bios_on_tap(&rack, "host0", MAC);
        let driver = format!("{MAC} using undionly on ");
        let menu = format!("MENU OF {MAC}.");
        // The third line is of undionly.kpxe, when it has found the ROM.
        let rom = ["tftp://10.77.0.1/undionly.kpxe... ok", "[PXE-NBP]", "UNDI device is PCI "];
        guest.wait_for(&rom, LIMIT).await;
        guest.wait_for(&[rom[2], &driver, &menu], LIMIT).await;
    });
    let log = server.log();
    for said in ["(BIOS PXE)", "boots undionly.kpxe by TFTP", "(iPXE on BIOS)"] {
        assert!(log.contains(said), "no \"{said}\" in:\n{log}");
    }
    let events = server.events_of("n1");
    assert!(events.iter().any(|text| text.starts_with("sent undionly.kpxe (")), "{events:?}");
}
