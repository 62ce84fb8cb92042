//! The nouns of a rack: hosts, NICs, subnets, profiles, images, leases, events.
//!
//! Pure data. Every type reads from and writes to the site file by serde, with
//! networkd's and netplan's words as keys, so that the file, the JSON of the
//! API and the rows in the database say the same thing in the same words.

mod as_text;
pub(crate) mod bgp;
mod bond;
mod bridge;
mod cable;
mod caption;
pub(crate) mod command_line;
mod cpu_list;
pub(crate) mod dhcp_options;
pub(crate) mod diff;
mod disk;
mod dns_record;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod extra;
pub(crate) mod formula;
pub(crate) mod host;
pub(crate) mod host_number;
pub(crate) mod identity;
mod image;
mod image_kind;
mod ipv6;
mod keyring;
mod lease;
mod limits;
pub(crate) mod link;
mod link_mac;
mod location;
pub(crate) mod login;
mod mac;
mod macsec;
mod mass_removal;
pub(crate) mod merge;
mod millis;
mod name;
mod natural;
mod new_hosts;
mod nic;
mod nic_address;
mod noun;
mod numbered;
pub(crate) mod parameter;
mod port_auth;
mod profile;
pub(crate) mod profile_tree;
mod rack_units;
mod recipe;
mod role;
mod route;
mod scalar;
pub(crate) mod schema;
mod secret;
pub(crate) mod site;
mod size;
mod stored_file;
mod subnet;
mod subnet_index;
pub(crate) mod tenancy;
mod three_way;
mod virtual_link;
mod vlan_id;
mod vlan_ids;
mod when;
mod wireguard;
pub(crate) mod words;

pub use bgp::{
    Announcement, BgpNeighbor, BgpSpec, BgpTimers, Community, EvpnSpec, EvpnVrf, InvalidCommunity,
    InvalidRemoteAs, Redistribution, RemoteAs, RouteMapRule, RouteSource, RouteVerdict,
};
pub use bond::{
    AdSelect, ArpTargets, ArpValidate, BondMode, BondSpec, FailOverMac, LacpRate, LacpStart,
    PrimaryReselect, TransmitHashPolicy,
};
pub use bridge::{BridgeSpec, PortSpec};
pub use cable::{Cable, Nic, Switch, Vendor};
pub use caption::{Caption, InvalidCaption};
pub use cpu_list::{CpuList, InvalidCpuList};
pub(crate) use dhcp_options::option_name;
pub use dhcp_options::{DhcpOptions, InvalidDhcpOption, InvalidOption};
pub use diff::{Difference, DifferenceKind, FieldDifference, diff, renamed_hosts};
pub use disk::{
    ByteSize, DiskPick, DiskRule, DiskType, InvalidByteSize, InvalidDiskRule, RaidLevel,
};
pub use dns_record::{HostRecord, RecordType, UnknownRecordType, Zone, absolute_name};
pub use extra::{ExtraFile, ExtraSection, ExtraValue, LinkExtra, ProfileExtra, Sections};
pub use host::{Bmc, Host, HostDhcp, SINGLE_VALUE_KEYS, current_host_key};
pub use host_number::{HostNumber, HostNumberError};
pub use identity::{HostMatch, Identity, InvalidOctets, InvalidUuid, Octets, Uuid};
pub use image::{
    BootMode, BootOrder, DEFAULT_LIVE_SYSTEM, DRACUT_WORD, Image, ImageVariant, InstallBegins,
    InstallEnds, InvalidNetworkFormat, LocalBoot, NetworkFormat,
};
pub use image_kind::ImageKind;
pub use ipv6::{
    AddressGeneration, DhcpIdentifier, DuidType, InvalidIpv6Token, Ipv6Privacy, Ipv6Token,
};
pub use keyring::{KeyFault, KeyState, Keyring, MasterKey};
pub use lease::{ClientKey, Lease, LeaseState};
pub use limits::{
    Denied, LimitKind, Limits, Outside, OutsideLimits, UnknownLimit, decide, decide_host,
    decide_shared, limits_text,
};
pub use link::{
    ActivationMode, EmitLldp, Family, LinkSettings, MoreSubnet, OnlineFamily, OnlineState,
    Overrides, Qdisc, ReceiveLldp,
};
pub use link_mac::{InvalidLinkMac, LinkMac, MacPolicy};
pub use location::Location;
pub use login::{
    AuthorizedKey, InvalidAuthorizedKey, InvalidRootPassword, RootPassword, hide_password_hashes,
};
pub(crate) use mac::MAC_PATTERN;
pub use mac::{InvalidMac, Mac};
pub use macsec::{MacsecPeer, MacsecSpec};
pub use mass_removal::{MassRemoval, RemovedEntries};
pub(crate) use merge::keep_differing;
pub use merge::{merge, revert};
pub use millis::{InvalidDuration, Millis};
pub(crate) use name::suggested_host_name;
pub use name::{
    InvalidName, check_host_name, check_link_name, check_noun_name, check_user_name, some_names,
};
pub(crate) use natural::natural;
pub use new_hosts::{InvalidNewHosts, NewHosts};
pub use nic::{
    AffinitySpec, ChannelSpec, CoalesceSpec, Eswitch, FunctionSpec, FunctionState, InfinibandMode,
    InvalidProcessors, NicSpec, OffloadSpec, Processors, RingSpec, RoceSpec, RoceTool, RoceTrust,
    SriovSpec, WakeOnLan,
};
pub use nic_address::{InvalidNicAddress, NicAddress};
pub use noun::{Noun, NounKind, NounVisitor, visit_nouns};
pub use parameter::{Parameter, ParameterKind};
pub use port_auth::{
    AuthSpec, EapIdentity, EapMethod, InnerAuth, InvalidEapIdentity, KeyManagement,
};
pub use profile::{
    Defaults, DummySpec, MatchBy, Profile, ProfileLink, TunnelMode, TunnelSpec, VlanProtocol,
    VlanSpec, VrfSpec, VxlanSpec,
};
pub use profile_tree::ProfileTree;
pub use rack_units::RackItem;
pub(crate) use recipe::{PRESEED, PROXMOX, TALOS};
pub use recipe::{Recipe, RecipeFormat};
pub use role::{Role, UnknownRole};
pub use route::{
    AddressRole, AddressScope, Destination, InvalidDestination, InvalidNumberRange, IpProtocol,
    NextHop, NumberRange, RouteKind, RouteSpec, RuleSpec, RuleVerdict, SharedAddress, StaticMac,
    StaticNeighbor,
};
pub use scalar::Scalar;
pub use schema::{Field, Input, Key, Section, sections, site_schema};
pub use secret::{SecretRef, SecretText};
pub use site::{Label, Rack, Site, SiteWide, Tenant};
pub use size::size_text;
pub(crate) use stored_file::build_of_tarball;
pub use stored_file::{
    CpuArch, FileContent, STORE_FOLDER, StoredFile, StoredFileFault, UnknownFileWord,
};
pub use subnet::NoSuchAddress;
pub use subnet::{
    ConflictProbe, DnsOverTls, DnsServer, Dnssec, FirmwareArch, IdentifyBy, InvalidDnsServer,
    Range, RangeUse, Subnet, UnknownClients,
};
pub use subnet_index::SubnetIndex;
pub use tenancy::{RentalTerm, tenant_role};
pub use three_way::{MergeConflict, Merged, merge_changes};
pub use virtual_link::{
    InvalidPartitionKey, IpvlanMode, IpvlanSpec, LoopbackSpec, MacvlanMode, MacvlanSpec, NcclSpec,
    PartitionKey, PartitionSpec, VethSpec,
};
pub use vlan_id::VlanId;
pub use vlan_ids::{InvalidVlanIds, VlanIds};
pub use when::{InvalidWhen, When};
pub use wireguard::{
    HostSelector, InvalidWireguardEndpoint, InvalidWireguardKey, WireguardEndpoint, WireguardKey,
    WireguardPeer, WireguardSpec,
};
