//! What is wrong with a site, in the operator's words. Pure.
//!
//! networkd never refuses a file: it logs a bad line, skips it and applies the
//! rest, so a mistake shows only as a host that is not there. It has to be
//! found here, before anything is served.

use std::fmt;

use crate::model::Site;

/// Whether a finding stops a host from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The host is not served, and a change that brings it is refused.
    Error,
    /// The host is served; somebody should look.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's stable id, such as `N141`.
    pub rule: &'static str,
    /// Whether it stops the host.
    pub severity: Severity,
    /// The host, of a finding about one.
    pub host: Option<String>,
    /// The link, of a finding about one.
    pub link: Option<String>,
    /// The place in the site file: keys joined by dots, such as `hosts.r1-n01.addresses.virbr0`.
    pub path: String,
    /// What is wrong, why it matters and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.text, self.rule)
    }
}

/// Everything that is wrong with a site, errors first.
pub fn check_site(_site: &Site) -> Vec<Finding> {
    Vec::new()
}

/// Everything that is wrong with one host, its profile and the subnets that it is in.
pub fn check_host(_site: &Site, _host_name: &str) -> Vec<Finding> {
    Vec::new()
}
