//! Every site of `tests/golden/` in every format, whole files compared. A format that
//! cannot say what a site needs has its refusal there instead, in a file `REFUSED`.
//!
//! `GOLDEN=write cargo test golden::` writes what is rendered; read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rackstrap::network::{File, Format, Severity, check_site, render_host};
use rackstrap::profile::ResolvedSite;

/// The host that every site of the directory has.
pub(crate) const HOST: &str = "r1-n01";

/// Where the sites and the files made of them are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The sites, by name.
pub(crate) fn sites() -> BTreeMap<String, ResolvedSite> {
    let paths = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let sites = paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    sites.map(|path| (stem(&path), read_site(&path))).collect()
}

/// A site file.
pub(crate) fn read_site(path: &Path) -> ResolvedSite {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a directory by name; none for a directory that is not there.
pub(crate) fn read_files(directory: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let text = |path: PathBuf| (name(&path), fs::read_to_string(path).unwrap());
    entries.map(|entry| text(entry.unwrap().path())).collect()
}

/// Rendered files by name.
pub(crate) fn by_name(files: Vec<File>) -> BTreeMap<String, String> {
    let names: BTreeSet<&String> = files.iter().map(|file| &file.name).collect();
    assert_eq!(names.len(), files.len(), "two files of one name: {names:?}");
    files.into_iter().map(|file| (file.name, file.text)).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_site_renders_to_its_golden_files_in_every_format() {
    let write = std::env::var("GOLDEN").is_ok_and(|value| value == "write");
    let mut wrong = Vec::new();
    for (site_name, site) in sites() {
        for format in Format::ALL {
            let rendered = match render_host(&site, HOST, *format) {
                Ok(files) => by_name(files),
                Err(error) => BTreeMap::from([("REFUSED".to_owned(), format!("{error}\n"))]),
            };
            let golden = directory().join(&site_name).join(format.label());
            if write {
                let _ = fs::remove_dir_all(&golden);
                fs::create_dir_all(&golden).unwrap();
                for (name, text) in &rendered {
                    fs::write(golden.join(name), text).unwrap();
                }
            }
            if read_files(&golden) != rendered {
                wrong.push(format!("{}: {rendered:#?}", golden.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_golden_site_has_an_error() {
    for (name, site) in sites() {
        let mut findings = check_site(&site);
        findings.retain(|finding| finding.severity == Severity::Error);
        assert_eq!(findings, [], "{name}");
    }
}

#[test]
fn ignition_writes_the_very_files_of_networkd() {
    for (name, site) in sites() {
        let text = render_host(&site, HOST, Format::Ignition).unwrap().remove(0).text;
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let written = config["storage"]["files"].as_array().unwrap().iter().map(|file| {
            let url = file["contents"]["source"].as_str().unwrap();
            let text = percent_encoding::percent_decode_str(url.strip_prefix("data:,").unwrap());
            assert_eq!(file["overwrite"], true);
            let mode = file["mode"].as_u64().unwrap();
            (
                file["path"].as_str().unwrap().to_owned(),
                mode,
                text.decode_utf8().unwrap().into_owned(),
            )
        });
        let files = render_host(&site, HOST, Format::Networkd).unwrap();
        let files = files.into_iter().map(|file| (file.path(), file.mode.into(), file.text));
        assert_eq!(written.collect::<Vec<_>>(), files.collect::<Vec<_>>(), "{name}");
    }
}
