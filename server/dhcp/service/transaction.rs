//! One message, who sent it, what it boots, and how it is answered: shared by leasing and proxy.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::words;
use crate::app::App;
use crate::boot::UrlName;
use crate::boot::arch::Client;
use crate::boot::next::{Next, WhyNothing, decide_next, own_boot_file};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::identity::identities;
use crate::dhcp::link::{Arrival, ServedLink};
use crate::dhcp::pxe::boot_data;
use crate::dhcp::reply::{Reply, Transmit};
use crate::dhcp::wire::{Packet, write_option};
use crate::inventory::Snapshot;
use crate::lifecycle::event::{self, Failure, Warning};
use crate::lifecycle::reason::Reason;
use crate::lifecycle::{Event, EventData};
use crate::model::{Bmc, ClientKey, DhcpOptions, Host, IdentifyBy, Mac, NicAddress, Subnet};
use crate::options::code;
use crate::profile::Resolution;

/// One message, who sent it, and all that its answer may depend on.
#[derive(Clone, Copy)]
pub(super) struct Transaction<'a> {
    pub(super) app: &'a App,
    pub(super) snapshot: &'a Snapshot,
    pub(super) link: &'a ServedLink,
    pub(super) arrival: &'a Arrival,
    /// Unix seconds.
    pub(super) now: i64,
    pub(super) request: &'a Packet<'a>,
    /// The host of the inventory that sent it.
    pub(super) host: Option<(&'a str, &'a Host)>,
    /// The baseboard management controller that sent it.
    pub(super) bmc: Option<&'a Bmc>,
    /// What kind of boot client sent it.
    pub(super) boots: Client,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        app: &'a App,
        snapshot: &'a Snapshot,
        link: &'a ServedLink,
        arrival: &'a Arrival,
        now: i64,
        request: &'a Packet<'a>,
    ) -> Self {
        let bmc = request.mac().and_then(|mac| snapshot.bmc_of_mac(mac));
        let host = match bmc {
            // It boots by itself, and is known by nothing of its host.
            Some(_) => None,
            None => request
                .nics()
                .find_map(|nic| snapshot.host_of_nic(nic))
                .or_else(|| host_of_identity(app, snapshot, request)),
        };
        let boots = if bmc.is_some() { Client::Plain } else { request.client() };
        Self { app, snapshot, link, arrival, now, request, host, bmc, boots }
    }

    /// Who holds the client's lease; none for a client without an identity.
    pub(super) fn key(&self, identify_by: IdentifyBy) -> Option<ClientKey> {
        match (self.host, identify_by) {
            (Some((name, _)), _) => Some(ClientKey::Host(name.to_owned())),
            (None, IdentifyBy::Mac) => self.request.key(),
            (None, IdentifyBy::ClientId) => self.request.strict_key(),
        }
    }

    /// The profile of the host.
    pub(super) fn profile(&self) -> Option<Arc<Resolution>> {
        self.snapshot.site.profile_of(self.host?.1)
    }

    /// The DHCP options of the host, then of its profile.
    pub(super) fn own_options<'b>(
        &self,
        profile: Option<&'b Resolution>,
    ) -> [Option<&'b DhcpOptions>; 2]
    where
        'a: 'b,
    {
        let of_host = self.host.map(|(_, host)| &host.dhcp_options);
        [of_host, profile.map(|found| &found.profile.dhcp_options)]
    }

    /// What the client boots next when it reaches us at `local`. With `for_good`
    /// it is remembered, and a boot that goes in circles is reported.
    pub(super) fn next(
        &self,
        local: Ipv4Addr,
        subnet: Option<&Subnet>,
        history: &mut LinkHistory,
        for_good: bool,
    ) -> Next {
        let Self { app, snapshot, now, .. } = *self;
        let host = self.host.map(|(_, host)| host);
        let boot_source = app.inventory.boot_source(snapshot, self.host, None);
        if self.boots == Client::Plain {
            // Whatever firmware it is: it asks for a boot file, and its host has one.
            let asks = |code: &u8| matches!(*code, code::TFTP_SERVER_NAME | code::BOOT_FILE_NAME);
            let file = own_boot_file(host, &boot_source);
            let file = file.filter(|_| self.request.wanted_options().iter().any(asks));
            let nothing = Next::Nothing(WhyNothing::NoBootClient);
            return file.map_or(nothing, |file| Next::Nbp(file.to_owned()));
        }
        let boot_files = subnet.map(|subnet| &subnet.boot_files);
        let next = decide_next(self.boots, host, &boot_source, boot_files);
        let (name, id) = (self.url_name(), self.request.transaction_id);
        let (next, detour) = history.boots.choose(&name, self.boots, id, next, now);
        let boot_file = self.boot_file(&next, local, subnet, history);
        let next = next.if_it_fits(self.boots, &boot_file);
        if let Some((host, _)) = self.host {
            app.inventory.note_power_on(host);
        }
        if for_good {
            history.boots.record(&name, self.boots, id, &next, now);
            if let Some(detour) = detour {
                self.record(|| EventData::Warning(Warning::Detour { detour }));
            }
        }
        next
    }

    /// The name or URL of what the client boots next when it reaches us at `local`.
    pub(super) fn boot_file(
        &self,
        next: &Next,
        local: Ipv4Addr,
        subnet: Option<&Subnet>,
        history: &mut LinkHistory,
    ) -> String {
        let config = self.app.config.now();
        let network = subnet.map_or_else(|| local.into(), |subnet| subnet.cidr.addr());
        let by_https = config.boots_by_https(network) && self.request.may_fetch_by_https();
        let https_url = by_https.then(|| config.machine_tls_base_url(local.into())).flatten();
        let base_url = match https_url {
            Some(url) => url.into(),
            None => history.base_url(local, || config.machine_base_url(local.into())),
        };
        next.boot_file(self.boots, &base_url, &self.url_name(), self.tftp_server(local, subnet))
    }

    /// The NIC that asks, as far as its packet tells it: one of its host's before any other.
    pub(super) fn nic(&self) -> Option<NicAddress> {
        let own = |nic: &NicAddress| self.host.is_some_and(|(_, host)| host.has_nic(*nic));
        self.request.nics().find(own).or_else(|| self.request.nics().next())
    }

    /// What the URLs of its boot name it by: the NIC that asks, where its packet tells it. InfiniBand
    /// may tell none; the script is that of the host all the same.
    fn url_name(&self) -> UrlName {
        let Some((name, host)) = self.host else {
            return UrlName::Nic(self.nic().unwrap_or(NicAddress::Mac(Mac([0; 6]))));
        };
        let asks = self.nic().filter(|nic| nic.mac().is_some() || host.has_nic(*nic));
        let nic = asks.or_else(|| Some(host.nics.values().next()?.address.identity()));
        nic.map_or_else(|| UrlName::Host(name.to_owned()), UrlName::Nic)
    }

    /// Where boot files are: at the server that the host or its subnet names, else at `local`.
    pub(super) fn tftp_server(&self, local: Ipv4Addr, subnet: Option<&Subnet>) -> Ipv4Addr {
        let of_host = self.host.and_then(|(_, host)| host.next_server);
        of_host.or_else(|| subnet.and_then(|subnet| subnet.next_server)).unwrap_or(local)
    }

    /// What the client boots next as a part of its reply. iPXE scripts and HTTP are this
    /// server's, wherever the other boot files are.
    pub(super) fn boot_part(
        &self,
        next: &Next,
        boot_file: String,
        local: Ipv4Addr,
        subnet: Option<&Subnet>,
    ) -> Reply<'static> {
        let server = match next {
            Next::Nbp(_) if !next.is_url(self.boots) => self.tftp_server(local, subnet),
            Next::RaspberryPi => self.tftp_server(local, subnet),
            _ => local,
        };
        let client_uuid = self.request.filled_option(code::CLIENT_UUID);
        let mut boot = boot_data(self.boots, next, boot_file, server, client_uuid);
        if server != local && self.boots != Client::RaspberryPi {
            let name = server.to_string();
            write_option(&mut boot.boot_options, code::TFTP_SERVER_NAME, name.as_bytes());
        }
        boot
    }

    /// A reply ready to leave from `local`, to where RFC 2131 sends it.
    pub(super) fn transmit(
        &self,
        reply: &Reply<'_>,
        local: Ipv4Addr,
        event: Option<Event>,
    ) -> Transmit {
        let Self { app, link, arrival, request, .. } = *self;
        let (bytes, left_out) = reply.encode(request, link.mtu);
        if !left_out.is_empty() {
            tracing::warn!(options = ?left_out, "options do not fit into the reply");
        }
        let always_broadcast = app.config.now().always_broadcast;
        let transmit = Transmit::new(bytes, reply, request, arrival, local, always_broadcast);
        Transmit { event, ..transmit }
    }

    /// An event about the client, not recorded yet; none for an unknown one if there are too many
    /// of theirs already.
    pub(super) fn event(&self, data: impl FnOnce() -> EventData) -> Option<Event> {
        if self.host.is_none() && !self.app.inventory.events.tells_of_stranger() {
            return None;
        }
        let host = self.host.map(|(name, _)| name.to_owned());
        Some(Event {
            at_ms: self.now.saturating_mul(1000),
            host,
            mac: self.request.mac(),
            data: data(),
        })
    }

    /// Records an event now.
    pub(super) fn record(&self, data: impl FnOnce() -> EventData) {
        if let Some(event) = self.event(data) {
            self.app.inventory.events.record_event(event);
        }
    }

    /// What the client asks, as it is recorded.
    pub(super) fn question(
        &self,
        address: Option<Ipv4Addr>,
        unanswered: Option<Reason>,
    ) -> event::DhcpMessage {
        let way = words::way(self.request, self.link);
        event::DhcpMessage { address, client: self.boots, way, unanswered }
    }

    /// Warns the operator of something that concerns more than one host.
    pub(super) fn warn(&self, mac: Option<Mac>, warning: Warning) {
        let data = EventData::Warning(warning);
        self.app.inventory.events.record(None, mac, data);
    }

    /// Takes note of a client that is in no host, and of one that is in one since.
    pub(super) fn note_unknown(&self, unanswered: Option<Reason>) {
        let Self { app, request, link, now, .. } = *self;
        let unknown = &app.inventory.unknown;
        let is_known = self.host.is_some() || self.bmc.is_some();
        if is_known && unknown.is_empty() {
            return;
        }
        let Some(client) = request.key().or_else(|| request.strict_key()) else { return };
        if is_known {
            unknown.forget(&client);
        } else {
            // A probe takes a moment; its client is answered after that.
            let unanswered = unanswered.filter(|reason| *reason != Reason::BeingProbed);
            let marks = || words::marks(request, link, self.boots, unanswered);
            unknown.note(client, marks, now.saturating_mul(1000));
        }
    }

    /// Reports a relay that is not served, once in a while: it would be a whole rack that does
    /// not boot.
    pub(super) fn note_refused_relay(&self, history: &mut LinkHistory) {
        let Some(relay) = self.request.relay_address() else { return };
        if history.warns(&format!("relay {relay}"), self.now) {
            let interface = self.link.interface.clone();
            let is_listed = !self.app.config.now().relays.is_empty();
            self.warn(None, Warning::RelayRefused { relay, interface, is_listed });
        }
    }

    /// Reports something that keeps clients from being served.
    pub(super) fn alarm(&self, failure: Failure) {
        let data = EventData::Error(failure);
        self.app.inventory.events.record(None, None, data);
    }
}

/// The host of a message whose MAC is unknown: by its UUID, client identifier or switch port, or
/// because it holds the lease of the address that the message is about. A renewal passes no relay,
/// and only firmware sends a UUID.
fn host_of_identity<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    request: &Packet<'_>,
) -> Option<(&'a str, &'a Host)> {
    if !snapshot.knows_identities() {
        return None;
    }
    let known = identities(request).find_map(|identity| snapshot.host_of_identity(&identity));
    known.or_else(|| {
        let address = request.client_address().or_else(|| request.requested_address())?;
        let lease = app.leases.find(address)?;
        match &lease.client {
            ClientKey::Host(name) if lease.mac().is_some() && lease.mac() == request.mac() => {
                snapshot.host(name)
            }
            _ => None,
        }
    })
}
