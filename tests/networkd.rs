//! The files that are written for systemd-networkd, and what the real one says to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rackstrap::model::Site;
use rackstrap::network::{File, Format, render_host};

const LAYOUTS: [&str; 3] = ["1-bond", "2-bond-vlan", "3-bond-vlan-bridge"];

fn layouts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layouts")
}

fn layout_site(layout: &str) -> Site {
    let text = fs::read_to_string(layouts().join(format!("{layout}.yaml"))).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn by_name(files: Vec<File>) -> BTreeMap<String, String> {
    files.into_iter().map(|file| (file.name, file.text)).collect()
}

fn read_directory(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let text = |path: PathBuf| fs::read_to_string(path).unwrap();
    entries.map(|e| (e.file_name().into_string().unwrap(), text(e.path()))).collect()
}

#[test]
fn a_verbatim_profile_gives_the_operators_own_files_byte_for_byte() {
    for layout in LAYOUTS {
        let files = render_host(&layout_site(layout), "r1-n01", Format::Networkd).unwrap();
        assert_eq!(by_name(files), read_directory(&layouts().join(layout)), "{layout}");
    }
}
