//! The parameters of bonds, each in the words of every format, in one table. Pure.
//!
//! A field of [`BondSpec`] without a row does not compile, and neither does a row without a word,
//! or a refusal, for each format. The formats' names are from systemd.netdev(5), netplan's
//! reference, cloud-init's schemas, ifupdown2's `bond` addon, NetworkManager's
//! nm-settings-keyfile(5), OpenStack's network_data.json, nmstate's `BondOptions`, Talos's `BondConfig` and, for dracut,
//! the kernel's Documentation/networking/bonding.rst.

use std::fmt;
use std::net::Ipv4Addr;

use serde_json::json;

use crate::model::{
    AdSelect, ArpTargets, ArpValidate, BondMode, BondSpec, FailOverMac, LacpRate, Mac, Millis,
    PrimaryReselect, TransmitHashPolicy,
};

/// A parameter that a bond is given.
pub(super) struct Parameter<'a> {
    /// Its key in a site file.
    pub(super) key: String,
    /// What it is set to.
    pub(super) value: Value<'a>,
    /// The first version of systemd that knows it, where that is not the oldest supported.
    pub(super) since: Option<u16>,
    /// The modes in which the kernel takes it; none for all.
    pub(super) modes: &'static [BondMode],
    /// Its name in each format.
    pub(super) names: FormatNames,
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// One of the kernel's words.
    Word(&'static str),
    Number(u64),
    Time(Millis),
    Switch(bool),
    /// The name of a member of the bond.
    Member(&'a str),
    Mac(Mac),
    Addresses(&'a [Ipv4Addr]),
}

/// What a parameter is called in each format.
#[derive(Clone, Copy)]
pub(super) struct FormatNames {
    pub(super) networkd: Name,
    pub(super) netplan: Name,
    pub(super) cloud_init: Name,
    pub(super) ifupdown2: Name,
    pub(super) network_manager: Name,
    pub(super) network_data: Name,
    pub(super) dracut: Name,
    pub(super) nmstate: Name,
    pub(super) talos: Name,
}

/// What a format calls a parameter.
#[derive(Clone, Copy)]
pub(super) enum Name {
    /// By this name.
    Key(&'static str),
    /// By this name, and a number is written as a text.
    Text(&'static str),
    /// In another place than the other parameters.
    Elsewhere,
    /// It has no name for it.
    Lost,
    /// It has no name for it, and is reported as this.
    LostAs(&'static str),
    /// It has no name for it, and up to this number the kernel does the same without.
    LostAbove(u64),
}

use Name::{Elsewhere, Lost, LostAbove, LostAs, Text};

const LACP: &[BondMode] = &[BondMode::Lacp];
const BACKUP: &[BondMode] = &[BondMode::ActiveBackup];
const IN_TURN: &[BondMode] = &[BondMode::BalanceRr];
const TLB: &[BondMode] = &[BondMode::BalanceTlb];
const BY_HASH: &[BondMode] = &[BondMode::BalanceXor, BondMode::Lacp, BondMode::BalanceTlb];
const BY_LOAD: &[BondMode] = &[BondMode::BalanceTlb, BondMode::BalanceAlb];
const WITH_PRIMARY: &[BondMode] =
    &[BondMode::ActiveBackup, BondMode::BalanceTlb, BondMode::BalanceAlb];
const ANY: &[BondMode] = &[];

/// Defines [`parameters`] from the table.
macro_rules! parameters {
    ($($field:ident, $modes:expr, $since:expr, [
        $networkd:expr, $netplan:expr, $cloud_init:expr, $ifupdown2:expr, $network_manager:expr,
        $network_data:expr, $dracut:expr, $nmstate:expr,
        $talos:expr
    ];)*) => {
        /// The parameters that `spec` gives, in the order of the table.
        pub(super) fn parameters(spec: &BondSpec) -> Vec<Parameter<'_>> {
            // Exhaustive: a field without a row is an error here, which rustc words as "pattern
            // requires `..`". Add the row.
            // Open vSwitch's own have their words in its unit, and formats refuse the bond.
            let BondSpec { nics: _, settings: _, openvswitch: _, lacp: _, $($field,)* } = spec;
            let given = [$($field.given().map(|value| (value, $since, $modes)),)*];
            let given = rows().into_iter().zip(given).filter_map(|((field, names), given)| {
                let (value, since, modes) = given?;
                Some(Parameter { key: field.replace('_', "-"), value, since, modes, names })
            });
            given.collect()
        }

        /// The field of every parameter, with its names.
        fn rows() -> Vec<(&'static str, FormatNames)> {
            vec![$((stringify!($field), FormatNames {
                networkd: $networkd.into(),
                netplan: $netplan.into(),
                cloud_init: $cloud_init.into(),
                ifupdown2: $ifupdown2.into(),
                network_manager: $network_manager.into(),
                network_data: $network_data.into(),
                dracut: $dracut.into(),
                nmstate: $nmstate.into(),
                talos: $talos.into(),
            }),)*]
        }
    };
}

// Field, modes that it is for, since which systemd;
// networkd, netplan and cloud-init v2, cloud-init v1, ifupdown2, NetworkManager, network_data, dracut, nmstate, Talos
parameters! {
    mode, ANY, None,
        ["Mode", "mode", "bond-mode", "bond-mode", "mode", "bond_mode", "mode", "mode", "bondMode"];
    // netplan's is a text for cloud-init's schema, which reads it as version 2.
    mii_monitor, ANY, None,
        ["MIIMonitorSec", Text("mii-monitor-interval"), "bond-miimon", "bond-miimon", "miimon", "bond_miimon", "miimon", "miimon", "miimon"];
    // The schema of version 1 wants a text here, and a number below; the readers take either.
    up_delay, ANY, None,
        ["UpDelaySec", "up-delay", Text("bond-updelay"), "bond-updelay", "updelay", LostAs("up-delay and down-delay"), "updelay", "updelay", "updelay"];
    down_delay, ANY, None,
        ["DownDelaySec", "down-delay", "bond-downdelay", "bond-downdelay", "downdelay", LostAs("up-delay and down-delay"), "downdelay", "downdelay", "downdelay"];
    lacp_rate, LACP, None,
        ["LACPTransmitRate", "lacp-rate", "bond-lacp-rate", "bond-lacp-rate", "lacp_rate", Lost, "lacp_rate", "lacp_rate", "lacpRate"];
    transmit_hash_policy, BY_HASH, None,
        ["TransmitHashPolicy", "transmit-hash-policy", "bond-xmit-hash-policy", "bond-xmit-hash-policy", "xmit_hash_policy", "bond_xmit_hash_policy", "xmit_hash_policy", "xmit_hash_policy", "xmitHashPolicy"];
    // To the kernel 1 is as 0, its default.
    min_links, ANY, None,
        ["MinLinks", "min-links", "bond-min-links", "bond-min-links", "min_links", LostAbove(1), "min_links", "min_links", "minLinks"];
    ad_select, LACP, None,
        ["AdSelect", "ad-select", "bond-ad-select", Lost, "ad_select", Lost, "ad_select", "ad_select", "adSelect"];
    ad_actor_system_priority, LACP, None,
        ["AdActorSystemPriority", Lost, Lost, "bond-ad-actor-sys-prio", "ad_actor_sys_prio", Lost, "ad_actor_sys_prio", "ad_actor_sys_prio", "adActorSysPrio"];
    // Its colons would end dracut's word.
    ad_actor_system, LACP, None,
        ["AdActorSystem", Lost, Lost, "bond-ad-actor-system", "ad_actor_system", Lost, Lost, "ad_actor_system", Lost];
    ad_user_port_key, LACP, None,
        ["AdUserPortKey", Lost, Lost, Lost, "ad_user_port_key", Lost, "ad_user_port_key", "ad_user_port_key", "adUserPortKey"];
    arp_interval, ANY, None,
        ["ARPIntervalSec", "arp-interval", "bond-arp-interval", Lost, "arp_interval", Lost, Lost, "arp_interval", "arpInterval"];
    arp_ip_targets, ANY, None,
        ["ARPIPTargets", "arp-ip-targets", "bond-arp-ip-target", LostAs("arp-interval"), "arp_ip_target", LostAs("arp-interval"), LostAs("arp-interval"), "arp_ip_target", "arpIpTargets"];
    // networkd has it in the file of the member, as PrimarySlave=.
    primary, WITH_PRIMARY, None,
        [Elsewhere, "primary", "bond-primary", "bond-primary", "primary", Lost, "primary", "primary", Lost];
    primary_reselect_policy, WITH_PRIMARY, None,
        ["PrimaryReselectPolicy", "primary-reselect-policy", "bond-primary-reselect", "bond-primary-reselect", "primary_reselect", Lost, "primary_reselect", "primary_reselect", "primaryReselect"];
    fail_over_mac_policy, BACKUP, None,
        ["FailOverMACPolicy", "fail-over-mac-policy", "bond-fail-over-mac", Lost, "fail_over_mac", Lost, "fail_over_mac", "fail_over_mac", "failOverMac"];
    gratuitous_arp, BACKUP, None,
        ["GratuitousARP", "gratuitous-arp", "bond-num-grat-arp", "bond-num-grat-arp", "num_grat_arp", Lost, "num_grat_arp", "num_grat_arp", "numPeerNotif"];
    arp_validate, ANY, None,
        ["ARPValidate", Lost, Lost, Lost, Lost, Lost, Lost, "arp_validate", "arpValidate"];
    arp_all_targets, ANY, None,
        ["ARPAllTargets", Lost, Lost, Lost, Lost, Lost, Lost, "arp_all_targets", "arpAllTargets"];
    arp_missed_max, ANY, Some(256),
        ["ARPMissedMax", Lost, Lost, Lost, Lost, Lost, Lost, "arp_missed_max", "missedMax"];
    all_members_active, ANY, None,
        ["AllSlavesActive", Lost, Lost, Lost, Lost, Lost, Lost, "all_slaves_active", "allSlavesActive"];
    packets_per_member, IN_TURN, None,
        ["PacketsPerSlave", Lost, Lost, Lost, Lost, Lost, Lost, "packets_per_slave", "packetsPerSlave"];
    learn_packet_interval, BY_LOAD, None,
        ["LearnPacketIntervalSec", Lost, Lost, Lost, Lost, Lost, Lost, "lp_interval", "lpInterval"];
    resend_igmp, ANY, None,
        ["ResendIGMP", Lost, Lost, Lost, Lost, Lost, Lost, "resend_igmp", "resendIGMP"];
    dynamic_load_balancing, TLB, None,
        ["DynamicTransmitLoadBalancing", Lost, Lost, Lost, Lost, Lost, Lost, "tlb_dynamic_lb", "tlbLogicalLb"];
    peer_notify_delay, BACKUP, Some(256),
        ["PeerNotifyDelaySec", Lost, Lost, Lost, Lost, Lost, Lost, Lost, "peerNotifDelay"];
    // networkd has it in the bond's .network, as BindCarrier=.
    bind_carrier, ANY, None,
        [Elsewhere, Lost, Lost, Lost, Lost, Lost, Lost, Lost, Lost];
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self::Key(name)
    }
}

/// Formats whose names of parameters are read as well as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BondWords {
    Netplan,
    Networkd,
    Ifupdown2,
    NetworkManager,
    Nmstate,
}

/// The key of a site file for the parameter that a format calls `name`.
pub(crate) fn bond_parameter(words: BondWords, name: &str) -> Option<String> {
    let is_meant = |(_, names): &(&'static str, FormatNames)| {
        let own = match words {
            BondWords::Netplan => names.netplan,
            BondWords::Networkd => names.networkd,
            BondWords::Ifupdown2 => names.ifupdown2,
            BondWords::NetworkManager => names.network_manager,
            BondWords::Nmstate => names.nmstate,
        };
        matches!(own, Name::Key(own) | Text(own) if own == name)
    };
    rows().into_iter().find(is_meant).map(|(field, _)| field.replace('_', "-"))
}

/// The parameters of a bond for one format.
pub(super) struct Spelled<'a> {
    /// Those that it has a name for.
    pub(super) written: Vec<SpelledParameter<'a>>,
    /// What it has no name for.
    pub(super) lost: Vec<String>,
}

/// A parameter in the words of one format.
pub(super) struct SpelledParameter<'a> {
    pub(super) name: &'static str,
    pub(super) value: Value<'a>,
    /// Whether a number is written as a text.
    pub(super) is_text: bool,
}

/// The parameters of `spec` by the names that `name` chooses of each. The keys in `first` come
/// first: the order that the format's files have always had, so that a host's files differ only
/// where something was changed.
pub(super) fn spell<'a>(
    spec: &'a BondSpec,
    name: fn(&FormatNames) -> Name,
    first: &[&str],
) -> Spelled<'a> {
    let mut parameters = parameters(spec);
    parameters.sort_by_key(|parameter| {
        first.iter().position(|key| *key == parameter.key).unwrap_or(first.len())
    });
    let mut spelled = Spelled { written: Vec::new(), lost: Vec::new() };
    for Parameter { key, value, names, .. } in parameters {
        let mut write =
            |name, is_text| spelled.written.push(SpelledParameter { name, value, is_text });
        match name(&names) {
            Name::Key(name) => write(name, false),
            Text(name) => write(name, true),
            Elsewhere => {}
            Lost => spelled.lost.push(key),
            LostAs(feature) => spelled.lost.push(feature.to_owned()),
            LostAbove(most) => {
                let does_nothing = matches!(value, Value::Number(number) if number <= most);
                spelled.lost.extend((!does_nothing).then_some(key));
            }
        }
    }
    spelled
}

impl Value<'_> {
    /// The value in JSON: times in milliseconds, addresses as a list.
    pub(super) fn json(self) -> serde_json::Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Time(time) => json!(time.0),
            Self::Switch(switch) => json!(switch),
            Self::Addresses(addresses) => json!(addresses),
            Self::Word(_) | Self::Member(_) | Self::Mac(_) => json!(self.to_string()),
        }
    }
}

/// As a text: times in milliseconds, addresses with commas, switches as `yes` and `no`.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => time.0.fmt(f),
            Self::Switch(switch) => f.write_str(if *switch { "yes" } else { "no" }),
            Self::Member(name) => f.write_str(name),
            Self::Mac(mac) => mac.fmt(f),
            Self::Addresses(addresses) => f.write_str(&joined(addresses, ",")),
        }
    }
}

pub(super) fn joined(addresses: &[Ipv4Addr], separator: &str) -> String {
    addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(separator)
}

/// A field of a bond, where it is given.
trait ParameterValue {
    fn given(&self) -> Option<Value<'_>>;
}

impl<T: AsValue> ParameterValue for Option<T> {
    fn given(&self) -> Option<Value<'_>> {
        self.as_ref().map(T::as_value)
    }
}

impl ParameterValue for BondMode {
    fn given(&self) -> Option<Value<'_>> {
        Some(Value::Word(self.label()))
    }
}

impl ParameterValue for bool {
    fn given(&self) -> Option<Value<'_>> {
        self.then_some(Value::Switch(true))
    }
}

impl ParameterValue for Vec<Ipv4Addr> {
    fn given(&self) -> Option<Value<'_>> {
        (!self.is_empty()).then_some(Value::Addresses(self))
    }
}

trait AsValue {
    fn as_value(&self) -> Value<'_>;
}

macro_rules! as_value {
    ($($type:ty: $value:ident => $as_value:expr;)*) => {
        $(impl AsValue for $type {
            fn as_value(&self) -> Value<'_> {
                let $value = self;
                $as_value
            }
        })*
    };
}

as_value! {
    LacpRate: word => Value::Word(word.label());
    TransmitHashPolicy: word => Value::Word(word.label());
    PrimaryReselect: word => Value::Word(word.label());
    FailOverMac: word => Value::Word(word.label());
    AdSelect: word => Value::Word(word.label());
    ArpValidate: word => Value::Word(word.label());
    ArpTargets: word => Value::Word(word.label());
    u8: number => Value::Number((*number).into());
    u16: number => Value::Number((*number).into());
    u32: number => Value::Number((*number).into());
    bool: switch => Value::Switch(*switch);
    Millis: time => Value::Time(*time);
    Mac: mac => Value::Mac(*mac);
    String: name => Value::Member(name);
}
