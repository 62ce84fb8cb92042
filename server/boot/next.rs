//! What a client boots next: a program, a script, or nothing. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::UrlName;
use super::arch::{Arch, Client};
use crate::lifecycle::gate::BootSource;
use crate::model::{FirmwareArch, Host, LocalBoot};

/// The path that answers 404, for UEFI HTTP Boot of a host that boots its local disk.
pub(crate) const LOCAL_PATH: &str = "/local.efi";
/// The longest value of a DHCP option, less the NUL that ends a boot file name.
const OPTION_BYTES: usize = 254;

/// What DHCP tells a client to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing at all: firmware then goes on to the next device.
    Nothing(WhyNothing),
    /// The local disk, by a PXE boot menu with that one item.
    LocalMenu,
    /// The local disk, by a URL that answers 404: UEFI HTTP Boot gives up at once.
    LocalUrl,
    /// A network boot program, by its name on the server.
    Nbp(String),
    /// The host's iPXE script.
    Script,
    /// A Raspberry Pi's boot files: their names are the ROM's own.
    RaspberryPi,
}

impl Next {
    /// What the client is told to load, by a name on the TFTP server or a full URL; empty where
    /// there is nothing to load or the client knows the names. HTTP is at `base_url`, such as
    /// `http://10.77.0.1`.
    pub(crate) fn boot_file(
        &self,
        client: Client,
        base_url: &str,
        url_name: &UrlName,
        tftp_server: Ipv4Addr,
    ) -> String {
        match (self, client) {
            (Self::Nothing(_) | Self::LocalMenu | Self::RaspberryPi, _) => String::new(),
            (Self::LocalUrl, _) => format!("{base_url}{LOCAL_PATH}"),
            (Self::Script, _) => format!("{base_url}/boot/{url_name}.ipxe"),
            (Self::Nbp(name), Client::HttpBoot(_)) => format!("{base_url}/files/{name}"),
            // A bare name would be fetched from next-server too, but some ROMs' iPXE
            // takes it relative to an empty URL.
            (Self::Nbp(name), Client::IpxeWithoutHttp(_)) => format!("tftp://{tftp_server}/{name}"),
            (Self::Nbp(name), _) => name.clone(),
        }
    }

    /// Whether the client is told a full URL.
    pub(crate) fn is_url(&self, client: Client) -> bool {
        match self {
            Self::LocalUrl | Self::Script => true,
            Self::Nbp(_) => matches!(client, Client::HttpBoot(_) | Client::IpxeWithoutHttp(_)),
            Self::Nothing(_) | Self::LocalMenu | Self::RaspberryPi => false,
        }
    }

    /// Nothing in place of a URL that does not fit into a DHCP option: UEFI takes only the first
    /// instance of an option, so that a URL cannot be split.
    pub(crate) fn if_it_fits(self, client: Client, boot_file: &str) -> Self {
        if self.is_url(client) && boot_file.len() > OPTION_BYTES {
            return Self::Nothing(WhyNothing::UrlTooLong);
        }
        self
    }
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

/// Chooses what a client boots next, which may boot from `boot_source`: `host` is the host of the
/// inventory that it is, and `boot_files` are its subnet's own, by architecture. A host that is not
/// known gets a script too: the script says so on its screen.
pub(crate) fn decide_next(
    client: Client,
    host: Option<&Host>,
    boot_source: &BootSource<'_>,
    boot_files: Option<&BTreeMap<FirmwareArch, String>>,
) -> Next {
    if client == Client::Plain {
        return Next::Nothing(WhyNothing::NoBootClient);
    }
    let own_file = host.and_then(|host| host.boot_file.as_ref());
    match (boot_source, own_file) {
        // Such as `filename "pxelinux.0"` of dhcpd: the file decides what boots.
        (BootSource::NoImage, Some(file)) => match client {
            Client::RaspberryPi => Next::Nothing(WhyNothing::NoImage),
            Client::Ipxe(_) => Next::Nbp(file.clone()),
            _ => from_network(client, host, boot_files),
        },
        (BootSource::NoImage, None) => Next::Nothing(WhyNothing::NoImage),
        (BootSource::Disk(way), _) => {
            to_disk(client, *way).unwrap_or_else(|| from_network(client, host, boot_files))
        }
        (BootSource::Unknown | BootSource::Image(_) | BootSource::Install { .. }, _) => {
            from_network(client, host, boot_files)
        }
    }
}

/// The boot file of a client that states no architecture: that of its host, unless the host boots
/// its local disk.
pub(crate) fn own_boot_file<'a>(
    host: Option<&'a Host>,
    boot_source: &BootSource<'_>,
) -> Option<&'a str> {
    let boots_disk = matches!(boot_source, BootSource::Disk(_));
    host.and_then(|host| host.boot_file.as_deref()).filter(|_| !boots_disk)
}

/// Sends a client to its local disk in the way that its firmware needs; none where that takes a
/// script. No answer may leave it in its setup menu, where a boot program that returns success does.
fn to_disk(client: Client, way: LocalBoot) -> Option<Next> {
    Some(match (way, client) {
        (LocalBoot::NoFile, _) | (_, Client::RaspberryPi | Client::Plain) => {
            Next::Nothing(WhyNothing::LocalDisk)
        }
        (LocalBoot::Menu, Client::Pxe(_)) => Next::LocalMenu,
        (LocalBoot::Menu, Client::HttpBoot(_)) => Next::LocalUrl,
        // As a BIOS option ROM: the BIOS knows its boot order, iPXE only the first disk.
        (LocalBoot::Menu, Client::Ipxe(Arch::Bios) | Client::IpxeWithoutHttp(Arch::Bios)) => {
            Next::LocalMenu
        }
        // It could not fetch a script. Without a file it returns an error to the firmware.
        (_, Client::IpxeWithoutHttp(_)) => Next::Nothing(WhyNothing::LocalDisk),
        (_, Client::Ipxe(_)) | (LocalBoot::Sanboot | LocalBoot::Exit, _) => return None,
    })
}

/// What loads the client's script, or the script.
fn from_network(
    client: Client,
    host: Option<&Host>,
    boot_files: Option<&BTreeMap<FirmwareArch, String>>,
) -> Next {
    let arch = match client {
        Client::Plain => return Next::Nothing(WhyNothing::NoBootClient),
        Client::RaspberryPi => return Next::RaspberryPi,
        Client::Ipxe(_) => return Next::Script,
        Client::HttpBoot(arch) | Client::Pxe(arch) | Client::IpxeWithoutHttp(arch) => arch,
    };
    let own = host.and_then(|host| host.boot_file.as_deref());
    let of_subnet = || Some(boot_files?.get(&arch.of_firmware()?)?.as_str());
    match own.or_else(of_subnet).or_else(|| nbp_of(arch)) {
        Some(name) => Next::Nbp(name.to_owned()),
        None => Next::Nothing(WhyNothing::UnknownArch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::gate::decide;
    use crate::model::{Image, Mac};

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    #[test]
    fn each_client_is_told_what_it_can_load() {
        let live = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        let disk = Image { local: true, ..Image::default() };
        let plain = Host { image: Some("own".into()), ..Host::default() };
        let special = Host { boot_file: Some("ipxe.efi".into()), ..plain.clone() };
        const SCRIPT: &str = "http://10.0.0.1/boot/52:54:00:aa:00:01.ipxe";
        // What is decided, and the name or URL that the client is told.
        let script = || (Next::Script, SCRIPT);
        let nothing = |why| (Next::Nothing(why), "");
        let menu = || (Next::LocalMenu, "");
        let bios = Client::Pxe(Arch::Bios);
        let efi = Client::Pxe(Arch::X64Efi);
        let http = Client::HttpBoot(Arch::X64Efi);
        let ipxe = Client::Ipxe(Arch::X64Efi);
        let old_ipxe = Client::IpxeWithoutHttp(Arch::Bios);
        let tftp = |name: &'static str| (Next::Nbp(name.into()), name);
        let url = |url: &'static str| (Next::Nbp(url.rsplit_once('/').unwrap().1.into()), url);
        let (known, none) = (Some(&plain), None);
        let local = || nothing(WhyNothing::LocalDisk);
        let sent_by = |way| Host { local_boot: Some(way), ..plain.clone() };
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
            ("neither", bios, known, None, nothing(WhyNothing::NoImage)),
            ("a boot file of a host that boots its disk", bios, Some(&special), Some(&disk), menu()),
            ("PowerPC", Client::Pxe(Arch::Other(12)), known, Some(&live), nothing(WhyNothing::UnknownArch)),
            ("a BIOS ROM of a host that boots its disk", bios, known, Some(&disk), menu()),
            ("UEFI that boots its disk", efi, known, Some(&disk), menu()),
            ("HTTP Boot of the disk", http, known, Some(&disk), (Next::LocalUrl, "http://10.0.0.1/local.efi")),
            ("iPXE under UEFI that boots its disk", ipxe, known, Some(&disk), script()),
            ("iPXE as a BIOS ROM that boots its disk", Client::Ipxe(Arch::Bios), known, Some(&disk), menu()),
            ("an old BIOS iPXE that boots its disk", old_ipxe, known, Some(&disk), menu()),
            ("an old UEFI iPXE that boots its disk", Client::IpxeWithoutHttp(Arch::X64Efi), known, Some(&disk), local()),
            ("a Raspberry Pi that boots its card", Client::RaspberryPi, known, Some(&disk), local()),
            ("sanboot: UEFI loads iPXE", efi, Some(&chains), Some(&disk), tftp("snponly.efi")),
            ("sanboot: HTTP Boot loads iPXE", http, Some(&chains), Some(&disk), url("http://10.0.0.1/files/snponly.efi")),
            ("sanboot: iPXE loads its script", Client::Ipxe(Arch::Bios), Some(&chains), Some(&disk), script()),
            ("exit: UEFI loads iPXE", efi, Some(&leaves), Some(&disk), tftp("snponly.efi")),
            ("no-file: UEFI is told nothing", efi, Some(&silent), Some(&disk), local()),
            ("no-file: iPXE is told nothing", ipxe, Some(&silent), Some(&disk), local()),
            ("a host without an image", efi, known, None, nothing(WhyNothing::NoImage)),
            ("an unknown host's ROM", bios, none, None, tftp("undionly.kpxe")),
            ("an unknown host's iPXE", ipxe, none, None, script()),
            ("an operating system", Client::Plain, known, Some(&live), nothing(WhyNothing::NoBootClient)),
            ("a Raspberry Pi", Client::RaspberryPi, known, Some(&live), (Next::RaspberryPi, "")),
        ];
        for (name, client, host, image, expected) in cases {
            let boot_source = decide(host, |_| image, None, false, None, 0);
            let next = decide_next(client, host, &boot_source, None);
            let server = Ipv4Addr::new(10, 0, 0, 1);
            let file = next.boot_file(client, "http://10.0.0.1", &MAC.into(), server);
            assert_eq!((next.clone(), file.as_str()), expected, "{name}");
            assert_eq!(next.is_url(client), file.contains("://"), "{name}");
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
            let source = BootSource::Image(&image);
            let next = decide_next(Client::Pxe(arch), host, &source, Some(&files));
            assert_eq!(next, Next::Nbp(expected.into()), "{arch}");
        }
    }

    #[test]
    fn a_url_that_fits_no_option_is_not_sent() {
        let (client, server) = (Client::Ipxe(Arch::Bios), Ipv4Addr::LOCALHOST);
        for (letters, expected) in
            [(200, Next::Script), (250, Next::Nothing(WhyNothing::UrlTooLong))]
        {
            let base_url = format!("http://{}", "a".repeat(letters));
            let next = decide_next(client, None, &BootSource::Unknown, None);
            let file = next.boot_file(client, &base_url, &MAC.into(), server);
            assert_eq!(next.if_it_fits(client, &file), expected, "{letters}");
        }
        let (bios, long) = (Client::Pxe(Arch::Bios), "a".repeat(300));
        let nbp = Next::Nbp(long.clone());
        assert_eq!(nbp.clone().if_it_fits(bios, &long), nbp, "a name has the field `file`, too");
    }
}
