//! What a request can fail with, and the status and JSON that each failure gets.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::inventory::{self, ChangeError};
use crate::network::{FabricError, Finding, PreseedError, RenderError};
use crate::site_file::SiteFileError;

/// What a request can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or none of ours.
    #[error("a token is needed: Authorization: Bearer TOKEN (make one: rackstrap token add NAME)")]
    NoToken,
    /// The token may only read.
    #[error("token \"{0}\" may read and not change (rackstrap token add NAME --may-change)")]
    MayNotChange(String),
    /// There is nothing of that name.
    #[error("there is no {noun} \"{name}\"{hint}")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// Its name.
        name: String,
        /// The nearest name there is, as a sentence's end.
        hint: String,
    },
    /// A query or path that says nothing.
    #[error("{0}")]
    BadRequest(String),
    /// The body does not read as what it should be.
    #[error("the body is refused")]
    Body(Vec<SiteFileError>),
    /// The rules refuse the change.
    #[error("the rules refuse the change")]
    Refused(Vec<Finding>),
    /// The change does not fit what there is now.
    #[error("{0}")]
    Conflict(String),
    /// The host cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The hosts are no MicroCloud, or are not told enough.
    #[error(transparent)]
    Preseed(#[from] PreseedError),
    /// The switch cannot be rendered.
    #[error(transparent)]
    Fabric(#[from] FabricError),
    /// The database refused or is gone.
    #[error("the inventory database failed")]
    Inventory(#[from] inventory::Error),
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(findings) => Self::Refused(findings),
            ChangeError::Inventory(error) => Self::Inventory(error),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::MayNotChange(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. }
            | Self::Render(RenderError::UnknownHost { .. })
            | Self::Fabric(FabricError::UnknownSwitch { .. }) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) | Self::Body(_) | Self::Preseed(PreseedError::InvalidRange(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Refused(_) | Self::Render(_) | Self::Preseed(_) | Self::Fabric(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Inventory(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = ?self, "API request failed");
        }
        let mut body = json!({"error": self.to_string()});
        match &self {
            Self::Body(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                body["errors"] = json!(lines);
            }
            Self::Refused(findings) => body["findings"] = json!(findings),
            _ => {}
        }
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// The answer to a path that is none of ours.
pub async fn no_such_route() -> Error {
    Error::NotFound {
        noun: "route",
        name: "this path".into(),
        hint: "; /api/v1/openapi.json lists them all".into(),
    }
}
