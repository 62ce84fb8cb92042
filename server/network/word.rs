//! Names that reach a shell, a file of the kernel or a match of networkd as they are. Pure.

/// Whether a name is one word that no program takes for an option or a path: a driver, a device of
/// RDMA.
pub(super) fn is_word(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(is_inner)
}

/// Whether a text is one place of udev's (`ID_PATH`), such as `pci-0000:41:00.0`. networkd would
/// take several words, a pattern or a `!` for other places than that.
pub(super) fn is_id_path(path: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-:._+@,/".contains(&byte);
    path.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && path.bytes().all(is_inner)
}

/// The address on the PCI bus of a NIC at a place (udev's `ID_PATH`), such as `0000:41:00.0`. The
/// domain has more digits below a controller of Intel's VMD, such as `10000:e1:00.0`.
pub(super) fn pci_address(path: &str) -> Option<&str> {
    let address = path.strip_prefix("pci-")?;
    let (domain, rest) = address.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hexadecimal = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    // A device is one of 32, a function one of 8.
    let is_address = hexadecimal(domain, 4..=8)
        && hexadecimal(bus, 2..=2)
        && hexadecimal(device, 2..=2)
        && device < "20"
        && hexadecimal(function, 1..=1)
        && function < "8";
    is_address.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_an_address_of_the_pci_bus_or_none() {
        for (path, address) in [
            ("pci-0000:41:00.0", Some("0000:41:00.0")),
            ("pci-10000:e1:1f.7", Some("10000:e1:1f.7")),
            ("pci-0000:41:20.0", None),
            ("pci-0000:41:00.8", None),
            ("pci-0000:41:00", None),
            ("pci-0000:41:00.0-usb-0:3:1.0", None),
            ("pci-::::::::::::", None),
            ("pci-0000:41:00:0", None),
            ("pci-0000.41.00.0", None),
            ("pci-0000:4G:00.0", None),
            ("platform-fd580000.ethernet", None),
        ] {
            assert_eq!(pci_address(path), address, "{path}");
        }
    }

    #[test]
    fn a_word_is_no_option_and_no_path() {
        for word in ["vfio-pci", "mlx5_core", "8139too"] {
            assert!(is_word(word), "{word}");
        }
        for text in ["", "-f", "../x", "a b", "vfio*"] {
            assert!(!is_word(text), "{text}");
        }
    }

    #[test]
    fn a_path_of_udev_is_one_place() {
        for path in
            ["pci-0000:41:00.0", "platform-fd580000.ethernet", "pci-0000:00:14.0-usb-0:3:1.0"]
        {
            assert!(is_id_path(path), "{path}");
        }
        for path in ["", "!pci-0000:41:00.0", "pci-0000:41:00.*", "pci-a pci-b", "-x"] {
            assert!(!is_id_path(path), "{path}");
        }
    }
}
