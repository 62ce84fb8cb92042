//! Logging in by an OpenID Connect provider: the authorization code flow with PKCE.

mod answer;
mod claims;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod pending;
mod provider;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use tower_sessions::Session;

use super::error::Error;
use super::guard::authority;
use super::login::{LoginPage, LoginQuery, log_in, login_page, own_path};
use super::page::Page;
use super::proxy::Transport;
use super::query::UrlQuery;
use super::session::origin;
use super::state::{Ui, now_ms};
use crate::config::{Config, OidcIssuer};
use crate::inventory::{IdentityError, ProvidedUser, SecretError};
use crate::lifecycle::audit::{AuditAction, Author, Origin, ProviderRefusal};
use answer::{Answer, AnswerResult, shown};
use pending::{CookieError, PendingLogin};
pub(crate) use provider::Provider;
use provider::ProviderError;

/// Where the provider sends the browser back to.
const CALLBACK: &str = "/login/oidc/callback";

/// What the button of the login page says.
pub(crate) fn button(config: &Config) -> Option<String> {
    let issuer = config.oidc_issuer.as_ref()?;
    let name = if config.oidc_name.is_empty() { issuer.host() } else { &config.oidc_name };
    Some(name.to_owned())
}

fn issuer(config: &Config) -> Result<&OidcIssuer, Error> {
    let missing = || Error::NotFound { what: "page", name: "/login/oidc".into() };
    config.oidc_issuer.as_ref().ok_or_else(missing)
}

/// Why somebody is not logged in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "This login was started in another browser or tab, or more than 10 minutes ago. Start again."
    )]
    NotBegun,
    #[error("The answer of the provider cannot be read: {0}. Start again.")]
    Unreadable(#[from] answer::BadAnswer),
    #[error("This login was completed before. Start again.")]
    Replayed,
    #[error("Too many logins from your address failed: try again in {seconds} s.")]
    TooSoon { seconds: i64 },
    #[error("The provider refused the login: {0}")]
    Denied(String),
    #[error("{0}")]
    Provider(#[from] ProviderError),
    #[error(
        "The provider sent no name: the claim \"{0}\" (oidc_name_claim) is missing or not a text."
    )]
    NoName(String),
    #[error(
        "None of the groups of \"{0}\" may log in here (oidc_admins, oidc_operators, oidc_viewers)."
    )]
    NoGroup(String),
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Key(#[from] SecretError),
    #[error(transparent)]
    Page(#[from] Error),
}

impl From<crate::inventory::Error> for Refusal {
    fn from(error: crate::inventory::Error) -> Self {
        Self::Page(error.into())
    }
}

impl From<CookieError> for Refusal {
    fn from(error: CookieError) -> Self {
        match error {
            CookieError::Key(error) => Self::Key(error),
            CookieError::Other(error) => Self::Page(error),
        }
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotBegun | Self::Unreadable(_) | Self::Replayed => StatusCode::BAD_REQUEST,
            Self::TooSoon { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Provider(ProviderError::Busy) | Self::Key(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Provider(ProviderError::Secret { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Provider(
                ProviderError::Unreachable { .. } | ProviderError::NoProvider { .. },
            ) => StatusCode::BAD_GATEWAY,
            Self::Denied(_)
            | Self::Provider(ProviderError::Refused { .. } | ProviderError::Invalid { .. })
            | Self::NoName(_)
            | Self::NoGroup(_)
            | Self::Identity(_) => StatusCode::FORBIDDEN,
            Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the audit log says; nothing for what is not about somebody who wants to log in.
    fn reason(&self) -> Option<ProviderRefusal> {
        match self {
            Self::NotBegun | Self::Unreadable(_) => Some(ProviderRefusal::NotBegun),
            Self::Replayed => Some(ProviderRefusal::Replayed),
            Self::Denied(_) | Self::Provider(ProviderError::Refused { .. }) => {
                Some(ProviderRefusal::Denied)
            }
            Self::Provider(ProviderError::Invalid { .. }) => Some(ProviderRefusal::Invalid),
            Self::NoGroup(_) => Some(ProviderRefusal::NoGroup),
            Self::NoName(_) | Self::Identity(IdentityError::Name(_) | IdentityError::Taken(_)) => {
                Some(ProviderRefusal::Name)
            }
            Self::Identity(IdentityError::Disabled(_)) => Some(ProviderRefusal::Disabled),
            Self::TooSoon { .. }
            | Self::Provider(_)
            | Self::Key(_)
            | Self::Identity(IdentityError::Inventory(_))
            | Self::Page(_) => None,
        }
    }

    /// Whom the provider says that it is, as far as that is known.
    fn who(&self) -> &str {
        match self {
            Self::NoGroup(name)
            | Self::Identity(IdentityError::Taken(name) | IdentityError::Disabled(name)) => name,
            Self::Identity(IdentityError::Name(error)) => &error.name,
            _ => "",
        }
    }
}

/// `GET /login/oidc`: sends the browser to the provider.
pub(crate) async fn begin(
    State(ui): State<Ui>,
    UrlQuery(wanted): UrlQuery<LoginQuery>,
    request: Request,
) -> Result<Response, Error> {
    let config = ui.app.config.now();
    let issuer = issuer(&config)?;
    let scheme = match request.extensions().get::<Transport>() {
        Some(Transport::Tls) => "https",
        Some(Transport::Plain) | None => "http",
    };
    // The guard let the name pass: it is this server's.
    let redirect_url = format!("{scheme}://{}{CALLBACK}", authority(&request));
    let then = own_path(&wanted.then);
    let begun = ui.provider.begin(&config, issuer, redirect_url, then.clone()).await;
    let kept = begun.map_err(Refusal::from).and_then(|(url, pending)| {
        let cookie = pending.cookie(&ui.app.inventory)?;
        Ok((url, cookie))
    });
    match kept {
        Ok((url, cookie)) => {
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
        }
        Err(refusal) => refuse(&ui, refusal, then, origin(request.extensions())).await,
    }
}

#[derive(Template)]
#[template(path = "login_done.html")]
struct DonePage {
    user: String,
    then: String,
}

/// `GET /login/oidc/callback`: ends what was begun. The answer is a page that goes on by itself: after a
/// redirect from another site the browser would not send the cookie of the session.
pub(crate) async fn callback(
    State(ui): State<Ui>,
    session: Session,
    request: Request,
) -> Result<Response, Error> {
    let config = ui.app.config.now();
    issuer(&config)?;
    let (request, _) = request.into_parts();
    let origin = origin(&request.extensions);
    let query = request.uri.query().unwrap_or_default();
    let mut then = "/".to_owned();
    let ended = end(&ui, &config, &request.headers, query, origin, &mut then).await;
    let mut response = match ended {
        Ok(LoggedIn { user, issuer }) => {
            let account = ui.app.inventory.database.find_account(&user).await?;
            let mark = account.map(|account| account.password_mark).unwrap_or_default();
            let author = Author { who: &user, origin };
            log_in(&ui, &session, author, mark, Some(issuer)).await?;
            Page(DonePage { user, then }).into_response()
        }
        Err(refusal) => refuse(&ui, refusal, then, origin).await?,
    };
    response.headers_mut().append(header::SET_COOKIE, pending::forget()?);
    Ok(response)
}

struct LoggedIn {
    user: String,
    issuer: String,
}

async fn end(
    ui: &Ui,
    config: &Config,
    headers: &HeaderMap,
    query: &str,
    origin: Origin,
    then: &mut String,
) -> Result<LoggedIn, Refusal> {
    let issuer = issuer(config)?;
    let answer = Answer::read(query)?;
    let inventory = &ui.app.inventory;
    let pending = PendingLogin::of(headers, inventory, now_ms() / 1000)?;
    let pending = pending.filter(|pending| {
        pending.has_state(&answer.state)
            // The configuration names another provider since.
            && pending.issuer == issuer.as_str()
            && answer.issuer.as_ref().is_none_or(|given| given == issuer.as_str())
    });
    let pending = pending.ok_or(Refusal::NotBegun)?;
    then.clone_from(&pending.then);
    let code = match answer.result {
        AnswerResult::Code(code) => code,
        AnswerResult::Refused { error, description } => {
            return Err(Refusal::Denied(shown(format!("{error} {description}").trim_end())));
        }
    };
    // Anybody can begin a login and make up a code, and each one is a request to the provider.
    let source = origin.address.map(|address| address.to_string()).unwrap_or_default();
    let begun = ui.provider_throttle().begin(&pending.state, &source, now_ms() / 1000);
    begun.map_err(|seconds| Refusal::TooSoon { seconds })?;
    let person = ui.provider.identify(config, issuer, &pending, code).await?;
    if !inventory.database.complete_login(&pending.state, pending.expires_at).await? {
        return Err(Refusal::Replayed);
    }
    let name = claims::name(&person.claims, config);
    let name = name.ok_or_else(|| Refusal::NoName(config.oidc_name_claim.clone()))?;
    let role = claims::role(&person.claims, config);
    let role = role.ok_or_else(|| Refusal::NoGroup(shown(name)))?;
    let user = ProvidedUser { issuer: issuer.as_str(), subject: &person.subject, name, role };
    let user = inventory.admit(user, origin).await?;
    ui.provider_throttle().succeeded(&pending.state, &source);
    Ok(LoggedIn { user, issuer: issuer.to_string() })
}

/// The login page, which says why: local users can log in there.
async fn refuse(
    ui: &Ui,
    refusal: Refusal,
    then: String,
    origin: Origin,
) -> Result<Response, Error> {
    let refusal = match refusal {
        Refusal::Page(error) => return Err(error),
        Refusal::Identity(IdentityError::Inventory(error)) => return Err(error.into()),
        refusal => refusal,
    };
    let reason = refusal.reason();
    if let Some(reason) = reason {
        let author = Author { who: refusal.who(), origin };
        let action = AuditAction::ProviderLoginRefused { reason };
        ui.app.inventory.audit(author, action).await;
    }
    let text = "login by the OpenID Connect provider refused";
    match refusal {
        // Whoever can open the page can cause these as often as they like. That the provider does not
        // answer is logged where it is asked.
        Refusal::NotBegun
        | Refusal::Unreadable(_)
        | Refusal::Denied(_)
        | Refusal::TooSoon { .. }
        | Refusal::Provider(
            ProviderError::Busy
            | ProviderError::Unreachable { .. }
            | ProviderError::NoProvider { .. },
        ) => tracing::debug!("{text}: {refusal}"),
        _ if reason.is_some() => tracing::info!("{text}: {refusal}"),
        _ => tracing::warn!("{text}: {refusal}"),
    }
    let error = match &refusal {
        // Files of the server are not a stranger's to know.
        Refusal::Provider(ProviderError::Secret { .. }) | Refusal::Key(_) => {
            "Login by the provider is not set up right; see the log of the server.".to_owned()
        }
        refusal => refusal.to_string(),
    };
    login_page(refusal.status(), LoginPage::new(ui, then, String::new(), Some(error)))
}
