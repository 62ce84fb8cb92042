//! Viewers: twenty people have a list of hosts open while a rack of them boots.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rackstrap::inventory::Database;
use rackstrap::model::Role;
use reqwest::Client;

use crate::contender::{Board, Effort, Findings, start};
use crate::figures::Verdict;
use crate::http::fetch;
use crate::lab::Lab;
use crate::process::Process;
use crate::{ours, storm};

const OURS: &str = "rackstrap";
const HOSTS: u32 = 4000;
/// The hosts of a rack.
const BOOT: u32 = 40;
const VIEWERS: usize = 20;
/// How many hosts a page of the list has.
const LISTED: u32 = 100;
/// Within this the last host is switched on.
const POWER_ON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "twenty people watch";
const ADMIN: &str = "http://127.0.0.1:8080";

const ALONE: &str = "boots alone, % of a core";
const WATCHED: &str = "watched, % of a core";
const VIEWED: &str = "20 viewers, % of a core";
const RATE: &str = "KB/s a viewer";

/// Boots a rack without viewers and with them, in turn.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let mut findings = Findings::default();
    let mut board = Board::default();
    let program = storm::write_files(lab);
    let make = |dir: &Path| {
        let command = ours::command(lab, dir, &storm::site(HOSTS))?;
        add_user(dir).map_err(|error| error.to_string())?;
        Ok(command)
    };
    let ready = || lab.in_client(|| fetch("/healthz")).is_ok();
    let server = match start(lab, OURS, ours::PROGRAM, make, ready) {
        Ok(server) => server,
        Err(reason) => {
            findings.verdicts.push(Verdict::open("20 viewers of a booting rack", reason));
            return findings;
        }
    };
    for _ in 0..effort.rounds {
        let alone = boot_rack(lab, &server, &program, &mut findings);
        let (stop, bytes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (watched, seconds) = std::thread::scope(|scope| {
            let viewers = scope.spawn(|| lab.in_server(|| watch(&stop, &bytes)));
            // Until every page has been sent whole.
            std::thread::sleep(Duration::from_secs(3));
            bytes.store(0, Ordering::Relaxed);
            let began = Instant::now();
            let watched = boot_rack(lab, &server, &program, &mut findings);
            let seconds = began.elapsed().as_secs_f64();
            stop.store(true, Ordering::Relaxed);
            if let Err(fault) = viewers.join().expect("viewers do not panic") {
                findings.faults.push(format!("viewers: {fault}"));
            }
            (watched, seconds)
        });
        let samples = board.of(OURS);
        samples.add(ALONE, alone);
        samples.add(WATCHED, watched);
        samples.add(VIEWED, watched - alone);
        let sent = bytes.load(Ordering::Relaxed) as f64;
        samples.add(RATE, sent / 1000.0 / seconds / VIEWERS as f64);
    }
    let title =
        format!("{VIEWERS} viewers of {LISTED} hosts each, of which {BOOT} boot within 20 s");
    let columns = [(ALONE, 2), (WATCHED, 2), (VIEWED, 2), (RATE, 1)];
    findings.tables.push(board.table(&title, &[OURS], &columns));
    findings.verdicts.push(Verdict::at_most(
        "20 viewers of a booting rack: % of a core",
        board.median(OURS, VIEWED),
        5.0,
    ));
    let rate = board.median(OURS, RATE);
    findings.verdicts.push(Verdict::at_most("a viewer of it: KB/s", rate, 20.0));
    if rate == 0.0 {
        findings.faults.push("viewers: nothing was shown".into());
    }
    findings
}

/// Boots a rack and gives what that took, in per cent of a core.
fn boot_rack(lab: &Lab, server: &Process, program: &[u8], findings: &mut Findings) -> f64 {
    let began = Instant::now();
    let boots = || lab.in_client(|| storm::boot_all(BOOT, POWER_ON, program));
    let (booted, usage) = server.weigh(boots);
    // What is shown after the last of them belongs to it.
    std::thread::sleep(POWER_ON.saturating_sub(began.elapsed()));
    let faults = booted.into_iter().filter_map(Result::err).take(3);
    findings.faults.extend(faults.map(|fault| format!("viewers: {fault}")));
    usage.cpu / began.elapsed().as_secs_f64() * 100.0
}

fn add_user(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = format!("sqlite:{}", dir.join("data/rackstrap.db").display());
        let database = Database::open(&url).await?;
        database.add_user("bench", PASSWORD, Role::Viewer).await?;
        database.close().await;
        Ok(())
    })
}

/// Logs in and follows a page of the list in every window, until `stop`.
fn watch(stop: &AtomicBool, bytes: &AtomicUsize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = log_in().await.map_err(|error| error.to_string())?;
        let hosts: Vec<String> = (0..LISTED).map(|number| format!("h{number:04}")).collect();
        let url = format!("{ADMIN}/live?hosts={}", hosts.join(","));
        let follow = || async {
            let mut answer = client.get(&url).send().await?.error_for_status()?;
            while let Some(chunk) = answer.chunk().await? {
                bytes.fetch_add(chunk.len(), Ordering::Relaxed);
            }
            Ok::<(), reqwest::Error>(())
        };
        let all = futures_util::future::try_join_all((0..VIEWERS).map(|_| follow()));
        let stopped = async {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            ended = all => Err(format!("a stream ended: {ended:?}")),
            () = stopped => Ok(()),
        }
    })
}

async fn log_in() -> Result<Client, reqwest::Error> {
    let client = Client::builder().cookie_store(true).build()?;
    let page = client.get(format!("{ADMIN}/login")).send().await?.text().await?;
    let token = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!(
        "csrf={}&name=bench&password={}",
        token.unwrap_or_default(),
        PASSWORD.replace(' ', "+")
    );
    let login = client.post(format!("{ADMIN}/login"));
    let login = login.header("content-type", "application/x-www-form-urlencoded").body(form);
    login.send().await?.error_for_status()?;
    Ok(client)
}
