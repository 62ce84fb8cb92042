//! The server under test: its site, its configuration and its command.

use std::fs;
use std::path::Path;
use std::process::Command;

use rackstrap::inventory::{Change, Database, Inventory};
use rackstrap::model::Site;
use serde_json::{Value, json};

use crate::dhcp::AddressPool;
use crate::lab::{Lab, SERVER, SERVER_LINK};

/// The release build.
pub(crate) const PROGRAM: &str = "target/release/rackstrap";

/// Writes the configuration into `dir`, stores the site, and gives the command that serves it.
pub(crate) fn command(lab: &Lab, dir: &Path, site: &Value) -> Result<Command, String> {
    let (data, files) = (dir.join("data"), lab.dir.join("files"));
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    store(&data, site).map_err(|error| format!("the site is refused: {error:#}"))?;
    let configuration = format!(
        "data_dir = {data:?}\nfiles_dir = {files:?}\nipxe_dir = {files:?}\n\
         interfaces = [\"{SERVER_LINK}\"]\nmachine_listen = \"{SERVER}:80\"\n\
         log_level = \"warn\"\n"
    );
    let path = dir.join("rackstrap.toml");
    fs::write(&path, configuration).map_err(|error| error.to_string())?;
    let program = std::env::current_dir().map_err(|error| error.to_string())?.join(PROGRAM);
    let mut command = lab.server.command(&program.to_string_lossy());
    command.arg("--config").arg(path).arg("serve");
    Ok(command)
}

/// Makes the site the first revision of the database in `data`, before any server runs on it.
fn store(data: &Path, site: &Value) -> anyhow::Result<()> {
    let site: Site = serde_json::from_value(site.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = format!("sqlite:{}", data.join("rackstrap.db").display());
        let inventory = Inventory::open(Database::open(&url).await?).await?;
        let change = Change { who: "bench", summary: "a site to measure", ..Change::default() };
        inventory.replace_site(change, site).await?;
        inventory.database.close().await;
        Ok(())
    })
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
