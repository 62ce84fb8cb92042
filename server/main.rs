//! The `rackstrap` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rackstrap::cli::main()
}
