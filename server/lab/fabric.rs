//! The cables of the virtual rack: which links join the server, the switch and the hosts.
//!
//! Each port of a host has a cable of its own, a bridge with three ends: the host's
//! tap, the switch's tap and a way to the server, over which the host netboots
//! before its bond is up. LACP frames pass the cable and end there.

use super::namespace::Namespace;

/// How many ports a host has.
pub const PORTS: usize = 2;
/// The server's interface.
pub const SERVER_LINK: &str = "rack0";
/// The tap of the switch's own way to the server.
pub const SWITCH_UPLINK: &str = "switch";

/// The namespaces of the lab.
pub struct Fabric {
    /// Where the server runs.
    pub server: Namespace,
    /// Where the cables are, and the ends of every guest.
    pub cables: Namespace,
}

impl Fabric {
    /// Lays the cables for `hosts` hosts.
    pub fn new(hosts: usize) -> anyhow::Result<Self> {
        let fabric = Self { server: Namespace::new("server")?, cables: Namespace::new("cables")? };
        let mut lines = provisioning(fabric.server.name());
        for host in 1..=hosts {
            for port in 0..PORTS {
                lines.push_str(&cable(host, port));
            }
        }
        fabric.cables.ip(&lines)?;
        fabric.server.ip(&format!(
            "link set {SERVER_LINK} mtu 9000 up\n\
             address add 10.77.0.1/24 dev {SERVER_LINK}\n\
             route add 172.16.160.0/24 via 10.77.0.254\n"
        ))?;
        Ok(fabric)
    }
}

/// The host's end of a cable.
pub fn host_tap(host: usize, port: usize) -> String {
    format!("host{host}-{port}")
}

/// The switch's end of a cable.
pub fn switch_tap(host: usize, port: usize) -> String {
    format!("port{host}-{port}")
}

/// The bridge that leads to the server. All ends but the server's are isolated from
/// one another: frames between hosts go through the switch or not at all.
fn provisioning(server: &str) -> String {
    format!(
        "link add provisioning type bridge stp_state 0 forward_delay 0\n\
         link set provisioning mtu 9000 addrgenmode none up\n\
         link add uplink mtu 9000 type veth peer name {SERVER_LINK} netns {server}\n\
         link set uplink master provisioning addrgenmode none up\n\
         {}\
         link set {SWITCH_UPLINK} type bridge_slave isolated on\n",
        tap(SWITCH_UPLINK, "provisioning")
    )
}

fn cable(host: usize, port: usize) -> String {
    let (bridge, near, far) =
        (format!("cable{host}-{port}"), format!("near{host}-{port}"), format!("far{host}-{port}"));
    let (host_tap, switch_tap) = (host_tap(host, port), switch_tap(host, port));
    // A bridge keeps LACP frames (01:80:c2:00:00:02) to itself unless bit 2 says otherwise.
    format!(
        "link add {bridge} type bridge stp_state 0 forward_delay 0\n\
         link set {bridge} mtu 9000 addrgenmode none up\n\
         {}{}\
         link set {host_tap} type bridge_slave group_fwd_mask 4\n\
         link set {switch_tap} type bridge_slave group_fwd_mask 4\n\
         link add {near} mtu 9000 type veth peer name {far}\n\
         link set {near} master {bridge} addrgenmode none up\n\
         link set {far} mtu 9000 master provisioning addrgenmode none up\n\
         link set {far} type bridge_slave isolated on\n",
        tap(&host_tap, &bridge),
        tap(&switch_tap, &bridge)
    )
}

fn tap(name: &str, bridge: &str) -> String {
    format!(
        "tuntap add {name} mode tap\n\
         link set {name} mtu 9000 master {bridge} addrgenmode none up\n"
    )
}
