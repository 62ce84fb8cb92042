//! The packets that hosts and this server send each other.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::TestError;
use super::bench::{Bench, CLIENT, run};
use crate::config::Config;

/// How long a packet may take from one namespace to the other.
const WAIT: Duration = Duration::from_millis(300);
/// How often a packet is sent before it counts as dropped.
const TRIES: usize = 3;
/// As long as a BOOTP message (RFC 951).
const PAYLOAD: [u8; 300] = [0; 300];
/// How many relays are tested.
const RELAYS: usize = 8;

/// What is tested, in this order: the client gets its address after `Offer`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exchange {
    /// A client without an address asks.
    Discover,
    /// A reply is broadcast.
    Offer,
    /// A client renews its lease.
    Renew,
    /// A relay forwards a request.
    Relay(Ipv4Addr),
    /// Request, data from a port of its own (RFC 1350 section 4), acknowledgement.
    Tftp { port: u16 },
    /// A TCP connection.
    Http { port: u16 },
}

/// The packets that do not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    Discover,
    DhcpReply,
    Renewal,
    RenewalReply,
    Relayed(Ipv4Addr),
    TftpRequest,
    TftpData,
    TftpAcknowledgement,
    HttpRequest(u16),
    HttpReply(u16),
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discover => f.write_str("DHCP requests of new clients (UDP port 67)"),
            Self::DhcpReply => f.write_str("DHCP replies that are broadcast (UDP port 68)"),
            Self::Renewal => f.write_str("renewals of DHCP leases (UDP port 67)"),
            Self::RenewalReply => f.write_str("replies to renewals (UDP port 68)"),
            Self::Relayed(relay) => write!(f, "DHCP requests of relay {relay} (UDP port 67)"),
            Self::TftpRequest => f.write_str("TFTP requests (UDP port 69)"),
            Self::TftpData => f.write_str("TFTP data packets (from a UDP port of each transfer)"),
            Self::TftpAcknowledgement => {
                f.write_str("TFTP acknowledgements (to a UDP port of each transfer)")
            }
            Self::HttpRequest(port) => write!(f, "HTTP connections (TCP port {port})"),
            Self::HttpReply(port) => write!(f, "HTTP replies (from TCP port {port})"),
        }
    }
}

impl Exchange {
    /// What this server does.
    pub(super) fn of(config: &Config) -> Vec<Self> {
        let mut exchanges = Vec::new();
        if config.dhcp {
            exchanges.extend([Self::Discover, Self::Offer, Self::Renew]);
            exchanges.extend(config.relays.iter().take(RELAYS).copied().map(Self::Relay));
        }
        if config.tftp {
            let port = config.tftp_ports.map_or(0, |ports| *ports.ports().start());
            exchanges.push(Self::Tftp { port });
        }
        let listeners = [Some(config.machine_listen), config.machine_tls_listen];
        let ports = listeners.into_iter().flatten().map(|address| address.port());
        exchanges.extend(ports.map(|port| Self::Http { port }));
        exchanges
    }

    /// Sends its packets; the first that does not arrive.
    pub(super) fn run(self, bench: &Bench) -> Result<Option<Dropped>, TestError> {
        match self {
            Self::Discover => discover(bench),
            Self::Offer => offer(bench),
            Self::Renew => renew(bench),
            Self::Relay(relay) => relayed(bench, relay),
            Self::Tftp { port } => tftp(bench, port),
            Self::Http { port } => http(bench, port),
        }
    }
}

fn discover(bench: &Bench) -> Result<Option<Dropped>, TestError> {
    let server = bench.server.run(|| bound(&bench.interface, 67))?;
    let client = bench.client.run(|| bound(CLIENT, 68))?;
    let arrived = passes(&client, (Ipv4Addr::BROADCAST, 67).into(), &server);
    Ok((!arrived).then_some(Dropped::Discover))
}

fn offer(bench: &Bench) -> Result<Option<Dropped>, TestError> {
    let server = bench.server.run(|| bound(&bench.interface, 67))?;
    let client = bench.client.run(|| bound(CLIENT, 68))?;
    let arrived = passes(&server, (Ipv4Addr::BROADCAST, 68).into(), &client);
    Ok((!arrived).then_some(Dropped::DhcpReply))
}

fn renew(bench: &Bench) -> Result<Option<Dropped>, TestError> {
    let own = client_address(bench)?;
    let server = bench.server.run(|| bound(&bench.interface, 67))?;
    let client = bench.client.run(|| bound(CLIENT, 68))?;
    if !passes(&client, (bench.net.addr(), 67).into(), &server) {
        return Ok(Some(Dropped::Renewal));
    }
    let answered = passes(&server, (own, 68).into(), &client);
    Ok((!answered).then_some(Dropped::RenewalReply))
}

fn relayed(bench: &Bench, relay: Ipv4Addr) -> Result<Option<Dropped>, TestError> {
    client_address(bench)?;
    if bench.net.addr() == relay {
        return Ok(None);
    }
    let relay_text = format!("{relay}/32");
    let add = ["address", "replace", &relay_text, "dev", CLIENT];
    bench.client.run(|| run("ip", &add, ""))?;
    // For reverse path filters, as the route to the relay would be.
    let route = ["route", "replace", &relay_text, "dev", &bench.interface];
    bench.server.run(|| run("ip", &route, ""))?;
    let server = bench.server.run(|| bound(&bench.interface, 67))?;
    let from = bench.client.run(|| UdpSocket::bind((relay, 67)))?;
    let arrived = passes(&from, (bench.net.addr(), 67).into(), &server);
    Ok((!arrived).then_some(Dropped::Relayed(relay)))
}

fn tftp(bench: &Bench, port: u16) -> Result<Option<Dropped>, TestError> {
    let own = client_address(bench)?;
    let server = bench.server.run(|| bound(&bench.interface, 69))?;
    let client = bench.client.run(|| UdpSocket::bind((own, 0)))?;
    if !passes(&client, (bench.net.addr(), 69).into(), &server) {
        return Ok(Some(Dropped::TftpRequest));
    }
    drop(server);
    let transfer = bench.server.run(|| UdpSocket::bind((bench.net.addr(), port)))?;
    if !passes(&transfer, client.local_addr()?, &client) {
        return Ok(Some(Dropped::TftpData));
    }
    let arrived = passes(&client, transfer.local_addr()?, &transfer);
    Ok((!arrived).then_some(Dropped::TftpAcknowledgement))
}

fn http(bench: &Bench, port: u16) -> Result<Option<Dropped>, TestError> {
    client_address(bench)?;
    let _listener = bench.server.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    let address = SocketAddr::from((bench.net.addr(), port));
    let wait = WAIT * TRIES as u32;
    let connected =
        bench.client.run(|| io::Result::Ok(TcpStream::connect_timeout(&address, wait).is_ok()))?;
    if connected {
        return Ok(None);
    }
    let sockets = bench.server.run(|| fs::read_to_string("/proc/thread-self/net/tcp"))?;
    let is_asked = sockets.lines().any(|line| is_half_open(line, port));
    Ok(Some(if is_asked { Dropped::HttpReply(port) } else { Dropped::HttpRequest(port) }))
}

/// Whether a line of `/proc/net/tcp` is a connection to a port in state SYN_RECV (3): the request
/// has come, and the answer is not acknowledged.
fn is_half_open(line: &str, port: u16) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let local = words.next().and_then(|local| local.split_once(':'));
    let state = words.nth(1);
    local.is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port)) && state == Some("03")
}

/// Gives the client an address of the subnet.
fn client_address(bench: &Bench) -> Result<Ipv4Addr, TestError> {
    let net = bench.net;
    let own = net.hosts().rfind(|address| *address != net.addr());
    let own = own.ok_or(TestError::NoClientAddress { net })?;
    let with_length = format!("{own}/{}", net.prefix_len());
    bench.client.run(|| run("ip", &["address", "replace", &with_length, "dev", CLIENT], ""))?;
    Ok(own)
}

/// A UDP socket on one interface, whatever its addresses.
fn bound(interface: &str, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Ok(socket.into())
}

/// Whether a packet that one socket sends arrives at another.
fn passes(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) -> bool {
    (0..TRIES).any(|_| {
        // A filter on the way out may make it fail: it does not arrive then either.
        let _ = from.send_to(&PAYLOAD, to);
        let arrived = at.set_read_timeout(Some(WAIT)).and_then(|()| at.recv(&mut [0; 512]));
        arrived.is_ok_and(|bytes| bytes == PAYLOAD.len())
    })
}
