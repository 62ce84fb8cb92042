//! Flags of every command: the configuration file and the values that override it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::config::{Config, Sources};

/// The configuration file, unless `--config` names another one.
const DEFAULT_FILE: &str = "/etc/rackstrap/rackstrap.toml";

/// Global flags, before or after any command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Configuration file [default: /etc/rackstrap/rackstrap.toml, if it exists]
    #[arg(long, short, global = true, value_name = "FILE", env = "RACKSTRAP_CONFIG")]
    pub config: Option<PathBuf>,
    /// Directory of the database and the boot files
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Database: sqlite:PATH or postgres://USER@HOST/NAME
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Serve DHCP, TFTP and router advertisements on this interface (can be repeated)
    #[arg(long = "interface", short, global = true, value_name = "NAME")]
    interfaces: Vec<String>,
    /// Address and port of the web UI and the API
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    admin_listen: Option<String>,
    /// Address and port that hosts fetch scripts, files and configuration from
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    machine_listen: Option<String>,
    /// Log format: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log level: error, warn, info, debug or trace, or a filter such as rackstrap::dhcp=debug,info
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Settings {
    /// The configuration from file, environment and flags.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let sources = Sources {
            file: self.read_file()?,
            environment: std::env::vars()
                .filter(|(name, _)| name.starts_with("RACKSTRAP_"))
                .collect(),
            flags: self.flags(),
        };
        Ok(Config::load(&sources)?)
    }

    /// The configuration from environment and flags only, for `init`.
    pub(crate) fn without_file(&self) -> anyhow::Result<Config> {
        let file = None;
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("RACKSTRAP_"));
        let sources = Sources { file, environment: environment.collect(), flags: self.flags() };
        Ok(Config::load(&sources)?)
    }

    /// The configuration with `text` as that of the file.
    pub(crate) fn config_of(&self, name: &str, text: &str) -> anyhow::Result<Config> {
        let file = Some((name.to_owned(), text.to_owned()));
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("RACKSTRAP_"));
        let sources = Sources { file, environment: environment.collect(), flags: self.flags() };
        Ok(Config::load(&sources)?)
    }

    /// Whether there is a configuration file that sets a key. That of a package has comments only; a
    /// file that is not TOML is somebody's work.
    pub(crate) fn is_configured(&self) -> anyhow::Result<bool> {
        let path = self.path();
        if !path.exists() {
            return Ok(false);
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(sets_a_key(&text))
    }

    /// Path of the configuration file, whether or not it exists.
    pub(crate) fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or_else(|| Path::new(DEFAULT_FILE))
    }

    fn read_file(&self) -> anyhow::Result<Option<(String, String)>> {
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(None),
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read configuration file {name}"))?;
        Ok(Some((name, text)))
    }

    fn flags(&self) -> Vec<(String, String)> {
        let interfaces = (!self.interfaces.is_empty()).then(|| self.interfaces.join(","));
        let given = [
            ("data_dir", &self.data_dir),
            ("database", &self.database),
            ("interfaces", &interfaces),
            ("admin_listen", &self.admin_listen),
            ("machine_listen", &self.machine_listen),
            ("log_format", &self.log_format),
            ("log_level", &self.log_level),
        ];
        let pair = |(key, value): (&str, &Option<String>)| Some((key.to_owned(), value.clone()?));
        given.into_iter().filter_map(pair).collect()
    }
}

fn sets_a_key(text: &str) -> bool {
    text.parse::<toml::Table>().map_or(true, |table| !table.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_comments_sets_nothing() {
        let packaged = include_str!("../../packaging/rackstrap.toml");
        for (text, expected) in
            [("", false), (packaged, false), ("dhcp = true\n", true), ("dhcp =", true)]
        {
            assert_eq!(sets_a_key(text), expected, "{text}");
        }
    }
}
