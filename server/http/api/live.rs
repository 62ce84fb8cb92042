//! `GET /live`: everything that happens, as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures_util::Stream;
use serde::Serialize;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use crate::app::App;
use crate::inventory::Live;

/// Each message is an `event`, a `progress`, a `revision`, or a `missed`: how many of them
/// a reader was too slow for.
pub async fn stream(
    State(app): State<App>,
) -> Sse<impl Stream<Item = Result<Message, Infallible>>> {
    let messages = BroadcastStream::new(app.inventory.events.watch()).map(|live| {
        Ok(match live {
            Ok(Live::Event(event)) => message("event", &event),
            Ok(Live::Progress(progress)) => message("progress", &progress),
            Ok(Live::Revision(revision)) => message("revision", &revision),
            Err(lagged) => message("missed", &lagged.to_string()),
        })
    });
    Sse::new(messages).keep_alive(KeepAlive::default())
}

fn message<T: Serialize>(kind: &str, value: &T) -> Message {
    let data = serde_json::to_string(value).unwrap_or_default();
    Message::default().event(kind).data(data)
}
