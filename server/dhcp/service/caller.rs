//! Who sent a message, what it boots, and how it is answered: what leasing and proxy share.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::outcome::{Happened, Sending};
use super::words;
use crate::app::App;
use crate::boot::arch::{Client, ClientSigns};
use crate::boot::next::{Booter, Next, WhyNothing, decide_next};
use crate::boot::trail::Step;
use crate::dhcp::identity::identities;
use crate::dhcp::link::{Arrival, Link};
use crate::dhcp::reply::{Answer, Destination, destination};
use crate::dhcp::request::Request;
use crate::dhcp::watch::Watch;
use crate::dhcp::wire::Reply;
use crate::inventory::Snapshot;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, Failure, Warning};
use crate::lifecycle::reason::Reason;
use crate::model::{ClientKey, DhcpOptions, Host, IdentifyBy, Mac, Subnet};
use crate::options::code;
use crate::profile::Resolution;

/// What one packet is answered with the help of.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) app: &'a App,
    pub(super) snapshot: &'a Snapshot,
    pub(super) link: &'a Link,
    pub(super) arrival: &'a Arrival,
    /// Unix seconds.
    pub(super) now: i64,
}

impl<'a> Around<'a> {
    /// The host that a message without a known MAC tells of by something else, or told of
    /// when it leased the address that it speaks of: a renewal passes no relay, and no
    /// system but the firmware sends a UUID.
    fn host_of_identity(&self, request: &Request<'_>) -> Option<(&'a str, &'a Host)> {
        let snapshot = self.snapshot;
        if !snapshot.knows_identities() {
            return None;
        }
        let known = identities(request).find_map(|identity| snapshot.host_of_identity(&identity));
        known.or_else(|| {
            let address = request.client_address.or(request.requested_address)?;
            let lease = self.app.leases.find(address)?;
            match &lease.client {
                ClientKey::Host(name) if Some(lease.mac) == request.mac => snapshot.host(name),
                _ => None,
            }
        })
    }

    /// Tells the operator of something that is no single host's.
    pub(super) fn warn(&self, mac: Option<Mac>, warning: Warning) {
        let data = EventData::Warning(warning);
        tracing::warn!("{data}");
        self.app.inventory.events.record(None, mac, data);
    }

    /// Tells the operator of something that keeps clients from being served.
    pub(super) fn alarm(&self, failure: Failure) {
        let data = EventData::Error(failure);
        tracing::error!("{data}");
        self.app.inventory.events.record(None, None, data);
    }
}

/// One message and who sent it.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) around: Around<'a>,
    pub(super) request: &'a Request<'a>,
    /// The host of the inventory that it is.
    pub(super) host: Option<(&'a str, &'a Host)>,
    pub(super) boots: Client,
}

impl<'a> Caller<'a> {
    pub(super) fn new(around: Around<'a>, request: &'a Request<'a>) -> Self {
        let options = &request.packet.options;
        let signs = ClientSigns {
            vendor_class: options.get(code::VENDOR_CLASS).unwrap_or_default(),
            user_class: options.get(code::USER_CLASS).unwrap_or_default(),
            client_archs: options.get(code::CLIENT_ARCH).unwrap_or_default(),
            ipxe: options.get(code::IPXE),
            mac: request.mac,
        };
        let host = request.mac.and_then(|mac| around.snapshot.host_of_mac(mac));
        let host = host.or_else(|| around.host_of_identity(request));
        Self { around, request, host, boots: signs.classify() }
    }

    /// Who holds the client's lease; none for a client that cannot be told apart.
    pub(super) fn key(&self, identify_by: IdentifyBy) -> Option<ClientKey> {
        match (self.host, identify_by) {
            (Some((name, _)), _) => Some(ClientKey::Host(name.to_owned())),
            (None, IdentifyBy::Mac) => self.request.key(),
            (None, IdentifyBy::ClientId) => self.request.strict_key(),
        }
    }

    /// The profile of the host.
    pub(super) fn profile(&self) -> Option<Arc<Resolution>> {
        self.around.snapshot.site.profile_of(self.host?.1)
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
    /// it is remembered as told, and a boot that goes in circles is told of.
    pub(super) fn next(
        &self,
        local: Ipv4Addr,
        subnet: Option<&Subnet>,
        watch: &mut Watch,
        for_good: bool,
    ) -> Next {
        if self.boots == Client::Plain {
            return Next::Nothing(WhyNothing::NoBootClient);
        }
        let Around { app, snapshot, now, .. } = self.around;
        let host = self.host.map(|(_, host)| host);
        let image = host.and_then(|host| host.image.as_deref());
        let base_url = watch.base_url(local, || app.config.machine_base_url(local.into()));
        let mac = self.request.mac_or_zero();
        let next = decide_next(&Booter {
            client: self.boots,
            mac,
            host,
            image: image.and_then(|image| snapshot.site.images.get(image)),
            boot_files: subnet.map(|subnet| &subnet.boot_files),
            base_url: &base_url,
            tftp_server: local,
        });
        let transaction_id = self.request.packet.transaction_id;
        let step = Step { mac, client: self.boots, transaction_id, now, base_url: &base_url };
        let (next, detour) = watch.boots.choose(&step, next);
        if for_good {
            watch.boots.record(&step, &next);
            if let Some(detour) = detour {
                self.tell(|| EventData::Warning(Warning::Detour { detour }));
            }
        }
        next
    }

    /// An answer ready to leave from `local`.
    pub(super) fn sending(
        &self,
        reply: &Reply<'_>,
        local: Ipv4Addr,
        happened: Option<Happened>,
    ) -> Sending {
        let Around { app, arrival, .. } = self.around;
        let to = destination(self.request, reply, arrival, app.config.always_broadcast);
        self.sending_to(to, reply, local, happened)
    }

    /// An answer ready to leave from `local` to a place of its own.
    pub(super) fn sending_to(
        &self,
        destination: Destination,
        reply: &Reply<'_>,
        local: Ipv4Addr,
        event: Option<Happened>,
    ) -> Sending {
        let (bytes, left_out) = reply.encode();
        if !left_out.is_empty() {
            tracing::warn!(options = ?left_out, "no room for options in the answer");
        }
        let port = self.around.arrival.port;
        Sending { answer: Answer { bytes, destination }, local, port, event }
    }

    /// An event about the client; none for an unknown one if there are too many of theirs already.
    pub(super) fn happened(&self, data: impl FnOnce() -> EventData) -> Option<Happened> {
        if self.host.is_none() && !self.around.app.inventory.events.tells_of_stranger() {
            return None;
        }
        let host = self.host.map(|(name, _)| name.to_owned());
        Some(Happened { host, mac: self.request.mac, data: data() })
    }

    /// Records an event now.
    pub(super) fn tell(&self, data: impl FnOnce() -> EventData) {
        if let Some(happened) = self.happened(data) {
            happened.record(&self.around.app.inventory.events);
        }
    }

    /// What the client asks, as it is recorded.
    pub(super) fn question(
        &self,
        address: Option<Ipv4Addr>,
        unanswered: Option<Reason>,
    ) -> event::Question {
        let way = words::way(self.request, self.around.link);
        event::Question { address, client: self.boots, way, unanswered }
    }
}
