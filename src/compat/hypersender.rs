//! Hypersender's picture call.

use serde_json::json;

use super::{
    Failure,
    endpoint::{self, Endpoint, Success},
};
use crate::server::Reply;

pub(super) static PICTURE: Endpoint = Endpoint {
    id: "hypersenderPicture",
    summary: "Shows the picture of a contact as Hypersender does",
    path: &[
        "api",
        "whatsapp",
        "v2",
        "{account}",
        "contacts",
        "profile-picture",
    ],
    account: None,
    chat: Some("chat_id"),
    token: None,
    token_headers: &["authorization"],
    provider: |_| "hypersender",
    success: Success::Link(|_, link| {
        json!({
            "message": match link {
                Some(_) => "Profile picture retrieved successfully.",
                None => "Profile picture not available.",
            },
            "data": { "profilePictureURL": link },
        })
    }),
    failure,
};

fn failure(failure: Failure, _: &str) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => {
            let error = "The chat id field is required and must be a phone number or a chat ID.";
            let body = json!({
                "message": "The given data was invalid.",
                "errors": { "chat_id": [error] },
                "statusCode": 422,
            });
            return endpoint::json(422, &body);
        }
        Failure::Unauthorized => (401, "Unauthenticated."),
        Failure::UnknownAccount | Failure::UnknownContact => (404, "Resource not found."),
        Failure::SessionDown => (422, "Session status is not as expected."),
        Failure::RateLimited => (429, "Too Many Attempts."),
        Failure::TimedOut | Failure::VendorError => (500, "Server Error"),
    };
    endpoint::json(status, &json!({ "message": message }))
}
