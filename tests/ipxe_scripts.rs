//! The scripts run by the unmodified iPXE of Debian 12, on a way to the server where the
//! first requests of every file go wrong.

use std::path::Path;
use std::time::Duration;

use rackstrap::config::Config;
use tempfile::TempDir;

use crate::common::machine::Server;
use crate::common::qemu::Guest;
use crate::common::spoiler::{Mishap, Spoiler};

/// The kernel is an iPXE again: `ipxe.lkrn` is a Linux kernel as far as a boot loader can
/// tell, is at hand and small. It takes its command line for a script.
const SITE: &str = r#"
subnets:
  internal: {cidr: 172.16.160.0/24, vlan: 500, gateway: 172.16.160.254}
profiles:
  plain: {nics: {eth0: {subnet: internal}}}
images:
  live: {kernel: ipxe.lkrn, initrd: [live/vmlinuz], cmdline: "console=ttyS0"}
  menu: {script: menu.ipxe}
  program: {efi: program.efi}
  fails: {script: fails.ipxe}
  disk: {local: true}
hosts:
  n1:
    profile: plain
    image: live
    nics: {eth0: "52:54:00:aa:00:01"}
    addresses: {eth0: 172.16.160.12}
  n2: {image: menu, nics: {eth0: "52:54:00:aa:00:02"}}
  n3: {image: program, nics: {eth0: "52:54:00:aa:00:03"}}
  n5: {image: fails, nics: {eth0: "52:54:00:aa:00:05"}}
  n4: {image: disk, nics: {eth0: "52:54:00:aa:00:04"}}
"#;

/// A word with what a kernel argument may have and iPXE might have read as something else.
const PASSED_ON: &str = "rootpw=$1$a|b#c\\d`e`";

const LIMIT: Duration = Duration::from_secs(240);
const MISHAPS: &[Mishap] = &[Mishap::Closed, Mishap::Unavailable, Mishap::Half];

/// A server behind a bad way, with boot files that are programs.
async fn server(mishaps: &'static [Mishap]) -> (Server, Spoiler) {
    let mut spoiler = Spoiler::bind().await;
    // What QEMU's user network calls the machine that it runs on.
    let machine_url = format!("http://10.0.2.2:{}", spoiler.address.port()).parse().ok();
    let server = Server::start_with(SITE, Config { machine_url, ..Config::default() }).await;
    let files = server.directory.path().join("files");
    std::fs::copy("/usr/lib/ipxe/ipxe.lkrn", files.join("ipxe.lkrn")).unwrap();
    std::fs::copy("/usr/lib/ipxe/snponly.efi", files.join("program.efi")).unwrap();
    std::fs::write(
        files.join("menu.ipxe"),
        format!("#!ipxe\necho MENU OF ${{rackstrap-mac}}.\necho {PASSED_ON}\nsleep 600\n"),
    )
    .unwrap();
    std::fs::write(files.join("fails.ipxe"), "#!ipxe\necho IT FAILS\nexit 1\n").unwrap();
    spoiler.pass_to(&server.url, mishaps, |path| !path.starts_with("/boot/"));
    (server, spoiler)
}

fn script(spoiler: &Spoiler, mac: &str) -> String {
    format!("http://10.0.2.2:{}/boot/{mac}.ipxe", spoiler.address.port())
}

/// A directory that UEFI boots `program` from.
fn disk(program: &str) -> TempDir {
    let disk = TempDir::new().unwrap();
    let boot = disk.path().join("EFI/BOOT");
    std::fs::create_dir_all(&boot).unwrap();
    std::fs::copy(program, boot.join("BOOTX64.EFI")).unwrap();
    disk
}

/// OVMF's variables, fresh.
fn variables(directory: &Path) -> std::path::PathBuf {
    let copy = directory.join("vars.fd");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &copy).unwrap();
    copy
}

#[tokio::test]
async fn a_bios_host_gets_kernel_and_initrds_on_a_bad_way() {
    let (_server, spoiler) = server(MISHAPS).await;
    let mac = "52:54:00:aa:00:01";
    let mut guest = Guest::bios(mac, &script(&spoiler, mac));
    let texts = [
        "rackstrap: n1 boots live",
        "rackstrap: kernel did not come, try 1 of 10",
        "rackstrap: initrd0 did not come, try 1 of 10",
        "rackstrap: initrd1 did not come, try 1 of 10",
        // The second iPXE, which was started as a kernel with its command line.
        "iPXE initialising devices",
        "initrd=initrd1: command not found",
    ];
    guest.wait_for(&texts, LIMIT).await;
    for path in ["/files/ipxe.lkrn", "/files/live/vmlinuz", "/config/52-54-00-aa-00-01.cpio.gz"] {
        let count = spoiler.seen().iter().filter(|seen| *seen == path).count();
        assert_eq!(count, MISHAPS.len() + 1, "{path}");
    }
}

#[tokio::test]
async fn a_bios_host_runs_the_operators_own_script_on_a_bad_way() {
    let (_server, spoiler) = server(MISHAPS).await;
    let mac = "52:54:00:aa:00:02";
    let mut guest = Guest::bios(mac, &script(&spoiler, mac));
    let texts = ["script did not come, try 1 of 10", "MENU OF 52:54:00:aa:00:02", PASSED_ON];
    guest.wait_for(&texts, LIMIT).await;
}

#[tokio::test]
async fn a_script_that_fails_leaves_the_host_to_its_next_boot_option() {
    let (_server, spoiler) = server(&[]).await;
    let mac = "52:54:00:aa:00:05";
    let mut guest = Guest::bios(mac, &script(&spoiler, mac));
    guest.wait_for(&["IT FAILS"], LIMIT).await;
    // A script that was asked for again came after 3 s, or 10 s.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let seen = spoiler.seen();
    assert_eq!(seen.iter().filter(|path| *path == "/files/fails.ipxe").count(), 1, "{seen:?}");
}

#[tokio::test]
async fn an_unknown_host_says_so_and_goes_on_once_it_is_adopted() {
    let (server, spoiler) = server(&[]).await;
    let mac = "52:54:00:aa:00:09";
    let mut guest = Guest::bios(mac, &script(&spoiler, mac));
    guest.wait_for(&["is in no host of the inventory", "asking again in 15 s"], LIMIT).await;
    let adopt = |site: &mut rackstrap::model::Site| {
        let host = site.hosts.get_mut("n2").unwrap();
        host.nics.insert("eth1".into(), mac.parse::<rackstrap::model::Mac>().unwrap().into());
        Ok(())
    };
    let change =
        rackstrap::inventory::Change { who: "test", summary: "adopt", ..Default::default() };
    server.app.inventory.change_site(change, adopt).await.unwrap();
    guest.wait_for(&["asking again", "MENU OF 52:54:00:aa:00:09"], LIMIT).await;
}

#[tokio::test]
async fn a_uefi_host_gets_an_efi_program_on_a_bad_way() {
    let (server, spoiler) = server(MISHAPS).await;
    let mac = "52:54:00:aa:00:03";
    let ipxe = disk("/usr/lib/ipxe/ipxe.efi");
    let variables = variables(server.directory.path());
    let mut guest = Guest::uefi(mac, &script(&spoiler, mac), &variables, &[ipxe.path()]);
    let texts = [
        "rackstrap: n3 boots program",
        "program did not come, try 1 of 10",
        // The second iPXE is the program.
        "iPXE initialising devices",
    ];
    guest.wait_for(&texts, LIMIT).await;
}

#[tokio::test]
async fn a_uefi_host_that_boots_its_disk_goes_on_to_the_next_boot_option() {
    let (server, spoiler) = server(&[]).await;
    let mac = "52:54:00:aa:00:04";
    let (ipxe, system) = (disk("/usr/lib/ipxe/ipxe.efi"), disk("/usr/lib/ipxe/snponly.efi"));
    let variables = variables(server.directory.path());
    let disks = [ipxe.path(), system.path()];
    let mut guest = Guest::uefi(mac, &script(&spoiler, mac), &variables, &disks);
    // The installed system is an iPXE too: what counts is that the second disk starts.
    guest.wait_for(&["rackstrap: n4 boots its disk", "iPXE initialising devices"], LIMIT).await;
}
