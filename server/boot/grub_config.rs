//! The GRUB configuration of a host: what the iPXE script is where Secure Boot lets only a signed
//! chain run (shim, GRUB, kernel). Pure.
//!
//! Debian's signed GRUB reads `grub/grub.cfg` beside its boot server and never asks by a MAC: that one
//! file sends every host to its own. It fetches by HTTP since Debian 13 (GRUB 2.12). `exit` is never
//! used: it returns success, after which firmware stays in its setup menu.

use std::fmt::Write;

use super::ipxe_text::{Unsafe, Url, Words};
use super::script::{self, ScriptError, ScriptTarget};
use crate::model::Image;

/// The names by which signed GRUBs ask for their first configuration.
pub(crate) const FIRST_NAMES: [&str; 3] =
    ["grub/grub.cfg", "grub/x86_64-efi/grub.cfg", "grub/arm64-efi/grub.cfg"];

/// Loaders of a local disk, in the order in which they are tried: those of installed systems before
/// the removable path, which is what an older system may have left.
const DISK_LOADERS: [&str; 11] = [
    "/EFI/debian/shimx64.efi",
    "/EFI/ubuntu/shimx64.efi",
    "/EFI/redhat/shimx64.efi",
    "/EFI/rocky/shimx64.efi",
    "/EFI/almalinux/shimx64.efi",
    "/EFI/centos/shimx64.efi",
    "/EFI/fedora/shimx64.efi",
    "/EFI/opensuse/shim.efi",
    "/EFI/proxmox/shimx64.efi",
    "/EFI/debian/shimaa64.efi",
    "/EFI/BOOT/BOOT",
];

/// What every GRUB reads first: it goes on to its own configuration by its MAC, again and again.
pub(crate) fn first(base: &Url) -> Result<String, ScriptError> {
    let server = device(base)?;
    Ok(format!(
        "while true; do\n\
         configfile {server}/boot/$net_default_mac/grub.cfg\n\
         echo 'rackstrap: asking again in 15 s (if http is not found: Debian 12 has no signed GRUB \
         that speaks HTTP, use grubnetx64.efi of Debian 13)'\n\
         sleep 15\n\
         done\n"
    ))
}

/// The configuration that boots `image`; see [`script::boot`].
pub(crate) fn boot(
    target: &ScriptTarget,
    image_name: &str,
    image: &Image,
    with_config: bool,
    dracut: Option<&str>,
) -> Result<String, ScriptError> {
    let mut text = said(&format!("{} boots {image_name}", target.host));
    match (&image.kernel, &image.efi, &image.script, image.local) {
        (Some(kernel), None, None, false) => {
            let initrds = script::initrds(target, image, with_config)?;
            let kernel = target.proven(target.base.of_file(kernel)?, initrds.is_empty());
            let mut line = format!("linux {}", quoted(&path(&kernel)?));
            for argument in script::kernel_line(target, image, &[], dracut)? {
                let argument = argument.to_string();
                // GRUB puts a backslash before these when it joins the arguments.
                if argument.contains(['\\', '\'', '"']) {
                    return Err(ScriptError::NotByGrub(argument));
                }
                let _ = write!(line, " {}", quoted(&argument));
            }
            let mut loaded = "boot".to_owned();
            if !initrds.is_empty() {
                let paths: Result<Vec<String>, ScriptError> =
                    initrds.iter().map(|initrd| Ok(quoted(&path(&initrd.url)?))).collect();
                loaded = format!("if initrd {}; then boot; fi", paths?.join(" "));
            }
            let _ = writeln!(text, "if {line}; then {loaded}; fi");
        }
        (None, Some(efi), None, false) => {
            let program = target.proven(target.base.of_file(efi)?, true);
            let _ = writeln!(text, "if chainloader {}; then boot; fi", quoted(&path(&program)?));
        }
        (None, None, None, true) => return Ok(local(target)),
        (None, None, Some(_), false) => return Err(ScriptError::OnlyIpxe),
        _ => return Err(ScriptError::Ambiguous),
    }
    if target.token.is_some() {
        // The same boot asks again, and shows that it is the same.
        text.push_str(&said("the installer did not start; asking again in 15 s"));
        let own = target.base.join(&format!("boot/{}/grub.cfg", target.url_name.hyphenated()))?;
        let own = target.proven(own, false);
        let _ = writeln!(text, "sleep 15\nconfigfile {}", quoted(&path(&own)?));
    }
    Ok(text)
}

/// The configuration of a host that boots its local disk.
pub(crate) fn local(target: &ScriptTarget) -> String {
    let mut text = said(&format!("{} boots its disk", target.host));
    for loader in DISK_LOADERS {
        let names: &[&str] =
            if loader.ends_with("/BOOT") { &["X64.EFI", "AA64.EFI"] } else { &[""] };
        for name in names {
            // Without root the disk's own loader does not find its files.
            let _ = writeln!(
                text,
                "if search --no-floppy --file --set=root {loader}{name}; then \
                 if chainloader {loader}{name}; then boot; fi; fi"
            );
        }
    }
    text.push_str(&said("no disk has a boot loader that starts; restarting in 60 s"));
    text.push_str("sleep 60\nreboot\n");
    text
}

/// The configuration of a host that cannot boot yet: it says why, a line each.
pub(crate) fn wait(reasons: &[String]) -> String {
    reasons.iter().map(|reason| said(reason)).collect()
}

/// A line for people.
fn said(text: &str) -> String {
    format!("echo {}\n", quoted(&format!("rackstrap: {}", Words::new(text))))
}

/// As one word of a line: nothing is special between single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The server as a device of GRUB's.
fn device(base: &Url) -> Result<String, ScriptError> {
    let text = base.to_string();
    let authority = text.strip_prefix("http://").filter(|it| !it.contains(['/', ',', ')']));
    authority.map(|it| format!("(http,{it})")).ok_or_else(|| Unsafe::Url(text.clone()).into())
}

/// A URL on the server as a path of GRUB's.
fn path(url: &Url) -> Result<String, ScriptError> {
    let text = url.to_string();
    let parts = text.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let (authority, path) = parts.ok_or_else(|| Unsafe::Url(text.clone()))?;
    Ok(format!("(http,{authority})/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::test_target;

    fn target() -> ScriptTarget {
        ScriptTarget {
            base: "http://10.77.0.1:8080".parse().unwrap(),
            system_base: "http://10.77.0.1:8080".parse().unwrap(),
            address: None,
            labels: Vec::new(),
            ..test_target::target()
        }
    }

    fn live() -> Image {
        Image { cmdline: "console=ttyS0 a=$b;c".into(), ..test_target::live() }
    }

    #[test]
    fn every_grub_goes_on_to_its_own_configuration() {
        let text = first(&"http://10.77.0.1:8080".parse().unwrap()).unwrap();
        assert!(
            text.contains("\nconfigfile (http,10.77.0.1:8080)/boot/$net_default_mac/grub.cfg\n")
        );
        assert!(first(&"https://10.77.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_kernel_is_loaded_with_all_initrds_and_the_hosts_words() {
        let expected = "echo 'rackstrap: r1-n01 boots live'\n\
            if linux '(http,10.77.0.1:8080)/files/live/vmlinuz' 'BOOTIF=01-52-54-00-aa-00-01' \
            'rackstrap.url=http://10.77.0.1:8080' 'console=ttyS0' 'a=$b;c'; then \
            if initrd '(http,10.77.0.1:8080)/files/live/initrd.img' \
            '(http,10.77.0.1:8080)/config/52-54-00-aa-00-01.cpio.gz'; then boot; fi; fi\n";
        assert_eq!(boot(&target(), "live", &live(), true, None).unwrap(), expected);
        let bare = Image { initrd: Vec::new(), ..live() };
        assert!(
            boot(&target(), "live", &bare, false, None).unwrap().ends_with("; then boot; fi\n")
        );
    }

    #[test]
    fn a_boot_that_installs_shows_its_token() {
        let target = ScriptTarget { token: Some("t0ken".parse().unwrap()), ..target() };
        let text = boot(&target, "debian", &live(), true, None).unwrap();
        for expected in [
            "/files/live/vmlinuz?token=t0ken'",
            "/files/live/initrd.img?token=t0ken'",
            "/config/52-54-00-aa-00-01.cpio.gz?last=t0ken'",
            "\nconfigfile '(http,10.77.0.1:8080)/boot/52-54-00-aa-00-01/grub.cfg?token=t0ken'\n",
            " 'rackstrap.token=t0ken' ",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn what_grub_would_change_or_cannot_run_is_refused() {
        for cmdline in ["a=\\x", "a='x'", "a=\"x\""] {
            let image = Image { cmdline: cmdline.into(), ..live() };
            let refused = boot(&target(), "live", &image, false, None);
            assert!(matches!(refused, Err(ScriptError::NotByGrub(_))), "{cmdline}: {refused:?}");
        }
        let script = Image { script: Some("x.ipxe".into()), ..Image::default() };
        assert_eq!(boot(&target(), "x", &script, false, None), Err(ScriptError::OnlyIpxe));
        let empty = Image::default();
        assert_eq!(boot(&target(), "x", &empty, false, None), Err(ScriptError::Ambiguous));
    }

    #[test]
    fn nothing_becomes_a_command_of_its_own() {
        let evil = "x'; reboot; echo '\n$y";
        let kernel = Image { kernel: Some(evil.into()), ..live() };
        let text = boot(&target(), evil, &kernel, false, None).unwrap();
        let plain = boot(&target(), "x", &live(), false, None).unwrap();
        assert_eq!(text.lines().count(), plain.lines().count(), "{text}");
        assert!(!text.contains("'; reboot"), "{text}");
        let text = wait(&[evil.to_owned()]);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("echo 'rackstrap: x") && text.ends_with("'\n"), "{text}");
    }

    #[test]
    fn the_disk_is_searched_for_its_loader() {
        let text = local(&target());
        let line = "if search --no-floppy --file --set=root /EFI/BOOT/BOOTX64.EFI; then \
                    if chainloader /EFI/BOOT/BOOTX64.EFI; then boot; fi; fi\n";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("sleep 60\nreboot\n") && !text.contains("exit"), "{text}");
    }
}
