//! A successful response: a status, headers and a JSON body.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, Operation};
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::page::Page;
use super::precondition::Preconditions;
use super::problem::Error;

/// A response with a `T` as JSON.
pub(super) struct ApiResponse<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<T>,
}

impl<T> ApiResponse<T> {
    pub(super) fn new(body: T) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body: Some(body) }
    }

    /// The current state of something with an entity tag; 304 without a body if the reader has
    /// it already.
    pub(super) fn current(preconditions: &Preconditions, tag: &str, body: T) -> Self {
        let answer = Self::new(body).with(header::ETAG, tag);
        // An operator's token is in the request: for this reader alone, and asked for again.
        let mut answer = answer.with(header::CACHE_CONTROL, "private, no-cache");
        if preconditions.is_fresh(tag) {
            answer.status = StatusCode::NOT_MODIFIED;
            answer.body = None;
        }
        answer
    }

    /// The same with 201, and where the new entry is.
    pub(super) fn created(mut self, location: &str) -> Self {
        self.status = StatusCode::CREATED;
        self.with(header::LOCATION, location)
    }

    /// The same with these headers.
    pub(super) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl<T> From<Page<T>> for ApiResponse<Page<T>> {
    fn from(page: Page<T>) -> Self {
        let headers = page.headers();
        Self { headers, ..Self::new(page) }
    }
}

impl<T: Serialize> IntoResponse for ApiResponse<T> {
    fn into_response(self) -> Response {
        let Self { status, headers, body } = self;
        match body {
            Some(body) => (status, headers, Json(body)).into_response(),
            None => (status, headers).into_response(),
        }
    }
}

impl<T: JsonSchema> OperationOutput for ApiResponse<T> {
    type Inner = T;

    fn operation_response(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Option<openapi::Response> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        Json::<T>::inferred_responses(ctx, operation)
    }
}

/// Which failures an operation can have is said where its route is: see [`super::openapi`].
impl OperationOutput for Error {
    type Inner = Self;
}
