//! Links that stand beside others on one host: veth pairs, MACVLANs, IPVLANs, the loopback. Pure.

use super::Mac;
use super::link::{is_default, link_spec};
use super::words::words;

words! {
    /// Who of a link's MACVLANs may talk to whom.
    #[derive(Default)]
    pub MacvlanMode {
        /// They reach each other directly.
        #[default]
        Bridge = "bridge",
        /// They do not reach each other.
        Private = "private",
        /// They reach each other through the switch, which must send packets back (IEEE 802.1Qbg).
        Vepa = "vepa",
        /// One alone has the whole link below.
        Passthru = "passthru",
        /// Packets are chosen by the MAC that sent them.
        Source = "source",
    }
}

words! {
    /// What an IPVLAN looks at.
    #[derive(Default)]
    pub IpvlanMode {
        /// It takes part in ARP by itself.
        #[default]
        L2 = "l2",
        /// It routes, and hears neither multicast nor broadcast.
        L3 = "l3",
        /// As `l3`, and packet filters of the host see its packets.
        L3s = "l3s",
    }
}

link_spec! {
    /// One end of a virtual cable. Where the profile lists the other end as well, the host
    /// has both; else that is left alone, for a namespace or a container to take.
    VethSpec {
        /// The name of the other end.
        peer: String,
        /// The MAC of the other end, where the profile does not list it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer_macaddress: Option<Mac>,
    }
}

link_spec! {
    /// A link with a MAC of its own on top of another.
    MacvlanSpec {
        /// The link below.
        link: String,
        /// Who may talk to whom.
        #[serde(default, skip_serializing_if = "is_default")]
        mode: MacvlanMode,
        /// Whose packets it takes (mode `source` only).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        source_macaddresses: Vec<Mac>,
    }
}

link_spec! {
    /// A link with addresses of its own and the MAC of the one below.
    IpvlanSpec {
        /// The link below.
        link: String,
        /// What it looks at.
        #[serde(default, skip_serializing_if = "is_default")]
        mode: IpvlanMode,
    }
}

link_spec! {
    /// The host's loopback link `lo`, for addresses that are reached by any of its links.
    #[derive(Default)]
    LoopbackSpec {}
}
