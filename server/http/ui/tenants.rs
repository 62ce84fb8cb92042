//! Tenants: whose hosts are whose, and whose rentals end.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::clock::span;
use super::csv_answer::{CsvAnswer, cell};
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::model::{Host, RentalTerm, Site, Tenant};

/// A tenant in the list.
struct Row {
    name: String,
    tenant: Tenant,
    subnets: Vec<String>,
    hosts: usize,
    ending: usize,
    ended: usize,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /tenants`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    Ok(Page(TenantsPage { frame: operator.frame("tenants").await?, rows: rows(&ui) }))
}

fn rows(ui: &Ui) -> Vec<Row> {
    let snapshot = ui.app.inventory.snapshot();
    let now = ui.now_ms() / 1000;
    snapshot.site.tenants.keys().filter_map(|name| row(&snapshot.site, name, now)).collect()
}

/// `GET /tenants.csv`
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> CsvAnswer {
    let headings = ["tenant", "contact", "subnets", "hosts", "rentals-ending", "rentals-ended"];
    let rows = rows(&ui).into_iter().map(|row| {
        let Row { name, tenant, subnets, hosts, ending, ended } = row;
        let mut cells = vec![name, cell(tenant.contact), subnets.join(" ")];
        cells.extend([hosts, ending, ended].map(|count| count.to_string()));
        cells
    });
    CsvAnswer::new("tenants", headings, rows)
}

fn row(site: &Site, name: &str, now: i64) -> Option<Row> {
    let terms: Vec<RentalTerm> =
        hosts_of(site, name).filter_map(|(_, host)| host.rental_term(now)).collect();
    let count = |wanted: fn(&&RentalTerm) -> bool| terms.iter().filter(wanted).count();
    let subnets = site.subnets.iter().filter(|(_, net)| net.tenant.as_deref() == Some(name));
    Some(Row {
        name: name.to_owned(),
        tenant: site.tenants.get(name)?.clone(),
        subnets: subnets.map(|(name, _)| name.clone()).collect(),
        hosts: terms.len(),
        ending: count(|term| matches!(term, RentalTerm::EndsSoon(_))),
        ended: count(|term| matches!(term, RentalTerm::Ended(_))),
    })
}

fn hosts_of<'a>(
    site: &'a Site,
    tenant: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Host)> + 'a {
    site.hosts.iter().filter(move |(_, host)| host.tenant.as_deref() == Some(tenant))
}

/// A tenant's rental of a host, for a page.
pub(crate) struct RentalCell {
    /// The CSS class.
    pub class: &'static str,
    /// Where the rental is, in words.
    pub text: String,
}

/// Where a host's rental is at a moment (Unix seconds), in words; none for a host of nobody.
pub(crate) fn rental_cell(host: &Host, now: i64) -> Option<RentalCell> {
    Some(match host.rental_term(now)? {
        RentalTerm::Ahead(left) => {
            RentalCell { class: "", text: format!("begins in {}", span(left)) }
        }
        RentalTerm::Running => RentalCell { class: "", text: "running".into() },
        RentalTerm::EndsSoon(left) => {
            RentalCell { class: "kind warning", text: format!("ends in {}", span(left)) }
        }
        RentalTerm::Ended(ago) => {
            RentalCell { class: "kind warning", text: format!("ended {} ago", span(ago)) }
        }
    })
}

struct RentedHost {
    name: String,
    from: String,
    until: String,
    term: Option<RentalCell>,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    frame: Frame,
    row: Row,
    hosts: Vec<RentedHost>,
}

/// `GET /tenants/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let (site, now) = (&snapshot.site, ui.now_ms() / 1000);
    let Some(row) = row(site, &name, now) else {
        return Err(Error::NotFound { what: "tenant", name });
    };
    let rented = |(name, host): (&String, &Host)| RentedHost {
        name: name.clone(),
        from: host.rented_from.map(|when| when.to_string()).unwrap_or_default(),
        until: host.rented_until.map(|when| when.to_string()).unwrap_or_default(),
        term: rental_cell(host, now),
    };
    let hosts = hosts_of(site, &name).map(rented).collect();
    Ok(Page(TenantPage { frame: operator.frame("tenants").await?, row, hosts }))
}
