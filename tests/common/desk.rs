//! The command line as an operator has it: real commands in a directory, on a real database.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::store::Store;

/// A directory with files of the operator's, and an inventory.
pub(crate) struct Desk {
    pub dir: TempDir,
    pub store: Store,
}

impl Desk {
    /// Makes one on this database.
    pub(crate) fn new(store: Store) -> Self {
        Self { dir: TempDir::new().unwrap(), store }
    }

    /// Writes a file, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Types a command line, in the directory of the files; the words are split at spaces.
    pub(crate) fn run(&self, words: &str, input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
            .args(["--database", &self.store.url])
            // Where commands remember which inventory they have seen.
            .args((!words.contains("--data-dir")).then_some("--data-dir=data"))
            .args(words.split(' '))
            .current_dir(&self.dir)
            .env("TZ", "UTC")
            .env("SUDO_USER", "ann")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What a command that must succeed prints.
    pub(crate) fn good(&self, words: &str) -> String {
        self.good_with(words, "")
    }

    /// The same, with an input.
    pub(crate) fn good_with(&self, words: &str, input: &str) -> String {
        let output = self.run(words, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {words}: {errors}", self.store.kind);
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it prints as JSON.
    pub(crate) fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.good(&format!("{words} --json"))).unwrap()
    }

    /// The lines that a command which must fail says about it.
    pub(crate) fn bad(&self, words: &str) -> Vec<String> {
        self.bad_with(words, "")
    }

    /// The same, with an input.
    pub(crate) fn bad_with(&self, words: &str, input: &str) -> Vec<String> {
        let output = self.run(words, input);
        assert_eq!(output.status.code(), Some(1), "{}: {words}", self.store.kind);
        String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
    }
}
