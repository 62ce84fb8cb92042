//! The other end of the cables: what switches must be told so that they agree with the
//! hosts. Pure; it is rendered and compared, never pushed.
//!
//! Rendered from public documentation and compared with golden files; no device has read it.

mod attach;
mod eos;
mod mtu;
mod nvue;
mod plan;
mod sonic;

use crate::profile::ResolvedSite;

pub(super) use attach::{Attachment, Bundling, attachments};
pub(super) use mtu::{HEADROOM, port_mtu};
pub use plan::{Lag, Lan, Port};

use super::nearest;
use crate::model::Vendor;

/// A switch's ports, and their configuration in its vendor's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fabric {
    /// Its ports to hosts, in the order of their numbers.
    pub ports: Vec<Port>,
    /// Its link aggregation groups, by number.
    pub lags: Vec<Lag>,
    /// The configuration, or why it is refused.
    pub text: Result<String, FabricError>,
}

/// Why a switch's configuration cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FabricError {
    /// The site has no such switch.
    #[error("switch \"{name}\" does not exist{hint}")]
    UnknownSwitch {
        /// The name asked for.
        name: String,
        /// The nearest name there is, as a sentence's end.
        hint: String,
    },
    /// Something that a host needs cannot be configured.
    #[error("switch \"{switch}\" ({vendor}) cannot be configured for: {}", losses.join("; "))]
    Unsupported {
        /// The switch.
        switch: String,
        /// Its vendor.
        vendor: Vendor,
        /// What would be lost, each as `PORT: WHAT`; never empty.
        losses: Vec<String>,
    },
}

/// A switch's ports and configuration.
///
/// # Errors
/// When there is no such switch; what it cannot do is in [`Fabric::text`].
pub fn fabric(site: &ResolvedSite, name: &str) -> Result<Fabric, FabricError> {
    let Some((name, switch)) = site.switches.get_key_value(name) else {
        let hint = nearest::hint(name, site.switches.keys().map(String::as_str));
        return Err(FabricError::UnknownSwitch { name: name.to_owned(), hint });
    };
    let mut plan = plan::plan(site, name, switch);
    if switch.vendor == Vendor::Sonic {
        let losses = sonic::losses(&plan);
        plan.losses.extend(losses);
    }
    let text = match plan.losses.is_empty() {
        true => Ok(match switch.vendor {
            Vendor::Eos => eos::render(&plan),
            Vendor::Nvue => nvue::render(&plan),
            Vendor::Sonic => sonic::render(&plan),
        }),
        false => Err(FabricError::Unsupported {
            switch: name.clone(),
            vendor: switch.vendor,
            losses: std::mem::take(&mut plan.losses),
        }),
    };
    Ok(Fabric { ports: plan.ports, lags: plan.lags, text })
}

/// A switch's configuration in its vendor's words.
///
/// # Errors
/// When there is no such switch, or when it cannot do what a host needs.
pub fn render_switch(site: &ResolvedSite, name: &str) -> Result<String, FabricError> {
    fabric(site, name)?.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_number_that_no_other_has() {
        use plan::port_number;
        let cases = [
            ("Ethernet12", Some(12)),
            ("swp12", Some(12)),
            ("Ethernet12/1", Some(297)),
            ("swp12s3", Some(299)),
            ("Ethernet3/12/1", None),
            ("eth", None),
        ];
        for (name, number) in cases {
            assert_eq!(port_number(name), number, "{name}");
        }
    }
}
