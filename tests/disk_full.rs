//! A server whose disk is full, on the wire: who has an address keeps it, nobody gets a new
//! one, people are told, and all of it comes back by itself.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::common::dhcp::{Client, DhcpServer, Message, Reply, lan, wait_for};
use crate::common::netns::run;

const SITE: &str = "subnets: {provisioning: {cidr: 10.77.0.0/24, unknown-clients: lease, \
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}}";
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
const ACK: u8 = 5;
const OLD: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 1];
const COMPLAINT: &str = "cannot write to the database";

/// A small file system at a directory, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        run(&["mount", "-t", "tmpfs", "-o", "size=8m", "none", at.to_str().unwrap()]);
        Self(at.to_owned())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut filler =
            fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        loop {
            match filler.write_all(&[b'x'; 4096]) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull);
                    return;
                }
            }
        }
    }
}

impl SmallDisk {
    /// Leaves so many bytes of it.
    fn leave(&self, bytes: u64) {
        self.fill();
        let filler = fs::OpenOptions::new().write(true).open(self.filler()).unwrap();
        filler.set_len(filler.metadata().unwrap().len() - bytes).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What the server says at a URL: status and text.
fn fetch(server: &DhcpServer, url: &str) -> (String, String) {
    let output = server.inside.sh(&format!("curl -s -m 5 -w '%{{http_code}}' {url}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = text.len().saturating_sub(3);
    (text[status..].to_owned(), text[..status].to_owned())
}

/// A renewal of a client's address, asked for `seconds`: a shorter time than before is
/// one that memory alone may not grant.
fn renew(client: &Client, address: Ipv4Addr, seconds: u32) -> Option<Reply> {
    let request = Message::new(3, OLD).address(12, address).option(51, &seconds.to_be_bytes());
    client.ask(&request, EVERYBODY)
}

#[test]
fn a_full_disk_costs_no_running_lease_and_is_over_when_there_is_room() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    let disk = SmallDisk::mount(server.directory.path());
    server.set_site(SITE);
    // The server takes what its write-ahead log needs at once: here, all that is left.
    disk.leave(300 << 10);
    server.start(&["lan"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let address = client.acquire(OLD).unwrap();
    clients.ip(&format!("address add {address}/24 dev eth0"));
    let ready = "http://10.77.0.1/readyz";
    assert_eq!(fetch(&server, ready), ("200".into(), "ready\n".into()));

    disk.fill();
    let mut others = (0..60).map(|number| [0x52, 0x54, 0, 0xcc, 1, number]);
    let refused = others.find(|mac| client.acquire(*mac).is_none());
    let refused = refused.expect("a lease is refused a place on the disk");
    server.wait_for_log(COMPLAINT);
    for seconds in [600, 500] {
        let kept = renew(&client, address, seconds).expect("a running lease is confirmed");
        assert_eq!((kept.kind(), kept.your_address()), (ACK, address));
        let granted = u32::from_be_bytes(kept.option(51).unwrap().try_into().unwrap());
        assert!(granted <= seconds, "{granted}");
    }
    let (status, text) = fetch(&server, ready);
    assert_eq!(status, "503");
    assert!(text.starts_with(COMPLAINT), "{text}");
    assert!(fetch(&server, "http://127.0.0.1:8080/metrics").1.contains("rackstrap_ready 0"));
    let said = server.log().matches(COMPLAINT).count();
    assert_eq!(said, 1, "it is said once: {}", server.log());

    fs::remove_file(disk.filler()).unwrap();
    wait_for("everything works again", || fetch(&server, ready).0 == "200");
    server.wait_for_log("database is writable again");
    assert!(client.acquire(refused).is_some());
    assert!(fetch(&server, "http://127.0.0.1:8080/metrics").1.contains("rackstrap_ready 1"));
    let leases = server.leases();
    assert!(
        leases.iter().any(|lease| lease.mac() == Some(rackstrap::model::Mac(refused))),
        "{leases:?}"
    );
    assert!(leases.iter().any(|lease| lease.address == address), "{leases:?}");
    server.kill();
}
