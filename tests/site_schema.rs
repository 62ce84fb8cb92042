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
        json!({"profiles": {"p": {"domains": [null]}}}),
        json!({"profiles": {"p": {"domains": [{"for-each": {"n": {"count": 2}}}]}}}),
        json!({"switches": {"s": {"vlans": "ten"}}}),
        json!({"subnets": {"a": {"cidr": "10.0.0.0/24", "boot-files": {"i386": "x"}}}}),
    ];
    for site in wrong {
        let said = validate(file.path(), &json!({"site": site}).to_string());
        assert!(!said.status.success(), "{site} fits");
    }
    let options = [
        (json!({"ntp-servers": ["10.0.0.1", "10.0.0.2"], "42": "10.0.0.3"}), false),
        (json!({"ntp-servers": "10.0.0.1", "time-offset": -3600, "150": ["10.0.0.1"]}), true),
        (json!({"43.1": "hex:0a0b", "175.8": "hexagon", "224": "h", "66": "10.0.0.1"}), true),
        (json!({"classless-routes": ["10.0.0.0/8 via 10.0.0.1"], "ip-forwarding": true}), true),
        (json!({"classless-routes": ["10.0.0.0/33 via 10.0.0.1"]}), false),
        (json!({"ntp-servers": true}), false),
        (json!({"ntp-servers": ["10.0.0.256"]}), false),
        (json!({"ip-forwarding": 1}), false),
        (json!({"default-ttl": 0}), false),
        (json!({"44.1": "x"}), false),
        (json!({"51": 10}), false),
        (json!({"224": "hex:0"}), false),
        (json!({"224": 5}), false),
        (json!({"255": "x"}), false),
        (json!({"bo": "x"}), false),
        (json!({"root-path": ""}), false),
    ];
    for (options, is_good) in options {
        let site = json!({"subnets": {"a": {"cidr": "10.0.0.0/24", "dhcp-options": options}}});
        let read = desk.file("options.json", &site.to_string());
        let read = desk.run(&format!("check {}", read.display()), "");
        assert_eq!(read.status.success(), is_good, "{options}: {read:?}");
        // Given twice, by name and by number: no schema can say that.
        if options.get("42").is_none() {
            let said = validate(file.path(), &json!({"site": site}).to_string());
            assert_eq!(said.status.success(), is_good, "{options}: {said:?}");
        }
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
