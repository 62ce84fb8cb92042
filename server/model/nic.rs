//! Physical NICs: what the hardware is, how it is set, and its virtual functions (SR-IOV). Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Mac;
use super::link::{is_default, link_spec};
use super::words::words;

link_spec! {
    /// What a profile says about one NIC.
    #[derive(Default)]
    NicSpec {
        /// Left alone, because another program (Open vSwitch, a container) owns it.
        #[serde(default, skip_serializing_if = "is_default")]
        unmanaged: bool,
        /// The kernel's name for it, or a pattern with `*` and `?`, where that is not its label:
        /// for profiles with `match: name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        match_name: Option<String>,
        /// The kernel's name that the NIC is given at boot. Not `eth0`: the kernel gives such
        /// names itself, and two NICs may then fight over one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_name: Option<String>,
        /// Where it is plugged in, as udev's `ID_PATH` such as `pci-0000:41:00.0`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The rail that it is cabled to: NIC n of every host ends at one leaf.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rail: Option<u16>,
        /// The NUMA node that it is next to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        numa: Option<u16>,
        /// The accelerator that it is next to, by its number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu: Option<u16>,
        /// Its speed in Mbit/s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<u32>,
        /// The largest MTU that its hardware takes, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_mtu: Option<u32>,
        /// Whether it can be in a bond: most clouds' NICs cannot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bondable: Option<bool>,
        /// The most virtual functions that its hardware has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sriov_max: Option<u16>,
        /// Its virtual functions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sriov: Option<SriovSpec>,
        /// What wakes the host up through it; an empty list for nothing at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake_on_lan: Option<Vec<WakeOnLan>>,
        /// What the NIC does in place of the kernel.
        #[serde(default, skip_serializing_if = "is_default")]
        offload: OffloadSpec,
        /// How many packets its rings hold.
        #[serde(default, skip_serializing_if = "is_default")]
        ring: RingSpec,
        /// How many queues it has.
        #[serde(default, skip_serializing_if = "is_default")]
        channels: ChannelSpec,
    }
}

words! {
    /// What wakes a host up.
    pub WakeOnLan {
        /// The link comes up.
        Phy = "phy",
        /// A packet to the NIC's MAC.
        Unicast = "unicast",
        /// A multicast packet.
        Multicast = "multicast",
        /// A broadcast packet.
        Broadcast = "broadcast",
        /// An ARP packet.
        Arp = "arp",
        /// A packet that repeats the NIC's MAC sixteen times.
        Magic = "magic",
        /// The same with a password.
        Secureon = "secureon",
    }
}

/// What a NIC does in place of the kernel; what is left out stays as its driver has it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OffloadSpec {
    /// Checks the checksums of incoming packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_checksum: Option<bool>,
    /// Writes the checksums of what goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_checksum: Option<bool>,
    /// Cuts what goes out into TCP segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tso: Option<bool>,
    /// The same for TCP over IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tso6: Option<bool>,
    /// The kernel cuts what goes out, as late as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gso: Option<bool>,
    /// The kernel joins incoming packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gro: Option<bool>,
    /// The NIC joins incoming packets. Not for a host that forwards: packets get too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lro: Option<bool>,
}

/// How many packets a NIC's rings hold.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RingSpec {
    /// Packets that come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx: Option<u32>,
    /// Packets that go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<u32>,
}

/// How many queues a NIC has.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChannelSpec {
    /// For incoming packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx: Option<u32>,
    /// For what goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<u32>,
    /// For both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined: Option<u32>,
    /// For the link's own interrupts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<u32>,
}

words! {
    /// What stands between a NIC's functions.
    pub Eswitch {
        /// The NIC's own switch, which knows MACs and VLANs.
        Legacy = "legacy",
        /// A switch that the kernel programs, with a link for every virtual function.
        Switchdev = "switchdev",
    }
}

/// The virtual functions of a NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SriovSpec {
    /// How many there are.
    pub count: u16,
    /// What stands between them, where it is not the NIC's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eswitch: Option<Eswitch>,
    /// What is particular to single ones, by number from 0.
    #[serde(default, with = "super::numbered", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, FunctionSpec>")]
    pub functions: BTreeMap<u16, FunctionSpec>,
}

/// What is particular to one virtual function.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FunctionSpec {
    /// The VLAN that the NIC tags its packets with; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The priority in that tag, 0 to 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// Its MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddress: Option<Mac>,
    /// Whether packets with another MAC than its own are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
    /// Whether its user may change its MAC and hear everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<bool>,
    /// Whether it is up: always, never, or as the NIC is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_state: Option<FunctionState>,
}

words! {
    /// When a virtual function is up.
    pub FunctionState {
        /// When the NIC is.
        Auto = "auto",
        /// Always.
        Up = "up",
        /// Never.
        Down = "down",
    }
}

impl NicSpec {
    /// Whether something is said that only udev can set, before the network comes up.
    pub fn needs_link_file(&self) -> bool {
        self.set_name.is_some()
            || self.wake_on_lan.is_some()
            || self.sriov.is_some()
            || !(is_default(&self.offload) && is_default(&self.ring) && is_default(&self.channels))
    }
}
