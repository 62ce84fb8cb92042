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

use super::audit::AuditItem;
use super::auth::Program;
use super::history::EventItem;
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{
    AuditQuery, EventPageQuery, FollowedEvent, Live, StoredAuditEntry, is_audit_id,
};

/// How many streams one token may have open.
const MAX_STREAMS: usize = 16;

/// How long after it was made an audit entry of another server may be stored, in milliseconds.
const AUDIT_LATE_MS: i64 = 15_000;

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
/// every event with a higher number, the audit entries since then, and the current revision.
pub(super) async fn stream(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Extension(streams): Extension<Streams>,
    headers: HeaderMap,
) -> Result<EventStream, Error> {
    let open = streams.open(&program.who)?;
    let stopped = streams.stop.clone().cancelled_owned();
    let last = LastSeen::read(&headers)?;
    app.inventory.events.settle().await;
    // Before the database is read: nothing may happen between the two.
    let watched = app.inventory.events.watch();
    let followed = app.inventory.events.follow().await?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut resumed = match last {
        Some(last) => Resumed::read(&app, last, followed.after).await?,
        None => Resumed::nothing(followed.after, now_ms),
    };
    let messages = std::mem::take(&mut resumed.messages);
    let events = BroadcastStream::new(followed.live).map(|event| match event {
        Ok(event) => Ok(StreamItem::Event(event)),
        Err(lagged) => Err(lagged),
    });
    let others = BroadcastStream::new(watched).map(|live| live.map(StreamItem::Other));
    let live = events.merge(others).filter_map(move |live| match live {
        Ok(StreamItem::Event(event)) => Some(resumed.event(event)),
        Ok(StreamItem::Other(Live::Audit(entry))) => resumed.audit((*entry).clone()),
        Ok(StreamItem::Other(Live::Progress(progress))) => Some(message("progress", &*progress)),
        Ok(StreamItem::Other(Live::State(change))) => Some(message("state", &*change)),
        Ok(StreamItem::Other(Live::Revision(revision))) => Some(message("revision", &revision)),
        // It comes once it is stored, with its number.
        Ok(StreamItem::Other(Live::Event(_))) => None,
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

/// What a stream is made of.
enum StreamItem {
    Event(FollowedEvent),
    Other(Live),
}

/// The last message that a reader has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LastSeen {
    /// The number of the last event.
    event: i64,
    /// The id of the last audit entry, or its beginning; none if only an event's number is given.
    audit: Option<String>,
}

impl LastSeen {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(value) = headers.get("last-event-id") else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        Self::parse(text).map(Some).ok_or_else(|| {
            let detail = format!(
                "\"{text}\" is not the id of a message of this stream: expected the number of an \
                 event, alone or with a dot and the id of an audit entry"
            );
            Error::Request(vec![Fault::header("Last-Event-ID", detail)])
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (event, audit) = match text.split_once('.') {
            Some((event, audit)) => (event, Some(audit)),
            None => (text, None),
        };
        let event = event.parse().ok().filter(|event| *event >= 0)?;
        let is_moment = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_known = audit.is_none_or(|audit| is_audit_id(audit) || is_moment(audit));
        is_known.then(|| Self { event, audit: audit.map(str::to_owned) })
    }

    /// The moment since when audit entries are sent once more, in Unix milliseconds: another server
    /// may have stored one later than one that it made later.
    fn audit_from_ms(&self) -> Option<i64> {
        let (moment, _) = self.audit.as_deref().map(|id| id.split_once('-').unwrap_or((id, "")))?;
        Some(moment.parse::<i64>().ok()?.saturating_sub(AUDIT_LATE_MS))
    }
}

/// How far a stream is, and what its reader has missed before.
struct Resumed {
    messages: Vec<Message>,
    /// The number of the last event.
    event: i64,
    /// The id of the last audit entry, or the moment when the stream began.
    audit: String,
    /// The audit entries that `messages` has.
    seen: HashSet<String>,
}

impl Resumed {
    fn nothing(event: i64, now_ms: i64) -> Self {
        let audit = format!("{now_ms:013}");
        Self { messages: Vec::new(), event, audit, seen: HashSet::new() }
    }

    /// What came behind `last`, up to the event with the number `until`.
    async fn read(app: &App, last: LastSeen, until: i64) -> Result<Self, Error> {
        let database = &app.inventory.database;
        let audit_from_ms = match last.audit_from_ms() {
            Some(from_ms) => from_ms,
            None => {
                let before = Some(last.event.saturating_add(1));
                let query = EventPageQuery { before, limit: 1, ..EventPageQuery::default() };
                let event = database.page_events(&query).await?.pop();
                event.map_or(0, |stored| stored.event.at_ms - AUDIT_LATE_MS)
            }
        };
        // One of an inventory that was restored, or of a version whose ids were moments.
        let is_foreign = last.event > until;
        let after = if is_foreign { until } else { last.event };
        let first = after.max(until.saturating_sub(i64::from(MAX_RESUMED)));
        let events = database.list_events_between(first, until, MAX_RESUMED).await?;
        let query = AuditQuery {
            from_ms: Some(audit_from_ms),
            limit: MAX_RESUMED,
            ..AuditQuery::default()
        };
        let audit = database.page_audit(&query).await?;

        let mut resumed = Self::nothing(after, audit_from_ms.max(0));
        resumed.audit = last.audit.unwrap_or(resumed.audit);
        resumed.messages.push(message("revision", &app.inventory.snapshot().revision));
        if first > after || is_foreign {
            resumed.messages.push(message("missed", &"older events are in GET /api/v1/events"));
        }
        for event in events {
            let message = resumed.event(event.into());
            resumed.messages.push(message);
        }
        resumed.event = until;
        for entry in audit.into_iter().rev() {
            let id = entry.id.clone();
            let message = resumed.audit(entry);
            resumed.messages.extend(message);
            resumed.seen.insert(id);
        }
        Ok(resumed)
    }

    fn event(&mut self, event: FollowedEvent) -> Message {
        let number = event.number;
        self.event = number.unwrap_or(self.event);
        let shown = message("event", &EventItem::from(event));
        if number.is_some() { shown.id(self.id()) } else { shown }
    }

    fn audit(&mut self, entry: StoredAuditEntry) -> Option<Message> {
        if self.seen.remove(&entry.id) {
            return None;
        }
        if entry.id > self.audit {
            self.audit.clone_from(&entry.id);
        }
        Some(message("audit", &AuditItem::from(entry)).id(self.id()))
    }

    /// The id of a message: a reader can go on behind it.
    fn id(&self) -> String {
        format!("{}.{}", self.event, self.audit)
    }
}

fn message<T: Serialize>(kind: &str, value: &T) -> Message {
    Message::default().event(kind).data(serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_message_is_read() {
        let id = "1700000000000-0123456789abcdef";
        let cases = [
            ("0", Some((0, None, None))),
            ("57", Some((57, None, None))),
            ("57.1700000000000", Some((57, Some("1700000000000"), Some(1_699_999_985_000)))),
            (&format!("57.{id}"), Some((57, Some(id), Some(1_699_999_985_000)))),
            ("", None),
            ("x", None),
            ("-1", None),
            ("57.", None),
            ("57.x", None),
            ("57.1700000000000-x", None),
        ];
        for (text, expected) in cases {
            let found = LastSeen::parse(text);
            let found =
                found.as_ref().map(|it| (it.event, it.audit.as_deref(), it.audit_from_ms()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
