//! What each vendor's answers look like, by its documentation: the success, the "none", and the status
//! and body of every failure.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Failure;
use crate::{representation::headers as represent, server::Reply, upstream::Vendor};

/// One documented call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `GET /api/v1/instance/profile-picture`: bytes, of the account's own picture.
    Wachat,
    /// `GET /v2/chats/picture`
    WawpChat,
    /// `GET /v2/contacts/profile-picture`
    WawpContact,
    /// `GET /api/whatsapp/v2/{instance}/contacts/profile-picture`
    Hypersender,
    /// `GET /api/{session}/chats/{chatId}/picture`, of WAHA and Wappfy.
    Waha,
}

/// What the query's parameters are called; the path has what has no name here.
#[derive(Clone, Copy, Default)]
pub(crate) struct Parameters {
    pub(crate) account: Option<&'static str>,
    pub(crate) chat: Option<&'static str>,
    pub(crate) token: Option<&'static str>,
}

const WAPPFY_KEY: &str = "apikey";

impl Shape {
    /// Whose call it is. WAHA's and Wappfy's differ in the header of the credential alone.
    pub(crate) fn vendor(self, headers: &HeaderMap) -> Vendor {
        match self {
            Shape::Wachat => Vendor::Wachat,
            Shape::WawpChat | Shape::WawpContact => Vendor::Wawp,
            Shape::Hypersender => Vendor::Hypersender,
            Shape::Waha if headers.contains_key(WAPPFY_KEY) => Vendor::Wappfy,
            Shape::Waha => Vendor::Waha,
        }
    }

    pub(crate) fn parameters(self) -> Parameters {
        let none = Parameters::default();
        match self {
            Shape::Wachat => Parameters {
                account: Some("instanceName"),
                token: Some("apiKey"),
                ..none
            },
            Shape::WawpChat | Shape::WawpContact => Parameters {
                account: Some("instance_id"),
                token: Some("access_token"),
                chat: Some(if self == Shape::WawpChat {
                    "chatId"
                } else {
                    "contactId"
                }),
            },
            Shape::Hypersender => Parameters {
                chat: Some("chat_id"),
                ..none
            },
            Shape::Waha => Parameters {
                token: Some("x-api-key"),
                ..none
            },
        }
    }

    /// The headers that carry the credential.
    pub(crate) fn headers(self) -> &'static [&'static str] {
        match self {
            Shape::Wachat | Shape::Hypersender => &["authorization"],
            Shape::WawpChat | Shape::WawpContact => &["authorization", "access-token"],
            Shape::Waha => &["x-api-key", WAPPFY_KEY],
        }
    }

    /// The answer with a link, or with the vendor's word for none.
    pub(crate) fn answer(self, chat: Option<&str>, link: Option<&str>) -> Reply {
        let body = match self {
            Shape::Wachat => return self.failure(Failure::NoContact, ""),
            Shape::WawpChat => json!({
                "success": true,
                "message": "Operation completed successfully",
                "data": { "url": link },
            }),
            Shape::WawpContact => json!({ "id": chat, "url": link }),
            Shape::Hypersender => json!({
                "message": match link {
                    Some(_) => "Profile picture retrieved successfully.",
                    None => "Profile picture not available.",
                },
                "data": { "profilePictureURL": link },
            }),
            Shape::Waha => json!({ "url": link }),
        };
        answer(200, &body)
    }

    /// The answer to a call that failed.
    pub(crate) fn failure(self, failure: Failure, account: &str) -> Reply {
        match self {
            Shape::Wachat => wachat(failure),
            Shape::WawpChat | Shape::WawpContact => wawp(failure),
            Shape::Hypersender => hypersender(failure),
            Shape::Waha => waha(failure, account),
        }
    }
}

fn wachat(failure: Failure) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => (400, "Missing instanceName query parameter."),
        Failure::Unauthorized => (401, "Missing or invalid API key."),
        Failure::NoAccount | Failure::NoContact => (404, "Instance or profile picture not found."),
        Failure::RateLimited => (429, "Too many requests."),
        Failure::SessionDown | Failure::Broken => {
            (502, "Could not fetch or load the profile picture.")
        }
        Failure::TimedOut => (504, "Wachat API request timed out."),
    };
    answer(status, &json!({ "success": false, "message": message }))
}

fn wawp(failure: Failure) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => (400, "Bad Request - Invalid Parameter Format"),
        Failure::Unauthorized => (401, "Unauthorized - Invalid or Missing Access Token"),
        Failure::NoAccount | Failure::NoContact => (404, "Not Found"),
        Failure::SessionDown => (422, "Session status is not as expected."),
        Failure::RateLimited => (429, "rate-overlimit"),
        Failure::TimedOut | Failure::Broken => (500, "Internal Server Error - Unexpected Failure"),
    };
    let error = phrase(status);
    answer(
        status,
        &json!({ "status": status, "message": message, "error": error }),
    )
}

fn hypersender(failure: Failure) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => {
            let told = "The chat id field is required and must be a phone number or a chat ID.";
            let body = json!({
                "message": "The given data was invalid.",
                "errors": { "chat_id": [told] },
                "statusCode": 422,
            });
            return answer(422, &body);
        }
        Failure::Unauthorized => (401, "Unauthenticated."),
        Failure::NoAccount | Failure::NoContact => (404, "Resource not found."),
        Failure::SessionDown => (422, "Session status is not as expected."),
        Failure::RateLimited => (429, "Too Many Attempts."),
        Failure::TimedOut | Failure::Broken => (500, "Server Error"),
    };
    answer(status, &json!({ "message": message }))
}

fn waha(failure: Failure, session: &str) -> Reply {
    let plain = |status: u16, message: &str| {
        let error = phrase(status);
        json!({ "message": message, "error": error, "statusCode": status })
    };
    let (status, body) = match failure {
        Failure::Malformed => (400, plain(400, "chatId is no WhatsApp id")),
        Failure::Unauthorized => (401, json!({ "message": "Unauthorized", "statusCode": 401 })),
        Failure::NoAccount => {
            let message = format!("We didn't find a session with name '{session}'.");
            (404, plain(404, &message))
        }
        Failure::NoContact => (404, plain(404, "We didn't find the contact.")),
        Failure::SessionDown => (
            422,
            json!({
                "error": "Session status is not as expected. Try again later or restart the session",
                "session": session,
                "status": "FAILED",
                "expected": ["WORKING"],
            }),
        ),
        Failure::RateLimited => (429, plain(429, "rate-overlimit")),
        Failure::TimedOut | Failure::Broken => (500, plain(500, "Internal server error")),
    };
    answer(status, &body)
}

fn phrase(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

fn answer(status: u16, body: &Value) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    represent::plain(status, "application/json", body.to_string().into())
}
