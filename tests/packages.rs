//! The packages that `make package` builds: the same bytes each time, found right by the tools of
//! those who install them. They are built of the program that the tests run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::Uid;
use tempfile::TempDir;

use crate::common::skip::skip;
use crate::common::tools;

/// What `systemd-analyze security` may say of the unit, in tenths.
const EXPOSURE: &str = "25";

/// Builds packages of these formats in a directory.
pub(crate) fn build(out: &Path, formats: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build.sh"))
        .args(formats)
        .env("BINARY", env!("CARGO_BIN_EXE_rackstrap"))
        .env("OUT", out)
        .env("XZ", "-Zgzip -z1")
        .env("RPM_PAYLOAD", "w1.gzdio")
        .env("SOURCE_DATE_EPOCH", "1795900000")
        .env("VERSION", "1.2.3")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// The same, which must succeed. Gives the files that are there afterwards, by their names.
pub(crate) fn built(out: &Path, formats: &[&str], variables: &[(&str, &str)]) -> Vec<PathBuf> {
    let output = build(out, formats, variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What a command that must succeed prints.
fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{errors}");
    said
}

#[test]
fn the_unit_exposes_little_of_the_system() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/rackstrap.service");
    let threshold = format!("--threshold={EXPOSURE}");
    let said = good(Command::new("systemd-analyze").args([
        "security",
        "--offline=yes",
        "--no-pager",
        &threshold,
        unit,
    ]));
    let verdict = said.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    println!("{verdict}");
}

#[test]
fn a_deb_is_the_same_each_time_and_lintian_finds_no_error() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let [deb, again] = [&first, &second].map(|out| built(out.path(), &["deb"], &[]).remove(0));
    assert!(std::fs::read(&deb).unwrap() == std::fs::read(&again).unwrap(), "the bytes differ");
    assert!(deb.ends_with("rackstrap_1.2.3-1_amd64.deb"), "{}", deb.display());
    let said = good(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(&deb));
    println!("lintian: {}", if said.is_empty() { "nothing" } else { &said });
    let listed = good(Command::new("dpkg-deb").arg("-c").arg(&deb));
    for (mode, path) in [
        ("-rwxr-xr-x root/root", "./usr/bin/rackstrap"),
        ("-rw-r--r-- root/root", "./lib/systemd/system/rackstrap.service"),
        ("-rw-r--r-- root/root", "./etc/rackstrap/rackstrap.toml"),
        ("-rw-r--r-- root/root", "./usr/share/man/man1/rackstrap.1.gz"),
        ("-rw-r--r-- root/root", "./usr/share/man/man1/rackstrap-image-add.1.gz"),
        ("-rw-r--r-- root/root", "./usr/share/bash-completion/completions/rackstrap"),
        ("-rw-r--r-- root/root", "./usr/share/zsh/vendor-completions/_rackstrap"),
        ("-rw-r--r-- root/root", "./usr/share/fish/vendor_completions.d/rackstrap.fish"),
    ] {
        let is_there = |line: &str| line.starts_with(mode) && line.ends_with(path);
        assert!(listed.lines().any(is_there), "no {mode} {path} in:\n{listed}");
    }
    let control = good(Command::new("dpkg-deb").arg("-f").arg(&deb));
    assert!(control.contains("Recommends: ipxe, shim-signed, grub-efi-amd64-signed"), "{control}");
    let conffiles = good(Command::new("dpkg-deb").arg("-I").arg(&deb).arg("conffiles"));
    assert_eq!(conffiles, "/etc/rackstrap/rackstrap.toml\n");
}

#[test]
fn an_rpm_is_the_same_each_time_and_installs() {
    let test = "an_rpm_is_the_same_each_time_and_installs";
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        return skip(test, "there is no rpmbuild (Debian: package rpm)");
    }
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let [rpm, again] = [&first, &second].map(|out| built(out.path(), &["rpm"], &[]).remove(0));
    assert!(std::fs::read(&rpm).unwrap() == std::fs::read(&again).unwrap(), "the bytes differ");
    assert!(rpm.ends_with("rackstrap-1.2.3-1.x86_64.rpm"), "{}", rpm.display());
    let root = TempDir::new().unwrap();
    let mut install = Command::new("rpm");
    install.arg("--root").arg(root.path()).args(["-i", "--nodeps", "--noscripts", "--nosignature"]);
    good(install.arg(&rpm));
    let version = good(Command::new(root.path().join("usr/bin/rackstrap")).arg("--version"));
    assert!(version.starts_with("rackstrap "), "{version}");
    let wanted = good(Command::new("rpm").args(["-qp", "--requires", "--nosignature"]).arg(&rpm));
    assert!(wanted.contains("libc.so.6(GLIBC_2."), "{wanted}");
    assert!(root.path().join("usr/lib/systemd/system/rackstrap.service").exists());
    let config = good(Command::new("rpm").args(["-qpc", "--nosignature"]).arg(&rpm));
    assert_eq!(config, "/etc/rackstrap/rackstrap.toml\n");
}

#[test]
fn what_is_built_has_checksums_with_the_builders_signatures() {
    let (out, keys) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let gpg = || {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(keys.path()).args(["--batch", "--quiet"]);
        gpg
    };
    let key = ["--passphrase", "", "--quick-generate-key", "builder@packages.local", "ed25519"];
    good(gpg().args(key));
    let home = keys.path().to_str().unwrap();
    let [secret, public] = ["minisign.key", "minisign.pub"].map(|name| format!("{home}/{name}"));
    // Without a password.
    good(Command::new("minisign").args(["-G", "-W", "-s", &secret, "-p", &public]));
    let by_gpg = [("GNUPGHOME", home), ("SIGN_KEY", "builder@packages.local")];
    let variables = [&by_gpg[..], &[("MINISIGN_KEY", &secret)]].concat();
    built(out.path(), &["tar", "sums"], &variables);
    let sums = out.path().join("SHA256SUMS");
    let verify = || {
        let mut minisign = Command::new("minisign");
        minisign.args(["-V", "-q", "-p", &public, "-m"]).arg(&sums);
        minisign
    };
    good(&mut verify());
    good(
        gpg()
            .arg("--verify")
            .arg(out.path().join("SHA256SUMS.asc"))
            .arg(out.path().join("SHA256SUMS")),
    );
    let said = good(Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(out.path()));
    assert_eq!(said, "rackstrap-1.2.3-linux-amd64.tar.gz: OK\n");
    std::fs::write(&sums, "0 rackstrap-1.2.3-linux-amd64.tar.gz\n").unwrap();
    assert!(!verify().status().unwrap().success(), "other checksums are not the builder's");
    let mut unpack = Command::new("tar");
    good(unpack.arg("-xzf").arg("rackstrap-1.2.3-linux-amd64.tar.gz").current_dir(out.path()));
    let directory = out.path().join("rackstrap-1.2.3-linux-amd64");
    good(Command::new(directory.join("rackstrap")).arg("--version"));
    assert!(directory.join("rackstrap.service").exists());
    let _ =
        Command::new("gpgconf").arg("--homedir").arg(keys.path()).args(["--kill", "all"]).output();
}

#[test]
fn a_container_image_unpacks_and_runs() {
    let test = "a_container_image_unpacks_and_runs";
    let Some(umoci) = tools::find("usr/bin/umoci", &["--version"]) else {
        return skip(test, "there is no umoci below target/tools: run `make tools`");
    };
    if !Uid::effective().is_root() {
        return skip(test, "it changes its root, as root");
    }
    let out = TempDir::new().unwrap();
    let output = build(out.path(), &["oci"], &[]);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return skip(test, &format!("the image cannot be built: {}", why.trim()));
    }
    let (layout, bundle) = (out.path().join("layout"), out.path().join("bundle"));
    std::fs::create_dir(&layout).unwrap();
    let image = out.path().join("rackstrap-1.2.3-amd64.oci.tar");
    good(Command::new("tar").arg("-xf").arg(image).arg("-C").arg(&layout));
    let name = format!("{}:1.2.3", layout.display());
    good(umoci.command().args(["unpack", "--image", &name]).arg(&bundle));
    let config = std::fs::read_to_string(bundle.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["process"]["args"], serde_json::json!(["/usr/bin/rackstrap", "serve"]));
    let root = bundle.join("rootfs");
    let inside = |words: &str| {
        let words = words.split(' ');
        good(Command::new("chroot").arg(&root).arg("/usr/bin/rackstrap").args(words))
    };
    assert!(inside("--version").starts_with("rackstrap "));
    inside("tenant set t1 contact=ops");
    assert!(inside("tenant list").contains("ops"));
    for file in ["usr/lib/ipxe/undionly.kpxe", "etc/ssl/certs/ca-certificates.crt"] {
        assert!(std::fs::metadata(root.join(file)).unwrap().len() > 1000, "{file}");
    }
    assert!(!root.join("bin/sh").exists());
}

#[test]
#[ignore = "compiles cargo-cyclonedx"]
fn the_bill_of_materials_lists_every_crate() {
    let test = "the_bill_of_materials_lists_every_crate";
    let out = TempDir::new().unwrap();
    let output = build(out.path(), &["sbom"], &[]);
    if !output.status.success() {
        return skip(test, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = std::fs::read_to_string(out.path().join("rackstrap-1.2.3.cdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "a path of the builder is in it");
    let names: Vec<&str> =
        bill["components"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    for crate_ in ["axum", "dhcproto", "sqlx", "tokio"] {
        assert!(names.contains(&crate_), "{crate_} is not among {} components", names.len());
    }
}

/// What `make package` and `make package ARCH=arm64` compile, with less optimisation.
#[test]
#[ignore = "compiles the program four times: make test-full"]
fn packages_of_arm64_are_cross_compiled_and_the_tarballs_program_needs_no_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (out, own) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let target = std::env::var_os("RACKSTRAP_PACKAGE_TARGET").map(PathBuf::from);
    let package = |arch: &str, formats: &[&str]| {
        let mut command = Command::new(root.join("packaging/package.sh"));
        command.args(formats).env("ARCH", arch).env("OUT", out.path()).env("VERSION", "1.2.3");
        command.env(
            "CARGO_TARGET_DIR",
            target.clone().unwrap_or_else(|| root.join("target/packages")),
        );
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("XZ", "-Zgzip -z1");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        good(command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2"));
    };
    let readelf = |option: &str, program: &Path| {
        good(Command::new("readelf").arg("-W").arg(option).arg(program))
    };
    let unpack = |arch: &str| {
        let (name, to) = (format!("rackstrap-1.2.3-linux-{arch}"), own.path());
        let mut tar = Command::new("tar");
        good(tar.arg("-xzf").arg(out.path().join(format!("{name}.tar.gz"))).arg("-C").arg(to));
        let program = to.join(name).join("rackstrap");
        let segments = readelf("-l", &program);
        assert!(!segments.contains("INTERP") && !segments.contains("NEEDED"), "{segments}");
        program
    };
    package("amd64", &["tar"]);
    let program = unpack("amd64");
    // In a root directory that has nothing else.
    std::fs::copy(&program, own.path().join("rackstrap")).unwrap();
    let mut alone = Command::new("chroot");
    let said = good(alone.arg(own.path()).args(["/rackstrap", "--version"]));
    assert!(said.starts_with("rackstrap "), "{said}");

    package("arm64", &["deb", "tar"]);
    assert!(readelf("-h", &unpack("arm64")).contains("AArch64"));
    let deb = out.path().join("rackstrap_1.2.3-1_arm64.deb");
    let field = |field| good(Command::new("dpkg-deb").arg("-f").arg(&deb).arg(field));
    assert_eq!(field("Architecture"), "arm64\n");
    let depends = field("Depends");
    assert!(depends.contains("libc6 (>= 2.3"), "{depends}");
    assert!(field("Recommends").contains("grub-efi-arm64-signed"));
    let installed = own.path().join("installed");
    good(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&installed));
    assert!(readelf("-h", &installed.join("usr/bin/rackstrap")).contains("AArch64"));
    assert!(installed.join("usr/share/man/man1/rackstrap.1.gz").exists());
}
