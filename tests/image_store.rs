//! Files of images: copied into the store, recorded, missed, compared and deleted.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::common::desk::Desk;
use crate::common::store::Store;

/// A bzImage of a 64-bit x86 kernel with this release, and some bytes that make it one of a kind.
pub(crate) fn bz_image(release: &str) -> Vec<u8> {
    let mut kernel = vec![0; 0x2000];
    let version = format!("{release} (build@host) #1 SMP\0");
    kernel[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(b"\x0f\x02");
    kernel[0x20e..0x210].copy_from_slice(b"\x00\x10");
    kernel[0x236] = 1;
    kernel[0x1200..0x1200 + version.len()].copy_from_slice(version.as_bytes());
    kernel
}

/// A cpio archive without a file in it.
pub(crate) const INITRD: &[u8] = b"070701\
    00000000000000000000000000000000000000010000000000000000\
    000000000000000000000000000000000000000b00000000TRAILER!!!\0\0\0\0";

fn write(desk: &Desk, name: &str, bytes: &[u8]) -> PathBuf {
    let path = desk.dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn store_path(bytes: &[u8], name: &str) -> String {
    format!("store/{}/{name}", &sha256(bytes)[..16])
}

/// Every file below the store, whatever it is.
fn everything(desk: &Desk) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![desk.dir.path().join("data/files/store")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

async fn desks() -> [Desk; 2] {
    Store::both().await.map(Desk::new)
}

fn image(desk: &Desk, name: &str) -> Value {
    desk.json(&format!("image show {name}"))
}

#[tokio::test]
async fn an_image_is_added_shown_missed_compared_and_deleted() {
    for desk in desks().await {
        let kernel = bz_image("6.1.0-50-amd64");
        write(&desk, "vmlinuz", &kernel);
        write(&desk, "initrd.img", INITRD);
        let words = "image add live --kernel vmlinuz --initrd initrd.img --cmdline quiet";
        let tried = desk.good(&format!("{words} --dry-run"));
        assert!(tried.ends_with("dry run: nothing changed\n"), "{tried}");
        let path = store_path(&kernel, "vmlinuz");
        let line = format!("vmlinuz (kernel, amd64, 6.1.0-50-amd64, 8 KiB): kernel {path}\n");
        assert!(tried.contains(&line) && tried.contains("would copy /"), "{tried}");
        assert!(everything(&desk).is_empty());
        let added = desk.good(words);
        assert!(added.contains("+ image live\n") && added.ends_with("revision 1\n"), "{added}");

        let shown = image(&desk, "live");
        assert_eq!(shown["kernel"], store_path(&kernel, "vmlinuz"));
        assert_eq!(shown["initrd"][0], store_path(INITRD, "initrd.img"));
        let file = &shown["files"][0];
        assert_eq!(file["sha256"], sha256(&kernel));
        assert_eq!(file["size-bytes"], kernel.len());
        assert_eq!(file["content"], "kernel");
        assert_eq!(file["arch"], "amd64");
        assert_eq!(file["kernel-version"], "6.1.0-50-amd64");
        assert_eq!(file["added-by"], "ann");
        let origin = desk.dir.path().join("vmlinuz");
        assert_eq!(file["origin"], origin.to_str().unwrap());
        assert!(file["added-at"].as_i64().unwrap() > 1_700_000_000);
        let at = desk.dir.path().join("data/files").join(shown["kernel"].as_str().unwrap());
        assert_eq!(fs::read(&at).unwrap(), kernel);

        desk.good("host set r1-n01 image=live nics.eth0=52:54:00:aa:00:01");
        let list = desk.good("image list");
        let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["live", "live", "9", "KiB", "amd64", "6.1.0-50-amd64", "1", "ok"]);
        let text = desk.good("image show live");
        assert!(text.contains("# hosts: r1-n01\n"), "{text}");
        assert_eq!(desk.good("check"), "0 errors, 0 warnings\n");

        // What a host uses stays.
        let refused = desk.bad("image remove live");
        let expected = "image \"live\" is in use by host r1-n01: give them another image first";
        assert!(refused[0].contains(expected), "{refused:?}");
        assert_eq!(desk.good("image prune"), "0 files unused, 0 B\n");

        // The same contents are one file.
        desk.good("image add same --kernel vmlinuz");
        assert_eq!(everything(&desk).len(), 2);

        // A file that differs is a finding wherever findings are.
        fs::OpenOptions::new().write(true).open(&at).unwrap().set_len(100).unwrap();
        let fault = format!("it is truncated: 100 of {} bytes", kernel.len());
        let faults = image(&desk, "live")["faults"].to_string();
        assert!(faults.contains(&fault), "{faults}");
        assert!(desk.good("image list").contains("1 fault"));
        let check = desk.run("check", "");
        assert!(String::from_utf8_lossy(&check.stdout).contains(&fault), "{check:?}");
        let doctor = desk.run("doctor --quiet", "");
        assert!(String::from_utf8_lossy(&doctor.stdout).contains(&fault), "{doctor:?}");

        // The same size and another byte: only the time shows it, and the digest proves it.
        let mut other = kernel.clone();
        other[0x1800] = 1;
        fs::write(&at, &other).unwrap();
        assert!(image(&desk, "live")["faults"].to_string().contains("it was written to since"));
        let verify = desk.run("image verify live", "");
        assert_eq!(verify.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&verify.stdout).contains("its SHA-256 differs"));
        assert!(image(&desk, "live")["faults"].to_string().contains("its SHA-256 differs"));
        // The right bytes with another time are right, once they were compared.
        fs::write(&at, &kernel).unwrap();
        assert!(desk.good("image verify").contains("vmlinuz: ok\n"));
        assert_eq!(image(&desk, "live")["faults"], serde_json::json!([]));

        // Added again, a file that is gone is there again.
        fs::remove_file(&at).unwrap();
        assert!(image(&desk, "live")["faults"].to_string().contains("no file"));
        assert_eq!(desk.run("image verify live", "").status.code(), Some(1));
        let words = "image add live --kernel vmlinuz --initrd initrd.img";
        let refused = desk.bad(words);
        assert!(refused[0].contains("--replace"), "{refused:?}");
        desk.good(&format!("{words} --replace"));
        assert_eq!(fs::read(&at).unwrap(), kernel);
        let shown = image(&desk, "live");
        assert_eq!(
            (&shown["faults"], &shown["cmdline"]),
            (&serde_json::json!([]), &"quiet".into())
        );

        // What nothing uses is listed, and deleted when that was said.
        desk.good("host set r1-n01 image=");
        desk.good("image remove live");
        assert_eq!(desk.good("image prune --dry-run").lines().count(), 2);
        let refused = desk.bad("image prune");
        assert!(refused.last().unwrap().contains("--yes"), "{refused:?}");
        assert_eq!(everything(&desk).len(), 2);
        let pruned = desk.good("image prune --yes");
        assert!(pruned.contains("initrd.img") && pruned.ends_with("deleted 1 file\n"), "{pruned}");
        assert_eq!(everything(&desk), [at]);
    }
}

#[tokio::test]
async fn what_cannot_boot_is_refused_and_leaves_nothing() {
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    write(&desk, "error.html", b"<!DOCTYPE html><title>404</title>");
    write(&desk, "empty", b"");
    write(&desk, "initrd", INITRD);
    let mut kernel = bz_image("6.1.0");
    // One sector for the setup code, and what is left of 0x2000 bytes and 16 more in 16 bytes each.
    kernel[0x1f1] = 1;
    kernel[0x1f4..0x1f6].copy_from_slice(&0x1c1_u16.to_le_bytes());
    write(&desk, "cut", &kernel);
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(INITRD).unwrap();
    let packed = packed.finish().unwrap();
    write(&desk, "cut.gz", &packed[..packed.len() - 4]);
    write(&desk, "cut.cpio", &INITRD[..115]);
    let cases = [
        (
            "--kernel error.html",
            "error.html cannot be used as kernel: expected a Linux kernel, found a web page",
        ),
        ("--kernel cut", "it has 8192 bytes, and the kernel in it 8208: it was truncated"),
        ("--kernel vmlinuz --initrd empty", "its first bytes are of no known kind"),
        ("--kernel vmlinuz --initrd vmlinuz", "found kernel"),
        ("--efi vmlinuz", "expected an EFI program, found kernel"),
        ("--script initrd", "expected an iPXE script"),
        ("--kernel vmlinuz --initrd cut.gz", "cut.gz is damaged: "),
        ("--kernel vmlinuz --initrd cut.cpio", "its archive has no end: it was truncated"),
        ("--kernel gone", "cannot read gone"),
        ("--kernel /", "it is not a regular file"),
    ];
    for (words, expected) in cases {
        for also in ["", " --dry-run"] {
            let errors = desk.bad(&format!("image add x {words}{also}")).join("\n");
            assert!(errors.contains(expected), "{words}{also}: {errors}");
            assert_eq!(everything(&desk), Vec::<PathBuf>::new(), "{words}");
        }
    }
    // A change that breaks a rule is refused before anything is copied.
    for files in ["--kernel vmlinuz", "--file vmlinuz"] {
        let errors = desk.bad(&format!("image add x {files} --cmdline a||b${{c}}")).join("\n");
        assert!(errors.contains("N183") || errors.contains("${"), "{errors}");
    }
    // A disk image needs a live system, whichever option names it.
    let mut disk = vec![0; 1 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    write(&desk, "disk.raw", &disk);
    let expected = desk.bad("image add x --disk disk.raw").join("\n");
    assert_eq!(desk.bad("image add x --file disk.raw").join("\n"), expected);
    assert_eq!(everything(&desk), Vec::<PathBuf>::new());
    assert_eq!(desk.good("image prune"), "0 files unused, 0 B\n");
    assert_eq!(desk.good("export"), "{}\n");
}

/// Whether a file is being received into the store.
fn incoming(store: &Path) -> Vec<PathBuf> {
    let folder = store.join(".incoming");
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// `image add` of a large disk image that is under way.
fn slow_add(desk: &Desk, name: &str) -> std::process::Child {
    let big = desk.dir.path().join("big");
    if !big.exists() {
        // It takes a while to hash in a build without optimisation.
        let mut file = fs::File::create(&big).unwrap();
        file.write_all(&[0; 510]).unwrap();
        file.write_all(b"\x55\xaa").unwrap();
        file.set_len(1 << 30).unwrap();
    }
    let store = desk.dir.path().join("data/files/store");
    let before = incoming(&store).len();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["--database", &desk.store.url, "--data-dir=data", "image", "add", name])
        .args(["--disk", "big"])
        .current_dir(&desk.dir)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while incoming(&store).len() == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child
}

#[tokio::test]
async fn a_copy_that_is_stopped_leaves_nothing() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let before = everything(&desk);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let child = slow_add(&desk, "big");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + signal as i32), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "rackstrap: interrupted: nothing was added\n");
        assert_eq!(everything(&desk), before, "{signal}");
    }
    assert_eq!(desk.json("image list").as_array().unwrap().len(), 1);
}

#[test]
fn what_a_killed_copy_leaves_goes_with_the_next_add_or_prune_and_a_living_one_stays() {
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let store = desk.dir.path().join("data/files/store");
    for command in ["image add other --kernel vmlinuz", "image prune --yes"] {
        let mut living = slow_add(&desk, "living");
        let mut killed = slow_add(&desk, "killed");
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(incoming(&store).len(), 2, "a killed process cannot clean up");
        if command.starts_with("image prune") {
            let listed = desk.good("image prune --dry-run");
            assert_eq!(listed.matches("store/.incoming/").count(), 1, "{listed}");
        }
        desk.good(command);
        assert_eq!(incoming(&store).len(), 1, "{command}");
        living.kill().unwrap();
        living.wait().unwrap();
        desk.good("image prune --yes");
    }
    assert_eq!(everything(&desk).len(), 1);
}

#[test]
fn a_copy_that_is_killed_leaves_nothing_once_the_server_starts() {
    use std::process::{Command, Stdio};
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let before = everything(&desk);
    let store = desk.dir.path().join("data/files/store");
    let mut child = slow_add(&desk, "big");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(incoming(&store).len(), 1, "a killed process cannot clean up");
    let mut server = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["--database", &desk.store.url, "--data-dir=data"])
        .args(["--machine-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "serve"])
        .current_dir(&desk.dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !incoming(&store).is_empty() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    server.kill().unwrap();
    let output = server.wait_with_output().unwrap();
    let mut log = String::new();
    output.stdout.as_slice().read_to_string(&mut log).unwrap();
    assert_eq!(incoming(&store), Vec::<PathBuf>::new(), "{log}");
    assert_eq!(everything(&desk), before);
}

#[tokio::test]
async fn disk_images_of_every_form_are_unpacked_when_they_are_added() {
    let desk = Desk::new(Store::sqlite());
    let mut disk = vec![7; 300_000];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    let raw = write(&desk, "disk.raw", &disk);
    let pack = |program: &str, words: &[&str], to: &str| {
        let mut command = std::process::Command::new(program);
        let packed = command.args(words).arg("-c").arg(&raw).output().unwrap();
        assert!(packed.status.success());
        write(&desk, to, &packed.stdout)
    };
    // Named as what they are not: only the bytes count.
    pack("zstd", &["-q"], "disk.img");
    pack("xz", &[], "disk.zst");
    pack("gzip", &[], "disk.raw2");
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let errors = desk.bad("image add d --disk vmlinuz").join("\n");
    assert!(errors.contains("expected a disk image"), "{errors}");
    // No host boots a tarball, nor a file system without a partition table, however it is packed.
    let mut tar = vec![0; 10 << 10];
    tar[257..262].copy_from_slice(b"ustar");
    let mut ext4 = vec![0; 1 << 20];
    ext4[0x438..0x43a].copy_from_slice(b"\x53\xef");
    let advice = "sudo rackstrap image build disk --tarball root.tar";
    let none = "it has no partition table, so no firmware boots it";
    for (name, bytes, expected) in [("root.tar", &tar, advice), ("ext4.raw", &ext4, none)] {
        write(&desk, name, bytes);
        let packed = format!("{name}.zst");
        write(&desk, &packed, &zstd::encode_all(bytes.as_slice(), 3).unwrap());
        for file in [name, packed.as_str()] {
            for words in ["--disk", "--file", "--dry-run --disk"] {
                let errors = desk.bad(&format!("image add d {words} {file}")).join("\n");
                assert!(errors.contains(expected), "{words} {file}: {errors}");
            }
        }
    }
    // A disk without its end has no backup of its GPT.
    let mut short = vec![0; (1 << 20) - 512];
    short[510..512].copy_from_slice(b"\x55\xaa");
    short[512..520].copy_from_slice(b"EFI PART");
    short[544..552].copy_from_slice(&2047_u64.to_le_bytes());
    write(&desk, "short.raw", &short);
    write(&desk, "short.zst", &zstd::encode_all(short.as_slice(), 1).unwrap());
    let kept = everything(&desk);
    for words in ["--disk short.raw", "--file short.zst", "--disk short.raw --dry-run"] {
        let errors = desk.bad(&format!("image add d {words}")).join("\n");
        let expected = "its backup GPT header ends at 1048576: it was truncated";
        assert!(errors.contains(expected), "{words}: {errors}");
        assert_eq!(everything(&desk), kept, "{words}");
    }
    let forms = [
        ("disk.raw", "raw-disk"),
        ("disk.img", "raw-disk.zst"),
        ("disk.zst", "raw-disk.xz"),
        ("disk.raw2", "raw-disk.gz"),
    ];
    for (name, content) in forms {
        desk.good(&format!(
            "image add d --disk {name}{}",
            if name == "disk.raw" { "" } else { " --replace" }
        ));
        let shown = image(&desk, "d");
        let file = &shown["files"][0];
        assert_eq!(file["content"], content);
        assert_eq!(shown["sha256"], file["sha256"]);
        assert_eq!(
            (&file["disk-bytes"], &file["disk-sha256"]),
            (&disk.len().into(), &sha256(&disk).into())
        );
        let packed = fs::read(desk.dir.path().join(name)).unwrap();
        if name != "disk.raw" {
            write(&desk, "cut", &packed[..packed.len() - 9]);
            let errors = desk.bad("image add cut --disk cut").join("\n");
            assert!(errors.contains("cut is damaged"), "{name}: {errors}");
        }
    }
}

#[tokio::test]
async fn a_qcow2_image_becomes_what_it_puts_on_a_disk() {
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let mut disk = vec![0; 8 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk[5 << 20..6 << 20].fill(9);
    let raw = write(&desk, "disk.raw", &disk);
    let qcow2 = desk.dir.path().join("debian.qcow2");
    let convert = |words: &[&str], from: &Path, to: &Path| {
        let mut command = std::process::Command::new("qemu-img");
        assert!(command.args(words).arg(from).arg(to).status().unwrap().success());
    };
    convert(&["convert", "-c", "-f", "raw", "-O", "qcow2"], &raw, &qcow2);
    desk.good("image add debian --disk debian.qcow2");
    let shown = image(&desk, "debian");
    assert!(shown["disk"].as_str().unwrap().ends_with("/debian.raw.zst"), "{shown}");
    let file = &shown["files"][0];
    assert_eq!(
        (&file["content"], &file["disk-bytes"]),
        (&"raw-disk.zst".into(), &disk.len().into())
    );
    assert_eq!(file["disk-sha256"], sha256(&disk));
    let stored = desk.dir.path().join("data/files").join(shown["disk"].as_str().unwrap());
    let unpacked = zstd::decode_all(fs::File::open(stored).unwrap()).unwrap();
    assert!(unpacked == disk);
    // One without its end is refused, which qemu-img convert would fill with zeroes.
    convert(&["convert", "-f", "raw", "-O", "qcow2"], &raw, &qcow2);
    let bytes = fs::read(&qcow2).unwrap();
    write(&desk, "cut.qcow2", &bytes[..bytes.len() - (512 << 10)]);
    let kept = everything(&desk);
    let errors = desk.bad("image add cut --disk cut.qcow2").join("\n");
    assert!(errors.contains("qemu-img check failed"), "{errors}");
    assert_eq!(everything(&desk), kept);
    // One that reads other files of the server is refused, and nothing is left.
    let before = everything(&desk);
    let overlay = desk.dir.path().join("overlay");
    let backing = format!("backing_file={},backing_fmt=raw", raw.display());
    let mut create = std::process::Command::new("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-o", &backing]).arg(&overlay);
    assert!(create.status().unwrap().success());
    let errors = desk.bad("image add overlay --file overlay").join("\n");
    assert!(errors.contains("it needs another file"), "{errors}");
    assert_eq!(everything(&desk), before);
}

#[tokio::test]
async fn an_iso_gives_its_kernel_and_its_initrd() {
    let desk = Desk::new(Store::sqlite());
    let kernel = bz_image("6.12.9-200.fc41.x86_64");
    let root = desk.dir.path().join("root/images/pxeboot");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("vmlinuz"), &kernel).unwrap();
    fs::write(root.join("initrd.img"), INITRD).unwrap();
    let mut pack = std::process::Command::new("bsdtar");
    pack.args(["-C", "root", "--format=iso9660", "-cf", "fedora.img", "images"]);
    assert!(pack.current_dir(&desk.dir).status().unwrap().success());
    desk.good("image add fedora --iso fedora.img --once --cmdline quiet");
    let shown = image(&desk, "fedora");
    assert_eq!(shown["kernel"], store_path(&kernel, "vmlinuz"));
    assert_eq!(shown["initrd"][0], store_path(INITRD, "initrd.img"));
    assert_eq!(shown["files"][0]["kernel-version"], "6.12.9-200.fc41.x86_64");
    assert_eq!(everything(&desk).len(), 2);
    // Without a kernel where one is known to be.
    fs::remove_dir_all(root).unwrap();
    let mut pack = std::process::Command::new("bsdtar");
    pack.args(["-C", "root", "--format=iso9660", "-cf", "empty.iso", "images"]);
    assert!(pack.current_dir(&desk.dir).status().unwrap().success());
    let errors = desk.bad("image add empty --iso empty.iso").join("\n");
    assert!(errors.contains("no kernel with initrd found"), "{errors}");
    assert_eq!(everything(&desk).len(), 2);
}

/// How a server of files behaves: what it does with each connection, the last one for all others.
#[derive(Clone, Copy)]
enum Turn {
    /// Sends so many bytes of what was asked for, and closes.
    Cut(usize),
    /// Sends all of it.
    Whole,
    /// Sends the whole file, whatever range was asked for.
    WholeAgain,
    /// Has another file since.
    Changed,
    /// Answers 503.
    Busy,
}

/// Serves a file on a port of its own; the ranges that it was asked for.
fn serve(file: Vec<u8>, turns: Vec<Turn>) -> (String, std::sync::mpsc::Receiver<Option<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pool/debian.raw?x=1", listener.local_addr().unwrap());
    let (asked, asks) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let from = head
                .split_once("range: bytes=")
                .map(|(_, rest)| rest.split('-').next().unwrap().parse::<usize>().unwrap());
            assert!(from.is_none() || head.contains("if-range: \"one\"\r\n"), "{head}");
            let _ = asked.send(from);
            let turn = turns[number.min(turns.len() - 1)];
            let start = from.unwrap_or(0);
            let (status, start, tag) = match turn {
                Turn::Busy => ("503 Busy", file.len(), "one"),
                Turn::Changed => ("200 OK", 0, "two"),
                Turn::WholeAgain => ("200 OK", 0, "one"),
                _ if from.is_some() => ("206 Partial Content", start, "one"),
                _ => ("200 OK", 0, "one"),
            };
            let body = &file[start..];
            let range =
                format!("Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len());
            let range = if status.starts_with("206") { range } else { String::new() };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"{tag}\"\r\n{range}Connection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let sent = if let Turn::Cut(bytes) = turn { bytes.min(body.len()) } else { body.len() };
            let _ = stream.write_all(&body[..sent]);
            // The client has what was sent before the connection ends.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut byte);
        }
    });
    (url, asks)
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut() {
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    let mut disk: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
    disk[510..512].copy_from_slice(b"\x55\xaa");
    let digest = sha256(&disk);
    let turns =
        vec![Turn::Whole, Turn::Cut(1_000_000), Turn::Busy, Turn::Cut(500_000), Turn::WholeAgain];
    let (url, asks) = serve(disk.clone(), turns);
    let secret = url.replace("http://", "http://ann:secret@");
    desk.good(&format!("image add debian --url {secret} --sha256 {}", digest.to_uppercase()));
    let shown = image(&desk, "debian");
    assert!(shown["disk"].as_str().unwrap().ends_with("/debian.raw"), "{shown}");
    // The password of a server is neither recorded nor shown.
    assert_eq!(
        (&shown["sha256"], &shown["files"][0]["origin"]),
        (&digest.clone().into(), &url.into())
    );
    let stored = desk.dir.path().join("data/files").join(shown["disk"].as_str().unwrap());
    assert!(fs::read(stored).unwrap() == disk);
    let asks: Vec<_> = asks.try_iter().collect();
    // The first is the look at its beginning.
    assert_eq!(asks, [None, None, Some(1_000_000), Some(1_000_000), Some(1_500_000)]);

    // What is not the file that was meant leaves nothing.
    let before = everything(&desk);
    let other = "0".repeat(64);
    let cases = [
        (vec![Turn::Whole], other.as_str(), format!("is {digest}, not {other}")),
        (
            vec![Turn::Whole, Turn::Cut(1000), Turn::Changed],
            digest.as_str(),
            "the file changed".to_owned(),
        ),
        (vec![Turn::Busy], digest.as_str(), "503".to_owned()),
    ];
    for (turns, digest, expected) in cases {
        let (url, _asks) = serve(disk.clone(), turns);
        let errors = desk.bad(&format!("image add x --url {url} --sha256 {digest}")).join("\n");
        assert!(errors.contains(&expected), "{errors}");
        assert_eq!(everything(&desk), before);
    }
    let errors = desk.bad("image add x --url http://127.0.0.1:9/x").join("\n");
    assert!(errors.contains("give --sha256"), "{errors}");
    let errors = desk.bad(&format!("image add x --url http://127.0.0.1:9/x --sha256 {digest}"));
    assert!(errors[0].contains("cannot fetch http://127.0.0.1:9/x"), "{errors:?}");
    let url = "http://ann:secret@127.0.0.1:9/x";
    let errors = desk.bad(&format!("image add x --url {url} --sha256 {digest}")).join("\n");
    assert!(errors.contains("http://127.0.0.1:9/x") && !errors.contains("secret"), "{errors}");
}

#[tokio::test]
async fn two_adds_of_the_same_files_at_once_lose_none() {
    for desk in desks().await {
        for round in 0..8 {
            write(&desk, "vmlinuz", &bz_image(&format!("6.1.{round}")));
            let name = format!("live{round}");
            // One of two gets the name; a third has another name.
            let add = |name: &str| desk.run(&format!("image add {name} --kernel vmlinuz"), "");
            let other = format!("other{round}");
            let outputs = std::thread::scope(|scope| {
                let adds = [&name, &name, &other].map(|name| scope.spawn(move || add(name)));
                adds.map(|add| add.join().unwrap())
            });
            let done = outputs.iter().filter(|output| output.status.success()).count();
            assert_eq!(done, 2, "{outputs:?}");
            for name in [&name, &other] {
                let shown = image(&desk, name);
                assert_eq!(shown["faults"], serde_json::json!([]), "{shown}");
                assert!(shown["files"][0]["sha256"].is_string(), "{shown}");
            }
        }
        assert_eq!(desk.good("image prune"), "0 files unused, 0 B\n");
        assert!(!desk.good("image verify").contains("missing"));
    }
}

#[tokio::test]
async fn pruning_beside_adds_takes_nothing_that_they_need() {
    for desk in desks().await {
        let is_done = std::sync::atomic::AtomicBool::new(false);
        let before = desk.run("image prune --yes", "");
        assert!(before.status.success(), "{before:?}");
        std::thread::scope(|scope| {
            let prune = scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    let output = desk.run("image prune --yes", "");
                    assert!(output.status.success(), "{output:?}");
                }
            });
            for round in 0..12 {
                let name = format!("vmlinuz{round}");
                write(&desk, &name, &bz_image(&format!("6.1.{round}")));
                desk.good(&format!("image add live{round} --kernel {name}"));
            }
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            prune.join().unwrap();
        });
        assert_eq!(everything(&desk).len(), 12);
        for round in 0..12 {
            let shown = image(&desk, &format!("live{round}"));
            assert_eq!(shown["faults"], serde_json::json!([]), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_server_with_another_files_directory_says_so() {
    let desk = Desk::new(Store::sqlite());
    write(&desk, "vmlinuz", &bz_image("6.1.0"));
    desk.good("image add live --kernel vmlinuz");
    fs::create_dir_all(desk.dir.path().join("elsewhere")).unwrap();
    desk.file("other.toml", "files_dir = \"elsewhere\"\n");
    let here = desk.json("--config other.toml image show live");
    let fault = here["faults"][0].as_str().unwrap();
    assert!(fault.contains("/elsewhere: it was deleted, or added by a server"), "{fault}");
    let doctor = desk.run("--config other.toml doctor --quiet", "");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("another directory"), "{doctor:?}");
    assert_eq!(image(&desk, "live")["faults"], serde_json::json!([]));
}
