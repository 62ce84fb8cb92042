//! Events of a boot, as the services make them.

use std::net::Ipv4Addr;

use rackstrap::lifecycle::EventData;
use rackstrap::lifecycle::client::{Arch, Client};
use rackstrap::lifecycle::event::{
    Ack, AckKind, Boots, DhcpMessage, Ending, Offer, Report, ReportResult, Script, ScriptSays,
    Sent, Tftp, TftpEnd, Way,
};

/// The address of the host that boots.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);

fn question() -> DhcpMessage {
    let (way, client) = (Way::Interface("provisioning".into()), Client::Pxe(Arch::X64Efi));
    DhcpMessage { address: None, client, way, unanswered: None }
}

pub(crate) fn discover() -> EventData {
    EventData::Discover(question())
}

pub(crate) fn request() -> EventData {
    EventData::Request(DhcpMessage { address: Some(ADDRESS), ..question() })
}

pub(crate) fn offer() -> EventData {
    let boots = Some(Boots::Tftp("ipxe.efi".into()));
    EventData::Offer(Offer { address: Some(ADDRESS), boots, redirected: false })
}

pub(crate) fn ack() -> EventData {
    let (address, seconds) = (Some(ADDRESS), Some(3600));
    EventData::Ack(Ack { grant: AckKind::Given, address, seconds, boots: None })
}

pub(crate) fn tftp(file: &str) -> EventData {
    EventData::Tftp(Tftp::Ended(TftpEnd {
        to: ADDRESS.into(),
        file: file.into(),
        total_bytes: 1_100_000,
        sent_bytes: 1_100_000,
        ending: Ending::Complete,
        milliseconds: 300,
        block_size: 1468,
        resent_blocks: 0,
    }))
}

pub(crate) fn script(image: &str) -> EventData {
    EventData::Script(Script { to: ADDRESS.into(), says: ScriptSays::Boots(image.into()) })
}

fn sent(file: &str) -> Sent {
    Sent { to: ADDRESS.into(), file: file.into(), bytes: 28_731_000, milliseconds: Some(400) }
}

pub(crate) fn kernel(file: &str) -> EventData {
    EventData::Kernel(sent(file))
}

pub(crate) fn initrd(file: &str) -> EventData {
    EventData::Initrd(sent(file))
}

pub(crate) fn report(verdict: ReportResult, text: &str) -> EventData {
    EventData::Report(Report { verdict, text: text.into() })
}
