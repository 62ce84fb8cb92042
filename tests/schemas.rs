//! What we write for OpenStack fits the schema that Ironic publishes, and what we write for
//! cloud-init fits its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use rackstrap::network::{Format, render_host};
use serde_json::Value;

use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// Ironic's schema, in its package `python3-ironic`. That of Debian 12 lists the bond mode
/// 802.1ad where later ones have 802.3ad, which is what it means: it is read so.
const IRONIC: &str =
    "usr/lib/python3/dist-packages/ironic/api/controllers/v1/network-data-schema.json";

pub(crate) fn validate(schema: &Path, document: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/validate.py");
    let mut command = Command::new("/usr/bin/python3");
    tools::feed(command.arg(script).arg(schema), document)
}

/// Whether a document can be validated here; says why not.
pub(crate) fn can_validate(test: &str, schema: &Path) -> bool {
    if !schema.exists() {
        skip(test, &format!("{} is not unpacked", schema.display()));
        return false;
    }
    let module = Command::new("/usr/bin/python3").args(["-c", "import jsonschema"]).status();
    let found = module.is_ok_and(|status| status.success());
    if !found {
        skip(test, "python3-jsonschema is not installed");
    }
    found
}

#[test]
fn network_data_fits_ironics_schema() {
    let schema = tools::root().join(IRONIC);
    let corrected = tempfile::NamedTempFile::new().unwrap();
    if !can_validate("network_data_fits_ironics_schema", &schema) {
        return;
    }
    let text = std::fs::read_to_string(&schema).unwrap().replace("802.1ad", "802.3ad");
    std::fs::write(corrected.path(), text).unwrap();
    let schema = corrected.path();
    let mut fitting = 0;
    for (name, site) in golden::sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::NetworkData) else { continue };
        let output = validate(schema, &files[0].text);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {said}{}", files[0].text);
        fitting += 1;
    }
    assert!(fitting > 0, "no site was validated");
    let wrong = r#"{"links": [{"id": "eth0", "type": "phy"}], "networks": [], "services": []}"#;
    assert!(!validate(schema, wrong).status.success(), "a NIC without a MAC fits");
}

/// cloud-init's schemas, in the package of Debian 13: that of Debian 12 has none for networks.
const CLOUD_INIT: &str = "usr/lib/python3/dist-packages/cloudinit/config/schemas";

/// What the schema of version 1 refuses and its renderers read: the kind, the key, and why it
/// is written.
const READ_ALL_THE_SAME: [(&str, &str, &str); 7] = [
    ("bond", "accept-ra", "every renderer reads it of every kind; the schema has it of NICs alone"),
    ("vlan", "accept-ra", "the same"),
    ("bridge", "accept-ra", "the same"),
    (
        "bridge",
        "mac_address",
        "netplan's renderer makes it the bridge's MAC; `bridge_hw` is ifupdown's alone",
    ),
    ("bond", "params.bond-lacp-rate", "sysconfig's renderer drops the schema's `bond-lacp_rate`"),
    ("bond", "params.bond-min-links", "so it does `bond-min_links`"),
    ("bond", "params.bond-xmit-hash-policy", "so it does `bond-xmit_hash_policy`"),
];

/// Takes away what the schema refuses, and notes which of it there was.
fn as_the_schema_has_it(network: &mut Value, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    for item in network["config"].as_array_mut().unwrap() {
        let kind = item["type"].as_str().unwrap().to_owned();
        for (of, key, _) in READ_ALL_THE_SAME.iter().filter(|(of, ..)| *of == kind) {
            let (place, name) = match key.split_once('.') {
                Some((place, name)) => (&mut item[place], name),
                None => (&mut *item, *key),
            };
            let found = place.as_object_mut().and_then(|place| place.remove(name));
            seen.extend(found.map(|_| (*of, *key)));
        }
    }
}

/// The sites that a format can say, each with cloud-init's network configuration as JSON.
fn networks(format: Format) -> Vec<(String, Value)> {
    let written = golden::sites().into_iter().filter_map(|(name, site)| {
        let files = render_host(&site, golden::HOST, format).ok()?;
        let file = files.into_iter().find(|file| file.name == "network-config").unwrap();
        let mut document: Value = serde_saphyr::from_str(&file.text).unwrap();
        // Within a NoCloud tree the key `network` may be there or not.
        let inner = document.get_mut("network").map(Value::take);
        Some((name, inner.unwrap_or(document)))
    });
    written.collect()
}

#[test]
fn network_configurations_fit_cloud_inits_schemas() {
    const TEST: &str = "network_configurations_fit_cloud_inits_schemas";
    let directory = tools::root().join(CLOUD_INIT);
    let schema = |version: u8| directory.join(format!("schema-network-config-v{version}.json"));
    if !can_validate(TEST, &schema(1)) || !can_validate(TEST, &schema(2)) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (format, version) in [(Format::CloudInitV1, 1), (Format::CloudInit, 2)] {
        let networks = networks(format);
        assert!(networks.len() >= 4, "{format}: only {} sites", networks.len());
        for (name, mut network) in networks {
            if version == 1 {
                as_the_schema_has_it(&mut network, &mut seen);
            }
            let output = validate(&schema(version), &network.to_string());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{format} {name}: {said}{network:#}");
        }
        let wrong = format!(r#"{{"version": {version}, "config": 7, "ethernets": 7}}"#);
        assert!(!validate(&schema(version), &wrong).status.success(), "{format}");
    }
    let listed: BTreeSet<_> = READ_ALL_THE_SAME.iter().map(|(of, key, _)| (*of, *key)).collect();
    assert_eq!(seen, listed, "what is listed and no longer written, or the other way round");
}
