//! The inventory on both databases: what goes in comes out, and nothing is given twice.

mod constraints;
mod owners;

use std::time::Duration;

use rackstrap::inventory::{Change, ChangeError, Committed, EventFilter, Inventory, Live};
use rackstrap::lifecycle::client::{Arch, Client};
use rackstrap::lifecycle::event::{Ack, AckKind, DhcpMessage, ReportResult, Way};
use rackstrap::lifecycle::{EventData, EventKind, HostState};
use rackstrap::model::{Mac, Site};
use rackstrap::site_file;

use crate::common::boots;
use crate::common::store::Store;

const SITE: &str = r##"
racks:
  r1: {location: hall 2, parameters: {delay: 200ms}, network: {systemd: 255}}
parameters: {delay: 100ms, unused: 7}
network: {bonds: {bond0: {min-links: 1}}}
tenants:
  acme: {contact: ops@acme.example}
subnets:
  provisioning: {cidr: 10.77.0.0/24, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    mtu: 9000
    dns: ["223.5.5.5#dns.alidns.com", 223.6.6.6]
    dns-over-tls: true
    domains: [example.net.]
    tenant: acme
    lease-time: 2h
    ranges:
      - {from: 172.16.160.10, to: 172.16.160.99, for: hosts}
      - {from: 172.16.160.200, to: 172.16.160.253, for: reserved}
switches:
  leaf1a: {vendor: sonic, rack: r1, native-vlan: 10}
profiles:
  base: {parameters: {delay: {type: text}}, bonds: {bond0: {up-delay: =delay}}}
  hypervisor:
    extends: base
    bonds:
      bond0: {nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast, transmit-hash-policy: layer3+4, mii-monitor: 100ms}
    vlans: {vlan500: {link: bond0, subnet: internal}}
    bridges: {virbr0: {interfaces: [vlan500], subnet: internal}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
hosts:
  r1-n01:
    rack: r1
    unit: 1
    index: 11
    serial: "0042"
    parameters: {delay: 300ms}
    network: {bonds: {bond0: {lacp-rate: slow}}}
    tenant: acme
    profile: hypervisor
    image: live
    boot-file: snponly.efi
    nics: {eth1: "52:54:00:aa:00:02", eth0: "52:54:00:aa:00:01"}
    addresses: {virbr0: 172.16.160.12}
    reservations: {provisioning: 10.77.0.12}
  r1-n02:
    rack: r1
    tenant: acme
    profile: hypervisor
    nics: {eth0: {mac: "52:54:00:aa:01:01", switch: leaf1a, port: Ethernet48}, eth1: "52:54:00:aa:01:02"}
    addresses: {virbr0: 172.16.160.13}
"##;

fn site() -> Site {
    site_file::parse(SITE, "site.yaml").unwrap()
}

fn change(summary: &str) -> Change<'_> {
    Change { who: "test", summary, ..Change::default() }
}

async fn apply(inventory: &Inventory, site: Site) -> Result<Committed, ChangeError> {
    let change = Change { prune: true, ..change("a whole site") };
    inventory.replace_site(change, site).await
}

fn lines(committed: &Committed) -> Vec<String> {
    committed.differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_site_comes_out_as_it_went_in() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        let committed = apply(&inventory, site()).await.unwrap();
        assert_eq!(committed.revision, 1, "{}", store.kind);
        assert_eq!(committed.differences.len(), 11, "{}: {:?}", store.kind, lines(&committed));
        let read = store.inventory().await.snapshot();
        assert_eq!((read.revision, &*read.site), (1, &site()), "{}", store.kind);
        // Equal maps may have their entries in another order; a file shows it.
        assert_eq!(site_file::render(&read.site), site_file::render(&site()), "{}", store.kind);
    }
}

#[tokio::test]
async fn an_apply_of_the_same_site_changes_nothing() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let exported = site_file::render(&inventory.snapshot().site);
        let again = site_file::parse(&exported, "export").unwrap();
        let committed = apply(&inventory, again).await.unwrap();
        assert_eq!((committed.revision, lines(&committed)), (1, vec![]), "{}", store.kind);
        assert_eq!(inventory.database.newest_revision().await.unwrap(), 1, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_rack_goes_when_nothing_names_it() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let remove = |site: &mut Site| {
            site.racks.remove("r1");
            Ok(())
        };
        let refused = inventory.change_site(change("remove r1"), remove).await.unwrap_err();
        let told = refused.to_string();
        assert!(told.starts_with("rack \"r1\" is in use by r1-n01, r1-n02"), "{told}");
        assert_eq!(*store.inventory().await.snapshot().site, site(), "{}", store.kind);
        let empty = |site: &mut Site| {
            site.hosts.values_mut().for_each(|host| (host.rack, host.unit) = (None, None));
            site.switches.values_mut().for_each(|switch| switch.rack = None);
            site.racks.remove("r1");
            Ok(())
        };
        inventory.change_site(change("empty r1"), empty).await.unwrap();
        assert!(!inventory.snapshot().site.racks.contains_key("r1"), "{}", store.kind);
    }
}

#[tokio::test]
async fn every_noun_can_change_and_go() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let mut changed = site();
        changed.racks.get_mut("r1").unwrap().units = Some(48);
        changed.tenants.get_mut("acme").unwrap().contact = None;
        changed.images.get_mut("live").unwrap().cmdline = "quiet".into();
        let mut profile = serde_json::to_value(&changed.profiles["hypervisor"]).unwrap();
        profile["bridges"]["virbr0"]["mtu"] = 9000.into();
        changed.profiles.insert("hypervisor".into(), serde_json::from_value(profile).unwrap());
        let internal = changed.subnets.get_mut("internal").unwrap();
        internal.ranges.pop();
        internal.vlan = Some(501);
        changed.hosts.get_mut("r1-n02").unwrap().unit = Some(2);
        let committed = apply(&inventory, changed.clone()).await.unwrap();
        let expected =
            ["~ rack r1 units: none -> 48", "~ tenant acme contact: ops@acme.example -> none"];
        assert_eq!(lines(&committed)[..2], expected, "{}", store.kind);
        assert_eq!(store.inventory().await.snapshot().site, changed, "{}", store.kind);

        apply(&inventory, Site::default()).await.unwrap();
        assert_eq!(store.inventory().await.snapshot().site, Site::default(), "{}", store.kind);
    }
}

#[tokio::test]
async fn hosts_may_exchange_nics_and_addresses_and_subnets_their_prefixes() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let mut changed = site();
        let (first, second) = (site().hosts["r1-n01"].clone(), site().hosts["r1-n02"].clone());
        let host = changed.hosts.get_mut("r1-n01").unwrap();
        (host.nics, host.addresses) = (second.nics, second.addresses);
        let host = changed.hosts.get_mut("r1-n02").unwrap();
        (host.nics, host.addresses) = (first.nics, first.addresses);
        apply(&inventory, changed.clone()).await.unwrap();
        assert_eq!(store.inventory().await.snapshot().site, changed, "{}", store.kind);

        let mut plain = Site { subnets: changed.subnets.clone(), ..Site::default() };
        plain.subnets.values_mut().for_each(|subnet| {
            (subnet.tenant, subnet.gateway) = (None, None);
            subnet.ranges.clear();
        });
        apply(&inventory, plain.clone()).await.unwrap();
        let swapped = (plain.subnets["internal"].cidr, plain.subnets["provisioning"].cidr);
        plain.subnets.get_mut("provisioning").unwrap().cidr = swapped.0;
        plain.subnets.get_mut("internal").unwrap().cidr = swapped.1;
        apply(&inventory, plain.clone()).await.unwrap();
        assert_eq!(store.inventory().await.snapshot().site, plain, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_renamed_host_keeps_its_state_and_its_report() {
    use rackstrap::inventory::StoredReport;
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let report = StoredReport { at_ms: 6, body: "{}".into() };
        inventory.events.record(Some("r1-n01"), None, boots::report(ReportResult::Up, "bond0 up"));
        assert!(inventory.events.flush(Duration::from_secs(10)).await);
        let status = inventory.states.find("r1-n01", 0).unwrap();
        assert_eq!((status.state, status.reason.as_str()), (HostState::Up, "bond0 up"));
        inventory.database.set_report("r1-n01", &report).await.unwrap();
        let committed = inventory
            .change_site(change("rename"), |site| {
                let host = site.hosts.remove("r1-n01").unwrap();
                site.hosts.insert("r1-n09".into(), host);
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(lines(&committed), ["~ host r1-n01 is now r1-n09"], "{}", store.kind);
        let database = &inventory.database;
        let again = store.inventory().await;
        assert_eq!(again.states.find("r1-n09", 0), Some(status.clone()), "{}", store.kind);
        let known = async {
            while inventory.states.find("r1-n09", 0) != Some(status.clone()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), known).await.expect(store.kind);
        assert_eq!(database.find_report("r1-n09").await.unwrap(), Some(report));
        assert_eq!(inventory.states.find("r1-n01", 0), None);
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_does_nothing() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        let dry = Change { dry_run: true, ..change("try") };
        let committed = inventory.replace_site(dry, site()).await.unwrap();
        assert_eq!(committed.differences.len(), 11, "{}", store.kind);
        assert_eq!(store.inventory().await.snapshot().site, Site::default(), "{}", store.kind);
        assert_eq!(inventory.snapshot().site, Site::default(), "{}", store.kind);
    }
}

#[tokio::test]
async fn a_change_of_what_somebody_else_changed_meanwhile_is_refused() {
    for store in Store::both().await {
        let (mine, other) = (store.inventory().await, store.inventory().await);
        apply(&mine, site()).await.unwrap();
        let seen = mine.snapshot().revision;
        let theirs = Change { who: "ann", ..change("unit 7") };
        other
            .change_site(theirs, |site| {
                site.hosts.get_mut("r1-n01").unwrap().unit = Some(7);
                Ok(())
            })
            .await
            .unwrap();
        let late = Change { base: Some(seen), ..change("late") };
        let error = mine.replace_site(late, site()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "ann changed the inventory meanwhile (unit 7; revision 2): look at it again, then \
             repeat your change",
            "{}",
            store.kind
        );
    }
}

#[tokio::test]
async fn a_change_by_another_process_is_seen_at_once() {
    for store in Store::both().await {
        let (server, other) = (store.inventory().await, store.inventory().await);
        let mut live = server.events.watch();
        let stop = tokio_util::sync::CancellationToken::new();
        let watching = tokio::spawn(server.clone().run_watch(stop.clone()));
        apply(&other, site()).await.unwrap();
        let seen = async { while !matches!(live.recv().await.unwrap(), Live::Revision(1)) {} };
        tokio::time::timeout(Duration::from_secs(10), seen).await.expect(store.kind);
        assert_eq!(server.snapshot().site, site(), "{}", store.kind);
        stop.cancel();
        watching.await.unwrap().unwrap();
        server.database.close().await;
    }
}

#[tokio::test]
async fn events_are_kept_and_move_the_hosts_they_are_about() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        let mac = Some("52:54:00:aa:00:01".parse().unwrap());
        let events = &inventory.events;
        let (way, client) = (Way::Interface("eth\n0".into()), Client::Pxe(Arch::X64Efi));
        let question = DhcpMessage { address: None, client, way, unanswered: None };
        events.record(Some("r1-n01"), mac, EventData::Discover(question));
        let address = Some("10.77.0.12".parse().unwrap());
        let ack = Ack { grant: AckKind::Given, address, seconds: Some(60), boots: None };
        events.record(Some("r1-n01"), mac, EventData::Ack(ack));
        let release = EventData::Release { address: "10.77.0.12".parse().unwrap() };
        events.record(None, mac, release);
        assert!(events.flush(Duration::from_secs(10)).await, "{}", store.kind);

        let database = &inventory.database;
        let of_host =
            EventFilter { host: Some("r1-n01".into()), limit: 10, ..EventFilter::default() };
        let found = database.list_events(&of_host).await.unwrap();
        let texts: Vec<_> = found.iter().map(|event| (event.kind(), event.text())).collect();
        let expected = [
            (EventKind::Ack, "given 10.77.0.12 for 60 s".to_owned()),
            (EventKind::Discover, "asks for an address on eth?0 (UEFI x64 PXE)".to_owned()),
        ];
        assert_eq!(texts, expected, "{}", store.kind);
        assert_eq!(found[0].mac, mac, "{}", store.kind);
        let newest = EventFilter { limit: 1, ..EventFilter::default() };
        assert_eq!(
            database.list_events(&newest).await.unwrap()[0].text(),
            "gave 10.77.0.12 back",
            "{}",
            store.kind
        );

        let last = database.list_last_events().await.unwrap();
        assert_eq!(last.len(), 1, "{}: {last:?}", store.kind);
        assert_eq!(last["r1-n01"].kind(), EventKind::Ack, "{}", store.kind);

        let status = inventory.states.list(0);
        assert_eq!(status["r1-n01"].state, HostState::Booting, "{}", store.kind);
        assert_eq!(status["r1-n02"].state, HostState::Waiting, "{}", store.kind);
        assert_eq!(database.remove_events_before(i64::MAX).await.unwrap(), 3, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_revision_holds_what_it_changed_and_nothing_else() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        apply(&inventory, site()).await.unwrap();
        inventory
            .change_site(change("move it"), |site| {
                site.hosts.get_mut("r1-n01").unwrap().unit = Some(9);
                Ok(())
            })
            .await
            .unwrap();
        let revisions = inventory.database.list_revisions(10).await.unwrap();
        let ids: Vec<_> = revisions.iter().map(|revision| revision.id).collect();
        assert_eq!(ids, [2, 1], "{}", store.kind);
        let newest = &revisions[0];
        assert_eq!((newest.who.as_str(), newest.summary.as_str()), ("test", "move it"));
        let differences = newest.differences().unwrap();
        assert_eq!(differences[0].to_string(), "~ host r1-n01 unit: 1 -> 9", "{}", store.kind);
        assert!(!newest.after.contains("r1-n02"), "{}: {}", store.kind, newest.after);
        assert_eq!(inventory.database.find_revision(2).await.unwrap().as_ref(), Some(newest));
    }
}

/// Two tenants, one profile that serves both, and a host of each.
const TENANTS: &str = r##"
tenants: {acme: {}, globex: {}}
subnets:
  acme-internal:
    {cidr: 172.16.160.0/24, vlan: 500, tenant: acme, role: internal, gateway: 172.16.160.254,
     dns: [172.16.160.253], ranges: [{from: 172.16.160.10, to: 172.16.160.99, for: hosts}]}
  globex-internal:
    {cidr: 172.16.161.0/24, vlan: 501, tenant: globex, role: internal, gateway: 172.16.161.254,
     dns: [172.16.161.253], ranges: [{from: 172.16.161.10, to: 172.16.161.99, for: hosts}]}
profiles:
  leased: {vlans: {lan: {link: eth0, subnet: tenant/internal}}}
hosts:
  a: {tenant: acme, leased-from: 2026-01-01, leased-until: 2026-12-31, profile: leased,
      nics: {eth0: "52:54:00:aa:00:01"}, reservations: {acme-internal: 172.16.160.10}}
  b: {tenant: globex, profile: leased, nics: {eth0: "52:54:00:aa:00:02"}}
"##;

#[tokio::test]
async fn a_host_moves_to_another_tenant_by_one_edit_which_is_told_first() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        let site = site_file::parse(TENANTS, "site.yaml").unwrap();
        apply(&inventory, site).await.unwrap();
        let stored = Inventory::open(store.open().await).await.unwrap().snapshot();
        let a = &stored.site.hosts["a"];
        assert_eq!(a.addresses["lan"].to_string(), "172.16.160.11");
        assert_eq!(a.rented_until.unwrap().to_string(), "2026-12-31");
        assert_eq!(stored.site.subnets["acme-internal"].role.as_deref(), Some("internal"));

        let give = |site: &mut Site| {
            site.hosts.get_mut("a").unwrap().give_to(Some("globex".into()));
            Ok(())
        };
        let told = Change { dry_run: true, ..change("give a to globex") };
        let mut told = inventory.change_site(told, give).await.unwrap();
        let consequences = told.take_consequences().await;
        assert_eq!(consequences.host_count(), 1, "{consequences:?}");
        assert_eq!(
            consequences.hosts[0].facts,
            [
                "DHCP on acme-internal: 172.16.160.10 -> none",
                "DNS of lan: 172.16.160.253 -> 172.16.161.253",
                "VLAN of lan: 500 -> 501",
                "address of lan: 172.16.160.11/24 -> 172.16.161.11/24",
                "router of lan: 172.16.160.254 -> 172.16.161.254",
            ],
        );
        assert!(consequences.hosts[0].lines.iter().any(|line| line.text == "+ Id=501"));

        let done = inventory.change_site(change("give a to globex"), give).await.unwrap();
        assert_eq!(done.differences, told.differences);
        let free = inventory.change_site(change("a new host of acme"), |site| {
            let mut host = site.hosts["b"].clone();
            host.give_to(Some("acme".into()));
            host.nics["eth0"] = Mac([2, 0, 0, 0, 0, 9]).into();
            host.addresses.clear();
            site.hosts.insert("c".into(), host);
            Ok(())
        });
        free.await.unwrap();
        let snapshot = inventory.snapshot();
        assert_eq!(snapshot.site.hosts["c"].addresses["lan"].to_string(), "172.16.160.10");
        assert_eq!(snapshot.site.hosts["a"].rented_until, None);

        let refused = inventory.change_site(change("a host of nobody"), |site| {
            site.hosts.get_mut("c").unwrap().give_to(None);
            Ok(())
        });
        let refused = refused.await.unwrap_err().to_string();
        assert!(refused.contains("rented to nobody") && refused.contains("N191"), "{refused}");
    }
}
