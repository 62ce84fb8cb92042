//! Other DHCP servers on the links: asks as a client would, and listens.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::Finding;
use super::links::own_addresses;
use crate::config::{Config, ProxyDhcp};
use crate::dhcp::reply::{CLIENT_PORT, SERVER_PORT};
use crate::dhcp::wire::{HEADER_BYTES, MAGIC_COOKIE, Packet};

const CHECK: &str = "other DHCP servers";

/// Whether somebody else answers DHCP on the interfaces that are served.
pub(super) async fn servers(config: &Config, wait: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    for interface in config.interfaces.iter().filter(|_| config.dhcp) {
        match ask(interface, wait).await {
            Ok(found) => findings.push(finding(interface, &found, config.proxy_dhcp)),
            Err(error) => {
                let text = format!("{interface} cannot be asked: {error}");
                findings.push(Finding::warning(
                    CHECK,
                    text,
                    "run it as root, while the link is up",
                ));
            }
        }
    }
    findings
}

fn finding(interface: &str, found: &BTreeSet<Ipv4Addr>, proxy: ProxyDhcp) -> Finding {
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match (found.is_empty(), proxy) {
        (true, ProxyDhcp::Off) => {
            Finding::good(CHECK, format!("nobody else answers on {interface}"))
        }
        (false, ProxyDhcp::Off) => Finding::trouble(
            CHECK,
            format!(
                "{shown} gives addresses on {interface} as well: hosts that take its offer boot nothing"
            ),
            "switch it off there, or let it give the addresses and set proxy_dhcp = \"direct\"",
        ),
        (true, _) => Finding::trouble(
            CHECK,
            format!(
                "nobody gives addresses on {interface}, and proxy_dhcp leaves that to another server"
            ),
            "start that server, or set proxy_dhcp = \"off\"",
        ),
        (false, _) => Finding::good(CHECK, format!("{shown} gives the addresses on {interface}")),
    }
}

/// Sends a DISCOVER of an invented client; the servers that offer, but this machine's own.
async fn ask(interface: &str, wait: Duration) -> io::Result<BTreeSet<Ipv4Addr>> {
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
    // It ends by the time that is given: nobody says that all have answered.
    let _ = timeout(wait, listen).await;
    Ok(found)
}

/// A DISCOVER that asks for broadcast answers, of a MAC that no maker has.
fn discover(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[4..8].copy_from_slice(&number.to_be_bytes());
    bytes[10] = 0x80;
    bytes[28..30].copy_from_slice(&[0x02, 0xdc]);
    bytes[30..34].copy_from_slice(&number.to_be_bytes());
    bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend([53, 1, 1, 255]);
    bytes.resize(300, 0);
    bytes
}

/// The server of an answer to our question.
fn offered_by(bytes: &[u8], number: u32) -> Option<Ipv4Addr> {
    let packet = Packet::parse(bytes).ok()?;
    let is_ours = packet.op == 2 && packet.transaction_id == number;
    packet.options.address(54).filter(|_| is_ours && !packet.your_address.is_unspecified())
}
