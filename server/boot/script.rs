//! The iPXE script of a host: what to fetch, how often to try, what to say on its console. Pure.
//!
//! A script never gives up: a file that does not come is asked for again, then
//! the script itself is, so that a rack which was powered on before its server
//! comes up by itself. It must run on the 2019 iPXE of Debian 12 as it is.

use std::net::IpAddr;

use askama::Template;

use super::UrlName;
use super::ipxe_text::{BootToken, KernelArg, Unsafe, Url, Words};
use crate::model::command_line::HostWord;
use crate::model::{DRACUT_WORD, Image, LocalBoot, NicAddress};

/// Whom a script is for, and where it fetches from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptTarget {
    /// The host's name.
    pub host: String,
    /// What the URLs name it by: the NIC that boots, or its name.
    pub url_name: UrlName,
    /// The NIC that boots, if it is known.
    pub nic: Option<NicAddress>,
    /// This server as the boot loader reaches it.
    pub base: Url,
    /// This server as what is booted reaches it, which does not know the CA of [`Self::base`].
    pub system_base: Url,
    /// The address that the host boots with, if it is known.
    pub address: Option<IpAddr>,
    /// The host's labels.
    pub labels: Vec<String>,
    /// The token of the boot that installs, for an image with `boot: once`.
    pub token: Option<BootToken>,
}

/// Why no iPXE script can be written for an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    /// Something in it would not come through a script as it is.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// It says nothing, or two things.
    #[error("exactly one of kernel, efi, script and local must be given")]
    Ambiguous,
    /// A placeholder needs the host's network, and it has none.
    #[error("{DRACUT_WORD} is on its command line, and the host has no network to stand there")]
    NoNetwork,
    /// GRUB would pass it on with other signs.
    #[error("GRUB changes the kernel argument \"{0}\": no quote and no backslash")]
    NotByGrub(String),
    /// An iPXE script, for a host that boots by GRUB.
    #[error("an image with an iPXE script needs iPXE, and this host boots by GRUB")]
    OnlyIpxe,
    /// The template failed.
    #[error("the script did not render")]
    Template,
}

impl From<askama::Error> for ScriptError {
    fn from(_: askama::Error) -> Self {
        Self::Template
    }
}

/// One initrd: its name on the kernel line, and where it is.
pub(super) struct Initrd {
    name: String,
    pub(super) url: Url,
    /// Where the script goes when it has come.
    next: String,
}

#[derive(Template)]
#[template(path = "linux.ipxe")]
struct Linux<'a> {
    title: Words,
    kernel: Url,
    arguments: &'a [KernelArg],
    first: String,
    initrds: &'a [Initrd],
    script: Url,
}

#[derive(Template)]
#[template(path = "efi.ipxe")]
struct Efi {
    title: Words,
    program: Url,
    script: Url,
}

#[derive(Template)]
#[template(path = "custom.ipxe")]
struct Custom {
    title: Words,
    base: Url,
    mac: UrlName,
    custom: Url,
    script: Url,
    token: Option<BootToken>,
}

#[derive(Template)]
#[template(path = "local.ipxe")]
struct Local {
    title: Words,
    /// Whether iPXE starts the disk itself before it returns an error to the firmware.
    starts_disk: bool,
}

#[derive(Template)]
#[template(path = "wait.ipxe")]
struct Wait {
    lines: Vec<Words>,
    script: Url,
}

#[derive(Template)]
#[template(path = "autoexec.ipxe")]
struct Autoexec {
    base: Url,
}

/// The script that boots `image`, which has the name `image_name`. With
/// `with_config` the host's network configuration goes along as the last initrd; `dracut` is
/// the same in the words of dracut's command line, for an image that [wants](Image::wants_dracut) it.
pub(crate) fn boot(
    target: &ScriptTarget,
    image_name: &str,
    image: &Image,
    with_config: bool,
    dracut: Option<&str>,
) -> Result<String, ScriptError> {
    let title = Words::new(&format!("{} boots {image_name}", target.host));
    let script = script_url(target)?;
    let text = match (&image.kernel, &image.efi, &image.script, image.local) {
        (Some(kernel), None, None, false) => {
            let initrds = initrds(target, image, with_config)?;
            let arguments = kernel_line(target, image, &initrds, dracut)?;
            let kernel = target.proven(target.base.of_file(kernel)?, initrds.is_empty());
            let first = label(0, initrds.len());
            let arguments = &arguments;
            Linux { title, kernel, arguments, first, initrds: &initrds, script }.render()
        }
        (None, Some(efi), None, false) => {
            let program = target.proven(target.base.of_file(efi)?, true);
            Efi { title, program, script }.render()
        }
        (None, None, Some(custom), false) => {
            let custom = target.proven(target.base.of_file(custom)?, true);
            let (base, mac, token) =
                (target.base.clone(), target.url_name.clone(), target.token.clone());
            Custom { title, base, mac, custom, script, token }.render()
        }
        (None, None, None, true) => return local(target, image.local_boot.unwrap_or_default()),
        _ => return Err(ScriptError::Ambiguous),
    };
    Ok(text?)
}

/// The script of a host that boots its local disk. It never ends in success, which would leave
/// UEFI in its setup menu.
pub(crate) fn local(target: &ScriptTarget, way: LocalBoot) -> Result<String, ScriptError> {
    let title = Words::new(&format!("{} boots its disk", target.host));
    Ok(Local { title, starts_disk: way != LocalBoot::Exit }.render()?)
}

/// The script of a host that cannot boot yet: it says why, a line each, waits
/// and asks again, so that a host which is adopted or mended goes on by itself.
pub(crate) fn wait(target: &ScriptTarget, reasons: &[String]) -> Result<String, ScriptError> {
    let lines = reasons.iter().map(|reason| Words::new(reason)).collect();
    Ok(Wait { lines, script: script_url(target)? }.render()?)
}

/// The script for whoever does not say who it is: it goes on to its own script by its MAC.
pub(crate) fn autoexec(base: &Url) -> Result<String, ScriptError> {
    Ok(Autoexec { base: base.clone() }.render()?)
}

/// Where the host fetches its script.
fn script_url(target: &ScriptTarget) -> Result<Url, Unsafe> {
    let url = target.base.join(&format!("boot/{}.ipxe", target.url_name.hyphenated()))?;
    Ok(target.proven(url, false))
}

impl ScriptTarget {
    /// What a word of the image's command line stands for.
    fn value(&self, word: HostWord) -> Option<String> {
        match word {
            HostWord::Mac => self.nic.map(|nic| nic.to_string()),
            HostWord::Host => Some(self.host.clone()),
            HostWord::Server => Some(self.system_base.authority().to_owned()),
            HostWord::Address => self.address.map(|address| address.to_string()),
            HostWord::ConfigUrl => {
                let path = format!("config/{}", self.url_name.hyphenated());
                self.system_base.join(&path).ok().map(|url| url.to_string())
            }
            HostWord::RecipeUrl => {
                let token = self.token.as_ref().map_or("-", BootToken::as_str);
                let path = format!("recipe/{}/{token}", self.url_name.hyphenated());
                self.system_base.join(&path).ok().map(|url| url.to_string())
            }
            HostWord::Labels => Some(self.labels.join(",")).filter(|labels| !labels.is_empty()),
        }
    }

    /// A URL with the token of the boot, if there is one. `is_last` marks the file after which
    /// nothing keeps the installer from running.
    pub(super) fn proven(&self, url: Url, is_last: bool) -> Url {
        match &self.token {
            Some(token) => url.with_token(token, is_last),
            None => url,
        }
    }
}

/// The initrds in the order in which the kernel unpacks them: the host's own files last.
pub(super) fn initrds(
    target: &ScriptTarget,
    image: &Image,
    with_config: bool,
) -> Result<Vec<Initrd>, Unsafe> {
    let mut urls = Vec::new();
    for name in &image.initrd {
        urls.push(target.base.of_file(name)?);
    }
    if with_config {
        urls.push(target.base.join(&format!("config/{}.cpio.gz", target.url_name.hyphenated()))?);
    }
    let count = urls.len();
    let prove = |(index, url)| target.proven(url, index + 1 == count);
    let urls: Vec<Url> = urls.into_iter().enumerate().map(prove).collect();
    let initrd = |(index, url)| Initrd {
        name: format!("initrd{index}"),
        url,
        next: label(index + 1, count),
    };
    Ok(urls.into_iter().enumerate().map(initrd).collect())
}

/// The label of the script's part that fetches an initrd; after the last one it boots.
fn label(index: usize, count: usize) -> String {
    if index < count { format!("initrd{index}") } else { "start".into() }
}

/// The image's command line, with what tells the booted system where it comes from.
pub(super) fn kernel_line(
    target: &ScriptTarget,
    image: &Image,
    initrds: &[Initrd],
    dracut: Option<&str>,
) -> Result<Vec<KernelArg>, ScriptError> {
    let mut arguments = Vec::new();
    // Under UEFI the kernel's stub loads exactly the initrds that are named here,
    // in this order; a BIOS kernel ignores the names.
    for initrd in initrds {
        arguments.push(format!("initrd={}", initrd.name).parse()?);
    }
    // 01 is the ARP hardware type of Ethernet, as PXELINUX writes it. Initramfs compare it with a
    // MAC, and find no link of InfiniBand by it.
    if let Some(mac) = target.nic.and_then(NicAddress::mac) {
        arguments.push(format!("BOOTIF=01-{}", mac.hyphenated()).parse()?);
    }
    arguments.push(format!("rackstrap.url={}", target.system_base).parse()?);
    if let Some(token) = &target.token {
        arguments.push(format!("rackstrap.token={token}").parse()?);
    }
    if image.disk.is_some() {
        arguments.push("rackstrap.deploy".parse()?);
    }
    for word in image.cmdline.split_whitespace() {
        if word != DRACUT_WORD {
            arguments.push(KernelArg::fill(word, |word| target.value(word))?);
            continue;
        }
        // Else the NIC that BOOTIF names would be asked by DHCP too, though a bond takes it.
        arguments.push("rd.bootif=0".parse()?);
        arguments.extend(KernelArg::split(dracut.ok_or(ScriptError::NoNetwork)?)?);
    }
    KernelArg::check_length(&arguments)?;
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::test_target::{live, target};
    use crate::model::Site;

    #[test]
    fn every_kind_of_image_has_its_script() {
        let efi = Image { efi: Some("tools/shell.efi".into()), ..Image::default() };
        let custom = Image { script: Some("menus/rescue.ipxe".into()), ..Image::default() };
        let local = Image { local: true, ..Image::default() };
        let leaves = Image { local_boot: Some(LocalBoot::Exit), ..local.clone() };
        let bare = Image { initrd: vec![], cmdline: String::new(), ..live() };
        let cases = [
            (live(), true, include_str!("../../tests/scripts/linux.ipxe")),
            (bare, false, include_str!("../../tests/scripts/kernel-alone.ipxe")),
            (efi, false, include_str!("../../tests/scripts/efi.ipxe")),
            (custom, false, include_str!("../../tests/scripts/custom.ipxe")),
            (local, false, include_str!("../../tests/scripts/local.ipxe")),
            (leaves, false, include_str!("../../tests/scripts/local-exit.ipxe")),
        ];
        for (image, with_config, expected) in cases {
            assert_eq!(boot(&target(), "live", &image, with_config, None).unwrap(), expected);
        }
    }

    #[test]
    fn a_boot_that_installs_shows_its_token_everywhere() {
        let target = ScriptTarget { token: Some("t0ken".parse().unwrap()), ..target() };
        let script = boot(&target, "debian", &live(), true, None).unwrap();
        let urls: Vec<&str> =
            script.split_whitespace().filter(|word| word.starts_with("http://")).collect();
        let expected = [
            "http://10.77.0.1/files/live/vmlinuz?token=t0ken",
            "http://10.77.0.1/files/live/initrd.img?token=t0ken",
            "http://10.77.0.1/config/52-54-00-aa-00-01.cpio.gz?last=t0ken",
            "http://10.77.0.1/boot/52-54-00-aa-00-01.ipxe?token=t0ken",
        ];
        assert_eq!(urls, expected);
        assert_eq!(script.matches("rackstrap.token=t0ken").count(), 1);
        let efi = Image { efi: Some("setup.efi".into()), ..Image::default() };
        let custom = Image { script: Some("setup.ipxe".into()), ..Image::default() };
        for (image, file) in [(efi, "setup.efi"), (custom, "setup.ipxe")] {
            let script = boot(&target, "setup", &image, false, None).unwrap();
            assert!(script.contains(&format!("/files/{file}?last=t0ken")), "{script}");
            // It may have changed the disk before it failed.
            assert!(script.contains("|| exit 1"), "{script}");
        }
    }

    #[test]
    fn a_disk_image_boots_the_live_system_that_writes_it() {
        let disk = Image { disk: Some("images/debian.raw.zst".into()), ..Image::default() };
        let missing = Image { live_system: Some("other".into()), ..disk.clone() };
        let site = Site {
            images: [("live", live()), ("debian", disk), ("lost", missing)]
                .map(|(name, image)| (name.to_owned(), image))
                .into(),
            ..Site::default()
        };
        let target = ScriptTarget { token: Some("t0ken".parse().unwrap()), ..target() };
        let image = site.image_to_boot("debian").unwrap();
        assert!(image.installs() && image.has_file("images/debian.raw.zst"));
        let script = boot(&target, "debian", &image, true, None).unwrap();
        assert!(script.contains("/files/live/vmlinuz?token=t0ken"), "{script}");
        assert!(script.contains(" rackstrap.deploy console=ttyS0 quiet"), "{script}");
        let lost = site.image_to_boot("lost").unwrap();
        assert_eq!(boot(&target, "lost", &lost, true, None), Err(ScriptError::Ambiguous));
        assert!(!site.image_to_boot("live").unwrap().installs());
    }

    #[test]
    fn a_host_that_cannot_boot_is_told_why_and_asks_again() {
        let reasons = [
            "52:54:00:aa:00:01 is not in the inventory".to_owned(),
            "address 10.0.0.1 || reboot is ${taken}\nreboot".to_owned(),
        ];
        let expected = include_str!("../../tests/scripts/wait.ipxe");
        assert_eq!(wait(&target(), &reasons).unwrap(), expected);
    }

    #[test]
    fn an_unknown_caller_is_sent_on_by_its_mac() {
        let expected = include_str!("../../tests/scripts/autoexec.ipxe");
        assert_eq!(autoexec(&target().base).unwrap(), expected);
    }

    #[test]
    fn an_image_that_says_nothing_or_two_things_is_refused() {
        let two = Image { local: true, ..live() };
        for image in [Image::default(), two] {
            assert_eq!(boot(&target(), "x", &image, false, None), Err(ScriptError::Ambiguous));
        }
    }

    #[test]
    fn nothing_in_an_image_becomes_a_line_of_its_own() {
        let evil = "x\nchain http://evil\r\n${y} || reboot && shell ; #";
        let lines =
            |image: &Image| boot(&target(), evil, image, false, None).map(|s| s.lines().count());
        let expected = boot(&target(), "x", &live(), false, None).unwrap().lines().count();
        let kernel = Image { kernel: Some(evil.into()), ..live() };
        let initrd = Image { initrd: vec![evil.into()], ..live() };
        assert_eq!(lines(&live()), Ok(expected));
        assert_eq!(lines(&kernel), Ok(expected));
        assert_eq!(lines(&initrd), Ok(expected));
        assert!(lines(&Image { cmdline: evil.into(), ..live() }).is_err());
    }

    #[test]
    fn words_stand_for_the_host() {
        let cmdline = "u={config-url}/ignition/config.ign h={host},{mac} s=http://{server}/x \
                       a={address} l={labels} p=$1$a|b#c\\d";
        let image = Image { cmdline: cmdline.into(), ..live() };
        let line = |target: &ScriptTarget| {
            let script = boot(target, "live", &image, false, None)?;
            let kernel = script.lines().find(|line| line.contains("u=")).unwrap_or_default();
            Ok::<_, ScriptError>(kernel.split_once(" u=").unwrap_or_default().1.to_owned())
        };
        let expected = "http://10.77.0.1/config/52-54-00-aa-00-01/ignition/config.ign \
                        h=r1-n01,52:54:00:aa:00:01 s=http://10.77.0.1/x a=10.77.0.12 l=db,blue \
                        p=$1$a|b#c\\d && goto";
        assert!(line(&target()).unwrap().starts_with(expected), "{:?}", line(&target()));
        let system_base = "http://10.77.0.1:8080".parse().unwrap();
        let ported = ScriptTarget { system_base, ..target() };
        assert!(line(&ported).unwrap().contains(" s=http://10.77.0.1:8080/x "));
        for lacking in [
            ScriptTarget { address: None, ..target() },
            ScriptTarget { labels: Vec::new(), ..target() },
            // Whatever a value is, it adds no argument.
            ScriptTarget { host: "a reboot".into(), ..target() },
            ScriptTarget { labels: vec!["x || reboot".into()], ..target() },
            ScriptTarget { labels: vec!["x\nreboot".into()], ..target() },
        ] {
            assert!(line(&lacking).is_err(), "{lacking:?}");
        }
    }

    #[test]
    fn what_is_booted_by_https_goes_on_by_http() {
        let base: Url = "https://10.77.0.1".parse().unwrap();
        let target = ScriptTarget { base, ..target() };
        let script = boot(&target, "live", &live(), true, None).unwrap();
        assert!(script.contains(" rackstrap.url=http://10.77.0.1 "), "{script}");
        assert_eq!(script.matches("http://").count(), 1, "{script}");
    }

    #[test]
    fn the_hosts_network_stands_where_the_command_line_asks_for_it() {
        let image = Image { cmdline: "quiet {dracut} inst.text".into(), ..live() };
        let line = |dracut| {
            let script = boot(&target(), "installer", &image, false, dracut)?;
            let kernel = script.lines().find(|line| line.contains("quiet")).unwrap_or_default();
            Ok(kernel.split_once("quiet ").unwrap_or_default().1.to_owned())
        };
        let network = "rd.neednet=1 bond=bond0:nic0,nic1:mode=802.3ad ip=bond0:dhcp\n";
        let expected =
            "rd.bootif=0 rd.neednet=1 bond=bond0:nic0,nic1:mode=802.3ad ip=bond0:dhcp inst.text";
        assert!(line(Some(network)).unwrap().starts_with(expected), "{:?}", line(Some(network)));
        assert_eq!(line(None), Err(ScriptError::NoNetwork));
    }
}
