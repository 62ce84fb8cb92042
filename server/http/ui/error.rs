//! The errors of a page, each with one status, shown as a page.

use askama::Template;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

use super::guard;
use crate::causes::WithCauses;
use crate::http::api::{self, Explanation};
use crate::images::{AddError, ReceiveError};
use crate::inventory;
use crate::model::{OutsideLimits, Role};

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The URL names something that does not exist.
    #[error("{what} \"{name}\" does not exist")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// The name, as requested.
        name: String,
    },
    /// The page is there, and does not take this method.
    #[error("{path} does not take {method}: open it by a link, or send its form")]
    Method {
        /// The page.
        path: String,
        /// What was sent.
        method: Method,
    },
    /// The form or query cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The form lacks the token of its session.
    #[error("this form has expired; reload the page and try again")]
    Csrf,
    /// Another site's page sent the form.
    #[error("refused: this form was sent by a page of another site")]
    Foreign,
    /// The user's role does not allow it.
    #[error(
        "this needs the role {needs}, and you have the role {has}; an admin can change that under Users"
    )]
    Role {
        /// The user's.
        has: Role,
        /// The least that is needed.
        needs: Role,
    },
    /// The user's limits do not allow it.
    #[error("{0}; an admin can change your limits under Users")]
    Outside(#[from] OutsideLimits),
    /// The Host header is not ours.
    #[error(
        "\"{0}\" is not a name of this server; open it as http://localhost or by its address, or \
         add the name to admin_names in rackstrap.toml"
    )]
    WrongHost(String),
    /// The path and query are longer than any of ours.
    #[error("the URL has {0} bytes; at most {max} are allowed", max = guard::URI_BYTES)]
    UriTooLong(usize),
    /// The header fields are larger than any browser sends.
    #[error("the request's header fields have {0} bytes; at most {max} are allowed", max = guard::HEADER_BYTES)]
    HeadersTooLarge(usize),
    /// Something was changed meanwhile in a way that the request cannot know of.
    #[error("{0}")]
    Conflict(String),
    /// What was kept for a while is not there any more.
    #[error("{0}")]
    Gone(String),
    /// A file was not stored.
    #[error("{0}")]
    Upload(ReceiveError),
    /// The database failed.
    #[error("the database failed; see the log of the server")]
    Database(#[from] inventory::Error),
    /// The session could not be read or written.
    #[error("cannot store the session; see the log of the server")]
    Session(#[from] tower_sessions::session::Error),
    /// A bug.
    #[error("internal error; see the log of the server")]
    Internal(String),
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<AddError> for Error {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Receive(error) => Self::Upload(error),
            AddError::Inventory(error) => Self::Database(error),
        }
    }
}

impl From<ReceiveError> for Error {
    fn from(error: ReceiveError) -> Self {
        Self::Upload(error)
    }
}

impl Error {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Csrf | Self::Foreign | Self::Role { .. } | Self::Outside(_) => {
                StatusCode::FORBIDDEN
            }
            Self::WrongHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone(_) => StatusCode::GONE,
            Self::Upload(error) => api::status_of_upload(error),
            Self::Database(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Session(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: StatusCode,
    message: &'a str,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %WithCauses(&self), "page failed");
        }
        let message = self.to_string();
        let mut response = error_page(status, &message);
        response.extensions_mut().insert(Explanation(message));
        response
    }
}

fn error_page(status: StatusCode, message: &str) -> Response {
    match (ErrorPage { status, message }).render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => {
            (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], message.to_owned())
                .into_response()
        }
    }
}

/// The response to a URL without a route.
pub(crate) async fn no_such_page(uri: Uri) -> Error {
    Error::NotFound { what: "page", name: uri.path().to_owned() }
}

/// The response to a method that a page does not take.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Error {
    Error::Method { path: uri.path().to_owned(), method }
}

/// The response when a handler panics.
pub(crate) fn after_panic(_panic: Box<dyn std::any::Any + Send>) -> Response {
    Error::Internal("a handler panicked".into()).into_response()
}
