//! Log lines on standard error: text for people, JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Config, ConfigError, LogFormat};

/// Installs the log subscriber of the process.
///
/// # Errors
/// If `log_level` is not a valid filter.
pub(crate) fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error| ConfigError::Value {
        source_name: "configuration".into(),
        key: "log_level".into(),
        value: format!("\"{}\"", config.log_level),
        expected: format!("a filter such as \"info\" ({error})"),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_timer(SystemTime);
    // A process that starts twice (a test, the lab) keeps the first subscriber.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
