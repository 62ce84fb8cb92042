//! One packet's way from bytes to an outcome, with the inventory and the lease book at hand.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::action::{Action, Silence};
use super::transaction::Transaction;
use crate::app::App;
use crate::boot::arch::Client;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::{ChosenServer, Decision, Reason, decide, is_of_another_server};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::identity::identities;
use crate::dhcp::link::{
    Arrival, LinkSubnet, ServedLink, allows_relay, server_id, subnet_selection,
};
use crate::dhcp::probe::Verdict;
use crate::dhcp::reply::BOOT_SERVER_PORT;
use crate::dhcp::request::Unusable;
use crate::dhcp::wire::Packet;
use crate::inventory::Snapshot;
use crate::leases::facts::LeaseFacts;
use crate::leases::fill::{Level, Usage};
use crate::leases::table::{Session, Table};
use crate::lifecycle::EventData;
use crate::lifecycle::event::{Failure, Warning};
use crate::metrics::DHCP_MESSAGES;
use crate::model::{ClientKey, ConflictProbe, HostDhcp, Identity};

/// Answers one packet with the inventory and the leases as they are now.
pub(super) fn answer(
    app: &App,
    snapshot: &Snapshot,
    link: &ServedLink,
    history: &mut LinkHistory,
    arrival: &Arrival,
    bytes: &[u8],
    now: i64,
) -> Result<Action, Silence> {
    let request = Packet::parse(bytes).map_err(Unusable::from)?;
    request.check_request()?;
    DHCP_MESSAGES.count(message_name(request.message_type()));
    let transaction = Transaction::new(app, snapshot, link, arrival, now, &request);
    let span = tracing::info_span!(
        "dhcp",
        host = transaction.host.map(|(name, _)| name),
        mac = request.mac().map(tracing::field::display),
        transaction = format_args!("{:08x}", request.transaction_id),
    );
    let _inside = span.enter();
    let action = answer_transaction(transaction, history);
    action.inspect_err(|reason| tracing::debug!("not answered: {reason}")).map_err(Silence::from)
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
    pub(super) subnet: LinkSubnet<'a>,
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
        let (subnet, reserved) = transaction.select_subnet()?;
        let client = transaction.key_in(subnet)?;
        let local = link.address_for(request, arrival, subnet.net);
        let server_id = server_id(request, local);
        let subnet_selection = subnet_selection(&snapshot.site, snapshot.subnets(), request, link);
        Ok(Self { transaction, subnet, client, reserved, server_id, local, subnet_selection })
    }

    fn answer(&self, history: &mut LinkHistory) -> Result<Action, Reason> {
        let Transaction { app, snapshot, now, .. } = self.transaction;
        let mut table = app.leases.table();
        let mut leases = table.at(snapshot.revision, &snapshot.site, now);
        let server = self.chosen_server(&leases);
        let facts = self.facts(&mut leases);
        let Transaction { request, arrival, .. } = self.transaction;
        let decision = decide(request, arrival, server, self.subnet.subnet, &facts);
        if let Some(address) = self.unproven(decision, &facts) {
            match history.probes.verdict(address, now) {
                Verdict::Clear => {}
                Verdict::Running => return Err(Reason::BeingProbed),
                Verdict::Needed => return Ok(self.probe(&mut leases, history, address)),
            }
        }
        self.tell_what_is_asked(decision);
        let outcome = match decision {
            Decision::Offer(address) => Ok(self.offer(&mut leases, history, address)),
            Decision::Ack(address) => {
                self.note_port(history);
                if facts.reserved.is_some_and(|own| own != address) && is_of_another_server(&facts)
                {
                    leases.note_taken_over(address, &self.client);
                }
                Ok(self.ack(&mut leases, history, address))
            }
            Decision::Nak(reason) => Ok(Action::Send(self.nak(reason, request.subject_address()))),
            Decision::Inform(address) => Ok(Action::Send(self.inform(history, address))),
            Decision::Bootp(address) => Ok(Action::Send(self.bootp(address))),
            Decision::Decline(address) => self.decline(&mut leases, address),
            Decision::Release(address) => self.release(&mut leases, address),
            Decision::Ignore(Reason::OtherServer) => {
                leases.withdraw(&self.client, self.transaction.request.mac_or_zero());
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
        let wanted = self.subnet.subnet.conflict_probe == ConflictProbe::On;
        (wanted && !had).then_some(address)
    }

    /// Whom the client named as its server.
    fn chosen_server(&self, table: &Table) -> ChosenServer {
        let Transaction { request, arrival, .. } = self.transaction;
        match request.server_id() {
            None => ChosenServer::None,
            Some(id) if id == self.server_id || id == arrival.local || table.is_own(id) => {
                ChosenServer::Us
            }
            Some(_) => ChosenServer::Other,
        }
    }

    fn facts(&self, leases: &mut Session<'_>) -> LeaseFacts {
        let Transaction { app, request, .. } = self.transaction;
        let asked = LeaseFacts {
            reserved: self.reserved,
            requested: request.subject_address(),
            may_lease: self.transaction.may_lease(self.subnet.subnet),
            authoritative: app.config.now().authoritative,
            nic: request.mac(),
            is_firmware: self.transaction.boots != Client::Plain,
            ..LeaseFacts::default()
        };
        let host = self.transaction.host.map(|(_, host)| host);
        leases.complete(asked, &self.client, host, self.subnet.net)
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
    fn note_filling(
        &self,
        decision: Decision,
        leases: &mut Session<'_>,
        history: &mut LinkHistory,
    ) {
        let is_short = match decision {
            Decision::Offer(_) | Decision::Ack(_) => false,
            Decision::Ignore(Reason::PoolExhausted) => true,
            _ => return,
        };
        let LinkSubnet { name: subnet, net, .. } = self.subnet;
        let transaction = self.transaction;
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
