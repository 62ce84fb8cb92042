//! Rule N246: NICs that the switch could not let in (IEEE 802.1X). Pure.

use super::{FindingSubject, Findings, ProfileView};
use crate::model::{EapMethod, InnerAuth};
use crate::network::links::{Link, Role};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for link in view.network.links.values() {
        let Some(auth) = &link.auth else { continue };
        let spec = &auth.spec;
        let mut error = |key: &str, text: String| {
            let key = if key.is_empty() { "auth".to_owned() } else { format!("auth.{key}") };
            let text = format!("{}: {text}", link.name);
            findings.error("N246", place(view, link, &key), text);
        };
        let (has_password, has_phase2) = (spec.password.is_some(), spec.phase2_auth.is_some());
        let keys = [spec.client_key.is_some(), spec.sealed_client_key.is_some()];
        match spec.method {
            EapMethod::Tls => {
                if spec.client_certificate.is_none() {
                    error("client-certificate", "method tls needs a client-certificate".into());
                }
                if keys == [false, false] {
                    error(
                        "client-key",
                        "method tls needs a client-key, or a sealed-client-key".into(),
                    );
                }
                if keys == [true, true] {
                    error(
                        "sealed-client-key",
                        "client-key and sealed-client-key exclude each other; remove one".into(),
                    );
                }
                for (key, _) in [("password", has_password), ("phase2-auth", has_phase2)]
                    .into_iter()
                    .filter(|(_, is_set)| *is_set)
                {
                    error(key, format!("{key} is for the methods peap and ttls"));
                }
            }
            EapMethod::Peap | EapMethod::Ttls => {
                if !has_password {
                    error("password", format!("method {} needs a password", spec.method));
                }
                let of_tls = [
                    ("client-certificate", spec.client_certificate.is_some()),
                    ("client-key", keys[0]),
                    ("sealed-client-key", keys[1]),
                    ("client-key-password", spec.client_key_password.is_some()),
                ];
                for (key, _) in of_tls.into_iter().filter(|(_, is_set)| *is_set) {
                    error(key, format!("{key} is for the method tls"));
                }
                let inner = spec.phase2_auth.unwrap_or_default();
                if spec.method == EapMethod::Peap && inner != InnerAuth::Mschapv2 {
                    error(
                        "phase2-auth",
                        format!("method peap has no {inner}; use mschapv2, or ttls"),
                    );
                }
            }
        }
        let files = [
            ("ca-certificate", &spec.ca_certificate),
            ("client-certificate", &spec.client_certificate),
            ("client-key", &spec.client_key),
        ];
        for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
            if !path.as_str().starts_with('/') || path.as_str().contains('"') {
                error(key, format!("\"{path}\" is not a path such as /etc/ssl/certs/switch.pem"));
            }
        }
        if let Some(why) = out_of_reach(link) {
            error("", format!("nobody asks to be let in for it, because {why}"));
        }
        if spec.ca_certificate.is_none() {
            let text = format!(
                "{}: without ca-certificate the host shows who it is to whoever asks; name the file of the \
                 server's certificate authority",
                link.name
            );
            findings.warn("N246", place(view, link, "auth"), text);
        }
    }
}

fn place(view: &ProfileView<'_>, link: &Link, key: &str) -> FindingSubject {
    FindingSubject::from(view.path(&link.name, key)).of_link(link.name.as_str())
}

/// Why nothing of ours runs on a NIC.
fn out_of_reach(link: &Link) -> Option<&'static str> {
    if link.settings.namespace.is_some() {
        return Some("it is in a network namespace");
    }
    if link.is_infiniband() {
        return Some("InfiniBand has no IEEE 802.1X");
    }
    if link.has_pattern() {
        return Some("it may be several NICs");
    }
    (link.role == Role::Unmanaged).then_some("another program has it")
}
