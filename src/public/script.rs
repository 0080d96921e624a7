//! `/faceplate.js`: the script that swaps faces in on a page as they come.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::service::Public;
use crate::{
    avatar::Digest,
    http::conditional::{self, Verdict},
    representation::{self, problems},
    server::Reply,
};

/// The media type of the script (RFC 9239).
pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The script and its digest.
static SCRIPT: LazyLock<(Bytes, Digest)> = LazyLock::new(|| {
    let script = Bytes::from(compact(include_str!("faceplate.js")));
    let digest = Digest::of(&script);
    (script, digest)
});

impl Public {
    /// The script. It is the same for all, so every cache may keep it.
    pub(super) fn script(&self, headers: &HeaderMap) -> Reply {
        let (script, digest) = &*SCRIPT;
        let etag = representation::etag(digest);
        let mut reply = match conditional::check(headers, || etag, None) {
            Verdict::Send => Reply::with_body(StatusCode::OK, JAVASCRIPT, script.clone()),
            Verdict::NotModified => Reply::empty(StatusCode::NOT_MODIFIED),
            Verdict::Failed => return problems::precondition_failed().into_reply(),
        };
        let fields = &mut reply.headers;
        fields.add(header::ETAG, &etag);
        fields.add(header::CACHE_CONTROL, "public, max-age=3600");
        fields.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        fields.add(CORP, "cross-origin");
        fields.add_all(&self.cross_origin);
        reply
    }
}

/// The script without comments, indents, and spaces beside punctuation. Its texts and patterns have no such spaces.
fn compact(script: &str) -> String {
    let is_punctuation = |byte: u8| b"=+,{}()[]:?<>!&|".contains(&byte);
    let mut compact = String::new();
    for line in script.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        let bytes = line.as_bytes();
        for (at, char) in line.char_indices() {
            let is_beside = |at: usize| bytes.get(at).is_some_and(|byte| is_punctuation(*byte));
            if char != ' ' || !(is_beside(at.wrapping_sub(1)) || is_beside(at + 1)) {
                compact.push(char);
            }
        }
        compact.push('\n');
    }
    compact
}
