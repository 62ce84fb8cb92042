//! Pages, hosts and everything else of the inventory by a word: what Ctrl-K shows, and a page of its
//! own.

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;
use ipnet::IpNet;
use serde::Deserialize;

use super::error::Error;
use super::host_query::HostsQuery;
use super::hosts::HostListData;
use super::page::{Frame, Page, sections};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::model::natural;
use crate::model::{Noun, NounKind, NounVisitor, Role, Site, visit_nouns};

/// How many of a kind are shown.
const MOST: usize = 8;
/// Names of hosts have 253 characters at most, as have all others.
const LONGEST: usize = 253;

/// Something to go to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// What it is, such as `host`.
    kind: &'static str,
    label: String,
    href: String,
}

#[derive(Template)]
#[template(path = "find.html")]
struct FindPage {
    frame: Frame,
    text: String,
    found: Vec<Found>,
}

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct FindQuery {
    #[serde(default)]
    text: String,
}

/// `GET /find?text=WORD`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(query): UrlQuery<FindQuery>,
) -> Result<impl IntoResponse, Error> {
    let text: String = query.text.trim().chars().take(LONGEST).collect();
    let frame = operator.frame("find").await?;
    let mut found = pages(&frame, &text);
    if !text.is_empty() {
        found.extend(hosts(&ui, &text).await?);
        found.extend(entries(&ui.app.inventory.snapshot().site, &text));
    }
    Ok(Page(FindPage { frame, text, found }))
}

/// The pages of the menu whose names begin so; all of them for no text.
fn pages(frame: &Frame, text: &str) -> Vec<Found> {
    let text = text.to_lowercase();
    let page = |label: String, path: &str| Found { kind: "page", label, href: format!("/{path}") };
    let others = sections().filter(|section| frame.shows(section.path()));
    let others = others.map(|section| page(section.label(), section.path()));
    // It is no entry of the menu, and what somebody looks for who begins.
    let import = (frame.role >= Role::Operator).then(|| page("Import".into(), "import"));
    let all = std::iter::once(page("Fleet".into(), "")).chain(others).chain(import);
    all.filter(|page| page.label.to_lowercase().starts_with(&text)).collect()
}

/// The hosts that the list of hosts would find.
async fn hosts(ui: &Ui, text: &str) -> Result<Vec<Found>, Error> {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("text", text).finish();
    let wanted = HostsQuery::parse(&query)?;
    let known = HostListData::read(ui, &wanted).await?;
    let hosts = known.hosts(ui);
    let mut names: Vec<&String> =
        wanted.find(&hosts, |_| 0).hosts.into_iter().map(|(name, _)| name).collect();
    sort(&mut names, text);
    let all = names.len();
    let mut found: Vec<Found> =
        names.into_iter().take(MOST).map(|name| entry(NounKind::Host, name)).collect();
    if all > MOST {
        let label = format!("all {all} hosts with \"{text}\"");
        found.push(Found { kind: "hosts", label, href: format!("/hosts?{query}") });
    }
    Ok(found)
}

/// Entries of the other nouns by a part of their names; subnets also by an address in them.
fn entries(site: &Site, text: &str) -> Vec<Found> {
    struct Entries<'a> {
        site: &'a Site,
        text: &'a str,
        found: Vec<Found>,
    }
    impl NounVisitor for Entries<'_> {
        fn visit<T: Noun>(&mut self) {
            if T::KIND == NounKind::Host {
                return;
            }
            let part = self.text.to_lowercase();
            let mut names: Vec<&String> =
                T::all(self.site).keys().filter(|it| it.to_lowercase().contains(&part)).collect();
            sort(&mut names, self.text);
            self.found.extend(names.into_iter().take(MOST).map(|name| entry(T::KIND, name)));
        }
    }
    let mut all = Entries { site, text, found: Vec::new() };
    visit_nouns(&mut all);
    let mut found = all.found;
    found.extend(labelled(site, text));
    let net: Option<IpNet> = text
        .parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()));
    if let Some(net) = net {
        let around = site.subnets.iter().filter(|(_, subnet)| subnet.cidr.contains(&net));
        found.extend(around.take(MOST).map(|(name, _)| entry(NounKind::Subnet, name)));
    }
    found
}

/// Racks, subnets and switches by a part of a label.
fn labelled(site: &Site, text: &str) -> impl Iterator<Item = Found> {
    let part = text.to_lowercase();
    let racks = site.racks.iter().map(|(name, rack)| (NounKind::Rack, name, &rack.labels));
    let subnets = site.subnets.iter().map(|(name, it)| (NounKind::Subnet, name, &it.labels));
    let switches = site.switches.iter().map(|(name, it)| (NounKind::Switch, name, &it.labels));
    let all = racks.chain(subnets).chain(switches);
    let named = all.filter_map(move |(kind, name, labels)| {
        let label = labels.iter().find(|label| label.to_lowercase().contains(&part))?;
        let found = entry(kind, name);
        Some(Found { label: format!("{name}, label {label}"), ..found })
    });
    named.take(MOST)
}

fn entry(kind: NounKind, name: &str) -> Found {
    let path: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let href = format!("/{}/{}", kind.section(), path.replace('+', "%20"));
    Found { kind: kind.label(), label: name.to_owned(), href }
}

/// Names that begin with the text come first.
fn sort(names: &mut [&String], text: &str) {
    let text = text.to_lowercase();
    let is_behind = |name: &String| !name.to_lowercase().starts_with(&text);
    names.sort_by(|a, b| is_behind(a).cmp(&is_behind(b)).then_with(|| natural(a, b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_a_part_of_their_names_and_subnets_by_an_address() {
        let site: Site = serde_json::from_value(serde_json::json!({
            "racks": {"r1": {}, "ar10": {}, "r2": {"labels": ["Copper"]}},
            "subnets": {"internal": {"cidr": "10.1.0.0/16"}, "r-net": {"cidr": "10.2.0.0/16"}},
            "hosts": {"r1-n01": {}},
        }))
        .unwrap();
        let found = |text: &str| -> Vec<String> {
            let found = entries(&site, text).into_iter();
            found.map(|one| format!("{} {} {}", one.kind, one.label, one.href)).collect()
        };
        assert_eq!(found("R1"), ["rack r1 /racks/r1", "rack ar10 /racks/ar10"]);
        assert_eq!(found("10.1.2.3"), ["subnet internal /subnets/internal"]);
        assert_eq!(found("10.2.0.0/24"), ["subnet r-net /subnets/r-net"]);
        assert_eq!(found("copp"), ["rack r2, label Copper /racks/r2"]);
        assert_eq!(found("nowhere"), [""; 0]);
        assert_eq!(entry(NounKind::Tenant, "a b/c").href, "/tenants/a%20b%2Fc");
    }
}
