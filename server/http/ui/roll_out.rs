//! The roll-out: which hosts run the configuration that the inventory has, and those that may apply
//! it now, in waves.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::confirm::{Confirmation, Crumb, is_confirmed};
use super::csv_answer::{CsvAnswer, CsvRows};
use super::error::Error;
use super::form::{CheckedForm, Fields};
use super::overview::counted;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::{LeftOut, RollOut, RollOutError, RollOutPlan, RollOutStatus, WaveStatus};
use crate::lifecycle::roll_out::{ApplyAt, Division, PlannedWave, RollOutState};
use crate::model::Role;
use crate::network::ConfigState;

/// The page of it.
const PAGE: &str = "/roll-out";
/// How many hosts of a wave a review names.
const NAMED: usize = 8;
/// How many hosts are named that take no part.
const NAMED_OUTSIDE: usize = 20;

/// Why a form is of no waves.
#[derive(Debug, thiserror::Error)]
enum InvalidWaves {
    #[error("enter the labels in the order of their waves")]
    NoLabels,
    #[error("\"{0}\" is not a number of racks: expected 1 or more")]
    Racks(String),
    #[error("\"{0}\" is unknown: expected racks, labels or all")]
    Division(String),
    #[error("\"{0}\" is unknown: expected now or next-boot")]
    ApplyAt(String),
}

/// Why nothing begins.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error(transparent)]
    Form(#[from] InvalidWaves),
    #[error(transparent)]
    RollOut(#[from] RollOutError),
}

/// What the form says of the waves.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct WavesForm {
    /// The host that goes before all others.
    first: String,
    /// `racks`, `labels` or `all`.
    by: String,
    /// How many racks a wave has.
    size: String,
    /// Labels, separated by commas, in the order of their waves.
    labels: String,
    /// `now` or `next-boot`.
    apply: String,
}

impl WavesForm {
    fn read(fields: &Fields) -> Self {
        let text = |name| fields.text(name).to_owned();
        Self {
            first: text("first"),
            by: text("by"),
            size: text("size"),
            labels: text("labels"),
            apply: text("apply"),
        }
    }

    fn first(&self) -> Option<&str> {
        Some(self.first.trim()).filter(|first| !first.is_empty())
    }

    fn apply_at(&self) -> Result<ApplyAt, InvalidWaves> {
        match self.apply.as_str() {
            "" => Ok(ApplyAt::default()),
            word => ApplyAt::of_label(word).ok_or_else(|| InvalidWaves::ApplyAt(word.to_owned())),
        }
    }

    fn division(&self) -> Result<Division, InvalidWaves> {
        match self.by.as_str() {
            "all" => Ok(Division::AtOnce),
            "labels" => Division::by_labels(&self.labels).ok_or(InvalidWaves::NoLabels),
            "racks" | "" => match self.size.trim() {
                "" => Ok(Division::Racks(1)),
                text => {
                    let size = text.parse().ok().filter(|size| *size > 0);
                    size.map(Division::Racks).ok_or_else(|| InvalidWaves::Racks(text.to_owned()))
                }
            },
            other => Err(InvalidWaves::Division(other.to_owned())),
        }
    }
}

#[derive(Template)]
#[template(path = "roll_out.html")]
struct RollOutPage {
    frame: Frame,
    revision: i64,
    /// How many hosts run what.
    counts: Vec<(ConfigState, usize)>,
    /// How many hosts ask whether to apply.
    followers: usize,
    status: Option<RollOutStatus>,
    form: WavesForm,
    /// What is wrong with the form.
    wrong: Option<NotBegun>,
}

impl RollOutPage {
    fn may_change(&self) -> bool {
        self.frame.role >= Role::Operator && self.frame.limits.is_empty()
    }

    fn is_open(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.roll_out.state.is_open())
    }

    fn word(status: &RollOutStatus, wave: &WaveStatus) -> &'static str {
        let open = status.roll_out.wave;
        match status.roll_out.state {
            RollOutState::Done => "through",
            _ if wave.number < open => "through",
            RollOutState::Running if wave.number == open => "open",
            RollOutState::Halted { .. } if wave.number == open => "halted",
            _ => "shut",
        }
    }
}

/// `GET /roll-out`
pub(super) async fn show(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    page(&ui, &operator, WavesForm::default(), None).await
}

/// `GET /roll-out.csv`: its waves.
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> Result<CsvAnswer, Error> {
    let headings = [
        "roll-out", "revision", "wave", "name", "state", "hosts", "current", "applying", "silent",
        "failed",
    ];
    let status = ui.app.inventory.roll_out_status(ui.now_ms()).await?;
    let cells = |status: &RollOutStatus, wave: &WaveStatus| {
        let RollOut { id, revision, .. } = &status.roll_out;
        let mut cells = vec![id.to_string(), revision.to_string(), wave.number.to_string()];
        cells.extend([wave.name.clone(), RollOutPage::word(status, wave).to_owned()]);
        let counts = [wave.hosts, wave.current, wave.applying, wave.silent];
        cells.extend(counts.map(|count| count.to_string()));
        cells.push(wave.failed.join(" "));
        cells
    };
    let waves = |status: &RollOutStatus| -> CsvRows {
        status.waves.iter().map(|wave| cells(status, wave)).collect()
    };
    Ok(CsvAnswer::new("roll-out", headings, status.as_ref().map(waves).unwrap_or_default()))
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    form: WavesForm,
    wrong: Option<NotBegun>,
) -> Result<Response, Error> {
    let inventory = &ui.app.inventory;
    let states = inventory.config_states().await?;
    let snapshot = inventory.snapshot();
    let mut counts: BTreeMap<ConfigState, usize> = BTreeMap::new();
    for name in snapshot.site.hosts.keys() {
        let state = states.get(name).copied().unwrap_or(ConfigState::Unknown);
        *counts.entry(state).or_default() += 1;
    }
    let of = |state: ConfigState| (state, counts.get(&state).copied().unwrap_or_default());
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = RollOutPage {
        frame: operator.frame("roll-out").await?,
        revision: snapshot.revision,
        counts: ConfigState::ALL.into_iter().map(of).collect(),
        followers: inventory.database.list_followers().await?.len(),
        status: inventory.roll_out_status(ui.now_ms()).await?,
        form,
        wrong,
    };
    Ok((status, Page(page)).into_response())
}

#[derive(Template)]
#[template(path = "roll_out_review.html")]
struct ReviewPage {
    frame: Frame,
    form: WavesForm,
    plan: RollOutPlan,
    digest: String,
    /// Why it was not begun.
    refusal: Option<RollOutError>,
}

impl ReviewPage {
    fn hosts(&self) -> String {
        counted(self.plan.hosts(), "host", "hosts")
    }

    /// The hosts without a timer, if there are any.
    fn without_timer(&self) -> Option<String> {
        match self.plan.hosts() - self.plan.asking {
            0 => None,
            1 => Some(format!(
                "1 of these hosts has never asked whether to apply: it has no timer, and {}.",
                match self.plan.apply_at {
                    ApplyAt::Now => "its wave does not wait for it",
                    ApplyAt::NextBoot => "the waves after its own stay shut",
                }
            )),
            many => Some(format!(
                "{many} of these hosts have never asked whether to apply: they have no timer, and {}.",
                match self.plan.apply_at {
                    ApplyAt::Now => "their waves do not wait for them",
                    ApplyAt::NextBoot => "the waves after theirs stay shut",
                }
            )),
        }
    }

    /// The hosts that take no part, by the reason: how many, why, and the first of them.
    fn outside(&self) -> Vec<(String, &'static str, String)> {
        let one = |(why, names): (&LeftOut, &Vec<String>)| {
            let text = match why {
                LeftOut::Refused => "errors in the network, which Checks lists",
                LeftOut::Unheard => {
                    "never reported what it runs, and never asked; takes it with the next boot of a \
                     live image, or once it has the timer"
                }
                LeftOut::NoProfile => "no profile, so rackstrap does not set the network",
                LeftOut::Current => "runs it already",
            };
            (counted(names.len(), "host", "hosts"), text, some(names, NAMED_OUTSIDE))
        };
        self.plan.left_out.iter().map(one).collect()
    }

    /// The first hosts of the roll-out that have never asked.
    fn silent(&self) -> String {
        some(&self.plan.silent, NAMED_OUTSIDE)
    }

    /// The first hosts of a wave.
    fn named(wave: &PlannedWave) -> String {
        some(&wave.hosts, NAMED)
    }
}

/// The first few names, and how many more there are.
fn some(names: &[String], most: usize) -> String {
    let named = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

async fn plan(ui: &Ui, form: &WavesForm) -> Result<Result<RollOutPlan, NotBegun>, Error> {
    let asked = form.division().and_then(|division| Ok((division, form.apply_at()?)));
    let (division, apply_at) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return Ok(Err(wrong.into())),
    };
    match ui.app.inventory.plan_roll_out(form.first(), &division, apply_at).await {
        Ok(plan) => Ok(Ok(plan)),
        Err(RollOutError::Inventory(error)) => Err(error.into()),
        Err(error) => Ok(Err(error.into())),
    }
}

/// `GET /roll-out/start`: the waves, before they begin.
pub(super) async fn review(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(form): UrlQuery<WavesForm>,
) -> Result<Response, Error> {
    ask(&ui, &operator, form, None).await
}

async fn ask(
    ui: &Ui,
    operator: &Operator,
    form: WavesForm,
    refusal: Option<RollOutError>,
) -> Result<Response, Error> {
    let plan = match plan(ui, &form).await? {
        Ok(plan) => plan,
        Err(wrong) => return page(ui, operator, form, Some(wrong)).await,
    };
    let status = if refusal.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let frame = operator.frame("roll-out").await?;
    let digest = plan.digest();
    Ok((status, Page(ReviewPage { frame, form, plan, digest, refusal })).into_response())
}

/// `POST /roll-out/start`
pub(super) async fn start(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let form = WavesForm::read(&sent.fields);
    let plan = match plan(&ui, &form).await? {
        Ok(plan) => plan,
        Err(wrong) => return page(&ui, &sent.operator, form, Some(wrong)).await,
    };
    if plan.digest() != sent.fields.text("digest") {
        return ask(&ui, &sent.operator, form, Some(RollOutError::Outdated)).await;
    }
    match ui.app.inventory.begin_roll_out(sent.operator.author(), &plan).await {
        Ok(id) => leave(&sent.operator, format!("Roll-out {id} has begun.")).await,
        Err(RollOutError::Inventory(error)) => Err(error.into()),
        Err(error) => ask(&ui, &sent.operator, form, Some(error)).await,
    }
}

async fn leave(operator: &Operator, said: String) -> Result<Response, Error> {
    operator.notify(said).await?;
    Ok(Redirect::to(PAGE).into_response())
}

/// `GET /roll-out/resume`
pub(super) async fn ask_resume(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<Response, Error> {
    question(&ui, Turn::Resume, None).await?.page(&operator).await
}

/// `POST /roll-out/resume`
pub(super) async fn resume(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    turn(&ui, sent, Turn::Resume).await
}

/// `GET /roll-out/end`
pub(super) async fn ask_end(State(ui): State<Ui>, operator: Operator) -> Result<Response, Error> {
    question(&ui, Turn::End, None).await?.page(&operator).await
}

/// `POST /roll-out/end`
pub(super) async fn end(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    turn(&ui, sent, Turn::End).await
}

/// What can become of a roll-out that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Resume,
    End,
}

async fn turn(ui: &Ui, sent: CheckedForm, turn: Turn) -> Result<Response, Error> {
    if !is_confirmed(&sent) {
        return question(ui, turn, None).await?.page(&sent.operator).await;
    }
    let author = sent.operator.author();
    let (done, said) = match turn {
        Turn::Resume => (ui.app.inventory.resume_roll_out(author).await, "goes on"),
        Turn::End => (ui.app.inventory.end_roll_out(author).await, "has ended"),
    };
    match done {
        Ok(id) => leave(&sent.operator, format!("Roll-out {id} {said}.")).await,
        Err(RollOutError::Inventory(error)) => Err(error.into()),
        Err(error) => question(ui, turn, Some(error)).await?.page(&sent.operator).await,
    }
}

/// The question before the turn: where the roll-out is, and what follows.
async fn question(
    ui: &Ui,
    turn: Turn,
    refused: Option<RollOutError>,
) -> Result<Confirmation, Error> {
    let status = ui.app.inventory.roll_out_status(ui.now_ms()).await?;
    let Some(status) = status.filter(|status| status.roll_out.state.is_open()) else {
        return Err(Error::Conflict(RollOutError::NotOpen.to_string()));
    };
    let id = status.roll_out.id;
    let current: usize = status.waves.iter().map(|wave| wave.current).sum();
    let all: usize = status.waves.iter().map(|wave| wave.hosts).sum();
    let (question, action, follows) = match turn {
        Turn::Resume => (
            format!("Resume roll-out {id}?"),
            "Resume",
            match status.roll_out.apply_at {
                ApplyAt::Now => {
                    "The hosts that failed may apply again when they ask next, and so may the \
                     others of the open waves."
                }
                ApplyAt::NextBoot => {
                    "The hosts that failed may apply again after their next boot from now, and so \
                     may the others of the open waves."
                }
            },
        ),
        Turn::End => (
            format!("End roll-out {id}?"),
            "End",
            "Hosts that have not applied keep what they have until another roll-out or their next \
             boot from the network; those that have applied keep the new configuration.",
        ),
    };
    let halted = match &status.roll_out.state {
        RollOutState::Halted { host: Some(host), cause } => format!(" Halted at {host}: {cause}."),
        RollOutState::Halted { host: None, cause } => format!(" Halted: {cause}."),
        _ => String::new(),
    };
    let mut asked = Confirmation {
        section: "roll-out",
        crumbs: vec![Crumb::new(PAGE, "Roll-out")],
        question,
        explanation: format!(
            "{current} of {} run the configuration of revision {}.{halted} {follows}",
            counted(all, "host", "hosts"),
            status.roll_out.revision
        ),
        action,
        cancel: PAGE.to_owned(),
        ..Confirmation::default()
    };
    if let Some(refused) = refused {
        asked.form_errors.extend([refused.to_string()].into_iter().collect());
    }
    Ok(asked)
}
