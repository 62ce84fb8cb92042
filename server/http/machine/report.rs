//! `POST /report/{mac}`: what a host says of itself.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::Value;

use super::error::Error;
use super::peer::Caller;
use super::{now_ms, tell};
use crate::app::App;
use crate::inventory::{HostStatus, Report};
use crate::lifecycle::event::{self, Verdict};
use crate::lifecycle::{EventData, HostState};
use crate::model::Mac;

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
    let report = read(&body);
    let now_ms = now_ms();
    app.inventory.database.set_report(name, &Report { at_ms: now_ms, body }).await?;
    let state = match report.verdict {
        Verdict::Up => HostState::Up,
        Verdict::Failed => HostState::Failed,
    };
    let status = HostStatus { state, since_ms: now_ms, reason: report.text.clone() };
    app.inventory.database.set_host_status(name, &status).await?;
    tell(&app, Some(name), Some(mac), EventData::Report(report));
    Ok(format!("{name} is {state}\n"))
}

/// Reads the verdict and a short text for people out of a report.
fn read(body: &str) -> event::Report {
    let shorten = |text: &str| -> String {
        let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        clean.take(SHOWN).collect()
    };
    let verdict_of = |word: &str| {
        if word.eq_ignore_ascii_case("failed") { Verdict::Failed } else { Verdict::Up }
    };
    match serde_json::from_str(body) {
        Ok(Value::Object(report)) => {
            let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or_default();
            event::Report { verdict: verdict_of(text("state")), text: shorten(text("text")) }
        }
        _ => {
            let line = body.lines().next().unwrap_or_default();
            let word = line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
            event::Report { verdict: verdict_of(word), text: shorten(line) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_json_or_a_text() {
        let cases = [
            ("", Verdict::Up, ""),
            ("bond0 up\nmore", Verdict::Up, "bond0 up"),
            ("failed: no carrier", Verdict::Failed, "failed: no carrier"),
            ("Failed", Verdict::Failed, "Failed"),
            ("failedover", Verdict::Up, "failedover"),
            (r#"{"state":"up","text":"applied 7"}"#, Verdict::Up, "applied 7"),
            (r#"{"state":"failed","text":"a\nb"}"#, Verdict::Failed, "a b"),
            (r#"{"state":5}"#, Verdict::Up, ""),
            (r#"{"broken"#, Verdict::Up, r#"{"broken"#),
            ("[1]", Verdict::Up, "[1]"),
        ];
        for (body, verdict, text) in cases {
            assert_eq!(read(body), event::Report { verdict, text: text.to_owned() }, "{body}");
        }
        assert_eq!(read(&"x".repeat(1000)).text.len(), SHOWN);
    }
}
