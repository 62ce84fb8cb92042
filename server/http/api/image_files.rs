//! `/images/{name}/files`: what is recorded of the files of an image, and their upload.

use std::io;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use aide::operation::set_body;
use axum::body::BodyDataStream;
use axum::extract::{Extension, FromRequest, OriginalUri, Request, State};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Flag, Named, PathOf, Query};
use super::nouns::{ChangeResult, How, not_found};
use super::page::{Page, Paging, Position, SortValue};
use super::parsed::{Limit, Parsed};
use super::problem::{Error, Fault};
use crate::app::App;
use crate::images::{
    self, AddError, Expected, FileRole, ImageStore, Provenance, ReceiveError, StoreError,
};
use crate::inventory::now_ms;
use crate::model::{Image, Site, StoredFile, check_noun_name};

impl From<AddError> for Error {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Inventory(error) => Self::Inventory(error),
            AddError::Receive(error) => Self::Receive(error),
        }
    }
}

impl From<ReceiveError> for Error {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}

/// The files of an image.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FilesOfImage {
    /// The image's name.
    name: String,
    /// Its files in the order of its keys, initrds in their order.
    items: Vec<FileOfImage>,
    /// Where the next page is: a path and a query for the same server. The last page has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    next: Option<String>,
    /// How many files it has.
    total: usize,
    /// `items` once more, for older programs.
    files: Vec<FileOfImage>,
}

/// Which files are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<String>,
}

/// One file of an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct FileOfImage {
    /// The key that names it, such as `kernel`.
    key: &'static str,
    /// Its path below the files directory.
    path: String,
    /// What is recorded of it; null for a file that was not added to the store.
    record: Option<StoredFile>,
    /// Why hosts cannot boot it; null for a sound one.
    fault: Option<String>,
}

/// `GET /images/{name}/files`
pub(super) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    PathOf(Named { name }): PathOf<Named>,
    Query(FilesQuery { limit, cursor }): Query<FilesQuery>,
) -> Result<ApiResponse<FilesOfImage>, Error> {
    let paging = Paging::new(limit, cursor, None, &["key"])?;
    let (snapshot, around) = (app.inventory.snapshot(), app.inventory.surroundings());
    let Some(image) = snapshot.site.images.get(&name) else {
        return Err(not_found::<Image>(&snapshot.site, name));
    };
    let records = app.inventory.stored_files();
    let file = |(key, path): (&'static str, &str)| FileOfImage {
        key,
        path: path.to_owned(),
        record: records.of(path).cloned(),
        fault: around.files.fault(path),
    };
    let files = image.files().map(file).zip(0_u32..);
    let files = files.map(|(file, order)| {
        let key = format!("{order:010}");
        (Position { value: SortValue::Missing, key }, file)
    });
    let page = paging.page(files.collect(), &uri)?;
    let headers = page.headers();
    let Page { items, next, total } = page;
    let (files, total) = (items.clone(), total.unwrap_or_default());
    Ok(ApiResponse::new(FilesOfImage { name, items, next, total, files }).with_headers(headers))
}

/// A file of an image, by its key.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct KeyOfImage {
    /// The image.
    #[schemars(regex(pattern = "^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$"))]
    name: String,
    /// `kernel`, `initrd`, `disk`, `efi` or `script`.
    #[schemars(extend("enum" = FileRole::ALL.map(FileRole::key)))]
    key: String,
}

/// How a file is uploaded.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UploadQuery {
    /// What the file is called; its name in the store follows from it.
    #[serde(default)]
    filename: Option<String>,
    /// Its SHA-256, in hexadecimal: a file with another one is refused.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    sha256: Option<String>,
    /// Of an initrd: add it after those that the image has, instead of replacing them.
    #[serde(default)]
    add: Flag,
}

/// A body that is stored while it comes.
pub(super) struct FileBody {
    size_bytes: u64,
    bytes: BodyDataStream,
}

impl<S: Sync> FromRequest<S> for FileBody {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let size_bytes = length.ok_or(Error::NoLength)?;
        Ok(Self { size_bytes, bytes: request.into_body().into_data_stream() })
    }
}

impl OperationInput for FileBody {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let json_schema = json_schema!({"type": "string", "format": "binary"});
        let schema = Some(SchemaObject { json_schema, external_docs: None, example: None });
        let media = MediaType { schema, ..MediaType::default() };
        let content = [("application/octet-stream".to_owned(), media)].into_iter().collect();
        let description = Some("The bytes of the file.".to_owned());
        let body = RequestBody { description, content, required: true, ..RequestBody::default() };
        set_body(ctx, operation, body);
    }
}

/// What an upload did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UploadedFile {
    /// What is recorded of the file.
    file: StoredFile,
    /// The change of the image that names it.
    change: ChangeResult,
}

/// `POST /images/{name}/files/{key}`
pub(super) async fn upload(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(KeyOfImage { name, key }): PathOf<KeyOfImage>,
    Query(query): Query<UploadQuery>,
    body: FileBody,
) -> Result<ApiResponse<UploadedFile>, Error> {
    let refuse = |name: &str, detail: String| Error::Request(vec![Fault::parameter(name, detail)]);
    check_noun_name("image name", &name).map_err(|error| refuse("name", error.to_string()))?;
    let role = FileRole::of_key(&key).ok_or_else(|| {
        let known = FileRole::ALL.map(FileRole::key).join(", ");
        refuse("key", format!("\"{key}\" names no file of an image: expected {known}"))
    })?;
    let Flag(is_added) = query.add;
    if is_added && role != FileRole::Initrd {
        return Err(Error::Conflict(format!("an image has one {key}; only initrds are added")));
    }
    let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if query.sha256.as_ref().is_some_and(|text| !is_digest(text)) {
        return Err(refuse("sha256", "expected 64 hexadecimal digits".to_owned()));
    }
    let summary = format!("upload {key} of image {name}");
    let edit = |site: &mut Site, path: String, sha256: Option<String>| {
        let image = site.images.entry(name.clone()).or_default();
        image.set_file(role.key(), path, is_added);
        if role == FileRole::Disk {
            image.sha256 = sha256;
        }
        Ok(())
    };
    // Whatever the site refuses is refused before gigabytes are sent.
    let trial = How::new(Flag(true), None);
    let try_edit = |site: &mut Site| edit(site, "store/0/file".to_owned(), None);
    app.inventory.change_site(trial.change(&program, &summary), try_edit).await?;
    let called = query.filename.clone().unwrap_or_else(|| key.clone());
    let store = ImageStore::new(app.config.now().files_path());
    let expected = Expected {
        name: called.clone(),
        role: Some(role),
        size_bytes: Some(body.size_bytes),
        sha256: query.sha256.map(|text| text.to_ascii_lowercase()),
    };
    let pieces = body.bytes.map(|piece| piece.map_err(io::Error::other));
    let received = images::receive_stream(&store, pieces, expected, Box::new(|_| ())).await?;
    let from = Provenance {
        origin: format!("upload {called}"),
        who: program.who.clone(),
        at: now_ms() / 1000,
    };
    let arrived = images::keep(&store, &app.inventory, received, &from).await?;
    let stored = app.inventory.stored_files();
    let file = arrived.first().and_then(|file| stored.of(&file.path)).cloned();
    let file = file.ok_or_else(|| Error::Conflict("nothing was stored".to_owned()))?;
    let how = How::default();
    let edit = |site: &mut Site| edit(site, file.path.clone(), Some(file.sha256.clone()));
    match app.inventory.change_site(how.change(&program, &summary), edit).await {
        Ok(committed) => {
            let change = ChangeResult::new(committed, how).await;
            Ok(ApiResponse::new(UploadedFile { file, change }))
        }
        Err(error) => {
            images::discard(&store, &app.inventory, arrived).await?;
            Err(error.into())
        }
    }
}

/// What a failed upload is in the terms of HTTP: the status, the last part of the type, the title.
pub(super) fn kind_of(error: &ReceiveError) -> (StatusCode, &'static str, &'static str) {
    match error {
        ReceiveError::Store(StoreError::NoSpace { .. }) => {
            (StatusCode::INSUFFICIENT_STORAGE, "no-space", "Not enough space")
        }
        ReceiveError::Store(
            StoreError::Digest { .. }
            | StoreError::Role(_)
            | StoreError::Nameless { .. }
            | StoreError::Damaged { .. }
            | StoreError::Convert(_),
        ) => (StatusCode::UNPROCESSABLE_ENTITY, "unusable-file", "The file cannot be used"),
        ReceiveError::Store(StoreError::Length { .. }) | ReceiveError::Stream { .. } => {
            (StatusCode::BAD_REQUEST, "incomplete", "The upload is incomplete")
        }
        ReceiveError::Store(StoreError::Io { .. } | StoreError::Interrupted)
        | ReceiveError::Read { .. }
        | ReceiveError::Thread(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
        }
    }
}
