//! Profiles that come with the program, to be extended: `extends: ready/NAME`. Pure.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::model::ProfileTree;
use crate::tree;

/// A profile that comes with the program.
#[derive(Debug)]
pub struct ReadyProfile {
    /// Its name, such as `ready/bond`: no profile of a site has a slash in its name.
    pub name: &'static str,
    /// Its text, in the words of the site file.
    pub text: &'static str,
}

macro_rules! ready {
    ($($name:literal),* $(,)?) => {
        [$(ReadyProfile {
            name: concat!("ready/", $name),
            text: include_str!(concat!($name, ".yaml")),
        }),*]
    };
}

/// Every profile that comes with the program.
pub static READY_PROFILES: [ReadyProfile; 10] = ready![
    "bond",
    "bond-vlan",
    "bond-vlan-bridge",
    "microcloud",
    "proxmox",
    "rails",
    "gpu-fabric",
    "two-nics",
    "service",
    "bgp",
];

impl ReadyProfile {
    /// What it is for: the comment at its head.
    pub fn purpose(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join(" ")
    }
}

static TREES: LazyLock<BTreeMap<&str, ProfileTree>> = LazyLock::new(|| {
    let read = |ready: &'static ReadyProfile| {
        let tree = tree::parse(ready.text).and_then(|root| tree::read(&root));
        // They are a part of the program; a test reads them all.
        (ready.name, tree.unwrap_or_default())
    };
    READY_PROFILES.iter().map(read).collect()
});

/// The profile of that name which comes with the program.
pub(super) fn ready_profile(name: &str) -> Option<&'static ProfileTree> {
    TREES.get(name)
}

/// Their names.
pub(super) fn ready_names<'a>() -> impl Iterator<Item = &'a str> {
    READY_PROFILES.iter().map(|ready| ready.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ResolvedSite;

    #[test]
    fn every_ready_profile_says_what_it_is_for_and_can_be_extended() {
        for ready in &READY_PROFILES {
            assert!(ready.purpose().ends_with('.'), "{}", ready.name);
            let root = tree::parse(ready.text).unwrap();
            assert_eq!(tree::read::<ProfileTree>(&root).unwrap(), TREES[ready.name]);
            let site: ResolvedSite = serde_json::from_value(serde_json::json!({
                "subnets": {"lan": {"cidr": "10.0.0.0/24"}},
                "profiles": {"own": {"extends": ready.name}},
            }))
            .unwrap();
            let found = site.profile_named("own", None).unwrap();
            assert_eq!(found.faults, [], "{}", ready.name);
            let help = found.parameters.values().all(|parameter| parameter.help.is_some());
            assert!(help && found.profile.links().next().is_some(), "{}", ready.name);
        }
    }
}
