//! Giving a free address of a subnet to a host: which host, and what for. It ends in the form of
//! the host, with the address filled in and reviewed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use form_urlencoded::Serializer;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::error::Error;
use super::host_form::HostForm;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use super::usage::{Class, Occupant, is_usable, occupants, unused_class};
use crate::model::natural;
use crate::model::{Host, Subnet};
use crate::profile::ResolvedSite;

/// In a larger site the name of a host is typed: a list of all would be most of the page.
pub(super) const MOST_OFFERED_HOSTS: usize = 200;
/// How many uses by a new host are offered.
const MOST_NEW_USES: usize = 40;

/// An address that somebody chose on the page of its subnet.
pub(super) struct GivenAddress {
    /// As it was typed.
    pub text: String,
    /// What it is used for, or why it cannot be given.
    pub used_for: String,
    /// The host that has it.
    pub host: Option<String>,
    /// Whether a host can be given it.
    pub is_free: bool,
}

impl GivenAddress {
    /// What is known of an address; none where nothing was typed.
    pub(super) fn find(subnet: &Subnet, occupants: &[Occupant], text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let not_free =
            |used_for: String| Self { text: text.to_owned(), used_for, host: None, is_free: false };
        let Ok(address) = text.parse::<IpAddr>() else {
            return Some(not_free("not an IP address".into()));
        };
        if !is_usable(subnet, address) {
            let cidr = subnet.cidr;
            return Some(not_free(format!("not an address that hosts of {cidr} can have")));
        }
        if let Some(occupant) = occupants.iter().find(|occupant| occupant.address == address) {
            let used_for = occupant.text.clone();
            return Some(Self { host: occupant.host.clone(), ..not_free(used_for) });
        }
        let class = unused_class(subnet, address);
        let text = address.to_string();
        let used_for = class.label().to_owned();
        Some(Self { text, used_for, host: None, is_free: class != Class::Reserved })
    }
}

/// What is wrong with a name that is not a host's.
pub(super) fn unknown_host(name: &str) -> String {
    match name {
        "" => "enter the name of a host".to_owned(),
        name => format!("host \"{name}\" does not exist"),
    }
}

/// The names of the hosts, if they are few.
pub(super) fn offered_hosts(site: &ResolvedSite) -> Vec<String> {
    if site.hosts.len() > MOST_OFFERED_HOSTS {
        return Vec::new();
    }
    let mut names: Vec<String> = site.hosts.keys().cloned().collect();
    names.sort_by(|a, b| natural(a, b));
    names
}

/// What a new host could have an address for: a link of a profile.
pub(super) struct NewHostUse {
    pub profile: String,
    pub link: String,
}

impl NewHostUse {
    /// As a value of a form: link names have no slash.
    pub(super) fn value(&self) -> String {
        format!("{}/{}", self.link, self.profile)
    }
}

/// The links of profiles that have an address of a subnet.
pub(super) fn new_uses(site: &ResolvedSite, subnet: &str) -> Vec<NewHostUse> {
    let of_profile = |profile: &String| {
        let resolution = site.profile_named(profile, None)?;
        let link = resolution.profile.link_of_subnet(subnet)?.to_owned();
        Some(NewHostUse { profile: profile.clone(), link })
    };
    let uses = site.profiles.keys().filter_map(of_profile);
    uses.take(MOST_NEW_USES).collect()
}

/// What a host could have the address for.
struct Way {
    /// As a value of the form.
    value: String,
    label: String,
    /// The address that it has now.
    now: Option<IpAddr>,
}

/// The value of a reservation; no link has an empty name.
const RESERVATION: &str = "/";

fn ways(site: &ResolvedSite, subnet: &str, name: &str, host: &Host) -> Vec<Way> {
    let resolution = HostForm::of(name, host).resolution(site).unwrap_or_default();
    let of_profile = resolution.profile.link_of_subnet(subnet);
    let mut links: BTreeMap<&str, Option<IpAddr>> =
        of_profile.map(|link| (link, host.addresses.get(link).copied())).into_iter().collect();
    let cidr = site.subnets[subnet].cidr;
    let own = host.addresses.iter().filter(|(_, address)| cidr.contains(*address));
    links.extend(own.map(|(link, address)| (link.as_str(), Some(*address))));
    let way = |(link, now): (&str, Option<IpAddr>)| Way {
        value: link.to_owned(),
        label: format!("Address of {link}"),
        now,
    };
    let reservation = Way {
        value: RESERVATION.to_owned(),
        label: "Reservation: DHCP gives it while the host boots".into(),
        now: host.reservations.get(subnet).copied(),
    };
    links.into_iter().map(way).chain([reservation]).collect()
}

/// What was chosen so far.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GiveQuery {
    address: String,
    host: String,
    /// A link of the host, or [`RESERVATION`].
    way: String,
    /// A use by a new host instead, as [`NewHostUse::value`] or [`RESERVATION`].
    new: String,
}

#[derive(Template)]
#[template(path = "give_address.html")]
struct GivePage {
    frame: Frame,
    subnet: String,
    address: String,
    host: String,
    /// What is wrong with the name of the host.
    wrong: Option<String>,
    hosts: Vec<String>,
    ways: Vec<Way>,
}

/// `GET /subnets/{name}/give`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(subnet): Path<String>,
    UrlQuery(query): UrlQuery<GiveQuery>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(found) = site.subnets.get(&subnet) else {
        return Err(Error::NotFound { what: "subnet", name: subnet });
    };
    let used = occupants(site, &subnet, &ui.app.leases.list(), ui.now_ms() / 1000);
    let given = GivenAddress::find(found, &used, &query.address);
    let Some(GivenAddress { text: address, is_free: true, .. }) = given else {
        // Its page says why.
        let at = encode(&[("at", &query.address)]);
        return Ok(Redirect::to(&format!("/subnets/{}?{at}", segment(&subnet))).into_response());
    };
    if !query.new.is_empty() {
        return Ok(Redirect::to(&new_host(&subnet, &address, &query.new)).into_response());
    }
    let name = query.host.trim();
    let Some(host) = site.hosts.get(name) else {
        let page = GivePage {
            frame: operator.frame("hosts").await?,
            hosts: offered_hosts(site),
            subnet,
            address,
            host: name.to_owned(),
            wrong: Some(unknown_host(name)),
            ways: Vec::new(),
        };
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
    };
    let ways = ways(site, &subnet, name, host);
    if ways.iter().any(|way| way.value == query.way) {
        let to = match query.way.as_str() {
            RESERVATION => encode(&[("subnet", &subnet), ("address", &address)]),
            link => encode(&[("link", link), ("address", &address)]),
        };
        return Ok(Redirect::to(&format!("/hosts/{}/edit?{to}", segment(name))).into_response());
    }
    let page = GivePage {
        frame: operator.frame("hosts").await?,
        hosts: offered_hosts(site),
        host: name.to_owned(),
        subnet,
        address,
        wrong: None,
        ways,
    };
    Ok(Page(page).into_response())
}

/// The form of a new host with the address.
fn new_host(subnet: &str, address: &str, used_for: &str) -> String {
    let query = match used_for.split_once('/') {
        Some((link, profile)) if !link.is_empty() => {
            encode(&[("profile", profile), ("link", link), ("address", address)])
        }
        _ => encode(&[("subnet", subnet), ("address", address)]),
    };
    format!("/add-host?{query}")
}

fn encode(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
