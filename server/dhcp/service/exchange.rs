//! One message's way to what is done about it, with the inventory and the lease book at hand.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;
use ipnet::Ipv4Net;

use super::action::Action;
use super::transaction::Transaction;
use crate::app::App;
use crate::boot::arch::Client;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::{Decision, Reason, decide};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::identity::identities;
use crate::dhcp::link::{Arrival, ServedLink, allows_relay, ipv4_net, server_id, subnet_selection};
use crate::dhcp::probe::ProbeState;
use crate::dhcp::reply::BOOT_SERVER_PORT;
use crate::dhcp::wire::Packet;
use crate::inventory::Snapshot;
use crate::leases::facts::LeaseFacts;
use crate::leases::fill::{Level, Usage};
use crate::leases::table::Table;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{Failure, Warning};
use crate::metrics::DHCP_MESSAGES;
use crate::model::{ClientKey, ConflictProbe, HostDhcp, Identity, Subnet};

/// Answers one client's message with the inventory and the leases as they are now.
///
/// # Errors
/// It gets no reply, by the rules of RFC 2131 or of the site.
pub(super) fn answer(
    app: &App,
    snapshot: &Snapshot,
    link: &ServedLink,
    history: &mut LinkHistory,
    arrival: &Arrival,
    request: &Packet<'_>,
    now: i64,
) -> Result<Action, Reason> {
    DHCP_MESSAGES.count(message_name(request.message_type()));
    let transaction = Transaction::new(app, snapshot, link, arrival, now, request);
    let span = tracing::info_span!(
        "dhcp",
        host = transaction.host.map(|(name, _)| name),
        mac = request.mac().map(tracing::field::display),
        transaction = format_args!("{:08x}", request.transaction_id),
    );
    let _inside = span.enter();
    let action = answer_transaction(transaction, history);
    transaction.note_unknown(action.as_ref().err().copied());
    action.inspect_err(|reason| tracing::debug!("not answered: {reason}"))
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

fn answer_transaction(
    transaction: Transaction<'_>,
    history: &mut LinkHistory,
) -> Result<Action, Reason> {
    let Transaction { app, snapshot, arrival, .. } = transaction;
    let request = transaction.request;
    if !allows_relay(&snapshot.site, snapshot.subnets(), &app.config.now().relays, request) {
        transaction.note_refused_relay(history);
        return Err(Reason::UnknownRelay);
    }
    if transaction.host.is_some_and(|(_, host)| host.dhcp == HostDhcp::Off) {
        let reason = Reason::HostOff;
        let address = request.subject_address();
        let question = || transaction.question(address, Some(reason));
        if request.message_type() == Some(MessageType::Discover) {
            transaction.record(|| EventData::Discover(question()));
        }
        return Err(reason);
    }
    if arrival.port == BOOT_SERVER_PORT {
        return transaction.answer_as_boot_server(history);
    }
    if app.config.now().proxy_on(&transaction.link.interface) != ProxyDhcp::Off {
        return transaction.answer_as_proxy(history);
    }
    Exchange::begin(transaction)?.answer(history)
}

/// A message about an address: the client's subnet, and who the client is there.
pub(super) struct Exchange<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) subnet_name: &'a str,
    pub(super) subnet: &'a Subnet,
    /// The prefix of `subnet`.
    pub(super) net: Ipv4Net,
    pub(super) client: ClientKey,
    /// The address that the host owns in `subnet`.
    pub(super) reserved: Option<Ipv4Addr>,
    pub(super) server_id: Ipv4Addr,
    /// The address of ours that the client reaches us by.
    pub(super) local: Ipv4Addr,
    /// The subnet selection of the client, where it counts.
    pub(super) subnet_selection: Option<Ipv4Addr>,
}

impl<'a> Exchange<'a> {
    fn begin(transaction: Transaction<'a>) -> Result<Self, Reason> {
        let Transaction { snapshot, link, arrival, request, .. } = transaction;
        let subnet_name = transaction.select_subnet()?;
        let subnet = snapshot.site.subnets.get(subnet_name).ok_or(Reason::NoSubnet)?;
        let net = ipv4_net(subnet).ok_or(Reason::NoSubnet)?;
        let client = transaction.key(subnet.identify_by).ok_or(Reason::NoRecord)?;
        let reserved = transaction.owned_in(subnet_name);
        let local = link.address_for(request, arrival, net);
        let server_id = server_id(request, local);
        let subnet_selection = subnet_selection(&snapshot.site, snapshot.subnets(), request, link);
        Ok(Self {
            transaction,
            subnet_name,
            subnet,
            net,
            client,
            reserved,
            server_id,
            local,
            subnet_selection,
        })
    }

    fn answer(&self, history: &mut LinkHistory) -> Result<Action, Reason> {
        let Transaction { app, snapshot, now, .. } = self.transaction;
        let mut leases = app.leases.at(snapshot.revision, &snapshot.site, now);
        let facts = self.facts(&mut leases);
        let Transaction { request, arrival, .. } = self.transaction;
        let decision = decide(request, arrival, self.subnet, &facts);
        if let Some(address) = self.unproven(decision, &facts) {
            match history.probes.state(address, now) {
                ProbeState::Clear => {}
                ProbeState::Running => return Err(Reason::BeingProbed),
                ProbeState::Needed => return Ok(self.probe(&mut leases, history, address)),
            }
        }
        self.tell_what_is_asked(decision);
        let outcome = match decision {
            Decision::Offer(address) => Ok(self.offer(&mut leases, history, address)),
            Decision::Ack(address) => {
                self.note_port(history);
                Ok(self.ack(&mut leases, history, address, &facts))
            }
            Decision::Nak(reason) => Ok(Action::Send(self.nak(reason, request.subject_address()))),
            Decision::Inform(address) => Ok(Action::Send(self.inform(history, address))),
            Decision::Bootp(address) => Ok(Action::Send(self.bootp(address))),
            Decision::Decline(address) => self.decline(&mut leases, address),
            Decision::Release(address) => self.release(&mut leases, address),
            Decision::Ignore(Reason::OtherServer) => {
                leases.withdraw(&self.client, self.transaction.nic());
                self.note_foreign_server(&leases, history);
                Err(Reason::OtherServer)
            }
            Decision::Ignore(reason) => Err(reason),
        };
        self.note_filling(decision, &mut leases, history);
        outcome
    }

    /// The address that a client is to have which has not had it before, where somebody may
    /// use it unasked. A client that renews or owns the address does not wait for a probe, unless
    /// a MAC that its host no longer has still leases it.
    fn unproven(&self, decision: Decision, facts: &LeaseFacts) -> Option<Ipv4Addr> {
        let address = match decision {
            Decision::Offer(address) => address,
            Decision::Ack(address)
                if self.transaction.request.message_type() == Some(MessageType::Discover) =>
            {
                address
            }
            _ => return None,
        };
        let owns = facts.reserved == Some(address) && !facts.reserved_needs_probe;
        let had = owns || facts.leased == Some(address);
        let wanted = self.subnet.conflict_probe == ConflictProbe::On;
        (wanted && !had).then_some(address)
    }

    fn facts(&self, leases: &mut Table) -> LeaseFacts {
        let Transaction { app, request, arrival, .. } = self.transaction;
        let is_ours = |id| id == self.server_id || id == arrival.local || leases.is_own(id);
        let asked = LeaseFacts {
            reserved: self.reserved,
            requested: request.subject_address(),
            names_us: request.server_id().map(is_ours),
            may_lease: self.transaction.may_lease(self.subnet),
            authoritative: app.config.now().authoritative,
            nic: self.transaction.nic(),
            is_firmware: self.transaction.boots != Client::Plain,
            ..LeaseFacts::default()
        };
        let host = self.transaction.host.map(|(_, host)| host);
        leases.complete(asked, &self.client, host, self.net)
    }

    /// Tells of the question, unless it is a stranger's that gets no answer: that is counted.
    fn tell_what_is_asked(&self, decision: Decision) {
        let request = self.transaction.request;
        let data = match request.message_type() {
            Some(MessageType::Discover) | None => EventData::Discover,
            Some(MessageType::Request) => EventData::Request,
            _ => return,
        };
        let unanswered = match decision {
            Decision::Ignore(_) if self.transaction.host.is_none() => return,
            Decision::Ignore(reason) => Some(reason),
            _ => None,
        };
        self.transaction
            .record(|| data(self.transaction.question(request.subject_address(), unanswered)));
    }

    /// Tells once that the subnet's ranges run low, and once that they are exhausted.
    fn note_filling(&self, decision: Decision, leases: &mut Table, history: &mut LinkHistory) {
        let is_short = match decision {
            Decision::Offer(_) | Decision::Ack(_) => false,
            Decision::Ignore(Reason::PoolExhausted) => true,
            _ => return,
        };
        let Self { transaction, subnet_name: subnet, net, .. } = *self;
        let subnet_name = || subnet.to_owned();
        match leases.fill_news(net) {
            Some((Level::Exhausted, Usage { used, of })) => {
                transaction.alarm(Failure::PoolExhausted { subnet: subnet_name(), used, of });
            }
            Some((_, Usage { used, of })) => {
                transaction.warn(None, Warning::PoolLow { subnet: subnet_name(), used, of });
            }
            // There are some, and strangers have as many on offer as they may.
            None if is_short
                && leases.usage(net).level() != Level::Exhausted
                && history.warns(subnet, transaction.now) =>
            {
                transaction.warn(None, Warning::OffersToStrangers { subnet: subnet_name() });
            }
            None => {}
        }
    }

    /// A NIC at another switch port than before was plugged in there, or somebody else there
    /// says that its MAC is his: the operator knows which.
    fn note_port(&self, history: &mut LinkHistory) {
        let request = self.transaction.request;
        let (Some(mac), Some(_)) = (request.mac(), request.relay_info()) else { return };
        let is_port = |it: &Identity| matches!(it, Identity::Port { circuit: Some(_), .. });
        let Some(port) = identities(request).find(is_port) else { return };
        if let Some(before) = history.sees_port(mac, &port) {
            let (port, before) = (port.to_string(), before.to_string());
            self.transaction.record(|| EventData::Warning(Warning::PortChanged { port, before }));
        }
    }

    /// A client on the link itself took another server's offer: that server is there.
    fn note_foreign_server(&self, table: &Table, history: &mut LinkHistory) {
        let Transaction { link, now, .. } = self.transaction;
        let request = self.transaction.request;
        let Some(server) = request.server_id().filter(|_| request.relay_address().is_none()) else {
            return;
        };
        // One that shares the database.
        if table.is_peer(server, now) {
            return;
        }
        if history.sees_foreign_server(server, now) {
            let interface = link.interface.clone();
            let authoritative = self.transaction.app.config.now().authoritative;
            let warning = Warning::ForeignServer { server, interface, authoritative };
            self.transaction.warn(request.mac(), warning);
        }
    }
}
