//! Resolvers and search domains, for formats that have them once for the whole host. Pure.

use super::links::{HostNetwork, Link};
use super::losses::Losses;

/// The link whose resolvers and search domains are the host's; none where no link has any. What
/// makes a difference between links is lost.
pub(super) fn of_host<'a>(host: &'a HostNetwork, losses: &mut Losses) -> Option<&'a Link> {
    let has = |link: &&Link| !(link.layer3.dns.is_empty() && link.layer3.domains.is_empty());
    let first = host.links.values().find(has)?;
    let said = |link: &Link| (link.layer3.dns.clone(), link.layer3.domains.clone());
    for link in host.links.values().filter(has) {
        losses.add_if(said(link) != said(first), &link.name, "resolvers of one of several links");
        let routed = link.layer3.domains.iter().any(|domain| domain.starts_with('~'));
        losses.add_if(routed, &link.name, "routing domains");
    }
    Some(first)
}
