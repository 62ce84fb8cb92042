//! Adding, editing and removing hosts through their forms, as a browser without script.

use reqwest::header::LOCATION;

use super::server::{Server, fields};

/// The message that stands at a field.
fn wrong(html: &str, id: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("id=\"{id}-wrong\">"))?;
    Some(rest.split('<').next()?.to_owned())
}

#[tokio::test]
async fn a_refused_value_is_named_at_its_field_and_nothing_is_lost() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let cases = [
        ("address", "172.16.160.300", "addresses.virbr0", "not an IP address"),
        ("address", "172.16.160.13", "addresses.virbr0", "r1-n02"),
        ("address", "10.9.9.9", "addresses.virbr0", "172.16.160.0/24"),
        ("address", "172.16.160.254", "addresses.virbr0", "gateway"),
        ("reservation", "10.78.0.150", "reservations.provisioning", "10.77.0.0/24"),
        ("nic.mac", "52:54:00:aa:00:03", "nics.eth0", "r1-n02"),
        ("nic.mac", "52:54:00", "nics.eth0", "not a MAC address"),
        ("name", "r1_n01", "name", "RFC 1123"),
        ("name", "r1-n02", "name", "already"),
        ("unit", "forty", "unit", "1 to 100"),
        ("profile", "nothing", "profile", "profile &#34;nothing&#34; does not exist"),
    ];
    for (field, value, place, text) in cases {
        let answer =
            operator.fill_in("/hosts/r1-n01/edit", &[("serial", "NEW"), (field, value)]).await;
        assert_eq!(answer.status(), 422, "{field}={value}");
        let html = answer.text().await.unwrap();
        let said = wrong(&html, place)
            .unwrap_or_else(|| panic!("{field}={value}: nothing at {place}: {html}"));
        assert!(said.contains(text), "{field}={value}: {said}");
        let kept = fields(&html);
        for (name, value) in [("serial", "NEW"), (field, value)] {
            assert!(
                kept.contains(&(name.to_owned(), value.to_owned())),
                "{name} is lost: {kept:?}"
            );
        }
    }
    assert_eq!(server.app.inventory.snapshot().revision, 1);
}

#[tokio::test]
async fn a_host_is_edited_and_renamed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let values = [("name", "r1-n07"), ("unit", "7"), ("address", "172.16.160.17")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &values).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()[LOCATION], "/hosts/r1-n07");
    let html = operator.page("/hosts/r1-n07").await;
    assert!(html.contains("Saved as revision 2.") && html.contains("172.16.160.17"));
    assert!(!operator.page("/hosts/r1-n07").await.contains("Saved as"), "said once");
    assert_eq!(operator.get("/hosts/r1-n01").await.status(), 404);
    let revision = operator.page("/revisions/2").await;
    assert!(revision.contains("172.16.160.17") && revision.contains("r1-n07"), "{revision}");
}

#[tokio::test]
async fn an_address_that_is_left_out_is_given() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let form = fields(&operator.page("/add-host?mac=52:54:00:aa:00:09").await);
    let nic = |name: &str, value: &str| form.contains(&(name.to_owned(), value.to_owned()));
    assert!(nic("nic.label", "eth0") && nic("nic.mac", "52:54:00:aa:00:09"));

    let first = [
        ("name", "r1-n03"),
        ("nic.label", "eth0"),
        ("nic.mac", "52:54:00:aa:00:09"),
        ("do", "save"),
    ];
    let answer = operator.fill_in("/add-host", &first).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let page = operator.page("/hosts/r1-n03/edit?mac=52:54:00:aa:00:0a").await;
    let mut form = fields(&page);
    for (name, value) in &mut form {
        if name == "profile" {
            *value = "hypervisor".into();
        }
    }
    let answer = operator.post("/hosts/r1-n03/edit", super::server::encode(&form)).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let snapshot = server.app.inventory.snapshot();
    let host = &snapshot.site.hosts["r1-n03"];
    assert_eq!(host.nics.len(), 2);
    assert_eq!(host.addresses["virbr0"].to_string(), "172.16.160.10");
}

#[tokio::test]
async fn showing_a_profile_s_addresses_saves_nothing() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let values = [("name", "r1-n09"), ("profile", "hypervisor"), ("do", "show")];
    let answer = operator.fill_in("/add-host", &values).await;
    assert_eq!(answer.status(), 200);
    let html = answer.text().await.unwrap();
    assert!(html.contains("id=\"addresses.virbr0\"") && html.contains("172.16.160.0/24"));
    assert_eq!(server.app.inventory.snapshot().revision, 1);
}

/// The form as it was, with other values in some of its fields.
fn with(old: &[(String, String)], values: &[(&str, &str)]) -> String {
    let mut form = old.to_vec();
    for (name, value) in values {
        let field = form.iter_mut().find(|(field, _)| field == name).unwrap();
        field.1 = (*value).to_owned();
    }
    super::server::encode(&form)
}

#[tokio::test]
async fn two_editors_of_a_host_are_put_together_by_field() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let old = fields(&operator.page("/hosts/r1-n01/edit").await);
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &[("unit", "5")]).await.status(), 303);
    // Another field: both are there.
    let answer = operator.post("/hosts/r1-n01/edit", with(&old, &[("serial", "NEW")])).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let host = || server.app.inventory.snapshot().site.hosts["r1-n01"].clone();
    assert_eq!((host().unit, host().serial.as_deref()), (Some(5), Some("NEW")));

    // The same field: both values are told, with who and when, and nothing is saved.
    let values = [("unit", "7"), ("image", "")];
    let answer = operator.post("/hosts/r1-n01/edit", with(&old, &values)).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    let said = wrong(&html, "unit").unwrap_or_else(|| panic!("nothing at unit: {html}"));
    for words in ["was 1; now 5 (ada at ", "revision 3", "you entered 7", "Save again"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(host().unit, Some(5));
    // The form has what others changed, and what was entered.
    let again = fields(&html);
    let has = |name: &str, value: &str| again.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("serial", "NEW") && has("unit", "7") && has("image", ""), "{again:?}");
    let answer = operator.post("/hosts/r1-n01/edit", super::server::encode(&again)).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!((host().unit, host().image), (Some(7), None));

    // A host that is gone, and a form that says nothing of what it was made of.
    let answer = operator.post("/hosts/r1-n01/edit", with(&old, &[("seen", "{}x")])).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("r1-n01 has changed since"));
    assert_eq!(operator.fill_in("/hosts/r1-n01/remove", &[("name", "r1-n01")]).await.status(), 303);
    let answer = operator.post("/hosts/r1-n01/edit", with(&old, &[("unit", "9")])).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("r1-n01 does not exist any more"));
}

#[tokio::test]
async fn macs_alone_add_a_host() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/add-host").await;
    let first = |name: &str| html.find(&format!("name=\"{name}\"")).unwrap();
    assert!(first("name") < first("nic.mac") && first("nic.mac") < first("profile"), "the order");
    let mut form = fields(&html);
    let mut macs = ["52:54:00:aa:00:11", "52:54:00:aa:00:12"].into_iter();
    for (name, value) in &mut form {
        match name.as_str() {
            "name" => *value = "r1-n05".into(),
            "nic.mac" => *value = macs.next().unwrap().into(),
            _ => {}
        }
    }
    form.push(("do".into(), "save".into()));
    let answer = operator.post("/add-host", super::server::encode(&form)).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let host = server.app.inventory.snapshot().site.hosts["r1-n05"].clone();
    assert_eq!(host.nics.keys().collect::<Vec<_>>(), ["eth0", "eth1"]);
    // A wrong name is wrong at the name, not at the MAC.
    let values = [("nic.label", "a b"), ("nic.mac", "52:54:00:aa:00:13"), ("name", "r1-n06")];
    let answer = operator.fill_in("/add-host", &values).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    let invalid = html.split('<').find(|tag| tag.contains("aria-invalid")).unwrap();
    assert!(invalid.contains("name=\"nic.label\""), "{invalid}");
}

#[tokio::test]
async fn a_client_is_adopted_under_a_new_name() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let cases = [
        ("", "/add-host?mac=52:54:00:aa:00:21"),
        ("brand-new", "/add-host?mac=52:54:00:aa:00:21&name=brand-new"),
        (" r1-n01 ", "/hosts/r1-n01/edit?mac=52:54:00:aa:00:21"),
    ];
    for (name, location) in cases {
        let path = format!("/discovered/adopt?mac=52:54:00:aa:00:21&host={name}");
        assert_eq!(operator.get(&path).await.headers()[LOCATION], location, "{name}");
    }
    let form = fields(&operator.page(cases[1].1).await);
    assert!(form.contains(&("name".into(), "brand-new".into())), "{form:?}");
}

#[tokio::test]
async fn a_host_is_removed_only_by_its_typed_name() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let answer = operator.fill_in("/hosts/r1-n02/remove", &[("name", "r1-n01")]).await;
    assert_eq!(answer.status(), 422);
    // The page says what goes, before anything is typed.
    let html = operator.page("/hosts/r1-n02/remove").await;
    assert!(html.contains("Changes to save") && html.contains("r1-n02"), "{html}");
    let csrf = fields(&html)[0].1.clone();
    let unseen = format!("csrf={csrf}&do=save&base=99&name=r1-n02");
    assert_eq!(operator.post("/hosts/r1-n02/remove", unseen).await.status(), 409);
    let unasked = format!("csrf={csrf}&name=r1-n02");
    assert_eq!(operator.post("/hosts/r1-n02/remove", unasked).await.status(), 200);
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 2);
    let answer = operator.fill_in("/hosts/r1-n02/remove", &[("name", "r1-n02")]).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()),
        (303, "/hosts")
    );
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 1);
}

#[tokio::test]
async fn malformed_forms_and_queries_get_a_clear_answer() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let csrf = fields(&operator.page("/add-host").await)[0].1.clone();
    let long = "x".repeat(100_000);
    for (name, value) in
        [("name", long.as_str()), ("name", "%00"), ("name", "../x"), ("name", "%E2%80%AE")]
    {
        let answer = operator.post("/add-host", format!("csrf={csrf}&{name}={value}")).await;
        assert_eq!(answer.status(), 422, "{name}={}", &value[..value.len().min(40)]);
    }
    for body in ["%ff", "name=%ff&csrf=x", "csrf[]=1", "&&&=&=", "\0"] {
        let status = operator.post("/add-host", body).await.status();
        assert!(status == 400 || status == 403, "{body}: {status}");
    }
    let big = operator.post("/add-host", vec![b'a'; 5 << 20]).await;
    assert_eq!(big.status(), 400, "{}", big.text().await.unwrap());
    let request = operator.client.post(format!("{}/add-host", server.url)).body("{}");
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    for path in
        ["/hosts?page=x", "/hosts?page=99999999999999999999", "/hosts/%ff", "/subnets/x?page=-1"]
    {
        let answer = operator.get(path).await;
        assert_eq!(answer.status(), 400, "{path}");
        let html = answer.text().await.unwrap();
        assert!(path == "/hosts/%ff" || html.contains("invalid query"), "{path}: {html}");
    }
    for path in
        ["/hosts/nobody", "/subnets/nothing", "/revisions/x", "/revisions/99", "/hosts/..%2fx"]
    {
        let answer = operator.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.unwrap().contains("does not exist"), "{path}");
    }
}

const PARAMETERS: &str = r#"
subnets:
  lan: {cidr: 10.0.0.0/24, ranges: [{from: 10.0.0.10, to: 10.0.0.99, for: hosts}]}
  rail0: {cidr: 10.1.0.0/24, mtu: 9000}
  rail1: {cidr: 10.1.1.0/24, mtu: 9000}
profiles:
  accelerator:
    extends: ready/rails
    for-each: {rail: {nics: {rail<rail>: {host-number: =index + 10}}}}
hosts:
  g1:
    profile: accelerator
    index: 1
    parameters: {subnet: lan, rails: 1}
    nics: {eth0: "52:54:00:aa:00:01", rail0: "52:54:00:aa:00:02", rail1: "52:54:00:aa:00:03"}
"#;

#[tokio::test]
async fn a_profiles_parameters_are_fields_with_their_kinds_and_defaults() {
    let server = Server::with_site(serde_saphyr::from_str(PARAMETERS).unwrap()).await;
    let operator = server.operator().await;
    let html = operator.page("/hosts/g1/edit").await;
    for words in [
        "how many rails the host has, 1 to 16; default: 8",
        "the network of eth0; required",
        "<option value=\"lan\" selected>lan</option>",
        "placeholder=\"100\"",
        "name=\"index\" value=\"1\"",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    assert!(!html.contains("id=\"addresses.rail1\""), "one rail was asked for: {html}");
    let cases = [
        ("index", "many", "index", "not a number of 0 or more"),
        ("parameters.rails", "many", "parameters.rails", "expected a number from 1 to 16"),
        ("parameters.rails", "17", "parameters.rails", "1 to 16"),
        (
            "parameters.subnet",
            "nowhere",
            "parameters.subnet",
            "subnet &#34;nowhere&#34; does not exist",
        ),
    ];
    for (field, value, place, text) in cases {
        let body = with_field(&operator.page("/hosts/g1/edit").await, field, value);
        let answer = operator.post("/hosts/g1/edit", body).await;
        assert_eq!(answer.status(), 422, "{field}={value}");
        let html = answer.text().await.unwrap();
        let said = wrong(&html, place).unwrap_or_else(|| panic!("nothing at {place}: {html}"));
        assert!(said.contains(text), "{field}={value}: {said}");
    }
    let body = with_field(&operator.page("/hosts/g1/edit").await, "parameters.rails", "2");
    let body = body.replace("index=1&", "index=7&");
    let answer = operator.post("/hosts/g1/edit", body).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let host = server.app.inventory.snapshot().site.hosts["g1"].clone();
    assert_eq!((host.index, host.parameters["rails"].0.as_str()), (Some(7), "2"));
    assert_eq!(host.addresses["rail1"].to_string(), "10.1.1.17");
}

/// The page's form with another value in one field; a parameter's field follows its name.
fn with_field(html: &str, field: &str, value: &str) -> String {
    let wanted = field.strip_prefix("parameters.");
    let mut is_next = false;
    let mut pairs = Vec::new();
    for (name, old) in fields(html) {
        let is_it = name == field || (name == "parameter" && is_next);
        is_next = name == "parameter.name" && Some(old.as_str()) == wanted;
        let value = if is_it { value.to_owned() } else { old };
        pairs.push((name, value));
    }
    pairs.push(("do".into(), "save".into()));
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pair = |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}
