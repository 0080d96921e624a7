//! Every way in which a request can be wrong, and its RFC 9457 answer, in one match.

use std::{borrow::Cow, time::Duration};

use http::{StatusCode, header};
use serde::Serialize;

use super::signed_url::Refusal;
use crate::{
    admin::webhooks as hooks, avatar::MalformedJid, representation::headers as represent,
    server::Reply, upstream::UnsupportedSubject,
};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nothing lives at this path.
    NoRoute,
    /// No such instance.
    NoInstance,
    /// A method that the path does not have; these it has.
    Method(&'static str),
    /// The client asks too often; how long it has to wait.
    TooMany(Duration),
    /// A path and query longer than allowed.
    TooLong,
    /// Nothing is known of the face.
    NoRecord,
    /// The face could not be forgotten on disk.
    NotOnDisk,
    /// Percent-encoding that is no UTF-8.
    Encoding,
    /// The JID is none.
    Jid(MalformedJid),
    /// A parameter, and what to write instead.
    Parameter(&'static str, &'static str),
    /// A line of a list that is no JID: which, and why.
    Line(usize, MalformedJid),
    /// A warm-up is under way already.
    Warming,
    /// No warm-up is.
    NotWarming,
    /// An event that is none, and what to send instead.
    Event(&'static str),
    /// A body longer than allowed.
    TooLarge,
    /// The admin listener has nothing at this path.
    NoAdminRoute,
    /// The admin listener wants its token.
    AdminToken,
    /// So does its page.
    AdminPage,
    /// A name that may be anybody's.
    AdminHost,
    /// A page of another site asks for a change.
    AnotherSite,
    /// PURGE wants a bearer token.
    PurgeToken,
    /// Not let in.
    Access(Refusal),
    /// A face that this vendor cannot be asked for.
    Unsupported(UnsupportedSubject),
    /// `d=404`, and there is no picture.
    NoPicture,
}

/// The members of RFC 9457, in its order.
#[derive(Serialize)]
struct Details {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    /// The status, the name of the kind of problem, its title, and what to do.
    fn parts(self) -> (StatusCode, &'static str, &'static str, String) {
        match self {
            Problem::NoRoute => (
                StatusCode::NOT_FOUND,
                "no-route",
                "There is nothing at this path",
                "write /avatar/{instance}/{jid} or /avatar/{instance}/me".into(),
            ),
            Problem::NoInstance => (
                StatusCode::NOT_FOUND,
                "unknown-instance",
                "There is no instance of this name",
                "check the path's second part against the [instances.NAME] tables of the configuration".into(),
            ),
            Problem::Method(allowed) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "This method is not allowed here",
                format!("ask with one of {allowed}"),
            ),
            Problem::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "This client asks too often",
                "wait as long as Retry-After says; the operator can raise server.client_rate, and names the proxies behind which many clients are in server.trusted_proxies".into(),
            ),
            Problem::TooLong => (
                StatusCode::URI_TOO_LONG,
                "uri-too-long",
                "The path and query are too long",
                "they may have 8192 bytes together".into(),
            ),
            Problem::NoRecord => (
                StatusCode::NOT_FOUND,
                "no-record",
                "Nothing is known of this face",
                "it was never asked for, or was evicted; GET /avatar/{instance}/{jid} asks for it".into(),
            ),
            Problem::NotOnDisk => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "not-on-disk",
                "This is so in memory, but not on disk",
                "see the log for the disk's trouble, mend it, and ask again".into(),
            ),
            Problem::Encoding => (
                StatusCode::BAD_REQUEST,
                "encoding",
                "The path is not valid UTF-8",
                "percent-encode the path's parts as UTF-8".into(),
            ),
            Problem::Jid(why) => (
                StatusCode::BAD_REQUEST,
                "malformed-jid",
                "This is not a WhatsApp JID",
                format!("{why}; write for example 628123@c.us, 123-456@g.us, 123@lid or 123@newsletter"),
            ),
            Problem::Parameter(name, remedy) => (
                StatusCode::BAD_REQUEST,
                "parameter",
                "A query parameter has a value that does not exist",
                format!("{name}: {remedy}"),
            ),
            Problem::Line(line, why) => (
                StatusCode::BAD_REQUEST,
                "line",
                "A line of the list is no JID",
                format!("line {line}: {why}"),
            ),
            Problem::Warming => (
                StatusCode::CONFLICT,
                "warming",
                "This instance is being warmed already",
                "wait for it: GET /v1/warm tells how it is getting on, DELETE /v1/warm?instance=NAME ends it".into(),
            ),
            Problem::NotWarming => (
                StatusCode::NOT_FOUND,
                "not-warming",
                "This instance is not being warmed",
                "POST /v1/warm begins that".into(),
            ),
            Problem::Event(remedy) => (
                StatusCode::BAD_REQUEST,
                "event",
                "This is no gateway's event",
                remedy.into(),
            ),
            Problem::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too long",
                format!("it may have {} bytes", hooks::LONGEST),
            ),
            Problem::NoAdminRoute => (
                StatusCode::NOT_FOUND,
                "no-route",
                "There is nothing at this path",
                "there are /, /livez, /readyz, /metrics, /v1/overview, /v1/instances, /v1/cache, /v1/cache/tend, /v1/purge, /v1/warm, /v1/hooks/{provider} and /v1/avatars/{instance}/{jid}".into(),
            ),
            Problem::AdminHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "admin-host",
                "Without a token, this listener answers to addresses alone",
                "ask for 127.0.0.1 or localhost; set admin.token to ask by another name".into(),
            ),
            Problem::AnotherSite => (
                StatusCode::FORBIDDEN,
                "another-site",
                "A page of another site asks for this",
                "open the page on this listener itself, or ask without a browser".into(),
            ),
            Problem::AdminToken | Problem::AdminPage => (
                StatusCode::UNAUTHORIZED,
                "admin-token",
                "This needs the admin token",
                "send Authorization: Bearer with the token that admin.token names".into(),
            ),
            Problem::PurgeToken => (
                StatusCode::UNAUTHORIZED,
                "purge-token",
                "This needs a bearer token",
                "send Authorization: Bearer with one of access.bearer_tokens; a signature gives no right to purge".into(),
            ),
            Problem::Access(refusal) => (
                StatusCode::FORBIDDEN,
                "access",
                "This URL does not give access",
                refusal.to_string(),
            ),
            Problem::Unsupported(why) => (
                StatusCode::NOT_FOUND,
                "unsupported-face",
                "This instance cannot show this face",
                why.to_string(),
            ),
            Problem::NoPicture => (
                StatusCode::NOT_FOUND,
                "no-picture",
                "There is no picture to show",
                "leave out d=404 to get a drawing instead; X-Faceplate-Reason says why there is none".into(),
            ),
        }
    }

    /// The kind of problem, for the log.
    pub(crate) fn kind(self) -> &'static str {
        self.parts().1
    }

    /// The answer.
    #[cold]
    pub(crate) fn into_reply(self) -> Reply {
        let (status, kind, title, detail) = self.parts();
        let body = serde_json::to_vec(&Details {
            kind: format!("urn:faceplate:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail,
        });
        let mut response = represent::plain(
            status,
            "application/problem+json",
            // Texts and a number cannot fail to be JSON.
            body.unwrap_or_default().into(),
        );
        let owed: Option<(_, Cow<'static, str>)> = match self {
            Problem::Method(allowed) => Some((header::ALLOW, allowed.into())),
            Problem::AdminToken | Problem::PurgeToken => {
                Some((header::WWW_AUTHENTICATE, "Bearer".into()))
            }
            Problem::AdminPage => {
                let ask = "Basic realm=\"Faceplate\", charset=\"UTF-8\"";
                Some((header::WWW_AUTHENTICATE, ask.into()))
            }
            Problem::TooMany(wait) => {
                let secs = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
                Some((header::RETRY_AFTER, secs.to_string().into()))
            }
            _ => None,
        };
        if let Some((name, value)) = owed {
            response.headers.add(name, &value);
        }
        response
    }
}
