//! Pages of images: what each boots, its files, and what is wrong with them.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use super::clock::Moment;
use super::csv_answer::{CsvAnswer, cell};
use super::error::Error;
use super::page::{Frame, Page};
use super::session::Operator;
use super::state::Ui;
use crate::inventory::StoredFiles;
use crate::model::{Image, ImageKind, StoredFile, size_text};
use crate::network::Surroundings;
use crate::profile::ResolvedSite;
use crate::site_file;

struct ImageRow {
    name: String,
    kind: ImageKind,
    /// None if none of its files is in the store.
    size_bytes: Option<u64>,
    arch: String,
    kernel: String,
    hosts: usize,
    faults: Vec<String>,
}

impl ImageRow {
    fn size(&self) -> String {
        self.size_bytes.map(size_text).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "images.html")]
struct ImagesPage {
    frame: Frame,
    rows: Vec<ImageRow>,
    /// What the files of the store take.
    stored: String,
}

/// `GET /images`
pub(super) async fn list(
    State(ui): State<Ui>,
    operator: Operator,
) -> Result<impl IntoResponse, Error> {
    let files = ui.app.inventory.stored_files();
    let stored = size_text(files.iter().map(|file| file.size_bytes).sum());
    let rows = rows(&ui, &files);
    Ok(Page(ImagesPage { frame: operator.frame("images").await?, rows, stored }))
}

fn rows(ui: &Ui, files: &StoredFiles) -> Vec<ImageRow> {
    let (snapshot, around) = (ui.app.inventory.snapshot(), ui.app.inventory.surroundings());
    let images = snapshot.site.images.iter();
    images.map(|(name, image)| row(name, image, &snapshot.site, files, &around)).collect()
}

/// `GET /images.csv`
pub(super) async fn csv(State(ui): State<Ui>, _: Operator) -> CsvAnswer {
    let headings = ["image", "kind", "bytes", "arch", "kernel", "hosts", "faults"];
    let rows = rows(&ui, &ui.app.inventory.stored_files()).into_iter().map(|row| {
        let ImageRow { name, kind, size_bytes, arch, kernel, hosts, faults, .. } = row;
        let mut cells = vec![name, kind.to_string(), cell(size_bytes), arch, kernel];
        cells.extend([hosts.to_string(), faults.join("; ")]);
        cells
    });
    CsvAnswer::new("images", headings, rows)
}

fn row(
    name: &str,
    image: &Image,
    site: &ResolvedSite,
    files: &StoredFiles,
    around: &Surroundings,
) -> ImageRow {
    let own: Vec<&StoredFile> = image.files().filter_map(|(_, path)| files.of(path)).collect();
    let words = |words: Vec<String>| {
        let mut words = words;
        words.dedup();
        words.join(", ")
    };
    ImageRow {
        name: name.to_owned(),
        kind: image.kind(),
        size_bytes: (!own.is_empty()).then(|| own.iter().map(|file| file.size_bytes).sum()),
        arch: words(own.iter().filter_map(|file| file.arch).map(|it| it.to_string()).collect()),
        kernel: words(own.iter().filter_map(|file| file.kernel_version.clone()).collect()),
        hosts: hosts_of(site, name).count(),
        faults: image.files().filter_map(|(_, path)| around.files.fault(path)).collect(),
    }
}

fn hosts_of<'a>(site: &'a ResolvedSite, name: &'a str) -> impl Iterator<Item = &'a String> {
    let has = move |image: &Option<String>| image.as_deref() == Some(name);
    site.hosts.iter().filter(move |(_, host)| has(&host.image)).map(|(name, _)| name)
}

/// The most hosts that the page of an image names.
const MOST_HOSTS: usize = 50;

struct FileRow {
    key: &'static str,
    path: String,
    fault: Option<String>,
    record: Option<RecordCells>,
}

struct RecordCells {
    file: StoredFile,
    size: String,
    disk_size: Option<String>,
    added: Moment,
    verified: Option<Moment>,
}

#[derive(Template)]
#[template(path = "image.html")]
struct ImagePage {
    frame: Frame,
    name: String,
    kind: ImageKind,
    cmdline: String,
    text: String,
    files: Vec<FileRow>,
    hosts: Vec<String>,
    more_hosts: usize,
}

impl ImagePage {
    fn is_broken(&self) -> bool {
        self.files.iter().any(|file| file.fault.is_some())
    }
}

/// `GET /images/{name}`
pub(super) async fn show(
    State(ui): State<Ui>,
    operator: Operator,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let (snapshot, around) = (ui.app.inventory.snapshot(), ui.app.inventory.surroundings());
    let site = &snapshot.site;
    let Some(image) = site.images.get(&name) else {
        return Err(Error::NotFound { what: "image", name });
    };
    let records = ui.app.inventory.stored_files();
    let cells = |file: &StoredFile| RecordCells {
        size: size_text(file.size_bytes),
        disk_size: file.disk_bytes.map(size_text),
        added: ui.moment(file.added_at * 1000),
        verified: file.verified_at.map(|at| ui.moment(at * 1000)),
        file: file.clone(),
    };
    let file = |(key, path): (&'static str, &str)| FileRow {
        key,
        path: path.to_owned(),
        fault: around.files.fault(path),
        record: records.of(path).map(cells),
    };
    let hosts: Vec<&String> = hosts_of(site, &name).collect();
    let mut alone = crate::model::Site::default();
    alone.images.insert(name.clone(), image.clone());
    Ok(Page(ImagePage {
        frame: operator.frame("images").await?,
        kind: image.kind(),
        cmdline: image.cmdline.clone(),
        text: site_file::render(&alone),
        files: image.files().map(file).collect(),
        more_hosts: hosts.len().saturating_sub(MOST_HOSTS),
        hosts: hosts.into_iter().take(MOST_HOSTS).cloned().collect(),
        name,
    }))
}
