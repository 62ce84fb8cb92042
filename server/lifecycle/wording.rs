//! The sentences of events: the only place where they are made, for the log, the UI, the API and
//! the command line. Words of clients are data in them; control characters are replaced.

use std::fmt::{self, Display, Formatter, Write};
use std::net::Ipv4Addr;

use super::EventKind;
use super::audit::{AuditAction, AuditEntry, ProviderRefusal};
use super::event::{
    Ack, AckKind, Boots, Decline, DeployStep, DhcpMessage, Ending, EventData, Failure, Nak, Offer,
    Report, ReportResult, Script, ScriptSays, Sent, StepReport, SyslogMessage, Tftp, TftpEnd,
    WaitReason, Warning, Way,
};
use super::stall::Cause;
use crate::lifecycle::client::Client;
use crate::lifecycle::install::InstallTask;
use crate::model::size_text;

/// Passes text on with its control characters replaced.
struct Clean<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Clean<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => {
                    self.0.write_str(&part[..at])?;
                    self.0.write_char('?')?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl Display for EventData {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let f = &mut Clean(f);
        match self {
            Self::Discover(question) | Self::Request(question) => asks(f, question),
            Self::Offer(offer) => offers(f, offer),
            Self::Ack(ack) => acknowledges(f, ack),
            Self::Nak(nak) => refuses(f, nak),
            Self::Decline(Decline { address, own: true, .. }) => {
                write!(f, "found its own address {address} in use")
            }
            Self::Decline(decline) => declines(f, decline),
            Self::Release { address } => write!(f, "gave {address} back"),
            Self::Tftp(tftp) => by_tftp(f, tftp),
            Self::Nbp(sent)
            | Self::Kernel(sent)
            | Self::Initrd(sent)
            | Self::Config(sent)
            | Self::File(sent) => by_http(f, sent),
            Self::Script(script) => script_says(f, script),
            Self::Report(Report { verdict, text }) => reports(f, *verdict, text),
            Self::InstallArmed { image, by, task: InstallTask::Rescue } => {
                write!(f, "{by} armed it: its next boot starts the live system {image}")
            }
            Self::InstallArmed { by, task: InstallTask::Release, .. } => {
                write!(f, "{by} armed it: its next boot erases all of its disks to release it")
            }
            Self::InstallCompleted { image, task: InstallTask::Rescue } => {
                write!(f, "has loaded the live system {image}; it boots its disk from now on")
            }
            Self::InstallArmed { by, task: InstallTask::Erase, .. } => {
                write!(f, "{by} armed it: its next boot erases all of its disks")
            }
            Self::InstallArmed { image, by, task: InstallTask::Reinstall } => {
                write!(f, "{by} armed it: its next boot erases its disk and installs {image}")
            }
            Self::InstallStarted { task: InstallTask::Erase | InstallTask::Release, .. } => {
                f.write_str("erases its disks")
            }
            Self::InstallCompleted { task: InstallTask::Erase | InstallTask::Release, .. } => {
                f.write_str("has erased its disks")
            }
            Self::InstallArmed { image, by, .. } => {
                write!(f, "{by} armed it: its next boot may install {image}")
            }
            Self::InstallStarted { image, .. } => write!(f, "installs {image}"),
            Self::InstallStep(step) => write!(f, "{step}"),
            Self::InstallCompleted { image, .. } => {
                write!(f, "has installed {image}; it boots its disk from now on")
            }
            Self::InstallFailed { reason } => write!(f, "the installation failed: {reason}"),
            Self::Syslog(SyslogMessage { severity, program, text, .. }) => {
                let program = program.as_deref().unwrap_or("syslog");
                write!(f, "{program} ({}): {text}", severity.label())
            }
            Self::Warning(warning) => warns(f, warning),
            Self::Error(Failure::PoolExhausted { subnet, used, of }) => write!(
                f,
                "the dhcp ranges of subnet {subnet} are exhausted: {used} of {of} addresses are in \
                 use, new clients get none; make a range larger, or lease-time shorter"
            ),
            Self::Recorded { text, .. } => f.write_str(text),
        }
    }
}

impl Display for StepReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.step {
            DeployStep::Erase => f.write_str("erases the disk")?,
            DeployStep::Select => f.write_str("selects the disk")?,
            DeployStep::Partition => f.write_str("erases old data")?,
            DeployStep::Write => f.write_str("writes the image")?,
            DeployStep::Configure => f.write_str("configures the installed system")?,
            DeployStep::BootEntry => f.write_str("adds the boot entry")?,
            DeployStep::Restart => f.write_str("is done and restarts, to boot from its disk")?,
            DeployStep::FirstBoot => f.write_str("has booted from its disk for the first time")?,
        }
        match (&self.disk, self.step) {
            (None, _) => {}
            (Some(disk), DeployStep::Select | DeployStep::Erase) => write!(f, ": {disk}")?,
            (Some(disk), _) => write!(f, " on {disk}")?,
        }
        if let (Some(done), Some(total)) = (self.done, self.total) {
            write!(f, ": {} of {}", size_text(done), size_text(total))?;
        }
        if let Some(rate) = self.bytes_per_second {
            write!(f, ", {}/s", size_text(rate))?;
        }
        match self.remaining_seconds() {
            Some(seconds) if seconds > 0 => write!(f, ", {seconds} s left"),
            _ => Ok(()),
        }
    }
}

/// A duration in the largest unit that is exact enough.
struct Duration(u32);

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{} h", seconds / 3600),
        }
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn asks(f: &mut impl Write, question: &DhcpMessage) -> fmt::Result {
    let DhcpMessage { address, client, way, unanswered } = question;
    match address {
        Some(address) => write!(f, "asks for {address}")?,
        None => f.write_str("asks for an address")?,
    }
    match way {
        Way::Interface(interface) => write!(f, " on {interface}")?,
        Way::Relay { address, port: None } => write!(f, " through relay {address}")?,
        Way::Relay { address, port: Some(port) } => {
            write!(f, " through relay {address}, port {port}")?;
        }
    }
    if *client != Client::Plain {
        write!(f, " ({client})")?;
    }
    match unanswered {
        Some(reason) => write!(f, "; not answered: {reason}"),
        None => Ok(()),
    }
}

fn boots(f: &mut impl Write, boots: Option<&Boots>) -> fmt::Result {
    match boots {
        None => Ok(()),
        Some(Boots::Tftp(name)) => write!(f, ", boots {name} by TFTP"),
        Some(Boots::Url(url)) => write!(f, ", boots {url}"),
        Some(Boots::Script(url)) => write!(f, ", script {url}"),
        Some(Boots::RaspberryPi) => f.write_str(", boots a Raspberry Pi's files by TFTP"),
        Some(Boots::LocalDisk) => f.write_str(", boots its local disk"),
    }
}

fn offers(f: &mut impl Write, offer: &Offer) -> fmt::Result {
    match offer.address {
        _ if offer.redirected => return f.write_str("sent to port 4011 for its boot file"),
        Some(address) => write!(f, "offered {address}")?,
        None => f.write_str("told what to boot")?,
    }
    boots(f, offer.boots.as_ref())
}

fn acknowledges(f: &mut impl Write, ack: &Ack) -> fmt::Result {
    let address = ack.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    match ack.grant {
        AckKind::Given => write!(f, "given {address}")?,
        AckKind::Kept => write!(f, "keeps {address}")?,
        AckKind::Informed => write!(f, "has {address} and gets its settings")?,
        AckKind::Bootp => write!(f, "given {address} permanently (BOOTP)")?,
        AckKind::BootOnly => f.write_str("told what to boot")?,
    }
    if let Some(seconds) = ack.seconds {
        write!(f, " for {}", Duration(seconds))?;
    }
    boots(f, ack.boots.as_ref())
}

fn refuses(f: &mut impl Write, nak: &Nak) -> fmt::Result {
    match nak.address {
        Some(address) => write!(f, "may not use {address}: ")?,
        None => f.write_str("may not use the address: ")?,
    }
    match nak.own {
        Some(own) => write!(f, "its address here is {own}"),
        None => write!(f, "{}", nak.reason),
    }
}

fn declines(f: &mut impl Write, decline: &Decline) -> fmt::Result {
    let Decline { address, quarantine_seconds, .. } = decline;
    let duration = Duration(*quarantine_seconds);
    write!(f, "found {address} in use by another device: no client is given it for {duration}")
}

fn by_tftp(f: &mut impl Write, tftp: &Tftp) -> fmt::Result {
    match tftp {
        Tftp::Started { file, total_bytes, .. } => {
            write!(f, "sends {file} ({})", size_text(*total_bytes))
        }
        Tftp::Ended(end) if end.ending.is_success() => {
            let TftpEnd { file, total_bytes, resent_blocks, ending, .. } = end;
            let (size, seconds) = (size_text(*total_bytes), seconds(end.milliseconds));
            write!(f, "sent {file} ({size}) in {seconds:.1} s")?;
            if *resent_blocks > 0 {
                write!(f, ", {resent_blocks} blocks again")?;
            }
            match ending {
                Ending::Unconfirmed => f.write_str("; its end was not acknowledged"),
                _ => Ok(()),
            }
        }
        Tftp::Ended(end) => {
            let (sent, total) = (size_text(end.sent_bytes), size_text(end.total_bytes));
            write!(f, "{} stopped after {sent} of {total}: {}", end.file, end.ending)
        }
        Tftp::Refused { file: Some(file), error, .. } => write!(f, "asked for {file}: {error}"),
        Tftp::Refused { file: None, error, .. } => f.write_str(error),
    }
}

impl Display for Ending {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the client has everything"),
            Self::Unconfirmed => f.write_str("its end was not acknowledged"),
            Self::Refused(code) => write!(f, "the client gave up with error {code}"),
            Self::Gone => f.write_str("the client closed its port"),
            Self::Silent => f.write_str("the client stopped answering"),
            Self::Superseded => f.write_str("the client asked for something else"),
            Self::Unreadable => f.write_str("the file was truncated meanwhile"),
            Self::Stopped => f.write_str("the server stops"),
        }
    }
}

fn by_http(f: &mut impl Write, sent: &Sent) -> fmt::Result {
    let Sent { to, file, bytes, milliseconds } = sent;
    write!(f, "{file} to {to}: {}", size_text(*bytes))?;
    match milliseconds {
        Some(milliseconds) => write!(f, " in {:.1} s", seconds(*milliseconds)),
        None => Ok(()),
    }
}

fn script_says(f: &mut impl Write, script: &Script) -> fmt::Result {
    write!(f, "script to {}: ", script.to)?;
    match &script.says {
        ScriptSays::Boots(image) => write!(f, "boots {image}"),
        ScriptSays::BootsDisk => f.write_str("boots its local disk"),
        ScriptSays::WaitingFor(reasons) => write!(f, "waits, {}", wait_lines(reasons).join("; ")),
    }
}

/// What a host waits for, in lines for its console.
pub fn wait_lines(reasons: &[WaitReason]) -> Vec<String> {
    let mut lines = Vec::new();
    for reason in reasons {
        match reason {
            WaitReason::NotInInventory { mac } => {
                lines.push(format!("{mac} is in no host of the inventory"));
                lines.push("adopt it in the web UI, or name it in the site file".into());
            }
            WaitReason::NoImage { host } => {
                lines.push(format!("{host} has no image to boot: give it one, or local"));
            }
            WaitReason::UnknownImage { host, image } => {
                lines.push(format!("{host} is to boot image {image}, which does not exist"));
            }
            WaitReason::BrokenImage { image, error } => {
                lines.push(format!("image {image}: {error}"));
            }
            WaitReason::NotItsAddress { host, image, address } => {
                lines.push(format!("{host} is armed: its next boot installs {image}"));
                lines.push(format!("{address} is not an address of {host}"));
            }
            WaitReason::NotTheHost { host, address } => {
                lines.push(format!("this script is for {host} alone"));
                lines.push(format!("{address} is not an address of {host}"));
            }
            WaitReason::NetworkRefused { host, findings } => {
                lines.push(format!("the network of {host} must be corrected first:"));
                lines.extend(findings.iter().cloned());
            }
            WaitReason::NotForDracut { host, features } => {
                lines.push(format!("dracut cannot express the network of {host}:"));
                lines.extend(features.iter().cloned());
            }
            WaitReason::Other { error } => lines.push(error.clone()),
        }
    }
    lines
}

fn reports(f: &mut impl Write, verdict: ReportResult, text: &str) -> fmt::Result {
    let word = match verdict {
        ReportResult::Up => "up",
        ReportResult::Failed => "failed",
    };
    // A host that says the word itself need not hear it twice.
    let repeated = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    match text {
        "" => f.write_str(word),
        text if repeated.eq_ignore_ascii_case(word) => f.write_str(text),
        text => write!(f, "{word}: {text}"),
    }
}

impl AuditEntry {
    /// The sentence for a person, free of control characters.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl Display for AuditEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let f = &mut Clean(f);
        acts(f, &self.who, &self.action)?;
        if let Some(address) = self.origin.address {
            write!(f, " from {address}")?;
        }
        match self.times {
            0 | 1 => Ok(()),
            times => write!(f, " ({times} times)"),
        }
    }
}

fn acts(f: &mut impl Write, who: &str, action: &AuditAction) -> fmt::Result {
    match action {
        AuditAction::Changed { revision, summary } => {
            write!(f, "{who}: {summary} (revision {revision})")
        }
        AuditAction::LeasesImported { file, leases } => {
            write!(f, "{who} took over {leases} leases from {file}")
        }
        AuditAction::BackedUp { file } => write!(f, "{who} wrote the backup {file}"),
        AuditAction::Restored { file, made_at } => {
            let made_at = jiff::Timestamp::from_second(*made_at).unwrap_or_default();
            write!(f, "{who} restored {file}, which was made at {made_at}")
        }
        AuditAction::Migrated { from } => write!(f, "{who} copied the inventory from {from}"),
        AuditAction::LeaseRemoved { address, client } => {
            write!(f, "{who} released the lease of {address} ({client})")
        }
        AuditAction::UserAdded { user, role: None } => write!(f, "{who} created user {user}"),
        AuditAction::UserAdded { user, role: Some(role) } => {
            write!(f, "{who} created user {user} ({role})")
        }
        AuditAction::RoleChanged { user, role, before } => {
            write!(f, "{who} gave {user} the role {role}")?;
            before.map_or(Ok(()), |before| write!(f, " (before: {before})"))
        }
        AuditAction::LimitsChanged { user, limits, before } => {
            write!(f, "{who} set the limits of {user}: {limits}")?;
            before.as_ref().map_or(Ok(()), |before| write!(f, " (before: {before})"))
        }
        AuditAction::ConfigurationReloaded { changed, waiting } => {
            write!(f, "{who} reloaded the configuration")?;
            if !changed.is_empty() {
                write!(f, "; changed: {}", changed.join(", "))?;
            }
            if !waiting.is_empty() {
                write!(f, "; after a restart: {}", waiting.join(", "))?;
            }
            Ok(())
        }
        AuditAction::AuthorityCreated { sha256, replaced } => {
            let done = if *replaced { "replaced the CA by" } else { "created the CA" };
            write!(f, "{who} {done} {sha256} (SHA-256)")
        }
        AuditAction::UserDisabled { user } => write!(f, "{who} disabled user {user}"),
        AuditAction::UserEnabled { user } => write!(f, "{who} enabled user {user}"),
        AuditAction::SessionsEnded { user, count } => {
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{who} ended {count} session{plural} of {user}")
        }
        AuditAction::Forbidden { path, needs } => {
            write!(f, "{who} was refused {path}, which needs the role {needs}")
        }
        AuditAction::OutsideLimits { denied, more: 0 } => {
            write!(f, "{who} was refused a change: {denied}")
        }
        AuditAction::OutsideLimits { denied, more } => {
            write!(f, "{who} was refused a change: {denied}; and {more} more")
        }
        AuditAction::UserRemoved { user } => write!(f, "{who} removed user {user}"),
        AuditAction::PasswordChanged { user } if user == who => {
            write!(f, "{who} changed the password")
        }
        AuditAction::PasswordChanged { user } => write!(f, "{who} set the password of {user}"),
        AuditAction::PasswordRefused => {
            write!(f, "{who} gave a wrong current password")
        }
        AuditAction::SecondFactorSet { user } if user == who => {
            write!(f, "{who} set up a second factor")
        }
        AuditAction::SecondFactorSet { user } => {
            write!(f, "{who} set up a second factor of {user}")
        }
        AuditAction::SecondFactorRemoved { user } if user == who => {
            write!(f, "{who} removed the second factor")
        }
        AuditAction::SecondFactorRemoved { user } => {
            write!(f, "{who} removed the second factor of {user}")
        }
        AuditAction::SecondFactorRefused => {
            write!(f, "{who} gave a wrong code after the right password")
        }
        AuditAction::RecoveryCodesMade { user } => write!(f, "{user} got new recovery codes"),
        AuditAction::RecoveryCodeUsed { left } => {
            write!(f, "{who} used a recovery code ({left} left)")
        }
        AuditAction::TokenAdded { token, role: Some(role), limits, .. } => {
            write!(f, "{who} created token {token} ({role})")?;
            if limits.is_empty() { Ok(()) } else { write!(f, ", limits: {limits}") }
        }
        AuditAction::TokenAdded { token, may_change, .. } => {
            let access = if *may_change { "may change the inventory" } else { "read-only" };
            write!(f, "{who} created token {token} ({access})")
        }
        AuditAction::TokenRemoved { token } => write!(f, "{who} removed token {token}"),
        AuditAction::TokenUsed { token } => write!(f, "token {token} was used"),
        AuditAction::TokenRefused => f.write_str("an unknown or expired token was refused"),
        AuditAction::TokenReadOnly { token } => {
            write!(f, "read-only token {token} was refused a change")
        }
        AuditAction::InstallArmed { host, image } => {
            write!(f, "{who} armed {host}: its next boot may install {image}")
        }
        AuditAction::InstallCancelled { host } => {
            write!(f, "{who} cancelled the install of {host}")
        }
        AuditAction::RollOut { roll_out, action } => {
            write!(f, "{who} {} roll-out {roll_out}", action.label())
        }
        AuditAction::LoggedIn { issuer: None } => write!(f, "{who} logged in"),
        AuditAction::LoggedIn { issuer: Some(issuer) } => {
            write!(f, "{who} logged in with {issuer}")
        }
        AuditAction::LoginRefused => write!(f, "login as \"{who}\" failed"),
        AuditAction::ProviderLoginRefused { reason } => {
            let why = match reason {
                ProviderRefusal::NotBegun => "it was not begun in this browser, or took too long",
                ProviderRefusal::Replayed => "it was completed before",
                ProviderRefusal::Denied => "the provider refused it",
                ProviderRefusal::Invalid => "the provider's answer is not valid",
                ProviderRefusal::NoGroup => "none of the user's groups has a role",
                ProviderRefusal::Name => "the name is taken or not allowed",
                ProviderRefusal::Disabled => "the user is disabled",
            };
            match who {
                "" => write!(f, "login by the provider failed: {why}"),
                who => write!(f, "login as \"{who}\" by the provider failed: {why}"),
            }
        }
        AuditAction::LoggedOut => write!(f, "{who} logged out"),
        AuditAction::Recorded { text } => f.write_str(text),
    }
}

fn warns(f: &mut impl Write, warning: &Warning) -> fmt::Result {
    match warning {
        Warning::PortChanged { port, before } => write!(
            f,
            "is at {port} and was at {before}: it was moved, or another device has its MAC"
        ),
        Warning::ForeignServer { server, interface, authoritative } => {
            write!(f, "another DHCP server, {server}, gives addresses on {interface}")?;
            if *authoritative {
                f.write_str(
                    "; authoritative = true stays in force, so its clients get a NAK from this \
                     server when they reboot: set authoritative = false if both are to serve",
                )?;
            }
            Ok(())
        }
        Warning::RelayRefused { relay, interface, is_listed: true } => write!(
            f,
            "relay {relay} (on {interface}) is not served: the setting relays does not list it; \
             add \"{relay}\" to relays"
        ),
        Warning::RelayRefused { relay, interface, is_listed: false } => write!(
            f,
            "relay {relay} (on {interface}) is not served: its address is in no subnet of the \
             site; set relay-addresses: [{relay}] on the subnet of its clients, or add \
             \"{relay}\" to relays"
        ),
        Warning::PoolLow { subnet, used, of } => write!(
            f,
            "the dhcp ranges of subnet {subnet} are running low: {used} of {of} addresses are in \
             use, soon new clients get none; make a range larger, or lease-time shorter"
        ),
        Warning::OffersToStrangers { subnet } => write!(
            f,
            "half of the dhcp ranges of subnet {subnet} is on offer to clients that are not in the \
             inventory: no other such client is offered an address until some offers end"
        ),
        Warning::AddressInUse { address, by } => {
            match by {
                Some(mac) => write!(f, "{mac}")?,
                None => f.write_str("another device")?,
            }
            write!(f, " uses {address} without a lease: no client is given it")
        }
        Warning::ProxyArp => f.write_str(
            "one device answers for many addresses (proxy ARP?): addresses are offered all the same",
        ),
        Warning::LeasesNotStored { error } => {
            write!(f, "no new leases are given: the database does not take them: {error}")
        }
        Warning::OwnAddressInUse(decline) => {
            declines(f, decline)?;
            f.write_str(". It is its own address: find the device that uses it")
        }
        Warning::Detour { detour } => write!(f, "{detour}"),
        Warning::BrokenOff { to, file, sent_bytes, total_bytes, milliseconds } => {
            let (sent, total) = (size_text(*sent_bytes), size_text(*total_bytes));
            let seconds = seconds(*milliseconds);
            write!(f, "{file} to {to} broke off after {sent} of {total}, {seconds:.1} s")
        }
        Warning::ConfigRefused { host, to } => {
            write!(f, "{to} asked for the configuration of {host} and was refused")
        }
        Warning::LeftOut { of, times, seconds, from } => {
            match of {
                EventKind::Error => write!(f, "{times} more failed requests")?,
                of => write!(f, "{times} more {of} events")?,
            }
            if let Some(from) = from {
                write!(f, " of {from}")?;
            }
            write!(f, " within {seconds} s were counted, not stored")
        }
        Warning::RentalEnded { tenant, until } => {
            write!(f, "the rental of tenant {tenant} has ended")?;
            if let Some(until) = until {
                write!(f, " ({until})")?;
            }
            f.write_str("; nothing was changed")
        }
        Warning::RollOutHalted { roll_out, cause } => {
            write!(f, "roll-out {roll_out} halts here: {cause}")
        }
        Warning::DnsNotUpdated { zone, cause } => {
            write!(f, "DNS zone {zone} is not up to date: {cause}; retrying")
        }
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let f = &mut Clean(f);
        match self {
            Self::HostFailed { text } => {
                f.write_str("the host reports ")?;
                reports(f, ReportResult::Failed, text)
            }
            Self::InstallFailed { reason } => write!(f, "the installation failed: {reason}"),
            Self::ReturnedToPxe { times } => write!(
                f,
                "the installation is complete, and the host returned to PXE {times} time{} after it \
                 was sent to its disk: its firmware does not boot that disk; check the boot mode \
                 (UEFI or BIOS, as the image has), Secure Boot, and the disk in its boot order",
                if *times == 1 { "" } else { "s" }
            ),
            Self::NoBootEntry { times } => write!(
                f,
                "the installation is complete, and the host returned to PXE {times} time{}: its \
                 firmware has no boot entry for the disk (it did not keep the one that was added) \
                 and does not try the removable path; add the disk to its boot order",
                if *times == 1 { "" } else { "s" }
            ),
            Self::NeverReported => f.write_str(
                "the installation is complete, and the installed system has not reported since: \
                 see its console; it does not boot, its network does not come up, or it has no curl",
            ),
            Self::HostWaits { waiting_for } => {
                write!(f, "the host waits for you: {}", wait_lines(waiting_for).join("; "))
            }
            Self::OtherServer => f.write_str(
                "another DHCP server on this network answered it, and it took that one's offer: \
                 find that server and switch it off here, or let it name this one as boot server",
            ),
            Self::Unanswered { reason } => write!(f, "this server does not answer it: {reason}"),
            Self::OffersUnheard { offers, lacp: true } => write!(
                f,
                "{offers} offers, no request, and this NIC is to be in an LACP bond: its switch \
                 port drops traffic until LACP is up, which no firmware speaks; set LACP fallback \
                 (\"lacp fallback\", \"no lacp suspend-individual\", \"lacp-bypass\") on the port"
            ),
            Self::OffersUnheard { offers, lacp: false } => write!(
                f,
                "{offers} offers, no request: another DHCP server answered sooner, or the offers \
                 do not reach it (wrong VLAN on its port, spanning tree still blocking, a relay \
                 or firewall that drops the way back; try always_broadcast)"
            ),
            Self::WrongAddress { nak } => {
                f.write_str("it asks for the wrong address again and again: ")?;
                refuses(f, nak)
            }
            Self::ProgramLoops { times } => write!(
                f,
                "the boot program was fetched {times} times and no script: it starts and is sent \
                 itself again (another DHCP server answers iPXE?), or it crashes and the firmware \
                 tries again: give the host another boot-file, such as ipxe.efi or snponly.efi"
            ),
            Self::TransferUnheard => f.write_str(
                "it asked for its boot program and heard nothing more: a firewall in between drops \
                 UDP from the transfer ports (1024 and up; tftp_ports narrows them)",
            ),
            Self::AskedOnce => f.write_str(
                "it asked once and gave up before the answer: look at its link and its switch port",
            ),
            Self::OfferUnheard => f.write_str(
                "it did not take up the offer: another DHCP server answered sooner, or the offer \
                 did not reach it",
            ),
            Self::RequestUnanswered => {
                f.write_str("it asked for the address and was not answered: see the log")
            }
            Self::NakUnheard => {
                f.write_str("it was told that its address is wrong here and did not ask again")
            }
            Self::FetchesNothing => f.write_str(
                "it has its address and fetches nothing: network boot is not what it wants (boot \
                 order, an installed system), or UDP port 69 and the HTTP port of this server are \
                 blocked on the way",
            ),
            Self::ProgramDead => f.write_str(
                "the boot program came and did not start: Secure Boot refuses unsigned programs, \
                 or it is one for another architecture, or its driver hangs: try another \
                 boot-file, such as snponly.efi for ipxe.efi",
            ),
            Self::ScriptUnreachable => f.write_str(
                "iPXE runs and has an address, and does not fetch its script: TCP to the HTTP port \
                 of this server is blocked on the way, or machine_url names an address that it \
                 cannot reach",
            ),
            Self::KernelMissing => f.write_str(
                "it has its script and the kernel does not come through: large packets are lost on \
                 the way (MTU), or its console shows an error of iPXE",
            ),
            Self::InitrdMissing => f.write_str(
                "the kernel came and its initrd does not: look at its console, and at the link for \
                 errors",
            ),
            Self::SystemSilent { lacp, vlans } => {
                f.write_str(
                    "everything was fetched and the system does not report: the kernel stopped \
                     (its console says where), it has no driver for the NIC",
                )?;
                if *lacp {
                    f.write_str(", the switch does not run LACP on both ports of the bond")?;
                }
                if !vlans.is_empty() {
                    let vlans: Vec<String> = vlans.iter().map(u16::to_string).collect();
                    write!(f, ", VLAN {} is not on the port", vlans.join(", "))?;
                }
                f.write_str(", or the image does not report at all")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Arch;
    use crate::lifecycle::reason::Reason;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

    #[test]
    fn every_step_of_a_deployment_is_a_sentence() {
        let cases = [
            (DeployStep::Select, "selects the disk: vda (6.0 GiB)"),
            (DeployStep::Partition, "erases old data on vda (6.0 GiB)"),
            (DeployStep::Configure, "configures the installed system on vda (6.0 GiB)"),
            (DeployStep::BootEntry, "adds the boot entry on vda (6.0 GiB)"),
            (DeployStep::Erase, "erases the disk: vda (6.0 GiB)"),
            (DeployStep::FirstBoot, "has booted from its disk for the first time on vda (6.0 GiB)"),
        ];
        for (step, expected) in cases {
            let disk = Some("vda (6.0 GiB)".to_owned());
            let report = StepReport { disk, ..StepReport::of(step) };
            assert_eq!(report.to_string(), expected);
        }
        let restart = StepReport::of(DeployStep::Restart);
        assert_eq!(restart.to_string(), "is done and restarts, to boot from its disk");
    }

    #[test]
    fn an_event_is_a_sentence() {
        let question = DhcpMessage {
            address: None,
            client: Client::Pxe(Arch::X64Efi),
            way: Way::Interface("eth0".into()),
            unanswered: Some(Reason::PoolExhausted),
        };
        let end = TftpEnd {
            to: ADDRESS.into(),
            file: "ipxe.efi".into(),
            total_bytes: 1 << 20,
            sent_bytes: 512,
            ending: Ending::Silent,
            milliseconds: 1500,
            block_size: 512,
            resent_blocks: 2,
        };
        let complete = TftpEnd { ending: Ending::Complete, ..end.clone() };
        let report = |verdict, text: &str| EventData::Report(Report { verdict, text: text.into() });
        let ack = |grant, seconds| {
            let boots = Some(Boots::Tftp("a.efi".into()));
            EventData::Ack(Ack { grant, address: Some(ADDRESS), seconds, boots })
        };
        let waits = ScriptSays::WaitingFor(vec![WaitReason::NoImage { host: "n1".into() }]);
        let cases = [
            (
                EventData::Discover(question),
                "asks for an address on eth0 (UEFI x64 PXE); not answered: no free address in the \
                 subnet's dhcp ranges",
            ),
            (ack(AckKind::Given, Some(3600)), "given 10.0.0.5 for 60 min, boots a.efi by TFTP"),
            (ack(AckKind::Bootp, None), "given 10.0.0.5 permanently (BOOTP), boots a.efi by TFTP"),
            (
                EventData::Tftp(Tftp::Ended(end)),
                "ipxe.efi stopped after 512 B of 1.0 MiB: the client stopped answering",
            ),
            (
                EventData::Tftp(Tftp::Ended(complete)),
                "sent ipxe.efi (1.0 MiB) in 1.5 s, 2 blocks again",
            ),
            (
                EventData::Script(Script { to: ADDRESS.into(), says: waits }),
                "script to 10.0.0.5: waits, n1 has no image to boot: give it one, or local",
            ),
            (
                EventData::Warning(Warning::PoolLow { subnet: "lan".into(), used: 8, of: 10 }),
                "the dhcp ranges of subnet lan are running low: 8 of 10 addresses are in use, soon \
                 new clients get none; make a range larger, or lease-time shorter",
            ),
            (report(ReportResult::Up, ""), "up"),
            (report(ReportResult::Up, "bond0 up"), "up: bond0 up"),
            (report(ReportResult::Up, "up: bond0"), "up: bond0"),
            (report(ReportResult::Failed, "Failed: bond0\nhas 1 port"), "Failed: bond0?has 1 port"),
            (report(ReportResult::Failed, "failedover"), "failed: failedover"),
        ];
        for (data, text) in cases {
            assert_eq!(data.to_string(), text);
        }
    }
}
