//! Log lines on standard error: text for people, JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Config, ConfigError, LogFormat};

/// The log of the process, whose filter can be replaced.
pub(crate) struct Logs(Box<dyn Fn(EnvFilter) + Send>);

impl Logs {
    /// Takes on the `log_level` of a configuration.
    ///
    /// # Errors
    /// If it is not a valid filter; the log stays as it is.
    pub(crate) fn set_level(&self, config: &Config) -> Result<(), ConfigError> {
        (self.0)(filter(config)?);
        Ok(())
    }
}

/// Installs the log subscriber of the process.
///
/// # Errors
/// If `log_level` is not a valid filter.
pub(crate) fn start(config: &Config) -> Result<Logs, ConfigError> {
    let filter = filter(config)?;
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_timer(SystemTime);
    // A process that starts twice (a test, the lab) keeps the first subscriber.
    Ok(match config.log_format {
        LogFormat::Text => {
            let builder = builder.with_target(false);
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Logs(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Logs(Box::new(move |filter| drop(handle.reload(filter))))
        }
    })
}

fn filter(config: &Config) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(&config.log_level).map_err(|error| ConfigError::Value {
        source_name: "configuration".into(),
        key: "log_level".into(),
        value: format!("\"{}\"", config.log_level),
        expected: format!("a filter such as \"info\" ({error})"),
    })
}
