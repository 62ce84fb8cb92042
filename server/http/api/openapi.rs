//! The description of all routes (OpenAPI 3.1), made of the routes themselves: the types that a
//! handler reads and returns are its schemas.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aide::axum::ApiRouter;
use aide::generate::in_context;
use aide::openapi::{
    Components, Header, HeaderStyle, Info, MediaType, OpenApi, Parameter, ParameterData,
    ParameterSchemaOrContent, ReferenceOr, Response, SchemaObject, SecurityScheme, Server,
    StatusCode,
};
use aide::transform::TransformOperation;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::problem::{PROBLEM_JSON, Problem};
use super::schema::{COMPONENTS, site_components};
use crate::app::App;
use crate::model::MAC_PATTERN;
use crate::network::Format;

/// Where the whole API is.
pub(crate) const PREFIX: &str = "/api/v1";

const INTRODUCTION: &str = "The inventory of rackstrap and what its hosts are doing. What GET \
    returns, PUT accepts. Entries have the keys of the site file. Lists are paged: follow `next`. \
    Every failure is a problem document (RFC 9457).";

/// The failures of the whole API, with what they mean.
const FAILURES: [(u16, &str); 15] = [
    (400, "The query, a header or the body cannot be read."),
    (401, "The token is missing, unknown or expired."),
    (
        403,
        "The token may only read, its limits do not allow it, or a page of another web site sent the request.",
    ),
    (404, "The entry or route does not exist."),
    (409, "The change conflicts with the current inventory, such as an address in use."),
    (411, "The size of the body is not known."),
    (412, "If-Match or If-None-Match does not hold."),
    (413, "The body is too large."),
    (415, "The body is neither JSON nor YAML."),
    (421, "The Host header does not name this server."),
    (422, "A value does not mean anything, or the change breaks rules."),
    (429, "The token has too many streams open."),
    (500, "The server failed; its log says why."),
    (503, "The database does not answer; try again."),
    (507, "The disk has not enough space."),
];

/// Begins a description: the schemas that are collected from now on are of JSON Schema 2020-12,
/// which is that of OpenAPI 3.1.
pub(super) fn begin() {
    in_context(|context| {
        let settings = SchemaSettings::draft2020_12().for_deserialize().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        context.schema = SchemaGenerator::new(settings);
    });
}

/// What an operation is called and does.
pub(super) fn operation<'a>(
    operation: TransformOperation<'a>,
    tag: &str,
    id: &str,
    summary: &str,
    failures: &[u16],
) -> TransformOperation<'a> {
    let mut operation = operation.tag(tag).id(id).summary(summary);
    let responses =
        &mut operation.inner_mut().responses.get_or_insert_with(Default::default).responses;
    for response in responses.values_mut() {
        if let ReferenceOr::Item(response) = response
            && response.description.is_empty()
        {
            response.description = "Done.".to_owned();
        }
    }
    for status in failures.iter().chain(&[401, 421, 500, 503]) {
        let reference = ReferenceOr::ref_(&format!("#/components/responses/Problem{status}"));
        responses.insert(StatusCode::Code(*status), reference);
    }
    operation
}

/// Adds 201 with the same body as 200, and where the new entry is.
pub(super) fn may_create(mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let responses = operation.inner_mut().responses.get_or_insert_with(Default::default);
    if let Some(ReferenceOr::Item(done)) = responses.responses.get(&StatusCode::Code(200)) {
        let mut created = done.clone();
        created.description = "The entry is new.".to_owned();
        created.headers.insert("Location".to_owned(), text_header("Where the entry is."));
        responses.responses.insert(StatusCode::Code(201), ReferenceOr::Item(created));
    }
    operation
}

/// Adds an entity tag to the response, and what a reader who knows it can say.
pub(super) fn has_tag(mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let inner = operation.inner_mut();
    let responses = inner.responses.get_or_insert_with(Default::default);
    if let Some(ReferenceOr::Item(done)) = responses.responses.get_mut(&StatusCode::Code(200)) {
        let tag = text_header("The entity tag of what is in the body, for If-Match.");
        done.headers.insert("ETag".to_owned(), tag);
    }
    let not_modified = Response {
        description: "The reader has the current state already.".to_owned(),
        ..Response::default()
    };
    responses.responses.insert(StatusCode::Code(304), ReferenceOr::Item(not_modified));
    header(operation, "If-None-Match", "304 is enough if this is the current entity tag.")
}

/// Adds the headers that make a change conditional.
pub(super) fn is_conditional(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let operation = header(operation, "If-Match", "Change only what still has this entity tag.");
    header(operation, "If-None-Match", "With *: only create, never replace.")
}

/// Adds a list's link to its next page.
pub(super) fn is_paged(mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let responses = operation.inner_mut().responses.get_or_insert_with(Default::default);
    if let Some(ReferenceOr::Item(done)) = responses.responses.get_mut(&StatusCode::Code(200)) {
        done.headers.insert("Link".to_owned(), text_header("The next page (rel=\"next\")."));
    }
    operation
}

/// Adds a header that a request may have.
pub(super) fn header<'a>(
    mut operation: TransformOperation<'a>,
    name: &str,
    description: &str,
) -> TransformOperation<'a> {
    let schema = match name {
        "If-Match" | "If-None-Match" => json_schema!({
            "type": "string",
            "pattern": "^(\\*|\"[0-9A-Za-z._-]+\"|[0-9A-Za-z._-]+)$",
        }),
        _ => json_schema!({"type": "string"}),
    };
    operation.inner_mut().parameters.push(ReferenceOr::Item(Parameter::Header {
        parameter_data: ParameterData {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            required: false,
            deprecated: None,
            format: plain(schema),
            example: None,
            examples: Default::default(),
            explode: None,
            extensions: Default::default(),
        },
        style: HeaderStyle::Simple,
    }));
    operation
}

fn plain(json_schema: Schema) -> ParameterSchemaOrContent {
    let schema = SchemaObject { json_schema, external_docs: None, example: None };
    ParameterSchemaOrContent::Schema(schema)
}

fn text_header(description: &str) -> ReferenceOr<Header> {
    ReferenceOr::Item(Header {
        description: Some(description.to_owned()),
        style: HeaderStyle::Simple,
        required: false,
        deprecated: None,
        format: plain(json_schema!({"type": "string"})),
        example: None,
        examples: Default::default(),
        extensions: Default::default(),
    })
}

/// The routes, and the description of all that [`begin`] has seen.
pub(super) fn finish(routes: ApiRouter<App>) -> (Router<App>, String) {
    let mut api = OpenApi {
        info: Info {
            title: "rackstrap".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: Some(INTRODUCTION.to_owned()),
            ..Info::default()
        },
        servers: vec![Server { url: PREFIX.to_owned(), ..Server::default() }],
        components: Some(components()),
        ..OpenApi::default()
    };
    let routes = routes.finish_api_with(&mut api, |api| api.security_requirement("token"));
    // Every part has string keys and finite numbers.
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(site_components());
    }
    if let Some(mac) = document["components"]["schemas"].get_mut("Mac") {
        mac["pattern"] = json!(MAC_PATTERN);
    }
    document["paths"]["/openapi.json"]["get"]["security"] = json!([]);
    refine(&mut document);
    for operation in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in operation.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            parameters.into_iter().flatten().for_each(|one| refuse_null(&mut one["schema"]));
        }
    }
    prune(&mut document);
    (routes, document.to_string())
}

/// Takes null out of the schema of a parameter: one that has no value is left out of the URL.
fn refuse_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let mut types: Vec<_> = types.iter().filter(|kind| *kind != "null").cloned().collect();
        if types.len() == 1 {
            schema["type"] = types.remove(0);
        }
    }
    let Some(choices) = schema["anyOf"].as_array() else { return };
    let mut choices: Vec<_> =
        choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
    let (1, Some(fields)) = (choices.len(), schema.as_object_mut()) else { return };
    fields.remove("anyOf");
    let only = choices.remove(0);
    fields.extend(only.as_object().cloned().unwrap_or_default());
}

/// Removes schemas that nothing refers to: those of queries and paths became parameters.
fn prune(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut open = BTreeSet::new();
    references(&document["paths"], &mut open);
    references(&document["components"]["responses"], &mut open);
    while let Some(name) = open.pop_first() {
        references(&document["components"]["schemas"][&name], &mut open);
        used.insert(name);
        open = &open - &used;
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// The names of the schemas that a part of the document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            found.extend(name.and_then(|name| name.strip_prefix(COMPONENTS)).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn components() -> Components {
    let problem = in_context(|context| context.schema.subschema_for::<Problem>());
    let responses = FAILURES.map(|(status, description)| {
        let schema =
            SchemaObject { json_schema: problem.clone(), external_docs: None, example: None };
        let media_type = MediaType { schema: Some(schema), ..MediaType::default() };
        let response = Response {
            description: description.to_owned(),
            content: [(PROBLEM_JSON.to_owned(), media_type)].into_iter().collect(),
            ..Response::default()
        };
        (format!("Problem{status}"), ReferenceOr::Item(response))
    });
    let bearer = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some("A token of `rackstrap token add NAME`.".to_owned()),
        extensions: Default::default(),
    };
    Components {
        responses: responses.into_iter().collect(),
        security_schemes: [("token".to_owned(), ReferenceOr::Item(bearer))].into_iter().collect(),
        ..Components::default()
    }
}

/// Writes out what the formats of Rust's integers mean, which few readers of schemas know, and
/// takes out defaults that say only that there is none.
fn refine(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            // schemars' word for an address of either version, which JSON Schema does not have.
            if fields.get("format").is_some_and(|format| format == "ip") {
                fields.remove("format");
                fields.insert("anyOf".into(), json!([{"format": "ipv4"}, {"format": "ipv6"}]));
            }
            let bounds = match fields.get("format").and_then(Value::as_str) {
                Some("uint8") => Some((json!(0), json!(u8::MAX))),
                Some("uint16") => Some((json!(0), json!(u16::MAX))),
                Some("uint32") => Some((json!(0), json!(u32::MAX))),
                Some("uint64" | "uint") => Some((json!(0), json!(u64::MAX))),
                Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
                Some("int64") => Some((json!(i64::MIN), json!(i64::MAX))),
                _ => None,
            };
            if let Some((minimum, maximum)) = bounds {
                fields.entry("minimum").or_insert(minimum);
                fields.entry("maximum").or_insert(maximum);
            }
            fields.values_mut().for_each(refine);
        }
        Value::Array(items) => items.iter_mut().for_each(refine),
        _ => {}
    }
}

/// The name of a format, for the schema alone.
pub(super) struct FormatName;

impl JsonSchema for FormatName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FormatName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let labels: Vec<&str> = Format::ALL.iter().map(|format| format.label()).collect();
        json_schema!({"type": "string", "enum": labels, "default": "networkd"})
    }
}

/// Says that an operation returns JSON of any kind.
pub(super) fn returns_json(mut operation: TransformOperation<'_>) -> TransformOperation<'_> {
    let json_schema = json_schema!({"type": "object"});
    let schema = SchemaObject { json_schema, external_docs: None, example: None };
    let media_type = MediaType { schema: Some(schema), ..MediaType::default() };
    let response = Response {
        description: "Done.".to_owned(),
        content: [("application/json".to_owned(), media_type)].into_iter().collect(),
        ..Response::default()
    };
    let responses = operation.inner_mut().responses.get_or_insert_with(Default::default);
    responses.responses.insert(StatusCode::Code(200), ReferenceOr::Item(response));
    operation
}

/// `GET /openapi.json`
pub(super) fn response(document: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}
