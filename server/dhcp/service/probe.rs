//! Probes addresses before unknown clients are offered them. One task per link receives the
//! answers to all probes; each probe ends within its budget.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::dhcp::link::{Arrival, ServedLink};
use crate::dhcp::probe::{BUDGET, SEND_AGAIN};
use crate::dhcp::socket::{ArpSocket, EchoSocket};
use crate::model::{ClientKey, Lease, LeaseState, Mac};

/// An address to be probed for a client.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) address: Ipv4Addr,
    /// The name of its subnet.
    pub(super) subnet: String,
    /// The client's own MACs: it may use the address still.
    pub(super) own: Vec<Mac>,
    /// Whether the client is behind a relay, where ARP does not reach.
    pub(super) is_routed: bool,
    /// The lease that runs on a host's own address, of a NIC that the host no longer has: if the
    /// address is in use, its quarantine takes the place of the lease and ends with it.
    pub(super) held: Option<Lease>,
}

/// A probe that has ended, and the packet that waits for it.
pub(super) struct Probed {
    pub(super) probe: Probe,
    pub(super) found: Found,
    pub(super) packet: Vec<u8>,
    pub(super) arrival: Arrival,
}

impl Probed {
    /// The lease that keeps the address from every client.
    pub(super) fn quarantine(&self, mac: Option<Mac>, now: i64, seconds: u32) -> Lease {
        if let Some(held) = &self.probe.held {
            return Lease { state: LeaseState::Declined, starts_at: now, ..held.clone() };
        }
        Lease {
            address: self.probe.address,
            client: ClientKey::Mac(mac.unwrap_or(Mac([0; 6]))),
            nic: mac.map(Into::into),
            subnet: self.probe.subnet.clone(),
            state: LeaseState::Declined,
            starts_at: now,
            expires_at: now + i64::from(seconds),
            taken_over: false,
        }
    }
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No answer came.
    Nobody,
    /// The address is in use, by this MAC where it is known.
    Somebody(Option<Mac>),
    /// What was found is noted, and the packet can be looked at again.
    Noted,
}

/// Probes on one link.
#[derive(Debug, Default)]
pub(super) struct Prober {
    /// None before the first probe, or since the link was another one.
    asks: Option<mpsc::UnboundedSender<Ask>>,
}

/// A running probe, and the channel for its result.
#[derive(Debug)]
struct Ask {
    probe: Probe,
    found: oneshot::Sender<Option<Mac>>,
    sent: u16,
}

impl Prober {
    /// Begins anew, on a link that has changed.
    pub(super) fn forget_link(&mut self) {
        self.asks = None;
    }

    /// Probes an address. The answer comes within the budget; at once where there are no raw
    /// sockets, since a server that cannot look must still serve.
    pub(super) fn probe(
        &mut self,
        link: &ServedLink,
        probe: Probe,
    ) -> impl Future<Output = Found> + Send + use<> {
        let (found, answer) = oneshot::channel();
        let asks = self.asks.take().filter(|asks| !asks.is_closed());
        let asks = asks.unwrap_or_else(|| {
            let (asks, waiting) = mpsc::unbounded_channel();
            tokio::spawn(run(link.clone(), waiting));
            asks
        });
        // A task that has just ended drops the ask, which ends the wait below.
        let _ = asks.send(Ask { probe, found, sent: 0 });
        self.asks = Some(asks);
        async move {
            match timeout(BUDGET, answer).await {
                Ok(Ok(mac)) => Found::Somebody(mac),
                Ok(Err(_)) | Err(_) => Found::Nobody,
            }
        }
    }
}

/// Sends probes and receives the answers, until the service or the link is gone.
async fn run(link: ServedLink, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let interface = &link.interface;
    let told = |what: &str, error: &io::Error| {
        tracing::warn!(interface, "addresses are offered without a probe by {what}: {error}");
    };
    let arp = ArpSocket::open(&link).inspect_err(|error| told("ARP", error)).ok();
    let echo = EchoSocket::open().inspect_err(|error| told("ICMP", error)).ok();
    let mut waiting: HashMap<Ipv4Addr, Ask> = HashMap::new();
    let mut again = interval(SEND_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ask = asks.recv() => {
                let Some(mut ask) = ask else { return };
                if waiting.is_empty() {
                    again.reset();
                }
                if send(&mut ask, arp.as_ref(), echo.as_ref()) {
                    waiting.insert(ask.probe.address, ask);
                }
            }
            claim = hear_claim(arp.as_ref()) => match claim {
                Ok((address, mac)) => {
                    let not_own = |ask: &Ask| !ask.probe.is_routed && !ask.probe.own.contains(&mac);
                    if waiting.get(&address).is_some_and(not_own) {
                        settle(&mut waiting, address, Some(mac));
                    }
                }
                Err(error) => return told("ARP", &error),
            },
            answer = hear_echo(echo.as_ref()) => match answer {
                Ok(address) => {
                    if waiting.get(&address).is_some_and(|ask| ask.probe.is_routed) {
                        settle(&mut waiting, address, None);
                    }
                }
                Err(error) => return told("ICMP", &error),
            },
            _ = again.tick(), if !waiting.is_empty() => {
                waiting.retain(|_, ask| !ask.found.is_closed());
                for ask in waiting.values_mut().filter(|ask| ask.sent < 2) {
                    send(ask, arp.as_ref(), echo.as_ref());
                }
            }
        }
    }
}

/// Sends a probe; says whether an answer can come.
fn send(ask: &mut Ask, arp: Option<&ArpSocket>, echo: Option<&EchoSocket>) -> bool {
    ask.sent += 1;
    let address = ask.probe.address;
    let sent = match (ask.probe.is_routed, arp, echo) {
        (false, Some(arp), _) => arp.probe(address),
        (true, _, Some(echo)) => echo.probe(address, ask.sent),
        _ => return false,
    };
    // Such as no route to a subnet behind a relay: no answer could come either.
    sent.inspect_err(|error| tracing::debug!("no probe of {address}: {error}")).is_ok()
}

fn settle(waiting: &mut HashMap<Ipv4Addr, Ask>, address: Ipv4Addr, mac: Option<Mac>) {
    if let Some(ask) = waiting.remove(&address) {
        // It may have run out this very moment.
        let _ = ask.found.send(mac);
    }
}

async fn hear_claim(arp: Option<&ArpSocket>) -> io::Result<(Ipv4Addr, Mac)> {
    match arp {
        Some(arp) => arp.receive().await,
        None => pending().await,
    }
}

async fn hear_echo(echo: Option<&EchoSocket>) -> io::Result<Ipv4Addr> {
    match echo {
        Some(echo) => echo.receive().await,
        None => pending().await,
    }
}
