//! `GET /openapi.json`: the description of all routes (OpenAPI 3.1).

use axum::Json;
use serde_json::{Map, Value, json};

use crate::network::{Format, PreseedWords};

/// Every route: method, path and what it does.
pub(super) const ROUTES: [(&str, &str, &str); 22] = [
    ("get", "/site", "The whole site and its revision"),
    ("put", "/site", "Make the site equal to the body (JSON or YAML), as rackstrap apply"),
    ("get", "/check", "Everything that is wrong with the site, errors first"),
    ("get", "/{section}", "All entries of a section"),
    ("get", "/{section}/{name}", "One entry"),
    ("put", "/{section}/{name}", "Add an entry or replace it (JSON or YAML)"),
    ("delete", "/{section}/{name}", "Remove an entry"),
    ("get", "/hosts/{name}/status", "The state of a host and its last report"),
    ("get", "/hosts/{name}/config", "The network configuration that the host gets"),
    ("get", "/switches/{name}/config", "The ports of a switch in its vendor's words"),
    (
        "get",
        "/profiles/{name}/microcloud-preseed",
        "The microcloud preseed document of the hosts of a profile",
    ),
    ("get", "/leases", "Who holds which address until when"),
    ("get", "/leases/{address}", "One lease"),
    ("delete", "/leases/{address}", "Take a lease back; its client is not told"),
    ("get", "/events", "What happened, newest first"),
    ("get", "/revisions", "The changes of the inventory, newest first"),
    ("get", "/revisions/{id}", "One change and what it changed"),
    ("post", "/revisions/{id}/revert", "Undo a change, unless it was changed again since"),
    ("get", "/live", "Everything that happens from now on, as server-sent events"),
    ("get", "/openapi.json", "This description"),
    ("head", "/site", "Whether the token is good"),
    ("head", "/openapi.json", "Whether the API is there"),
];

/// The sections that `{section}` stands for.
const SECTIONS: [&str; 7] =
    ["racks", "tenants", "switches", "subnets", "profiles", "images", "hosts"];

/// `GET /openapi.json`
pub async fn document() -> Json<Value> {
    let mut paths = Map::new();
    for (method, path, summary) in ROUTES {
        let entry = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        entry[method] = operation(method, path, summary);
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "rackstrap",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Entries have the site file's keys. Errors are {\"error\": text}.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }))
}

fn operation(method: &str, path: &str, summary: &str) -> Value {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named.map(path_parameter).collect();
    if matches!(method, "put" | "post") || (method == "delete" && path.contains("section")) {
        parameters.push(query("dry_run", "boolean"));
        parameters.push(query("base", "integer"));
    }
    let history = method == "get" && matches!(path, "/events" | "/revisions");
    parameters.extend(history.then(|| query("limit", "integer")));
    if path == "/events" {
        parameters.extend([query("host", "string"), query("after_ms", "integer")]);
    }
    parameters.extend((path == "/hosts/{name}/config").then(format));
    if path.ends_with("/microcloud-preseed") {
        parameters.extend(PreseedWords::KEYS.map(|key| query(key, "string")));
    }
    let mut operation = json!({
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done"},
            "401": {"description": "no token"},
            "403": {"description": "the token may only read"},
            "404": {"description": "there is no such thing"},
            "409": {"description": "it does not fit what there is now"},
            "422": {"description": "the rules refuse it: findings"},
        },
    });
    if method == "put" {
        let schema = json!({"schema": {"type": "object"}});
        operation["requestBody"] =
            json!({"content": {"application/json": schema, "application/yaml": schema}});
    }
    operation
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "section" => json!({"type": "string", "enum": SECTIONS}),
        "id" => json!({"type": "integer"}),
        _ => json!({"type": "string"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn format() -> Value {
    let labels: Vec<&str> = Format::ALL.iter().map(|format| format.label()).collect();
    json!({"name": "format", "in": "query", "schema": {"type": "string", "enum": labels, "default": "networkd"}})
}

fn query(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind}})
}
