//! Hypersender: `GET /api/whatsapp/v2/{instance}/contacts/profile-picture?chat_id=`. Its documentation shows
//! successes; the errors are Laravel's, on which Hypersender runs by its own fixtures.

use serde::Serialize;

use crate::emulator::{
    answer::Answer,
    population::Picture,
    reply::{Reply, phrase},
    vendor_request::VendorRequest,
};

#[derive(Serialize)]
struct Envelope<'a> {
    message: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(rename = "profilePictureURL")]
    url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<InvalidFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
}

#[derive(Serialize)]
struct InvalidFields {
    chat_id: [&'static str; 1],
}

pub(super) fn refuse_malformed(request: &VendorRequest) -> Option<Reply> {
    request.jid().is_none().then(|| error(422))
}

pub(super) fn reply(answer: &Answer) -> Reply {
    let (message, url) = match answer {
        Answer::Link(link) => (
            "Profile picture retrieved successfully.",
            Some(link.as_str()),
        ),
        Answer::Empty(Picture::NotFound) => return error(404),
        Answer::Empty(_) => ("Profile picture not available.", None),
    };
    let data = Data { url };
    Reply::json(200, &Envelope { message, data })
}

pub(super) fn error(status: u16) -> Reply {
    let message = match status {
        401 => "Unauthenticated.",
        403 => "This action is unauthorized.",
        404 => "Resource not found.",
        422 => "The given data was invalid.",
        429 => "Too Many Attempts.",
        500 => "Server Error",
        other => phrase(other),
    };
    let invalid = status == 422;
    let body = Failure {
        message,
        errors: invalid.then_some(InvalidFields {
            chat_id: ["The chat id field is required and must be a phone number or a chat ID."],
        }),
        status: None,
        status_code: invalid.then_some(422),
    };
    Reply::json(status, &body)
}

pub(super) fn session_down(session: &str) -> Reply {
    let body = Failure {
        message: "Session status is not as expected. Try again later or restart the session",
        errors: None,
        status: Some(session),
        status_code: Some(422),
    };
    Reply::json(422, &body)
}
