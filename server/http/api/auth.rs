//! Who asks: a program that bears a token.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;

use super::error::Error;
use crate::app::App;

/// Who asks, for the audit trail; behind [`require_token`] every handler may have it.
#[derive(Clone, Debug)]
pub struct Program {
    /// `token NAME`.
    pub who: String,
}

/// Lets a request pass whose token allows it.
pub async fn require_token(
    State(app): State<App>,
    authorization: Option<TypedHeader<Authorization<Bearer>>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let TypedHeader(authorization) = authorization.ok_or(Error::NoToken)?;
    let token = app.inventory.database.find_token(authorization.token()).await?;
    let token = token.ok_or(Error::NoToken)?;
    if !request.method().is_safe() && !token.may_change {
        return Err(Error::MayNotChange(token.name));
    }
    request.extensions_mut().insert(Program { who: format!("token {}", token.name) });
    Ok(next.run(request).await)
}
