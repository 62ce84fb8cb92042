//! `POST /report/{mac}`: what a host says of itself.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::Value;

use super::error::Error;
use super::peer::Caller;
use super::{now_ms, tell};
use crate::app::App;
use crate::inventory::{HostStatus, Report};
use crate::lifecycle::EventKind;
use crate::model::{HostState, Mac};

/// The longest report that is taken, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// How much of a report stands in its event, in characters.
const SHOWN: usize = 200;

/// Takes the report of a host that may speak for itself: JSON, or a text whose
/// first line is shown. `"state": "failed"`, or a text that begins with
/// `failed`, says that something is wrong; anything else that the host is up.
pub async fn store(
    State(app): State<App>,
    Path(mac): Path<String>,
    caller: Caller,
    body: Bytes,
) -> Result<String, Error> {
    let mac: Mac = mac.parse()?;
    let snapshot = app.inventory.snapshot();
    let (name, host) = caller.host_of_mac(&app, &snapshot, mac).ok_or(Error::UnknownHost(mac))?;
    caller.check_may_report(&app, name, host).await?;

    // PostgreSQL has no NUL in TEXT.
    let body = String::from_utf8_lossy(&body).replace('\0', "\u{fffd}");
    let (state, reason) = read(&body);
    let now_ms = now_ms();
    let report = Report { at_ms: now_ms, body };
    app.inventory.database.set_report(name, &report).await?;
    let status = HostStatus { state, since_ms: now_ms, reason: reason.clone() };
    app.inventory.database.set_host_status(name, &status).await?;
    let text = if reason.is_empty() { state.to_string() } else { format!("{state}: {reason}") };
    tell(&app, Some(name), Some(mac), (EventKind::Report, text));
    Ok(format!("{name} is {state}\n"))
}

/// Reads the state and a short text for people out of a report.
fn read(body: &str) -> (HostState, String) {
    let shorten = |text: &str| -> String {
        let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        clean.take(SHOWN).collect()
    };
    let state_of = |word: &str| {
        if word.eq_ignore_ascii_case("failed") { HostState::Failed } else { HostState::Up }
    };
    match serde_json::from_str(body) {
        Ok(Value::Object(report)) => {
            let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or_default();
            (state_of(text("state")), shorten(text("text")))
        }
        _ => {
            let line = body.lines().next().unwrap_or_default();
            let word = line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            (state_of(word), shorten(line))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_json_or_a_text() {
        let cases = [
            ("", HostState::Up, ""),
            ("bond0 up\nmore", HostState::Up, "bond0 up"),
            ("failed: no carrier", HostState::Failed, "failed: no carrier"),
            ("Failed", HostState::Failed, "Failed"),
            ("failedover", HostState::Up, "failedover"),
            (r#"{"state":"up","text":"applied 7"}"#, HostState::Up, "applied 7"),
            (r#"{"state":"failed","text":"a\nb"}"#, HostState::Failed, "a b"),
            (r#"{"state":5}"#, HostState::Up, ""),
            (r#"{"broken"#, HostState::Up, r#"{"broken"#),
            ("[1]", HostState::Up, "[1]"),
        ];
        for (body, state, text) in cases {
            assert_eq!(read(body), (state, text.to_owned()), "{body}");
        }
        assert_eq!(read(&"x".repeat(1000)).1.len(), SHOWN);
    }
}
