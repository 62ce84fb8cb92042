//! `rackstrap backup` and `rackstrap restore`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::channel;

use crate::cli::context::{Context, audit, counted, moment, table};
use crate::cli::init::{read, write_private};
use crate::cli::settings::Settings;
use crate::inventory::portable::{
    self, ImageFile, ImportTarget, Record, TableDigest, WAITING, read_preamble,
};
use crate::inventory::{Inventory, create_private_directory};
use crate::lifecycle::audit::AuditAction;
use crate::serve;

/// `rackstrap backup`. The server may run.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// File to write: the database, the configuration, and a list of image files
    file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// `rackstrap restore`. The server must not run.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Backup to restore
    file: PathBuf,
    /// Leave the configuration file alone
    #[arg(long)]
    no_config: bool,
}

/// What was copied, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Copied {
    /// Counts and digests of all tables.
    pub tables: Vec<TableDigest>,
    /// How long it took.
    pub seconds: f64,
}

impl Copied {
    /// How many rows.
    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// A line for each table that has rows.
    pub(super) fn table(&self) -> String {
        let filled = self.tables.iter().filter(|table| table.rows > 0);
        let rows = filled.map(|t| vec![t.table.clone(), t.rows.to_string(), t.sha256.clone()]);
        table(&["TABLE", "ROWS", "SHA-256"], &rows.collect::<Vec<_>>())
    }
}

impl Backup {
    /// Writes the file.
    pub(crate) async fn run(
        self,
        settings: &Settings,
        context: Context,
    ) -> anyhow::Result<ExitCode> {
        let file = self.file.display().to_string();
        if self.file.exists() && !self.force {
            bail!("{file} already exists; replace it with --force");
        }
        let begin = Instant::now();
        let inventory = context.read_inventory().await?;
        let mut preamble = Vec::new();
        if settings.path().exists() {
            preamble.push(Record::Configuration { text: read(settings.path())? });
        }
        let files = image_files(&inventory, context.config.files_path()).await?;
        let images = files.len();
        preamble.extend(files.into_iter().map(Record::File));
        portable::check_schema(&inventory.database).await?;
        let (sink, source) = channel(WAITING);
        let path = self.file.clone();
        let writing = tokio::task::spawn_blocking(move || portable::write(&path, source));
        let exported = portable::export(&inventory.database, preamble, sink).await;
        // If it could not be written, that is why the rows found no taker.
        let bytes = writing.await?.with_context(|| format!("cannot write {file}"))?;
        let tables = exported.context("cannot read the database")?;
        audit(&inventory, AuditAction::BackedUp { file: file.clone() }).await;
        let has_secrets = inventory.snapshot().site.keyring().names().next().is_some();
        let key = context.config.secret_key_path();
        let note = match has_secrets {
            true => format!("Secrets are in it sealed: keep {} as well.\n", key.display()),
            false => String::new(),
        };
        inventory.database.close().await;
        let copied = Copied { tables, seconds: begin.elapsed().as_secs_f64() };
        context.print(&copied, || {
            format!(
                "wrote {file}: {} rows of {} tables and a list of {images} image files, {bytes} bytes, in \
                 {:.1} s\nIt has password hashes and the configuration: keep it private. The bytes of image \
                 files are not in it.\n{note}",
                copied.rows(),
                copied.tables.len(),
                copied.seconds
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Restore {
    /// Fills an empty database, and writes the configuration file unless there is one.
    pub(crate) async fn run(self, settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
        let begin = Instant::now();
        let file = self.file.display().to_string();
        let (sink, mut source) = channel(WAITING);
        let path = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || portable::read(&path, &sink));
        let preamble = match read_preamble(&mut source).await {
            Ok(preamble) => preamble,
            Err(error) => {
                // A file that cannot be read ends before its first record.
                drop(source);
                reading.await?.with_context(|| format!("cannot read {file}"))?;
                return Err(error).with_context(|| format!("cannot restore {file}"));
            }
        };
        let restored = match &preamble.configuration {
            Some(text) if !self.no_config && !settings.is_configured()? => Some(text.clone()),
            _ => None,
        };
        let config = match &restored {
            Some(text) => settings.config_of(&file, text)?,
            None => settings.config()?,
        };
        let (header, files) = (preamble.header.clone(), preamble.files.clone());
        create_private_directory(&config.data_dir)?;
        let url = config.database_url();
        let lock = serve::lock_database(&url)?;
        let target = ImportTarget::create(&url, header.schema).await?;
        let imported = portable::import(target, preamble, source).await;
        reading.await?.with_context(|| format!("cannot read {file}"))?;
        let tables = imported.with_context(|| format!("cannot restore {file}"))?;
        let mut lines = String::new();
        if let Some(text) = &restored {
            write_private(settings.path(), text)?;
            lines.push_str(&format!("wrote {}\n", settings.path().display()));
        }
        // Brings the schema up to date, and remembers the inventory.
        let context = Context { config, json };
        let inventory = context.inventory().await?;
        let made_at = header.created_at;
        audit(&inventory, AuditAction::Restored { file: file.clone(), made_at }).await;
        inventory.database.close().await;
        drop(lock);
        let missing = missing(&files, &context.config.files_path());
        let copied = Copied { tables, seconds: begin.elapsed().as_secs_f64() };
        let hosts = copied.tables.iter().find(|table| table.table == "hosts").map_or(0, |t| t.rows);
        lines.push_str(&format!(
            "restored {} ({}) of inventory {} as it was at {} in {:.1} s\n",
            counted(hosts, "host"),
            counted(copied.rows(), "row"),
            header.inventory_id,
            moment(made_at * 1000),
            copied.seconds
        ));
        if !missing.is_empty() {
            let count = missing.len();
            let directory = context.config.files_path();
            lines.push_str(&format!(
                "{count} of {} image files are not in {}; copy them there, then run \"rackstrap image \
                 verify\":\n",
                files.len(),
                directory.display()
            ));
            missing.iter().for_each(|path| lines.push_str(&format!("  {path}\n")));
        }
        context.print(&copied, || lines)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The files below the files directory, with their digests: those that are recorded, else those of
/// their bytes.
async fn image_files(inventory: &Inventory, directory: PathBuf) -> anyhow::Result<Vec<ImageFile>> {
    let stored = inventory.stored_files();
    let listing = move || {
        let mut found = Vec::new();
        let mut waiting = vec![directory.clone()];
        while let Some(next) = waiting.pop() {
            let Ok(entries) = std::fs::read_dir(&next) else { continue };
            for entry in entries {
                let entry = entry?;
                let (path, kind) = (entry.path(), entry.file_type()?);
                if kind.is_dir() && entry.file_name() != ".incoming" {
                    waiting.push(path);
                } else if kind.is_file() {
                    let size_bytes = entry.metadata()?.len();
                    let name = path.strip_prefix(&directory).unwrap_or(&path).display().to_string();
                    let record = stored.of(&name).filter(|record| record.size_bytes == size_bytes);
                    let sha256 = match record {
                        Some(record) => record.sha256.clone(),
                        None => digest_of(&path)?,
                    };
                    found.push(ImageFile { path: name, size_bytes, sha256 });
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        std::io::Result::Ok(found)
    };
    tokio::task::spawn_blocking(listing).await?.context("cannot list the image files")
}

fn digest_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let (mut sha256, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => sha256.update(&buffer[..length]),
        }
    }
}

/// The files that are not there, or have another length.
fn missing(files: &[ImageFile], directory: &Path) -> Vec<String> {
    let is_there = |file: &ImageFile| {
        let metadata = std::fs::metadata(directory.join(&file.path));
        metadata.is_ok_and(|metadata| metadata.len() == file.size_bytes)
    };
    files.iter().filter(|file| !is_there(file)).map(|file| file.path.clone()).collect()
}
