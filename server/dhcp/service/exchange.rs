//! One packet's way from bytes to an outcome, with the inventory and the lease book at hand.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::outcome::{Commit, Happened, Outcome, Sending, Silence};
use super::words;
use crate::app::App;
use crate::boot::arch::{Client, ClientSigns};
use crate::boot::next::{Booter, Next, decide_next};
use crate::dhcp::decide::{ChosenServer, Decision, NakReason, Question, Reason, decide};
use crate::dhcp::link::{Arrival, Link, Place, choose_place, places, server_id};
use crate::dhcp::pxe::boot_data;
use crate::dhcp::reply::{Answer, Grant, build_grant, build_nak, destination};
use crate::dhcp::request::{Request, Unusable};
use crate::dhcp::table::{Asker, Table};
use crate::dhcp::wire::{Packet, ReplyPacket};
use crate::inventory::Snapshot;
use crate::model::{ClientKey, EventKind, Host, Lease, LeaseState, UnknownClients};

/// How long an unknown client leases an address where it is only to be discovered, in seconds.
const DISCOVERY_SECONDS: u32 = 300;
/// The shortest lease, in seconds, whatever a client asks for.
const MIN_LEASE_SECONDS: u32 = 60;

/// Answers one packet out of the inventory and the lease book as they are now.
/// A DHCP packet of at most `bytes` came by `arrival`.
pub(super) fn answer(
    (app, snapshot, link): (&App, &Snapshot, &Link),
    bytes: &[u8],
    arrival: &Arrival,
    now: i64,
) -> Outcome {
    let packet = match Packet::parse(bytes) {
        Ok(packet) => packet,
        Err(error) => return Outcome::Silent(Unusable::from(error).into()),
    };
    let request = match Request::read(&packet) {
        Ok(request) => request,
        Err(error) => return Outcome::Silent(error.into()),
    };
    let host = request.mac.and_then(|mac| snapshot.host_of_mac(mac));
    let span = tracing::info_span!(
        "dhcp",
        host = host.map(|(name, _)| name),
        mac = request.mac.map(tracing::field::display),
        transaction = format_args!("{:08x}", packet.transaction_id),
    );
    let _inside = span.enter();
    match Exchange::begin(app, snapshot, link, &request, arrival, now) {
        Ok(exchange) => exchange.answer(),
        Err(reason) => silent(reason),
    }
}

fn silent(reason: Reason) -> Outcome {
    tracing::debug!("not answered: {reason}");
    Outcome::Silent(Silence::Decided(reason))
}

/// One message and everything that its answer depends on.
struct Exchange<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    link: &'a Link,
    request: &'a Request<'a>,
    arrival: &'a Arrival,
    host: Option<(&'a str, &'a Host)>,
    client: ClientKey,
    place: Place<'a>,
    /// The address that the host owns in `place`.
    reserved: Option<Ipv4Addr>,
    server_id: Ipv4Addr,
    boots: Client,
    /// Unix seconds.
    now: i64,
}

impl<'a> Exchange<'a> {
    fn begin(
        app: &'a App,
        snapshot: &'a Snapshot,
        link: &'a Link,
        request: &'a Request<'a>,
        arrival: &'a Arrival,
        now: i64,
    ) -> Result<Self, Reason> {
        let site = &snapshot.site;
        if request.relay_address().is_some_and(|relay| !is_allowed(relay, app, snapshot)) {
            return Err(Reason::UnknownRelay);
        }
        let host = request.mac.and_then(|mac| snapshot.host_of_mac(mac));
        let client = match host {
            Some((name, _)) => ClientKey::Host(name.to_owned()),
            None => request.key().ok_or(Reason::NoRecord)?,
        };
        let places = places(site, request, link, arrival);
        let (place, reserved) =
            choose_place(site, host.map(|(_, host)| host), &places).ok_or(Reason::NoSubnet)?;
        let options = &request.packet.options;
        let signs = ClientSigns {
            vendor_class: options.get(60).unwrap_or_default(),
            user_class: options.get(77).unwrap_or_default(),
            client_archs: options.get(93).unwrap_or_default(),
            ipxe: options.get(175),
            mac: request.mac,
        };
        Ok(Self {
            app,
            snapshot,
            link,
            request,
            arrival,
            host,
            client,
            place,
            reserved,
            server_id: server_id(request, link, arrival, Some(place.net)),
            boots: signs.classify(),
            now,
        })
    }

    fn answer(&self) -> Outcome {
        let mut table = self.app.leases.table();
        table.set_site(self.snapshot.revision, &self.snapshot.site, self.now);
        table.tick(self.now);
        let question = self.question(&table);
        let policy = self.place.subnet.unknown_clients;
        let asker = Asker {
            client: &self.client,
            reserved: self.reserved,
            requested: question.requested.or(question.client_address),
            may_lease: self.host.is_some() || policy != UnknownClients::Refuse,
        };
        let mut facts = table.facts(&asker, self.place.net, self.now);
        facts.authoritative = self.app.config.authoritative;
        let decision = decide(&question, &facts);
        self.tell_what_is_asked(&question, decision);
        match decision {
            Decision::Offer(address) => self.offer(&mut table, address),
            Decision::Ack(address) => self.give(&mut table, address),
            Decision::Nak(reason) => {
                Outcome::Send(self.nak(reason, question.requested.or(question.client_address)))
            }
            Decision::Inform(_) => Outcome::Send(self.inform()),
            Decision::Decline(address) => self.decline(&table, address),
            Decision::Release(address) => self.release(&table, address),
            Decision::Ignore(reason) => {
                if reason == Reason::OtherServer {
                    table.withdraw(&self.client);
                }
                silent(reason)
            }
        }
    }

    fn question(&self, table: &Table) -> Question {
        let request = self.request;
        let is_ours = |id: Ipv4Addr| {
            id == self.server_id || id == self.arrival.local || table.own_addresses().contains(&id)
        };
        let source = *self.arrival.source.ip();
        let relayed = request.relay_address().is_some();
        let inform_source = Some(source)
            .filter(|source| request.kind == MessageType::Inform && !source.is_unspecified());
        Question {
            kind: request.kind,
            requested: request.requested_address,
            client_address: request.client_address.or(inform_source),
            server: match request.server_id {
                None => ChosenServer::None,
                Some(id) if is_ours(id) => ChosenServer::Us,
                Some(_) => ChosenServer::Other,
            },
            unicast: self.arrival.is_unicast() && !relayed,
            source_agrees: relayed || request.client_address == Some(source),
        }
    }

    fn offer(&self, table: &mut Table, address: Ipv4Addr) -> Outcome {
        let until = self.now + i64::from(self.app.config.offer_seconds);
        table.offer(&self.client, address, until);
        let grant = (MessageType::Offer, Some(address), self.lease_seconds());
        Outcome::Send(self.grant(grant, (EventKind::Offer, "offered")))
    }

    /// Gives an address: at once if the client comes early in a lease that it
    /// has, else after the commit.
    fn give(&self, table: &mut Table, address: Ipv4Addr) -> Outcome {
        let lease_seconds = self.lease_seconds();
        let lease = Lease {
            address,
            client: self.client.clone(),
            mac: self.request.mac_or_zero(),
            subnet: self.place.name.to_owned(),
            state: LeaseState::Bound,
            starts_at: self.now,
            expires_at: self.now + i64::from(lease_seconds),
        };
        let running = table.find(address).filter(|held| {
            held.client == lease.client && held.state == LeaseState::Bound && held.is_live(self.now)
        });
        let remembered = running.map(|held| {
            let left = u32::try_from(held.expires_at - self.now).unwrap_or(0).min(lease_seconds);
            self.grant((MessageType::Ack, Some(address), left), (EventKind::Ack, "keeps"))
        });
        if self.app.leases.is_alone() && table.is_fresh(&lease, self.now) {
            if let Some(sending) = remembered {
                return Outcome::Send(sending);
            }
        }
        // Nobody else may be offered it while the commit runs.
        table.offer(&self.client, address, self.now + i64::from(self.app.config.offer_seconds));
        let grant = (MessageType::Ack, Some(address), lease_seconds);
        Outcome::Commit(Box::new(Commit {
            lease,
            now: self.now,
            granted: Some(self.grant(grant, (EventKind::Ack, "given"))),
            refused: Some(self.nak(NakReason::NotAvailable, Some(address))),
            remembered,
        }))
    }

    fn nak(&self, reason: NakReason, address: Option<Ipv4Addr>) -> Sending {
        let reply = build_nak(self.request, self.server_id, &reason.to_string());
        let what = address.map_or_else(|| "it".to_owned(), |address| address.to_string());
        let text = match self.reserved {
            Some(own) => format!("may not use {what}: {reason}; its address here is {own}"),
            None => format!("may not use {what}: {reason}"),
        };
        self.sending(&reply, EventKind::Nak, text)
    }

    fn inform(&self) -> Sending {
        self.grant((MessageType::Ack, None, 0), (EventKind::Ack, "told the settings for"))
    }

    fn decline(&self, table: &Table, address: Ipv4Addr) -> Outcome {
        let seconds = self.app.config.decline_seconds;
        let text = format!(
            "found {address} in use by somebody else; nobody gets it for {} min",
            seconds / 60
        );
        self.end(table, address, (LeaseState::Declined, i64::from(seconds)), text)
    }

    fn release(&self, table: &Table, address: Ipv4Addr) -> Outcome {
        self.end(table, address, (LeaseState::Released, 0), format!("gave {address} back"))
    }

    /// Records the end of a lease; nobody waits for an answer.
    fn end(
        &self,
        table: &Table,
        address: Ipv4Addr,
        (state, for_seconds): (LeaseState, i64),
        text: String,
    ) -> Outcome {
        let Some(lease) = table.find(address) else { return silent(Reason::NotItsLease) };
        let kind = match state {
            LeaseState::Declined => EventKind::Decline,
            _ => EventKind::Release,
        };
        self.happened(kind, text).record(&self.app.inventory.events);
        let lease = Lease { state, expires_at: self.now + for_seconds, ..lease };
        let (granted, refused, remembered) = (None, None, None);
        Outcome::Commit(Box::new(Commit { lease, now: self.now, granted, refused, remembered }))
    }

    /// Builds an OFFER or ACK of (type, address, seconds), told as (event, verb).
    fn grant(
        &self,
        (kind, address, lease_seconds): (MessageType, Option<Ipv4Addr>, u32),
        (event, verb): (EventKind, &str),
    ) -> Sending {
        let next = self.next();
        let options = &self.request.packet.options;
        let grant = Grant {
            kind,
            address,
            lease_seconds,
            place: self.place,
            server_id: self.server_id,
            host_name: self.host.map(|(name, _)| name),
            boot: boot_data(self.boots, &next, self.local(), options.filled(97)),
            link_mtu: self.link.mtu,
        };
        let text = match address.or(self.request.client_address) {
            Some(address) => words::gives(verb, address, lease_seconds, &next),
            None => verb.to_owned(),
        };
        self.sending(&build_grant(self.request, &grant), event, text)
    }

    fn next(&self) -> Next {
        let host = self.host.map(|(_, host)| host);
        let image = host.and_then(|host| host.image.as_deref());
        decide_next(&Booter {
            client: self.boots,
            mac: self.request.mac_or_zero(),
            host,
            image: image.and_then(|image| self.snapshot.site.images.get(image)),
            base_url: &self.app.config.machine_base_url(self.local().into()),
            tftp_server: self.local(),
        })
    }

    /// The address of ours that the client reaches us by.
    fn local(&self) -> Ipv4Addr {
        let inside = self.link.addresses.iter().map(ipnet::Ipv4Net::addr);
        let relayed = self.request.relay_address().is_some();
        inside
            .filter(|own| !relayed && self.place.net.contains(own))
            .next()
            .unwrap_or(self.arrival.local)
    }

    fn lease_seconds(&self) -> u32 {
        let subnet = self.place.subnet;
        let unknown = self.host.is_none() && subnet.unknown_clients == UnknownClients::Discover;
        let longest = subnet.lease_seconds().max(MIN_LEASE_SECONDS);
        let longest = if unknown { longest.min(DISCOVERY_SECONDS) } else { longest };
        self.request.lease_seconds.unwrap_or(longest).clamp(MIN_LEASE_SECONDS, longest)
    }

    fn sending(&self, reply: &ReplyPacket, kind: EventKind, text: String) -> Sending {
        let always_broadcast = self.app.config.always_broadcast;
        let (bytes, left_out) = reply.encode();
        if !left_out.is_empty() {
            tracing::warn!(options = ?left_out, "no room for options in the answer");
        }
        let destination = destination(self.request, reply, self.arrival, always_broadcast);
        let answer = Answer { bytes, destination };
        Sending { answer, local: self.local(), event: self.happened(kind, text) }
    }

    fn happened(&self, kind: EventKind, text: String) -> Happened {
        let host = self.host.map(|(name, _)| name.to_owned());
        Happened { host, mac: self.request.mac, kind, text }
    }

    /// Tells of the question, unless it is a stranger's that gets no answer: that is counted.
    fn tell_what_is_asked(&self, question: &Question, decision: Decision) {
        let kind = match question.kind {
            MessageType::Discover => EventKind::Discover,
            MessageType::Request => EventKind::Request,
            _ => return,
        };
        let wanted = question.requested.or(question.client_address);
        let mut text = words::asks(wanted, self.boots, &words::way(self.request, self.link));
        if let Decision::Ignore(reason) = decision {
            if self.host.is_none() {
                return;
            }
            text.push_str(&format!("; not answered: {reason}"));
        }
        self.happened(kind, text).record(&self.app.inventory.events);
    }
}

/// Whether a relay is one of those configured or, where none are, in a subnet of the site.
fn is_allowed(relay: Ipv4Addr, app: &App, snapshot: &Snapshot) -> bool {
    let listed = &app.config.relays;
    if !listed.is_empty() {
        return listed.contains(&relay);
    }
    snapshot.site.subnets.values().any(|subnet| subnet.cidr.contains(&std::net::IpAddr::V4(relay)))
}
