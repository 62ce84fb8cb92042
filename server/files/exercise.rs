//! What must hold of any name of a file that a client sends. Pure.

use std::path::{Component, Path};

use super::names::{relative_path, shown};

/// A name maps to a path below its root, and that path to itself.
pub(crate) fn name(raw: &[u8]) {
    assert!(!shown(raw).chars().any(char::is_control));
    let Ok(path) = relative_path(raw) else { return };
    assert!(!path.is_empty());
    assert!(Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))));
    assert_eq!(relative_path(path.as_bytes()).as_ref(), Ok(&path), "mapping is idempotent");
}
