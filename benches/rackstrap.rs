//! The server under test: its site, its configuration and its command.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::dhcp::AddressPool;
use crate::lab::{Lab, SERVER, SERVER_LINK};

/// The release build.
pub const PROGRAM: &str = "target/release/rackstrap";

/// Writes configuration and site into `dir`, applies the site, and gives the command that serves it.
pub fn command(lab: &Lab, dir: &Path, site: &Value) -> Result<Command, String> {
    let configuration = format!(
        "data_dir = \"{dir}/data\"\nfiles_dir = \"{files}\"\nipxe_dir = \"{files}\"\n\
         interfaces = [\"{SERVER_LINK}\"]\nmachine_listen = \"{SERVER}:80\"\n\
         log_level = \"warn\"\n",
        dir = dir.display(),
        files = lab.dir.join("files").display(),
    );
    let (path, site_path) = (dir.join("rackstrap.toml"), dir.join("site.yaml"));
    fs::write(&path, configuration).map_err(|error| error.to_string())?;
    // JSON is YAML.
    fs::write(&site_path, site.to_string()).map_err(|error| error.to_string())?;
    let program = std::env::current_dir().map_err(|error| error.to_string())?.join(PROGRAM);
    let program = program.to_string_lossy().into_owned();
    let applied = lab
        .server
        .command(&program)
        .arg("--config")
        .arg(&path)
        .arg("apply")
        .arg(&site_path)
        .output()
        .map_err(|error| error.to_string())?;
    if !applied.status.success() {
        return Err(format!("apply: {}", String::from_utf8_lossy(&applied.stderr).trim()));
    }
    let mut command = lab.server.command(&program);
    command.arg("--config").arg(path).arg("serve");
    Ok(command)
}

/// A site with the servers' own link and these pools, and no host.
pub fn dhcp_site(pools: &[AddressPool]) -> Value {
    let mut subnets = serde_json::Map::new();
    subnets.insert("link".to_owned(), json!({"cidr": "10.80.0.0/24"}));
    for (number, pool) in pools.iter().enumerate() {
        let (from, to) = pool.range;
        let ranges = json!([{"from": from.to_string(), "to": to.to_string(), "for": "dhcp"}]);
        let subnet = json!({
            "cidr": pool.cidr(), "gateway": pool.relay.to_string(), "ranges": ranges,
        });
        subnets.insert(format!("pool{number}"), subnet);
    }
    json!({ "subnets": subnets })
}
