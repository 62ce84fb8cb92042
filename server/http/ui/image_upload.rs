//! Adding an image with its files: a plain form whose files are stored while they come. What they
//! are follows from their bytes; the image that they make is reviewed like any other change.

use std::io;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::extract::multipart::{Field, Multipart};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::change;
use super::error::Error;
use super::form::CSRF_FIELD;
use super::page::{Frame, Page};
use super::query::UrlQuery;
use super::session::Operator;
use super::state::Ui;
use crate::images::{self, ArrivedFile, Expected, FileRole, ImageStore, Provenance};
use crate::model::{BootMode, NounKind, Site, check_noun_name, size_text};
use crate::site_file;

/// How long files are kept for a review that is not saved.
const REVIEW: Duration = Duration::from_secs(3600);
/// The longest value of a field that is not a file, in bytes.
const TEXT_BYTES: usize = 64 << 10;

#[derive(Template)]
#[template(path = "add_image.html")]
struct AddImagePage {
    frame: Frame,
    /// The image whose files are replaced; empty for a new one.
    name: String,
    /// Whether the image is there, so that its files are replaced.
    is_known: bool,
    free: String,
    /// What was sent, and why it was not taken.
    sent: Uploaded,
    wrong: Option<String>,
}

/// Which image the form is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    name: String,
}

/// `GET /add-image`
pub(super) async fn form(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(Named { name }): UrlQuery<Named>,
) -> Result<impl IntoResponse, Error> {
    if !name.is_empty() && !ui.app.inventory.snapshot().site.images.contains_key(&name) {
        return Err(Error::NotFound { what: "image", name });
    }
    page(&ui, &operator, Uploaded { name, ..Uploaded::default() }, None).await
}

async fn page(
    ui: &Ui,
    operator: &Operator,
    sent: Uploaded,
    wrong: Option<String>,
) -> Result<Page<AddImagePage>, Error> {
    let frame = operator.frame("images").await?;
    let free = store(ui).free_bytes().map(size_text).unwrap_or_default();
    let name = sent.name.clone();
    let is_known = ui.app.inventory.snapshot().site.images.contains_key(&name);
    Ok(Page(AddImagePage { frame, name, is_known, free, sent, wrong }))
}

fn store(ui: &Ui) -> ImageStore {
    ImageStore::new(ui.app.config.now().files_path())
}

/// The files that have come, and what the image is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Uploaded {
    name: String,
    cmdline: String,
    once: String,
    /// Keys and paths, as `kernel:store/.../vmlinuz`, separated by spaces: no path in the store
    /// has one.
    files: String,
    sha256: String,
}

impl Uploaded {
    fn query(&self) -> String {
        let Self { name, cmdline, once, files, sha256 } = self;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let pairs = [
            ("name", name),
            ("cmdline", cmdline),
            ("once", once),
            ("files", files),
            ("sha256", sha256),
        ];
        query.extend_pairs(pairs).finish()
    }
}

/// `POST /add-image`
pub(super) async fn take(
    State(ui): State<Ui>,
    operator: Operator,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Response, Error> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length: u64 = length.and_then(|it| it.to_str().ok()?.parse().ok()).ok_or_else(|| {
        Error::Malformed("the size of the form is not known: send Content-Length".into())
    })?;
    // Before the first byte is read.
    store(&ui).check_space(length).map_err(|error| Error::Upload(error.into()))?;
    let (mut sent, mut arrived) = (Uploaded::default(), Vec::new());
    let read = read(&ui, &operator, form, &mut sent, &mut arrived).await;
    match read.and_then(|()| complete(sent.clone(), &arrived)) {
        Ok(uploaded) => {
            // Nobody prunes them while the image is reviewed.
            tokio::spawn(async move {
                tokio::time::sleep(REVIEW).await;
                drop(arrived);
            });
            let review = format!("/add-image/review?{}", uploaded.query());
            Ok(Redirect::to(&review).into_response())
        }
        Err(error) => {
            images::discard(&store(&ui), &ui.app.inventory, arrived).await?;
            // What can be put right is said where it was entered.
            match error {
                Error::Malformed(_) | Error::Upload(_) => {
                    let (status, text) = (error.status(), error.to_string());
                    let page = page(&ui, &operator, sent, Some(text)).await?;
                    Ok((status, page).into_response())
                }
                error => Err(error),
            }
        }
    }
}

/// Reads the fields and stores the files.
async fn read(
    ui: &Ui,
    operator: &Operator,
    mut form: Multipart,
    uploaded: &mut Uploaded,
    arrived: &mut Vec<ArrivedFile>,
) -> Result<(), Error> {
    let malformed = |error: axum::extract::multipart::MultipartError| {
        Error::Malformed(format!("cannot read the form: {}", error.body_text().to_lowercase()))
    };
    let mut is_checked = false;
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        // The token is the first field, so that nothing is stored for a form that lacks it.
        if name == CSRF_FIELD {
            let token = text(field).await?;
            is_checked =
                !token.is_empty() && bool::from(token.as_bytes().ct_eq(operator.csrf.as_bytes()));
            continue;
        }
        if !is_checked {
            return Err(Error::Csrf);
        }
        match name.as_str() {
            "name" => {
                uploaded.name = text(field).await?;
                check_noun_name("image name", &uploaded.name)
                    .map_err(|error| Error::Malformed(error.to_string()))?;
            }
            "cmdline" => uploaded.cmdline = text(field).await?,
            "once" => uploaded.once = text(field).await?,
            "files" => {
                // What a browser sends where no file was chosen.
                let called = field.file_name().unwrap_or_default().to_owned();
                if !called.is_empty() {
                    arrived.extend(store_file(ui, operator, &called, field).await?);
                }
            }
            _ => {}
        }
    }
    if is_checked { Ok(()) } else { Err(Error::Csrf) }
}

async fn text(mut field: Field<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.next().await {
        let piece = piece.map_err(|error| Error::Malformed(error.body_text().to_lowercase()))?;
        bytes.extend_from_slice(&piece);
        if bytes.len() > TEXT_BYTES {
            return Err(Error::Malformed("a field is longer than 64 KiB".into()));
        }
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Error::Malformed("the form is not valid UTF-8".into()))?;
    Ok(text.trim().to_owned())
}

async fn store_file(
    ui: &Ui,
    operator: &Operator,
    called: &str,
    field: Field<'_>,
) -> Result<Vec<ArrivedFile>, Error> {
    let expected = Expected { name: called.to_owned(), role: None, size_bytes: None, sha256: None };
    let pieces = field.map(|piece| piece.map_err(|error| io::Error::other(error.body_text())));
    let received = images::receive_stream(&store(ui), pieces, expected, Box::new(|_| ())).await?;
    let from = Provenance {
        origin: format!("upload {called}"),
        who: operator.name.clone(),
        at: ui.now_ms() / 1000,
    };
    Ok(images::keep(&store(ui), &ui.app.inventory, received, &from).await?)
}

/// What the files make together.
fn complete(mut uploaded: Uploaded, arrived: &[ArrivedFile]) -> Result<Uploaded, Error> {
    if uploaded.name.is_empty() {
        return Err(Error::Malformed("the image needs a name".into()));
    }
    if arrived.is_empty() {
        return Err(Error::Malformed("no file was sent: choose at least one".into()));
    }
    let programs = arrived.iter().filter(|file| file.role != FileRole::Initrd);
    let programs: Vec<&str> = programs.map(|file| file.path.as_str()).collect();
    if let [first, second, ..] = programs[..] {
        return Err(Error::Malformed(format!(
            "an image boots one kernel, disk image, program or script; these are two: {first} \
             and {second}"
        )));
    }
    let files = arrived.iter().map(|file| format!("{}:{}", file.role.key(), file.path));
    uploaded.files = files.collect::<Vec<_>>().join(" ");
    let disk = arrived.iter().find(|file| file.role == FileRole::Disk);
    uploaded.sha256 = disk.map(|disk| disk.sha256.clone()).unwrap_or_default();
    Ok(uploaded)
}

/// `GET /add-image/review`: the image that uploaded files make. Nothing is saved yet.
pub(super) async fn review(
    State(ui): State<Ui>,
    operator: Operator,
    UrlQuery(uploaded): UrlQuery<Uploaded>,
) -> Result<Response, Error> {
    let Uploaded { name, cmdline, once, files, sha256 } = uploaded;
    check_noun_name("image name", &name).map_err(|error| Error::Malformed(error.to_string()))?;
    let snapshot = ui.app.inventory.snapshot();
    let mut image = snapshot.site.images.get(&name).cloned().unwrap_or_default();
    let keyed = files.split(' ').filter_map(|file| {
        let (key, path) = file.split_once(':')?;
        Some((FileRole::of_key(key)?.key(), path.to_owned()))
    });
    image.set_files(keyed);
    image.local = false;
    image.sha256 = Some(sha256).filter(|text| !text.is_empty());
    if !cmdline.is_empty() {
        image.cmdline = cmdline;
    }
    if !once.is_empty() {
        image.boot = BootMode::Once;
    }
    let mut alone = Site::default();
    alone.images.insert(name.clone(), image);
    change::reviewed(&ui, &operator, NounKind::Image, &name, site_file::render(&alone)).await
}
