//! Boot data without addresses: beside another DHCP server (proxyDHCP, PXE 2.1
//! section 2.2), and to who asks on port 4011.

use dhcproto::v4::MessageType;

use super::action::Action;
use super::transaction::Transaction;
use super::words;
use crate::boot::arch::{Arch, Client};
use crate::boot::next::Next;
use crate::config::ProxyDhcp;
use crate::dhcp::decide::Reason;
use crate::dhcp::history::LinkHistory;
use crate::dhcp::pxe::{boot_item, redirect_data};
use crate::dhcp::reply::{Reply, Transmit};
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
        let transmit = self.boot_answer(MessageType::Offer, &next, history);
        // The client has no address yet, and we do not know which it gets.
        Ok(Action::Send(match self.request.relay_address() {
            Some(_) => transmit,
            None => transmit.broadcast(),
        }))
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
        let transmit = self.boot_answer(MessageType::Ack, &next, history);
        Ok(Action::Send(transmit.routed_to(self.arrival.source)))
    }

    /// What the client boots, unless it boots nothing or is a stranger that is not served.
    fn next_if_served(&self, history: &mut LinkHistory, for_good: bool) -> Result<Next, Reason> {
        let subnet = self.first_subnet();
        // A network that is not in the site is somebody else's: only hosts boot there.
        let stranger_is_served =
            subnet.is_some_and(|subnet| subnet.unknown_clients != UnknownClients::Refuse);
        if self.host.is_none() && !stranger_is_served {
            return Err(Reason::UnknownRefused);
        }
        match self.next(self.arrival.local, subnet, history, for_good) {
            Next::Nothing(_) => Err(Reason::BootsNothing),
            next => Ok(next),
        }
    }

    fn boot_answer(&self, kind: MessageType, next: &Next, history: &mut LinkHistory) -> Transmit {
        let subnet = self.first_subnet();
        let Self { app, link, arrival, .. } = *self;
        let redirect = kind == MessageType::Offer
            && app.config.now().proxy_on(&link.interface) == ProxyDhcp::Redirect
            // There is no file to ask port 4011 for.
            && *next != Next::LocalMenu
            && matches!(self.boots, Client::Pxe(arch) if arch != Arch::Bios);
        let boot_file = self.boot_file(next, arrival.local, subnet, history);
        let boots = words::boots(next, self.boots, &boot_file);
        let mut boot = if redirect {
            redirect_data(arrival.local)
        } else {
            self.boot_part(next, boot_file, arrival.local, subnet)
        };
        let vendor_options = self.request.option(code::VENDOR_SPECIFIC).unwrap_or_default();
        boot.echo_boot_item(boot_item(vendor_options));
        let profile = self.profile();
        let mut reply = Reply {
            message_type: Some(kind),
            server_id: arrival.local,
            own_options: self.own_options(profile.as_deref()),
            ..boot
        };
        reply.merge_added();
        let event = self.event(|| match kind {
            MessageType::Offer => {
                EventData::Offer(event::Offer { address: None, boots, redirected: redirect })
            }
            _ => {
                let grant = event::AckKind::BootOnly;
                EventData::Ack(event::Ack { grant, address: None, seconds: None, boots })
            }
        });
        self.transmit(&reply, arrival.local, event)
    }
}
