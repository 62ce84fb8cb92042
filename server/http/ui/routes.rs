//! Routes, each with the role that it needs: there is no way to add one without.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;

use super::error::Error;
use super::session::Operator;
use super::state::Ui;
use crate::http::api::without_hashes;
use crate::lifecycle::audit::AuditAction;
use crate::model::Role;

/// The form of a change may be kept by the browser that has it, and by nobody between: "Back" after its
/// review shows what was typed. All other pages are kept by nobody.
const FORM_CACHING: &str = "private, no-cache";

/// The roles that the methods of a route need; none for a method that it does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    get: Option<Role>,
    post: Option<Role>,
    /// Whether it changes what all hosts share, so that nobody with limits may.
    is_shared: bool,
}

impl Needs {
    const fn new(get: Option<Role>, post: Option<Role>) -> Self {
        Self { get, post, is_shared: false }
    }

    /// The same, for what all hosts share.
    const fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }
}

/// A page for everybody who is logged in.
pub(super) const VIEW: Needs = Needs::new(Some(Role::Viewer), None);
/// What a user does with what is the user's own.
pub(super) const OWN: Needs = Needs::new(None, Some(Role::Viewer));
/// The same, with a question before.
pub(super) const ASK_OWN: Needs = Needs::new(Some(Role::Viewer), Some(Role::Viewer));
/// A form that changes the inventory.
pub(super) const EDIT: Needs = Needs::new(Some(Role::Operator), Some(Role::Operator));
/// A page that leads to a change.
pub(super) const PREPARE: Needs = Needs::new(Some(Role::Operator), None);
/// A change without a page of its own.
pub(super) const CHANGE: Needs = Needs::new(None, Some(Role::Operator));
/// [`EDIT`] of what all hosts share.
pub(super) const EDIT_SHARED: Needs = EDIT.shared();
/// [`PREPARE`] for what all hosts share.
pub(super) const PREPARE_SHARED: Needs = PREPARE.shared();
/// [`CHANGE`] of what all hosts share.
pub(super) const CHANGE_SHARED: Needs = CHANGE.shared();
/// A page about users.
pub(super) const MANAGE: Needs = Needs::new(Some(Role::Admin), Some(Role::Admin));
/// A page about one user.
pub(super) const MANAGE_VIEW: Needs = Needs::new(Some(Role::Admin), None);
/// A change of a user.
pub(super) const MANAGE_CHANGE: Needs = Needs::new(None, Some(Role::Admin));

/// Which role a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteRule {
    /// The path, with names in braces.
    pub path: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The least role.
    pub role: Role,
    /// Whether it changes what all hosts share, so that nobody with limits may.
    pub is_shared: bool,
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
        let Needs { is_shared, .. } = needs;
        let rule = |method, role: Option<Role>| {
            role.map(|role| RouteRule { path, method, role, is_shared })
        };
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
    let Needs { is_shared, .. } = needs;
    let is_form = needs.get == Some(Role::Operator) && needs.post == Some(Role::Operator);
    let Some(needs) = (if is_safe { needs.get } else { needs.post }) else {
        return Err(Error::Internal(format!("{} has no role", request.uri().path())));
    };
    let missing = || Error::Internal("a page without login asks for the user".into());
    let operator = request.extensions().get::<Operator>().ok_or_else(missing)?;
    let ui = request.extensions().get::<Ui>().ok_or_else(missing)?;
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if operator.role >= needs {
        if is_shared {
            let (author, limits) = (operator.author(), &operator.limits);
            ui.app.inventory.check_shared(author, limits, "page", path).await?;
        }
        let may_change = operator.role >= Role::Operator;
        let mut response = next.run(request).await;
        if is_form && is_safe && response.status().is_success() {
            let caching = response.headers_mut().entry(header::CACHE_CONTROL);
            caching.or_insert(HeaderValue::from_static(FORM_CACHING));
        }
        return Ok(if may_change { response } else { without_hashes(response).await });
    }
    let action = AuditAction::Forbidden { path: path.to_owned(), needs };
    ui.app.inventory.audit(operator.author(), action).await;
    Err(Error::Role { has: operator.role, needs })
}
