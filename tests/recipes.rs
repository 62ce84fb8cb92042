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
  plain: {nics: {eth0: {subnet: internal}}}
images:
  debian: {kernel: k, cmdline: "auto=true url={recipe-url}/preseed.cfg", boot: once,
           recipe: {use: debian-preseed, values: {ssh-key: "ssh-ed25519 AAAA me@x y", disk: /dev/vda, mirror: mirror.example, root-password-hash: "$6$salt$hash"}}}
  rocky: {kernel: k, boot: once, cmdline: "inst.ks={recipe-url}/ks.cfg",
          recipe: {use: kickstart, values: {root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x", disk: vda, repository: "http://mirror/9/BaseOS/x86_64/os/"}}}
  ubuntu: {kernel: k, recipe: {use: ubuntu-autoinstall, values: {password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x"}}}
  own: {kernel: k, recipe: {format: toml, text: "fqdn = {{ host.name }}\n"}}
hosts:
  d: {profile: plain, image: debian, addresses: {eth0: 10.0.0.11}, nics: {eth0: "52:54:00:aa:00:01"}}
  r: {profile: plain, image: rocky, addresses: {eth0: 10.0.0.12}, nics: {eth0: "52:54:00:aa:00:02"}}
  u: {profile: plain, image: ubuntu, addresses: {eth0: 10.0.0.13}, nics: {eth0: "52:54:00:aa:00:03"}}
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
    let preseed = desk.file("preseed.cfg", &desk.good("render d --recipe"));
    let checked = Command::new("debconf-set-selections").arg("-c").arg(&preseed).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");

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
