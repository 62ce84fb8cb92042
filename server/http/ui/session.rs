//! Sessions: cookie, user and CSRF token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng;
use serde::{Deserialize, Serialize};
use time::Duration;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use super::error::Error;
use super::page::Frame;
use super::state::{Ui, now_ms};
use super::theme::Theme;
use crate::inventory::{Account, Change, InstallRequest, SessionStore, shown_id};
use crate::lifecycle::audit::{Author, Entrance, Origin};
use crate::lifecycle::install::InstallTask;
use crate::model::{Limits, Role};

const LOGIN: &str = "login";
const NOTICE: &str = "notice";
const HALF_LOGIN: &str = "half-login";
/// How long a code may be waited for.
const HALF_LOGIN_MS: i64 = 10 * 60 * 1000;
/// How often a session in use is renewed so that it does not expire. Renewing with every request
/// would cost a commit each.
const RENEW_MS: i64 = 10 * 60 * 1000;

/// What the next page says of the last action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub text: String,
    /// The revision that it made, where the page is not that of the revision.
    pub revision: Option<i64>,
}

impl From<String> for Notice {
    fn from(text: String) -> Self {
        Self { text, revision: None }
    }
}

/// What a session knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Login {
    user: String,
    csrf: String,
    /// When it began, and where from: [`UserSession`](crate::inventory::UserSession) shows it.
    began_ms: i64,
    address: Option<IpAddr>,
    renewed_ms: i64,
    /// The mark of the password that was given ([`Account`](crate::inventory::Account)).
    password_mark: String,
}

/// The logged-in user, for handlers behind `require_login`.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// The user's name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Which hosts the user may change; all of these hold.
    pub limits: Arc<[Limits]>,
    /// Where the browser is.
    pub origin: Origin,
    /// The session's CSRF token.
    pub csrf: String,
    /// The colours that the browser has chosen.
    pub theme: Theme,
    session: Session,
}

impl Operator {
    /// The user, for the audit log.
    pub(crate) fn author(&self) -> Author<'_> {
        Author { who: &self.name, origin: self.origin }
    }

    /// A change of the user's.
    pub(crate) fn change<'a>(&'a self, summary: &'a str) -> Change<'a> {
        Change::by(self.author(), &self.limits, summary)
    }

    /// The user arms a host, or calls that off.
    pub(crate) fn install<'a>(&'a self, host: &'a str, task: InstallTask) -> InstallRequest<'a> {
        let (author, limits) = (self.author(), &*self.limits);
        InstallRequest { host, author, limits, task, dry_run: false }
    }

    /// The frame of a page, with the pending notice, which is then removed.
    pub(crate) async fn frame(&self, section: &'static str) -> Result<Frame, Error> {
        let notice = self.session.remove_value(NOTICE).await?;
        // One of an older server was a text.
        let notice = notice.and_then(|value| match value {
            serde_json::Value::String(text) => Some(Notice::from(text)),
            value => serde_json::from_value(value).ok(),
        });
        let (user, role, csrf) = (self.name.clone(), self.role, self.csrf.clone());
        let (limits, outside) = (self.limits.clone(), None);
        Ok(Frame { section, user, role, limits, outside, csrf, theme: self.theme, notice })
    }

    /// Sets the notice of the next page.
    pub(crate) async fn notify(&self, notice: impl Into<Notice>) -> Result<(), Error> {
        Ok(self.session.insert(NOTICE, notice.into()).await?)
    }

    /// Keeps this session after its user's password was changed, which ends all others.
    pub(crate) async fn keep(&self, password_mark: String) -> Result<(), Error> {
        if let Some(login) = self.session.get::<Login>(LOGIN).await? {
            self.session.insert(LOGIN, Login { password_mark, ..login }).await?;
        }
        Ok(())
    }

    /// The session, as lists of sessions show it.
    pub(crate) fn session_id(&self) -> Option<String> {
        self.session.id().as_ref().map(shown_id)
    }

    /// Ends the session.
    pub(crate) async fn leave(&self) -> Result<(), Error> {
        Ok(self.session.flush().await?)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let operator = parts.extensions.get::<Self>().cloned();
        operator.ok_or_else(|| Error::Internal("a page without login asks for the user".into()))
    }
}

/// Where a browser is, as far as the listener says.
pub(crate) fn origin(extensions: &Extensions) -> Origin {
    let connection = extensions.get::<ConnectInfo<SocketAddr>>();
    let address = connection.map(|ConnectInfo(address)| address.ip().to_canonical());
    Origin { via: Entrance::Web, address }
}

/// The session layer: cookie and store.
pub(crate) fn layer(ui: &Ui) -> SessionManagerLayer<SessionStore> {
    let store = SessionStore::new(ui.app.inventory.database.clone());
    let unused = Duration::hours(i64::from(ui.app.config.now().session_hours));
    SessionManagerLayer::new(store)
        .with_name("rackstrap")
        .with_http_only(true)
        .with_same_site(SameSite::Strict)
        // The listener speaks plain HTTP; SameSite and HttpOnly work behind a TLS proxy, too.
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(unused))
}

/// A user whose password was right and who has not given a code yet. A session that has only this is
/// no login.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HalfLogin {
    pub user: String,
    /// The mark of the password that was given ([`Account`](crate::inventory::Account)).
    pub password_mark: String,
    /// The form's CSRF token.
    pub token: String,
    /// Where the login leads.
    pub then: String,
    pub at_ms: i64,
}

impl HalfLogin {
    /// The one of a session, unless it is too old.
    pub(crate) async fn of(session: &Session) -> Result<Option<Self>, Error> {
        let half: Option<Self> = session.get(HALF_LOGIN).await?;
        Ok(half.filter(|half| now_ms() - half.at_ms < HALF_LOGIN_MS))
    }

    /// Puts it into a session with a new identifier, in place of any login.
    pub(crate) async fn keep(self, session: &Session) -> Result<(), Error> {
        session.flush().await?;
        Ok(session.insert(HALF_LOGIN, self).await?)
    }

    /// Takes it out of a session.
    pub(crate) async fn forget(session: &Session) -> Result<(), Error> {
        session.remove_value(HALF_LOGIN).await?;
        Ok(())
    }
}

/// Starts a session for a user whose password was right.
pub(crate) async fn begin(
    session: &Session,
    author: &Author<'_>,
    password_mark: String,
) -> Result<(), Error> {
    // A new identifier, against session fixation.
    session.cycle_id().await?;
    let (user, address, now) = (author.who.to_owned(), author.origin.address, now_ms());
    let csrf = random_token();
    let login = Login { user, csrf, began_ms: now, address, renewed_ms: now, password_mark };
    Ok(session.insert(LOGIN, login).await?)
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_token() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// Redirects requests without a login to the login page.
pub(crate) async fn require_login(
    State(ui): State<Ui>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let login: Option<Login> = session.get(LOGIN).await?;
    let Some(mut login) = login else {
        return Ok(to_login(request.method(), request.uri()).into_response());
    };
    let account = ui.app.inventory.database.find_account(&login.user).await?;
    // The user was removed or disabled, or the password changed since.
    let Some(Account { role, limits, .. }) =
        account.filter(|account| account.password_mark == login.password_mark)
    else {
        session.flush().await?;
        return Ok(to_login(&Method::GET, request.uri()).into_response());
    };
    let now = now_ms();
    if now - login.renewed_ms > RENEW_MS {
        login.renewed_ms = now;
        session.insert(LOGIN, login.clone()).await?;
    }
    let origin = origin(request.extensions());
    let limits = (!limits.is_empty()).then_some(limits).into_iter().collect();
    let (csrf, theme) = (login.csrf, Theme::of(request.headers()));
    let operator = Operator { name: login.user, role, limits, origin, csrf, theme, session };
    request.extensions_mut().insert(operator);
    request.extensions_mut().insert(ui);
    Ok(next.run(request).await)
}

/// The login page, which redirects back to the requested page.
fn to_login(method: &Method, uri: &Uri) -> Redirect {
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    if method != Method::GET || wanted == "/" || wanted.starts_with("/live") {
        return Redirect::to("/login");
    }
    Redirect::to(&format!("/login?then={}", utf8_percent_encode(wanted, NON_ALPHANUMERIC)))
}
