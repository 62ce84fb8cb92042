//! Answers DHCPv6 on the configured interfaces: reads packets, obeys decisions, sends answers.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use dhcproto::v6::{CLIENT_PORT, SERVER_PORT};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::decide::{self, Boots, ClientMessage};
use crate::app::App;
use crate::boot::arch::{Arch, Client};
use crate::boot::next::{Next, decide_next};
use crate::lifecycle::gate::BootSource;
use crate::model::{Host, HostDhcp, Mac, Site, Subnet};

/// All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The longest message that is read, in bytes; a longer one is cut and does not parse.
const PACKET_BYTES: usize = 1500;
/// How many messages of an interface are looked at in a second. Forty hosts with two NICs each
/// send 160 within their first second.
const MESSAGES_A_SECOND: u32 = 1000;
/// How long the interface rests after a socket error.
const REST: Duration = Duration::from_secs(1);

/// Serves on the configured interfaces until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for interface in app.config.now().interfaces.clone() {
        let (app, stop) = (app.clone(), stop.clone());
        tasks.spawn(async move { serve(&app, &interface, stop).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)?;
    }
    stop.cancelled().await;
    Ok(())
}

/// Serves one interface. One that cannot be served is left out: its hosts boot all the same,
/// only later.
async fn serve(app: &App, interface: &str, stop: CancellationToken) {
    let (socket, server_id) = match (open(interface), server_id(interface)) {
        (Ok(socket), Ok(server_id)) => (socket, server_id),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(
                interface,
                "DHCPv6 is not answered, so UEFI hosts that boot their local disk wait two \
                 minutes for it: {error}"
            );
            return;
        }
    };
    let mut buffer = [0; PACKET_BYTES];
    let (mut second, mut looked_at) = (Instant::now(), 0);
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, looked_at) = (Instant::now(), 0);
        }
        looked_at += 1;
        match received {
            Ok((length, SocketAddr::V6(peer))) if looked_at <= MESSAGES_A_SECOND => {
                let answered = answer(app, interface, &server_id, &buffer[..length], peer);
                let Some((answer, to)) = answered else {
                    continue;
                };
                if let Err(error) = socket.send_to(&answer, to).await {
                    tracing::debug!(interface, %to, "DHCPv6 answer not sent: {error}");
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(interface, "DHCPv6 cannot be read: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// The answer to one packet, and where it goes: to the port that clients listen on, whatever
/// port the packet came from.
fn answer(
    app: &App,
    interface: &str,
    server_id: &[u8],
    bytes: &[u8],
    peer: SocketAddrV6,
) -> Option<(Vec<u8>, SocketAddrV6)> {
    let message = decide::read(bytes, *peer.ip())?;
    let snapshot = app.inventory.snapshot();
    let by_mac = |mac: &Mac| snapshot.host_of_mac(*mac);
    let host = message.macs.iter().find_map(by_mac).or_else(|| {
        let ClientMessage { uuid: Some(uuid), .. } = &message else { return None };
        snapshot.host_of_identity(uuid)
    });
    if host.is_some_and(|(_, host)| host.dhcp == HostDhcp::Off) {
        return None;
    }
    let boot_source = app.inventory.boot_source(&snapshot, host, None);
    let boots = match (&boot_source, host) {
        (BootSource::Disk(_), _) => Boots::Disk,
        (_, Some((_, host))) if message.boots => {
            let boots = from_network(app, interface, &message, host, &boot_source, &snapshot.site);
            boots.unwrap_or(Boots::Nothing)
        }
        _ => Boots::Nothing,
    };
    let answer = decide::answer(&message, server_id, &boots)?;
    let name = host.map(|(name, _)| name);
    // Not in the usual log: anybody on the link may ask in the name of a host, without end.
    tracing::debug!(host = name, peer = %peer.ip(), ?boots, "DHCPv6: answered");
    Some((answer, SocketAddrV6::new(*peer.ip(), CLIENT_PORT, 0, peer.scope_id())))
}

/// Where the firmware of a host finds its boot program: at this server's link-local address, which a
/// client on the link reaches whatever its routes are. None where the interface has no other address:
/// the client would get one that this server's answers do not find.
fn from_network(
    app: &App,
    interface: &str,
    message: &ClientMessage,
    host: &Host,
    boot_source: &BootSource<'_>,
    site: &Site,
) -> Option<Boots> {
    let arch = Arch::from_number(message.arch?);
    let client = if message.is_http { Client::HttpBoot(arch) } else { Client::Pxe(arch) };
    let entries = getifaddrs().ok()?.filter(|entry| entry.interface_name == interface);
    let addresses: Vec<IpAddr> = entries.filter_map(|entry| address_of(&entry)).collect();
    let is_on_link = |subnet: &&Subnet| addresses.iter().any(|own| subnet.cidr.contains(own));
    // As for IPv4: the subnets of the interface may name boot files of their own.
    let boot_files = site.subnets.values().filter(is_on_link).map(|subnet| &subnet.boot_files);
    let boot_files = boot_files.into_iter().find(|files| !files.is_empty());
    let Next::Nbp(name) = decide_next(client, Some(host), boot_source, boot_files) else {
        return None;
    };
    let own = addresses.iter().filter_map(|address| match address {
        IpAddr::V6(own) => Some(*own),
        IpAddr::V4(_) => None,
    });
    let (link_local, others): (Vec<_>, Vec<_>) = own.partition(Ipv6Addr::is_unicast_link_local);
    let (own, prefix) = (*link_local.first()?, *others.first()?);
    if !message.is_http {
        return Some(Boots::Url { url: format!("tftp://[{own}]/{name}"), prefix });
    }
    let listener = app.config.now().machine_listen;
    // One at an IPv4 address is not reached by IPv6.
    if listener.is_ipv4() {
        return None;
    }
    let url = format!("http://[{own}]:{}/files/{name}", listener.port());
    Some(Boots::Url { url, prefix })
}

fn address_of(entry: &InterfaceAddress) -> Option<IpAddr> {
    let address = entry.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}

/// Opens the server's port on one interface. It is not shared: another DHCPv6 server on this
/// machine answers for itself.
fn open(interface: &str) -> io::Result<UdpSocket> {
    let index = if_nametoindex(interface)?;
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_loop_v6(false)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0).into())?;
    socket.join_multicast_v6(&ALL_SERVERS, index)?;
    UdpSocket::from_std(socket.into())
}

/// This server's DUID on an interface: type 3 with its MAC, which stays the same after a restart.
fn server_id(interface: &str) -> io::Result<Vec<u8>> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address"))?;
    let Mac(mac) = text.trim().parse().map_err(io::Error::other)?;
    Ok([&[0, 3, 0, 1][..], &mac].concat())
}
