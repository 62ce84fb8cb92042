//! What the next boot of an armed host does to its data, in words. Pure.

use std::fmt;

use crate::lifecycle::install::{Install, InstallTask};
use crate::model::{DEFAULT_LIVE_SYSTEM, DiskRule, Host, Image};

/// What the next boot does, as a clause behind "its next boot".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An installer of one's own runs. Nothing is known of it but its name.
    Installer {
        /// The image.
        image: String,
    },
    /// A live system writes a disk image to a disk without data.
    Write {
        /// The image.
        image: String,
        /// The host's rule.
        disk: DiskRule,
    },
    /// A live system erases the disk and writes a disk image to it.
    Rewrite {
        /// The image.
        image: String,
        /// The host's rule.
        disk: DiskRule,
    },
    /// A live system erases all disks.
    Erase,
    /// A live system runs once.
    Rescue {
        /// The image with the live system.
        image: String,
    },
    /// A live system erases all disks, and the host is used for nothing any more.
    Release,
}

impl Effect {
    /// What a task does to a host whose image this is.
    pub fn of(task: InstallTask, host: &Host, image: Option<&Image>) -> Self {
        let name = host.image.clone().unwrap_or_default();
        let is_disk_image = image.is_some_and(|image| image.disk.is_some());
        match task {
            InstallTask::Erase => Self::Erase,
            InstallTask::Release => Self::Release,
            InstallTask::Rescue => {
                let disk_image = image.filter(|image| image.disk.is_some());
                let live = disk_image.map_or(DEFAULT_LIVE_SYSTEM, Image::live_system);
                Self::Rescue { image: live.to_owned() }
            }
            InstallTask::Reinstall => Self::Rewrite { image: name, disk: host.disk.clone() },
            InstallTask::Install if is_disk_image => {
                Self::Write { image: name, disk: host.disk.clone() }
            }
            InstallTask::Install => Self::Installer { image: name },
        }
    }
}

/// A disk of a host, by its rule.
struct Selected<'a>(&'a DiskRule);

impl fmt::Display for Selected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("its only disk"),
            false if self.0.raid.is_some() => {
                write!(f, "the two disks that match its rule ({})", self.0)
            }
            false => write!(f, "the disk that matches its rule ({})", self.0),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installer { image } => write!(f, "installs {image} and erases its disk"),
            Self::Write { image, disk } => {
                let (has_data, it) = match disk.raid {
                    Some(_) => ("one of them has data", "them"),
                    None => ("that has data", "it"),
                };
                write!(
                    f,
                    "installs {image} on {}; if {has_data}, nothing is written, and what is on \
                     {it} is reported",
                    Selected(disk)
                )
            }
            Self::Rewrite { image, disk } => {
                write!(f, "erases {} and installs {image}", Selected(disk))
            }
            Self::Erase => f.write_str("erases all of its disks and switches it off"),
            Self::Rescue { image } => {
                write!(f, "starts the live system {image} once and leaves all disks as they are")
            }
            Self::Release => f.write_str(
                "erases all of its disks and switches it off; then its image, profile, tenant, \
                 labels and addresses are removed from the inventory",
            ),
        }
    }
}

/// What arming a host replaces, if it was armed for something else.
pub fn replaced(stored: Option<&Install>, task: InstallTask, now: i64) -> Option<InstallTask> {
    stored.filter(|it| it.armed_at(now).is_some() && it.task != task).map(|it| it.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_boot_destroys_is_said_in_words() {
        let raw = Image { disk: Some("a.raw".into()), ..Image::default() };
        let own = Image { kernel: Some("vmlinuz".into()), ..Image::default() };
        let image = Some("deb".to_owned());
        let bare = Host { image: image.clone(), ..Host::default() };
        let disk = serde_json::from_str(r#"{"type":"nvme","min-size":"400G"}"#).unwrap();
        let ruled = Host { image: image.clone(), disk, ..Host::default() };
        let disk = serde_json::from_str(r#"{"type":"ssd","raid":"raid1"}"#).unwrap();
        let mirrored = Host { image, disk, ..Host::default() };
        #[rustfmt::skip]
        let cases = [
            (InstallTask::Install, &bare, &own, "installs deb and erases its disk"),
            (InstallTask::Install, &bare, &raw, "installs deb on its only disk; if that has data, nothing is written, and what is on it is reported"),
            (InstallTask::Reinstall, &bare, &raw, "erases its only disk and installs deb"),
            (InstallTask::Reinstall, &ruled, &raw, "erases the disk that matches its rule (type nvme, at least 400 GB) and installs deb"),
            (InstallTask::Install, &mirrored, &raw, "installs deb on the two disks that match its rule (type ssd, two disks as RAID 1); if one of them has data, nothing is written, and what is on them is reported"),
            (InstallTask::Reinstall, &mirrored, &raw, "erases the two disks that match its rule (type ssd, two disks as RAID 1) and installs deb"),
            (InstallTask::Erase, &ruled, &raw, "erases all of its disks and switches it off"),
            (InstallTask::Rescue, &ruled, &raw, "starts the live system live once and leaves all disks as they are"),
            (InstallTask::Rescue, &bare, &own, "starts the live system live once and leaves all disks as they are"),
            (InstallTask::Release, &bare, &raw, "erases all of its disks and switches it off; then its image, profile, tenant, labels and addresses are removed from the inventory"),
        ];
        for (task, host, image, expected) in cases {
            assert_eq!(Effect::of(task, host, Some(image)).to_string(), expected);
        }
    }

    #[test]
    fn only_another_task_that_waits_is_replaced() {
        let armed = Install { task: InstallTask::Erase, ..Install::armed("deb", "test", 0) };
        assert_eq!(replaced(Some(&armed), InstallTask::Install, 1), Some(InstallTask::Erase));
        assert_eq!(replaced(Some(&armed), InstallTask::Erase, 1), None);
        assert_eq!(replaced(Some(&armed), InstallTask::Install, armed.armed_until), None);
        assert_eq!(replaced(None, InstallTask::Install, 1), None);
    }
}
