//! The whole site, its findings, and the generated configuration of hosts and switches.

use axum::extract::{Extension, OriginalUri, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Document, Flag, Named, PathOf, Query, SiteBody};
use super::nouns::{ChangeResult, How, not_found, point};
use super::page::{Page, Paging, Position, SortValue};
use super::parsed::{Limit, Parsed, RevisionNumber};
use super::precondition::{Preconditions, Tags, site_tag, tagged_revision};
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{Change, ChangeError};
use crate::model::{Location, ProfileTree, Site};
use crate::network::{
    Cluster, Finding, Format, MICROCLOUD_FILE, PreseedWords, Severity, check_site_within,
    microcloud_preseed, render_host, render_switch,
};

/// The whole site.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WholeSite {
    /// The revision that it is at; 0 for an empty inventory.
    revision: i64,
    /// What `rackstrap export` writes.
    site: Site,
}

/// `GET /site`
pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<ApiResponse<WholeSite>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let snapshot = app.inventory.snapshot();
    let revision = snapshot.revision;
    let site = WholeSite { revision, site: snapshot.site.clone().into_site() };
    Ok(ApiResponse::current(&preconditions, &site_tag(revision), site))
}

/// How the whole site is to be changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SiteQuery {
    /// Find out what would happen, and change nothing: the response has the consequences for the
    /// generated files.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
    /// The revision that the author saw: the change is refused with 409 if there is a newer one.
    #[serde(default)]
    base: Option<Parsed<RevisionNumber>>,
    /// The change may delete everything, or more than half of the hosts; refused with 409
    /// otherwise.
    #[serde(default)]
    prune: Flag,
}

impl SiteQuery {
    pub(super) fn how(self) -> How {
        How::new(self.dry_run, self.base)
    }

    /// The change, for the inventory.
    pub(super) fn change<'a>(self, program: &'a Program, summary: &'a str) -> Change<'a> {
        Change { prune: self.prune.0, ..self.how().change(program, summary) }
    }
}

/// `PUT /site`: as `rackstrap apply`.
pub(super) async fn replace(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Query(query): Query<SiteQuery>,
    headers: HeaderMap,
    body: Document<SiteBody>,
) -> Result<ApiResponse<ChangeResult>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let given = body.read()?;
    let how = query.how();
    let mut change = query.change(&program, "put the site");
    change.base = change.base.or(given.revision);
    let current = site_tag(app.inventory.snapshot().revision);
    let mut is_conditional = false;
    match &preconditions.if_match {
        // The newest revision may be one that this server has not read yet.
        Some(Tags::List(tags)) if tags.len() == 1 => {
            let tagged = tags.first().and_then(|tag| tagged_revision(tag));
            change.base = Some(tagged.unwrap_or(-1));
            is_conditional = true;
        }
        _ => preconditions.check("the site", Some(&current))?,
    }
    if preconditions.if_none_match.is_some() {
        let only = Preconditions { if_match: None, ..preconditions };
        only.check("the site", Some(&current))?;
    }
    let outcome = app.inventory.replace_site(change, given.file.site.clone().into_site()).await;
    let committed = match outcome {
        Err(error @ ChangeError::Outdated { .. }) if is_conditional => {
            return Err(Error::Precondition(error.to_string()));
        }
        other => other.map_err(|error| {
            let pointer = |at: &Location| Some(format!("{}{}", given.within, at.site_pointer()));
            point(error.into(), pointer)
        })?,
    };
    let revision = committed.revision;
    let mut result = ChangeResult::new(committed, how).await;
    if !how.is_dry_run() {
        result.etag = Some(site_tag(revision));
    }
    Ok(ApiResponse::new(result))
}

/// What findings can be sorted by.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(super) enum CheckSort {
    #[serde(rename = "severity")]
    Severity,
    #[serde(rename = "-severity")]
    SeverityDescending,
    #[serde(rename = "rule")]
    Rule,
    #[serde(rename = "-rule")]
    RuleDescending,
    #[serde(rename = "path")]
    Path,
    #[serde(rename = "-path")]
    PathDescending,
}

impl CheckSort {
    fn label(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::SeverityDescending => "-severity",
            Self::Rule => "rule",
            Self::RuleDescending => "-rule",
            Self::Path => "path",
            Self::PathDescending => "-path",
        }
    }
}

/// Which findings are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CheckQuery {
    /// How many items the page has at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<Parsed<Limit>>,
    /// Where the page begins: from the link to the next page.
    #[serde(default)]
    cursor: Option<String>,
    /// What the list is sorted by; with - in front in the opposite order. `severity` has errors
    /// first.
    #[serde(default)]
    sort: Option<CheckSort>,
    /// Only findings of this severity.
    #[serde(default)]
    severity: Option<Severity>,
    /// Only findings about this host.
    #[serde(default)]
    host: Option<String>,
    /// Only findings of this rule, such as `N141`.
    #[serde(default)]
    rule: Option<String>,
}

/// `GET /check`: everything that is wrong with the site, errors first.
pub(super) async fn check(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<CheckQuery>,
) -> Result<ApiResponse<Page<Finding>>, Error> {
    let CheckQuery { limit, cursor, sort, severity, host, rule } = query;
    let paging =
        Paging::new(limit, cursor, sort.map(CheckSort::label), &["severity", "rule", "path"])?;
    let snapshot = app.inventory.snapshot();
    let around = app.inventory.surroundings();
    let work = move || check_site_within(&snapshot.site, &around);
    let findings = tokio::task::spawn_blocking(work).await.unwrap_or_default();
    let is_wanted = |finding: &Finding| {
        severity.is_none_or(|severity| finding.severity == severity)
            && host.as_ref().is_none_or(|host| finding.host() == Some(host.as_str()))
            && rule.as_ref().is_none_or(|rule| finding.rule == rule)
    };
    let findings = findings.into_iter().filter(is_wanted).zip(0_i64..);
    let items = findings.map(|(finding, order)| {
        let value = match paging.sort.as_str() {
            "rule" => SortValue::Text(finding.rule.to_owned()),
            "path" => SortValue::Text(finding.path()),
            // They are in this order already.
            _ => SortValue::Missing,
        };
        (Position { value, key: format!("{order:010}") }, finding)
    });
    Ok(paging.page(items.collect(), &uri)?.into())
}

/// Which format is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FormatQuery {
    /// The format of the files: a name that `rackstrap formats` lists; `networkd` where none is
    /// given.
    #[serde(default)]
    #[schemars(with = "super::openapi::FormatName")]
    format: Option<String>,
}

/// One generated file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GeneratedFile {
    /// Its name without a directory.
    name: String,
    /// Where the host keeps it.
    path: String,
    /// Its permissions in octal, such as `0644`.
    mode: String,
    /// Its whole text.
    text: String,
}

/// `GET /hosts/{name}/config`
pub(super) async fn config(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
    Query(FormatQuery { format }): Query<FormatQuery>,
) -> Result<ApiResponse<Vec<GeneratedFile>>, Error> {
    let format: Format = match format.as_deref() {
        None => Format::Networkd,
        Some(format) => format.parse().map_err(|error| {
            Error::Request(vec![Fault::parameter("format", format!("{error}"))])
        })?,
    };
    let files = render_host(&app.inventory.snapshot().site, &name, format)?;
    let files = files.into_iter().map(|file| GeneratedFile {
        path: file.path(),
        mode: file.mode_text(),
        name: file.name,
        text: file.text,
    });
    Ok(ApiResponse::new(files.collect()))
}

/// A generated document.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Preseed {
    /// The name of its file.
    name: &'static str,
    /// Its whole text.
    text: String,
}

/// `GET /profiles/{name}/microcloud-preseed`: one document for all hosts of a profile.
pub(super) async fn microcloud(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
    Query(words): Query<PreseedWords>,
) -> Result<ApiResponse<Preseed>, Error> {
    let snapshot = app.inventory.snapshot();
    if !snapshot.site.profiles.contains_key(&name) {
        return Err(not_found::<ProfileTree>(&snapshot.site, name));
    }
    let cluster = words.applied_to(Cluster::of_profile(&snapshot.site, &name))?;
    let text = microcloud_preseed(&snapshot.site, &cluster)?;
    Ok(ApiResponse::new(Preseed { name: MICROCLOUD_FILE, text }))
}

/// The configuration of a switch.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SwitchConfig {
    /// The switch's name.
    switch: String,
    /// Its ports in its vendor's syntax.
    text: String,
}

/// `GET /switches/{name}/config`
pub(super) async fn switch_config(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<ApiResponse<SwitchConfig>, Error> {
    let text = render_switch(&app.inventory.snapshot().site, &name)?;
    Ok(ApiResponse::new(SwitchConfig { switch: name, text }))
}
