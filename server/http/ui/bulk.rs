//! Editing many hosts at once, those ticked or all that a query finds, with a review before saving.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::form::{CheckedForm, Fields};
use super::host_query::HostsQuery;
use super::hosts::HostListData;
use super::overview::{Messages, thousands};
use super::page::{Frame, Page};
use super::proposal::{ChangePreview, Proposal, ProposalResult, propose};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::ChangeError;
use crate::model::{Cable, Host, Scalar, Site, When, check_noun_name, some_names};

/// Keeps the value of each host.
const KEEP: &str = "";
/// Removes the value.
const NONE: &str = "-";

/// The selected hosts and their new values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bulk {
    /// The query that finds them; none where they were ticked.
    query: Option<String>,
    hosts: Vec<String>,
    /// New values by field; what is missing or empty is kept.
    values: BTreeMap<&'static str, String>,
    /// The digest of what was reviewed: hosts and values.
    reviewed: String,
    /// The digest of the hosts as they were then.
    seen: String,
}

/// The fields of the form.
const FIELDS: [&str; 16] = [
    "profile",
    "image",
    "tenant",
    "rack",
    "rented-from",
    "rented-until",
    "protected",
    "add-label",
    "drop-label",
    "notes",
    "parameter",
    "parameter-value",
    "cable-nic",
    "cable-switch",
    "cable-port",
    "remove",
];

/// A value of the form that cannot be read.
#[derive(Debug, thiserror::Error)]
enum InvalidValue {
    #[error("{0}")]
    Value(String),
}

impl Bulk {
    fn read(fields: &Fields) -> Self {
        let is_all = fields.text("which") == "all";
        let given = FIELDS.iter().map(|field| (*field, fields.text(field).to_owned()));
        Self {
            query: is_all.then(|| fields.text("query").to_owned()),
            hosts: fields.texts("host").map(str::to_owned).collect(),
            values: given.filter(|(_, value)| value != KEEP).collect(),
            reviewed: fields.text("reviewed").to_owned(),
            seen: fields.text("seen").to_owned(),
        }
    }

    fn value(&self, field: &str) -> &str {
        self.values.get(field).map_or(KEEP, String::as_str)
    }

    fn removes(&self) -> bool {
        self.value("remove") == "on"
    }

    fn digest(&self) -> String {
        hex(format!("{:?} {:?} {:?}", self.query, self.hosts, self.values).as_bytes())
    }

    /// What the hosts are now.
    fn digest_of_hosts(&self, site: &Site) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|name| (name, site.hosts.get(name))).collect();
        hex(&serde_json::to_vec(&hosts).unwrap_or_default())
    }

    fn apply(&self, site: &mut Site) -> Result<(), InvalidValue> {
        if self.removes() {
            self.hosts.iter().for_each(|name| drop(site.hosts.remove(name)));
            return Ok(());
        }
        for name in &self.hosts {
            let Some(host) = site.hosts.get_mut(name) else { continue };
            self.apply_to(name, host)?;
        }
        Ok(())
    }

    fn apply_to(&self, name: &str, host: &mut Host) -> Result<(), InvalidValue> {
        set(&mut host.profile, self.value("profile"));
        set(&mut host.image, self.value("image"));
        set(&mut host.rack, self.value("rack"));
        set(&mut host.notes, self.value("notes"));
        let mut tenant = host.tenant.clone();
        set(&mut tenant, self.value("tenant"));
        host.give_to(tenant);
        for (field, value) in
            [("rented-from", &mut host.rented_from), ("rented-until", &mut host.rented_until)]
        {
            match self.value(field) {
                KEEP => {}
                NONE => *value = None,
                text => {
                    let read = text.parse::<When>();
                    *value = Some(
                        read.map_err(|error| InvalidValue::Value(format!("{field}: {error}")))?,
                    );
                }
            }
        }
        match self.value("protected") {
            "yes" => host.protected = true,
            "no" => host.protected = false,
            _ => {}
        }
        let labels =
            |field| self.value(field).split(',').map(str::trim).filter(|it| !it.is_empty());
        for label in labels("add-label") {
            check_noun_name("label", label)
                .map_err(|error| InvalidValue::Value(error.to_string()))?;
            if !host.labels.iter().any(|known| known == label) {
                host.labels.push(label.to_owned());
            }
        }
        host.labels.retain(|label| !labels("drop-label").any(|gone| gone == label));
        if let (parameter, value) = (self.value("parameter"), self.value("parameter-value"))
            && parameter != KEEP
        {
            match value {
                KEEP | NONE => drop(host.parameters.remove(parameter)),
                value => {
                    drop(host.parameters.insert(parameter.to_owned(), Scalar(value.to_owned())))
                }
            }
        }
        self.cable(name, host)
    }

    /// Sets the switch port of a NIC, by patterns such as `leaf{rack}a` and `Ethernet{unit}`.
    fn cable(&self, name: &str, host: &mut Host) -> Result<(), InvalidValue> {
        let [label, switch, port] =
            ["cable-nic", "cable-switch", "cable-port"].map(|it| self.value(it));
        if label == KEEP && switch == KEEP && port == KEEP {
            return Ok(());
        }
        if label == KEEP || (switch != NONE && (switch == KEEP || port == KEEP)) {
            let text = "a switch port needs NIC, switch and port; switch - removes it";
            return Err(InvalidValue::Value(text.into()));
        }
        let unit = host.unit.map(|unit| unit.to_string());
        let index = host.number().map(|number| number.to_string());
        let rack = host.rack.clone();
        let fill = |pattern: &str| -> Result<String, InvalidValue> {
            let mut text = pattern.replace("{name}", name);
            for (word, value) in [("{rack}", &rack), ("{unit}", &unit), ("{index}", &index)] {
                if text.contains(word) {
                    let missing = || {
                        InvalidValue::Value(format!(
                            "{name} has nothing for {word} of \"{pattern}\""
                        ))
                    };
                    text = text.replace(word, value.as_ref().ok_or_else(missing)?);
                }
            }
            Ok(text)
        };
        let cable = match switch {
            NONE => None,
            switch => Some(Cable { switch: fill(switch)?, port: fill(port)? }),
        };
        let Some(nic) = host.nics.get_mut(label) else {
            return Err(InvalidValue::Value(format!("{name} has no NIC \"{label}\"")));
        };
        nic.cable = cable;
        Ok(())
    }

    fn summary(&self) -> String {
        let count = self.hosts.len();
        if self.removes() {
            return format!("removed {count} hosts");
        }
        let given: Vec<String> = self
            .values
            .iter()
            .map(|(what, value)| match value.as_str() {
                NONE => format!("no {what}"),
                value => format!("{what} {value}"),
            })
            .collect();
        match given.as_slice() {
            [] => format!("no change to {count} hosts"),
            given => format!("set {} on {count} hosts", given.join(", ")),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn set(value: &mut Option<String>, wanted: &str) {
    match wanted {
        KEEP => {}
        NONE => *value = None,
        wanted => *value = Some(wanted.to_owned()),
    }
}

/// A value to set on all hosts, and its options.
struct Choice {
    id: &'static str,
    label: &'static str,
    wanted: String,
    options: Vec<String>,
}

/// A text to set on all hosts.
struct TextField {
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
    bulk: Bulk,
    choices: Vec<Choice>,
    texts: Vec<TextField>,
    form_errors: Messages,
    review: Option<ChangePreview>,
}

impl BulkPage {
    fn count(&self) -> String {
        thousands(self.bulk.hosts.len())
    }

    fn some(&self) -> String {
        some_names(&self.bulk.hosts)
    }
}

/// The hosts that a query finds now, in the order of their names.
pub(super) async fn matching(ui: &Ui, query: &str) -> Result<Vec<String>, Error> {
    let wanted = HostsQuery::parse(query)?;
    let known = HostListData::read(ui, &wanted).await?;
    let hosts = known.hosts(ui);
    let found = wanted.find(&hosts, |_| 0).hosts.into_iter();
    let mut names: Vec<String> = found.map(|(name, _)| name.clone()).collect();
    names.sort();
    Ok(names)
}

/// `GET /edit-hosts?which=selected&host=A&host=B` or `?which=all&query=QUERY`
pub(crate) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let mut bulk = Bulk::read(&Fields::parse(query.unwrap_or_default().as_bytes())?);
    match &bulk.query {
        Some(query) => bulk.hosts = matching(&ui, query).await?,
        None => {
            let snapshot = ui.app.inventory.snapshot();
            bulk.hosts.retain(|name| snapshot.site.hosts.contains_key(name));
        }
    }
    page(&ui, &operator, bulk, Messages::default(), None).await
}

/// `POST /edit-hosts`: reviews, or saves what was reviewed.
pub(crate) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let mut bulk = Bulk::read(&sent.fields);
    if let Some(query) = &bulk.query {
        bulk.hosts = matching(&ui, query).await?;
    }
    if sent.fields.text("do") == "form" {
        bulk.reviewed.clear();
        return page(&ui, &sent.operator, bulk, Messages::default(), None).await;
    }
    let is_reviewed = !bulk.reviewed.is_empty() && bulk.reviewed == bulk.digest();
    let mut save = sent.fields.text("do") == "save" && is_reviewed;
    let mut form_errors = Messages::default();
    if sent.fields.text("do") == "save" && !is_reviewed && bulk.query.is_some() {
        let text = format!(
            "Nothing is saved: the values or the hosts that match changed since the review; {} match now.",
            thousands(bulk.hosts.len())
        );
        form_errors = std::iter::once(text).collect();
    }
    let typed = sent.fields.text("count");
    if save && bulk.removes() && typed != bulk.hosts.len().to_string() {
        let text = format!("Type {0} to confirm that {0} hosts are removed.", bulk.hosts.len());
        form_errors = std::iter::once(text).collect();
        save = false;
    }
    let summary = bulk.summary();
    let proposal = Proposal { operator: &sent.operator, summary: &summary, base: None, save };
    let mut wrong = None;
    let edit = |site: &mut Site| {
        if save && bulk.digest_of_hosts(site) != bulk.seen {
            let entries = bulk.hosts.iter().map(|name| format!("host {name}")).collect();
            return Err(ChangeError::Overtaken { entries });
        }
        bulk.apply(site).map_err(|error| {
            wrong = Some(error.to_string());
            ChangeError::Declined
        })
    };
    let result = propose(&ui, proposal, edit).await?;
    if let Some(wrong) = wrong {
        let form_errors = std::iter::once(wrong).collect();
        bulk.reviewed.clear();
        return page(&ui, &sent.operator, bulk, form_errors, None).await;
    }
    match result {
        ProposalResult::Saved(saved) => {
            sent.operator.notify(saved.said()).await?;
            Ok(Redirect::to(&format!("/revisions/{}", saved.revision)).into_response())
        }
        ProposalResult::Reviewed(review) => {
            bulk.reviewed = bulk.digest();
            bulk.seen = bulk.digest_of_hosts(&ui.app.inventory.snapshot().site);
            page(&ui, &sent.operator, bulk, form_errors, Some(review)).await
        }
        ProposalResult::Refused(error) => {
            let form_errors = Messages::of_refusal(&error);
            bulk.reviewed.clear();
            page(&ui, &sent.operator, bulk, form_errors, None).await
        }
    }
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    bulk: Bulk,
    form_errors: Messages,
    review: Option<ChangePreview>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let choice = |id, label, options: Vec<&String>| Choice {
        id,
        label,
        wanted: bulk.value(id).to_owned(),
        options: options.into_iter().cloned().collect(),
    };
    let choices = vec![
        choice("profile", "Profile", site.profiles.keys().collect()),
        choice("image", "Image", site.images.keys().collect()),
        choice("tenant", "Tenant", site.tenants.keys().collect()),
        choice("rack", "Rack", site.racks.keys().collect()),
    ];
    let text = |id, label, hint| TextField { id, label, hint, value: bulk.value(id).to_owned() };
    let texts = vec![
        text("add-label", "Add labels", "Separated by commas."),
        text("drop-label", "Drop labels", "Separated by commas."),
        text("notes", "Notes", "- removes them."),
        text("rented-from", "Rented from", "A day; - removes it."),
        text("rented-until", "Rented until", "A day; - removes it."),
        text("parameter", "Parameter", "Its name."),
        text("parameter-value", "Value of the parameter", "Empty: remove it."),
        text("cable-nic", "Switch port of NIC", "Such as eth0."),
        text("cable-switch", "Switch", "Such as leaf-{rack}a; - removes the cable."),
        text("cable-port", "Port", "Such as Ethernet{unit}; also {index} and {name}."),
    ];
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = operator.frame("hosts").await?;
    let page = BulkPage { frame, bulk, choices, texts, form_errors, review };
    Ok((status, Page(page)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(fields: &str) -> Bulk {
        Bulk::read(&Fields::parse(fields.as_bytes()).unwrap())
    }

    #[test]
    fn only_selected_values_change() {
        let mut site = Site::default();
        let host = Host {
            profile: Some("old".into()),
            image: Some("live".into()),
            tenant: Some("t".into()),
            ..Host::default()
        };
        for name in ["a", "b"] {
            site.hosts.insert(name.into(), host.clone());
        }
        let bulk = bulk("host=a&host=nobody&profile=new&image=&tenant=-");
        bulk.apply(&mut site).unwrap();
        let a = &site.hosts["a"];
        assert_eq!(
            (a.profile.as_deref(), a.image.as_deref(), a.tenant.as_deref()),
            (Some("new"), Some("live"), None)
        );
        assert_eq!(site.hosts["b"], host);
        assert_eq!(bulk.summary(), "set profile new, no tenant on 2 hosts");
    }

    #[test]
    fn every_field_of_the_form_does_something() {
        let host: Host = serde_json::from_value(serde_json::json!({
            "rack": "r07", "unit": 12, "labels": ["old"], "protected": true, "tenant": "t",
            "parameters": {"rails": "4"}, "nics": {"eth0": "52:54:00:aa:00:01"},
        }))
        .unwrap();
        let cases = [
            ("rack=r8", r#"{"rack": "r8"}"#),
            ("notes=loud", r#"{"notes": "loud"}"#),
            ("rented-until=2027-01-31", r#"{"rented-until": "2027-01-31"}"#),
            ("protected=no", r#"{"protected": false}"#),
            ("add-label=new,old&drop-label=x", r#"{"labels": ["old", "new"]}"#),
            ("drop-label=old", r#"{"labels": []}"#),
            ("parameter=rails&parameter-value=8", r#"{"parameters": {"rails": "8"}}"#),
            ("parameter=rails", r#"{"parameters": {}}"#),
            (
                "cable-nic=eth0&cable-switch=leaf-{rack}a&cable-port=Ethernet{unit}",
                r#"{"nics": {"eth0": {"mac": "52:54:00:aa:00:01", "switch": "leaf-r07a", "port": "Ethernet12"}}}"#,
            ),
            ("", "{}"),
        ];
        for (fields, changes) in cases {
            let mut changed = host.clone();
            bulk(fields).apply_to("n1", &mut changed).unwrap();
            let mut expected = serde_json::to_value(&host).unwrap();
            let changes: serde_json::Map<_, _> = serde_json::from_str(changes).unwrap();
            for (key, value) in changes {
                expected[key] = value;
            }
            assert_eq!(changed, serde_json::from_value(expected).unwrap(), "{fields}");
        }
        for (fields, text) in [
            ("rented-until=soon", "\"soon\" is not a day"),
            ("add-label=a b", "\"a b\""),
            ("cable-nic=eth0&cable-switch=leaf1", "needs NIC, switch and port"),
            ("cable-nic=eth9&cable-switch=l&cable-port=p", "n1 has no NIC \"eth9\""),
        ] {
            let error = bulk(fields).apply_to("n1", &mut host.clone()).unwrap_err().to_string();
            assert!(error.contains(text), "{fields}: {error}");
        }
        let unplaced = &mut Host { unit: None, ..host };
        let error =
            bulk("cable-nic=eth0&cable-switch=l&cable-port=swp{unit}").apply_to("n1", unplaced);
        assert!(error.unwrap_err().to_string().contains("n1 has nothing for {unit}"));
    }
}
