//! `rackstrap render --format microcloud-preseed`: one document for all members of a cluster.

use clap::Args;

use crate::network::{Cluster, OvnRange, PreseedError, microcloud_preseed};
use crate::profile::ResolvedSite;

/// The value of `--format`. It is not a [`Format`](crate::network::Format), because it covers
/// several hosts.
pub(crate) const FORMAT: &str = "microcloud-preseed";

/// The flags of this format.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "For --format microcloud-preseed")]
pub(crate) struct Members {
    /// All hosts with this profile, instead of a list of hosts
    #[arg(long, value_name = "NAME", conflicts_with = "hosts")]
    profile: Option<String>,
    /// Member that initiates the cluster [default: the first host]
    #[arg(long, value_name = "HOST")]
    initiator: Option<String>,
    /// Session passphrase [default: empty, to be filled in]
    #[arg(long, value_name = "TEXT")]
    session_passphrase: Option<String>,
    /// Link for OVN, if several have no address
    #[arg(long, value_name = "LINK")]
    uplink: Option<String>,
    /// Link of the tunnels between members, if several are possible
    #[arg(long, value_name = "LINK")]
    underlay: Option<String>,
    /// Addresses for OVN [default: the only reserved range of the members' network]
    #[arg(long, value_name = "FROM-TO")]
    ovn_range: Option<OvnRange>,
}

impl Members {
    /// Renders the document.
    pub(crate) fn render(
        self,
        site: &ResolvedSite,
        hosts: Vec<String>,
    ) -> Result<String, PreseedError> {
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
