//! State that a link's traffic builds up over time: foreign DHCP servers, boot loops, NICs
//! that moved to another switch port. Pure.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::probe::Probes;
use crate::boot::trail::BootTrails;
use crate::model::{Identity, Mac};

/// How long a foreign server counts as present, in seconds, and how often it is reported.
const FOREIGN_SECONDS: i64 = 3600;
/// How often the same warning is given, in seconds.
const WARN_AGAIN_SECONDS: i64 = 600;
/// The most foreign servers, and the most kinds of warnings, that are tracked.
const MAX_ENTRIES: usize = 256;
/// The ports of more NICs than this are not remembered. A hash table of 16,384 places is full then.
const MAX_PORTS: usize = 14_336;

/// The memory of one link. Times are Unix seconds.
#[derive(Debug, Default)]
pub(crate) struct LinkHistory {
    /// The latest boot instructions of each client.
    pub boots: BootTrails,
    /// Which addresses are being probed, and which are clear.
    pub probes: Probes,
    foreign: HashMap<Ipv4Addr, i64>,
    warned: HashMap<String, i64>,
    /// The switch port at which each NIC was last given an address.
    ports: HashMap<Mac, Identity, RandomState>,
    /// Where machines fetch from that reach this server at an address: the last one asked for.
    base_url: Option<(Ipv4Addr, Arc<str>)>,
}

impl LinkHistory {
    /// Notes that a client took another server's offer. Returns whether that server
    /// is to be reported.
    pub(crate) fn sees_foreign_server(&mut self, server: Ipv4Addr, now: i64) -> bool {
        self.foreign.retain(|_, seen_at| now - *seen_at < FOREIGN_SECONDS);
        let is_new = !self.foreign.contains_key(&server);
        if is_new && self.foreign.len() >= MAX_ENTRIES {
            return false;
        }
        self.foreign.insert(server, now);
        is_new
    }

    /// Notes the switch port at which a NIC is given an address. Gives the port before, if it
    /// was another.
    pub(crate) fn sees_port(&mut self, mac: Mac, port: &Identity) -> Option<Identity> {
        if let Some(known) = self.ports.get_mut(&mac) {
            let is_another = known != port;
            return is_another.then(|| std::mem::replace(known, port.clone()));
        }
        if self.ports.len() < MAX_PORTS {
            self.ports.insert(mac, port.clone());
        }
        None
    }

    /// Where machines fetch from that reach this server at `local`; `make` writes it, which
    /// takes longer than to look up all else that an answer needs.
    pub(crate) fn base_url(&mut self, local: Ipv4Addr, make: impl FnOnce() -> String) -> Arc<str> {
        match &self.base_url {
            Some((address, url)) if *address == local => url.clone(),
            _ => self.base_url.insert((local, make().into())).1.clone(),
        }
    }

    /// Whether a warning is to be logged; not if it was within the last ten minutes.
    pub(crate) fn warns(&mut self, what: &str, now: i64) -> bool {
        self.warned.retain(|_, warned_at| now - *warned_at < WARN_AGAIN_SECONDS);
        if self.warned.contains_key(what) || self.warned.len() >= MAX_ENTRIES {
            return false;
        }
        self.warned.insert(what.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_server_is_told_of_once_and_forgotten_in_time() {
        let mut watch = LinkHistory::default();
        let server = Ipv4Addr::new(10, 0, 0, 66);
        assert!(watch.sees_foreign_server(server, 0));
        assert!(!watch.sees_foreign_server(server, 3000));
        assert!(watch.sees_foreign_server(server, 7000));
    }

    #[test]
    fn a_nic_at_another_port_is_noticed_each_time() {
        let mut watch = LinkHistory::default();
        let port = |number: u8| Identity::Port { circuit: Some(vec![number]), remote: None };
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        let seen = [1, 1, 2, 2, 1].map(|number| watch.sees_port(mac, &port(number)));
        assert_eq!(seen, [None, None, Some(port(1)), None, Some(port(2))]);
        for number in 0..MAX_PORTS as u32 + 10 {
            let [a, b, c, d] = number.to_be_bytes();
            watch.sees_port(Mac([2, 2, a, b, c, d]), &port(1));
        }
        assert_eq!(watch.ports.len(), MAX_PORTS);
    }

    #[test]
    fn an_address_has_its_own_url_however_often_they_take_turns() {
        let mut watch = LinkHistory::default();
        for last in [1, 1, 2, 1] {
            let local = Ipv4Addr::new(10, 0, 0, last);
            let url = watch.base_url(local, || format!("http://{local}"));
            assert_eq!(*url, format!("http://10.0.0.{last}"));
        }
    }

    #[test]
    fn a_warning_is_given_once_in_a_while() {
        let mut watch = LinkHistory::default();
        let given: Vec<i64> = (0..1000).filter(|now| watch.warns("full", *now)).collect();
        assert_eq!(given, [0, 600]);
        assert!(watch.warns("other", 601));
    }
}
