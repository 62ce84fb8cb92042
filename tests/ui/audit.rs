//! The audit log as a page, without a script.

use super::server::Server;

#[tokio::test]
async fn logins_are_on_the_page_and_can_be_filtered() {
    let server = Server::start().await;
    for _ in 0..3 {
        assert_eq!(server.stranger().log_in("<b>eve", "wrong password").await.status(), 401);
    }
    let operator = server.operator().await;
    let page = operator.page("/audit").await;
    assert!(page.contains("ada logged in from 127.0.0.1"), "{page}");
    assert!(page.contains("login as &#34;&#60;b&#62;eve&#34; failed"), "{page}");
    assert!(page.contains("(3 times)"), "{page}");
    assert!(page.contains("first site (revision 1)"), "{page}");
    assert!(page.contains("<a href=\"/revisions/1\">"), "{page}");
    assert!(page.contains("aria-current=\"page\">Audit</a>"), "{page}");
    let failed = operator.page("/audit?kind=login-refused&who=&address=127.0.0.1").await;
    assert!(failed.contains("eve") && !failed.contains("ada logged in"), "{failed}");
    let none = operator.page("/audit?from=2100-01-01").await;
    assert!(none.contains("No entry matches"), "{none}");
    for query in ["from=never", "address=x", "kind=x"] {
        let wrong = operator.page(&format!("/audit?{query}")).await;
        assert!(wrong.contains("role=\"alert\""), "{query}: {wrong}");
    }
}

#[tokio::test]
async fn older_entries_are_behind_a_link() {
    use rackstrap::lifecycle::audit::{AuditAction, AuditEntry};
    let server = Server::start().await;
    let entry = |n: i64| {
        let user = format!("user-{n:03}");
        AuditEntry::new(
            "ada".into(),
            AuditAction::UserAdded { user, role: None },
            1_700_000_000_000 + n,
        )
    };
    let entries: Vec<_> = (0..250).map(entry).collect();
    server.app.inventory.database.add_audit(&entries).await.unwrap();
    let operator = server.operator().await;
    let (mut path, mut seen) = ("/audit?kind=user-added".to_owned(), Vec::new());
    loop {
        let page = operator.page(&path).await;
        let names = page.match_indices("created user user-");
        seen.extend(names.map(|(at, text)| page[at + text.len()..][..3].to_owned()));
        let Some((before, _)) = page.split_once("\" rel=\"next\"") else { break };
        let query = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
        path = format!("/audit{}", query.replace("&amp;", "&"));
    }
    let expected: Vec<_> = (0..250).rev().map(|n| format!("{n:03}")).collect();
    assert_eq!(seen, expected);
}
