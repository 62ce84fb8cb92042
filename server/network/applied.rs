//! Whether a host runs the network configuration that the inventory has for it: its report has the
//! digests of its files, which are compared with those that are rendered. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::format::{File, Format};

/// How many files of a report are read; no host has so many.
const MOST_FILES: usize = 512;

/// What a host runs, compared with the inventory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigState {
    /// Every file of the host is as the inventory has it.
    Current,
    /// A file is missing on the host, or differs.
    Outdated,
    /// The host has not reported its files, or the inventory has none for it.
    Unknown,
}

impl ConfigState {
    /// All, those that need somebody first.
    pub const ALL: [Self; 3] = [Self::Outdated, Self::Unknown, Self::Current];

    /// The word in URLs and on pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Outdated => "outdated",
            Self::Unknown => "unknown",
        }
    }
}

/// Takes what a report has under `config` out of it: an object with the SHA-256 of each file by its
/// path. Some of the files have passwords, and whoever sees the report could try them by its digest.
/// None if it names no file of a network.
pub fn take_fingerprint(body: String) -> (String, Option<Fingerprint>) {
    let Ok(Value::Object(mut report)) = serde_json::from_str(&body) else { return (body, None) };
    let Some(files) = report.remove("config") else { return (body, None) };
    (Value::Object(report).to_string(), Fingerprint::of_digests(&files))
}
/// Files by a number for each path and contents, in a row that is short enough to be read for every
/// host of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// What the files are written for.
    pub format: Format,
    marks: Vec<u64>,
}

impl Fingerprint {
    /// That of files by their digests, the SHA-256 in hexadecimal.
    fn of_digests(files: &Value) -> Option<Self> {
        let digest = |(path, digest): (&String, &Value)| {
            Some((path.clone(), digest.as_str()?.to_ascii_lowercase()))
        };
        let digests: BTreeMap<String, String> =
            files.as_object()?.iter().take(MOST_FILES).filter_map(digest).collect();
        let count = |format: &Format| {
            let in_it = |path: &&String| format.directory() == directory_of(path);
            digests.keys().filter(in_it).count()
        };
        // An installed system may have the empty directories of another manager.
        let format = REPORTED.into_iter().max_by_key(count)?;
        let marks = digests.iter().map(|(path, digest)| mark(path, digest));
        (count(&format) > 0).then(|| Self::new(format, marks))
    }

    fn new(format: Format, marks: impl Iterator<Item = u64>) -> Self {
        let mut marks: Vec<u64> = marks.collect();
        marks.sort_unstable();
        Self { format, marks }
    }

    /// That of the files that the inventory has.
    pub fn of_files(format: Format, files: &[File]) -> Self {
        let files = files.iter().map(|file| (file.path(), &file.text));
        let files = files.filter(|(path, _)| is_reported(path));
        Self::new(format, files.map(|(path, text)| mark(&path, &digest_of(text))))
    }

    /// The paths of those among `files` that the host does not have, or has otherwise.
    pub fn differing(&self, files: &[File]) -> Vec<String> {
        let files = files.iter().map(|file| (file.path(), &file.text));
        let files = files.filter(|(path, _)| is_reported(path));
        let is_here = |mark: u64| self.marks.binary_search(&mark).is_ok();
        let files = files.filter(|(path, text)| !is_here(mark(path, &digest_of(text))));
        files.map(|(path, _)| path).collect()
    }

    /// Whether all files of `wanted` are among these. A host may have others beside them.
    pub fn has_all(&self, wanted: &Self) -> bool {
        let is_here = |mark: &u64| self.marks.binary_search(mark).is_ok();
        self.format == wanted.format && wanted.marks.iter().all(is_here)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.format)?;
        self.marks.iter().try_for_each(|mark| write!(f, "{mark:016x}"))
    }
}

/// A stored fingerprint that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" does not describe the files of a host")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || FingerprintError(text.chars().take(40).collect());
        let (format, marks) = text.split_once(' ').ok_or_else(unreadable)?;
        let format = format.parse().map_err(|_| unreadable())?;
        let (marks, rest) = marks.as_bytes().as_chunks::<16>();
        if !rest.is_empty() {
            return Err(unreadable());
        }
        let read = |mark: &[u8; 16]| u64::from_str_radix(std::str::from_utf8(mark).ok()?, 16).ok();
        let marks: Option<Vec<u64>> = marks.iter().map(read).collect();
        Ok(Self::new(format, marks.ok_or_else(unreadable)?.into_iter()))
    }
}

/// The formats whose files lie on the host as they are rendered. The first of two that have the same
/// number of files is the last one here.
const REPORTED: [Format; 4] =
    [Format::Ifupdown2, Format::NetworkManager, Format::Netplan, Format::Networkd];

/// Whether a report has the digest of a file: the report unit looks into the directories of a
/// network, and elsewhere for what is named after rackstrap.
fn is_reported(path: &str) -> bool {
    let of_a_network = REPORTED.iter().any(|format| format.directory() == directory_of(path));
    let name = path.rsplit('/').next().unwrap_or_default();
    of_a_network
        || NAMED.iter().any(|it| directory_of(path) == Some(it) && name.contains("rackstrap"))
}

/// Where else the files of a network lie, which are named after rackstrap.
const NAMED: [&str; 4] = [
    "/etc/modprobe.d",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/etc/systemd/system/systemd-networkd.service.d",
];

fn directory_of(path: &str) -> Option<&str> {
    Some(path.rsplit_once('/')?.0)
}

fn digest_of(text: &str) -> String {
    use fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The number of a file with this contents.
fn mark(path: &str, digest: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(path);
    hash.update([0]);
    hash.update(digest);
    let bytes: [u8; 8] = std::array::from_fn({
        let hash = hash.finalize();
        move |at| hash[at]
    });
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<File> {
        let mut module = File::of(Format::Sysctl, "90-rackstrap.conf", "net.a = 1\n".into());
        module.directory = Some("/etc/sysctl.d".into());
        let mut foreign = File::of(Format::Networkd, "90-own.conf", "net.b = 1\n".into());
        foreign.directory = Some("/etc/own".into());
        vec![
            File::of(Format::Networkd, "05-bond0.netdev", "[NetDev]\n".into()),
            File::of(Format::Networkd, "05-bond0.network", "[Match]\n".into()),
            module,
            foreign,
        ]
    }

    fn report(files: &[File], change: impl Fn(&str, String) -> Option<String>) -> String {
        let own = files.iter().filter_map(|file| {
            Some((file.path(), Value::from(change(&file.name, digest_of(&file.text))?)))
        });
        let beside = ("/etc/systemd/network/99-default.link".to_owned(), Value::from("00"));
        let config: serde_json::Map<String, Value> = own.chain([beside]).collect();
        serde_json::json!({"state": "up", "config": config}).to_string()
    }

    #[test]
    fn a_host_with_every_file_is_current_whatever_else_it_has() {
        let files = files();
        let wanted = Fingerprint::of_files(Format::Networkd, &files);
        // What lies where no report looks is not compared.
        let seen = |name: &str, digest: String| (name != "90-own.conf").then_some(digest);
        let (body, reported) = take_fingerprint(report(&files, seen));
        let reported = reported.unwrap();
        assert_eq!(body, r#"{"state":"up"}"#);
        assert_eq!(reported.format, Format::Networkd);
        assert_eq!(reported.differing(&files), Vec::<String>::new());
        assert!(reported.has_all(&wanted));
    }

    #[test]
    fn a_file_that_is_missing_or_differs_is_named() {
        let files = files();
        let wanted = Fingerprint::of_files(Format::Networkd, &files);
        for (change, path) in [
            ("05-bond0.netdev", "/etc/systemd/network/05-bond0.netdev"),
            ("90-rackstrap.conf", "/etc/sysctl.d/90-rackstrap.conf"),
        ] {
            for other in [None, Some("00".to_owned())] {
                let seen = |name: &str, digest: String| {
                    if name == change { other.clone() } else { Some(digest) }
                };
                let reported = take_fingerprint(report(&files, seen)).1.unwrap();
                assert_eq!(reported.differing(&files), [path]);
                assert!(!reported.has_all(&wanted), "{path}");
            }
        }
    }

    #[test]
    fn a_report_without_files_of_a_network_says_nothing() {
        for body in [
            "up",
            "{}",
            r#"{"config": 7}"#,
            r#"{"config": {}}"#,
            r#"{"config": {"/etc/passwd": "00", "x": "00"}}"#,
            r#"{"config": {"/etc/systemd/network/a.network": 7}}"#,
        ] {
            assert_eq!(take_fingerprint(body.into()).1, None, "{body}");
        }
        let netplan = r#"{"config": {"/etc/netplan/90-rackstrap.yaml": "00"}}"#;
        assert_eq!(take_fingerprint(netplan.into()).1.unwrap().format, Format::Netplan);
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let stored = Fingerprint::of_files(Format::Networkd, &files());
        assert_eq!(stored.to_string().parse::<Fingerprint>().unwrap(), stored);
        assert_eq!(stored.to_string().len(), "networkd ".len() + 3 * 16);
        for text in
            ["", "networkd", "networkd 00", "other 0000000000000000", "networkd 000000000000000g"]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    /// The programs that report say the same as this module of where files lie.
    #[test]
    fn the_report_unit_looks_into_every_directory() {
        let program = include_str!("../live/guest/rackstrap-report.sh");
        for format in REPORTED {
            let directory = format.directory().unwrap();
            assert!(program.contains(&format!("{directory}/*")), "{directory}");
        }
        for directory in NAMED {
            assert!(program.contains(&format!("{directory}/*rackstrap*")), "{directory}");
        }
    }
}
