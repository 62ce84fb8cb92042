//! Reads a desired state from standard input. `nmstate-reader keyfiles` prints what nmstate makes
//! of it for NetworkManager, `nmstate-reader apply` applies it to the kernel of the namespace that
//! it runs in and has nmstate verify that.

use std::io::Read;
use std::process::ExitCode;

use nmstate::{NetworkState, NmstateError};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), NmstateError> {
    let what = std::env::args().nth(1).unwrap_or_default();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("standard input is text");
    let mut state = NetworkState::new_from_yaml(&text)?;
    if what == "apply" {
        state.set_kernel_only(true);
        return state.apply();
    }
    for (_, files) in state.gen_conf()? {
        for (name, text) in files {
            println!("# {name}\n{text}");
        }
    }
    Ok(())
}
