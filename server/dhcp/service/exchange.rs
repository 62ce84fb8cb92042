//! One packet's way from bytes to an outcome, with the inventory and the lease book at hand.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::caller::{Around, Caller};
use super::outcome::{Outcome, Sending, Silence};
use super::place::Placed;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::{ChosenServer, Decision, NakReason, Question, Reason, decide};
use crate::dhcp::identity::identities;
use crate::dhcp::link::{Place, server_id};
use crate::dhcp::probe::Verdict;
use crate::dhcp::reply::BOOT_SERVER_PORT;
use crate::dhcp::request::{Request, Unusable};
use crate::dhcp::watch::Watch;
use crate::dhcp::wire::Packet;
use crate::inventory::Snapshot;
use crate::leases::facts::{LeaseFacts, LeaseQuery};
use crate::leases::fill::{Level, Usage};
use crate::leases::table::{Session, Table};
use crate::lifecycle::EventData;
use crate::lifecycle::event::{Failure, Warning};
use crate::metrics::DHCP_MESSAGES;
use crate::model::{ClientKey, ConflictProbe, Identity};
use crate::options::code;

/// Answers one packet out of the inventory and the lease book as they are now.
pub(super) fn answer(around: Around<'_>, watch: &mut Watch, bytes: &[u8]) -> Outcome {
    let packet = match Packet::parse(bytes) {
        Ok(packet) => packet,
        Err(error) => return Outcome::Silent(Unusable::from(error).into()),
    };
    let request = match Request::read(&packet) {
        Ok(request) => request,
        Err(error) => return Outcome::Silent(error.into()),
    };
    DHCP_MESSAGES.count(message_name(request.message_type));
    let caller = Caller::new(around, &request);
    let span = tracing::info_span!(
        "dhcp",
        host = caller.host.map(|(name, _)| name),
        mac = request.mac.map(tracing::field::display),
        transaction = format_args!("{:08x}", packet.transaction_id),
    );
    let _inside = span.enter();
    answer_caller(caller, watch).unwrap_or_else(silent)
}

/// Refuses an address that was to be given to the sender of a packet: the database knows that
/// it is somebody else's.
pub(super) fn refuse(around: Around<'_>, bytes: &[u8], address: Ipv4Addr) -> Option<Sending> {
    let packet = Packet::parse(bytes).ok()?;
    let request = Request::read(&packet).ok()?;
    let exchange = Exchange::begin(Caller::new(around, &request)).ok()?;
    Some(exchange.nak(NakReason::NotAvailable, Some(address)))
}

/// The type of a message as it is counted.
fn message_name(message_type: Option<MessageType>) -> &'static str {
    match message_type {
        Some(MessageType::Discover) => "discover",
        Some(MessageType::Request) => "request",
        Some(MessageType::Decline) => "decline",
        Some(MessageType::Release) => "release",
        Some(MessageType::Inform) => "inform",
        _ => "other",
    }
}

fn answer_caller(caller: Caller<'_>, watch: &mut Watch) -> Result<Outcome, Reason> {
    let Around { app, snapshot, arrival, .. } = caller.around;
    let relay = caller.request.relay_address();
    if relay.is_some_and(|relay| !is_allowed(relay, &app.config.relays, snapshot)) {
        return Err(Reason::UnknownRelay);
    }
    if arrival.port == BOOT_SERVER_PORT {
        return caller.answer_as_boot_server(watch);
    }
    if app.config.proxy_dhcp != ProxyDhcp::Off {
        return caller.answer_as_proxy(watch);
    }
    Exchange::begin(caller)?.answer(watch)
}

/// Stays silent, and says so to who looks closely.
pub(super) fn silent(reason: Reason) -> Outcome {
    tracing::debug!("not answered: {reason}");
    Outcome::Silent(Silence::Decided(reason))
}

/// One message about addresses and everything that its answer depends on.
pub(super) struct Exchange<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) client: ClientKey,
    pub(super) place: Place<'a>,
    /// The address that the host owns in `place`.
    pub(super) reserved: Option<Ipv4Addr>,
    pub(super) server_id: Ipv4Addr,
    /// The address of ours that the client reaches us by.
    pub(super) local: Ipv4Addr,
}

impl<'a> Exchange<'a> {
    fn begin(caller: Caller<'a>) -> Result<Self, Reason> {
        let Around { link, arrival, .. } = caller.around;
        let request = caller.request;
        let Placed { place, client, reserved } = caller.find_place()?;
        let local = link.address_for(request, arrival, place.net);
        let server_id = server_id(request, local);
        Ok(Self { caller, client, place, reserved, server_id, local })
    }

    fn answer(&self, watch: &mut Watch) -> Result<Outcome, Reason> {
        let Around { app, snapshot, now, .. } = self.caller.around;
        let mut table = app.leases.table();
        let mut leases = table.at(snapshot.revision, &snapshot.site, now);
        let question = self.question(&leases);
        let facts = self.facts(&mut leases, &question, watch);
        let decision = decide(&question, &facts);
        if let Some(address) = self.unproven(decision, &facts) {
            match watch.probes.verdict(address, now) {
                Verdict::Clear => {}
                Verdict::Running => return Err(Reason::BeingProbed),
                Verdict::Needed => return Ok(self.probe(&mut leases, watch, address)),
            }
        }
        self.tell_what_is_asked(&question, decision);
        let outcome = match decision {
            Decision::Offer(address) => Ok(self.offer(&mut leases, watch, address)),
            Decision::Ack(address) => {
                self.note_port(watch);
                Ok(self.give(&mut leases, watch, address))
            }
            Decision::Nak(reason) => {
                let address = question.requested.or(question.client_address);
                Ok(Outcome::Send(self.nak(reason, address)))
            }
            Decision::Inform(address) => Ok(Outcome::Send(self.inform(watch, address))),
            Decision::Bootp(address) => Ok(Outcome::Send(self.bootp(address))),
            Decision::Decline(address) => self.decline(&mut leases, address),
            Decision::Release(address) => self.release(&mut leases, address),
            Decision::Ignore(Reason::OtherServer) => {
                leases.withdraw(&self.client);
                self.note_foreign_server(&leases, watch);
                Err(Reason::OtherServer)
            }
            Decision::Ignore(reason) => Err(reason),
        };
        self.note_filling(decision, &mut leases, watch);
        outcome
    }

    /// The address that a client is to have which has not had it before, where somebody may
    /// use it unasked. Whoever renews, or owns the address, never waits for a probe.
    fn unproven(&self, decision: Decision, facts: &LeaseFacts) -> Option<Ipv4Addr> {
        let address = match decision {
            Decision::Offer(address) => address,
            Decision::Ack(address)
                if self.caller.request.message_type == Some(MessageType::Discover) =>
            {
                address
            }
            _ => return None,
        };
        let had = facts.reserved == Some(address) || facts.leased == Some(address);
        let wanted = self.place.subnet.conflict_probe == ConflictProbe::On;
        (wanted && !had).then_some(address)
    }

    fn question(&self, table: &Table) -> Question {
        let request = self.caller.request;
        let arrival = self.caller.around.arrival;
        let subnet = self.place.subnet;
        let is_ours =
            |id: Ipv4Addr| id == self.server_id || id == arrival.local || table.is_own(id);
        let source = *arrival.source.ip();
        let relayed = request.relay_address().is_some();
        let inform_source = Some(source)
            .filter(|_| request.message_type == Some(MessageType::Inform))
            .filter(|source| !source.is_unspecified());
        Question {
            message_type: request.message_type,
            requested: request.requested_address,
            client_address: request.client_address.or(inform_source),
            server: match request.server_id {
                None => ChosenServer::None,
                Some(id) if is_ours(id) => ChosenServer::Us,
                Some(_) => ChosenServer::Other,
            },
            unicast: arrival.is_unicast() && !relayed,
            rapid_commit: subnet.rapid_commit
                && request.packet.options.get(code::RAPID_COMMIT).is_some(),
            too_early: subnet.min_secs.is_some_and(|least| request.packet.seconds < least),
            source_agrees: relayed || request.client_address == Some(source),
        }
    }

    fn facts(&self, leases: &mut Session<'_>, question: &Question, watch: &Watch) -> LeaseFacts {
        let Around { app, now, .. } = self.caller.around;
        let subnet = self.place.subnet;
        let query = LeaseQuery {
            client: &self.client,
            net: self.place.net,
            reserved: self.reserved,
            requested: question.requested.or(question.client_address),
            may_lease: self.caller.may_lease(subnet),
        };
        let mut facts = leases.facts(&query);
        // Where another server is, strangers may be its clients.
        facts.bootp_allowed = subnet.bootp;
        facts.authoritative = app.config.authoritative && !watch.has_foreign_server(now);
        facts
    }

    /// Tells of the question, unless it is a stranger's that gets no answer: that is counted.
    fn tell_what_is_asked(&self, question: &Question, decision: Decision) {
        let data = match question.message_type {
            Some(MessageType::Discover) | None => EventData::Discover,
            Some(MessageType::Request) => EventData::Request,
            _ => return,
        };
        let wanted = question.requested.or(question.client_address);
        let unanswered = match decision {
            Decision::Ignore(_) if self.caller.host.is_none() => return,
            Decision::Ignore(reason) => Some(reason),
            _ => None,
        };
        self.caller.tell(|| data(self.caller.question(wanted, unanswered)));
    }

    /// Tells once that the subnet's ranges run low, and once that they are exhausted.
    fn note_filling(&self, decision: Decision, leases: &mut Session<'_>, watch: &mut Watch) {
        let is_short = match decision {
            Decision::Offer(_) | Decision::Ack(_) => false,
            Decision::Ignore(Reason::PoolExhausted) => true,
            _ => return,
        };
        let Place { name: subnet, net, .. } = self.place;
        let around = self.caller.around;
        let subnet_name = || subnet.to_owned();
        match leases.fill_news(net) {
            Some((Level::Exhausted, Usage { used, of })) => {
                around.alarm(Failure::PoolExhausted { subnet: subnet_name(), used, of });
            }
            Some((_, Usage { used, of })) => {
                around.warn(None, Warning::PoolLow { subnet: subnet_name(), used, of });
            }
            // There are some, and strangers have as many on offer as they may.
            None if is_short
                && leases.usage(net).level() != Level::Exhausted
                && watch.warns(subnet, around.now) =>
            {
                around.warn(None, Warning::OffersToStrangers { subnet: subnet_name() });
            }
            None => {}
        }
    }

    /// A NIC at another switch port than before was plugged in there, or somebody else there
    /// says that its MAC is his: the operator knows which.
    fn note_port(&self, watch: &mut Watch) {
        let request = self.caller.request;
        let (Some(mac), Some(_)) = (request.mac, request.relay_info) else { return };
        let is_port = |it: &Identity| matches!(it, Identity::Port { circuit: Some(_), .. });
        let Some(port) = identities(request).find(is_port) else { return };
        if let Some(before) = watch.sees_port(mac, &port) {
            let (port, before) = (port.to_string(), before.to_string());
            self.caller.tell(|| EventData::Warning(Warning::PortChanged { port, before }));
        }
    }

    /// A client on the link itself took another server's offer: that server is there.
    fn note_foreign_server(&self, table: &Table, watch: &mut Watch) {
        let Around { link, now, .. } = self.caller.around;
        let request = self.caller.request;
        let Some(server) = request.server_id.filter(|_| request.relay_address().is_none()) else {
            return;
        };
        // One that shares the database.
        if table.is_peer(server, now) {
            return;
        }
        if watch.sees_foreign_server(server, now) {
            let interface = link.interface.clone();
            self.caller.around.warn(request.mac, Warning::ForeignServer { server, interface });
        }
    }
}

/// Whether a relay is one of those configured or, where none are, in a subnet of the site.
fn is_allowed(relay: Ipv4Addr, listed: &[Ipv4Addr], snapshot: &Snapshot) -> bool {
    if !listed.is_empty() {
        return listed.contains(&relay);
    }
    snapshot.subnets().around(relay).next().is_some()
}
