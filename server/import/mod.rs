//! What other systems know of hosts and networks, turned into a site: texts in, a site and a
//! report out. Pure.
//!
//! Each format has a file that reads it into a [`Draft`](draft::Draft). What cannot be taken over
//! is reported with its line, and never dropped in silence.

mod columns;
mod dhcpd;
mod dnsmasq;
mod draft;
mod facts;
mod intake;
mod inventories;
mod kea;
pub(crate) mod netbox;
pub(crate) mod networks;
mod options;
mod recognise;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{InvalidCaption, Site};
use crate::tree::Refusal;
pub(crate) use columns::OFFERED;
use draft::Draft;
pub(crate) use intake::{Fault, HostTable, Intake, IntakeError};
pub(crate) use recognise::Kind;

/// A file that is given, or that another one includes.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its path, as the operator or the including file wrote it.
    pub(crate) name: Arc<str>,
    pub(crate) text: String,
    /// Whether it was found in a directory and not named: it may be anything.
    pub(crate) is_found: bool,
}

impl Source {
    pub(crate) fn new(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), is_found: false }
    }
}

/// What a file includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// The path as it is written.
    pub(crate) path: String,
    /// The file that includes it.
    pub(crate) from: Arc<str>,
    /// Whether all files of a directory are meant where the path is one.
    pub(crate) is_directory: bool,
}

/// Where included files are. The command line reads them; tests have them in memory.
pub(crate) trait Library {
    /// The files that an include stands for.
    ///
    /// # Errors
    /// Why they cannot be read, in the words of the system.
    fn open(&self, include: &Include) -> Result<Vec<Source>, Unopened>;
}

/// What the operator decides about an import.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// Take over boot files and their TFTP server, which rackstrap chooses itself otherwise.
    pub(crate) keeps_boot_server: bool,
    /// Subnets that the files leave to the interfaces of the old server.
    pub(crate) subnets: Vec<ipnet::IpNet>,
    /// What columns of tables are: the name of each, and its key.
    pub(crate) columns: Vec<(String, String)>,
    /// The host that files of one host's network are of.
    pub(crate) host: Option<String>,
    /// The subnets of the inventory, whose addresses files of hosts alone may have.
    pub(crate) known: BTreeMap<String, ipnet::IpNet>,
}

/// A line of a file; or an object of a NetBox, by the URL of its kind and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    /// A URL ends with a slash, which no file does.
    pub(crate) file: Arc<str>,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.ends_with('/') {
            true => write!(f, "{}{}/", self.file, self.line),
            false => write!(f, "{}:{}", self.file, self.line),
        }
    }
}

/// Something of a file that is not in the site, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotTaken {
    pub(crate) place: Place,
    /// What the file says there.
    pub(crate) text: String,
    pub(crate) reason: Reason,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.text, self.reason)
    }
}

/// Why a file that another one includes is not there to be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unopened {
    /// What the computer says.
    pub(crate) message: String,
}

/// A value of a file that is none of a site file's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidValue {
    /// A route, a rule or a parameter that the model refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A text of more than one line, or with a backslash.
    #[error(transparent)]
    Caption(#[from] InvalidCaption),
    /// Words that are not pairs of a key and a value.
    #[error("\"{0}\" is not a rule: expected pairs such as priority 90 table 100")]
    NotARule(String),
}

/// Why something is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("a site file has no word for this")]
    NoCounterpart,
    #[error("the importer does not read it; a site file has {0}")]
    NotRead(&'static str),
    #[error("neither a section nor KEY=VALUE")]
    NotALine,
    #[error("has no [Match] section, so networkd uses it for no link")]
    WithoutMatch,
    #[error("{0}, which it adds to, is masked or not given")]
    WithoutUnit(String),
    #[error("the link is not a port of a bridge")]
    OfNoBridge,
    #[error("link {0} is not taken over")]
    OfUntaken(String),
    #[error("a member of {bond} has the MTU of {bond}, {mtu}")]
    MtuOfBond { bond: String, mtu: u32 },
    #[error("VLANs of a port have a meaning on a bridge with bridge-vlan-aware yes alone")]
    NotFiltered,
    #[error("a setting of the old server itself; rackstrap's are in rackstrap.toml")]
    OfServer,
    #[error("a dynamic DNS update; rackstrap zone prints the zone instead")]
    DynamicDns,
    #[error("a setting of the DNS server; rackstrap answers no DNS")]
    Dns,
    #[error("lease times belong to the subnet")]
    OwnLeaseTime,
    #[error("stands for several clients; a host has whole addresses")]
    Pattern,
    #[error("the old server's own address, which the file does not say")]
    OldServer,
    #[error("no client has the tag {0}")]
    UnknownTag(String),
    #[error("depends on what the client sends ({0})")]
    Conditional(String),
    #[error("holds for one pool only; a subnet has one set of options")]
    OfOnePool,
    #[error(
        "rackstrap boots the host by its image; use --keep-boot-server to keep the old TFTP server"
    )]
    BootServer,
    #[error("the file is not recognised")]
    Unrecognised,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Value(InvalidValue),
    #[error("cannot read it: {0}")]
    Unreadable(Unopened),
    #[error("includes itself")]
    IncludesItself,
    #[error("DHCPv6 of rackstrap gives no addresses")]
    Ipv6,
    #[error("taken over as {0}")]
    Renamed(String),
    #[error("no subnet has this address, so it is not reserved; --subnet CIDR adds one")]
    NoSubnet,
    #[error("{host} has {kept} on subnet {subnet} already, and one address is reserved per subnet")]
    SecondAddress { host: String, subnet: String, kept: std::net::IpAddr },
    #[error("the same is in {0} already")]
    Duplicate(Place),
    #[error("option space {0} is sent inside no option")]
    UnsentSpace(String),
    #[error("a name instead of an address")]
    NotAnAddress,
    #[error("has no MAC address")]
    NoMac,
    #[error("{cells} cells are not taken over; --column NAME=KEY takes them")]
    Column { cells: usize },
    #[error("is in a column without a name")]
    UnnamedColumn,
    #[error("only shows something: what it says here changes nothing")]
    ShownColumn,
    #[error("stands above the head of the table")]
    AboveTable,
    #[error("names other files: give them as well")]
    NotGiven,
    #[error("has no name")]
    NoName,
    #[error("the BMC has an address and no MAC, and DHCP knows it by its MAC")]
    BmcWithoutMac,
    #[error("a VLAN is a subnet's or a profile's; the row has no prefix")]
    VlanOfNic,
    #[error("how Ansible logs in")]
    OfAnsible,
    #[error("a variable of a group; hosts of a group share a profile or a rack here")]
    OfGroup,
    #[error("a group of groups; labels are not nested")]
    GroupOfGroups,
    #[error("the network of a host is a profile; import the host's netplan")]
    NetworkOfMaas,
    #[error("subnet {0} has other resolvers already")]
    OtherResolvers(String),
    #[error("the network that is made of it means something else there")]
    OtherMeaning,
    #[error("no file has a subnet for it")]
    WithoutSubnet,
    #[error(
        "{devices} device{s} of this role left out; --role {slug} takes them",
        s = if *devices == 1 { "" } else { "s" }
    )]
    OtherRole { devices: usize, slug: String },
    #[error("its status is {0}")]
    Status(String),
    #[error("host {0} of the inventory has this NIC: give both the same name")]
    NicOfHost(String),
    #[error("not a whole unit of its rack")]
    NotAUnit,
    #[error("a host has one BMC here")]
    SecondBmc,
    #[error("a {0} address, which several devices share")]
    SharedAddress(String),
    #[error("ends at no interface")]
    OpenCable,
    #[error("ends at something else than one port of a switch")]
    NotAPort,
    #[error(
        "its platform names neither EOS, Cumulus nor SONiC; add the switch here, and its cables are \
         taken over"
    )]
    UnknownVendor,
    #[error(
        "{0} is within it: the inner prefix is the subnet (status container says so in NetBox)"
    )]
    Around(ipnet::IpNet),
    #[error("subnet {0} has the same prefix already")]
    OverlapsSubnet(String),
}

/// Why nothing is taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImportError {
    /// The files cannot be read as what they are.
    #[error("{place}: {message}")]
    Syntax { place: Place, message: String },
    /// The file leaves out what only the operator knows.
    #[error("{place}: {text}: {question}")]
    Question { place: Place, text: String, question: Question },
    /// Nobody knows what the file is.
    #[error("{file}: not recognised; expected {}", Kind::expected())]
    Unrecognised { file: String },
}

/// What an import has to ask, and the flag that answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Question {
    #[error(
        "the netmask is that of the old server's interface: give the subnet of {address} by \
         --subnet, such as --subnet {guess}"
    )]
    Netmask { address: std::net::IpAddr, guess: ipnet::IpNet },
    #[error(
        "unsure of {}; answer by --column NAME=KEY with one of {}",
        listed(unsure),
        columns::KEYS
    )]
    Columns {
        unsure: Vec<UnsureColumn>,
        /// All columns of the table.
        columns: Vec<TableColumn>,
    },
    #[error("\"{key}\" is not a key of --column: expected one of {}", columns::KEYS)]
    UnknownKey { key: String },
}

/// A column that may be one thing or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnsureColumn {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// A column of a table, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    /// Its key of `--column`; none where nobody knows.
    pub(crate) key: Option<String>,
    /// Some of its cells.
    pub(crate) samples: Vec<String>,
}

fn listed(unsure: &[UnsureColumn]) -> String {
    let one = |one: &UnsureColumn| format!("\"{}\" ({})", one.name, one.reason);
    unsure.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What an import comes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Imported {
    pub(crate) site: Site,
    pub(crate) not_taken: Vec<NotTaken>,
    /// What each file is.
    pub(crate) kinds: Vec<(Arc<str>, Kind)>,
    /// The columns of tables.
    pub(crate) columns: Vec<TableColumn>,
    /// Where entries of the site come from, by their path, such as `hosts.n1`.
    places: BTreeMap<String, Place>,
}

impl Imported {
    /// Where the entry with this path comes from, or the one around it.
    pub(crate) fn place(&self, path: &str) -> Option<&Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(place);
            }
            (path, _) = path.rsplit_once('.')?;
        }
    }
}

/// Reads files of any recognised formats into one site.
///
/// # Errors
/// A file is not recognised, or is broken: nothing is half done.
pub(crate) fn import(
    files: &[Source],
    library: &dyn Library,
    choices: &Choices,
) -> Result<Imported, ImportError> {
    let mut draft = Draft::new(choices.clone());
    let mut kinds: BTreeMap<Kind, Vec<&Source>> = BTreeMap::new();
    let mut recognised = Vec::new();
    for file in files {
        let kind = match file.is_found && !file.name.ends_with(".csv") {
            true => Kind::of(&file.name, &file.text),
            false => Kind::or_table(&file.name, &file.text),
        };
        let Some(kind) = kind else {
            if !file.is_found {
                return Err(ImportError::Unrecognised { file: file.name.to_string() });
            }
            let place = Place { file: file.name.clone(), line: 1 };
            draft.report(&place, file.name.to_string(), Reason::Unrecognised);
            continue;
        };
        recognised.push((file.name.clone(), kind));
        kinds.entry(kind).or_default().push(file);
    }
    for (kind, files) in kinds {
        match kind {
            Kind::Dhcpd => dhcpd::read(&mut draft, &files, library)?,
            Kind::Kea => kea::read(&mut draft, &files, library)?,
            Kind::Dnsmasq => dnsmasq::read(&mut draft, &files, library)?,
            Kind::Table => table::read(&mut draft, &files)?,
            Kind::Warewulf => each(&files, |file| inventories::warewulf(&mut draft, file))?,
            Kind::Maas => each(&files, |file| inventories::maas(&mut draft, file))?,
            Kind::AnsibleIni => {
                each(&files, |file| inventories::ansible_ini(&mut draft, file, library))?;
            }
            Kind::AnsibleYaml => {
                each(&files, |file| inventories::ansible_yaml(&mut draft, file, library))?;
            }
            Kind::Network(dialect) => networks::read(&mut draft, dialect, &files)?,
        }
    }
    networks::finish(&mut draft);
    Ok(Imported { kinds: recognised, ..draft.finish() })
}

fn each(
    files: &[&Source],
    mut read: impl FnMut(&Source) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    files.iter().try_for_each(|file| read(file))
}

#[cfg(test)]
mod tests;
