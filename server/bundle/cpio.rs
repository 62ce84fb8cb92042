//! Archives in the "newc" cpio format, which the kernel unpacks into the initramfs
//! (cpio(5); Documentation/driver-api/early-userspace/buffer-format.rst). Pure.

use std::io;

/// What an entry is: the type bits of its mode (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    Regular,
    /// A symbolic link; its contents are the target.
    Symlink,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl EntryKind {
    fn mode(self) -> u32 {
        match self {
            Self::Directory => 0o040_000,
            Self::Regular => 0o100_000,
            Self::Symlink => 0o120_000,
            Self::CharacterDevice { .. } => 0o020_000,
        }
    }

    fn device(self) -> Device {
        match self {
            Self::CharacterDevice { major, minor } => Device { major, minor },
            _ => Device::default(),
        }
    }
}

/// The numbers of a device; zeros for what is none.
#[derive(Clone, Copy, Default)]
struct Device {
    major: u32,
    minor: u32,
}

/// The header of an entry, but for the sizes.
#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    device: Device,
}

/// An archive under construction. Its entries belong to root and have no time, so that equal
/// entries give equal bytes.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Appends an entry. `permissions` are those of chmod(2), such as `0o644`. The kernel
    /// creates no parent directories, so append them first.
    ///
    /// # Errors
    /// If the contents or the name exceed the format's 4 GiB.
    pub fn append(
        &mut self,
        path: &str,
        kind: EntryKind,
        permissions: u32,
        contents: &[u8],
    ) -> io::Result<()> {
        self.entries += 1;
        let mode = kind.mode() | permissions;
        self.write(path, &Header { inode: self.entries, mode, device: kind.device() }, contents)
    }

    /// The bytes of the archive, with the trailer that ends it.
    ///
    /// # Errors
    /// None in practice; see [`Self::append`].
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.write("TRAILER!!!", &Header::default(), &[])?;
        Ok(self.bytes)
    }

    fn write(&mut self, path: &str, header: &Header, contents: &[u8]) -> io::Result<()> {
        let Header { inode, mode, device: Device { major, minor } } = *header;
        let size = u32::try_from(contents.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        let (uid, gid, links, time, checksum) = (0, 0, 1, 0, 0);
        self.bytes.extend_from_slice(b"070701");
        for field in
            [inode, mode, uid, gid, links, time, size, 0, 0, major, minor, name_size, checksum]
        {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
        Ok(())
    }

    /// Name and contents each end at a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_of_110_bytes_a_name_and_contents() {
        let mut archive = Archive::default();
        archive.append("etc", EntryKind::Directory, 0o755, &[]).unwrap();
        let bytes = archive.finish().unwrap();
        let header = "070701\
                      00000001000041ED000000000000000000000001000000000000000000000000\
                      00000000000000000000000000000004000000000000";
        let header = &header[..110];
        assert_eq!(std::str::from_utf8(&bytes[..110]).unwrap(), header);
        assert_eq!(&bytes[110..116], b"etc\0\0\0");
        assert!(bytes.len().is_multiple_of(4));
    }

    /// The `cpio` crate is the peer that reads what this module writes.
    #[test]
    fn another_reader_finds_every_entry() {
        let mut archive = Archive::default();
        let console = EntryKind::CharacterDevice { major: 5, minor: 1 };
        archive.append("dev", EntryKind::Directory, 0o755, &[]).unwrap();
        archive.append("dev/console", console, 0o600, &[]).unwrap();
        archive.append("a", EntryKind::Regular, 0o644, b"12345").unwrap();
        archive.append("link", EntryKind::Symlink, 0o777, b"a").unwrap();
        let bytes = archive.finish().unwrap();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut contents = Vec::new();
            io::Read::read_to_end(&mut reader, &mut contents).unwrap();
            let entry = reader.entry();
            let device = (entry.rdev_major(), entry.rdev_minor());
            found.push((entry.name().to_owned(), entry.mode(), device, contents));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("dev", 0o40755, (0, 0), &b""[..]),
            ("dev/console", 0o20600, (5, 1), b""),
            ("a", 0o100644, (0, 0), b"12345"),
            ("link", 0o120777, (0, 0), b"a"),
        ];
        let expected = expected
            .map(|(name, mode, device, text)| (name.to_owned(), mode, device, text.to_vec()));
        assert_eq!(found, expected);
    }
}
