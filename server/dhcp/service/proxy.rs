//! Boot data without addresses: beside another DHCP server (proxyDHCP, PXE 2.1
//! section 2.2), and to who asks on port 4011.

use dhcproto::v4::MessageType;

use super::caller::{Around, Caller};
use super::outcome::{Outcome, Sending};
use super::words;
use crate::boot::arch::{Arch, Client};
use crate::boot::next::Next;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::Reason;
use crate::dhcp::link::places;
use crate::dhcp::pxe::{boot_data, boot_item, redirect_data};
use crate::dhcp::reply::{Destination, Grant, build_grant};
use crate::dhcp::watch::Watch;
use crate::dhcp::wire::BROADCAST_FLAG;
use crate::lifecycle::{EventData, event};
use crate::model::UnknownClients;
use crate::options::code;

impl Caller<'_> {
    /// Answers a DISCOVER of firmware or iPXE with what to boot, and nothing else:
    /// the address comes from the other server.
    pub(super) fn answer_as_proxy(&self, watch: &mut Watch) -> Result<Outcome, Reason> {
        if self.request.message_type != Some(MessageType::Discover) {
            return Err(Reason::AddressesElsewhere);
        }
        let next = self.next_if_served(watch, false)?;
        self.tell(|| EventData::Discover(self.question(None, None)));
        let mut sending = self.boot_answer(MessageType::Offer, &next);
        // The client has no address yet, and we do not know which it gets.
        if self.request.relay_address().is_none() {
            sending.answer.destination = Destination::Broadcast;
        }
        Ok(Outcome::Send(sending))
    }

    /// Answers on port 4011, whatever kind of question it is, to where it came from.
    pub(super) fn answer_as_boot_server(&self, watch: &mut Watch) -> Result<Outcome, Reason> {
        let asks = [MessageType::Discover, MessageType::Request, MessageType::Inform];
        if !self.request.message_type.is_some_and(|kind| asks.contains(&kind)) {
            return Err(Reason::NotForUs);
        }
        let next = self.next_if_served(watch, true)?;
        let mut sending = self.boot_answer(MessageType::Ack, &next);
        sending.answer.destination = Destination::Routed(self.around.arrival.source);
        Ok(Outcome::Send(sending))
    }

    /// What the client boots, unless it boots nothing or is a stranger that is not served.
    fn next_if_served(&self, watch: &mut Watch, for_good: bool) -> Result<Next, Reason> {
        let Around { snapshot, link, arrival, .. } = self.around;
        let places = places((&snapshot.site, snapshot.subnets()), self.request, link, arrival);
        let refused = |unknown| unknown == UnknownClients::Refuse;
        // A network that is not in the site is somebody else's: only hosts boot there.
        let stranger_is_served =
            places.first().is_some_and(|place| !refused(place.subnet.unknown_clients));
        if self.host.is_none() && !stranger_is_served {
            return Err(Reason::UnknownRefused);
        }
        let subnet = places.first().map(|place| place.subnet);
        match self.next(arrival.local, subnet, watch, for_good) {
            Next::Nothing(_) => Err(Reason::BootsNothing),
            next => Ok(next),
        }
    }

    fn boot_answer(&self, kind: MessageType, next: &Next) -> Sending {
        let Around { app, link, arrival, .. } = self.around;
        let options = &self.request.packet.options;
        let redirect = kind == MessageType::Offer
            && app.config.proxy_dhcp == ProxyDhcp::Redirect
            // There is no file to ask port 4011 for.
            && *next != Next::LocalMenu
            && matches!(self.boots, Client::Pxe(arch) if arch != Arch::Bios);
        let mut boot = if redirect {
            redirect_data(arrival.local)
        } else {
            boot_data(self.boots, next, arrival.local, options.filled(code::CLIENT_UUID))
        };
        boot.echo_boot_item(boot_item(options.get(code::VENDOR_SPECIFIC).unwrap_or_default()));
        let profile = self.profile();
        let mut grant = Grant {
            message_type: Some(kind),
            address: None,
            lease_seconds: 0,
            place: None,
            server_id: arrival.local,
            host_name: None,
            own_options: self.own_options(profile.as_deref()),
            boot,
            link_mtu: link.mtu,
            rapid_commit: false,
        };
        grant.merge_added();
        let mut reply = build_grant(self.request, &grant);
        if kind == MessageType::Offer {
            reply.flags |= BROADCAST_FLAG;
        }
        let happened = self.happened(|| {
            let boots = words::boots(next);
            match kind {
                MessageType::Offer => {
                    EventData::Offer(event::Offer { address: None, boots, redirected: redirect })
                }
                _ => {
                    let grant = event::Grant::BootOnly;
                    EventData::Ack(event::Ack { grant, address: None, seconds: None, boots })
                }
            }
        });
        self.sending(&reply, arrival.local, happened)
    }
}
