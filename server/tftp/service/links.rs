//! The interfaces that TFTP is served on. They may appear, vanish and come back.

use std::net::SocketAddrV4;

use socket2::Socket;

use super::sockets;

/// Who asks, on which of the served interfaces (by its place in the configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) link: usize,
    pub(super) address: SocketAddrV4,
}

/// A served interface.
pub(super) struct Link {
    pub(super) name: String,
    /// Where requests come in, while the interface is there.
    pub(super) listener: Option<Socket>,
    /// Asks for routes out of the interface.
    probe: Option<Socket>,
    /// The number that the kernel gave the interface; another one means another interface.
    index: Option<u32>,
    complained: bool,
}

impl Link {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), listener: None, probe: None, index: None, complained: false }
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
            self.complain("the interface is not there; it is served when it appears");
            return had_listener;
        }
        self.probe = sockets::probe(Some(&self.name)).ok();
        match sockets::listen(&self.name, shared_port) {
            Ok(listener) => {
                tracing::info!(interface = %self.name, "serving TFTP");
                self.listener = Some(listener);
                self.index = index;
                self.complained = false;
            }
            Err(error) => self.complain(&format!("UDP port 69 cannot be listened on: {error}")),
        }
        had_listener || self.listener.is_some()
    }

    /// How long packets to a peer may be, if there is a way to it out of this interface.
    pub(super) fn path_mtu(&self, peer: SocketAddrV4) -> Option<u16> {
        sockets::path_mtu(self.probe.as_ref()?, peer).ok()
    }

    /// Warns once, not at every try.
    fn complain(&mut self, what: &str) {
        if !self.complained {
            tracing::warn!(interface = %self.name, "TFTP: {what}");
        }
        self.complained = true;
    }
}
