//! One entry as a form: a field for each key, the text one button away, and both in step.

use reqwest::header::LOCATION;

use super::server::{Server, Visitor, encode, fields};

type Form = Vec<(String, String)>;

fn set(form: &mut Form, name: &str, value: &str) {
    match form.iter_mut().find(|(own, _)| own == name) {
        Some((_, old)) => value.clone_into(old),
        None => form.push((name.to_owned(), value.to_owned())),
    }
}

fn value<'a>(form: &'a Form, name: &str) -> &'a str {
    let found = form.iter().find(|(own, _)| own == name);
    found.map_or_else(|| panic!("{name} in {form:#?}"), |(_, value)| value.as_str())
}

/// Sends a form with a button; the status and the page.
async fn send(visitor: &Visitor, mut form: Form, button: &str) -> (u16, String) {
    form.retain(|(name, _)| name != "do");
    form.push(("do".into(), button.into()));
    let answer = visitor.post("/change", encode(&form)).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_subnet_is_edited_by_its_fields() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let page = operator.page("/subnets/internal").await;
    let link = "/change?noun=subnets&amp;name=internal&amp;view=fields";
    assert!(page.contains(link), "{page}");
    let mut form = fields(&operator.page(&link.replace("&amp;", "&")).await);
    assert_eq!(value(&form, "key.vlan"), "500");
    set(&mut form, "key.vlan", "501");
    set(&mut form, "key.notes", "patched: \"twice\"\n# really");
    set(&mut form, "key.rapid-commit", "true");
    let (status, html) = send(&operator, form, "review").await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("vlan: 500 -&#62; 501"), "{html}");
    assert_eq!(server.app.inventory.snapshot().revision, 1);
    let mut form = fields(&html);
    form.push(("do".into(), "save".into()));
    let answer = operator.post("/change", encode(&form)).await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()[LOCATION], "/subnets/internal");
    let subnet = server.app.inventory.snapshot().site.subnets["internal"].clone();
    assert_eq!((subnet.vlan, subnet.rapid_commit), (Some(501), true));
    assert_eq!(subnet.notes.as_deref(), Some("patched: \"twice\"\n# really"));
}

#[tokio::test]
async fn a_subnet_is_added_with_rows_of_ranges() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut form = fields(&operator.page("/change?noun=subnets&view=fields").await);
    let (status, html) = send(&operator, form.clone(), "review").await;
    assert_eq!(status, 422);
    assert!(
        html.contains("id=\"entry-name-wrong\"") && html.contains("id=\"cidr-wrong\""),
        "{html}"
    );

    set(&mut form, "entry-name", "storage");
    set(&mut form, "key.cidr", "10.9.0.0/24");
    set(&mut form, "key.ranges.from", "10.9.0.10");
    set(&mut form, "key.ranges.to", "10.9.0.99");
    set(&mut form, "key.ranges.for", "hosts");
    let (status, html) = send(&operator, form, "more").await;
    assert_eq!(status, 200);
    let mut form = fields(&html);
    let rows: Vec<usize> =
        (0..form.len()).filter(|index| form[*index].0 == "key.ranges.from").collect();
    assert_eq!(rows.len(), 2, "a spare row");
    form[rows[1]].1 = "10.9.0.100".into();
    form[rows[1] + 1].1 = "10.9.0.199".into();
    form[rows[1] + 2].1 = "dhcp".into();
    let (status, html) = send(&operator, form, "review").await;
    assert_eq!(status, 200, "{html}");
    let (status, html) = send(&operator, fields(&html), "save").await;
    assert_eq!(status, 303, "{html}");
    let snapshot = server.app.inventory.snapshot();
    assert_eq!(snapshot.site.subnets["storage"].ranges.len(), 2);

    // The name is another subnet's now.
    let mut form = fields(&operator.page("/change?noun=subnets&view=fields").await);
    set(&mut form, "entry-name", "storage");
    set(&mut form, "key.cidr", "10.10.0.0/24");
    let (status, html) = send(&operator, form, "review").await;
    assert_eq!(status, 422);
    assert!(html.contains("subnet &#34;storage&#34; already exists"), "{html}");
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let cases = [
        ("key.vlan", "five", "vlan"),
        ("key.vlan", "70000", "vlan"),
        ("key.cidr", "10.0.0.0/99", "cidr"),
        ("key.gateway", "192.0.2.1", "gateway"),
        ("yaml.dhcp-options", "a: [", "dhcp-options"),
        ("yaml.dhcp-options", "x: 1\nhosts: {}", "dhcp-options"),
        ("key.ranges.from", "172.16.160.x", "ranges"),
    ];
    for (name, entered, place) in cases {
        let mut form =
            fields(&operator.page("/change?noun=subnets&name=internal&view=fields").await);
        set(&mut form, name, entered);
        let (status, html) = send(&operator, form, "review").await;
        assert_eq!(status, 422, "{name}={entered}: {html}");
        assert!(html.contains(&format!("id=\"{place}-wrong\"")), "{name}={entered}: {html}");
        assert!(fields(&html).iter().any(|(_, value)| value.trim() == entered), "{entered}");
    }
    assert_eq!(server.app.inventory.snapshot().revision, 1);
}

#[tokio::test]
async fn fields_and_text_are_in_step() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut form = fields(&operator.page("/change?noun=subnets&name=internal&view=fields").await);
    set(&mut form, "key.vlan", "502");
    let (_, html) = send(&operator, form, "text").await;
    let mut form = fields(&html);
    assert!(value(&form, "text").contains("vlan: 502"), "{html}");
    let text = value(&form, "text").replace("vlan: 502", "vlan: 503");
    set(&mut form, "text", &text);
    let (status, html) = send(&operator, form, "fields").await;
    assert_eq!(status, 200, "{html}");
    let form = fields(&html);
    assert_eq!(value(&form, "key.vlan"), "503");
    let (status, html) = send(&operator, form, "review").await;
    assert!(status == 200 && html.contains("vlan: 500 -&#62; 503"), "{html}");

    // What is more than the entry stays a text.
    let mut form = fields(&operator.page("/change?noun=subnets&name=internal").await);
    let text = format!("{}tenants: {{acme: {{}}}}\n", value(&form, "text"));
    set(&mut form, "text", &text);
    let (status, html) = send(&operator, form, "fields").await;
    assert_eq!(status, 422);
    assert!(html.contains("review it as text") && html.contains("acme"), "{html}");
}

#[tokio::test]
async fn every_entry_that_has_a_form_is_unchanged_by_it() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let links =
        ["subnets&name=internal", "racks&name=r1", "switches&name=leaf1a", "images&name=live"];
    for link in links {
        let form = fields(&operator.page(&format!("/change?noun={link}&view=fields")).await);
        let (status, html) = send(&operator, form, "review").await;
        assert!(status == 200 && html.contains("No changes"), "{link}: {html}");
    }
}

#[tokio::test]
async fn a_form_says_everything_that_is_wrong_at_once() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut form = fields(&operator.page("/change?noun=subnets&view=fields").await);
    set(&mut form, "entry-name", "wrong");
    set(&mut form, "key.cidr", "10.0.0.0/33");
    set(&mut form, "key.vlan", "x");
    set(&mut form, "key.gateway", "10.0.0");
    set(&mut form, "key.ranges.from", "10.0.0.x");
    set(&mut form, "key.ranges.to", "10.0.0.9");
    set(&mut form, "key.ranges.for", "dhcp");
    let (status, html) = send(&operator, form, "review").await;
    assert_eq!(status, 422, "{html}");
    for key in ["cidr", "vlan", "gateway", "ranges"] {
        let field = format!("aria-invalid=\"true\" aria-describedby=\"{key}-wrong\"");
        assert!(html.contains(&field), "{key}: {html}");
        assert!(html.contains(&format!("id=\"{key}-wrong\"")), "{key}: {html}");
    }
}
