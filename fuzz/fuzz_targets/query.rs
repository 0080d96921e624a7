//! Any request target is routed or refused, and a size is one of the ladder's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse() {
        faceplate::front::fuzzed_route(&uri);
    }
});
