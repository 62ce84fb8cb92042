//! One's own second factor: set up by a QR code, recovery codes, removal.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use qrcode::{Color, QrCode};

use super::clock::Moment;
use super::error::Error;
use super::form::CheckedForm;
use super::login::{CodeGuess, Guess, PasswordCheck, check_code, check_password};
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{Enrolment, SecondFactorError};
use crate::lifecycle::audit::AuditAction;

/// What the page is about, besides what is stored.
#[derive(Default)]
struct Said {
    /// New recovery codes, which are shown this once.
    codes: Option<Vec<String>>,
    /// What was wrong with the form.
    wrong: Option<String>,
}

impl Said {
    fn wrong(text: &str) -> Self {
        Self { wrong: Some(text.to_owned()), ..Self::default() }
    }
}

/// A secret that waits for its first code.
struct Waiting {
    enrolment: Enrolment,
    /// Blocks of four, which are easier to type.
    blocks: String,
    qr: Option<Qr>,
}

/// A second factor that is on.
struct Factor {
    since: Moment,
    recovery_codes: u64,
}

#[derive(Template)]
#[template(path = "second_factor.html")]
struct FactorPage {
    frame: Frame,
    factor: Option<Factor>,
    waiting: Option<Waiting>,
    /// Why the one that is set up cannot be read.
    fault: Option<String>,
    said: Said,
}

/// A QR code as an SVG path: a square of one unit for each dark module.
struct Qr {
    /// Its width with the quiet zone of four modules (ISO 18004).
    size: usize,
    path: String,
}

impl Qr {
    fn of(text: &str) -> Option<Self> {
        const QUIET: usize = 4;
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (at, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                let (x, y) = (at % width + QUIET, at / width + QUIET);
                path.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
        Some(Self { size: width + 2 * QUIET, path })
    }
}

/// `GET /access/second-factor`
pub(crate) async fn show(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    page(&ui, &operator, Said::default()).await
}

/// `POST /access/second-factor`: one of its forms.
pub(crate) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let user = ui.app.inventory.database.find_user(&sent.operator.name).await?;
    if let Some(issuer) = user.and_then(|user| user.issuer) {
        let wrong = format!("you log in with {issuer}: set up a second factor there");
        return page(&ui, &sent.operator, Said::wrong(&wrong)).await;
    }
    match sent.fields.text("do") {
        "begin" => begin(&ui, &sent).await,
        "confirm" => confirm(&ui, &sent).await,
        "codes" => renew(&ui, &sent).await,
        "remove" => remove(&ui, &sent).await,
        other => Err(Error::Malformed(format!(
            "do: unknown value \"{other}\"; expected begin, confirm, codes or remove"
        ))),
    }
}

/// Whoever has only found a browser open does not set up a second factor of their own, or remove one.
async fn wrong_password(ui: &Ui, sent: &CheckedForm) -> Result<Option<Said>, Error> {
    let (name, password) = (&sent.operator.name, sent.fields.raw("password"));
    let source = source(sent);
    let said = match check_password(ui, &Guess { name, source: &source, password }).await? {
        PasswordCheck::Right => return Ok(None),
        PasswordCheck::Wrong => {
            ui.app.inventory.audit(sent.operator.author(), AuditAction::PasswordRefused).await;
            "the current password is wrong".to_owned()
        }
        PasswordCheck::TooSoon { seconds } => {
            format!("too many wrong passwords: try again in {seconds} s")
        }
        PasswordCheck::Busy => "too many logins at once: try again in a few seconds".to_owned(),
    };
    Ok(Some(Said::wrong(&said)))
}

fn source(sent: &CheckedForm) -> String {
    sent.operator.origin.address.map(|address| address.to_string()).unwrap_or_default()
}

/// Why a code is not taken; none if it is right, and used up.
async fn wrong_code(ui: &Ui, sent: &CheckedForm) -> Result<Option<Said>, Error> {
    let author = sent.operator.author();
    let guess = CodeGuess { author: &author, code: sent.fields.text("code") };
    Ok(check_code(ui, &guess).await?.err().map(|refusal| Said::wrong(&refusal.text)))
}

/// What a second factor's failure is for a page: something to say, or the failure of the database.
fn said(error: SecondFactorError) -> Result<Said, Error> {
    match error {
        SecondFactorError::Inventory(error) => Err(error.into()),
        error => Ok(Said::wrong(&error.to_string())),
    }
}

async fn begin(ui: &Ui, sent: &CheckedForm) -> Result<Response, Error> {
    if let Some(wrong) = wrong_password(ui, sent).await? {
        return page(ui, &sent.operator, wrong).await;
    }
    match ui.app.inventory.begin_second_factor(&sent.operator.name).await {
        Ok(()) => Ok(Redirect::to("/access/second-factor").into_response()),
        Err(error) => page(ui, &sent.operator, said(error)?).await,
    }
}

async fn confirm(ui: &Ui, sent: &CheckedForm) -> Result<Response, Error> {
    let user = &sent.operator.name;
    let (code, now) = (sent.fields.text("code"), ui.now_ms() / 1000);
    let begun = ui.code_throttle().begin(user, &source(sent), now);
    if let Err(seconds) = begun {
        let text = format!("too many wrong codes: try again in {seconds} s");
        return page(ui, &sent.operator, Said::wrong(&text)).await;
    }
    let said = match ui.app.inventory.confirm_second_factor(user, code, now).await {
        Ok(Some(codes)) => {
            ui.code_throttle().succeeded(user, &source(sent));
            let action = AuditAction::SecondFactorSet { user: user.clone() };
            ui.app.inventory.audit(sent.operator.author(), action).await;
            Said { codes: Some(codes), ..Said::default() }
        }
        Ok(None) => Said::wrong(
            "this code is wrong: compare the clocks of the authenticator and of this server",
        ),
        Err(error) => said(error)?,
    };
    page(ui, &sent.operator, said).await
}

async fn renew(ui: &Ui, sent: &CheckedForm) -> Result<Response, Error> {
    if let Some(wrong) = wrong_code(ui, sent).await? {
        return page(ui, &sent.operator, wrong).await;
    }
    let user = sent.operator.name.clone();
    let said = match ui.app.inventory.renew_recovery_codes(&user).await {
        Ok(codes) => {
            let action = AuditAction::RecoveryCodesMade { user };
            ui.app.inventory.audit(sent.operator.author(), action).await;
            Said { codes: Some(codes), ..Said::default() }
        }
        Err(error) => said(error)?,
    };
    page(ui, &sent.operator, said).await
}

async fn remove(ui: &Ui, sent: &CheckedForm) -> Result<Response, Error> {
    let user = sent.operator.name.clone();
    let is_on = ui.app.inventory.second_factor(&user).await?.is_some_and(|factor| factor.is_on);
    if let Some(wrong) = wrong_password(ui, sent).await? {
        return page(ui, &sent.operator, wrong).await;
    }
    if is_on && let Some(wrong) = wrong_code(ui, sent).await? {
        return page(ui, &sent.operator, wrong).await;
    }
    if ui.app.inventory.remove_second_factor(&user).await? && is_on {
        let action = AuditAction::SecondFactorRemoved { user };
        ui.app.inventory.audit(sent.operator.author(), action).await;
        let text = "Removed the second factor: a login asks for your password only.";
        sent.operator.notify(text.to_owned()).await?;
    }
    Ok(Redirect::to("/access").into_response())
}

async fn page(ui: &Ui, operator: &Operator, said: Said) -> Result<Response, Error> {
    let inventory = &ui.app.inventory;
    let factor = inventory.second_factor(&operator.name).await?.filter(|factor| factor.is_on);
    let factor = factor.map(|factor| Factor {
        since: ui.moment(factor.set_at.saturating_mul(1000)),
        recovery_codes: factor.recovery_codes,
    });
    let (waiting, fault) = match inventory.enrolment(&operator.name).await {
        Ok(enrolment) => (enrolment.map(waiting), None),
        Err(SecondFactorError::Inventory(error)) => return Err(error.into()),
        Err(error) => (None, Some(error.to_string())),
    };
    let status =
        if said.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = operator.frame("access").await?;
    Ok((status, Page(FactorPage { frame, factor, waiting, fault, said })).into_response())
}

fn waiting(enrolment: Enrolment) -> Waiting {
    let letters: Vec<char> = enrolment.secret.chars().collect();
    let blocks: Vec<String> = letters.chunks(4).map(|block| block.iter().collect()).collect();
    Waiting { qr: Qr::of(&enrolment.url), blocks: blocks.join(" "), enrolment }
}
