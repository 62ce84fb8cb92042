//! What is set on NICs after udev and networkd: lossless Ethernet for RDMA, processors of interrupts
//! and queues, multicast MACs, drivers of programs. Pure.

use std::fmt::Write as _;

use super::{Service, finder, head};
use crate::model::{AffinitySpec, Processors, RoceSpec, RoceTool, RoceTrust};
use crate::network::links::{HostNetwork, Role};
use crate::network::word::pci_address;

/// The service; none for a host whose NICs need nothing of it.
pub(super) fn service(host: &HostNetwork) -> Option<Service> {
    let mut lines = String::new();
    for link in host.links.values().filter(|link| link.role != Role::Unused) {
        let mut own = String::new();
        for mac in &link.settings.multicast_macs {
            let _ = writeln!(
                own,
                "ip maddress show dev \"$nic\" | grep -qF {mac} || try ip maddress add {mac} dev \"$nic\""
            );
        }
        if let Some(nic) = &link.nic {
            if let Some(mode) = nic.infiniband_mode {
                let _ = writeln!(own, "put {mode} /sys/class/net/\"$nic\"/mode");
                // The kernel takes none that is larger than what the mode before has.
                if let Some(mtu) = link.settings.mtu {
                    let _ = writeln!(own, "try ip link set dev \"$nic\" mtu {mtu}");
                }
            }
            if let Some(spec) = &nic.roce {
                roce(&mut own, spec);
            }
            affinity(&mut own, &nic.affinity);
        }
        if !own.is_empty() {
            // A NIC that is not there keeps the others from nothing.
            let _ = writeln!(
                lines,
                "\nif nic=$({}); then\n{}else\n    failed=1\nfi",
                finder(host, link),
                indented(&own)
            );
        }
        let bound = link.nic.as_ref().and_then(|nic| {
            Some((pci_address(nic.path.as_deref()?)?, nic.driver_override.as_ref()?))
        });
        if let Some((address, driver)) = bound {
            let _ = writeln!(lines, "\nbind_driver {address} {driver}");
        }
    }
    if lines.is_empty() {
        return None;
    }
    let script = format!("{}{FUNCTIONS}{}\nexit \"$failed\"\n", head(host), lines.trim_end());
    Some(Service {
        name: "rackstrap-nics",
        description: "Settings of NICs that neither udev nor networkd has words for",
        after: "",
        has_stop: false,
        script,
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

const FUNCTIONS: &str = r#"failed=0

# Runs a command; what fails does not keep the others from running.
try() {
    "$@" || { echo "rackstrap: failed: $*" >&2; failed=1; }
}

# Writes a value to a file, or to each of several.
put() {
    value=$1
    shift
    for file in "$@"; do
        [ -e "$file" ] || { echo "rackstrap: the driver of $nic has no $file" >&2; failed=1; continue; }
        try sh -c "echo '$value' >'$file'"
    done
}

# Binds a device of the PCI bus to another driver than its own, such as vfio-pci for DPDK.
bind_driver() {
    nic=$1
    device=/sys/bus/pci/devices/$1
    [ -e "$device" ] || { echo "rackstrap: PCI device $1 not found" >&2; failed=1; return; }
    modprobe -q "$2" || :
    driver=$(readlink "$device/driver" || :)
    [ "${driver##*/}" != "$2" ] || return 0
    put "$2" "$device/driver_override"
    [ ! -e "$device/driver/unbind" ] || put "$1" "$device/driver/unbind"
    put "$1" /sys/bus/pci/drivers_probe
}

# Sets the type of service of connections of RDMA, for all RDMA devices of the NIC.
rdma_tos() {
    modprobe -q rdma_cm || :
    for device in /sys/class/net/"$nic"/device/infiniband/*; do
        [ -e "$device" ] || { echo "rackstrap: $nic has no RDMA device" >&2; failed=1; return; }
        name=${device##*/}
        mkdir -p "/sys/kernel/config/rdma_cm/$name" || { failed=1; continue; }
        put "$1" /sys/kernel/config/rdma_cm/"$name"/ports/*/default_roce_tos
        # The vendor's driver has one for what does not go by rdma_cm as well.
        [ ! -e "$device/tc/1/traffic_class" ] || put "$1" "$device/tc/1/traffic_class"
    done
}

# Prints processors, one a line: those beside the NIC, or a list such as 0-55,112-167.
processors() {
    list=$1
    [ "$list" != local ] || list=$(cat /sys/class/net/"$nic"/device/local_cpulist)
    for range in $(echo "$list" | tr , ' '); do
        seq "${range%-*}" "${range#*-}"
    done
}

# Prints the mask of processors, in groups of 32 bits as the kernel reads it.
mask() {
    awk '{ group = int($1 / 32); bits[group] += 2 ^ ($1 % 32); if (group > top) top = group }
        END { for (i = top + 0; i >= 0; i--) printf "%s%08x", i < top ? "," : "", bits[i] }'
}

# Deals processors out to the interrupts of the NIC, one each.
interrupts() {
    set -- $(processors "$1")
    all="$*"
    for interrupt in /sys/class/net/"$nic"/device/msi_irqs/*; do
        [ -e "$interrupt" ] || { echo "rackstrap: $nic has no interrupts" >&2; failed=1; return; }
        [ $# -gt 0 ] || set -- $all
        put "$1" "/proc/irq/${interrupt##*/}/smp_affinity_list"
        shift
    done
}

# Gives every queue for incoming packets all processors.
receive() {
    all=$(processors "$1" | mask)
    put "$all" /sys/class/net/"$nic"/queues/rx-*/rps_cpus
}

# Deals processors out to the queues for what goes out; each has one at least.
transmit() {
    count=$(ls -d /sys/class/net/"$nic"/queues/tx-* | wc -l)
    all=$(processors "$1")
    queue=0
    while [ "$queue" -lt "$count" ]; do
        own=$(echo "$all" | awk -v queue="$queue" -v count="$count" '
            { all[NR - 1] = $1 }
            END {
                for (i = queue; i < NR; i += count) print all[i]
                if (queue >= NR) print all[queue % NR]
            }' | mask)
        put "$own" "/sys/class/net/$nic/queues/tx-$queue/xps_cpus"
        queue=$((queue + 1))
    done
}
"#;

/// How much of the byte is left of the DSCP (RFC 2474), and the word that both ends know ECN (RFC 3168).
const DSCP_SHIFT: u8 = 2;
const ECN_CAPABLE: u8 = 2;

fn roce(text: &mut String, spec: &RoceSpec) {
    let first = spec.priorities.first().copied().unwrap_or_default();
    let on = |priority: u8| spec.priorities.contains(&priority);
    match spec.tool {
        RoceTool::Dcb => {
            match spec.trust {
                RoceTrust::Dscp => {
                    // Older iproute2 has no word for the order; the driver goes by DSCP as soon as
                    // there is an entry for one.
                    let _ =
                        writeln!(text, "dcb apptrust set dev \"$nic\" order dscp 2>/dev/null || :");
                }
                RoceTrust::Pcp => {
                    let _ = writeln!(text, "try dcb app flush dev \"$nic\" dscp-prio");
                }
            }
            if let Some(dscp) = spec.dscp.filter(|_| spec.trust == RoceTrust::Dscp) {
                let _ = writeln!(text, "try dcb app replace dev \"$nic\" dscp-prio {dscp}:{first}");
            }
            let lossless: Vec<String> =
                (0..8).filter(|one| on(*one)).map(|one| format!(" {one}:on")).collect();
            let _ = writeln!(
                text,
                "try dcb pfc set dev \"$nic\" prio-pfc all:off{}",
                lossless.concat()
            );
        }
        RoceTool::MlnxQos => {
            let _ = writeln!(text, "try mlnx_qos -i \"$nic\" --trust {}", spec.trust);
            if let Some(dscp) = spec.dscp.filter(|_| spec.trust == RoceTrust::Dscp) {
                let _ = writeln!(text, "try mlnx_qos -i \"$nic\" --dscp2prio set,{dscp},{first}");
            }
            let lossless: Vec<&str> = (0..8).map(|one| if on(one) { "1" } else { "0" }).collect();
            let _ = writeln!(text, "try mlnx_qos -i \"$nic\" --pfc {}", lossless.join(","));
        }
    }
    if let Some(enabled) = spec.ecn {
        for priority in &spec.priorities {
            let _ = writeln!(
                text,
                "put {} /sys/class/net/\"$nic\"/ecn/roce_np/enable/{priority} \
                 /sys/class/net/\"$nic\"/ecn/roce_rp/enable/{priority}",
                u8::from(enabled)
            );
        }
    }
    if let Some(dscp) = spec.dscp {
        let _ = writeln!(text, "rdma_tos {}", type_of_service(spec, dscp));
    }
}

/// The byte of the IP header that packets of RDMA have.
pub(in crate::network) fn type_of_service(spec: &RoceSpec, dscp: u8) -> u8 {
    dscp << DSCP_SHIFT | if spec.ecn == Some(true) { ECN_CAPABLE } else { 0 }
}

fn affinity(text: &mut String, spec: &AffinitySpec) {
    let words: [(&str, &Option<Processors>); 3] =
        [("interrupts", &spec.irqs), ("receive", &spec.rps), ("transmit", &spec.xps)];
    for (function, processors) in words {
        if let Some(processors) = processors {
            let _ = writeln!(text, "{function} {processors}");
        }
    }
}
