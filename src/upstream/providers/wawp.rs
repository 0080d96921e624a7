//! Wawp: contacts and groups by two calls, the credential in the query.
//!
//! Sources: <https://api.wawp.net/en/docs/v2/chats/picture>,
//! <https://api.wawp.net/en/docs/v2/contacts/profile-picture> and
//! <https://api.wawp.net/en/docs/v2/chats/overview>.

use http::StatusCode;
use secrecy::ExposeSecret;

use super::family;
use crate::{
    avatar::{Empty, Jid, Kind, Subject, Trouble},
    upstream::{
        Account, Call, Chats, Failure, Found, List, Page, Provider, Question, Reply, Unsupported,
    },
};

/// Wawp's dialect.
#[derive(Debug)]
pub struct Wawp;

impl Provider for Wawp {
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported> {
        let Subject::Chat(jid) = question.subject else {
            return Err(Unsupported::OwnUnknown);
        };
        let (path, parameter) = route(&jid, account);
        let mut target = format!(
            "{path}?instance_id={}&access_token={}&{parameter}={}",
            family::encode(&account.name),
            family::encode(account.token.expose_secret()),
            // "You must use the full JID": without the suffix the engine fails.
            family::encode(jid.as_str()),
        );
        if question.refresh {
            target.push_str("&refresh=true");
        }
        Ok(Call {
            target,
            headers: Vec::new(),
        })
    }

    fn read(&self, _: &Question, reply: &Reply) -> Result<Found, Failure> {
        match reply.status {
            StatusCode::OK => family::read_json(reply),
            // "You will often get a 404 or an empty URL": privacy, or no photo.
            StatusCode::NOT_FOUND => Ok(Found::Nothing(Empty::Unknown)),
            StatusCode::FORBIDDEN => Ok(Found::Nothing(Empty::Hidden)),
            StatusCode::INTERNAL_SERVER_ERROR => {
                family::read_words(reply).unwrap_or_else(|| Err(family::read_status(reply)))
            }
            StatusCode::UNAUTHORIZED => Err(Failure::new(
                Trouble::Auth,
                "the vendor refused our access token (401)",
            )),
            _ => Err(family::read_status(reply)),
        }
    }

    // Documented without pages, and without pictures.
    fn chats(&self, account: &Account, _: Page) -> Option<List> {
        let target = format!(
            "/v2/chats/overview?instance_id={}&access_token={}",
            family::encode(&account.name),
            family::encode(account.token.expose_secret()),
        );
        let headers = Vec::new();
        Some(List {
            call: Call { target, headers },
            is_paged: false,
            cost: 1,
        })
    }

    fn read_chats(&self, reply: &Reply) -> Result<Chats, Failure> {
        family::read_chats(reply)
    }

    fn keeps_answers(&self) -> bool {
        true
    }
}

/// The contacts call is for individual people, "but you cannot fetch your own profile picture via
/// this endpoint"; the chats call takes everything.
fn route(jid: &Jid, account: &Account) -> (&'static str, &'static str) {
    match jid.kind() {
        Kind::Contact | Kind::Lid if account.own != Some(*jid) => {
            ("/v2/contacts/profile-picture", "contactId")
        }
        _ => ("/v2/chats/picture", "chatId"),
    }
}

#[cfg(test)]
mod tests {
    use super::{family::reply, *};

    #[test]
    fn chats_come_in_the_order_of_their_index() {
        let body = r#"{"0":{"id":"447@c.us"},"10":{"id":"4410@c.us"},"2":{"id":"442@c.us"}}"#;
        let chats = Wawp.read_chats(&reply(200, body)).unwrap();
        let jids: Vec<_> = chats.chats.iter().map(|chat| chat.jid.as_str()).collect();
        assert_eq!(jids, ["447@c.us", "442@c.us", "4410@c.us"]);
        assert!(chats.chats.iter().all(|chat| chat.face.is_none()));
    }

    fn account() -> Account {
        Account {
            name: "123456789".into(),
            token: "123456789".into(),
            own: Some("628123@c.us".parse().unwrap()),
        }
    }

    fn question(jid: &str, refresh: bool) -> Question {
        Question {
            subject: jid.parse().unwrap(),
            refresh,
        }
    }

    fn target(jid: &str, refresh: bool) -> String {
        Wawp.call(&account(), &question(jid, refresh))
            .unwrap()
            .target
    }

    #[test]
    fn contacts_are_asked_for_as_the_vendor_s_page_does() {
        assert_eq!(
            target("123456789@c.us", true),
            "/v2/contacts/profile-picture?instance_id=123456789&access_token=123456789&contactId=123456789%40c.us&refresh=true"
        );
    }

    #[test]
    fn groups_and_the_own_picture_go_through_the_chats_call() {
        assert_eq!(
            target("120363000000000001@g.us", false),
            "/v2/chats/picture?instance_id=123456789&access_token=123456789&chatId=120363000000000001%40g.us"
        );
        assert!(target("628123@c.us", false).starts_with("/v2/chats/picture?"));
    }

    #[test]
    fn me_needs_the_configured_own_jid() {
        assert_eq!(
            Wawp.call(&account(), &question("me", false)).unwrap_err(),
            Unsupported::OwnUnknown
        );
    }

    #[test]
    fn the_published_success_bodies_are_understood() {
        let q = question("123456789@c.us", false);
        let contact = "{\n\"id\": \"123456789@c.us\",\n\"url\": \"https://pps.whatsapp.net/v/t61.24694-24/...\"\n}";
        assert_eq!(
            Wawp.read(&q, &reply(200, contact)),
            Ok(Found::Link(
                "https://pps.whatsapp.net/v/t61.24694-24/...".into()
            ))
        );
        let stub = "{\n\"success\": true,\n\"message\": \"Operation completed successfully\"\n}";
        assert_eq!(
            Wawp.read(&q, &reply(200, stub)),
            Ok(Found::Nothing(Empty::Unknown))
        );
        let restricted = r#"{"success":true,"data":"restricted"}"#;
        assert_eq!(
            Wawp.read(&q, &reply(200, restricted)),
            Ok(Found::Nothing(Empty::Hidden))
        );
    }

    #[test]
    fn every_documented_status_has_its_outcome() {
        let q = question("123456789@c.us", false);
        for (status, why) in [
            (400, Trouble::VendorError),
            (401, Trouble::Auth),
            (422, Trouble::SessionDown),
            (429, Trouble::RateLimited),
            (500, Trouble::VendorError),
            (502, Trouble::VendorError),
            (504, Trouble::VendorError),
        ] {
            assert_eq!(
                Wawp.read(&q, &reply(status, "")).unwrap_err().why,
                why,
                "{status}"
            );
        }
        for (status, empty) in [(403, Empty::Hidden), (404, Empty::Unknown)] {
            assert_eq!(Wawp.read(&q, &reply(status, "")), Ok(Found::Nothing(empty)));
        }
    }
}
