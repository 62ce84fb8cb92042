//! Bonds: the kernel's modes and their parameters, in networkd's words. Pure.

use super::Millis;
use super::link::link_spec;
use super::words::words;

words! {
    /// The kernel's bonding modes.
    BondMode {
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
    }
}

words! {
    /// How often a bond asks its partner for LACP packets.
    LacpRate {
        /// Every 30 s.
        Slow = "slow",
        /// Every second.
        Fast = "fast",
    }
}

words! {
    /// What of a packet chooses its link.
    TransmitHashPolicy {
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
        /// Take the bond down when all members are (`BindCarrier=`, by name).
        #[serde(default, skip_serializing_if = "crate::model::link::is_default")]
        bind_carrier: bool,
    }
}

impl BondMode {
    /// Whether a hash of the packet chooses the link that it leaves by.
    pub fn chooses_by_hash(self) -> bool {
        matches!(self, Self::BalanceXor | Self::Lacp | Self::BalanceTlb)
    }

    /// Whether the mode knows a preferred member.
    pub fn has_primary(self) -> bool {
        matches!(self, Self::ActiveBackup | Self::BalanceTlb | Self::BalanceAlb)
    }
}
