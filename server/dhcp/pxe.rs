//! How a boot decision is encoded in DHCP: next server, boot file and the options
//! that each firmware requires (PXE 2.1, UEFI 2.10 section 24.7, iPXE). Pure.

use std::net::Ipv4Addr;

use super::wire::{EncodedOption, Reply};
use crate::boot::arch::Client;
use crate::boot::next::Next;
use crate::options::code::{
    BOOT_FILE_NAME, CLIENT_UUID, IPXE, TFTP_SERVER_NAME, VENDOR_CLASS, VENDOR_SPECIFIC,
};
use crate::options::{sub_option, sub_options};

/// The sub-option of option 43 with the menu item that a client chose (PXE 2.1).
const BOOT_ITEM: u8 = 71;

/// PXE discovery control 8: use the boot file named here and no other boot server.
/// With option 60 and without this, UEFI asks port 4011 and gives up.
const USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];
/// A PXE boot menu with one item, the local disk (type 0), and a prompt of 0 s: firmware takes
/// it at once and goes on to its next boot option. Measured on EDK2 and on iPXE, byte by byte;
/// without the prompt (tag 10) iPXE waits for a key indefinitely.
const LOCAL_MENU: [u8; 22] = *b"\x06\x01\x03\x09\x09\x00\x00\x06Local \x0a\x05\x00boot\xff";
/// Discovery control, boot servers, menu and prompt: the local menu needs all of them.
const MENU_TAGS: [u8; 4] = [6, 8, 9, 10];
/// iPXE's `no-pxedhcp` (176): otherwise it waits 2 s for a proxy on every boot.
const NO_PROXY: [u8; 3] = [176, 1, 1];
/// What a Raspberry Pi's ROM looks for: "Raspberry Pi Boot" and a menu prompt.
const RASPBERRY_PI_MENU: &[u8] =
    b"\x06\x01\x03\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot\xff";

/// What sends UEFI to port 4011: PXEClient without boot data.
pub(crate) fn redirect_data(server: Ipv4Addr) -> Reply<'static> {
    let options = vec![EncodedOption::raw(VENDOR_CLASS, b"PXEClient")];
    Reply { next_server: server, options, ..Reply::default() }
}

/// The boot item that a client chose from a menu (PXE 2.1, option 43 tag 71), as it came.
pub(crate) fn boot_item(vendor_options: &[u8]) -> Option<&[u8]> {
    sub_option(vendor_options, BOOT_ITEM)
}

impl Reply<'_> {
    /// Repeats the client's boot item, without which it does not take the answer for its own.
    pub(crate) fn echo_boot_item(&mut self, item: Option<&[u8]>) {
        let Some(item) = item.filter(|item| item.len() == 4) else { return };
        let is_for_file = |option: &&mut EncodedOption| {
            option.code == VENDOR_SPECIFIC && option.data() != LOCAL_MENU
        };
        for option in self.options.iter_mut().filter(is_for_file) {
            let mut data = vec![BOOT_ITEM, 4];
            data.extend_from_slice(item);
            data.extend(USE_BOOT_FILE);
            *option = EncodedOption::raw(VENDOR_SPECIFIC, &data);
        }
    }
}

/// The options that may hold sub-options of ours and of the operator's.
const SHARED: [u8; 2] = [VENDOR_SPECIFIC, IPXE];

/// Puts the operator's sub-options beside ours in options 43 and 175. One that both have is
/// the operator's, except in the menu of the local disk, which works only as a whole.
pub(crate) fn merge_added<'a>(boot: &mut Reply<'_>, added: impl Fn(u8) -> Option<&'a [u8]>) {
    for option in &mut boot.options {
        let Some(theirs) = SHARED.contains(&option.code).then(|| added(option.code)).flatten()
        else {
            continue;
        };
        let mut theirs = sub_options(theirs);
        if option.data() == LOCAL_MENU {
            theirs.retain(|(code, _)| !MENU_TAGS.contains(code));
        }
        let ours = sub_options(option.data());
        let kept = ours.iter().filter(|(code, _)| theirs.iter().all(|(other, _)| other != code));
        let mut data = Vec::new();
        for (code, value) in kept.chain(&theirs) {
            data.extend([*code, value.len() as u8]);
            data.extend_from_slice(value);
        }
        if option.code == VENDOR_SPECIFIC {
            data.push(255);
        }
        // Firmware takes the first instance of an option only, so that it cannot be split.
        if data.len() <= 255 {
            *option = EncodedOption::raw(option.code, &data);
        }
    }
}

/// The part of a reply that encodes `next` for the client's firmware: next server, boot
/// file, and options whether the client asks for them or not. `server` is where TFTP is.
pub(crate) fn boot_data(
    client: Client,
    next: &Next,
    server: Ipv4Addr,
    client_uuid: Option<&[u8]>,
) -> Reply<'static> {
    let mut options = Vec::new();
    let boot_file = match next {
        Next::Nothing(_) => return without_proxy(client),
        Next::NbpByTftp(name) => name.clone(),
        Next::NbpByUrl(url) | Next::Script(url) | Next::LocalUrl(url) => url.clone(),
        Next::RaspberryPi | Next::LocalMenu => String::new(),
    };
    let vendor_options: &[u8] = match next {
        Next::LocalMenu => &LOCAL_MENU,
        _ => &USE_BOOT_FILE,
    };
    match client {
        Client::HttpBoot(_) => options.push(EncodedOption::raw(VENDOR_CLASS, b"HTTPClient")),
        Client::Ipxe(_) | Client::IpxeWithoutHttp(_) => {
            options.push(EncodedOption::raw(VENDOR_CLASS, b"PXEClient"));
            if *next == Next::LocalMenu {
                options.push(EncodedOption::raw(VENDOR_SPECIFIC, vendor_options));
            }
            options.push(EncodedOption::raw(IPXE, &NO_PROXY));
        }
        Client::RaspberryPi => {
            options.push(EncodedOption::raw(VENDOR_CLASS, b"PXEClient"));
            options.push(EncodedOption::raw(VENDOR_SPECIFIC, RASPBERRY_PI_MENU));
            // Without a NUL: the Pi 3 takes it for a part of the address.
            let address = server.to_string();
            options.push(EncodedOption::raw(TFTP_SERVER_NAME, address.as_bytes()));
        }
        Client::Plain => {}
        Client::Pxe(_) => {
            options.push(EncodedOption::raw(VENDOR_CLASS, b"PXEClient"));
            options.push(EncodedOption::raw(VENDOR_SPECIFIC, vendor_options));
        }
    }
    if !boot_file.is_empty() {
        options.push(EncodedOption::raw(BOOT_FILE_NAME, &with_nul(&boot_file)));
    }
    if let Some(uuid) = client_uuid {
        options.push(EncodedOption::raw(CLIENT_UUID, uuid));
    }
    Reply { next_server: server, boot_file, options, ..Reply::default() }
}

/// Nothing to boot: iPXE is told not to wait for a proxy that might know more.
fn without_proxy(client: Client) -> Reply<'static> {
    let is_ipxe = matches!(client, Client::Ipxe(_) | Client::IpxeWithoutHttp(_));
    let options = is_ipxe.then(|| EncodedOption::raw(IPXE, &NO_PROXY)).into_iter().collect();
    Reply { options, ..Reply::default() }
}

/// Old ROMs read past the end of option 67, and EDK2 writes a NUL there.
fn with_nul(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::arch::Arch;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn codes(data: &Reply<'_>) -> Vec<u8> {
        data.options.iter().map(|option| option.code).collect()
    }

    #[test]
    fn each_firmware_gets_the_options_it_insists_on() {
        let tftp = Next::NbpByTftp("snponly.efi".into());
        let url = Next::NbpByUrl("http://10.0.0.1/files/snponly.efi".into());
        let script = Next::Script("http://10.0.0.1/boot/x.ipxe".into());
        let uuid: Option<&[u8]> = Some(&[0; 17]);
        let x64 = Arch::X64Efi;
        #[rustfmt::skip]
        let cases: [(&str, Client, &Next, Option<&[u8]>, &[u8]); 5] = [
            ("UEFI PXE: 60 goes with 43", Client::Pxe(x64), &tftp, None, &[60, 43, 67]),
            ("a UUID comes back", Client::Pxe(x64), &tftp, uuid, &[60, 43, 67, 97]),
            ("HTTP Boot: 60, and no 43", Client::HttpBoot(x64), &url, None, &[60, 67]),
            ("iPXE is told not to wait for a proxy", Client::Ipxe(x64), &script, None, &[60, 175, 67]),
            ("a Raspberry Pi names its own files", Client::RaspberryPi, &Next::RaspberryPi, None, &[60, 43, 66]),
        ];
        for (name, client, next, uuid, expected) in cases {
            assert_eq!(codes(&boot_data(client, next, SERVER, uuid)), expected, "{name}");
        }
    }

    #[test]
    fn the_menu_of_the_local_disk_is_the_one_that_was_measured() {
        let uuid: Option<&[u8]> = Some(&[0; 17]);
        let menu = [
            0x06, 0x01, 0x03, 0x09, 0x09, 0x00, 0x00, 0x06, 0x4c, 0x6f, 0x63, 0x61, 0x6c, 0x20,
            0x0a, 0x05, 0x00, 0x62, 0x6f, 0x6f, 0x74, 0xff,
        ];
        let cases = [
            (Client::Pxe(Arch::X64Efi), vec![60, 43, 97]),
            (Client::Pxe(Arch::Bios), vec![60, 43, 97]),
            (Client::Ipxe(Arch::Bios), vec![60, 43, 175, 97]),
        ];
        for (client, expected) in cases {
            let mut data = boot_data(client, &Next::LocalMenu, SERVER, uuid);
            data.echo_boot_item(boot_item(&[71, 4, 0, 0, 0, 0, 255]));
            assert_eq!(codes(&data), expected, "{client}");
            assert_eq!((data.next_server, data.boot_file.as_str()), (SERVER, ""));
            let option = |code| data.options.iter().find(|option| option.code == code).unwrap();
            assert_eq!(option(60).data(), b"PXEClient");
            assert_eq!(option(43).data(), menu);
        }
    }

    #[test]
    fn an_operators_sub_option_cannot_take_the_local_menu_apart() {
        let mut data = boot_data(Client::Pxe(Arch::X64Efi), &Next::LocalMenu, SERVER, None);
        merge_added(&mut data, |_| Some(&[9, 1, 7, 10, 1, 255, 1, 1, 5]));
        let expected = [&LOCAL_MENU[..21], &[1, 1, 5, 255]].concat();
        assert!(data.options.contains(&EncodedOption::raw(43, &expected)), "{data:?}");
    }

    #[test]
    fn http_boot_of_the_local_disk_is_given_a_url_and_its_class() {
        let next = Next::LocalUrl("http://10.0.0.1/local.efi".into());
        let data = boot_data(Client::HttpBoot(Arch::X64Efi), &next, SERVER, None);
        let expected = [
            EncodedOption::raw(60, b"HTTPClient"),
            EncodedOption::raw(67, b"http://10.0.0.1/local.efi\0"),
        ];
        assert_eq!(data.options, expected);
    }

    #[test]
    fn a_local_boot_without_a_file_sends_no_boot_data_at_all() {
        let next = Next::Nothing(crate::boot::next::WhyNothing::LocalDisk);
        let data = boot_data(Client::Pxe(Arch::Bios), &next, SERVER, Some(&[0; 17]));
        assert_eq!(data, Reply::default());
    }

    #[test]
    fn a_boot_item_is_repeated_before_the_discovery_control() {
        let next = Next::NbpByTftp("a".into());
        let mut data = boot_data(Client::Pxe(Arch::X64Efi), &next, SERVER, None);
        data.echo_boot_item(boot_item(&[71, 4, 0, 0, 0, 0, 255]));
        let expected = EncodedOption::raw(43, &[71, 4, 0, 0, 0, 0, 6, 1, 8, 255]);
        assert!(data.options.contains(&expected));
    }

    #[test]
    fn an_operators_sub_options_stand_beside_ours() {
        let script = Next::Script("http://10.0.0.1/boot/x.ipxe".into());
        let x64 = Arch::X64Efi;
        let tftp = Next::NbpByTftp("a".into());
        let long = [&[1, 250][..], &[7; 250]].concat();
        #[rustfmt::skip]
        let cases: [(&str, Client, &Next, u8, &[u8], &[u8]); 6] = [
            ("beside ours", Client::Pxe(x64), &tftp, 43, &[1, 1, 9, 255], &[6, 1, 8, 1, 1, 9, 255]),
            ("in place of ours", Client::Pxe(x64), &tftp, 43, &[6, 1, 3], &[6, 1, 3, 255]),
            ("rubbish", Client::Pxe(x64), &tftp, 43, &[9, 9], &[6, 1, 8, 255]),
            ("no room for both", Client::Pxe(x64), &tftp, 43, &long, &[6, 1, 8, 255]),
            ("iPXE's", Client::Ipxe(x64), &script, 175, &[8, 1, 2], &[176, 1, 1, 8, 1, 2]),
            ("another option", Client::Pxe(x64), &tftp, 60, b"x", b"PXEClient"),
        ];
        for (name, client, next, code, added, expected) in cases {
            let mut data = boot_data(client, next, SERVER, None);
            merge_added(&mut data, |asked| (asked == code).then_some(added));
            assert!(data.options.contains(&EncodedOption::raw(code, expected)), "{name}: {data:?}");
        }
    }

    #[test]
    fn the_boot_file_option_ends_with_a_nul() {
        let data = boot_data(Client::Pxe(Arch::Bios), &Next::NbpByTftp("a".into()), SERVER, None);
        assert!(data.options.contains(&EncodedOption::raw(67, b"a\0")));
        assert_eq!(data.boot_file, "a");
    }
}
