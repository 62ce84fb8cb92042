//! Taking in tables and the files of other systems: a plain form for files or a text, what was
//! recognised, what was not taken over, and the review of what changes, as of any other change.

use std::sync::Arc;

use askama::Template;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq;

use super::bulk::hex;
use super::error::Error;
use super::form::{CSRF_FIELD, CheckedForm};
use super::import_drafts::ImportDraft;
use super::overview::{Messages, counted, thousands};
use super::page::{Frame, Page};
use super::proposal::{ChangePreview, Proposal, ProposalResult, propose};
use super::session::Operator;
use super::state::Ui;
use crate::import::{
    Choices, Fault, ImportError, Include, Intake, IntakeError, Kind, Library, NotTaken, OFFERED,
    Question, Reason, Source, TableColumn, Unopened,
};
use crate::inventory::ChangeError;
use crate::leases::foreign_file::LeaseFile;
use crate::model::{Site, size_text, some_names};
use crate::site_file::{self, decode_any};

/// The most bytes of all files together: some hundred thousand rows. What is larger is for the
/// command line.
const MOST_BYTES: usize = 8 << 20;
/// The most files.
const MOST_FILES: usize = 1000;
/// The most bytes of the whole form: the heads of the files are a part of it.
pub(super) const MOST_SENT: usize = MOST_BYTES + (1 << 20);
/// The longest value of a field that is no file and no pasted text, in bytes.
const TEXT_BYTES: usize = 4 << 10;
/// The longest text that is shown again to be corrected, in bytes: a page stays within its budget.
const SHOWN_BYTES: usize = 64 << 10;
/// The most lines of a list on the page; all of them are in the report.
const MOST_LINES: usize = 200;
/// The longest line of a file that a list shows, in characters.
const LINE_CHARACTERS: usize = 200;
/// The most columns of tables that a form asks about.
const MOST_COLUMNS: usize = 200;
/// The longest name of a file, in characters.
const NAME_CHARACTERS: usize = 200;
/// What a text is called that was typed in place of a file.
const TYPED: &str = "pasted text";

/// A file, and what it was recognised as.
struct FileRow {
    name: String,
    kind: String,
}

/// A line of a file that is wrong.
struct FaultRow {
    file: String,
    line: String,
    column: String,
    text: String,
}

/// A line of a file that is not taken over.
struct LeftOut {
    file: String,
    line: usize,
    text: String,
    reason: String,
}

/// A column of a table, and what it may be.
struct ColumnRow {
    name: String,
    samples: String,
    /// Its key; empty where nobody knows.
    key: String,
    /// Why its key is not sure; empty where it is.
    doubt: String,
}

/// What the first page has, or the one that says what is wrong.
#[derive(Default)]
struct ImportForm {
    typed: String,
    host: String,
    keeps_boot_server: bool,
}

/// What was found out about files.
#[derive(Default)]
struct Findings {
    files: Vec<FileRow>,
    more_files: usize,
    /// What they have, such as `40 hosts`.
    found: Vec<String>,
    faults: Vec<FaultRow>,
    more_faults: usize,
    not_taken: Vec<LeftOut>,
    more_not_taken: usize,
    /// How many lines are not taken over.
    left_count: usize,
    columns: Vec<ColumnRow>,
    /// Whether nothing goes on before the columns are known.
    must_ask: bool,
    /// A subnet whose prefix the files leave out: an address in it, and what it may be.
    netmask: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    frame: Frame,
    /// The number of the draft; empty before anything was sent.
    id: String,
    form: ImportForm,
    findings: Findings,
    form_errors: Messages,
    review: Option<ChangePreview>,
    /// The digest of what is reviewed.
    reviewed: String,
}

impl ImportPage {
    const OFFERED: &'static [(&'static str, &'static str)] = &OFFERED;

    fn may_save(&self) -> bool {
        self.review.as_ref().is_some_and(|review| !review.is_empty())
    }

    fn has_problem(&self) -> bool {
        !self.form_errors.is_empty() || !self.findings.faults.is_empty()
    }

    fn left_count(&self) -> String {
        counted(self.findings.left_count, "line", "lines")
    }

    fn fault_count(&self) -> String {
        counted(self.findings.faults.len() + self.findings.more_faults, "error", "errors")
    }

    /// Whether a key is the one of a column.
    fn is_key(&self, column: &ColumnRow, key: &str) -> bool {
        column.key == key
    }

    /// Whether the key of a column is one of those that the form offers.
    fn is_offered(&self, key: &str) -> bool {
        key.is_empty() || key == "-" || OFFERED.iter().any(|(own, _)| *own == key)
    }

    fn size(&self) -> String {
        size_text(MOST_BYTES as u64)
    }
}

/// `GET /import`
pub(super) async fn form(operator: Operator) -> Result<Response, Error> {
    blank(&operator, ImportForm::default(), Messages::default()).await
}

/// The form alone, with what is wrong.
async fn blank(
    operator: &Operator,
    form: ImportForm,
    form_errors: Messages,
) -> Result<Response, Error> {
    let status =
        if form_errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let (frame, id, review) = (operator.frame("hosts").await?, String::new(), None);
    let (findings, reviewed) = Default::default();
    let page = ImportPage { frame, id, form, findings, form_errors, review, reviewed };
    Ok((status, Page(page)).into_response())
}

/// What the form had.
#[derive(Default)]
struct Sent {
    files: Vec<(String, Vec<u8>, bool)>,
    typed: String,
    host: String,
    keeps_boot_server: bool,
}

/// `POST /import`: reads the files and leads to their review.
pub(super) async fn take(
    State(ui): State<Ui>,
    operator: Operator,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Error> {
    let form = form.map_err(|error| Error::Malformed(error.body_text()))?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    // What is sent may be a little more than the files.
    if length.is_some_and(|length: usize| length > MOST_SENT) {
        return Err(too_much(length.unwrap_or_default()));
    }
    let sent = read(&operator, form).await?;
    let mut sources = Vec::new();
    let mut wrong = Vec::new();
    for (name, bytes, is_found) in sent.files {
        match decode_any(&bytes) {
            Ok(text) => sources.push(Source { is_found, ..Source::new(&name, text) }),
            // What is no text in a directory is no configuration.
            Err(_) if is_found => {}
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    if !sent.typed.trim().is_empty() {
        sources.push(Source::new(TYPED, sent.typed.clone()));
    }
    if sources.is_empty() && wrong.is_empty() {
        wrong.push("Nothing was sent: choose at least one file, or paste a text.".to_owned());
    }
    let typed = Some(sent.typed).filter(|text| !text.trim().is_empty());
    if !wrong.is_empty() {
        let (host, keeps_boot_server) = (sent.host, sent.keeps_boot_server);
        let form = ImportForm { typed: shown(typed.as_deref()), host, keeps_boot_server };
        return blank(&operator, form, wrong.into_iter().collect()).await;
    }
    let choices = Choices {
        keeps_boot_server: sent.keeps_boot_server,
        host: Some(sent.host).filter(|host| !host.is_empty()),
        ..Choices::default()
    };
    let (user, at_ms) = (operator.name.clone(), ui.now_ms());
    let id = ui.imports.keep(ImportDraft { user, sources, typed, choices, at_ms });
    Ok(Redirect::to(&format!("/import/{id}")).into_response())
}

fn too_much(bytes: usize) -> Error {
    Error::Malformed(format!(
        "{} are more than {} at once: send fewer files, or use rackstrap import on the server",
        size_text(bytes as u64),
        size_text(MOST_BYTES as u64)
    ))
}

/// Reads the fields of the form.
async fn read(operator: &Operator, mut form: Multipart) -> Result<Sent, Error> {
    let malformed = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_much(MOST_BYTES + 1),
        _ => Error::Malformed(format!("cannot read the form: {}", error.body_text())),
    };
    let (mut sent, mut is_checked, mut bytes) = (Sent::default(), false, 0);
    while let Some(mut field) = form.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        let called = field.file_name().unwrap_or_default().to_owned();
        let is_file = matches!(name.as_str(), "files" | "directory");
        let most = if is_file || name == "text" { MOST_BYTES } else { TEXT_BYTES };
        let mut value = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(malformed)? {
            bytes += piece.len();
            value.extend_from_slice(&piece);
            if value.len() > most || bytes > MOST_BYTES {
                return Err(too_much(bytes));
            }
        }
        let text = || String::from_utf8_lossy(&value).trim().to_owned();
        // The token is the first field, so that nothing is kept for a form that lacks it.
        if name == CSRF_FIELD {
            is_checked = bool::from(value.as_slice().ct_eq(operator.csrf.as_bytes()));
            continue;
        }
        if !is_checked {
            return Err(Error::Csrf);
        }
        match name.as_str() {
            // What a browser sends where no file was chosen has no name.
            "files" | "directory" if !called.is_empty() => {
                if sent.files.len() == MOST_FILES {
                    return Err(Error::Malformed(format!(
                        "more than {MOST_FILES} files at once: use rackstrap import on the server"
                    )));
                }
                sent.files.push((file_name(&called), value, name == "directory"));
            }
            "text" => sent.typed = String::from_utf8_lossy(&value).replace("\r\n", "\n"),
            "host" => sent.host = text(),
            "keep-boot-server" => sent.keeps_boot_server = true,
            _ => {}
        }
    }
    if is_checked { Ok(sent) } else { Err(Error::Csrf) }
}

/// The name of a file as pages and summaries have it; it is never opened.
fn file_name(called: &str) -> String {
    called.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS).collect()
}

/// A typed text that the page shows again.
fn shown(typed: Option<&str>) -> String {
    typed.filter(|text| text.len() <= SHOWN_BYTES).unwrap_or_default().to_owned()
}

/// Files that others include, among those that were sent.
struct Uploads<'a>(&'a [Source]);

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Library for Uploads<'_> {
    fn open(&self, include: &Include) -> Result<Vec<Source>, Unopened> {
        let path = include.path.trim_end_matches('/');
        if include.is_directory {
            let within = |source: &&Source| {
                let folder = source.name.rsplit_once('/').map_or("", |(folder, _)| folder);
                folder == path || base(folder) == base(path)
            };
            let found: Vec<Source> = self.0.iter().filter(within).cloned().collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let exact = self.0.iter().find(|source| *source.name == *path);
        let found = exact.or_else(|| self.0.iter().find(|source| base(&source.name) == base(path)));
        found.map(|source| vec![source.clone()]).ok_or_else(|| Unopened {
            message: "it is not among the files that were sent; send it as well".to_owned(),
        })
    }
}

/// The files that no other one includes: the others are read where they are included.
fn roots(sources: &[Source], choices: &Choices) -> Vec<Source> {
    /// Notes what is included.
    struct Noted<'a>(Uploads<'a>, std::cell::RefCell<Vec<Arc<str>>>);
    impl Library for Noted<'_> {
        fn open(&self, include: &Include) -> Result<Vec<Source>, Unopened> {
            let found = self.0.open(include)?;
            self.1.borrow_mut().extend(found.iter().map(|source| source.name.clone()));
            Ok(found)
        }
    }
    if sources.len() < 2 {
        return sources.to_vec();
    }
    let library = Noted(Uploads(sources), Default::default());
    // Alone a part may be nothing that is recognised.
    let found: Vec<Source> =
        sources.iter().map(|source| Source { is_found: true, ..source.clone() }).collect();
    drop(crate::import::import(&found, &library, choices));
    let included = library.1.into_inner();
    let is_root = |source: &&Source| !included.contains(&source.name);
    sources.iter().filter(is_root).cloned().collect()
}

/// The draft of a user.
fn draft_of(ui: &Ui, operator: &Operator, id: &str) -> Result<Arc<ImportDraft>, Error> {
    let found = ui.imports.find(id, &operator.name, ui.now_ms());
    found.ok_or_else(|| {
        Error::Gone(
            "these files are not here any more: they are kept for an hour, and until the server \
             restarts; send them again on the page Import"
                .to_owned(),
        )
    })
}

/// Reads the files of a draft, beside the subnets that the inventory has now.
fn intake(ui: &Ui, draft: &ImportDraft) -> Result<Intake, IntakeError> {
    let snapshot = ui.app.inventory.snapshot();
    let known = snapshot.site.subnets.iter().map(|(name, subnet)| (name.clone(), subnet.cidr));
    let choices = Choices { known: known.collect(), ..draft.choices.clone() };
    let files = roots(&draft.sources, &choices);
    Intake::read(&files, &Uploads(&draft.sources), &choices)
}

/// `GET /import/{id}`: what the files are, and the review.
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let draft = draft_of(&ui, &operator, &id)?;
    go_on(&ui, &operator, &id, &draft, None, Messages::default()).await
}

/// `POST /import/{id}`: saves what was reviewed, or takes an answer.
pub(super) async fn answer(
    State(ui): State<Ui>,
    Path(id): Path<String>,
    sent: CheckedForm,
) -> Result<Response, Error> {
    let draft = draft_of(&ui, &sent.operator, &id)?;
    let mut choices = draft.choices.clone();
    match sent.fields.text("do") {
        "save" => {
            let reviewed = sent.fields.text("reviewed").to_owned();
            let form_errors = Messages::default();
            return go_on(&ui, &sent.operator, &id, &draft, Some(reviewed), form_errors).await;
        }
        "columns" => {
            let names = sent.fields.texts("column").map(str::to_owned);
            let keys = sent.fields.texts("key").map(str::to_owned);
            choices.columns = names.zip(keys).filter(|(_, key)| !key.is_empty()).collect();
        }
        "subnet" => match sent.fields.text("subnet").parse() {
            Ok(subnet) => choices.subnets.push(subnet),
            Err(_) => {
                let text = format!(
                    "\"{}\" is not a prefix: expected one such as 10.0.0.0/24",
                    sent.fields.text("subnet")
                );
                let form_errors = std::iter::once(text).collect();
                return go_on(&ui, &sent.operator, &id, &draft, None, form_errors).await;
            }
        },
        other => return Err(Error::Malformed(format!("\"{other}\" is not a step of an import"))),
    }
    ui.imports.answer(&id, &draft, choices);
    Ok(Redirect::to(&format!("/import/{id}")).into_response())
}

/// `GET /import/{id}/report.txt`: all lines that are not taken over.
pub(super) async fn report(
    State(ui): State<Ui>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let draft = draft_of(&ui, &operator, &id)?;
    let not_taken = intake(&ui, &draft).map(|intake| intake.not_taken()).unwrap_or_default();
    let lines: String = not_taken.iter().map(|one| format!("{one}\n")).collect();
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response())
}

/// Reviews a draft, or saves it where what it changes is what was reviewed.
async fn go_on(
    ui: &Ui,
    operator: &Operator,
    id: &str,
    draft: &ImportDraft,
    reviewed: Option<String>,
    mut form_errors: Messages,
) -> Result<Response, Error> {
    let mut findings = Findings::default();
    findings.of_files(&draft.sources);
    // Words of one are those of a configuration, too.
    if let Some(text) = leases(draft) {
        form_errors.extend(std::iter::once(text).collect());
        return page(operator, id, draft, findings, form_errors, None).await;
    }
    let intake = match intake(ui, draft) {
        Ok(intake) => intake,
        Err(error) => {
            form_errors.extend(findings.of_error(error, draft));
            return page(operator, id, draft, findings, form_errors, None).await;
        }
    };
    findings.of_intake(&intake);
    let summary = summary(draft);
    let save = reviewed.is_some();
    let (mut digest, mut is_overtaken) = (String::new(), false);
    let edit = |site: &mut Site| {
        digest = digest_of(&intake, site);
        if reviewed.as_ref().is_some_and(|seen| *seen != digest) {
            is_overtaken = true;
            return Err(ChangeError::Declined);
        }
        intake.put_into(site).map_err(ChangeError::from)
    };
    let proposal = Proposal { operator, summary: &summary, base: None, save };
    let mut result = propose(ui, proposal, edit).await?;
    if is_overtaken {
        let text = "Nothing is saved: somebody changed what these files are about since the review. \
                    What they would change now is below.";
        form_errors.extend(std::iter::once(text.to_owned()).collect());
        let proposal = Proposal { operator, summary: &summary, base: None, save: false };
        let edit = |site: &mut Site| {
            digest = digest_of(&intake, site);
            intake.put_into(site).map_err(ChangeError::from)
        };
        result = propose(ui, proposal, edit).await?;
    }
    match result {
        ProposalResult::Saved(saved) => {
            ui.imports.forget(id);
            operator.notify(saved.said()).await?;
            Ok(Redirect::to(&format!("/revisions/{}", saved.revision)).into_response())
        }
        ProposalResult::Reviewed(review) => {
            let review = Some((review, digest));
            page(operator, id, draft, findings, form_errors, review).await
        }
        ProposalResult::Refused(error) => {
            form_errors.extend(findings.of_refusal(&intake, &error));
            page(operator, id, draft, findings, form_errors, None).await
        }
    }
}

/// What an import does is known from its files and from the entries that it touches, as they are.
fn digest_of(intake: &Intake, site: &Site) -> String {
    hex(&serde_json::to_vec(&intake.touched(site)).unwrap_or_default())
}

fn summary(draft: &ImportDraft) -> String {
    let names: Vec<String> = draft.sources.iter().map(|source| source.name.to_string()).collect();
    format!("import {}", some_names(&names))
}

async fn page(
    operator: &Operator,
    id: &str,
    draft: &ImportDraft,
    findings: Findings,
    form_errors: Messages,
    review: Option<(ChangePreview, String)>,
) -> Result<Response, Error> {
    let (review, reviewed) = review.unzip();
    let page = ImportPage {
        frame: operator.frame("hosts").await?,
        id: id.to_owned(),
        form: ImportForm {
            typed: shown(draft.typed.as_deref()),
            host: draft.choices.host.clone().unwrap_or_default(),
            keeps_boot_server: draft.choices.keeps_boot_server,
        },
        findings,
        form_errors,
        review,
        reviewed: reviewed.unwrap_or_default(),
    };
    let status = match page.has_problem() {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    Ok((status, Page(page)).into_response())
}

impl Findings {
    /// The files before anything is known of them.
    fn of_files(&mut self, sources: &[Source]) {
        let row = |source: &Source| FileRow { name: source.name.to_string(), kind: String::new() };
        self.files = sources.iter().take(MOST_LINES).map(row).collect();
        self.more_files = sources.len().saturating_sub(MOST_LINES);
    }

    /// What was read.
    fn of_intake(&mut self, intake: &Intake) {
        match intake {
            Intake::Hosts(table) => {
                for file in &mut self.files {
                    file.kind = "table of hosts, with the inventory's own columns".to_owned();
                }
                self.found = vec![counted(table.rows.len(), "host", "hosts")];
            }
            Intake::Site(imported) => {
                for file in &mut self.files {
                    let known = imported.kinds.iter().find(|(name, _)| **name == *file.name);
                    let kind = known.map_or("included by another file", |(_, kind)| kind.label());
                    file.kind = kind.to_owned();
                }
                let Site { hosts, subnets, profiles, racks, .. } = &imported.site;
                let all = [
                    (hosts.len(), "host", "hosts"),
                    (subnets.len(), "subnet", "subnets"),
                    (profiles.len(), "profile", "profiles"),
                    (racks.len(), "rack", "racks"),
                ];
                let some = all.into_iter().filter(|(count, ..)| *count > 0);
                self.found = some.map(|(count, one, many)| counted(count, one, many)).collect();
                self.columns(&imported.columns, &[]);
            }
        }
        let not_taken = intake.not_taken();
        self.left_count = not_taken.len();
        self.more_not_taken = not_taken.len().saturating_sub(MOST_LINES);
        self.not_taken = not_taken.iter().take(MOST_LINES).map(left_out).collect();
    }

    fn columns(&mut self, columns: &[TableColumn], unsure: &[crate::import::UnsureColumn]) {
        let row = |column: &TableColumn| {
            let doubt = unsure.iter().find(|one| one.name == column.name);
            let doubt = doubt.map(|one| one.reason.clone()).unwrap_or_default();
            ColumnRow {
                name: column.name.clone(),
                samples: column.samples.join(" | "),
                // What is in doubt is chosen by hand.
                key: column.key.clone().filter(|_| doubt.is_empty()).unwrap_or_default(),
                doubt,
            }
        };
        self.columns = columns.iter().take(MOST_COLUMNS).map(row).collect();
    }

    /// Why nothing was read: what can be answered becomes a form.
    fn of_error(&mut self, error: IntakeError, draft: &ImportDraft) -> Messages {
        let text = match error {
            IntakeError::Table(errors) => match unrecognised(draft) {
                Some(text) => text,
                None => {
                    self.faults(errors.faults());
                    return Messages::default();
                }
            },
            IntakeError::Import(ImportError::Question { question, place, text }) => {
                match question {
                    Question::Columns { unsure, columns } => {
                        self.columns(&columns, &unsure);
                        self.must_ask = true;
                        return Messages::default();
                    }
                    Question::Netmask { address, guess } => {
                        self.netmask = Some((address.to_string(), guess.to_string()));
                        return Messages::default();
                    }
                    question @ Question::UnknownKey { .. } => {
                        format!("{place}: {text}: {question}")
                    }
                }
            }
            IntakeError::Import(ImportError::Syntax { place, message }) => {
                let (place, column) = (Some(place), String::new());
                self.faults(vec![Fault { place, column, text: message }]);
                return Messages::default();
            }
            IntakeError::Import(error @ ImportError::Unrecognised { .. }) => {
                unrecognised(draft).unwrap_or_else(|| error.to_string())
            }
        };
        std::iter::once(text).collect()
    }

    /// Why the inventory refuses what was read.
    fn of_refusal(&mut self, intake: &Intake, error: &ChangeError) -> Messages {
        match error {
            ChangeError::Rows(errors) => {
                self.faults(errors.iter().map(|error| intake.fault_of_row(error)).collect());
                Messages::default()
            }
            ChangeError::Refused(findings) => {
                let faults = findings.iter().map(|finding| intake.fault_of_finding(finding));
                self.faults(faults.collect());
                Messages::default()
            }
            error => Messages::of_refusal(error),
        }
    }

    fn faults(&mut self, faults: Vec<Fault>) {
        self.more_faults = faults.len().saturating_sub(MOST_LINES);
        let row = |Fault { place, column, text }: Fault| FaultRow {
            file: place.as_ref().map(|place| place.file.to_string()).unwrap_or_default(),
            line: place.map(|place| thousands(place.line)).unwrap_or_default(),
            column,
            text: short(&text),
        };
        self.faults = faults.into_iter().take(MOST_LINES).map(row).collect();
    }
}

/// That a file has the leases of another server.
fn leases(draft: &ImportDraft) -> Option<String> {
    draft.sources.iter().find_map(|source| {
        let writer = LeaseFile::writer(&source.text)?;
        Some(format!(
            "{} has the leases of {writer}, which are not in the inventory: take them over by rackstrap \
             import on the server",
            source.name
        ))
    })
}

/// Why a file is nothing that an import reads: what it is for another page or command, or that nobody
/// knows it. None for a table.
fn unrecognised(draft: &ImportDraft) -> Option<String> {
    draft.sources.iter().find_map(|source| {
        let name = &source.name;
        if Kind::or_table(name, &source.text).is_some() {
            return None;
        }
        Some(match site_file::parse(&source.text, name) {
            Ok(_) => format!(
                "{name} is a site file: paste it on the page Change (/change), or use rackstrap apply"
            ),
            Err(_) => ImportError::Unrecognised { file: name.to_string() }.to_string(),
        })
    })
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LINE_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn left_out(one: &NotTaken) -> LeftOut {
    LeftOut {
        file: one.place.file.to_string(),
        line: one.place.line,
        text: short(&one.text),
        reason: reason_text(&one.reason),
    }
}

/// A reason in the words of the page, where those of the command line name a flag.
fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::Column { cells } => {
            format!("{} not taken over: choose below what it is", counted(*cells, "cell", "cells"))
        }
        Reason::BootServer => {
            "rackstrap boots the host by its image; tick \"Go on booting from the \
                               old TFTP server\" to keep this"
                .to_owned()
        }
        Reason::NoSubnet => {
            "no subnet has this address, so it is not reserved: add the subnet first".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_file_includes_is_read_there_alone() {
        let sources = [
            Source::new(
                "dhcpd.conf",
                "include \"/etc/dhcp/hosts.conf\";\nsubnet 10.0.0.0 netmask 255.255.255.0 {}\n",
            ),
            Source::new("hosts.conf", "host a { hardware ethernet 02:00:5e:00:00:01; }\n"),
            Source::new("more.csv", "host,mac\nb,02:00:5e:00:00:02\n"),
        ];
        let roots = roots(&sources, &Choices::default());
        let names: Vec<&str> = roots.iter().map(|source| &*source.name).collect();
        assert_eq!(names, ["dhcpd.conf", "more.csv"]);
        let read = Intake::read(&roots, &Uploads(&sources), &Choices::default()).unwrap();
        let mut site = Site::default();
        read.put_into(&mut site).unwrap();
        assert_eq!(site.hosts.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(read.not_taken().is_empty(), "{:?}", read.not_taken());
    }

    #[test]
    fn the_name_of_a_file_is_only_shown() {
        assert_eq!(file_name("a\r\nb/../c.csv"), "ab/../c.csv");
        assert_eq!(file_name(&"x".repeat(5000)).len(), NAME_CHARACTERS);
    }
}
