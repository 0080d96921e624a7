//! Requests of programs to gateways, and the gateways' answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| faceplate::fuzz::dropin(input));
