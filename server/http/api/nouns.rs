//! The nouns of the inventory: list, get, put and delete, the same for each.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::OnceLock;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema};
use axum::extract::{Extension, FromRequestParts, OriginalUri, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Document, EntryBody, Flag, Named, PathOf, Query, pairs};
use super::page::{DEFAULT_LIMIT, MAX_LIMIT, Page, Paging, Position, SortValue};
use super::parsed::{Limit, Parsed, ParsedText, RevisionNumber, expected};
use super::precondition::{Preconditions, entry_tag};
use super::problem::{Error, Fault};
use super::schema::{Entry, Simple, is_host, simple_keys};
use crate::app::App;
use crate::inventory::{Change, ChangeError, Committed};
use crate::lifecycle::{HostState, HostStatus};
use crate::model::{
    Difference, Host, Location, Millis, Nic, NicAddress, Noun, Site, Subnet, hide_password_hashes,
};
use crate::network::nearest::hint;
use crate::network::{Consequences, Finding};
use crate::tree::{self, Node, Typing, unknown};

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct How {
    /// Find out what would happen, and change nothing: the response has the consequences for the
    /// generated files.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
    /// The revision that the author saw: the change is refused with 409 if there is a newer one.
    #[serde(default)]
    base: Option<Parsed<RevisionNumber>>,
}

impl How {
    pub(super) fn new(dry_run: Flag, base: Option<Parsed<RevisionNumber>>) -> Self {
        Self { dry_run, base }
    }

    /// The change, for the inventory.
    pub(super) fn change<'a>(self, program: &'a Program, summary: &'a str) -> Change<'a> {
        let Self { dry_run: Flag(dry_run), base } = self;
        let base = base.map(|Parsed(RevisionNumber(number))| number);
        Change { base, dry_run, ..program.change(summary) }
    }

    pub(super) fn is_dry_run(self) -> bool {
        self.dry_run.0
    }
}

/// What a change did, or, of a dry run, what it would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangeResult {
    /// The revision that it made; the current one if nothing differs, and of a dry run.
    revision: i64,
    /// Nothing was changed: the request was a dry run. Left out otherwise.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    dry_run: bool,
    /// What is different, with the addresses that the inventory assigns.
    differences: Vec<Difference>,
    /// New warnings.
    warnings: Vec<Finding>,
    /// What it would do to the generated files; of a dry run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    consequences: Option<Consequences>,
    /// The entity tag of the entry, for `If-Match`; not of a dry run or a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(super) etag: Option<String>,
}

impl ChangeResult {
    pub(super) async fn new(mut committed: Committed, how: How) -> Self {
        let consequences = match how.is_dry_run() {
            true => Some(committed.take_consequences().await),
            false => None,
        };
        let Committed { revision, differences, warnings, .. } = committed;
        let dry_run = how.is_dry_run();
        Self { revision, dry_run, differences, warnings, consequences, etag: None }
    }
}

/// Whether a mark is left out of a response.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(mark: &bool) -> bool {
    !mark
}

/// Which entries of a noun a list is to have.
pub(super) struct ListQuery<T> {
    paging: Paging,
    /// Words that the JSON of an entry must have, in any case.
    text: Option<String>,
    /// The values that keys of an entry must have.
    equal: Vec<KeyFilter>,
    nic: Option<NicAddress>,
    state: Option<HostState>,
    label: Option<String>,
    noun: PhantomData<fn() -> T>,
}

/// What subnets do that do not say how long their leases last.
const LEASE_TIME: &str = "1h";

/// The value that a key of an entry must have.
#[derive(Clone, Debug)]
struct KeyFilter {
    key: &'static str,
    text: String,
    /// The value of an entry that does not have the key.
    default: Option<&'static str>,
    json: Value,
    /// Whether an entry that has the value reads the same as one without the key; found out with
    /// the first of them.
    is_default: OnceLock<bool>,
}

impl KeyFilter {
    fn new<T: Noun>(key: &'static str, simple: Simple, text: String) -> Self {
        let json = match simple {
            Simple::Text => json!(text),
            Simple::Integer => json!(text.parse::<i64>().ok()),
            Simple::Boolean => json!(text.parse::<bool>().ok()),
        };
        let is_lease_time = T::SECTION == Subnet::SECTION && key == "lease-time";
        let default = is_lease_time.then_some(LEASE_TIME);
        Self { key, text, default, json, is_default: OnceLock::new() }
    }

    /// Whether a value as it is shown is the one that is wanted: a duration in any unit.
    fn is(&self, shown: &str) -> bool {
        let duration = |text: &str| text.parse::<Millis>().ok();
        shown == self.text
            || duration(shown).is_some_and(|shown| Some(shown) == duration(&self.text))
    }

    fn is_in<T: Noun>(&self, entry: &Value) -> bool {
        match (entry.get(self.key), self.default) {
            (Some(Value::String(text)), _) => self.is(text),
            (Some(value), _) => {
                let written = value.to_string();
                written == self.text
            }
            (None, Some(default)) => self.is(default),
            (None, None) => *self.is_default.get_or_init(|| self.reads_the_same::<T>(entry)),
        }
    }

    fn reads_the_same<T: Noun>(&self, entry: &Value) -> bool {
        let mut without = entry.clone();
        let Some(fields) = without.as_object_mut() else { return false };
        fields.remove("name");
        let mut with = fields.clone();
        with.insert(self.key.to_owned(), self.json.clone());
        let read = |value: &Value| tree::read_typed::<T>(&Node::from(value), Typing::Strict).ok();
        read(&Value::Object(with)).is_some_and(|with| Some(with) == read(&without))
    }
}

fn sort_keys<T: Noun + JsonSchema>() -> Vec<&'static str> {
    let state = is_host::<T>().then_some("state");
    ["name"]
        .into_iter()
        .chain(state)
        .chain(simple_keys::<T>().into_iter().map(|(key, _)| key))
        .collect()
}

impl<T: Noun + JsonSchema> ListQuery<T> {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Error> {
        let refuse =
            |name: &str, detail: String| Err(Error::Request(vec![Fault::parameter(name, detail)]));
        let (mut limit, mut cursor, mut sort) = (None, None, None);
        let (mut text, mut equal, mut nic, mut state) = (None, Vec::new(), None, None);
        let mut label = None;
        let simple = simple_keys::<T>();
        for (name, value) in pairs {
            let key = simple.iter().find(|(key, _)| *key == name);
            match (name.as_str(), key) {
                ("limit", _) => match Limit::read(&value) {
                    Some(number) => limit = Some(Parsed(number)),
                    None => return refuse(&name, expected::<Limit>(&value)),
                },
                ("cursor", _) => cursor = Some(value),
                ("sort", _) => sort = Some(value),
                ("q", _) => text = Some(value.to_lowercase()),
                ("mac", _) if is_host::<T>() => match value.parse() {
                    Ok(found) => nic = Some(found),
                    Err(error) => return refuse(&name, format!("{error}")),
                },
                ("state", _) if is_host::<T>() => match value.parse() {
                    Ok(found) => state = Some(found),
                    Err(error) => return refuse(&name, format!("{error}")),
                },
                ("label", _) if is_host::<T>() => label = Some(value),
                (_, Some((_, Simple::Integer))) if value.parse::<i64>().is_err() => {
                    return refuse(&name, format!("expected a number, not \"{value}\""));
                }
                (_, Some((_, Simple::Boolean))) if value.parse::<bool>().is_err() => {
                    return refuse(&name, format!("expected true or false, not \"{value}\""));
                }
                (_, Some((key, simple))) => equal.push(KeyFilter::new::<T>(key, *simple, value)),
                (_, None) => {
                    let mut known = vec!["limit", "cursor", "sort", "q"];
                    known.extend(
                        is_host::<T>().then_some(["mac", "state", "label"]).into_iter().flatten(),
                    );
                    known.extend(simple.iter().map(|(key, _)| *key));
                    return refuse(&name, unknown("parameter", &name, &known));
                }
            }
        }
        let paging = Paging::new(limit, cursor, sort.as_deref(), &sort_keys::<T>())?;
        Ok(Self { paging, text, equal, nic, state, label, noun: PhantomData })
    }

    fn has(&self, entry: &Value) -> bool {
        self.equal.iter().all(|wanted| wanted.is_in::<T>(entry))
            && self
                .text
                .as_ref()
                // A hash that could be searched for could be found out, letter by letter.
                .is_none_or(|wanted| {
                    hide_password_hashes(&entry.to_string()).to_lowercase().contains(wanted)
                })
    }

    fn position(&self, name: &str, entry: &Value, state: HostState) -> Position {
        let value = match entry.get(&self.paging.sort) {
            _ if self.paging.sort == "name" => SortValue::Missing,
            _ if self.paging.sort == "state" && is_host::<T>() => {
                SortValue::Text(state.label().to_owned())
            }
            None => SortValue::Missing,
            Some(value) => match value.as_i64() {
                Some(number) => SortValue::Number(number),
                None => {
                    SortValue::Text(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                }
            },
        };
        Position { value, key: name.to_owned() }
    }
}

impl<T: Noun + JsonSchema, S: Sync> FromRequestParts<S> for ListQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::read(pairs(parts.uri.query().unwrap_or_default())?)
    }
}

impl<T: Noun + JsonSchema> OperationInput for ListQuery<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let keys = sort_keys::<T>();
        let both = keys.iter().flat_map(|key| [(*key).to_owned(), format!("-{key}")]);
        let sorts: Vec<String> = both.collect();
        let mut parameters = json!({
            "limit": {
                "type": "integer", "format": "uint32", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
                "description": "How many items the page has at most.",
            },
            "cursor": {
                "type": "string",
                "description": "Where the page begins: from the link to the next page.",
            },
            "sort": {
                "type": "string", "enum": sorts, "default": "name",
                "description": "The key that the list is sorted by; with - in front in the opposite order.",
            },
            "q": {
                "type": "string",
                "description": "Only entries that have this text anywhere, in upper or lower case.",
            },
        });
        if is_host::<T>() {
            let states = HostState::ALL.map(|state| state.label());
            parameters["mac"] = json!({
                "type": "string", "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$",
                "description": "Only the host with this NIC. Other notations are read as well, and the GUID of an InfiniBand port.",
            });
            parameters["label"] = json!({
                "type": "string",
                "description": "Only hosts with this label.",
            });
            parameters["state"] = json!({
                "type": "string", "enum": states,
                "description": "Only hosts in this state.",
            });
        }
        for (key, simple) in simple_keys::<T>() {
            let kind = match simple {
                Simple::Text => "string",
                Simple::Integer => "integer",
                Simple::Boolean => "boolean",
            };
            parameters[key] = json!({
                "type": kind,
                "description": format!("Only entries whose {key} is this."),
            });
            if simple == Simple::Integer {
                parameters[key]["format"] = "int64".into();
            }
        }
        let schema = Schema::try_from(json!({"type": "object", "properties": parameters}));
        let schema = schema.unwrap_or_default();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

/// The status of every host, for a list of hosts.
async fn statuses<T: Noun>(app: &App) -> Result<BTreeMap<String, HostStatus>, Error> {
    match is_host::<T>() {
        true => Ok(app.inventory.host_statuses(jiff::Timestamp::now().as_millisecond())),
        false => Ok(BTreeMap::new()),
    }
}

/// What a representation of a noun may have besides its name that is not the operator's to set.
fn read_only<T: Noun>() -> &'static [&'static str] {
    if is_host::<T>() { &["status"] } else { &[] }
}

/// Whether it is a NIC of the host, or its BMC.
fn has_nic(host: &Host, nic: NicAddress) -> bool {
    let is_it = |own: &Nic| own.address.identity() == nic.identity();
    host.nics.values().any(is_it) || host.bmc.as_ref().is_some_and(|bmc| nic == bmc.mac.into())
}

/// `GET /{section}`
pub(super) async fn list<T: Noun + JsonSchema>(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    query: ListQuery<T>,
) -> Result<ApiResponse<Page<Entry<T>>>, Error> {
    let snapshot = app.inventory.snapshot();
    let statuses = statuses::<T>(&app).await?;
    let mut items = Vec::new();
    for (name, noun) in T::all(&snapshot.site) {
        let status = statuses.get(name);
        let state = status.map(|status| status.state).unwrap_or_default();
        let host = snapshot.site.hosts.get(name).filter(|_| is_host::<T>());
        if query.state.is_some_and(|wanted| state != wanted) {
            continue;
        }
        if query
            .label
            .as_ref()
            .is_some_and(|label| !host.is_some_and(|it| it.labels.contains(label)))
        {
            continue;
        }
        if query.nic.is_some_and(|nic| !host.is_some_and(|host| has_nic(host, nic))) {
            continue;
        }
        let mut entry = Entry::new(name, noun);
        if !query.has(entry.value()) {
            continue;
        }
        let position = query.position(name, entry.value(), state);
        if let (Some(status), Some(fields)) = (status, entry.fields_mut()) {
            fields.insert("status".to_owned(), json!(status));
        }
        items.push((position, entry));
    }
    Ok(query.paging.page(items, &uri)?.into())
}

/// `GET /{section}/{name}`
pub(super) async fn show<T: Noun + JsonSchema>(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
    headers: HeaderMap,
) -> Result<ApiResponse<Entry<T>>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let snapshot = app.inventory.snapshot();
    match T::all(&snapshot.site).get(&name) {
        Some(entry) => {
            let tag = entry_tag(&name, entry);
            Ok(ApiResponse::current(&preconditions, &tag, Entry::new(&name, entry)))
        }
        None => Err(not_found::<T>(&snapshot.site, name)),
    }
}

/// `PUT /{section}/{name}`: the whole entry, new or in place of what is there.
pub(super) async fn put<T: Noun + JsonSchema>(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(how): Query<How>,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    body: Document<EntryBody<T>>,
) -> Result<ApiResponse<ChangeResult>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let entry = body.read(&name, read_only::<T>())?;
    let summary = format!("put {} {name}", T::NOUN);
    let mut is_new = true;
    let mut refusal = None;
    let edit = |site: &mut Site| {
        let current = T::all(site).get(&name).map(|entry| entry_tag(&name, entry));
        is_new = current.is_none();
        if let Err(error) = preconditions.check(&called::<T>(&name), current.as_deref()) {
            refusal = Some(error);
            return Err(ChangeError::Declined);
        }
        T::all_mut(site).insert(name.clone(), entry);
        Ok(())
    };
    let outcome = app.inventory.change_site(how.change(&program, &summary), edit).await;
    if let Some(error) = refusal {
        return Err(error);
    }
    let committed = outcome
        .map_err(|error| point(error.into(), |at| at.is_in::<T>(&name).then(|| at.pointer())))?;
    let mut result = ChangeResult::new(committed, how).await;
    if how.is_dry_run() {
        return Ok(ApiResponse::new(result));
    }
    let snapshot = app.inventory.snapshot();
    if snapshot.revision == result.revision {
        result.etag = T::all(&snapshot.site).get(&name).map(|entry| entry_tag(&name, entry));
    }
    let answer = ApiResponse::new(result);
    Ok(if is_new { answer.created(uri.path()) } else { answer })
}

/// Adds to every fault of a refused change where in the body it is, where it is in the body.
pub(super) fn point(error: Error, pointer: impl Fn(&Location) -> Option<String>) -> Error {
    let point = |fault: &mut Fault, at: &Location| {
        fault.pointer = pointer(at);
        if fault.pointer.is_some() {
            fault.path = None;
        }
    };
    match error {
        Error::Refused { mut faults, findings } => {
            let places = findings.iter().map(|finding| &finding.at);
            faults.iter_mut().zip(places).for_each(|(fault, at)| point(fault, at));
            Error::Refused { faults, findings }
        }
        Error::InConflict { detail, mut faults, places, findings } => {
            faults.iter_mut().zip(&places).for_each(|(fault, at)| point(fault, at));
            Error::InConflict { detail, faults, places, findings }
        }
        other => other,
    }
}

/// `DELETE /{section}/{name}`
pub(super) async fn remove<T: Noun>(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(how): Query<How>,
    headers: HeaderMap,
) -> Result<ApiResponse<ChangeResult>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    let summary = format!("remove {} {name}", T::NOUN);
    let mut refusal = None;
    let edit = |site: &mut Site| {
        let current = T::all(site).get(&name).map(|entry| entry_tag(&name, entry));
        let verdict = match &current {
            None => Err(not_found::<T>(site, name.clone())),
            Some(current) => preconditions.check(&called::<T>(&name), Some(current)),
        };
        if let Err(error) = verdict {
            refusal = Some(error);
            return Err(ChangeError::Declined);
        }
        T::all_mut(site).remove(&name);
        Ok(())
    };
    let outcome = app.inventory.change_site(how.change(&program, &summary), edit).await;
    match refusal {
        Some(error) => Err(error),
        None => {
            let committed = outcome.map_err(|error| Error::from(error).of_removal::<T>(&name))?;
            Ok(ApiResponse::new(ChangeResult::new(committed, how).await))
        }
    }
}

fn called<T: Noun>(name: &str) -> String {
    format!("{} \"{name}\"", T::NOUN)
}

/// There is none of that name, and which is the nearest.
pub(super) fn not_found<T: Noun>(site: &Site, name: String) -> Error {
    let hint = hint(&name, T::all(site).keys().map(String::as_str));
    Error::NotFound { noun: T::NOUN, name, hint }
}
