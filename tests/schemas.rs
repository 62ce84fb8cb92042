//! What we write for OpenStack fits the schema that Ironic publishes and checks it with.

use std::path::Path;
use std::process::{Command, Output};

use rackstrap::network::{Format, render_host};

use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// Ironic's schema, in its package `python3-ironic`. That of Debian 12 lists the bond mode
/// 802.1ad where later ones have 802.3ad, which is what it means: it is read so.
const IRONIC: &str =
    "usr/lib/python3/dist-packages/ironic/api/controllers/v1/network-data-schema.json";

fn validate(schema: &Path, document: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/validate.py");
    let mut command = Command::new("/usr/bin/python3");
    tools::feed(command.arg(script).arg(schema), document)
}

/// Whether a document can be validated here; says why not.
fn can_validate(test: &str, schema: &Path) -> bool {
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
