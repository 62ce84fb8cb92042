//! A host's configuration files as one text, as a tar, and as a cpio for the initrd. Pure.
//!
//! Equal files give equal bytes, so that an entity tag is valid on every server.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use serde::{Serialize, Serializer};

use super::cpio::{Archive, EntryKind};

/// A file of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFile {
    /// Absolute path on the host, such as `/etc/systemd/network/05-bond0.netdev`.
    pub path: String,
    /// Permissions, such as `0o644`; `"0644"` in JSON.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// Contents.
    pub text: String,
}

/// As text, because JSON has no octal numbers.
fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// All files in one text, each below a line `# PATH`.
pub fn text(files: &[HostFile]) -> String {
    let mut all = String::new();
    for file in files {
        all.push_str("# ");
        all.push_str(&file.path);
        all.push('\n');
        all.push_str(&file.text);
        if !file.text.ends_with('\n') {
            all.push('\n');
        }
        all.push('\n');
    }
    all.truncate(all.trim_end().len());
    all.push('\n');
    all
}

/// A tar archive to unpack at `/`, with all files owned by root.
pub fn tar(files: &[HostFile]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.text.len() as u64);
        header.set_mode(file.mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, relative(&file.path), file.text.as_bytes())?;
    }
    archive.into_inner()
}

/// A gzip'd cpio, which the kernel unpacks after the other initrds.
pub fn cpio_gz(files: &[HostFile]) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in directories(files) {
        archive.append(directory, EntryKind::Directory, 0o755, &[])?;
    }
    for file in files {
        archive.append(
            relative(&file.path),
            EntryKind::Regular,
            file.mode,
            file.text.as_bytes(),
        )?;
    }
    let archive = archive.finish()?;
    // No time in the gzip header: it would change the entity tag.
    let mut gzip = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    gzip.write_all(&archive)?;
    gzip.finish()
}

/// The directories that the files need, parents first.
fn directories(files: &[HostFile]) -> BTreeSet<&str> {
    let parents = |file| Path::new(relative(file)).ancestors().skip(1);
    files
        .iter()
        .flat_map(|file| parents(&file.path))
        .filter_map(Path::to_str)
        .filter(|directory| !directory.is_empty())
        .collect()
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc;

    use super::*;

    fn files() -> Vec<HostFile> {
        let file =
            |path: &str, text: &str| HostFile { path: path.into(), mode: 0o644, text: text.into() };
        vec![
            file("/etc/systemd/network/05-bond0.netdev", "[NetDev]\nName=bond0\n"),
            file("/etc/systemd/network/05-bond0.network", "[Match]\nName=bond0"),
        ]
    }

    #[test]
    fn the_text_names_every_file() {
        let expected = "# /etc/systemd/network/05-bond0.netdev\n[NetDev]\nName=bond0\n\n\
                        # /etc/systemd/network/05-bond0.network\n[Match]\nName=bond0\n";
        assert_eq!(text(&files()), expected);
        assert_eq!(text(&[]), "\n");
    }

    #[test]
    fn the_cpio_holds_directories_before_files_and_a_trailer() {
        let packed = cpio_gz(&files()).unwrap();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        let mut rest = &plain[..];
        let mut names = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push((reader.entry().name().to_owned(), reader.entry().mode()));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("etc", 0o40755),
            ("etc/systemd", 0o40755),
            ("etc/systemd/network", 0o40755),
            ("etc/systemd/network/05-bond0.netdev", 0o100644),
            ("etc/systemd/network/05-bond0.network", 0o100644),
        ];
        assert_eq!(names, expected.map(|(name, mode)| (name.to_owned(), mode)));
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        assert_eq!(cpio_gz(&files()).unwrap(), cpio_gz(&files()).unwrap());
        assert_eq!(tar(&files()).unwrap(), tar(&files()).unwrap());
    }

    #[test]
    fn the_tar_holds_the_files_in_order() {
        let packed = tar(&files()).unwrap();
        let mut archive = tar::Archive::new(&packed[..]);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            ["etc/systemd/network/05-bond0.netdev", "etc/systemd/network/05-bond0.network"]
        );
    }
}
