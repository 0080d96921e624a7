//! Request targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|target: &str| faceplate::fuzz::route(target));
