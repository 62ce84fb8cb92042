//! Whoever reads what happened sees all of it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

/// Lets a request in once the events of a moment ago are in the database that it reads.
pub async fn settled(State(app): State<App>, request: Request, next: Next) -> Response {
    app.inventory.events.settle().await;
    next.run(request).await
}
