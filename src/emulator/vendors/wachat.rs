//! Wachat: `GET /api/v1/instance/profile-picture`, the account's own picture as bytes. Its documentation names
//! the errors without their bodies; the JSON here is made up.

use serde::Serialize;

use crate::emulator::{
    answer::Answer,
    reply::{Reply, phrase},
    vendor_request::VendorRequest,
};

#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

pub(super) fn refuse_malformed(request: &VendorRequest) -> Option<Reply> {
    request.account.is_empty().then(|| error(400))
}

/// Without a picture a 404. A picture is sent as bytes, by the caller of this function.
pub(super) fn reply(answer: &Answer) -> Reply {
    match answer {
        Answer::Link(_) => Reply::new(200, "image/jpeg", ""),
        Answer::Empty(_) => error(404),
    }
}

pub(super) fn error(status: u16) -> Reply {
    failure(
        status,
        match status {
            400 => "Missing instanceName query parameter.",
            401 => "Missing or invalid API key.",
            403 => "Subscription restriction prevented profile picture lookup.",
            404 => "Instance or profile picture not found.",
            502 => "Could not fetch or load the profile picture.",
            504 => "Wachat API request timed out.",
            other => phrase(other),
        },
    )
}

pub(super) fn session_down(session: &str) -> Reply {
    let message = format!("Could not fetch or load the profile picture. Instance is {session}.");
    failure(502, &message)
}

pub(super) fn rate_overlimit() -> Reply {
    let body = Failure {
        success: false,
        message: "rate-overlimit",
        code: Some(429),
    };
    Reply::json(200, &body)
}

fn failure(status: u16, message: &str) -> Reply {
    let body = Failure {
        success: false,
        message,
        code: None,
    };
    Reply::json(status, &body)
}
