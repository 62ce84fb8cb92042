//! Editing a part of the site file, as text or one entry as fields, with a review of its effect on
//! every host before saving.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::entry_form::{EntryForm, FieldValue};
use super::error::Error;
use super::form::CheckedForm;
use super::host_form::FormErrors;
use super::last_change::LastChange;
use super::overview::Messages;
use super::page::{Frame, Page};
use super::profile_builder::{Builder, Control, LinkForm};
use super::proposal::{ChangePreview, Proposal, ProposalResult, propose};
use super::query::UrlQuery;
use super::session::Operator;
use super::stack;
use super::state::Ui;
use crate::inventory::ChangeError;
use crate::model::{
    Input, MergeConflict, Merged, Noun, NounKind, NounVisitor, Site, diff, merge, merge_changes,
    some_names, visit_nouns,
};
use crate::profile::ResolvedSite;
use crate::site_file::{self, SiteFileError};

/// What names have is not encoded in a path, to be read there.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Which entry the change begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
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

/// How a change is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum View {
    /// As a part of a site file.
    #[default]
    Text,
    /// As one entry with a field for each key.
    Fields,
    /// As a drawing of a profile's links.
    Build,
}

/// Which entry is wanted, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ChangeQuery {
    noun: String,
    name: String,
    view: View,
}

/// What was sent, and what was read of it.
struct Draft {
    entry: Entry,
    text: String,
    /// The form that the text is written by.
    fields: Option<EntryForm>,
    /// The drawing that the text is written by.
    builder: Option<Builder>,
    remove: bool,
    base: i64,
    /// The [`Draft::digest`] of what was reviewed.
    reviewed: String,
    /// The [`Touched::digest`] of the entries that it touches, as they were.
    seen: String,
    /// A site with the entry alone, as the form began with it; empty for a new one.
    was: String,
    /// What others have changed of the entry since, which is kept.
    notes: Vec<String>,
}

/// What a form says, together with what others have changed of its entry since.
struct Together {
    merged: Merged<Site>,
    /// The entry as it is now.
    theirs: Site,
    /// The values that others have changed.
    changed: Vec<String>,
}

impl Together {
    /// None where the form is about more than the entry that it began with, or the entry is gone.
    fn of(draft: &Draft, part: &Site, site: &Site) -> Option<Self> {
        let base: Site = serde_json::from_str(&draft.was).ok().filter(|_| !draft.remove)?;
        let theirs = draft.entry.alone(site)?;
        let mut names = ChangedNames::default();
        visit_nouns(&mut NamesOf { site: part, names: &mut names });
        let is_its_own = |(kind, name): &(NounKind, String)| {
            draft.entry.kind() == Some(*kind) && draft.entry.name == *name
        };
        if !names.0.iter().all(is_its_own) {
            return None;
        }
        let merged = merge_changes(&base, part, &theirs)?;
        let differences = diff(&base, &theirs);
        let fields = differences.iter().flat_map(|difference| &difference.fields);
        let changed = fields.map(ToString::to_string).collect();
        Some(Self { merged, theirs, changed })
    }

    /// The values that both changed.
    fn conflicts(&self, last: &LastChange) -> Vec<Overtaken> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        let one = |MergeConflict { path, base, mine, theirs }: &MergeConflict| Overtaken {
            // The section and the name are those of the form.
            path: path.get(2..).unwrap_or_default().to_vec(),
            text: format!(
                "was {}; now {} ({last}); you entered {}. Review again to keep yours.",
                text(base),
                text(theirs),
                text(mine)
            ),
        };
        self.merged.conflicts.iter().map(one).collect()
    }
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
        let mut entries: Vec<(NounKind, String)> = Vec::new();
        // A path may name an entry once more.
        for entry in names.0 {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Self { entries }
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

    /// The page of the entry, where it is one; else that of the revision.
    fn page(&self, is_removed: bool, revision: i64) -> String {
        match self.entries.as_slice() {
            [(kind, _)] if is_removed => format!("/{}", kind.section()),
            [(kind, name)] => {
                format!("/{}/{}", kind.section(), utf8_percent_encode(name, IN_PATHS))
            }
            _ => format!("/revisions/{revision}"),
        }
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
    /// The entry that a form adds.
    fn new_entry(&self) -> Option<Entry> {
        let of_form = self.fields.as_ref().filter(|form| form.is_new).map(|form| &form.name);
        let built = self.builder.as_ref().filter(|built| built.is_new).map(|built| &built.name);
        let name = of_form.or(built)?.clone();
        Some(Entry { noun: self.entry.noun.clone(), name })
    }

    /// The form with what others have changed filled in.
    fn put_in(&mut self, together: &Together, site: &ResolvedSite) {
        let (merged, was) = (&together.merged.entry, json(&together.theirs));
        (self.was, self.reviewed) = (was, String::new());
        self.text = site_file::render(merged);
        if let (Some(kind), true) = (self.entry.kind(), self.fields.is_some()) {
            let form = entry_form(kind, &self.entry.name, Some(merged));
            self.text = form.write().text;
            self.fields = Some(form);
        }
        if let Some(drawn) = &self.builder
            && let Ok(Some(mut builder)) = Builder::of_text(&self.text, site)
        {
            builder.selected.clone_from(&drawn.selected);
            self.text = builder.text();
            self.builder = Some(builder);
        }
    }

    fn digest(&self) -> String {
        let text = format!("{:?} {} {}", self.entry, self.remove, self.text);
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn summary(&self) -> String {
        let Entry { noun, name } = &self.entry;
        let noun = self.entry.kind().map_or(noun.as_str(), |kind| kind.label());
        match (self.remove, name.as_str()) {
            (true, _) => format!("removed {noun} {name}"),
            (false, "") => match self.new_entry() {
                Some(Entry { name, .. }) => format!("added {noun} {name}"),
                None => "edited the site file".into(),
            },
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

impl ChangePage {
    /// Whether the entry can be edited as fields.
    fn has_fields(&self) -> bool {
        self.draft.entry.kind().is_some_and(EntryForm::exists)
    }

    /// Whether the entry can be edited as a drawing.
    fn has_drawing(&self) -> bool {
        is_drawn(&self.draft.entry)
    }
}

fn is_drawn(entry: &Entry) -> bool {
    entry.kind() == Some(NounKind::ProfileTree)
}

#[derive(Template)]
#[template(path = "profile_builder.html")]
struct BuilderPage {
    frame: Frame,
    draft: Draft,
    builder: Builder,
    link: Option<LinkForm>,
    /// The drawing; empty without links.
    stack: String,
    form_errors: FormErrors,
    review: Option<ChangePreview>,
}

impl BuilderPage {
    fn back(&self) -> String {
        if self.builder.is_new {
            return "/profiles".to_owned();
        }
        format!("/profiles/{}", utf8_percent_encode(&self.builder.name, NON_ALPHANUMERIC))
    }

    /// Whether the page has the field of a place.
    fn is_shown(&self, place: &str) -> bool {
        if place == "entry-name" {
            return self.builder.is_new;
        }
        let link = self.builder.link_at(place);
        let shown = self.link.as_ref().filter(|shown| link == Some(shown.name.as_str()));
        shown.is_some_and(|shown| {
            shown.place == place || shown.fields.iter().any(|field| field.place == place)
        })
    }

    /// What people call a place.
    fn label(&self, place: &str) -> String {
        match place {
            "entry-name" => "Name".to_owned(),
            place => self.builder.link_at(place).unwrap_or(place).to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "entry_form.html")]
struct FieldsPage {
    frame: Frame,
    draft: Draft,
    form: EntryForm,
    form_errors: FormErrors,
    review: Option<ChangePreview>,
    names: Names,
}

impl FieldsPage {
    /// What a place in the form is called.
    fn label(&self, place: &str) -> String {
        self.form.label(place)
    }

    /// Whether the page has the field of a place: a form has all of them.
    fn is_shown(&self, _: &str) -> bool {
        true
    }

    /// Where the entry is shown, or all of its kind.
    fn back(&self) -> String {
        let section = self.form.kind.section();
        if self.form.is_new {
            return format!("/{section}");
        }
        format!("/{section}/{}", utf8_percent_encode(&self.form.name, NON_ALPHANUMERIC))
    }
}

/// Names of other entries that fields offer.
struct Names(Vec<(&'static str, Vec<String>)>);

impl Names {
    fn of(site: &Site) -> Self {
        fn keys<T>(all: &BTreeMap<String, T>) -> Vec<String> {
            all.keys().cloned().collect()
        }
        Self(vec![
            ("rack", keys(&site.racks)),
            ("tenant", keys(&site.tenants)),
            ("mlag-peer", keys(&site.switches)),
            ("live-system", keys(&site.images)),
        ])
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(own, names)| *own == key && !names.is_empty())
    }
}

/// Why a draft is not saved.
enum Refusal {
    Text(Vec<SiteFileError>),
    /// What fields have is wrong by itself.
    Fields(FormErrors),
    Change(ChangeError),
    /// What else has to be said of the draft.
    Said(Vec<String>),
}

impl Refusal {
    /// By their lines, as the text shows them.
    fn messages(&self) -> Messages {
        let told = |error: &SiteFileError| {
            let place = if error.path.is_empty() { "" } else { ": " };
            format!("line {}{place}{}: {}", error.position.line, error.path, error.message)
        };
        match self {
            Self::Text(errors) => errors.iter().map(told).collect(),
            Self::Fields(errors) => errors.iter().map(|(_, text)| text.to_owned()).collect(),
            Self::Change(error) => Messages::of_refusal(error),
            Self::Said(texts) => texts.iter().cloned().collect(),
        }
    }

    /// At the fields of a profile's links.
    fn builder_errors(self, builder: &Builder) -> FormErrors {
        match self {
            Self::Text(errors) => builder.text_errors(&errors),
            Self::Fields(errors) => errors,
            Self::Change(error) => builder.refusal(&error),
            Self::Said(texts) => said(texts),
        }
    }

    /// At the fields of a form.
    fn form_errors(self, form: &EntryForm) -> FormErrors {
        match self {
            Self::Text(errors) => form.text_errors(&errors),
            Self::Fields(errors) => errors,
            Self::Change(error) => form.refusal(&error),
            Self::Said(texts) => said(texts),
        }
    }
}

/// A value that two editors have changed.
struct Overtaken {
    /// Where it is in the entry.
    path: Vec<String>,
    text: String,
}

impl Overtaken {
    /// With its place, for a page without fields.
    fn placed(&self) -> String {
        match self.path.is_empty() {
            true => self.text.clone(),
            false => format!("{}: {}", self.path.join("."), self.text),
        }
    }

    /// At the field of its key, which says the rest of the place where that is within the key.
    fn put_at_field(&self, form_errors: &mut FormErrors) {
        let field = self.path.first().map_or("", String::as_str);
        let text = if self.path.len() > 1 { self.placed() } else { self.text.clone() };
        form_errors.add(field, text);
    }
}

fn json(site: &Site) -> String {
    // Every model type serialises.
    serde_json::to_string(site).unwrap_or_default()
}

fn said(texts: Vec<String>) -> FormErrors {
    let mut form_errors = FormErrors::default();
    texts.into_iter().for_each(|text| form_errors.add("", text));
    form_errors
}

/// `GET /change`
pub(super) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(ChangeQuery { noun, name, view }): UrlQuery<ChangeQuery>,
) -> Result<Response, Error> {
    let entry = Entry { noun, name };
    let snapshot = ui.app.inventory.snapshot();
    let alone = if entry.name.is_empty() {
        None
    } else {
        let alone = entry.alone(&snapshot.site);
        Some(alone.ok_or_else(|| Error::NotFound { what: "entry", name: entry.name.clone() })?)
    };
    let text = alone.as_ref().map_or_else(|| entry.example().to_owned(), site_file::render);
    let with_fields = entry.kind().filter(|kind| view == View::Fields && EntryForm::exists(*kind));
    let fields = with_fields.map(|kind| entry_form(kind, &entry.name, alone.as_ref()));
    let builder = (view == View::Build && is_drawn(&entry)).then(|| {
        let tree = snapshot.site.profiles.get(&entry.name);
        Builder::of(&entry.name, tree, &snapshot.site)
    });
    let text = builder.as_ref().map_or(text, Builder::text);
    let (base, reviewed, seen) = (snapshot.revision, String::new(), String::new());
    let was = alone.map(|alone| json(&alone)).unwrap_or_default();
    let (remove, notes) = Default::default();
    let mut draft =
        Draft { entry, text, fields, builder, remove, base, reviewed, seen, was, notes };
    if !draft.entry.name.is_empty() {
        draft.seen = Touched::of(&draft, &Site::default()).digest(&snapshot.site);
    }
    let is_image = draft.entry.kind() == Some(NounKind::Image);
    let mut response = page(&ui, &operator, draft, None, None).await?;
    if is_image {
        // The values of its recipe may be the hashes of passwords: nobody keeps them.
        let caching = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, caching);
    }
    Ok(response)
}

/// The form of the entry that a site has alone, or an empty one.
fn entry_form(kind: NounKind, name: &str, alone: Option<&Site>) -> EntryForm {
    // Every model type serialises.
    let whole = alone.and_then(|site| serde_json::to_value(site).ok()).unwrap_or_default();
    EntryForm::of(kind, name, &whole[kind.section()][name])
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
    let (fields, builder, remove, seen, was, notes) = Default::default();
    let draft = Draft { entry, text, fields, builder, remove, base, reviewed, seen, was, notes };
    go_on(ui, operator, draft, false).await
}

/// `POST /change`: reviews, saves what was reviewed, or shows it in the other way.
pub(super) async fn take(State(ui): State<Ui>, sent: CheckedForm) -> Result<Response, Error> {
    let text = |name| sent.fields.text(name).to_owned();
    let entry = Entry { noun: text("noun"), name: text("name") };
    let with_fields = entry.kind().filter(|_| sent.fields.text("view") == "fields");
    let fields = with_fields
        .filter(|kind| EntryForm::exists(*kind))
        .map(|kind| EntryForm::read(kind, &entry.name, &sent.fields));
    let mut builder = None;
    if sent.fields.text("view") == "build" && is_drawn(&entry) {
        let site = &ui.app.inventory.snapshot().site;
        let read = Builder::of_text(sent.fields.raw("text"), site);
        let read = read.map_err(|error| Error::Malformed(error.to_string()))?;
        let mut read = read.ok_or_else(|| Error::Malformed("expected one profile".into()))?;
        read.is_new = entry.name.is_empty();
        read.name = if read.is_new { text("entry-name") } else { entry.name.clone() };
        read.take(&sent.fields, site);
        builder = Some(read);
    }
    let built = builder.as_ref().map(Builder::text);
    let mut draft = Draft {
        text: match &fields {
            Some(form) => form.write().text,
            None => built.unwrap_or_else(|| sent.fields.raw("text").to_owned()),
        },
        entry,
        fields,
        builder,
        remove: !sent.fields.text("remove").is_empty(),
        base: sent.fields.text("base").parse().unwrap_or_default(),
        reviewed: text("reviewed"),
        seen: text("seen"),
        was: text("was"),
        notes: Vec::new(),
    };
    match sent.fields.text("do") {
        "text" => {
            draft.fields = None;
            draft.builder = None;
            page(&ui, &sent.operator, draft, None, None).await
        }
        "fields" => as_fields(&ui, &sent.operator, draft).await,
        "build" => as_drawing(&ui, &sent.operator, draft).await,
        wanted if draft.builder.is_some() && !matches!(wanted, "review" | "save") => {
            page(&ui, &sent.operator, draft, None, None).await
        }
        "more" => page(&ui, &sent.operator, draft, None, None).await,
        wanted => {
            // A text that was edited after its review needs another one.
            let save = wanted == "save" && draft.reviewed == draft.digest();
            go_on(&ui, &sent.operator, draft, save).await
        }
    }
}

/// The draft with a field for each key, where its text is the one entry that it began with.
async fn as_fields(ui: &Ui, operator: &Operator, mut draft: Draft) -> Result<Response, Error> {
    let part = match read(&draft) {
        Ok(part) => part,
        Err(refusal) => return page(ui, operator, draft, Some(refusal), None).await,
    };
    let mut names = ChangedNames::default();
    visit_nouns(&mut NamesOf { site: &part, names: &mut names });
    let kind = draft.entry.kind().filter(|kind| EntryForm::exists(*kind));
    match (names.0.as_slice(), kind) {
        ([(only, name)], Some(kind))
            if *only == kind && (draft.entry.name.is_empty() || draft.entry.name == *name) =>
        {
            let mut form = entry_form(kind, name, Some(&part));
            form.is_new = draft.entry.name.is_empty();
            draft.fields = Some(form);
            page(ui, operator, draft, None, None).await
        }
        _ => {
            let noun = draft.entry.kind().map_or("entry", NounKind::label);
            let text = format!(
                "the form shows one {noun}, but the text contains more, or another one: review it as text"
            );
            page(ui, operator, draft, Some(Refusal::Said(vec![text])), None).await
        }
    }
}

/// The draft as a drawing, where its text is the one profile that it began with.
async fn as_drawing(ui: &Ui, operator: &Operator, mut draft: Draft) -> Result<Response, Error> {
    let read = Builder::of_text(&draft.text, &ui.app.inventory.snapshot().site);
    let refusal = match read {
        Ok(Some(mut builder))
            if is_drawn(&draft.entry)
                && [builder.name.as_str(), ""].contains(&draft.entry.name.as_str()) =>
        {
            builder.is_new = draft.entry.name.is_empty();
            draft.text = builder.text();
            draft.builder = Some(builder);
            return page(ui, operator, draft, None, None).await;
        }
        Ok(_) => Refusal::Said(vec![
            "the drawing shows one profile, but the text contains more, or another one: review it as text"
                .to_owned(),
        ]),
        Err(error) => Refusal::Text(vec![error]),
    };
    page(ui, operator, draft, Some(refusal), None).await
}

async fn go_on(
    ui: &Ui,
    operator: &Operator,
    mut draft: Draft,
    mut save: bool,
) -> Result<Response, Error> {
    let mut part = match read(&draft) {
        Ok(part) => part,
        Err(refusal) => return page(ui, operator, draft, Some(refusal), None).await,
    };
    let touched = Touched::of(&draft, &part);
    // The form of one entry knows it from the beginning; what else a text has, since its review.
    let alone = Touched::of(&draft, &Site::default());
    let checked = if draft.reviewed.is_empty() { &alone } else { &touched };
    let site = ui.app.inventory.snapshot().site.clone();
    let is_overtaken = !draft.seen.is_empty() && checked.digest(&site) != draft.seen;
    let together = (is_overtaken && (save || draft.reviewed.is_empty()))
        .then(|| Together::of(&draft, &part, &site))
        .flatten();
    if let Some(together) = together {
        let Entry { noun, name } = &draft.entry;
        let kind = NounKind::of_section(noun).unwrap_or(NounKind::Host);
        let last = LastChange::find(ui, kind, name).await?;
        let conflicts = together.conflicts(&last);
        let what = format!("{} {name}", kind.label());
        draft.put_in(&together, &site);
        draft.seen = alone.digest(&site);
        if !conflicts.is_empty() {
            let refusal = match draft.fields {
                Some(_) => {
                    let mut form_errors = FormErrors::default();
                    conflicts.iter().for_each(|one| one.put_at_field(&mut form_errors));
                    Refusal::Fields(form_errors)
                }
                None => Refusal::Said(conflicts.iter().map(Overtaken::placed).collect()),
            };
            return page(ui, operator, draft, Some(refusal), None).await;
        }
        // Nobody saves unseen what others have changed.
        save = false;
        draft.notes = vec![format!(
            "{what} was changed since you opened this form, by {last}: {}. That is kept.",
            some_names(&together.changed)
        )];
        part = together.merged.entry;
    } else if is_overtaken && (save || draft.reviewed.is_empty()) {
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
        let said = Refusal::Said(std::iter::once(head).chain(texts).collect());
        return page(ui, operator, draft, Some(said), None).await;
    }
    let summary = draft.summary();
    let proposal = Proposal { operator, summary: &summary, base: None, save };
    let seen = draft.seen.clone();
    let edit = |site: &mut Site| {
        if save && touched.digest(site) != seen {
            return Err(ChangeError::Overtaken { entries: touched.names() });
        }
        if let Some(entry) = draft.new_entry()
            && entry.alone(site).is_some()
        {
            let noun = entry.kind().map_or("entry", NounKind::label);
            return Err(ChangeError::Exists { noun, name: entry.name });
        }
        if draft.remove {
            draft.entry.remove_from(site);
        }
        merge(site, part);
        Ok(())
    };
    match propose(ui, proposal, edit).await? {
        ProposalResult::Saved(saved) => {
            operator.notify(saved.notice()).await?;
            Ok(Redirect::to(&touched.page(draft.remove, saved.revision)).into_response())
        }
        ProposalResult::Reviewed(review) => {
            draft.reviewed = draft.digest();
            draft.seen = touched.digest(&site);
            page(ui, operator, draft, None, Some(review)).await
        }
        ProposalResult::Refused(error) => {
            draft.reviewed = String::new();
            draft.seen =
                if draft.entry.name.is_empty() { String::new() } else { alone.digest(&site) };
            page(ui, operator, draft, Some(Refusal::Change(error)), None).await
        }
    }
}

/// The part of the site that the draft describes.
fn read(draft: &Draft) -> Result<Site, Refusal> {
    if draft.remove {
        return Ok(Site::default());
    }
    let built = draft.builder.as_ref().map(Builder::own_errors);
    let own = draft.fields.as_ref().map(EntryForm::errors).or(built).unwrap_or_default();
    if !own.is_empty() {
        return Err(Refusal::Fields(own));
    }
    let read = site_file::parse(&draft.text, "the text");
    read.map_err(|errors| match &draft.fields {
        Some(form) => Refusal::Fields(form.all_errors(&errors)),
        None => Refusal::Text(errors),
    })
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    mut draft: Draft,
    refusal: Option<Refusal>,
    review: Option<ChangePreview>,
) -> Result<Response, Error> {
    let status = if refusal.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let section = draft.entry.kind().unwrap_or(NounKind::Host).section();
    let frame = operator.frame(section).await?;
    if let Some(mut builder) = draft.builder.take() {
        let refused = refusal.map(|refusal| refusal.builder_errors(&builder));
        let form_errors = refused.unwrap_or_else(|| builder.errors.clone());
        builder.select_wrong(&form_errors);
        let subnets: Vec<String> =
            ui.app.inventory.snapshot().site.subnets.keys().cloned().collect();
        let link = builder.form(&subnets);
        let nodes = builder.network().map_or_else(|| builder.nodes(), stack::nodes);
        let stack = stack::buttons(&nodes, builder.selected.as_deref().unwrap_or_default())?;
        let page = BuilderPage { frame, draft, builder, link, stack, form_errors, review };
        return Ok((status, Page(page)).into_response());
    }
    let Some(form) = draft.fields.take() else {
        let form_errors = refusal.as_ref().map(Refusal::messages).unwrap_or_default();
        return Ok((status, Page(ChangePage { frame, draft, form_errors, review })).into_response());
    };
    let form_errors = refusal.map(|refusal| refusal.form_errors(&form)).unwrap_or_default();
    let names = Names::of(&ui.app.inventory.snapshot().site);
    Ok((status, Page(FieldsPage { frame, draft, form, form_errors, review, names }))
        .into_response())
}
