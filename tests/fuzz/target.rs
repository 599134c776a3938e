//! One target for each law: the program's name says which.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| headwater_fuzz::check(env!("CARGO_BIN_NAME"), data));
