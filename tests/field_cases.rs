//! Files from the field, each with what the command line says of it: what public bug reports, other
//! servers' configurations and spreadsheets look like. The cases that are packets are in
//! `dhcp_field`, networks in `network_cases`.

use crate::common::desk::Desk;
use crate::common::machine::Server;
use crate::common::store::Store;

/// A file, what is done with it, and what is said.
struct Case {
    name: &'static str,
    file: &'static str,
    contents: &'static [u8],
    command: &'static str,
    succeeds: bool,
    says: &'static str,
}

const UTF16: &[u8] = b"\xff\xfeh\x00o\x00s\x00t\x00,\x00m\x00a\x00c\x00\n\x00n\x001\x00,\x000\x002\x00:\x000\x000\x00:\x005\x00e\x00:\x009\x000\x00:\x000\x000\x00:\x000\x001\x00\n\x00";

const CASES: &[Case] = &[
    Case {
        name: "the product's own example allocates an address",
        file: "site.yaml",
        contents: br#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    dns: [223.5.5.5]
    ranges: [{from: 172.16.160.10, to: 172.16.160.10, for: hosts}]
profiles: {p: {vlans: {v: {link: eth0, subnet: internal}}}}
hosts: {n1: {profile: p, nics: {eth0: "52:54:00:aa:00:01"}}}
"#,
        command: "check site.yaml",
        succeeds: true,
        says: "0 errors, 0 warnings",
    },
    Case {
        name: "a password hash on a command line",
        file: "site.yaml",
        contents: br#"images: {i: {kernel: vmlinuz, cmdline: "root=/dev/sda1 rootcryptpass=$6$abc$def tag=a#b"}}"#,
        command: "check site.yaml",
        succeeds: true,
        says: "0 errors, 0 warnings",
    },
    Case {
        name: "a word of iPXE's on a command line",
        file: "site.yaml",
        contents: br#"images: {i: {kernel: vmlinuz, cmdline: "url=http://10.0.0.1/${mac:hexhyp}.ign"}}"#,
        command: "apply site.yaml",
        succeeds: false,
        says: "to name the host, use one of: {mac}, {host}, {server}, {address}",
    },
    Case {
        name: "empty columns at the end",
        file: "hosts.csv",
        contents: b"host,mac,,\nn1,00:1b:21:10:01:01,,\n",
        command: "import hosts.csv",
        succeeds: true,
        says: "+ host n1",
    },
    Case {
        name: "semicolons, and an address of no subnet",
        file: "hosts.csv",
        contents: b"hostname;mac;ip\nn1;00:1b:21:90:00:01;10.90.0.11\n",
        command: "import hosts.csv",
        succeeds: true,
        says: "(10.90.0.11): no subnet has this address, so it is not reserved; --subnet CIDR adds one",
    },
    Case {
        name: "semicolons",
        file: "hosts.csv",
        contents: b"hostname;mac\nn1;00:1b:21:90:00:01\n",
        command: "import hosts.csv",
        succeeds: true,
        says: "+ host n1",
    },
    Case {
        name: "tabs",
        file: "hosts.csv",
        contents: b"hostname\tmac\nn1\t00:1b:21:90:00:01\n",
        command: "import hosts.csv",
        succeeds: true,
        says: "+ host n1",
    },
    Case {
        name: "UTF-16",
        file: "hosts.csv",
        contents: UTF16,
        command: "import hosts.csv",
        succeeds: true,
        says: "+ host n1",
    },
    Case {
        name: "a host name with an underscore",
        file: "hosts.csv",
        contents: b"host,mac\nn1,00:1b:21:00:00:02\ncompute_01,00:1b:21:00:00:01\n",
        command: "import hosts.csv",
        succeeds: false,
        says: "hosts.csv: row 3: hosts.compute_01: host name \"compute_01\" may have letters, digits and \
               inner hyphens only (RFC 1123); rename it to \"compute-01\"",
    },
    Case {
        name: "a MAC without leading zeros",
        file: "hosts.csv",
        contents: b"host,mac\nn1,0:1b:21:0:0:1\n",
        command: "import hosts.csv",
        succeeds: true,
        says: "+ host n1",
    },
    Case {
        name: "a reservation inside the pool",
        file: "site.yaml",
        contents: br#"
subnets: {prov: {cidr: 10.20.0.0/24, ranges: [{from: 10.20.0.100, to: 10.20.0.199, for: dhcp}]}}
hosts: {n1: {nics: {eth0: "00:1b:21:00:00:01"}, reservations: {prov: 10.20.0.120}}}
"#,
        command: "check site.yaml",
        succeeds: true,
        says: "0 errors, 0 warnings",
    },
    Case {
        name: "a TFTP server in option 66, which firmware does not ask",
        file: "site.yaml",
        contents: br#"
subnets: {prov: {cidr: 10.77.0.0/24, boot-files: {bios: pxelinux.0}, dhcp-options: {66: 10.77.0.5}}}
"#,
        command: "check site.yaml",
        succeeds: true,
        says: "fix: set subnets.prov.next-server to 10.77.0.5",
    },
    Case {
        name: "a TFTP server in next-server",
        file: "site.yaml",
        contents: br#"
subnets: {prov: {cidr: 10.77.0.0/24, boot-files: {bios: pxelinux.0}, next-server: 10.77.0.5}}
"#,
        command: "check site.yaml",
        succeeds: true,
        says: "0 errors, 0 warnings",
    },
    Case {
        name: "a BMC among the NICs",
        file: "site.yaml",
        contents: br#"
hosts: {n1: {nics: {eth0: "00:1b:21:00:00:05", bmc: "00:1b:21:00:01:05"}}}
"#,
        command: "apply site.yaml",
        succeeds: false,
        says: "(N212)",
    },
];

#[tokio::test]
async fn files_from_the_field_are_taken_or_refused_in_words() {
    let mut wrong = Vec::new();
    for case in CASES {
        let desk = Desk::new(Store::sqlite());
        std::fs::write(desk.dir.path().join(case.file), case.contents).unwrap();
        let output = desk.run(case.command, "");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if output.status.success() != case.succeeds || !said.contains(case.says) {
            wrong.push(format!("{}: {} said {said}", case.name, case.command));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// It reaches the kernel as it was written (`ipxe_scripts` lets real iPXE run such a script).
#[tokio::test]
async fn a_password_hash_on_a_command_line_is_in_the_script() {
    let site = r#"
images: {i: {kernel: vmlinuz, cmdline: "root=/dev/sda1 rootcryptpass=$6$abc$def tag=a#b"}}
hosts: {h: {image: i, nics: {eth0: "52:54:00:01:00:01"}}}
"#;
    let server = Server::start(site).await;
    let files = server.directory.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("vmlinuz"), b"kernel").unwrap();
    let script = server.text("/boot/52:54:00:01:00:01.ipxe").await;
    assert!(script.contains(" rootcryptpass=$6$abc$def tag=a#b"), "{script}");
}
