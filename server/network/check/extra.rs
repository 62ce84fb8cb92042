//! Rule N176: keys and files that are passed on as they are, and could not be written. What they
//! mean is not checked. Pure.

use super::{Findings, ProfileView};
use crate::model::{LinkExtra, Sections};
use crate::network::links::{Kind, Link};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        keys(view, link, findings);
    }
    for path in view.network.extra_files.keys() {
        if let Some(why) = wrong_path(path) {
            let text = format!("extra file \"{path}\" {why}");
            findings.error("N176", view.within(["extra"]), text);
        }
    }
}

fn keys(view: &ProfileView<'_>, link: &Link, findings: &mut Findings) {
    let LinkExtra { network, netdev, link: udev, keyfile, interfaces } = &link.settings.extra;
    let name = &link.name;
    let mut wrong = |text: String| findings.error("N176", view.at(name, "extra"), text);
    let all: [(&str, &Sections); 4] =
        [("network", network), ("netdev", netdev), ("link", udev), ("keyfile", keyfile)];
    for (file, sections) in all {
        for (section, keys) in sections {
            if !is_word(section) {
                wrong(format!(
                    "{name}: extra {file} has a section \"{section}\": expected a name such as Network"
                ));
            }
            for key in keys.keys().filter(|key| !is_word(key)) {
                wrong(format!(
                    "{name}: extra {file} has a key \"{key}\": expected a name such as UseMTU"
                ));
            }
        }
    }
    for key in interfaces.keys().filter(|key| !is_word(key) || key.contains(' ')) {
        wrong(format!(
            "{name}: extra interfaces has an attribute \"{key}\": expected a name such as mtu"
        ));
    }
    let is_made = !matches!(link.kind, Kind::Nic(_) | Kind::Loopback);
    if !netdev.is_empty() && !is_made {
        wrong(format!("{name}: extra netdev has no effect: networkd does not make {name}"));
    }
    if !udev.is_empty() && !link.is_nic() {
        wrong(format!("{name}: extra link has no effect: only a NIC has a .link file"));
    }
}

/// Whether a section or key can be written, and is neither a comment nor something else.
fn is_word(text: &str) -> bool {
    let first = text.chars().next();
    let is_plain = |letter: char| !letter.is_control() && !"[]=\\".contains(letter);
    first.is_some_and(|first| first.is_ascii_alphanumeric())
        && text.chars().all(is_plain)
        && !text.ends_with(' ')
}

/// Why nothing can be written there.
fn wrong_path(path: &str) -> Option<&'static str> {
    let Some(inside) = path.strip_prefix('/') else { return Some("needs an absolute path") };
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/._@+-".contains(&byte);
    if !inside.split('/').all(is_name) {
        Some("has a path with an empty part, . or ..")
    } else if !inside.contains('/') {
        Some("needs a directory")
    } else if !inside.bytes().all(is_safe) {
        Some("has a path with other letters than A-Z, a-z, 0-9 and ._@+-")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::wrong_path;

    #[test]
    fn a_file_has_an_absolute_path_that_leads_nowhere_else() {
        let cases = [
            ("/etc/systemd/network/50-wg0.netdev", true),
            ("/usr/local/lib/x@1.service", true),
            ("etc/x", false),
            ("/etc/../x", false),
            ("/etc//x", false),
            ("/etc/", false),
            ("/x", false),
            ("/", false),
            ("/etc/a b", false),
            ("/etc/a'b", false),
            ("/etc/a\nb", false),
        ];
        for (path, is_right) in cases {
            assert_eq!(wrong_path(path).is_none(), is_right, "{path:?}");
        }
    }
}
