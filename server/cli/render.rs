//! `rackstrap render`: the network configuration of a host or a switch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::{Context, status};
use crate::cli::host::name_of;
use crate::cli::import::read_directory;
use crate::cli::microcloud::{self, Members};
use crate::import::networks::meaning::{Meaning, MeaningDifference};
use crate::import::networks::{Dialect, read_host};
use crate::import::{Kind, Source};
use crate::inventory::Inventory;
use crate::network::nearest::hint;
use crate::network::{File, Format, MICROCLOUD_FILE, layout, left_out, render_host, render_switch};
use crate::profile::ResolvedSite;
use crate::recipe::{self, Booting};

/// `rackstrap render`.
#[derive(Debug, Args)]
pub(crate) struct Render {
    /// Host, by name or MAC address; several for microcloud-preseed
    #[arg(required_unless_present_any = ["profile", "switch", "diff"], conflicts_with = "switch")]
    hosts: Vec<String>,
    /// Print the port configuration of this switch instead, for Arista EOS, NVUE or SONiC
    #[arg(long, value_name = "SWITCH", conflicts_with_all = ["format", "diff", "profile"])]
    switch: Option<String>,
    /// Output format (see rackstrap formats), or microcloud-preseed for one document of several hosts
    #[arg(long, default_value = "networkd")]
    format: String,
    /// Show what the network means otherwise than the files in this directory, such as a copy of the
    /// host's /etc/systemd/network or /etc/netplan, or than the network of another host: links, addresses,
    /// routes and rules. Without a host the directory has one directory for each host, by its name. The exit
    /// code is 1 where something is meant otherwise
    #[arg(long, value_name = "DIR|HOST", conflicts_with = "since")]
    diff: Option<String>,
    /// Show every value of the host's profile and where it is set, instead of files
    #[arg(long, conflicts_with_all = ["diff", "since", "switch"])]
    explain: bool,
    /// Show the differences from this revision of the inventory
    #[arg(long, value_name = "REVISION")]
    since: Option<i64>,
    /// Print the recipe of the host's image instead, filled in as its installer reads it. The
    /// token of the boot is TOKEN, and the server's address SERVER without machine_url
    #[arg(long, conflicts_with_all = ["diff", "since", "switch", "explain", "profile"])]
    recipe: bool,
    #[command(flatten)]
    members: Members,
}

impl Render {
    /// Prints the files, or their differences.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.read_inventory().await?;
        let snapshot = inventory.snapshot();
        if let Some(switch) = &self.switch {
            return self::switch(&context, &inventory, switch, self.since).await;
        }
        let names = self.hosts.iter().map(|host| name_of(&snapshot, host).to_owned());
        let mut names: Vec<String> = names.collect();
        if self.format == microcloud::FORMAT {
            let text = self.members.render(&snapshot.site, names)?;
            let value = json!([{"name": MICROCLOUD_FILE, "text": text}]);
            context.print(&value, || text.clone())?;
            return Ok(ExitCode::SUCCESS);
        }
        if let (Some(diff), []) = (&self.diff, names.as_slice()) {
            return fleet(&context, &snapshot.site, Path::new(diff), self.format.parse()?);
        }
        if names.len() != 1 || self.members != Members::default() {
            anyhow::bail!(
                "several hosts, and the flags of a cluster, need --format {}",
                microcloud::FORMAT
            );
        }
        let name = names.remove(0);
        if self.recipe {
            return recipe(&context, &snapshot.site, &name);
        }
        let format: Format = self.format.parse()?;
        if self.explain {
            return explain(&context, &snapshot.site, &name);
        }
        if let Some(other) = self.diff.as_deref().filter(|diff| !Path::new(diff).is_dir()) {
            let other = name_of(&snapshot, other).to_owned();
            return beside(&context, &snapshot.site, &name, &other);
        }
        let meant = match &self.diff {
            Some(dir) => meant_otherwise(&snapshot.site, &name, Path::new(dir), format)?,
            None => None,
        };
        let mut files = render_host(&snapshot.site, &name, format)?;
        for feature in left_out(&snapshot.site, &name, format) {
            eprintln!("warning: {format} leaves out {feature}; the link comes up without it");
        }
        if self.diff.is_some() {
            files.retain(|file| file.directory.as_deref() == format.directory());
        }
        let before = match (&self.diff, self.since) {
            (Some(dir), _) => read_files(Path::new(dir), format)?,
            (None, Some(revision)) => {
                let site = site_at(&inventory, revision).await?;
                render_host(&site, &name, format).unwrap_or_default()
            }
            (None, None) => {
                let value: Vec<Value> = files
                    .iter()
                    .map(|file| json!({"name": file.name, "path": file.path(), "mode": file.mode_text(), "text": file.text}))
                    .collect();
                context.print(&value, || readable(&files))?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        let mut difference = difference(&before, &files);
        // Files that mean the same are not shown, however they are written.
        if meant.as_ref().is_some_and(Vec::is_empty) {
            difference.clear();
        }
        let agrees = match (&self.diff, &meant) {
            // Revisions are compared to be read.
            (None, _) => true,
            (Some(_), Some(meant)) => meant.is_empty(),
            // Where the meaning of a format is not read, its files decide.
            (Some(_), None) => difference.is_empty(),
        };
        let value = json!({"meaning": meant, "difference": difference});
        let lines: String = meant.iter().flatten().map(|one| format!("{one}\n")).collect();
        context.print(&value, || lines + &difference)?;
        Ok(status(agrees))
    }
}

/// What the network of a host means otherwise than the files in a directory; none for a format
/// whose files are not read.
fn meant_otherwise(
    site: &ResolvedSite,
    name: &str,
    dir: &Path,
    format: Format,
) -> anyhow::Result<Option<Vec<MeaningDifference>>> {
    let mut sources = Vec::new();
    read_directory(dir, &mut sources)?;
    let dialect = Dialect::of(format, &sources);
    let Some(dialect) = dialect else { return Ok(None) };
    let is_meant =
        |file: &&Source| Kind::of(&file.name, &file.text) == Some(Kind::Network(dialect));
    let files: Vec<&Source> = sources.iter().filter(is_meant).collect();
    let read = read_host(dialect, &files)?;
    Ok(Some(read.meaning.differences(&Meaning::of(&layout(site, name)))))
}

/// Compares the networks of all hosts that a directory has a directory for.
fn fleet(
    context: &Context,
    site: &ResolvedSite,
    dir: &Path,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut found = BTreeMap::new();
    let mut compared = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| path.is_dir() && site.hosts.contains_key(name)) else {
            eprintln!("{}: not a directory of a host of the inventory", path.display());
            continue;
        };
        if let Some(differences) = meant_otherwise(site, &name, &path, format)? {
            compared += 1;
            found.insert(name, differences);
        }
    }
    found.retain(|_, differences| !differences.is_empty());
    context.print(&found, || {
        let of_host = |(name, differences): (&String, &Vec<MeaningDifference>)| {
            let lines: String = differences.iter().map(|one| format!("{one}\n")).collect();
            format!("{name}:\n{lines}")
        };
        let same = compared - found.len();
        found.iter().map(of_host).collect::<String>()
            + &format!("{same} of {compared} hosts agree\n")
    })?;
    Ok(status(found.is_empty()))
}

/// Compares the networks of two hosts of the inventory.
fn beside(
    context: &Context,
    site: &ResolvedSite,
    name: &str,
    other: &str,
) -> anyhow::Result<ExitCode> {
    if !site.hosts.contains_key(other) {
        let hint = hint(other, site.hosts.keys().map(String::as_str));
        anyhow::bail!("\"{other}\" is neither a directory nor a host{hint}");
    }
    let differences =
        Meaning::of(&layout(site, other)).differences(&Meaning::of(&layout(site, name)));
    let lines: String = differences.iter().map(|one| format!("{one}\n")).collect();
    context.print(&json!({"meaning": differences}), || lines)?;
    Ok(status(differences.is_empty()))
}

/// Prints the recipe of a host.
fn recipe(context: &Context, site: &ResolvedSite, name: &str) -> anyhow::Result<ExitCode> {
    let Some(host) = site.hosts.get(name) else {
        let hint = hint(name, site.hosts.keys().map(String::as_str));
        anyhow::bail!("host \"{name}\" does not exist{hint}");
    };
    let nic = host.nics.values().next();
    let mac = nic.with_context(|| format!("host {name} has no NIC to boot from"))?.address;
    let mac = Some(mac);
    let booting = Booting { mac, server_url: server_url(context), token: "TOKEN".to_owned() };
    let filled = recipe::of_host(site, name, &booting)?;
    let value = json!({"host": name, "format": filled.format, "text": filled.text});
    context.print(&value, || filled.text.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The server as hosts reach it. Which of its addresses that is depends on the host where it
/// listens on all of them: SERVER stands for it then.
fn server_url(context: &Context) -> String {
    let config = &context.config;
    let listen = config.machine_listen;
    match config.machine_url.is_none() && listen.ip().is_unspecified() {
        false => config.machine_base_url(listen.ip()),
        true if listen.port() == 80 => "http://SERVER".to_owned(),
        true => format!("http://SERVER:{}", listen.port()),
    }
}

/// Prints every value of a host's profile and the layer that sets it.
fn explain(context: &Context, site: &ResolvedSite, name: &str) -> anyhow::Result<ExitCode> {
    let Some(host) = site.hosts.get(name) else {
        let hint = hint(name, site.hosts.keys().map(String::as_str));
        anyhow::bail!("host \"{name}\" does not exist{hint}");
    };
    let explained = site.explain(host);
    context.print(&explained, || explained.iter().map(|value| format!("{value}\n")).collect())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a switch's configuration, or its differences since a revision.
async fn switch(
    context: &Context,
    inventory: &Inventory,
    name: &str,
    since: Option<i64>,
) -> anyhow::Result<ExitCode> {
    let text = render_switch(&inventory.snapshot().site, name)?;
    let Some(revision) = since else {
        context.print(&json!({"switch": name, "text": text}), || text.clone())?;
        return Ok(ExitCode::SUCCESS);
    };
    let before = render_switch(&site_at(inventory, revision).await?, name).unwrap_or_default();
    let difference = unified(name, &before, &text);
    context.print(&json!({"difference": difference}), || difference.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The files in a copy of a host's directory, such as /etc/systemd/network.
fn read_files(dir: &Path, format: Format) -> anyhow::Result<Vec<File>> {
    let failed = || format!("cannot read {}", dir.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            files.push(File::of(format, name, text));
        }
    }
    Ok(files)
}

/// The site at a revision, reached by undoing every newer one.
async fn site_at(inventory: &Inventory, revision: i64) -> anyhow::Result<ResolvedSite> {
    let newest = inventory.snapshot();
    let newer = u32::try_from(newest.revision - revision)
        .with_context(|| format!("revision {revision} does not exist"))?;
    let mut site = newest.site.clone();
    for revision in inventory.database.list_revisions(newer).await? {
        revision.undo(&mut site)?;
    }
    Ok(site)
}

/// The differences between two sets of files, in unified format.
fn difference(before: &[File], after: &[File]) -> String {
    let names: BTreeSet<&String> = before.iter().chain(after).map(|file| &file.name).collect();
    let text = |files: &[File], name: &String| {
        let found = files.iter().find(|file| file.name == *name);
        found.map(|file| file.text.clone()).unwrap_or_default()
    };
    let of_file = |name: &String| {
        let (before, after) = (text(before, name), text(after, name));
        unified(name, &before, &after)
    };
    names.into_iter().map(of_file).collect()
}

/// The differences between two texts, in unified format.
fn unified(name: &str, before: &str, after: &str) -> String {
    let lines = similar::TextDiff::from_lines(before, after);
    lines.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string()
}

/// All files in one text, each below its path.
fn readable(files: &[File]) -> String {
    let texts = files.iter().map(|file| format!("# {}\n{}", file.path(), file.text));
    texts.collect::<Vec<_>>().join("\n")
}
