//! Pictures.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faceplate::fuzz::picture(bytes));
