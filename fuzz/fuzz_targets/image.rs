//! What is taken for a picture begins like one, has sane edges, and is what its digest says.
#![no_main]

use bytes::Bytes;
use faceplate::avatar::{Digest, Picture};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(picture) = Picture::validate(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    assert_eq!(picture.bytes(), bytes);
    assert_eq!(picture.digest(), Digest::of(bytes));
    let (width, height) = picture.dimensions();
    assert!((1..=8192).contains(&width) && (1..=8192).contains(&height));
    let begins: &[&[u8]] = match picture.media().as_str() {
        "image/jpeg" => &[b"\xFF\xD8\xFF"],
        "image/png" => &[b"\x89PNG\r\n\x1A\n"],
        "image/webp" => &[b"RIFF"],
        "image/gif" => &[b"GIF87a", b"GIF89a"],
        other => panic!("{other}"),
    };
    assert!(begins.iter().any(|magic| bytes.starts_with(magic)));
});
