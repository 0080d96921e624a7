//! WAHA, and Wappfy, which runs it: one API, with two names for the header of the credential.
//!
//! Sources: <https://waha.devlike.pro/docs/how-to/chats/> and
//! <https://docs.wappfy.com.br/en/api/chats/get-chat-picture>.

use http::{HeaderName, StatusCode};
use secrecy::ExposeSecret;

use super::gateway_json;
use crate::{
    avatar::{Empty, Subject},
    upstream::provider::{
        Account, ChatList, ChatListCall, ChatLister, Page, Provider, Question, UnsupportedSubject,
        VendorAnswer, VendorCall, VendorFailure, VendorReply,
    },
};

/// The headers of the credential.
const KEY: HeaderName = HeaderName::from_static("x-api-key");
const WAPPFY_KEY: HeaderName = HeaderName::from_static("apikey");

/// WAHA's API.
#[derive(Debug)]
pub struct Waha;

/// Wappfy's API.
#[derive(Debug)]
pub struct Wappfy;

impl Provider for Waha {
    fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        let target = match question.subject {
            Subject::Me => format!("/api/{}/profile", gateway_json::encode(&account.name)),
            Subject::Chat(_) => picture(account, question)?,
        };
        Ok(VendorCall {
            method: http::Method::GET,
            body: Default::default(),
            target,
            headers: gateway_json::secret_header(KEY, account.token.expose_secret()),
        })
    }

    fn read_picture(
        &self,
        _: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        read(reply)
    }

    fn chat_lister(&self) -> Option<&dyn ChatLister> {
        Some(self)
    }

    fn has_own_profile(&self) -> bool {
        true
    }

    fn has_answer_cache(&self) -> bool {
        true
    }
}

impl ChatLister for Waha {
    fn chat_list_call(&self, account: &Account, page: Page) -> ChatListCall {
        overview(KEY, account, page)
    }

    fn read_chat_list(&self, reply: &VendorReply) -> Result<ChatList, VendorFailure> {
        gateway_json::read_chat_list(reply)
    }
}

impl Provider for Wappfy {
    // Wappfy's `/profile` is documented as "not yet implemented" and answers 501.
    fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        Ok(VendorCall {
            method: http::Method::GET,
            body: Default::default(),
            target: picture(account, question)?,
            headers: gateway_json::secret_header(WAPPFY_KEY, account.token.expose_secret()),
        })
    }

    fn read_picture(
        &self,
        _: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        read(reply)
    }

    fn chat_lister(&self) -> Option<&dyn ChatLister> {
        Some(self)
    }

    fn has_answer_cache(&self) -> bool {
        true
    }
}

impl ChatLister for Wappfy {
    fn chat_list_call(&self, account: &Account, page: Page) -> ChatListCall {
        overview(WAPPFY_KEY, account, page)
    }

    fn read_chat_list(&self, reply: &VendorReply) -> Result<ChatList, VendorFailure> {
        gateway_json::read_chat_list(reply)
    }
}

fn picture(account: &Account, question: &Question) -> Result<String, UnsupportedSubject> {
    let Subject::Chat(jid) = question.subject else {
        return Err(UnsupportedSubject::OwnUnknown);
    };
    Ok(format!(
        "/api/{}/chats/{}/picture?refresh={}",
        gateway_json::encode(&account.name),
        // WAHA caches by the raw string, so the JID is always sent in its canonical form.
        gateway_json::encode(jid.as_str()),
        question.refresh,
    ))
}

/// The call for a page of chats. WAHA asks WhatsApp for the picture of each row, concurrently.
fn overview(key: HeaderName, account: &Account, page: Page) -> ChatListCall {
    let call = VendorCall {
        method: http::Method::GET,
        body: Default::default(),
        target: format!(
            "/api/{}/chats/overview?limit={}&offset={}",
            gateway_json::encode(&account.name),
            page.limit,
            page.offset,
        ),
        headers: gateway_json::secret_header(key, account.token.expose_secret()),
    };
    ChatListCall {
        call,
        is_paged: true,
        limit: page.limit,
        cost: page.limit,
    }
}

fn read(reply: &VendorReply) -> Result<VendorAnswer, VendorFailure> {
    match reply.status {
        StatusCode::OK | StatusCode::CREATED => gateway_json::read_json(reply),
        StatusCode::NOT_FOUND if names_session(reply) => Ok(VendorAnswer::Empty(Empty::NotFound)),
        // "Session, contact not found or contact has no profile picture."
        StatusCode::NOT_FOUND => Ok(VendorAnswer::Empty(Empty::Unknown)),
        // Before December 2024, WhatsApp's own refusals arrived as a 500.
        StatusCode::INTERNAL_SERVER_ERROR => {
            gateway_json::read_words(reply).unwrap_or_else(|| Err(gateway_json::read_status(reply)))
        }
        _ => Err(gateway_json::read_status(reply)),
    }
}

/// WAHA's "We didn't find a session with name 'x'".
fn names_session(reply: &VendorReply) -> bool {
    String::from_utf8_lossy(&reply.body).contains("find a session")
}

#[cfg(test)]
mod tests {
    use super::{gateway_json::reply, *};
    use crate::avatar::Trouble;

    fn account() -> Account {
        Account {
            name: "my-session".into(),
            token: "secret".into(),
            own: None,
            params: Default::default(),
        }
    }

    fn question(subject: &str, refresh: bool) -> Question {
        Question {
            subject: subject.parse().unwrap(),
            refresh,
        }
    }

    #[test]
    fn waha_and_wappfy_ask_the_same_path_with_different_headers() {
        let q = question("628123@s.whatsapp.net", false);
        for (provider, name) in [(&Waha as &dyn Provider, "x-api-key"), (&Wappfy, "apikey")] {
            let call = provider.picture_call(&account(), &q).unwrap();
            assert_eq!(
                call.target,
                "/api/my-session/chats/628123%40c.us/picture?refresh=false"
            );
            assert_eq!(call.headers[0].0.as_str(), name);
            assert!(call.headers[0].1.is_sensitive());
        }
    }

    #[test]
    fn a_refresh_is_passed_on_to_waha() {
        let call = Waha
            .picture_call(&account(), &question("628123", true))
            .unwrap();
        assert!(call.target.ends_with("?refresh=true"));
    }

    #[test]
    fn waha_has_a_call_for_the_own_profile_and_wappfy_has_none() {
        let me = question("me", false);
        assert_eq!(
            Waha.picture_call(&account(), &me).unwrap().target,
            "/api/my-session/profile"
        );
        assert_eq!(
            Wappfy.picture_call(&account(), &me).unwrap_err(),
            UnsupportedSubject::OwnUnknown
        );
    }

    #[test]
    fn a_page_of_waha_s_chats_costs_a_lookup_per_row() {
        let page = Page {
            offset: 20,
            limit: 10,
            cursor: None,
        };
        let list = Waha.chat_list_call(&account(), page);
        let target = "/api/my-session/chats/overview?limit=10&offset=20";
        assert_eq!(list.call.target, target);
        assert_eq!((list.is_paged, list.cost), (true, 10));
    }

    #[test]
    fn a_row_of_waha_s_list_has_a_picture_or_says_that_there_is_none() {
        let body = r#"[
            {"id":"628123@c.us","name":"Ana","picture":"https://pps.whatsapp.net/v/a.jpg","lastMessage":{},"_chat":{}},
            {"id":"628124@s.whatsapp.net","name":null,"picture":null},
            {"id":"status@broadcast","picture":null}
        ]"#;
        let chats = Waha.read_chat_list(&reply(200, body)).unwrap();
        assert_eq!(chats.rows, 3);
        let [ana, other] = chats.chats.as_slice() else {
            panic!("{chats:?}");
        };
        assert_eq!(ana.jid.as_str(), "628123@c.us");
        let link = "https://pps.whatsapp.net/v/a.jpg".to_owned();
        assert_eq!(ana.face, Some(VendorAnswer::Link(link)));
        assert_eq!(other.jid.as_str(), "628124@c.us");
        assert_eq!(other.face, Some(VendorAnswer::Empty(Empty::Unknown)));
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
            let failure = Waha.read_chat_list(&reply(status, body)).unwrap_err();
            assert_eq!(failure.why, why, "{status} {body}");
        }
    }

    #[test]
    fn every_documented_reply_of_waha_has_its_outcome() {
        let read = |status, body: &'static str| {
            Waha.read_picture(&question("1", false), &reply(status, body))
        };
        assert_eq!(
            read(200, r#"{"url":"https://pps.whatsapp.net/v/a.jpg"}"#),
            Ok(VendorAnswer::Link(
                "https://pps.whatsapp.net/v/a.jpg".into()
            ))
        );
        assert_eq!(
            read(200, r#"{"url":null}"#),
            Ok(VendorAnswer::Empty(Empty::Unknown))
        );
        assert_eq!(read(200, "{}"), Ok(VendorAnswer::Empty(Empty::Unknown)));
        assert_eq!(read(404, "{}"), Ok(VendorAnswer::Empty(Empty::Unknown)));
        let no_session = r#"{"message":"We didn't find a session with name 'x'.","error":"Not VendorAnswer","statusCode":404}"#;
        assert_eq!(
            read(404, no_session),
            Ok(VendorAnswer::Empty(Empty::NotFound))
        );
        let scan = r#"{"error":"Session status is not as expected. Try again later or restart the session","session":"x","status":"SCAN_QR_CODE","expected":["WORKING"]}"#;
        let hidden = r#"{"statusCode":500,"exception":{"message":"not-authorized","data":401}}"#;
        assert_eq!(read(500, hidden), Ok(VendorAnswer::Empty(Empty::Hidden)));
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
