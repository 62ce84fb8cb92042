//! What a request can fail with, and the problem document (RFC 9457) of each failure.

use std::collections::BTreeSet;
use std::fmt;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::image_files;
use crate::causes::WithCauses;
use crate::images::ReceiveError;
use crate::inventory::{self, ChangeError};
use crate::model::{Denied, Host, Location, MassRemoval, Noun, OutsideLimits};
use crate::network::{FabricError, Finding, PreseedError, RenderError};
use crate::site_file::SiteFileError;

/// The media type of a problem document.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// How many entries that use another one are named in a sentence.
const USERS_NAMED: usize = 5;

/// What a request can fail with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "no token: send Authorization: Bearer TOKEN (create one with rackstrap token add NAME)"
    )]
    NoToken,
    #[error("token \"{0}\" may read and not change (rackstrap token add NAME --role operator)")]
    MayNotChange(String),
    /// The token's limits do not allow it.
    #[error("{0}")]
    Outside(#[from] OutsideLimits),
    #[error("{noun} \"{name}\" does not exist{hint}")]
    NotFound {
        noun: &'static str,
        name: String,
        /// The nearest name there is, as a sentence's end.
        hint: String,
    },
    #[error("{0} is not a route; /api/v1/openapi.json lists all routes")]
    NoRoute(String),
    #[error("{method} is not allowed on {path}")]
    Method { method: String, path: String },
    /// The query, the path or a header cannot be read.
    #[error("{}", first(.0))]
    Request(Vec<Fault>),
    #[error("the body is of type \"{0}\"; send application/json or application/yaml")]
    ContentType(String),
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The body does not have the shape of its schema.
    #[error("the body does not match its schema: {}", first(.0))]
    Body(Vec<Fault>),
    /// The body has the right shape, but some of its values do not mean anything.
    #[error("the body has invalid values: {}", first(.0))]
    Values(Vec<Fault>),
    #[error("the change breaks rules: {}", first(.faults))]
    Refused { faults: Vec<Fault>, findings: Vec<Finding> },
    #[error("{0}")]
    Conflict(String),
    /// The change does not fit other entries: those that use what it removes, or have what it takes.
    #[error("{detail}")]
    InConflict { detail: String, faults: Vec<Fault>, places: Vec<Location>, findings: Vec<Finding> },
    #[error("{0}; repeat the request with ?prune=true if that is intended")]
    MassRemoval(MassRemoval),
    #[error("{0}")]
    Precondition(String),
    #[error("the size of the file is not known: send Content-Length")]
    NoLength,
    /// A file was not stored.
    #[error("{0}")]
    Receive(ReceiveError),
    #[error("this token has {0} streams open already; close one first")]
    TooManyStreams(usize),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Preseed(#[from] PreseedError),
    #[error(transparent)]
    Fabric(#[from] FabricError),
    #[error("the inventory database failed; the server's log says why")]
    Inventory(#[from] inventory::Error),
}

/// Whether a text is two IPv4 addresses with a hyphen between them, in any order.
fn is_range(text: &str) -> bool {
    let is_address = |text: &str| text.parse::<std::net::Ipv4Addr>().is_ok();
    text.split_once('-').is_some_and(|(from, to)| is_address(from) && is_address(to))
}

fn first(faults: &[Fault]) -> String {
    match faults {
        [] => "no details".to_owned(),
        [fault] => fault.to_string(),
        [fault, rest @ ..] => format!("{fault} (and {} more)", rest.len()),
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Fault {
    /// Where in the body: a JSON pointer (RFC 6901); empty for the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    /// Which parameter of the query or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    /// Which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<String>,
    /// Where in the site, when that is not in the body: keys joined by dots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// The line in a YAML body, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// The character in that line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    /// The rule that the change breaks, such as `N141`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<&'static str>,
    /// What is wrong, and what would be right.
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let parameter = Some(name.to_owned());
        Self { parameter, detail: detail.into(), ..Self::default() }
    }

    pub(super) fn header(name: &str, detail: impl Into<String>) -> Self {
        let header = Some(name.to_owned());
        Self { header, detail: detail.into(), ..Self::default() }
    }

    /// Something outside the limits; a host with its place in the site.
    fn denied(denied: &Denied) -> Self {
        let is_host = denied.noun == Host::NOUN;
        let path = is_host.then(|| Location::of::<Host>(denied.name.as_str()).path());
        Self { path, detail: denied.to_string(), ..Self::default() }
    }

    pub(super) fn pointer(pointer: &str, detail: impl Into<String>) -> Self {
        let pointer = Some(pointer.to_owned());
        Self { pointer, detail: detail.into(), ..Self::default() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.parameter.as_ref().or(self.header.as_ref()).or(self.path.as_ref());
        match place.or(self.pointer.as_ref()).map(String::as_str) {
            None | Some("") => f.write_str(&self.detail),
            Some(place) => write!(f, "{place}: {}", self.detail),
        }
    }
}

/// Turns what is wrong with a body into an error: of its shape if one is, else of its values.
pub(super) fn refuse_body(errors: &[SiteFileError], has_positions: bool) -> Error {
    let is_value = errors.iter().all(|error| error.is_value);
    // The first is what the title speaks of.
    let (shapes, values): (Vec<_>, Vec<_>) = errors.iter().partition(|error| !error.is_value);
    let faults = shapes.into_iter().chain(values).map(|error| Fault {
        pointer: Some(error.pointer.clone()),
        line: has_positions.then_some(error.position.line),
        column: has_positions.then_some(error.position.column),
        detail: error.message.clone(),
        ..Fault::default()
    });
    let faults = faults.collect();
    if is_value { Error::Values(faults) } else { Error::Body(faults) }
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Which kind of problem: a name that does not change.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in a few words.
    title: String,
    /// The status of the response.
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// The single things that are wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    errors: Vec<Fault>,
    /// The rules that the change breaks, each with its place and, where one is known, its fix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    findings: Vec<Finding>,
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(findings) => {
                let faults = findings.iter().map(|finding| Fault {
                    path: Some(finding.path()),
                    rule: Some(finding.rule),
                    detail: finding.text.clone(),
                    ..Fault::default()
                });
                Self::Refused { faults: faults.collect(), findings }
            }
            ChangeError::RackInUse { ref rack, ref used_by } => {
                let detail = |at: &Location| format!("{} {} is in rack {rack}", at.noun, at.name);
                Self::in_conflict(error.to_string(), used_by.clone(), detail)
            }
            ChangeError::ImageInUse { ref image, ref used_by } => {
                let detail = |at: &Location| format!("{} {} needs image {image}", at.noun, at.name);
                Self::in_conflict(error.to_string(), used_by.clone(), detail)
            }
            ChangeError::Taken(taken) => {
                let detail = taken.to_string();
                Self::in_conflict(detail.clone(), vec![taken.at], |_| detail.clone())
            }
            ChangeError::Inventory(error) => Self::Inventory(error),
            ChangeError::Denied(denied) => Self::Outside(denied),
            ChangeError::MassRemoval(removal) => Self::MassRemoval(removal),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl Error {
    /// A conflict with the entries at these places.
    pub(super) fn in_conflict(
        text: String,
        places: Vec<Location>,
        detail: impl Fn(&Location) -> String,
    ) -> Self {
        let fault =
            |at: &Location| Fault { path: Some(at.path()), detail: detail(at), ..Fault::default() };
        let faults = places.iter().map(fault).collect();
        Self::InConflict { detail: text, faults, places, findings: Vec::new() }
    }

    /// The same for the removal of an entry: what breaks rules then are the entries that use it.
    pub(super) fn of_removal<T: Noun>(self, name: &str) -> Self {
        let Self::Refused { faults, findings } = self else { return self };
        let users: BTreeSet<String> = findings
            .iter()
            .map(|finding| match finding.at.name.as_str() {
                "" => "the site".to_owned(),
                name => format!("{} {name}", finding.at.noun),
            })
            .collect();
        let more = users.len().saturating_sub(USERS_NAMED);
        let mut named: Vec<String> = users.into_iter().take(USERS_NAMED).collect();
        named.extend((more > 0).then(|| format!("{more} more")));
        let (noun, users, first) = (T::NOUN, named.join(", "), first(&faults));
        let detail = format!("{noun} \"{name}\" is in use by {users}: {first}");
        let places = findings.iter().map(|finding| finding.at.clone()).collect();
        Self::InConflict { detail, faults, places, findings }
    }

    /// The status, the last part of the type, and the title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no-token", "No valid token"),
            Self::MayNotChange(_) => (StatusCode::FORBIDDEN, "read-only", "Read-only token"),
            Self::Outside(_) => {
                (StatusCode::FORBIDDEN, "outside-limits", "Outside the token's limits")
            }
            Self::NotFound { .. }
            | Self::Render(RenderError::UnknownHost { .. })
            | Self::Fabric(FabricError::UnknownSwitch { .. }) => {
                (StatusCode::NOT_FOUND, "not-found", "Not found")
            }
            Self::NoRoute(_) => (StatusCode::NOT_FOUND, "no-route", "No such route"),
            Self::Method { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            // Two addresses in the wrong order have the right shape.
            Self::Preseed(PreseedError::InvalidRange(text)) if is_range(text) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-values", "Invalid values")
            }
            Self::Request(_) | Self::Preseed(PreseedError::InvalidRange(_)) => {
                (StatusCode::BAD_REQUEST, "invalid-request", "Invalid request")
            }
            Self::ContentType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "Unsupported content type")
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "invalid-body", "Invalid body"),
            Self::Values(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-values", "Invalid values")
            }
            Self::Refused { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "rules", "The change breaks rules")
            }
            Self::Render(_) | Self::Preseed(_) | Self::Fabric(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "not-renderable", "Cannot be generated")
            }
            Self::Conflict(_) | Self::InConflict { .. } => {
                (StatusCode::CONFLICT, "conflict", "Conflict")
            }
            Self::MassRemoval(_) => {
                (StatusCode::CONFLICT, "mass-removal", "Most of the inventory would be deleted")
            }
            Self::Precondition(_) => {
                (StatusCode::PRECONDITION_FAILED, "precondition", "Precondition failed")
            }
            Self::NoLength => (StatusCode::LENGTH_REQUIRED, "no-length", "Length required"),
            Self::Receive(error) => image_files::kind_of(error),
            Self::TooManyStreams(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-streams", "Too many streams")
            }
            Self::Inventory(error) if error.is_unavailable() => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The database does not answer")
            }
            Self::Inventory(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.kind();
        if status.is_server_error() {
            tracing::error!(error = %WithCauses(&self), "API request failed");
        }
        let detail = self.to_string();
        let (errors, findings) = match self {
            Self::Request(faults) | Self::Body(faults) | Self::Values(faults) => {
                (faults, Vec::new())
            }
            Self::Outside(OutsideLimits(denied)) => {
                (denied.iter().map(Fault::denied).collect(), Vec::new())
            }
            Self::Refused { faults, findings } | Self::InConflict { faults, findings, .. } => {
                (faults, findings)
            }
            _ => (Vec::new(), Vec::new()),
        };
        let (kind, title) = (kind.to_owned(), title.to_owned());
        let mut response =
            Problem { kind, title, status: 0, detail, errors, findings }.respond(status);
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl Problem {
    fn respond(mut self, status: StatusCode) -> Response {
        self.kind = format!("urn:rackstrap:problem:{}", self.kind);
        self.status = status.as_u16();
        let mut response = (status, Json(self)).into_response();
        let media_type = HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

/// What a response of another room of [`crate::http`] is about, for its problem document.
#[derive(Clone, Debug)]
pub(crate) struct Explanation(pub(crate) String);

/// Turns every failure below `/api/` that no handler has described into a problem document: the
/// guard's refusals and a panic.
pub(crate) async fn describe_failures(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    if !is_api || !is_failure || media_type.is_some_and(|value| value == PROBLEM_JSON) {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("Error").to_owned();
    let detail = response.extensions().get::<Explanation>().map(|found| found.0.clone());
    let problem = Problem {
        kind: status.as_u16().to_string(),
        detail: detail.unwrap_or_else(|| title.clone()),
        title,
        status: 0,
        errors: Vec::new(),
        findings: Vec::new(),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let (described, body) = problem.respond(status).into_parts();
    parts.headers.extend(described.headers);
    Response::from_parts(parts, Body::new(body))
}

/// The answer to a path that no route has.
pub(super) async fn no_such_route(OriginalUri(uri): OriginalUri) -> Error {
    Error::NoRoute(uri.path().to_owned())
}

/// The answer to a method that a route does not have; `Allow` names those that it has.
pub(super) async fn no_such_method(OriginalUri(uri): OriginalUri, request: Request) -> Error {
    let (method, path) = (request.method().to_string(), uri.path().to_owned());
    Error::Method { method, path }
}
