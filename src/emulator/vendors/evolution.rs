//! Evolution API 2, and 1, whose picture call is the same: `POST /chat/fetchProfilePictureUrl/{instance}`,
//! `POST /chat/findChats/{instance}`, `GET /instance/fetchInstances`, `GET /instance/connectionState/{instance}`.
//!
//! A picture call catches every error of the session: hidden, not set, limited and disconnected are one 200 with a null.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    emulator::{
        answer::{Answer, Row},
        population::{self, OWN_JID},
        reply::{Reply, phrase},
        vendor_request::VendorRequest,
        vocabulary::Endpoint,
        webhooks::{Event, EventKind, Report, Webhook},
    },
    telemetry::rfc3339,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Picture<'a> {
    wuid: &'a str,
    profile_picture_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chat<'a> {
    id: Option<String>,
    remote_jid: String,
    push_name: &'a str,
    profile_pic_url: Option<&'a str>,
    updated_at: u64,
    last_message: LastMessage,
}

#[derive(Serialize)]
struct LastMessage {
    key: MessageKey,
}

/// A row of `fetchInstances`; also of other members, that no client of pictures reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Instance<'a> {
    name: &'a str,
    connection_status: &'a str,
    owner_jid: Option<String>,
    profile_pic_url: Option<&'a str>,
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct ConnectionState<'a> {
    instance: State<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    instance_name: &'a str,
    state: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: u16,
    error: &'a str,
    response: Response<'a>,
}

#[derive(Serialize)]
struct Response<'a> {
    message: Message<'a>,
}

/// Text, or a list of texts where a guard refuses.
#[derive(Serialize)]
#[serde(untagged)]
enum Message<'a> {
    Text(&'a str),
    List([String; 1]),
}

/// A report to a webhook.
#[derive(Serialize)]
struct Notice<'a> {
    event: &'a str,
    instance: &'a str,
    data: Data<'a>,
    destination: &'a str,
    date_time: String,
    sender: &'a str,
    server_url: &'a str,
    apikey: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Contacts([Contact<'a>; 1]),
    Contact(Contact<'a>),
    #[serde(rename_all = "camelCase")]
    Message {
        key: MessageKey,
        message_type: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact<'a> {
    remote_jid: &'a str,
    push_name: &'a str,
    profile_pic_url: Option<&'a str>,
    instance_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageKey {
    remote_jid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_jid_alt: Option<String>,
    from_me: bool,
    id: &'static str,
}

impl MessageKey {
    fn new(jid: &str, alt: Option<&str>) -> Self {
        Self {
            remote_jid: written(jid),
            remote_jid_alt: alt.map(written),
            from_me: false,
            id: "3EB0",
        }
    }
}

/// The JID that the gateway asks WhatsApp for. It keeps three suffixes and makes digits of everything else, without the
/// extra digit of Mexico, Argentina and Brazil.
pub(in crate::emulator) fn jid_of(number: &str) -> String {
    let number = without_device(number);
    if ["@g.us", "@s.whatsapp.net", "@lid", "@broadcast"]
        .iter()
        .any(|suffix| number.contains(suffix))
    {
        return number;
    }
    let user = number.split(['@', ':']).next().unwrap_or_default();
    if user.contains('-') && user.len() >= 23 {
        let kept = user.chars().filter(|c| c.is_ascii_digit() || *c == '-');
        return kept.chain("@g.us".chars()).collect();
    }
    let digits: String = user.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= 18 {
        return format!("{digits}@g.us");
    }
    format!("{}@s.whatsapp.net", without_extra_digit(&digits))
}

/// `628…:7@s.whatsapp.net` without `:7`.
fn without_device(number: &str) -> String {
    let Some((user, rest)) = number.split_once(':') else {
        return number.to_owned();
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{user}{rest}")
}

fn without_extra_digit(digits: &str) -> String {
    if digits.len() != 13 {
        return digits.to_owned();
    }
    let (country, rest) = digits.split_at(2);
    match country {
        "52" | "54" => format!("{country}{}", &rest[1..]),
        "55" => {
            let (area, number) = (&rest[..2], &rest[3..]);
            let is_old = number.as_bytes()[0] < b'7' || area < "31";
            match is_old {
                true => digits.to_owned(),
                false => format!("{country}{area}{number}"),
            }
        }
        _ => digits.to_owned(),
    }
}

pub(super) fn refuse_malformed(request: &VendorRequest) -> Option<Reply> {
    let is_about_a_face = request.endpoint == Endpoint::Picture;
    (is_about_a_face && request.id.is_none()).then(|| {
        let message = "instance requires property \"number\"".to_owned();
        failure(400, Message::List([message]))
    })
}

pub(super) fn reply(request: &VendorRequest, answer: &Answer) -> Reply {
    if request.endpoint.is_session() {
        return session(request, "open");
    }
    let body = Picture {
        wuid: request.id.as_deref().unwrap_or_default(),
        profile_picture_url: match answer {
            Answer::Link(link) => Some(link),
            Answer::Empty(_) => None,
        },
    };
    Reply::json(200, &body)
}

pub(super) fn list(rows: &[Row]) -> Reply {
    let chats = rows.iter().map(|row| Chat {
        id: Some(format!("c{}", row.second)),
        remote_jid: written(&row.jid),
        push_name: row.name,
        profile_pic_url: row.picture.as_deref(),
        updated_at: row.second,
        last_message: LastMessage {
            key: MessageKey::new(&row.jid, row.alt.as_deref()),
        },
    });
    Reply::json(200, &chats.collect::<Vec<_>>())
}

pub(super) fn error(request: &VendorRequest, status: u16) -> Reply {
    let account = &request.account;
    let message = match status {
        404 => Message::List([format!("The \"{account}\" instance does not exist")]),
        // The instance is stored, but not loaded.
        500 => Message::Text("Cannot read properties of undefined (reading 'profilePicture')"),
        other => Message::Text(phrase(other)),
    };
    failure(status, message)
}

/// Only the session call tells; the picture call answers as always.
pub(super) fn session_down(request: &VendorRequest) -> Reply {
    match request.endpoint {
        Endpoint::Session | Endpoint::ConnectionState => session(request, "close"),
        Endpoint::Overview => list(&[]),
        _ => none(request),
    }
}

/// Limited by WhatsApp: a null like every other.
pub(super) fn none(request: &VendorRequest) -> Reply {
    reply(request, &Answer::Empty(population::Picture::Unknown))
}

fn session(request: &VendorRequest, state: &str) -> Reply {
    if request.endpoint == Endpoint::Session {
        let owner_jid = (state == "open").then(|| written(OWN_JID));
        let instance = Instance {
            name: &request.account,
            connection_status: state,
            owner_jid,
            profile_pic_url: None,
            token: None,
        };
        return Reply::json(200, &[instance]);
    }
    let instance = State {
        instance_name: &request.account,
        state,
    };
    Reply::json(200, &ConnectionState { instance })
}

fn failure(status: u16, message: Message<'_>) -> Reply {
    let body = Failure {
        status,
        error: phrase(status),
        response: Response { message },
    };
    Reply::json(status, &body)
}

/// Evolution asks WhatsApp for the picture itself, after a change and after each message that comes in, and sends the link
/// along. With a change, the contacts are a list.
pub(super) fn reports(
    webhook: &Webhook,
    event: &Event,
    link: Option<&str>,
    now: Timestamp,
) -> Vec<Report> {
    let remote_jid = &*written(&event.jid);
    let report = |name, data| {
        let mut date_time = String::new();
        rfc3339::write(now, &mut date_time);
        Report::json(&Notice {
            event: name,
            instance: &webhook.account,
            data,
            destination: &webhook.url,
            date_time,
            sender: &written(OWN_JID),
            server_url: "http://localhost:8080",
            apikey: None,
        })
    };
    let contact = Contact {
        remote_jid,
        push_name: "Ana",
        profile_pic_url: link,
        instance_id: "1",
    };
    match event.kind {
        EventKind::Picture => vec![report("contacts.update", Data::Contacts([contact]))],
        EventKind::Message => {
            let key = MessageKey::new(&event.jid, event.alt.as_deref());
            let message = Data::Message {
                key,
                message_type: "conversation",
            };
            vec![
                report("messages.upsert", message),
                report("contacts.update", Data::Contact(contact)),
            ]
        }
    }
}

/// The spelling of a canonical JID.
fn written(jid: &str) -> String {
    jid.replace("@c.us", "@s.whatsapp.net")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_becomes_the_jid_that_create_jid_makes_of_it() {
        for (number, jid) in [
            ("628100000001@s.whatsapp.net", "628100000001@s.whatsapp.net"),
            (
                "628100000001:7@s.whatsapp.net",
                "628100000001@s.whatsapp.net",
            ),
            ("100875997589545@lid", "100875997589545@lid"),
            ("+62 (81) 00000001", "628100000001@s.whatsapp.net"),
            // The suffix of others is lost, and with it what kind it was.
            ("628100000001@c.us", "628100000001@s.whatsapp.net"),
            ("120363000000000201@newsletter", "120363000000000201@g.us"),
            ("628100000001-1581234048", "628100000001-1581234048@g.us"),
            // Brazil has a ninth digit since 2012; accounts before that have none. Not so in old areas.
            ("5531988887777", "553188887777@s.whatsapp.net"),
            ("5511988887777", "5511988887777@s.whatsapp.net"),
            ("5219998887777", "529998887777@s.whatsapp.net"),
            ("5491112345678", "541112345678@s.whatsapp.net"),
        ] {
            assert_eq!(jid_of(number), jid, "{number}");
        }
    }
}
