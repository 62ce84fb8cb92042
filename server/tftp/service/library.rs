//! Resolves a name to a file, or to content that is generated on request.

use std::net::IpAddr;

use bytes::Bytes;

use super::report::TftpClient;
use crate::app::App;
use crate::boot::arch::is_raspberry_pi;
use crate::boot::{grub_config, script};
use crate::files::{FileError, FileStore};
use crate::lifecycle::gate;
use crate::tftp::packet::ErrorCode;

/// The script that iPXE asks its TFTP server for before anything else.
const AUTOEXEC: &str = "autoexec.ipxe";
/// What shim and iPXE ask for at the root although it lies beside them: with some
/// firmware they lose the directory that they came from.
const BESIDE_THE_LAST: [&str; 4] = ["grubx64.efi", "mmx64.efi", "revocations.efi", "ipxe.efi"];

/// What is sent.
pub(super) struct Content {
    /// The name it was found by.
    pub(super) path: String,
    /// All of it.
    pub(super) bytes: Bytes,
}

/// Why nothing is sent.
#[derive(Debug)]
pub(super) struct TftpError {
    /// The code of the ERROR packet.
    pub(super) code: ErrorCode,
    /// Its text.
    pub(super) text: String,
}

impl TftpError {
    pub(super) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<FileError> for TftpError {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::NotFound(_) => ErrorCode::NotFound,
            FileError::Refused(..) => ErrorCode::Access,
            FileError::Io(..) => ErrorCode::Undefined,
        };
        Self::new(code, error.to_string())
    }
}

/// What a name is answered with, before a file is opened.
pub(super) enum Resolved {
    /// Content that is generated.
    Generated(Bytes),
    /// The first of these files that exists.
    Files(AllowedNames),
}

/// Names of files that the gate lets a client fetch, in the order in which they are tried. Only
/// [`resolve`] makes them, and only they can be opened: no name bypasses the gate.
pub(super) struct AllowedNames {
    names: Vec<AllowedName>,
}

/// One of them, and the files that it must not lead to.
struct AllowedName {
    path: String,
    withheld: Vec<String>,
}

/// Resolves the name that a client asks for; its last boot program lay in `directory`.
///
/// # Errors
/// The client does not boot that from here.
pub(super) fn resolve(
    app: &App,
    client: &TftpClient,
    local: IpAddr,
    path: &str,
    directory: &str,
) -> Result<Resolved, TftpError> {
    if let Some(bytes) = generated(app, local, path) {
        return Ok(Resolved::Generated(bytes));
    }
    let names = candidates(path, directory);
    Ok(Resolved::Files(check_gate(app, client, names)?))
}

/// Generated content. `local` is this server's address as the client knows it.
fn generated(app: &App, local: IpAddr, path: &str) -> Option<Bytes> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let base = || app.config.now().machine_base_url(local).parse().ok();
    if name == AUTOEXEC {
        return script::autoexec(&base()?).ok().map(Bytes::from);
    }
    // An operator's own comes before it.
    let is_first = grub_config::FIRST_NAMES.contains(&path) && app.files.fault(path).is_some();
    is_first.then(|| grub_config::first(&base()?).ok().map(Bytes::from)).flatten()
}

/// Lets a client through that may fetch all of some names. TFTP knows no token of a boot, so that
/// no installer goes out by it.
fn check_gate(
    app: &App,
    client: &TftpClient,
    names: Vec<String>,
) -> Result<AllowedNames, TftpError> {
    let snapshot = app.inventory.snapshot();
    let host = client.host().and_then(|name| snapshot.host(name));
    let boot_source = app.inventory.boot_source(&snapshot, host, None);
    let is_rom = client.mac().is_some_and(is_raspberry_pi);
    let may_fetch = |name: &String| gate::may_fetch(&boot_source, name, &snapshot.site);
    if (!is_rom || gate::may_serve_rom(&boot_source)) && names.iter().all(may_fetch) {
        let allow = |path: String| {
            let withheld = gate::withheld(&boot_source, &path, &snapshot.site);
            AllowedName { path, withheld }
        };
        return Ok(AllowedNames { names: names.into_iter().map(allow).collect() });
    }
    let names = names.join(" or ");
    let text = match client.host() {
        Some(host) => format!("{host} does not boot {names} from here"),
        None => format!("{names} installs, and is never sent by TFTP"),
    };
    Err(TftpError::new(ErrorCode::Access, text))
}

/// The names to try in order, for a client whose last boot program lay in `directory`.
fn candidates(path: &str, directory: &str) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    if !directory.is_empty() && BESIDE_THE_LAST.contains(&path) {
        names.push(format!("{directory}/{path}"));
    }
    names
}

/// The first of some names that is cached: costs no system call.
pub(super) fn cached(files: &FileStore, names: &AllowedNames) -> Option<Content> {
    // Only the first: whether the earlier of two names exists takes a look at the disk.
    let AllowedName { path, withheld } = names.names.first()?;
    let bytes = files.cached_apart(path, withheld)?.bytes;
    Some(Content { path: path.clone(), bytes })
}

/// Opens the first of some names that exists; the error is that of the first name.
pub(super) async fn open(files: &FileStore, names: AllowedNames) -> Result<Content, FileError> {
    let mut first_error = None;
    for AllowedName { path, withheld } in names.names {
        match files.open_apart(&path, &withheld).await {
            Ok(file) => return Ok(Content { path, bytes: file.bytes }),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| FileError::NotFound(String::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::exercise::TestServer;
    use crate::inventory::BootGrant;
    use crate::lifecycle::install::InstallReport;

    const SITE: &str = r#"
subnets: {p: {cidr: 10.0.0.0/24}}
images:
  installer: {kernel: di/vmlinuz, initrd: [di/initrd], boot: once}
  efi: {efi: di/setup.efi, boot: once}
  script: {script: di/setup.ipxe, boot: once}
  disk: {local: true}
  raw: {disk: di/disk.raw}
  live: {kernel: live/vmlinuz}
  both: {kernel: live/vmlinuz, boot: once}
hosts:
  armed: {image: installer, nics: {eth0: "52:54:00:aa:00:01"}}
  disk: {image: disk, nics: {eth0: "52:54:00:aa:00:02"}}
  bare: {nics: {eth0: "52:54:00:aa:00:03"}}
  pi: {image: disk, nics: {eth0: "dc:a6:32:00:00:01"}}
"#;
    /// Files that install, as clients may write their names.
    const INSTALLS: [&str; 8] = [
        "di/vmlinuz",
        "di/initrd",
        "di/setup.efi",
        "di/setup.ipxe",
        "di/disk.raw",
        "di/VMLINUZ",
        "DI/vmlinuz",
        "Di/Disk.RAW",
    ];
    /// What a Raspberry Pi's ROM asks for.
    const OF_A_PI: [&str; 5] =
        ["config.txt", "start4.elf", "kernel8.img", "1234abcd/config.txt", "1234abcd/kernel8.img"];
    /// What GRUB, shim and PXELINUX ask for.
    const OF_PROGRAMS: [&str; 8] = [
        "live/vmlinuz",
        "grub/grub.cfg-01-52-54-00-aa-00-01",
        "grub.cfg",
        "grubx64.efi",
        "mmx64.efi",
        "revocations.efi",
        "pxelinux.cfg/default",
        "snponly.efi",
    ];

    /// Every name that is generated: one that is added here is tested like a file.
    const GENERATED: [&str; 4] =
        ["autoexec.ipxe", "some/where/autoexec.ipxe", "grub/grub.cfg", "grub/x86_64-efi/grub.cfg"];

    fn lease_of(app: &App, host: &str, last: u8) -> IpAddr {
        let address = std::net::Ipv4Addr::new(10, 0, 0, last);
        let snapshot = app.inventory.snapshot();
        let (_, found) = snapshot.host(host).map(|(n, h)| (n.to_owned(), h.clone())).unwrap();
        app.leases.at(snapshot.revision, &snapshot.site, 0).put(crate::model::Lease {
            address,
            client: crate::model::ClientKey::Host(host.to_owned()),
            nic: found.nics.values().next().map(|nic| nic.address),
            subnet: "p".into(),
            state: crate::model::LeaseState::Bound,
            starts_at: 0,
            expires_at: i64::MAX / 2,
            taken_over: false,
        });
        IpAddr::V4(address)
    }

    /// Whichever name a host asks for: in no state does TFTP send it a file that installs, for
    /// TFTP knows no token of a boot.
    #[test]
    fn no_name_installs_a_host() {
        let stage = TestServer::set(Config::default(), SITE);
        let app = &stage.app;
        let local: IpAddr = "10.0.0.1".parse().unwrap();
        let mut clients: Vec<(&str, TftpClient)> =
            [("armed", 11), ("disk", 12), ("bare", 13), ("pi", 14)]
                .map(|(host, last)| (host, TftpClient::at(app, lease_of(app, host, last))))
                .into();
        clients.push(("a stranger", TftpClient::at(app, "10.0.0.99".parse().unwrap())));
        let check = |state: &str| {
            for (host, client) in &clients {
                for directory in ["", "di"] {
                    for path in INSTALLS {
                        let found = resolve(app, client, local, path, directory);
                        assert!(found.is_err(), "{state}: {host} gets {path}");
                    }
                    for path in GENERATED {
                        let Ok(Resolved::Generated(text)) =
                            resolve(app, client, local, path, directory)
                        else {
                            panic!("{path} is not generated");
                        };
                        let text = String::from_utf8_lossy(&text);
                        assert!(!text.contains("di/"), "{state}: {host}: {path}: {text}");
                    }
                    for path in OF_PROGRAMS.iter().chain(&OF_A_PI) {
                        match resolve(app, client, local, path, directory) {
                            Ok(Resolved::Files(AllowedNames { names })) => {
                                let installs =
                                    |name: &AllowedName| INSTALLS.contains(&name.path.as_str());
                                assert!(!names.iter().any(installs), "{state}: {host}: {path}");
                                assert_ne!(
                                    *host, "pi",
                                    "{state}: a ROM boots what it finds: {path}"
                                );
                            }
                            Ok(Resolved::Generated(_)) => panic!("add {path} to GENERATED"),
                            Err(_) => assert_eq!(*host, "pi", "{state}: {path}"),
                        }
                    }
                }
            }
        };
        check("not armed");
        stage.block_on(async { app.inventory.arm_install("armed", "test").await.unwrap() });
        check("armed");
        let grant = stage.block_on(async {
            app.inventory.grant_boot("armed", "installer", None).await.unwrap()
        });
        let BootGrant::Install(token) = grant else { panic!("{grant:?}") };
        check("loading");
        stage.block_on(async {
            let done = InstallReport::Succeeded;
            app.inventory.report_install("armed", &token, &done).await.unwrap();
        });
        check("done");
    }
}
