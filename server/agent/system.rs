//! What is written into the installed system before its first boot: its identity, its network,
//! who may log in, and its report.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use super::tools;
use super::{About, DeployError};
use crate::deploy::network_format::UnknownNetwork;
use crate::deploy::{Plan, PlanNetwork};
use crate::model::{AuthorizedKey, RootPassword};

/// The report of the installed system: a unit, its program, and where it reports to.
const UNIT: &str = include_str!("report.service");
const PROGRAM: &str = include_str!("../live/guest/rackstrap-report.sh");

/// An installed system below the directory where its root file system is mounted.
pub(super) struct System<'a> {
    root: &'a Path,
}

impl<'a> System<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Makes it this host's.
    pub(super) fn make_own(&self, plan: &Plan, url: &str, mac: &str) -> Result<(), DeployError> {
        // Before anything is written: what is there tells which format it reads.
        let network = self.network(&plan.networks)?;
        self.set_identity(&plan.host, plan.address)?;
        if let Some(PlanNetwork { format, files, .. }) = network {
            self.set_network(*format, files)?;
        }
        self.set_report(url, mac)?;
        self.renew_host_keys()?;
        self.set_authorized_keys(&plan.ssh_authorized_keys)?;
        if let Some(password) = &plan.root_password_hash {
            self.set_root_password(password)?;
        }
        if self.has("/etc/selinux/config") {
            // The live system knows no SELinux, so what it wrote has no labels.
            self.write("/.autorelabel", 0o644, "")?;
        }
        Ok(())
    }

    /// The host's network in the format that the image reads; none if the host has none.
    fn network<'p>(
        &self,
        networks: &'p [PlanNetwork],
    ) -> Result<Option<&'p PlanNetwork>, UnknownNetwork> {
        let network = match networks {
            [] => return Ok(None),
            // The image or the profile says which.
            [one] => one,
            several => {
                let format = self.network_managers().format()?;
                let found = several.iter().find(|network| network.format == format);
                found.ok_or(UnknownNetwork::NotOffered(format))?
            }
        };
        match &network.refusal {
            None => Ok(Some(network)),
            Some(refusal) => {
                Err(UnknownNetwork::Refused { format: network.format, refusal: refusal.clone() })
            }
        }
    }

    fn set_identity(&self, host: &str, address: Option<IpAddr>) -> Result<(), DeployError> {
        /// Debian's way to say that a host has no lasting address.
        const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));
        self.write("/etc/hostname", 0o644, &format!("{host}\n"))?;
        // Proxmox reads its own address from /etc/hosts, and does not start with a loopback's.
        let is_proxmox = self.has("/usr/bin/pvesh");
        let own = address.filter(|_| is_proxmox).unwrap_or(OWN);
        let known = fs::read_to_string(self.inside("/etc/hosts")).unwrap_or_default();
        if !known.lines().any(|line| line.split_whitespace().skip(1).any(|name| name == host)) {
            let line = if known.is_empty() { "127.0.0.1 localhost\n" } else { known.as_str() };
            self.write("/etc/hosts", 0o644, &format!("{own} {host}\n{line}"))?;
        }
        // Hosts with one machine-id have one DUID, and get one address.
        self.write("/etc/machine-id", 0o444, &format!("{}\n", random_hex()?))?;
        let dbus = self.inside("/var/lib/dbus/machine-id");
        if dbus.is_file() && !dbus.is_symlink() {
            fs::remove_file(&dbus).about(dbus.display())?;
        }
        Ok(())
    }

    fn set_report(&self, url: &str, mac: &str) -> Result<(), DeployError> {
        let settings = format!("RACKSTRAP_URL={url}\nRACKSTRAP_MAC={mac}\n");
        self.write("/etc/rackstrap/report.env", 0o644, &settings)?;
        self.write("/usr/local/lib/rackstrap/report", 0o755, PROGRAM)?;
        self.write("/etc/systemd/system/rackstrap-report.service", 0o644, UNIT)?;
        self.enable("rackstrap-report.service")
    }

    /// Host keys of its own, if the image has an SSH server: those of an image are everybody's.
    fn renew_host_keys(&self) -> Result<(), DeployError> {
        let directory = self.inside("/etc/ssh");
        if !self.has("/usr/sbin/sshd") {
            return Ok(());
        }
        for entry in fs::read_dir(&directory).about(directory.display())?.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
                fs::remove_file(entry.path()).about(entry.path().display())?;
            }
        }
        for kind in ["ecdsa", "ed25519"] {
            let key = directory.join(format!("ssh_host_{kind}_key")).display().to_string();
            tools::run(&["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root@host", "-f", &key])?;
        }
        Ok(())
    }

    /// Who may log in as root, in place of whom the image lets in; sshd reads only files that
    /// nobody else may write (sshd_config(5), StrictModes).
    fn set_authorized_keys(&self, keys: &[AuthorizedKey]) -> Result<(), DeployError> {
        if keys.is_empty() {
            return Ok(());
        }
        let directory = self.inside(&format!("{}/.ssh", self.home_of_root()));
        if !directory.is_dir() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(&directory).about(directory.display())?;
        }
        let file = directory.join("authorized_keys");
        let lines: String = keys.iter().map(|key| format!("{}\n", key.as_str())).collect();
        replace(&file, &lines, Access { mode: 0o600, uid: 0, gid: 0 })?;
        Access { mode: 0o700, uid: 0, gid: 0 }.give(&directory)
    }

    /// Root's home directory; that of passwd(5) where the image has another than `/root`.
    fn home_of_root(&self) -> String {
        let users = fs::read_to_string(self.inside("/etc/passwd")).unwrap_or_default();
        let root = users.lines().find(|line| line.starts_with("root:"));
        let home = root.and_then(|line| line.split(':').nth(5)).filter(|it| it.starts_with('/'));
        home.unwrap_or("/root").to_owned()
    }

    /// Sets root's field of shadow(5), and leaves owner, mode and every other line as they are.
    fn set_root_password(&self, password: &RootPassword) -> Result<(), DeployError> {
        let file = self.inside("/etc/shadow");
        let text = fs::read_to_string(&file).about(file.display())?;
        let access = Access::of(&file)?;
        replace(&file, &with_root_password(&text, password), access)
    }

    /// A path of the installed system. Its own symbolic links must not lead into the live system.
    pub(super) fn inside(&self, path: &str) -> PathBuf {
        /// More links than this are a loop (path_resolution(7)).
        const MOST_LINKS: usize = 40;
        let mut open: Vec<PathBuf> = vec![PathBuf::from(path)];
        let mut place: Vec<std::ffi::OsString> = Vec::new();
        let mut links = 0;
        while let Some(next) = open.pop() {
            let mut parts = next.components();
            let Some(part) = parts.next() else { continue };
            let rest = parts.as_path().to_owned();
            if !rest.as_os_str().is_empty() {
                open.push(rest);
            }
            match part {
                Component::RootDir => place.clear(),
                Component::ParentDir => drop(place.pop()),
                Component::Normal(name) => {
                    place.push(name.to_owned());
                    let link = fs::read_link(self.root.join(place.iter().collect::<PathBuf>()));
                    if let Ok(target) = link
                        && links < MOST_LINKS
                    {
                        links += 1;
                        place.pop();
                        open.push(target);
                    }
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        self.root.join(place.iter().collect::<PathBuf>())
    }

    /// Whether there is something at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.inside(path).exists()
    }

    /// Writes a file in place of what is there, and its directories where they are missing.
    pub(super) fn write(&self, path: &str, mode: u32, text: &str) -> Result<(), DeployError> {
        let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
        let directory = self.inside(&directory.to_string_lossy());
        fs::create_dir_all(&directory).about(directory.display())?;
        let place = directory.join(Path::new(path).file_name().unwrap_or_default());
        let _ = fs::remove_file(&place);
        fs::write(&place, text).about(place.display())?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).about(place.display())
    }

    /// The path of a unit, if the image has it.
    pub(super) fn unit(&self, unit: &str) -> Option<String> {
        let places = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
        places.map(|place| format!("{place}/{unit}")).into_iter().find(|path| self.has(path))
    }

    /// Starts a unit at every boot, if the image has it.
    pub(super) fn enable(&self, unit: &str) -> Result<(), DeployError> {
        let Some(target) = self.unit(unit) else { return Ok(()) };
        let wants = self.inside("/etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).about(wants.display())?;
        let link = wants.join(unit);
        if !link.is_symlink() {
            symlink(target, &link).about(link.display())?;
        }
        Ok(())
    }
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Access {
    fn of(path: &Path) -> Result<Self, DeployError> {
        let found = fs::metadata(path).about(path.display())?;
        Ok(Self { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })
    }

    fn give(self, path: &Path) -> Result<(), DeployError> {
        let Self { mode, uid, gid } = self;
        chown(path, Some(uid), Some(gid)).about(path.display())?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).about(path.display())
    }
}

/// Puts a file in the place of another at once: it is never half there, and never open to others.
fn replace(path: &Path, text: &str, access: Access) -> Result<(), DeployError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rackstrap");
    let new = path.with_file_name(name);
    let _ = fs::remove_file(&new);
    fs::write(&new, "").about(new.display())?;
    access.give(&new)?;
    fs::write(&new, text).about(new.display())?;
    fs::rename(&new, path).about(path.display())
}

/// shadow(5) with another password of root. A day 0 of its last change would have it changed at
/// the first login; what the clock of the live system says is not relied on.
fn with_root_password(shadow: &str, password: &RootPassword) -> String {
    let field = password.shadow_field();
    let mut is_known = false;
    let mut lines: Vec<String> = Vec::new();
    for line in shadow.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let ["root", own, rest @ ..] = &mut fields[..] {
            *own = field;
            if let Some(changed) = rest.first_mut().filter(|changed| **changed == "0") {
                *changed = "";
            }
            is_known = true;
        }
        lines.push(fields.join(":"));
    }
    if !is_known {
        lines.insert(0, format!("root:{field}:::::::"));
    }
    lines.join("\n") + "\n"
}

fn random_hex() -> Result<String, DeployError> {
    let mut bytes = [0; 16];
    let source = "/dev/urandom";
    fs::File::open(source).about(source)?.read_exact(&mut bytes).about(source)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.";

    #[test]
    fn only_the_password_of_root_changes() {
        let password: RootPassword = HASH.parse().unwrap();
        let locked: RootPassword = "locked".parse().unwrap();
        let others = "daemon:*:19000:0:99999:7:::\nroots:x:1::::::\n";
        let cases = [
            ("root:*:19000:0:99999:7:::\n", &password, format!("root:{HASH}:19000:0:99999:7:::\n")),
            ("root::0:0:99999:7:::\n", &password, format!("root:{HASH}::0:99999:7:::\n")),
            ("root:$6$a$b:19000::::::\n", &locked, "root:*:19000::::::\n".into()),
            ("", &locked, "root:*:::::::\n".into()),
        ];
        for (root, password, expected) in cases {
            let text = format!("{root}{others}");
            assert_eq!(
                with_root_password(&text, password),
                format!("{expected}{others}"),
                "{root}"
            );
        }
    }

    #[test]
    fn links_of_the_image_stay_inside_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let system = System::new(root);
        fs::create_dir_all(root.join("usr/lib/systemd/system")).unwrap();
        fs::create_dir_all(root.join("run")).unwrap();
        for (target, link) in [
            ("usr/lib", "lib"),
            ("/run", "var"),
            ("../../../../../../etc/passwd", "run/up"),
            ("loop", "loop"),
            ("../lib/systemd", "run/relative"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        for (path, expected) in [
            ("/lib/systemd/system", "usr/lib/systemd/system"),
            ("/var/x", "run/x"),
            ("/var/up", "etc/passwd"),
            ("/run/relative/system", "usr/lib/systemd/system"),
            ("/a/../../b", "b"),
            ("/missing/deep/file", "missing/deep/file"),
        ] {
            assert_eq!(system.inside(path), root.join(expected), "{path}");
        }
        assert!(system.inside("/loop/x").starts_with(root));
    }

    #[test]
    fn keys_and_password_are_for_root_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let system = System::new(root);
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("home-of-root/.ssh")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/home-of-root:/bin/sh\n").unwrap();
        let shadow = root.join("etc/shadow");
        fs::write(&shadow, "root:*:19000:0:99999:7:::\n").unwrap();
        fs::set_permissions(&shadow, fs::Permissions::from_mode(0o640)).unwrap();
        let keys = root.join("home-of-root/.ssh/authorized_keys");
        fs::write(&keys, "ssh-ed25519 of the image\n").unwrap();
        let is_root = nix::unistd::geteuid().is_root();
        if !is_root {
            println!("skipped: needs root to give files away");
            return;
        }
        chown(&shadow, Some(0), Some(42)).unwrap();
        system.set_authorized_keys(&[]).unwrap();
        assert_eq!(fs::read_to_string(&keys).unwrap(), "ssh-ed25519 of the image\n");
        let own: AuthorizedKey = crate::model::login::SAMPLE_KEY.parse().unwrap();
        system.set_authorized_keys(&[own.clone(), own.clone()]).unwrap();
        let line = format!("{}\n", own.as_str());
        assert_eq!(fs::read_to_string(&keys).unwrap(), line.repeat(2));
        let access = |mode, gid| Access { mode, uid: 0, gid };
        assert_eq!(Access::of(&keys).unwrap(), access(0o600, 0));
        assert_eq!(Access::of(&root.join("home-of-root/.ssh")).unwrap(), access(0o700, 0));
        system.set_root_password(&HASH.parse().unwrap()).unwrap();
        let expected = format!("root:{HASH}:19000:0:99999:7:::\n");
        assert_eq!(fs::read_to_string(&shadow).unwrap(), expected);
        assert_eq!(Access::of(&shadow).unwrap(), access(0o640, 42));
        let names: Vec<_> = fs::read_dir(root.join("etc")).unwrap().collect();
        assert_eq!(names.len(), 2, "nothing is left behind");
    }
}
