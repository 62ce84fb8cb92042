//! The server under test: its site, its configuration and its command.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use rackstrap::inventory::{Change, Database, Inventory};
use rackstrap::model::Site;
use serde_json::{Value, json};

use crate::dhcp::AddressPool;
use crate::lab::{Lab, SERVER, SERVER_LINK};
use crate::netns::Netns;

/// The release build.
pub(crate) const PROGRAM: &str = "target/release/rackstrap";

/// Writes the configuration into `dir`, stores the site, and gives the command that serves it.
pub(crate) fn command(lab: &Lab, dir: &Path, site: &Value) -> Result<Command, String> {
    let data = dir.join("data");
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    let database = format!("sqlite:{}", data.join("rackstrap.db").display());
    store(&database, site)?;
    serve(lab, &lab.server, dir, &database, SERVER)
}

/// The command that serves a database, which has its site, in a namespace.
pub(crate) fn serve(
    lab: &Lab,
    inside: &Netns,
    dir: &Path,
    database: &str,
    address: Ipv4Addr,
) -> Result<Command, String> {
    let (data, files) = (dir.join("data"), lab.dir.join("files"));
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    let configuration = format!(
        "data_dir = {data:?}\nfiles_dir = {files:?}\nipxe_dir = {files:?}\n\
         database = {database:?}\n\
         interfaces = [\"{SERVER_LINK}\"]\nmachine_listen = \"{address}:80\"\n\
         log_level = \"warn\"\n"
    );
    let path = dir.join("rackstrap.toml");
    fs::write(&path, configuration).map_err(|error| error.to_string())?;
    let program = std::env::current_dir().map_err(|error| error.to_string())?.join(PROGRAM);
    let mut command = inside.command(&program.to_string_lossy());
    command.arg("--config").arg(path).arg("serve");
    Ok(command)
}

/// Makes the site the first revision of a database, before any server runs on it.
pub(crate) fn store(database: &str, site: &Value) -> Result<(), String> {
    let stored = || -> anyhow::Result<()> {
        let site: Site = serde_json::from_value(site.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let inventory = Inventory::open(Database::open(database).await?).await?;
            let change = Change { who: "bench", summary: "a site to measure", ..Change::default() };
            inventory.replace_site(change, site).await?;
            inventory.database.close().await;
            Ok(())
        })
    };
    stored().map_err(|error| format!("the site is refused: {error:#}"))
}

/// A site with the servers' own link and these pools, and no host.
pub(crate) fn dhcp_site(pools: &[AddressPool]) -> Value {
    let mut subnets = serde_json::Map::new();
    subnets.insert("link".to_owned(), json!({"cidr": "10.80.0.0/24"}));
    for (number, pool) in pools.iter().enumerate() {
        let (from, to) = pool.range;
        // The others are told not to ping either.
        let ranges = json!([{"from": from.to_string(), "to": to.to_string(), "for": "dhcp"}]);
        let subnet = json!({
            "cidr": pool.cidr(), "gateway": pool.relay.to_string(), "ranges": ranges,
            "conflict-probe": "off",
        });
        subnets.insert(format!("pool{number}"), subnet);
    }
    json!({ "subnets": subnets })
}
