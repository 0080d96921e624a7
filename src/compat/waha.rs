//! WAHA's picture calls, of a chat, a group and a contact, and its calls with pictures in their replies: the profile
//! and the chats. They are Wappfy's, too. The header of the credential tells the two apart.

use http::HeaderMap;
use serde_json::json;

use super::{
    Failure,
    endpoint::{self, Endpoint, Relay, Success},
};
use crate::server::Reply;

const WAHA_KEY: &str = "x-api-key";
const WAPPFY_KEY: &str = "apikey";

pub(super) static PICTURE: Endpoint = CHAT_PICTURE;

const CHAT_PICTURE: Endpoint = Endpoint {
    id: "wahaPicture",
    summary: "Shows the picture of a chat as WAHA and Wappfy do",
    path: &["api", "{account}", "chats", "{chat}", "picture"],
    account: None,
    chat: None,
    token: Some(WAHA_KEY),
    token_headers: &[WAHA_KEY, WAPPFY_KEY],
    provider,
    success: Success::Link(|_, link| json!({ "url": link })),
    failure,
};

pub(super) static GROUP_PICTURE: Endpoint = Endpoint {
    id: "wahaGroupPicture",
    summary: "Shows the picture of a group as WAHA and Wappfy do",
    path: &["api", "{account}", "groups", "{chat}", "picture"],
    ..CHAT_PICTURE
};

pub(super) static CONTACT_PICTURE: Endpoint = Endpoint {
    id: "wahaContactPicture",
    summary: "Shows the picture of a contact as WAHA and Wappfy do",
    path: &["api", "contacts", "profile-picture"],
    account: Some("session"),
    chat: Some("contactId"),
    success: Success::Link(|_, link| json!({ "profilePictureURL": link })),
    ..CHAT_PICTURE
};

pub(super) static PROFILE: Endpoint = Endpoint {
    id: "wahaProfile",
    summary: "Shows the account's profile as WAHA does",
    path: &["api", "{account}", "profile"],
    success: Success::Relay(Relay::Profile),
    ..CHAT_PICTURE
};

pub(super) static CHATS: Endpoint = Endpoint {
    id: "wahaChats",
    summary: "Lists the latest chats as WAHA and Wappfy do",
    path: &["api", "{account}", "chats", "overview"],
    success: Success::Relay(Relay::Chats),
    ..CHAT_PICTURE
};

fn provider(headers: &HeaderMap) -> &'static str {
    if headers.contains_key(WAPPFY_KEY) {
        "wappfy"
    } else {
        "waha"
    }
}

fn failure(failure: Failure, session: &str) -> Reply {
    let plain = |status: u16, message: &str| {
        let error = endpoint::reason_phrase(status);
        json!({ "message": message, "error": error, "statusCode": status })
    };
    let (status, body) = match failure {
        Failure::Malformed => (400, plain(400, "chatId is no WhatsApp id")),
        Failure::Unauthorized => (401, json!({ "message": "Unauthorized", "statusCode": 401 })),
        Failure::UnknownAccount => {
            let message = format!("We didn't find a session with name '{session}'.");
            (404, plain(404, &message))
        }
        Failure::UnknownContact => (404, plain(404, "We didn't find the contact.")),
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
        Failure::TimedOut | Failure::VendorError => (500, plain(500, "Internal server error")),
    };
    endpoint::json(status, &body)
}
