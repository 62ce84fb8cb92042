//! Programs of other projects that read what we write. `make test` unpacks them below
//! `target/tools` and installs none: their services must never start on this machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::netns::Netns;
use crate::common::skip::skip;

/// Where `tests/tools/fetch-tools.sh` has put them.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/root")
}

/// A program that was unpacked, with the libraries beside it; none if it is not there or
/// does not start with these arguments.
pub(crate) fn find(path: &str, arguments: &[&str]) -> Option<Tool> {
    let tool = Tool(root().join(path));
    let starts = tool.command().args(arguments).output();
    starts.is_ok_and(|output| output.status.success()).then_some(tool)
}

/// A program, by its path.
pub(crate) struct Tool(PathBuf);

impl Tool {
    /// A command that runs it.
    pub(crate) fn command(&self) -> Command {
        with_libraries(Command::new(&self.0))
    }

    /// A command that runs it inside a namespace.
    pub(crate) fn command_in(&self, inside: &Netns) -> Command {
        with_libraries(inside.command(self.0.to_str().unwrap()))
    }
}

/// The command finds the libraries that were unpacked with it.
fn with_libraries(mut command: Command) -> Command {
    let libraries = root().join("usr/lib/x86_64-linux-gnu");
    let libraries = libraries.display();
    let others = root().join("lib/x86_64-linux-gnu");
    let path = format!("{libraries}:{libraries}/frr:{libraries}/../nix:{}", others.display());
    command.env("LD_LIBRARY_PATH", path).env("LC_ALL", "C");
    command
}

/// Runs a command with a text as its standard input.
pub(crate) fn feed(command: &mut Command, text: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The programs of a Python environment below `target`, with these requirements; without them the
/// test is reported as skipped.
pub(crate) fn python(test: &str, name: &str, requirements: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target").join(name);
    let mut fetch = Command::new(root.join("tests/tools/fetch-python.sh"));
    let output = fetch.arg(&directory).args(requirements).output().unwrap();
    if !output.status.success() {
        skip(test, &String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(directory.join("bin"))
}
