//! WAHA, and Wappfy which is WAHA: `GET /api/{session}/chats/{chatId}/picture`,
//! `GET /api/{session}/chats/overview`, `GET /api/{session}/profile`, `GET /api/sessions/{session}`.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::json;
use sha2::Sha512;

use crate::{
    clock::Timestamp,
    emulator::{
        answer::{Answer, Row},
        population::OWN_JID,
        reply::{Reply, phrase},
        vendor_request::VendorRequest,
        vocabulary::{Endpoint, Vendor},
        webhooks::{Event, EventKind, Report, Webhook},
    },
    hex,
};

#[derive(Serialize)]
struct Picture<'a> {
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct Profile<'a> {
    id: &'a str,
    picture: Option<&'a str>,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    status_code: u16,
}

/// WAHA's reply with an exception of its engine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EngineError<'a> {
    status_code: u16,
    timestamp: &'a str,
    exception: Exception<'a>,
    request: Request<'a>,
    version: Version<'a>,
}

#[derive(Serialize)]
struct Exception<'a> {
    message: &'a str,
    data: u16,
}

#[derive(Serialize)]
struct Request<'a> {
    path: String,
    method: &'a str,
}

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
    engine: &'a str,
    tier: &'a str,
}

#[derive(Serialize)]
struct SessionDown<'a> {
    error: &'a str,
    session: &'a str,
    status: &'a str,
    expected: [&'a str; 1],
}

#[derive(Serialize)]
struct Chat<'a> {
    id: &'a str,
    name: &'a str,
    picture: Option<&'a str>,
    #[serde(rename = "lastMessage")]
    last_message: Message<'a>,
    _chat: Raw<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    id: String,
    timestamp: u64,
    from: &'a str,
    from_me: bool,
    body: &'a str,
}

#[derive(Serialize)]
struct Raw<'a> {
    id: &'a str,
}

/// A link or null; WAHA gives no reason for a missing picture.
pub(super) fn reply(request: &VendorRequest, answer: &Answer) -> Reply {
    let url = match answer {
        Answer::Link(link) => Some(link.as_str()),
        Answer::Empty(_) => None,
    };
    match (request.endpoint, request.vendor) {
        (Endpoint::Session, _) => session(request, "WORKING"),
        // Documented by Wappfy as "not yet implemented".
        (Endpoint::Profile, Vendor::Wappfy) => error(request, 501),
        (Endpoint::Profile, _) => Reply::json(
            200,
            &Profile {
                id: OWN_JID,
                picture: url,
                name: "Faceplate Demo",
            },
        ),
        _ => Reply::json(200, &Picture { url }),
    }
}

/// The state of the session, as `GET /api/sessions/{session}` shows it. It has an account only while it works.
fn session(request: &VendorRequest, status: &str) -> Reply {
    let me = json!({ "id": OWN_JID, "pushName": "Faceplate Demo" });
    let me = (status == "WORKING").then_some(me);
    let name = &request.account;
    Reply::json(200, &json!({ "name": name, "status": status, "me": me }))
}

pub(super) fn list(rows: &[Row]) -> Reply {
    let chats: Vec<Chat<'_>> = rows.iter().map(chat).collect();
    Reply::json(200, &chats)
}

/// The number of a LID, or the LID of a number; a null for what the session has not learned.
pub(super) fn identity(lid: Option<String>, pn: Option<String>) -> Reply {
    Reply::json(200, &json!({ "lid": lid, "pn": pn }))
}

fn chat(row: &Row) -> Chat<'_> {
    Chat {
        id: &row.jid,
        name: row.name,
        picture: row.picture.as_deref(),
        last_message: Message {
            id: format!("false_{}_3EB0", row.jid),
            timestamp: row.second,
            from: &row.jid,
            from_me: false,
            body: "Hello!",
        },
        _chat: Raw { id: &row.jid },
    }
}

pub(super) fn error(request: &VendorRequest, status: u16) -> Reply {
    match status {
        401 => failure(401, "Unauthorized", None),
        404 => {
            let name = &request.account;
            let message = format!(
                "We didn't find a session with name '{name}'. \
                 Please start it first by using POST /api/sessions/start request"
            );
            failure(404, &message, Some("Not Found"))
        }
        422 => session_down(request, "FAILED"),
        500 => engine_error(request),
        501 => failure(
            501,
            "The method is not implemented by the engine.",
            Some(phrase(501)),
        ),
        other => failure(other, phrase(other), None),
    }
}

pub(super) fn session_down(request: &VendorRequest, status: &str) -> Reply {
    if request.endpoint == Endpoint::Session {
        return session(request, status);
    }
    let body = SessionDown {
        error: "Session status is not as expected. Try again later or restart the session",
        session: &request.account,
        status,
        expected: ["WORKING"],
    };
    Reply::json(422, &body)
}

fn failure(status_code: u16, message: &str, error: Option<&str>) -> Reply {
    let body = Failure {
        message,
        error,
        status_code,
    };
    Reply::json(status_code, &body)
}

/// The reply of versions before 2024.12.6 for a hidden picture.
fn engine_error(request: &VendorRequest) -> Reply {
    let id = request.id.as_deref().unwrap_or_default();
    let body = EngineError {
        status_code: 500,
        timestamp: "2026-11-20T12:00:00.000Z",
        exception: Exception {
            message: "not-authorized",
            data: 401,
        },
        request: Request {
            path: format!("/api/{}/chats/{id}/picture", request.account),
            method: "GET",
        },
        version: Version {
            version: "2024.11.1",
            engine: "NOWEB",
            tier: "PLUS",
        },
    };
    Reply::json(500, &body)
}

/// whatsmeow's `MessageSource`.
fn source(event: &Event) -> serde_json::Value {
    let written = |jid: &str| jid.replace("@c.us", "@s.whatsapp.net");
    let alt = event.alt.as_deref().map(written);
    json!({ "Chat": written(&event.jid), "Sender": written(&event.jid),
            "SenderAlt": alt.unwrap_or_default(), "IsFromMe": false, "IsGroup": false })
}

/// Messages, and whatsmeow's events, which its engine passes on as they are.
pub(super) fn reports(
    webhook: &Webhook,
    event: &Event,
    link: Option<&str>,
    now: Timestamp,
) -> Vec<Report> {
    let (name, payload) = match event.kind {
        EventKind::Picture => {
            let jid = event.jid.replace("@c.us", "@s.whatsapp.net");
            let change = json!({ "JID": jid, "Remove": link.is_none(), "PictureID": "1" });
            let payload = json!({ "event": "gows.PictureEventData", "data": change });
            ("engine.event", payload)
        }
        EventKind::Message => {
            let payload = json!({ "id": "false_3EB0", "timestamp": now.as_secs(), "from": event.jid,
                                  "fromMe": false, "body": "hello", "hasMedia": false,
                                  "_data": { "Info": source(event) } });
            ("message", payload)
        }
    };
    let mut report = Report::json(&json!({ "event": name, "session": webhook.account,
                                           "engine": "GOWS", "payload": payload }));
    report.signature = webhook.hmac_key.as_ref().and_then(|key| {
        let mut mac = Hmac::<Sha512>::new_from_slice(key.as_bytes()).ok()?;
        mac.update(report.body.as_bytes());
        let tag: [u8; 64] = mac.finalize().into_bytes().into();
        Some(("x-webhook-hmac", hex::encode::<128>(&tag).to_string()))
    });
    vec![report]
}
