use std::net::Ipv4Addr;

use super::*;
use crate::dhcp::test_packets::subnet;
use crate::leases::facts::LeaseFacts;
use crate::leases::fill::{Level, Usage};
use crate::model::Host;
use crate::model::Mac;

/// A client without an Ethernet address.
const NIC: Option<NicAddress> = None;
const NOW: i64 = 1_800_000_000;

fn net() -> Ipv4Net {
    "10.0.0.0/24".parse().unwrap()
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn mac(number: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0xaa, 0, number])
}

fn client(number: u8) -> ClientKey {
    ClientKey::Mac(mac(number))
}

/// A table of a subnet with the addresses .100 to .103 for anybody.
fn table(site: &Site) -> Table {
    let mut table = Table::default();
    table.set_site(1, site, NOW);
    table
}

fn site() -> Site {
    let mut site = Site::default();
    let subnet = subnet("10.0.0.0/24", &[("10.0.0.100", "10.0.0.103")]);
    site.subnets.insert("provisioning".into(), subnet);
    site
}

/// A host `r1-n01` with the NIC of client 1 that owns an address.
fn site_with_host(own: u8) -> Site {
    let mut site = site();
    let mut host = Host::default();
    host.nics.insert("eth0".into(), mac(1).into());
    host.reservations.insert("provisioning".into(), address(own).into());
    site.hosts.insert("r1-n01".into(), host);
    site
}

fn lease(last: u8, number: u8, until: i64) -> Lease {
    Lease {
        address: address(last),
        client: client(number),
        nic: Some(mac(number).into()),
        subnet: "provisioning".into(),
        state: LeaseState::Bound,
        starts_at: NOW,
        expires_at: until,
        taken_over: false,
    }
}

/// The table at a moment, with the site that it has.
fn at(table: &mut Table, now: i64) -> &mut Table {
    table.tick(now);
    table
}

fn facts_of(
    table: &mut Table,
    client: &ClientKey,
    reserved: Option<Ipv4Addr>,
    now: i64,
) -> LeaseFacts {
    let asked = LeaseFacts { reserved, may_lease: true, ..LeaseFacts::default() };
    at(table, now).complete(asked, client, None, net())
}

#[test]
fn an_offer_keeps_the_address_until_it_ends_or_is_withdrawn() {
    let mut table = table(&site());
    table.offer(&client(1), NIC, address(100), NOW + 60);
    assert_eq!(facts_of(&mut table, &client(2), None, NOW).free, Some(address(101)));
    assert_eq!(facts_of(&mut table, &client(1), None, NOW + 59).offered, Some(address(100)));
    assert_eq!(at(&mut table, NOW).count(net()), (4, 3));
    facts_of(&mut table, &client(1), None, NOW + 60);
    assert_eq!(at(&mut table, NOW).count(net()), (4, 4));
    table.offer(&client(1), NIC, address(100), NOW + 120);
    table.withdraw(&client(1), NIC);
    assert_eq!(at(&mut table, NOW).count(net()), (4, 4));
}

#[test]
fn a_client_that_asks_a_thousand_times_holds_one_address() {
    let mut table = table(&site());
    for second in 0..1000 {
        let facts = facts_of(&mut table, &client(1), None, NOW + second / 10);
        let offered = facts.offered.or(facts.free).unwrap();
        table.offer(&client(1), NIC, offered, NOW + second / 10 + 60);
    }
    assert_eq!(at(&mut table, NOW).count(net()), (4, 3));
    assert!(facts_of(&mut table, &client(1), None, NOW + 100).offered.is_some());
}

#[test]
fn a_lease_that_ran_out_is_kept_for_its_client_while_nobody_needs_it() {
    let mut table = table(&site());
    table.put(lease(100, 1, NOW + 60));
    assert_eq!(facts_of(&mut table, &client(1), None, NOW + 59).leased, Some(address(100)));
    let facts = facts_of(&mut table, &client(1), None, NOW + 60);
    assert_eq!((facts.leased, facts.previous), (None, Some(address(100))));
    table.put(Lease { starts_at: NOW + 60, ..lease(100, 2, NOW + 120) });
    let facts = facts_of(&mut table, &client(1), None, NOW + 61);
    assert_eq!((facts.previous, facts.known), (None, false));
}

#[test]
fn a_released_address_is_free_at_once_and_a_declined_one_is_not() {
    let mut table = table(&site());
    table.put(lease(100, 1, NOW + 60));
    table.put(Lease { state: LeaseState::Released, ..lease(100, 1, NOW) });
    assert_eq!(at(&mut table, NOW).count(net()), (4, 4));
    table.put(Lease { state: LeaseState::Declined, ..lease(100, 1, NOW + 600) });
    let facts = facts_of(&mut table, &client(1), None, NOW + 599);
    assert_eq!((facts.leased, facts.previous, facts.free), (None, None, Some(address(101))));
    facts_of(&mut table, &client(1), None, NOW + 600);
    assert_eq!(at(&mut table, NOW).count(net()), (4, 4));
    // An operator who knows better.
    table.put(Lease { state: LeaseState::Declined, ..lease(101, 1, NOW + 6000) });
    table.forget(address(101));
    assert_eq!(at(&mut table, NOW).count(net()), (4, 4));
}

#[test]
fn an_end_that_is_stored_takes_no_offer_that_was_made_since() {
    let mut table = table(&site());
    table.put(lease(100, 1, NOW + 60));
    let released = Lease { state: LeaseState::Released, ..lease(100, 1, NOW) };
    table.end(released.clone());
    assert!(table.is_ending(address(100)));
    table.offer(&client(2), NIC, address(100), NOW + 60);
    // The database knows better when the lease began.
    table.put(Lease { starts_at: NOW - 60, ..released });
    assert!(table.is_offered(address(100)) && !table.is_ending(address(100)));
    assert_eq!(table.find(address(100)).unwrap().starts_at, NOW - 60);
}

#[test]
fn the_end_of_one_address_leaves_a_clients_other_address_on_offer() {
    let mut table = table(&site());
    table.put(lease(100, 1, NOW + 60));
    table.offer(&client(1), NIC, address(101), NOW + 60);
    table.end(Lease { state: LeaseState::Declined, ..lease(100, 1, NOW + 600) });
    assert!(table.is_offered(address(101)));
}

/// An owned address in the range is nobody else's, its owner being away or not.
#[test]
fn an_address_that_a_host_owns_is_never_free() {
    let mut table = table(&site_with_host(100));
    assert_eq!(facts_of(&mut table, &client(2), None, NOW).free, Some(address(101)));
    let host = ClientKey::Host("r1-n01".into());
    let own = Some(address(100));
    assert_eq!(facts_of(&mut table, &host, own, NOW).reserved, own);
    assert_eq!(table.owner(address(100)), Some("r1-n01"));
}

#[test]
fn an_owner_waits_for_the_end_of_another_clients_lease() {
    let mut table = table(&site());
    table.put(lease(100, 2, NOW + 60));
    table.set_site(2, &site_with_host(100), NOW);
    let host = ClientKey::Host("r1-n01".into());
    let own = Some(address(100));
    assert_eq!(facts_of(&mut table, &host, own, NOW + 59).reserved, None);
    // Its present holder may not renew it.
    assert_eq!(facts_of(&mut table, &client(2), None, NOW + 59).leased, None);
    assert_eq!(facts_of(&mut table, &host, own, NOW + 60).reserved, own);
    assert_eq!(facts_of(&mut table, &client(2), None, NOW + 60).previous, None);
}

#[test]
fn a_host_that_is_added_renamed_or_removed_keeps_what_its_nic_leases() {
    let mut table = table(&site());
    table.put(lease(102, 1, NOW + 600));
    let mut site_before = site_with_host(10);
    table.set_site(2, &site_before, NOW);
    let named = ClientKey::Host("r1-n01".into());
    assert_eq!(facts_of(&mut table, &named, None, NOW).leased, Some(address(102)));
    let host = site_before.hosts.remove("r1-n01").unwrap();
    site_before.hosts.insert("r1-n02".into(), host);
    table.set_site(3, &site_before, NOW);
    let renamed = ClientKey::Host("r1-n02".into());
    assert_eq!(facts_of(&mut table, &renamed, None, NOW).leased, Some(address(102)));
    table.set_site(4, &site(), NOW);
    assert_eq!(facts_of(&mut table, &client(1), None, NOW).leased, Some(address(102)));
}

#[test]
fn a_host_without_macs_keeps_its_lease_when_it_is_named_otherwise() {
    let mut table = table(&site());
    table.put(Lease { client: ClientKey::Id("ff01".into()), ..lease(102, 1, NOW + 600) });
    let named = |name: &str| {
        let mut site = site();
        let known_by = serde_json::from_str(r#"{"match": {"client-id": "hex:ff01"}}"#).unwrap();
        site.hosts.insert(name.into(), known_by);
        site
    };
    for (revision, name) in [(2, "r1-n01"), (3, "r1-n02")] {
        table.set_site(revision, &named(name), NOW);
        let host = ClientKey::Host(name.into());
        assert_eq!(facts_of(&mut table, &host, None, NOW).leased, Some(address(102)), "{name}");
    }
}

#[test]
fn a_lease_outside_the_ranges_of_today_cannot_be_kept() {
    let mut table = table(&site());
    table.put(lease(50, 1, NOW + 600));
    let facts = facts_of(&mut table, &client(1), None, NOW);
    assert_eq!((facts.leased, facts.known), (None, true));
}

#[test]
fn what_belongs_to_the_network_is_never_given() {
    let mut site = site();
    let subnet = site.subnets.get_mut("provisioning").unwrap();
    subnet.gateway = Some(address(100).into());
    subnet.dns = vec!["10.0.0.101".parse().unwrap()];
    let mut table = table(&site);
    table.set_own_addresses("eth0", vec![address(102)]);
    assert_eq!(facts_of(&mut table, &client(1), None, NOW).free, Some(address(103)));
    assert_eq!(at(&mut table, NOW).count(net()), (4, 1));
    // The server moves.
    table.set_own_addresses("eth0", vec![address(103)]);
    assert_eq!(facts_of(&mut table, &client(1), None, NOW).free, Some(address(102)));
}

#[test]
fn servers_that_share_pools_offer_a_client_the_same_address_and_two_clients_different_ones() {
    let mut site = Site::default();
    let subnet = subnet("10.0.0.0/24", &[("10.0.0.50", "10.0.0.149")]);
    site.subnets.insert("provisioning".into(), subnet);
    let server = || {
        let mut table = Table::new(Allocation::ByClient);
        table.set_site(1, &site, NOW);
        table
    };
    let (mut one, mut other) = (server(), server());
    let offer = |table: &mut Table, number: u8| {
        let address = facts_of(table, &client(number), None, NOW).free.unwrap();
        table.offer(&client(number), NIC, address, NOW + 60);
        address
    };
    // In another order at each server.
    let at_one: Vec<Ipv4Addr> = (1..=40).map(|number| offer(&mut one, number)).collect();
    let mut at_other: Vec<Ipv4Addr> = (1..=40).rev().map(|it| offer(&mut other, it)).collect();
    at_other.reverse();
    let same = at_one.iter().zip(&at_other).filter(|(one, other)| one == other).count();
    // The others met somebody else's offer at their place, each at one of the servers.
    assert!(same > 20, "{same} of 40: {at_one:?} {at_other:?}");
    for addresses in [&at_one, &at_other] {
        assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 40);
    }
    // Written down, since servers of two versions share pools during an upgrade.
    assert_eq!(at_one[0], address(95));
    // The whole pool is used.
    for number in 41..=100 {
        let address = facts_of(&mut one, &client(number), None, NOW).free.unwrap();
        one.put(lease(address.octets()[3], number, NOW + 60));
    }
    assert_eq!(facts_of(&mut one, &client(101), None, NOW).free, None);
}

#[test]
fn only_who_comes_early_in_its_lease_is_answered_from_memory() {
    let mut table = table(&site());
    table.put(lease(100, 1, NOW + 3600));
    let again = |at: i64| Lease { expires_at: at + 3600, ..lease(100, 1, 0) };
    let cases = [
        ("at once", NOW, again(NOW), true),
        ("after a quarter", NOW + 900, again(NOW + 900), true),
        ("after more than a quarter", NOW + 901, again(NOW + 901), false),
        ("for a shorter time", NOW, Lease { expires_at: NOW + 60, ..again(NOW) }, false),
        ("by another NIC", NOW, Lease { nic: Some(mac(9).into()), ..again(NOW) }, false),
        ("by another client", NOW, Lease { client: client(2), ..again(NOW) }, false),
        ("for another address", NOW, Lease { address: address(101), ..again(NOW) }, false),
    ];
    for (name, now, wanted, expected) in cases {
        assert_eq!(at(&mut table, now).is_fresh(&wanted), expected, "{name}");
    }
}

/// Invented MACs do not take what hosts need.
#[test]
fn strangers_are_offered_half_of_the_addresses_at_once() {
    let mut site = site();
    let subnet = subnet("10.0.0.0/16", &[("10.0.1.0", "10.0.1.99")]);
    site.subnets.insert("provisioning".into(), subnet);
    let mut table = table(&site);
    let net = "10.0.0.0/16".parse().unwrap();
    let mut offer = |client: &ClientKey, now: i64| {
        let asked = LeaseFacts { may_lease: true, ..LeaseFacts::default() };
        let free = at(&mut table, now).complete(asked, client, None, net).free;
        free.inspect(|address| table.offer(client, NIC, *address, now + 60))
    };
    let offered = (0..200).filter(|number| offer(&client(*number), NOW).is_some()).count();
    assert_eq!(offered, 50);
    assert!(offer(&ClientKey::Host("r1-n01".into()), NOW).is_some());
    assert!(offer(&client(210), NOW + 60).is_some(), "old offers end");
}

#[test]
fn a_client_that_refuses_every_address_is_believed_three_times_an_hour() {
    let mut table = Table::default();
    let mut believed = |seconds: i64| at(&mut table, NOW + seconds).believes_decline(&client(1));
    assert_eq!([0, 1, 2, 3, 4].map(&mut believed), [true, true, true, false, false]);
    assert!(believed(3600), "an hour later");
}

#[test]
fn what_hosts_own_is_not_counted_and_what_was_told_outlives_a_new_site() {
    let mut table = table(&site_with_host(100));
    assert_eq!(at(&mut table, NOW).usage(net()), Usage { used: 0, of: 3 });
    table.put(lease(101, 2, NOW + 60));
    table.offer(&client(3), NIC, address(102), NOW + 60);
    assert_eq!(at(&mut table, NOW).fill_news(net()), None);
    table.offer(&client(4), NIC, address(103), NOW + 60);
    let full = Usage { used: 3, of: 3 };
    assert_eq!(at(&mut table, NOW).fill_news(net()), Some((Level::Exhausted, full)));
    table.set_site(2, &site_with_host(100), NOW);
    assert_eq!(
        (at(&mut table, NOW).usage(net()), at(&mut table, NOW).fill_news(net())),
        (full, None)
    );
    assert_eq!(at(&mut table, NOW + 60).usage(net()), Usage { used: 0, of: 3 });
    assert_eq!(at(&mut table, NOW + 60).fill_news(net()), None);
    // The host goes, and its address is anybody's.
    table.set_site(3, &site(), NOW + 60);
    assert_eq!(at(&mut table, NOW + 60).usage(net()), Usage { used: 0, of: 4 });
    assert_eq!(at(&mut table, NOW + 60).usage("10.9.0.0/24".parse().unwrap()), Usage::default());
}

/// What a NIC of a host finds out: an operating system, or firmware.
fn ask_by(table: &mut Table, host: &Host, nic: Mac, is_firmware: bool, now: i64) -> LeaseFacts {
    let asked = LeaseFacts {
        reserved: Some(address(101)),
        requested: Some(address(101)),
        may_lease: true,
        nic: Some(nic.into()),
        is_firmware,
        ..LeaseFacts::default()
    };
    at(table, now).complete(asked, &ClientKey::Host("r1-n01".into()), Some(host), net())
}

fn two_nics() -> (Host, [Mac; 2]) {
    let macs = [1, 2].map(|last| Mac([0x52, 0x54, 0, 1, 0, last]));
    let nics = [("eth0", macs[0]), ("eth1", macs[1])];
    let nics = nics.map(|(label, mac)| (label.to_owned(), mac.into())).into_iter().collect();
    (Host { nics, ..Host::default() }, macs)
}

fn bound(address: Ipv4Addr, mac: Mac, until: i64) -> Lease {
    Lease {
        address,
        client: ClientKey::Host("r1-n01".into()),
        nic: Some(mac.into()),
        subnet: "provisioning".into(),
        state: LeaseState::Bound,
        starts_at: NOW,
        expires_at: until,
        taken_over: false,
    }
}

#[test]
fn the_second_nic_of_a_host_gets_another_address_while_the_first_uses_it() {
    let (host, [eth0, eth1]) = two_nics();
    let mut table = table(&site());
    table.put(bound(address(101), eth0, NOW + 600));
    let first = ask_by(&mut table, &host, eth0, false, NOW);
    assert_eq!((first.reserved, first.leased), (Some(address(101)), Some(address(101))));
    let second = ask_by(&mut table, &host, eth1, false, NOW);
    assert_eq!((second.reserved, second.leased), (None, None));
    assert!(!second.holds_requested, "it cannot decline or release the other's address");
    assert_eq!(second.free, Some(address(100)));
    // Firmware runs on one NIC at a time: the host was powered on anew.
    assert_eq!(ask_by(&mut table, &host, eth1, true, NOW).reserved, Some(address(101)));
    // The first NIC of a bond need not be the one that booted.
    table.note_firmware(address(101), Some(eth0.into()));
    assert_eq!(ask_by(&mut table, &host, eth1, false, NOW).reserved, Some(address(101)));
    table.note_firmware(address(101), None);
    assert_eq!(ask_by(&mut table, &host, eth1, false, NOW).reserved, None);
    assert_eq!(ask_by(&mut table, &host, eth1, false, NOW + 600).reserved, Some(address(101)));
}

#[test]
fn both_nics_of_a_host_may_have_an_offer_at_once() {
    let (host, [eth0, eth1]) = two_nics();
    let client = ClientKey::Host("r1-n01".into());
    let mut table = table(&site());
    table.offer(&client, Some(eth0.into()), address(101), NOW + 60);
    assert_eq!(ask_by(&mut table, &host, eth1, false, NOW).reserved, None);
    table.offer(&client, Some(eth1.into()), address(100), NOW + 60);
    assert_eq!(ask_by(&mut table, &host, eth0, false, NOW).offered, Some(address(101)));
    assert_eq!(ask_by(&mut table, &host, eth1, false, NOW).offered, Some(address(100)));
}

#[test]
fn an_address_that_a_mac_of_the_past_still_leases_is_probed_first() {
    let (host, [eth0, _]) = two_nics();
    let mut table = table(&site());
    let before = Mac([0x52, 0x54, 0, 1, 0, 0x77]);
    table.put(bound(address(101), before, NOW + 600));
    let facts = ask_by(&mut table, &host, eth0, false, NOW);
    assert_eq!((facts.reserved, facts.leased), (Some(address(101)), None));
    assert!(facts.reserved_needs_probe);
    assert!(!ask_by(&mut table, &host, eth0, false, NOW + 600).reserved_needs_probe);
    table.put(bound(address(101), eth0, NOW + 600));
    assert!(!ask_by(&mut table, &host, eth0, false, NOW).reserved_needs_probe, "its own");
}

#[test]
fn a_nic_leaves_its_other_lease_behind_when_it_takes_an_address() {
    let (_, [eth0, eth1]) = two_nics();
    let client = ClientKey::Host("r1-n01".into());
    let mut table = table(&site());
    table.put(bound(address(100), eth0, NOW + 600));
    table.put(bound(address(102), eth1, NOW + 600));
    table.put(bound(address(103), eth0, NOW + 1));
    let table = at(&mut table, NOW + 2);
    let left = table.left_behind(&client, Some(eth0.into()), address(101), net());
    assert_eq!(left.iter().map(|lease| lease.address).collect::<Vec<_>>(), [address(100)]);
    assert!(table.left_behind(&client, Some(eth0.into()), address(100), net()).is_empty());
    let elsewhere = "10.9.0.0/24".parse().unwrap();
    assert!(table.left_behind(&client, Some(eth0.into()), address(101), elsewhere).is_empty());
}
