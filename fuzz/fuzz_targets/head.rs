//! What the fast path takes for a request is one, and ends where it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|received: &[u8]| faceplate::server::fuzzed_head(received));
