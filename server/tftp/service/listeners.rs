//! The interfaces that TFTP is served on. They may appear, vanish and come back.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;

use super::sockets;

/// Who asks, on which of the served interfaces (by its place among the links).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) link: usize,
    pub(super) address: SocketAddr,
}

impl Hash for Peer {
    /// One number for IPv4: it is looked up for every packet.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.address {
            SocketAddr::V4(address) => {
                let (ip, port) = (u32::from(*address.ip()), address.port());
                state.write_u64((self.link as u64) << 48 | u64::from(ip) << 16 | u64::from(port));
            }
            SocketAddr::V6(address) => {
                state.write_usize(self.link);
                address.hash(state);
            }
        }
    }
}

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::V6 } else { Self::V4 }
    }

    fn label(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// A served interface, for one family of addresses.
pub(super) struct Listener {
    pub(super) name: String,
    family: Family,
    /// Where requests come in, while the interface is there.
    pub(super) listener: Option<Socket>,
    /// Asks for routes out of the interface.
    probe: Option<Socket>,
    /// The number that the kernel gave the interface; another one means another interface.
    index: Option<u32>,
    complained: bool,
}

impl Listener {
    pub(super) fn new(name: &str, family: Family) -> Self {
        let name = name.to_owned();
        Self { name, family, listener: None, probe: None, index: None, complained: false }
    }

    /// Listens anew if the interface appeared or was replaced; gives whether
    /// something changed. A vanished interface is waited for. With `shared_port`
    /// answers leave from port 69 too.
    pub(super) fn refresh(&mut self, shared_port: bool) -> bool {
        let index = nix::net::if_::if_nametoindex(self.name.as_str()).ok();
        if index.is_some() && index == self.index {
            return false;
        }
        let had_listener = self.listener.take().is_some();
        self.index = None;
        if index.is_none() {
            self.complain("interface does not exist; waiting for it");
            return had_listener;
        }
        let family = self.family;
        self.probe = sockets::probe(Some(&self.name), family).ok();
        match sockets::listen(&self.name, family, shared_port) {
            Ok(listener) => {
                tracing::info!(interface = %self.name, family = family.label(), "serving TFTP");
                self.listener = Some(listener);
                self.index = index;
                self.complained = false;
            }
            Err(error) => self.complain(&format!("cannot listen on UDP port 69: {error}")),
        }
        had_listener || self.listener.is_some()
    }

    /// How long the content of a packet to a peer may be, if there is a way to it out of this
    /// interface.
    pub(super) fn room(&self, peer: SocketAddr) -> Option<u16> {
        sockets::room(self.probe.as_ref()?, peer).ok()
    }

    /// Warns once, not at every try.
    fn complain(&mut self, what: &str) {
        if !self.complained {
            tracing::warn!(interface = %self.name, "TFTP over {}: {what}", self.family.label());
        }
        self.complained = true;
    }
}
