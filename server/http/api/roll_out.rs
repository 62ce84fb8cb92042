//! `/roll-out`: the roll-out that was begun last: shown, begun, resumed, ended.

use axum::extract::{Extension, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Flag, Query};
use super::nouns::is_false;
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{RollOutError, RollOutStatus, now_ms};
use crate::lifecycle::roll_out::{ApplyAt, Division};

impl From<RollOutError> for Error {
    fn from(error: RollOutError) -> Self {
        match error {
            RollOutError::Inventory(error) => Self::Inventory(error),
            other => Self::Conflict(other.to_string()),
        }
    }
}

/// The roll-out that was begun last.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LastRollOut {
    /// The roll-out and its waves; null if none was ever begun.
    roll_out: Option<RollOutStatus>,
}

/// How a roll-out is divided, and when its hosts apply.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StartQuery {
    /// A host that goes before all others.
    #[serde(default)]
    first: Option<String>,
    /// How many racks a wave has; 1 if nothing else is given.
    #[serde(default)]
    racks: Option<usize>,
    /// Labels, separated by commas: a wave of the hosts with each, in this order; other hosts come last.
    #[serde(default)]
    labels: Option<String>,
    /// All in one wave.
    #[serde(default)]
    all: Flag,
    /// `now`: hosts of an open wave apply when they ask; `next-boot`: after their next boot.
    #[serde(default)]
    apply: ApplyAt,
    /// Find out what would happen, and change nothing.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
}

impl StartQuery {
    fn division(&self) -> Result<Division, Error> {
        let wrong =
            |name, text: &str| Error::Request(vec![Fault::parameter(name, text.to_owned())]);
        match (self.racks, &self.labels, self.all.0) {
            (None, None, true) => Ok(Division::AtOnce),
            (None, Some(labels), false) => Division::by_labels(labels)
                .ok_or_else(|| wrong("labels", "name at least one label")),
            (Some(0), None, false) => Err(wrong("racks", "a wave has at least 1 rack")),
            (racks, None, false) => Ok(Division::Racks(racks.unwrap_or(1))),
            _ => Err(wrong("racks", "give one of racks, labels and all")),
        }
    }
}

/// A wave before it opens.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WaveToBe {
    /// What its hosts have in common.
    name: String,
    /// Its hosts.
    hosts: Vec<String>,
}

/// A roll-out that has begun, or would.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StartedRollOut {
    /// Its number; null for a dry run.
    id: Option<i64>,
    /// Nothing was begun. Left out unless the request was a dry run.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    dry_run: bool,
    /// The revision whose files it brings.
    revision: i64,
    /// When the hosts of an open wave apply.
    apply_at: ApplyAt,
    /// How many of the hosts have asked whether to apply; the others have no timer.
    asking: usize,
    /// Its waves, in their order.
    waves: Vec<WaveToBe>,
}

/// A roll-out that goes on, or has ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TurnedRollOut {
    /// Its number.
    id: i64,
}

/// `GET /roll-out`
pub(super) async fn show(State(app): State<App>) -> Result<ApiResponse<LastRollOut>, Error> {
    let roll_out = app.inventory.roll_out_status(now_ms()).await?;
    Ok(ApiResponse::new(LastRollOut { roll_out }))
}

/// `POST /roll-out`
pub(super) async fn start(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Query(query): Query<StartQuery>,
) -> Result<ApiResponse<StartedRollOut>, Error> {
    let (division, Flag(dry_run)) = (query.division()?, query.dry_run);
    let plan = app.inventory.plan_roll_out(query.first.as_deref(), &division, query.apply).await?;
    let id = match dry_run {
        true => None,
        false => Some(app.inventory.begin_roll_out(program.author(), &plan).await?),
    };
    let (revision, apply_at, asking) = (plan.revision, plan.apply_at, plan.asking);
    let waves = plan.waves.into_iter();
    let waves = waves.map(|wave| WaveToBe { name: wave.name, hosts: wave.hosts }).collect();
    Ok(ApiResponse::new(StartedRollOut { id, dry_run, revision, apply_at, asking, waves }))
}

/// `POST /roll-out/resume`
pub(super) async fn resume(
    State(app): State<App>,
    Extension(program): Extension<Program>,
) -> Result<ApiResponse<TurnedRollOut>, Error> {
    let id = app.inventory.resume_roll_out(program.author()).await?;
    Ok(ApiResponse::new(TurnedRollOut { id }))
}

/// `POST /roll-out/end`
pub(super) async fn end(
    State(app): State<App>,
    Extension(program): Extension<Program>,
) -> Result<ApiResponse<TurnedRollOut>, Error> {
    let id = app.inventory.end_roll_out(program.author()).await?;
    Ok(ApiResponse::new(TurnedRollOut { id }))
}
