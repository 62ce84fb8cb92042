//! What a client boots next: a program, a script, or nothing. Pure.

use std::collections::BTreeMap;

use super::UrlName;
use super::arch::{Arch, Client};
use crate::lifecycle::gate::Verdict;
use crate::model::{FirmwareArch, Host, LocalBoot};

/// The path that answers 404, for UEFI HTTP Boot of a host that boots its local disk.
pub(crate) const LOCAL_PATH: &str = "/local.efi";
/// The longest value of a DHCP option, less the NUL that ends a boot file name.
const OPTION_BYTES: usize = 254;

/// What DHCP tells a client about booting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing at all: firmware then goes on to the next device.
    Nothing(WhyNothing),
    /// The local disk, by a PXE boot menu with that one item.
    LocalMenu,
    /// The local disk, by a URL that answers 404: UEFI HTTP Boot gives up at once.
    LocalUrl(String),
    /// A network boot program by TFTP, by its name on the server.
    NbpByTftp(String),
    /// A network boot program by a full URL.
    NbpByUrl(String),
    /// The host's iPXE script, by its URL.
    Script(String),
    /// A Raspberry Pi's boot files: their names are the ROM's own.
    RaspberryPi,
}

/// Why a client gets no boot data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhyNothing {
    /// It is an operating system, not firmware.
    #[error("the client does not boot from the network")]
    NoBootClient,
    /// Its image is the local disk.
    #[error("the host boots its local disk")]
    LocalDisk,
    /// It has no image.
    #[error("the host has no image")]
    NoImage,
    /// No program is known for its architecture.
    #[error("no boot program is known for the client's architecture")]
    UnknownArch,
    /// The URL does not fit into a DHCP option.
    #[error("the boot URL is longer than the 254 bytes of a DHCP option")]
    UrlTooLong,
}

/// What is known of the one who boots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booter<'a> {
    /// Its firmware or boot program.
    pub client: Client,
    /// What its script's URL names it by.
    pub url_name: &'a UrlName,
    /// The host of the inventory that it is; none for an unknown one.
    pub host: Option<&'a Host>,
    /// What it may boot.
    pub verdict: Verdict<'a>,
    /// The subnet's own boot files, by architecture.
    pub boot_files: Option<&'a BTreeMap<FirmwareArch, String>>,
    /// Where it fetches from, such as `http://10.77.0.1`.
    pub base_url: &'a str,
    /// The address of the TFTP server: this one, or another that the host or subnet names.
    pub tftp_server: std::net::Ipv4Addr,
}

/// The program for an architecture, as Debian's iPXE package names it. For UEFI
/// the one that uses the firmware's own driver: iPXE's native drivers hang on
/// some NICs, and `boot-file` of the host replaces it where that is better.
pub(crate) fn nbp_of(arch: Arch) -> Option<&'static str> {
    match arch {
        Arch::Bios => Some("undionly.kpxe"),
        Arch::X64Efi => Some("snponly.efi"),
        Arch::Arm64Efi => Some("ipxe-arm64.efi"),
        Arch::Riscv64Efi => Some("ipxe-riscv64.efi"),
        Arch::Loong64Efi => Some("ipxe-loong64.efi"),
        Arch::X86Efi | Arch::Arm32Efi | Arch::Riscv32Efi | Arch::Other(_) => None,
    }
}

/// Where a client's script is.
pub(crate) fn script_url(base_url: &str, name: &UrlName) -> String {
    format!("{base_url}/boot/{name}.ipxe")
}

/// Chooses what the client boots next. A host that is not known gets a script
/// too: the script says so on its screen.
pub(crate) fn decide_next(booter: &Booter<'_>) -> Next {
    if booter.client == Client::Plain {
        return Next::Nothing(WhyNothing::NoBootClient);
    }
    let own_file = booter.host.and_then(|host| host.boot_file.as_ref());
    let next = match booter.verdict {
        // Such as `filename "pxelinux.0"` of dhcpd: the file decides what boots.
        Verdict::NoImage => match (own_file, booter.client) {
            (None, _) | (_, Client::RaspberryPi) => return Next::Nothing(WhyNothing::NoImage),
            (Some(file), Client::Ipxe(_)) => Next::NbpByTftp(file.clone()),
            (Some(_), _) => from_network(booter),
        },
        Verdict::Disk(way) => to_disk(booter, way),
        Verdict::Unknown | Verdict::Image(_) | Verdict::Install { .. } => from_network(booter),
    };
    match next {
        // UEFI takes only the first instance of an option, so that a URL cannot be split.
        Next::NbpByUrl(url) | Next::Script(url) | Next::LocalUrl(url)
            if url.len() > OPTION_BYTES =>
        {
            Next::Nothing(WhyNothing::UrlTooLong)
        }
        next => next,
    }
}

/// The boot file of a client that states no architecture: that of its host, unless the host boots
/// its local disk.
pub(crate) fn own_boot_file<'a>(host: Option<&'a Host>, verdict: &Verdict<'_>) -> Option<&'a str> {
    let boots_disk = matches!(verdict, Verdict::Disk(_));
    host.and_then(|host| host.boot_file.as_deref()).filter(|_| !boots_disk)
}

/// Sends a client to its local disk in the way that its firmware needs. No answer may leave it
/// in its setup menu, where a boot program that returns success does.
fn to_disk(booter: &Booter<'_>, way: LocalBoot) -> Next {
    match (way, booter.client) {
        (LocalBoot::NoFile, _) | (_, Client::RaspberryPi | Client::Plain) => {
            Next::Nothing(WhyNothing::LocalDisk)
        }
        (LocalBoot::Menu, Client::Pxe(_)) => Next::LocalMenu,
        (LocalBoot::Menu, Client::HttpBoot(_)) => {
            Next::LocalUrl(format!("{}{LOCAL_PATH}", booter.base_url))
        }
        // As a BIOS option ROM: the BIOS knows its boot order, iPXE only the first disk.
        (LocalBoot::Menu, Client::Ipxe(Arch::Bios) | Client::IpxeWithoutHttp(Arch::Bios)) => {
            Next::LocalMenu
        }
        // It could not fetch a script. Without a file it returns an error to the firmware.
        (_, Client::IpxeWithoutHttp(_)) => Next::Nothing(WhyNothing::LocalDisk),
        (_, Client::Ipxe(_)) | (LocalBoot::Sanboot | LocalBoot::Exit, _) => from_network(booter),
    }
}

/// What loads the client's script, or the script.
fn from_network(booter: &Booter<'_>) -> Next {
    match booter.client {
        Client::Plain => Next::Nothing(WhyNothing::NoBootClient),
        Client::RaspberryPi => Next::RaspberryPi,
        Client::Ipxe(_) => Next::Script(script_url(booter.base_url, booter.url_name)),
        Client::HttpBoot(arch) => program(booter, arch, |name| {
            Next::NbpByUrl(format!("{}/files/{name}", booter.base_url))
        }),
        Client::Pxe(arch) => program(booter, arch, Next::NbpByTftp),
        // A bare name would be fetched from next-server too, but some ROMs' iPXE
        // takes it relative to an empty URL.
        Client::IpxeWithoutHttp(arch) => program(booter, arch, |name| {
            Next::NbpByUrl(format!("tftp://{}/{name}", booter.tftp_server))
        }),
    }
}

fn program(booter: &Booter<'_>, arch: Arch, tell: impl Fn(String) -> Next) -> Next {
    let own = booter.host.and_then(|host| host.boot_file.as_deref());
    let of_subnet =
        || booter.boot_files.and_then(|files| Some(files.get(&arch.of_firmware()?)?.as_str()));
    match own.or_else(of_subnet).or_else(|| nbp_of(arch)) {
        Some(name) => tell(name.to_owned()),
        None => Next::Nothing(WhyNothing::UnknownArch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::gate::{Asker, decide};
    use crate::model::{Image, Mac};

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    #[test]
    fn each_client_is_told_what_it_can_load() {
        let live = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        let disk = Image { local: true, ..Image::default() };
        let plain = Host::default();
        let special = Host { boot_file: Some("ipxe.efi".into()), ..Host::default() };
        let script = || Next::Script("http://10.0.0.1/boot/52:54:00:aa:00:01.ipxe".into());
        let bios = Client::Pxe(Arch::Bios);
        let efi = Client::Pxe(Arch::X64Efi);
        let http = Client::HttpBoot(Arch::X64Efi);
        let ipxe = Client::Ipxe(Arch::X64Efi);
        let old_ipxe = Client::IpxeWithoutHttp(Arch::Bios);
        let tftp = |name: &str| Next::NbpByTftp(name.into());
        let url = |url: &str| Next::NbpByUrl(url.into());
        let (known, none) = (Some(&plain), None);
        let local = || Next::Nothing(WhyNothing::LocalDisk);
        let sent_by = |way| Host { local_boot: Some(way), ..Host::default() };
        let chains = sent_by(LocalBoot::Sanboot);
        let leaves = sent_by(LocalBoot::Exit);
        let silent = sent_by(LocalBoot::NoFile);
        #[rustfmt::skip]
        let cases = [
            ("BIOS", bios, known, Some(&live), tftp("undionly.kpxe")),
            ("UEFI", efi, known, Some(&live), tftp("snponly.efi")),
            ("UEFI of a host with its own program", efi, Some(&special), Some(&live), tftp("ipxe.efi")),
            ("arm64", Client::Pxe(Arch::Arm64Efi), known, Some(&live), tftp("ipxe-arm64.efi")),
            ("HTTP Boot", http, known, Some(&live), url("http://10.0.0.1/files/snponly.efi")),
            ("iPXE", ipxe, known, Some(&live), script()),
            ("iPXE without HTTP", old_ipxe, known, Some(&live), url("tftp://10.0.0.1/undionly.kpxe")),
            ("a boot file and no image", bios, Some(&special), None, tftp("ipxe.efi")),
            ("the same, HTTP Boot", http, Some(&special), None, url("http://10.0.0.1/files/ipxe.efi")),
            ("the same, iPXE", ipxe, Some(&special), None, tftp("ipxe.efi")),
            ("neither", bios, known, None, Next::Nothing(WhyNothing::NoImage)),
            ("a boot file of a host that boots its disk", bios, Some(&special), Some(&disk), Next::LocalMenu),
            ("PowerPC", Client::Pxe(Arch::Other(12)), known, Some(&live), Next::Nothing(WhyNothing::UnknownArch)),
            ("a BIOS ROM of a host that boots its disk", bios, known, Some(&disk), Next::LocalMenu),
            ("UEFI that boots its disk", efi, known, Some(&disk), Next::LocalMenu),
            ("HTTP Boot of the disk", http, known, Some(&disk), Next::LocalUrl("http://10.0.0.1/local.efi".into())),
            ("iPXE under UEFI that boots its disk", ipxe, known, Some(&disk), script()),
            ("iPXE as a BIOS ROM that boots its disk", Client::Ipxe(Arch::Bios), known, Some(&disk), Next::LocalMenu),
            ("an old BIOS iPXE that boots its disk", old_ipxe, known, Some(&disk), Next::LocalMenu),
            ("an old UEFI iPXE that boots its disk", Client::IpxeWithoutHttp(Arch::X64Efi), known, Some(&disk), local()),
            ("a Raspberry Pi that boots its card", Client::RaspberryPi, known, Some(&disk), local()),
            ("sanboot: UEFI loads iPXE", efi, Some(&chains), Some(&disk), tftp("snponly.efi")),
            ("sanboot: HTTP Boot loads iPXE", http, Some(&chains), Some(&disk), url("http://10.0.0.1/files/snponly.efi")),
            ("sanboot: iPXE loads its script", Client::Ipxe(Arch::Bios), Some(&chains), Some(&disk), script()),
            ("exit: UEFI loads iPXE", efi, Some(&leaves), Some(&disk), tftp("snponly.efi")),
            ("no-file: UEFI is told nothing", efi, Some(&silent), Some(&disk), local()),
            ("no-file: iPXE is told nothing", ipxe, Some(&silent), Some(&disk), local()),
            ("a host without an image", efi, known, None, Next::Nothing(WhyNothing::NoImage)),
            ("an unknown host's ROM", bios, none, None, tftp("undionly.kpxe")),
            ("an unknown host's iPXE", ipxe, none, None, script()),
            ("an operating system", Client::Plain, known, Some(&live), Next::Nothing(WhyNothing::NoBootClient)),
            ("a Raspberry Pi", Client::RaspberryPi, known, Some(&live), Next::RaspberryPi),
        ];
        for (name, client, host, image, expected) in cases {
            let booter = Booter {
                client,
                url_name: &MAC.into(),
                host,
                verdict: decide(&Asker { host, image, ..Asker::default() }),
                boot_files: None,
                base_url: "http://10.0.0.1",
                tftp_server: std::net::Ipv4Addr::new(10, 0, 0, 1),
            };
            assert_eq!(decide_next(&booter), expected, "{name}");
        }
    }

    #[test]
    fn a_subnets_boot_file_stands_between_the_hosts_and_the_usual_one() {
        let files = [(FirmwareArch::X64, "shimx64.efi"), (FirmwareArch::X86, "ipxe32.efi")];
        let files = files.map(|(arch, file)| (arch, file.to_owned())).into();
        let special = Host { boot_file: Some("own.efi".into()), ..Host::default() };
        let cases = [
            (Arch::X64Efi, None, "shimx64.efi"),
            (Arch::X86Efi, None, "ipxe32.efi"),
            (Arch::Bios, None, "undionly.kpxe"),
            (Arch::X64Efi, Some(&special), "own.efi"),
        ];
        let image = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        for (arch, host, expected) in cases {
            let booter = Booter {
                client: Client::Pxe(arch),
                url_name: &MAC.into(),
                host,
                verdict: Verdict::Image(&image),
                boot_files: Some(&files),
                base_url: "http://10.0.0.1",
                tftp_server: std::net::Ipv4Addr::LOCALHOST,
            };
            assert_eq!(decide_next(&booter), Next::NbpByTftp(expected.into()), "{arch}");
        }
    }

    #[test]
    fn a_url_that_fits_no_option_is_not_sent() {
        let base_url = format!("http://{}", "a".repeat(250));
        let booter = Booter {
            client: Client::Ipxe(Arch::Bios),
            url_name: &MAC.into(),
            host: None,
            verdict: Verdict::Unknown,
            boot_files: None,
            base_url: &base_url,
            tftp_server: std::net::Ipv4Addr::LOCALHOST,
        };
        assert_eq!(decide_next(&booter), Next::Nothing(WhyNothing::UrlTooLong));
    }
}
