//! `rackstrap render --format microcloud-preseed`: one document for the members of a cluster.

use clap::Args;

use crate::model::Site;
use crate::network::{Cluster, OvnRange, PreseedError, microcloud_preseed};

/// The word for it among the formats; it is none of a host's own.
pub const FORMAT: &str = "microcloud-preseed";

/// What only this format is told.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "For --format microcloud-preseed")]
pub struct Members {
    /// The hosts that have this profile, instead of a list of hosts
    #[arg(long, value_name = "NAME", conflicts_with = "hosts")]
    profile: Option<String>,
    /// The member that begins; the first host where none is given
    #[arg(long, value_name = "HOST")]
    initiator: Option<String>,
    /// The passphrase of the session; left empty, to be written in, where none is given
    #[arg(long, value_name = "TEXT")]
    session_passphrase: Option<String>,
    /// The link that OVN gets, where several are up without an address
    #[arg(long, value_name = "LINK")]
    uplink: Option<String>,
    /// The link of the tunnels between members, where several might be meant
    #[arg(long, value_name = "LINK")]
    underlay: Option<String>,
    /// The addresses that OVN gives out; the only reserved range of the members' network
    /// where none is given
    #[arg(long, value_name = "FROM-TO")]
    ovn_range: Option<OvnRange>,
}

impl Members {
    /// The text of the document.
    pub fn render(self, site: &Site, hosts: Vec<String>) -> Result<String, PreseedError> {
        let members = match &self.profile {
            Some(profile) => Cluster::of_profile(site, profile),
            None => Cluster { hosts, ..Cluster::default() },
        };
        let cluster = Cluster {
            initiator: self.initiator,
            passphrase: self.session_passphrase.unwrap_or_default(),
            uplink: self.uplink,
            underlay: self.underlay,
            range: self.ovn_range,
            ..members
        };
        microcloud_preseed(site, &cluster)
    }
}
