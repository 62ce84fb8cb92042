//! Syslog messages of booting hosts, sent by real programs.

use crate::common::dhcp::{Client, DhcpServer, lan_on, wait_for};
use crate::common::netns::Netns;
use crate::common::store::databases;

use std::net::Ipv4Addr;

const SITE: &str = r#"
subnets:
  prov:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images: {live: {kernel: vmlinuz}}
hosts:
  n1: {image: live, nics: {eth0: "52:54:00:01:00:01"}, reservations: {prov: 10.77.0.21}}
"#;

/// Sends one message with `logger` (util-linux).
fn log(clients: &Netns, arguments: &[&str]) {
    let mut command = clients.command("logger");
    command.args(["--server", "10.77.0.1", "--port", "514", "--udp"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn said_by(server: &DhcpServer, host: &str, text: &str) -> usize {
    server.events_of(host).iter().filter(|event| event.contains(text)).count()
}

#[test]
fn what_a_booting_host_logs_is_among_its_events() {
    for database in databases() {
        let nics = ["52:54:00:01:00:01"];
        let (mut server, clients) = lan_on(database.as_deref(), SITE, &nics);
        server.set("syslog_listen", "[::]:514");
        server.start(&["lan"]);
        // Nobody's address yet.
        clients.ip("address add 10.77.0.99/24 dev eth0");
        log(&clients, &["--tag", "stranger", "from nowhere"]);
        clients.ip("address del 10.77.0.99/24 dev eth0");

        let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
        let address = client.acquire([0x52, 0x54, 0, 1, 0, 1]).unwrap();
        assert_eq!(address, Ipv4Addr::new(10, 77, 0, 21));
        clients.ip("address add 10.77.0.21/24 dev eth0");
        log(&clients, &["--rfc5424", "--tag", "dracut", "--priority", "daemon.err", "no bond0"]);
        log(&clients, &["--rfc3164", "--tag", "kernel", "--priority", "kern.info", "link is up"]);
        wait_for("both messages", || {
            said_by(&server, "n1", "dracut (error): no bond0") == 1
                && said_by(&server, "n1", "kernel (info): link is up") == 1
        });
        assert_eq!(said_by(&server, "n1", "from nowhere"), 0);

        // A flood is counted, and neither stops DHCP nor fills the database.
        let flood = "for i in $(seq 600); do echo \"<13>x: flood $i\"; done | \
                     logger --server 10.77.0.1 --port 514 --udp --tag flood --rfc3164";
        let output = clients.command("sh").args(["-c", flood]).output().unwrap();
        assert!(output.status.success());
        assert!(client.acquire([0x52, 0x54, 0, 1, 0, 1]).is_some());
        wait_for("the flood", || said_by(&server, "n1", "flood") >= 100);
        let kept = said_by(&server, "n1", "flood");
        assert!(kept <= 170, "{kept} of 600 messages are stored");
    }
}
