//! Carries out a decision about an address: OFFER, ACK, NAK, and the end of a lease.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::action::Action;
use super::exchange::Exchange;
use super::probe::Probe;
use super::transaction::Transaction;
use super::words;
use crate::boot::arch::Client;
use crate::boot::next::own_boot_file;
use crate::dhcp::decide::{NakReason, Reason, is_of_another_server};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::reply::{Reply, Transmit};
use crate::leases::facts::LeaseFacts;
use crate::leases::table::Table;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, Warning};
use crate::model::{Lease, LeaseState, Nic, UnknownClients};

/// How long an unknown client leases an address where it is only to be discovered, in seconds.
const DISCOVERY_SECONDS: u32 = 300;
/// The shortest lease, in seconds, whatever a client asks for.
const MIN_LEASE_SECONDS: u32 = 60;

/// Whether the client goes on using an address of the server before, although it owns another one.
fn takes_over(address: Ipv4Addr, facts: &LeaseFacts) -> bool {
    let owns_another = facts.reserved.is_some_and(|own| own != address);
    let keeps = facts.keeps_leased && facts.leased == Some(address);
    owns_another && (keeps || is_of_another_server(facts))
}

/// The end of a lease, and its event.
struct End {
    address: Ipv4Addr,
    state: LeaseState,
    /// Unix seconds.
    expires_at: i64,
    data: EventData,
}

impl Exchange<'_> {
    pub(super) fn offer(
        &self,
        leases: &mut Table,
        history: &mut LinkHistory,
        address: Ipv4Addr,
    ) -> Action {
        self.reserve(leases, address);
        let seconds = self.lease_seconds();
        Action::Send(self.reply(MessageType::Offer, Some(address), seconds, history, |boots| {
            EventData::Offer(event::Offer { address: Some(address), boots, redirected: false })
        }))
    }

    /// Keeps an address for the client while it is probed.
    pub(super) fn probe(
        &self,
        leases: &mut Table,
        history: &mut LinkHistory,
        address: Ipv4Addr,
    ) -> Action {
        self.reserve(leases, address);
        history.probes.begin(address);
        let nics = self
            .transaction
            .host
            .into_iter()
            .flat_map(|(_, host)| host.nics.values().filter_map(Nic::mac));
        Action::Probe(Box::new(Probe {
            address,
            subnet: self.subnet_name.to_owned(),
            own: self.transaction.request.mac().into_iter().chain(nics).collect(),
            is_routed: self.transaction.request.relay_address().is_some(),
            held: leases.find(address).filter(|held| {
                self.reserved == Some(address) && held.is_live(self.transaction.now)
            }),
        }))
    }

    /// Gives an address: at once if the client comes early in a lease that it
    /// has, else after the commit.
    pub(super) fn ack(
        &self,
        leases: &mut Table,
        history: &mut LinkHistory,
        address: Ipv4Addr,
        facts: &LeaseFacts,
    ) -> Action {
        let Transaction { app, now, request, .. } = self.transaction;
        let lease = Lease { taken_over: takes_over(address, facts), ..self.new_lease(address) };
        let running = leases.find(address).filter(|held| {
            held.client == lease.client && held.state == LeaseState::Bound && held.is_live(now)
        });
        let if_failed = running.map(|held| {
            let left = u32::try_from(held.expires_at - now).unwrap_or(0);
            let seconds = left.min(self.lease_seconds());
            self.ack_for(address, seconds, event::AckKind::Kept, history)
        });
        let is_firmware = self.transaction.boots != Client::Plain;
        leases.note_firmware(address, self.transaction.nic().filter(|_| is_firmware));
        let fresh = app.leases.is_alone() && leases.is_fresh(&lease);
        if fresh && let Some(kept) = if_failed {
            leases.withdraw(&self.client, lease.nic);
            return Action::Send(kept);
        }
        // Reserved for this client while the commit runs.
        self.reserve(leases, address);
        let stored = self.ack_for(address, self.lease_seconds(), event::AckKind::Given, history);
        // A DISCOVER is never refused: its client asks again (RFC 4039 section 3.1).
        let may_refuse = request.message_type() != Some(MessageType::Discover);
        let if_taken =
            may_refuse.then(|| Box::new(self.nak_without_event(NakReason::NotAvailable)));
        let if_failed = if_failed.map(Box::new);
        let ended = self.leave_others(leases, &lease);
        Action::Commit { lease, ended, reply: Some(Transmit { if_taken, if_failed, ..stored }) }
    }

    /// Keeps an address for the client until it takes it up.
    fn reserve(&self, leases: &mut Table, address: Ipv4Addr) {
        leases.offer(&self.client, self.transaction.nic(), address, self.offer_ends_at());
    }

    /// Ends the other leases that the same NIC has in the subnet, such as the dynamic one of a
    /// host that was adopted since.
    fn leave_others(&self, leases: &mut Table, lease: &Lease) -> Vec<Lease> {
        let mut ended = leases.left_behind(&lease.client, lease.nic, lease.address, self.net);
        for other in &mut ended {
            (other.state, other.expires_at) = (LeaseState::Released, self.transaction.now);
            leases.end(other.clone());
        }
        ended
    }

    pub(super) fn nak(&self, reason: NakReason, address: Option<Ipv4Addr>) -> Transmit {
        let own = self.reserved.filter(|own| Some(*own) != address);
        let event = self.transaction.event(|| EventData::Nak(event::Nak { address, reason, own }));
        Transmit { event, ..self.nak_without_event(reason) }
    }

    fn nak_without_event(&self, reason: NakReason) -> Transmit {
        let reply = Reply {
            message_type: Some(MessageType::Nak),
            server_id: self.server_id,
            subnet_selection: self.subnet_selection,
            message: Some(&reason.to_string()),
            ..Reply::default()
        };
        self.transaction.transmit(&reply, self.local, None)
    }

    pub(super) fn inform(&self, history: &mut LinkHistory, address: Ipv4Addr) -> Transmit {
        self.reply(MessageType::Ack, None, 0, history, |boots| {
            let grant = event::AckKind::Informed;
            EventData::Ack(event::Ack { grant, address: Some(address), seconds: None, boots })
        })
    }

    /// Answers a BOOTP client. Nothing is stored: the address is its host's anyway.
    pub(super) fn bootp(&self, address: Ipv4Addr) -> Transmit {
        let Transaction { app, snapshot, host, .. } = self.transaction;
        let boot_source = app.inventory.boot_source(snapshot, host, None);
        let file = own_boot_file(host.map(|(_, host)| host), &boot_source);
        let boot = file.map_or_else(Reply::default, |boot_file| Reply {
            next_server: self.transaction.tftp_server(self.local, Some(self.subnet)),
            boot_file: boot_file.to_owned(),
            ..Reply::default()
        });
        let profile = self.transaction.profile();
        let reply = Reply {
            address: Some(address),
            subnet: Some(self.subnet),
            host_name: self.transaction.host.map(|(name, _)| name),
            own_options: self.transaction.own_options(profile.as_deref()),
            ..boot
        };
        let event = self.transaction.event(|| {
            let (grant, address) = (event::AckKind::Bootp, Some(address));
            EventData::Ack(event::Ack { grant, address, seconds: None, boots: None })
        });
        self.transaction.transmit(&reply, self.local, event)
    }

    pub(super) fn decline(&self, leases: &mut Table, address: Ipv4Addr) -> Result<Action, Reason> {
        let Transaction { app, now, .. } = self.transaction;
        if !leases.believes_decline(&self.client) {
            return Err(Reason::TooManyDeclines);
        }
        let seconds = app.config.now().decline_seconds;
        let own = self.reserved == Some(address);
        let decline = event::Decline { address, own, quarantine_seconds: seconds };
        if own {
            let warning = Warning::OwnAddressInUse(decline.clone());
            self.transaction.record(|| EventData::Warning(warning));
        }
        let end = End {
            address,
            state: LeaseState::Declined,
            expires_at: now + i64::from(seconds),
            data: EventData::Decline(decline),
        };
        self.end(leases, end)
    }

    pub(super) fn release(&self, leases: &mut Table, address: Ipv4Addr) -> Result<Action, Reason> {
        let end = End {
            address,
            state: LeaseState::Released,
            expires_at: self.transaction.now,
            data: EventData::Release { address },
        };
        self.end(leases, end)
    }

    /// Records the end of a lease; the client expects no reply.
    fn end(&self, leases: &mut Table, end: End) -> Result<Action, Reason> {
        let End { address, state, expires_at, data } = end;
        if leases.is_offered(address) {
            return Err(Reason::BeingGiven);
        }
        let lease = leases.find(address).ok_or(Reason::NotItsLease)?;
        self.transaction.record(|| data);
        let lease = Lease { state, expires_at, ..lease };
        // At once: while the commit runs, memory must not tell the client that it still
        // has the address, for the next one may have it then.
        leases.end(lease.clone());
        Ok(Action::Commit { lease, ended: Vec::new(), reply: None })
    }

    fn ack_for(
        &self,
        address: Ipv4Addr,
        seconds: u32,
        grant: event::AckKind,
        history: &mut LinkHistory,
    ) -> Transmit {
        let address = Some(address);
        self.reply(MessageType::Ack, address, seconds, history, |boots| {
            EventData::Ack(event::Ack { grant, address, seconds: Some(seconds), boots })
        })
    }

    /// An OFFER or an ACK; without an address it answers an INFORM.
    fn reply(
        &self,
        message_type: MessageType,
        address: Option<Ipv4Addr>,
        lease_seconds: u32,
        history: &mut LinkHistory,
        data: impl FnOnce(Option<event::Boots>) -> EventData,
    ) -> Transmit {
        let transaction = &self.transaction;
        let for_good = message_type == MessageType::Ack;
        let next = transaction.next(self.local, Some(self.subnet), history, for_good);
        let boot_file = transaction.boot_file(&next, self.local, Some(self.subnet), history);
        let boots = words::boots(&next, transaction.boots, &boot_file);
        let profile = transaction.profile();
        let mut reply = Reply {
            message_type: Some(message_type),
            address,
            lease_seconds,
            server_id: self.server_id,
            subnet: Some(self.subnet),
            subnet_selection: self.subnet_selection,
            host_name: transaction.host.map(|(name, _)| name),
            own_options: transaction.own_options(profile.as_deref()),
            ..transaction.boot_part(&next, boot_file, self.local, Some(self.subnet))
        };
        reply.merge_added();
        let boots = boots.filter(|_| transaction.boots != Client::Plain);
        let event = transaction.event(|| data(boots));
        transaction.transmit(&reply, self.local, event)
    }

    fn new_lease(&self, address: Ipv4Addr) -> Lease {
        let now = self.transaction.now;
        Lease {
            address,
            client: self.client.clone(),
            nic: self.transaction.nic(),
            subnet: self.subnet_name.to_owned(),
            state: LeaseState::Bound,
            starts_at: now,
            expires_at: now + i64::from(self.lease_seconds()),
            taken_over: false,
        }
    }

    fn offer_ends_at(&self) -> i64 {
        self.transaction.now + i64::from(self.transaction.app.config.now().offer_seconds)
    }

    /// What the client asks for, within what the subnet allows.
    fn lease_seconds(&self) -> u32 {
        let subnet = self.subnet;
        let discovered =
            self.transaction.host.is_none() && subnet.unknown_clients == UnknownClients::Discover;
        let longest = subnet.lease_seconds().max(MIN_LEASE_SECONDS);
        let longest = if discovered { longest.min(DISCOVERY_SECONDS) } else { longest };
        self.transaction
            .request
            .lease_seconds()
            .unwrap_or(longest)
            .clamp(MIN_LEASE_SECONDS, longest)
    }
}
