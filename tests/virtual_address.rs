//! The worked example of two servers as the guide has it: a virtual address by real keepalived, relays that
//! point to both servers. One of them is killed, then the database stops answering.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::dhcp::{Client, DhcpServer, Message, wait_for};
use crate::common::netns::Netns;
use crate::common::skip::skip;
use crate::common::store::PostgresServer;
use crate::common::tools::{self, Tool};
use crate::guide::example;

const PAGE: &str = "several-servers.md";
const EXAMPLE: &str = "Worked example: two servers, two racks behind relays";
/// The virtual address of the example.
pub(crate) const VIRTUAL: &str = "10.77.0.10";
pub(crate) const SERVERS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

/// A host beside what the example's site has.
const HOST: &str = r#"
profiles:
  plain: {nics: {eth0: {subnet: rack-a}}}
images:
  live: {kernel: vmlinuz}
hosts:
  n1: {profile: plain, image: live, nics: {eth0: "52:54:00:aa:00:01"}, addresses: {eth0: 10.78.0.11}}
"#;
pub(crate) const MAC: &str = "52:54:00:aa:00:01";

/// keepalived, ended by the signal at which it gives its address up.
pub(crate) struct Keepalived(Child);

impl Drop for Keepalived {
    fn drop(&mut self) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = kill(id, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

impl Keepalived {
    /// Starts it beside a server with the configuration of the guide.
    pub(crate) fn start(tool: &Tool, server: &DhcpServer) -> Self {
        let directory = server.directory.path();
        let place = |name: &str| directory.join(name);
        fs::write(place("keepalived.conf"), example(PAGE, EXAMPLE, "keepalived")).unwrap();
        let log = fs::File::create(place("keepalived.log")).unwrap();
        let mut command = tool.command_in(&server.inside);
        command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--use-file"]);
        command.arg(place("keepalived.conf")).arg("--pid").arg(place("keepalived.pid"));
        command.arg("--vrrp_pid").arg(place("vrrp.pid"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

/// A server of the example in a namespace on the link `lan` of `core`.
fn server(core: &Netns, address: Ipv4Addr, url: &str) -> DhcpServer {
    let [.., number] = address.octets();
    let inside = Netns::new(&format!("boot-{number}"));
    let port = format!("p{number}");
    core.join(&port, &inside, "eth1");
    core.ip(&format!("link set {port} master lan"));
    inside.ip(&format!("address add {address}/24 dev eth1"));
    inside.ip("route add 10.78.0.0/15 via 10.77.0.200");
    let site = example(PAGE, EXAMPLE, "yaml") + HOST;
    let mut server = DhcpServer::on(Some(url), inside, &site);
    let config = server.directory.path().join("config.toml");
    // The database is the test's: the environment goes before the file.
    fs::write(&config, example(PAGE, EXAMPLE, "toml")).unwrap();
    server.set("config", config.to_str().unwrap());
    fs::create_dir_all(server.directory.path().join("files")).unwrap();
    fs::write(server.directory.path().join("files/vmlinuz"), "kernel").unwrap();
    server
}

/// The switch with the relay of the example and the address of n1, and both servers, which serve.
pub(crate) fn two_servers(url: &str) -> (Netns, Vec<DhcpServer>) {
    let core = Netns::new("core");
    core.bridge("lan", "10.77.0.200/24");
    core.bridge("rack78", "10.78.0.1/16");
    core.ip("address add 10.78.0.11/16 dev rack78");
    let mut servers: Vec<DhcpServer> =
        SERVERS.iter().map(|address| server(&core, *address, url)).collect();
    for server in &mut servers {
        server.start(&[]);
        server.wait_for_log("serving DHCP");
    }
    (core, servers)
}

/// Which of the servers have the virtual address.
pub(crate) fn holders(servers: &[DhcpServer]) -> Vec<usize> {
    let has = |server: &DhcpServer| {
        let shown = server.inside.sh("ip -4 -o address show dev eth1");
        String::from_utf8_lossy(&shown.stdout).contains(&format!(" {VIRTUAL}/"))
    };
    (0..servers.len()).filter(|index| has(&servers[*index])).collect()
}

/// What the host n1 gets from the virtual address; none if that fails.
fn fetch(core: &Netns, path: &str) -> Option<String> {
    let line = format!("curl -sf -m 2 --interface 10.78.0.11 http://{VIRTUAL}{path}");
    let output = core.sh(&line);
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A client behind the relay that points to both servers gets a lease, by as many tries as it takes.
pub(crate) fn lease(relay: &Client, number: u8) -> Ipv4Addr {
    let mac = [0x52, 0x54, 0, 0xdd, 0, number];
    let end = Instant::now() + Duration::from_secs(20);
    for attempt in 0.. {
        assert!(Instant::now() < end, "client {number} is not served");
        let ask = |kind: u8, options: &[(u8, Vec<u8>)]| {
            let mut message = Message::new(kind, mac).address(24, RELAY);
            message.0[4] = attempt;
            for (code, data) in options {
                message = message.option(*code, data);
            }
            SERVERS.iter().for_each(|server| relay.send(&message, *server));
            relay.receive(&message, Duration::from_secs(1))
        };
        let Some(offer) = ask(1, &[]) else { continue };
        let wanted = offer.your_address().octets().to_vec();
        let Some(answer) = ask(3, &[(50, wanted), (54, offer.option(54).unwrap())]) else {
            continue;
        };
        let by = answer.option(54).unwrap();
        assert!(SERVERS.iter().any(|server| server.octets() == *by), "server identifier {by:?}");
        if answer.kind() == 5 {
            return answer.your_address();
        }
    }
    unreachable!()
}

#[test]
fn the_worked_example_with_keepalived_goes_on_when_a_server_is_killed() {
    let Some(tool) = tools::find("usr/sbin/keepalived", &["--version"]) else {
        let test = "the_worked_example_with_keepalived_goes_on_when_a_server_is_killed";
        return skip(test, "keepalived was not unpacked: make tools");
    };
    let postgres = PostgresServer::start();
    let (core, mut servers) = two_servers(&postgres.url());
    let _keepalived: Vec<Keepalived> =
        servers.iter().map(|server| Keepalived::start(&tool, server)).collect();
    wait_for("one server has the virtual address", || holders(&servers).len() == 1);
    let relay = Client::bind(&core, RELAY, 67, None);
    let first = lease(&relay, 1);
    let config = fetch(&core, &format!("/config/{MAC}")).expect("n1 reads its configuration");
    assert!(config.contains("Address=10.78.0.11/16"), "{config}");
    // What the host loads afterwards comes from the virtual address.
    let script = fetch(&core, &format!("/boot/{MAC}.ipxe")).unwrap();
    assert!(script.contains(&format!("http://{VIRTUAL}/files/vmlinuz")), "{script}");

    let killed = holders(&servers)[0];
    let other = 1 - killed;
    let at = Instant::now();
    servers[killed].kill();
    let served = lease(&relay, 2);
    let leased = at.elapsed();
    wait_for("the virtual address moves", || holders(&servers) == [other]);
    let moved = at.elapsed();
    wait_for("n1 reads its configuration again", || {
        fetch(&core, &format!("/config/{MAC}")).as_ref() == Some(&config)
    });
    let fetched = at.elapsed();
    assert_ne!(first, served);
    assert_eq!(lease(&relay, 1), first, "the other server knows the lease");
    println!(
        "server killed: new lease {leased:.1?}, virtual address moved {moved:.1?}, HTTP {fetched:.1?}"
    );
    let log = fs::read_to_string(servers[killed].directory.path().join("keepalived.log")).unwrap();
    assert!(moved < Duration::from_secs(15), "{log}");

    // The server comes back: the address stays where it is.
    servers[killed].start(&[]);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(holders(&servers), [other], "{log}");
    assert_eq!(lease(&relay, 2), served);

    // Without the database no server is ready, and one of them still has the address.
    postgres.freeze();
    let answer = || {
        let code = core
            .sh(&format!("curl -s -m 2 -o /dev/null -w '%{{http_code}}' http://{VIRTUAL}/readyz"));
        String::from_utf8_lossy(&code.stdout).into_owned()
    };
    wait_for("the servers are not ready", || answer() == "503");
    let end = Instant::now() + Duration::from_secs(6);
    std::thread::sleep(Duration::from_secs(3));
    while Instant::now() < end {
        // While it moves both may have it for a moment.
        assert!(!holders(&servers).is_empty());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(holders(&servers).len(), 1);
    assert_eq!(fetch(&core, &format!("/config/{MAC}")), Some(config));
    postgres.thaw();
    wait_for("the servers are ready", || answer() == "200");
}
