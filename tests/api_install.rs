//! `/hosts/{name}/install` over real HTTP, on both databases: arming, dry runs, cancelling,
//! conditions and every refusal.

use rackstrap::inventory::Change;
use rackstrap::model::Site;
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::common::sample::{self, ARM_REFUSALS};
use crate::common::store::Store;

const PATH: &str = "/hosts/r1-n01/install";

async fn edit(server: &ApiServer, edit: impl FnOnce(&mut Site)) {
    let change = Change { who: "ada", summary: "for the test", ..Change::default() };
    let done = server.app.inventory.change_site(change, |site| {
        edit(site);
        Ok(())
    });
    done.await.unwrap();
}

/// A server whose host `r1-n01` has an image that installs.
async fn server(store: Store) -> ApiServer {
    let server = ApiServer::with_store(store).await;
    edit(&server, sample::install_first_host).await;
    server
}

/// A response: its status, entity tag and body.
struct Answered {
    status: u16,
    tag: String,
    body: Value,
}

async fn ask(server: &ApiServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Answered { status, tag: tag.unwrap_or_default(), body }
}

#[tokio::test]
async fn a_host_is_armed_and_cancelled() {
    for store in Store::both().await {
        let server = server(store).await;
        let never = ask(&server, "GET", PATH, &[]).await;
        assert_eq!(never.body, json!({"name": "r1-n01", "install": null}));

        for flag in ["dry-run", "dry-run=true", "dry_run=true"] {
            let tried = ask(&server, "POST", &format!("{PATH}?{flag}"), &[]).await;
            assert_eq!((tried.status, &tried.body["install"]["state"]), (200, &json!("armed")));
            assert_eq!(tried.body["dry_run"], true, "{flag}: {}", tried.body);
            assert_eq!(ask(&server, "GET", PATH, &[]).await.body["install"], Value::Null, "{flag}");
        }
        let armed = ask(&server, "POST", PATH, &[]).await;
        assert_eq!(armed.status, 200, "{}", armed.body);
        assert_eq!(armed.body.get("dry_run"), None, "{}", armed.body);
        let install = &armed.body["install"];
        assert_eq!((&install["state"], &install["image"]), (&json!("armed"), &json!("installer")));
        assert!(install["armed-by"].as_str().unwrap().contains("writer"), "{install}");
        assert_eq!(ask(&server, "GET", PATH, &[]).await.body, armed.body);

        let tried = ask(&server, "DELETE", &format!("{PATH}?dry-run"), &[]).await;
        assert_eq!((tried.status, &tried.body["install"]["state"]), (200, &json!("cancelled")));
        assert_eq!(tried.body["dry_run"], true, "{}", tried.body);
        assert_eq!(ask(&server, "GET", PATH, &[]).await.body["install"]["state"], "armed");
        let cancelled = ask(&server, "DELETE", PATH, &[]).await;
        assert_eq!(cancelled.body["install"]["state"], "cancelled", "{}", cancelled.body);
        let again = ask(&server, "DELETE", PATH, &[]).await;
        assert_eq!(
            (again.status, &again.body["type"]),
            (409, &json!("urn:rackstrap:problem:conflict"))
        );
    }
}

#[tokio::test]
async fn a_step_is_conditional_on_what_its_author_read() {
    let server = server(Store::sqlite()).await;
    let never = ask(&server, "GET", PATH, &[]).await;
    let fresh = ask(&server, "GET", PATH, &[("if-none-match", &never.tag)]).await;
    assert_eq!((fresh.status, fresh.body), (304, Value::Null));
    let other = ask(&server, "POST", PATH, &[("if-match", "\"other\"")]).await;
    assert_eq!(
        (other.status, &other.body["type"]),
        (412, &json!("urn:rackstrap:problem:precondition"))
    );
    assert_eq!(ask(&server, "GET", PATH, &[]).await.tag, never.tag, "nothing was armed");
    assert_eq!(ask(&server, "POST", PATH, &[("if-match", &never.tag)]).await.status, 200);
    let armed = ask(&server, "GET", PATH, &[]).await;
    assert_ne!(armed.tag, never.tag);
    assert_eq!(ask(&server, "POST", PATH, &[("if-none-match", "*")]).await.status, 412);
    assert_eq!(ask(&server, "DELETE", PATH, &[("if-match", &never.tag)]).await.status, 412);
    assert_eq!(ask(&server, "DELETE", PATH, &[("if-match", &armed.tag)]).await.status, 200);
    assert_eq!(ask(&server, "POST", PATH, &[("if-match", "{a}")]).await.status, 400);
}

#[tokio::test]
async fn what_cannot_be_armed_is_refused_with_its_reason() {
    for (change, reason) in ARM_REFUSALS {
        let server = server(Store::sqlite()).await;
        edit(&server, change).await;
        for query in ["", "?dry-run"] {
            let refused = ask(&server, "POST", &format!("{PATH}{query}"), &[]).await;
            assert_eq!(refused.status, 409, "{reason}{query}: {}", refused.body);
            assert!(refused.body["detail"].as_str().unwrap().contains(reason), "{}", refused.body);
        }
        assert_eq!(ask(&server, "GET", PATH, &[]).await.body["install"], Value::Null, "{reason}");
    }
    let server = server(Store::sqlite()).await;
    for method in ["GET", "POST", "DELETE"] {
        let nobody = ask(&server, method, "/hosts/r1-n99/install", &[]).await;
        assert_eq!(nobody.status, 404, "{method}: {}", nobody.body);
        assert!(nobody.body["detail"].as_str().unwrap().contains("r1-n99"), "{}", nobody.body);
    }
    let reader = server
        .app
        .inventory
        .database
        .add_token(&rackstrap::inventory::NewToken::new("reader", rackstrap::model::Role::Viewer))
        .await
        .unwrap();
    for (token, expected) in [(reader.as_str(), 403), ("wrong", 401)] {
        let url = format!("{}{PATH}", server.url);
        let answer = reqwest::Client::new().post(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn several_hosts_are_armed_together_or_none() {
    for store in Store::both().await {
        let server = server(store).await;
        edit(&server, |site| {
            let image = rackstrap::model::Image {
                disk: Some("deb.raw".into()),
                ..rackstrap::model::Image::default()
            };
            site.images.insert("deb".into(), image);
            site.hosts.insert("r1-n03".into(), rackstrap::model::Host::default());
            for (name, host) in &mut site.hosts {
                host.image = (*name != "r1-n03").then(|| "deb".to_owned());
                host.labels = vec!["spare".to_owned()];
            }
        })
        .await;
        let states = || {
            let installs = server.app.inventory.installs();
            ["r1-n01", "r1-n02"].map(|name| installs.of(name).map(|it| it.task.label()))
        };
        let path = "/installs?hosts=r1-n01,r1-n02&task=reinstall";
        let tried = ask(&server, "POST", &format!("{path}&dry-run"), &[]).await;
        assert_eq!(tried.status, 200, "{}", tried.body);
        assert_eq!(tried.body["confirmation"], "2 hosts");
        let next = &tried.body["items"][1]["next-boot"];
        assert_eq!(next, "erases its only disk and installs deb", "{}", tried.body);
        assert_eq!(states(), [None, None], "a dry run");
        for confirm in ["", "&confirm=r1-n01", "&confirm=3+hosts"] {
            let refused = ask(&server, "POST", &format!("{path}{confirm}"), &[]).await;
            assert_eq!(refused.status, 409, "{}", refused.body);
            let detail = refused.body["detail"].as_str().unwrap();
            assert!(detail.contains("2 hosts (r1-n01, r1-n02)"), "{detail}");
        }
        let done = ask(&server, "POST", &format!("{path}&confirm=2+hosts"), &[]).await;
        assert_eq!(done.status, 200, "{}", done.body);
        assert_eq!(states(), [Some("reinstall"), Some("reinstall")]);
        // One without an image: none of them is armed for something else.
        let all = ask(&server, "POST", "/installs?label=spare&task=install", &[]).await;
        assert_eq!(all.status, 409, "{}", all.body);
        assert!(
            all.body["detail"].as_str().unwrap().contains("r1-n03 has no image"),
            "{}",
            all.body
        );
        assert_eq!(states(), [Some("reinstall"), Some("reinstall")]);
        for (query, status) in
            [("label=nobody", 409), ("", 409), ("hosts=r1-n99", 404), ("hosts=r1-n01&task=x", 400)]
        {
            let refused = ask(&server, "POST", &format!("/installs?{query}"), &[]).await;
            assert_eq!(refused.status, status, "{query}: {}", refused.body);
        }
    }
}
