//! Every key of the site file, and its JSON Schema.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::Value;

use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::model::{Section, sections, site_schema};

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    sections: &'static [Section],
}

/// `GET /keys`
pub(crate) async fn show(
    State(_): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let frame = operator.frame("profiles").await?;
    Ok(Page(KeysPage { frame, sections: sections() }))
}

/// `GET /keys/schema.json`
pub(crate) async fn schema(State(_): State<Ui>, _: Operator) -> Json<&'static Value> {
    Json(site_schema())
}
