//! JIDs.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| faceplate::fuzz::jid(text));
