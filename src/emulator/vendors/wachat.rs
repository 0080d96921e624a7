//! Wachat: `GET /api/v1/instance/profile-picture`, the account's own picture as bytes. Its page
//! names the errors and shows no body; the small JSON here is our own.

use serde::Serialize;

use super::{Shown, phrase};
use crate::emulator::{reply::Reply, route::Ask};

#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

pub(super) fn malformed(ask: &Ask) -> Option<Reply> {
    ask.account.is_empty().then(|| error(400))
}

/// Where there is a picture its bytes are sent, and no link is ever shown.
pub(super) fn show(shown: &Shown) -> Reply {
    match shown {
        Shown::Link(_) => Reply::new(200, "image/jpeg", ""),
        Shown::Nothing(_) => error(404),
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
