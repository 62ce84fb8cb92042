//! Switches: their ports, who is cabled to them, and the configuration that they need.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::csv_answer::{CsvAnswer, cell};
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::model::{Site, Switch};
use crate::network::{Fabric, Finding, Lan, check_switch, fabric};

struct Row {
    name: String,
    switch: Switch,
    ports: usize,
}

#[derive(Template)]
#[template(path = "switches.html")]
struct SwitchesPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /switches`
pub(crate) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let rows = rows(&ui.app.inventory.snapshot().site);
    Ok(Page(SwitchesPage { frame: operator.frame("switches").await?, rows }))
}

fn rows(site: &Site) -> Vec<Row> {
    let row = |(name, switch): (&String, &Switch)| Row {
        name: name.clone(),
        switch: switch.clone(),
        ports: cabled(site, name),
    };
    site.switches.iter().map(row).collect()
}

/// `GET /switches.csv`
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> CsvAnswer {
    let headings = ["switch", "vendor", "rack", "unit", "mlag-peer", "ports", "labels", "notes"];
    let rows = rows(&ui.app.inventory.snapshot().site).into_iter();
    let rows = rows.map(|Row { name, switch, ports }| {
        let mut cells = vec![name, switch.vendor.to_string(), cell(switch.rack), cell(switch.unit)];
        cells.extend([cell(switch.mlag_peer), ports.to_string()]);
        cells.extend([switch.labels.join(" "), cell(switch.notes)]);
        cells
    });
    CsvAnswer::new("switches", headings, rows)
}

fn cabled(site: &Site, name: &str) -> usize {
    let nics = site.hosts.values().flat_map(|host| host.nics.values());
    nics.filter(|nic| nic.cable.as_ref().is_some_and(|end| end.switch == name)).count()
}

#[derive(Template)]
#[template(path = "switch.html")]
struct SwitchPage {
    frame: Frame,
    name: String,
    switch: Switch,
    fabric: Fabric,
    findings: Vec<Finding>,
}

impl SwitchPage {
    /// The VLANs of a port in words.
    fn vlans(&self, lan: &Lan) -> String {
        let native = lan.native.map(|id| format!("{id} untagged"));
        let tagged = (!lan.tagged.is_empty()).then(|| lan.tagged.joined(", "));
        native.into_iter().chain(tagged).collect::<Vec<_>>().join(", ")
    }

    /// The group of a port in words.
    fn group(&self, lag: &Option<u32>) -> String {
        let found = self.fabric.lags.iter().find(|group| Some(group.id) == *lag);
        let Some(group) = found else { return String::new() };
        let how = match group.lacp_fast {
            Some(true) => "LACP, fast",
            Some(false) => "LACP, slow",
            None => "static",
        };
        let mlag = if group.mlag { ", MLAG" } else { "" };
        let fallback = if group.fallback { ", fallback" } else { "" };
        format!("{} {how}{mlag}{fallback}", group.id)
    }
}

/// `GET /switches/{name}`
pub(crate) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let (Some(switch), Ok(fabric)) = (site.switches.get(&name).cloned(), fabric(site, &name))
    else {
        return Err(Error::NotFound { what: "switch", name });
    };
    let findings = check_switch(site, &name);
    let frame = operator.frame("switches").await?;
    Ok(Page(SwitchPage { frame, switch, findings, fabric, name }))
}
