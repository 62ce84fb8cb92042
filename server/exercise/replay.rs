//! Runs every check over its corpus and over changed copies of it, the same ones each time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::TARGETS;

/// How many changed inputs each check gets, and for how long at most: on a loaded
/// machine the slowest checks come less far.
const CHANGED: u32 = 4000;
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest input.
const MAX_BYTES: usize = 4096;

/// Numbers that only look like chance (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The corpus of a target, in the order of its files' names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = fuzz_directory().join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    let files: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One to four small changes of one input, some of them with a piece of another.
fn change(numbers: &mut Numbers, corpus: &[Vec<u8>]) -> Vec<u8> {
    const TELLING: [u8; 12] = [0, 1, 2, 3, 4, 53, 82, 127, 128, 254, 255, b'/'];
    let mut bytes = corpus[numbers.below(corpus.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = TELLING[numbers.below(TELLING.len())],
            2 => bytes.insert(at, numbers.below(256) as u8),
            3 => drop(bytes.drain(at..(at + numbers.below(16)).min(bytes.len()))),
            4 => bytes.truncate(at),
            _ => {
                let other = &corpus[numbers.below(corpus.len())];
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn replay(name: &str, check: super::Check) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "the corpus of {name} is empty");
    corpus.iter().for_each(|bytes| check(bytes));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let end = Instant::now() + PATIENCE;
    let done = (0..CHANGED).take_while(|_| Instant::now() < end).map(|number| {
        let bytes = change(&mut numbers, &corpus);
        let passed = std::panic::catch_unwind(|| check(&bytes));
        assert!(passed.is_ok(), "{name} fails with changed input {number}: {bytes:02x?}");
    });
    println!("{name}: {} of the corpus and {} changed", corpus.len(), done.count());
}

#[test]
fn every_check_passes_over_its_corpus_and_changes_of_it() {
    for (name, check) in TARGETS {
        replay(name, check);
    }
}

#[test]
fn every_check_is_a_fuzz_target_and_the_other_way_round() {
    let named = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_directory().join(directory)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let checks: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named("targets"), checks);
    assert_eq!(named("corpus"), checks);
    let manifest = fs::read_to_string(fuzz_directory().join("Cargo.toml")).unwrap();
    for check in checks {
        assert!(manifest.contains(&format!("name = \"{check}\"\npath = \"targets/{check}.rs\"")));
    }
}
