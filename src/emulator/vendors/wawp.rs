//! Wawp: `GET /v2/chats/picture`, `GET /v2/contacts/profile-picture`, `GET /v2/chats/overview`.
//!
//! The documentation of the first shows a success without the link, and mentions "null or restricted"; the
//! link is in `data` here. That of the second says "a 404 Not Found or an empty URL".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::emulator::{
    answer::{Answer, Row},
    population::{OWN_JID, Picture},
    reply::{Reply, phrase},
    vendor_request::VendorRequest,
    vocabulary::Endpoint,
};

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    message: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct Contact<'a> {
    id: &'a str,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: u16,
    message: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct Overlimit {
    success: bool,
    message: &'static str,
    code: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chat<'a> {
    id: &'a str,
    name: &'a str,
    unread_count: u32,
    last_message: Message,
}

#[derive(Serialize)]
struct Message {
    id: String,
    body: &'static str,
    timestamp: u64,
}

/// "You must use the full JID": the chats call refuses a number without suffix, the contacts call does not.
pub(super) fn refuse_malformed(request: &VendorRequest) -> Option<Reply> {
    if request.account.is_empty() {
        return Some(error(400));
    }
    match request.endpoint {
        Endpoint::Picture => {
            let is_full = request.id.as_ref().is_some_and(|id| id.contains('@'));
            (!is_full || request.jid().is_none()).then(|| error(400))
        }
        Endpoint::ContactPicture => match request.jid() {
            None => Some(error(400)),
            // "You cannot fetch your own profile picture via this endpoint."
            Some(jid) => (jid == OWN_JID).then(|| error(404)),
        },
        _ => None,
    }
}

pub(super) fn reply(request: &VendorRequest, answer: &Answer) -> Reply {
    if matches!(answer, Answer::Empty(Picture::NotFound)) {
        return error(404);
    }
    if request.endpoint == Endpoint::ContactPicture {
        return contact(request, answer);
    }
    let (message, url) = match answer {
        Answer::Link(link) => ("Operation completed successfully", Some(link.as_str())),
        Answer::Empty(Picture::Hidden) => ("restricted", None),
        Answer::Empty(_) => ("Operation completed successfully", None),
    };
    let data = Data { url };
    let body = Envelope {
        success: true,
        message,
        data,
    };
    Reply::json(200, &body)
}

fn contact(request: &VendorRequest, answer: &Answer) -> Reply {
    let url = match answer {
        Answer::Link(link) => Some(link.as_str()),
        Answer::Empty(Picture::Hidden) => Some(""),
        Answer::Empty(_) => None,
    };
    let id = request.id.as_deref().unwrap_or_default();
    Reply::json(200, &Contact { id, url })
}

/// An object with the index as key, as in the documentation's example, without pictures.
pub(super) fn list(rows: &[Row]) -> Reply {
    let chats: BTreeMap<usize, Chat<'_>> = rows.iter().map(chat).enumerate().collect();
    Reply::json(200, &chats)
}

fn chat(row: &Row) -> Chat<'_> {
    Chat {
        id: &row.jid,
        name: row.name,
        unread_count: 0,
        last_message: Message {
            id: format!("false_{}_3EB0", row.jid),
            body: "Hello!",
            timestamp: row.second,
        },
    }
}

pub(super) fn error(status: u16) -> Reply {
    failure(
        status,
        match status {
            400 => "Bad Request - Invalid Parameter Format",
            401 => "Unauthorized - Invalid or Missing Access Token",
            500 => "Internal Server Error - Unexpected Failure",
            other => phrase(other),
        },
    )
}

pub(super) fn session_down(session: &str) -> Reply {
    let message = format!("Session status is not as expected. Status: {session}");
    failure(422, &message)
}

pub(super) fn rate_overlimit() -> Reply {
    let body = Overlimit {
        success: false,
        message: "rate-overlimit",
        code: 429,
    };
    Reply::json(200, &body)
}

fn failure(status: u16, message: &str) -> Reply {
    let body = Failure {
        status,
        message,
        error: phrase(status),
    };
    Reply::json(status, &body)
}
