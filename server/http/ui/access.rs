//! Who may reach the API, and one's own password.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::clock::Moment;
use super::confirm::{Confirmation, Crumb, is_confirmed};
use super::error::Error;
use super::form::CheckedForm;
use super::login::{Guess, PasswordCheck, check_password};
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{AccountError, Token};
use crate::lifecycle::audit::Action;

/// The longest life of a token that the form gives, in days.
const MOST_DAYS: i64 = 3650;

struct Row {
    token: Token,
    made: Moment,
    ends: Option<Moment>,
    ended: bool,
}

#[derive(Default)]
struct Said {
    /// A new token, which is shown this once.
    token: Option<String>,
    /// What was wrong with the form for a token.
    token_wrong: Option<String>,
    /// What was wrong with the form for the password.
    password_wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    frame: Frame,
    rows: Vec<Row>,
    said: Said,
}

/// `GET /access`
pub(crate) async fn show(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    page(&ui, &operator, Said::default()).await
}

/// `POST /access/tokens`: the answer shows the token; there is no second look at it.
pub(crate) async fn add_token(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let (name, days) = (sent.fields.text("name"), sent.fields.text("days"));
    let may_change = !sent.fields.text("may_change").is_empty();
    let now = ui.now_ms() / 1000;
    let ends = match days.parse::<i64>() {
        _ if days.is_empty() => None,
        Ok(days) if (1..=MOST_DAYS).contains(&days) => Some(now + days * 86_400),
        _ => {
            let wrong = format!("\"{days}\" is not a number of days: expected 1 to {MOST_DAYS}");
            return page(&ui, &sent.operator, Said { token_wrong: Some(wrong), ..Said::default() })
                .await;
        }
    };
    let said = match ui.app.inventory.database.add_token(name, may_change, ends).await {
        Ok(token) => {
            let action =
                Action::TokenAdded { token: name.to_owned(), may_change, expires_at: ends };
            ui.app.inventory.audit(sent.operator.author(), action).await;
            Said { token: Some(token), ..Said::default() }
        }
        Err(AccountError::Inventory(error)) => return Err(error.into()),
        Err(error) => Said { token_wrong: Some(error.to_string()), ..Said::default() },
    };
    page(&ui, &sent.operator, said).await
}

/// `GET /access/tokens/{name}/remove`: what would stop working.
pub(crate) async fn ask_remove_token(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    ask_remove(&ui, &operator, name).await
}

async fn ask_remove(ui: &Ui, operator: &Operator, name: String) -> Result<Response, Error> {
    let tokens = ui.app.inventory.database.list_tokens().await?;
    let Some(token) = tokens.into_iter().find(|token| token.name == name) else {
        return Err(Error::NotFound { what: "token", name });
    };
    let may = if token.may_change { "reads and changes" } else { "reads" };
    Confirmation {
        section: "access",
        crumbs: vec![Crumb::new("/access", "Access")],
        question: format!("Revoke token {name}?"),
        explanation: format!(
            "Whatever {may} the inventory with this token is refused from now on. A revoked token \
             cannot be restored; a new one has another value."
        ),
        action: "Revoke",
        cancel: "/access".to_owned(),
        ..Confirmation::default()
    }
    .page(operator)
    .await
}

/// `POST /access/tokens/{name}/remove`
pub(crate) async fn remove_token(
    State(ui): State<Ui>,
    Path(name): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    if !is_confirmed(&sent) {
        return ask_remove(&ui, &sent.operator, name).await;
    }
    if !ui.app.inventory.database.remove_token(&name).await? {
        return Err(Error::NotFound { what: "token", name });
    }
    let action = Action::TokenRemoved { token: name.clone() };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    sent.operator.notify(format!("Revoked token {name}.")).await?;
    Ok(Redirect::to("/access").into_response())
}

/// `POST /access/password`
pub(crate) async fn set_password(
    State(ui): State<Ui>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let (database, user) = (&ui.app.inventory.database, &sent.operator.name);
    let (old, new) = (sent.fields.raw("old"), sent.fields.raw("new"));
    let source = sent.operator.origin.address.map(|address| address.to_string());
    let source = source.unwrap_or_default();
    let checked =
        check_password(&ui, &Guess { name: user, source: &source, password: old }).await?;
    let wrong = if checked != PasswordCheck::Right {
        ui.app.inventory.audit(sent.operator.author(), Action::PasswordRefused).await;
        match checked {
            PasswordCheck::TooSoon { seconds } => {
                format!("too many wrong passwords: try again in {seconds} s")
            }
            PasswordCheck::Busy => "too many logins at once: try again in a few seconds".to_owned(),
            PasswordCheck::Right | PasswordCheck::Wrong => {
                "the current password is wrong".to_owned()
            }
        }
    } else if new != sent.fields.raw("again") {
        "the new passwords do not match".to_owned()
    } else {
        match database.set_password(user, new).await {
            Ok(_) => {
                let action = Action::PasswordChanged { user: user.clone() };
                ui.app.inventory.audit(sent.operator.author(), action).await;
                let mark = database.password_mark(user).await?;
                sent.operator.keep(mark.unwrap_or_default()).await?;
                let said = "Password changed. Your other sessions have ended.";
                sent.operator.notify(said.into()).await?;
                return Ok(Redirect::to("/access").into_response());
            }
            Err(AccountError::Inventory(error)) => return Err(error.into()),
            Err(error) => error.to_string(),
        }
    };
    page(&ui, &sent.operator, Said { password_wrong: Some(wrong), ..Said::default() }).await
}

async fn page(ui: &Ui, operator: &Operator, said: Said) -> Result<Response, Error> {
    let now = ui.now_ms() / 1000;
    let row = |token: Token| Row {
        made: ui.moment(token.created_at.saturating_mul(1000)),
        ends: token.expires_at.map(|at| ui.moment(at.saturating_mul(1000))),
        ended: token.expires_at.is_some_and(|at| at <= now),
        token,
    };
    let rows = ui.app.inventory.database.list_tokens().await?.into_iter().map(row).collect();
    let wrong = said.token_wrong.is_some() || said.password_wrong.is_some();
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = operator.frame("access").await?;
    Ok((status, Page(AccessPage { frame, rows, said })).into_response())
}
