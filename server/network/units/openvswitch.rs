//! Bridges and bonds of Open vSwitch, made by `ovs-vsctl` (ovs-vsctl(8)). Pure.

use std::fmt::Write as _;

use super::{Service, finder, head};
use crate::model::{BondMode, BondSpec, PortSpec, VlanIds};
use crate::network::links::{HostNetwork, Kind, Link};

/// The service that makes the bridges; none for a host without any.
pub(super) fn service(host: &HostNetwork) -> Option<Service> {
    let mut lines = String::new();
    let mut names = String::new();
    for link in host.links.values() {
        let Kind::Bridge(spec) = &link.kind else { continue };
        if spec.openvswitch {
            bridge(&mut lines, host, link);
            let _ = write!(names, " {}", link.name);
        }
    }
    if lines.is_empty() {
        return None;
    }
    Some(Service {
        name: "rackstrap-openvswitch",
        description: "Bridges of Open vSwitch of this host",
        after: " openvswitch-switch.service openvswitch.service ovs-vswitchd.service",
        has_stop: true,
        script: format!(
            "{}{FUNCTIONS}start() {{\n    leave_bridges{names}\n{}}}\n\n{STOP}\"$1\"\n",
            head(host),
            lines.lines().map(|line| format!("    {line}\n")).collect::<String>()
        ),
    })
}

/// `--timeout`, because a database without a daemon would be waited for without end.
const FUNCTIONS: &str = r#"vsctl() {
    ovs-vsctl --timeout=30 "$@"
}

# Prints the port that an interface is in: itself, or a bond.
port_of() {
    interface=$(vsctl --bare --columns=_uuid find interface "name=\"$1\"")
    [ -z "$interface" ] || vsctl --bare --columns=name find port "interfaces{>=}$interface"
}

# Prints the interfaces of a port, in order.
interfaces_of() {
    for interface in $(vsctl --bare --columns=interfaces find port "name=\"$1\""); do
        vsctl get interface "$interface" name
    done | tr -d '"' | sort | xargs
}

# Prints the words that take an interface from the port that has it, where that is not this port of
# this bridge: they are of one transaction with what puts it here.
release() {
    holder=$(port_of "$3")
    [ -n "$holder" ] || return 0
    [ "$holder" != "$2" ] || [ "$(vsctl port-to-br "$holder")" != "$1" ] || return 0
    echo "-- --if-exists del-port $holder"
}

# Brings a port up, which Open vSwitch leaves to others, and adds it to a bridge.
add_port() {
    bridge=$1 port=$2 mtu=$3
    shift 3
    ip link set dev "$port" ${mtu:+mtu "$mtu"} up
    moved=$(release "$bridge" "$port" "$port")
    vsctl $moved -- --may-exist add-port "$bridge" "$port" -- clear port "$port" tag trunks vlan_mode -- \
        set port "$port" external_ids:rackstrap=true "$@"
}

# The same for a bond of several members, which are one word.
add_bond() {
    bridge=$1 bond=$2 mtu=$3 members=$4
    shift 4
    moved=
    for member in $members; do
        ip link set dev "$member" ${mtu:+mtu "$mtu"} up
        moved="$moved $(release "$bridge" "$bond" "$member")"
    done
    before=$(interfaces_of "$bond")
    # Members cannot be added to a bond that is there, nor taken from it.
    if [ -n "$before" ] && { [ -n "${moved# }" ] || [ "$before" != "$(echo "$members" | xargs -n 1 | sort | xargs)" ] ||
        [ "$(vsctl port-to-br "$bond")" != "$bridge" ]; }; then
        moved="$moved -- --if-exists del-port $bond"
    fi
    vsctl $moved -- --may-exist add-bond "$bridge" "$bond" $members -- clear port "$bond" tag trunks vlan_mode -- \
        remove port "$bond" other_config lacp-time lacp-system-id lacp-system-priority bond-primary -- \
        set port "$bond" external_ids:rackstrap=true "$@"
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

# Takes away bridges of an earlier revision: those that rackstrap made and that are not among the words.
# One that ports of other programs are in stays for them, and its own side is taken down.
leave_bridges() {
    for old in $(vsctl list-br); do
        case " $* " in *" $old "*) continue ;; esac
        [ "$(vsctl br-get-external-id "$old" rackstrap)" = true ] || continue
        prune "$old"
        others=$(vsctl list-ports "$old" | xargs)
        if [ -z "$others" ]; then
            vsctl --if-exists del-br "$old"
        else
            echo "rackstrap: bridge $old stays for ports of other programs: $others" >&2
            ip link set dev "$old" down
        fi
    done
}

"#;

/// The bridges outlive the service, because guests are in them; they go with the service.
const STOP: &str = r#"stop() {
    [ ! -e /run/rackstrap/gone/rackstrap-openvswitch.service ] || leave_bridges
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
        "vsctl --may-exist add-br {name} -- br-set-external-id {name} rackstrap true -- \
         set bridge {name} stp_enable={stp} mcast_snooping_enable={snooping}{mac}{}",
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
        if let Kind::Bond(bond) = &port.kind
            && bond.openvswitch
        {
            let mut members = Vec::new();
            for (place, member) in host.members(&port.name).enumerate() {
                let variable = format!("port{number}_{place}");
                let _ = writeln!(lines, "{variable}=$({})", finder(host, member));
                members.push(format!("${variable}"));
            }
            let primary = bond.primary.as_ref().and_then(|primary| {
                let place = host.members(&port.name).position(|member| member.name == *primary)?;
                Some(format!(" other_config:bond-primary=\"$port{number}_{place}\""))
            });
            let bonding = bonding(bond);
            let _ = writeln!(
                lines,
                "add_bond {name} {} \"{mtu}\" \"{}\"{bonding}{}{words}",
                port.name,
                members.join(" "),
                primary.unwrap_or_default()
            );
            ports.push(format!(" {}", port.name));
            continue;
        }
        let _ = writeln!(lines, "port{number}=$({})", finder(host, port));
        let _ = writeln!(lines, "add_port {name} \"$port{number}\" \"{mtu}\"{words}");
        ports.push(format!(" \"$port{number}\""));
    }
    let _ = writeln!(lines, "prune {name}{}", ports.concat());
}

/// What makes a bond of Open vSwitch's own of its members, in the columns of its table of ports. Every
/// column is written, so that nothing stays of an earlier revision.
fn bonding(spec: &BondSpec) -> String {
    let mode = match spec.mode {
        BondMode::Lacp => "balance-tcp",
        BondMode::BalanceSlb => "balance-slb",
        // Rule N232 leaves no other.
        _ => "active-backup",
    };
    let lacp = match (spec.mode, spec.lacp) {
        (BondMode::Lacp, lacp) => lacp.unwrap_or_default().label(),
        _ => "off",
    };
    let millis = |time: Option<crate::model::Millis>| time.map_or(0, |time| time.0);
    let mut words = format!(
        " bond_mode={mode} lacp={lacp} bond_updelay={} bond_downdelay={}",
        millis(spec.up_delay),
        millis(spec.down_delay)
    );
    if let Some(rate) = spec.lacp_rate {
        let _ = write!(words, " other_config:lacp-time={rate}");
    }
    if let Some(priority) = spec.ad_actor_system_priority {
        let _ = write!(words, " other_config:lacp-system-priority={priority}");
    }
    if let Some(system) = spec.ad_actor_system {
        let _ = write!(words, " other_config:lacp-system-id=\\\"{system}\\\"");
    }
    words
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
    let is_tagged = !is_all && spec.pvid.is_some_and(|id| spec.tagged.contains(id));
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
