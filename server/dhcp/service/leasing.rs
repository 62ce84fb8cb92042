//! Carries out a decision about an address: OFFER, ACK, NAK, and the end of a lease.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::action::{Action, Transmit};
use super::exchange::Exchange;
use super::probe::Probe;
use super::transaction::Transaction;
use super::words;
use crate::dhcp::decide::{NakReason, Reason};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::pxe::boot_data;
use crate::dhcp::reply::{ReplyContent, build_bootp, build_nak, build_reply};
use crate::dhcp::wire::Reply;
use crate::leases::table::Session;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, Warning};
use crate::model::{Lease, LeaseState, UnknownClients};
use crate::options::code;

/// How long an unknown client leases an address where it is only to be discovered, in seconds.
const DISCOVERY_SECONDS: u32 = 300;
/// The shortest lease, in seconds, whatever a client asks for.
const MIN_LEASE_SECONDS: u32 = 60;

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
        leases: &mut Session<'_>,
        history: &mut LinkHistory,
        address: Ipv4Addr,
    ) -> Action {
        leases.offer(&self.client, address, self.offer_ends_at());
        let seconds = self.lease_seconds();
        Action::Send(self.reply(MessageType::Offer, Some(address), seconds, history, |boots| {
            EventData::Offer(event::Offer { address: Some(address), boots, redirected: false })
        }))
    }

    /// Keeps an address for the client while it is probed.
    pub(super) fn probe(
        &self,
        leases: &mut Session<'_>,
        history: &mut LinkHistory,
        address: Ipv4Addr,
    ) -> Action {
        leases.offer(&self.client, address, self.offer_ends_at());
        history.probes.begin(address);
        let nics = self
            .transaction
            .host
            .into_iter()
            .flat_map(|(_, host)| host.nics.values().map(|nic| nic.mac));
        Action::Probe(Box::new(Probe {
            address,
            subnet: self.subnet.name.to_owned(),
            own: self.transaction.request.mac().into_iter().chain(nics).collect(),
            is_routed: self.transaction.request.relay_address().is_some(),
        }))
    }

    /// Gives an address: at once if the client comes early in a lease that it
    /// has, else after the commit.
    pub(super) fn ack(
        &self,
        leases: &mut Session<'_>,
        history: &mut LinkHistory,
        address: Ipv4Addr,
    ) -> Action {
        let Transaction { app, now, request, .. } = self.transaction;
        let lease = self.new_lease(address);
        let running = leases.find(address).filter(|held| {
            held.client == lease.client && held.state == LeaseState::Bound && held.is_live(now)
        });
        let if_failed = running.map(|held| {
            let left = u32::try_from(held.expires_at - now).unwrap_or(0);
            let seconds = left.min(self.lease_seconds());
            self.ack_for(address, seconds, event::Grant::Kept, history)
        });
        let fresh = app.leases.is_alone() && leases.is_fresh(&lease);
        if fresh && let Some(kept) = if_failed {
            leases.withdraw(&self.client);
            return Action::Send(kept);
        }
        // Reserved for this client while the commit runs.
        leases.offer(&self.client, address, self.offer_ends_at());
        let stored = self.ack_for(address, self.lease_seconds(), event::Grant::Given, history);
        // A DISCOVER is never refused: its client asks again (RFC 4039 section 3.1).
        let may_refuse = request.message_type() != Some(MessageType::Discover);
        let if_taken =
            may_refuse.then(|| Box::new(self.nak_without_event(NakReason::NotAvailable)));
        let if_failed = if_failed.map(Box::new);
        Action::Commit(lease, Some(Transmit { if_taken, if_failed, ..stored }))
    }

    pub(super) fn nak(&self, reason: NakReason, address: Option<Ipv4Addr>) -> Transmit {
        let own = self.reserved.filter(|own| Some(*own) != address);
        let event = self.transaction.event(|| EventData::Nak(event::Nak { address, reason, own }));
        Transmit { event, ..self.nak_without_event(reason) }
    }

    fn nak_without_event(&self, reason: NakReason) -> Transmit {
        let reply = build_nak(self.transaction.request, self.server_id, &reason.to_string());
        self.transaction.transmit(&reply, self.local, None)
    }

    pub(super) fn inform(&self, history: &mut LinkHistory, address: Ipv4Addr) -> Transmit {
        self.reply(MessageType::Ack, None, 0, history, |boots| {
            let grant = event::Grant::Informed;
            EventData::Ack(event::Ack { grant, address: Some(address), seconds: None, boots })
        })
    }

    /// Answers a BOOTP client. Nothing is stored: the address is its host's anyway.
    pub(super) fn bootp(&self, address: Ipv4Addr) -> Transmit {
        let file = self.transaction.host.and_then(|(_, host)| host.boot_file.clone());
        let boot = file.map_or_else(Reply::default, |boot_file| Reply {
            next_server: self.local,
            boot_file,
            ..Reply::default()
        });
        let profile = self.transaction.profile();
        let content = ReplyContent {
            message_type: None,
            address: Some(address),
            lease_seconds: 0,
            subnet: Some(self.subnet),
            server_id: self.server_id,
            host_name: self.transaction.host.map(|(name, _)| name),
            own_options: self.transaction.own_options(profile.as_deref()),
            boot,
            link_mtu: self.transaction.link.mtu,
            rapid_commit: false,
        };
        let reply = build_bootp(self.transaction.request, &content);
        let event = self.transaction.event(|| {
            let (grant, address) = (event::Grant::Bootp, Some(address));
            EventData::Ack(event::Ack { grant, address, seconds: None, boots: None })
        });
        self.transaction.transmit(&reply, self.local, event)
    }

    pub(super) fn decline(
        &self,
        leases: &mut Session<'_>,
        address: Ipv4Addr,
    ) -> Result<Action, Reason> {
        let Transaction { app, now, .. } = self.transaction;
        if !leases.believes_decline(&self.client) {
            return Err(Reason::TooManyDeclines);
        }
        let seconds = app.config.decline_seconds;
        let own = self.reserved == Some(address);
        let decline = event::Decline { address, own, quarantine_seconds: seconds };
        if own {
            let warning = Warning::OwnAddressInUse(decline.clone());
            self.transaction.tell(|| EventData::Warning(warning));
        }
        let end = End {
            address,
            state: LeaseState::Declined,
            expires_at: now + i64::from(seconds),
            data: EventData::Decline(decline),
        };
        self.end(leases, end)
    }

    pub(super) fn release(
        &self,
        leases: &mut Session<'_>,
        address: Ipv4Addr,
    ) -> Result<Action, Reason> {
        let end = End {
            address,
            state: LeaseState::Released,
            expires_at: self.transaction.now,
            data: EventData::Release { address },
        };
        self.end(leases, end)
    }

    /// Records the end of a lease; the client expects no reply.
    fn end(&self, leases: &mut Session<'_>, end: End) -> Result<Action, Reason> {
        let End { address, state, expires_at, data } = end;
        if leases.is_offered(address) {
            return Err(Reason::BeingGiven);
        }
        let lease = leases.find(address).ok_or(Reason::NotItsLease)?;
        self.transaction.tell(|| data);
        let lease = Lease { state, expires_at, ..lease };
        // At once: while the commit runs, memory must not tell the client that it still
        // has the address, for the next one may have it then.
        leases.end(lease.clone());
        Ok(Action::Commit(lease, None))
    }

    fn ack_for(
        &self,
        address: Ipv4Addr,
        seconds: u32,
        grant: event::Grant,
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
        let request = transaction.request;
        let for_good = message_type == MessageType::Ack;
        let next = transaction.next(self.local, Some(self.subnet.subnet), history, for_good);
        let client_uuid = request.options.filled(code::CLIENT_UUID);
        let profile = transaction.profile();
        let mut content = ReplyContent {
            message_type: Some(message_type),
            address,
            lease_seconds,
            subnet: Some(self.subnet),
            server_id: self.server_id,
            host_name: transaction.host.map(|(name, _)| name),
            own_options: transaction.own_options(profile.as_deref()),
            boot: boot_data(transaction.boots, &next, self.local, client_uuid),
            link_mtu: transaction.link.mtu,
            rapid_commit: for_good && request.message_type() == Some(MessageType::Discover),
        };
        content.merge_added();
        let event = transaction.event(|| data(words::boots(&next)));
        transaction.transmit(&build_reply(request, &content), self.local, event)
    }

    fn new_lease(&self, address: Ipv4Addr) -> Lease {
        let now = self.transaction.now;
        Lease {
            address,
            client: self.client.clone(),
            mac: self.transaction.request.mac_or_zero(),
            subnet: self.subnet.name.to_owned(),
            state: LeaseState::Bound,
            starts_at: now,
            expires_at: now + i64::from(self.lease_seconds()),
        }
    }

    fn offer_ends_at(&self) -> i64 {
        self.transaction.now + i64::from(self.transaction.app.config.offer_seconds)
    }

    /// What the client asks for, within what the subnet allows.
    fn lease_seconds(&self) -> u32 {
        let subnet = self.subnet.subnet;
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
