//! Adding, editing and removing a host.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::confirm::{Confirmation, Crumb, TypedName, is_confirmed, reviewed_revision};
use super::error::Error;
use super::form::CheckedForm;
use super::host_form::{FormErrors, HostForm, digest};
use super::last_change::LastChange;
use super::overview::Messages;
use super::page::{Frame, Page};
use super::parameter_choice::{ParameterChoice, parameter_choices};
use super::proposal::{
    ChangePreview, EditStep, Proposal, ProposalResult, SavedChange, propose, review,
};
use super::query::UrlQuery;
use super::session::{Notice, Operator};
use super::state::Ui;
use crate::inventory::{Change, ChangeError};
use crate::model::{Host, LocalBoot, Location, MergeConflict, Merged, Noun, Site, merge_changes};
use crate::profile::ResolvedSite;

#[derive(Template)]
#[template(path = "host_edit.html")]
struct EditPage {
    frame: Frame,
    form: HostForm,
    form_errors: FormErrors,
    choices: Choices,
    review: Option<ChangePreview>,
}

impl EditPage {
    /// Whether the page has the field of a place: a form has all of them.
    fn is_shown(&self, _: &str) -> bool {
        true
    }

    /// What a place in the form is called.
    fn label(&self, place: &str) -> String {
        match place.split_once('.') {
            Some(("nics", nic)) => format!("NIC {nic}"),
            Some(("addresses", link)) => format!("Address on {link}"),
            Some(("reservations", subnet)) => format!("Reservation on {subnet}"),
            Some(("parameters", name)) => format!("Parameter {name}"),
            Some(("match", key)) => format!("Known by {key}"),
            _ => place.to_owned(),
        }
    }

    /// What is wrong with a NIC; a spare row is never wrong.
    fn nic_wrong(&self, label: &str, mac: &str) -> Option<&str> {
        let spare = label.is_empty() && mac.is_empty();
        self.form_errors.in_row("nics", label).filter(|_| !spare)
    }
}

/// What the form's lists offer.
struct Choices {
    racks: Vec<String>,
    tenants: Vec<String>,
    profiles: Vec<String>,
    images: Vec<String>,
    /// The ways to the local disk.
    local_boots: Vec<String>,
    /// Labels of the site and of other hosts.
    labels: BTreeSet<String>,
    subnets: Vec<(String, String)>,
    /// What stands beside each address: the subnet of its link.
    hints: Vec<(String, String)>,
    /// The parameters of the profile.
    parameters: Vec<ParameterChoice>,
}

impl Choices {
    fn of(site: &ResolvedSite, form: &HostForm) -> Self {
        let prefix = |name: &str| site.subnets.get(name).map(|subnet| subnet.cidr.to_string());
        let resolution = form.resolution(site).unwrap_or_default();
        let hint = |(link, subnet): (&str, &str)| {
            let prefix = prefix(subnet).unwrap_or_else(|| "unknown subnet".into());
            (link.to_owned(), format!("{subnet}, {prefix}"))
        };
        let subnets =
            site.subnets.iter().map(|(name, subnet)| (name.clone(), subnet.cidr.to_string()));
        let of_hosts = site.hosts.values().flat_map(|host| &host.labels);
        let labels = site.labels.keys().chain(of_hosts);
        Self {
            racks: site.racks.keys().cloned().collect(),
            tenants: site.tenants.keys().cloned().collect(),
            profiles: site.profiles.keys().cloned().collect(),
            images: site.images.keys().cloned().collect(),
            local_boots: LocalBoot::ALL.map(|way| way.label().to_owned()).to_vec(),
            labels: labels.cloned().collect(),
            subnets: subnets.collect(),
            hints: resolution.profile.subnets().map(hint).collect(),
            parameters: parameter_choices(site, &form.rack, &resolution.parameters),
        }
    }

    /// What is known of a parameter; none for one that the profile does not take.
    fn parameter(&self, name: &str) -> Option<&ParameterChoice> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    fn hint(&self, link: &str) -> &str {
        let found = self.hints.iter().find(|(name, _)| name == link);
        found.map_or("not a link of this profile", |(_, hint)| hint)
    }
}

/// What a form begins with: the NIC of an unknown client that somebody adopts, and the name of the
/// new host.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BlankQuery {
    mac: String,
    /// The name of a new host.
    name: String,
    rack: String,
    unit: String,
    profile: String,
    /// An address, and the link that has it, or the subnet in which it is reserved.
    address: String,
    link: String,
    subnet: String,
}

impl BlankQuery {
    /// Fills in what the query says.
    fn fill_in(self, form: &mut HostForm) {
        let Self { mac, name, rack, unit, profile, address, link, subnet } = self;
        form.adopt(mac);
        for (field, text) in [
            (&mut form.name, name),
            (&mut form.rack, rack),
            (&mut form.unit, unit),
            (&mut form.profile, profile),
        ] {
            if !text.is_empty() {
                *field = text;
            }
        }
        for (rows, key) in [(&mut form.addresses, link), (&mut form.reservations, subnet)] {
            if !key.is_empty() {
                rows.retain(|(own, _)| *own != key);
                rows.push((key, address.clone()));
            }
        }
    }

    /// Whether it says what a host that exists would have: that is reviewed at once. A NIC that is
    /// adopted is not, since it may be one of several.
    fn is_proposal(&self) -> bool {
        !(self.rack.is_empty() && self.unit.is_empty() && self.address.is_empty())
    }
}

/// `GET /add-host`
pub(super) async fn blank(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(query): UrlQuery<BlankQuery>,
) -> Result<Response, Error> {
    let mut form = HostForm::default();
    query.fill_in(&mut form);
    page(&ui, &operator, form, FormErrors::default()).await
}

/// `GET /hosts/{name}/edit`
pub(super) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
    UrlQuery(query): UrlQuery<BlankQuery>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let Some(host) = snapshot.site.hosts.get(&name) else {
        return Err(Error::NotFound { what: "host", name });
    };
    let mut form = HostForm::of(&name, host);
    let is_proposal = query.is_proposal();
    // Its name stays: a link may not rename a host.
    BlankQuery { name: String::new(), ..query }.fill_in(&mut form);
    if is_proposal {
        return answer(&ui, &operator, form, true).await;
    }
    page(&ui, &operator, form, FormErrors::default()).await
}

/// `POST /add-host`
pub(super) async fn add(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    take(&ui, sent, "").await
}

/// `POST /hosts/{name}/edit`
pub(super) async fn save(
    State(ui): State<Ui>,
    Path(name): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    take(&ui, sent, &name).await
}

async fn take(ui: &Ui, sent: CheckedForm, was: &str) -> Result<Response, Error> {
    let form = HostForm::read(&sent.fields, was);
    let wanted = sent.fields.text("do");
    if matches!(wanted, "show" | "form") {
        return page(ui, &sent.operator, form, FormErrors::default()).await;
    }
    answer(ui, &sent.operator, form, wanted == "review").await
}

/// Saves or reviews what a form says.
async fn answer(
    ui: &Ui,
    operator: &Operator,
    form: HostForm,
    is_review: bool,
) -> Result<Response, Error> {
    let (name, host) = match form.host() {
        Ok(read) => read,
        Err(form_errors) => return page(ui, operator, form, form_errors).await,
    };
    // A host that is given to another tenant moves to its networks: nobody saves that unseen.
    let unseen = moves(ui, &form, &host) && form.reviewed != digest(&host);
    let change = Proposed { name: &name, review: is_review || unseen };
    match commit(ui, operator, &form, change, host).await? {
        FormResult::Saved(said) => {
            operator.notify(said).await?;
            Ok(Redirect::to(&format!("/hosts/{name}")).into_response())
        }
        FormResult::Reviewed { review, digest } => {
            let form = HostForm { reviewed: digest, ..form };
            page_with(ui, operator, form, FormErrors::default(), Some(review)).await
        }
        FormResult::Refused(form_errors) => page(ui, operator, form, form_errors).await,
        FormResult::Overtaken { form, form_errors } => page(ui, operator, *form, form_errors).await,
    }
}

/// Whether the host is another tenant's, or nobody's, as it is now.
fn moves(ui: &Ui, form: &HostForm, host: &Host) -> bool {
    let snapshot = ui.app.inventory.snapshot();
    snapshot.site.hosts.get(&form.was).is_some_and(|now| now.tenant != host.tenant)
}

/// The name that a host shall have, and whether the change is only reviewed.
struct Proposed<'a> {
    name: &'a str,
    review: bool,
}

/// What became of a form that could be read. Made once a request.
enum FormResult {
    /// It is saved: the notice.
    Saved(Notice),
    /// It is reviewed: what it would change, and the [`digest`] of the host.
    Reviewed { review: ChangePreview, digest: String },
    /// The change is refused.
    Refused(FormErrors),
    /// Others changed the same values since: the form with the host as it is now, and what was
    /// entered.
    Overtaken { form: Box<HostForm>, form_errors: FormErrors },
}

/// Makes the change or reviews it.
async fn commit(
    ui: &Ui,
    operator: &Operator,
    form: &HostForm,
    Proposed { name, review: dry_run }: Proposed<'_>,
    host: Host,
) -> Result<FormResult, Error> {
    let summary = match form.was.as_str() {
        "" => format!("added host {name}"),
        was if was == name => format!("changed host {name}"),
        was => format!("renamed host {was} to {name} and changed it"),
    };
    let change = Change { dry_run, ..operator.change(&summary) };
    let sent = host.clone();
    let outcome = ui.app.inventory.change_site(change, |site| put(site, form, name, host)).await;
    match outcome {
        Ok(done) if dry_run => {
            Ok(FormResult::Reviewed { review: review(done).await, digest: digest(&sent) })
        }
        Ok(done) if done.differences.is_empty() => {
            Ok(FormResult::Saved(Notice::from("Nothing changed.".to_owned())))
        }
        Ok(done) => Ok(FormResult::Saved(SavedChange::of(&done).notice())),
        Err(ChangeError::FormOutdated { .. }) => overtaken(ui, form, name, sent).await,
        Err(error) => Ok(FormResult::Refused(form_errors_of(error, form)?)),
    }
}

/// Puts the host into the site, together with what others have changed of it since the form was
/// made; not where both changed the same value.
fn put(site: &mut Site, form: &HostForm, name: &str, host: Host) -> Result<(), ChangeError> {
    if form.was != name && site.hosts.contains_key(name) {
        return Err(ChangeError::Exists { noun: Host::NOUN, name: name.to_owned() });
    }
    let now = site.hosts.remove(&form.was);
    let merged = match now {
        None if form.was.is_empty() => host,
        Some(now) => {
            let merged = merged(form, host, &now).filter(|merged| merged.conflicts.is_empty());
            let outdated = || ChangeError::FormOutdated { host: form.was.clone() };
            merged.ok_or_else(outdated)?.entry
        }
        None => return Err(ChangeError::FormOutdated { host: form.was.clone() }),
    };
    site.hosts.insert(name.to_owned(), merged);
    Ok(())
}

/// The host as sent, together with what was changed since; none for a form that does not say
/// what it was made of.
fn merged(form: &HostForm, sent: Host, now: &Host) -> Option<Merged<Host>> {
    let base: Host = serde_json::from_str(&form.seen).ok()?;
    let mine = edited(base.clone(), sent);
    merge_changes(&base, &mine, now)
}

/// The form again, with what others changed filled in, and both values of what both changed.
async fn overtaken(ui: &Ui, form: &HostForm, name: &str, sent: Host) -> Result<FormResult, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let last = LastChange::find(ui, Host::KIND, &form.was).await?;
    let mut form_errors = FormErrors::default();
    let Some(now) = snapshot.site.hosts.get(&form.was) else {
        form_errors.add("", format!("host {} does not exist any more; {last}", form.was));
        return Ok(FormResult::Refused(form_errors));
    };
    let Some(Merged { entry, conflicts }) = merged(form, sent, now) else {
        let host = form.was.clone();
        form_errors.add("", ChangeError::FormOutdated { host }.to_string());
        return Ok(FormResult::Refused(form_errors));
    };
    let mut again = HostForm::of(&form.was, &entry);
    name.clone_into(&mut again.name);
    again.seen = serde_json::to_string(now).unwrap_or_default();
    for MergeConflict { path, base, mine, theirs } in conflicts {
        let text = |value: Option<String>| value.unwrap_or_else(|| "nothing".into());
        let at = Location::of::<Host>(again.name.as_str()).within(path);
        let text = format!(
            "was {}; now {} ({last}); you entered {}. Save again to keep yours.",
            text(base),
            text(theirs),
            text(mine)
        );
        form_errors.add(again.place(std::iter::once(&at)), text);
    }
    Ok(FormResult::Overtaken { form: Box::new(again), form_errors })
}

/// The host with the fields of the form as they were sent, and everything else as it is now.
fn edited(now: Host, sent: Host) -> Host {
    // Every field has to be named: one that the form does not have would be erased by a save.
    let Host {
        rack: _,
        unit: _,
        height: _,
        index: _,
        serial: _,
        tenant: _,
        rented_from: _,
        rented_until: _,
        profile: _,
        parameters: _,
        network,
        image: _,
        nics: _,
        addresses: _,
        reservations: _,
        allow,
        boot_file: _,
        next_server,
        dhcp,
        disk,
        bmc: _,
        local_boot: _,
        labels: _,
        notes: _,
        protected: _,
        known_by: _,
        dhcp_options,
    } = now;
    Host { network, allow, next_server, dhcp, disk, dhcp_options, ..sent }
}

/// A refused change at its fields; the database's own failures are not the operator's.
fn form_errors_of(error: ChangeError, form: &HostForm) -> Result<FormErrors, Error> {
    let mut form_errors = FormErrors::default();
    match error {
        ChangeError::Inventory(error) => return Err(error.into()),
        ChangeError::Refused(findings) => {
            for finding in findings {
                form_errors.add(form.place(finding.subjects()), finding.text);
            }
        }
        ChangeError::Taken(taken) => {
            form_errors.add(form.place([&taken.at, &taken.owner].into_iter()), taken.to_string());
        }
        error @ ChangeError::Exists { .. } => form_errors.add("name", error.to_string()),
        error => form_errors.add("", error.to_string()),
    }
    Ok(form_errors)
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    form: HostForm,
    form_errors: FormErrors,
) -> Result<Response, Error> {
    page_with(ui, operator, form, form_errors, None).await
}

async fn page_with(
    ui: &Ui,
    operator: &Operator,
    mut form: HostForm,
    form_errors: FormErrors,
    review: Option<ChangePreview>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    form.offer_rows(&snapshot.site);
    let choices = Choices::of(&snapshot.site, &form);
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = operator.frame("hosts").await?;
    Ok((status, Page(EditPage { frame, form, form_errors, choices, review })).into_response())
}

/// `GET /hosts/{name}/remove`
pub(super) async fn ask_remove(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<Response, Error> {
    if !ui.app.inventory.snapshot().site.hosts.contains_key(&name) {
        return Err(Error::NotFound { what: "host", name });
    }
    question(&ui, &operator, TypedName { name, wrong: None }, Messages::default()).await
}

/// `POST /hosts/{name}/remove`
pub(super) async fn remove(
    State(ui): State<Ui>,
    Path(name): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    if !ui.app.inventory.snapshot().site.hosts.contains_key(&name) {
        return Err(Error::NotFound { what: "host", name });
    }
    let base = reviewed_revision(&sent).filter(|_| is_confirmed(&sent));
    let typed = sent.fields.text("name");
    let wrong = (typed != name).then(|| format!("the name does not match: type {name} to confirm"));
    let (Some(base), None) = (base, &wrong) else {
        let wrong = wrong.filter(|_| is_confirmed(&sent));
        return question(&ui, &sent.operator, TypedName { name, wrong }, Messages::default()).await;
    };
    match removal(&ui, &sent.operator, &name, EditStep::save(base)).await? {
        ProposalResult::Saved(saved) => {
            let said = format!("Removed {name} in revision {}.", saved.revision);
            sent.operator.notify(said).await?;
            Ok(Redirect::to("/hosts").into_response())
        }
        ProposalResult::Refused(error) => {
            let typed = TypedName { name, wrong: None };
            question(&ui, &sent.operator, typed, Messages::of_refusal(&error)).await
        }
        ProposalResult::Reviewed(_) => Err(Error::Internal("a removal was only reviewed".into())),
    }
}

async fn removal(
    ui: &Ui,
    operator: &Operator,
    name: &str,
    EditStep { base, save }: EditStep,
) -> Result<ProposalResult, Error> {
    let summary = format!("removed host {name}");
    let proposal = Proposal { operator, summary: &summary, base: Some(base), save };
    let edit = |site: &mut Site| {
        site.hosts.remove(name);
        Ok(())
    };
    propose(ui, proposal, edit).await
}

/// Shows what a removal would change, and why the one before was refused.
async fn question(
    ui: &Ui,
    operator: &Operator,
    typed: TypedName,
    form_errors: Messages,
) -> Result<Response, Error> {
    let base = ui.app.inventory.snapshot().revision;
    let name = typed.name.clone();
    let page = format!("/hosts/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
    let mut question = Confirmation {
        section: "hosts",
        crumbs: vec![Crumb::new("/hosts", "Hosts"), Crumb::new(page.clone(), name.as_str())],
        question: format!("Remove {name}?"),
        explanation: "This removes the host with its NICs, addresses and reservations from the \
                      inventory; it gets no more files. Its disk is not touched and its events \
                      stay. You can revert the revision later."
            .to_owned(),
        action: "Remove host",
        cancel: page,
        hidden: vec![("base", base.to_string())],
        typed: Some(typed),
        form_errors,
        ..Confirmation::default()
    };
    question.add(removal(ui, operator, &name, EditStep::review(base)).await?);
    question.page(operator).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host with a value under every key that the form does not have.
    #[test]
    fn a_save_keeps_what_the_form_does_not_show() {
        let host: Host = serde_json::from_value(serde_json::json!({
            "rack": "r1",
            "network": {"mtu": 9000},
            "allow": ["N152"],
            "dhcp-options": {"time-servers": ["10.0.0.1"]},
        }))
        .unwrap();
        let form = HostForm { rack: "r2".into(), ..HostForm::of("a", &host) };
        let (_, sent) = form.host().unwrap();
        let saved = edited(host.clone(), sent);
        assert_eq!(saved, Host { rack: Some("r2".into()), ..host });
    }
}
