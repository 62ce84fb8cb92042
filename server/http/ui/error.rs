//! What a page can fail with; each failure has one status and reads as a page.

use askama::Template;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::api::Explanation;
use crate::inventory;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names something that is not there.
    #[error("there is no {what} \"{name}\"")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// Its name, as given.
        name: String,
    },
    /// The form or query cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The form lacks the token of its session.
    #[error("this form is too old or was not made by this page; open the page again and repeat")]
    Csrf,
    /// Another site's page sent the form.
    #[error("this form was sent by a page of another site, so nothing was changed")]
    Foreign,
    /// The Host header is not ours.
    #[error(
        "\"{0}\" is not a name of this server; open it as http://localhost, by its address, or \
         add the name to admin_names in rackstrap.toml"
    )]
    WrongHost(String),
    /// Something was changed meanwhile in a way that the request cannot know of.
    #[error("{0}")]
    Conflict(String),
    /// The database failed.
    #[error("the inventory database does not answer; the server's log says why")]
    Database(#[from] inventory::Error),
    /// The session could not be read or written.
    #[error("the session cannot be kept; the server's log says why")]
    Session(#[from] tower_sessions::session::Error),
    /// Our own mistake.
    #[error("this page could not be made; the server's log says why")]
    Internal(String),
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Csrf | Self::Foreign => StatusCode::FORBIDDEN,
            Self::WrongHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
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
            tracing::error!(error = ?self, "page failed");
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

/// The answer to every URL that no route has.
pub async fn no_such_page(uri: Uri) -> Error {
    Error::NotFound { what: "page", name: uri.path().to_owned() }
}

/// The answer when a handler panicked: the server goes on.
pub fn after_panic(_panic: Box<dyn std::any::Any + Send>) -> Response {
    Error::Internal("a handler panicked".into()).into_response()
}
