//! Replies with a wrong body, for the faults of the API and of the CDN.

use bytes::Bytes;

use super::reply::Reply;

/// Incomplete JSON.
pub(super) fn not_json(media_type: &str) -> Reply {
    Reply::new(
        200,
        media_type,
        r#"{"url": "https://pps.whatsapp.net/v/t61"#,
    )
}

/// A web page, like a proxy's challenge or error page.
pub(super) fn html(media_type: &str) -> Reply {
    const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>\
                        <body><script>alert(1)</script></body></html>\n";
    Reply::new(200, media_type, PAGE)
}

/// A picture that could run code in a browser.
pub(super) fn svg() -> Reply {
    const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"64\">\
                           <script>alert(1)</script><circle cx=\"32\" cy=\"32\" r=\"30\"/></svg>\n";
    Reply::new(200, "image/svg+xml", PICTURE)
}

/// The start of a valid JPEG, to be filled up by [`Reply::pad`].
pub(super) fn jpeg_start(photo: &Bytes) -> Reply {
    const HEAD: usize = 1024;
    Reply::new(200, "image/jpeg", photo.slice(..photo.len().min(HEAD)))
}

/// Pseudo-random bytes, always the same.
pub(super) fn noise(media_type: &str) -> Reply {
    const BYTES: usize = 4096;
    let mut noise = vec![0; BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    Reply::new(200, media_type, noise)
}
