//! Request heads on the HTTP/1 fast path.
#![no_main]

libfuzzer_sys::fuzz_target!(|received: &[u8]| faceplate::fuzz::request_head(received));
