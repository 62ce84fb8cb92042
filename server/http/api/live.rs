//! `GET /live`: everything that happens, as server-sent events.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, SchemaObject, StatusCode};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use schemars::json_schema;
use serde::Serialize;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use super::auth::Program;
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{AuditQuery, EventFilter, Live};

/// How many streams one token may have open.
const MAX_STREAMS: usize = 16;

/// How many events a reader that comes back gets at most.
const MAX_RESUMED: u32 = 10_000;

/// The streams that are open, by token.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<String, usize>>>,
    /// Ends them all, which would keep the server from stopping.
    stop: CancellationToken,
}

impl Streams {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { open: Arc::default(), stop }
    }

    fn open(&self, who: &str) -> Result<OpenStream, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Each message is an `event`, an `audit` entry, the `state` of a host that changed, a `progress`,
/// a `revision`, or a `missed`: how many of them a reader was too slow for.
///
/// Events and audit entries have ids. A reader that comes back with `Last-Event-ID` first gets
/// those that came after it, those of the same millisecond once more, and the current revision.
pub(super) async fn stream(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Extension(streams): Extension<Streams>,
    headers: HeaderMap,
) -> Result<EventStream, Error> {
    let open = streams.open(&program.who)?;
    let stopped = streams.stop.clone().cancelled_owned();
    // Before the database is read: nothing may happen between the two.
    let watched = app.inventory.events.watch();
    let resumed = match last_event(&headers)? {
        Some(at_ms) => Some(Resumed::read(&app, at_ms).await?),
        None => None,
    };
    let (messages, mut seen) = resumed.map(|it| (it.messages, it.seen)).unwrap_or_default();
    let live = BroadcastStream::new(watched).filter_map(move |live| match live {
        Ok(Live::Event(event)) => {
            let data = json(&event);
            (!seen.remove(&data)).then(|| stored_message("event", event.at_ms, data))
        }
        Ok(Live::Progress(progress)) => Some(message("progress", &progress)),
        Ok(Live::State(change)) => Some(message("state", &change)),
        Ok(Live::Revision(revision)) => Some(message("revision", &revision)),
        Ok(Live::Audit(entry)) => {
            let data = json(&entry);
            (!seen.remove(&data)).then(|| stored_message("audit", entry.at_ms, data))
        }
        Err(lagged) => Some(message("missed", &lagged.to_string())),
    });
    let all = tokio_stream::iter(messages).chain(live).map(move |message| {
        // Held by the stream: its place is free again when it is dropped.
        let _ = &open;
        Ok::<_, Infallible>(message)
    });
    let all = futures_util::StreamExt::take_until(all, stopped);
    Ok(EventStream(Sse::new(all).keep_alive(KeepAlive::default()).into_response()))
}

/// The moment of the last event that a reader has seen, in Unix milliseconds.
fn last_event(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    match text.parse() {
        Ok(at_ms) => Ok(Some(at_ms)),
        Err(_) => {
            let detail = format!("\"{text}\" is not the id of a message of this stream");
            Err(Error::Request(vec![Fault::header("Last-Event-ID", detail)]))
        }
    }
}

/// What a reader has missed.
struct Resumed {
    messages: Vec<Message>,
    /// What is in it, as JSON: some of them may be in the live stream as well.
    seen: HashSet<String>,
}

impl Resumed {
    async fn read(app: &App, at_ms: i64) -> Result<Self, Error> {
        app.inventory.events.settle().await;
        let after_ms = at_ms.saturating_sub(1);
        let filter = EventFilter { after_ms, limit: MAX_RESUMED + 1, ..EventFilter::default() };
        let mut events = app.inventory.database.list_events(&filter).await?;
        let mut messages = vec![message("revision", &app.inventory.snapshot().revision)];
        if events.len() > MAX_RESUMED as usize {
            events.truncate(MAX_RESUMED as usize);
            messages.push(message("missed", &"older events are in GET /api/v1/events"));
        }
        let query =
            AuditQuery { from_ms: Some(at_ms), limit: MAX_RESUMED, ..AuditQuery::default() };
        let audit = app.inventory.database.page_audit(&query).await?;
        let audit = audit.iter().map(|stored| ("audit", stored.entry.at_ms, json(&stored.entry)));
        let events = events.iter().map(|event| ("event", event.at_ms, json(event)));
        let mut stored: Vec<_> = events.chain(audit).collect();
        stored.sort_by_key(|(_, at_ms, _)| *at_ms);
        let mut seen = HashSet::new();
        for (kind, at_ms, data) in stored {
            messages.push(stored_message(kind, at_ms, data.clone()));
            seen.insert(data);
        }
        Ok(Self { messages, seen })
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A message about something that is stored: a reader can go on behind it.
fn stored_message(kind: &str, at_ms: i64, data: String) -> Message {
    Message::default().event(kind).id(at_ms.to_string()).data(data)
}

fn message<T: Serialize>(kind: &str, value: &T) -> Message {
    Message::default().event(kind).data(json(value))
}
