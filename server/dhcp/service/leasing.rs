//! Carries out what was decided about an address: offers, leases, refusals and their ends.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::caller::Around;
use super::exchange::Exchange;
use super::outcome::{Answers, Commit, Outcome, Sending};
use super::probe::Probe;
use super::words;
use crate::dhcp::decide::{NakReason, Reason};
use crate::dhcp::pxe::{BootData, boot_data};
use crate::dhcp::reply::{Grant, build_bootp, build_grant, build_nak};
use crate::dhcp::watch::Watch;
use crate::leases::table::Session;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, Warning};
use crate::model::{Lease, LeaseState, UnknownClients};
use crate::options::code;

/// How long an unknown client leases an address where it is only to be discovered, in seconds.
const DISCOVERY_SECONDS: u32 = 300;
/// The shortest lease, in seconds, whatever a client asks for.
const MIN_LEASE_SECONDS: u32 = 60;

/// An OFFER or ACK before it is a packet.
struct Given {
    kind: MessageType,
    /// None for the answer to an INFORM.
    address: Option<Ipv4Addr>,
    lease_seconds: u32,
}

/// The end of a lease, and the event of it.
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
        watch: &mut Watch,
        address: Ipv4Addr,
    ) -> Outcome {
        leases.offer(&self.client, address, self.offer_ends_at());
        let given = Given {
            kind: MessageType::Offer,
            address: Some(address),
            lease_seconds: self.lease_seconds(),
        };
        Outcome::Send(self.grant(watch, given, |boots| {
            EventData::Offer(event::Offer { address: Some(address), boots, redirected: false })
        }))
    }

    /// Keeps an address for the client while it is probed.
    pub(super) fn probe(
        &self,
        leases: &mut Session<'_>,
        watch: &mut Watch,
        address: Ipv4Addr,
    ) -> Outcome {
        leases.offer(&self.client, address, self.offer_ends_at());
        watch.probes.begin(address);
        let nics = self
            .caller
            .host
            .into_iter()
            .flat_map(|(_, host)| host.nics.values().map(|nic| nic.mac));
        Outcome::Probe(Box::new(Probe {
            address,
            subnet: self.place.name.to_owned(),
            own: self.caller.request.mac.into_iter().chain(nics).collect(),
            is_routed: self.caller.request.relay_address().is_some(),
        }))
    }

    /// Gives an address: at once if the client comes early in a lease that it
    /// has, else after the commit.
    pub(super) fn give(
        &self,
        leases: &mut Session<'_>,
        watch: &mut Watch,
        address: Ipv4Addr,
    ) -> Outcome {
        let Around { app, now, .. } = self.caller.around;
        let lease = self.new_lease(address);
        let running = leases.find(address).filter(|held| {
            held.client == lease.client && held.state == LeaseState::Bound && held.is_live(now)
        });
        let remembered = running.map(|held| {
            let left = u32::try_from(held.expires_at - now).unwrap_or(0);
            self.ack(watch, address, left.min(self.lease_seconds()), event::Grant::Kept)
        });
        let fresh = app.leases.is_alone() && leases.is_fresh(&lease);
        if fresh && let Some(sending) = remembered {
            leases.withdraw(&self.client);
            return Outcome::Send(sending);
        }
        // Nobody else may be offered it while the commit runs.
        leases.offer(&self.client, address, self.offer_ends_at());
        let answers = Answers {
            granted: Some(self.ack(watch, address, self.lease_seconds(), event::Grant::Given)),
            // A DISCOVER is never refused: its client asks again (RFC 4039 section 3.1).
            may_refuse: self.caller.request.message_type != Some(MessageType::Discover),
            remembered,
        };
        Outcome::Commit(Box::new(Commit { lease, now, answers }))
    }

    pub(super) fn nak(&self, reason: NakReason, address: Option<Ipv4Addr>) -> Sending {
        let reply = build_nak(self.caller.request, self.server_id, &reason.to_string());
        let own = self.reserved.filter(|own| Some(*own) != address);
        let happened = self.caller.happened(|| EventData::Nak(event::Nak { address, reason, own }));
        self.caller.sending(&reply, self.local, happened)
    }

    pub(super) fn inform(&self, watch: &mut Watch, address: Ipv4Addr) -> Sending {
        let given = Given { kind: MessageType::Ack, address: None, lease_seconds: 0 };
        self.grant(watch, given, |boots| {
            let grant = event::Grant::Informed;
            EventData::Ack(event::Ack { grant, address: Some(address), seconds: None, boots })
        })
    }

    /// Answers a BOOTP client. Nothing is stored: the address is its host's anyway.
    pub(super) fn bootp(&self, address: Ipv4Addr) -> Sending {
        let file = self.caller.host.and_then(|(_, host)| host.boot_file.clone());
        let boot = file.map_or_else(BootData::default, |boot_file| BootData {
            next_server: Some(self.local),
            boot_file,
            options: Vec::new(),
        });
        let profile = self.caller.profile();
        let grant = Grant {
            message_type: None,
            address: Some(address),
            lease_seconds: 0,
            place: Some(self.place),
            server_id: self.server_id,
            host_name: self.caller.host.map(|(name, _)| name),
            own_options: self.caller.own_options(profile.as_deref()),
            boot,
            link_mtu: self.caller.around.link.mtu,
            rapid_commit: false,
        };
        let reply = build_bootp(self.caller.request, &grant);
        let happened = self.caller.happened(|| {
            let (grant, address) = (event::Grant::Bootp, Some(address));
            EventData::Ack(event::Ack { grant, address, seconds: None, boots: None })
        });
        self.caller.sending(&reply, self.local, happened)
    }

    pub(super) fn decline(
        &self,
        leases: &mut Session<'_>,
        address: Ipv4Addr,
    ) -> Result<Outcome, Reason> {
        let Around { app, now, .. } = self.caller.around;
        if !leases.believes_decline(&self.client) {
            return Err(Reason::TooManyDeclines);
        }
        let seconds = app.config.decline_seconds;
        let own = self.reserved == Some(address);
        let decline = event::Decline { address, own, quarantine_seconds: seconds };
        if own {
            let warning = Warning::OwnAddressInUse(decline.clone());
            self.caller.tell(|| EventData::Warning(warning));
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
    ) -> Result<Outcome, Reason> {
        let end = End {
            address,
            state: LeaseState::Released,
            expires_at: self.caller.around.now,
            data: EventData::Release { address },
        };
        self.end(leases, end)
    }

    /// Records the end of a lease; nobody waits for an answer.
    fn end(&self, leases: &mut Session<'_>, end: End) -> Result<Outcome, Reason> {
        let End { address, state, expires_at, data } = end;
        if leases.is_offered(address) {
            return Err(Reason::BeingGiven);
        }
        let lease = leases.find(address).ok_or(Reason::NotItsLease)?;
        self.caller.tell(|| data);
        let lease = Lease { state, expires_at, ..lease };
        // At once: while the commit runs, memory must not tell the client that it still
        // has the address, for the next one may have it then.
        leases.end(lease.clone());
        let (now, answers) = (self.caller.around.now, Answers::default());
        Ok(Outcome::Commit(Box::new(Commit { lease, now, answers })))
    }

    fn ack(
        &self,
        watch: &mut Watch,
        address: Ipv4Addr,
        seconds: u32,
        grant: event::Grant,
    ) -> Sending {
        let address = Some(address);
        let given = Given { kind: MessageType::Ack, address, lease_seconds: seconds };
        self.grant(watch, given, |boots| {
            EventData::Ack(event::Ack { grant, address, seconds: Some(seconds), boots })
        })
    }

    fn grant(
        &self,
        watch: &mut Watch,
        given: Given,
        data: impl FnOnce(Option<event::Boots>) -> EventData,
    ) -> Sending {
        let Given { kind, address, lease_seconds } = given;
        let for_good = kind == MessageType::Ack;
        let next = self.caller.next(self.local, Some(self.place.subnet), watch, for_good);
        let client_uuid = self.caller.request.packet.options.filled(code::CLIENT_UUID);
        let profile = self.caller.profile();
        let mut grant = Grant {
            message_type: Some(kind),
            address,
            lease_seconds,
            place: Some(self.place),
            server_id: self.server_id,
            host_name: self.caller.host.map(|(name, _)| name),
            own_options: self.caller.own_options(profile.as_deref()),
            boot: boot_data(self.caller.boots, &next, self.local, client_uuid),
            link_mtu: self.caller.around.link.mtu,
            rapid_commit: for_good
                && self.caller.request.message_type == Some(MessageType::Discover),
        };
        grant.merge_added();
        let reply = build_grant(self.caller.request, &grant);
        let happened = self.caller.happened(|| data(words::boots(&next)));
        self.caller.sending(&reply, self.local, happened)
    }

    fn new_lease(&self, address: Ipv4Addr) -> Lease {
        let now = self.caller.around.now;
        Lease {
            address,
            client: self.client.clone(),
            mac: self.caller.request.mac_or_zero(),
            subnet: self.place.name.to_owned(),
            state: LeaseState::Bound,
            starts_at: now,
            expires_at: now + i64::from(self.lease_seconds()),
        }
    }

    fn offer_ends_at(&self) -> i64 {
        self.caller.around.now + i64::from(self.caller.around.app.config.offer_seconds)
    }

    /// What the client asks for, within what the subnet allows.
    fn lease_seconds(&self) -> u32 {
        let subnet = self.place.subnet;
        let discovered =
            self.caller.host.is_none() && subnet.unknown_clients == UnknownClients::Discover;
        let longest = subnet.lease_seconds().max(MIN_LEASE_SECONDS);
        let longest = if discovered { longest.min(DISCOVERY_SECONDS) } else { longest };
        self.caller.request.lease_seconds.unwrap_or(longest).clamp(MIN_LEASE_SECONDS, longest)
    }
}
