use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::*;

fn store(files: &[(&str, &[u8])]) -> (TempDir, FileStore) {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let store = FileStore::new(vec![root.path().to_owned()]);
    (root, store)
}

/// Makes the next open look at the disk again.
fn forget_freshness(store: &FileStore) {
    for cached in store.shared.cache().values_mut() {
        cached.checked_at -= FRESH;
    }
}

async fn text(store: &FileStore, name: &str) -> String {
    match store.open(name).await {
        Ok(file) => String::from_utf8_lossy(&file.bytes).into_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_file_is_found_however_its_name_is_written() {
    let (_root, store) = store(&[("boot/x64/IPXE.efi", b"nbp")]);
    for name in [
        "boot/x64/IPXE.efi",
        "/boot//x64/./IPXE.efi",
        "\\Boot\\X64\\ipxe.EFI",
        "boot/x64/ipxe.efi\u{7f}",
    ] {
        assert_eq!(text(&store, name).await, "nbp", "{name}");
    }
}

#[tokio::test]
async fn the_exact_name_beats_the_one_in_another_case() {
    let (_root, store) = store(&[("a/kernel", b"lower"), ("A/KERNEL", b"upper")]);
    assert_eq!(text(&store, "A/KERNEL").await, "upper");
    assert_eq!(text(&store, "a/kernel").await, "lower");
}

#[tokio::test]
async fn the_first_root_that_has_a_name_wins() {
    let (first, _) = store(&[("both", b"first")]);
    let (second, _) = store(&[("both", b"second"), ("only", b"second")]);
    let missing = first.path().join("not-there");
    let roots = [missing.as_path(), first.path(), second.path()].map(Path::to_owned).to_vec();
    let store = FileStore::new(roots);
    assert_eq!(text(&store, "both").await, "first");
    assert_eq!(text(&store, "only").await, "second");
    let names: Vec<String> = store.list().await.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["both", "only"]);
    assert_eq!(store.list().await[0].root, first.path());
}

#[tokio::test]
async fn nothing_outside_the_root_is_opened() {
    let (outside, _) = store(&[("secret", b"secret")]);
    let (root, store) = store(&[("inside", b"inside")]);
    let secret = outside.path().join("secret");
    symlink(&secret, root.path().join("absolute")).unwrap();
    symlink(outside.path(), root.path().join("directory")).unwrap();
    symlink("../../../../../../etc/passwd", root.path().join("climbing")).unwrap();
    symlink("inside", root.path().join("beneath")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    symlink("/proc/self/exe", root.path().join("magic")).unwrap();
    for name in ["absolute", "directory/secret", "climbing", "magic", "DIRECTORY/secret", "loop"] {
        let error = store.open(name).await.err().unwrap();
        assert!(
            matches!(error, FileError::Refused(..) | FileError::NotFound(_)),
            "{name}: {error}"
        );
    }
    assert!(store.open(&format!("../{}", secret.display())).await.is_err());
    assert!(store.open(secret.to_str().unwrap()).await.is_err());
    assert_eq!(text(&store, "beneath").await, "inside");
}

#[tokio::test]
async fn links_of_a_package_may_lead_into_boot() {
    let (boot, _) = store(&[("ipxe.efi", b"nbp")]);
    let (package, store) = store(&[]);
    symlink(boot.path().join("ipxe.efi"), package.path().join("ipxe.efi")).unwrap();
    assert!(matches!(store.open("ipxe.efi").await, Err(FileError::Refused(..))));
    let store = FileStore::new(Vec::new()).with_package(package.path().to_owned());
    assert_eq!(text(&store, "ipxe.efi").await, "nbp");
}

#[tokio::test]
async fn only_regular_files_are_served_and_a_fifo_never_blocks() {
    let (root, store) = store(&[("directory/file", b"x")]);
    nix::unistd::mkfifo(&root.path().join("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    for name in ["fifo", "directory", "socket"] {
        let opened = tokio::time::timeout(Duration::from_secs(5), store.open(name)).await.unwrap();
        let error = opened.err().unwrap().to_string();
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }
    assert_eq!(text(&store, "directory/none").await, "no file \"directory/none\" here");
    assert_eq!(text(&store, "directory/file/none").await, "no file \"directory/file/none\" here");
}

#[tokio::test]
async fn transfers_share_the_bytes_and_a_changed_file_is_seen() {
    let large = vec![7u8; 200_000];
    let (root, store) = store(&[("large", &large)]);
    let (one, two) = (store.open("large").await.unwrap(), store.open("/large").await.unwrap());
    assert_eq!(one.bytes.as_ptr(), two.bytes.as_ptr());
    forget_freshness(&store);
    assert!(store.cached_apart("large", &[]).is_none());
    let same = store.open("large").await.unwrap();
    assert_eq!((same.bytes.as_ptr(), &same.etag), (one.bytes.as_ptr(), &one.etag));
    assert!(store.cached_apart("large", &[]).is_some());

    std::fs::write(root.path().join("new"), vec![8u8; 200_000]).unwrap();
    std::fs::rename(root.path().join("new"), root.path().join("large")).unwrap();
    forget_freshness(&store);
    let changed = store.open("large").await.unwrap();
    assert_ne!(changed.etag, one.etag);
    assert!(changed.bytes.iter().all(|byte| *byte == 8));
    assert!(one.bytes.iter().all(|byte| *byte == 7), "a transfer that runs keeps its content");
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let (_root, store) = store(&[("empty", b"")]);
    assert_eq!(store.open("empty").await.unwrap().bytes.len(), 0);
}
