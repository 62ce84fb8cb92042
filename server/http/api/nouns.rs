//! Racks, tenants, subnets, profiles, images and hosts: list, show, put, remove.

use axum::extract::{Extension, Path, Query, State};
use axum::{Json, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Program;
use super::error::Error;
use crate::app::App;
use crate::inventory::{Change, ChangeError, Committed};
use crate::model::{Noun, Site};
use crate::network::nearest::hint;
use crate::site_file;

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Find out what would happen, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The revision that the author saw: the change is refused if there is a newer one.
    pub base: Option<i64>,
}

impl How {
    /// The change, for the inventory.
    pub fn change<'a>(self, program: &'a Program, summary: &'a str) -> Change<'a> {
        Change { who: &program.who, summary, base: self.base, dry_run: self.dry_run }
    }
}

/// What a change did, as JSON; of a dry run also what it would do to the generated files.
pub async fn told(mut committed: Committed) -> Json<Value> {
    let consequences = match committed.tried.is_some() {
        true => Some(committed.take_consequences().await),
        false => None,
    };
    let Committed { revision, differences, warnings, .. } = &committed;
    let mut value = json!({
        "revision": revision, "differences": differences, "warnings": warnings,
    });
    if let Some(consequences) = consequences {
        value["consequences"] = json!(consequences);
    }
    Json(value)
}

/// `GET /{section}`
pub async fn list<T: Noun>(State(app): State<App>) -> Json<Vec<Value>> {
    let snapshot = app.inventory.snapshot();
    Json(T::all(&snapshot.site).iter().map(|(name, entry)| entry.named(name)).collect())
}

/// `GET /{section}/{name}`
pub async fn show<T: Noun>(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Error> {
    let snapshot = app.inventory.snapshot();
    match T::all(&snapshot.site).get(&name) {
        Some(entry) => Ok(Json(entry.named(&name))),
        None => Err(not_found::<T>(&snapshot.site, name)),
    }
}

/// `PUT /{section}/{name}`: the whole entry, new or in place of what is there.
pub async fn put<T: Noun>(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Path(name): Path<String>,
    Query(how): Query<How>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Error> {
    let entry: T =
        site_file::parse_entry(&body, "body").map_err(|error| Error::Body(vec![error]))?;
    let summary = format!("put {} {name}", T::NOUN);
    let mut status = StatusCode::CREATED;
    let edit = |site: &mut Site| {
        if T::all_mut(site).insert(name.clone(), entry).is_some() {
            status = StatusCode::OK;
        }
        Ok(())
    };
    let committed = app.inventory.change_site(how.change(&program, &summary), edit).await?;
    Ok((status, told(committed).await))
}

/// `DELETE /{section}/{name}`
pub async fn remove<T: Noun>(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Path(name): Path<String>,
    Query(how): Query<How>,
) -> Result<Json<Value>, Error> {
    let summary = format!("remove {} {name}", T::NOUN);
    let mut missing = None;
    let edit = |site: &mut Site| {
        if T::all_mut(site).remove(&name).is_none() {
            missing = Some(not_found::<T>(site, name.clone()));
            return Err(ChangeError::Edit(String::new()));
        }
        Ok(())
    };
    let outcome = app.inventory.change_site(how.change(&program, &summary), edit).await;
    match missing {
        Some(error) => Err(error),
        None => Ok(told(outcome?).await),
    }
}

/// There is none of that name, and which is the nearest.
pub fn not_found<T: Noun>(site: &Site, name: String) -> Error {
    let hint = hint(&name, T::all(site).keys().map(String::as_str));
    Error::NotFound { noun: T::NOUN, name, hint }
}
