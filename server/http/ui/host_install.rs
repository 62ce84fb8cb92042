//! Arming a host: the page that says what its next boot will erase, and the button.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};

use super::clock::Moment;
use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::InstallError;
use crate::lifecycle::effect::{self, Effect};
use crate::lifecycle::gate::{self, ArmRefusal};
use crate::lifecycle::install::{Install, InstallTask};
use crate::model::Image;

#[derive(Template)]
#[template(path = "host_install.html")]
struct InstallPage {
    frame: Frame,
    name: String,
    image: String,
    /// What the image boots, in the words of the site file.
    files: Vec<String>,
    /// Why the host cannot be armed.
    refusal: Option<String>,
    last: Option<Last>,
    /// Whether a live system installs it, which can also erase.
    has_live_system: bool,
    /// What starting the live system does, for a host that is not installed by it.
    rescue: Option<Effect>,
    /// What each task does.
    tasks: Vec<Choice>,
}

/// A task that the host can be armed for, and what the next boot then does.
struct Choice {
    task: InstallTask,
    effect: Effect,
}

/// The latest install of the host.
struct Last {
    install: Install,
    since: Moment,
    armed_until: Moment,
}

impl Last {
    fn can_be_cancelled(&self) -> bool {
        !self.install.state.is_over()
    }
}

/// `GET /hosts/{name}/install`
pub(super) async fn ask(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let Some(host) = snapshot.site.hosts.get(&name) else {
        return Err(Error::NotFound { what: "host", name });
    };
    let installs = ui.app.inventory.installs();
    let install = installs.of(&name);
    let (site, now) = (&snapshot.site, ui.now_ms() / 1000);
    let image = host.image.clone().unwrap_or_default();
    let around = ui.app.inventory.surroundings();
    let refusal = |task| {
        let used = match task {
            InstallTask::Rescue => gate::check_rescue(site, &name, install, now)?,
            task => {
                gate::check_task(site, &name, task)?;
                gate::check_arming(site, &name, install, now)?
            }
        };
        gate::check_files_of(site, &name, used, |file| around.files.fault(file))
    };
    let is_allowed = |task| gate::check_limits(&operator.limits, site, &name, task).is_ok();
    let possible: Vec<InstallTask> = InstallTask::ALL
        .into_iter()
        .filter(|task| is_allowed(*task) && refusal(*task).is_ok())
        .collect();
    let refusal = refusal(InstallTask::Install).err().map(|refusal| refusal.to_string());
    let outside = gate::check_limits(&operator.limits, site, &name, InstallTask::Install).err();
    let refusal = outside.map(|denied| denied.to_string()).or(refusal);
    let has_live_system = site.images.get(&image).is_some_and(|it| it.disk.is_some());
    let is_apart = refusal.is_some() || !has_live_system;
    let rescue = possible.contains(&InstallTask::Rescue) && is_apart;
    let effect = |task| Effect::of(task, host, snapshot.site.images.get(&image));
    Ok(Page(InstallPage {
        frame: operator.frame("hosts").await?,
        files: snapshot.site.images.get(&image).map(files).unwrap_or_default(),
        has_live_system,
        rescue: rescue.then(|| effect(InstallTask::Rescue)),
        tasks: possible.into_iter().map(|task| Choice { task, effect: effect(task) }).collect(),
        image,
        refusal,
        last: install.map(|install| Last {
            install: install.clone(),
            since: ui.moment(install.since.saturating_mul(1000)),
            armed_until: ui.moment(install.armed_until.saturating_mul(1000)),
        }),
        name,
    }))
}

fn files(image: &Image) -> Vec<String> {
    image.files().map(|(_, file)| file.to_owned()).collect()
}

/// `POST /hosts/{name}/install`: arms the host, or cancels.
pub(super) async fn take(
    State(ui): State<Ui>,
    Path(name): Path<String>,
    sent: CheckedForm,
) -> Result<Redirect, Error> {
    let cancel = sent.fields.text("do") == "cancel";
    let mut replaced = None;
    let done = match cancel {
        true => {
            let request = sent.operator.install(&name, InstallTask::Install);
            ui.app.inventory.cancel_install_if(request, |_| Ok::<(), InstallError>(())).await
        }
        false => arm(&ui, &sent, &name, &mut replaced).await,
    };
    match done {
        Ok(install) => {
            let said = match cancel {
                true => format!("Cancelled the install of {name}."),
                false => armed_text(&ui, &name, &install, replaced),
            };
            sent.operator.notify(said).await?;
            Ok(Redirect::to(&format!("/hosts/{name}")))
        }
        Err(InstallError::Inventory(error)) => Err(error.into()),
        Err(InstallError::Denied(denied)) => Err(denied.into()),
        Err(InstallError::Refused(ArmRefusal::NoHost(name))) => {
            Err(Error::NotFound { what: "host", name })
        }
        Err(error) => Err(Error::Conflict(error.to_string())),
    }
}

fn armed_text(ui: &Ui, name: &str, install: &Install, replaced: Option<InstallTask>) -> String {
    let snapshot = ui.app.inventory.snapshot();
    let image = snapshot.site.images.get(&install.image);
    let before = replaced.map_or_else(String::new, |task| format!(" It was armed for: {task}."));
    match snapshot.site.hosts.get(name) {
        Some(host) => {
            let effect = Effect::of(install.task, host, image);
            format!("{name} is armed: its next boot {effect}.{before}")
        }
        None => format!("{name} is armed.{before}"),
    }
}

/// Arms the host for what the form says; what destroys data needs the name typed.
async fn arm(
    ui: &Ui,
    sent: &CheckedForm,
    name: &str,
    replaced: &mut Option<InstallTask>,
) -> Result<Install, InstallError> {
    let word = sent.fields.text("task");
    let task = InstallTask::ALL.into_iter().find(|task| task.label() == word).unwrap_or_default();
    gate::check_confirmed(task, name, Some(sent.fields.text("confirm")))?;
    let request = sent.operator.install(name, task);
    let now = ui.now_ms() / 1000;
    let note = |stored: Option<&Install>| {
        *replaced = effect::replaced(stored, task, now);
        Ok(())
    };
    ui.app.inventory.arm_install_if(request, note).await
}
