//! wuzapi: `POST /user/avatar`, `GET /session/status`. Every error of whatsmeow is a 500 with its words. The token is
//! the account: no path has a name.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;
use url::form_urlencoded;

use crate::{
    clock::Timestamp,
    emulator::{
        answer::Answer,
        population::{OWN_JID, Picture},
        reply::{Reply, phrase},
        vendor_request::VendorRequest,
        vocabulary::Endpoint,
        webhooks::{Event, EventKind, Report, Webhook},
    },
    hex,
    telemetry::rfc3339,
};

#[derive(Serialize)]
struct Success<T> {
    code: u16,
    data: T,
    success: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    code: u16,
    error: &'a str,
    success: bool,
}

/// whatsmeow's `ProfilePictureInfo`.
#[derive(Serialize)]
struct PictureInfo<'a> {
    url: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    direct_path: &'a str,
    hash: Option<&'a str>,
}

/// The state of the session. The real one repeats the token here, too.
#[derive(Serialize)]
struct Status<'a> {
    connected: bool,
    #[serde(rename = "loggedIn")]
    logged_in: bool,
    jid: &'a str,
    profile_picture_url: &'a str,
    token: &'a str,
}

/// whatsmeow's words.
const HIDDEN: &str = "the user has hidden their profile picture from you";
const NOT_SET: &str = "that user or group does not have a profile picture";
const LIMITED: &str = "info query returned status 429: rate-overlimit";
const TIMED_OUT: &str = "info query timed out";

pub(super) fn refuse_malformed(request: &VendorRequest) -> Option<Reply> {
    if request.endpoint != Endpoint::Picture {
        return None;
    }
    match request.id.as_deref() {
        None => Some(failure(400, "missing Phone in Payload")),
        Some(id) if id.starts_with('@') => Some(failure(400, "could not parse Phone")),
        // The server takes the suffix as it is, and WhatsApp knows no such server. Which words that gives is not known.
        Some(id) if id.ends_with("@c.us") => Some(avatar_failure(TIMED_OUT)),
        Some(_) => None,
    }
}

pub(super) fn reply(request: &VendorRequest, answer: &Answer) -> Reply {
    if request.endpoint == Endpoint::Session {
        return status(request, true, answer);
    }
    match answer {
        Answer::Link(link) => success(PictureInfo {
            url: link,
            id: "1645308319",
            kind: "image",
            direct_path: "/v/",
            hash: None,
        }),
        Answer::Empty(Picture::Hidden) => avatar_failure(HIDDEN),
        Answer::Empty(Picture::Unknown) => failure(500, "no avatar found"),
        Answer::Empty(_) => avatar_failure(NOT_SET),
    }
}

pub(super) fn error(status: u16) -> Reply {
    match status {
        400 => failure(400, "could not parse Phone"),
        401 => failure(401, "unauthorized"),
        // The router's own: no handler answers so.
        404 => Reply::text(404, "404 page not found\n"),
        500 => avatar_failure(TIMED_OUT),
        other => failure(other, phrase(other)),
    }
}

pub(super) fn session_down(request: &VendorRequest) -> Reply {
    match request.endpoint {
        Endpoint::Session => status(request, false, &Answer::Empty(Picture::Unknown)),
        _ => failure(500, "no session"),
    }
}

pub(super) fn rate_overlimit() -> Reply {
    avatar_failure(LIMITED)
}

/// whatsmeow's events, as a form. The signature covers the form.
pub(super) fn reports(
    webhook: &Webhook,
    event: &Event,
    link: Option<&str>,
    now: Timestamp,
) -> Vec<Report> {
    let jid = event.jid.replace("@c.us", "@s.whatsapp.net");
    let mut timestamp = String::new();
    rfc3339::write(now, &mut timestamp);
    let (kind, of_event) = match event.kind {
        EventKind::Picture => {
            let change = json!({ "JID": jid, "Author": jid, "Timestamp": timestamp,
                                 "Remove": link.is_none(), "PictureID": "1" });
            ("Picture", change)
        }
        EventKind::Message => {
            let alt = event.alt.as_deref().unwrap_or_default();
            let alt = alt.replace("@c.us", "@s.whatsapp.net");
            let info = json!({ "Chat": jid, "Sender": jid, "SenderAlt": alt, "IsFromMe": false, "ID": "3EB0",
                               "PushName": "Ana", "Timestamp": timestamp });
            let message = json!({ "Info": info, "Message": { "conversation": "hello" } });
            ("Message", message)
        }
    };
    let data = json!({ "type": kind, "event": of_event });
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("instanceName", &webhook.account)
        .append_pair("jsonData", &data.to_string())
        .append_pair("userID", "1")
        .finish();
    let signature = webhook.hmac_key.as_ref().and_then(|key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
        mac.update(body.as_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        Some(("x-hmac-signature", hex::encode::<64>(&tag).to_string()))
    });
    vec![Report {
        content_type: "application/x-www-form-urlencoded",
        body,
        signature,
    }]
}

fn status(request: &VendorRequest, logged_in: bool, answer: &Answer) -> Reply {
    let own = format!("{}:3@s.whatsapp.net", OWN_JID.trim_end_matches("@c.us"));
    success(Status {
        connected: true,
        logged_in,
        jid: if logged_in { &own } else { "" },
        profile_picture_url: match answer {
            Answer::Link(link) => link,
            Answer::Empty(_) => "",
        },
        token: request.token.as_deref().unwrap_or_default(),
    })
}

fn success(data: impl Serialize) -> Reply {
    let body = Success {
        code: 200,
        data,
        success: true,
    };
    Reply::json(200, &body)
}

fn avatar_failure(words: &str) -> Reply {
    failure(500, &format!("failed to get avatar: {words}"))
}

fn failure(code: u16, error: &str) -> Reply {
    let body = Failure {
        code,
        error,
        success: false,
    };
    Reply::json(code, &body)
}
