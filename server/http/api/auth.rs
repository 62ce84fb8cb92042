//! Authentication: a program shows its token.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;

use super::problem::Error;
use crate::app::App;
use crate::lifecycle::audit::{Action, Author, Entrance, Origin};

/// The program that sends a request; every handler behind [`require_token`] can extract it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// `token NAME`, for the audit log.
    pub(super) who: String,
    /// Where it is.
    pub(super) origin: Origin,
}

impl Program {
    /// The program, for the audit log.
    pub(super) fn author(&self) -> Author<'_> {
        Author { who: &self.who, origin: self.origin }
    }
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
        app.inventory.audit(author, Action::TokenRefused).await;
        return Err(Error::NoToken);
    };
    let program = Program { who: format!("token {}", token.name), origin };
    if !request.method().is_safe() && !token.may_change {
        let action = Action::TokenReadOnly { token: token.name.clone() };
        app.inventory.audit(program.author(), action).await;
        return Err(Error::MayNotChange(token.name));
    }
    app.inventory.audit(program.author(), Action::TokenUsed { token: token.name }).await;
    request.extensions_mut().insert(program);
    Ok(next.run(request).await)
}
