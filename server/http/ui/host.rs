//! The page of a host: its latest boot, its network as a drawing and as files, its report.

use std::net::Ipv4Addr;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::clock::{Moment, span};
use super::error::Error;
use super::events::EventTable;
use super::host_row::{Board, StateCell};
use super::host_timeline::Timeline;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::server_url::{AskedFor, server_url};
use super::session::Operator;
use super::site_facts::SiteFacts;
use super::stack;
use super::state::Ui;
use super::tenants::{RentalCell, rental_cell};
use crate::inventory::HostConfig;
use crate::model::{ClientKey, Host, Image, Lease, LeaseState, decide_host};
use crate::network::{self, ConfigState, File, Finding, Format, RenderError, Severity};
use crate::profile::{Explained, ResolvedSite};
use crate::recipe::{self, Booting, RecipeError};

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    frame: Frame,
    name: String,
    host: Host,
    rental: Option<RentalCell>,
    /// Whether its image installs, so that it can be armed.
    installs: bool,
    state: StateCell,
    timeline: Timeline,
    stack: Option<String>,
    findings: Vec<Finding>,
    files: Result<Vec<File>, NoFiles>,
    format: Format,
    /// Every value of its profile and where it comes from.
    explained: Vec<Explained>,
    curl: Option<String>,
    /// The recipe of its image as its installer reads it, or why it cannot be filled in.
    recipe: Option<Result<String, RecipeError>>,
    leases: Vec<LeaseLine>,
    report: Option<ReportText>,
    /// Whether it runs what the inventory has for it.
    config: HostConfig,
    /// The command that applies it on the host.
    apply: Option<String>,
    events: EventTable,
}

impl HostPage {
    /// Whether an error keeps the host from getting its files.
    fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

struct LeaseLine {
    address: Ipv4Addr,
    is_held: bool,
    state: &'static str,
    rest: String,
}

struct ReportText {
    at: Moment,
    body: String,
}

/// What the files are shown for.
#[derive(Deserialize)]
pub(super) struct HostQuery {
    format: Option<String>,
}

/// `GET /hosts/{name}`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
    UrlQuery(wanted): UrlQuery<HostQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let format: Format = match wanted.format {
        None => Format::Networkd,
        Some(word) => {
            word.parse().map_err(|error: RenderError| Error::Malformed(error.to_string()))?
        }
    };
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let Some(host) = site.hosts.get(&name) else {
        return Err(Error::NotFound { what: "host", name });
    };
    let mut frame = operator.frame("hosts").await?;
    frame.outside = decide_host(&operator.limits, &name, Some(host), Some(host)).err();
    let database = &ui.app.inventory.database;
    let report = database.find_report(&name).await?;
    let reported = database.find_fingerprint(&name).await?;
    let leases = leases(&ui, &name, host);
    let leased: Vec<Ipv4Addr> =
        leases.iter().filter(|it| it.is_held).map(|it| it.address).collect();
    let server_url = server_url(&ui, site, host, &leased, &AskedFor::read(&headers));
    let files_url = files_url(host, &server_url);
    Ok(Page(HostPage {
        frame,
        state: Board::read(&ui).await?.state_cell(&ui, &name),
        timeline: Timeline::read(&ui, &name).await?,
        stack: stack::svg(&network::layout(site, &name))?,
        findings: findings(&ui, site, &name).await?,
        files: files(site, &name, format),
        format,
        explained: site.explain(host),
        curl: files_url.as_ref().map(|url| curl(url, format)),
        config: HostConfig::compare(&snapshot, &name, reported.as_ref()),
        apply: files_url.map(|url| format!("curl -fsS {url}.sh | sudo sh")),
        recipe: recipe_of(site, &name, host, server_url),
        leases,
        report: report.map(|r| ReportText { at: ui.moment(r.at_ms), body: r.body }),
        events: EventTable::of_host(&ui, &name).await?,
        installs: host
            .image
            .as_ref()
            .and_then(|image| site.images.get(image))
            .is_some_and(Image::installs),
        rental: rental_cell(host, ui.now_ms() / 1000),
        host: host.clone(),
        name,
    }))
}

/// What is wrong with a host: by itself, which is known of this very moment, and together with others, by
/// the last look at the whole site.
async fn findings(ui: &Ui, site: &ResolvedSite, name: &str) -> Result<Vec<Finding>, Error> {
    let mut found = network::check_host_within(site, name, &ui.app.inventory.surroundings());
    let facts = SiteFacts::read(ui, true).await?;
    for one in facts.findings_of(name) {
        let is_known = |known: &Finding| known.rule == one.rule && known.text == one.text;
        if !found.iter().any(is_known) {
            found.push(one.clone());
        }
    }
    found.sort_by_key(|finding| finding.severity);
    Ok(found)
}

/// Why a host has no files, on its page.
#[derive(Debug, thiserror::Error)]
enum NoFiles {
    #[error("Fix the errors above to generate this host's files.")]
    Refused,
    #[error("Set a profile to generate this host's files.")]
    NoProfile,
    #[error(transparent)]
    Other(RenderError),
}

fn files(site: &ResolvedSite, name: &str, format: Format) -> Result<Vec<File>, NoFiles> {
    network::render_host(site, name, format).map_err(|error| match error {
        RenderError::Refused { .. } => NoFiles::Refused,
        RenderError::NoProfile { .. } => NoFiles::NoProfile,
        other => NoFiles::Other(other),
    })
}

fn leases(ui: &Ui, name: &str, host: &Host) -> Vec<LeaseLine> {
    let now = ui.now_ms() / 1000;
    let is_own = |lease: &Lease| {
        lease.client == ClientKey::Host(name.to_owned())
            || lease.nic.is_some_and(|nic| host.has_nic(nic))
    };
    let line = |lease: Lease| LeaseLine {
        address: lease.address,
        is_held: lease.state == LeaseState::Bound && lease.expires_at > now,
        state: lease.state.label(),
        rest: if lease.expires_at > now {
            format!("{} left", span(lease.expires_at - now))
        } else {
            format!("expired {} ago", span(now - lease.expires_at))
        },
    };
    ui.app.leases.list().into_iter().filter(is_own).map(line).collect()
}

/// The filled-in recipe of the host's image, if it has one.
fn recipe_of(
    site: &ResolvedSite,
    name: &str,
    host: &Host,
    server_url: String,
) -> Option<Result<String, RecipeError>> {
    site.images.get(host.image.as_ref()?)?.recipe.as_ref()?;
    let mac = Some(host.nics.values().next()?.address);
    let booting = Booting { mac, server_url, token: "TOKEN".to_owned() };
    Some(recipe::of_host(site, name, &booting).map(|filled| filled.text))
}

/// The command that fetches the host's files.
fn curl(url: &str, format: Format) -> String {
    let other = (format != Format::Networkd).then(|| format!("/{format}"));
    format!("curl {url}{}", other.unwrap_or_default())
}

/// Where the host's files are; none for a host without a NIC.
fn files_url(host: &Host, server_url: &str) -> Option<String> {
    let mac = host.nics.values().next()?.address.identity();
    Some(format!("{server_url}/config/{mac}"))
}
