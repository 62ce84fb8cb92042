//! Arming many hosts at once, those ticked or all that a query finds: what each next boot does, and
//! the number typed where data is lost.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::bulk::{hex, matching};
use super::error::Error;
use super::form::{CheckedForm, Fields};
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::ArmedHost;
use crate::lifecycle::effect::Effect;
use crate::lifecycle::gate;
use crate::lifecycle::install::InstallTask;
use crate::model::{Limits, Site, some_names};

/// The selected hosts, and what they are to be armed for.
struct Selection {
    /// The query that finds them; none where they were ticked.
    query: Option<String>,
    hosts: Vec<String>,
    task: InstallTask,
}

/// A host, and what its next boot does; or why it cannot be armed.
struct Row {
    name: String,
    effect: Effect,
    refusal: Option<String>,
}

#[derive(Template)]
#[template(path = "bulk_install.html")]
struct BulkInstallPage {
    frame: Frame,
    selection: Selection,
    rows: Vec<Row>,
    /// What has to be typed; empty where no data is lost.
    confirmation: String,
    /// What was shown, so that nothing else is done.
    seen: String,
    wrong: Vec<String>,
}

impl BulkInstallPage {
    fn tasks(&self) -> [InstallTask; 5] {
        InstallTask::ALL
    }

    fn count(&self) -> String {
        match self.rows.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        }
    }

    fn refused(&self) -> usize {
        self.rows.iter().filter(|row| row.refusal.is_some()).count()
    }
}

impl Selection {
    async fn read(ui: &Ui, fields: &Fields) -> Result<Self, Error> {
        let query = (fields.text("which") == "all").then(|| fields.text("query").to_owned());
        let snapshot = ui.app.inventory.snapshot();
        let mut hosts: Vec<String> = match &query {
            Some(query) => matching(ui, query).await?,
            None => fields.texts("host").map(str::to_owned).collect(),
        };
        hosts.retain(|name| snapshot.site.hosts.contains_key(name));
        hosts.sort();
        hosts.dedup();
        Ok(Self { query, hosts, task: fields.text("task").parse().unwrap_or_default() })
    }

    /// What happens to each host, tried and not done.
    fn rows(&self, ui: &Ui, limits: &[Limits]) -> Vec<Row> {
        let inventory = &ui.app.inventory;
        let snapshot = inventory.snapshot();
        let mut rows = Vec::new();
        for name in &self.hosts {
            let host = snapshot.site.hosts.get(name).cloned().unwrap_or_default();
            let image = host.image.as_ref().and_then(|image| snapshot.site.images.get(image));
            let effect = Effect::of(self.task, &host, image);
            let refusal = inventory.install_refusal(&snapshot, name, self.task, limits);
            rows.push(Row { name: name.clone(), effect, refusal });
        }
        rows
    }

    /// What has to be typed before this is done: an installer of one's own erases a disk too.
    fn confirmation(&self, rows: &[Row]) -> String {
        let erases = self.task.erases()
            || rows.iter().any(|row| matches!(row.effect, Effect::Installer { .. }));
        if erases { gate::confirmation(&self.hosts) } else { String::new() }
    }
}

/// The digest of what is done to which host.
fn digest(selection: &Selection, rows: &[Row], site: &Site) -> String {
    let mut text = format!("{}", selection.task);
    for row in rows {
        let host = site.hosts.get(&row.name);
        text.push_str(&format!("\n{} {} {:?}", row.name, row.effect, host.map(|it| &it.nics)));
    }
    hex(text.as_bytes())
}

/// `GET /install-hosts?which=selected&host=A&host=B&task=TASK` or `?which=all&query=QUERY`
pub(super) async fn ask(
    State(ui): State<Ui>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes())?;
    let selection = Selection::read(&ui, &fields).await?;
    page(&ui, &operator, selection, Vec::new()).await
}

/// `POST /install-hosts`: arms all of the hosts that were shown, or none.
pub(super) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let selection = Selection::read(&ui, &sent.fields).await?;
    let snapshot = ui.app.inventory.snapshot();
    let rows = selection.rows(&ui, &sent.operator.limits);
    if selection.hosts.is_empty() {
        return page(&ui, &sent.operator, selection, vec!["No host is selected.".into()]).await;
    }
    if digest(&selection, &rows, &snapshot.site) != sent.fields.text("seen") {
        let text = "No host is armed: the hosts, or what happens to them, changed since this page \
                    was shown. Look at it again.";
        return page(&ui, &sent.operator, selection, vec![text.into()]).await;
    }
    let confirmed = sent.fields.text("confirm");
    let expected = selection.confirmation(&rows);
    if !expected.is_empty() && confirmed != expected {
        let task = selection.task;
        let names = some_names(&selection.hosts);
        let text = format!(
            "No host is armed: {task} destroys the data of {names}; confirm it, confirm=\"{expected}\""
        );
        return page(&ui, &sent.operator, selection, vec![text]).await;
    }
    let task = selection.task;
    let request = sent.operator.install("", task);
    match ui.app.inventory.arm_installs(&selection.hosts, request).await {
        Ok(armed) => {
            let names: Vec<String> = armed.into_iter().map(|ArmedHost { name, .. }| name).collect();
            let said = match &names[..] {
                [name] => format!("{name} is armed: {task} at its next boot."),
                names => {
                    let some = some_names(names);
                    format!("{} hosts are armed: {task} at their next boots ({some}).", names.len())
                }
            };
            sent.operator.notify(said).await?;
            Ok(Redirect::to("/hosts").into_response())
        }
        Err(refusals) => {
            let wrong = refusals.iter().map(|refusal| format!("No host is armed: {refusal}"));
            let wrong = wrong.collect();
            page(&ui, &sent.operator, selection, wrong).await
        }
    }
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    selection: Selection,
    wrong: Vec<String>,
) -> Result<Response, Error> {
    let rows = selection.rows(ui, &operator.limits);
    let snapshot = ui.app.inventory.snapshot();
    let seen = digest(&selection, &rows, &snapshot.site);
    let confirmation = selection.confirmation(&rows);
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = operator.frame("hosts").await?;
    let page = BulkInstallPage { frame, selection, rows, confirmation, seen, wrong };
    Ok((status, Page(page)).into_response())
}
