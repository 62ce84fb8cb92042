//! Rule N101 for the names that the site file gives to hosts and nouns, and for texts of one line.
//! Pure.

use super::Findings;
use crate::model::{
    Host, Image, InvalidName, Location, Noun, NounVisitor, Rack, Site, Subnet, Switch, Tenant,
    check_host_name, check_noun_name, visit_nouns,
};

pub(super) fn check(site: &Site, findings: &mut Findings) {
    visit_nouns(&mut NameCheck { site, findings });
    TextCheck { findings }.check(site);
}

struct NameCheck<'a> {
    site: &'a Site,
    findings: &'a mut Findings,
}

impl NounVisitor for NameCheck<'_> {
    fn visit<T: Noun>(&mut self) {
        for name in T::all(self.site).keys() {
            // A host's name is a DNS name as well.
            let verdict = match T::NOUN == Host::NOUN {
                true => check_host_name(name),
                false => check_noun_name(T::NAME, name),
            };
            named::<T>(name, verdict, self.findings);
        }
    }
}

fn named<T: Noun>(name: &str, verdict: Result<(), InvalidName>, findings: &mut Findings) {
    if let Err(error) = verdict {
        findings.error("N101", Location::of::<T>(name), error.to_string());
    }
}

/// Whether a text has a control character: no log, generated file or firmware carries it as it is.
struct TextCheck<'a> {
    findings: &'a mut Findings,
}

impl TextCheck<'_> {
    fn check(&mut self, site: &Site) {
        for (name, host) in &site.hosts {
            let at = |key: &str| Location::of::<Host>(name).at(key);
            self.line(&host.serial, || at("serial"));
            self.line(&host.boot_file, || at("boot-file"));
            self.line(&host.labels, || at("labels"));
            self.notes(host.notes.as_deref(), || at("notes"));
            for (label, nic) in &host.nics {
                let port = nic.cable.as_ref().map(|cable| &cable.port);
                self.line(port, || at("nics").at(label).at("port"));
            }
        }
        for (name, rack) in &site.racks {
            let at = |key: &str| Location::of::<Rack>(name).at(key);
            self.line(&rack.location, || at("location"));
            self.line(&rack.labels, || at("labels"));
            self.notes(rack.notes.as_deref(), || at("notes"));
        }
        for (name, switch) in &site.switches {
            let at = |key: &str| Location::of::<Switch>(name).at(key);
            self.line(&switch.labels, || at("labels"));
            self.notes(switch.notes.as_deref(), || at("notes"));
        }
        for (name, tenant) in &site.tenants {
            self.line(&tenant.contact, || Location::of::<Tenant>(name).at("contact"));
        }
        for (name, subnet) in &site.subnets {
            let at = |key: &str| Location::of::<Subnet>(name).at(key);
            self.line(&subnet.labels, || at("labels"));
            self.line(&subnet.domains, || at("domains"));
            self.line(&subnet.ntp, || at("ntp"));
            self.line(&subnet.shared_network, || at("shared-network"));
            self.line(subnet.boot_files.values(), || at("boot-files"));
            self.notes(subnet.notes.as_deref(), || at("notes"));
        }
        for (name, image) in &site.images {
            for (role, file) in image.files() {
                self.line([file], || Location::of::<Image>(name).at(role));
            }
        }
    }

    /// Texts of one line.
    fn line<T: AsRef<str>>(
        &mut self,
        texts: impl IntoIterator<Item = T>,
        at: impl Fn() -> Location,
    ) {
        for text in texts {
            let text = text.as_ref();
            if text.contains(char::is_control) {
                self.refuse(text, at());
            }
        }
    }

    /// A text of several lines.
    fn notes(&mut self, text: Option<&str>, at: impl Fn() -> Location) {
        let is_refused = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if let Some(text) = text.filter(|text| text.contains(is_refused)) {
            self.refuse(text, at());
        }
    }

    fn refuse(&mut self, text: &str, at: Location) {
        let text = format!("{text:?} has a control character; write the text without it");
        self.findings.error("N101", at, text);
    }
}
