//! TFTP and HTTP over IPv6: real clients at link-local, routed and loopback addresses.

use std::net::{Ipv6Addr, UdpSocket};
use std::time::Duration;

use rackstrap::inventory::Live;

use crate::common::dhcp::{DhcpServer, lan, wait_for};
use crate::common::netns::Netns;
use crate::common::tftp::{PATIENCE, Rack, block_of, read_request, wait_until};

/// The server's routed address.
const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 1);

/// Every client as a shell line: HOST is the server, NAME the file, TO where it goes.
const CLIENTS: [&str; 4] = [
    "curl -gsS -m 30 --tftp-blksize 1428 -o TO tftp://[HOST]/NAME",
    "tftp -6 -m binary HOST -c get NAME TO",
    "atftp --option 'blksize 1428' --get -r NAME -l TO HOST",
    "busybox tftp -g -b 1428 -r NAME -l TO HOST",
];

/// A server and its client with IPv6 addresses that are ready for use.
fn rack(what: &str, configure: impl FnOnce(&mut rackstrap::config::Config)) -> Rack {
    let rack = Rack::start_with(what, configure);
    rack.server.ip(&format!("address add {SERVER_V6}/64 dev srv0 nodad"));
    rack.client.ip("address add 2001:db8:77::100/64 dev cli0 nodad");
    let ready = |namespace: &Netns, link: &str| link_local(namespace, link).map(drop);
    wait_until("a link-local address", || ready(&rack.server, "srv0"));
    wait_until("a link-local address", || ready(&rack.client, "cli0"));
    wait_until("a listener on UDP port 69", || listens(&rack).then_some(()));
    rack
}

fn listens(rack: &Rack) -> bool {
    let sockets = rack.server.sh("cat /proc/net/udp6").stdout;
    String::from_utf8_lossy(&sockets).contains(":0045 ")
}

/// The link-local address of an interface, when nobody else turned out to have it.
fn link_local(namespace: &Netns, link: &str) -> Option<Ipv6Addr> {
    let output = namespace.sh(&format!("ip -6 -o address show dev {link} scope link -tentative"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = text.split_whitespace().skip_while(|word| *word != "inet6").nth(1)?;
    address.split('/').next()?.parse().ok()
}

fn fetch(namespace: &Netns, rack: &Rack, client: &str, host: &str) -> Vec<u8> {
    let to = rack.directory.path().join("got");
    let _ = std::fs::remove_file(&to);
    let line = client.replace("HOST", host).replace("NAME", "file");
    let line = line.replace("TO", to.to_str().unwrap());
    let output = namespace.sh(&line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
    std::fs::read(&to).unwrap()
}

#[test]
fn every_client_fetches_by_a_routed_a_link_local_and_the_loopback_address() {
    let rack = rack("v6", |config| config.interfaces.push("lo".into()));
    let content = rack.put("file", 300_000);
    let near = link_local(&rack.server, "srv0").unwrap();
    for client in CLIENTS {
        assert!(fetch(&rack.client, &rack, client, &SERVER_V6.to_string()) == content, "{client}");
        assert!(fetch(&rack.server, &rack, client, "::1") == content, "{client}");
        // In a URL the percent sign is written out (RFC 6874).
        let percent = if client.starts_with("curl") { "%25" } else { "%" };
        let near = format!("{near}{percent}cli0");
        assert!(fetch(&rack.client, &rack, client, &near) == content, "{client}");
    }
}

#[test]
fn one_port_is_enough_over_ipv6_too() {
    let rack = rack("v6port", |config| config.tftp_ports = "69-69".parse().ok());
    let content = rack.put("file", 300_000);
    for client in CLIENTS {
        assert!(fetch(&rack.client, &rack, client, &SERVER_V6.to_string()) == content, "{client}");
    }
}

/// A client's socket, connected to nobody.
fn socket(rack: &Rack) -> UdpSocket {
    let socket = rack.client.run(|| UdpSocket::bind("[2001:db8:77::100]:0").unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn a_block_fits_the_path_with_the_longer_head_of_ipv6() {
    let rack = rack("v6mtu", |_| {});
    rack.server.ip("link set srv0 mtu 1400");
    rack.client.ip("link set cli0 mtu 1400");
    rack.put("file", 10_000);
    let client = socket(&rack);
    client.send_to(&read_request("file", &[("blksize", "65464")]), (SERVER_V6, 69)).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"\0\x06blksize\x001348\0", "1400 - 40 - 8 - 4");
    assert_eq!(from.ip(), SERVER_V6);
    client.send_to(&[0, 4, 0, 0], from).unwrap();
    let (length, _) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((length, block_of(&buffer[..length])), (1352, 1));
}

#[test]
fn a_closed_port_ends_the_transfer_and_the_address_tells_whose_nic_it_was() {
    let mut rack = rack("v6gone", |_| {});
    rack.client.ip("link set cli0 address 52:54:00:aa:00:01");
    rack.client.ip("address add 2001:db8:77:0:5054:ff:feaa:1/64 dev cli0 nodad");
    rack.put("file", 10_000);
    let client = rack.client.run(|| UdpSocket::bind("[2001:db8:77:0:5054:ff:feaa:1]:0").unwrap());
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&read_request("file", &[]), (SERVER_V6, 69)).unwrap();
    client.recv_from(&mut [0; 2048]).unwrap();
    drop(client);
    let event = wait_until("an event of the end", || {
        let live = rack.events.try_recv().ok()?;
        let Live::Event(event) = live else { return None };
        event.text().contains("the client closed its port").then_some(event)
    });
    assert_eq!(event.mac, Some("52:54:00:aa:00:01".parse().unwrap()));
}

#[test]
fn a_request_to_all_is_answered_by_nobody_and_the_key_switches_ipv6_off() {
    let served = rack("v6all", |_| {});
    served.put("file", 100);
    let client = socket(&served);
    let cli0 = served.client.run(|| nix::net::if_::if_nametoindex("cli0").unwrap());
    let all = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 69, 0, cli0);
    client.send_to(&read_request("file", &[]), all).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(client.recv_from(&mut [0; 600]).is_err());
    client.send_to(&read_request("file", &[]), (SERVER_V6, 69)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.recv_from(&mut [0; 600]).unwrap().0, 104);
    let off = Rack::start_with("v6off", |config| config.tftp_ipv6 = false);
    assert!(!listens(&off));
}

/// HTTP as it is without a word of configuration: every address of both families.
#[test]
fn http_is_served_over_both_families_and_an_ipv6_host_reads_its_own_configuration() {
    let (mut server, clients) = lan(SITE, &["52:54:00:aa:00:01"]);
    server.inside.ip("address add 2001:db8:77::1/64 dev lan nodad");
    clients.ip("address add 2001:db8:77::10/64 dev eth0 nodad");
    clients.ip("address add 2001:db8:77::66/64 dev eth0 nodad");
    clients.ip("address add 10.77.0.66/24 dev eth0");
    server.start(&["lan"]);
    wait_for("a link-local address", || link_local(&server.inside, "lan").is_some());
    wait_for("a link-local address", || link_local(&clients, "eth0").is_some());
    let near = format!("{}%25eth0", link_local(&server.inside, "lan").unwrap());
    for host in ["10.77.0.1", "[2001:db8:77::1]", &format!("[{near}]")] {
        let (status, script) = get(&clients, &format!("http://{host}/autoexec.ipxe"));
        assert_eq!(status, "200", "{host}");
        let reached = host.split('%').next().unwrap().trim_end_matches(']');
        assert!(script.contains(&format!("http://{reached}")), "{host}: {script}");
    }
    let config = "http://[2001:db8:77::1]/config/52:54:00:aa:00:01";
    assert_eq!(get(&clients, &format!("--interface 2001:db8:77::10 {config}")).0, "200");
    assert_eq!(get(&clients, &format!("--interface 2001:db8:77::66 {config}")).0, "403");
    refuses_when_taken(&server);
}

/// The status of an answer and its text.
fn get(clients: &Netns, words: &str) -> (String, String) {
    let output = clients.sh(&format!("curl -gsS -m 20 -w '\\n%{{http_code}}' {words}"));
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// Another server beside it is told which key to change.
fn refuses_when_taken(server: &DhcpServer) {
    let other = tempfile::tempdir().unwrap();
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["serve", "--admin-listen", "127.0.0.1:0", "--data-dir"]).arg(other.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("set machine_listen to another address"), "{said}");
}

const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24}
  storage: {cidr: "2001:db8:77::/64"}
profiles: {plain: {nics: {eth0: {subnet: storage}}}}
hosts:
  n01:
    profile: plain
    nics: {eth0: "52:54:00:aa:00:01"}
    addresses: {eth0: "2001:db8:77::10"}
"#;
