//! The JSON Schema of the site file says of every site what the program says of it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::common::desk::Desk;
use crate::common::store::Store;
use crate::guide;
use crate::schemas::{can_validate, validate};

/// Every site file of the tests and of the documentation, by where it is from.
fn sites() -> Map<String, Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sites = Map::new();
    for directory in ["tests/golden", "tests/layouts"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let site = serde_saphyr::from_str(&text).unwrap();
                sites.insert(path.strip_prefix(root).unwrap().display().to_string(), site);
            }
        }
    }
    for example in guide::sites() {
        sites.insert(example.place, serde_saphyr::from_str(&example.text).unwrap());
    }
    sites
}

#[test]
fn every_site_fits_the_schema_and_mistakes_do_not() {
    const TEST: &str = "every_site_fits_the_schema_and_mistakes_do_not";
    let desk = Desk::new(Store::sqlite());
    let mut schema: Value = serde_json::from_str(&desk.good("schema")).unwrap();
    let definitions = schema.as_object_mut().unwrap().remove("$defs").unwrap();
    let of_many = json!({
        "$schema": schema["$schema"],
        "additionalProperties": schema,
        "$defs": definitions,
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), of_many.to_string()).unwrap();
    if !can_validate(TEST, file.path()) {
        return;
    }
    let sites = sites();
    assert!(sites.len() > 25, "only {} sites", sites.len());
    let output = validate(file.path(), &Value::from(sites).to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let wrong = [
        json!({"host": {}}),
        json!({"hosts": {"a": {"nic": {}}}}),
        json!({"hosts": {"a": {"unit": "low"}}}),
        json!({"subnets": {"a": {"vlan": 5}}}),
        json!({"subnets": {"a": {"cidr": "10.0.0.0"}}}),
        json!({"profiles": {"p": {"bonds": {"bond0": {"mode": "lacp"}}}}}),
        json!({"profiles": {"p": {"bonds": {"bond0": {"mtu": true}}}}}),
        json!({"profiles": {"p": {"bridges": {"br0": {"interface": []}}}}}),
        json!({"profiles": {"p": {"for-each": {"n": {"count": []}}}}}),
    ];
    for site in wrong {
        let said = validate(file.path(), &json!({"site": site}).to_string());
        assert!(!said.status.success(), "{site} fits");
    }
}

#[test]
fn every_key_can_be_looked_up() {
    let desk = Desk::new(Store::sqlite());
    let all = desk.good("keys");
    for path in ["\nhosts.NAME\n", "\nprofiles.NAME.bonds.NAME\n", "\nsubnets.NAME\n"] {
        assert!(all.contains(path), "{path:?} is missing: {all}");
    }
    let some = desk.good("keys transmit-hash-policy");
    assert!(
        some.starts_with("profiles.NAME.bonds.NAME\n") && some.contains("- layer3+4: "),
        "{some}"
    );
    let unknown = desk.bad("keys transmit-hash-polcy");
    assert!(unknown[0].contains("no key matches \"transmit-hash-polcy\""), "{unknown:?}");
}
