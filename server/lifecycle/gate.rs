//! What a client may boot: the one decision that every entrance asks. Pure.
//!
//! Entrances are DHCP on ports 67 and 4011, DHCPv6, TFTP, `/boot/...`, `/autoexec.ipxe` (which
//! leads to `/boot/...`), `/files/...`, UEFI HTTP Boot and a Raspberry Pi's ROM. None of them
//! looks at an image or an install by itself.

use crate::lifecycle::install::{Install, InstallTask};
use crate::model::{Host, Image, LocalBoot, Site};

/// Who asks, as far as the decision depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'site, 'state> {
    /// The host of the inventory that it is.
    pub host: Option<&'site Host>,
    /// The image of that host, if it exists.
    pub image: Option<&'site Image>,
    /// The latest install of that host.
    pub install: Option<&'state Install>,
    /// Whether something protects the host from being installed.
    pub is_protected: bool,
    /// The hash of the token that shows which boot asks.
    pub token_hash: Option<&'state str>,
    /// Unix seconds.
    pub now: i64,
}

/// What a client may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The client is not in the inventory: it may load a boot program and the script that says so.
    Unknown,
    /// The host has no image.
    NoImage,
    /// The host boots this image from the network, every time.
    Image(&'a Image),
    /// The host is armed: one boot may install this image.
    Install {
        /// The image that installs.
        image: &'a Image,
        /// Whether the asker has shown that it is the boot that may install.
        is_proven: bool,
    },
    /// The host boots its local disk, to which its firmware is sent in this way.
    Disk(LocalBoot),
}

/// Decides what a client may boot.
pub fn decide<'site>(asker: &Asker<'site, '_>) -> Verdict<'site> {
    let Some(host) = asker.host else { return Verdict::Unknown };
    let Some(image) = asker.image else { return Verdict::NoImage };
    let to_disk = Verdict::Disk(local_boot(host, image));
    if image.local {
        return to_disk;
    }
    if !image.installs() {
        return Verdict::Image(image);
    }
    let (Some(install), Some(name)) = (asker.install, host.image.as_deref()) else {
        return to_disk;
    };
    let goes_on = |token_hash: &str| install.may_go_on(name, token_hash, asker.now);
    let is_proven = asker.token_hash.is_some_and(goes_on);
    // An install that runs is not stopped halfway.
    if is_proven || (!asker.is_protected && install.may_begin(name, asker.now)) {
        return Verdict::Install { image, is_proven };
    }
    to_disk
}

/// How a host is sent to its local disk: as it says itself, else as its image does.
pub fn local_boot(host: &Host, image: &Image) -> LocalBoot {
    host.local_boot.or(image.local_boot).unwrap_or_default()
}

/// Whether a client may fetch a file. The file decides: one that only images that install use is
/// for the boot that may install it, whoever asks; any other is public. `path` is relative to the
/// files directory.
pub fn may_fetch(verdict: &Verdict<'_>, path: &str, site: &Site) -> bool {
    if is_public(path, site) {
        return true;
    }
    match verdict {
        Verdict::Install { image, is_proven: true } => image.has_file(path),
        _ => false,
    }
}

/// Whether a file is given to anybody: no image that installs uses it, or one that boots every
/// time does as well.
pub fn is_public(path: &str, site: &Site) -> bool {
    let mut users = site.images.values().filter(|image| image.has_file(path)).peekable();
    users.peek().is_none() || users.any(|image| !image.installs())
}

/// Whether a Raspberry Pi's ROM may fetch files by TFTP. It boots whatever it finds there.
pub fn may_serve_rom(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Unknown | Verdict::Image(_))
}

/// Why a host cannot be armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmRefusal {
    /// There is no such host.
    #[error("host {0} does not exist")]
    NoHost(String),
    /// It boots nothing.
    #[error("host {0} has no image; set one that has boot: once")]
    NoImage(String),
    /// Its image boots every time, so there is nothing to arm.
    #[error("image {image} of host {host} has no boot: once, so there is nothing to arm")]
    NotOnce {
        /// The host.
        host: String,
        /// Its image.
        image: String,
    },
    /// It destroys data, and the host was not named once more.
    #[error(
        "{task} destroys the data of host {host}: confirm it with the name of the host, confirm={host}"
    )]
    NotConfirmed {
        /// The host.
        host: String,
        /// What was asked for.
        task: InstallTask,
    },
    /// Only a live system reinstalls and erases.
    #[error(
        "{task} needs a live system, and host {host} has none: {}; set image=NAME with a disk image (disk) first",
        no_disk_image(image.as_deref()),
    )]
    NoLiveSystem {
        /// The host.
        host: String,
        /// Its image, if it has one.
        image: Option<String>,
        /// What was asked for.
        task: InstallTask,
    },
    /// A file that its next boot needs cannot be sent.
    #[error("image {image} of host {host} cannot be booted: {fault}")]
    Files {
        /// The host.
        host: String,
        /// The image with the file.
        image: String,
        /// What is wrong with the file.
        fault: String,
    },
    /// It is protected.
    #[error("host {host} is protected (protected: true on {by}); remove that first")]
    Protected {
        /// The host.
        host: String,
        /// What protects it: `host NAME`, `rack NAME` or `label NAME`.
        by: Protector,
    },
    /// An installer runs on it.
    #[error("host {0} is being installed; wait for its report, or cancel it with --cancel")]
    Running(String),
}

fn no_disk_image(image: Option<&str>) -> String {
    match image {
        Some(image) => format!("its image {image} is not a disk image"),
        None => "it has no image".to_owned(),
    }
}

/// What protects a host from being armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protector {
    /// The host itself.
    Host(String),
    /// Its rack.
    Rack(String),
    /// One of its labels.
    Label(String),
}

impl std::fmt::Display for Protector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(name) => write!(f, "host {name}"),
            Self::Rack(name) => write!(f, "rack {name}"),
            Self::Label(name) => write!(f, "label {name}"),
        }
    }
}

/// What protects a host, if anything does.
pub fn protector(site: &Site, name: &str) -> Option<Protector> {
    let host = site.hosts.get(name)?;
    if host.protected {
        return Some(Protector::Host(name.to_owned()));
    }
    let rack =
        host.rack.as_ref().filter(|rack| site.racks.get(*rack).is_some_and(|it| it.protected));
    if let Some(rack) = rack {
        return Some(Protector::Rack(rack.clone()));
    }
    let is_protected = |label: &&String| site.labels.get(*label).is_some_and(|it| it.protected);
    host.labels.iter().find(is_protected).cloned().map(Protector::Label)
}

/// The name of the image that a host would be armed for.
///
/// # Errors
/// The host cannot be armed.
pub fn check_arming<'a>(
    site: &'a Site,
    name: &str,
    install: Option<&Install>,
    now: i64,
) -> Result<&'a str, ArmRefusal> {
    let host = site.hosts.get(name).ok_or_else(|| ArmRefusal::NoHost(name.to_owned()))?;
    let image = host.image.as_deref().ok_or_else(|| ArmRefusal::NoImage(name.to_owned()))?;
    if site.images.get(image).is_none_or(|image| !image.installs()) {
        let (host, image) = (name.to_owned(), image.to_owned());
        return Err(ArmRefusal::NotOnce { host, image });
    }
    if let Some(by) = protector(site, name) {
        return Err(ArmRefusal::Protected { host: name.to_owned(), by });
    }
    if install.is_some_and(|install| install.is_running(now)) {
        return Err(ArmRefusal::Running(name.to_owned()));
    }
    Ok(image)
}

/// Refuses to erase data of a host whose name was not given once more.
///
/// # Errors
/// The task erases, and the name is missing or another one.
pub fn check_confirmed(
    task: InstallTask,
    name: &str,
    confirmed: Option<&str>,
) -> Result<(), ArmRefusal> {
    if !task.erases() || confirmed.map(str::trim) == Some(name) {
        return Ok(());
    }
    Err(ArmRefusal::NotConfirmed { host: name.to_owned(), task })
}

/// Refuses a task that nothing would carry out: an installer of one's own does not know it.
///
/// # Errors
/// The host's image is not a disk image.
pub fn check_task(site: &Site, name: &str, task: InstallTask) -> Result<(), ArmRefusal> {
    let host = site.hosts.get(name).ok_or_else(|| ArmRefusal::NoHost(name.to_owned()))?;
    let image = host.image.as_ref();
    let has_disk = |image: &String| site.images.get(image).is_some_and(|it| it.disk.is_some());
    if !task.erases() || image.is_some_and(has_disk) {
        return Ok(());
    }
    Err(ArmRefusal::NoLiveSystem { host: name.to_owned(), image: image.cloned(), task })
}

/// Refuses to arm a host whose image has a file that is missing or damaged; its next boot could
/// not begin, or would stop with the disk erased. `fault` says what is wrong with a file.
///
/// # Errors
/// A file of the image, or of the live system that writes it, cannot be sent.
pub fn check_files(
    site: &Site,
    name: &str,
    fault: impl Fn(&str) -> Option<String>,
) -> Result<(), ArmRefusal> {
    let own = site.hosts.get(name).and_then(|host| host.image.as_deref());
    let Some((own, image)) = own.and_then(|own| site.images.get_key_value(own)) else {
        return Ok(());
    };
    let live = image.disk.as_ref().and_then(|_| site.images.get_key_value(image.live_system()));
    for (used, image) in [(own, image)].into_iter().chain(live) {
        if let Some(fault) = image.files().find_map(|(_, file)| fault(file)) {
            return Err(ArmRefusal::Files { host: name.to_owned(), image: used.clone(), fault });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::install::InstallState;
    use crate::model::{BootMode, Label, Rack};

    const NOW: i64 = 1_800_000_000;

    fn installer() -> Image {
        let initrd = vec!["di/initrd".to_owned()];
        Image {
            kernel: Some("di/vmlinuz".into()),
            initrd,
            boot: BootMode::Once,
            ..Image::default()
        }
    }

    fn install(state: InstallState) -> Install {
        let token_hash = Some("own".to_owned());
        let token_until = NOW + 60;
        Install { state, token_hash, token_until, ..Install::armed("di", "test", NOW) }
    }

    #[test]
    fn each_client_may_boot_what_its_host_is_for() {
        use InstallState as S;
        let live = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        let disk = Image { local: true, local_boot: Some(LocalBoot::Exit), ..Image::default() };
        let di = installer();
        let host = Host { image: Some("di".into()), ..Host::default() };
        let own_way = Host { local_boot: Some(LocalBoot::Sanboot), ..host.clone() };
        let to = |is_proven| Verdict::Install { image: &di, is_proven };
        let menu = Verdict::Disk(LocalBoot::Menu);
        #[rustfmt::skip]
        let cases = [
            (None, None, None, None, Verdict::Unknown),
            (Some(&host), None, None, None, Verdict::NoImage),
            (Some(&host), Some(&live), None, None, Verdict::Image(&live)),
            (Some(&host), Some(&disk), None, None, Verdict::Disk(LocalBoot::Exit)),
            (Some(&own_way), Some(&disk), None, None, Verdict::Disk(LocalBoot::Sanboot)),
            (Some(&host), Some(&di), None, None, menu),
            (Some(&host), Some(&di), Some(S::Armed), None, to(false)),
            (Some(&host), Some(&di), Some(S::Loading), None, to(false)),
            (Some(&host), Some(&di), Some(S::Loading), Some("own"), to(true)),
            (Some(&host), Some(&di), Some(S::Loading), Some("old"), to(false)),
            (Some(&host), Some(&di), Some(S::Started), None, menu),
            (Some(&host), Some(&di), Some(S::Started), Some("old"), menu),
            (Some(&host), Some(&di), Some(S::Started), Some("own"), to(true)),
            (Some(&host), Some(&di), Some(S::Done), Some("own"), menu),
            (Some(&host), Some(&di), Some(S::Failed), Some("own"), menu),
            (Some(&host), Some(&di), Some(S::Cancelled), Some("own"), menu),
        ];
        for (host, image, state, token_hash, expected) in cases {
            let install = state.map(install);
            let install = install.as_ref();
            let asker = Asker { host, image, install, is_protected: false, token_hash, now: NOW };
            assert_eq!(decide(&asker), expected, "{state:?} {token_hash:?}");
            let protected = decide(&Asker { is_protected: true, ..asker });
            let expected = if expected == to(false) { menu } else { expected };
            assert_eq!(protected, expected, "protected: {state:?} {token_hash:?}");
        }
    }

    #[test]
    fn a_file_that_installs_is_for_the_boot_that_may_install() {
        let di = installer();
        let live = Image { kernel: Some("live/vmlinuz".into()), ..Image::default() };
        let raw = Image { disk: Some("di/disk.raw".into()), ..Image::default() };
        let shared = Image { kernel: Some("both/vmlinuz".into()), ..Image::default() };
        let mut also = di.clone();
        also.initrd.push("both/vmlinuz".into());
        let images = [("di", also.clone()), ("live", live.clone()), ("raw", raw), ("s", shared)];
        let images = images.map(|(name, image)| (name.to_owned(), image)).into();
        let site = Site { images, ..Site::default() };
        let to = |is_proven| Verdict::Install { image: &di, is_proven };
        let disk = Verdict::Disk(LocalBoot::Menu);
        #[rustfmt::skip]
        let cases = [
            (Verdict::Unknown, "di/vmlinuz", false),
            (Verdict::Unknown, "di/initrd", false),
            (Verdict::Unknown, "di/disk.raw", false),
            (Verdict::Unknown, "/di/disk.raw", false),
            (Verdict::Unknown, "live/vmlinuz", true),
            (Verdict::Unknown, "both/vmlinuz", true),
            (Verdict::Unknown, "snponly.efi", true),
            (disk, "both/vmlinuz", true),
            (disk, "live/vmlinuz", true),
            (disk, "di/vmlinuz", false),
            (disk, "di/initrd", false),
            (disk, "snponly.efi", true),
            (Verdict::NoImage, "di/initrd", false),
            (to(false), "di/vmlinuz", false),
            (to(true), "di/vmlinuz", true),
            (to(true), "di/initrd", true),
            (to(true), "di/disk.raw", false),
            (Verdict::Image(&live), "live/vmlinuz", true),
            (Verdict::Image(&live), "di/vmlinuz", false),
            (Verdict::Image(&live), "di/initrd", false),
        ];
        for (verdict, path, expected) in cases {
            assert_eq!(may_fetch(&verdict, path, &site), expected, "{verdict:?} {path}");
        }
    }

    #[test]
    fn what_erases_needs_a_live_system_and_whole_files() {
        let disk = Some("raw.img".to_owned());
        let live = Image { kernel: Some("live/vmlinuz".into()), ..Image::default() };
        let images = [
            ("di", installer()),
            ("raw", Image { disk, boot: BootMode::Once, ..Image::default() }),
            ("live", live),
        ];
        let host =
            |image: Option<&str>| Host { image: image.map(str::to_owned), ..Host::default() };
        let hosts = [("own", host(Some("di"))), ("raw", host(Some("raw"))), ("bare", host(None))];
        let site = Site {
            images: images.map(|(name, image)| (name.to_owned(), image)).into(),
            hosts: hosts.map(|(name, host)| (name.to_owned(), host)).into(),
            ..Site::default()
        };
        let task = |name, task| check_task(&site, name, task).map_err(|error| error.to_string());
        for (name, expected) in
            [("own", "its image di is not a disk image"), ("bare", "it has no image")]
        {
            let refusal = task(name, InstallTask::Erase).unwrap_err();
            assert!(refusal.contains("erase needs a live system"), "{refusal}");
            assert!(refusal.contains(expected), "{refusal}");
            assert_eq!(task(name, InstallTask::Install), Ok(()));
        }
        assert_eq!(task("raw", InstallTask::Reinstall), Ok(()));
        for (name, broken, expected) in [
            ("raw", "raw.img", Some("image raw of host raw cannot be booted: raw.img is gone")),
            (
                "raw",
                "live/vmlinuz",
                Some("image live of host raw cannot be booted: live/vmlinuz is gone"),
            ),
            ("raw", "di/vmlinuz", None),
            ("own", "di/initrd", Some("image di of host own cannot be booted: di/initrd is gone")),
            ("own", "live/vmlinuz", None),
            ("bare", "di/initrd", None),
        ] {
            let fault = |file: &str| (file == broken).then(|| format!("{file} is gone"));
            let refusal = check_files(&site, name, fault).err().map(|error| error.to_string());
            assert_eq!(refusal.as_deref(), expected, "{name} {broken}");
        }
        let refusal = check_confirmed(InstallTask::Erase, "raw", Some("own")).unwrap_err();
        assert!(refusal.to_string().ends_with("confirm=raw"), "{refusal}");
    }

    #[test]
    fn arming_is_refused_where_it_would_destroy_what_is_protected_or_runs() {
        let labels = vec!["db".to_owned()];
        let host = Host { image: Some("di".into()), ..Host::default() };
        let mut site = Site {
            images: [("di".into(), installer()), ("live".into(), Image::default())].into(),
            racks: [("r1".into(), Rack { protected: true, ..Rack::default() })].into(),
            labels: [("db".into(), Label { protected: true })].into(),
            ..Site::default()
        };
        let hosts = [
            ("free", host.clone()),
            ("own", Host { protected: true, ..host.clone() }),
            ("racked", Host { rack: Some("r1".into()), ..host.clone() }),
            ("labelled", Host { labels, ..host.clone() }),
            ("live", Host { image: Some("live".into()), ..Host::default() }),
            ("bare", Host::default()),
        ];
        site.hosts = hosts.map(|(name, host)| (name.to_owned(), host)).into();
        let check = |name: &str, state: Option<InstallState>| {
            let install = state.map(install);
            check_arming(&site, name, install.as_ref(), NOW).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(check("free", None), Ok("di"));
        for state in InstallState::ALL {
            assert_eq!(check("free", Some(state)).is_err(), state == InstallState::Started);
        }
        let refused = [
            ("own", "host own is protected (protected: true on host own); remove that first"),
            ("racked", "host racked is protected (protected: true on rack r1); remove that first"),
            (
                "labelled",
                "host labelled is protected (protected: true on label db); remove that first",
            ),
            ("live", "image live of host live has no boot: once, so there is nothing to arm"),
            ("bare", "host bare has no image; set one that has boot: once"),
            ("nobody", "host nobody does not exist"),
        ];
        for (name, expected) in refused {
            assert_eq!(check(name, None), Err(expected.to_owned()), "{name}");
        }
    }
}
