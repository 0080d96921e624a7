//! Wawp's two picture calls, of a chat and of a contact.

use serde_json::json;

use super::{
    Failure,
    endpoint::{self, Endpoint, Success},
};
use crate::server::Reply;

pub(super) static CHAT_PICTURE: Endpoint = Endpoint {
    id: "wawpChatPicture",
    summary: "Shows the picture of a chat as Wawp does",
    path: &["v2", "chats", "picture"],
    account: Some("instance_id"),
    chat: Some("chatId"),
    token: Some("access_token"),
    token_headers: &["authorization", "access-token"],
    provider: |_| "wawp",
    success: Success::Link(|_, link| {
        json!({
            "success": true,
            "message": "Operation completed successfully",
            "data": { "url": link },
        })
    }),
    failure,
};

pub(super) static CONTACT_PICTURE: Endpoint = Endpoint {
    id: "wawpContactPicture",
    summary: "Shows the picture of a contact as Wawp does",
    path: &["v2", "contacts", "profile-picture"],
    account: Some("instance_id"),
    chat: Some("contactId"),
    token: Some("access_token"),
    token_headers: &["authorization", "access-token"],
    provider: |_| "wawp",
    success: Success::Link(|chat, link| json!({ "id": chat, "url": link })),
    failure,
};

fn failure(failure: Failure, _: &str) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => (400, "Bad Request - Invalid Parameter Format"),
        Failure::Unauthorized => (401, "Unauthorized - Invalid or Missing Access Token"),
        Failure::UnknownAccount | Failure::UnknownContact => (404, "Not Found"),
        Failure::SessionDown => (422, "Session status is not as expected."),
        Failure::RateLimited => (429, "rate-overlimit"),
        Failure::TimedOut | Failure::VendorError => {
            (500, "Internal Server Error - Unexpected Failure")
        }
    };
    let error = endpoint::reason_phrase(status);
    endpoint::json(
        status,
        &json!({ "status": status, "message": message, "error": error }),
    )
}
