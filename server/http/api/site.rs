//! The whole site, its findings, and the configuration of one host.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Program;
use super::error::Error;
use super::nouns::{How, not_found, told};
use crate::app::App;
use crate::inventory::ChangeError;
use crate::model::ProfileTree;
use crate::network::{
    Cluster, File, Finding, Format, MICROCLOUD_FILE, PreseedWords, check_site_within,
    microcloud_preseed, render_host, render_switch,
};
use crate::site_file::SiteFile;

/// `GET /site`
pub async fn show(State(app): State<App>) -> Json<Value> {
    let snapshot = app.inventory.snapshot();
    Json(json!({"revision": snapshot.revision, "site": snapshot.site}))
}

/// `PUT /site`: as `rackstrap apply`.
pub async fn replace(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Query(how): Query<How>,
    body: String,
) -> Result<Json<Value>, Error> {
    let file = SiteFile::parse(&body, "body").map_err(Error::Body)?;
    let change = how.change(&program, "put the site");
    match app.inventory.replace_site(change, file.site.clone()).await {
        Ok(committed) => Ok(told(committed).await),
        Err(ChangeError::Refused(findings)) => {
            let place = |finding: &Finding| file.error_at(&finding.path(), finding.text.clone());
            Err(Error::Body(findings.iter().map(place).collect()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /check`: everything that is wrong with the site, errors first.
pub async fn check(State(app): State<App>) -> Json<Vec<Finding>> {
    let snapshot = app.inventory.snapshot();
    let around = app.inventory.surroundings();
    let work = move || check_site_within(&snapshot.site, &around);
    let findings = tokio::task::spawn_blocking(work).await;
    Json(findings.unwrap_or_default())
}

/// Which format is wanted.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    format: Option<String>,
}

/// `GET /hosts/{name}/config`
pub async fn config(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(Wanted { format }): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Error> {
    let format: Format = match format.as_deref() {
        None => Format::Networkd,
        Some(format) => format.parse().map_err(|error| Error::BadRequest(format!("{error}")))?,
    };
    let files = render_host(&app.inventory.snapshot().site, &name, format)?;
    let told = |file: &File| json!({"name": file.name, "path": file.path(), "mode": file.mode_text(), "text": file.text});
    Ok(Json(files.iter().map(told).collect()))
}

/// `GET /profiles/{name}/microcloud-preseed`: one document for all hosts of a profile.
pub async fn microcloud(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(words): Query<PreseedWords>,
) -> Result<Json<Value>, Error> {
    let snapshot = app.inventory.snapshot();
    if !snapshot.site.profiles.contains_key(&name) {
        return Err(not_found::<ProfileTree>(&snapshot.site, name));
    }
    let cluster = words.tell(Cluster::of_profile(&snapshot.site, &name))?;
    let text = microcloud_preseed(&snapshot.site, &cluster)?;
    Ok(Json(json!({"name": MICROCLOUD_FILE, "text": text})))
}

/// `GET /switches/{name}/config`: its ports in its vendor's words.
pub async fn switch_config(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let text = render_switch(&app.inventory.snapshot().site, &name)?;
    Ok(Json(json!({"switch": name, "text": text})))
}
