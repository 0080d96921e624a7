//! Problems with a face that several services report in the same words.

use http::{StatusCode, header};

use crate::{avatar::MalformedJid, http::problem::Problem, upstream::UnsupportedSubject};

/// The path or query names an instance that is not configured.
pub(crate) fn unknown_instance() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-instance",
        "There is no instance of this name",
        "compare the instance's name in the URL with the [instances.NAME] tables of the configuration",
    )
}

/// The name is of a pattern of names, and as many of those are in use as may be.
pub(crate) fn instances_full() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "instances-full",
        "Too many names of this pattern are in use",
        "try again after Retry-After; the operator can raise max_names of the pattern, or shorten its idle",
    )
    .with_header(header::RETRY_AFTER, "60")
}

/// The path or query has a JID that is not one.
pub(crate) fn malformed_jid(error: MalformedJid) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed-jid",
        "This is not a WhatsApp JID",
        format!("{error}; write for example 628123@c.us, 123-456@g.us, 123@lid or 123@newsletter"),
    )
}

/// The vendor has no call for this kind of face.
pub(crate) fn unsupported(error: UnsupportedSubject) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unsupported-face",
        "This instance cannot show this face",
        error.to_string(),
    )
}

/// Other clients' pictures leave no space in memory for this one.
pub(crate) fn no_space() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "in-flight",
        "Too many pictures are being sent",
        "try again after Retry-After; the operator can raise server.in_flight",
    )
    .with_header(header::RETRY_AFTER, "1")
}

/// The client expects another image than there is now.
pub(crate) fn precondition_failed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition",
        "The image is not the expected one",
        "If-Match or If-Unmodified-Since names another one; ask without them to get it",
    )
}

/// There is no picture, and the request wants no placeholder.
pub(crate) fn no_picture() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-picture",
        "This face has no picture",
        "leave out d=404 to get a placeholder instead; X-Faceplate-Reason says why there is no picture",
    )
}

/// It is not known whether there is a picture, and the request wants no placeholder. `Retry-After` is added where
/// the time is known.
pub(crate) fn not_known() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-known",
        "It is not known yet whether this face has a picture",
        "try again after Retry-After, or add wait=SECONDS to a signed URL; X-Faceplate-Reason says why it is not known",
    )
}

/// A change was made in memory and could not be written.
pub(crate) fn not_on_disk() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "not-on-disk",
        "The change is in memory, but not on disk",
        "see the log for the disk's error, repair the disk, and repeat the request",
    )
}
