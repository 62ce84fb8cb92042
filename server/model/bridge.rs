//! Bridges and what is particular to their ports, in networkd's words. Pure.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::link::{is_default, link_spec};
use super::{Millis, VlanIds};

link_spec! {
    /// A bridge over links.
    BridgeSpec {
        /// The ports.
        interfaces: Vec<String>,
        /// Whether spanning tree runs, which delays the network by twice `forward-delay`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stp: Option<bool>,
        /// How long a port listens, and then learns, before it forwards: 2 s to 30 s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forward_delay: Option<Millis>,
        /// The time between spanning-tree hellos: 1 s to 10 s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hello_time: Option<Millis>,
        /// How long a spanning-tree message is believed: 6 s to 40 s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age: Option<Millis>,
        /// How long an unused MAC is remembered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ageing_time: Option<Millis>,
        /// The lowest bridge priority becomes the root of the tree.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<u16>,
        /// Whether the bridge keeps VLANs apart by `ports`.
        #[serde(default, skip_serializing_if = "is_default")]
        vlan_filtering: bool,
        /// The VLAN of untagged packets on ports that do not say; 0 for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_pvid: Option<u16>,
        /// Whether multicast goes only where IGMP and MLD say it is wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        multicast_snooping: Option<bool>,
        /// Whether the bridge asks who wants multicast, where no router does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        multicast_querier: Option<bool>,
        /// The version of IGMP that it speaks as a querier, 2 or 3; the kernel's 2 where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        multicast_igmp_version: Option<u8>,
        /// Whether it is a bridge of Open vSwitch, which makes it and owns its ports. Its address is
        /// networkd's.
        #[serde(default, skip_serializing_if = "is_default")]
        openvswitch: bool,
        /// What is particular to single ports, by link name; the bridge's own name for itself.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        ports: IndexMap<String, PortSpec>,
    }
}

/// What is particular to one port of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortSpec {
    /// The VLAN of untagged packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvid: Option<u16>,
    /// VLANs that pass tagged: ids and ranges, such as `[10, 2000-2999]` or `2-4094`.
    #[serde(default, skip_serializing_if = "VlanIds::is_empty")]
    pub tagged: VlanIds,
    /// VLANs whose tag is taken off on the way out.
    #[serde(default, skip_serializing_if = "VlanIds::is_empty")]
    pub untagged: VlanIds,
    /// Whether the port reaches only ports that are not isolated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub isolated: bool,
    /// Whether a packet may leave by the port that it came in by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hairpin: bool,
    /// Whether MACs are learnt from the packets of the port; they are unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<bool>,
    /// Whether the bridge answers ARP for neighbours that it was told of, such as by EVPN.
    #[serde(default, skip_serializing_if = "is_default")]
    pub neighbor_suppression: bool,
    /// The spanning-tree cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
}
