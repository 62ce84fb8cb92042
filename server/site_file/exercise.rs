//! What must hold of any text that should be a site file or rows of hosts. Pure.

use super::{Rows, parse, render, render_rows};
use crate::model::Site;
use crate::network::{Format, Severity, check_site, render_host};
use crate::profile::ResolvedSite;

/// More hosts than this are not rendered: the network's own tests do that.
const MAX_HOSTS: usize = 8;

/// A text is a site or is refused; a site is written so that it reads as the same one, and
/// can be checked and rendered whatever is in it.
pub(crate) fn site(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text, "site.yaml") {
        Ok(site) => check_accepted(&site),
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| error.position.line >= 1));
        }
    }
}

fn check_accepted(site: &Site) {
    let written = render(site);
    let again = parse(&written, "export.yaml");
    assert_eq!(again.as_ref(), Ok(site), "the export reads otherwise:\n{written}");
    assert_eq!(render(site), written);
    let resolved = ResolvedSite::from(site.clone());
    let findings = check_site(&resolved);
    assert!(findings.iter().all(|finding| !finding.text.is_empty()));
    for host in site.hosts.keys().take(MAX_HOSTS) {
        for format in Format::ALL {
            // Refused or not: it must not panic.
            let _ = render_host(&resolved, host, *format);
        }
    }
    if findings.iter().all(|finding| finding.severity != Severity::Error) {
        check_rows(site);
    }
}

/// A sound site's rows say of its hosts what it says itself.
fn check_rows(site: &Site) {
    let written = render_rows(site);
    let mut again = site.clone();
    let taken = Rows::parse(&written).and_then(|rows| rows.put_into(&mut again));
    assert_eq!(taken, Ok(()), "{written}");
    assert_eq!(&again, site, "{written}");
}

/// A text is rows of hosts or is refused; what is taken can be exported again.
pub(crate) fn rows(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(rows) = Rows::parse(text) else { return };
    let mut site = Site::default();
    if rows.put_into(&mut site).is_ok() {
        check_accepted(&site);
    }
}
