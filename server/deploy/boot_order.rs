//! The firmware's boot order, as efibootmgr shows it. Pure.

use crate::model::BootOrder;

/// What efibootmgr says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BootEntries {
    /// The entry that this boot came from.
    pub current: Option<String>,
    /// Numbers such as `0003`, in order.
    pub order: Vec<String>,
    /// The entries' numbers and names.
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub number: String,
    pub label: String,
}

/// Reads the output of efibootmgr.
pub(crate) fn read(text: &str) -> BootEntries {
    let mut read = BootEntries::default();
    for line in text.lines() {
        if let Some(current) = line.strip_prefix("BootCurrent: ") {
            read.current = Some(current.trim().to_owned());
        } else if let Some(order) = line.strip_prefix("BootOrder: ") {
            read.order = order.trim().split(',').map(str::to_owned).collect();
        } else if let Some(rest) = line.strip_prefix("Boot") {
            let Some((number, name)) = rest.split_at_checked(4) else { continue };
            if number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let label = name.trim_start_matches('*').split('\t').next().unwrap_or_default();
                let (number, label) = (number.to_owned(), label.trim().to_owned());
                read.entries.push(Entry { number, label });
            }
        }
    }
    read
}

impl BootEntries {
    /// The numbers of the entries with this label.
    pub(crate) fn labelled(&self, label: &str) -> Vec<String> {
        let own = self.entries.iter().filter(|entry| entry.label == label);
        own.map(|entry| entry.number.clone()).collect()
    }

    /// The order with `new` at its beginning, or right behind the entry that this boot came from:
    /// the network stays first, and this disk comes before others.
    pub(crate) fn order_with(&self, new: &str, policy: BootOrder) -> Vec<String> {
        let mut order: Vec<String> =
            self.order.iter().filter(|number| *number != new).cloned().collect();
        let current = order.iter().position(|number| Some(number) == self.current.as_ref());
        let at = match policy {
            BootOrder::NetworkFirst => current.map_or(order.len(), |at| at + 1),
            BootOrder::DiskFirst => 0,
        };
        order.insert(at, new.to_owned());
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: 0000,0003,0004,0001\n\
        Boot0000* UiApp\tFvVol(7cb8)/FvFile(462c)\n\
        Boot0001* rackstrap n1\tHD(1,GPT)/File(\\EFI\\BOOT\\BOOTX64.EFI)\n\
        Boot0003* UEFI PXEv4 (MAC:525400AA0100)\tPciRoot(0x0)\nBoot0004  old\n";

    #[test]
    fn the_disk_comes_right_behind_the_network_or_first() {
        use BootOrder::{DiskFirst, NetworkFirst};
        let entries = read(OUTPUT);
        assert_eq!(entries.current.as_deref(), Some("0003"));
        assert_eq!(entries.labelled("rackstrap n1"), ["0001"]);
        let cases: [(&str, BootOrder, &[&str]); 4] = [
            ("0007", NetworkFirst, &["0000", "0003", "0007", "0004", "0001"]),
            ("0001", NetworkFirst, &["0000", "0003", "0001", "0004"]),
            ("0007", DiskFirst, &["0007", "0000", "0003", "0004", "0001"]),
            ("0001", DiskFirst, &["0001", "0000", "0003", "0004"]),
        ];
        for (new, policy, expected) in cases {
            assert_eq!(entries.order_with(new, policy), expected, "{new} {policy}");
            assert_eq!(read("").order_with(new, policy), [new]);
        }
        assert_eq!(read("").labelled("x"), Vec::<String>::new());
    }
}
