#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rackstrap::exercise::run("hosts_csv", bytes));
