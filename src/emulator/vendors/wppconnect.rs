//! WPPConnect Server: `GET /api/{session}/profile-pic/{digits}`, `POST /api/{session}/list-chats`,
//! `GET /api/{session}/check-connection-session`. A browser answers: it knows no reason for a missing picture, and no
//! limit.

use serde::Serialize;

use crate::emulator::{
    answer::{Answer, Row},
    population::Picture,
    reply::{Reply, phrase},
    vendor_request::VendorRequest,
    vocabulary::Endpoint,
};

#[derive(Serialize)]
struct Success<'a> {
    status: &'a str,
    response: Thumbnail<'a>,
}

/// The browser's `ProfilePicThumb`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thumbnail<'a> {
    eurl: Option<&'a str>,
    id: Id<'a>,
    img: Option<&'a str>,
    img_full: Option<&'a str>,
    raw: Option<&'a str>,
    tag: &'a str,
}

#[derive(Serialize)]
struct Id<'a> {
    _serialized: &'a str,
}

/// The browser's entry of a LID and its number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    lid: Option<Id<'a>>,
    phone_number: Option<Id<'a>>,
}

#[derive(Serialize)]
struct Chat<'a> {
    id: Id<'a>,
    name: &'a str,
    t: u64,
}

#[derive(Serialize)]
struct State<'a> {
    status: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct Disconnection<'a> {
    response: Option<()>,
    status: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct CredentialError<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'a str,
    message: &'a str,
    error: Empty,
}

/// An error of the browser, of which JSON shows nothing.
#[derive(Serialize)]
struct Empty {}

/// The JID that the gateway asks the browser for. It takes the digits and makes the suffix anew: a group's if the query
/// says so, a LID's for more than 14 digits, else a phone number's.
pub(in crate::emulator) fn jid_of(phone: &str, is_group: bool) -> String {
    let user = phone.split('@').next().unwrap_or_default();
    if is_group {
        return format!("{user}@g.us");
    }
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '_' | ' ');
    let digits: String = user.chars().filter(is_kept).collect();
    let server = if digits.len() > 14 { "lid" } else { "c.us" };
    format!("{digits}@{server}")
}

pub(super) fn reply(request: &VendorRequest, answer: &Answer) -> Reply {
    if request.endpoint == Endpoint::Session {
        return state(true);
    }
    let link = match answer {
        Answer::Link(link) => Some(link.as_str()),
        Answer::Empty(_) => None,
    };
    let body = Success {
        status: "success",
        response: Thumbnail {
            eurl: link,
            id: Id {
                _serialized: request.id.as_deref().unwrap_or_default(),
            },
            img: link,
            img_full: link,
            raw: None,
            tag: "1",
        },
    };
    Reply::json(200, &body)
}

pub(super) fn identity(lid: Option<String>, number: Option<String>) -> Reply {
    let id = |jid| Id { _serialized: jid };
    let body = Identity {
        lid: lid.as_deref().map(id),
        phone_number: number.as_deref().map(id),
    };
    Reply::json(200, &body)
}

pub(super) fn list(rows: &[Row]) -> Reply {
    let chats = rows.iter().map(|row| Chat {
        id: Id {
            _serialized: &row.jid,
        },
        name: row.name,
        t: row.second,
    });
    Reply::json(200, &chats.collect::<Vec<_>>())
}

/// A session that does not exist is one that is not connected.
pub(super) fn error(status: u16) -> Reply {
    match status {
        401 => {
            let error = "Check that the Session and Token are correct";
            Reply::json(401, &CredentialError { error })
        }
        404 => disconnected(),
        500 => failure(500, "Error on  get profile pic"),
        other => failure(other, phrase(other)),
    }
}

pub(super) fn session_down(request: &VendorRequest) -> Reply {
    match request.endpoint {
        Endpoint::Session => state(false),
        _ => disconnected(),
    }
}

/// The browser answers a limited account as one without pictures.
pub(super) fn rate_overlimit(request: &VendorRequest) -> Reply {
    reply(request, &Answer::Empty(Picture::Unknown))
}

fn state(status: bool) -> Reply {
    let message = if status { "Connected" } else { "Disconnected" };
    Reply::json(200, &State { status, message })
}

fn disconnected() -> Reply {
    let body = Disconnection {
        response: None,
        status: "Disconnected",
        message: "A sessão do WhatsApp não está ativa.",
    };
    Reply::json(404, &body)
}

fn failure(status: u16, message: &str) -> Reply {
    let body = Failure {
        status: "error",
        message,
        error: Empty {},
    };
    Reply::json(status, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_made_anew_from_the_digits() {
        for (phone, is_group, jid) in [
            ("628100000001", false, "628100000001@c.us"),
            ("628100000001@s.whatsapp.net", false, "628100000001@c.us"),
            ("100875997589545", false, "100875997589545@lid"),
            // A LID of 14 digits is asked for as a phone number.
            ("81896604192873@lid", false, "81896604192873@c.us"),
            ("120363000000000001", true, "120363000000000001@g.us"),
            (
                "628100000001-1581234048",
                true,
                "628100000001-1581234048@g.us",
            ),
        ] {
            assert_eq!(jid_of(phone, is_group), jid, "{phone}");
        }
    }
}
