//! A free address of a subnet is given to a host, by mouse, by keyboard and without script.

use rackstrap::model::Site;
use reqwest::header::LOCATION;
use serde_json::json;

use super::browser::Browser;
use super::journey::{audit, log_in};
use super::server::{Server, Visitor, encode, fields};

/// Where an answer leads.
async fn leads_to(visitor: &Visitor, path: &str) -> String {
    let answer = visitor.get(path).await;
    assert_eq!(answer.status(), 303, "{path}");
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_script_a_free_address_becomes_that_of_a_link_after_the_review() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/subnets/internal").await;
    assert!(html.contains("<a tabindex=\"-1\" href=\"?at=172.16.160.77\">"), "{html}");
    let html = operator.page("/subnets/internal?at=172.16.160.77").await;
    assert!(html.contains("name=\"address\" value=\"172.16.160.77\""), "{html}");

    let give = "/subnets/internal/give?address=172.16.160.77";
    for (host, wrong) in
        [("", "enter the name of a host"), ("r9", "host &#34;r9&#34; does not exist")]
    {
        let answer = operator.get(&format!("{give}&host={host}")).await;
        assert_eq!(answer.status(), 422);
        let html = answer.text().await.unwrap();
        assert!(html.contains(wrong) && html.contains("id=\"host-wrong\""), "{html}");
    }
    let html = operator.page(&format!("{give}&host=r1-n01")).await;
    assert!(
        html.contains("value=\"virbr0\" checked") && html.contains("now 172.16.160.12"),
        "{html}"
    );
    let review = leads_to(&operator, &format!("{give}&host=r1-n01&way=virbr0")).await;
    let html = operator.page(&review).await;
    assert!(html.contains("Changes to save") && html.contains("172.16.160.77"), "{html}");
    assert_eq!(server.app.inventory.snapshot().revision, 1, "nothing is stored before");
    let answer = operator.fill_in(&review, &[("do", "save")]).await;
    assert_eq!(answer.status(), 303);
    let site = server.app.inventory.snapshot();
    assert_eq!(site.site.hosts["r1-n01"].addresses["virbr0"].to_string(), "172.16.160.77");

    // Somebody has it now: the form says who, and offers nothing.
    let to = leads_to(&operator, &format!("{give}&host=r1-n02&way=virbr0")).await;
    assert_eq!(to, "/subnets/internal?at=172.16.160.77");
    let html = operator.page(&to).await;
    assert!(html.contains(">r1-n01</a>, on virbr0") && !html.contains("give-host"), "{html}");
    let review = "/hosts/r1-n02/edit?link=virbr0&address=172.16.160.77";
    let answer = operator.get(review).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("id=\"addresses.virbr0-wrong\""));
    for (address, said) in [
        ("172.16.160.255", "not an address that hosts of"),
        ("10.0.0.1", "not an address that hosts of"),
        ("x", "not an IP address"),
    ] {
        let html = operator.page(&format!("/subnets/internal?at={address}")).await;
        assert!(html.contains(said) && !html.contains("give-host"), "{html}");
    }
}

#[tokio::test]
async fn a_new_host_and_a_reservation_can_have_it_too() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/subnets/internal?at=172.16.160.77").await;
    assert!(html.contains("<option value=\"virbr0/hypervisor\">"), "{html}");
    let give = "/subnets/internal/give?address=172.16.160.77";
    let to = leads_to(&operator, &format!("{give}&new=virbr0%2Fhypervisor")).await;
    assert_eq!(to, "/add-host?profile=hypervisor&link=virbr0&address=172.16.160.77");
    let mut form = fields(&operator.page(&to).await);
    let mut macs = ["52:54:00:aa:00:05", "52:54:00:aa:00:06"].into_iter();
    for (name, value) in &mut form {
        match name.as_str() {
            "name" => *value = "r1-n03".into(),
            "nic.mac" => *value = macs.next().unwrap().into(),
            _ => {}
        }
    }
    form.push(("do".into(), "save".into()));
    let answer = operator.post("/add-host", encode(&form)).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let site = server.app.inventory.snapshot();
    assert_eq!(site.site.hosts["r1-n03"].addresses["virbr0"].to_string(), "172.16.160.77");

    let give = "/subnets/provisioning/give?address=10.77.0.33";
    let to = leads_to(&operator, &format!("{give}&host=r1-n01&way=%2F")).await;
    let html = operator.page(&to).await;
    assert!(html.contains("Changes to save"), "{html}");
    assert_eq!(operator.fill_in(&to, &[("do", "save")]).await.status(), 303);
    let site = server.app.inventory.snapshot();
    let reservations = &site.site.hosts["r1-n01"].reservations;
    assert_eq!(reservations["provisioning"].to_string(), "10.77.0.33");
}

#[tokio::test]
async fn a_large_subnet_is_a_page_that_can_be_read() {
    let site: Site = serde_json::from_value(json!({"subnets": {
        "big": {"cidr": "10.64.0.0/12", "gateway": "10.64.0.1"},
        "six": {"cidr": "2001:db8::/64", "gateway": "2001:db8::1"},
    }}))
    .unwrap();
    let server = Server::with_site(site).await;
    let operator = server.operator().await;
    let mut sizes = Vec::new();
    for (path, has) in [
        ("/subnets/big", "href=\"?block=10.64.64.0/22\""),
        ("/subnets/big?block=10.64.64.0/22", "href=\"?at=10.64.67.255\""),
        ("/subnets/six", "<a href=\"?at=2001:db8::2\">2001:db8::2</a>"),
        ("/subnets/six?at=2001:db8::77", "id=\"give-host\""),
    ] {
        let html = operator.page(path).await;
        assert!(html.contains(has), "{path}: {html}");
        sizes.push(html.len());
    }
    println!("{sizes:?} bytes");
    assert!(sizes.iter().all(|size| *size < 220_000), "{sizes:?}");
    for block in ["10.0.0.0/24", "x", "10.64.0.0/8"] {
        let answer = operator.get(&format!("/subnets/big?block={block}")).await;
        assert_eq!(answer.status(), 400, "{block}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_clicked_and_the_list_is_reached_by_keyboard() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    let page = format!("{}/subnets/internal", server.url);
    browser.client.goto(&page).await.unwrap();
    audit(&browser, "a subnet").await;
    browser.click("svg.map a[href='?at=172.16.160.77'] rect").await;
    browser.wait_for_text("#chosen", "172.16.160.77").await;
    audit(&browser, "a free address").await;
    browser.fill("#give-host", "r1-n01\u{e007}").await;
    browser.find("input[name=way]").await;
    audit(&browser, "what the address is for").await;
    browser.click("form button.first").await;
    browser.wait_for_text("main", "Changes to save").await;
    for (name, width) in [("phone", 375), ("desk", 1280)] {
        for theme in ["light", "dark"] {
            browser.client.set_window_size(width, 1000).await.unwrap();
            browser.client.goto(&format!("{page}?at=172.16.160.77")).await.unwrap();
            browser.run(&format!("document.documentElement.style.colorScheme = '{theme}'")).await;
            let wide = browser.run("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= 375 || name == "desk", "{wide}");
            browser.screenshot(&format!("subnet-{name}-{theme}")).await;
        }
    }

    // By keyboard: the first free address of the list, then the host.
    browser.client.goto(&page).await.unwrap();
    browser.find("section[aria-labelledby=free] a").await.send_keys("\u{e007}").await.unwrap();
    browser.find("#give-host").await.send_keys("r1-n02\u{e007}").await.unwrap();
    browser.find("input[name=way][value=virbr0]").await.send_keys("\u{e007}").await.unwrap();
    browser.wait_for_text("main", "Changes to save").await;
    browser.click("button[value=save]").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    browser.close().await;
}
