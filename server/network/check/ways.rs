//! Rule N158: routes whose load several routers share, on one link or on several. Pure.

use super::routes::reaches;
use super::{Findings, ProfileView};
use crate::model::{NextHop, RouteSpec};
use crate::network::links::{Kind, Link};
use crate::tree::nearest;

pub(super) fn check(
    view: &ProfileView<'_>,
    link: &Link,
    route: &RouteSpec,
    findings: &mut Findings,
) {
    let at = || view.at(&link.name, "routes");
    if route.via.is_some() && !route.next_hops.is_empty() {
        let text = format!("the route to {} has via and next-hops; set one", route.to);
        findings.error("N158", at(), text);
    }
    let weights = route.next_hops.iter().filter_map(|hop| Some((hop, hop.weight?)));
    for (hop, weight) in weights.filter(|(_, weight)| !(1..=256).contains(weight)) {
        let text = format!("weight {weight} of {} is outside 1-256", hop.via);
        findings.error("N158", at(), text);
    }
    let mut wrong = route.next_hops.iter().filter_map(|hop| wrong_link(view, link, hop)).peekable();
    if wrong.peek().is_none() {
        for text in doubts(view, link, route) {
            findings.warn("N158", at(), text);
        }
    }
    for text in wrong {
        findings.error("N158", at(), text);
    }
}

/// What may come of a route over several links that are there.
fn doubts(view: &ProfileView<'_>, link: &Link, route: &RouteSpec) -> Vec<String> {
    let ways =
        || route.next_hops.iter().filter_map(|hop| view.network.links.get(hop.link.as_ref()?));
    let mut doubts = Vec::new();
    let other = ways().find(|way| way.name != link.name);
    if let Some(other) = other.filter(|_| !matches!(link.kind, Kind::Loopback)) {
        // networkd takes the routes of a link away when the link loses its carrier.
        doubts.push(format!(
            "the route to {} disappears with the carrier of {}, and with it the path over {}; put it \
             under loopbacks.lo, which never goes down",
            route.to, link.name, other.name
        ));
    }
    for way in ways().filter(|way| !view.network.has_known_name(way)) {
        doubts.push(format!(
            "networkd finds {} by its kernel name, which may differ; set set-name, or match: name",
            way.name
        ));
    }
    doubts
}

/// Why the link that a router is said to be behind does not lead there.
fn wrong_link(view: &ProfileView<'_>, link: &Link, hop: &NextHop) -> Option<String> {
    let name = hop.link.as_deref()?;
    let Some(way) = view.network.links.get(name) else {
        let names = view.network.links.keys().map(String::as_str);
        let hint = nearest::hint(name, names);
        return Some(format!(
            "gateway {} is behind link \"{name}\", which does not exist{hint}",
            hop.via
        ));
    };
    if view.network.domain(way) != view.network.domain(link) {
        return Some(format!("{name} and {} are in different VRFs", link.name));
    }
    let layer3 = &way.layer3;
    let has_address = layer3.borne.iter().any(|borne| borne.key.starts_with(name))
        || !layer3.shared.is_empty()
        || way.learns();
    if !has_address && !reaches(view, way, hop.via) {
        return Some(format!("gateway {} is unreachable: {name} has no address", hop.via));
    }
    None
}
