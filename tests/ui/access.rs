//! Tokens and passwords.

use reqwest::header::LOCATION;

use super::server::{PASSWORD, Server, Visitor, fields};

async fn token_of(visitor: &Visitor) -> String {
    fields(&visitor.page("/access").await)[0].1.clone()
}

#[tokio::test]
async fn a_token_is_shown_once_and_can_be_removed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let csrf = token_of(&operator).await;
    let body = format!("csrf={csrf}&name=importer&days=30&role=operator");
    let html = operator.post("/access/tokens", body.clone()).await.text().await.unwrap();
    let (_, rest) = html.split_once("<code>").unwrap();
    let token = rest.split('<').next().unwrap().to_owned();
    let database = &server.app.inventory.database;
    let found = database.find_token(&token).await.unwrap().unwrap();
    assert!(found.may_change && found.name == "importer" && found.expires_at.is_some());
    let page = operator.page("/access").await;
    assert!(
        page.contains("importer") && page.contains("read and change") && !page.contains(&token)
    );

    let again = operator.post("/access/tokens", body).await;
    assert_eq!(again.status(), 422);
    assert!(again.text().await.unwrap().contains("token &#34;importer&#34; already exists"));
    for days in ["0", "-1", "x", "99999"] {
        let body = format!("csrf={csrf}&name=other&role=viewer&days={days}");
        assert_eq!(operator.post("/access/tokens", body).await.status(), 422, "{days}");
    }
    let path = "/access/tokens/importer/remove";
    let answer = operator.post(path, format!("csrf={csrf}")).await;
    assert_eq!(answer.status(), 200, "it asks first");
    assert!(answer.text().await.unwrap().contains("Revoke token importer?"));
    assert!(database.find_token(&token).await.unwrap().is_some());
    assert_eq!(operator.fill_in(path, &[]).await.status(), 303);
    assert!(database.find_token(&token).await.unwrap().is_none());
    assert_eq!(operator.post(path, format!("csrf={csrf}&do=save")).await.status(), 404);
    assert_eq!(operator.get(path).await.status(), 404);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let csrf = token_of(&operator).await;
    let old = PASSWORD.replace(' ', "+");
    let cases = [
        ("wrong", "new+password", "new+password", "the current password is wrong"),
        (&old, "new+password", "new+passwort", "the new passwords do not match"),
        (&old, "short", "short", "8 characters"),
    ];
    for (old, new, again, text) in cases {
        let body = format!("csrf={csrf}&old={old}&new={new}&again={again}");
        let answer = operator.post("/access/password", body).await;
        assert_eq!(answer.status(), 422);
        assert!(answer.text().await.unwrap().contains(text), "{text}");
    }
    let body = format!("csrf={csrf}&old={old}&new=new+password&again=new+password");
    let answer = operator.post("/access/password", body).await;
    assert_eq!(answer.headers()[LOCATION], "/access");
    assert_eq!(server.stranger().log_in("ada", PASSWORD).await.status(), 401);
    assert_eq!(server.stranger().log_in("ada", "new password").await.status(), 303);
}
