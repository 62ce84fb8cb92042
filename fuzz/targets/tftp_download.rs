#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rackstrap_fuzz::tftp::exercise::download(bytes));
