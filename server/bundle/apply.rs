//! The script that applies a host's files on the running host, and rolls back if they cut it off.
//! Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use askama::Template;

use super::archive::HostFile;
use crate::boot::UrlName;
use crate::boot::ipxe_text::Url;

/// The host, and what must answer after the files are applied.
#[derive(Clone, Debug)]
pub struct ApplyTarget {
    /// Name of the host.
    pub host: String,
    /// What the URL of its report names it by.
    pub(crate) url_name: UrlName,
    /// Base URL of this server, as the host reaches it.
    pub base: Url,
    /// Revision of the site that the files are generated from.
    pub revision: i64,
    /// The default gateways of the host's links.
    pub gateways: BTreeSet<IpAddr>,
}

#[derive(Template)]
#[template(path = "apply.sh")]
struct ApplyScript<'a> {
    host: &'a str,
    mac: &'a UrlName,
    base: &'a Url,
    revision: i64,
    gateways: &'a BTreeSet<IpAddr>,
    files: Vec<Document<'a>>,
    has_settings: bool,
    has_rules: bool,
    has_nft: bool,
    has_modules: bool,
    has_units: bool,
    has_hints: bool,
}

/// A file as a here-document.
struct Document<'a> {
    /// Shell function of the script that writes it.
    put: &'static str,
    name: String,
    text: &'a str,
    /// The delimiter, which is not a line of the text.
    end: String,
}

/// Whether the script can apply and restore a file: those of networkd and its service, of
/// `/etc/sysctl.d` and of `/etc/modprobe.d`, units, and NCCL's.
pub fn can_place(file: &HostFile) -> bool {
    let directory = file.path.rsplit_once('/').map(|(directory, _)| directory);
    // What else is in /etc is the host's own, whoever asks for it.
    let is_own = directory != Some("/etc") || file.path == "/etc/nccl.conf";
    let is_known = directory.is_some_and(|it| put(it) != PUT);
    directory == Some("/etc/systemd/network") || (is_known && is_own)
}

/// The script's template failed to render.
#[derive(Debug, thiserror::Error)]
#[error("cannot render the apply script: {0}")]
pub struct ApplyError(#[from] askama::Error);

/// The script of a host, for files that [`can_place`] accepts.
///
/// # Errors
/// If the template fails, which would be a bug.
pub fn script(target: &ApplyTarget, files: &[HostFile]) -> Result<String, ApplyError> {
    let files: Vec<Document<'_>> = files.iter().map(document).collect();
    let has = |put: &str| files.iter().any(|file| file.put == put);
    let (has_settings, has_rules, has_modules) =
        (has(PUT_SETTING), has(PUT_RULES), has(PUT_MODULES));
    let ApplyTarget { host, base, gateways, .. } = target;
    let script = ApplyScript {
        host,
        mac: &target.url_name,
        base,
        revision: target.revision,
        gateways,
        has_settings,
        has_rules,
        has_nft: files.iter().any(|file| file.name.ends_with(".nft")),
        has_modules,
        has_units: has(PUT_UNIT),
        has_hints: has(PUT_HINT),
        files,
    };
    Ok(script.render()?)
}

#[derive(Template)]
#[template(path = "follow.sh")]
struct FollowScript<'a> {
    host: &'a str,
    mac: &'a UrlName,
    base: &'a Url,
}

/// The script that installs a timer with which a host asks whether to apply its configuration.
///
/// # Errors
/// If the template fails, which would be a bug.
pub(crate) fn follower(host: &str, mac: &UrlName, base: &Url) -> Result<String, ApplyError> {
    Ok(FollowScript { host, mac, base }.render()?)
}

#[derive(Template)]
#[template(path = "unpack.sh")]
struct UnpackScript<'a> {
    files: Vec<HereDocument<'a>>,
}

/// A file as a here-document, with all of its path.
struct HereDocument<'a> {
    path: String,
    directory: String,
    mode: String,
    text: Ended<'a>,
    end: String,
}

/// A text that ends in a line break, as a here-document does.
struct Ended<'a>(&'a str);

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.0.ends_with('\n') || self.0.is_empty() { Ok(()) } else { f.write_str("\n") }
    }
}

/// A script that writes a host's files, of whatever format, and starts nothing.
///
/// # Errors
/// If the template fails, which would be a bug.
pub fn unpacker(files: &[HostFile]) -> Result<String, ApplyError> {
    Ok(UnpackScript { files: files.iter().map(placed).collect() }.render()?)
}

fn placed(file: &HostFile) -> HereDocument<'_> {
    let HostFile { path, mode, text } = file;
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    HereDocument {
        path: quoted(path),
        directory: quoted(directory),
        mode: format!("{mode:04o}"),
        text: Ended(text),
        end: delimiter(text),
    }
}

/// As it stands between single quotes, inside which only a single quote ends the word.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// The end of a here-document, which is not a line of the text.
fn delimiter(text: &str) -> String {
    let mut end = "END".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

const PUT: &str = "put";
const PUT_SETTING: &str = "put_setting";
const PUT_RULES: &str = "put_rules";
const PUT_MODULES: &str = "put_modules";
const PUT_UNIT: &str = "put_unit";
const PUT_HINT: &str = "put_hint";

/// Units of systemd and their scripts.
const UNITS: &str = "/etc/systemd/system";

/// The shell function for the files of a directory.
fn put(directory: &str) -> &'static str {
    match directory {
        "/etc/sysctl.d" => PUT_SETTING,
        "/etc/systemd/system/systemd-networkd.service.d" => PUT_RULES,
        "/etc/modprobe.d" => PUT_MODULES,
        UNITS => PUT_UNIT,
        "/etc" => PUT_HINT,
        _ => PUT,
    }
}

fn document(file: &HostFile) -> Document<'_> {
    let (directory, name) = file.path.rsplit_once('/').unwrap_or_default();
    let (put, end) = (put(directory), delimiter(&file.text));
    Document { put, name: quoted(name), text: &file.text, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> ApplyTarget {
        ApplyTarget {
            host: "r1-n01".into(),
            url_name: UrlName::Nic("52:54:00:aa:00:01".parse().unwrap()),
            base: "http://10.77.0.1".parse().unwrap(),
            revision: 7,
            gateways: ["172.16.160.254".parse().unwrap()].into(),
        }
    }

    fn file(name: &str, text: &str) -> HostFile {
        HostFile { path: format!("/etc/systemd/network/{name}"), mode: 0o644, text: text.into() }
    }

    #[test]
    fn the_files_are_embedded_unchanged() {
        let files = [
            file("05-bond0.netdev", "[NetDev]\nName=bond0\n"),
            file("x.network", "END\n$(reboot)\n"),
        ];
        let script = script(&target(), &files).unwrap();
        let documents = "\n    put '05-bond0.netdev' <<'END'\n[NetDev]\nName=bond0\nEND\n    \
                         put 'x.network' <<'END_'\nEND\n$(reboot)\nEND_\n}\n";
        assert!(script.contains(documents), "{script}");
        assert!(script.contains("\ngateways='172.16.160.254'\n"));
        assert!(script.ends_with("\nmain\n"));
    }

    #[test]
    fn a_file_name_cannot_leave_its_quotes() {
        let script = script(&target(), &[file("a'; reboot; '.network", "")]).unwrap();
        assert!(script.contains("put 'a'\\''; reboot; '\\''.network' <<'END'"), "{script}");
    }

    #[test]
    fn kernel_settings_go_where_they_are_read() {
        let settings = HostFile {
            path: "/etc/sysctl.d/90-rackstrap.conf".into(),
            mode: 0o644,
            text: "net.ipv4.conf.all.rp_filter = 2\n".into(),
        };
        let with = script(&target(), &[file("x.network", "[Match]\n"), settings]).unwrap();
        let put = "\n    put 'x.network' <<'END'\n[Match]\nEND\n    \
                   put_setting '90-rackstrap.conf' <<'END'\nnet.ipv4.conf.all.rp_filter = 2\nEND\n}\n";
        assert!(with.contains(put), "{with}");
        assert!(with.contains("\nsettings=yes\n"));
        let modules = HostFile {
            path: "/etc/modprobe.d/90-rackstrap-modules.conf".into(),
            mode: 0o644,
            text: "options bonding max_bonds=0\n".into(),
        };
        let of_modules = script(&target(), &[modules]).unwrap();
        assert!(of_modules.contains("\n    put_modules '90-rackstrap-modules.conf' <<'END'\n"));
        assert!(of_modules.contains("\nmodules=yes\n"), "{of_modules}");
        let without = script(&target(), &[file("x.network", "[Match]\n")]).unwrap();
        assert!(without.contains("\nsettings=\n") && without.contains("\nmodules=\n"));
    }
}
