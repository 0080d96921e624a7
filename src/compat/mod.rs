//! The vendors' own picture calls, served as they are: a client of theirs changes its base URL and
//! nothing else. It sends the credential that it has, which must be the configured one of the account
//! that it names; it gets the vendor's JSON with a link to us in it, or, as an `<img>`, the picture.

mod shapes;

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use self::shapes::Shape;
use crate::{
    avatar::{Ask, Empty, Outcome, Subject, Trouble},
    front::Front,
    http::{
        access_log::Line,
        signed_url::{Scope, Ticket},
    },
    pipeline::{Instance, ServedFace},
    public::{Mode, respond, route::View},
    representation::headers::{self as represent, Context},
    server::Reply,
};

/// A call as one of the vendors documents it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    shape: Shape,
    account: Cow<'a, str>,
    /// Whose picture, in the client's own words.
    chat: Option<Cow<'a, str>>,
    refresh: bool,
    /// A credential in the query.
    token: Option<Cow<'a, str>>,
}

/// Where links to us begin.
#[derive(Clone, Debug)]
pub enum Origin {
    /// As configured.
    Fixed(String),
    /// The host that the client asked for, under this scheme.
    Asked(&'static str),
}

/// Why a call has no picture for an answer. What each is at each vendor, [`shapes`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// A parameter is missing or makes no sense.
    Malformed,
    /// No credential, or a wrong one.
    Unauthorized,
    /// No such account.
    NoAccount,
    /// No such contact.
    NoContact,
    /// The account is not connected.
    SessionDown,
    /// Too often.
    RateLimited,
    /// The vendor did not answer in time.
    TimedOut,
    /// The vendor failed.
    Broken,
}

/// For how long a link in an answer is good: the vendors' own are said to be good for a day.
const LINK_LIVES: u64 = 24 * 3600;

impl<'a> Call<'a> {
    /// The call that this path is, if it is one.
    pub(crate) fn read(uri: &'a Uri) -> Option<Self> {
        let mut segments = uri.path().split('/').skip(1);
        let segments = [(); 7].map(|()| segments.next());
        let (shape, account, chat) = match segments {
            [
                Some("api"),
                Some("v1"),
                Some("instance"),
                Some("profile-picture"),
                None,
                ..,
            ] => (Shape::Wachat, None, None),
            [Some("v2"), Some("chats"), Some("picture"), None, ..] => (Shape::WawpChat, None, None),
            [
                Some("v2"),
                Some("contacts"),
                Some("profile-picture"),
                None,
                ..,
            ] => (Shape::WawpContact, None, None),
            [
                Some("api"),
                Some("whatsapp"),
                Some("v2"),
                Some(account),
                Some("contacts"),
                Some("profile-picture"),
                None,
            ] => (Shape::Hypersender, Some(account), None),
            [
                Some("api"),
                Some(session),
                Some("chats"),
                Some(chat),
                Some("picture"),
                None,
                ..,
            ] => (Shape::Waha, Some(session), Some(chat)),
            _ => return None,
        };
        let mut call = Call {
            shape,
            account: account.map(decoded).unwrap_or_default(),
            chat: chat.map(decoded),
            refresh: false,
            token: None,
        };
        let parameters = shape.parameters();
        let query = uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let name = Some(name.as_ref());
            if name == parameters.account {
                call.account = value;
            } else if name == parameters.chat {
                call.chat = Some(value);
            } else if name == parameters.token {
                call.token = Some(value);
            } else if name == Some("refresh") {
                call.refresh = value == "true";
            }
        }
        Some(call)
    }

    /// The credential, in whichever of the vendor's ways it was sent.
    fn token<'b>(&'b self, headers: &'b HeaderMap) -> Option<&'b str> {
        let in_header = self.shape.headers().iter().find_map(|name| {
            let value = headers.get(*name)?.to_str().ok()?;
            if *name == header::AUTHORIZATION.as_str() {
                value.strip_prefix("Bearer ")
            } else {
                Some(value)
            }
        });
        in_header.or(self.token.as_deref())
    }

    fn subject(&self) -> Result<Subject, Failure> {
        if self.shape == Shape::Wachat {
            return Ok(Subject::Me);
        }
        let chat = self.chat.as_deref().ok_or(Failure::Malformed)?;
        match chat.parse() {
            // A word of ours, and no vendor's.
            Ok(Subject::Me) | Err(_) => Err(Failure::Malformed),
            Ok(subject) => Ok(subject),
        }
    }
}

impl Front {
    /// Answers as the vendor would.
    pub(crate) async fn drop_in(
        &self,
        call: &Call<'_>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        line: &mut Line,
    ) -> Reply {
        line.route("dropin");
        let found = self.called(call, headers);
        let (instance, subject) = match found {
            Ok(found) => found,
            Err(failure) => return call.shape.failure(failure, &call.account),
        };
        line.instance(instance.name());
        let ask = if call.refresh {
            Ask::Refresh
        } else {
            Ask::View
        };
        let Ok(served) = self.faces().look_up(instance, subject, ask).await else {
            return call.shape.failure(Failure::Malformed, &call.account);
        };
        let context = Context {
            instance: instance.name(),
            subject: &subject,
            view: &View::default(),
            method,
            headers,
            settings: &self.shared.settings,
            common: &self.shared.common,
            policy: self.faces().policy(),
            now: self.faces().now(),
        };
        // Wachat answers with bytes, whatever is accepted.
        if wants_image(headers) || (call.shape == Shape::Wachat && served.picture().is_some()) {
            let shown = self.shown(Some(&served), &context).await;
            return respond(&served, &shown, &context, line);
        }
        match outcome(&served) {
            Ok(true) => {
                let link = self.link(instance, subject, uri, headers);
                call.shape.answer(call.chat.as_deref(), Some(&link))
            }
            Ok(false) => call.shape.answer(call.chat.as_deref(), None),
            Err(failure) => {
                let mut response = call.shape.failure(failure, &call.account);
                represent::retry_after(&served, &context, &mut response.headers);
                response
            }
        }
    }

    /// The instance that the call means, if its credential is that one's.
    fn called(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
    ) -> Result<(&Arc<Instance>, Subject), Failure> {
        if call.account.is_empty() {
            return Err(Failure::Malformed);
        }
        // Hashes have one length, so the comparison tells nothing about the credentials'.
        let hash = |token: &str| blake3::hash(token.as_bytes());
        let given = call.token(headers).map(hash).ok_or(Failure::Unauthorized)?;
        let knows = |instance: &&Arc<Instance>| {
            let token = hash(instance.account().token.expose_secret());
            bool::from(token.as_bytes().ct_eq(given.as_bytes()))
        };
        let vendor = call.shape.vendor(headers);
        let all = self.instances();
        // Who knows no credential of the vendor's shall not learn which accounts there are.
        let theirs: Vec<_> = all
            .filter(|instance| instance.vendor() == vendor)
            .filter(knows)
            .collect();
        if theirs.is_empty() {
            return Err(Failure::Unauthorized);
        }
        let instance = theirs
            .into_iter()
            .find(|instance| instance.account().name == call.account)
            .ok_or(Failure::NoAccount)?;
        Ok((instance, call.subject()?))
    }

    /// A signed link to the picture.
    fn link(
        &self,
        instance: &Instance,
        subject: Subject,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> String {
        let settings = &self.shared.settings;
        let asked = uri.host().map(|_| uri.authority().map(ToString::to_string));
        let host = asked.flatten().or_else(|| {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(host.to_owned())
        });
        let origin = match &settings.origin {
            Origin::Fixed(origin) => origin.clone(),
            Origin::Asked(scheme) => format!("{scheme}://{}", host.unwrap_or_default()),
        };
        let ticket = Ticket {
            scope: Scope::Face(subject),
            expires: self.faces().now().as_secs() + LINK_LIVES,
            refresh: false,
        };
        let path = format!("{origin}/avatar/{}/{}", instance.name(), subject.as_str());
        match settings.access.keys.first() {
            Some(key) if settings.access.mode == Mode::Signed => {
                format!("{path}?{}", key.query(instance.name(), &ticket))
            }
            _ => path,
        }
    }
}

/// Whether there is a picture, as the vendor would tell. Trouble is none of the client's as long as
/// there is one.
fn outcome(served: &ServedFace) -> Result<bool, Failure> {
    if served.picture().is_some() {
        return Ok(true);
    }
    if served.is_deferred() {
        return Err(Failure::TimedOut);
    }
    Err(match served.outcome() {
        Some(Outcome::Empty(Empty::NotFound)) => Failure::NoContact,
        Some(Outcome::Trouble(trouble)) => match trouble {
            Trouble::RateLimited | Trouble::OverBudget => Failure::RateLimited,
            // It is the same credential that the client sent.
            Trouble::Auth => Failure::Unauthorized,
            Trouble::SessionDown => Failure::SessionDown,
            Trouble::VendorError => Failure::Broken,
        },
        Some(Outcome::Empty(_) | Outcome::Picture) | None => return Ok(false),
    })
}

/// Whether the client is an `<img>`, or says that it wants what one wants.
fn wants_image(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("image/") && !accept.contains("json"))
}

fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}
