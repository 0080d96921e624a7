//! Signatures of URLs.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: faceplate::fuzz::SignatureInput<'_>| faceplate::fuzz::signature(input));
