//! Answers DHCPv6 on the configured interfaces: reads packets, obeys decisions, sends answers.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use dhcproto::v6::{CLIENT_PORT, SERVER_PORT};
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::decide::{self, ClientMessage};
use crate::app::App;
use crate::lifecycle::gate::BootSource;
use crate::model::{HostDhcp, Mac};

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
                let Some((answer, to)) = answer(app, &server_id, &buffer[..length], peer) else {
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
    let boots_disk = matches!(boot_source, BootSource::Disk(_));
    let answer = decide::answer(&message, server_id, boots_disk)?;
    let name = host.map(|(name, _)| name);
    // Not in the usual log: anybody on the link may ask in the name of a host, without end.
    tracing::debug!(host = name, peer = %peer.ip(), "DHCPv6: answered without a boot file");
    Some((answer, SocketAddrV6::new(*peer.ip(), CLIENT_PORT, 0, peer.scope_id())))
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
