//! The DHCP servers to compare with: how each is configured and started.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use crate::lab::{Lab, SERVER, SERVER_LINK};

/// The prefix that holds the pool, the relay agent in it, and the pool's first and last address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// Network and prefix length.
    pub prefix: (Ipv4Addr, u8),
    /// The relay agent.
    pub relay: Ipv4Addr,
    /// First and last address.
    pub range: (Ipv4Addr, Ipv4Addr),
}

impl Pool {
    /// 16,384 addresses.
    pub(crate) const SMALL: Self = Self {
        prefix: (Ipv4Addr::new(10, 81, 0, 0), 16),
        relay: Ipv4Addr::new(10, 81, 0, 1),
        range: (Ipv4Addr::new(10, 81, 64, 0), Ipv4Addr::new(10, 81, 127, 255)),
    };
    /// 131,072 addresses.
    pub(crate) const LARGE: Self = Self {
        prefix: (Ipv4Addr::new(10, 96, 0, 0), 14),
        relay: Ipv4Addr::new(10, 96, 0, 1),
        range: (Ipv4Addr::new(10, 97, 0, 0), Ipv4Addr::new(10, 98, 255, 255)),
    };

    /// One of forty small ones, a rack each.
    pub(crate) fn rack(number: u8) -> Self {
        let at = |last| Ipv4Addr::new(10, 82, number, last);
        Self { prefix: (at(0), 24), relay: at(1), range: (at(2), at(254)) }
    }

    /// This pool and the forty racks.
    pub(crate) fn with_racks(self) -> Vec<Self> {
        [self].into_iter().chain((0..40).map(Self::rack)).collect()
    }

    /// The prefix as `NETWORK/LENGTH`.
    pub(crate) fn cidr(&self) -> String {
        format!("{}/{}", self.prefix.0, self.prefix.1)
    }

    fn netmask(&self) -> Ipv4Addr {
        (u32::MAX << (32 - self.prefix.1)).into()
    }
}

/// A server that is not rackstrap.
pub(super) struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    /// The program, to see whether it is installed.
    pub program: &'static str,
    /// Writes its configuration into a directory and gives the command.
    pub command: fn(&Lab, &Path, &[Pool]) -> Command,
}

/// The peers, the strongest first.
pub(super) const PEERS: &[Peer] = &[
    Peer { name: "kea", program: "kea-dhcp4", command: kea },
    Peer { name: "dhcpd", program: "dhcpd", command: dhcpd },
    Peer { name: "dnsmasq", program: "dnsmasq", command: dnsmasq },
];

/// Kea with two threads and a lease file, which it never syncs.
fn kea(lab: &Lab, dir: &Path, pools: &[Pool]) -> Command {
    let leases = serde_json::json!({"type": "memfile", "persist": true, "lfc-interval": 0,
                                    "name": dir.join("leases.csv")});
    kea_with(lab, dir, pools, &leases)
}

/// Kea with two threads, whose leases are where `leases` says.
pub(super) fn kea_with(
    lab: &Lab,
    dir: &Path,
    pools: &[Pool],
    leases: &serde_json::Value,
) -> Command {
    let subnets: Vec<serde_json::Value> = pools
        .iter()
        .enumerate()
        .map(|(number, pool)| {
            serde_json::json!({
                "id": number + 2,
                "subnet": pool.cidr(),
                "pools": [{"pool": format!("{} - {}", pool.range.0, pool.range.1)}],
                "option-data": [{"name": "routers", "data": pool.relay.to_string()}],
            })
        })
        .chain([serde_json::json!({"id": 1, "subnet": "10.80.0.0/24"})])
        .collect();
    let configuration = serde_json::json!({"Dhcp4": {
        "interfaces-config": {"interfaces": [SERVER_LINK], "dhcp-socket-type": "udp"},
        "lease-database": leases,
        "multi-threading": {"enable-multi-threading": true, "thread-pool-size": 2,
                            "packet-queue-size": 64},
        "reservations-global": false, "reservations-in-subnet": false,
        "valid-lifetime": 3600, "next-server": SERVER.to_string(), "boot-file-name": "ipxe.efi",
        "subnet4": subnets,
        "loggers": [{"name": "kea-dhcp4", "severity": "ERROR",
                     "output_options": [{"output": "stderr"}]}],
    }});
    let path = dir.join("kea.json");
    fs::write(&path, configuration.to_string()).expect("own directory");
    let mut command = lab.server.command("kea-dhcp4");
    command.arg("-c").arg(path).env("KEA_LOCKFILE_DIR", dir).env("KEA_PIDFILE_DIR", dir);
    command
}

/// ISC dhcpd as it comes: one fsync for each new lease.
fn dhcpd(lab: &Lab, dir: &Path, pools: &[Pool]) -> Command {
    let mut text = format!(
        "authoritative;\nping-check false;\ndefault-lease-time 3600;\nmax-lease-time 3600;\n\
         next-server {SERVER};\nfilename \"ipxe.efi\";\nsubnet 10.80.0.0 netmask 255.255.255.0 {{}}\n"
    );
    for pool in pools {
        let (network, netmask, relay) = (pool.prefix.0, pool.netmask(), pool.relay);
        let (from, to) = pool.range;
        let _ = writeln!(
            text,
            "subnet {network} netmask {netmask} {{ range {from} {to}; option routers {relay}; }}"
        );
    }
    let (configuration, leases) = (dir.join("dhcpd.conf"), dir.join("dhcpd.leases"));
    fs::write(&configuration, text).expect("own directory");
    fs::write(&leases, "").expect("own directory");
    let mut command = lab.server.command("dhcpd");
    command.args(["-4", "-f", "-q", "-user", "root", "-group", "root", "-cf"]).arg(configuration);
    command.arg("-lf").arg(leases).arg("-pf").arg(dir.join("dhcpd.pid")).arg(SERVER_LINK);
    command
}

/// dnsmasq as it comes: the whole lease file anew for each lease.
fn dnsmasq(lab: &Lab, dir: &Path, pools: &[Pool]) -> Command {
    let mut command = lab.server.command("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]);
    command.args(["--no-ping", "--dhcp-authoritative", "--dhcp-lease-max=300000", "--quiet-dhcp"]);
    command.args(["--log-facility=-", "--dhcp-boot=ipxe.efi"]);
    command.arg(format!("--interface={SERVER_LINK}"));
    command.arg(format!("--dhcp-leasefile={}", dir.join("leases").display()));
    command.arg(format!("--pid-file={}", dir.join("pid").display()));
    for pool in pools {
        let (from, to) = pool.range;
        command.arg(format!("--dhcp-range={from},{to},{},3600s", pool.netmask()));
    }
    command
}
