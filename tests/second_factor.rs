//! The second factor of users: set up, asked for, used up and reset, in the UI as it is without
//! JavaScript, on both databases.

use rackstrap::inventory::{CodeCheck, Inventory};
use rackstrap::model::Role;
use totp_rs::{Builder, Secret, Totp};

use crate::common::desk::Desk;
use crate::common::store::Store;
use crate::ui::server::{PASSWORD, Server, Visitor, fields};

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The authenticator of a user, which knows the secret in base32.
fn authenticator(secret: &str) -> Totp {
    let secret: String = secret.split_whitespace().collect();
    let secret = Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret.as_bytes()).with_account_name("x").build().unwrap()
}

fn code(totp: &Totp, at: i64) -> String {
    totp.generate(u64::try_from(at).unwrap()).to_string()
}

async fn with_key(inventory: &Inventory, directory: &tempfile::TempDir) {
    inventory.use_key_file(&directory.path().join("secret.key"), true).await.unwrap();
}

#[tokio::test]
async fn a_code_is_right_once_and_a_recovery_code_too() {
    for store in Store::both().await {
        let kind = store.kind;
        let inventory = store.inventory().await;
        let keys = tempfile::tempdir().unwrap();
        inventory.database.add_user("ann", "a good password", Role::Admin).await.unwrap();
        let said = inventory.begin_second_factor("ann").await.unwrap_err().to_string();
        assert!(said.contains("no key file"), "{kind}: {said}");
        with_key(&inventory, &keys).await;
        inventory.begin_second_factor("ann").await.unwrap();
        let enrolment = inventory.enrolment("ann").await.unwrap().unwrap();
        assert!(enrolment.url.contains(&enrolment.secret), "{}", enrolment.url);
        let totp = authenticator(&enrolment.secret);
        let at = now();

        // It is off until its first code.
        assert!(!inventory.database.find_user("ann").await.unwrap().unwrap().has_second_factor);
        assert_eq!(
            inventory.check_code("ann", &code(&totp, at), at).await.unwrap(),
            CodeCheck::Wrong
        );
        assert_eq!(
            inventory.confirm_second_factor("ann", "000000", at - 3000).await.unwrap(),
            None
        );
        let codes = inventory.confirm_second_factor("ann", &code(&totp, at), at).await.unwrap();
        let codes = codes.expect(kind);
        assert_eq!(codes.len(), 10, "{kind}");
        assert!(inventory.database.find_account("ann").await.unwrap().unwrap().has_second_factor);
        assert!(inventory.begin_second_factor("ann").await.is_err(), "{kind}");
        assert!(
            inventory.enrolment("ann").await.unwrap().is_none(),
            "the secret is not shown again"
        );

        // The first code was used up; a later one is right once, whichever server is asked.
        let other = store.inventory().await;
        with_key(&other, &keys).await;
        let check = async |inventory: &Inventory, text: &str, at| {
            inventory.check_code("ann", text, at).await.unwrap()
        };
        assert_eq!(check(&other, &code(&totp, at), at).await, CodeCheck::Wrong, "{kind}");
        let (later, text) = (at + 90, code(&totp, at + 90));
        let (one, two) = tokio::join!(check(&inventory, &text, later), check(&other, &text, later));
        let mut both = [one, two];
        both.sort_by_key(|check| *check == CodeCheck::Wrong);
        assert_eq!(both, [CodeCheck::Right, CodeCheck::Wrong], "{kind}");
        assert_eq!(check(&other, &code(&totp, at + 60), later).await, CodeCheck::Wrong, "earlier");
        assert_eq!(check(&inventory, &codes[3], later).await, CodeCheck::Recovery { left: 9 });
        assert_eq!(check(&other, &codes[3], later).await, CodeCheck::Wrong, "{kind}");
        let spaced = codes[4].replace('-', " ");
        assert_eq!(check(&other, &spaced, later).await, CodeCheck::Recovery { left: 8 });
        let renewed = inventory.renew_recovery_codes("ann").await.unwrap();
        assert_eq!(check(&inventory, &codes[5], later).await, CodeCheck::Wrong, "{kind}");
        assert_eq!(check(&inventory, &renewed[0], later).await, CodeCheck::Recovery { left: 9 });

        // With another key it cannot be read, and is not off.
        let strange = store.inventory().await;
        let lost = tempfile::tempdir().unwrap();
        with_key(&strange, &lost).await;
        assert!(strange.check_code("ann", "123456", later).await.is_err(), "{kind}");
        assert_eq!(check(&strange, &renewed[1], later).await, CodeCheck::Recovery { left: 8 });

        // It goes with its user.
        assert!(inventory.database.remove_user("ann").await.unwrap());
        assert_eq!(inventory.second_factor("ann").await.unwrap(), None, "{kind}");
    }
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before}: {text}"));
    rest.split_once(after).unwrap().0
}

async fn send(visitor: &Visitor, action: &str, more: &str) -> (u16, String) {
    let csrf = fields(&visitor.page("/access").await)[0].1.clone();
    let body = format!("csrf={csrf}&do={action}&{more}");
    let answer = visitor.post("/access/second-factor", body).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_login_asks_for_the_code_after_the_password() {
    let server = Server::start().await;
    let keys = tempfile::tempdir().unwrap();
    let inventory = &server.app.inventory;
    with_key(inventory, &keys).await;
    let ada = server.operator().await;
    let password = format!("password={}", PASSWORD.replace(' ', "+"));

    // Set up, by who knows the password.
    assert!(ada.page("/access").await.contains("A login asks for your password only."));
    let (status, html) = send(&ada, "begin", "password=wrong").await;
    assert!(status == 422 && html.contains("the current password is wrong"), "{html}");
    assert_eq!(send(&ada, "begin", &password).await.0, 303);
    let page = ada.page("/access/second-factor").await;
    assert!(page.contains("<svg class=\"qr\"") && page.contains("<path fill=\"#000\""), "{page}");
    let totp = authenticator(between(&page, "<code>", "</code>"));
    let (status, html) = send(&ada, "confirm", "code=12").await;
    assert!(status == 422 && html.contains("this code is wrong"), "{html}");
    // The neighbouring steps are right, too: each of these is a code of its own.
    let at = now();
    let (status, html) = send(&ada, "confirm", &format!("code={}", code(&totp, at - 30))).await;
    assert_eq!(status, 200, "{html}");
    let recovery: Vec<String> =
        between(&html, "<code>", "</code>").lines().map(str::to_owned).collect();
    assert_eq!(recovery.len(), 10, "{html}");
    assert!(ada.page("/access").await.contains("a code of your authenticator"));

    // The password alone opens nothing.
    let half = server.stranger();
    let answer = half.log_in("ada", PASSWORD).await;
    assert_eq!(answer.headers()["location"], "/login/code");
    for path in ["/", "/hosts", "/access/second-factor", "/live"] {
        assert_eq!(half.get(path).await.status(), 303, "{path}");
    }
    assert_eq!(half.fill_in("/login/code", &[("code", "000000")]).await.status(), 401);
    let answer = half.post("/login/code", format!("code={}", code(&totp, at))).await;
    assert_eq!(answer.status(), 403, "without the token of the form");
    let answer = half.fill_in("/login/code", &[("code", &code(&totp, at))]).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &"/".parse().unwrap())
    );
    assert_eq!(half.get("/hosts").await.status(), 200);

    // The same code again, by somebody who looked over a shoulder; then a recovery code, once.
    let replay = server.stranger();
    replay.log_in("ada", PASSWORD).await;
    let answer = replay.fill_in("/login/code", &[("code", &code(&totp, at))]).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.text().await.unwrap().contains("one that was used already"));
    assert_eq!(replay.fill_in("/login/code", &[("code", &recovery[0])]).await.status(), 303);
    let again = server.stranger();
    again.log_in("ada", PASSWORD).await;
    assert_eq!(again.fill_in("/login/code", &[("code", &recovery[0])]).await.status(), 401);

    // Wrong codes wait; the right password before each takes none back.
    let mut seen = Vec::new();
    for _ in 0..6 {
        let guess = server.stranger();
        guess.log_in("ada", PASSWORD).await;
        seen.push(guess.fill_in("/login/code", &[("code", "000000")]).await.status().as_u16());
    }
    assert!(seen.contains(&429), "{seen:?}");

    // A password that changes meanwhile ends what was begun.
    let begun = server.stranger();
    begun.log_in("ada", PASSWORD).await;
    let form = fields(&begun.page("/login/code").await)[0].1.clone();
    inventory.database.set_password("ada", "another password").await.unwrap();
    let body = format!("csrf={form}&code={}", recovery[1]);
    let answer = begun.post("/login/code", body).await;
    assert_eq!(answer.headers()["location"], "/login");

    // An admin removes it for somebody else.
    inventory.database.add_user("root", PASSWORD, Role::Admin).await.unwrap();
    let root = server.stranger();
    assert_eq!(root.log_in("root", PASSWORD).await.headers()["location"], "/");
    assert!(root.page("/users/ada").await.contains("Remove second factor"));
    let csrf = fields(&root.page("/access").await)[0].1.clone();
    let answer = root.post("/users/ada/second-factor", format!("csrf={csrf}")).await;
    assert_eq!(answer.status(), 303);
    let ada = server.stranger();
    assert_eq!(ada.log_in("ada", "another password").await.headers()["location"], "/");

    let query = rackstrap::inventory::AuditQuery { limit: 1000, ..Default::default() };
    let entries = inventory.database.page_audit(&query).await.unwrap();
    let texts: Vec<String> = entries.iter().map(|stored| stored.entry.text()).collect();
    for text in [
        "ada set up a second factor",
        "ada gave a wrong code after the right password",
        "ada used a recovery code (9 left)",
        "root removed the second factor of ada",
        "ada gave a wrong current password",
    ] {
        assert!(
            texts.iter().any(|said| *said == format!("{text} from 127.0.0.1")),
            "{text}: {texts:#?}"
        );
    }
}

#[tokio::test]
async fn a_command_resets_a_second_factor() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        desk.good_with("user set eve", "good password\n");
        assert_eq!(desk.good("user reset-second-factor eve"), "eve has no second factor\n");
        let inventory = desk.store.inventory().await;
        // The key file that the commands made.
        let key = desk.dir.path().join("data/secret.key");
        inventory.use_key_file(&key, true).await.unwrap();
        inventory.begin_second_factor("eve").await.unwrap();
        let totp = authenticator(&inventory.enrolment("eve").await.unwrap().unwrap().secret);
        let first = code(&totp, now());
        inventory.confirm_second_factor("eve", &first, now()).await.unwrap().unwrap();
        assert!(desk.good("user show eve").contains("admin, second factor, created"));
        assert_eq!(desk.json("user list")[0]["has_second_factor"], true);
        let said = desk.good("user reset-second-factor eve");
        assert_eq!(said, "removed the second factor of eve\n");
        assert_eq!(desk.json("user list")[0]["has_second_factor"], false);
        assert!(desk.bad("user reset-second-factor nobody")[0].contains("does not exist"));
        assert!(desk.good("audit --kind second-factor-removed").contains("of eve"));
    }
}
