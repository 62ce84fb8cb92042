//! What a client may boot: the one decision that every entrance asks. Pure.
//!
//! Entrances are DHCP on ports 67 and 4011, DHCPv6, TFTP, `/boot/...`, `/autoexec.ipxe` (which
//! leads to `/boot/...`), `/files/...`, UEFI HTTP Boot and a Raspberry Pi's ROM. None of them
//! looks at an image or an install by itself.

use crate::lifecycle::install::{Install, InstallTask};
use crate::model::{
    DEFAULT_LIVE_SYSTEM, Host, Image, Limits, LocalBoot, NewHosts, OutsideLimits, Site, decide_host,
};

/// What a client may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootSource<'a> {
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

/// Decides what a client may boot: `host` is the host of the inventory that it is, `images` finds
/// an image by its name, `install` is the latest install of the host, `token_hash` that of the
/// token that shows which boot asks, and `now` is in Unix seconds. A protected host is not
/// installed.
pub fn decide<'site>(
    host: Option<&'site Host>,
    images: impl Fn(&str) -> Option<&'site Image>,
    install: Option<&Install>,
    is_protected: bool,
    token_hash: Option<&str>,
    now: i64,
) -> BootSource<'site> {
    let Some(host) = host else { return BootSource::Unknown };
    // Whatever it boots otherwise; its disks are left as they are, protected or not.
    let rescue = install.filter(|install| install.task == InstallTask::Rescue);
    if let Some(install) = rescue
        && let Some(image) = images(&install.image)
    {
        let goes_on = |token_hash: &str| install.may_go_on(&install.image, token_hash, now);
        let is_proven = token_hash.is_some_and(goes_on);
        if is_proven || install.may_begin(&install.image, now) {
            return BootSource::Install { image, is_proven };
        }
    }
    let Some(name) = host.image.as_deref() else { return BootSource::NoImage };
    let Some(image) = images(name) else { return BootSource::NoImage };
    let to_disk = BootSource::Disk(local_boot(host, image));
    if image.local {
        return to_disk;
    }
    if !image.installs() {
        return BootSource::Image(image);
    }
    let Some(install) = install else { return to_disk };
    let goes_on = |token_hash: &str| install.may_go_on(name, token_hash, now);
    let is_proven = token_hash.is_some_and(goes_on);
    // An install that runs is not stopped halfway.
    if is_proven || (!is_protected && install.may_begin(name, now)) {
        return BootSource::Install { image, is_proven };
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
pub fn may_fetch(boot_source: &BootSource<'_>, path: &str, site: &Site) -> bool {
    if is_public(path, site) {
        return true;
    }
    match boot_source {
        BootSource::Install { image, is_proven: true } => image.has_file_in_any_case(path),
        _ => false,
    }
}

/// Whether a file is given to anybody: no image that installs uses it in any spelling, or one that
/// boots every time has this very name.
pub fn is_public(path: &str, site: &Site) -> bool {
    let mut installing = site.images.values().filter(|image| image.installs());
    is_of_a_live_image(path, site) || !installing.any(|image| image.has_file_in_any_case(path))
}

fn is_of_a_live_image(path: &str, site: &Site) -> bool {
    site.images.values().any(|image| !image.installs() && image.has_file(path))
}

/// The files that a client must not get by a name that it [may fetch](may_fetch): a link may lead
/// to them. None if an image that the client may boot has this very name.
pub fn withheld(boot_source: &BootSource<'_>, path: &str, site: &Site) -> Vec<String> {
    let is_its_own = |image: &Image| image.has_file(path);
    if is_of_a_live_image(path, site)
        || matches!(boot_source, BootSource::Install { image, is_proven: true } if is_its_own(image))
    {
        return Vec::new();
    }
    let installing = site.images.values().filter(|image| image.installs());
    let files = installing.flat_map(|image| image.files().map(|(_, file)| file));
    files.filter(|file| !may_fetch(boot_source, file, site)).map(str::to_owned).collect()
}

/// Whether a Raspberry Pi's ROM may fetch files by TFTP. It boots whatever it finds there.
pub fn may_serve_rom(boot_source: &BootSource<'_>) -> bool {
    matches!(boot_source, BootSource::Unknown | BootSource::Image(_))
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
    /// It destroys data of several hosts, and their number was not given.
    #[error(
        "{task} destroys the data of {} hosts ({}): confirm it with their number, confirm=\"{} hosts\"",
        hosts.len(),
        hosts.join(", "),
        hosts.len()
    )]
    NotAllConfirmed {
        /// The hosts.
        hosts: Vec<String>,
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
    /// There is nothing to start.
    #[error(
        "rescue starts a live system, and image {image} {fault}; make one with rackstrap image build live"
    )]
    NoRescue {
        /// The image that was looked for.
        image: String,
        /// What is wrong with it.
        fault: &'static str,
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
    #[error("host {0} is being installed; wait for its report, or cancel the installation")]
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

/// The disk image that a host is armed for by the policy for new hosts, if it is new: it was never
/// armed, nothing protects it, and it has no other image. Only a live system looks at a disk before
/// it writes there, so no installer is ever started like this.
pub fn image_for_new<'a>(
    site: &'a Site,
    name: &str,
    policy: &NewHosts,
    install: Option<&Install>,
) -> Option<&'a str> {
    let host = site.hosts.get(name)?;
    let NewHosts::Install(wanted) = policy else { return None };
    let (image, _) = site.images.get_key_value(wanted).filter(|(_, it)| it.disk.is_some())?;
    let has_another = host.image.as_ref().is_some_and(|own| own != wanted);
    let is_new = install.is_none() && !has_another && protector(site, name).is_none();
    is_new.then_some(image)
}

/// The name of the image with the live system that a host starts to be looked at.
///
/// # Errors
/// There is no live system, or the host is being installed.
pub fn check_rescue<'a>(
    site: &'a Site,
    name: &str,
    install: Option<&Install>,
    now: i64,
) -> Result<&'a str, ArmRefusal> {
    let host = site.hosts.get(name).ok_or_else(|| ArmRefusal::NoHost(name.to_owned()))?;
    let own = host.image.as_ref().and_then(|image| site.images.get(image));
    let live =
        own.filter(|image| image.disk.is_some()).map_or(DEFAULT_LIVE_SYSTEM, Image::live_system);
    let fault = |fault| ArmRefusal::NoRescue { image: live.to_owned(), fault };
    let (live, image) = site.images.get_key_value(live).ok_or_else(|| fault("does not exist"))?;
    if image.kernel.is_none() || image.installs() {
        return Err(fault("has no kernel that boots every time"));
    }
    if install.is_some_and(|install| install.is_running(now)) {
        return Err(ArmRefusal::Running(name.to_owned()));
    }
    Ok(live)
}

/// What is typed to confirm that these hosts lose data: the name of one, the number of several.
pub fn confirmation(names: &[String]) -> String {
    match names {
        [name] => name.clone(),
        names => format!("{} hosts", names.len()),
    }
}

/// Refuses to erase data of several hosts whose number was not given.
///
/// # Errors
/// The task erases, and the confirmation is missing or another one.
pub fn check_all_confirmed(
    task: InstallTask,
    names: &[String],
    confirmed: Option<&str>,
) -> Result<(), ArmRefusal> {
    if let [name] = names {
        return check_confirmed(task, name, confirmed);
    }
    let expected = confirmation(names);
    if !task.erases() || confirmed.map(str::trim) == Some(expected.as_str()) {
        return Ok(());
    }
    Err(ArmRefusal::NotAllConfirmed { hosts: names.to_vec(), task })
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

/// Whether somebody with these limits may arm a host for a task, or call that off: a release takes the
/// host from its tenant and its labels, and may lead out of the limits.
///
/// # Errors
/// The host is outside the limits, or would be. Of a host that does not exist others say so.
pub fn check_limits(
    limits: &[Limits],
    site: &Site,
    name: &str,
    task: InstallTask,
) -> Result<(), OutsideLimits> {
    let Some(host) = site.hosts.get(name) else { return Ok(()) };
    let released = (task == InstallTask::Release).then(|| host.released());
    decide_host(limits, name, Some(host), Some(released.as_ref().unwrap_or(host)))
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
    match site.hosts.get(name).and_then(|host| host.image.as_deref()) {
        Some(own) => check_files_of(site, name, own, fault),
        None => Ok(()),
    }
}

/// [`check_files`] of an image that the host boots once.
///
/// # Errors
/// A file of the image, or of the live system that writes it, cannot be sent.
pub fn check_files_of(
    site: &Site,
    name: &str,
    image: &str,
    fault: impl Fn(&str) -> Option<String>,
) -> Result<(), ArmRefusal> {
    let Some((own, image)) = site.images.get_key_value(image) else {
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
        let to = |is_proven| BootSource::Install { image: &di, is_proven };
        let menu = BootSource::Disk(LocalBoot::Menu);
        #[rustfmt::skip]
        let cases = [
            (None, None, None, None, BootSource::Unknown),
            (Some(&host), None, None, None, BootSource::NoImage),
            (Some(&host), Some(&live), None, None, BootSource::Image(&live)),
            (Some(&host), Some(&disk), None, None, BootSource::Disk(LocalBoot::Exit)),
            (Some(&own_way), Some(&disk), None, None, BootSource::Disk(LocalBoot::Sanboot)),
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
            let decide =
                |is_protected| decide(host, |_| image, install, is_protected, token_hash, NOW);
            assert_eq!(decide(false), expected, "{state:?} {token_hash:?}");
            let protected = decide(true);
            let expected = if expected == to(false) { menu } else { expected };
            assert_eq!(protected, expected, "protected: {state:?} {token_hash:?}");
        }
    }

    #[test]
    fn a_live_system_is_started_once_whatever_the_host_boots_otherwise() {
        use InstallState as S;
        let live = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        let local = Image { local: true, ..Image::default() };
        let di = installer();
        let host = Host { image: Some("di".into()), ..Host::default() };
        let rescue =
            |state| Install { task: InstallTask::Rescue, image: "live".into(), ..install(state) };
        let to = |is_proven| BootSource::Install { image: &live, is_proven };
        let menu = BootSource::Disk(LocalBoot::Menu);
        for (image, after) in [(Some(&local), menu), (Some(&di), menu), (None, BootSource::NoImage)]
        {
            for (state, token_hash, expected) in [
                (S::Armed, None, to(false)),
                (S::Loading, None, to(false)),
                (S::Loading, Some("own"), to(true)),
                (S::Done, Some("own"), after),
                (S::Cancelled, None, after),
            ] {
                let install = rescue(state);
                let images = |name: &str| if name == "live" { Some(&live) } else { image };
                let decided = decide(Some(&host), images, Some(&install), true, token_hash, NOW);
                assert_eq!(decided, expected, "{state}");
            }
        }
        let host = |image: &str| Host { image: Some(image.into()), ..Host::default() };
        let disk = Image {
            disk: Some("a.raw".into()),
            live_system: Some("other".into()),
            ..Image::default()
        };
        let mut site = Site {
            images: [("live".into(), live), ("disk".into(), disk), ("di".into(), di.clone())]
                .into(),
            hosts: [("a".into(), host("di")), ("b".into(), host("disk"))].into(),
            ..Site::default()
        };
        let check = |site: &Site, name: &str, install: Option<&Install>| {
            let found = check_rescue(site, name, install, NOW).map(str::to_owned);
            found.map_err(|refusal| refusal.to_string())
        };
        assert_eq!(check(&site, "a", None), Ok("live".to_owned()));
        assert!(check(&site, "b", None).unwrap_err().contains("image other does not exist"));
        assert!(check(&site, "a", Some(&install(S::Started))).unwrap_err().contains("installed"));
        site.images.insert("live".into(), di);
        assert!(check(&site, "a", None).unwrap_err().contains("no kernel that boots every time"));
        let names = ["a".to_owned(), "b".to_owned()];
        let all = |confirm| check_all_confirmed(InstallTask::Release, &names, confirm);
        assert_eq!(all(Some("2 hosts")), Ok(()));
        for wrong in [None, Some("a"), Some("3 hosts"), Some("2")] {
            let refusal = all(wrong).unwrap_err().to_string();
            assert!(refusal.contains("2 hosts (a, b)"), "{refusal}");
        }
        assert_eq!(check_all_confirmed(InstallTask::Erase, &names[..1], Some("a")), Ok(()));
        assert!(check_all_confirmed(InstallTask::Erase, &names[..1], Some("1 hosts")).is_err());
        assert_eq!(check_all_confirmed(InstallTask::Rescue, &names, None), Ok(()));
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
        let to = |is_proven| BootSource::Install { image: &di, is_proven };
        let disk = BootSource::Disk(LocalBoot::Menu);
        #[rustfmt::skip]
        let cases = [
            (BootSource::Unknown, "di/vmlinuz", false),
            (BootSource::Unknown, "di/initrd", false),
            (BootSource::Unknown, "di/disk.raw", false),
            (BootSource::Unknown, "/di/disk.raw", false),
            (BootSource::Unknown, "live/vmlinuz", true),
            (BootSource::Unknown, "both/vmlinuz", true),
            (BootSource::Unknown, "snponly.efi", true),
            (disk, "both/vmlinuz", true),
            (disk, "live/vmlinuz", true),
            (disk, "di/vmlinuz", false),
            (disk, "di/initrd", false),
            (disk, "snponly.efi", true),
            (BootSource::NoImage, "di/initrd", false),
            (to(false), "di/vmlinuz", false),
            (to(true), "di/vmlinuz", true),
            (to(true), "di/initrd", true),
            (to(true), "di/disk.raw", false),
            (BootSource::Image(&live), "live/vmlinuz", true),
            (BootSource::Image(&live), "di/vmlinuz", false),
            (BootSource::Image(&live), "di/initrd", false),
        ];
        for (boot_source, path, expected) in cases {
            assert_eq!(may_fetch(&boot_source, path, &site), expected, "{boot_source:?} {path}");
        }
    }

    #[test]
    fn a_new_host_is_armed_where_the_policy_says_so_and_nothing_forbids_it() {
        let disk = Some("deb.raw".to_owned());
        let image = Image { disk, boot: BootMode::Once, ..Image::default() };
        let live = Image { kernel: Some("live/vmlinuz".into()), ..Image::default() };
        let own = |image: Option<&str>| Host { image: image.map(str::to_owned), ..Host::default() };
        let hosts = [
            ("bare", own(None)),
            ("same", own(Some("deb"))),
            ("other", own(Some("live"))),
            ("kept", Host { protected: true, ..own(None) }),
            ("racked", Host { rack: Some("r1".into()), ..own(None) }),
        ];
        let site = Site {
            images: [("deb".into(), image), ("live".into(), live), ("di".into(), installer())]
                .into(),
            racks: [("r1".into(), Rack { protected: true, ..Rack::default() })].into(),
            hosts: hosts.map(|(name, host)| (name.to_owned(), host)).into(),
            ..Site::default()
        };
        let deb = || NewHosts::Install("deb".into());
        let cases = [
            ("bare", deb(), None, Some("deb")),
            ("same", deb(), None, Some("deb")),
            ("other", deb(), None, None),
            ("kept", deb(), None, None),
            ("racked", deb(), None, None),
            ("nobody", deb(), None, None),
            ("bare", NewHosts::Ask, None, None),
            // An installer would erase whatever is there.
            ("bare", NewHosts::Install("di".into()), None, None),
            ("bare", NewHosts::Install("live".into()), None, None),
            ("bare", NewHosts::Install("gone".into()), None, None),
        ];
        for (name, policy, install, expected) in cases {
            assert_eq!(image_for_new(&site, name, &policy, install), expected, "{name} {policy}");
        }
        // Installed, failed, released, or called off by hand: it is for a person to arm it again.
        for state in InstallState::ALL {
            let install = install(state);
            assert_eq!(image_for_new(&site, "bare", &deb(), Some(&install)), None, "{state}");
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
