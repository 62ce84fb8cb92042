//! The end of a tenant's lease is told once, on both databases and by two servers.

use std::time::Duration;

use rackstrap::inventory::{Change, EventFilter, Inventory};
use rackstrap::lifecycle::EventKind;
use rackstrap::model::Site;

use crate::common::store::Store;

const SITE: &str = r#"
tenants: {acme: {}}
hosts:
  n1: {tenant: acme, rented-until: 2025-12-31, nics: {eth0: "52:54:00:aa:00:01"}}
  n2: {tenant: acme, rented-until: 2026-12-31, nics: {eth0: "52:54:00:aa:00:02"}}
  n3: {tenant: acme, nics: {eth0: "52:54:00:aa:00:03"}}
"#;

/// 2026-01-01 and 2027-01-01, in Unix seconds.
const NEW_YEARS: [i64; 2] = [1_767_225_600, 1_798_761_600];

async fn change(inventory: &Inventory, edit: impl FnOnce(&mut Site)) {
    let change = Change { who: "test", summary: "test", ..Change::default() };
    let edit = |site: &mut Site| {
        edit(site);
        Ok(())
    };
    inventory.change_site(change, edit).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_lease_is_told_once_however_many_servers_there_are() {
    for store in Store::both().await {
        let (one, two) = (store.inventory().await, store.inventory().await);
        change(&one, |site| *site = serde_saphyr::from_str(SITE).unwrap()).await;
        two.reload().await.unwrap();
        let [first, second] = NEW_YEARS;
        assert_eq!(one.tell_rental_ends(first - 1).await.unwrap(), 0, "{}: before", store.kind);
        let (by_one, by_two) =
            tokio::join!(one.tell_rental_ends(first), two.tell_rental_ends(first));
        assert_eq!(by_one.unwrap() + by_two.unwrap(), 1, "{}: at once", store.kind);
        assert_eq!(two.tell_rental_ends(first + 60).await.unwrap(), 0, "{}: later", store.kind);
        assert_eq!(two.tell_rental_ends(second).await.unwrap(), 1, "{}: the next", store.kind);

        // A lease that was lengthened ends again.
        let longer = "2026-06-30".parse().ok();
        change(&one, |site| site.hosts.get_mut("n1").unwrap().rented_until = longer).await;
        assert_eq!(one.tell_rental_ends(second).await.unwrap(), 1, "{}: again", store.kind);
        assert_eq!(one.tell_rental_ends(second).await.unwrap(), 0, "{}: once more", store.kind);

        for inventory in [&one, &two] {
            assert!(inventory.events.flush(Duration::from_secs(10)).await);
        }
        let filter = EventFilter { limit: 100, ..EventFilter::default() };
        let events = one.database.list_events(&filter).await.unwrap();
        let told = events.into_iter().filter(|event| event.kind() == EventKind::Warning);
        let mut told: Vec<String> = told
            .map(|event| format!("{}: {}", event.host.as_ref().unwrap(), event.text()))
            .collect();
        told.sort();
        let sentence = |host: &str, until: &str| {
            format!("{host}: the rental of tenant acme has ended ({until}); nothing was changed")
        };
        let expected = [("n1", "2025-12-31"), ("n1", "2026-06-30"), ("n2", "2026-12-31")]
            .map(|(h, u)| sentence(h, u));
        assert_eq!(told, expected, "{}", store.kind);
    }
}
