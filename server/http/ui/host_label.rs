//! The label of a host, to print and stick on: what somebody in front of it needs to tell it apart.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::model::Host;

#[derive(Template)]
#[template(path = "host_label.html")]
struct LabelPage {
    frame: Frame,
    name: String,
    host: Host,
    location: Option<String>,
}

/// `GET /hosts/{name}/label`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let Some(host) = snapshot.site.hosts.get(&name).cloned() else {
        return Err(Error::NotFound { what: "host", name });
    };
    let rack = host.rack.as_ref().and_then(|rack| snapshot.site.racks.get(rack));
    let location = rack.and_then(|rack| rack.location.clone());
    let frame = operator.frame("hosts").await?;
    Ok(Page(LabelPage { frame, name, host, location }))
}
