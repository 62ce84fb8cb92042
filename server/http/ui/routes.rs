//! Routes, each with the role that it needs: there is no way to add one without.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;

use super::error::Error;
use super::session::Operator;
use super::state::Ui;
use crate::http::api::without_hashes;
use crate::lifecycle::audit::AuditAction;
use crate::model::Role;

/// The roles that the methods of a route need; none for a method that it does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    get: Option<Role>,
    post: Option<Role>,
}

/// A page for everybody who is logged in.
pub(super) const VIEW: Needs = Needs { get: Some(Role::Viewer), post: None };
/// What a user does with what is the user's own.
pub(super) const OWN: Needs = Needs { get: None, post: Some(Role::Viewer) };
/// The same, with a question before.
pub(super) const ASK_OWN: Needs = Needs { get: Some(Role::Viewer), post: Some(Role::Viewer) };
/// A form that changes the inventory.
pub(super) const EDIT: Needs = Needs { get: Some(Role::Operator), post: Some(Role::Operator) };
/// A page that leads to a change.
pub(super) const PREPARE: Needs = Needs { get: Some(Role::Operator), post: None };
/// A change without a page of its own.
pub(super) const CHANGE: Needs = Needs { get: None, post: Some(Role::Operator) };
/// A page about users.
pub(super) const MANAGE: Needs = Needs { get: Some(Role::Admin), post: Some(Role::Admin) };
/// A page about one user.
pub(super) const MANAGE_VIEW: Needs = Needs { get: Some(Role::Admin), post: None };
/// A change of a user.
pub(super) const MANAGE_CHANGE: Needs = Needs { get: None, post: Some(Role::Admin) };

/// Which role a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteRule {
    /// The path, with names in braces.
    pub path: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The least role.
    pub role: Role,
}

/// Routes behind a login.
#[derive(Default)]
pub(super) struct Guarded {
    pub(super) router: Router<Ui>,
    pub(super) rules: Vec<RouteRule>,
}

impl Guarded {
    /// Adds a route.
    pub(super) fn route(
        mut self,
        path: &'static str,
        needs: Needs,
        methods: MethodRouter<Ui>,
    ) -> Self {
        let rule = |method, role: Option<Role>| role.map(|role| RouteRule { path, method, role });
        self.rules.extend(rule("GET", needs.get));
        self.rules.extend(rule("POST", needs.post));
        let check = from_fn(move |request: Request, next: Next| check(needs, request, next));
        self.router = self.router.route(path, methods.route_layer(check));
        self
    }

    /// Adds the routes of another part.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.rules.extend(other.rules);
        self
    }
}

/// Lets a request pass whose user has the role.
async fn check(needs: Needs, request: Request, next: Next) -> Result<Response, Error> {
    let is_safe = request.method().is_safe();
    // A method that is not in the table is nobody's.
    let Some(needs) = (if is_safe { needs.get } else { needs.post }) else {
        return Err(Error::Internal(format!("{} has no role", request.uri().path())));
    };
    let missing = || Error::Internal("a page without login asks for the user".into());
    let operator = request.extensions().get::<Operator>().ok_or_else(missing)?;
    if operator.role >= needs {
        let may_change = operator.role >= Role::Operator;
        let response = next.run(request).await;
        return Ok(if may_change { response } else { without_hashes(response).await });
    }
    let ui = request.extensions().get::<Ui>().ok_or_else(missing)?;
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let action = AuditAction::Forbidden { path: path.to_owned(), needs };
    ui.app.inventory.audit(operator.author(), action).await;
    Err(Error::Role { has: operator.role, needs })
}
