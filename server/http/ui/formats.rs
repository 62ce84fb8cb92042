//! What each format can say of a host's network.

use askama::Template;
use axum::extract::State;
use axum::response::IntoResponse;

use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::network::{Ability, Reader, abilities};

#[derive(Template)]
#[template(path = "formats.html")]
struct FormatsPage {
    frame: Frame,
    readers: Vec<Reader>,
    rows: &'static [Ability],
}

/// `GET /formats`
pub(crate) async fn show(
    State(_): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let frame = operator.frame("hosts").await?;
    // The first reader waits for hundreds of samples to be rendered; nobody else does.
    let rows = tokio::task::spawn_blocking(abilities).await;
    let rows = rows.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Page(FormatsPage { frame, readers: Reader::all(), rows }))
}
