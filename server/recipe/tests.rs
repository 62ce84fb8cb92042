use proptest::prelude::*;
use serde_json::{Value, json};

use super::shipped::Shipped;
use super::*;
use crate::model::Scalar;
use crate::site_file;
use crate::tree;

const SITE: &str = r#"
subnets:
  internal: {cidr: 10.0.0.0/24, vlan: 500, gateway: 10.0.0.254, dns: [10.0.0.53],
             ranges: [{from: 10.0.0.10, to: 10.0.0.99, for: hosts}]}
profiles:
  plain:
    nics: {eth0: {set-name: lan0}, eth1: {set-name: lan1}}
    bonds: {bond0: {nics: [eth0, eth1], mode: active-backup}}
    vlans: {vlan500: {link: bond0, subnet: internal}}
racks: {r1: {location: "hall 2, row B"}}
images:
  debian: {kernel: k, boot: once, recipe: {use: debian-preseed, values: {ssh-key: "ssh-ed25519 AAAA me@x", disk: /dev/vda, mirror: mirror.example}}}
  ubuntu: {kernel: k, boot: once, recipe: {use: ubuntu-autoinstall, values: {password-hash: "$6$salt$hash"}}}
  rocky: {kernel: k, boot: once, recipe: {use: kickstart, values: {disk: sda, root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA me@x"}}}
  flatcar: {kernel: k, boot: once, recipe: {use: flatcar-ignition, values: {disk: /dev/sda, ssh-key: "ssh-ed25519 AAAA me@x"}}}
  coreos: {kernel: k, boot: once, recipe: {use: coreos-ignition, values: {disk: /dev/sda, image-url: "http://mirror/coreos.raw.xz"}}}
  proxmox: {kernel: k, boot: once, recipe: {use: proxmox-answer, values: {disk: sda, root-password-hash: "$6$salt$hash"}}}
  talos: {kernel: k, boot: once, recipe: {use: talos, values: {disk: /dev/sda, machine-token: mt, machine-ca-crt: mc, cluster-id: ci, cluster-secret: cs,
          cluster-token: ct, cluster-ca-crt: cc, endpoint: "https://10.0.0.20:6443"}}}
  suse: {kernel: k, boot: once, recipe: {use: autoyast, values: {disk: /dev/sda, root-password-hash: "$6$salt$hash", ssh-key: "ssh-ed25519 AAAA <me@x>"}}}
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
        ("rocky", "http://10.0.0.1/config/52-54-00-aa-00-01/networkmanager.tar"),
        (
            "flatcar",
            r"\nExecStart=/usr/bin/flatcar-install -d /dev/sda -C stable -i /run/rackstrap.ign\n",
        ),
        ("flatcar", "{\"path\": \"/etc/systemd/network/05-bond0.netdev\", \"mode\": 420, "),
        ("flatcar", "\"data:,r1-n01\""),
        (
            "coreos",
            r"install --insecure --image-url http://mirror/coreos.raw.xz --ignition-file /run/rackstrap.ign /dev/sda\n",
        ),
        (
            "coreos",
            "{\"path\": \"/etc/NetworkManager/system-connections/bond0.nmconnection\", \"mode\": 384, ",
        ),
        ("coreos", "http://10.0.0.1/recipe/52-54-00-aa-00-01/t0ken/config.ign"),
        ("proxmox", "fqdn = \"r1-n01.localdomain\"\n"),
        ("proxmox", "cidr = \"10.0.0.11/24\"\ngateway = \"10.0.0.254\"\ndns = \"10.0.0.53\"\n"),
        ("proxmox", "filter.ID_NET_NAME_MAC = \"*525400aa0001\"\n"),
        ("proxmox", "url = \"http://10.0.0.1/report/52-54-00-aa-00-01?token=t0ken\"\n"),
        ("talos", "hostname: \"r1-n01\"\n"),
        ("suse", "<listentry>ssh-ed25519 AAAA &lt;me@x&gt;</listentry>"),
        ("suse", "<hostname>r1-n01</hostname>"),
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
fn a_talos_configuration_has_the_network_of_the_host() {
    let filled = of_host(&site("talos"), "r1-n01", &booting()).unwrap();
    let document: Value = tree::read(&tree::parse(&filled.text).unwrap()).unwrap();
    let network = &document["machine"]["network"];
    assert_eq!(network["nameservers"], json!(["10.0.0.53"]));
    let interfaces = network["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 3, "{network:#}");
    assert_eq!(interfaces[0]["deviceSelector"]["hardwareAddr"], "52:54:00:aa:00:01");
    let bond = &interfaces[2];
    assert_eq!(
        (&bond["interface"], &bond["bond"]["mode"]),
        (&"bond0".into(), &"active-backup".into())
    );
    let members =
        json!([{"hardwareAddr": "52:54:00:aa:00:01"}, {"hardwareAddr": "52:54:00:aa:00:02"}]);
    assert_eq!(bond["bond"]["deviceSelectors"], members);
    let vlan = &bond["vlans"][0];
    assert_eq!((&vlan["vlanId"], &vlan["addresses"]), (&500.into(), &json!(["10.0.0.11/24"])));
    assert_eq!(vlan["routes"], json!([{"gateway": "10.0.0.254"}]));
    // What it has no words for is refused by name, not left out.
    let bridged = SITE.replace(
        "vlans: {vlan500: {link: bond0, subnet: internal}}",
        "vlans: {vlan500: {link: bond0, id: 500}}\n    bridges: {br0: {interfaces: [vlan500], subnet: internal}}",
    );
    assert_ne!(bridged, SITE);
    let mut bridged =
        site_file::parse(&bridged.replace("vlan500: 10.0.0.11", "br0: 10.0.0.11"), "site.yaml")
            .unwrap();
    bridged.hosts.get_mut("r1-n01").unwrap().image = Some("talos".to_owned());
    let told = of_host(&ResolvedSite::from(bridged), "r1-n01", &booting()).unwrap_err().to_string();
    assert!(told.contains("a Talos configuration has no bridges"), "{told}");
}

#[test]
fn a_control_plane_of_talos_needs_its_keys() {
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    site.hosts.get_mut("r1-n01").unwrap().image = Some("talos".to_owned());
    let recipe = site.images.get_mut("talos").unwrap().recipe.as_mut().unwrap();
    recipe.values.insert("type".to_owned(), Scalar("controlplane".to_owned()));
    let told = of_host(&ResolvedSite::from(site), "r1-n01", &booting()).unwrap_err().to_string();
    assert!(told.contains("set recipe.values.secretbox-secret"), "{told}");
}

/// A value for each key that the recipe reads, for the host of [`SITE`].
fn with_values(shipped: &Shipped, change: Option<(&str, &str)>) -> Result<Filled, RecipeError> {
    let mut site = site_file::parse(SITE, "site.yaml").unwrap();
    let benign = |key: &&'static str| {
        let value = change.filter(|(changed, _)| changed == key).map_or("benign", |it| it.1);
        ((*key).to_owned(), Scalar(value.to_owned()))
    };
    let values = shipped.values.iter().map(benign).collect();
    let recipe = Recipe { shipped: Some(shipped.name.to_owned()), values, ..Recipe::default() };
    site.images.get_mut("debian").unwrap().recipe = Some(recipe);
    of_host(&ResolvedSite::from(site), "r1-n01", &booting())
}

/// The words of a line as a POSIX shell, and shlex for Anaconda, splits it.
fn words_of(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut signs) = (Vec::new(), None::<String>, line.chars());
    while let Some(sign) = signs.next() {
        match sign {
            '\'' => loop {
                match signs.next()? {
                    '\'' => break word.get_or_insert_default(),
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '"' => loop {
                match signs.next()? {
                    '"' => break word.get_or_insert_default(),
                    '\\' => word.get_or_insert_default().push(signs.next()?),
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '\\' => {
                word.get_or_insert_default().extend(signs.next());
                continue;
            }
            sign if sign.is_whitespace() => {
                words.extend(word.take());
                continue;
            }
            sign => {
                word.get_or_insert_default().push(sign);
                continue;
            }
        };
    }
    words.extend(word);
    Some(words)
}

/// What a value must not change of a filled-in file.
fn structure(filled: &Filled) -> Value {
    let line = |line: &str| match line.trim_start() {
        text if text.starts_with('#') => Value::from("comment"),
        _ if filled.format == RecipeFormat::Kickstart || line.starts_with(' ') => {
            Value::from(words_of(line).map(|words| words.len()))
        }
        // The rest of the line is the value.
        _ => Value::from(line.split(' ').take(3).collect::<Vec<_>>()),
    };
    match shape::has_shape(filled.format) {
        true => shape::of(filled.format, &filled.text).unwrap(),
        false => filled.text.lines().map(line).collect(),
    }
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
        "]]>", "\0", "é", "\\u0027", "\\x27", "&#39;", "&apos;", "%", "<!--", "$(", "a\nb",
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
        // As an argument of a command, it is one argument once the file and the shell have been read.
        for (format, text) in [
            (F::Json, "{\"a\": \"echo {{ host.serial | shell }} end\"}"),
            (F::Yaml, "a: \"echo {{ host.serial | shell }} end\""),
            (F::Yaml, "a: 'echo {{ host.serial | shell }} end'"),
            (F::Yaml, "a: echo {{ host.serial | shell }} end"),
            (F::Yaml, "a: |-\n  echo {{ host.serial | shell }} end"),
            (F::Toml, "a = \"echo {{ host.serial | shell }} end\""),
            (F::Toml, "a = 'echo {{ host.serial | shell }} end'"),
        ] {
            if let Ok(text) = fill(format, text) {
                let document: Value = match format {
                    F::Json => serde_json::from_str(&text).unwrap(),
                    F::Toml => toml::from_str(&text).unwrap(),
                    _ => tree::read(&tree::parse(&text).unwrap()).unwrap(),
                };
                let words = words_of(document["a"].as_str().unwrap());
                let expected = ["echo", &value, "end"].map(str::to_owned).to_vec();
                prop_assert_eq!(words, Some(expected), "{}", text);
            }
        }
        for text in ["<a>echo {{ host.serial | shell }} end</a>", "<a><![CDATA[echo {{ host.serial | shell }} end]]></a>"] {
            if let Ok(text) = fill(F::Xml, text) {
                let document = roxmltree::Document::parse(&text).unwrap();
                let words = words_of(document.root_element().text().unwrap());
                let expected = ["echo", &value, "end"].map(str::to_owned).to_vec();
                prop_assert_eq!(words, Some(expected), "{}", text);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_value_of_an_image_changes_what_a_shipped_recipe_says(
        value in hostile().prop_filter("selects another branch", |value| !value.is_empty()),
        shipped in prop::sample::select(SHIPPED.to_vec()),
        key in any::<prop::sample::Index>(),
    ) {
        let key = key.get(shipped.values);
        // A value that the format has no way to write is refused.
        if let Ok(filled) = with_values(&shipped, Some((key, &value))) {
            let expected = with_values(&shipped, None).unwrap();
            prop_assert_eq!(structure(&filled), structure(&expected), "{} {}: {}", shipped.name, key, filled.text);
        }
    }
}
