//! `rackstrap image ...`: what hosts boot, and the files for it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::context::{
    Context, change, counted, is_interactive, moment, operator, print, status, table,
};
use crate::cli::image_build::Build;
use crate::cli::nouns::{self, Listed, Name, Remove, Set, or_dash};
use crate::cli::outcome::{print_outcome, refuse_change};
use crate::images::{
    self, ArrivedFile, Depth, Download, Examined, Expected, FileRole, FileState, ImageStore,
    Progress, Provenance, ReceivedFile, UnusedFile,
};
use crate::inventory::{ChangeError, StoredFiles, now_ms};
use crate::model::{BootMode, Host, Image, Noun, Site, StoredFile, check_noun_name, size_text};
use crate::network::Surroundings;
use crate::profile::ResolvedSite;
use crate::site_file;

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List images with size, architecture, kernel, hosts and what is wrong with their files
    List,
    /// Show an image with its files and the hosts that use it
    Show(Name),
    /// Copy files into the store and add an image that boots them
    Add(Box<Add>),
    /// Build the live system, or a Debian disk image, of Debian packages
    Build(Build),
    /// Set keys of an image, or add one whose files are below files_dir already
    Set(Set),
    /// Compare the files of images with the SHA-256 of what was added
    Verify(Verify),
    /// Delete files of the store that no image, host or subnet names
    Prune(Prune),
    /// Remove images that no host uses; their files stay until `image prune`
    Remove(Remove),
}

/// `rackstrap image add`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("boots").required(true).multiple(false))]
pub(crate) struct Add {
    /// Name of the image
    name: String,
    /// A file whose contents say what it is: a disk image, an ISO with a kernel in it, a kernel, an
    /// EFI program or an iPXE script. Like all files here a path, or an http:// or https:// URL
    #[arg(long, visible_aliases = ["url", "iso"], group = "boots", value_name = "FILE")]
    file: Option<String>,
    /// A Linux kernel
    #[arg(long, group = "boots", value_name = "FILE")]
    kernel: Option<String>,
    /// An initrd for the kernel; repeat it for several, in order
    #[arg(long, requires = "kernel", value_name = "FILE")]
    initrd: Vec<String>,
    /// A disk image that the live system writes: raw, compressed by zstd, xz or gzip, or qcow2
    #[arg(long, group = "boots", value_name = "FILE")]
    disk: Option<String>,
    /// An EFI program
    #[arg(long, group = "boots", value_name = "FILE")]
    efi: Option<String>,
    /// An iPXE script
    #[arg(long, group = "boots", value_name = "FILE")]
    script: Option<String>,
    /// Boot the local disk
    #[arg(long, group = "boots")]
    local: bool,
    /// The SHA-256 of each file, in the order of the files; required for URLs
    #[arg(long, value_name = "HEX")]
    sha256: Vec<Sha256Text>,
    /// The kernel's command line
    #[arg(long, value_name = "WORDS")]
    cmdline: Option<String>,
    /// The image installs: a host boots it only after rackstrap host install
    #[arg(long)]
    once: bool,
    /// Replace the files of an existing image; its other keys stay
    #[arg(long)]
    replace: bool,
    /// Read the files and show what would be copied and changed, without copying anything
    #[arg(long)]
    dry_run: bool,
}

/// `rackstrap image verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Names of images; all files of the store if none is given
    names: Vec<String>,
}

/// `rackstrap image prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// List what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
}

impl ImageCommand {
    /// Does it.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => list(&context).await,
            Self::Show(Name { name }) => show(&context, &name).await,
            Self::Add(add) => add.run(&context).await,
            Self::Build(build) => build.run(&context).await,
            Self::Set(set) => nouns::set::<Image>(&context, set).await,
            Self::Verify(verify) => verify.run(&context).await,
            Self::Prune(prune) => prune.run(&context).await,
            Self::Remove(remove) => self::remove(&context, remove).await,
        }
    }
}

/// The records of the files of an image, as far as they are in the store.
fn records<'a>(image: &'a Image, files: &'a StoredFiles) -> impl Iterator<Item = &'a StoredFile> {
    image.files().filter_map(|(_, path)| files.of(path))
}

/// What is wrong with the files of an image.
fn faults(image: &Image, around: &Surroundings) -> Vec<String> {
    image.files().filter_map(|(_, path)| around.files.fault(path)).collect()
}

fn hosts_of<'a>(site: &'a ResolvedSite, name: &'a str) -> impl Iterator<Item = &'a String> {
    let has = move |host: &Host| host.image.as_deref() == Some(name);
    site.hosts.iter().filter(move |(_, host)| has(host)).map(|(name, _)| name)
}

/// Words in their order without repetitions, or `-`.
fn joined(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = words.collect();
    all.dedup();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

async fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let inventory = context.read_inventory().await?;
    let (snapshot, around) = (inventory.snapshot(), inventory.surroundings());
    let (site, files) = (&snapshot.site, inventory.stored_files());
    let value = |(name, image): (&String, &Image)| {
        let mut value = image.named(name);
        value["files"] = json!(records(image, &files).collect::<Vec<_>>());
        value["hosts"] = json!(hosts_of(site, name).count());
        value["faults"] = json!(faults(image, &around));
        value
    };
    let values: Vec<Value> = site.images.iter().map(value).collect();
    context.print(&values, || {
        let row = |(name, image): (&String, &Image)| {
            let own: Vec<&StoredFile> = records(image, &files).collect();
            let size: u64 = own.iter().map(|file| file.size_bytes).sum();
            vec![
                name.clone(),
                image.kind().to_string(),
                if own.is_empty() { "-".into() } else { size_text(size) },
                joined(own.iter().filter_map(|file| file.arch).map(|arch| arch.to_string())),
                joined(own.iter().filter_map(|file| file.kernel_version.clone())),
                hosts_of(site, name).count().to_string(),
                match faults(image, &around).len() {
                    0 => "ok".to_owned(),
                    1 => "1 fault".to_owned(),
                    count => format!("{count} faults"),
                },
            ]
        };
        let header = ["NAME", "KIND", "SIZE", "ARCH", "KERNEL", "HOSTS", "FILES"];
        table(&header, &site.images.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let inventory = context.read_inventory().await?;
    let (snapshot, around) = (inventory.snapshot(), inventory.surroundings());
    let (name, image) = nouns::find::<Image>(&snapshot.site, name)?;
    let stored = inventory.stored_files();
    let hosts: Vec<&String> = hosts_of(&snapshot.site, name).collect();
    let mut value = image.named(name);
    value["files"] = json!(records(image, &stored).collect::<Vec<_>>());
    value["hosts"] = json!(hosts);
    value["faults"] = json!(faults(image, &around));
    context.print(&value, || {
        let mut text = site_file::render(&nouns::fragment(name, image));
        for (key, path) in image.files() {
            let _ = match stored.of(path) {
                Some(record) => writeln!(text, "# {key}: {}", described(record)),
                None => writeln!(text, "# {key}: {path} is not in the store"),
            };
        }
        for fault in faults(image, &around) {
            let _ = writeln!(text, "# fault: {fault}");
        }
        let hosts = hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "# hosts: {}", if hosts.is_empty() { "none" } else { &hosts });
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A file in one line.
fn described(file: &StoredFile) -> String {
    let words = [
        Some(file.content.to_string()),
        file.arch.map(|arch| arch.to_string()),
        file.kernel_version.clone(),
        Some(size_text(file.size_bytes)),
        file.disk_bytes.map(|bytes| format!("{} on the disk", size_text(bytes))),
        Some(format!("sha256 {}", file.sha256)),
        Some(format!("from {}", file.origin)),
        Some(format!("added by {} {}", file.added_by, moment(file.added_at * 1000))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A SHA-256 as people write it.
#[derive(Clone, Debug)]
struct Sha256Text(String);

/// Text that is no SHA-256.
#[derive(Debug, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
struct InvalidSha256;

impl FromStr for Sha256Text {
    type Err = InvalidSha256;

    fn from_str(text: &str) -> Result<Self, InvalidSha256> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(text.to_ascii_lowercase())).ok_or(InvalidSha256)
    }
}

/// A file that is to be added, and what for.
struct FileSource {
    /// None for what its contents are for.
    role: Option<FileRole>,
    /// Its path or URL.
    from: String,
    sha256: Option<String>,
}

impl FileSource {
    fn size_bytes(&self) -> anyhow::Result<u64> {
        if images::is_url(&self.from) {
            return Ok(0);
        }
        let metadata = std::fs::metadata(&self.from);
        Ok(metadata.with_context(|| format!("cannot read {}", self.from))?.len())
    }
}

/// A file and the key that names it.
struct NamedFile {
    role: FileRole,
    path: String,
    sha256: Option<String>,
}

impl Add {
    fn sources(&self) -> anyhow::Result<Vec<FileSource>> {
        let one = [
            (None, &self.file),
            (Some(FileRole::Kernel), &self.kernel),
            (Some(FileRole::Disk), &self.disk),
            (Some(FileRole::Efi), &self.efi),
            (Some(FileRole::Script), &self.script),
        ];
        let one = one.into_iter().filter_map(|(role, from)| Some((role, from.as_ref()?)));
        let initrds = self.initrd.iter().map(|from| (Some(FileRole::Initrd), from));
        let given: Vec<_> = one.chain(initrds).collect();
        let has_url = given.iter().any(|(_, from)| images::is_url(from));
        if self.sha256.len() != given.len() && (has_url || !self.sha256.is_empty()) {
            bail!(
                "{} for {}: give --sha256 once for each file, in the order of the files",
                counted(self.sha256.len(), "SHA-256"),
                counted(given.len(), "file")
            );
        }
        let mut digests = self.sha256.iter().map(|Sha256Text(text)| text.clone());
        let source = |(role, from): (Option<FileRole>, &String)| FileSource {
            role,
            from: from.clone(),
            sha256: digests.next(),
        };
        Ok(given.into_iter().map(source).collect())
    }

    /// The image that boots these files.
    fn image(&self, before: Option<&Image>, files: &[NamedFile]) -> Image {
        let mut image = before.cloned().unwrap_or_default();
        image.set_files(files.iter().map(|file| (file.role.key(), file.path.clone())));
        let disk = files.iter().find(|file| file.role == FileRole::Disk);
        image.sha256 = disk.and_then(|disk| disk.sha256.clone());
        image.local = self.local;
        if let Some(cmdline) = &self.cmdline {
            image.cmdline.clone_from(cmdline);
        }
        if self.once {
            image.boot = BootMode::Once;
        }
        image
    }

    fn edit(&self, site: &mut Site, files: &[NamedFile]) -> Result<(), ChangeError> {
        let before = site.images.get(&self.name);
        if before.is_some() && !self.replace {
            return Err(ChangeError::Exists { noun: Image::NOUN, name: self.name.clone() });
        }
        let image = self.image(before, files);
        site.images.insert(self.name.clone(), image);
        Ok(())
    }

    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        check_noun_name("image name", &self.name)?;
        let sources = self.sources()?;
        let store = context.image_store();
        let sizes = sources.iter().map(FileSource::size_bytes).sum::<anyhow::Result<u64>>()?;
        store.check_space(sizes)?;
        let inventory = context.inventory_for(self.dry_run).await?;
        if !self.replace && inventory.snapshot().site.images.contains_key(&self.name) {
            bail!("image \"{}\" exists; give it other files with --replace", self.name);
        }
        let (operator, summary) = (operator(), format!("add image {}", self.name));
        // Whatever can be refused is, before gigabytes are copied.
        let depth = if self.dry_run { Depth::Whole } else { Depth::Beginning };
        let mut examined = Vec::new();
        for source in &sources {
            let found = source.examine(depth).await?;
            examined.extend(found.into_iter().map(|file| (source, file)));
        }
        let named = |(_, file): &(&FileSource, Examined)| NamedFile {
            role: file.role,
            path: file.path.clone().unwrap_or_else(|| "store/0/file".to_owned()),
            sha256: file.sha256.clone(),
        };
        let named: Vec<_> = examined.iter().map(named).collect();
        let tried = inventory
            .change_site(change(&operator, &summary, true), |site| self.edit(site, &named))
            .await;
        match tried {
            Ok(tried) if self.dry_run => {
                if !context.json {
                    print(&plan(&examined, &inventory.stored_files()))?;
                }
                return print_outcome(context, tried, true).await;
            }
            Ok(_) => {}
            Err(error) => return refuse_change(context, error),
        }
        let mut arrived = Vec::new();
        let mut interrupted = std::pin::pin!(interrupted()?);
        for source in &sources {
            // A copy that is under way ends with it; what came until then is removed.
            let received = tokio::select! {
                received = source.receive(&store) => received,
                signal = &mut interrupted => {
                    store.interrupt();
                    images::discard(&store, &inventory, arrived).await?;
                    eprintln!("rackstrap: interrupted: nothing was added");
                    // The thread that copies may wait for a disk or a program.
                    std::process::exit(128 + signal);
                }
            };
            let provenance = || Provenance {
                origin: source.origin(),
                who: operator.clone(),
                at: now_ms() / 1000,
            };
            let kept = match received {
                Ok(received) => images::keep(&store, &inventory, received, &provenance())
                    .await
                    .map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match kept {
                Ok(files) => arrived.extend(files),
                Err(error) => {
                    images::discard(&store, &inventory, arrived).await?;
                    return Err(error);
                }
            }
        }
        let placed = |file: &ArrivedFile| NamedFile {
            role: file.role,
            path: file.path.clone(),
            sha256: Some(file.sha256.clone()),
        };
        let files: Vec<NamedFile> = arrived.iter().map(placed).collect();
        let done = inventory
            .change_site(change(&operator, &summary, false), |site| self.edit(site, &files))
            .await;
        match done {
            Ok(committed) => print_outcome(context, committed, false).await,
            Err(error) => {
                images::discard(&store, &inventory, arrived).await?;
                refuse_change(context, error)
            }
        }
    }
}

/// Ends when this process is asked to end: with the number of the signal.
fn interrupted() -> anyhow::Result<impl Future<Output = i32>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = hang_up.recv() => SignalKind::hangup().as_raw_value(),
        }
    })
}

/// What `image add` would do with each file, a line each.
fn plan(files: &[(&FileSource, Examined)], stored: &StoredFiles) -> String {
    let line = |(source, file): &(&FileSource, Examined)| {
        let Examined { role, content, arch, kernel_version, size_bytes, sha256, path } = file;
        let known = sha256.as_deref().and_then(|sha256| stored.with_digest(sha256));
        let words = [
            Some(content.to_string()),
            arch.map(|arch| arch.to_string()),
            kernel_version.clone(),
            size_bytes.map(size_text),
        ];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let (from, key) = (source.origin(), role.key());
        match (known, path) {
            (Some(known), _) => format!("{from} ({words}) is in the store: {key} {}\n", known.path),
            (None, Some(path)) => format!("would copy {from} ({words}): {key} {path}\n"),
            (None, None) => format!("would copy {from} ({words}): {key}\n"),
        }
    };
    files.iter().map(line).collect()
}

impl FileSource {
    fn expected(&self, name: &str, size_bytes: Option<u64>) -> Expected {
        let (name, sha256) = (name.to_owned(), self.sha256.clone());
        Expected { name, role: self.role, size_bytes, sha256 }
    }

    /// Its absolute path or its URL, as they are recorded.
    fn origin(&self) -> String {
        if images::is_url(&self.from) {
            return images::shown_url(&self.from);
        }
        let path = Path::new(&self.from);
        let origin = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        origin.display().to_string()
    }

    /// Looks at it, without copying it.
    async fn examine(&self, depth: Depth) -> anyhow::Result<Vec<Examined>> {
        if images::is_url(&self.from) {
            return Ok(images::examine_url(&self.from, self.role).await?);
        }
        let expected = self.expected(&self.from, None);
        Ok(images::examine_file(Path::new(&self.from), expected, depth).await?)
    }

    /// Copies it: of an ISO its kernel and its initrd.
    async fn receive(&self, store: &ImageStore) -> anyhow::Result<Vec<ReceivedFile>> {
        let from = &self.from;
        if images::is_url(from) {
            let download = Download::begin(from).await?;
            let expected = self.expected(&download.name, download.size_bytes);
            let progress = progress(&self.origin(), download.size_bytes);
            return Ok(download.receive(store, expected, progress).await?);
        }
        let size_bytes = Some(self.size_bytes()?);
        let (expected, progress) = (self.expected(from, size_bytes), progress(from, size_bytes));
        Ok(images::receive_file(store, Path::new(from), expected, progress).await?)
    }
}

/// A progress bar on a terminal, else nothing.
fn progress(from: &str, size_bytes: Option<u64>) -> Progress {
    let bar = bar(from, size_bytes);
    Box::new(move |bytes| bar.set_position(bytes))
}

fn bar(name: &str, size_bytes: Option<u64>) -> ProgressBar {
    if !is_interactive() {
        return ProgressBar::hidden();
    }
    let style =
        "{msg}  {bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta}";
    let style = ProgressStyle::with_template(style);
    let bar = ProgressBar::new(size_bytes.unwrap_or_default());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(name.to_owned())
}

impl Verify {
    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let inventory = context.inventory().await?;
        let (snapshot, stored) = (inventory.snapshot(), inventory.stored_files());
        let mut files: Vec<StoredFile> = Vec::new();
        for name in &self.names {
            let (_, image) = nouns::find::<Image>(&snapshot.site, name)?;
            files.extend(records(image, &stored).cloned());
        }
        if self.names.is_empty() {
            files = stored.iter().cloned().collect();
        }
        files.dedup();
        let store = context.image_store();
        let mut results = Vec::new();
        for file in &files {
            let bar = bar(&file.path, Some(file.size_bytes));
            let own = bar.clone();
            let seen = move |bytes| own.inc(bytes);
            let state = images::verify(&store, &inventory, file, now_ms() / 1000, seen).await?;
            bar.finish_and_clear();
            results.push((file, state));
        }
        let word = |state| match state {
            FileState::Sound => "ok",
            FileState::Damaged => "damaged: its SHA-256 differs; add it again",
            FileState::Unreadable => "missing: add it again",
        };
        let value = |(file, state): &(&StoredFile, FileState)| json!({"path": file.path, "sha256": file.sha256, "ok": *state == FileState::Sound});
        let values: Vec<Value> = results.iter().map(value).collect();
        context.print(&values, || {
            let line = |(file, state): &(&StoredFile, FileState)| {
                format!("{}: {}\n", file.path, word(*state))
            };
            results.iter().map(line).collect()
        })?;
        Ok(status(results.iter().all(|(_, state)| *state == FileState::Sound)))
    }
}

impl Prune {
    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let inventory = Arc::new(context.inventory_for(self.dry_run).await?);
        let store = context.image_store();
        let unused = images::unused(&store, &inventory);
        let total: u64 = unused.iter().map(|file| file.size_bytes).sum();
        let value = |file: &UnusedFile| {
            json!({
                "path": file.path,
                "size-bytes": file.size_bytes,
                "being-added": file.is_being_added,
            })
        };
        let values: Vec<Value> = unused.iter().map(value).collect();
        context.print(&values, || {
            let line = |file: &UnusedFile| {
                let kept = if file.is_being_added { "  (being added: kept)" } else { "" };
                format!("{}  {}{kept}\n", file.path, size_text(file.size_bytes))
            };
            let lines: String = unused.iter().map(line).collect();
            format!("{lines}{} unused, {}\n", counted(unused.len(), "file"), size_text(total))
        })?;
        let removable = unused.into_iter().filter(|file| !file.is_being_added);
        let removable: Vec<String> = removable.map(|file| file.path).collect();
        if removable.is_empty() || self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !is_confirmed()? {
            bail!("nothing was deleted; to delete without a question: rackstrap image prune --yes");
        }
        let listed = removable.len();
        let removed = images::remove_unused(&store, &inventory, removable).await?;
        if !context.json {
            print(&format!("deleted {}\n", counted(removed.len(), "file")))?;
        }
        if removed.len() < listed {
            let kept = counted(listed - removed.len(), "file");
            eprintln!("kept {kept}: an image uses them by now, or a command is adding them");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_confirmed() -> anyhow::Result<bool> {
    if !is_interactive() {
        return Ok(false);
    }
    eprint!("Delete them? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn remove(context: &Context, remove: Remove) -> anyhow::Result<ExitCode> {
    let is_dry_run = remove.dry_run;
    let code = nouns::remove::<Image>(context, remove).await?;
    if is_dry_run || code != ExitCode::SUCCESS || context.json {
        return Ok(code);
    }
    let inventory = context.read_inventory().await?;
    let unused = images::unused(&context.image_store(), &inventory);
    if !unused.is_empty() {
        let total: u64 = unused.iter().map(|file| file.size_bytes).sum();
        eprintln!(
            "{} of the store ({}) unused now; rackstrap image prune deletes what is unused",
            counted(unused.len(), "file"),
            size_text(total)
        );
    }
    Ok(code)
}

impl Listed for Image {
    const COLUMNS: &'static [&'static str] = &["kind", "hosts"];
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String> {
        let kind = Some(self.kind());
        vec![or_dash(kind), hosts_of(site, name).count().to_string()]
    }
}
