//! Logging in and out.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tower_sessions::Session;
use tower_sessions::cookie::{Cookie, SameSite};

use super::error::Error;
use super::form::{self, CheckedForm, Fields};
use super::oidc;
use super::page::Page;
use super::query::UrlQuery;
use super::session::{HalfLogin, begin, origin, random_token};
use super::state::{Ui, now_ms};
use crate::inventory::{CodeCheck, SecondFactorError};
use crate::lifecycle::audit::{AuditAction, Author};

/// Holds the login form's token: before the login there is no session to hold one, and
/// strangers shall not fill the database with sessions.
const COOKIE: &str = "rackstrap-login";

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage {
    token: String,
    then: String,
    name: String,
    error: Option<String>,
    /// What the button of the OpenID Connect provider says; none if there is no provider.
    provider: Option<String>,
}

impl LoginPage {
    pub(super) fn new(ui: &Ui, then: String, name: String, error: Option<String>) -> Self {
        let provider = oidc::button(&ui.app.config.now());
        Self { token: random_token(), then, name, error, provider }
    }
}

/// Where the login leads.
#[derive(Deserialize)]
pub(crate) struct LoginQuery {
    #[serde(default)]
    pub(super) then: String,
}

/// `GET /login`
pub(crate) async fn form(
    State(ui): State<Ui>,
    UrlQuery(wanted): UrlQuery<LoginQuery>,
) -> Result<Response, Error> {
    login_page(StatusCode::OK, LoginPage::new(&ui, wanted.then, String::new(), None))
}

/// `POST /login`
pub(crate) async fn enter(
    State(ui): State<Ui>,
    session: Session,
    request: Request,
) -> Result<Response, Error> {
    let origin = origin(request.extensions());
    let token = cookie_of(request.headers(), COOKIE);
    let fields = form::read(request, &ui).await?;
    if !fields.has_token(&token) {
        return Err(Error::Csrf);
    }
    let (name, password) = (fields.text("name").to_owned(), fields.raw("password"));
    let source = origin.address.map(|address| address.to_string()).unwrap_or_default();
    let author = Author { who: &name, origin };
    match check_password(&ui, &Guess { name: &name, source: &source, password }).await? {
        PasswordCheck::Right => {}
        PasswordCheck::Wrong => {
            ui.app.inventory.audit(author, AuditAction::LoginRefused).await;
            let error = "Wrong name or password.".to_owned();
            return again(&ui, StatusCode::UNAUTHORIZED, &fields, error);
        }
        PasswordCheck::TooSoon { seconds } => {
            let error = format!("Too many failed logins. Try again in {seconds} s.");
            return again(&ui, StatusCode::TOO_MANY_REQUESTS, &fields, error);
        }
        PasswordCheck::Busy => {
            let error = "Too many logins at once. Try again in a few seconds.".to_owned();
            return again(&ui, StatusCode::SERVICE_UNAVAILABLE, &fields, error);
        }
    }
    // One who was disabled a moment ago gets a session that the next request ends.
    let account = ui.app.inventory.database.find_account(&name).await?;
    let has_second_factor = account.as_ref().is_some_and(|account| account.has_second_factor);
    let password_mark = account.map(|account| account.password_mark).unwrap_or_default();
    let then = own_path(fields.text("then"));
    if has_second_factor {
        let half = HalfLogin {
            user: name.clone(),
            password_mark,
            token: random_token(),
            then,
            at_ms: now_ms(),
        };
        half.keep(&session).await?;
        return Ok(Redirect::to("/login/code").into_response());
    }
    log_in(&ui, &session, author, password_mark, None).await?;
    Ok(Redirect::to(&then).into_response())
}

/// Begins the session of a user who showed all that is asked for, or for whom the provider `issuer`
/// vouches.
pub(super) async fn log_in(
    ui: &Ui,
    session: &Session,
    author: Author<'_>,
    password_mark: String,
    issuer: Option<String>,
) -> Result<(), Error> {
    begin(session, &author, password_mark).await?;
    ui.app.inventory.database.note_login(author.who).await?;
    ui.app.inventory.audit(author, AuditAction::LoggedIn { issuer }).await;
    Ok(())
}

#[derive(Template)]
#[template(path = "login_code.html")]
struct CodePage {
    token: String,
    user: String,
    error: Option<String>,
}

/// `GET /login/code`: asks for the second factor of a user whose password was right.
pub(crate) async fn code_form(session: Session) -> Result<Response, Error> {
    let Some(half) = HalfLogin::of(&session).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    Ok(Page(CodePage { token: half.token, user: half.user, error: None }).into_response())
}

/// `POST /login/code`
pub(crate) async fn enter_code(
    State(ui): State<Ui>,
    session: Session,
    request: Request,
) -> Result<Response, Error> {
    let Some(half) = HalfLogin::of(&session).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    let origin = origin(request.extensions());
    let fields = form::read(request, &ui).await?;
    if !fields.has_token(&half.token) {
        return Err(Error::Csrf);
    }
    // The password was changed, or the user disabled, since.
    let account = ui.app.inventory.database.find_account(&half.user).await?;
    if account.is_none_or(|account| account.password_mark != half.password_mark) {
        session.flush().await?;
        return Ok(Redirect::to("/login").into_response());
    }
    let author = Author { who: &half.user, origin };
    let guess = CodeGuess { author: &author, code: fields.text("code") };
    if let Err(refusal) = check_code(&ui, &guess).await? {
        let page = CodePage { token: half.token, user: half.user, error: Some(refusal.text) };
        return Ok((refusal.status, Page(page)).into_response());
    }
    HalfLogin::forget(&session).await?;
    log_in(&ui, &session, author, half.password_mark, None).await?;
    Ok(Redirect::to(&half.then).into_response())
}

/// A code that somebody gives for a user whose password was right.
pub(crate) struct CodeGuess<'a> {
    pub(crate) author: &'a Author<'a>,
    pub(crate) code: &'a str,
}

/// Why a code is not taken.
pub(crate) struct CodeRefusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

/// Checks a code of a second factor, if it may be checked now, and uses it up. Wrong ones are counted
/// as wrong passwords are.
pub(crate) async fn check_code(
    ui: &Ui,
    guess: &CodeGuess<'_>,
) -> Result<Result<(), CodeRefusal>, Error> {
    let CodeGuess { author, code } = *guess;
    let now = now_ms() / 1000;
    let source = author.origin.address.map(|address| address.to_string()).unwrap_or_default();
    if let Err(seconds) = ui.code_throttle().begin(author.who, &source, now) {
        let text = format!("Too many wrong codes. Try again in {seconds} s.");
        return Ok(Err(CodeRefusal { status: StatusCode::TOO_MANY_REQUESTS, text }));
    }
    match ui.app.inventory.check_code(author.who, code, now).await {
        Ok(CodeCheck::Right) => {}
        Ok(CodeCheck::Recovery { left }) => {
            ui.app.inventory.audit(*author, AuditAction::RecoveryCodeUsed { left }).await;
        }
        Ok(CodeCheck::Wrong) => {
            ui.app.inventory.audit(*author, AuditAction::SecondFactorRefused).await;
            let text = "Wrong code, or one that was used already. Wait for the next one.".into();
            return Ok(Err(CodeRefusal { status: StatusCode::UNAUTHORIZED, text }));
        }
        Err(SecondFactorError::Inventory(error)) => return Err(error.into()),
        Err(error) => {
            let (status, text) = (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
            return Ok(Err(CodeRefusal { status, text }));
        }
    }
    ui.code_throttle().succeeded(author.who, &source);
    Ok(Ok(()))
}

/// A password that somebody gives for a user.
pub(crate) struct Guess<'a> {
    pub(crate) name: &'a str,
    /// The address of the client.
    pub(crate) source: &'a str,
    pub(crate) password: &'a str,
}

/// What became of a [`Guess`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordCheck {
    Right,
    Wrong,
    /// There were too many guesses; this one was not looked at.
    TooSoon {
        seconds: i64,
    },
    /// Too many guesses wait to be looked at.
    Busy,
}

/// Checks a password, if it may be checked now. A guess counts as failed until it is found right, so
/// that many at once are no more than as many in a row.
pub(crate) async fn check_password(ui: &Ui, guess: &Guess<'_>) -> Result<PasswordCheck, Error> {
    let Guess { name, source, password } = *guess;
    if let Err(seconds) = ui.throttle().begin(name, source, now_ms() / 1000) {
        return Ok(PasswordCheck::TooSoon { seconds });
    }
    let Some(_turn) = ui.passwords.turn().await else { return Ok(PasswordCheck::Busy) };
    if !ui.app.inventory.database.verify_password(name, password).await? {
        return Ok(PasswordCheck::Wrong);
    }
    ui.throttle().succeeded(name, source);
    Ok(PasswordCheck::Right)
}

/// `POST /logout`
pub(crate) async fn leave(State(ui): State<Ui>, form: CheckedForm) -> Result<Redirect, Error> {
    ui.app.inventory.audit(form.operator.author(), AuditAction::LoggedOut).await;
    form.operator.leave().await?;
    Ok(Redirect::to("/login"))
}

/// The form once more, with what was typed (but the password) and what was wrong.
fn again(ui: &Ui, status: StatusCode, fields: &Fields, error: String) -> Result<Response, Error> {
    let (then, name) = (fields.text("then").to_owned(), fields.text("name").to_owned());
    login_page(status, LoginPage::new(ui, then, name, Some(error)))
}

pub(super) fn login_page(status: StatusCode, page: LoginPage) -> Result<Response, Error> {
    let cookie = Cookie::build((COOKIE, page.token.clone()))
        .path("/login")
        .http_only(true)
        .same_site(SameSite::Strict)
        .build()
        .to_string();
    let cookie = HeaderValue::from_str(&cookie).map_err(|e| Error::Internal(e.to_string()))?;
    let mut response = (status, Page(page)).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// The value of a cookie, or an empty text.
pub(super) fn cookie_of(headers: &HeaderMap, name: &str) -> String {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies
        .filter(|cookie| cookie.name() == name)
        .map(|c| c.value().to_owned())
        .last()
        .unwrap_or_default()
}

/// A path of this site, never another one: `//evil.example` and `/\evil.example` are others.
pub(super) fn own_path(then: &str) -> String {
    let own = then.starts_with('/')
        && !then[1..].starts_with(['/', '\\'])
        && !then.chars().any(|c| c.is_control() || c.is_whitespace());
    if own && HeaderValue::from_str(then).is_ok() { then.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_leads_to_no_other_site() {
        let cases = [
            ("/hosts/r1-n01?x=1", "/hosts/r1-n01?x=1"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("/\t/evil.example", "/"),
        ];
        for (then, path) in cases {
            assert_eq!(own_path(then), path, "{then:?}");
        }
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; rackstrap-login=t; c"));
        assert_eq!(cookie_of(&headers, COOKIE), "t");
        assert_eq!(cookie_of(&HeaderMap::new(), COOKIE), "");
    }
}
