//! Taking in tables and files of other systems: by plain forms on both databases, and in a browser.

use std::fmt::Write as _;
use std::time::Instant;

use rackstrap::config::Config;
use rackstrap::model::{Limits, Role};
use reqwest::header::LOCATION;
use reqwest::multipart::{Form, Part};

use super::browser::Browser;
use super::journey::{audit, log_in};
use super::server::{PASSWORD, Server, Visitor, encode, fields};
use crate::common::store::Store;

/// The most bytes of any page.
const MOST_BYTES: usize = 300_000;

fn file(name: &str, text: &str) -> Part {
    Part::bytes(text.as_bytes().to_vec()).file_name(name.to_owned())
}

/// The form with its token, to which files are added.
async fn form(visitor: &Visitor) -> Form {
    let page = fields(&visitor.page("/import").await);
    let (_, csrf) = page.into_iter().find(|(name, _)| name == "csrf").unwrap();
    Form::new().text("csrf", csrf)
}

/// Sends files or a text; gives the path of the review.
async fn send(visitor: &Visitor, form: Form) -> String {
    let url = format!("{}/import", visitor.url);
    let answer = visitor.client.post(&url).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

async fn refused(visitor: &Visitor, form: Form) -> (u16, String) {
    let url = format!("{}/import", visitor.url);
    let answer = visitor.client.post(&url).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A page with its status.
async fn look(visitor: &Visitor, path: &str) -> (u16, String) {
    let answer = visitor.get(path).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The fields of the form with this id.
fn fields_of(html: &str, id: &str) -> Vec<(String, String)> {
    let from = html.find(&format!("<form id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {html}"));
    let end = from + html[from..].find("</form>").unwrap();
    fields(&html[from..end])
}

/// Saves what a page has reviewed.
async fn save(visitor: &Visitor, path: &str, html: &str) -> reqwest::Response {
    let mut sent = fields_of(html, "save");
    sent.push(("do".into(), "save".into()));
    visitor.post(path, encode(&sent)).await
}

#[tokio::test]
async fn a_table_is_read_reviewed_and_saved_as_one_revision() {
    for store in Store::both().await {
        let database = Some(store.url.parse().unwrap());
        let server = Server::with_config(Config { database, ..Config::default() }).await;
        let operator = server.operator().await;
        let inventory = &server.app.inventory;
        let first = inventory.snapshot().revision;

        // What is wrong is said by row and column, and nothing is done.
        let text = "host,rack,U,macs\nn1,r1,x,02:00:5e:00:00:01\nn2,r1,2,02:00:5e:00:00:02\nn3,r1,70000,\n";
        let path = send(&operator, form(&operator).await.text("text", text)).await;
        let (status, html) = look(&operator, &path).await;
        assert_eq!(status, 422, "{}: {html}", store.kind);
        for words in [
            "2 errors; nothing is imported",
            "<td>pasted text</td><td class=\"number\">2</td><td>U</td><td class=\"text\">expected a number from 0 to 65535, found &#34;x&#34;",
            "<td class=\"number\">4</td><td>U</td>",
            // To be corrected there.
            "n2,r1,2,02:00:5e:00:00:02",
        ] {
            assert!(html.contains(words), "{words} is not in {html}");
        }
        assert!(!html.contains("value=\"save\""), "{html}");
        let double = "host,macs\nn1,02:00:5e:00:00:01\nn2,02:00:5e:00:00:01\n";
        let path =
            send(&operator, form(&operator).await.part("files", file("a.csv", double))).await;
        let (status, html) = look(&operator, &path).await;
        assert_eq!(status, 422, "{html}");
        assert!(html.contains("<td>a.csv</td><td class=\"number\">"), "{html}");

        let text = text.replace(",x,", ",1,").replace("70000", "3");
        let path =
            send(&operator, form(&operator).await.part("files", file("rack.csv", &text))).await;
        let html = operator.page(&path).await;
        for words in
            ["Review the import", "Changes to save", "3 hosts", "n1, n2, n3", "value=\"save\""]
        {
            assert!(html.contains(words), "{words} is not in {html}");
        }
        assert_eq!(inventory.snapshot().revision, first, "nothing is saved yet");
        // Nobody else sees it.
        let database = &inventory.database;
        database.add_user("olaf", PASSWORD, Role::Operator).await.unwrap();
        let other = server.stranger();
        assert_eq!(other.log_in("olaf", PASSWORD).await.status(), 303);
        let (status, gone) = look(&other, &path).await;
        assert!(status == 410 && gone.contains("not here any more"), "{gone}");

        let answer = save(&operator, &path, &html).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        let location = answer.headers()[LOCATION].to_str().unwrap().to_owned();
        assert_eq!(location, format!("/revisions/{}", first + 1));
        let page = operator.page(&location).await;
        assert!(page.contains("import rack.csv") && page.contains("Saved as revision"), "{page}");
        let snapshot = inventory.snapshot();
        assert_eq!(snapshot.site.hosts.len(), 3);
        assert_eq!(snapshot.site.hosts["n3"].unit, Some(3));
        assert_eq!(look(&operator, &path).await.0, 410, "it is saved");
        // The same once more is no change.
        let path =
            send(&operator, form(&operator).await.part("files", file("rack.csv", &text))).await;
        let html = operator.page(&path).await;
        assert!(html.contains("No changes") && !html.contains("value=\"save\""), "{html}");
    }
}

#[tokio::test]
async fn the_list_of_hosts_as_csv_comes_back_in() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let list = operator.page("/hosts.csv").await;
    let path = send(&operator, form(&operator).await.part("files", file("hosts.csv", &list))).await;
    let html = operator.page(&path).await;
    for words in [
        "No changes",
        "The inventory has all of this already.",
        "5 lines not taken over",
        "column &#34;addresses&#34;",
        "only shows something",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    // A rack and a label: just that.
    let header: Vec<&str> = list.lines().next().unwrap().split(',').collect();
    let labels = header.iter().position(|name| *name == "labels").unwrap();
    let changed: String = list
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if cells[0] == "r1-n02" {
                (cells[1], cells[labels]) = ("r2", "gold");
            }
            cells.join(";") + "\r\n"
        })
        .collect();
    let path =
        send(&operator, form(&operator).await.part("files", file("hosts.csv", &changed))).await;
    let html = operator.page(&path).await;
    let review = &html[html.find("id=\"review\"").unwrap()..html.find("id=\"read\"").unwrap()];
    for words in [">r1-n02</a>", "rack: r1 -&#62; r2", "labels: none -&#62; [gold]"] {
        assert!(review.contains(words), "{words} is not in {review}");
    }
    for words in ["r1-n01", "serial:", "nics.", "notes:"] {
        assert!(!review.contains(words), "{words} is in {review}");
    }
    let answer = save(&operator, &path, &html).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let host = server.app.inventory.snapshot().site.hosts["r1-n02"].clone();
    assert_eq!((host.rack.as_deref(), host.labels.join(" ")), (Some("r2"), "gold".to_owned()));
    assert_eq!(host.nics.len(), 2);
}

#[tokio::test]
async fn an_operator_with_limits_imports_within_them() {
    let server = Server::start().await;
    let limits = Limits { racks: ["r1".to_owned()].into(), ..Limits::default() };
    let database = &server.app.inventory.database;
    database.add_limited_user("lena", PASSWORD, Role::Operator, &limits).await.unwrap();
    database.add_user("vera", PASSWORD, Role::Viewer).await.unwrap();
    let lena = server.stranger();
    assert_eq!(lena.log_in("lena", PASSWORD).await.status(), 303);
    for (text, status) in [
        ("host,rack\nr1-n01,r9\n", 422),
        ("host,notes\nother,x\n", 422),
        ("host,notes\nr1-n01,x\n", 200),
    ] {
        let path = send(&lena, form(&lena).await.text("text", text)).await;
        let (found, html) = look(&lena, &path).await;
        assert_eq!(found, status, "{text}: {html}");
        assert_eq!(html.contains("value=\"save\""), status == 200, "{text}: {html}");
    }
    // Who may import finds it by its name.
    assert!(lena.page("/find?text=imp").await.contains("href=\"/import\""));
    let vera = server.stranger();
    assert_eq!(vera.log_in("vera", PASSWORD).await.status(), 303);
    assert!(!vera.page("/find?text=imp").await.contains("href=\"/import\""));
    assert_eq!(vera.get("/import").await.status(), 403);
}

#[tokio::test]
async fn what_an_import_has_to_ask_is_a_form() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let text = "Asset,Storage,Colour\nm1,02:00:5e:00:01:01,red\nm2,02:00:5e:00:01:02,blue\n";
    let path = send(&operator, form(&operator).await.part("files", file("list.csv", text))).await;
    let html = operator.page(&path).await;
    for words in ["What are these columns?", "its cells are MAC addresses", "m1 | m2", "red | blue"]
    {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    let answer = |html: &str, keys: [&str; 3]| {
        let mut sent = fields_of(html, "columns");
        let mut keys = keys.into_iter();
        for (name, value) in &mut sent {
            if name == "key" {
                keys.next().unwrap().clone_into(value);
            }
        }
        sent.push(("do".into(), "columns".into()));
        encode(&sent)
    };
    let sent = operator.post(&path, answer(&html, ["host", "nics.eth2", ""])).await;
    assert_eq!(sent.headers()[LOCATION].to_str().unwrap(), path);
    let html = operator.page(&path).await;
    for words in [
        "Changes to save",
        "m1, m2",
        "2 cells not taken over",
        "<option value=\"nics.eth2\" selected>",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    // What is left out can be taken, too.
    let sent = operator.post(&path, answer(&html, ["host", "nics.eth2", "labels"])).await;
    assert_eq!(sent.status(), 303);
    let html = operator.page(&path).await;
    assert!(!html.contains("not taken over"), "{html}");
    assert_eq!(save(&operator, &path, &html).await.status(), 303);
    let host = server.app.inventory.snapshot().site.hosts["m2"].clone();
    assert_eq!(
        (host.nics["eth2"].to_string(), host.labels.join(" ")),
        ("02:00:5e:00:01:02".into(), "blue".into())
    );

    // A subnet whose prefix is that of an interface.
    let conf = "dhcp-range=10.9.0.10,10.9.0.20\ndhcp-host=02:00:5e:00:01:09,m9,10.9.0.9\n";
    let path =
        send(&operator, form(&operator).await.part("files", file("dnsmasq.conf", conf))).await;
    let html = operator.page(&path).await;
    assert!(
        html.contains("Which subnet is 10.9.0.10 in?") && html.contains("10.9.0.0/24"),
        "{html}"
    );
    let csrf = fields_of(&html, "save")[0].1.clone();
    let wrong = operator.post(&path, format!("csrf={csrf}&do=subnet&subnet=10.9")).await;
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains("&#34;10.9&#34; is not a prefix"));
    let sent = operator.post(&path, format!("csrf={csrf}&do=subnet&subnet=10.9.0.0%2F16")).await;
    assert_eq!(sent.status(), 303);
    let html = operator.page(&path).await;
    assert!(html.contains("1 host, 1 subnet") && html.contains("m9"), "{html}");
}

#[tokio::test]
async fn files_of_other_systems_are_taken_over_and_the_rest_is_listed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let conf = "include \"/etc/dhcp/hosts.conf\";\nomapi-port 7911;\n\
                subnet 10.8.0.0 netmask 255.255.255.0 { option routers 10.8.0.1; }\n";
    let hosts = "host d1 { hardware ethernet 02:00:5e:00:02:01; fixed-address 10.8.0.5; }\n";
    let sent = form(&operator)
        .await
        .part("files", file("dhcpd.conf", conf))
        .part("files", file("hosts.conf", hosts));
    let path = send(&operator, sent).await;
    let html = operator.page(&path).await;
    for words in [
        "configuration of ISC dhcpd",
        "included by another file",
        "1 host, 1 subnet",
        "<td>dhcpd.conf</td><td class=\"number\">2</td>",
        "omapi-port 7911",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    let report = operator.page(&format!("{path}/report.txt")).await;
    assert!(report.starts_with("dhcpd.conf:2: omapi-port 7911"), "{report}");

    // Somebody changes the same entries meanwhile: what is saved is what was seen.
    let table = "host,notes\nr1-n01,loud\n";
    let path = send(&operator, form(&operator).await.part("files", file("t.csv", table))).await;
    let html = operator.page(&path).await;
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &[("notes", "quiet")]).await.status(), 303);
    let answer = save(&operator, &path, &html).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    assert!(
        html.contains("Nothing is saved") && html.contains("notes: quiet -&#62; loud"),
        "{html}"
    );
    assert_eq!(save(&operator, &path, &html).await.status(), 303);

    // What it cannot take, by name and with what would be right.
    let lease = "lease 10.0.0.5 {\n  starts 4 2026/01/01 00:00:00;\n  hardware ethernet 02:00:5e:00:03:01;\n}\n";
    for (name, text, said) in [
        ("site.yaml", "racks: {r9: {units: 40}}\n", "site.yaml is a site file"),
        ("dhcpd.leases", lease, "has the leases of ISC dhcpd"),
        ("what.txt", "nothing at all\n", "what.txt: not recognised"),
        ("open.csv", "host,unit\n\"a,1\nb,2\n", "never closed"),
    ] {
        let path = send(&operator, form(&operator).await.part("files", file(name, text))).await;
        let (status, html) = look(&operator, &path).await;
        assert!(status == 422 && html.contains(said), "{name}: {html}");
    }
    let binary = Part::bytes(vec![0_u8, 0x80, 2]).file_name("disk.img");
    for (sent, status, said) in [
        (form(&operator).await, 422, "choose at least one file"),
        (form(&operator).await.text("text", "  \n"), 422, "choose at least one file"),
        (form(&operator).await.part("files", binary), 422, "disk.img: "),
        (Form::new().text("text", "host\na\n"), 403, "this form has expired"),
        (Form::new().text("csrf", "x").text("text", "host\na\n"), 403, "this form has expired"),
        (
            form(&operator).await.part("files", file("big.csv", &"x".repeat((8 << 20) + 1))),
            400,
            "at once: send fewer files",
        ),
    ] {
        let (found, html) = refused(&operator, sent).await;
        assert!(found == status && html.contains(said), "{said}: {found} {html}");
    }
}

#[tokio::test]
async fn a_page_of_many_errors_and_lines_stays_within_its_budget() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut text = String::from("host,unit,colour,serial\n");
    for number in 0..5000 {
        let _ = writeln!(text, "h{number},x,{},{}", "c".repeat(100), "s".repeat(200));
    }
    for (name, text) in [
        ("rows.csv", text.replace("colour", "notes")),
        ("foreign.csv", text.clone()),
        (
            "lines.conf",
            "omapi-port 7911;\n".repeat(5000) + "subnet 10.7.0.0 netmask 255.255.0.0 {}\n",
        ),
    ] {
        let begin = Instant::now();
        let path = send(&operator, form(&operator).await.part("files", file(name, &text))).await;
        let (status, html) = look(&operator, &path).await;
        println!("{name}: {status}, {} bytes, {:?}", html.len(), begin.elapsed());
        assert!(html.len() <= MOST_BYTES, "{name}: {} bytes", html.len());
    }
}

/// 5,000 hosts as a delivery list has them.
fn delivery(bad: Option<usize>) -> String {
    let mut text = String::from("Host,Rack,Unit,MACs,Serial\n");
    for number in 0..5000_usize {
        let (rack, unit) = (number / 40, number % 40 + 1);
        let unit = if bad == Some(number) { "4O".to_owned() } else { unit.to_string() };
        let mac =
            |nic: usize| format!("02:00:{nic:02x}:{:02x}:{:02x}:01", number / 256, number % 256);
        let _ =
            writeln!(text, "d{number:04},rack{rack:03},{unit},{} {},SN{number:05}", mac(0), mac(1));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_rows_are_taken_in_by_a_browser() {
    let server = Server::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (bad, good) = (folder.path().join("bad.csv"), folder.path().join("delivery.csv"));
    std::fs::write(&bad, delivery(Some(4321))).unwrap();
    std::fs::write(&good, delivery(None)).unwrap();
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.click(".head a[href='/import']").await;
    browser.wait_for_text("h1", "Import").await;
    audit(&browser, "the form of an import").await;
    browser.screenshot("import").await;
    browser.find("#files").await.send_keys(bad.to_str().unwrap()).await.unwrap();
    browser.click("#import .first").await;
    browser.wait_for_text(".faults", "4,323").await;
    browser.wait_for_text(".faults", "Unit").await;
    audit(&browser, "errors of an import").await;
    browser.screenshot("import-errors").await;
    let begin = Instant::now();
    browser.find("#files").await.send_keys(good.to_str().unwrap()).await.unwrap();
    browser.click("#import .first").await;
    browser.wait_for_text("#review", "Changes to save").await;
    println!("5,000 rows: reviewed in {:?}", begin.elapsed());
    let bytes = browser.run("return document.documentElement.outerHTML.length").await;
    println!("the review has {bytes} bytes");
    assert!(bytes.as_u64().unwrap() < MOST_BYTES as u64);
    audit(&browser, "the review of an import").await;
    browser.screenshot("import-review").await;
    let begin = Instant::now();
    browser.click(".head .first").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    println!("5,000 rows: saved in {:?}", begin.elapsed());
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 5002);

    // Question, keyboard alone: text, Tab to the button, Enter; the first select, a letter, Enter.
    browser.client.goto(&format!("{}/import", server.url)).await.unwrap();
    let text = browser.find("#text").await;
    text.send_keys("Asset,mac,Colour\nk1,02:00:5e:00:09:01,red\n").await.unwrap();
    // To "More", and to the button.
    text.send_keys("\u{e004}").await.unwrap();
    let press = |keys: &'static str| async {
        let focused = browser.client.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    };
    press("\u{e004}").await;
    press("\u{e007}").await;
    browser.wait_for_text("#ask", "What are these columns?").await;
    audit(&browser, "the question of an import").await;
    browser.screenshot("import-question").await;
    let select = browser.find("select[name=key]").await;
    select.send_keys("Name of the h").await.unwrap();
    browser.find("#columns button").await.send_keys("\u{e007}").await.unwrap();
    browser.wait_for_text("#review", "Changes to save").await;
    audit(&browser, "the review with columns").await;
    browser.client.set_window_size(375, 1000).await.unwrap();
    browser.screenshot("import-phone").await;
    browser.find(".head .first").await.send_keys("\u{e007}").await.unwrap();
    browser.wait_for_text(".notice", "Saved as revision 3.").await;
    assert!(server.app.inventory.snapshot().site.hosts.contains_key("k1"));
    browser.close().await;
}
