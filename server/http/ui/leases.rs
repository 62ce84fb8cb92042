//! Leases: who holds which address until when.

use std::net::Ipv4Addr;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::clock::{Moment, span};
use super::confirm::{Confirmation, Crumb, is_confirmed};
use super::csv_answer::{CsvAnswer, cell};
use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page, Slice};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory;
use crate::lifecycle::audit::AuditAction;
use crate::model::{ClientKey, Lease, LeaseState};

/// How many leases a page shows.
const PAGE: usize = 200;

struct Row {
    address: Ipv4Addr,
    host: Option<String>,
    nic: String,
    subnet: String,
    state: &'static str,
    since: Moment,
    rest: String,
}

#[derive(Template)]
#[template(path = "leases.html")]
struct LeasesPage {
    frame: Frame,
    wanted: LeasesQuery,
    query: String,
    rows: Vec<Row>,
    slice: Slice,
}

/// Which leases are wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct LeasesQuery {
    text: String,
    page: usize,
}

/// `GET /leases`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(wanted): UrlQuery<LeasesQuery>,
) -> Result<impl IntoResponse, Error> {
    let leases = found(&ui, &wanted);
    let slice = Slice::new(wanted.page, leases.len(), PAGE);
    let rows = slice.of(&leases).iter().map(|lease| row(&ui, lease)).collect();
    let frame = operator.frame("leases").await?;
    let query = format!("text={}&", utf8_percent_encode(&wanted.text, NON_ALPHANUMERIC));
    Ok(Page(LeasesPage { frame, wanted, query, rows, slice }))
}

/// `GET /leases.csv`: every lease that the query finds; the times are RFC 3339.
pub(super) async fn csv(
    State(ui): State<Ui>,
    _: Operator,
    UrlQuery(wanted): UrlQuery<LeasesQuery>,
) -> CsvAnswer {
    let headings = ["address", "host", "client", "nic", "subnet", "state", "since", "expires"];
    let time = |at: i64| cell(Timestamp::from_second(at).ok());
    let leases = found(&ui, &wanted).into_iter();
    let rows = leases.map(move |lease| {
        let Row { address, host, nic, subnet, state, .. } = row(&ui, &lease);
        let client = lease.client.to_string();
        let (starts, expires) = (time(lease.starts_at), time(lease.expires_at));
        let host = host.unwrap_or_default();
        vec![address.to_string(), host, client, nic, subnet, state.into(), starts, expires]
    });
    CsvAnswer::new("leases", headings, rows)
}

/// The leases that a query finds.
fn found(ui: &Ui, wanted: &LeasesQuery) -> Vec<Lease> {
    let mut leases = ui.app.leases.list();
    let text = wanted.text.trim().to_lowercase();
    leases.retain(|lease| names(lease).to_lowercase().contains(&text));
    leases
}

fn find(ui: &Ui, address: String) -> Result<Lease, Error> {
    let found = address.parse().ok().and_then(|address| ui.app.leases.find(address));
    found.ok_or(Error::NotFound { what: "lease", name: address })
}

/// `GET /leases/{address}/remove`: who would lose what.
pub(crate) async fn ask_remove(
    State(ui): State<Ui>,
    operator: Operator,
    Path(address): Path<String>,
) -> Result<Response, Error> {
    let lease = find(&ui, address)?;
    ask(&ui, &operator, &lease).await
}

async fn ask(ui: &Ui, operator: &Operator, lease: &Lease) -> Result<Response, Error> {
    let Row { address, host, nic, subnet, state, rest, .. } = row(ui, lease);
    let holder = host.map_or_else(|| nic.clone(), |host| format!("{host} ({nic})"));
    let explanation = match lease.state {
        LeaseState::Declined => format!(
            "A client found somebody else on {address}. Released, it is given to clients of {subnet} \
             again, although that other device may still use it. It would be free by itself {rest}."
        ),
        LeaseState::Bound | LeaseState::Released => format!(
            "{holder} has {address} in {subnet}: {state}, ends {rest}. Released, it may be given to \
             another client, while {holder} uses it until it renews. This cannot be taken back."
        ),
    };
    Confirmation {
        section: "leases",
        crumbs: vec![Crumb::new("/leases", "Leases")],
        question: format!("Release {address}?"),
        explanation,
        action: "Release",
        cancel: "/leases".to_owned(),
        hidden: vec![("client", lease.client.to_string())],
        ..Confirmation::default()
    }
    .page(operator)
    .await
}

/// `POST /leases/{address}/remove`: takes a lease back, or ends a quarantine.
pub(crate) async fn remove(
    State(ui): State<Ui>,
    Path(address): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let lease = find(&ui, address)?;
    // Another client may have got it since the question.
    if !is_confirmed(&sent) || sent.fields.text("client") != lease.client.to_string() {
        return ask(&ui, &sent.operator, &lease).await;
    }
    let Operator { limits, .. } = &sent.operator;
    ui.app.inventory.check_lease(sent.operator.author(), limits, &lease).await?;
    ui.app.leases.remove(lease.address).await.map_err(inventory::Error::from)?;
    let (address, client) = (lease.address, lease.client.to_string());
    let action = AuditAction::LeaseRemoved { address, client };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    sent.operator.notify(format!("Released {address}.")).await?;
    Ok(Redirect::to("/leases").into_response())
}

/// The NIC that has a lease; of a client that does not tell it what it calls itself.
fn nic_text(lease: &Lease) -> String {
    lease.nic.map_or_else(|| lease.client.to_string(), |nic| nic.to_string())
}

/// Everything by which somebody may look for a lease.
fn names(lease: &Lease) -> String {
    format!("{} {} {} {}", lease.address, lease.client, nic_text(lease), lease.subnet)
}

fn row(ui: &Ui, lease: &Lease) -> Row {
    let left = lease.expires_at - ui.now_ms() / 1000;
    let expired = left <= 0 && lease.state == LeaseState::Bound;
    Row {
        address: lease.address,
        host: match &lease.client {
            ClientKey::Host(name) => Some(name.clone()),
            ClientKey::Mac(_) | ClientKey::Guid(_) | ClientKey::Id(_) => None,
        },
        nic: nic_text(lease),
        subnet: lease.subnet.clone(),
        state: if expired { "expired" } else { lease.state.label() },
        since: ui.moment(lease.starts_at.saturating_mul(1000)),
        rest: if left > 0 { format!("in {}", span(left)) } else { format!("{} ago", span(-left)) },
    }
}
