//! What kind of client sent a packet: which firmware, which architecture, or iPXE. Pure.

use super::wire::Packet;
use crate::boot::arch::{Arch, Client, is_raspberry_pi};
use crate::options::{code, sub_option};

/// "rpiboot", the Raspberry Pi's own architecture (IANA).
const RPIBOOT: Arch = Arch::Other(41);
/// iPXE's feature "HTTP" in option 175 (iPXE `src/include/ipxe/features.h`).
const IPXE_HTTP: u8 = 0x13;
/// iPXE's feature "HTTPS" there.
const IPXE_HTTPS: u8 = 0x14;

/// What a client is, as its packet shows it.
impl Packet<'_> {
    /// Tells what the client is. iPXE first: it calls itself `PXEClient` too.
    pub(crate) fn client(&self) -> Client {
        let arch = self.arch();
        let vendor_class = self.vendor_class();
        if self.is_ipxe() {
            return match self.option(code::IPXE) {
                Some(features) if !has_feature(features, IPXE_HTTP) => {
                    Client::IpxeWithoutHttp(arch)
                }
                _ => Client::Ipxe(arch),
            };
        }
        if vendor_class.starts_with(b"HTTPClient") {
            return Client::HttpBoot(arch);
        }
        if !vendor_class.starts_with(b"PXEClient") {
            // Vendors choose their own class (BlueField `NVIDIA/BF/PXE`, U-Boot), but only
            // firmware states an architecture.
            let Some(number) = self.arch_numbers().next() else { return Client::Plain };
            if is_http_arch(number) {
                return Client::HttpBoot(arch);
            }
        }
        // A Pi 4 and 5 say architecture 0; with UEFI installed they say 11. Their MAC blocks
        // change, the beginning of their UUID does not.
        let uuid = self.option(code::CLIENT_UUID).and_then(|uuid| uuid.get(1..));
        let is_pi = self.mac().is_some_and(is_raspberry_pi)
            || uuid.is_some_and(|uuid| uuid.starts_with(b"RPi"));
        if (is_pi && arch == Arch::Bios) || arch == RPIBOOT {
            return Client::RaspberryPi;
        }
        Client::Pxe(arch)
    }

    /// Whether it can be told an `https://` URL: firmware that boots by HTTP is taken at its
    /// operator's word, iPXE says so.
    pub(crate) fn may_fetch_by_https(&self) -> bool {
        match self.client() {
            Client::HttpBoot(_) => true,
            Client::Ipxe(_) => {
                self.option(code::IPXE).is_some_and(|features| has_feature(features, IPXE_HTTPS))
            }
            Client::Plain | Client::Pxe(_) | Client::IpxeWithoutHttp(_) | Client::RaspberryPi => {
                false
            }
        }
    }

    /// Option 60, such as `PXEClient:Arch:00007:UNDI:003016`.
    fn vendor_class(&self) -> &[u8] {
        self.option(code::VENDOR_CLASS).unwrap_or_default()
    }

    /// iPXE sends its user class raw; others that pass it on put its length
    /// before it (RFC 3004).
    fn is_ipxe(&self) -> bool {
        let class = match self.option(code::USER_CLASS).unwrap_or_default() {
            [length, rest @ ..] if usize::from(*length) <= rest.len() && *length < b' ' => rest,
            class => class,
        };
        class.starts_with(b"iPXE") || self.option(code::IPXE).is_some()
    }

    /// The first architecture of option 93 that is known, else the one in option
    /// 60, else what option 93 says.
    fn arch(&self) -> Arch {
        let mut numbers = self.arch_numbers();
        let known = |number: &u16| !matches!(Arch::from_number(*number), Arch::Other(_));
        let first = self.arch_numbers().next();
        numbers
            .find(known)
            .or_else(|| self.arch_of_vendor_class().filter(known))
            .or(first)
            .map_or(Arch::Bios, Arch::from_number)
    }

    /// The architecture types of option 93: 16 bits each, in network order (RFC 4578 section 2.1).
    fn arch_numbers(&self) -> impl Iterator<Item = u16> {
        let archs = self.option(code::CLIENT_ARCH).unwrap_or_default();
        archs.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// `Arch:00007` in the vendor class.
    fn arch_of_vendor_class(&self) -> Option<u16> {
        let text = std::str::from_utf8(self.vendor_class()).ok()?;
        let number = text.split_once("Arch:")?.1;
        number.get(..5)?.parse().ok()
    }
}

/// Whether an architecture type says that its firmware boots by HTTP (IANA "Processor
/// Architecture Types").
fn is_http_arch(number: u16) -> bool {
    matches!(number, 15..=20 | 23 | 24 | 26 | 28 | 30 | 34 | 36 | 38 | 40)
}

/// Whether option 175 says that a feature is there.
fn has_feature(features: &[u8], code: u8) -> bool {
    sub_option(features, code).is_some_and(|data| data.first().is_some_and(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::test_packets::message;
    use crate::model::Mac;

    /// The client that sends some options; one without data is left out.
    fn client_of(options: &[(u8, &[u8])], mac: Option<Mac>) -> Client {
        let filled = options.iter().filter(|(_, data)| !data.is_empty());
        let encoded: Vec<Vec<u8>> =
            filled.map(|(code, data)| [&[*code, data.len() as u8][..], *data].concat()).collect();
        let encoded: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
        let mut bytes = message(1, &encoded);
        if let Some(Mac(mac)) = mac {
            bytes[28..34].copy_from_slice(&mac);
        }
        Packet::parse(&bytes).unwrap().client()
    }

    #[test]
    fn https_is_for_who_can() {
        let by = |class: &[u8], ipxe: &[u8]| {
            let mut options = vec![(60u8, class)];
            options.extend((!ipxe.is_empty()).then_some((175, ipxe)));
            let encoded: Vec<Vec<u8>> = options
                .iter()
                .map(|(code, data)| [&[*code, data.len() as u8][..], data].concat())
                .collect();
            let encoded: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
            Packet::parse(&message(1, &encoded)).unwrap().may_fetch_by_https()
        };
        let (http, https) = (&[0x13, 1, 1][..], &[0x13, 1, 1, 0x14, 1, 1][..]);
        let told = [
            (b"HTTPClient", http),
            (b"PXEClient:", http),
            (b"PXEClient:", https),
            (b"PXEClient:", b""),
        ];
        let told = told.map(|(class, ipxe)| by(class, ipxe));
        assert_eq!(told, [false, false, true, false]);
        assert!(by(b"HTTPClient", b""));
        assert!(!by(b"PXEClient", b"") && !by(b"systemd", b""));
    }

    #[test]
    fn every_kind_of_client_is_told_apart() {
        let with_http: Option<&[u8]> = Some(&[0x13, 1, 1, 0x24, 1, 1]);
        let without_http: Option<&[u8]> = Some(&[0x15, 1, 1]);
        let pi = Some(Mac([0xdc, 0xa6, 0x32, 1, 2, 3]));
        #[rustfmt::skip]
        let cases: &[(&str, &[u8], &[u8], &[u8], Option<&[u8]>, Option<Mac>, Client)] = &[
            ("BIOS PXE", b"PXEClient:Arch:00000:UNDI:002001", b"", &[0, 0], None, None, Client::Pxe(Arch::Bios)),
            ("UEFI x64", b"PXEClient:Arch:00007:UNDI:003016", b"", &[0, 7], None, None, Client::Pxe(Arch::X64Efi)),
            ("UEFI that says byte code", b"PXEClient", b"", &[0, 9], None, None, Client::Pxe(Arch::X64Efi)),
            ("UEFI arm64", b"PXEClient", b"", &[0, 11], None, None, Client::Pxe(Arch::Arm64Efi)),
            ("32-bit UEFI", b"PXEClient", b"", &[0, 6], None, None, Client::Pxe(Arch::X86Efi)),
            ("HTTP Boot", b"HTTPClient:Arch:00016:UNDI:003001", b"", &[0, 16], None, None, Client::HttpBoot(Arch::X64Efi)),
            ("HTTP Boot 32-bit", b"HTTPClient", b"", &[0, 15], None, None, Client::HttpBoot(Arch::X86Efi)),
            ("HTTP Boot arm64", b"HTTPClient", b"", &[0, 19], None, None, Client::HttpBoot(Arch::Arm64Efi)),
            ("architecture in option 60 alone", b"PXEClient:Arch:00007:UNDI:003016", b"", b"", None, None, Client::Pxe(Arch::X64Efi)),
            ("a list with the known one second", b"PXEClient", b"", &[0, 99, 0, 7], None, None, Client::Pxe(Arch::X64Efi)),
            ("an odd number of bytes", b"PXEClient", b"", &[0, 7, 0], None, None, Client::Pxe(Arch::X64Efi)),
            ("an unknown architecture", b"PXEClient", b"", &[0, 13], None, None, Client::Pxe(Arch::Other(13))),
            ("no architecture at all", b"PXEClient", b"", b"", None, None, Client::Pxe(Arch::Bios)),
            ("iPXE by user class", b"PXEClient:Arch:00000:UNDI:002001", b"iPXE", &[0, 0], with_http, None, Client::Ipxe(Arch::Bios)),
            ("iPXE with a length before its class", b"PXEClient", b"\x04iPXE", &[0, 7], with_http, None, Client::Ipxe(Arch::X64Efi)),
            ("iPXE by option 175 alone", b"PXEClient", b"", &[0, 7], with_http, None, Client::Ipxe(Arch::X64Efi)),
            ("iPXE whose features are not told", b"PXEClient", b"iPXE", &[0, 7], None, None, Client::Ipxe(Arch::X64Efi)),
            ("an old ROM's iPXE", b"PXEClient", b"iPXE", &[0, 0], without_http, None, Client::IpxeWithoutHttp(Arch::Bios)),
            ("a Raspberry Pi", b"PXEClient:Arch:00000:UNDI:002001", b"", &[0, 0], None, pi, Client::RaspberryPi),
            ("a Raspberry Pi of another maker", b"PXEClient", b"", &[0, 41], None, None, Client::RaspberryPi),
            ("a Raspberry Pi with UEFI", b"PXEClient", b"", &[0, 11], None, pi, Client::Pxe(Arch::Arm64Efi)),
            ("a Raspberry Pi's Linux", b"dhcpcd-9", b"", b"", None, pi, Client::Plain),
            ("an operating system", b"systemd", b"", b"", None, None, Client::Plain),
            ("an Apple", b"AAPLBSDPC", b"", b"", None, None, Client::Plain),
            ("nothing said", b"", b"", b"", None, None, Client::Plain),
            ("rubbish", &[0xff; 40], &[200, 1], &[1], None, None, Client::Plain),
        ];
        for (name, vendor_class, user_class, client_archs, ipxe, mac, expected) in cases {
            let ipxe = ipxe.unwrap_or_default();
            let options: [(u8, &[u8]); 4] =
                [(60, vendor_class), (77, user_class), (93, client_archs), (175, ipxe)];
            assert_eq!(client_of(&options, *mac), *expected, "{name}");
        }
    }

    /// Only firmware states an architecture, whatever it calls itself.
    #[test]
    fn an_architecture_boots_whatever_the_vendor_class() {
        #[rustfmt::skip]
        let cases: &[(&str, &[u8], &[u8], Client)] = &[
            ("BlueField", b"NVIDIA/BF/PXE", &[0, 11], Client::Pxe(Arch::Arm64Efi)),
            ("an older BlueField", b"BF2Client", &[0, 11], Client::Pxe(Arch::Arm64Efi)),
            ("U-Boot", b"U-Boot.armv8", &[0, 22], Client::Pxe(Arch::Arm64Efi)),
            ("no class", b"", &[0, 7], Client::Pxe(Arch::X64Efi)),
            ("BIOS with a class of its own", b"Vendor", &[0, 0], Client::Pxe(Arch::Bios)),
            ("HTTP Boot with a class of its own", b"NVIDIA/BF/HTTP", &[0, 19], Client::HttpBoot(Arch::Arm64Efi)),
            ("HTTP Boot of a BIOS", b"", &[0, 20], Client::HttpBoot(Arch::Bios)),
            ("a class without an architecture", b"NVIDIA/BF/PXE", b"", Client::Plain),
            ("half an architecture", b"NVIDIA/BF/PXE", &[0], Client::Plain),
        ];
        for (name, vendor_class, client_archs, expected) in cases {
            let client = client_of(&[(60, vendor_class), (93, client_archs)], None);
            assert_eq!(client, *expected, "{name}");
        }
    }

    #[test]
    fn a_raspberry_pi_is_known_by_its_uuid_whatever_its_mac_block() {
        let pxe: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";
        #[rustfmt::skip]
        let cases: &[(&str, &[u8], &[u8], Client)] = &[
            ("a Pi 5", b"\0RPi5\x17\x10\xd0\0\0\0\0\0\0\0\0\0", &[0, 0], Client::RaspberryPi),
            ("a Pi 4", b"\0RPi4\x12\x34\x56\x78\0\0\0\0\0\0\0\0", &[0, 0], Client::RaspberryPi),
            ("a Pi with UEFI", b"\0RPi4\0\0\0\0\0\0\0\0\0\0\0\0", &[0, 11], Client::Pxe(Arch::Arm64Efi)),
            ("a PC", &[0; 17], &[0, 0], Client::Pxe(Arch::Bios)),
            ("no UUID", b"", &[0, 0], Client::Pxe(Arch::Bios)),
        ];
        for (name, client_uuid, client_archs, expected) in cases {
            let options: [(u8, &[u8]); 3] = [(60, pxe), (93, client_archs), (97, client_uuid)];
            let client = client_of(&options, Some(Mac([0x52, 0x54, 0, 1, 0, 1])));
            assert_eq!(client, *expected, "{name}");
        }
    }
}
