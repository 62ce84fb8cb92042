//! Users: who may log in, what each may do, and where they are logged in. For admins.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::clock::Moment;
use super::confirm::{Confirmation, Crumb, is_confirmed};
use super::error::Error;
use super::form::{CheckedForm, Fields};
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{AccountError, User, UserSession, random_password};
use crate::lifecycle::audit::AuditAction;
use crate::model::{Limits, Role};

struct Row {
    user: User,
    created: Moment,
    last_login: Option<Moment>,
    sessions: usize,
}

/// A new password, which is shown once.
struct NewPassword {
    user: String,
    password: String,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    rows: Vec<Row>,
    roles: &'static [Role],
    new: Option<NewPassword>,
    wrong: Option<String>,
}

/// A session as a page shows it.
pub(super) struct SessionRow {
    pub(super) session: UserSession,
    pub(super) began: Moment,
    pub(super) used: Moment,
    pub(super) address: String,
    /// Whether it is the one that asks.
    pub(super) is_this: bool,
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    frame: Frame,
    user: User,
    created: Moment,
    sessions: Vec<SessionRow>,
    roles: &'static [Role],
    new: Option<NewPassword>,
    wrong: Option<String>,
}

impl UserPage {
    /// Names as the form has them.
    fn names(&self, names: &BTreeSet<String>) -> String {
        names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// What a form led to.
#[derive(Default)]
struct FormResult {
    new: Option<NewPassword>,
    wrong: Option<String>,
}

impl FormResult {
    fn status(&self) -> StatusCode {
        if self.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }

    /// What is wrong with a form, or the failure of the database.
    fn wrong(error: AccountError) -> Result<Self, Error> {
        match error {
            AccountError::Inventory(error) => Err(error.into()),
            AccountError::Missing(name) => Err(Error::NotFound { what: "user", name }),
            error => Ok(Self { wrong: Some(error.to_string()), ..Self::default() }),
        }
    }
}

/// `GET /users`
pub(crate) async fn list(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    list_page(&ui, &operator, FormResult::default()).await
}

/// `POST /users`: adds one with a generated password, which the answer shows.
pub(crate) async fn add(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let (name, role) = (sent.fields.text("name"), sent.fields.text("role"));
    let role: Role = match role.parse() {
        Ok(role) => role,
        Err(error) => {
            let wrong = Some(error.to_string());
            return list_page(&ui, &sent.operator, FormResult { wrong, ..FormResult::default() })
                .await;
        }
    };
    let password = random_password();
    let limits = match limits_of(&ui, &sent.fields) {
        Ok(limits) => limits,
        Err(error) => return list_page(&ui, &sent.operator, FormResult::wrong(error)?).await,
    };
    let database = &ui.app.inventory.database;
    let said = match database.add_limited_user(name, &password, role, &limits).await {
        Ok(()) => {
            let user = name.to_owned();
            let action = AuditAction::UserAdded { user: user.clone(), role: Some(role) };
            ui.app.inventory.audit(sent.operator.author(), action).await;
            if !limits.is_empty() {
                let before = Some(Limits::default());
                let action = AuditAction::LimitsChanged { user: user.clone(), limits, before };
                ui.app.inventory.audit(sent.operator.author(), action).await;
            }
            FormResult { new: Some(NewPassword { user, password }), wrong: None }
        }
        Err(error) => FormResult::wrong(error)?,
    };
    list_page(&ui, &sent.operator, said).await
}

/// The limits that a form has: names with commas or spaces between them.
pub(super) fn limits_of(ui: &Ui, fields: &Fields) -> Result<Limits, AccountError> {
    let list = |key: &str| {
        let names = fields.text(key).split([',', ' ']).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    let limits = Limits { tenants: list("tenants"), racks: list("racks"), labels: list("labels") };
    limits.check(&ui.app.inventory.snapshot().site)?;
    Ok(limits)
}

async fn list_page(ui: &Ui, operator: &Operator, said: FormResult) -> Result<Response, Error> {
    let database = &ui.app.inventory.database;
    let mut rows = Vec::new();
    for user in database.list_users().await? {
        rows.push(Row {
            created: ui.moment(user.created_at.saturating_mul(1000)),
            last_login: user.last_login_at.map(|at| ui.moment(at.saturating_mul(1000))),
            sessions: database.list_sessions(&user.name).await?.len(),
            user,
        });
    }
    let frame = operator.frame("users").await?;
    let (status, FormResult { new, wrong }) = (said.status(), said);
    Ok((status, Page(UsersPage { frame, rows, roles: Role::ALL, new, wrong })).into_response())
}

/// `GET /users/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    user_page(&ui, &operator, name, FormResult::default()).await
}

async fn find(ui: &Ui, name: String) -> Result<User, Error> {
    let user = ui.app.inventory.database.find_user(&name).await?;
    user.ok_or(Error::NotFound { what: "user", name })
}

async fn user_page(
    ui: &Ui,
    operator: &Operator,
    name: String,
    said: FormResult,
) -> Result<Response, Error> {
    let user = find(ui, name).await?;
    let sessions = sessions(ui, operator, &user.name).await?;
    let created = ui.moment(user.created_at.saturating_mul(1000));
    let frame = operator.frame("users").await?;
    let (status, FormResult { new, wrong }) = (said.status(), said);
    let page = UserPage { frame, user, created, sessions, roles: Role::ALL, new, wrong };
    Ok((status, Page(page)).into_response())
}

/// The sessions of a user, as somebody sees them.
pub(super) async fn sessions(
    ui: &Ui,
    operator: &Operator,
    user: &str,
) -> Result<Vec<SessionRow>, Error> {
    let own = operator.session_id();
    let row = |session: UserSession| SessionRow {
        began: ui.moment(session.began_ms),
        used: ui.moment(session.used_ms),
        address: session.address.map(|address| address.to_string()).unwrap_or_default(),
        is_this: own.as_ref() == Some(&session.id),
        session,
    };
    let found = ui.app.inventory.database.list_sessions(user).await?;
    Ok(found.into_iter().map(row).collect())
}

/// `POST /users/{name}/role`
pub(crate) async fn set_role(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let role: Result<Role, _> = sent.fields.text("role").parse();
    let role = match role {
        Ok(role) => role,
        Err(error) => {
            let said = FormResult { wrong: Some(error.to_string()), ..FormResult::default() };
            return user_page(&ui, &sent.operator, user, said).await;
        }
    };
    match ui.app.inventory.database.set_role(&user, role).await {
        Ok(before) => {
            let before = Some(before);
            let action = AuditAction::RoleChanged { user: user.clone(), role, before };
            done(&ui, &sent, &user, action, format!("{user} has the role {role}.")).await
        }
        Err(error) => user_page(&ui, &sent.operator, user, FormResult::wrong(error)?).await,
    }
}

/// `POST /users/{name}/limits`: which hosts the user may change.
pub(crate) async fn set_limits(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let set = match limits_of(&ui, &sent.fields) {
        Ok(limits) => ui
            .app
            .inventory
            .database
            .set_limits(&user, &limits)
            .await
            .map(|before| (limits, before)),
        Err(error) => Err(error),
    };
    match set {
        Ok((limits, before)) => {
            let sentence = match limits.is_empty() {
                true => format!("{user} has no limits."),
                false => format!("{user} may change only hosts within: {limits}."),
            };
            let before = Some(before);
            let action = AuditAction::LimitsChanged { user: user.clone(), limits, before };
            done(&ui, &sent, &user, action, sentence).await
        }
        Err(error) => user_page(&ui, &sent.operator, user, FormResult::wrong(error)?).await,
    }
}

/// Records what was done, and shows the page of the user with a sentence about it.
async fn done(
    ui: &Ui,
    sent: &CheckedForm,
    user: &str,
    action: AuditAction,
    sentence: String,
) -> Result<Response, Error> {
    ui.app.inventory.audit(sent.operator.author(), action).await;
    sent.operator.notify(sentence).await?;
    Ok(Redirect::to(&format!("/users/{user}")).into_response())
}

/// `POST /users/{name}/disable`
pub(crate) async fn disable(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let database = &ui.app.inventory.database;
    match database.set_disabled(&user, true).await {
        Ok(()) => {
            database.end_sessions(&user, None).await?;
            let action = AuditAction::UserDisabled { user: user.clone() };
            let sentence = format!("{user} cannot log in, and tokens of {user} do not work.");
            done(&ui, &sent, &user, action, sentence).await
        }
        Err(error) => user_page(&ui, &sent.operator, user, FormResult::wrong(error)?).await,
    }
}

/// `POST /users/{name}/enable`
pub(crate) async fn enable(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    match ui.app.inventory.database.set_disabled(&user, false).await {
        Ok(()) => {
            let action = AuditAction::UserEnabled { user: user.clone() };
            done(&ui, &sent, &user, action, format!("{user} can log in.")).await
        }
        Err(error) => user_page(&ui, &sent.operator, user, FormResult::wrong(error)?).await,
    }
}

/// `POST /users/{name}/reset`: a generated password, which the answer shows, ends the sessions of
/// the old one.
pub(crate) async fn reset(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let (database, password) = (&ui.app.inventory.database, random_password());
    let found = find(&ui, user).await?;
    if let Err(error) = database.set_password(&found.name, &password).await {
        return user_page(&ui, &sent.operator, found.name, FormResult::wrong(error)?).await;
    }
    database.end_sessions(&found.name, None).await?;
    let action = AuditAction::PasswordChanged { user: found.name.clone() };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    let new = Some(NewPassword { user: found.name.clone(), password });
    user_page(&ui, &sent.operator, found.name, FormResult { new, wrong: None }).await
}

/// `POST /users/{name}/second-factor`: removes it, for a user who lost the authenticator.
pub(crate) async fn reset_second_factor(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let user = find(&ui, user).await?.name;
    if !ui.app.inventory.remove_second_factor(&user).await? {
        sent.operator.notify(format!("{user} has no second factor.")).await?;
        return Ok(Redirect::to(&format!("/users/{user}")).into_response());
    }
    let action = AuditAction::SecondFactorRemoved { user: user.clone() };
    done(&ui, &sent, &user, action, format!("Removed the second factor of {user}.")).await
}

/// `POST /users/{name}/sessions`: ends one, or all of them.
pub(crate) async fn end_sessions(
    State(ui): State<Ui>,
    Path(user): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let user = find(&ui, user).await?.name;
    let id = Some(sent.fields.text("session")).filter(|id| !id.is_empty());
    let count = ui.app.inventory.database.end_sessions(&user, id).await?;
    let action = AuditAction::SessionsEnded { user: user.clone(), count };
    let plural = if count == 1 { "" } else { "s" };
    done(&ui, &sent, &user, action, format!("Ended {count} session{plural} of {user}.")).await
}

/// `GET /users/{name}/remove`
pub(crate) async fn ask_remove(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    ask(&ui, &operator, name).await
}

async fn ask(ui: &Ui, operator: &Operator, name: String) -> Result<Response, Error> {
    let user = find(ui, name).await?;
    let database = &ui.app.inventory.database;
    let tokens = database.list_tokens().await?.into_iter();
    let tokens = tokens.filter(|token| token.owner.as_ref() == Some(&user.name));
    let tokens: Vec<String> = tokens.map(|token| token.name).collect();
    let mut form_errors = Vec::new();
    match database.keep_an_admin(&user.name).await {
        Ok(()) => {}
        Err(AccountError::Inventory(error)) => return Err(error.into()),
        Err(error) => form_errors.push(error.to_string()),
    }
    let sessions = database.list_sessions(&user.name).await?.len();
    let of_tokens = match tokens.is_empty() {
        true => String::new(),
        false => format!(" These tokens are revoked: {}.", tokens.join(", ")),
    };
    Confirmation {
        section: "users",
        crumbs: vec![
            Crumb::new("/users", "Users"),
            Crumb::new(format!("/users/{}", user.name), &user.name),
        ],
        question: format!("Remove user {}?", user.name),
        explanation: format!(
            "The user cannot log in any more, and {sessions} sessions end.{of_tokens} Entries of the \
             audit log stay. To lock somebody out for a while, disable the user instead."
        ),
        action: "Remove",
        cancel: format!("/users/{}", user.name),
        form_errors: form_errors.into_iter().collect(),
        ..Confirmation::default()
    }
    .page(operator)
    .await
}

/// `POST /users/{name}/remove`
pub(crate) async fn remove(
    State(ui): State<Ui>,
    Path(name): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let database = &ui.app.inventory.database;
    if !is_confirmed(&sent) || database.keep_an_admin(&name).await.is_err() {
        return ask(&ui, &sent.operator, name).await;
    }
    if !database.remove_user(&name).await? {
        return Err(Error::NotFound { what: "user", name });
    }
    let action = AuditAction::UserRemoved { user: name.clone() };
    ui.app.inventory.audit(sent.operator.author(), action).await;
    sent.operator.notify(format!("Removed user {name}.")).await?;
    Ok(Redirect::to("/users").into_response())
}
