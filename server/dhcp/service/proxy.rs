//! Boot data without addresses: beside another DHCP server (proxyDHCP, PXE 2.1
//! section 2.2), and to who asks on port 4011.

use dhcproto::v4::MessageType;

use super::action::{Action, Transmit};
use super::transaction::Transaction;
use super::words;
use crate::boot::arch::{Arch, Client};
use crate::boot::next::Next;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::Reason;
use crate::dhcp::history::LinkHistory;
use crate::dhcp::pxe::{boot_item, redirect_data};
use crate::dhcp::reply::{Destination, ReplyContent, build_reply};
use crate::dhcp::wire::BROADCAST_FLAG;
use crate::lifecycle::{EventData, event};
use crate::model::UnknownClients;
use crate::options::code;

impl Transaction<'_> {
    /// Answers a DISCOVER of firmware or iPXE with what to boot, and nothing else:
    /// the address comes from the other server.
    pub(super) fn answer_as_proxy(&self, history: &mut LinkHistory) -> Result<Action, Reason> {
        if self.request.message_type() != Some(MessageType::Discover) {
            return Err(Reason::AddressesElsewhere);
        }
        let next = self.next_if_served(history, false)?;
        self.record(|| EventData::Discover(self.question(None, None)));
        let mut transmit = self.boot_answer(MessageType::Offer, &next);
        // The client has no address yet, and we do not know which it gets.
        if self.request.relay_address().is_none() {
            transmit.destination = Destination::Broadcast;
        }
        Ok(Action::Send(transmit))
    }

    /// Answers on port 4011, whatever kind of question it is, to where it came from.
    pub(super) fn answer_as_boot_server(
        &self,
        history: &mut LinkHistory,
    ) -> Result<Action, Reason> {
        let asks = [MessageType::Discover, MessageType::Request, MessageType::Inform];
        if !self.request.message_type().is_some_and(|kind| asks.contains(&kind)) {
            return Err(Reason::NotForUs);
        }
        let next = self.next_if_served(history, true)?;
        let mut transmit = self.boot_answer(MessageType::Ack, &next);
        transmit.destination = Destination::Routed(self.arrival.source);
        Ok(Action::Send(transmit))
    }

    /// What the client boots, unless it boots nothing or is a stranger that is not served.
    fn next_if_served(&self, history: &mut LinkHistory, for_good: bool) -> Result<Next, Reason> {
        let subnets = self.link_subnets();
        let refused = |unknown| unknown == UnknownClients::Refuse;
        // A network that is not in the site is somebody else's: only hosts boot there.
        let stranger_is_served =
            subnets.first().is_some_and(|subnet| !refused(subnet.subnet.unknown_clients));
        if self.host.is_none() && !stranger_is_served {
            return Err(Reason::UnknownRefused);
        }
        let subnet = subnets.first().map(|subnet| subnet.subnet);
        match self.next(self.arrival.local, subnet, history, for_good) {
            Next::Nothing(_) => Err(Reason::BootsNothing),
            next => Ok(next),
        }
    }

    fn boot_answer(&self, kind: MessageType, next: &Next) -> Transmit {
        let subnets = self.link_subnets();
        let subnet = subnets.first().map(|subnet| subnet.subnet);
        let Self { app, link, arrival, .. } = *self;
        let options = &self.request.options;
        let redirect = kind == MessageType::Offer
            && app.config.now().proxy_on(&link.interface) == ProxyDhcp::Redirect
            // There is no file to ask port 4011 for.
            && *next != Next::LocalMenu
            && matches!(self.boots, Client::Pxe(arch) if arch != Arch::Bios);
        let mut boot = if redirect {
            redirect_data(arrival.local)
        } else {
            self.boot_part(next, arrival.local, subnet)
        };
        boot.echo_boot_item(boot_item(options.get(code::VENDOR_SPECIFIC).unwrap_or_default()));
        let profile = self.profile();
        let mut content = ReplyContent {
            message_type: Some(kind),
            address: None,
            lease_seconds: 0,
            subnet: None,
            server_id: arrival.local,
            host_name: None,
            own_options: self.own_options(profile.as_deref()),
            boot,
            link_mtu: link.mtu,
            rapid_commit: false,
            subnet_selection: None,
        };
        content.merge_added();
        let mut reply = build_reply(self.request, &content);
        if kind == MessageType::Offer {
            reply.flags |= BROADCAST_FLAG;
        }
        let event = self.event(|| {
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
        self.transmit(&reply, arrival.local, event)
    }
}
