//! Light or dark by choice.

use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION, VARY};

use super::browser::Browser;
use super::journey::log_in;
use super::security::csrf;
use super::server::{Server, set_cookies};

const DARK: &str = "rgb(18, 23, 27)";
const LIGHT: &str = "rgb(246, 247, 248)";

#[tokio::test]
async fn the_style_sheet_follows_the_choice_of_the_browser() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let sheet = operator.get("/static/ui.css").await;
    let tag = sheet.headers()[ETAG].clone();
    assert_eq!(sheet.headers()[CACHE_CONTROL], "no-cache");
    assert_eq!(sheet.headers()[VARY], "Cookie");
    assert!(sheet.text().await.unwrap().contains("color-scheme: light dark;"));
    let page = operator.page("/access").await;
    assert!(page.contains("value=\"system\" aria-pressed=\"true\""), "{page}");
    let csrf = csrf(&page);

    for (theme, kept) in [("dark", "Max-Age=34560000"), ("light", "Max-Age=34560000")] {
        let answer = operator.post("/access/theme", format!("csrf={csrf}&theme={theme}")).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()[LOCATION], "/access#theme");
        let cookies = set_cookies(answer.headers());
        let cookie = cookies.iter().find(|cookie| cookie.starts_with("rackstrap-theme=")).unwrap();
        for word in ["HttpOnly", "SameSite=Strict", "Path=/", kept] {
            assert!(cookie.contains(word), "{cookie}");
        }
        let known = operator.client.get(format!("{}/static/ui.css", server.url));
        let sheet = known.header(IF_NONE_MATCH, &tag).send().await.unwrap();
        assert_eq!(sheet.status(), 200, "the old sheet does not stay in use");
        assert!(sheet.text().await.unwrap().contains(&format!("color-scheme: {theme};")));
        let page = operator.page("/access").await;
        assert!(page.contains(&format!("value=\"{theme}\" aria-pressed=\"true\"")), "{page}");
    }
    operator.post("/access/theme", format!("csrf={csrf}&theme=system")).await;
    let known = operator.client.get(format!("{}/static/ui.css", server.url));
    assert_eq!(known.header(IF_NONE_MATCH, &tag).send().await.unwrap().status(), 304);

    let wrong = operator.post("/access/theme", format!("csrf={csrf}&theme=sepia")).await;
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().await.unwrap().contains("expected system, light or dark"));
    assert_eq!(operator.post("/access/theme", "theme=dark").await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_theme_holds_for_every_page_and_the_login() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    assert_eq!(ground(&browser).await, LIGHT);
    for (theme, colour) in [("dark", DARK), ("light", LIGHT), ("dark", DARK)] {
        browser.client.goto(&format!("{}/access", server.url)).await.unwrap();
        browser.click(&format!("button[value={theme}]")).await;
        browser.find(&format!("button[value={theme}][aria-pressed=true]")).await;
        assert_eq!(ground(&browser).await, colour);
        browser.client.goto(&server.url).await.unwrap();
        browser.wait_for_text("h1", "Fleet").await;
        assert_eq!(ground(&browser).await, colour);
    }
    browser.client.goto(&format!("{}/access", server.url)).await.unwrap();
    browser.screenshot("access-dark").await;
    browser.client.goto(&format!("{}/hosts/nowhere", server.url)).await.unwrap();
    browser.wait_for_text("h1", "Error").await;
    assert_eq!(ground(&browser).await, DARK);
    browser.client.goto(&server.url).await.unwrap();
    browser.click(".top form button").await;
    browser.find("#password").await;
    assert_eq!(ground(&browser).await, DARK);
    browser.screenshot("login-dark").await;
    browser.close().await;
}

/// The colour behind the page.
async fn ground(browser: &Browser) -> String {
    let script = "return getComputedStyle(document.documentElement).backgroundColor";
    browser.run(script).await.as_str().unwrap().to_owned()
}
