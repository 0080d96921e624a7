//! Wachat's picture call: the account's own picture, as bytes.

use serde_json::json;

use super::{
    Failure,
    endpoint::{self, Endpoint, Success},
};
use crate::server::Reply;

pub(super) static PICTURE: Endpoint = Endpoint {
    id: "wachatPicture",
    summary: "Shows the account's own picture as Wachat does",
    path: &["api", "v1", "instance", "profile-picture"],
    account: Some("instanceName"),
    chat: None,
    token: Some("apiKey"),
    token_headers: &["authorization"],
    provider: |_| "wachat",
    success: Success::OwnImage,
    failure,
};

fn failure(failure: Failure, _: &str) -> Reply {
    let (status, message) = match failure {
        Failure::Malformed => (400, "Missing instanceName query parameter."),
        Failure::Unauthorized => (401, "Missing or invalid API key."),
        Failure::UnknownAccount | Failure::UnknownContact => {
            (404, "Instance or profile picture not found.")
        }
        Failure::RateLimited => (429, "Too many requests."),
        Failure::SessionDown | Failure::VendorError => {
            (502, "Could not fetch or load the profile picture.")
        }
        Failure::TimedOut => (504, "Wachat API request timed out."),
    };
    endpoint::json(status, &json!({ "success": false, "message": message }))
}
