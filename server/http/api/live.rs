//! `GET /live`: everything that happens, as server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, SchemaObject, StatusCode};
use axum::extract::{Extension, State};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use schemars::json_schema;
use serde::Serialize;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use super::auth::Program;
use super::problem::Error;
use crate::app::App;
use crate::inventory::Live;

/// How many streams one token may have open.
const MAX_STREAMS: usize = 16;

/// The streams that are open, by token.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<String, usize>>>);

impl Streams {
    fn open(&self, who: &str) -> Result<OpenStream, Error> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(who.to_owned()).or_default();
        if *count >= MAX_STREAMS {
            return Err(Error::TooManyStreams(*count));
        }
        *count += 1;
        Ok(OpenStream { streams: self.clone(), who: who.to_owned() })
    }
}

/// A stream that is open, as long as it is held.
struct OpenStream {
    streams: Streams,
    who: String,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

/// A response that goes on until the client or the server ends it.
pub(super) struct EventStream(Response);

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        self.0
    }
}

impl OperationOutput for EventStream {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let json_schema = json_schema!({"type": "string"});
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let media_type = MediaType { schema: Some(schema), ..MediaType::default() };
        Some(openapi::Response {
            description: "Server-sent events, until the connection ends.".to_owned(),
            content: [("text/event-stream".to_owned(), media_type)].into_iter().collect(),
            ..openapi::Response::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusCode>, openapi::Response)> {
        let response = Self::operation_response(ctx, operation);
        response.into_iter().map(|response| (Some(StatusCode::Code(200)), response)).collect()
    }
}

/// Each message is an `event`, a `progress`, a `revision`, or a `missed`: how many of them
/// a reader was too slow for.
pub(super) async fn stream(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Extension(streams): Extension<Streams>,
) -> Result<EventStream, Error> {
    let open = streams.open(&program.who)?;
    let messages = messages(&app).map(move |message| {
        // Held by the stream: it is closed when the stream is dropped.
        let _ = &open;
        message
    });
    Ok(EventStream(Sse::new(messages).keep_alive(KeepAlive::default()).into_response()))
}

fn messages(app: &App) -> impl Stream<Item = Result<Message, Infallible>> + use<> {
    BroadcastStream::new(app.inventory.events.watch()).map(|live| {
        Ok(match live {
            Ok(Live::Event(event)) => message("event", &event),
            Ok(Live::Progress(progress)) => message("progress", &progress),
            Ok(Live::Revision(revision)) => message("revision", &revision),
            Err(lagged) => message("missed", &lagged.to_string()),
        })
    })
}

fn message<T: Serialize>(kind: &str, value: &T) -> Message {
    let data = serde_json::to_string(value).unwrap_or_default();
    Message::default().event(kind).data(data)
}
