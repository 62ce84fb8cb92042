//! `POST /report/{mac}`: what a host says of itself.

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::Value;

use super::error::Error;
use super::peer::Caller;
use super::scripts::BootQuery;
use super::{now_ms, record};
use crate::app::App;
use crate::boot::ipxe_text::BootToken;
use crate::inventory::StoredReport;
use crate::lifecycle::event::{self, DeployStep, ReportResult, StepReport};
use crate::lifecycle::install::{Install, InstallReport, InstallTask};
use crate::lifecycle::{EventData, HostState};

/// The longest report that is taken, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// How much of a report stands in its event, in characters.
const SHOWN: usize = 200;

/// Takes the report of a host that may speak for itself: JSON, or a text whose
/// first line is shown. `"state": "failed"`, or a text that begins with
/// `failed`, says that something is wrong; anything else that the host is up.
///
/// An installer sends the token of its boot (`Authorization: Bearer`, `"token"` in JSON, or `?token=`
/// where it can send neither, as Proxmox's webhook). With
/// it `installing` means that it is about to change the disk and waits for the answer 200,
/// `failed` that it gives up, anything else that the host is installed. Any other answer than
/// 200 means that it must not install. A report may be repeated until it is answered.
pub(super) async fn store(
    State(app): State<App>,
    Path(mac): Path<String>,
    query: BootQuery,
    caller: Caller,
    body: Bytes,
) -> Result<String, Error> {
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(&app, &snapshot, &mac)?;
    let (name, host) = asked.known()?;
    // PostgreSQL has no NUL in TEXT.
    let body = String::from_utf8_lossy(&body).replace('\0', "\u{fffd}");
    let report = read(&body);
    // The token of a boot is the installer's right to speak, wherever it asks from; it is not
    // kept in the report.
    let (body, token) = take_token(body);
    let (mut begins, mut is_install) = (false, false);
    match caller.boot_token().or(token).or(query.token) {
        Some(token) => {
            let said = match report.verdict {
                ReportResult::Failed => InstallReport::Failed(failure(&report.text).to_owned()),
                ReportResult::Up if is_beginning(&body) => InstallReport::Begins,
                ReportResult::Up => InstallReport::Succeeded,
            };
            is_install = true;
            begins = said == InstallReport::Begins;
            app.inventory.report_install(name, token.as_str(), &said).await?;
        }
        None => caller.check_may_report(&app, name, host).await?,
    }
    if begins {
        // It is not up yet, and has not reported what it is to come up with.
        return Ok(format!("{name} may be installed\n"));
    }
    let now_ms = now_ms();
    let installs = app.inventory.installs();
    let emptied = installs.of(name).filter(|install| {
        is_install && report.verdict == ReportResult::Up && install.task.empties()
    });
    if let Some(Install { task, armed_by, .. }) = emptied {
        // Its disks are empty: it is not up, and reports nothing of its network.
        app.inventory.database.set_report(name, &StoredReport { at_ms: now_ms, body }).await?;
        if *task == InstallTask::Release {
            // A report that is repeated, because the server was killed here, does it then.
            app.inventory.release_host(name, armed_by).await?;
            return Ok(format!("{name} is erased and released\n"));
        }
        return Ok(format!("{name} is erased\n"));
    }
    app.inventory.database.set_report(name, &StoredReport { at_ms: now_ms, body }).await?;
    let state = match report.verdict {
        ReportResult::Up => HostState::Up,
        ReportResult::Failed => HostState::Failed,
    };
    if !is_install && app.inventory.states.awaits_first_boot(name) {
        // Whatever it reports: the system on the disk runs.
        let step = StepReport::of(DeployStep::FirstBoot);
        record(&app, Some(name), asked.mac(), EventData::InstallStep(step));
    }
    let failure = (report.verdict == ReportResult::Failed).then(|| report.text.clone());
    record(&app, Some(name), asked.mac(), EventData::Report(report));
    if let Some(text) = failure {
        app.inventory.note_roll_out_failure(name, &text).await?;
    }
    app.inventory.events.settle().await;
    Ok(match state {
        HostState::Failed => format!("{name} has failed\n"),
        state => format!("{name} is {state}\n"),
    })
}

/// Takes the token of a boot out of a report that is a JSON object.
fn take_token(body: String) -> (String, Option<BootToken>) {
    let Ok(Value::Object(mut report)) = serde_json::from_str(&body) else { return (body, None) };
    let Some(token) = report.remove("token") else { return (body, None) };
    let token = token.as_str().and_then(|token| token.parse().ok());
    (Value::Object(report).to_string(), token)
}

/// Whether an installer says that it is about to change the disk.
fn is_beginning(body: &str) -> bool {
    let word = match serde_json::from_str(body) {
        Ok(Value::Object(report)) => report.get("state").and_then(Value::as_str).map(str::to_owned),
        _ => body.split(|c: char| !c.is_ascii_alphabetic()).next().map(str::to_owned),
    };
    word.is_some_and(|word| word.eq_ignore_ascii_case("installing"))
}

/// Reads the verdict and a short text for people out of a report.
fn read(body: &str) -> event::Report {
    let shorten = |text: &str| -> String {
        let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        clean.take(SHOWN).collect()
    };
    let verdict_of = |word: &str| {
        if word.eq_ignore_ascii_case("failed") { ReportResult::Failed } else { ReportResult::Up }
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

/// Why an installation failed, without the word that says that it did.
fn failure(text: &str) -> &str {
    let rest = text.strip_prefix("failed").unwrap_or(text);
    let rest = rest.trim_start_matches([':', ',', ' ', '\n']);
    if rest.is_empty() { text } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_a_report_is_not_kept() {
        let (body, token) = take_token(r#"{"state":"installed","token":"abc"}"#.into());
        assert_eq!(body, r#"{"state":"installed"}"#);
        assert_eq!(token.as_ref().map(BootToken::as_str), Some("abc"));
        assert_eq!(take_token("installed".into()), ("installed".into(), None));
    }

    #[test]
    fn a_failure_is_told_without_the_word_failed() {
        let cases = [
            ("failed: no disk", "no disk"),
            ("failed, no disk", "no disk"),
            ("no disk", "no disk"),
            ("failed", "failed"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(failure(text), expected, "{text}");
        }
    }

    #[test]
    fn an_installer_says_that_it_begins() {
        for (body, begins) in [
            ("installing", true),
            ("Installing: partitions", true),
            (r#"{"state":"installing"}"#, true),
            ("installed", false),
            (r#"{"state":"up"}"#, false),
            ("", false),
        ] {
            assert_eq!(is_beginning(body), begins, "{body}");
        }
    }

    #[test]
    fn a_report_is_json_or_a_text() {
        let cases = [
            ("", ReportResult::Up, ""),
            ("bond0 up\nmore", ReportResult::Up, "bond0 up"),
            ("failed: no carrier", ReportResult::Failed, "failed: no carrier"),
            ("Failed", ReportResult::Failed, "Failed"),
            ("failedover", ReportResult::Up, "failedover"),
            (r#"{"state":"up","text":"applied 7"}"#, ReportResult::Up, "applied 7"),
            (r#"{"state":"failed","text":"a\nb"}"#, ReportResult::Failed, "a b"),
            (r#"{"state":5}"#, ReportResult::Up, ""),
            (r#"{"broken"#, ReportResult::Up, r#"{"broken"#),
            ("[1]", ReportResult::Up, "[1]"),
        ];
        for (body, verdict, text) in cases {
            assert_eq!(read(body), event::Report { verdict, text: text.to_owned() }, "{body}");
        }
        assert_eq!(read(&"x".repeat(1000)).text.len(), SHOWN);
    }
}
