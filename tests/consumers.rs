//! What other programs read of the inventory: Ansible's dynamic inventory, and zone files. Checked by
//! the programs themselves.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::common::desk::Desk;
use crate::common::skip::skip;
use crate::common::store::Store;
use crate::common::tools;

const SITE: &str = r#"
racks: {row-1.a: {}}
tenants: {acme: {}}
subnets:
  provisioning: {cidr: 10.77.0.0/24}
  servers: {cidr: 10.78.0.0/24, vlan: 12, tenant: acme}
  six: {cidr: "2001:db8:77::/64"}
profiles: {plain: {nics: {eth0: {mtu: 9000}}}}
hosts:
  n01:
    rack: row-1.a
    unit: 7
    tenant: acme
    profile: plain
    serial: SN0001
    labels: [database, ssd-fast]
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.11}
  n02:
    rack: row-1.a
    nics: {eth0: "52:54:00:aa:00:02"}
    reservations: {provisioning: 10.77.0.12}
  n03: {nics: {eth0: "52:54:00:aa:00:03"}}
"#;

async fn desks() -> [Desk; 2] {
    let desks = Store::both().await.map(Desk::new);
    for desk in &desks {
        let site = desk.file("site.yaml", SITE);
        desk.good(&format!("apply {}", site.display()));
    }
    desks
}

#[tokio::test]
async fn ansible_reads_the_inventory() {
    let test = "ansible_reads_the_inventory";
    let requirements = ["ansible-core>=2.15,<2.18"];
    let Some(programs) = tools::python(test, "ansible-tools", &requirements) else { return };
    let ansible = programs.join("ansible-inventory");
    for desk in desks().await {
        let program = env!("CARGO_BIN_EXE_rackstrap");
        let data = desk.dir.path().join("data");
        let text = format!(
            "#!/bin/sh\nexec {program} --config /dev/null --database '{}' --data-dir {} ansible-inventory \"$@\"\n",
            desk.store.url,
            data.display()
        );
        let script = desk.file("inventory.sh", &text);
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let ask = |words: &[&str]| {
            let mut command = Command::new(&ansible);
            command.arg("-i").arg(&script).args(words).env("HOME", desk.dir.path());
            command.env("ANSIBLE_INVENTORY_UNPARSED_FAILED", "true").env("LC_ALL", "C.UTF-8");
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            assert!(!said.contains("WARNING"), "{said}");
            String::from_utf8(output.stdout).unwrap()
        };
        let list: Value = serde_json::from_str(&ask(&["--list"])).unwrap();
        let variables = &list["_meta"]["hostvars"];
        assert_eq!(variables["n01"]["ansible_host"], "10.77.0.11");
        assert_eq!(variables["n01"]["rackstrap_serial"], "SN0001");
        assert_eq!(variables["n03"]["ansible_host"], Value::Null);
        for (group, hosts) in [
            ("rack_row_1_a", &["n01", "n02"][..]),
            ("tenant_acme", &["n01"]),
            ("profile_plain", &["n01"]),
            ("label_ssd_fast", &["n01"]),
        ] {
            let found: Vec<&str> = list[group]["hosts"]
                .as_array()
                .unwrap_or_else(|| panic!("{group}: {list}"))
                .iter()
                .map(|host| host.as_str().unwrap())
                .collect();
            assert_eq!(found, hosts, "{group}");
        }
        let host: Value = serde_json::from_str(&ask(&["--host", "n01"])).unwrap();
        assert_eq!(host["rackstrap_macs"]["eth0"], "52:54:00:aa:00:01");
        assert!(ask(&["--graph"]).contains("@label_database"), "the graph has every group");
        let one = desk.json("ansible-inventory --host n02");
        assert_eq!(one["ansible_host"], "10.77.0.12");
        assert!(desk.bad("ansible-inventory --host n09")[0].contains("does not exist"));
    }
}

#[tokio::test]
async fn named_checkzone_accepts_the_zone_files() {
    let test = "named_checkzone_accepts_the_zone_files";
    let Some(checker) = tools::find("usr/bin/named-checkzone", &["-v"]) else {
        return skip(test, "there is no named-checkzone below target/tools: run `make tools`");
    };
    for desk in desks().await {
        desk.good("host set n03 reservations.six=2001:db8:77::13");
        for (zone, words, expected) in [
            ("example.net", "", "n01.example.net.\t\t\t      300 IN A"),
            ("0.77.10.in-addr.arpa", " --domain example.net", "n02.example.net."),
            ("7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa", " --domain example.net", "n03.example.net."),
        ] {
            let text = desk.good(&format!("zone {zone} --ns ns1.other.example{words}"));
            let file = desk.file("zone", &text);
            let mut check = checker.command();
            check.args(["-i", "local", "-D", "-o", "-", zone]).arg(&file);
            let output = check.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{zone}: {said}{errors}\n{text}");
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed(&said).contains(&squeezed(expected)), "{zone}: {said}");
        }
        let records = desk.good("zone example.net --records");
        assert!(records.contains("provisioning.n01 A 10.77.0.11") && !records.contains("SOA"));
        assert!(desk.bad("zone 10.in-addr.arpa --ns a.example")[0].contains("--domain"));
        // The serial number grows with every revision.
        let serial =
            |text: &str| -> u32 { text.split_whitespace().nth(8).unwrap().parse().unwrap() };
        let before = serial(&desk.good("zone example.net --ns a.example"));
        desk.good("tenant set other contact=ops");
        assert!(serial(&desk.good("zone example.net --ns a.example")) > before);
    }
}
