//! `rackstrap roll-out ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, author, counted, moment, operator, table};
use crate::inventory::{RollOutPlan, RollOutStatus, WaveStatus, now_ms};
use crate::lifecycle::roll_out::{ApplyAt, Division, PlannedWave, RollOutState};

/// `rackstrap roll-out`.
#[derive(Debug, Subcommand)]
pub(crate) enum RollOutCommand {
    /// Show the last roll-out and how far its waves are
    Show,
    /// Begin one: hosts that do not run the inventory's configuration may apply it, wave by wave
    Start(Start),
    /// Let a halted one go on
    Resume,
    /// End one: hosts that have not applied keep what they have
    End,
}

/// `rackstrap roll-out start`.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// A host that goes before all others
    #[arg(long, value_name = "HOST")]
    first: Option<String>,
    /// How many racks a wave has
    #[arg(long, value_name = "NUMBER", default_value_t = 1, conflicts_with_all = ["labels", "all"])]
    racks: usize,
    /// A wave of the hosts with this label; repeat for more, in their order; other hosts come last
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "all")]
    labels: Vec<String>,
    /// All in one wave
    #[arg(long)]
    all: bool,
    /// Hosts apply after their next boot, when they ask for the first time; waves wait for them
    #[arg(long)]
    at_next_boot: bool,
    /// Show the waves, without beginning
    #[arg(long)]
    dry_run: bool,
}

impl RollOutCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show => show(&context).await,
            Self::Start(start) => self::start(&context, start).await,
            Self::Resume => {
                let id = context.inventory().await?.resume_roll_out(author(&operator())).await?;
                said(&context, id, "goes on")
            }
            Self::End => {
                let id = context.inventory().await?.end_roll_out(author(&operator())).await?;
                said(&context, id, "has ended")
            }
        }
    }
}

fn said(context: &Context, id: i64, what: &str) -> anyhow::Result<ExitCode> {
    context.print(&json!({"id": id}), || format!("roll-out {id} {what}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(context: &Context) -> anyhow::Result<ExitCode> {
    let Some(status) = context.read_inventory().await?.roll_out_status(now_ms()).await? else {
        bail!("no roll-out was begun yet");
    };
    context.print(&status, || shown(&status))?;
    Ok(ExitCode::SUCCESS)
}

fn shown(RollOutStatus { roll_out, waves }: &RollOutStatus) -> String {
    let state = match &roll_out.state {
        RollOutState::Halted { host: Some(host), cause } => format!("halted at {host}: {cause}"),
        RollOutState::Halted { host: None, cause } => format!("halted: {cause}"),
        state => state.label().to_owned(),
    };
    let row = |wave: &WaveStatus| {
        let WaveStatus { number, name, hosts, current, applying, silent, failed } = wave;
        let is_open = roll_out.state.is_open() && *number == roll_out.wave;
        let number = format!("{number}{}", if is_open { " (open)" } else { "" });
        let counts = [hosts, current, applying, silent].map(ToString::to_string);
        [vec![number, name.clone()], counts.to_vec(), vec![failed.join(" ")]].concat()
    };
    let header = ["WAVE", "NAME", "HOSTS", "CURRENT", "APPLYING", "SILENT", "FAILED"];
    let rows: Vec<_> = waves.iter().map(row).collect();
    let (id, revision, who) = (roll_out.id, roll_out.revision, &roll_out.who);
    let began = moment(roll_out.began_ms);
    let when = match roll_out.apply_at {
        ApplyAt::Now => "",
        ApplyAt::NextBoot => " at the next boot of each host",
    };
    format!(
        "roll-out {id} of revision {revision}{when}, begun by {who} at {began}: {state}\n{}",
        table(&header, &rows)
    )
}

async fn start(context: &Context, start: Start) -> anyhow::Result<ExitCode> {
    let Start { first, racks, labels, all, at_next_boot, dry_run } = start;
    let apply_at = if at_next_boot { ApplyAt::NextBoot } else { ApplyAt::Now };
    let division = match (all, labels.is_empty()) {
        (true, _) => Division::AtOnce,
        (false, false) => Division::Labels(labels),
        (false, true) => Division::Racks(racks),
    };
    let inventory = context.inventory_for(dry_run).await?;
    let plan = inventory.plan_roll_out(first.as_deref(), &division, apply_at).await?;
    let id = match dry_run {
        true => None,
        false => Some(inventory.begin_roll_out(author(&operator()), &plan).await?),
    };
    let waves: Vec<_> =
        plan.waves.iter().map(|w| json!({"name": w.name, "hosts": w.hosts})).collect();
    let value = json!({
        "id": id, "revision": plan.revision, "apply_at": plan.apply_at, "waves": waves,
    });
    context.print(&value, || planned(&plan, id))?;
    Ok(ExitCode::SUCCESS)
}

fn planned(plan: &RollOutPlan, id: Option<i64>) -> String {
    let row = |(number, wave): (usize, &PlannedWave)| {
        vec![(number + 1).to_string(), wave.name.clone(), wave.hosts.len().to_string()]
    };
    let rows: Vec<_> = plan.waves.iter().enumerate().map(row).collect();
    let waves = table(&["WAVE", "NAME", "HOSTS"], &rows);
    let without = match plan.hosts() - plan.asking {
        0 => String::new(),
        some => {
            let follows = match plan.apply_at {
                ApplyAt::Now => "not waited for",
                ApplyAt::NextBoot => "the waves after theirs stay shut",
            };
            format!("{} never asked: no timer, {follows}\n", counted(some, "host"))
        }
    };
    let end = match id {
        Some(id) => format!("roll-out {id} has begun\n"),
        None => "dry run: nothing changed\n".to_owned(),
    };
    format!("{waves}{without}{end}")
}
