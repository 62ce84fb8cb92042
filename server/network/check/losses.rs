//! Rule N171: what the format that a profile's hosts read cannot say. Pure.

use super::{Findings, ProfileView};
use crate::network::lower::lower;
use crate::network::{Format, nearest, written};

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    let Some(name) = &view.profile.format else { return };
    let at = || view.within(["format"]);
    let Ok(format) = name.parse::<Format>() else {
        let hint = nearest::hint(name, Format::ALL.iter().map(|format| format.label()));
        let text = format!("format \"{name}\" does not exist{hint}");
        return findings.error("N180", at(), text);
    };
    // A host of the profile, where there is one: some formats depend on its MACs.
    let bears = |host: &&crate::model::Host| host.profile.as_deref() == Some(view.name);
    let host = view.site.hosts.values().find(bears);
    let network = host.map(|host| lower(view.site, "", host));
    let features = match written(network.as_ref().unwrap_or(&view.network), format) {
        Err(features) => features,
        Ok(written) => {
            for feature in written.left_out {
                let text = format!("{format} leaves out {feature}; the link comes up without it");
                findings.warn("N171", at(), text);
                findings.suggest(at(), Format::Networkd);
            }
            return;
        }
    };
    for feature in features {
        let text = format!("{format} cannot express {feature}; it would be lost");
        findings.error("N171", at(), text);
        findings.suggest(at(), Format::Networkd);
    }
}
