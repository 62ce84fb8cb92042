//! NICs that are let in by IEEE 802.1X, for which networkd has no word: wpa_supplicant on each, with
//! its driver for wires (wpa_supplicant.conf(5)). Pure.

use std::fmt::Write as _;

use super::{DIRECTORY, file, finder, head};
use crate::model::EapMethod;
use crate::network::File;
use crate::network::auth::{self, PortAuth};
use crate::network::links::{HostNetwork, Link};

/// The name of the service of a NIC.
fn service(link: &Link) -> String {
    format!("rackstrap-auth-{}.service", link.name)
}

/// The services of all NICs that have to be let in.
pub(super) fn services(host: &HostNetwork) -> Vec<String> {
    authenticated(host).map(|(link, _)| service(link)).collect()
}

fn authenticated(host: &HostNetwork) -> impl Iterator<Item = (&Link, &PortAuth)> {
    host.links.values().filter_map(|link| Some((link, link.auth.as_deref()?)))
}

/// A service, a script and a configuration for each NIC, and the files of keys.
pub(super) fn render(host: &HostNetwork) -> Vec<File> {
    let mut files = Vec::new();
    for (link, auth) in authenticated(host) {
        let stem = format!("rackstrap-auth-{}", link.name);
        files.push(file(DIRECTORY, &service(link), 0o644, unit(host, link)));
        files.push(file(DIRECTORY, &format!("{stem}.sh"), 0o644, script(host, link)));
        let text = configuration(host, link, auth);
        files.push(file(DIRECTORY, &format!("{stem}.conf"), 0o600, text));
    }
    files.extend(auth::key_files(host));
    files
}

/// The host counts as online when it is let in; one that is not, when the wait is over.
fn unit(host: &HostNetwork, link: &Link) -> String {
    let name = &link.name;
    let run = format!("/bin/sh {DIRECTORY}/rackstrap-auth-{name}.sh");
    format!(
        "# {}\n[Unit]\nDescription=IEEE 802.1X on {name}\nAfter=systemd-networkd.service\n\
         Before=systemd-networkd-wait-online.service network-online.target\n\n[Service]\n\
         ExecStart={run} start\nExecStartPost=-{run} wait\nTimeoutStartSec=120s\nRestart=always\n\
         RestartSec=5s\n",
        host.origin(),
    )
}

/// `start` becomes wpa_supplicant; `wait` looks at it until the switch has let the host in.
fn script(host: &HostNetwork, link: &Link) -> String {
    let find = finder(host, link);
    let asks = link.learns();
    // networkd waits up to a minute between two attempts of DHCP, and hears of no carrier now.
    let again =
        if asks { "            networkctl reconfigure \"$nic\" 2>/dev/null || :\n" } else { "" };
    format!(
        "{}nic=$({find})\ncase $1 in\nstart)\n    \
         exec wpa_supplicant -D wired -i \"$nic\" -c {DIRECTORY}/rackstrap-auth-{name}.conf\n    ;;\n\
         wait)\n    began=$(date +%s)\n    while [ $(($(date +%s) - began)) -lt 30 ]; do\n        \
         if wpa_cli -p {CONTROL} -i \"$nic\" status 2>/dev/null | grep -q '^suppPortStatus=Authorized'; then\n\
         {again}            exit 0\n        fi\n        sleep 1\n    done\n    \
         echo \"rackstrap: the switch has not let {name} in after 30 s\" >&2\n    exit 1\n    ;;\nesac\n",
        head(host),
        name = link.name,
    )
}

/// Where wpa_supplicant is asked how far it is.
const CONTROL: &str = "/run/wpa_supplicant";

fn configuration(host: &HostNetwork, link: &Link, auth: &PortAuth) -> String {
    let PortAuth { spec, password, client_key_password, .. } = auth;
    let mut text =
        format!("# {}\nctrl_interface={CONTROL}\nap_scan=0\n\nnetwork={{\n", host.origin());
    let mut set = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "    {key}={value}");
    };
    let quoted = |value: &dyn std::fmt::Display| format!("\"{value}\"");
    set("key_mgmt", &"IEEE8021X");
    // No keys are asked for: the wire has none.
    set("eapol_flags", &0);
    set("eap", &spec.method.label().to_ascii_uppercase());
    set("identity", &quoted(&spec.identity));
    if let Some(identity) = &spec.anonymous_identity {
        set("anonymous_identity", &quoted(identity));
    }
    if let Some(password) = password {
        set("password", &quoted(password));
    }
    if spec.method != EapMethod::Tls {
        let inner = spec.phase2_auth.unwrap_or_default().label().to_ascii_uppercase();
        set("phase2", &quoted(&format!("auth={inner}")));
    }
    if let Some(path) = &spec.ca_certificate {
        set("ca_cert", &quoted(path));
    }
    if let Some(path) = &spec.client_certificate {
        set("client_cert", &quoted(path));
    }
    if let Some(path) = auth.key_path(&link.name) {
        set("private_key", &quoted(&path));
    }
    if let Some(password) = client_key_password {
        set("private_key_passwd", &quoted(password));
    }
    text.push_str("}\n");
    text
}
