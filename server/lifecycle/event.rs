//! Events: what happened to which host and when, with its data. Their sentences are in
//! [`wording`](super::wording).

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};

use super::reason::{Detour, NakReason, Reason};
use crate::lifecycle::client::Client;
use crate::lifecycle::install::InstallTask;
use crate::model::{Mac, NicAddress};

/// Something that happened.
///
/// As JSON: `at_ms`, `host`, `mac`, `kind`, `data` and `text`, the sentence. What is read back is
/// `data`; the sentence is made again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The host it is about, if it is about a known one.
    pub host: Option<String>,
    /// The MAC it is about.
    pub mac: Option<Mac>,
    /// What happened.
    pub data: EventData,
}

impl Event {
    /// What kind of thing happened.
    pub fn kind(&self) -> EventKind {
        self.data.kind()
    }

    /// The sentence for a person, free of control characters.
    pub fn text(&self) -> String {
        self.data.to_string()
    }
}

/// An event as JSON.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Event")]
struct Document<'a> {
    /// When, in Unix milliseconds.
    at_ms: i64,
    /// The host it is about, if it is about a known one.
    host: Option<&'a str>,
    /// The MAC it is about.
    mac: Option<Mac>,
    /// What kind of thing happened.
    kind: EventKind,
    /// What happened.
    data: &'a EventData,
    /// The sentence for a person.
    text: String,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at_ms, host, mac, data } = self;
        let (kind, text) = (data.kind(), data.to_string());
        let document =
            Document { at_ms: *at_ms, host: host.as_deref(), mac: *mac, kind, data, text };
        document.serialize(serializer)
    }
}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        Document::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Document::json_schema(generator)
    }
}

/// What happened. As JSON an object whose `kind` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventData {
    /// The client asked for an address.
    Discover(DhcpMessage),
    /// An address, something to boot, or both were offered.
    Offer(Offer),
    /// The client asked for the offered address, or to keep its own.
    Request(DhcpMessage),
    /// The address was given.
    Ack(Ack),
    /// The client was told that its address is wrong.
    Nak(Nak),
    /// The client found an address in use by another device.
    Decline(Decline),
    /// The client gave its address back.
    Release {
        /// The address.
        address: Ipv4Addr,
    },
    /// A transfer by TFTP began or ended, or a request was refused.
    Tftp(Tftp),
    /// A network boot program was sent by HTTP (UEFI HTTP Boot).
    Nbp(Sent),
    /// The host's iPXE script was sent.
    Script(Script),
    /// The kernel was sent.
    Kernel(Sent),
    /// An initrd was sent.
    Initrd(Sent),
    /// The host fetched its network configuration.
    Config(Sent),
    /// Something that belongs to no stage of the host's boot was sent.
    File(Sent),
    /// The host reported its own state.
    Report(Report),
    /// The next boot of the host may install.
    InstallArmed {
        /// The image.
        image: String,
        /// The user or token that armed it.
        by: String,
        /// What for.
        #[serde(default)]
        task: InstallTask,
    },
    /// A boot took up the armed installation.
    InstallStarted {
        /// The image.
        image: String,
        /// What is done.
        #[serde(default)]
        task: InstallTask,
    },
    /// The live system that writes a disk image is at this step.
    InstallStep(StepReport),
    /// The host reported that the installation is complete.
    InstallCompleted {
        /// The image.
        image: String,
        /// What was done.
        #[serde(default)]
        task: InstallTask,
    },
    /// The installation failed.
    InstallFailed {
        /// Why, in the words of whoever found out.
        reason: String,
    },
    /// A host sent a message by syslog while it boots.
    Syslog(SyslogMessage),
    /// Something that the operator should look at.
    Warning(Warning),
    /// Something that keeps clients from being served.
    Error(Failure),
    /// An event of a version that stored sentences only.
    Recorded {
        /// Its kind.
        of: EventKind,
        /// The sentence.
        text: String,
    },
}

/// A file that was sent, by whichever protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentFile<'a> {
    /// Its name.
    pub file: &'a str,
    /// How many of its bytes the client took.
    pub bytes: u64,
    /// How long it took.
    pub milliseconds: Option<u64>,
}

impl EventData {
    /// The file that it says was sent.
    pub fn transfer(&self) -> Option<SentFile<'_>> {
        match self {
            Self::Tftp(Tftp::Ended(end)) => Some(SentFile {
                file: &end.file,
                bytes: end.sent_bytes,
                milliseconds: Some(end.milliseconds),
            }),
            Self::Nbp(sent)
            | Self::Kernel(sent)
            | Self::Initrd(sent)
            | Self::Config(sent)
            | Self::File(sent) => Some(SentFile {
                file: &sent.file,
                bytes: sent.bytes,
                milliseconds: sent.milliseconds,
            }),
            _ => None,
        }
    }

    /// What kind of thing happened.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Discover(_) => EventKind::Discover,
            Self::Offer(_) => EventKind::Offer,
            Self::Request(_) => EventKind::Request,
            Self::Ack(_) => EventKind::Ack,
            Self::Nak(_) => EventKind::Nak,
            Self::Decline(_) => EventKind::Decline,
            Self::Release { .. } => EventKind::Release,
            Self::Tftp(_) => EventKind::Tftp,
            Self::Nbp(_) => EventKind::Nbp,
            Self::Script(_) => EventKind::Script,
            Self::Kernel(_) => EventKind::Kernel,
            Self::Initrd(_) => EventKind::Initrd,
            Self::Config(_) => EventKind::Config,
            Self::File(_) => EventKind::File,
            Self::Report(_) => EventKind::Report,
            Self::InstallArmed { .. } => EventKind::InstallArmed,
            Self::InstallStarted { .. } => EventKind::InstallStarted,
            Self::InstallStep(_) => EventKind::InstallStep,
            Self::InstallCompleted { .. } => EventKind::InstallCompleted,
            Self::InstallFailed { .. } => EventKind::InstallFailed,
            Self::Syslog(_) => EventKind::Syslog,
            Self::Warning(_) => EventKind::Warning,
            Self::Error(_) => EventKind::Error,
            Self::Recorded { of, .. } => *of,
        }
    }

    /// Whether something failed or was refused: it is marked wherever it is shown.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Nak(_)
            | Self::Decline(_)
            | Self::InstallFailed { .. }
            | Self::Warning(_)
            | Self::Error(_)
            | Self::Tftp(Tftp::Refused { .. }) => true,
            Self::Report(report) => report.verdict == ReportResult::Failed,
            Self::Syslog(message) => message.severity <= SyslogSeverity::Error,
            Self::Tftp(Tftp::Ended(end)) => !end.ending.is_success(),
            Self::Recorded { of, .. } => {
                use EventKind as K;
                matches!(of, K::Nak | K::Decline | K::Warning | K::Error)
            }
            Self::Discover(_)
            | Self::Offer(_)
            | Self::Request(_)
            | Self::Ack(_)
            | Self::Release { .. }
            | Self::Tftp(Tftp::Started { .. })
            | Self::Nbp(_)
            | Self::Script(_)
            | Self::Kernel(_)
            | Self::Initrd(_)
            | Self::Config(_)
            | Self::File(_)
            | Self::InstallArmed { .. }
            | Self::InstallStarted { .. }
            | Self::InstallStep(_)
            | Self::InstallCompleted { .. } => false,
        }
    }

    /// The address that it is about: the one that is given or asked for, else the client's.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Discover(question) | Self::Request(question) => question.address.map(IpAddr::V4),
            Self::Offer(offer) => offer.address.map(IpAddr::V4),
            Self::Ack(ack) => ack.address.map(IpAddr::V4),
            Self::Nak(nak) => nak.address.map(IpAddr::V4),
            Self::Decline(Decline { address, .. }) | Self::Release { address } => {
                Some(IpAddr::V4(*address))
            }
            Self::Nbp(sent)
            | Self::Kernel(sent)
            | Self::Initrd(sent)
            | Self::Config(sent)
            | Self::File(sent) => Some(sent.to),
            Self::Script(script) => Some(script.to),
            Self::Syslog(message) => Some(message.from),
            Self::Warning(warning) => warning.address(),
            Self::Tftp(tftp) => tftp.to(),
            Self::Report(_)
            | Self::InstallArmed { .. }
            | Self::InstallStarted { .. }
            | Self::InstallStep(_)
            | Self::InstallCompleted { .. }
            | Self::InstallFailed { .. }
            | Self::Error(_)
            | Self::Recorded { .. } => None,
        }
    }

    /// Reads what was stored: its data, or the kind and the sentence of an event that was stored
    /// before there was data.
    pub fn read(kind: &str, data: Option<&str>, text: String) -> Result<Self, UnreadableEvent> {
        match data {
            Some(data) => Ok(serde_json::from_str(data)?),
            None => Ok(Self::Recorded { of: kind.parse()?, text }),
        }
    }
}

/// A step of writing a disk image, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeployStep {
    /// A whole disk is erased.
    Erase,
    /// The disk is selected and fits the image. Nothing has changed yet.
    Select,
    /// Old data at both ends of the disk is erased.
    Partition,
    /// The image is written.
    Write,
    /// The last partition grows, and the image becomes this host's.
    Configure,
    /// The boot loader is looked for, and the firmware gets a boot entry.
    BootEntry,
    /// The host restarts, to boot from its disk.
    Restart,
    /// The installed system has booted from the disk for the first time, and reports.
    FirstBoot,
}

/// What became of the firmware's boot entry for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootEntry {
    /// The firmware has it.
    Added,
    /// The firmware did not keep it: the disk boots by its removable path, or not at all.
    Refused,
    /// BIOS, which has no entries.
    NotNeeded,
}

/// What the live system says of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// The step.
    pub step: DeployStep,
    /// The disk, with size and serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// How many bytes of the image's file have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How fast they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// What became of the boot entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_entry: Option<BootEntry>,
}

impl StepReport {
    /// A step, and nothing else.
    pub fn of(step: DeployStep) -> Self {
        Self { step, disk: None, done: None, total: None, bytes_per_second: None, boot_entry: None }
    }

    /// How many seconds the rest takes, if it comes as fast as before.
    pub fn remaining_seconds(&self) -> Option<u64> {
        let left = self.total?.checked_sub(self.done?)?;
        left.checked_div(self.bytes_per_second?)
    }
}

/// A message that a host sent by syslog (RFC 5424, and RFC 3164 as programs write it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyslogMessage {
    /// The address that it came from. Whoever is on the path can forge it.
    pub from: IpAddr,
    /// How severe it is.
    pub severity: SyslogSeverity,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What it says, at most 1,024 bytes.
    pub text: String,
}

/// How severe a message is (RFC 5424 section 6.2.1), the worst first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SyslogSeverity {
    /// The system is unusable.
    Emergency,
    /// Action must be taken immediately.
    Alert,
    /// Critical conditions.
    Critical,
    /// Error conditions.
    Error,
    /// Warning conditions.
    Warning,
    /// Normal but significant.
    Notice,
    /// Informational.
    Informational,
    /// Of use to who looks for a fault.
    Debug,
}

impl SyslogSeverity {
    /// The word that is shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Informational => "info",
            Self::Debug => "debug",
        }
    }
}

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// No version of this program stores such a kind.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// The data is not that of an event.
    #[error(transparent)]
    Data(#[from] serde_json::Error),
}

/// A DISCOVER or a REQUEST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpMessage {
    /// The address that the client asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// What asks: which firmware, iPXE, or a client that does not boot.
    pub client: Client,
    /// The way that it came.
    pub way: Way,
    /// Why it gets no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Reason>,
}

/// The way by which a DHCP message came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the link itself.
    Interface(String),
    /// Through a relay agent.
    Relay {
        /// Its address.
        address: Ipv4Addr,
        /// The port of the client as the relay names it: quoted text, or hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<String>,
    },
}

/// What a client is told to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Boots {
    /// A program by TFTP, by its name.
    Tftp(String),
    /// A program by its URL.
    Url(String),
    /// An iPXE script by its URL.
    Script(String),
    /// The files of a Raspberry Pi by TFTP.
    RaspberryPi,
    /// The local disk.
    LocalDisk,
}

/// An OFFER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// The address; none where another server gives it (proxyDHCP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// What to boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<Boots>,
    /// Whether the client is sent to port 4011 to ask what it boots.
    #[serde(default, skip_serializing_if = "is_false")]
    pub redirected: bool,
}

/// An ACK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// How the client comes to its address.
    pub grant: AckKind,
    /// The address; none on port 4011.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// How long it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// What to boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<Boots>,
}

/// How a client comes to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AckKind {
    /// A lease was given or extended.
    Given,
    /// The lease that it has is still long enough.
    Kept,
    /// It has the address by other means and asked for the settings (INFORM).
    Informed,
    /// BOOTP: permanently.
    Bootp,
    /// Another server gives the address; this answer says what to boot.
    BootOnly,
}

/// A NAK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nak {
    /// The address that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Why it may not use it.
    pub reason: NakReason,
    /// Its own address here, where the inventory gives it another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Ipv4Addr>,
}

/// A DECLINE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decline {
    /// The address in use.
    pub address: Ipv4Addr,
    /// Whether the inventory gives it to this very host.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own: bool,
    /// How long no client is given it.
    pub quarantine_seconds: u32,
}

/// What happened by TFTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Tftp {
    /// A file that takes a while begins to be sent.
    Started {
        /// The client.
        to: IpAddr,
        /// The file's name.
        file: String,
        /// Its length.
        total_bytes: u64,
    },
    /// A transfer ended.
    Ended(TftpEnd),
    /// A request was refused.
    Refused {
        /// The client.
        to: IpAddr,
        /// The name asked for, if it can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// What the client is told.
        error: String,
    },
}

impl Tftp {
    fn to(&self) -> Option<IpAddr> {
        match self {
            Self::Started { to, .. } | Self::Refused { to, .. } => Some(*to),
            Self::Ended(end) => Some(end.to),
        }
    }
}

/// The end of a transfer by TFTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TftpEnd {
    /// The client.
    pub to: IpAddr,
    /// The file's name.
    pub file: String,
    /// The file's length.
    pub total_bytes: u64,
    /// How many of its bytes the client acknowledged.
    pub sent_bytes: u64,
    /// How it ended.
    pub ending: Ending,
    /// How long it took from the client's first acknowledgement.
    pub milliseconds: u64,
    /// How many bytes a block has.
    pub block_size: u64,
    /// How many blocks were sent again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resent_blocks: u64,
}

/// How a transfer by TFTP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The client has everything.
    Complete,
    /// Everything was sent; the end was not acknowledged.
    Unconfirmed,
    /// The client gave up with an error code.
    Refused(u16),
    /// The client closed its port.
    Gone,
    /// The client stopped answering.
    Silent,
    /// The client asked for something else.
    Superseded,
    /// The file was truncated meanwhile.
    Unreadable,
    /// The server stops.
    Stopped,
}

impl Ending {
    /// Whether the client got the file, as far as the server can know.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Complete | Self::Unconfirmed)
    }
}

/// Something that was sent by HTTP as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The client.
    pub to: IpAddr,
    /// The file's name, or the name of the format.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// How long it took; none for what leaves at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
}

/// An iPXE script that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Script {
    /// The client.
    pub to: IpAddr,
    /// What it says.
    #[serde(flatten)]
    pub says: ScriptSays,
}

/// What an iPXE script says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScriptSays {
    /// To boot this image.
    Boots(String),
    /// To boot the local disk.
    BootsDisk,
    /// To wait until something is done.
    WaitingFor(Vec<WaitReason>),
}

/// Why a host must wait before it can boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitReason {
    /// The NIC belongs to no host of the inventory.
    NotInInventory {
        /// Its MAC, or the GUID of its port.
        mac: NicAddress,
    },
    /// The host has no image.
    NoImage {
        /// The host.
        host: String,
    },
    /// The host's image does not exist.
    UnknownImage {
        /// The host.
        host: String,
        /// The image's name.
        image: String,
    },
    /// A file of the image cannot be read, or the image cannot be told to iPXE.
    BrokenImage {
        /// The image's name.
        image: String,
        /// What is wrong.
        error: String,
    },
    /// The host is armed for an install, but the request does not come from the host itself.
    NotItsAddress {
        /// The host.
        host: String,
        /// The image that its next boot installs.
        image: String,
        /// Where the request came from.
        address: IpAddr,
    },
    /// The request does not come from the host, whose script is for the host alone.
    NotTheHost {
        /// The host.
        host: String,
        /// Where the request came from.
        address: IpAddr,
    },
    /// The host's network configuration is refused.
    NetworkRefused {
        /// The host.
        host: String,
        /// What is wrong, a sentence each.
        findings: Vec<String>,
    },
    /// dracut's command line cannot express the host's network.
    NotForDracut {
        /// The host.
        host: String,
        /// What it cannot express.
        features: Vec<String>,
    },
    /// Anything else that is wrong.
    Other {
        /// What.
        error: String,
    },
}

/// A host's own report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Whether it is up.
    pub verdict: ReportResult,
    /// The host's words, shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What a host reports of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportResult {
    /// It is up.
    Up,
    /// Something is wrong.
    Failed,
}

/// Something that the operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Warning {
    /// A NIC is at another switch port than before.
    PortChanged {
        /// The port now.
        port: String,
        /// The port before.
        before: String,
    },
    /// Another DHCP server gives addresses on a link.
    ForeignServer {
        /// Its address.
        server: Ipv4Addr,
        /// The link.
        interface: String,
        /// Whether this server is configured to be authoritative all the same.
        #[serde(default)]
        authoritative: bool,
    },
    /// A relay agent is not served, nor any client behind it.
    RelayRefused {
        /// Its address (`giaddr`).
        relay: Ipv4Addr,
        /// The link that its packets came by.
        interface: String,
        /// Whether `relays` lists others.
        is_listed: bool,
    },
    /// Most of a subnet's dynamic addresses are in use.
    PoolLow {
        /// The subnet.
        subnet: String,
        /// How many are in use.
        used: u64,
        /// How many there are.
        of: u64,
    },
    /// Half of a subnet's dynamic addresses are on offer to unknown clients.
    OffersToStrangers {
        /// The subnet.
        subnet: String,
    },
    /// An address is used by a device that does not lease it.
    AddressInUse {
        /// The address.
        address: Ipv4Addr,
        /// The MAC that answers for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Mac>,
    },
    /// One device answers for many addresses.
    ProxyArp,
    /// The database does not take leases.
    LeasesNotStored {
        /// The database's reason.
        error: String,
    },
    /// A host found its own address in use.
    OwnAddressInUse(Decline),
    /// A client is told its script instead of a boot program.
    Detour {
        /// Why.
        detour: Detour,
    },
    /// A transfer by HTTP ended early.
    BrokenOff {
        /// The client.
        to: IpAddr,
        /// The file's name.
        file: String,
        /// How many of its bytes left.
        sent_bytes: u64,
        /// Its length.
        total_bytes: u64,
        /// How long it took.
        milliseconds: u64,
    },
    /// A client asked for another host's configuration and was refused.
    ConfigRefused {
        /// The host whose configuration it is.
        host: String,
        /// The client.
        to: IpAddr,
    },
    /// A client repeated itself: so many events were only counted.
    LeftOut {
        /// Their kind.
        of: EventKind,
        /// How many.
        times: u64,
        /// Within how many seconds.
        seconds: u64,
        /// The client, if it is known by its address only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
    },
    /// The rental of a host has ended.
    RentalEnded {
        /// The tenant.
        tenant: String,
        /// The day or moment as the inventory has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    /// A roll-out halts, because of the host of the event or of a whole wave.
    RollOutHalted {
        /// Its number.
        roll_out: i64,
        /// Why.
        cause: String,
    },
    /// A DNS zone is not up to date.
    DnsNotUpdated {
        /// The zone.
        zone: String,
        /// Why.
        cause: String,
    },
}

impl Warning {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::ForeignServer { server: address, .. }
            | Self::RelayRefused { relay: address, .. }
            | Self::AddressInUse { address, .. }
            | Self::OwnAddressInUse(Decline { address, .. }) => Some(IpAddr::V4(*address)),
            Self::BrokenOff { to, .. } | Self::ConfigRefused { to, .. } => Some(*to),
            Self::LeftOut { from, .. } => *from,
            Self::PortChanged { .. }
            | Self::PoolLow { .. }
            | Self::OffersToStrangers { .. }
            | Self::ProxyArp
            | Self::LeasesNotStored { .. }
            | Self::Detour { .. }
            | Self::RentalEnded { .. }
            | Self::RollOutHalted { .. }
            | Self::DnsNotUpdated { .. } => None,
        }
    }
}

/// Something that keeps clients from being served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Failure {
    /// All of a subnet's dynamic addresses are in use.
    PoolExhausted {
        /// The subnet.
        subnet: String,
        /// How many are in use.
        used: u64,
        /// How many there are.
        of: u64,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $label:literal),* $(,)?) => {
        /// What kind of thing happened: the word that is stored, shown and filtered by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum EventKind { $($(#[doc = $doc])* $variant),* }

        impl EventKind {
            /// All kinds; those of a boot first, in its order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word shown and stored.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }
    };
}

event_kinds! {
    /// The client asked for an address.
    Discover = "discover",
    /// An address was offered.
    Offer = "offer",
    /// The client asked for the offered address, or to keep its own.
    Request = "request",
    /// The address was given.
    Ack = "ack",
    /// The client was told that its address is wrong.
    Nak = "nak",
    /// Something was sent by TFTP.
    Tftp = "tftp",
    /// A network boot program was sent by HTTP (UEFI HTTP Boot).
    Nbp = "nbp",
    /// The host's iPXE script was sent.
    Script = "script",
    /// The kernel was sent.
    Kernel = "kernel",
    /// An initrd was sent.
    Initrd = "initrd",
    /// The host's network configuration was sent.
    Config = "config",
    /// The host reported its own state.
    Report = "report",
    /// The client found its address in use.
    Decline = "decline",
    /// The client gave its address back.
    Release = "release",
    /// Something else was sent by HTTP.
    File = "file",
    /// The next boot of the host may install.
    InstallArmed = "install-armed",
    /// A boot took up the armed installation.
    InstallStarted = "install-started",
    /// The live system that writes a disk image is at a step.
    InstallStep = "install-step",
    /// The installation is complete.
    InstallCompleted = "install-completed",
    /// The installation failed.
    InstallFailed = "install-failed",
    /// The host sent a message by syslog.
    Syslog = "syslog",
    /// Something that the operator should look at.
    Warning = "warning",
    /// Something that keeps clients from being served.
    Error = "error",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that names no kind of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an event kind: expected {kinds}",
    kinds = EventKind::ALL.iter().map(|kind| kind.label()).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownKind(pub String);

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let named = Self::ALL.iter().copied().find(|kind| kind.label() == text);
        named.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// How far a long transfer is. Shown live, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// The host that fetches, if it is known.
    pub host: Option<String>,
    /// Which stage of the boot the file belongs to.
    pub kind: EventKind,
    /// The file's name.
    pub file: String,
    /// How many bytes have left.
    pub sent_bytes: u64,
    /// How many there are in all.
    pub total_bytes: u64,
}

/// How many events of unknown clients are recorded in a second: a flood of invented MACs
/// must not bury what happens to hosts.
const STRANGERS_A_SECOND: u32 = 20;

/// How many events of unknown clients may still be recorded in a second.
#[derive(Debug, Default)]
pub struct StrangerBudget {
    second: i64,
    recorded: u32,
}

impl StrangerBudget {
    /// Whether one more event of an unknown client is recorded at `now` (Unix seconds).
    pub fn takes_one(&mut self, now: i64) -> bool {
        if self.second != now {
            (self.second, self.recorded) = (now, 0);
        }
        self.recorded = self.recorded.saturating_add(1);
        self.recorded <= STRANGERS_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_unknown_clients_is_recorded_in_part() {
        let mut budget = StrangerBudget::default();
        assert_eq!((0..50_000).filter(|_| budget.takes_one(7)).count(), 20);
        assert!(budget.takes_one(8));
    }

    #[test]
    fn a_stored_kind_is_the_tag_of_its_data() {
        for kind in EventKind::ALL {
            assert_eq!(kind.label().parse(), Ok(*kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!("DISCOVER".parse::<EventKind>(), Err(UnknownKind("DISCOVER".into())));
    }

    #[test]
    fn events_are_read_back_as_they_were() {
        let to = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
        let address = Ipv4Addr::new(10, 0, 0, 5);
        let way = Way::Relay { address, port: Some("\"Eth1\"".into()) };
        let client = Client::Pxe(crate::lifecycle::client::Arch::Other(77));
        let unanswered = Some(Reason::PoolExhausted);
        let decline = Decline { address, own: true, quarantine_seconds: 60 };
        let all = [
            EventData::Discover(DhcpMessage { address: None, client, way, unanswered }),
            EventData::Offer(Offer {
                address: Some(address),
                boots: Some(Boots::RaspberryPi),
                redirected: false,
            }),
            EventData::Nak(Nak { address: None, reason: NakReason::NotYours, own: None }),
            EventData::Decline(decline.clone()),
            EventData::Tftp(Tftp::Ended(TftpEnd {
                to,
                file: "ipxe.efi".into(),
                total_bytes: 1 << 40,
                sent_bytes: 0,
                ending: Ending::Refused(8),
                milliseconds: 7,
                block_size: 1468,
                resent_blocks: 0,
            })),
            EventData::Script(Script { to, says: ScriptSays::Boots("live".into()) }),
            EventData::Script(Script {
                to,
                says: ScriptSays::WaitingFor(vec![WaitReason::NoImage { host: "n1".into() }]),
            }),
            EventData::Report(Report { verdict: ReportResult::Failed, text: "no\npartner".into() }),
            EventData::Warning(Warning::ProxyArp),
            EventData::Warning(Warning::OwnAddressInUse(decline)),
            EventData::Warning(Warning::Detour { detour: Detour::Loop }),
            EventData::Recorded { of: EventKind::Ack, text: "given".into() },
        ];
        for data in all {
            let kind = data.kind().label();
            let stored = serde_json::to_string(&data).unwrap();
            let read = EventData::read(kind, Some(&stored), String::new()).unwrap();
            assert_eq!(read, data, "{stored}");
            let event = Event { at_ms: 1, host: None, mac: None, data };
            let shown = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&shown).unwrap(), event, "{shown}");
        }
        let old = EventData::read("ack", None, "given 10.0.0.5".into()).unwrap();
        assert_eq!((old.kind(), old.to_string().as_str()), (EventKind::Ack, "given 10.0.0.5"));
    }
}
