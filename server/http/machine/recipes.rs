//! `/recipe/{mac}/{token}/{name}`: the answers of an installer, filled in for the host alone.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::peer::Caller;
use super::record;
use crate::app::App;
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::lifecycle::gate::Verdict;
use crate::recipe::{self, Booting};

/// `GET /recipe/{mac}/{token}/{name}`. The name is the installer's own (`preseed.cfg`, `user-data`): it
/// gets the recipe whatever it asks for, but for cloud-init's other files. Of an image that installs
/// only the boot that may install gets it; `-` is the token of an image that boots always.
pub(super) async fn one(
    State(app): State<App>,
    Path((mac, token, name)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, Error> {
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(&app, &snapshot, &mac)?;
    let known = asked.known()?;
    let (host_name, host) = known;
    if let Err(error) = caller.check_may_read(&app, host_name, host).await {
        let warning = Warning::ConfigRefused { host: host_name.to_owned(), to: caller.address };
        record(&app, Some(host_name), asked.mac(), EventData::Warning(warning));
        return Err(error);
    }
    let token = Some(token.as_str()).filter(|token| *token != "-");
    let decide = || app.inventory.verdict(&snapshot, Some(known), token);
    let mut verdict = decide();
    if !may_have(&verdict) && token.is_some() {
        // Another server may have given the token just now.
        app.inventory.reload_installs().await?;
        verdict = decide();
    }
    if !may_have(&verdict) {
        return Err(Error::NotArmed { host: host_name.to_owned(), file: name });
    }
    let text = match name.as_str() {
        "meta-data" => format!("instance-id: {host_name}-{}\n", token.unwrap_or("live")),
        "vendor-data" | "network-config" => String::new(),
        _ => {
            let server_url = caller.base(&app)?.to_string();
            let token = token.unwrap_or("-").to_owned();
            let booting = Booting { mac: asked.nic(), server_url, token };
            recipe::of_host(&snapshot.site, host_name, &booting)?.text
        }
    };
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(([kind, (header::CACHE_CONTROL, "no-store")], text).into_response())
}

fn may_have(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Image(_) | Verdict::Install { is_proven: true, .. })
}
