//! An index file that was damaged is read without harm, and the same after it was shortened.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// A line as cacache writes it.
const WHOLE: &[u8] = include_bytes!("../corpus/index/whole");

fuzz_target!(|bytes: &[u8]| {
    faceplate::store::fuzz_index_file(bytes);
    // Whatever was torn or spilled behind a whole line, that line is still found.
    let behind = [WHOLE, b"\n", bytes].concat();
    assert!(faceplate::store::fuzz_index_file(&behind));
});
