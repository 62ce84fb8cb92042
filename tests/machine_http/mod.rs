//! What machines fetch, over real sockets from the real router with a real database.

mod config;
mod files;

use rackstrap::inventory::Database;

use crate::common::machine::Server;

const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24}
  internal: {cidr: 172.16.160.0/24, vlan: 500, gateway: 172.16.160.254, mtu: 9000}
profiles:
  hypervisor:
    bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad}}
    vlans: {vlan500: {link: bond0, subnet: internal}}
    bridges: {virbr0: {interfaces: [vlan500], subnet: internal}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
  lost: {kernel: live/gone}
  disk: {local: true}
hosts:
  r1-n01:
    profile: hypervisor
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {virbr0: 172.16.160.12}
    reservations: {provisioning: 10.77.0.11}
  r1-n02: {image: lost, nics: {eth0: "52:54:00:aa:00:03"}}
  r1-n03: {image: disk, nics: {eth0: "52:54:00:aa:00:04"}}
  r1-n04:
    profile: hypervisor
    image: live
    nics: {eth0: "52:54:00:aa:00:05", eth1: "52:54:00:aa:00:06"}
    addresses: {virbr0: 172.16.160.14}
"#;

/// Takes a NIC away behind the inventory's back, which would refuse it.
async fn break_r1_n04(server: &Server) {
    let Database::Sqlite(file) = &server.app.inventory.database else { unreachable!() };
    let revision = "INSERT INTO revisions (id, at, who, summary, before, after)
         SELECT id + 1, at, who, summary, before, after FROM revisions";
    for statement in ["DELETE FROM nics WHERE mac = '52:54:00:aa:00:06'", revision] {
        sqlx::query(statement).execute(&file.pool).await.unwrap();
    }
    server.app.inventory.reload().await.unwrap();
}

#[tokio::test]
async fn each_host_gets_a_script_that_runs() {
    let server = Server::start(SITE).await;
    break_r1_n04(&server).await;
    let script = server.text("/boot/52-54-00-aa-00-02.ipxe").await;
    let here = &server.url;
    let kernel = format!(
        "kernel --name kernel --timeout 30000 {here}/files/live/vmlinuz initrd=initrd0 \
         initrd=initrd1 BOOTIF=01-52-54-00-aa-00-02 rackstrap.url={here} console=ttyS0 &&"
    );
    assert!(script.contains(&kernel), "{script}");
    assert!(script.contains(&format!("{here}/config/52-54-00-aa-00-02.cpio.gz && goto start")));
    for (mac, line) in [
        ("52:54:00:ff:ff:ff", "rackstrap: 52:54:00:ff:ff:ff is in no host of the inventory"),
        ("52:54:00:aa:00:03", "rackstrap: image lost: no file \"live/gone\" here"),
        ("52:54:00:aa:00:04", "sanboot --no-describe --drive 0x80"),
        ("52:54:00:aa:00:05", "rackstrap: the network of r1-n04 must be corrected first:"),
    ] {
        let answer = server.get(&format!("/boot/{mac}.ipxe")).await;
        assert_eq!(answer.status(), 200);
        let script = answer.text().await.unwrap();
        assert!(script.starts_with("#!ipxe\n") && script.contains(line), "{mac}: {script}");
    }
    let conflict = server.get("/config/52:54:00:aa:00:05").await;
    assert_eq!(conflict.status(), 409);
    let autoexec = server.text("/autoexec.ipxe").await;
    assert!(autoexec.contains(&format!("{here}/boot/${{netX/mac:hexhyp}}.ipxe")), "{autoexec}");
}

#[tokio::test]
async fn an_installers_command_line_brings_the_hosts_bond_up() {
    let installer =
        "images:\n  installer: {kernel: live/vmlinuz, cmdline: \"inst.text {dracut}\"}\n";
    let host = r#"
  r1-n09:
    profile: lag
    image: installer
    nics: {eth0: "52:54:00:aa:00:11", eth1: "52:54:00:aa:00:12"}
"#;
    let profile =
        "profiles:\n  lag: {bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, dhcp4: true}}}\n";
    let site = SITE.replacen("images:\n", installer, 1).replacen("profiles:\n", profile, 1) + host;
    let server = Server::start(&site).await;
    let script = server.text("/boot/52-54-00-aa-00-12.ipxe").await;
    let words = " inst.text rd.bootif=0 rd.neednet=1 bootdev=bond0 ifname=nic0:52:54:00:aa:00:11 \
                 ifname=nic1:52:54:00:aa:00:12 bond=bond0:nic0,nic1:mode=802.3ad";
    assert!(script.contains(words), "{script}");

    // Behind the inventory's back, which would refuse it: a bridge is beyond dracut.
    let Database::Sqlite(file) = &server.app.inventory.database else { unreachable!() };
    let revision = "INSERT INTO revisions (id, at, who, summary, before, after)
         SELECT id + 1, at, who, summary, before, after FROM revisions";
    for statement in ["UPDATE hosts SET image = 'installer' WHERE name = 'r1-n01'", revision] {
        sqlx::query(statement).execute(&file.pool).await.unwrap();
    }
    server.app.inventory.reload().await.unwrap();
    let script = server.text("/boot/52-54-00-aa-00-01.ipxe").await;
    assert!(script.contains("dracut cannot express virbr0: bridge"), "{script}");
}

#[tokio::test]
async fn a_report_sets_the_state_of_its_host() {
    let server = Server::start(SITE).await;
    let status = async |server: &Server| {
        let status = server.app.inventory.states.find("r1-n01", 0).unwrap();
        (status.state.label(), status.reason)
    };
    let mac = "52:54:00:aa:00:02";
    let body = r#"{"state": "failed", "text": "no partner on bond0"}"#;
    let answer = server.report(mac, body).await;
    assert_eq!(answer.text().await.unwrap(), "r1-n01 has failed\n");
    assert_eq!(status(&server).await, ("failed", "no partner on bond0".to_owned()));
    assert_eq!(server.report(mac, "bond0: up\nall well").await.status(), 200);
    assert_eq!(status(&server).await, ("up", "bond0: up".to_owned()));
    let stored = server.app.inventory.database.find_report("r1-n01").await.unwrap().unwrap();
    assert_eq!(stored.body, "bond0: up\nall well");

    for body in [vec![0; 100], vec![0xff; 100], b"{".to_vec(), vec![b'x'; 64 * 1024]] {
        assert_eq!(server.report(mac, body).await.status(), 200);
    }
    assert_eq!(server.report(mac, vec![b'x'; 64 * 1024 + 1]).await.status(), 413);
    assert_eq!(server.report("52:54:00:ff:ff:ff", "up").await.status(), 404);
    assert_eq!(server.get(&format!("/report/{mac}")).await.status(), 405);
}

#[tokio::test]
async fn nothing_of_the_administration_is_reachable() {
    let server = Server::start(SITE).await;
    for path in ["/", "/hosts", "/api/v1/hosts", "/login", "/static/app.css"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains("/config/MAC"), "{path}");
    }
}
