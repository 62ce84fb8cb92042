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
use super::users::{SessionRow, limits_of, sessions};
use crate::inventory::{AccountError, Change, NewToken, SecretError, StoredSecret, Token};
use crate::lifecycle::audit::AuditAction;
use crate::model::{Role, limits_text};

/// The longest life of a token that the form gives, in days.
const MOST_DAYS: i64 = 3650;

struct Row {
    token: Token,
    /// The limits that hold, in words.
    limits: String,
    made: Moment,
    ends: Option<Moment>,
    ended: bool,
    used: Option<Moment>,
}

#[derive(Default)]
struct FormResult {
    /// A new token, which is shown this once.
    token: Option<String>,
    /// What was wrong with the form for a token.
    token_wrong: Option<String>,
    /// What was wrong with the form for a secret.
    secret_wrong: Option<String>,
    /// What was wrong with the form for the password.
    password_wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    frame: Frame,
    rows: Vec<Row>,
    /// The user's own.
    sessions: Vec<SessionRow>,
    /// What a token of the user can have.
    roles: Vec<Role>,
    secrets: Vec<SecretRow>,
    /// Why no secret can be read or set here.
    secret_fault: Option<String>,
    may_set_secrets: bool,
    has_second_factor: bool,
    /// The provider that the user logs in with; none for a password.
    issuer: Option<String>,
    said: FormResult,
}

struct SecretRow {
    secret: StoredSecret,
    set: Moment,
}

/// `GET /access`
pub(crate) async fn show(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    page(&ui, &operator, FormResult::default()).await
}

/// `POST /access/tokens`: the answer shows the token; there is no second look at it.
pub(crate) async fn add_token(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let (name, days) = (sent.fields.text("name"), sent.fields.text("days"));
    let role: Result<Role, _> = sent.fields.text("role").parse();
    let role = match role {
        Ok(role) if role <= sent.operator.role => role,
        Ok(role) => {
            let wrong =
                format!("a token of yours can be {} at most, not {role}", sent.operator.role);
            return page(
                &ui,
                &sent.operator,
                FormResult { token_wrong: Some(wrong), ..FormResult::default() },
            )
            .await;
        }
        Err(error) => {
            let wrong = error.to_string();
            return page(
                &ui,
                &sent.operator,
                FormResult { token_wrong: Some(wrong), ..FormResult::default() },
            )
            .await;
        }
    };
    let now = ui.now_ms() / 1000;
    let ends = match days.parse::<i64>() {
        _ if days.is_empty() => None,
        Ok(days) if (1..=MOST_DAYS).contains(&days) => Some(now + days * 86_400),
        _ => {
            let wrong = format!("\"{days}\" is not a number of days: expected 1 to {MOST_DAYS}");
            return page(
                &ui,
                &sent.operator,
                FormResult { token_wrong: Some(wrong), ..FormResult::default() },
            )
            .await;
        }
    };
    let owner = Some(sent.operator.name.clone());
    let limits = match limits_of(&ui, &sent.fields) {
        Ok(limits) => limits,
        Err(error) => {
            let token_wrong = Some(error.to_string());
            let said = FormResult { token_wrong, ..FormResult::default() };
            return page(&ui, &sent.operator, said).await;
        }
    };
    let new =
        NewToken { name: name.to_owned(), role, owner, expires_at: ends, limits: limits.clone() };
    let said = match ui.app.inventory.database.add_token(&new).await {
        Ok(token) => {
            let may_change = role >= Role::Operator;
            let (token_name, role, expires_at) = (new.name, Some(role), ends);
            let action =
                AuditAction::TokenAdded { token: token_name, may_change, role, expires_at, limits };
            ui.app.inventory.audit(sent.operator.author(), action).await;
            FormResult { token: Some(token), ..FormResult::default() }
        }
        Err(AccountError::Inventory(error)) => return Err(error.into()),
        Err(error) => FormResult { token_wrong: Some(error.to_string()), ..FormResult::default() },
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
    let token = own_token(ui, operator, &name).await?;
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

/// A token that the user may revoke: one's own, and an admin everybody's.
async fn own_token(ui: &Ui, operator: &Operator, name: &str) -> Result<Token, Error> {
    let tokens = ui.app.inventory.database.list_tokens().await?;
    let token = tokens.into_iter().find(|token| token.name == name);
    let token = token.filter(|token| is_shown(token, operator));
    token.ok_or_else(|| Error::NotFound { what: "token", name: name.to_owned() })
}

/// Whether a user sees a token.
fn is_shown(token: &Token, operator: &Operator) -> bool {
    operator.role == Role::Admin || token.owner.as_ref() == Some(&operator.name)
}

/// `POST /access/sessions`: ends one of the user's own sessions, or all of them.
pub(crate) async fn end_sessions(
    State(ui): State<Ui>,
    sent: CheckedForm,
) -> Result<Redirect, Error> {
    let user = &sent.operator.name;
    let id = Some(sent.fields.text("session")).filter(|id| !id.is_empty());
    let is_this = id.is_none() || sent.operator.session_id().as_deref() == id;
    let count = ui.app.inventory.database.end_sessions(user, id).await?;
    let action = AuditAction::SessionsEnded { user: user.clone(), count };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    if is_this {
        sent.operator.leave().await?;
        return Ok(Redirect::to("/login"));
    }
    sent.operator.notify("Ended the session.".to_owned()).await?;
    Ok(Redirect::to("/access"))
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
    own_token(&ui, &sent.operator, &name).await?;
    if !ui.app.inventory.database.remove_token(&name).await? {
        return Err(Error::NotFound { what: "token", name });
    }
    let action = AuditAction::TokenRemoved { token: name.clone() };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    sent.operator.notify(format!("Revoked token {name}.")).await?;
    Ok(Redirect::to("/access").into_response())
}

/// `POST /access/secrets`: sets a secret.
pub(crate) async fn set_secret(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let (name, value) = (sent.fields.text("name"), sent.fields.raw("value"));
    // Browsers send each line break as two characters.
    let value = value.replace("\r\n", "\n");
    let summary = format!("set secret {name}");
    let outcome = ui.app.inventory.set_secret(change(&sent, &summary), name, &value).await;
    secret_changed(&ui, &sent, outcome, format!("Set secret {name}.")).await
}

/// `POST /access/secrets/remove`: removes a secret that nothing names.
pub(crate) async fn remove_secret(
    State(ui): State<Ui>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let name = sent.fields.text("name");
    let summary = format!("removed secret {name}");
    let outcome = ui.app.inventory.remove_secret(change(&sent, &summary), name).await;
    secret_changed(&ui, &sent, outcome, format!("Removed secret {name}.")).await
}

fn change<'a>(sent: &'a CheckedForm, summary: &'a str) -> Change<'a> {
    sent.operator.change(summary)
}

async fn secret_changed(
    ui: &Ui,
    sent: &CheckedForm,
    outcome: Result<(), SecretError>,
    done: String,
) -> Result<Response, Error> {
    match outcome {
        Ok(()) => {
            sent.operator.notify(done).await?;
            Ok(Redirect::to("/access").into_response())
        }
        Err(SecretError::Inventory(error)) => Err(error.into()),
        Err(SecretError::Denied(denied)) => Err(denied.into()),
        Err(error) => {
            let secret_wrong = Some(error.to_string());
            page(ui, &sent.operator, FormResult { secret_wrong, ..FormResult::default() }).await
        }
    }
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
        ui.app.inventory.audit(sent.operator.author(), AuditAction::PasswordRefused).await;
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
                let action = AuditAction::PasswordChanged { user: user.clone() };
                ui.app.inventory.audit(sent.operator.author(), action).await;
                let account = database.find_account(user).await?;
                sent.operator.keep(account.map(|it| it.password_mark).unwrap_or_default()).await?;
                let said = "Password changed. Your other sessions have ended.";
                sent.operator.notify(said.to_owned()).await?;
                return Ok(Redirect::to("/access").into_response());
            }
            Err(AccountError::Inventory(error)) => return Err(error.into()),
            Err(error) => error.to_string(),
        }
    };
    page(&ui, &sent.operator, FormResult { password_wrong: Some(wrong), ..FormResult::default() })
        .await
}

async fn page(ui: &Ui, operator: &Operator, said: FormResult) -> Result<Response, Error> {
    let now = ui.now_ms() / 1000;
    let row = |token: Token| Row {
        used: token.last_used_at.map(|at| ui.moment(at.saturating_mul(1000))),
        made: ui.moment(token.created_at.saturating_mul(1000)),
        ends: token.expires_at.map(|at| ui.moment(at.saturating_mul(1000))),
        ended: token.expires_at.is_some_and(|at| at <= now),
        limits: limits_text(&token.all_limits()),
        token,
    };
    let tokens = ui.app.inventory.database.list_tokens().await?.into_iter();
    let rows = tokens.filter(|token| is_shown(token, operator)).map(row).collect();
    let sessions = sessions(ui, operator, &operator.name).await?;
    let roles = Role::ALL.iter().copied().filter(|role| *role <= operator.role).collect();
    let secret = |secret: StoredSecret| {
        let set = ui.moment(secret.changed_at.saturating_mul(1000));
        SecretRow { secret, set }
    };
    let secrets = ui.app.inventory.list_secrets().await?.into_iter().map(secret).collect();
    let snapshot = ui.app.inventory.snapshot();
    let secret_fault = snapshot.site.keyring().fault().map(ToString::to_string);
    let may_set_secrets = operator.role >= Role::Operator && operator.limits.is_empty();
    let factor = ui.app.inventory.second_factor(&operator.name).await?;
    let has_second_factor = factor.is_some_and(|factor| factor.is_on);
    let issuer = ui.app.inventory.database.find_user(&operator.name).await?;
    let issuer = issuer.and_then(|user| user.issuer);
    let wrong = [&said.token_wrong, &said.secret_wrong, &said.password_wrong];
    let wrong = wrong.iter().any(|wrong| wrong.is_some());
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = operator.frame("access").await?;
    let page = AccessPage {
        frame,
        rows,
        sessions,
        roles,
        secrets,
        secret_fault,
        may_set_secrets,
        has_second_factor,
        issuer,
        said,
    };
    Ok((status, Page(page)).into_response())
}
