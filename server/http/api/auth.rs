//! Authentication: a program shows its token.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;

use super::problem::Error;
use crate::app::App;

/// The program that sends a request; every handler behind [`require_token`] can extract it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// `token NAME`, for the audit log.
    pub(super) who: String,
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
    let token = token.ok_or(Error::NoToken)?;
    if !request.method().is_safe() && !token.may_change {
        return Err(Error::MayNotChange(token.name));
    }
    request.extensions_mut().insert(Program { who: format!("token {}", token.name) });
    Ok(next.run(request).await)
}
