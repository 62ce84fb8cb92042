//! Pages of profiles.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::csv_answer::CsvAnswer;
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::stack;
use super::state::Ui;
use crate::model::{Host, Profile, Site};
use crate::network::{Cluster, layout, microcloud_preseed};
use crate::profile::ResolvedSite;
use crate::site_file;

struct ProfileRow {
    name: String,
    links: String,
    subnets: String,
    hosts: usize,
}

#[derive(Template)]
#[template(path = "profiles.html")]
struct ProfilesPage {
    frame: Frame,
    rows: Vec<ProfileRow>,
}

/// `GET /profiles`
pub(crate) async fn profiles(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let rows = rows(&ui.app.inventory.snapshot().site);
    Ok(Page(ProfilesPage { frame: operator.frame("profiles").await?, rows }))
}

/// `GET /profiles.csv`
pub(super) async fn profiles_csv(State(ui): State<Ui>, _: Operator) -> CsvAnswer {
    let rows = rows(&ui.app.inventory.snapshot().site).into_iter();
    let rows = rows.map(|ProfileRow { name, links, subnets, hosts }| {
        vec![name, links, subnets, hosts.to_string()]
    });
    CsvAnswer::new("profiles", ["profile", "links", "subnets", "hosts"], rows)
}

fn rows(site: &ResolvedSite) -> Vec<ProfileRow> {
    let row = |name: &String| {
        let resolution = site.profile_named(name, None).unwrap_or_default();
        let subnets = resolution.profile.subnets().map(|(_, subnet)| subnet);
        ProfileRow {
            name: name.clone(),
            links: links(&resolution.profile),
            subnets: subnets.collect::<Vec<_>>().join(", "),
            hosts: site.hosts.values().filter(|host| host.profile.as_ref() == Some(name)).count(),
        }
    };
    site.profiles.keys().map(row).collect()
}

fn links(profile: &Profile) -> String {
    let nics = profile.nics.keys();
    let above = profile.bonds.keys().chain(profile.vlans.keys()).chain(profile.bridges.keys());
    nics.chain(above).cloned().collect::<Vec<_>>().join(", ")
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    frame: Frame,
    name: String,
    stack: Option<String>,
    text: String,
    hosts: Vec<String>,
    /// The document of the cluster, where its hosts can be one.
    microcloud: Option<String>,
}

/// `GET /profiles/{name}`
pub(crate) async fn profile(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(profile) = site.profiles.get(&name) else {
        return Err(Error::NotFound { what: "profile", name });
    };
    let mut alone = Site::default();
    alone.profiles.insert(name.clone(), profile.clone());
    let text = site_file::render(&alone);
    // Drawn as a host would have it, with everything else of the site.
    let example = Host { profile: Some(name.clone()), index: Some(1), ..Host::default() };
    let mut site_with_example = site.clone();
    site_with_example.hosts = [(name.clone(), example)].into();
    let has = |(_, host): &(&String, &Host)| host.profile.as_ref() == Some(&name);
    Ok(Page(ProfilePage {
        frame: operator.frame("profiles").await?,
        stack: stack::svg(&layout(&site_with_example, &name))?,
        text,
        microcloud: microcloud_preseed(site, &Cluster::of_profile(site, &name)).ok(),
        hosts: site.hosts.iter().filter(has).map(|(name, _)| name.clone()).collect(),
        name,
    }))
}
