//! The lease book on both databases: durable before the answer, and nothing given twice.

use std::net::Ipv4Addr;

use rackstrap::inventory::Change;
use rackstrap::leases::{CommitError, LeaseBook};
use rackstrap::model::{ClientKey, Lease, LeaseState, Mac};

use crate::common::store::Store;

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn mac(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, a, b, c])
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

/// What client `client` leases of address `number` for an hour from `now`.
fn lease(number: u32, client: u32, now: i64) -> Lease {
    Lease {
        address: address(number),
        client: ClientKey::Mac(mac(client)),
        nic: Some(mac(client).into()),
        subnet: "provisioning".into(),
        state: LeaseState::Bound,
        starts_at: now,
        expires_at: now + HOUR,
        taken_over: false,
    }
}

async fn open(store: &Store) -> LeaseBook {
    LeaseBook::open(store.open().await).await.unwrap()
}

#[tokio::test]
async fn a_lease_outlives_the_server() {
    for store in Store::both().await {
        let book = open(&store).await;
        let granted = book.commit(lease(1, 1, NOW), NOW).await.unwrap();
        assert_eq!(granted, lease(1, 1, NOW), "{}", store.kind);
        let renewed = book.commit(lease(1, 1, NOW + 600), NOW + 600).await.unwrap();
        assert_eq!((renewed.starts_at, renewed.expires_at), (NOW, NOW + 600 + HOUR));
        // No orderly end: the book is opened a second time beside the first.
        let again = open(&store).await;
        assert_eq!(again.list(), [renewed], "{}", store.kind);
    }
}

#[tokio::test]
async fn an_address_is_taken_until_its_lease_is_over() {
    let bound = LeaseState::Bound;
    let (released, declined) = (LeaseState::Released, LeaseState::Declined);
    let cases = [
        ("another's running lease", bound, 2, NOW + 10, false),
        ("its own running lease", bound, 1, NOW + 10, true),
        ("another's lease that ran out", bound, 2, NOW + HOUR, true),
        ("what another gave back", released, 2, NOW + 10, true),
        ("what it gave back itself", released, 1, NOW + 10, true),
        ("what another found in use", declined, 2, NOW + 10, false),
        ("what it found in use itself", declined, 1, NOW + 10, false),
        ("a quarantine that is over", declined, 2, NOW + HOUR, true),
    ];
    for store in Store::both().await {
        for (number, (name, state, client, now, granted)) in (1..).zip(cases) {
            // Each by a server of its own, so that the database alone decides.
            let (first, second) = (open(&store).await, open(&store).await);
            first.commit(lease(number, 1, NOW), NOW).await.unwrap();
            first.commit(Lease { state, ..lease(number, 1, NOW) }, NOW).await.unwrap();
            let outcome = second.commit(lease(number, client, now), now).await;
            // Who lost knows now what the other server did.
            let known = second.find(address(number)).map(|lease| lease.client);
            assert_eq!(known, Some(ClientKey::Mac(mac(if granted { client } else { 1 }))));
            let expected = if granted {
                Ok(lease(number, client, now))
            } else {
                Err(CommitError::Taken(address(number)))
            };
            let outcome = outcome.map(|got| Lease { starts_at: now, ..got });
            assert_eq!(outcome, expected, "{name} on {}", store.kind);
        }
    }
}

#[tokio::test]
async fn a_lease_follows_its_nic_when_the_host_gets_a_name() {
    for store in Store::both().await {
        let book = open(&store).await;
        book.commit(lease(1, 1, NOW), NOW).await.unwrap();
        let named = Lease { client: ClientKey::Host("r1-n01".into()), ..lease(1, 1, NOW) };
        assert_eq!(book.commit(named.clone(), NOW + 5).await, Ok(named), "{}", store.kind);
        // A client without a MAC shares none with others.
        let nobody =
            |id: &str| Lease { client: ClientKey::Id(id.into()), nic: None, ..lease(2, 1, NOW) };
        book.commit(nobody("ff01"), NOW).await.unwrap();
        let other = book.commit(nobody("ff02"), NOW).await;
        assert_eq!(other, Err(CommitError::Taken(address(2))), "{}", store.kind);
    }
}

/// Commits leases from a runtime of its own, as each served interface has one.
fn commit_elsewhere(book: &LeaseBook, first: u32) -> std::thread::JoinHandle<()> {
    let book = book.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for n in first..first + 100 {
            let stored = runtime.block_on(book.commit(lease(n, n, NOW), NOW));
            assert!(stored.is_ok(), "{stored:?}");
        }
    })
}

#[tokio::test]
async fn claims_from_several_runtimes_are_all_stored() {
    for store in Store::both().await {
        let book = open(&store).await;
        let others = [commit_elsewhere(&book, 10_000), commit_elsewhere(&book, 20_000)];
        let mut stored = 0;
        while others.iter().any(|other| !other.is_finished()) {
            let claims = (stored..stored + 20).map(|n| book.commit(lease(n, n, NOW), NOW));
            let outcomes = futures_util::future::join_all(claims).await;
            assert_eq!(outcomes.iter().find(|outcome| outcome.is_err()), None, "{}", store.kind);
            stored += 20;
        }
        // The book writes on after the other runtimes have ended.
        book.commit(lease(stored, stored, NOW), NOW).await.unwrap();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(open(&store).await.list().len() as u32, stored + 1 + 200, "{}", store.kind);
    }
}

#[tokio::test]
async fn two_servers_on_one_database_never_both_win() {
    const ADDRESSES: u32 = 400;
    for store in Store::both().await {
        let servers = [open(&store).await, open(&store).await];
        let claims = (0..ADDRESSES).flat_map(|number| {
            [
                (&servers[0], lease(number, number, NOW)),
                (&servers[1], lease(number, number + ADDRESSES, NOW)),
            ]
        });
        let claims = claims.map(|(server, lease)| server.commit(lease, NOW));
        let outcomes = futures_util::future::join_all(claims).await;
        let mut won: Vec<Ipv4Addr> =
            outcomes.iter().filter_map(|outcome| Some(outcome.as_ref().ok()?.address)).collect();
        won.sort();
        let all: Vec<Ipv4Addr> = (0..ADDRESSES).map(address).collect();
        assert_eq!(won, all, "{}: each address once", store.kind);
        let stored = open(&store).await.list();
        let said: Vec<Lease> = outcomes.into_iter().filter_map(Result::ok).collect();
        for lease in said {
            assert!(stored.contains(&lease), "{}: {lease:?} was promised", store.kind);
        }
    }
}

#[tokio::test]
async fn one_batch_keeps_the_order_of_what_happens_to_an_address() {
    for store in Store::both().await {
        let book = open(&store).await;
        let given_back = Lease { state: LeaseState::Released, expires_at: NOW, ..lease(1, 1, NOW) };
        let steps = [lease(1, 1, NOW), given_back, lease(1, 2, NOW), lease(1, 1, NOW)];
        let outcomes = steps.map(|step| book.commit(step, NOW));
        let outcomes = futures_util::future::join_all(outcomes).await;
        let won: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(won, [true, true, true, false], "{}", store.kind);
        assert_eq!(book.find(address(1)).unwrap().client, ClientKey::Mac(mac(2)));
    }
}

#[tokio::test]
async fn a_quarantine_can_be_ended_by_hand() {
    for store in Store::both().await {
        let book = open(&store).await;
        let declined = Lease { state: LeaseState::Declined, ..lease(1, 1, NOW) };
        book.commit(declined, NOW).await.unwrap();
        book.remove(address(1)).await.unwrap();
        assert_eq!(book.find(address(1)), None);
        book.commit(lease(1, 2, NOW), NOW).await.unwrap();
        assert_eq!(open(&store).await.list(), [lease(1, 2, NOW)], "{}", store.kind);
    }
}

#[tokio::test]
async fn a_lease_follows_its_host_through_every_name() {
    for store in Store::both().await {
        let inventory = store.inventory().await;
        let named = async |name: Option<&str>| {
            let nics = "{eth0: \"52:54:00:00:00:01\", eth1: \"52:54:00:00:00:02\"}";
            let host = name.map_or_else(
                || "{}".to_owned(),
                |name| format!("hosts: {{{name}: {{nics: {nics}}}}}"),
            );
            let site = rackstrap::site_file::parse(&host, "site.yaml").unwrap();
            let change = Change { who: "test", summary: "name", prune: true, ..Change::default() };
            inventory.replace_site(change, site).await.unwrap();
        };
        let holder = async || open(&store).await.find(address(1)).unwrap().client;
        open(&store).await.commit(lease(1, 1, NOW), NOW).await.unwrap();
        for name in ["r1-n01", "r1-n02"] {
            named(Some(name)).await;
            let host = ClientKey::Host(name.into());
            assert_eq!(holder().await, host, "{name} on {}", store.kind);
            // Its other NIC may have it as well.
            let other = Lease { client: host, nic: Some(mac(2).into()), ..lease(1, 1, NOW) };
            let granted = open(&store).await.commit(other.clone(), NOW + 1).await;
            assert_eq!(granted, Ok(other), "{name} on {}", store.kind);
        }
        named(None).await;
        assert_eq!(holder().await, ClientKey::Mac(mac(2)), "{}", store.kind);
    }
}
