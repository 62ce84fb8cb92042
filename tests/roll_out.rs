//! A roll-out over hosts with a real systemd-networkd: one applies, one returns to what it had, and
//! the third keeps waiting.

use std::time::Duration;

use rackstrap::config::Config;
use rackstrap::inventory::{RollOutError, RollOutStatus};
use rackstrap::lifecycle::audit::Author;
use rackstrap::lifecycle::roll_out::{ApplyAt, Division, HaltCause, RollOutState};
use rackstrap::network::ConfigState;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api_server::ApiServer;
use crate::common::desk::Desk;
use crate::common::machine::Server;
use crate::common::netns::Netns;
use crate::common::store::Store;
use crate::install_script::{Host, set_site};

/// Nobody answers for the gateway of `dark`. A veth has no permanent MAC, hence `match: name`.
const SITE: &str = r#"
racks: {r1: {}, r2: {}, r10: {}}
subnets:
  rack: {cidr: 10.77.0.0/24, gateway: 10.77.0.1}
  dark: {cidr: 10.78.0.0/24, gateway: 10.78.0.254}
profiles:
  plain: {match: name, nics: {eth0: {subnet: rack}}}
  lost: {match: name, nics: {eth0: {subnet: dark}}}
hosts:
  n1: {rack: r1, profile: plain, nics: {eth0: "52:54:00:aa:00:01"}, addresses: {eth0: 10.77.0.11}}
  n2: {rack: r2, profile: lost, nics: {eth0: "52:54:00:aa:00:02"}, addresses: {eth0: 10.78.0.12},
       reservations: {rack: 10.77.0.12}}
  n3: {rack: r10, profile: plain, nics: {eth0: "52:54:00:aa:00:03"}, addresses: {eth0: 10.77.0.13}}
"#;

async fn status(server: &Server) -> RollOutStatus {
    let inventory = &server.app.inventory;
    let now = jiff::Timestamp::now().as_millisecond();
    inventory.advance_roll_out(now).await.unwrap();
    inventory.roll_out_status(now).await.unwrap().unwrap()
}

/// A host asks whether to apply, as its timer does.
fn ask(host: &mut Host) -> (String, i32) {
    host.run("WAIT=4 sh /run/root/usr/local/sbin/rackstrap-follow")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_returns_halts_the_roll_out_and_the_next_wave_stays_shut() {
    let wire = Netns::new("rack");
    wire.bridge("br0", "10.77.0.1/24");
    let listener = wire.run(|| std::net::TcpListener::bind("10.77.0.1:80").unwrap());
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let server = Server::start_on(listener, SITE, Config::default()).await;
    let inventory = &server.app.inventory;
    let namespaces = [Netns::new("h1"), Netns::new("h2"), Netns::new("h3")];
    let mut hosts = Vec::new();
    for (number, inside) in (1..).zip(&namespaces) {
        let port = format!("p{number}");
        wire.join(&port, inside, "eth0");
        wire.ip(&format!("link set {port} master br0"));
        let mut host = Host::start(inside, &format!("10.77.0.1{number}"));
        // Below a directory of its own: the files of this machine are not the host's.
        let install = format!(
            "curl -fs --retry 30 --retry-all-errors --retry-delay 1 \
             http://10.77.0.1/config/52:54:00:aa:00:0{number}.follow.sh | ROOT=/run/root sh"
        );
        let said = "rackstrap: this host asks for roll-outs every five minutes\n".to_owned();
        assert_eq!(host.run(&install), (said, 0));
        assert_eq!(ask(&mut host), (String::new(), 0), "nothing is applied without a roll-out");
        hosts.push(host);
    }
    let units =
        "systemd-analyze verify --man=no /run/root/etc/systemd/system/rackstrap-follow.timer";
    let enabled = "test -L /run/root/etc/systemd/system/timers.target.wants/rackstrap-follow.timer";
    println!("{:?}", hosts[0].run(units));
    assert_eq!(hosts[0].run(enabled).1, 0);
    let [n1, n2, n3] = &mut hosts[..] else { panic!() };
    let old_files = "ls -A /etc/systemd/network";
    assert_eq!(n3.run(old_files).0, "50-old.network\n");

    let racks = Division::Racks(1);
    let wrong = inventory.plan_roll_out(Some("n9"), &racks, ApplyAt::Now).await.unwrap_err();
    assert!(matches!(wrong, RollOutError::First(_)), "{wrong}");
    let plan = inventory.plan_roll_out(Some("n1"), &racks, ApplyAt::Now).await.unwrap();
    let names: Vec<&str> = plan.waves.iter().map(|wave| wave.name.as_str()).collect();
    assert_eq!((names, plan.asking), (vec!["n1", "r2", "r10"], 3));
    inventory.begin_roll_out(Author::from("test"), &plan).await.unwrap();
    let again = inventory.begin_roll_out(Author::from("test"), &plan).await.unwrap_err();
    assert!(matches!(again, RollOutError::Open(1)), "{again}");

    for host in [&mut *n2, &mut *n3] {
        assert_eq!(ask(host), (String::new(), 0), "its wave is shut");
    }
    assert_eq!(ask(n1), ("rackstrap: applied revision 1\n".into(), 0));
    assert_eq!(ask(n1), (String::new(), 0), "once");
    let now = status(&server).await;
    assert_eq!((now.roll_out.wave, now.waves[0].current), (2, 1));

    assert_eq!(ask(n3), (String::new(), 0), "its wave is shut");
    let (said, ended) = ask(n2);
    let verdict = "rolled back revision 1: no answer from gateway 10.78.0.254";
    assert!(ended == 1 && said.contains(verdict), "{said}");
    let now = status(&server).await;
    let RollOutState::Halted { host: Some(at), cause: HaltCause::Returned { text } } =
        now.roll_out.state
    else {
        panic!("{now:?}");
    };
    assert!(at == "n2" && text.starts_with(verdict), "{at}: {text}");
    assert_eq!((now.waves[1].failed.clone(), now.waves[2].current), (vec!["n2".to_owned()], 0));
    assert_eq!(ask(n3), (String::new(), 0), "the second wave is halted, the third stays shut");
    assert_eq!(n3.run(old_files).0, "50-old.network\n");
    assert_eq!(n2.run(old_files).0, "50-old.network\n");

    // Mended in the inventory, the old roll-out brings nobody what it was not begun with.
    set_site(&server, &SITE.replace("gateway: 10.78.0.254", "gateway: 10.78.0.253")).await;
    inventory.resume_roll_out(Author::from("test")).await.unwrap();
    assert_eq!(ask(n2), (String::new(), 0));
    let now = status(&server).await;
    let moved = RollOutState::Halted { host: Some("n2".into()), cause: HaltCause::Moved };
    assert_eq!(now.roll_out.state, moved);
    inventory.end_roll_out(Author::from("test")).await.unwrap();

    let mended = SITE.replace("profile: lost", "profile: plain");
    let mended = mended.replace("addresses: {eth0: 10.78.0.12},", "addresses: {eth0: 10.77.0.12}");
    let mended = mended.replace("\n       reservations: {rack: 10.77.0.12}}", "}");
    set_site(&server, &mended).await;
    let plan = inventory.plan_roll_out(None, &racks, ApplyAt::Now).await.unwrap();
    let names: Vec<&str> = plan.waves.iter().map(|wave| wave.name.as_str()).collect();
    assert_eq!(names, ["r2", "r10"], "n1 runs it already");
    inventory.begin_roll_out(Author::from("test"), &plan).await.unwrap();
    assert_eq!(ask(n3), (String::new(), 0), "its wave is shut");
    assert_eq!(ask(n2), ("rackstrap: applied revision 3\n".into(), 0));
    // The clock opens the next wave.
    assert_eq!(status(&server).await.roll_out.wave, 2);
    assert_eq!(ask(n3), ("rackstrap: applied revision 3\n".into(), 0));
    assert_eq!(status(&server).await.roll_out.state, RollOutState::Done);
    let states = inventory.config_states().await.unwrap();
    assert!(states.values().all(|state| *state == ConfigState::Current), "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_on_both_databases_and_by_commands() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        assert!(desk.bad("roll-out end")[0].contains("no roll-out is running or halted"));
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        assert!(desk.bad("roll-out show")[0].contains("no roll-out was begun yet"));
        let unknown = &desk.bad("roll-out start --first n9")[0];
        assert!(unknown.contains("host \"n9\" cannot go first"), "{unknown}");
        assert!(desk.bad("rollout start")[0].contains("install the timer on them first"));
        let inventory = desk.store.inventory().await;
        let snapshot = inventory.snapshot();
        for host in ["n1", "n2", "n3"] {
            assert!(!inventory.may_apply(&snapshot, host, None).await.unwrap(), "{host}");
        }
        let planned = desk.good("roll-out start --first n3 --all --dry-run");
        assert!(planned.contains("1     n3    1\n2     all   2\n"), "{planned}");
        assert!(planned.ends_with("dry run: nothing changed\n"), "{planned}");
        assert!(desk.bad("roll-out start --label db")[0].contains("has the label \"db\""));
        assert!(desk.good("roll-out start --first n3 --all").ends_with("roll-out 1 has begun\n"));
        assert!(desk.bad("roll-out start")[0].contains("roll-out 1 is not over"));
        assert!(desk.bad("roll-out resume")[0].contains("roll-out 1 is running"));

        assert!(!inventory.may_apply(&snapshot, "n1", None).await.unwrap(), "its wave is shut");
        assert!(inventory.may_apply(&snapshot, "n3", None).await.unwrap());
        assert!(!inventory.may_apply(&snapshot, "n3", None).await.unwrap(), "once");
        inventory.note_roll_out_failure("n1", "not of this roll-out").await.unwrap();
        inventory.note_roll_out_failure("n3", "rolled back revision 1").await.unwrap();
        let shown = desk.good("roll-out show");
        assert!(shown.contains("halted at n3: rolled back revision 1\n"), "{shown}");
        assert!(shown.contains("1 (open)  n3"), "{shown}");
        assert!(!inventory.may_apply(&snapshot, "n3", None).await.unwrap());
        assert_eq!(desk.good("roll-out resume"), "roll-out 1 goes on\n");
        assert!(inventory.may_apply(&snapshot, "n3", None).await.unwrap());
        assert_eq!(desk.good("roll-out end"), "roll-out 1 has ended\n");
        assert!(!inventory.may_apply(&snapshot, "n1", None).await.unwrap());
        assert!(desk.good("roll-out start --racks 2").ends_with("roll-out 2 has begun\n"));
        assert_eq!(desk.good("roll-out end"), "roll-out 2 has ended\n");

        // At the next boot: only who was booted since.
        let begun = desk.good("roll-out start --first n3 --all --at-next-boot");
        assert!(begun.ends_with("roll-out 3 has begun\n"), "{begun}");
        let shown = desk.good("roll-out show");
        assert!(shown.contains("of revision 1 at the next boot of each host, begun by"), "{shown}");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let ask = async |host, up| inventory.may_apply(&snapshot, host, up).await.unwrap();
        assert!(!ask("n3", None).await, "nobody knows when it was booted");
        assert!(!ask("n3", Some(Duration::from_hours(1))).await, "up since before");
        assert!(!ask("n1", Some(Duration::ZERO)).await, "its wave is shut");
        assert!(ask("n3", Some(Duration::ZERO)).await);
        let month_ms = 30 * 24 * 3600 * 1000;
        let later = jiff::Timestamp::now().as_millisecond() + month_ms;
        inventory.advance_roll_out(later).await.unwrap();
        let shown = desk.good("roll-out show");
        assert!(shown.contains("halted at n3: it took its configuration"), "{shown}");
        let audit = desk.good("audit");
        for line in ["started roll-out 1", "resumed roll-out 1", "ended roll-out 1"] {
            assert!(audit.contains(line), "{line}: {audit}");
        }
    }
}

#[tokio::test]
async fn programs_begin_resume_and_end_it() {
    for store in Store::both().await {
        let server = ApiServer::with_store(store).await;
        let ask = async |method: &str, path: &str| {
            let response = server.request(method, path).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        assert_eq!(ask("GET", "/roll-out").await, (200, json!({"roll_out": null})));
        let (status, problem) = ask("POST", "/roll-out?all").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 409 && detail.contains("install the timer on them first"), "{problem}");
        let inventory = &server.app.inventory;
        let snapshot = inventory.snapshot();
        let names: Vec<String> = snapshot.site.hosts.keys().cloned().collect();
        for name in &names {
            inventory.may_apply(&snapshot, name, None).await.unwrap();
        }
        for (query, expected) in [
            ("racks=0", "a wave has at least 1 rack"),
            ("racks=2&all", "give one of racks, labels and all"),
            ("labels=,", "name at least one label"),
            ("apply=noon", "noon"),
        ] {
            let (status, problem) = ask("POST", &format!("/roll-out?{query}")).await;
            assert!(status == 400 && problem.to_string().contains(expected), "{problem}");
        }
        let first = &names[0];
        let query = format!("/roll-out?first={first}&all&apply=next-boot");
        let (status, planned) = ask("POST", &format!("{query}&dry-run")).await;
        assert_eq!(
            (status, &planned["id"], &planned["dry_run"]),
            (200, &Value::Null, &json!(true))
        );
        let (_, begun) = ask("POST", &query).await;
        assert_eq!((&begun["id"], &begun["apply_at"]), (&json!(1), &json!("next-boot")), "{begun}");
        assert_eq!(begun["waves"][0]["hosts"], json!([first]));
        let (_, shown) = ask("GET", "/roll-out").await;
        let roll_out = &shown["roll_out"];
        assert_eq!((&roll_out["state"], &roll_out["wave"]), (&json!("running"), &json!(1)));
        assert_eq!(ask("POST", "/roll-out/resume").await.0, 409, "it is running");
        assert_eq!(ask("POST", "/roll-out/end").await, (200, json!({"id": 1})));
        assert_eq!(ask("POST", "/roll-out/end").await.0, 409, "none is open");
    }
}
