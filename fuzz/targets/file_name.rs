#![no_main]

use std::path::{Component, Path};

use rackstrap_fuzz::names;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    assert!(!names::shown(bytes).chars().any(char::is_control));
    let Ok(path) = names::relative_path(bytes) else { return };
    assert!(!path.is_empty());
    assert!(Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))));
    assert_eq!(names::relative_path(path.as_bytes()), Ok(path), "mapping is idempotent");
});
