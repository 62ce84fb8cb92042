//! Users, tokens and sessions on both databases.

use crate::common::store::Store;

#[tokio::test]
async fn the_first_start_makes_one_user_and_no_second_one() {
    for store in Store::both().await {
        let database = store.open().await;
        let password = database.add_first_user().await.unwrap().expect(store.kind);
        assert!(database.verify_password("admin", &password).await.unwrap(), "{}", store.kind);
        assert_eq!(database.add_first_user().await.unwrap(), None, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_user_logs_in_with_the_latest_password_only() {
    for store in Store::both().await {
        let database = store.open().await;
        database.add_user("ann", "first password", rackstrap::model::Role::Admin).await.unwrap();
        let again = database
            .add_user("ann", "other password", rackstrap::model::Role::Admin)
            .await
            .unwrap_err();
        assert_eq!(again.to_string(), "user \"ann\" already exists", "{}", store.kind);
        assert!(
            database.add_user("bob", "short", rackstrap::model::Role::Admin).await.is_err(),
            "{}",
            store.kind
        );
        assert!(
            database.add_user("<b>", "long enough", rackstrap::model::Role::Admin).await.is_err(),
            "{}",
            store.kind
        );
        assert!(database.set_password("ann", "second password").await.unwrap());
        assert!(!database.set_password("nobody", "second password").await.unwrap());
        for (name, password, expected) in [
            ("ann", "second password", true),
            ("ann", "first password", false),
            ("nobody", "second password", false),
        ] {
            let verified = database.verify_password(name, password).await.unwrap();
            assert_eq!(verified, expected, "{} {name} {password}", store.kind);
        }
        assert_eq!(database.list_users().await.unwrap().len(), 1, "{}", store.kind);
        assert!(database.find_user("ann").await.unwrap().is_some(), "{}", store.kind);
        assert!(database.remove_user("ann").await.unwrap(), "{}", store.kind);
        assert!(!database.remove_user("ann").await.unwrap(), "{}", store.kind);
    }
}

#[tokio::test]
async fn a_token_works_until_it_ends_or_is_removed() {
    for store in Store::both().await {
        let database = store.open().await;
        let reader = database
            .add_token(&rackstrap::inventory::NewToken::new("ci", rackstrap::model::Role::Viewer))
            .await
            .unwrap();
        let ended = database
            .add_token(&rackstrap::inventory::NewToken {
                expires_at: Some(1),
                ..rackstrap::inventory::NewToken::new("old", rackstrap::model::Role::Operator)
            })
            .await
            .unwrap();
        assert!(
            database
                .add_token(&rackstrap::inventory::NewToken::new(
                    "ci",
                    rackstrap::model::Role::Operator
                ))
                .await
                .is_err(),
            "{}",
            store.kind
        );
        let found = database.find_token(&reader).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.may_change), ("ci", false), "{}", store.kind);
        assert_eq!(database.find_token(&ended).await.unwrap(), None, "{}", store.kind);
        assert_eq!(database.find_token("rackstrap_x").await.unwrap(), None, "{}", store.kind);
        assert_eq!(database.list_tokens().await.unwrap().len(), 2, "{}", store.kind);
        assert!(database.remove_token("ci").await.unwrap(), "{}", store.kind);
        assert_eq!(database.find_token(&reader).await.unwrap(), None, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_session_outlives_the_server_and_ends_in_time() {
    use rackstrap::inventory::SessionStore;
    use tower_sessions::SessionStore as _;
    use tower_sessions::cookie::time::{Duration, OffsetDateTime};
    use tower_sessions::session::{Id, Record};
    for store in Store::both().await {
        let sessions = SessionStore::new(store.open().await);
        let mut record = Record {
            id: Id::default(),
            data: [("user".to_owned(), "ann".into())].into(),
            expiry_date: OffsetDateTime::now_utc() + Duration::hours(1),
        };
        sessions.create(&mut record).await.unwrap();
        let after_restart = SessionStore::new(store.open().await);
        let found = after_restart.load(&record.id).await.unwrap().expect(store.kind);
        assert_eq!(found.data, record.data, "{}", store.kind);

        let mut other = Record { id: record.id, ..record.clone() };
        sessions.create(&mut other).await.unwrap();
        assert_ne!(other.id, record.id, "{}: an id is never given twice", store.kind);

        record.expiry_date = OffsetDateTime::now_utc() - Duration::seconds(1);
        sessions.save(&record).await.unwrap();
        assert_eq!(sessions.load(&record.id).await.unwrap(), None, "{}", store.kind);
        sessions.delete(&other.id).await.unwrap();
        assert_eq!(sessions.load(&other.id).await.unwrap(), None, "{}", store.kind);
    }
}
