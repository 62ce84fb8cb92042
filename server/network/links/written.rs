//! The addresses of a link that its configuration writes down. Pure.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Borne, Link};
use crate::model::AddressScope;

/// An address that is written down for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenAddress {
    /// The address with the prefix length that is on the link: that of one address, where
    /// there is a peer.
    pub address: IpNet,
    /// The only other end that the link leads to by it.
    pub peer: Option<IpAddr>,
    /// Where it is valid, of an IPv4 address.
    pub scope: Option<AddressScope>,
    /// Whether it is the host's own in the link's subnet, which no other host has.
    pub is_own: bool,
}

impl fmt::Display for WrittenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if let Some(peer) = self.peer {
            write!(f, " to {peer} alone")?;
        }
        self.scope.map_or(Ok(()), |scope| write!(f, " (scope {scope})"))
    }
}

impl WrittenAddress {
    /// What the link leads to by it: the peer, or the prefix.
    pub fn connected(&self) -> IpNet {
        self.peer.map_or(self.address, IpNet::from)
    }
}

impl Borne {
    /// The other end, where the profile names one and it can be computed.
    pub fn known_peer(&self) -> Option<IpAddr> {
        self.peer.as_ref()?.as_ref().ok().copied()
    }
}

impl Link {
    /// Every address that is written down for it, the host's own first.
    pub fn written(&self) -> impl Iterator<Item = WrittenAddress> {
        let layer3 = &self.layer3;
        let own = layer3.borne.iter().filter_map(|borne| {
            let address = borne.address?;
            let scope = self.settings.address_scope.filter(|_| address.addr().is_ipv4());
            Some(WrittenAddress { address, peer: borne.known_peer(), scope, is_own: true })
        });
        let shared = layer3.shared.iter().map(|one| WrittenAddress {
            address: one.address,
            peer: one.peer,
            scope: one.scope,
            is_own: false,
        });
        own.chain(shared)
    }

    /// The same, each with its prefix length alone.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpNet> {
        self.written().map(|written| written.address)
    }
}
