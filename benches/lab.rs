//! Two network namespaces joined by a veth pair: servers in one, simulated machines in the other.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::netns::Netns;

/// Where every server listens.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 1);
/// Where the generators speak from: a relay agent, and a host's own address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 2);
/// The address of one of many simulated hosts: a server may bound what one address gets.
pub(crate) fn host_address(number: u32) -> Ipv4Addr {
    (u32::from(Ipv4Addr::new(10, 96, 16, 0)) + number).into()
}

/// The servers' interface.
pub(crate) const SERVER_LINK: &str = "sv0";

/// The namespaces and a directory on disk for the servers' files.
pub(crate) struct Lab {
    /// Where the servers run.
    pub server: Netns,
    /// Where the generators run.
    pub client: Netns,
    /// Configurations, databases and served files. On the disk, never tmpfs: durability is measured.
    pub dir: PathBuf,
}

impl Lab {
    /// Makes both namespaces. Needs root.
    pub(crate) fn new() -> Self {
        let dir = std::env::current_dir().expect("a working directory").join("target/bench");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("files")).expect("target/bench can be made");
        let (server, client) = (Netns::new("server"), Netns::new("client"));
        server.join(SERVER_LINK, &client, "cl0");
        server.ip(&format!("address add {SERVER}/24 dev {SERVER_LINK}"));
        client.ip(&format!("address add {CLIENT}/24 dev cl0"));
        for (namespace, link) in [(&server, SERVER_LINK), (&client, "cl0")] {
            namespace.ip(&format!("link set {link} mtu 9000"));
        }
        // Every address that is leased, and every relay's, is the client side's own (AnyIP).
        for prefix in ["10.81.0.0/16", "10.82.0.0/16", "10.96.0.0/14"] {
            server.ip(&format!("route add {prefix} via {CLIENT}"));
            client.ip(&format!("route add local {prefix} dev lo"));
        }
        Self { server, client, dir }
    }

    /// A new empty directory for one server, which any user may write: peers drop their rights.
    pub(crate) fn fresh_dir(&self, name: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("target/bench can be written");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&path, open).expect("own directory");
        path
    }

    /// Runs `work` on a thread inside the client namespace.
    pub(crate) fn in_client<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.client, work)
    }

    /// Runs `work` on a thread inside the server namespace.
    pub(crate) fn in_server<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.server, work)
    }

    /// Drops one packet in `every` that the client receives or sends, until the guard goes.
    pub(crate) fn with_loss(&self, every: u32) -> Loss<'_> {
        let rule = format!("meta l4proto udp numgen random mod {every} == 0 drop");
        let rules = format!(
            "table inet loss {{ chain in {{ type filter hook input priority 0; {rule}; }}; \
             chain out {{ type filter hook output priority 0; {rule}; }}; }}"
        );
        let status = self.client.command("nft").arg(&rules).status();
        assert!(status.is_ok_and(|s| s.success()), "nft refused: {rules}");
        Loss(self)
    }
}

fn inside<T: Send>(namespace: &Netns, work: impl FnOnce() -> T + Send) -> T {
    let path = format!("/run/netns/{}", namespace.name);
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let namespace = File::open(path).expect("the namespace exists");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            work()
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Packet loss that ends when dropped.
pub(crate) struct Loss<'a>(&'a Lab);

impl Drop for Loss<'_> {
    fn drop(&mut self) {
        let _ = self.0.client.command("nft").args(["delete", "table", "inet", "loss"]).status();
    }
}

/// Whether a program is there to be run.
pub(crate) fn has_program(program: &str) -> bool {
    if program.contains('/') {
        return std::path::Path::new(program).exists();
    }
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}
