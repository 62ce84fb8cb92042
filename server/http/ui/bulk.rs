//! Editing profile, image and tenant of several hosts, with a review before saving.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::Error;
use super::form::{CheckedForm, Fields};
use super::page::{Frame, Page};
use super::proposal::{Proposal, ProposalResult, Review, propose};
use super::session::Operator;
use super::state::Ui;
use crate::model::{DifferenceKind, Site};

/// Keeps the value of each host.
const KEEP: &str = "";
/// Removes the value.
const NONE: &str = "-";

/// The selected hosts and their new values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bulk {
    hosts: Vec<String>,
    profile: String,
    image: String,
    tenant: String,
    base: i64,
}

impl Bulk {
    fn read(fields: &Fields) -> Self {
        let text = |name| fields.text(name).to_owned();
        Self {
            hosts: fields.texts("host").map(str::to_owned).collect(),
            profile: text("profile"),
            image: text("image"),
            tenant: text("tenant"),
            base: fields.text("base").parse().unwrap_or_default(),
        }
    }

    fn apply(&self, site: &mut Site) {
        for name in &self.hosts {
            let Some(host) = site.hosts.get_mut(name) else { continue };
            set(&mut host.profile, &self.profile);
            set(&mut host.image, &self.image);
            let mut tenant = host.tenant.clone();
            set(&mut tenant, &self.tenant);
            host.give_to(tenant);
        }
    }

    fn summary(&self) -> String {
        let words = [("profile", &self.profile), ("image", &self.image), ("tenant", &self.tenant)];
        let given = words.iter().filter(|(_, value)| *value != KEEP);
        let given: Vec<String> = given
            .map(|(what, value)| match value.as_str() {
                NONE => format!("no {what}"),
                value => format!("{what} {value}"),
            })
            .collect();
        match given.as_slice() {
            [] => format!("no change to {} hosts", self.hosts.len()),
            given => format!("set {} on {} hosts", given.join(", "), self.hosts.len()),
        }
    }
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

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
    bulk: Bulk,
    choices: Vec<Choice>,
    form_errors: Vec<String>,
    review: Option<Review>,
}

/// `GET /edit-hosts?host=A&host=B`
pub(crate) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let mut bulk = Bulk::read(&Fields::parse(query.unwrap_or_default().as_bytes())?);
    let snapshot = ui.app.inventory.snapshot();
    bulk.hosts.retain(|name| snapshot.site.hosts.contains_key(name));
    bulk.base = snapshot.revision;
    page(&ui, &operator, bulk, Vec::new(), None).await
}

/// `POST /edit-hosts`: reviews, or saves what was reviewed.
pub(crate) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let mut bulk = Bulk::read(&sent.fields);
    // The reviewed values come in a field of their own, to tell whether they were edited since.
    let reviewed = sent.fields.raw("reviewed") == bulk.summary();
    let save = sent.fields.text("do") == "save" && reviewed;
    let summary = bulk.summary();
    let proposal =
        Proposal { author: sent.operator.author(), summary: &summary, base: bulk.base, save };
    let edit = |site: &mut Site| {
        bulk.apply(site);
        Ok(())
    };
    match propose(&ui, proposal, edit).await? {
        ProposalResult::Saved(revision) => {
            sent.operator.notify(format!("Saved as revision {revision}.")).await?;
            Ok(Redirect::to(&format!("/revisions/{revision}")).into_response())
        }
        ProposalResult::Reviewed(review) => {
            page(&ui, &sent.operator, bulk, Vec::new(), Some(review)).await
        }
        ProposalResult::Refused(form_errors) => {
            bulk.base = ui.app.inventory.snapshot().revision;
            page(&ui, &sent.operator, bulk, form_errors, None).await
        }
    }
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    bulk: Bulk,
    form_errors: Vec<String>,
    review: Option<Review>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let site = &snapshot.site;
    let choice = |id, label, wanted: &String, options: Vec<&String>| Choice {
        id,
        label,
        wanted: wanted.clone(),
        options: options.into_iter().cloned().collect(),
    };
    let choices = vec![
        choice("profile", "Profile", &bulk.profile, site.profiles.keys().collect()),
        choice("image", "Image", &bulk.image, site.images.keys().collect()),
        choice("tenant", "Tenant", &bulk.tenant, site.tenants.keys().collect()),
    ];
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = operator.frame("hosts").await?;
    Ok((status, Page(BulkPage { frame, bulk, choices, form_errors, review })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

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
        let fields = b"host=a&host=nobody&profile=new&image=&tenant=-&base=7";
        let bulk = Bulk::read(&Fields::parse(fields).unwrap());
        bulk.apply(&mut site);
        let a = &site.hosts["a"];
        assert_eq!(
            (a.profile.as_deref(), a.image.as_deref(), a.tenant.as_deref()),
            (Some("new"), Some("live"), None)
        );
        assert_eq!(site.hosts["b"], host);
        assert_eq!(bulk.summary(), "set profile new, no tenant on 2 hosts");
    }
}
