//! The documents for Talos have the kinds and keys of its machine configuration
//! (siderolabs/talos, pkg/machinery/config/types/network).

use std::collections::BTreeSet;

use rackstrap::network::{Format, render_host};
use serde_json::Value;

use crate::golden;

/// The keys of each kind besides those of links.
const KINDS: &[(&str, &str)] = &[
    ("LinkAliasConfig", "selector"),
    ("EthernetConfig", "features rings"),
    ("LinkConfig", ""),
    ("DummyLinkConfig", "hardwareAddr"),
    (
        "BondConfig",
        "hardwareAddr links bondMode miimon updelay downdelay useCarrier xmitHashPolicy arpInterval arpIpTargets nsIp6Targets \
         arpValidate arpAllTargets lacpRate failOverMac adSelect adActorSysPrio adUserPortKey adLACPActive primaryReselect \
         resendIGMP minLinks lpInterval packetsPerSlave numPeerNotif tlbLogicalLb allSlavesActive peerNotifDelay missedMax",
    ),
    ("VLANConfig", "vlanID vlanMode parent"),
    ("BridgeConfig", "hardwareAddr links stp vlan"),
    ("VRFConfig", "hardwareAddr links table"),
    ("DHCPv4Config", "routeMetric ignoreHostname clientIdentifier"),
    ("DHCPv6Config", "routeMetric ignoreHostname clientIdentifier"),
    ("RoutingRuleConfig", "src dst table action iifName oifName fwMark fwMask"),
    ("ResolverConfig", "nameservers searchDomains"),
    ("TimeSyncConfig", "ntp"),
];

/// The keys that links of every kind have.
const LINK: &str = "up mtu addresses routes multicast";
const ROUTE: &str = "destination gateway source metric mtu table";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn documents_for_talos_have_its_kinds_and_keys() {
    let mut met = BTreeSet::new();
    let mut sites = 0;
    for (name, site) in golden::sites() {
        let Ok(files) = render_host(&site, golden::HOST, Format::Talos) else { continue };
        sites += 1;
        let mut names = BTreeSet::new();
        for document in files[0].text.split("---\n") {
            let document: Value = serde_saphyr::from_str(document).unwrap();
            if document.get("machine").is_some() {
                assert_eq!(keys(&document["machine"]), ["sysctls"], "{name}");
                continue;
            }
            assert_eq!(document["apiVersion"], "v1alpha1", "{name}");
            let kind = document["kind"].as_str().unwrap().to_owned();
            let found = KINDS.iter().find(|(known, _)| *known == kind);
            let (_, own) = found.unwrap_or_else(|| panic!("{name}: {kind}"));
            let mut known: BTreeSet<&str> = own.split_whitespace().collect();
            known.extend(["apiVersion", "kind", "name"]);
            if document.get("up").is_some() || kind == "LinkConfig" {
                known.extend(LINK.split_whitespace());
            }
            for key in keys(&document) {
                assert!(known.contains(key), "{name}: {kind} {key}");
            }
            let routes: BTreeSet<&str> = ROUTE.split_whitespace().collect();
            for route in document["routes"].as_array().into_iter().flatten() {
                assert!(keys(route).iter().all(|key| routes.contains(key)), "{name}: {route}");
            }
            // What is named is there: links, parents, aliases.
            let named = document["name"].as_str().unwrap_or_default().to_owned();
            let links = document["links"].as_array().into_iter().flatten();
            for link in links.chain([&document["parent"]]).filter_map(Value::as_str) {
                assert!(files[0].text.contains(&format!("name: {link}\n")), "{name}: {link}");
            }
            assert!(names.insert((kind.clone(), named)), "{name}: a second {kind}");
            met.insert(kind);
        }
    }
    println!("{sites} sites, {met:?}");
    assert!(sites > 5, "only {sites} sites");
    for kind in [
        "LinkAliasConfig",
        "LinkConfig",
        "BondConfig",
        "VLANConfig",
        "BridgeConfig",
        "ResolverConfig",
    ] {
        assert!(met.contains(kind), "{kind} is in no golden site");
    }
}
