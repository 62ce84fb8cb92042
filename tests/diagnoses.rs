//! Every diagnosis of a boot: a client stops at exactly that point before a real server, and the
//! host's page, the lists, the API, the commands and `watch` name the cause.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::lifecycle::stall::Cause;
use serde_json::Value;
use sqlx::Connection;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};
use crate::common::netns::Netns;
use crate::common::tftp::{Raw, read_all};

/// A diagnosis: what the client does, and what is to be said then.
struct Row {
    /// The host, `h01` and so on by its place.
    number: u8,
    /// The cause, as JSON calls it.
    cause: &'static str,
    /// What the sentence has.
    says: &'static str,
    /// The state that is shown.
    state: &'static str,
    /// What the client does, as its last.
    stops: fn(&Rack, &Host),
}

const fn row(number: u8, cause: &'static str, says: &'static str, stops: fn(&Rack, &Host)) -> Row {
    Row { number, cause, says, state: "stuck", stops }
}

const fn failed(
    number: u8,
    cause: &'static str,
    says: &'static str,
    stops: fn(&Rack, &Host),
) -> Row {
    Row { number, cause, says, state: "failed", stops }
}

const ROWS: [Row; 23] = [
    row(1, "asked-once", "it asked once and gave up", |rack, host| {
        // The subnet answers only clients that have asked for 5 s.
        let relay = Ipv4Addr::new(10, 78, 0, 1);
        rack.client.send(&host.discover().address(24, relay), SERVER);
    }),
    row(2, "offer-unheard", "it did not take up the offer", |rack, host| {
        rack.ask(&host.discover());
    }),
    row(3, "offers-unheard", "3 offers, no request: another DHCP server", |rack, host| {
        (0..3).for_each(|_| rack.ask(&host.discover()));
    }),
    row(4, "offers-unheard", "its switch port drops traffic until LACP is up", |rack, host| {
        (0..3).for_each(|_| rack.ask(&host.discover()));
    }),
    row(5, "other-server", "another DHCP server on this network answered it", |rack, host| {
        rack.ask(&host.discover());
        let other = host.request(host.address()).option(54, &[10, 77, 0, 250]);
        rack.client.send(&other, Ipv4Addr::BROADCAST);
    }),
    row(6, "unanswered", "no free address in the subnet", |rack, host| {
        rack.client.send(&host.discover(), Ipv4Addr::BROADCAST);
    }),
    row(7, "nak-unheard", "did not ask again", |rack, host| {
        rack.ask(&host.request(Ipv4Addr::new(10, 77, 0, 222)));
    }),
    row(8, "wrong-address", "the wrong address again and again", |rack, host| {
        (0..3).for_each(|_| rack.ask(&host.request(Ipv4Addr::new(10, 77, 0, 222))));
    }),
    row(9, "fetches-nothing", "it has its address and fetches nothing", |rack, host| {
        rack.acquire(host);
    }),
    row(10, "transfer-unheard", "heard nothing more: a firewall", |rack, host| {
        rack.acquire(host);
        // The port is closed before the answer comes.
        rack.tftp(host).read("boot.efi", &[]);
    }),
    row(11, "program-dead", "the boot program came and did not start", |rack, host| {
        rack.acquire(host);
        rack.fetch_program(host);
    }),
    row(12, "program-loops", "the boot program was fetched 3 times", |rack, host| {
        (0..3).for_each(|_| {
            rack.acquire(host);
            rack.fetch_program(host);
        });
    }),
    row(13, "script-unreachable", "and does not fetch its script", |rack, host| {
        rack.acquire(host);
        rack.fetch_program(host);
        rack.acquire(host);
    }),
    row(14, "host-waits", "h14 has no image to boot", |rack, host| {
        rack.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
    }),
    row(15, "kernel-missing", "the kernel does not come through", |rack, host| {
        rack.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
    }),
    row(16, "initrd-missing", "the kernel came and its initrd does not", |rack, host| {
        rack.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
        rack.get(host, "/files/live/vmlinuz");
    }),
    row(17, "system-silent", "the system does not report", |rack, host| {
        rack.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
        rack.get(host, "/files/live/vmlinuz");
        rack.get(host, "/files/live/initrd.img");
    }),
    failed(18, "host-failed", "no partner on bond0", |rack, host| {
        rack.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
        let url = format!("-d 'failed: no partner on bond0' /report/{}", host.mac_text());
        rack.get(host, &url);
    }),
    failed(19, "install-failed", "the installation failed: ", |rack, host| {
        let bearer = rack.begin_install(host);
        rack.get(host, &format!("{bearer} -d 'failed: no disk' /report/{}", host.mac_text()));
    }),
    row(
        21,
        "returned-to-pxe",
        "returned to PXE 1 time after it was sent to its disk",
        |rack, host| {
            let bearer = rack.begin_install(host);
            rack.get(host, &format!("{bearer} -d installed /report/{}", host.mac_text()));
            rack.return_to_pxe(host);
        },
    ),
    row(22, "no-boot-entry", "its firmware has no boot entry for the disk", |rack, host| {
        let bearer = rack.begin_install(host);
        rack.restart(host, &bearer, "refused");
        rack.return_to_pxe(host);
    }),
    row(23, "never-reported", "the installed system has not reported since", |rack, host| {
        let bearer = rack.begin_install(host);
        rack.restart(host, &bearer, "added");
    }),
    // The last one, for nothing can be stored meanwhile.
    row(20, "request-unanswered", "it asked for the address and was not answered", |rack, host| {
        rack.ask(&host.discover());
        rack.while_locked(|| {
            rack.client.send(&host.request(host.address()), Ipv4Addr::BROADCAST);
        });
    }),
];

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// What silence is normal, in per cent of what is usual: 0.4 s after an offer, 6 s at most.
const PATIENCE_PERCENT: &str = "2";

fn site() -> String {
    let mut site = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, conflict-probe: off}
  late: {cidr: 10.78.0.0/24, conflict-probe: off, min-secs: 5}
racks: {r1: {}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img]}
  system: {kernel: live/vmlinuz, initrd: [live/initrd.img], boot: once}
profiles:
  bonded: {bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad}}}
hosts:
"#
    .to_owned();
    site += &format!("  {}: {{nics: {{eth0: \"{}\"}}}}\n", SPARE.name(), SPARE.mac_text());
    for row in &ROWS {
        let host = Host(row.number);
        let (name, mac, address) = (host.name(), host.mac_text(), host.address());
        let eth1 = match row.number {
            4 => ", eth1: \"52:54:00:ab:00:04\"}, profile: bonded",
            _ => "}",
        };
        let image = match row.number {
            14 => "",
            19 | 21..=23 => "image: system, ",
            _ => "image: live, ",
        };
        let reservations = match row.number {
            6 => String::new(),
            1 => ", reservations: {late: 10.78.0.101}".to_owned(),
            _ => format!(", reservations: {{provisioning: {address}}}"),
        };
        site += &format!(
            "  {name}: {{rack: r1, {image}nics: {{eth0: \"{mac}\"{eth1}{reservations}}}\n"
        );
    }
    site
}

/// A host by its number.
struct Host(u8);

/// A host that stops nowhere: it asks until `watch` shows that it sees what happens.
const SPARE: Host = Host(99);

impl Host {
    fn name(&self) -> String {
        format!("h{:02}", self.0)
    }

    fn mac(&self) -> [u8; 6] {
        [0x52, 0x54, 0, 0xaa, 0, self.0]
    }

    fn mac_text(&self) -> String {
        format!("52:54:00:aa:00:{:02x}", self.0)
    }

    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 100 + self.0)
    }

    /// A DISCOVER of UEFI firmware.
    fn discover(&self) -> Message {
        firmware(Message::new(1, self.mac()))
    }

    /// A REQUEST of UEFI firmware; without option 54, as after a reboot.
    fn request(&self, address: Ipv4Addr) -> Message {
        firmware(Message::new(3, self.mac())).option(50, &address.octets())
    }
}

fn firmware(message: Message) -> Message {
    message.option(60, b"PXEClient:Arch:00007:UNDI:003000").option(93, &[0, 7])
}

/// The server, and the clients' namespace.
struct Rack {
    server: DhcpServer,
    clients: Netns,
    client: Client,
}

impl Rack {
    fn start() -> Self {
        let (mut server, clients) = lan(&site(), &["52:54:00:aa:00:01"]);
        let files = server.directory.path().join("files");
        fs::create_dir_all(files.join("live")).unwrap();
        for name in ["boot.efi", "live/vmlinuz", "live/initrd.img"] {
            fs::write(files.join(name), [7; 4000]).unwrap();
        }
        server.set("boot_patience_percent", PATIENCE_PERCENT);
        server.start(&["lan"]);
        for row in &ROWS {
            clients.ip(&format!("address add {}/24 dev eth0", Host(row.number).address()));
        }
        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        Self { server, clients, client }
    }

    fn ask(&self, message: &Message) {
        assert!(self.client.ask(message, Ipv4Addr::BROADCAST).is_some(), "no answer");
    }

    fn acquire(&self, host: &Host) {
        self.ask(&host.discover());
        self.ask(&host.request(host.address()).option(54, &SERVER.octets()));
    }

    /// Arms a host and has it begin to install; gives the header with its boot's token.
    fn begin_install(&self, host: &Host) -> String {
        self.command(&["host", "install", &host.name()]);
        // The server sees what a command stored within half a second.
        std::thread::sleep(Duration::from_millis(1500));
        self.acquire(host);
        let script = self.get(host, &format!("/boot/{}.ipxe", host.mac_text()));
        let token = script.split("token=").nth(1).expect(&script);
        let token: String = token.chars().take_while(char::is_ascii_alphanumeric).collect();
        format!("-H 'Authorization: Bearer {token}'")
    }

    /// The live system has written the disk and restarts.
    fn restart(&self, host: &Host, bearer: &str, boot_entry: &str) {
        let step = format!("{{\"step\":\"restart\",\"boot_entry\":\"{boot_entry}\"}}");
        self.get(host, &format!("{bearer} -d '{step}' /deploy/{}", host.mac_text()));
        self.get(host, &format!("{bearer} -d installed /report/{}", host.mac_text()));
    }

    /// The firmware is sent to its disk, and asks the network again.
    fn return_to_pxe(&self, host: &Host) {
        self.acquire(host);
        std::thread::sleep(Duration::from_millis(3200));
        self.ask(&host.discover());
    }

    fn tftp(&self, host: &Host) -> Raw {
        Raw::bind(&self.clients, SocketAddr::from((host.address(), 0)))
    }

    fn fetch_program(&self, host: &Host) {
        assert_eq!(read_all(&self.tftp(host), "boot.efi").0.len(), 4000);
        // A program takes longer than that to start.
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Fetches a path of the machine listener from the host's address, with other words of curl
    /// before it.
    fn get(&self, host: &Host, words: &str) -> String {
        let (words, path) = words.rsplit_once(' ').unwrap_or(("", words));
        let curl =
            format!("curl -sS -m 20 --interface {} {words} http://{SERVER}{path}", host.address());
        let output = self.clients.sh(&curl);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{curl}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a command prints of the server's database.
    fn command(&self, words: &[&str]) -> String {
        let output = self.program(words).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut command = self.server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--data-dir").arg(self.server.directory.path()).args(words);
        command.env("RACKSTRAP_BOOT_PATIENCE_PERCENT", PATIENCE_PERCENT);
        command
    }

    /// Does something while another program has the database locked, for longer than the server
    /// waits for it.
    fn while_locked(&self, work: impl FnOnce()) {
        let path = self.server.directory.path().join("rackstrap.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("sqlite:{}", path.display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            // The events so far are stored first.
            std::thread::sleep(Duration::from_secs(1));
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            work();
            std::thread::sleep(Duration::from_secs(12));
            sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// A page or a document of the operator's listener.
    fn page(&self, words: &str) -> String {
        let (words, path) = words.rsplit_once(' ').unwrap_or(("", words));
        let jar = self.server.directory.path().join("cookies");
        let curl = format!(
            "curl -sS -m 30 -b {0} -c {0} {words} 'http://127.0.0.1:8080{path}'",
            jar.display()
        );
        let output = self.server.inside.sh(&curl);
        assert!(output.status.success(), "{curl}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Logs in at the UI.
    fn log_in(&self) {
        let mut set = self.program(&["user", "set", "ada"]).stdin(Stdio::piped()).spawn().unwrap();
        use std::io::Write;
        set.stdin.take().unwrap().write_all(b"cold aisle 42\n").unwrap();
        assert!(set.wait().unwrap().success());
        let form = self.page("/login");
        let (_, rest) = form.split_once("name=\"csrf\" value=\"").unwrap();
        let token = rest.split('"').next().unwrap();
        let fields = format!("-d csrf={token} -d name=ada -d 'password=cold aisle 42' /login");
        self.page(&fields);
    }
}

/// The words of a page, without its markup.
fn plain(html: &str) -> String {
    html.replace("&#39;", "'").replace("&#34;", "\"").replace("&quot;", "\"")
}

#[test]
fn every_cause_has_a_row() {
    let schema = serde_json::to_value(schemars::schema_for!(Cause)).unwrap();
    let variants = schema["oneOf"].as_array().unwrap();
    let name = |variant: &Value| {
        variant["properties"]["cause"]["const"].as_str().expect("a name").to_owned()
    };
    let causes: BTreeSet<String> = variants.iter().map(name).collect();
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.cause.to_owned()).collect();
    assert_eq!(rows, causes);
}

#[test]
fn every_stop_is_diagnosed_everywhere() {
    let rack = Rack::start();
    rack.log_in();
    let watched = rack.server.directory.path().join("watched");
    let mut watch = rack.program(&["watch"]);
    watch.stdout(fs::File::create(&watched).unwrap());
    let mut watch = watch.spawn().unwrap();
    let token = rack.server.token();
    wait_for("watch shows what happens", || {
        rack.client.send(&SPARE.discover(), Ipv4Addr::BROADCAST);
        std::thread::sleep(Duration::from_millis(300));
        fs::read_to_string(&watched).unwrap().contains(&SPARE.name())
    });

    for row in &ROWS {
        (row.stops)(&rack, &Host(row.number));
    }
    let get = |path: &str| -> Value {
        let words = format!("-H 'Authorization: Bearer {token}' /api/v1{path}");
        serde_json::from_str(&rack.page(&words)).unwrap()
    };
    // By the clock: the longest patience is 6 s.
    let end = Instant::now() + Duration::from_secs(30);
    let mut wrong = Vec::new();
    for row in &ROWS {
        let host = Host(row.number).name();
        loop {
            let status = get(&format!("/hosts/{host}/status"));
            let shown = &status["status"];
            let reason = shown["reason"].as_str().unwrap_or_default();
            let is_right = shown["state"] == row.state
                && shown["cause"]["cause"] == row.cause
                && reason.contains(row.says);
            if is_right {
                break;
            }
            if Instant::now() > end {
                wrong.push(format!("{host}, {}: {status}", row.cause));
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), rack.server.log());

    let (list, rack_page) = (plain(&rack.page("/hosts")), plain(&rack.page("/racks/r1")));
    let racks = plain(&rack.page("/racks"));
    let listed = rack.command(&["host", "list"]);
    for row in &ROWS {
        let (host, says) = (Host(row.number).name(), row.says);
        let is_in = |what: &str, text: &str| {
            assert!(text.contains(says), "{what} does not say \"{says}\" of {host}: {text}");
        };
        let page = plain(&rack.page(&format!("/hosts/{host}")));
        is_in("the host's page", &page);
        let state = format!("<span class=\"state {0}\">{0}</span>", row.state);
        assert!(page.contains(&state), "the host's page, {host}: {page}");
        let cell = list.split_once(&format!("data-live=\"state {host}\">")).expect("a cell").1;
        let cell = cell.split_once("</td>").unwrap().0;
        is_in("the list of hosts", cell);
        assert!(cell.contains(&state), "{cell}");
        is_in("the rack's page", &rack_page);
        is_in("the list of racks", &racks);
        let line = listed.lines().find(|line| line.starts_with(&host)).unwrap();
        is_in("host list", line);
        assert!(line.contains(row.state), "{line}");
        is_in("host show", &rack.command(&["host", "show", &host]));
        // What the clock brings about reaches `watch` with its next look.
        let says_so = |said: &str| {
            let mut lines = said.lines().filter(|line| line.contains(&host));
            lines.any(|line| line.contains(&format!("= {}", row.state)) && line.contains(says))
        };
        let end = Instant::now() + Duration::from_secs(10);
        let mut said = String::new();
        while !says_so(&said) {
            assert!(Instant::now() < end, "watch does not say \"{says}\" of {host}: {said}");
            std::thread::sleep(Duration::from_millis(100));
            said = fs::read_to_string(&watched).unwrap();
        }
    }
    // A failure is marked in the timeline, for eyes and for screen readers.
    let page = rack.page("/hosts/h18");
    assert!(page.contains("<li class=\"trouble\">"), "{page}");
    assert!(page.contains("Report</strong><span class=\"unseen\">: failed</span>"), "{page}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}
