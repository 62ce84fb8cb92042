//! The cables between server, switch and hosts.
//!
//! The cable of each host port is a bridge with three ports: the tap of the host, the tap of the
//! switch, and a link to the server for network boot, before the bond is up. LACP frames pass
//! the bridge.

use super::namespace::Namespace;

/// How many ports a host has.
pub(super) const PORTS: usize = 2;
/// The server's interface.
pub(super) const SERVER_LINK: &str = "rack0";
/// The tap between switch and server.
pub(super) const SWITCH_UPLINK: &str = "switch";

/// The namespaces of the lab.
pub(super) struct Fabric {
    /// The namespace of the server.
    pub server: Namespace,
    /// The namespace of the cables and the guests.
    pub cables: Namespace,
}

impl Fabric {
    /// Creates the cables of `hosts` hosts.
    pub(super) fn new(hosts: usize) -> anyhow::Result<Self> {
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
pub(super) fn host_tap(host: usize, port: usize) -> String {
    format!("host{host}-{port}")
}

/// The switch's end of a cable.
pub(super) fn switch_tap(host: usize, port: usize) -> String {
    format!("port{host}-{port}")
}

/// The bridge to the server. All other ports are isolated from one another, so that frames between
/// hosts have to pass the switch.
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
    // A bridge drops LACP frames (01:80:c2:00:00:02) unless bit 2 of group_fwd_mask is set.
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
