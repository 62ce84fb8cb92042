//! Bridges of Open vSwitch, made by `ovs-vsctl` (ovs-vsctl(8)). Pure.

use std::fmt::Write as _;

use super::{Service, finder, head};
use crate::model::{PortSpec, VlanIds};
use crate::network::links::{HostNetwork, Kind, Link};

/// The service that makes the bridges; none for a host without any.
pub(super) fn service(host: &HostNetwork) -> Option<Service> {
    let mut lines = String::new();
    for link in host.links.values() {
        let Kind::Bridge(spec) = &link.kind else { continue };
        if spec.openvswitch {
            bridge(&mut lines, host, link);
        }
    }
    if lines.is_empty() {
        return None;
    }
    Some(Service {
        name: "rackstrap-openvswitch",
        description: "Bridges of Open vSwitch of this host",
        after: " openvswitch-switch.service openvswitch.service ovs-vswitchd.service",
        has_stop: false,
        script: format!("{}{FUNCTIONS}{lines}", head(host)),
    })
}

/// `--timeout`, because a database without a daemon would be waited for without end.
const FUNCTIONS: &str = r#"vsctl() {
    ovs-vsctl --timeout=30 "$@"
}

# Brings a port up, which Open vSwitch leaves to others, and adds it to a bridge.
add_port() {
    bridge=$1 port=$2 mtu=$3
    shift 3
    ip link set dev "$port" ${mtu:+mtu "$mtu"} up
    vsctl --may-exist add-port "$bridge" "$port" -- clear port "$port" tag trunks vlan_mode -- \
        set port "$port" external_ids:rackstrap=true "$@"
}

# Takes away ports of an earlier revision: those that rackstrap added and that are not among the words.
prune() {
    bridge=$1
    shift
    for port in $(vsctl list-ports "$bridge"); do
        [ "$(vsctl --if-exists get port "$port" external_ids:rackstrap 2>/dev/null)" = '"true"' ] || continue
        case " $* " in *" $port "*) ;; *) vsctl --if-exists del-port "$bridge" "$port" ;; esac
    done
}

"#;

fn bridge(lines: &mut String, host: &HostNetwork, link: &Link) {
    let Kind::Bridge(spec) = &link.kind else { return };
    let name = &link.name;
    let stp = spec.stp.unwrap_or(false);
    let mac = link.mac.map(|mac| format!(" other_config:hwaddr=\\\"{mac}\\\"")).unwrap_or_default();
    let mtu = link.settings.mtu.map(|mtu| format!(" -- set interface {name} mtu_request={mtu}"));
    let snooping = spec.multicast_snooping.unwrap_or(false);
    let _ = writeln!(
        lines,
        "vsctl --may-exist add-br {name} -- set bridge {name} stp_enable={stp} \
         mcast_snooping_enable={snooping}{mac}{}",
        mtu.unwrap_or_default()
    );
    let own = spec.ports.get(name).map(vlans).unwrap_or_default();
    let _ = write!(lines, "vsctl clear port {name} tag trunks vlan_mode");
    let _ = match own.is_empty() {
        true => writeln!(lines),
        false => writeln!(lines, " -- set port {name}{own}"),
    };
    let mut ports = Vec::new();
    for (number, port) in host.members(name).enumerate() {
        let words = spec.ports.get(&port.name).map(vlans).unwrap_or_default();
        let mtu = port.settings.mtu.map(|mtu| mtu.to_string()).unwrap_or_default();
        let _ = writeln!(lines, "port{number}=$({})", finder(host, port));
        let _ = writeln!(lines, "add_port {name} \"$port{number}\" \"{mtu}\"{words}");
        ports.push(format!(" \"$port{number}\""));
    }
    let _ = writeln!(lines, "prune {name}{}", ports.concat());
}

/// The VLANs of a port in the columns of Open vSwitch's table of ports (ovs-vswitchd.conf.db(5)).
fn vlans(spec: &PortSpec) -> String {
    let mut words = String::new();
    if let Some(id) = spec.pvid {
        let _ = write!(words, " tag={id}");
    }
    // No trunks are all of them.
    let is_all =
        spec.tagged.contains(2) && spec.tagged.contains(4094) && count(&spec.tagged) > 4092;
    if !spec.tagged.is_empty() && !is_all {
        let ids = spec.tagged.ranges().flat_map(|range| range.clone());
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        let _ = write!(words, " trunks={}", ids.join(","));
    }
    let is_tagged = spec.pvid.is_some_and(|id| spec.tagged.contains(id));
    let mode = match (spec.pvid.is_some(), spec.tagged.is_empty()) {
        (true, false) if is_tagged => "native-tagged",
        (true, false) => "native-untagged",
        (true, true) => "access",
        (false, false) => "trunk",
        (false, true) => return words,
    };
    let _ = write!(words, " vlan_mode={mode}");
    words
}

fn count(ids: &VlanIds) -> usize {
    ids.ranges().map(|range| range.clone().count()).sum()
}
