//! Authentication: a program shows its token.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;

use super::problem::Error;
use crate::app::App;
use crate::inventory::{Change, InstallRequest};
use crate::lifecycle::audit::{AuditAction, Author, Entrance, Origin};
use crate::lifecycle::install::InstallTask;
use crate::model::{Limits, Role, hide_password_hashes};

/// The program that sends a request; every handler behind [`require_token`] can extract it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// `token NAME`, for the audit log.
    pub(super) who: String,
    /// Where it is.
    pub(super) origin: Origin,
    /// Which hosts it may change; all of these hold.
    pub(super) limits: Arc<[Limits]>,
}

impl Program {
    /// The program, for the audit log.
    pub(super) fn author(&self) -> Author<'_> {
        Author { who: &self.who, origin: self.origin }
    }

    /// A change of the program's.
    pub(super) fn change<'a>(&'a self, summary: &'a str) -> Change<'a> {
        Change::by(self.author(), &self.limits, summary)
    }

    /// The program arms a host, or calls that off.
    pub(super) fn install<'a>(
        &'a self,
        host: &'a str,
        task: InstallTask,
        dry_run: bool,
    ) -> InstallRequest<'a> {
        InstallRequest { host, author: self.author(), limits: &self.limits, task, dry_run }
    }
}

/// The role that a token needs for a request.
pub(crate) fn needs(method: &Method) -> Role {
    if method.is_safe() { Role::Viewer } else { Role::Operator }
}

/// Whether a request changes what all hosts share, so that no token with limits may send it. What
/// may change hosts is decided for each of them.
pub(crate) fn is_shared(method: &Method, path: &str) -> bool {
    const OF_HOSTS: [&str; 5] = ["hosts", "installs", "leases", "revisions", "site"];
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let section = path.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    !method.is_safe() && !OF_HOSTS.contains(&section)
}

/// Lets a request pass whose token allows it.
pub(super) async fn require_token(
    State(app): State<App>,
    authorization: Result<
        TypedHeader<Authorization<Bearer>>,
        axum_extra::typed_header::TypedHeaderRejection,
    >,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let TypedHeader(authorization) = authorization.map_err(|_| Error::NoToken)?;
    let token = app.inventory.database.find_token(authorization.token()).await?;
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = connection.map(|ConnectInfo(address)| address.ip().to_canonical());
    let origin = Origin { via: Entrance::Api, address };
    let Some(token) = token else {
        let author = Author { who: "unknown token", origin };
        app.inventory.audit(author, AuditAction::TokenRefused).await;
        return Err(Error::NoToken);
    };
    let limits = token.all_limits().into();
    let program = Program { who: format!("token {}", token.name), origin, limits };
    if token.role < needs(request.method()) {
        let action = AuditAction::TokenReadOnly { token: token.name.clone() };
        app.inventory.audit(program.author(), action).await;
        return Err(Error::MayNotChange(token.name));
    }
    if is_shared(request.method(), request.uri().path()) {
        let path = request.uri().path();
        let (author, limits) = (program.author(), &program.limits);
        app.inventory.check_shared(author, limits, "path", path).await?;
    }
    app.inventory.database.note_use(&token).await?;
    app.inventory.audit(program.author(), AuditAction::TokenUsed { token: token.name }).await;
    request.extensions_mut().insert(program);
    let response = next.run(request).await;
    Ok(if token.may_change { response } else { without_hashes(response).await })
}

/// A response for somebody who may not change the password of hosts, and so not read its hash,
/// which could be guessed. A stream of events has none.
pub(crate) async fn without_hashes(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_none_or(|kind| kind.starts_with(b"text/event-stream")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = String::from_utf8_lossy(&bytes);
    match hide_password_hashes(&text) {
        Cow::Borrowed(_) => Response::from_parts(parts, Body::from(bytes)),
        Cow::Owned(shown) => {
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(shown))
        }
    }
}
