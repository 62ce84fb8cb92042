//! Bonds: the kernel's modes and their parameters, in networkd's words. Pure.

use std::net::Ipv4Addr;

use super::link::link_spec;
use super::words::words;
use super::{Mac, Millis};

words! {
    /// The kernel's bonding modes, and one of Open vSwitch's.
    pub BondMode {
        /// Packets in turn.
        BalanceRr = "balance-rr",
        /// One link at a time.
        ActiveBackup = "active-backup",
        /// A hash chooses the link.
        BalanceXor = "balance-xor",
        /// Every packet on every link.
        Broadcast = "broadcast",
        /// LACP (IEEE 802.1AX).
        Lacp = "802.3ad",
        /// Sending is balanced by load.
        BalanceTlb = "balance-tlb",
        /// Sending and receiving are balanced by load.
        BalanceAlb = "balance-alb",
        /// MACs and VLANs are balanced by load, without the switch (of Open vSwitch alone).
        BalanceSlb = "balance-slb",
    }
}

words! {
    /// Who begins with LACP.
    #[derive(Default)]
    pub LacpStart {
        /// The bond, whatever the switch does.
        #[default]
        Active = "active",
        /// The switch: the bond only answers.
        Passive = "passive",
    }
}

words! {
    /// How often a bond asks its partner for LACP packets.
    pub LacpRate {
        /// Every 30 s.
        Slow = "slow",
        /// Every second.
        Fast = "fast",
    }
}

words! {
    /// What of a packet chooses its link.
    pub TransmitHashPolicy {
        /// MAC addresses.
        Layer2 = "layer2",
        /// MAC and IP addresses.
        Layer23 = "layer2+3",
        /// IP addresses and ports.
        Layer34 = "layer3+4",
        /// As layer2+3, inside tunnels.
        Encap23 = "encap2+3",
        /// As layer3+4, inside tunnels.
        Encap34 = "encap3+4",
    }
}

words! {
    /// When a primary member that has come back is used again.
    pub PrimaryReselect {
        /// At once.
        Always = "always",
        /// When it is faster than the one in use.
        Better = "better",
        /// Only when the one in use fails.
        Failure = "failure",
    }
}

words! {
    /// Which MAC the members of an active-backup bond have.
    pub FailOverMac {
        /// All have the bond's.
        None = "none",
        /// Each its own, and the bond that of the active one.
        Active = "active",
        /// The one that becomes active takes the bond's.
        Follow = "follow",
    }
}

words! {
    /// Which LACP aggregator is used.
    pub AdSelect {
        /// The one with the most bandwidth, until it has none left.
        Stable = "stable",
        /// The one with the most bandwidth, chosen anew at every change.
        Bandwidth = "bandwidth",
        /// The one with the most ports, chosen anew at every change.
        Count = "count",
    }
}

words! {
    /// Which ARP packets count as a member's sign of life.
    pub ArpValidate {
        /// All.
        None = "none",
        /// The answers to the active member.
        Active = "active",
        /// The questions that the others hear.
        Backup = "backup",
        /// Both.
        All = "all",
    }
}

words! {
    /// How many ARP targets must answer.
    pub ArpTargets {
        /// One of them.
        Any = "any",
        /// Every one.
        All = "all",
    }
}

link_spec! {
    /// A bond of NICs.
    BondSpec {
        /// The labels of the member NICs.
        nics: Vec<String>,
        /// The bonding mode.
        mode: BondMode,
        /// How often LACP packets are asked for (802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacp_rate: Option<LacpRate>,
        /// How a flow chooses its link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transmit_hash_policy: Option<TransmitHashPolicy>,
        /// How often the links' carrier is read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mii_monitor: Option<Millis>,
        /// How long a link must be up before it is used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up_delay: Option<Millis>,
        /// How long a link must be down before it is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down_delay: Option<Millis>,
        /// How many links must be up for the bond to be up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_links: Option<u32>,
        /// The member preferred while it is up (active-backup, balance-tlb, balance-alb).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        primary: Option<String>,
        /// When a `primary` that has come back is used again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        primary_reselect_policy: Option<PrimaryReselect>,
        /// Which MAC the members have (active-backup only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fail_over_mac_policy: Option<FailOverMac>,
        /// Which aggregator is used (802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ad_select: Option<AdSelect>,
        /// LACP's system priority, 1 to 65535 (802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ad_actor_system_priority: Option<u16>,
        /// LACP's system MAC, where it is not the bond's (802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ad_actor_system: Option<Mac>,
        /// The administrative part of LACP's port key, 0 to 1023 (802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ad_user_port_key: Option<u16>,
        /// How often the targets are asked by ARP, in place of `mii-monitor`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arp_interval: Option<Millis>,
        /// Whom ARP asks, 1 to 16 addresses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arp_ip_targets: Vec<Ipv4Addr>,
        /// How many unsolicited ARP answers follow a change of the active member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gratuitous_arp: Option<u8>,
        /// Which ARP packets count as a sign of life (with `arp-interval`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arp_validate: Option<ArpValidate>,
        /// How many of the targets must answer (with `arp-interval`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arp_all_targets: Option<ArpTargets>,
        /// How many unanswered questions make a member dead, 2 where none is given (with
        /// `arp-interval`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arp_missed_max: Option<u8>,
        /// Whether packets are taken from members that are not in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        all_members_active: Option<bool>,
        /// How many packets go by one member before the next has its turn; 0 for chance
        /// (balance-rr only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packets_per_member: Option<u16>,
        /// How often the members tell the switch their MACs (balance-tlb, balance-alb).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learn_packet_interval: Option<Millis>,
        /// How many IGMP reports follow a change of the active member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resend_igmp: Option<u8>,
        /// Whether flows are moved by load (balance-tlb only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dynamic_load_balancing: Option<bool>,
        /// The time between the announcements of a new active member (active-backup only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer_notify_delay: Option<Millis>,
        /// Take the bond down when all members are (`BindCarrier=`, by name).
        #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
        bind_carrier: bool,
        /// Whether it is a bond of Open vSwitch's own: a port of a bridge with `openvswitch`, and no
        /// link of the kernel. Its mode is 802.3ad, active-backup or balance-slb.
        #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
        openvswitch: bool,
        /// Who begins with LACP: the bond, where nothing is said (Open vSwitch's, 802.3ad only).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacp: Option<LacpStart>,
    }
}
