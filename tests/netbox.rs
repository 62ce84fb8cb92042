//! A real NetBox with racks of cabled hosts, taken over by `rackstrap netbox`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::skip::skip;
use crate::common::store::PostgresServer;
use crate::common::tools;

const VERSION: &str = "4.7.3";

/// A NetBox that is one test's own, with its database and its Redis.
struct NetBox {
    url: String,
    token: String,
    directory: TempDir,
    children: Vec<Child>,
    _postgres: PostgresServer,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that must succeed; what it prints.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Where NetBox is installed, and its Redis; without them the test is reported as skipped.
fn programs(test: &str) -> Option<(PathBuf, Command)> {
    let environment = root().join(format!("target/netbox-{VERSION}"));
    let mut fetch = Command::new(root().join("tests/tools/fetch-netbox.sh"));
    let output = fetch.arg(&environment).arg(VERSION).output().unwrap();
    if !output.status.success() {
        skip(test, String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    let Some(redis) = tools::find("usr/bin/redis-server", &["--version"]) else {
        skip(test, "redis-server is not unpacked: make tools");
        return None;
    };
    Some((environment.join("bin"), redis.command()))
}

impl NetBox {
    /// Starts one with so many hosts. Its tables take many minutes to make, so they are kept.
    fn start(test: &str, hosts: usize) -> Option<Self> {
        static TABLES: Mutex<()> = Mutex::new(());
        let (bin, mut redis) = programs(test)?;
        let directory = TempDir::new().unwrap();
        let postgres = PostgresServer::start();
        let redis_port = free_port();
        let redis = redis
            .args(["--bind", "127.0.0.1", "--port", &redis_port.to_string(), "--save", ""])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut netbox = Self {
            url: String::new(),
            token: String::new(),
            directory,
            children: vec![redis],
            _postgres: postgres,
        };
        let place = netbox.directory.path();
        let redis = format!(
            "{{'HOST': '127.0.0.1', 'PORT': {redis_port}, 'USERNAME': '', 'PASSWORD': '', 'SSL': False, 'DATABASE': "
        );
        let settings = format!(
            "ALLOWED_HOSTS = ['*']\n\
             DATABASES = {{'default': {{'NAME': 'postgres', 'USER': 'postgres', 'PASSWORD': '', \
             'HOST': '{}', 'PORT': '', 'CONN_MAX_AGE': 300}}}}\n\
             REDIS = {{'tasks': {redis}0}}, 'caching': {redis}1}}}}\n\
             SECRET_KEY = 'x' * 60\n\
             API_TOKEN_PEPPERS = {{1: 'y' * 60}}\n",
            netbox._postgres.directory().display()
        );
        std::fs::write(place.join("netbox_settings.py"), settings).unwrap();
        let python = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command.env("PYTHONPATH", place).env("NETBOX_CONFIGURATION", "netbox_settings");
            command.env("DJANGO_SETTINGS_MODULE", "netbox.settings").current_dir(place);
            command
        };
        {
            let _alone = TABLES.lock();
            let tables = root().join(format!("target/netbox-{VERSION}.sql"));
            if tables.exists() {
                let mut psql = netbox._postgres.command("psql");
                done(psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&tables));
            } else {
                done(python("python").args(["-m", "netbox", "migrate", "--no-input"]));
                let text = done(&mut netbox._postgres.command("pg_dump"));
                let part = tables.with_extension("part");
                std::fs::write(&part, text).unwrap();
                std::fs::rename(part, tables).unwrap();
            }
        }
        let seed = root().join("tests/tools/netbox-seed.py");
        let said = done(python("python").arg(seed).arg(hosts.to_string()));
        netbox.token = said.lines().last().unwrap().trim().to_owned();
        let port = free_port();
        let log = std::fs::File::create(place.join("log")).unwrap();
        let server = python("gunicorn")
            // As NetBox's own settings of gunicorn have it.
            .args(["netbox.wsgi", "--workers", "4", "--timeout", "120"])
            .args(["--bind", &format!("127.0.0.1:{port}")])
            .stderr(log)
            .spawn()
            .unwrap();
        netbox.children.push(server);
        netbox.url = format!("http://127.0.0.1:{port}");
        Some(netbox)
    }

    /// Waits until it answers.
    async fn answers(&self) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.request(reqwest::Method::GET, "status/", Value::Null).await.is_none() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(Instant::now() < end, "NetBox does not answer: {log}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// What it answers; nothing while it starts.
    async fn request(&self, method: reqwest::Method, path: &str, body: Value) -> Option<Value> {
        let request = reqwest::Client::new().request(method, format!("{}/api/{path}", self.url));
        let request = request.bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        Some(serde_json::from_str(&text).unwrap())
    }

    /// The only object that a search finds.
    async fn one(&self, path: &str) -> Value {
        let found = self.request(reqwest::Method::GET, path, Value::Null).await.unwrap();
        assert_eq!(found["count"], 1, "{path}: {found}");
        found["results"][0].clone()
    }

    fn rackstrap(&self, arguments: &[&str]) -> Output {
        self.rackstrap_with(&self.token, arguments)
    }

    fn rackstrap_with(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--data-dir").arg(self.directory.path().join("data")).args(arguments);
        command.env("RACKSTRAP_NETBOX_TOKEN", token).output().unwrap()
    }

    fn pull(&self, more: &[&str]) -> Said {
        let all = [&["netbox", "pull", "--url", &self.url], more].concat();
        Said::of(self.rackstrap(&all))
    }

    /// The inventory.
    fn site(&self) -> Value {
        let said = Said::of(self.rackstrap(&["export"]));
        serde_saphyr::from_str(&said.out).unwrap()
    }
}

impl Drop for NetBox {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // Its workers end with it.
            let process = nix::unistd::Pid::from_raw(child.id() as i32);
            let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

/// What a command said.
struct Said {
    good: bool,
    out: String,
    errors: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            good: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn good(self) -> Self {
        assert!(self.good, "{}{}", self.out, self.errors);
        self
    }

    #[track_caller]
    fn bad(self, expected: &str) {
        assert!(!self.good && self.errors.contains(expected), "{expected}: {}", self.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "NetBox and its tables take minutes to make: make test-full"]
async fn racks_of_a_netbox_are_taken_over_and_the_second_time_nothing_changes() {
    let test = "racks_of_a_netbox_are_taken_over_and_the_second_time_nothing_changes";
    let Some(netbox) = NetBox::start(test, 50) else { return };
    netbox.answers().await;

    // What is wrong is said, and the token never.
    let pull = ["netbox", "pull", "--url", &netbox.url];
    let wrong = Said::of(netbox.rackstrap_with("0123456789", &pull));
    assert!(!wrong.errors.contains("0123456789"), "{}", wrong.errors);
    wrong.bad("NetBox refuses the token (Invalid v1 token)");
    let elsewhere = format!("{}/elsewhere", netbox.url);
    let elsewhere = ["netbox", "pull", "--url", &elsewhere];
    Said::of(netbox.rackstrap(&elsewhere)).bad("/elsewhere/api/status/ does not exist");
    netbox.pull(&["--site", "hall-2"]).bad("has no site \"hall-2\"; it has hall-1, empty");
    netbox
        .pull(&["--role", "gpu"])
        .bad("has no device role \"gpu\"; it has leaf-switch, pdu, server");

    let dry = netbox.pull(&["--dry-run"]).good();
    assert!(dry.out.contains("50 new hosts") && dry.out.contains("nothing changed"), "{}", dry.out);
    assert!(!netbox.directory.path().join("data/rackstrap.db").exists());

    let first = netbox.pull(&["--site", "hall-1"]).good();
    assert!(first.out.ends_with("revision 1\n"), "{}", first.out);
    assert!(first.errors.contains("role pdu: 1 device"), "{}", first.errors);
    let site = netbox.site();
    let expected = json!({
        "rack": "R001", "unit": 1, "labels": ["gpu"], "serial": "S00000", "tenant": "acme-corp",
        "profile": "bond", "addresses": {"bond0": "10.1.0.11"},
        "nics": {
            "eno1": {"mac": "02:0a:00:00:00:00", "switch": "leaf001a", "port": "Ethernet1"},
            "eno2": {"mac": "02:0a:00:00:00:01", "switch": "leaf001b", "port": "Ethernet1"},
        },
        "bmc": {"mac": "02:0b:00:00:00:00", "address": "172.16.1.11"},
    });
    assert_eq!(site["hosts"]["r001-n01"], expected);
    assert_eq!(site["hosts"].as_object().unwrap().len(), 50);
    assert_eq!(
        site["switches"]["leaf002b"],
        json!({"vendor": "eos", "rack": "R002", "unit": 42, "mlag-peer": "leaf002a"})
    );
    assert_eq!(
        site["subnets"]["10.1.1.0-24"],
        json!({"cidr": "10.1.1.0/24", "vlan": 101, "mtu": 9000})
    );
    assert_eq!(site["profiles"].as_object().unwrap().len(), 2, "{}", site["profiles"]);

    let second = netbox.pull(&[]).good();
    assert_eq!(second.out, "no changes\n");

    // What changes there changes here, and nothing else.
    let device = netbox.one("dcim/devices/?name=r002-n10").await;
    let moved = json!({"position": 30, "description": "spare"});
    let path = format!("dcim/devices/{}/", device["id"]);
    netbox.request(reqwest::Method::PATCH, &path, moved).await.unwrap();
    let third = netbox.pull(&[]).good();
    let lines: Vec<&str> = third.out.lines().collect();
    assert!(lines.iter().any(|line| line.contains("r002-n10")), "{}", third.out);
    assert!(
        !third.out.contains("r002-n09") && third.out.ends_with("revision 2\n"),
        "{}",
        third.out
    );
    let host = &netbox.site()["hosts"]["r002-n10"];
    assert_eq!((&host["unit"], &host["notes"]), (&json!(30), &json!("spare")));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "NetBox and its tables take minutes to make: make test-full"]
async fn what_a_netbox_lacks_of_hosts_is_written_to_it_once() {
    let test = "what_a_netbox_lacks_of_hosts_is_written_to_it_once";
    let Some(netbox) = NetBox::start(test, 3) else { return };
    netbox.answers().await;
    let get = async |path: &str| netbox.one(path).await;
    let push = |more: &[&str]| {
        let all = [&["netbox", "push", "--url", &netbox.url], more].concat();
        Said::of(netbox.rackstrap(&all))
    };
    netbox.pull(&[]).good();
    let nothing = push(&[]).good();
    assert_eq!((nothing.out.as_str(), nothing.errors.as_str()), ("no changes\n", ""));

    // A device of which NetBox has the name alone, and a host of which it has nothing.
    let known = get("dcim/devices/?name=r001-n01").await;
    let id = |value: &Value| value["id"].clone();
    let bare = json!({
        "name": "bare", "status": "planned", "site": id(&known["site"]),
        "role": id(&known["role"]), "device_type": id(&known["device_type"]),
    });
    netbox.request(reqwest::Method::POST, "dcim/devices/", bare).await.unwrap();
    let mut site = netbox.site();
    site["hosts"]["ghost"] = json!({"nics": {"eth0": "02:0c:00:00:00:09"}});
    site["hosts"]["bare"] = json!({
        "rack": "R001", "unit": 39, "serial": "S9", "profile": "bond",
        "nics": {
            "eno1": {"mac": "02:0c:00:00:00:01", "switch": "leaf001a", "port": "Ethernet39"},
            "eno2": {"mac": "02:0c:00:00:00:02", "switch": "leaf001b", "port": "Ethernet39"},
        },
        "addresses": {"bond0": "10.1.0.99"},
        "bmc": {"mac": "02:0c:00:00:00:0f", "address": "172.16.1.99"},
    });
    let file = netbox.directory.path().join("site.yaml");
    std::fs::write(&file, site.to_string()).unwrap();
    Said::of(netbox.rackstrap(&["apply", &file.display().to_string()])).good();

    let dry = push(&["--dry-run"]).good();
    assert!(dry.out.contains("+ cable from bare eno1 to leaf001a Ethernet39\n"), "{}", dry.out);
    assert!(dry.out.ends_with("dry run: nothing written\n"), "{}", dry.out);
    let of_bare = "dcim/interfaces/?device=bare";
    let there = netbox.request(reqwest::Method::GET, of_bare, Value::Null).await.unwrap();
    assert_eq!(there["count"], 0);

    let first = push(&[]).good();
    assert!(first.out.ends_with("15 objects written\n"), "{}", first.out);
    assert_eq!(
        first.errors,
        "not written: ghost: NetBox has no device of this name: create it there, with its type and role\n"
    );
    let nic = get("dcim/interfaces/?device=bare&name=eno1").await;
    assert_eq!(nic["mac_address"], "02:0C:00:00:00:01");
    assert_eq!(nic["lag"]["name"], "bond0");
    assert_eq!(nic["connected_endpoints"][0]["device"]["name"], "leaf001a");
    assert_eq!(nic["connected_endpoints"][0]["name"], "Ethernet39");
    let bmc = get("dcim/interfaces/?device=bare&mgmt_only=true").await;
    assert_eq!((&bmc["name"], &bmc["mac_address"]), (&json!("bmc"), &json!("02:0C:00:00:00:0F")));
    let address = get("ipam/ip-addresses/?address=10.1.0.99").await;
    assert_eq!(address["address"], "10.1.0.99/24");
    assert_eq!(address["assigned_object"]["name"], "bond0");
    let device = get("dcim/devices/?name=bare").await;
    assert_eq!(device["rack"]["name"], "R001");
    assert_eq!((&device["position"], &device["serial"]), (&json!(39.0), &json!("S9")));
    assert_eq!(device["primary_ip4"]["address"], "10.1.0.99/24");
    // It has never reported that it is up.
    assert_eq!(device["status"]["value"], "planned");

    let second = push(&[]).good();
    assert_eq!(second.out, "no changes\n");
    let back = netbox.pull(&[]).good();
    assert_eq!(back.out, "no changes\n");
    // What NetBox says otherwise stays, and is told.
    let path = format!("dcim/devices/{}/", device["id"]);
    let other = json!({"serial": "S10"});
    netbox.request(reqwest::Method::PATCH, &path, other).await.unwrap();
    let third = push(&[]).good();
    assert_eq!(third.out, "no changes\n");
    assert!(
        third.errors.contains("bare: serial: NetBox has S10, the inventory S9"),
        "{}",
        third.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "4,000 devices in a real NetBox: make test-full"]
async fn four_thousand_devices_are_pulled_and_the_second_time_nothing_changes() {
    let Some(netbox) = NetBox::start("four_thousand_devices_are_pulled_within_a_minute", 4000)
    else {
        return;
    };
    netbox.answers().await;
    // How long it takes is NetBox's time above all, and so a matter of its processors: printed, not held.
    let timed = |what: &str, run: &dyn Fn() -> Said| {
        let begin = Instant::now();
        let said = run().good();
        println!("{what}: {:.1} s", begin.elapsed().as_secs_f64());
        said
    };
    let first = timed("4,000 hosts with 8,000 cables, first pull", &|| netbox.pull(&[]));
    assert!(first.out.ends_with("revision 1\n"), "{}", first.errors);
    let site = netbox.site();
    let hosts = site["hosts"].as_object().unwrap();
    let nics = hosts.values().flat_map(|host| host["nics"].as_object().unwrap().values());
    assert_eq!((hosts.len(), nics.filter(|nic| nic["port"].is_string()).count()), (4000, 8000));
    let second = timed("the second pull", &|| netbox.pull(&[]));
    assert_eq!(second.out, "no changes\n");
    let push = ["netbox", "push", "--url", &netbox.url];
    let written = timed("a push with nothing to write", &|| Said::of(netbox.rackstrap(&push)));
    assert_eq!(written.out, "no changes\n");
}
