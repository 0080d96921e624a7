//! Index files of the cache.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faceplate::fuzz::index_file(bytes));
