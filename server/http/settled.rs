//! Requests that read events wait for those that are not stored yet.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

/// Delays a request until all recorded events are stored.
pub(crate) async fn settled(State(app): State<App>, request: Request, next: Next) -> Response {
    app.inventory.events.settle().await;
    next.run(request).await
}
