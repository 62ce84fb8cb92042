//! The commands that read and change the inventory, as people type them.

use rackstrap::lifecycle::Event;

use crate::common::boots;
use crate::common::desk::Desk;
use crate::common::store::Store;

const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    ranges: [{from: 172.16.160.10, to: 172.16.160.99, for: hosts}]
profiles:
  hypervisor:
    bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad}}
    vlans: {vlan500: {link: bond0, subnet: internal}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img]}
hosts:
  r1-n01:
    rack: r1
    unit: 1
    profile: hypervisor
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
  r1-n02:
    rack: r1
    unit: 2
    profile: hypervisor
    nics: {eth0: "52:54:00:aa:01:01", eth1: "52:54:00:aa:01:02"}
"#;

async fn desks() -> [Desk; 2] {
    Store::both().await.map(Desk::new)
}

#[tokio::test]
async fn apply_shows_the_difference_makes_it_so_and_export_gives_it_back() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        let tried = desk.good("apply site.yaml --dry-run");
        assert!(tried.contains("+ host r1-n02\n"), "{tried}");
        assert!(tried.ends_with("dry run: nothing changed\n"), "{tried}");
        // Not even a database was made by it.
        assert!(desk.bad("export")[0].contains("no inventory in"));

        let done = desk.good("apply site.yaml");
        assert!(done.ends_with("revision 1\n"), "{done}");
        let exported = desk.good("export");
        assert!(exported.contains("vlan500: \"172.16.160.10\"\n"), "{exported}");
        desk.file("again.yaml", &exported);
        assert_eq!(desk.good("apply again.yaml"), "no changes\n");
        assert_eq!(desk.good("apply site.yaml"), "no changes\n", "addresses are kept");
        assert_eq!(desk.good_with("apply -", &exported), "no changes\n");
        desk.file("hosts.csv", &desk.good("export --format csv"));
        assert_eq!(desk.good("import hosts.csv"), "no changes\n");
    }
}

#[tokio::test]
async fn apply_lists_every_error_with_its_line_and_does_nothing() {
    let desk = Desk::new(Store::sqlite());
    desk.file("site.yaml", "hosts:\n  a: {nics: {eth0: x}}\n  b: {profil: p}\n");
    assert_eq!(
        desk.bad("apply site.yaml"),
        [
            "site.yaml:2:20: hosts.a.nics.eth0: \"x\" is not a MAC address: expected twelve hexadecimal \
             digits, such as 52:54:00:aa:00:01",
            "site.yaml:3:7: hosts.b: unknown key \"profil\"; did you mean \"profile\"?",
            "2 errors; nothing changed",
        ]
    );
    // What only the rules find has its line too.
    desk.file("site.yaml", &SITE.replace("52:54:00:aa:01:01", "52:54:00:aa:00:02"));
    let errors = desk.bad("apply site.yaml");
    assert!(errors[0].starts_with("site.yaml:26:12: hosts.r1-n02.nics.eth0: "), "{errors:?}");
    assert!(errors[0].contains("52:54:00:aa:00:02"), "{errors:?}");
    assert_eq!(desk.good("export"), "{}\n");
    assert_eq!(
        desk.bad("apply nothing.yaml"),
        [
            "rackstrap: cannot read nothing.yaml",
            "  caused by: No such file or directory (os error 2)"
        ]
    );
}

#[tokio::test]
async fn import_takes_all_rows_or_none() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        desk.file("bad.csv", "host,unit,macs\nx,one,\ny,2,52:54:00:aa:00:01\n,3,\n");
        assert_eq!(
            desk.bad("import bad.csv"),
            ["bad.csv: row 4: the host has no name", "1 error; nothing changed"]
        );
        desk.file("bad.csv", "host,unit,macs\nx,one,\ny,2,52:54\n");
        let errors = desk.bad("import bad.csv");
        assert!(errors[0].starts_with("bad.csv: row 2: unit: "), "{errors:?}");
        assert!(errors[1].starts_with("bad.csv: row 3: nics.eth0: "), "{errors:?}");
        desk.file("bad.csv", "host,macs\nx,52:54:00:aa:09:01\ny,52:54:00:aa:00:01\n");
        let errors = desk.bad("import bad.csv");
        let named = |word: &str| errors[0].contains(word);
        assert!(named("row 3") || named("r1-n01"), "{errors:?}");
        assert_eq!(desk.json("host list").as_array().unwrap().len(), 2);

        desk.file("good.csv", "host,rack,unit,macs\nr1-n03,r1,3,52:54:00:aa:02:01\nr1-n01,,7,\n");
        let done = desk.good("import good.csv");
        assert_eq!(done, "~ host r1-n01 unit: 1 -> 7\n+ host r1-n03\nrevision 2\n");
    }
}

#[tokio::test]
async fn every_noun_can_be_listed_shown_set_and_removed() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        for (noun, name, value, shown) in [
            ("rack", "r2", "location=hall_1", "location: hall_1"),
            ("tenant", "acme", "contact=ops@acme.example", "contact: ops@acme.example"),
            ("subnet", "storage", "cidr=10.9.0.0/16", "cidr: 10.9.0.0/16"),
            ("profile", "plain", "nics.eth0.subnet=provisioning", "subnet: provisioning"),
            ("image", "disk", "local=true", "local: true"),
            ("host", "r1-n09", "nics.eth0=5254.00aa.0901", "52:54:00:aa:09:01"),
        ] {
            let done = desk.good(&format!("{noun} set {name} {value}"));
            assert!(done.starts_with(&format!("+ {noun} {name}\n")), "{noun}: {done}");
            assert!(desk.good(&format!("{noun} show {name}")).contains(shown), "{noun}");
            assert_eq!(desk.json(&format!("{noun} show {name}"))["name"], name);
            assert!(desk.good(&format!("{noun} list")).contains(name), "{noun}");
            assert!(!desk.json(&format!("{noun} list")).as_array().unwrap().is_empty());
            let gone = desk.good(&format!("{noun} remove {name}"));
            assert!(gone.starts_with(&format!("- {noun} {name}\n")), "{noun}: {gone}");
            let unknown = desk.bad(&format!("{noun} show {name}"));
            assert!(
                unknown[0].contains(&format!("{noun} \"{name}\" does not exist")),
                "{unknown:?}"
            );
        }
        assert_eq!(
            desk.bad("host set r1-n01 unit=high")[0],
            "unit: expected a number from 0 to 65535, found \"high\""
        );
        let in_use = desk.bad("profile remove hypervisor");
        assert!(in_use[0].contains("hypervisor"), "{in_use:?}");
        assert!(desk.good("host show 52-54-00-AA-00-01").contains("r1-n01"));
    }
}

#[tokio::test]
async fn a_host_can_be_renamed_and_a_revision_undone() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        let done = desk.good("host rename r1-n01 r1-n07");
        assert_eq!(done, "~ host r1-n01 is now r1-n07\nrevision 2\n");
        assert_eq!(desk.bad("host rename r1-n02 r1-n07")[0], "host \"r1-n07\" already exists");
        desk.good("host set r1-n02 unit=5");
        assert_eq!(desk.good("revision revert 2"), "~ host r1-n07 is now r1-n01\nrevision 4\n");
        assert_eq!(desk.good("revision revert 2"), "no changes\n");
        desk.good("host set r1-n02 unit=6");
        let again = desk.bad("revision revert 3");
        assert!(again[0].contains("later revisions changed host r1-n02 again"), "{again:?}");
        let shown = desk.good("revision show 3");
        assert!(shown.contains("ann: set host r1-n02\n~ host r1-n02 unit: 2 -> 5\n"), "{shown}");
        let list = desk.json("revision list");
        assert_eq!(list.as_array().unwrap().len(), 5);
        assert_eq!(list[3]["who"], "ann");
    }
}

#[tokio::test]
async fn check_and_render_speak_of_the_site_and_of_a_host() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        assert!(desk.good("check").contains("0 errors"), "{}", desk.store.kind);
        let files = desk.good("render r1-n01");
        assert!(files.contains("Address=172.16.160.10/24"), "{files}");
        assert_eq!(desk.good("render 52:54:00:AA:00:02"), files, "any NIC is the host");
        assert!(desk.json("render r1-n01")[0]["text"].is_string());
        let unknown = desk.bad("render r1-n0");
        assert!(unknown[0].contains("host \"r1-n0\" does not exist"), "{unknown:?}");
        let format = desk.bad("render r1-n01 --format netplam");
        assert!(
            format[0].contains("format \"netplam\" does not exist; expected one of: networkd"),
            "{format:?}"
        );

        desk.file("wrong.yaml", &SITE.replace("172.16.160.254", "172.16.161.254"));
        let output = desk.run("check wrong.yaml", "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("error: wrong.yaml:7:"), "{text}");
    }
}

#[tokio::test]
async fn users_and_tokens_are_made_and_removed() {
    for desk in desks().await {
        assert_eq!(desk.good_with("user set bob", "good password\n"), "created user bob\n");
        assert_eq!(desk.good_with("user set bob", "next password\n"), "set the password of bob\n");
        assert!(desk.bad_with("user set eve", "short\n")[0].contains("8 characters"));
        assert!(desk.good("user list").contains("bob"));
        assert_eq!(desk.json("user show bob")["name"], "bob");
        desk.good("user remove bob");
        assert_eq!(desk.bad("user show bob"), ["rackstrap: user \"bob\" does not exist"]);

        let token = desk.good("token add ci --may-change --days 30");
        assert!(token.starts_with("rackstrap_"), "{token}");
        let list = desk.good("token list");
        assert!(list.contains("ci") && !list.contains(token.trim()), "{list}");
        desk.good("token remove ci");
        assert_eq!(desk.bad("token remove ci"), ["rackstrap: token \"ci\" does not exist"]);
        assert_eq!(desk.json("lease list"), serde_json::json!([]));
        assert!(desk.bad("lease show 10.0.0.1")[0].contains("10.0.0.1 has no lease"));
        assert!(desk.good("event list").starts_with("TIME"));
    }
}

#[tokio::test]
async fn init_writes_a_configuration_and_makes_the_first_user_once() {
    for desk in desks().await {
        let init = "--config etc/rackstrap.toml --data-dir data --interface eth9 init";
        assert!(desk.bad(init)[0].contains("not a terminal: set --subnet CIDR"));
        let done = desk.good(&format!("{init} --subnet 10.77.0.1/24"));
        assert!(done.contains("added subnet provisioning (10.77.0.0/24, DHCP range"), "{done}");
        assert!(done.contains("log in as admin with the password "), "{done}");
        let file = std::fs::read_to_string(desk.dir.path().join("etc/rackstrap.toml")).unwrap();
        assert!(file.contains("interfaces = [\"eth9\"]\n"), "{file}");
        assert!(!file.contains("tftp"), "only what is not the default: {file}");
        assert!(desk.bad(init)[0].contains("overwrite it with --force"));
        let again = desk.good(&format!("{init} --subnet 10.77.0.0/24 --force"));
        assert!(again.contains("already exists"), "{again}");
        assert!(!again.contains("password"), "{again}");
        let list = desk.good("--config etc/rackstrap.toml subnet list");
        assert!(list.contains("dhcp 10.77.0.100-10.77.0.184"), "{list}");

        let check = "--config etc/rackstrap.toml serve --check";
        assert_eq!(desk.good(check), "the configuration can be used\n");
        desk.file("etc/rackstrap.toml", &format!("{file}log_levl = \"debug\"\n"));
        assert!(desk.bad(check)[0].contains("did you mean \"log_level\"?"));
        desk.file(
            "etc/rackstrap.toml",
            &format!("{file}tls_certificate = \"x\"\ntls_key = \"y\"\n"),
        );
        assert!(desk.bad(check)[0].contains("cannot read x: "));
    }
}

#[tokio::test]
async fn render_shows_what_is_otherwise_than_before_and_than_on_the_host() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        desk.good("subnet set internal gateway=172.16.160.253");
        desk.good("host set r1-n02 unit=9");
        let difference = desk.good("render r1-n01 --since 1");
        assert!(
            difference.contains("-Gateway=172.16.160.254\n+Gateway=172.16.160.253\n"),
            "{difference}"
        );
        assert_eq!(desk.good("render r1-n01 --since 2"), "");
        assert!(desk.bad("render r1-n01 --since 9")[0].contains("revision 9 does not exist"));

        let dir = desk.dir.path().join("network");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("90-own.network"), "[Match]\n").unwrap();
        let output = desk.run("render r1-n01 --diff network", "");
        assert_eq!(output.status.code(), Some(1), "it means something else");
        let difference = String::from_utf8(output.stdout).unwrap();
        assert!(
            difference.contains("--- a/90-own.network\n+++ b/90-own.network\n"),
            "{difference}"
        );
        assert!(difference.contains("+Gateway=172.16.160.253\n"), "{difference}");
    }
}

#[tokio::test]
async fn a_move_to_another_tenant_is_told_before_it_is_made() {
    const SITE: &str = r#"
tenants: {acme: {contact: ops@acme.example}, globex: {}}
switches: {leaf1a: {vendor: eos}}
subnets:
  a: {cidr: 10.0.0.0/24, vlan: 500, tenant: acme, role: internal, ranges: [{from: 10.0.0.10, to: 10.0.0.99, for: hosts}]}
  g: {cidr: 10.0.1.0/24, vlan: 501, tenant: globex, role: internal, ranges: [{from: 10.0.1.10, to: 10.0.1.99, for: hosts}]}
  a-vms: {cidr: 10.0.2.0/24, vlan: 600, tenant: acme, role: vms}
  g-vms: {cidr: 10.0.3.0/24, vlan: 601, tenant: globex, role: vms}
profiles:
  leased: {vlans: {lan: {link: eth0, subnet: tenant/internal}, vms: {link: eth0, id: tenant/vms}}}
hosts:
  n1: {tenant: acme, rented-from: 2025-01-01, rented-until: 2025-12-31, profile: leased, nics: {eth0: {mac: "52:54:00:aa:00:01", switch: leaf1a, port: Ethernet1}}}
"#;
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        assert_eq!(desk.good("apply site.yaml"), "no changes\n");
        let shown = desk.good("tenant show acme");
        let row = shown.lines().last().unwrap();
        assert_eq!(row, "n1    2025-01-01   2025-12-31    ended", "{shown}");
        assert!(desk.good("tenant list").contains("ENDED"));
        let told = desk.good("host set n1 tenant=globex --dry-run");
        for line in [
            "~ host n1 tenant: acme -> globex",
            "~ host n1 addresses.lan: 10.0.0.10 -> 10.0.1.10",
            "~ host n1 rented-until: 2025-12-31 -> none",
            "network of n1:",
            "  VLAN of lan: 500 -> 501",
            "  VLAN of vms: 600 -> 601",
            "  address of lan: 10.0.0.10/24 -> 10.0.1.10/24",
            "  /etc/systemd/network/10-lan.network",
            "switch leaf1a:",
            "  -    switchport trunk allowed vlan 500,600",
            "  +    switchport trunk allowed vlan 501,601",
            "  - Address=10.0.0.10/24",
            "  + Address=10.0.1.10/24",
            "dry run: nothing changed",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
        }
        assert!(desk.good("render --switch leaf1a").contains("interface Ethernet1\n"));
        assert!(desk.bad("render --switch leaf1")[0].contains("did you mean \"leaf1a\"?"));
        assert!(desk.good("switch list").contains("leaf1a  eos"));
        desk.file("more.csv", "host,tenant,rented-until\nn1,globex,2031-12-31\n");
        desk.good("import more.csv");
        let tenant = desk.json("tenant show globex");
        assert_eq!(tenant["hosts"][0]["rented-until"], "2031-12-31", "{tenant}");
        assert_eq!(desk.json("host show n1")["addresses"]["lan"], "10.0.1.10");
    }
}

#[tokio::test]
async fn a_change_tells_only_the_warnings_that_are_new() {
    let desk = Desk::new(Store::sqlite());
    desk.file("site.yaml", &SITE.replace("52:54:00:aa:00:01", "02:00:00:aa:00:01"));
    let first = desk.run("apply site.yaml", "");
    assert!(String::from_utf8_lossy(&first.stderr).contains("warning: "));
    let second = desk.run("host set r1-n02 unit=9", "");
    assert_eq!(String::from_utf8_lossy(&second.stderr), "");
}

#[tokio::test]
async fn check_tells_each_fix_makes_it_when_told_to_and_shows_what_is_silenced() {
    for desk in desks().await {
        let fast = "mode: 802.3ad, up-delay: 250ms";
        desk.file("site.yaml", &SITE.replace("mode: 802.3ad", fast));
        desk.good("apply site.yaml");
        let told = desk.good("check");
        let fix = "  fix: set profiles.hypervisor.bonds.bond0.up-delay to 200ms\n";
        assert!(told.contains(fix), "{told}");
        let asked = desk.bad("check --fix");
        assert!(asked[0].contains("--fix --yes"), "{asked:?}");
        desk.good("check --fix --yes");
        let site = desk.good("export");
        assert!(site.contains("up-delay: 200ms\n"), "{site}");
        assert!(!desk.good("check").contains("up-delay"));

        desk.file("site.yaml", &SITE.replace("mode: 802.3ad", &format!("{fast}, allow: [N126]")));
        desk.good("apply site.yaml");
        let told = desk.good("check");
        assert!(told.contains("silenced: ") && told.ends_with(", 1 silenced\n"), "{told}");
        desk.good("check --fix --yes");
        assert!(desk.good("check").contains("250ms"), "what is silenced is left as it is");
    }
}

#[tokio::test]
async fn a_wrong_word_is_answered_with_what_would_be_right() {
    let desk = Desk::new(Store::sqlite());
    desk.file("site.yaml", SITE);
    desk.good("apply site.yaml");
    for (line, part) in [
        ("revision show x", "expected the number of a revision, such as 12"),
        ("revision revert -- -1", "expected the number of a revision, such as 12"),
        ("audit --kind x", "\"x\" is not a kind of audit entry: expected changed, "),
        ("event list --kind x", "\"x\" is not an event kind: expected "),
        ("audit --from x", "\"x\" is not a time: expected a day such as"),
        ("token add t --days 0", "0 is not in 1.."),
    ] {
        let output = desk.run(line, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(part), "{line}: {said}");
    }
}

#[tokio::test]
async fn undoing_a_change_that_made_most_of_the_site_asks() {
    for desk in desks().await {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        let refused = desk.bad("revision revert 1").join("\n");
        assert!(refused.contains("revert it with --prune if that is intended"), "{refused}");
        desk.good("revision revert 1 --prune");
        assert_eq!(desk.good("export"), "{}\n");
    }
}

#[tokio::test]
async fn what_destroys_data_is_said_before_and_what_is_replaced_after() {
    for desk in desks().await {
        let disk = "    disk: {type: nvme, min-size: 400G}\n  r1-n02:";
        let site = SITE
            .replace("image: live", "image: deb")
            .replace("  r1-n02:", disk)
            .replace("hosts:\n", "  deb: {disk: deb.raw}\nhosts:\n");
        desk.file("site.yaml", &site);
        desk.good("apply site.yaml");
        let rule = "the disk that matches its rule (type nvme, at least 400 GB)";
        let refused = desk.bad("host set r1-n01 disk.type= disk.min-size=").join("\n");
        assert!(refused.contains("the rule is empty"), "{refused}");
        let tried = desk.good("host reinstall r1-n01 --dry-run");
        assert!(
            tried.contains(&format!("its next boot erases {rule} and installs deb")),
            "{tried}"
        );
        assert!(tried.ends_with("dry run: nothing changed\n"), "{tried}");
        let tried = desk.good("host erase r1-n01 --dry-run");
        assert!(tried.contains("its next boot erases all of its disks"), "{tried}");
        assert!(!desk.good("host list").contains("armed"), "nothing was done");
        let refused = desk.bad("host reinstall r1-n01").join("\n");
        assert!(refused.contains(rule) && refused.contains("--confirm r1-n01"), "{refused}");
        let refused = desk.bad("host erase r1-n02").join("\n");
        assert!(refused.contains("erase needs a live system"), "{refused}");
        let armed = desk.good("host erase r1-n01 --confirm r1-n01");
        assert!(!armed.contains("replaces"), "{armed}");
        let armed = desk.good("host install r1-n01");
        assert!(armed.contains("if that has data, nothing is written"), "{armed}");
        assert!(armed.contains("replaces what r1-n01 was armed for: erase"), "{armed}");
        let rescue = desk.good("host rescue r1-n01");
        assert!(
            rescue.contains("starts the live system live once and leaves all disks"),
            "{rescue}"
        );
        let released = desk.bad("host release r1-n01").join("\n");
        assert!(released.contains("removed from the inventory"), "{released}");
        // Several hosts: all of them, or none.
        desk.good("host set r1-n02 image=deb");
        let refused = desk.bad("host erase r1-n01 r1-n02 --confirm r1-n01").join("\n");
        assert!(refused.contains("--confirm \"2 hosts\""), "{refused}");
        assert!(refused.contains("the next boot of r1-n02 erases all of its disks"), "{refused}");
        let tried = desk.good("host erase --rack r1 --dry-run");
        assert!(tried.contains("r1-n01 would be armed") && tried.contains("r1-n02"), "{tried}");
        let refused = desk.bad("host erase --label nothing").join("\n");
        assert!(refused.contains("no host has the label \"nothing\""), "{refused}");
        let cancelled = desk.good("host install r1-n01 r1-n02 --cancel");
        assert_eq!(cancelled, "r1-n01: install cancelled\n");
        desk.good("host set r1-n02 image=live");
        desk.good("host install r1-n01");
        // A file of the image is missing.
        desk.good("host install r1-n01 --cancel");
        std::fs::create_dir_all(desk.file("x", "").parent().unwrap().join("data/files")).unwrap();
        let refused = desk.bad("host install r1-n01").join("\n");
        assert!(refused.contains("image deb of host r1-n01 cannot be booted"), "{refused}");
        assert!(!desk.good("host list").contains("armed"), "nothing was done");
    }
}

#[tokio::test]
async fn a_host_is_found_by_its_bmc_and_shown_as_armed() {
    for desk in desks().await {
        let bmc = "    bmc: {mac: \"52:54:00:aa:09:02\", address: 10.77.0.9}\n";
        let site =
            format!("{SITE}{bmc}").replace("[live/initrd.img]}", "[live/initrd.img], boot: once}");
        desk.file("site.yaml", &site);
        desk.good("apply site.yaml");
        assert!(desk.good("host show 52:54:00:aa:09:02").contains("r1-n02:"));
        let database = desk.store.open().await;
        let bmc = "52:54:00:aa:09:02".parse().ok();
        for (at_ms, host, mac) in [(1, None, bmc), (2, None, "52:54:00:aa:09:03".parse().ok())] {
            let event = Event { at_ms, host, mac, data: boots::discover() };
            database.add_events(&[event], 0, &|_| Some(false)).await.unwrap();
        }
        database.close().await;
        for named in ["r1-n02", "52:54:00:aa:09:02", "52:54:00:aa:01:01"] {
            let listed = desk.json(&format!("event list {named}"));
            assert_eq!(listed.as_array().unwrap().len(), 1, "{named}: {listed}");
            assert_eq!(listed[0]["mac"], "52:54:00:aa:09:02", "{named}");
        }
        assert_eq!(desk.json("host show r1-n02")["events"][0]["mac"], "52:54:00:aa:09:02");
        assert_eq!(desk.json("event list r1-n01"), serde_json::json!([]));
        let tried = desk.good("host install r1-n01 --dry-run");
        assert!(tried.contains("its next boot installs live and erases its disk"), "{tried}");
        assert!(!desk.good("host list").contains("armed"), "nothing was done");
        desk.good("host install r1-n01");
        let listed = desk.good("host list");
        let line = listed.lines().find(|line| line.starts_with("r1-n01")).unwrap();
        assert!(line.contains("waiting, armed"), "{listed}");
        assert!(desk.good("host show r1-n01").starts_with("# waiting, armed"));
        assert!(desk.good("host list --json").contains("\"armed-until\": 1"));
    }
}
