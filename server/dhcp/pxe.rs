//! How a boot decision is encoded in DHCP: next server, boot file and the options
//! that each firmware requires (PXE 2.1, UEFI 2.10 section 24.7, iPXE). Pure.

use std::net::Ipv4Addr;

use super::reply::Reply;
use super::wire::{write_option, written_data, written_options};
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

/// Capacity that is reserved for boot options; few clients need more.
const USUAL_BYTES: usize = 128;

/// What sends UEFI to port 4011: PXEClient without boot data.
pub(crate) fn redirect_data(server: Ipv4Addr) -> Reply<'static> {
    let mut boot_options = Vec::new();
    write_option(&mut boot_options, VENDOR_CLASS, b"PXEClient");
    Reply { next_server: server, boot_options, ..Reply::default() }
}

/// The boot item that a client chose from a menu (PXE 2.1, option 43 tag 71), as it came.
pub(crate) fn boot_item(vendor_options: &[u8]) -> Option<&[u8]> {
    sub_option(vendor_options, BOOT_ITEM)
}

impl Reply<'_> {
    /// Repeats the client's boot item, without which it does not take the answer for its own.
    pub(crate) fn echo_boot_item(&mut self, item: Option<&[u8]>) {
        let Some(item) = item.filter(|item| item.len() == 4) else { return };
        let ours = written_data(&self.boot_options, VENDOR_SPECIFIC);
        if ours.is_some_and(|data| data != LOCAL_MENU) {
            let data = [&[BOOT_ITEM, 4], item, &USE_BOOT_FILE].concat();
            replace_option(&mut self.boot_options, VENDOR_SPECIFIC, &data);
        }
    }
}

/// Writes other data of an option in its place.
fn replace_option(options: &mut Vec<u8>, code: u8, data: &[u8]) {
    let before = std::mem::take(options);
    for option in written_options(&before) {
        if option[0] == code {
            write_option(options, code, data);
        } else {
            options.extend_from_slice(option);
        }
    }
}

/// The options that may hold sub-options of ours and of the operator's.
const SHARED: [u8; 2] = [VENDOR_SPECIFIC, IPXE];

/// Puts the operator's sub-options beside ours in options 43 and 175. One that both have is
/// the operator's, except in the menu of the local disk, which works only as a whole.
pub(crate) fn merge_added<'a>(boot_options: &mut Vec<u8>, added: impl Fn(u8) -> Option<&'a [u8]>) {
    for code in SHARED {
        let (Some(ours), Some(theirs)) = (written_data(boot_options, code), added(code)) else {
            continue;
        };
        let mut theirs = sub_options(theirs);
        if ours == LOCAL_MENU {
            theirs.retain(|(code, _)| !MENU_TAGS.contains(code));
        }
        let ours = sub_options(ours);
        let kept = ours.iter().filter(|(code, _)| theirs.iter().all(|(other, _)| other != code));
        let mut data = Vec::new();
        for (code, value) in kept.chain(&theirs) {
            data.extend([*code, value.len() as u8]);
            data.extend_from_slice(value);
        }
        if code == VENDOR_SPECIFIC {
            data.push(255);
        }
        // Firmware takes the first instance of an option only, so that it cannot be split.
        if data.len() <= 255 {
            replace_option(boot_options, code, &data);
        }
    }
}

/// The part of a reply that encodes `next` for the client's firmware: next server, boot
/// file, and options whether the client asks for them or not. `server` is where TFTP is.
pub(crate) fn boot_data(
    client: Client,
    next: &Next,
    boot_file: String,
    server: Ipv4Addr,
    client_uuid: Option<&[u8]>,
) -> Reply<'static> {
    if matches!(next, Next::Nothing(_)) {
        return without_proxy(client);
    }
    let mut options = Vec::with_capacity(USUAL_BYTES);
    let mut write = |code: u8, data: &[u8]| write_option(&mut options, code, data);
    let vendor_options: &[u8] = match next {
        Next::LocalMenu => &LOCAL_MENU,
        _ => &USE_BOOT_FILE,
    };
    match client {
        Client::HttpBoot(_) => write(VENDOR_CLASS, b"HTTPClient"),
        Client::Ipxe(_) | Client::IpxeWithoutHttp(_) => {
            write(VENDOR_CLASS, b"PXEClient");
            if *next == Next::LocalMenu {
                write(VENDOR_SPECIFIC, vendor_options);
            }
            write(IPXE, &NO_PROXY);
        }
        Client::RaspberryPi => {
            write(VENDOR_CLASS, b"PXEClient");
            write(VENDOR_SPECIFIC, RASPBERRY_PI_MENU);
            // Without a NUL: the Pi 3 takes it for a part of the address.
            let address = server.to_string();
            write(TFTP_SERVER_NAME, address.as_bytes());
        }
        Client::Plain => {}
        Client::Pxe(_) => {
            write(VENDOR_CLASS, b"PXEClient");
            write(VENDOR_SPECIFIC, vendor_options);
        }
    }
    if !boot_file.is_empty() {
        write(BOOT_FILE_NAME, &with_nul(&boot_file));
    }
    if let Some(uuid) = client_uuid {
        write(CLIENT_UUID, uuid);
    }
    Reply { next_server: server, boot_file, boot_options: options, ..Reply::default() }
}

/// Nothing to boot: iPXE is told not to wait for a proxy that might know more.
fn without_proxy(client: Client) -> Reply<'static> {
    let is_ipxe = matches!(client, Client::Ipxe(_) | Client::IpxeWithoutHttp(_));
    let mut boot_options = Vec::new();
    if is_ipxe {
        write_option(&mut boot_options, IPXE, &NO_PROXY);
    }
    Reply { boot_options, ..Reply::default() }
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
    use crate::model::Mac;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    fn boot_data(
        client: Client,
        next: &Next,
        server: Ipv4Addr,
        client_uuid: Option<&[u8]>,
    ) -> Reply<'static> {
        let file = next.boot_file(client, "http://10.0.0.1", &MAC.into(), server);
        super::boot_data(client, next, file, server, client_uuid)
    }

    fn codes(data: &Reply<'_>) -> Vec<u8> {
        written_options(&data.boot_options).map(|option| option[0]).collect()
    }

    /// The data of an option of the boot data.
    fn option<'a>(data: &'a Reply<'_>, code: u8) -> Option<&'a [u8]> {
        written_data(&data.boot_options, code)
    }

    #[test]
    fn each_firmware_gets_the_options_it_insists_on() {
        let tftp = Next::Nbp("snponly.efi".into());
        let url = Next::Nbp("snponly.efi".into());
        let script = Next::Script;
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
            assert_eq!(option(&data, 60).unwrap(), b"PXEClient");
            assert_eq!(option(&data, 43).unwrap(), menu);
        }
    }

    #[test]
    fn an_operators_sub_option_cannot_take_the_local_menu_apart() {
        let mut data = boot_data(Client::Pxe(Arch::X64Efi), &Next::LocalMenu, SERVER, None);
        merge_added(&mut data.boot_options, |_| Some(&[9, 1, 7, 10, 1, 255, 1, 1, 5]));
        let expected = [&LOCAL_MENU[..21], &[1, 1, 5, 255]].concat();
        assert_eq!(option(&data, 43), Some(&expected[..]), "{data:?}");
    }

    #[test]
    fn http_boot_of_the_local_disk_is_given_a_url_and_its_class() {
        let next = Next::LocalUrl;
        let data = boot_data(Client::HttpBoot(Arch::X64Efi), &next, SERVER, None);
        let mut expected = Vec::new();
        write_option(&mut expected, 60, b"HTTPClient");
        write_option(&mut expected, 67, b"http://10.0.0.1/local.efi\0");
        assert_eq!(data.boot_options, expected);
    }

    #[test]
    fn a_local_boot_without_a_file_sends_no_boot_data_at_all() {
        let next = Next::Nothing(crate::boot::next::WhyNothing::LocalDisk);
        let data = boot_data(Client::Pxe(Arch::Bios), &next, SERVER, Some(&[0; 17]));
        assert_eq!(data, Reply::default());
    }

    #[test]
    fn a_boot_item_is_repeated_before_the_discovery_control() {
        let next = Next::Nbp("a".into());
        let mut data = boot_data(Client::Pxe(Arch::X64Efi), &next, SERVER, None);
        data.echo_boot_item(boot_item(&[71, 4, 0, 0, 0, 0, 255]));
        assert_eq!(option(&data, 43), Some(&[71, 4, 0, 0, 0, 0, 6, 1, 8, 255][..]));
    }

    #[test]
    fn an_operators_sub_options_stand_beside_ours() {
        let script = Next::Script;
        let x64 = Arch::X64Efi;
        let tftp = Next::Nbp("a".into());
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
            merge_added(&mut data.boot_options, |asked| (asked == code).then_some(added));
            assert_eq!(option(&data, code), Some(expected), "{name}: {data:?}");
        }
    }

    #[test]
    fn the_boot_file_option_ends_with_a_nul() {
        let data = boot_data(Client::Pxe(Arch::Bios), &Next::Nbp("a".into()), SERVER, None);
        assert_eq!(option(&data, 67), Some(&b"a\0"[..]));
        assert_eq!(data.boot_file, "a");
    }
}
