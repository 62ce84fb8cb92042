//! Physical NICs: what the hardware is, how it is set, and its virtual functions (SR-IOV). Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Mac;
use super::as_text::as_text;
use super::cpu_list::CpuList;
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
        /// The driver that it has, such as `mlx5_core`, for profiles with `match: name`: with a
        /// pattern in `match-name` beside it, or alone for every NIC of the driver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        match_driver: Option<String>,
        /// The driver that it is bound to in place of its own, such as `vfio-pci` for DPDK. It is then
        /// a program's, and no link of the kernel. It needs a `path`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        driver_override: Option<String>,
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
        /// How long it waits before it interrupts, so that one interrupt stands for several packets.
        #[serde(default, skip_serializing_if = "is_default")]
        coalesce: CoalesceSpec,
        /// How IPoIB sends packets, of a port of InfiniBand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        infiniband_mode: Option<InfinibandMode>,
        /// The name of its RDMA device, such as `mlx5_0`, for the file of NCCL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rdma_device: Option<super::Caption>,
        /// RDMA over Ethernet (RoCE): how its packets are told apart, and not lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roce: Option<RoceSpec>,
        /// Which processors its interrupts and queues go to.
        #[serde(default, skip_serializing_if = "is_default")]
        affinity: AffinitySpec,
        /// How the host is let in where its switch asks who is there (IEEE 802.1X).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auth: Option<super::AuthSpec>,
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

/// How long a NIC waits before it interrupts (`ethtool -C`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CoalesceSpec {
    /// Microseconds after a packet that comes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_usecs: Option<u32>,
    /// Packets that come in, if they are more than a wait brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_frames: Option<u32>,
    /// Microseconds after a packet that goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_usecs: Option<u32>,
    /// Packets that go out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_frames: Option<u32>,
    /// Whether the driver chooses the wait for incoming packets by the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_rx: Option<bool>,
    /// Whether the driver chooses the wait for what goes out by the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_tx: Option<bool>,
}

words! {
    /// How IPoIB sends packets (RFC 4391, RFC 4755).
    pub InfinibandMode {
        /// As datagrams of up to 4092 bytes.
        Datagram = "datagram",
        /// By connections, of up to 65520 bytes.
        Connected = "connected",
    }
}

words! {
    /// What a NIC tells the priority of a packet by.
    #[derive(Default)]
    pub RoceTrust {
        /// The DSCP of its IP header.
        #[default]
        Dscp = "dscp",
        /// The priority of its VLAN tag.
        Pcp = "pcp",
    }
}

words! {
    /// What sets the lossless priorities of a NIC.
    #[derive(Default)]
    pub RoceTool {
        /// The kernel's interface, by `dcb` of iproute2.
        #[default]
        Dcb = "dcb",
        /// NVIDIA's own tool.
        MlnxQos = "mlnx_qos",
    }
}

/// How packets of RDMA are told apart, and not lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoceSpec {
    /// What sets it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tool: RoceTool,
    /// What tells the priority of a packet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: RoceTrust,
    /// The priorities (0 to 7) that are not lost: the switch is asked to pause (PFC, IEEE 802.1Qbb). The
    /// first is that of RDMA.
    pub priorities: Vec<u8>,
    /// The DSCP (0 to 63) of packets of RDMA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dscp: Option<u8>,
    /// Whether the NIC slows down when a switch marks congestion (ECN, DCQCN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecn: Option<bool>,
}

/// Which processors something goes to: `local` for those beside the NIC, or a list such as `0-55,112-167`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processors {
    /// Those of the NIC's own NUMA node, as the kernel has it.
    Local,
    /// These.
    List(CpuList),
}

/// A text that names no processors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" names no processors: expected \"local\", or numbers and ranges such as 0-55,112-167"
)]
pub struct InvalidProcessors(String);

impl FromStr for Processors {
    type Err = InvalidProcessors;

    fn from_str(text: &str) -> Result<Self, InvalidProcessors> {
        if text == "local" {
            return Ok(Self::Local);
        }
        let list = text.parse().ok().filter(|list: &CpuList| !list.is_empty());
        list.map(Self::List).ok_or_else(|| InvalidProcessors(text.to_owned()))
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::List(list) => write!(f, "{list}"),
        }
    }
}

as_text!(Processors);

/// Which processors a NIC's interrupts and queues go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AffinitySpec {
    /// Those that are interrupted, each by some of the NIC's interrupts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irqs: Option<Processors>,
    /// Those that packets which come in are dealt out to (RPS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<Processors>,
    /// Those that share out the queues for what goes out (XPS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xps: Option<Processors>,
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
            || !is_default(&self.coalesce)
            || !(is_default(&self.offload) && is_default(&self.ring) && is_default(&self.channels))
    }
}
