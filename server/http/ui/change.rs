//! Editing a part of the site file as text, with a review of its effect on every host
//! before saving.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::form::CheckedForm;
use super::page::{Frame, Page};
use super::proposal::{Proposal, ProposalResult, Review, propose};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::model::{DifferenceKind, Noun, NounKind, NounVisitor, Site, merge};
use crate::site_file;

/// Which entry the change begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    /// A section of the site file: `subnets`, `profiles`, `images`, `tenants`, `racks`, `hosts`.
    noun: String,
    /// The entry's name; empty for a new one.
    name: String,
}

impl Entry {
    fn kind(&self) -> Option<NounKind> {
        NounKind::of_section(&self.noun)
    }

    /// A site with the entry alone.
    fn alone(&self, site: &Site) -> Option<Site> {
        let mut copy = Copy { name: &self.name, site, alone: Site::default(), is_found: false };
        self.kind()?.visit(&mut copy);
        copy.is_found.then_some(copy.alone)
    }

    fn remove_from(&self, site: &mut Site) {
        if let Some(kind) = self.kind() {
            kind.visit(&mut Removal { name: &self.name, site });
        }
    }

    /// What a new entry looks like.
    fn example(&self) -> &'static str {
        match self.kind() {
            Some(NounKind::Subnet) => include_str!("../../../web/templates/example_subnet.yaml"),
            Some(NounKind::ProfileTree) => {
                include_str!("../../../web/templates/example_profile.yaml")
            }
            Some(NounKind::Image) => include_str!("../../../web/templates/example_image.yaml"),
            Some(NounKind::Switch) => "switches:\n  leaf1a:\n    vendor: eos\n    rack: r1\n",
            Some(NounKind::Tenant) => "tenants:\n  acme:\n    contact: ops@acme.example\n",
            // Both have forms of their own.
            Some(NounKind::Rack | NounKind::Host) | None => "",
        }
    }
}

struct Copy<'a> {
    name: &'a str,
    site: &'a Site,
    alone: Site,
    is_found: bool,
}

impl NounVisitor for Copy<'_> {
    fn visit<T: Noun>(&mut self) {
        if let Some(entry) = T::all(self.site).get(self.name) {
            T::all_mut(&mut self.alone).insert(self.name.to_owned(), entry.clone());
            self.is_found = true;
        }
    }
}

struct Removal<'a> {
    name: &'a str,
    site: &'a mut Site,
}

impl NounVisitor for Removal<'_> {
    fn visit<T: Noun>(&mut self) {
        T::all_mut(self.site).remove(self.name);
    }
}

/// What was sent, and what was read of it.
struct Draft {
    entry: Entry,
    text: String,
    remove: bool,
    base: i64,
    /// The [`Draft::digest`] of what was reviewed.
    reviewed: String,
}

impl Draft {
    fn digest(&self) -> String {
        let text = format!("{:?} {} {} {}", self.entry, self.remove, self.base, self.text);
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn summary(&self) -> String {
        let Entry { noun, name } = &self.entry;
        let noun = self.entry.kind().map_or(noun.as_str(), |kind| kind.label());
        match (self.remove, name.as_str()) {
            (true, _) => format!("removed {noun} {name}"),
            (false, "") => "edited the site file".into(),
            (false, _) => format!("changed {noun} {name}"),
        }
    }
}

#[derive(Template)]
#[template(path = "change.html")]
struct ChangePage {
    frame: Frame,
    draft: Draft,
    form_errors: Vec<String>,
    review: Option<Review>,
}

/// `GET /change`
pub(super) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(entry): UrlQuery<Entry>,
) -> Result<Response, Error> {
    let snapshot = ui.app.inventory.snapshot();
    let text = if entry.name.is_empty() {
        entry.example().to_owned()
    } else {
        let alone = entry.alone(&snapshot.site);
        let alone = alone.ok_or(Error::NotFound { what: "entry", name: entry.name.clone() })?;
        site_file::render(&alone)
    };
    let base = snapshot.revision;
    let draft = Draft { entry, text, remove: false, base, reviewed: String::new() };
    page(&operator, draft, Vec::new(), None).await
}

/// A change of an entry that another page has written, reviewed and not saved.
pub(super) async fn reviewed(
    ui: &Ui,
    operator: &Operator,
    kind: NounKind,
    name: &str,
    text: String,
) -> Result<Response, Error> {
    let is_known = Entry { noun: kind.section().to_owned(), name: name.to_owned() };
    let snapshot = ui.app.inventory.snapshot();
    let name = if is_known.alone(&snapshot.site).is_some() { name } else { "" };
    let entry = Entry { noun: kind.section().to_owned(), name: name.to_owned() };
    let base = snapshot.revision;
    let mut draft = Draft { entry, text, remove: false, base, reviewed: String::new() };
    let part = match read(&draft) {
        Ok(part) => part,
        Err(form_errors) => return page(operator, draft, form_errors, None).await,
    };
    let summary = draft.summary();
    let proposal = Proposal { author: operator.author(), summary: &summary, base, save: false };
    let edit = |site: &mut Site| {
        merge(site, part);
        Ok(())
    };
    match propose(ui, proposal, edit).await? {
        ProposalResult::Reviewed(review) => {
            draft.reviewed = draft.digest();
            page(operator, draft, Vec::new(), Some(review)).await
        }
        ProposalResult::Refused(form_errors) => page(operator, draft, form_errors, None).await,
        ProposalResult::Saved(_) => Err(Error::Internal("a review was saved".to_owned())),
    }
}

/// `POST /change`: reviews, or saves what was reviewed.
pub(super) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let text = |name| sent.fields.text(name).to_owned();
    let mut draft = Draft {
        entry: Entry { noun: text("noun"), name: text("name") },
        text: sent.fields.raw("text").to_owned(),
        remove: !sent.fields.text("remove").is_empty(),
        base: sent.fields.text("base").parse().unwrap_or_default(),
        reviewed: text("reviewed"),
    };
    let part = match read(&draft) {
        Ok(part) => part,
        Err(form_errors) => return page(&sent.operator, draft, form_errors, None).await,
    };
    // A text that was edited after its review needs another one.
    let save = sent.fields.text("do") == "save" && draft.reviewed == draft.digest();
    let summary = draft.summary();
    let proposal =
        Proposal { author: sent.operator.author(), summary: &summary, base: draft.base, save };
    let edit = |site: &mut Site| {
        if draft.remove {
            draft.entry.remove_from(site);
        }
        merge(site, part);
        Ok(())
    };
    match propose(&ui, proposal, edit).await? {
        ProposalResult::Saved(revision) => {
            sent.operator.notify(format!("Saved as revision {revision}.")).await?;
            Ok(Redirect::to(&format!("/revisions/{revision}")).into_response())
        }
        ProposalResult::Reviewed(review) => {
            draft.reviewed = draft.digest();
            page(&sent.operator, draft, Vec::new(), Some(review)).await
        }
        ProposalResult::Refused(form_errors) => {
            draft.base = ui.app.inventory.snapshot().revision;
            page(&sent.operator, draft, form_errors, None).await
        }
    }
}

/// The part of the site that the text describes, or its errors with their lines.
fn read(draft: &Draft) -> Result<Site, Vec<String>> {
    if draft.remove {
        return Ok(Site::default());
    }
    let told = |error: &site_file::SiteFileError| {
        let place = if error.path.is_empty() { "" } else { ": " };
        format!("line {}{place}{}: {}", error.position.line, error.path, error.message)
    };
    let part = site_file::parse(&draft.text, "the text");
    part.map_err(|errors| errors.iter().map(told).collect())
}

async fn page(
    operator: &Operator,
    draft: Draft,
    form_errors: Vec<String>,
    review: Option<Review>,
) -> Result<Response, Error> {
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let section = draft.entry.kind().unwrap_or(NounKind::Host).section();
    let frame = operator.frame(section).await?;
    Ok((status, Page(ChangePage { frame, draft, form_errors, review })).into_response())
}
