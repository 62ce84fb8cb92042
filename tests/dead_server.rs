//! Two servers on one PostgreSQL and a real host on their link: the server that answered is killed while the
//! boot program, the kernel or the initrd is on its way, and the host comes up through the other one.

use std::fs;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::common::dhcp::{DhcpServer, wait_for};
use crate::common::guest::Image;
use crate::common::netns::Netns;
use crate::common::qemu::{Firmware, Guest, Nic};
use crate::common::skip::skip;
use crate::common::store::PostgresServer;
use crate::common::tools;
use crate::virtual_address::{Keepalived, VIRTUAL, holders};

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.200
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
profiles:
  plain: {nics: {eth0: {subnet: provisioning}}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
hosts:
  n1: {profile: plain, image: live, addresses: {eth0: 10.77.0.11}, nics: {eth0: "52:54:00:aa:00:01"}}
"#;
const MAC: &str = "52:54:00:aa:00:01";
/// How long anything of a guest may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);

/// What is on its way when the server is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum During {
    BootProgram,
    Kernel,
    Initrd,
}

/// What hosts fetch from: the server that gave them an address, or the virtual address of the guide.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Server,
    Virtual,
}

impl During {
    /// What the console shows when it begins; the last digit of the server's address is behind the first.
    fn begins(self) -> [&'static str; 2] {
        match self {
            Self::BootProgram => ["Server IP address is 10.77.0.", "Downloading NBP file"],
            Self::Kernel => ["http://10.77.0.", "/files/live/vmlinuz..."],
            Self::Initrd => ["http://10.77.0.", "/files/live/initrd.img..."],
        }
    }

    /// What a server logs when it has sent everything.
    fn sent(self) -> &'static str {
        match self {
            Self::BootProgram => "sent snponly.efi",
            Self::Kernel => "live/vmlinuz to ",
            Self::Initrd => "live/initrd.img to ",
        }
    }

    /// How fast the host's link is, so that a transfer takes some seconds.
    fn rate(self) -> &'static str {
        match self {
            Self::BootProgram => "300kbit burst 4kb",
            Self::Kernel | Self::Initrd => "16mbit burst 64kb",
        }
    }
}

/// A server at 10.77.0.`number` on the link `lan` of `core`.
fn server(core: &Netns, number: u8, url: &str, image: &Image, from: Reached) -> DhcpServer {
    let inside = Netns::new(&format!("boot-{number}"));
    let port = format!("p{number}");
    core.join(&port, &inside, "eth1");
    core.ip(&format!("link set {port} master lan"));
    inside.ip(&format!("address add 10.77.0.{number}/24 dev eth1"));
    let mut server = DhcpServer::on(Some(url), inside, SITE);
    if from == Reached::Virtual {
        server.set("machine_url", &format!("http://{VIRTUAL}"));
    }
    let live = server.directory.path().join("files/live");
    fs::create_dir_all(&live).unwrap();
    fs::copy(image.kernel(), live.join("vmlinuz")).unwrap();
    fs::copy(image.initrd(), live.join("initrd.img")).unwrap();
    server.start(&["eth1"]);
    server
}

/// Which server the console names behind the last `words`.
fn named(shown: &str, [before, after]: [&str; 2]) -> Option<usize> {
    let shown = shown.replace(['\r', '\n'], "");
    let upto = &shown[..shown.rfind(after)?];
    let digit = upto[upto.rfind(before)? + before.len()..].chars().next()?;
    usize::try_from(digit.to_digit(10)?).ok()?.checked_sub(1)
}

fn comes_up(test: &str, during: During, from: Reached) {
    let image = match Image::build(None) {
        Ok(image) => image,
        Err(why) => return skip(test, &why),
    };
    let tool = tools::find("usr/sbin/keepalived", &["--version"]);
    if from == Reached::Virtual && tool.is_none() {
        return skip(test, "keepalived was not unpacked: make tools");
    }
    let postgres = PostgresServer::start();
    let core = Netns::new("core");
    core.bridge("lan", "10.77.0.200/24");
    core.ip("tuntap add tap0 mode tap");
    core.ip("link set tap0 master lan up");
    let mut servers: Vec<DhcpServer> =
        [1, 2].map(|number| server(&core, number, &postgres.url(), &image, from)).into();
    let tool = tool.filter(|_| from == Reached::Virtual);
    let _keepalived: Vec<Keepalived> = tool
        .iter()
        .flat_map(|tool| servers.iter().map(|server| Keepalived::start(tool, server)))
        .collect();
    if from == Reached::Virtual {
        wait_for("one server has the virtual address", || holders(&servers).len() == 1);
    }
    let slow =
        core.sh(&format!("tc qdisc add dev tap0 root tbf rate {} latency 2s", during.rate()));
    assert!(slow.status.success(), "{slow:?}");

    let directory = tempfile::tempdir().unwrap();
    let variables = directory.path().join("variables");
    fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).unwrap();
    let (empty, raw) = (directory.path().join("empty"), directory.path().join("raw"));
    fs::create_dir(&empty).unwrap();
    fs::File::create(&raw).unwrap().set_len(1 << 20).unwrap();
    // QEMU's ROM under BIOS is an iPXE already; firmware with UEFI loads its boot program by TFTP.
    let (firmware, disk) = match during {
        During::BootProgram => (Firmware::Uefi { variables: &variables, ipv6: false }, &empty),
        During::Kernel | During::Initrd => (Firmware::Bios, &raw),
    };
    let runtime: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nics = [Nic { tap: "tap0", mac: MAC }];
    let mut guest = runtime.block_on(async { Guest::with_disk(&core, &firmware, &nics, disk) });
    runtime.block_on(async {
        guest.wait_for(&during.begins(), LIMIT).await;
        guest.look(Duration::from_millis(1500)).await;
    });
    let killed = match from {
        Reached::Server => named(&guest.shown, during.begins()).expect(&guest.shown),
        Reached::Virtual => holders(&servers)[0],
    };
    servers[killed].kill();
    let (at, before) = (Instant::now(), guest.shown.len());
    let log = servers[killed].log();
    assert!(!log.contains(during.sent()), "it was sent before the server was killed:\n{log}");
    assert!(core.sh("tc qdisc del dev tap0 root").status.success());

    let other = &servers[1 - killed];
    let (mut kernel, mut initrd) = (None, None);
    let up = loop {
        runtime.block_on(guest.look(Duration::from_secs(1)));
        let said = other.log();
        let has = |what: &str| said.contains(what).then(|| at.elapsed());
        kernel = kernel.or_else(|| has(During::Kernel.sent()));
        initrd = initrd.or_else(|| has(During::Initrd.sent()));
        let events = other.events_of("n1");
        if events.iter().any(|event| event.contains("gateway 10.77.0.200 answers")) {
            break at.elapsed();
        }
        assert!(at.elapsed() < LIMIT, "not up:\n{}\n{events:#?}", guest.shown);
    };
    // What people see at the host: until the kernel starts.
    let shown = guest.shown[before..].replace('\r', "");
    let lines = shown.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let shown: Vec<&str> =
        lines.take_while(|line| !line.contains("Linux version")).take(80).collect();
    println!(
        "{test}: server {} killed; sent by the other: kernel after {kernel:.0?}, initrd after \
         {initrd:.0?}; host up after {up:.0?}; its console:\n{}",
        killed + 1,
        shown.join("\n")
    );
    assert!(initrd.is_some(), "the other server sent the initrd");
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_host_whose_server_dies_during_tftp_comes_up_through_the_other() {
    let test = "a_host_whose_server_dies_during_tftp_comes_up_through_the_other";
    comes_up(test, During::BootProgram, Reached::Server);
}

#[test]
#[ignore = "a whole boot: make test-full"]
fn a_host_whose_server_dies_during_the_kernel_comes_up_through_the_other() {
    let test = "a_host_whose_server_dies_during_the_kernel_comes_up_through_the_other";
    comes_up(test, During::Kernel, Reached::Server);
}

#[test]
#[ignore = "a whole boot: make test-full"]
fn a_host_whose_server_dies_during_the_initrd_comes_up_through_the_other() {
    let test = "a_host_whose_server_dies_during_the_initrd_comes_up_through_the_other";
    comes_up(test, During::Initrd, Reached::Server);
}

#[test]
#[ignore = "a whole boot: make test-full"]
fn a_host_that_fetches_from_the_virtual_address_goes_on_where_it_moves() {
    let test = "a_host_that_fetches_from_the_virtual_address_goes_on_where_it_moves";
    comes_up(test, During::Initrd, Reached::Virtual);
}
