//! Events for tests, as the services make them.

use std::net::Ipv4Addr;

use super::event::{
    Ack, AckKind, Boots, Decline, DeployStep, DhcpMessage, Ending, Failure, Nak, Offer, Report,
    ReportResult, Script, ScriptSays, Sent, StepReport, SyslogMessage, SyslogSeverity, Tftp,
    TftpEnd, Warning, Way,
};
use super::reason::{NakReason, Reason};
use super::{Event, EventData, EventKind};
use crate::lifecycle::client::{Arch, Client};
use crate::lifecycle::install::InstallTask;

/// The address of the client.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// A DISCOVER or REQUEST.
pub(crate) fn question(client: Client, unanswered: Option<Reason>) -> DhcpMessage {
    DhcpMessage { address: None, client, way: Way::Interface("eth0".into()), unanswered }
}

/// The end of a transfer by TFTP.
pub(crate) fn tftp_end(ending: Ending, sent_bytes: u64) -> EventData {
    EventData::Tftp(Tftp::Ended(TftpEnd {
        to: ADDRESS.into(),
        file: "snponly.efi".into(),
        total_bytes: 170_000,
        sent_bytes,
        ending,
        milliseconds: 100,
        block_size: 1468,
        resent_blocks: 0,
    }))
}

/// A report.
pub(crate) fn report(verdict: ReportResult, text: &str) -> EventData {
    EventData::Report(Report { verdict, text: text.into() })
}

/// A file by HTTP.
pub(crate) fn sent(file: &str) -> Sent {
    Sent { to: ADDRESS.into(), file: file.into(), bytes: 1000, milliseconds: Some(10) }
}

/// An event of a kind as it usually is.
pub(crate) fn data(kind: EventKind) -> EventData {
    let firmware = Client::Pxe(Arch::X64Efi);
    match kind {
        EventKind::Discover => EventData::Discover(question(firmware, None)),
        EventKind::Request => EventData::Request(question(firmware, None)),
        EventKind::Offer => EventData::Offer(Offer {
            address: Some(ADDRESS),
            boots: Some(Boots::Tftp("snponly.efi".into())),
            redirected: false,
        }),
        EventKind::Ack => EventData::Ack(Ack {
            grant: AckKind::Given,
            address: Some(ADDRESS),
            seconds: Some(3600),
            boots: None,
        }),
        EventKind::Nak => EventData::Nak(Nak {
            address: Some(ADDRESS),
            reason: NakReason::NotAvailable,
            own: None,
        }),
        EventKind::Decline => {
            EventData::Decline(Decline { address: ADDRESS, own: false, quarantine_seconds: 600 })
        }
        EventKind::Release => EventData::Release { address: ADDRESS },
        EventKind::Tftp => tftp_end(Ending::Complete, 170_000),
        EventKind::Nbp => EventData::Nbp(sent("snponly.efi")),
        EventKind::Script => {
            EventData::Script(Script { to: ADDRESS.into(), says: ScriptSays::Boots("live".into()) })
        }
        EventKind::Kernel => EventData::Kernel(sent("live/vmlinuz")),
        EventKind::Initrd => EventData::Initrd(sent("live/initrd.img")),
        EventKind::Config => EventData::Config(sent("networkd")),
        EventKind::File => EventData::File(sent("other")),
        EventKind::Report => report(ReportResult::Up, "bond0 up"),
        EventKind::InstallArmed => EventData::InstallArmed {
            image: "live".into(),
            by: "ann".into(),
            task: InstallTask::Install,
        },
        EventKind::InstallStarted => {
            EventData::InstallStarted { image: "live".into(), task: InstallTask::Install }
        }
        EventKind::InstallStep => EventData::InstallStep(StepReport {
            disk: Some("vda (4.0 GiB)".into()),
            done: Some(1 << 20),
            total: Some(3 << 20),
            bytes_per_second: Some(1 << 19),
            ..StepReport::of(DeployStep::Write)
        }),
        EventKind::InstallCompleted => {
            EventData::InstallCompleted { image: "live".into(), task: InstallTask::Install }
        }
        EventKind::InstallFailed => EventData::InstallFailed { reason: "no disk".into() },
        EventKind::Syslog => EventData::Syslog(SyslogMessage {
            from: ADDRESS.into(),
            severity: SyslogSeverity::Error,
            program: Some("kernel".into()),
            text: "EXT4-fs error (device sda2)".into(),
        }),
        EventKind::Warning => EventData::Warning(Warning::ProxyArp),
        EventKind::Error => {
            EventData::Error(Failure::PoolExhausted { subnet: "prov".into(), used: 5, of: 5 })
        }
    }
}

/// Events of host n1, each at its second.
pub(crate) fn events(data: impl IntoIterator<Item = (i64, EventData)>) -> Vec<Event> {
    let event =
        |(seconds, data)| Event { at_ms: seconds * 1000, host: Some("n1".into()), mac: None, data };
    data.into_iter().map(event).collect()
}
