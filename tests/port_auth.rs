//! NICs that a switch lets in by IEEE 802.1X: our service's script runs the real wpa_supplicant in a
//! namespace, and the real hostapd with its own EAP server opens the port of a bridge that is locked.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::model::{KeyState, Keyring, MasterKey};
use rackstrap::network::{File, Format, render_host};
use rackstrap::profile::ResolvedSite;
use serde_json::json;

use crate::common::netns::Netns;
use crate::common::skip::skip;
use crate::common::tools;
use crate::golden;

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program in a namespace, with the libraries that were unpacked beside it.
fn start(namespace: &Netns, directory: &Path, name: &str, line: &str) -> Running {
    let log = std::fs::File::create(directory.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", namespace.name)).args(["sh", "-c"]);
    command.arg(format!("{}exec {line}", environment()));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

fn environment() -> String {
    let root = tools::root().display().to_string();
    format!(
        "export PATH={root}/sbin:{root}/usr/sbin:$PATH LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu; "
    )
}

/// A certificate authority, the server's certificate and the host's, made by openssl.
fn certificates(directory: &Path) {
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca && \
        for name in server host; do \
        openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name && \
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 || exit 1; \
        done";
    let output = Command::new("sh").args(["-c", make]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The host's files, with the method and the secrets that it is let in by.
fn files(auth: &serde_json::Value, secrets: &[(&str, String)]) -> Vec<File> {
    let site = json!({
        "subnets": {"lan": {"cidr": "10.9.0.0/24", "dns": ["10.9.0.1"]}},
        "profiles": {"p": {
            "nics": {"eth0": {"subnet": "lan", "host-number": 2, "auth": auth}},
        }},
        "hosts": {(golden::HOST): {"profile": "p", "nics": {"eth0": "52:54:00:aa:00:01"}}},
    });
    let secrets =
        secrets.iter().map(|(name, value)| ((*name).to_owned(), Some(value.clone()))).collect();
    let keyring = Keyring::new(secrets, KeyState::Open(MasterKey::new([1; 32]).into()));
    let site: ResolvedSite = serde_json::from_value(site).unwrap();
    let site = site.with_keyring(keyring).for_the_host();
    render_host(&site, golden::HOST, Format::Networkd).unwrap()
}

/// A switch whose port carries nothing until hostapd has let somebody in.
struct Switch {
    namespace: Netns,
    _programs: [Running; 2],
}

impl Switch {
    fn new(host: &Netns, directory: &Path) -> Self {
        let namespace = Netns::new("dot1x");
        namespace.ip("link add br0 type bridge forward_delay 0");
        namespace.ip("addr add 10.9.0.1/24 dev br0");
        namespace.ip("link set br0 up");
        namespace.join("port0", host, "enp1s0");
        namespace.ip("link set port0 master br0");
        let locked = namespace.sh("bridge link set dev port0 locked on learning off");
        assert!(locked.status.success(), "{}", String::from_utf8_lossy(&locked.stderr));
        let at = directory.display();
        let users = "* PEAP,TTLS,TLS\n\"rack\" MSCHAPV2,TTLS-PAP \"right horse\" [2]\n";
        std::fs::write(directory.join("users"), users).unwrap();
        let configuration = format!(
            "interface=port0\ndriver=wired\nctrl_interface={at}/switch\nieee8021x=1\neap_server=1\n\
             use_pae_group_addr=1\neap_user_file={at}/users\nca_cert={at}/ca.pem\n\
             server_cert={at}/server.pem\nprivate_key={at}/server.key\n"
        );
        std::fs::write(directory.join("hostapd.conf"), configuration).unwrap();
        // What a switch does with what its authenticator says.
        let action = "#!/bin/sh\ncase $2 in\n\
            AP-STA-CONNECTED) bridge fdb replace \"$3\" dev port0 master static ;;\n\
            AP-STA-DISCONNECTED) bridge fdb del \"$3\" dev port0 master ;;\nesac\n";
        std::fs::write(directory.join("action"), action).unwrap();
        Command::new("chmod").arg("755").arg(directory.join("action")).status().unwrap();
        let hostapd =
            start(&namespace, directory, "hostapd", &format!("hostapd {at}/hostapd.conf"));
        let end = Instant::now() + Duration::from_secs(20);
        while !directory.join("switch/port0").exists() {
            assert!(Instant::now() < end, "{}", log(directory, "hostapd"));
            std::thread::sleep(Duration::from_millis(50));
        }
        let line = format!("hostapd_cli -p {at}/switch -i port0 -a {at}/action");
        let cli = start(&namespace, directory, "hostapd_cli", &line);
        Self { namespace, _programs: [hostapd, cli] }
    }
}

fn log(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(format!("{name}.log"))).unwrap_or_default()
}

/// Whether the host is let in, by what its service says, and what it reaches.
fn is_let_in(auth: serde_json::Value, secrets: &[(&str, &str)]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    certificates(at);
    let mut auth = auth;
    auth["ca-certificate"] = json!(at.join("ca.pem"));
    if auth["method"] == "tls" {
        auth["client-certificate"] = json!(at.join("host.pem"));
    }
    let value = |text: &str| match text {
        "host.key" => std::fs::read_to_string(at.join(text)).unwrap().trim_end().to_owned(),
        text => text.to_owned(),
    };
    let secrets: Vec<(&str, String)> =
        secrets.iter().map(|(name, text)| (*name, value(text))).collect();
    for file in files(&auth, &secrets) {
        let is_private = file.name.ends_with(".conf") && file.name.starts_with("rackstrap-auth-");
        let is_private = is_private || file.name.ends_with(".pem");
        assert_eq!(file.mode, if is_private { 0o600 } else { 0o644 }, "{}", file.name);
        // The directory of units is this machine's own.
        let text = file.text.replace("/etc/systemd/system", &at.display().to_string());
        let text = text.replace("/run/wpa_supplicant", &at.join("host").display().to_string());
        std::fs::write(at.join(&file.name), text).unwrap();
    }
    let host = Netns::new("dot1xhost");
    let switch = Switch::new(&host, at);
    // What networkd does; the NIC has another name than its label.
    host.ip("link set enp1s0 address 52:54:00:aa:00:01");
    host.ip("addr add 10.9.0.2/24 dev enp1s0");
    let pings = || host.sh("ping -n -c 2 -i 0.2 -W 1 10.9.0.1").status.success();
    assert!(!pings(), "the port is closed");
    let script = at.join("rackstrap-auth-eth0.sh").display().to_string();
    let _service = start(&host, at, "service", &format!("sh {script} start"));
    let mut waiting = start(&host, at, "wait", &format!("sh {script} wait"));
    let status = waiting.0.wait().unwrap();
    let reaches = pings();
    let said = format!("{}\n{}", log(at, "service"), log(at, "hostapd"));
    assert_eq!(status.success(), reaches, "{}\n{said}", log(at, "wait"));
    if !reaches {
        assert!(log(at, "wait").contains("has not let eth0 in"), "{}", log(at, "wait"));
        assert!(said.contains("EAP-STARTED"), "{said}");
    }
    drop(switch.namespace);
    reaches
}

fn has_programs(test: &str) -> bool {
    let found = tools::find("usr/sbin/hostapd", &["-h"]).is_some()
        || tools::root().join("usr/sbin/hostapd").exists();
    let found = found && tools::root().join("sbin/wpa_supplicant").exists();
    if !found {
        skip(test, "hostapd and wpasupplicant are not unpacked");
    }
    found
}

#[test]
fn a_switch_lets_a_host_in_by_password_or_certificate_and_by_no_other() {
    if !has_programs("a_switch_lets_a_host_in_by_password_or_certificate_and_by_no_other") {
        return;
    }
    let by_password = |method: &str, inner: &str| {
        json!({"method": method, "phase2-auth": inner, "identity": "rack",
               "anonymous-identity": "anonymous", "password": {"secret": "switch"}})
    };
    let peap = by_password("peap", "mschapv2");
    std::thread::scope(|scope| {
        let wrong = scope.spawn(|| is_let_in(peap.clone(), &[("switch", "wrong horse")]));
        assert!(is_let_in(peap.clone(), &[("switch", "right horse")]), "PEAP");
        assert!(is_let_in(by_password("ttls", "pap"), &[("switch", "right horse")]), "TTLS");
        let tls =
            json!({"method": "tls", "identity": "host", "sealed-client-key": {"secret": "key"}});
        assert!(is_let_in(tls, &[("key", "host.key")]), "TLS");
        assert!(!wrong.join().unwrap(), "another password");
    });
}
