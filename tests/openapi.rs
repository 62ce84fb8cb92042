//! The description of the API: it is complete and valid, and the server does what it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::api_server::ApiServer;
use crate::common::tools;

async fn description(server: &ApiServer) -> Value {
    let response = server.request("GET", "/openapi.json").send().await.unwrap();
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_operation_is_described_with_its_types_and_failures() {
    let server = ApiServer::start().await;
    let document = description(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let what = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{what}"));
            assert!(ids.insert(id.to_owned()), "{what}: {id} is used twice");
            assert!(operation["summary"].is_string(), "{what}");
            let responses = operation["responses"].as_object().unwrap();
            let done = &responses["200"];
            assert!(done["content"].is_object(), "{what}: {done}");
            for status in ["401", "421", "500"] {
                assert!(responses.contains_key(status), "{what}: {status}");
            }
            let parameters = operation["parameters"].as_array();
            let has =
                |name| parameters.is_some_and(|all| all.iter().any(|one| one["name"] == name));
            assert!(method == "get" || responses.contains_key("403"), "{what}");
            assert_eq!(has("If-Match"), responses.contains_key("412"), "{what}");
            assert_eq!(
                method == "get" && has("If-None-Match"),
                responses.contains_key("304"),
                "{what}"
            );
            if method == "put" {
                let body = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert!(body["$ref"].is_string(), "{what}: {body}");
            }
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let name = name.trim_end_matches('}');
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|one| one["name"] == name), "{what}: {name}");
            }
        }
    }
    for section in ["racks", "tenants", "switches", "subnets", "profiles", "images", "hosts"] {
        let noun = &document["paths"][format!("/{section}/{{name}}")];
        for method in ["get", "put", "delete"] {
            assert!(noun[method].is_object(), "{method} {section}");
        }
    }
    let host = &document["components"]["schemas"]["HostEntry"];
    assert_eq!(host["required"][0], "name", "{host}");
    assert!(host["properties"]["nics"].is_object(), "{host}");
}

/// Every `sh` block of the guide's page, in one shell, against a real server.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_guide_work() {
    let server = ApiServer::start().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .collect();
    assert!(blocks.len() >= 7, "{} blocks", blocks.len());
    let script = format!(
        "set -euo pipefail\ncurl() {{ command curl --fail-with-body -sS \"$@\"; }}\n{}",
        blocks.join("\n")
    );
    let directory = tempfile::TempDir::new().unwrap();
    let mut command = Command::new("bash");
    command.args(["-xc", &script]).current_dir(&directory);
    command.env("API", &server.url).env("TOKEN", &server.token);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", all_of(&done));
}

/// The checkers; without them the tests are skipped.
fn checkers() -> Option<PathBuf> {
    let requirements = ["openapi-spec-validator==0.9.*", "schemathesis==4.32.*"];
    tools::python("openapi", "api-tools", &requirements)
}

fn all_of(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}\n{err}")
}

/// `openapi-spec-validator` and `schemathesis`: valid and invalid requests to every operation, and
/// sequences of them. Some minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run by make test-full"]
async fn the_server_does_what_its_description_says() {
    let Some(tools) = checkers() else { return };
    let server = ApiServer::start().await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("openapi.json");
    let mut document = description(&server).await;
    std::fs::write(&file, document.to_string()).unwrap();
    let validated = Command::new(tools.join("openapi-spec-validator")).arg(&file).output().unwrap();
    assert!(validated.status.success(), "{}", all_of(&validated));

    // Only the server makes cursors: one that a program makes up is refused.
    for operation in document["paths"].as_object_mut().unwrap().values_mut() {
        let methods = operation.as_object_mut().unwrap().values_mut();
        for parameters in methods.filter_map(|one| one.get_mut("parameters")?.as_array_mut()) {
            parameters.retain(|one| one["name"] != "cursor");
        }
    }
    std::fs::write(&file, document.to_string()).unwrap();

    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/schemathesis.toml");
    let mut command = Command::new(tools.join("schemathesis"));
    command.arg("--config-file").arg(config).arg("run").arg(&file);
    command.args(["--url", &server.url, "--header"]);
    command.arg(format!("Authorization: Bearer {}", server.token));
    command.args(["--phases", "coverage,fuzzing,stateful", "--mode", "all", "--seed", "1"]);
    command.args(["--max-examples", "10", "--continue-on-failure", "--no-shrink"]);
    command.current_dir(&directory);
    let tested = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let report = all_of(&tested);
    assert!(tested.status.success(), "{report}");
    println!("{report}");
}
