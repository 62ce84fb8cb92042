use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::site_file;
use crate::tree;

const SITE: &str = r#"
subnets:
  internal: {cidr: 10.0.0.0/24, vlan: 500, gateway: 10.0.0.254, dns: [10.0.0.53],
             ranges: [{from: 10.0.0.10, to: 10.0.0.99, for: hosts}]}
profiles:
  plain:
    bonds: {bond0: {nics: [eth0, eth1], mode: active-backup}}
    vlans: {vlan500: {link: bond0, subnet: internal}}
racks: {r1: {location: "hall 2, row B"}}
images:
  debian: {kernel: k, boot: once, recipe: {use: debian-preseed, values: {ssh-key: "ssh-ed25519 AAAA me@x", disk: /dev/vda, mirror: mirror.example}}}
  ubuntu: {kernel: k, boot: once, recipe: {use: ubuntu-autoinstall, values: {password-hash: "$6$salt$hash"}}}
  rocky: {kernel: k, boot: once, recipe: {use: kickstart, values: {disk: sda, root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x"}}}
hosts:
  r1-n01: {rack: r1, unit: 1, serial: CZ4711, profile: plain, image: debian, addresses: {vlan500: 10.0.0.11},
           nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}}
"#;

pub(super) fn booting() -> Booting {
    Booting {
        mac: "52:54:00:aa:00:01".parse().ok(),
        server_url: "http://10.0.0.1".into(),
        token: "t0ken".into(),
    }
}

fn site(image: &str) -> ResolvedSite {
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    site.hosts.get_mut("r1-n01").unwrap().image = Some(image.to_owned());
    ResolvedSite::from(site)
}

fn own(format: RecipeFormat, text: &str) -> Recipe {
    Recipe { format: Some(format), text: Some(text.to_owned()), ..Recipe::default() }
}

fn with_serial(serial: &str) -> RecipeValues {
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    site.hosts.get_mut("r1-n01").unwrap().serial = Some(serial.to_owned());
    RecipeValues::of(&ResolvedSite::from(site), "r1-n01", &booting()).unwrap()
}

#[test]
fn shipped_recipes_are_filled_in() {
    let cases = [
        ("debian", "d-i netcfg/get_hostname string r1-n01\n"),
        ("debian", "echo 'ssh-ed25519 AAAA me@x' > /target/root/.ssh/authorized_keys"),
        ("debian", "--header 'Authorization: Bearer t0ken'"),
        ("ubuntu", "hostname: \"r1-n01\"\n"),
        ("ubuntu", "password: \"$6$salt$hash\"\n"),
        ("rocky", "network --hostname=r1-n01\n"),
        ("rocky", "rootpw --iscrypted \"$6$salt$hash\"\n"),
    ];
    for (image, line) in cases {
        let filled = of_host(&site(image), "r1-n01", &booting()).unwrap();
        assert!(filled.text.contains(line), "{line}: {}", filled.text);
        assert!(!filled.text.contains("{{") && !filled.text.contains("{%"), "{}", filled.text);
    }
}

fn shipped(name: &str, values: &str) -> Result<String, RecipeError> {
    let text = format!("images: {{own: {{kernel: k, recipe: {{use: {name}, values: {values}}}}}}}");
    let images = site_file::parse(&text, "site.yaml").unwrap().images;
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    site.images.extend(images);
    site.hosts.get_mut("r1-n01").unwrap().image = Some("own".to_owned());
    of_host(&ResolvedSite::from(site), "r1-n01", &booting()).map(|filled| filled.text)
}

#[test]
fn a_recipe_writes_to_the_disk_that_it_was_given_or_not_at_all() {
    for (name, values, line) in [
        ("kickstart", "{disk: sdb}", "ignoredisk --only-use=sdb\n"),
        ("kickstart", "{disk: sdb}", "clearpart --all --initlabel --drives=sdb\n"),
        ("debian-preseed", "{disk: /dev/sdb, mirror: m}", "partman-auto/disk string /dev/sdb\n"),
        (
            "debian-preseed",
            "{disk: /dev/sdb, mirror: m}",
            "grub-installer/bootdev string /dev/sdb\n",
        ),
        (
            "ubuntu-autoinstall",
            "{password-hash: x, disk: /dev/sdb}",
            "layout: {name: direct, match: {path: \"/dev/sdb\"}}\n",
        ),
        ("ubuntu-autoinstall", "{password-hash: x}", "layout: {name: direct}\n"),
    ] {
        let text = shipped(name, values).unwrap();
        assert!(text.contains(line), "{line}: {text}");
    }
    for (name, others) in [("kickstart", ""), ("debian-preseed", "mirror: m")] {
        let told = shipped(name, &format!("{{{others}}}")).unwrap_err().to_string();
        assert!(told.contains("set recipe.values.disk"), "{name}: {told}");
        assert!(shipped(name, &format!("{{disk: \"\", {others}}}")).is_err());
    }
    let told = shipped("debian-preseed", "{disk: /dev/sdb}").unwrap_err().to_string();
    assert!(told.contains("set recipe.values.mirror"), "{told}");
    for one in SHIPPED {
        let told = shipped(one.name, "{dsik: /dev/sdb}").unwrap_err().to_string();
        let reads = one.values.join(", ");
        let expected =
            format!("recipe {} does not read the value \"dsik\" (it reads: {reads})", one.name);
        assert_eq!(told, expected);
    }
}

#[test]
fn shipped_recipes_declare_the_values_that_they_read() {
    for one in SHIPPED {
        let is_key = |c: char| c.is_ascii_lowercase() || c == '-';
        let key = |rest: &str| {
            let rest = rest.trim_start_matches(['.', '[', '"']);
            rest.split(|c| !is_key(c)).next().unwrap().to_owned()
        };
        let read: std::collections::BTreeSet<String> =
            one.text.split("image.values").skip(1).map(key).collect();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), one.values, "{}", one.name);
    }
}

#[test]
fn what_a_host_does_not_have_is_undefined() {
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    let host = site.hosts.get_mut("r1-n01").unwrap();
    (host.serial, host.unit, host.rack, host.tenant) = (None, None, None, None);
    host.addresses.clear();
    let values = RecipeValues::of(&ResolvedSite::from(site), "r1-n01", &booting()).unwrap();
    for path in [
        "host.serial",
        "host.unit",
        "host.tenant",
        "rack.name",
        "rack.location",
        "subnet.name",
        "subnet.vlan",
        "subnet.gateway",
        "network.link",
        "network.address",
        "image.values.nothing",
    ] {
        let filled = |text: &str| fill(&own(RecipeFormat::Preseed, text), &values);
        let text = filled(&format!("{{{{ {path} | default(3) }}}}")).map(|filled| filled.text);
        assert_eq!(text, Ok("3".to_owned()), "{path}");
        let told = filled(&format!("{{{{ {path} }}}}")).unwrap_err().to_string();
        assert!(told.contains(MISSING), "{path}: {told}");
        let text = filled(&format!("{{% if {path} %}}x{{% endif %}}")).map(|filled| filled.text);
        assert_eq!(text, Ok(String::new()), "{path}");
    }
}

#[test]
fn an_autoinstall_has_the_network_of_the_host() {
    let filled = of_host(&site("ubuntu"), "r1-n01", &booting()).unwrap();
    let document: Value = tree::read(&tree::parse(&filled.text).unwrap()).unwrap();
    let network = &document["autoinstall"]["network"];
    assert_eq!(network["version"], 2);
    assert_eq!(network["vlans"]["vlan500"]["addresses"][0], "10.0.0.11/24", "{network}");
    assert_eq!(document["autoinstall"]["late-commands"][0][5], "Authorization: Bearer t0ken");
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_line() {
    use RecipeFormat as F;
    let cases = [
        (F::Preseed, "a\n{{ host.nothing }}", Some(2), "the host has no such value"),
        (F::Preseed, "{{ image.values.x | require(\"set x\") }}", Some(1), "set x"),
        (F::Preseed, "{{ rack.location }}", Some(1), "is not one plain word"),
        (F::Preseed, "{{ host.nics }}", Some(1), "found several"),
        (F::Preseed, "{{ host.name | safe }}", Some(1), "safe"),
        (
            F::Preseed,
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            None,
            "",
        ),
        (F::Yaml, "{{ host.name }}: x", None, "changes the structure"),
        (F::Yaml, "a: [", None, "the result is not yaml"),
        (F::Json, "{\"a\": \"{{ host.name }}\"}", None, "the result is not json"),
    ];
    for (format, text, line, detail) in cases {
        match fill(&own(format, text), &with_serial("x")) {
            Err(RecipeError::Filling { line: found, detail: told }) => {
                assert!(line.is_none() || found == line, "{text}: {found:?}");
                assert!(told.contains(detail), "{text}: {told}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let unknown = Recipe { shipped: Some("x".into()), ..Recipe::default() };
    assert_eq!(fill(&unknown, &with_serial("x")), Err(RecipeError::Unknown("x".into())));
    assert_eq!(fill(&Recipe::default(), &with_serial("x")), Err(RecipeError::Ambiguous));
}

/// Values as somebody would choose them who wants to be read as more than a value.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a", " ", "\n", "\r", "\t", "\"", "'", "\\", "$", "`", ";", "#", ": ", ", ", "{", "}", "[",
        "]", "- ", "\u{85}", "\u{2028}", "<", ">", "&", "--x", "%end", "{{", "}}", "|", "!", "*",
        "]]>", "\0", "é",
    ]);
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_value_adds_a_line_an_argument_or_a_key(value in hostile()) {
        use RecipeFormat as F;
        let values = with_serial(&value);
        let fill = |format, text: &str| fill(&own(format, text), &values).map(|filled| filled.text);
        for (format, text) in [
            (F::Preseed, "d-i a/b string {{ host.serial }}\nend"),
            (F::Preseed, "d-i a/b string {{ host.serial | text }}\nend"),
            (F::Preseed, "d-i a/b string echo {{ host.serial | shell }}\nend"),
            (F::Kickstart, "rootpw {{ host.serial }}\nend"),
            (F::Kickstart, "rootpw {{ host.serial | text }}\nend"),
            (F::Xml, "<a b=\"{{ host.serial }}\">{{ host.serial }}</a>\nend"),
        ] {
            if let Ok(text) = fill(format, text) {
                prop_assert_eq!(text.lines().count(), 2, "{}", text);
                prop_assert!(!text.contains("\\\n"), "{}", text);
                if format == F::Xml {
                    prop_assert_eq!(text.matches('<').count(), 2, "{}", text);
                    prop_assert_eq!(text.matches('"').count(), 2, "{}", text);
                }
            }
        }
        // In whatever place of a document: the value comes back, or nothing does.
        for (format, text) in [
            (F::Yaml, "a: {{ host.serial }}\nb: [1, {{ host.serial }}]\n"),
            (F::Json, "{\"a\": {{ host.serial }}, \"b\": [1, {{ host.serial }}]}"),
            (F::Toml, "a = {{ host.serial }}\nb = [\"1\", {{ host.serial }}]\n"),
        ] {
            if let Ok(text) = fill(format, text) {
                let document: Value = match format {
                    F::Yaml => tree::read(&tree::parse(&text).unwrap()).unwrap(),
                    F::Toml => toml::from_str(&text).unwrap(),
                    _ => serde_json::from_str(&text).unwrap(),
                };
                prop_assert_eq!(&document["a"], &value, "{}", text);
                prop_assert_eq!(document.as_object().unwrap().len(), 2);
                prop_assert_eq!(&document["b"][1], &value);
            }
        }
        // Where the author put quotes around it, too.
        for text in ["{a: \"{{ host.serial }}\", b: 1}", "a: '{{ host.serial }}'", "a: \"{{ host.serial | shell }}\""] {
            if let Ok(text) = fill(F::Yaml, text) {
                let document: Value = tree::read(&tree::parse(&text).unwrap()).unwrap();
                let keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
                prop_assert!(keys == ["a"] || keys == ["a", "b"], "{}", text);
            }
        }
    }
}
