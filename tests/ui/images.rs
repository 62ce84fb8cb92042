//! Images in the UI: the list, one image, and uploads by a plain form and in a real browser.

use std::fs;

use reqwest::multipart::{Form, Part};

use super::browser::Browser;
use super::server::{PASSWORD, Server, encode, fields};
use crate::image_store::{INITRD, bz_image, sha256};

fn csrf(page: &str) -> String {
    fields(page).into_iter().find(|(name, _)| name == "csrf").unwrap().1
}

fn file(name: &str, bytes: &[u8]) -> Part {
    Part::bytes(bytes.to_vec()).file_name(name.to_owned())
}

/// What is in the store, whole or not.
fn stored(server: &Server) -> usize {
    let mut count = 0;
    let mut waiting = vec![server.app.config.now().files_path().join("store")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false => count += 1,
            }
        }
    }
    count
}

#[tokio::test]
async fn files_are_uploaded_by_a_plain_form_reviewed_and_saved() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let page = operator.page("/add-image").await;
    let url = format!("{}/add-image", server.url);
    let kernel = bz_image("6.1.0-50-amd64");
    let send = |form: Form| operator.client.post(&url).multipart(form).send();
    let form = || Form::new().text("csrf", csrf(&page)).text("name", "debian");

    let sent = form()
        .part("files", file("vmlinuz", &kernel))
        .part("files", file("initrd.img", INITRD))
        .text("cmdline", "quiet splash")
        .text("once", "on");
    let answer = send(sent).await.unwrap();
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let review = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(review.starts_with("/add-image/review?name=debian&"), "{review}");
    let reviewed = operator.page(&review).await;
    for text in ["kernel: store/", "cmdline: quiet splash", "boot: once", ">Save</button>"] {
        assert!(reviewed.contains(text), "{text}: {reviewed}");
    }
    let inventory = &server.app.inventory;
    assert!(!inventory.snapshot().site.images.contains_key("debian"), "not saved yet");
    let mut values = fields(&reviewed);
    values.push(("do".to_owned(), "save".to_owned()));
    let saved = operator.post("/change", encode(&values)).await;
    assert_eq!(saved.status(), 303, "{}", saved.text().await.unwrap());
    let path = inventory.snapshot().site.images["debian"].kernel.clone().unwrap();
    assert_eq!(path, format!("store/{}/vmlinuz", &sha256(&kernel)[..16]));
    let shown = operator.page("/images/debian").await;
    for text in ["6.1.0-50-amd64", &sha256(&kernel), "upload vmlinuz", "by ada", "No host boots"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(operator.page("/images").await.contains(">installer<"));

    // What is refused stores nothing.
    let before = stored(&server);
    let no_token = Form::new().part("files", file("x", &bz_image("1.0")));
    let late_token =
        Form::new().part("files", file("x", &bz_image("1.0"))).text("csrf", csrf(&page));
    let cases = [
        (no_token, 403, "this form has expired"),
        (late_token, 403, "this form has expired"),
        (form().part("files", file("x.html", b"<html>")), 422, "found web-page"),
        (form(), 400, "choose at least one"),
        // The form is there again, with what was typed.
        (form().text("cmdline", "quiet"), 400, "value=\"quiet\""),
        (form().part("files", file("", b"")), 400, "choose at least one"),
        (Form::new().text("csrf", csrf(&page)).text("name", "a b"), 400, "image name"),
        (
            form()
                .part("files", file("a", &bz_image("1.1")))
                .part("files", file("b", &bz_image("1.2"))),
            400,
            "these are two",
        ),
    ];
    for (sent, status, expected) in cases {
        let answer = send(sent).await.unwrap();
        let (found, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(found == status && text.contains(expected), "{expected}: {found} {text}");
        assert_eq!(stored(&server), before, "{expected}");
    }
    // More than the disk has is refused before a byte of it comes.
    let huge = operator.client.post(&url).header("content-type", "multipart/form-data; boundary=x");
    let stream = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let huge = huge.header("content-length", 1_u64 << 60).body(reqwest::Body::wrap_stream(stream));
    let answer = huge.send().await.unwrap();
    assert_eq!(answer.status(), 507);
    assert!(answer.text().await.unwrap().contains("not enough space"));
}

#[tokio::test]
async fn a_browser_uploads_files_and_shows_an_image() {
    let server = Server::start().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (kernel, initrd) = (folder.path().join("vmlinuz"), folder.path().join("initrd.img"));
    fs::write(&kernel, bz_image("6.12.117-amd64")).unwrap();
    fs::write(&initrd, [INITRD, &vec![7; 3 << 20]].concat()).unwrap();
    let browser = Browser::start().await;
    browser.client.goto(&server.url).await.unwrap();
    browser.fill("#name", "ada").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("main button").await;
    browser.find("nav").await;
    browser.client.goto(&format!("{}/add-image", server.url)).await.unwrap();
    browser.screenshot("add-image").await;
    browser.fill("#name", "debian").await;
    let both = format!("{}\n{}", kernel.display(), initrd.display());
    browser.find("#files").await.send_keys(&both).await.unwrap();
    browser.wait_for_text("[data-chosen]", "initrd.img, 3.0 MiB").await;
    browser.fill("#cmdline", "console=ttyS0").await;
    browser.click("#upload button").await;
    browser.wait_for_text("h1", "Change the site").await;
    browser.wait_for_text("main", "kernel: store/").await;
    browser.screenshot("add-image-review").await;
    browser.click("button[value=save]").await;
    browser.wait_for_text(".notice", "Saved as revision").await;
    browser.wait_for_text("h1", "debian").await;
    browser.client.goto(&format!("{}/images/debian", server.url)).await.unwrap();
    browser.wait_for_text("main", "6.12.117-amd64").await;
    browser.screenshot("image").await;
    browser.client.goto(&format!("{}/images", server.url)).await.unwrap();
    browser.screenshot("images").await;
    // A refusal is shown in the form, which can be sent again.
    fs::write(&kernel, "<html>").unwrap();
    browser.client.goto(&format!("{}/add-image?name=debian", server.url)).await.unwrap();
    browser.find("#files").await.send_keys(kernel.to_str().unwrap()).await.unwrap();
    browser.click("#upload button").await;
    browser.wait_for_text("[data-said]", "found web-page").await;
    browser.screenshot("add-image-refused").await;
    browser.close().await;
}
