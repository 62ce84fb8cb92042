//! axe-core's rules for those who do not see a page or use no mouse, on every page that a link leads to, in
//! both themes.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fantoccini::wd::TimeoutConfiguration;
use serde_json::Value;

use super::browser::Browser;
use super::journey::{fill, log_in};
use super::server::Server;
use crate::common::tools;

const TEST: &str = "every_page_passes_axe_in_both_themes";

/// What axe-core finds: the rule, and what it says of each element.
const RUN: &str = "const done = arguments[0]; \
    axe.run(document, {resultTypes: ['violations']}).then( \
        (found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) => \
            `${rule.id}: ${node.html.slice(0, 200)}: ${node.failureSummary}`))), \
        (error) => done([String(error)]))";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_passes_axe_in_both_themes() {
    let Some(axe) = axe_core() else { return };
    let server = Server::start().await;
    fill(&server).await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    // A drawing of a subnet has hundreds of elements, and the machine may be busy.
    let patience = TimeoutConfiguration::new(Some(Duration::from_secs(240)), None, None);
    browser.client.update_timeouts(patience).await.unwrap();
    let (mut wrong, mut pages) = (Vec::new(), BTreeSet::new());
    for theme in ["light", "dark"] {
        choose(&browser, &server, theme).await;
        let mut waiting = VecDeque::from(START.map(str::to_owned));
        let mut seen: BTreeSet<String> = START.map(kind).into();
        while let Some(path) = waiting.pop_front() {
            browser.client.goto(&format!("{}{path}", server.url)).await.unwrap();
            browser.find("h1").await;
            browser.run(&axe).await;
            let begin = Instant::now();
            let found = browser.client.execute_async(RUN, Vec::new()).await.unwrap();
            println!("{path} ({theme}): {:?}", begin.elapsed());
            let found = found.as_array().unwrap().iter().map(|one| one.as_str().unwrap());
            wrong.extend(found.map(|one| format!("{path} ({theme}): {one}")));
            let links = "return [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))";
            let links = browser.run(links).await;
            let links = links.as_array().unwrap().iter().filter_map(Value::as_str);
            for link in links.filter(|link| is_page(link)) {
                if seen.insert(kind(link)) {
                    waiting.push_back(link.to_owned());
                }
            }
        }
        pages.extend(seen);
    }
    browser.close().await;
    println!("axe-core looked at {} pages", pages.len());
    assert!(pages.len() > 30, "{pages:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the test begins; links within a page are not followed.
const START: [&str; 4] = [
    "/",
    "/subnets/internal?at=172.16.160.77",
    "/subnets/internal/give?address=172.16.160.77&host=r1-n01",
    "/racks/r1?unit=7",
];

/// Chooses the colours as a person does; every page is loaded in them then.
async fn choose(browser: &Browser, server: &Server, theme: &str) {
    browser.client.goto(&format!("{}/access", server.url)).await.unwrap();
    browser.click(&format!("button[value={theme}]")).await;
    browser.find(&format!("button[value={theme}][aria-pressed=true]")).await;
}

/// Whether a link leads to a page of ours, not to a file.
fn is_page(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap();
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    path.starts_with('/') && !is_file && !path.starts_with("/api")
}

/// Pages of one kind differ in names and numbers: one of them is looked at.
fn kind(link: &str) -> String {
    let link = link.split('#').next().unwrap();
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let mut kind: Vec<&str> = path.split('/').collect();
    if let Some(name) = kind.get_mut(2) {
        *name = "*";
    }
    let words =
        query.split('&').filter(|word| word.starts_with("noun=") || word.starts_with("view="));
    [kind.join("/"), words.collect::<Vec<_>>().join("&")].join("?")
}

/// The program, from the package of PyPI that has it.
fn axe_core() -> Option<String> {
    let requirements = ["--no-deps", "axe-playwright-python==0.1.8"];
    let programs = tools::python(TEST, "axe-tools", &requirements)?;
    let libraries = programs.parent().unwrap().join("lib");
    let python: Vec<PathBuf> =
        fs::read_dir(libraries).unwrap().map(|entry| entry.unwrap().path()).collect();
    let file = python[0].join("site-packages/axe_playwright_python/axe.min.js");
    Some(fs::read_to_string(file).unwrap())
}
