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
use super::last_change::LastChange;
use super::overview::Messages;
use super::page::{Frame, Page};
use super::proposal::{ChangePreview, Proposal, ProposalResult, propose};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::inventory::ChangeError;
use crate::model::{Noun, NounKind, NounVisitor, Site, merge, some_names, visit_nouns};
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
    /// The [`Touched::digest`] of the entries that it touches, as they were.
    seen: String,
}

/// The entries that a text has, and the one that it begins with.
struct Touched {
    entries: Vec<(NounKind, String)>,
}

impl Touched {
    fn of(draft: &Draft, part: &Site) -> Self {
        let mut names = ChangedNames::default();
        visit_nouns(&mut NamesOf { site: part, names: &mut names });
        if let Some(kind) = draft.entry.kind().filter(|_| !draft.entry.name.is_empty()) {
            names.0.push((kind, draft.entry.name.clone()));
        }
        Self { entries: names.0 }
    }

    /// What the entries are now.
    fn digest(&self, site: &Site) -> String {
        let mut hash = Sha256::new();
        for (kind, name) in &self.entries {
            let mut copy = Copy { name, site, alone: Site::default(), is_found: false };
            kind.visit(&mut copy);
            hash.update(serde_json::to_vec(&copy.alone).unwrap_or_default());
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The entries as an operator calls them: `subnet internal`.
    fn names(&self) -> Vec<String> {
        self.entries.iter().map(|(kind, name)| format!("{} {name}", kind.label())).collect()
    }
}

#[derive(Default)]
struct ChangedNames(Vec<(NounKind, String)>);

struct NamesOf<'a> {
    site: &'a Site,
    names: &'a mut ChangedNames,
}

impl NounVisitor for NamesOf<'_> {
    fn visit<T: Noun>(&mut self) {
        self.names.0.extend(T::all(self.site).keys().map(|name| (T::KIND, name.clone())));
    }
}

impl Draft {
    fn digest(&self) -> String {
        let text = format!("{:?} {} {}", self.entry, self.remove, self.text);
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
    form_errors: Messages,
    review: Option<ChangePreview>,
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
    let (base, reviewed) = (snapshot.revision, String::new());
    let mut draft = Draft { entry, text, remove: false, base, reviewed, seen: String::new() };
    if !draft.entry.name.is_empty() {
        draft.seen = Touched::of(&draft, &Site::default()).digest(&snapshot.site);
    }
    page(&operator, draft, Messages::default(), None).await
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
    let (base, reviewed) = (snapshot.revision, String::new());
    let draft = Draft { entry, text, remove: false, base, reviewed, seen: String::new() };
    go_on(ui, operator, draft, false).await
}

/// `POST /change`: reviews, or saves what was reviewed.
pub(super) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let text = |name| sent.fields.text(name).to_owned();
    let draft = Draft {
        entry: Entry { noun: text("noun"), name: text("name") },
        text: sent.fields.raw("text").to_owned(),
        remove: !sent.fields.text("remove").is_empty(),
        base: sent.fields.text("base").parse().unwrap_or_default(),
        reviewed: text("reviewed"),
        seen: text("seen"),
    };
    // A text that was edited after its review needs another one.
    let save = sent.fields.text("do") == "save" && draft.reviewed == draft.digest();
    go_on(&ui, &sent.operator, draft, save).await
}

async fn go_on(
    ui: &Ui,
    operator: &Operator,
    mut draft: Draft,
    save: bool,
) -> Result<Response, Error> {
    let part = match read(&draft) {
        Ok(part) => part,
        Err(form_errors) => return page(operator, draft, form_errors, None).await,
    };
    let touched = Touched::of(&draft, &part);
    // The form of one entry knows it from the beginning; what else a text has, since its review.
    let alone = Touched::of(&draft, &Site::default());
    let checked = if draft.reviewed.is_empty() { &alone } else { &touched };
    let site = ui.app.inventory.snapshot().site.clone();
    let is_overtaken = !draft.seen.is_empty() && checked.digest(&site) != draft.seen;
    if is_overtaken && (save || draft.reviewed.is_empty()) {
        let names = checked.names();
        let mut texts = Vec::new();
        for (kind, name) in checked.entries.iter().take(3) {
            let last = LastChange::find(ui, *kind, name).await?;
            texts.push(format!("{} {name}: last changed by {last}", kind.label()));
        }
        let what = some_names(&names);
        let head = format!(
            "{what} changed since you opened this form. Compare, then review again; saving replaces \
             what is there now."
        );
        draft.seen = alone.digest(&site);
        draft.reviewed = String::new();
        let form_errors = std::iter::once(head).chain(texts).collect();
        return page(operator, draft, form_errors, None).await;
    }
    let summary = draft.summary();
    let proposal = Proposal { author: operator.author(), summary: &summary, base: None, save };
    let seen = draft.seen.clone();
    let edit = |site: &mut Site| {
        if save && touched.digest(site) != seen {
            return Err(ChangeError::Overtaken { entries: touched.names() });
        }
        if draft.remove {
            draft.entry.remove_from(site);
        }
        merge(site, part);
        Ok(())
    };
    match propose(ui, proposal, edit).await? {
        ProposalResult::Saved(revision) => {
            operator.notify(format!("Saved as revision {revision}.")).await?;
            Ok(Redirect::to(&format!("/revisions/{revision}")).into_response())
        }
        ProposalResult::Reviewed(review) => {
            draft.reviewed = draft.digest();
            draft.seen = touched.digest(&site);
            page(operator, draft, Messages::default(), Some(review)).await
        }
        ProposalResult::Refused(form_errors) => {
            draft.reviewed = String::new();
            draft.seen =
                if draft.entry.name.is_empty() { String::new() } else { alone.digest(&site) };
            page(operator, draft, form_errors, None).await
        }
    }
}

/// The part of the site that the text describes, or its errors with their lines.
fn read(draft: &Draft) -> Result<Site, Messages> {
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
    form_errors: Messages,
    review: Option<ChangePreview>,
) -> Result<Response, Error> {
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let section = draft.entry.kind().unwrap_or(NounKind::Host).section();
    let frame = operator.frame(section).await?;
    Ok((status, Page(ChangePage { frame, draft, form_errors, review })).into_response())
}
