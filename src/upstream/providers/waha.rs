//! WAHA, and Wappfy, which runs it: one dialect, two names for the credential's header.
//!
//! Sources: <https://waha.devlike.pro/docs/how-to/chats/> and
//! <https://docs.wappfy.com.br/en/api/chats/get-chat-picture>.

use http::{HeaderName, StatusCode};
use secrecy::ExposeSecret;

use super::family;
use crate::{
    avatar::{Empty, Subject},
    upstream::{
        Account, Call, Chats, Failure, Found, List, Page, Provider, Question, Reply, Unsupported,
    },
};

/// Where each wants its credential.
const KEY: HeaderName = HeaderName::from_static("x-api-key");
const WAPPFY_KEY: HeaderName = HeaderName::from_static("apikey");

/// WAHA's dialect.
#[derive(Debug)]
pub struct Waha;

/// Wappfy's dialect.
#[derive(Debug)]
pub struct Wappfy;

impl Provider for Waha {
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported> {
        let target = match question.subject {
            Subject::Me => format!("/api/{}/profile", family::encode(&account.name)),
            Subject::Chat(_) => picture(account, question)?,
        };
        Ok(Call {
            target,
            headers: family::secret(KEY, account.token.expose_secret()),
        })
    }

    fn read(&self, _: &Question, reply: &Reply) -> Result<Found, Failure> {
        read(reply)
    }

    fn has_own_profile(&self) -> bool {
        true
    }

    fn chats(&self, account: &Account, page: Page) -> Option<List> {
        Some(overview(KEY, account, page))
    }

    fn read_chats(&self, reply: &Reply) -> Result<Chats, Failure> {
        family::read_chats(reply)
    }

    fn keeps_answers(&self) -> bool {
        true
    }
}

impl Provider for Wappfy {
    // Its `/profile` is documented as "not yet implemented" and answers 501.
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported> {
        Ok(Call {
            target: picture(account, question)?,
            headers: family::secret(WAPPFY_KEY, account.token.expose_secret()),
        })
    }

    fn read(&self, _: &Question, reply: &Reply) -> Result<Found, Failure> {
        read(reply)
    }

    fn chats(&self, account: &Account, page: Page) -> Option<List> {
        Some(overview(WAPPFY_KEY, account, page))
    }

    fn read_chats(&self, reply: &Reply) -> Result<Chats, Failure> {
        family::read_chats(reply)
    }

    fn keeps_answers(&self) -> bool {
        true
    }
}

fn picture(account: &Account, question: &Question) -> Result<String, Unsupported> {
    let Subject::Chat(jid) = question.subject else {
        return Err(Unsupported::OwnUnknown);
    };
    Ok(format!(
        "/api/{}/chats/{}/picture?refresh={}",
        family::encode(&account.name),
        // WAHA caches per raw string; this is the one spelling we ever send.
        family::encode(jid.as_str()),
        question.refresh,
    ))
}

/// For each row of it, WAHA asks WhatsApp for the picture, all at once.
fn overview(key: HeaderName, account: &Account, page: Page) -> List {
    let call = Call {
        target: format!(
            "/api/{}/chats/overview?limit={}&offset={}",
            family::encode(&account.name),
            page.limit,
            page.offset,
        ),
        headers: family::secret(key, account.token.expose_secret()),
    };
    List {
        call,
        is_paged: true,
        cost: page.limit,
    }
}

fn read(reply: &Reply) -> Result<Found, Failure> {
    match reply.status {
        StatusCode::OK | StatusCode::CREATED => family::read_json(reply),
        StatusCode::NOT_FOUND if names_session(reply) => Ok(Found::Nothing(Empty::NotFound)),
        // "Session, contact not found or contact has no profile picture."
        StatusCode::NOT_FOUND => Ok(Found::Nothing(Empty::Unknown)),
        // Before December 2024, WhatsApp's own refusals arrived as a 500.
        StatusCode::INTERNAL_SERVER_ERROR => {
            family::read_words(reply).unwrap_or_else(|| Err(family::read_status(reply)))
        }
        _ => Err(family::read_status(reply)),
    }
}

/// WAHA's "We didn't find a session with name 'x'".
fn names_session(reply: &Reply) -> bool {
    String::from_utf8_lossy(&reply.body).contains("find a session")
}

#[cfg(test)]
mod tests {
    use super::{family::reply, *};
    use crate::avatar::Trouble;

    fn account() -> Account {
        Account {
            name: "my-session".into(),
            token: "secret".into(),
            own: None,
        }
    }

    fn question(subject: &str, refresh: bool) -> Question {
        Question {
            subject: subject.parse().unwrap(),
            refresh,
        }
    }

    #[test]
    fn each_asks_the_same_path_with_its_own_header() {
        let q = question("628123@s.whatsapp.net", false);
        for (provider, name) in [(&Waha as &dyn Provider, "x-api-key"), (&Wappfy, "apikey")] {
            let call = provider.call(&account(), &q).unwrap();
            assert_eq!(
                call.target,
                "/api/my-session/chats/628123%40c.us/picture?refresh=false"
            );
            assert_eq!(call.headers[0].0.as_str(), name);
            assert!(call.headers[0].1.is_sensitive());
        }
    }

    #[test]
    fn a_refresh_is_passed_on() {
        let call = Waha.call(&account(), &question("628123", true)).unwrap();
        assert!(call.target.ends_with("?refresh=true"));
    }

    #[test]
    fn only_waha_has_a_profile_of_its_own() {
        let me = question("me", false);
        assert_eq!(
            Waha.call(&account(), &me).unwrap().target,
            "/api/my-session/profile"
        );
        assert_eq!(
            Wappfy.call(&account(), &me).unwrap_err(),
            Unsupported::OwnUnknown
        );
    }

    #[test]
    fn a_page_of_chats_costs_a_lookup_for_each_of_its_rows() {
        let page = Page {
            offset: 20,
            limit: 10,
        };
        let list = Waha.chats(&account(), page).unwrap();
        let target = "/api/my-session/chats/overview?limit=10&offset=20";
        assert_eq!(list.call.target, target);
        assert_eq!((list.is_paged, list.cost), (true, 10));
    }

    #[test]
    fn a_chat_brings_its_face_along_or_the_news_that_there_is_none() {
        let body = r#"[
            {"id":"628123@c.us","name":"Ana","picture":"https://pps.whatsapp.net/v/a.jpg","lastMessage":{},"_chat":{}},
            {"id":"628124@s.whatsapp.net","name":null,"picture":null},
            {"id":"status@broadcast","picture":null}
        ]"#;
        let chats = Waha.read_chats(&reply(200, body)).unwrap();
        assert_eq!(chats.rows, 3);
        let [ana, other] = chats.chats.as_slice() else {
            panic!("{chats:?}");
        };
        assert_eq!(ana.jid.as_str(), "628123@c.us");
        let link = "https://pps.whatsapp.net/v/a.jpg".to_owned();
        assert_eq!(ana.face, Some(Found::Link(link)));
        assert_eq!(other.jid.as_str(), "628124@c.us");
        assert_eq!(other.face, Some(Found::Nothing(Empty::Unknown)));
        for (status, body, why) in [
            (401, "{}", Trouble::Auth),
            (422, "{}", Trouble::SessionDown),
            (
                200,
                r#"{"error":"rate-overlimit","code":429}"#,
                Trouble::RateLimited,
            ),
            (200, "<html>", Trouble::VendorError),
        ] {
            let failure = Waha.read_chats(&reply(status, body)).unwrap_err();
            assert_eq!(failure.why, why, "{status} {body}");
        }
    }

    #[test]
    fn every_documented_reply_has_its_outcome() {
        let read =
            |status, body: &'static str| Waha.read(&question("1", false), &reply(status, body));
        assert_eq!(
            read(200, r#"{"url":"https://pps.whatsapp.net/v/a.jpg"}"#),
            Ok(Found::Link("https://pps.whatsapp.net/v/a.jpg".into()))
        );
        assert_eq!(
            read(200, r#"{"url":null}"#),
            Ok(Found::Nothing(Empty::Unknown))
        );
        assert_eq!(read(200, "{}"), Ok(Found::Nothing(Empty::Unknown)));
        assert_eq!(read(404, "{}"), Ok(Found::Nothing(Empty::Unknown)));
        let no_session = r#"{"message":"We didn't find a session with name 'x'.","error":"Not Found","statusCode":404}"#;
        assert_eq!(read(404, no_session), Ok(Found::Nothing(Empty::NotFound)));
        let scan = r#"{"error":"Session status is not as expected. Try again later or restart the session","session":"x","status":"SCAN_QR_CODE","expected":["WORKING"]}"#;
        let hidden = r#"{"statusCode":500,"exception":{"message":"not-authorized","data":401}}"#;
        assert_eq!(read(500, hidden), Ok(Found::Nothing(Empty::Hidden)));
        for (status, body, why) in [
            (
                401,
                r#"{"message":"Unauthorized","statusCode":401}"#,
                Trouble::Auth,
            ),
            (403, "", Trouble::Auth),
            (422, scan, Trouble::SessionDown),
            (429, "", Trouble::RateLimited),
            (500, "{}", Trouble::VendorError),
            (502, "<html>", Trouble::VendorError),
            (504, "", Trouble::VendorError),
        ] {
            assert_eq!(read(status, body).unwrap_err().why, why, "{status}");
        }
    }
}
