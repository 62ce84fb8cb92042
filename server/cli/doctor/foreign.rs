//! Other DHCP servers on the served interfaces, found with a DHCPDISCOVER.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::CheckResult;
use super::links::own_addresses;
use crate::config::{Config, ProxyDhcp};
use crate::dhcp::reply::{CLIENT_PORT, SERVER_PORT};
use crate::dhcp::wire::{HEADER_BYTES, MAGIC_COOKIE, Packet};
use crate::options::code;

const CHECK: &str = "other DHCP servers";

/// Checks that another DHCP server answers if, and only if, `proxy_dhcp` is on.
pub(super) async fn servers(config: &Config, wait: Duration) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    for interface in config.interfaces.iter().filter(|_| config.dhcp) {
        match discover_servers(interface, wait).await {
            Ok(found) => findings.push(finding(interface, &found, config.proxy_on(interface))),
            Err(error) => {
                let text = format!("cannot send a DHCPDISCOVER on {interface}: {error}");
                findings.push(CheckResult::warning(
                    CHECK,
                    text,
                    "run rackstrap doctor as root, with the link up",
                ));
            }
        }
    }
    findings
}

fn finding(interface: &str, found: &BTreeSet<Ipv4Addr>, proxy: ProxyDhcp) -> CheckResult {
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match (found.is_empty(), proxy) {
        (true, ProxyDhcp::Off) => {
            CheckResult::ok(CHECK, format!("no other DHCP server answers on {interface}"))
        }
        (false, ProxyDhcp::Off) => CheckResult::error(
            CHECK,
            format!(
                "DHCP server {shown} also assigns addresses on {interface}: hosts that accept its offer do not boot"
            ),
            "disable that server on this link, or let it assign the addresses: proxy_dhcp = \"direct\"",
        ),
        (true, _) => CheckResult::error(
            CHECK,
            format!("proxy_dhcp is on, but no DHCP server assigns addresses on {interface}"),
            "start that DHCP server, or set proxy_dhcp = \"off\"",
        ),
        (false, _) => CheckResult::ok(
            CHECK,
            format!("DHCP server {shown} assigns the addresses on {interface}"),
        ),
    }
}

/// Broadcasts a DHCPDISCOVER from a made-up client. Returns the servers that answer within
/// `wait`, without this host's addresses.
async fn discover_servers(interface: &str, wait: Duration) -> io::Result<BTreeSet<Ipv4Addr>> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let number: u32 = rand::random();
    socket.send_to(&discover(number), (Ipv4Addr::BROADCAST, SERVER_PORT)).await?;
    let own = own_addresses();
    let mut found = BTreeSet::new();
    let listen = async {
        let mut buffer = [0; 2048];
        while let Ok(length) = socket.recv(&mut buffer).await {
            found.extend(offered_by(&buffer[..length], number).filter(|it| !own.contains(it)));
        }
    };
    // Always runs into the timeout: there is no telling when the last server has answered.
    let _ = timeout(wait, listen).await;
    Ok(found)
}

/// A DHCPDISCOVER with the broadcast flag, from a locally administered MAC address.
fn discover(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[4..8].copy_from_slice(&number.to_be_bytes());
    bytes[10] = 0x80;
    bytes[28..30].copy_from_slice(&[0x02, 0xdc]);
    bytes[30..34].copy_from_slice(&number.to_be_bytes());
    bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend([code::MESSAGE_TYPE, 1, 1, code::END]);
    bytes.resize(300, 0);
    bytes
}

/// The server identifier of an offer with our transaction id.
fn offered_by(bytes: &[u8], number: u32) -> Option<Ipv4Addr> {
    let packet = Packet::parse(bytes).ok()?;
    let is_ours = packet.op == 2 && packet.transaction_id == number;
    packet
        .address_option(code::SERVER_ID)
        .filter(|_| is_ours && !packet.your_address.is_unspecified())
}
