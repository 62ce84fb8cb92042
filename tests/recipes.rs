//! Recipes filled in for hosts, read by the installers' own checkers, and served to the host alone.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rackstrap::inventory::Database;

use crate::common::desk::Desk;
use crate::common::dhcp::Running;
use crate::common::netns::Netns;
use crate::common::store::Store;
use crate::common::tools;

const SITE: &str = r#"
subnets:
  internal: {cidr: 10.0.0.0/24, gateway: 10.0.0.254, dns: [10.0.0.53]}
profiles:
  plain: {nics: {eth0: {subnet: internal, set-name: lan0}}}
images:
  debian: {kernel: k, cmdline: "auto=true url={recipe-url}/preseed.cfg", boot: once,
           recipe: {use: debian-preseed, values: {ssh-key: "ssh-ed25519 AAAA me@x y", disk: /dev/vda, mirror: mirror.example, security-mirror: security.example,
                                                root-password-hash: "$6$salt$hash"}}}
  rocky: {kernel: k, boot: once, cmdline: "inst.ks={recipe-url}/ks.cfg",
          recipe: {use: kickstart, values: {root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x", disk: vda, repository: "http://mirror/9/BaseOS/x86_64/os/"}}}
  ubuntu: {kernel: k, recipe: {use: ubuntu-autoinstall, values: {password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x"}}}
  flatcar: {kernel: k, boot: once, recipe: {use: flatcar-ignition, values: {disk: /dev/vda, ssh-key: "ssh-ed25519 AAAA me@x", mirror: "http://mirror/flatcar"}}}
  coreos: {kernel: k, boot: once, recipe: {use: coreos-ignition, values: {disk: /dev/vda, ssh-key: "ssh-ed25519 AAAA me@x"}}}
  proxmox: {kernel: k, boot: once, recipe: {use: proxmox-answer, values: {disk: vda, root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x"}}}
  suse: {kernel: k, boot: once, recipe: {use: autoyast, values: {disk: /dev/vda, root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA <me@x>"}}}
  initrd: {kernel: k, boot: once, cmdline: "auto=true priority=critical",
           recipe: {use: debian-preseed, values: {disk: /dev/vda, mirror: mirror.example, mirror-key: "bWlycm9y+A==", services: none}}}
  own: {kernel: k, recipe: {format: toml, text: "fqdn = {{ host.name }}\n"}}
hosts:
  d: {profile: plain, image: debian, addresses: {eth0: 10.0.0.11}, nics: {eth0: "52:54:00:aa:00:01"}}
  r: {profile: plain, image: rocky, addresses: {eth0: 10.0.0.12}, nics: {eth0: "52:54:00:aa:00:02"}}
  u: {profile: plain, image: ubuntu, addresses: {eth0: 10.0.0.13}, nics: {eth0: "52:54:00:aa:00:03"}}
  fc: {profile: plain, image: flatcar, addresses: {eth0: 10.0.0.21}, nics: {eth0: "52:54:00:aa:00:21"}}
  co: {profile: plain, image: coreos, addresses: {eth0: 10.0.0.22}, nics: {eth0: "52:54:00:aa:00:22"}}
  pve: {profile: plain, image: proxmox, addresses: {eth0: 10.0.0.23}, nics: {eth0: "52:54:00:aa:00:23"}}
  s: {profile: plain, image: suse, addresses: {eth0: 10.0.0.24}, nics: {eth0: "52:54:00:aa:00:24"}}
  i: {profile: plain, image: initrd, addresses: {eth0: 10.0.0.25}, nics: {eth0: "52:54:00:aa:00:25"}}
  o: {profile: plain, image: own, addresses: {eth0: 10.0.0.14}, nics: {eth0: "52:54:00:aa:00:04"}}
"#;

fn desk() -> Desk {
    let desk = Desk::new(Store::sqlite());
    desk.file("site.yaml", SITE);
    desk.good("apply site.yaml");
    desk
}

#[tokio::test]
async fn recipes_pass_the_checkers_of_their_installers() {
    let desk = desk();
    let text = desk.good("render d --recipe");
    for expected in [
        "apt-setup/services-select multiselect security, updates\n",
        "apt-setup/security_host string security.example\n",
        "passwd/root-password-crypted password $6$salt$hash\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    let preseed = desk.file("preseed.cfg", &text);
    let checked = Command::new("debconf-set-selections").arg("-c").arg(&preseed).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");

    let text = desk.good("render i --recipe");
    for expected in [
        "ip address add 10.0.0.25/24 dev $(nic 52:54:00:aa:00:25); \\\n",
        "echo bWlycm9y+A== | base64 -d > /usr/share/keyrings/archive.gpg; \\\n",
        // netcfg would remove the resolv.conf that the commands write.
        "echo '#!/bin/sh' > /bin/netcfg; \\\n",
        "apt-setup/services-select multiselect\n",
        // With "!" the installer's user-setup asks for root's password.
        "passwd/root-password-crypted password *\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    let preseed = desk.file("preseed.cfg", &text);
    let checked = Command::new("debconf-set-selections").arg("-c").arg(&preseed).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let commands: String = text
        .lines()
        .skip_while(|line| !line.starts_with("d-i preseed/early_command"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .map(|line| line.trim_end_matches('\\'))
        .collect();
    let checked = Command::new("busybox").args(["sh", "-n", "-c", &commands]).output().unwrap();
    assert!(!commands.is_empty() && checked.status.success(), "{commands}: {checked:?}");

    let document = desk.good("render u --recipe");
    assert!(document.starts_with("#cloud-config\n"), "{document}");
    let json = desk.json("render u --recipe");
    assert_eq!((&json["format"], &json["host"]), (&"yaml".into(), &"u".into()));
    assert_eq!(desk.good("render o --recipe"), "fqdn = \"o\"\n");
    // The server listens on every address: none of them is the one that hosts reach.
    assert!(document.contains("\"http://SERVER/report/52-54-00-aa-00-03\""), "{document}");
    assert!(desk.bad("render x --recipe")[0].contains("host \"x\" does not exist"));

    let kickstart = desk.file("ks.cfg", &desk.good("render r --recipe"));
    let requirements = ["pykickstart==3.*"];
    let Some(tools) = tools::python("recipes", "recipe-tools", &requirements) else { return };
    for version in ["RHEL9", "F41"] {
        let mut check = Command::new(tools.join("ksvalidator"));
        let checked = check.args(["-e", "-v", version]).arg(&kickstart).output().unwrap();
        assert!(checked.status.success(), "{version}: {checked:?}");
    }
}

/// Keys of the Ignition specification 3.3.0 that the recipes use; any other is refused.
mod ignition {
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Config {
        pub(super) ignition: Version,
        pub(super) passwd: Passwd,
        pub(super) storage: Storage,
        pub(super) systemd: Systemd,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Version {
        pub(super) version: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Passwd {
        pub(super) users: Vec<User>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub(super) struct User {
        pub(super) name: String,
        pub(super) ssh_authorized_keys: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Storage {
        pub(super) files: Vec<File>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct File {
        pub(super) path: String,
        pub(super) mode: u32,
        pub(super) overwrite: bool,
        pub(super) contents: Contents,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Contents {
        pub(super) source: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Systemd {
        pub(super) units: Vec<Unit>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Unit {
        pub(super) name: String,
        pub(super) enabled: bool,
        pub(super) contents: String,
    }
}

#[tokio::test]
async fn ignition_recipes_follow_the_specification_and_their_units_are_systemds() {
    let desk = desk();
    for (host, directory, installer) in [
        (
            "fc",
            "/etc/systemd/network/",
            "/usr/bin/flatcar-install -d /dev/vda -C stable -b http://mirror/flatcar",
        ),
        (
            "co",
            "/etc/NetworkManager/system-connections/",
            "/usr/bin/coreos-installer install --ignition-file",
        ),
    ] {
        let text = desk.good(&format!("render {host} --recipe"));
        let config: ignition::Config = serde_json::from_str(&text).unwrap();
        assert_eq!(config.ignition.version, "3.3.0");
        let user = &config.passwd.users[0];
        assert_eq!((user.name.as_str(), user.ssh_authorized_keys.len()), ("core", 1));
        let network = config.storage.files.iter().filter(|file| file.path.starts_with(directory));
        assert!(network.count() > 0, "{text}");
        for file in &config.storage.files {
            assert!(file.overwrite && file.contents.source.starts_with("data:,"), "{}", file.path);
            assert!(file.mode == 0o644 || file.mode == 0o600, "{}: {:o}", file.path, file.mode);
        }
        let units = tempfile::tempdir().unwrap();
        for unit in &config.systemd.units {
            assert!(unit.enabled);
            fs::write(units.path().join(&unit.name), &unit.contents).unwrap();
        }
        assert!(config.systemd.units[0].contents.contains(installer), "{text}");
        // A program that this machine lacks is no fault of the unit.
        let names = config.systemd.units.iter().map(|unit| units.path().join(&unit.name));
        let checked = Command::new("systemd-analyze").arg("verify").args(names).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        let own = |line: &&str| line.contains("rackstrap-") && !line.contains("is not executable");
        assert_eq!(said.lines().filter(own).collect::<Vec<_>>(), Vec::<&str>::new(), "{said}");
    }
}

#[tokio::test]
async fn the_answers_of_proxmox_and_autoyast_are_files_of_their_formats() {
    let desk = desk();
    let answers: toml::Table = toml::from_str(&desk.good("render pve --recipe")).unwrap();
    // The sections and keys of Proxmox's answer file.
    let known = ["disk-setup", "first-boot", "global", "network", "post-installation-webhook"];
    assert_eq!(answers.keys().collect::<Vec<_>>(), known);
    let global = [
        "country",
        "fqdn",
        "keyboard",
        "mailto",
        "reboot-mode",
        "root-password-hashed",
        "root-ssh-keys",
        "timezone",
    ];
    assert_eq!(answers["global"].as_table().unwrap().keys().collect::<Vec<_>>(), global);
    assert_eq!(answers["disk-setup"]["disk-list"][0].as_str(), Some("vda"));
    let profile = desk.file("autoinst.xml", &desk.good("render s --recipe"));
    let document = fs::read_to_string(&profile).unwrap();
    let document = roxmltree::Document::parse(&document).unwrap();
    let keys: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.suse.com/1.0/yast2ns", "listentry")))
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(keys, ["ssh-ed25519 AAAA <me@x>"]);
    let scripts = document.descendants().filter(|node| node.tag_name().name() == "source");
    let mut count = 0;
    for script in scripts {
        let checked =
            Command::new("sh").args(["-n", "-c", script.text().unwrap()]).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        count += 1;
    }
    assert_eq!(count, 3);
    if let Ok(checked) = Command::new("xmllint").arg("--noout").arg(&profile).output() {
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[tokio::test]
async fn a_recipe_that_cannot_be_filled_in_is_found_before_a_host_needs_it() {
    let good = r#"{use: kickstart, values: {root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x", disk: vda, repository: "http://mirror/9/BaseOS/x86_64/os/"}}"#;
    assert!(SITE.contains(good));
    let desk = desk();
    let cases = [
        ("{use: nope}", "recipe \"nope\" does not exist"),
        ("{format: kickstart, text: \"{{ unclosed\"}", "(line 1)"),
        ("{use: kickstart}", "set recipe.values.disk"),
        ("{use: kickstart, values: {dsik: vda}}", "does not read the value \"dsik\""),
        ("{format: kickstart, text: \"{{ host.unit }}\"}", "the host has no such value"),
    ];
    for (recipe, expected) in cases {
        desk.file("broken.yaml", &SITE.replace(good, recipe));
        for command in ["check broken.yaml", "apply broken.yaml", "apply --dry-run broken.yaml"] {
            let output = desk.run(command, "");
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert!(!output.status.success(), "{recipe}: {command}: {text}");
            assert!(
                text.contains("N183") && text.contains(expected),
                "{recipe}: {command}: {text}"
            );
            assert!(text.contains("images.rocky.recipe"), "{recipe}: {command}: {text}");
        }
    }
    // An older version let it in.
    let Database::Sqlite(file) = &desk.store.open().await else { unreachable!() };
    let spoil = "UPDATE images SET spec = replace(spec, 'vda', 'a b') WHERE name = 'rocky'";
    sqlx::query(spoil).execute(&file.pool).await.unwrap();
    assert!(desk.good("host install d --dry-run").contains("d"));
    for command in ["host install r", "host install r --dry-run"] {
        let refused = desk.bad(command).join("\n");
        let expected = "host r cannot be installed: the recipe cannot be filled in (line";
        assert!(refused.contains(expected) && refused.contains("a b"), "{refused}");
    }
}

/// The body of the answer and its status, after the body; asked from an address of a host.
fn get(rack: &Netns, from: &str, path: &str) -> String {
    let mut curl = rack.command("curl");
    curl.args(["--silent", "--retry-connrefused", "--retry", "40", "--retry-delay", "1"]);
    curl.args(["--interface", from, "--write-out", "\n%{http_code}"]);
    let answer = curl.arg(format!("http://10.0.0.1:8080{path}")).output().unwrap();
    String::from_utf8(answer.stdout).unwrap()
}

#[test]
fn a_recipe_is_for_the_boot_that_may_install() {
    let desk = desk();
    let rack = Netns::new("recipes");
    rack.ip("link add rack0 type veth peer name rack1");
    rack.ip("link set rack0 up");
    for address in ["10.0.0.1", "10.0.0.11", "10.0.0.13"] {
        rack.ip(&format!("address add {address}/24 dev rack0"));
    }
    let server = rack
        .command(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["--database", &desk.store.url, "--data-dir=data"])
        .args(["--machine-listen=10.0.0.1:8080", "--admin-listen=127.0.0.1:0", "serve"])
        .current_dir(&desk.dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Running(server.unwrap());
    // An image that boots always.
    let text = get(&rack, "10.0.0.13", "/recipe/52-54-00-aa-00-03/-/user-data");
    assert!(text.ends_with("\n200") && text.contains("hostname: \"u\""), "{text}");
    let text = get(&rack, "10.0.0.13", "/recipe/52-54-00-aa-00-03/-/meta-data");
    assert!(text.ends_with("\n200") && text.starts_with("instance-id: u-"), "{text}");
    // One that installs, for nobody who cannot show the token of its boot.
    for token in ["-", "0123456789abcdef"] {
        let path = format!("/recipe/52-54-00-aa-00-01/{token}/preseed.cfg");
        let text = get(&rack, "10.0.0.11", &path);
        assert!(text.ends_with("\n403") && !text.contains("d-i "), "{text}");
    }
    fs::create_dir_all(desk.dir.path().join("data/files")).unwrap();
    fs::write(desk.dir.path().join("data/files/k"), "kernel").unwrap();
    desk.good("host install d");
    let mut token = String::new();
    for _ in 0..100 {
        let text = get(&rack, "10.0.0.11", "/boot/52-54-00-aa-00-01.ipxe");
        let url = "url=http://10.0.0.1:8080/recipe/52-54-00-aa-00-01/";
        if let Some((_, rest)) = text.split_once(url) {
            token = rest.split('/').next().unwrap().to_owned();
            break;
        }
        sleep(Duration::from_millis(50));
    }
    assert_eq!(token.len(), 32, "the host's own script has no token");
    let path = format!("/recipe/52-54-00-aa-00-01/{token}/preseed.cfg");
    let text = get(&rack, "10.0.0.11", &path);
    let line = "d-i netcfg/get_hostname string d\n";
    assert!(text.ends_with("\n200") && text.contains(line), "{text}");
    assert!(text.contains(&format!("'Authorization: Bearer {token}'")), "{text}");
    // Another host has the address, and the token as it was on the wire.
    let text = get(&rack, "10.0.0.13", &path);
    assert!(text.ends_with("\n403"), "{text}");
}
