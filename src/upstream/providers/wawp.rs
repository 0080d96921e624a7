//! Wawp: one call for contacts, another for groups; the credential is in the query.
//!
//! Sources: <https://api.wawp.net/en/docs/v2/chats/picture>,
//! <https://api.wawp.net/en/docs/v2/contacts/profile-picture> and
//! <https://api.wawp.net/en/docs/v2/chats/overview>.

use http::StatusCode;
use secrecy::ExposeSecret;

use super::gateway_json;
use crate::{
    avatar::{Empty, Jid, Kind, Subject, Trouble},
    upstream::provider::{
        Account, ChatList, ChatListCall, ChatLister, Page, Provider, Question, UnsupportedSubject,
        VendorAnswer, VendorCall, VendorFailure, VendorReply,
    },
};

/// Wawp's API.
#[derive(Debug)]
pub struct Wawp;

impl Provider for Wawp {
    fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        let Subject::Chat(jid) = question.subject else {
            return Err(UnsupportedSubject::OwnUnknown);
        };
        let (path, parameter) = route(&jid, account);
        let mut target = format!(
            "{path}?instance_id={}&access_token={}&{parameter}={}",
            gateway_json::encode(&account.name),
            gateway_json::encode(account.token.expose_secret()),
            // "You must use the full JID": without the suffix the engine fails.
            gateway_json::encode(jid.as_str()),
        );
        if question.refresh {
            target.push_str("&refresh=true");
        }
        Ok(VendorCall {
            method: http::Method::GET,
            body: Default::default(),
            target,
            headers: Vec::new(),
        })
    }

    fn read_picture(
        &self,
        _: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        match reply.status {
            StatusCode::OK => gateway_json::read_json(reply),
            // "You will often get a 404 or an empty URL": privacy, or no photo.
            StatusCode::NOT_FOUND => Ok(VendorAnswer::Empty(Empty::Unknown)),
            StatusCode::FORBIDDEN => Ok(VendorAnswer::Empty(Empty::Hidden)),
            StatusCode::INTERNAL_SERVER_ERROR => gateway_json::read_words(reply)
                .unwrap_or_else(|| Err(gateway_json::read_status(reply))),
            StatusCode::UNAUTHORIZED => Err(VendorFailure::new(
                Trouble::Auth,
                "the vendor refused our access token (401)",
            )),
            _ => Err(gateway_json::read_status(reply)),
        }
    }

    fn chat_lister(&self) -> Option<&dyn ChatLister> {
        Some(self)
    }

    fn has_answer_cache(&self) -> bool {
        true
    }
}

impl ChatLister for Wawp {
    // Documented without pages and without pictures.
    fn chat_list_call(&self, account: &Account, _: Page) -> ChatListCall {
        let target = format!(
            "/v2/chats/overview?instance_id={}&access_token={}",
            gateway_json::encode(&account.name),
            gateway_json::encode(account.token.expose_secret()),
        );
        let headers = Vec::new();
        ChatListCall {
            call: VendorCall {
                method: http::Method::GET,
                body: Default::default(),
                target,
                headers,
            },
            is_paged: false,
            limit: usize::MAX,
            cost: 1,
        }
    }

    fn read_chat_list(&self, reply: &VendorReply) -> Result<ChatList, VendorFailure> {
        gateway_json::read_chat_list(reply)
    }
}

/// The path and the name of the JID's parameter. The contacts call is for individual people, "but you
/// cannot fetch your own profile picture via this endpoint"; the chats call takes every JID.
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
    use super::{gateway_json::reply, *};

    #[test]
    fn wawp_s_chats_are_read_in_the_order_of_their_index() {
        let body = r#"{"0":{"id":"447@c.us"},"10":{"id":"4410@c.us"},"2":{"id":"442@c.us"}}"#;
        let chats = Wawp.read_chat_list(&reply(200, body)).unwrap();
        let jids: Vec<_> = chats.chats.iter().map(|chat| chat.jid.as_str()).collect();
        assert_eq!(jids, ["447@c.us", "442@c.us", "4410@c.us"]);
        assert!(chats.chats.iter().all(|chat| chat.face.is_none()));
    }

    fn account() -> Account {
        Account {
            name: "123456789".into(),
            token: "123456789".into(),
            own: Some("628123@c.us".parse().unwrap()),
            params: Default::default(),
        }
    }

    fn question(jid: &str, refresh: bool) -> Question {
        Question {
            subject: jid.parse().unwrap(),
            refresh,
        }
    }

    fn target(jid: &str, refresh: bool) -> String {
        Wawp.picture_call(&account(), &question(jid, refresh))
            .unwrap()
            .target
    }

    #[test]
    fn wawp_s_contacts_call_is_the_documented_one() {
        assert_eq!(
            target("123456789@c.us", true),
            "/v2/contacts/profile-picture?instance_id=123456789&access_token=123456789&contactId=123456789%40c.us&refresh=true"
        );
    }

    #[test]
    fn groups_and_the_own_picture_use_wawp_s_chats_call() {
        assert_eq!(
            target("120363000000000001@g.us", false),
            "/v2/chats/picture?instance_id=123456789&access_token=123456789&chatId=120363000000000001%40g.us"
        );
        assert!(target("628123@c.us", false).starts_with("/v2/chats/picture?"));
    }

    #[test]
    fn wawp_needs_own_jid_for_the_own_picture() {
        assert_eq!(
            Wawp.picture_call(&account(), &question("me", false))
                .unwrap_err(),
            UnsupportedSubject::OwnUnknown
        );
    }

    #[test]
    fn wawp_s_documented_bodies_are_understood() {
        let q = question("123456789@c.us", false);
        let contact = "{\n\"id\": \"123456789@c.us\",\n\"url\": \"https://pps.whatsapp.net/v/t61.24694-24/...\"\n}";
        assert_eq!(
            Wawp.read_picture(&q, &reply(200, contact)),
            Ok(VendorAnswer::Link(
                "https://pps.whatsapp.net/v/t61.24694-24/...".into()
            ))
        );
        let stub = "{\n\"success\": true,\n\"message\": \"Operation completed successfully\"\n}";
        assert_eq!(
            Wawp.read_picture(&q, &reply(200, stub)),
            Ok(VendorAnswer::Empty(Empty::Unknown))
        );
        let restricted = r#"{"success":true,"data":"restricted"}"#;
        assert_eq!(
            Wawp.read_picture(&q, &reply(200, restricted)),
            Ok(VendorAnswer::Empty(Empty::Hidden))
        );
    }

    #[test]
    fn every_documented_status_of_wawp_has_its_outcome() {
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
                Wawp.read_picture(&q, &reply(status, "")).unwrap_err().why,
                why,
                "{status}"
            );
        }
        for (status, empty) in [(403, Empty::Hidden), (404, Empty::Unknown)] {
            assert_eq!(
                Wawp.read_picture(&q, &reply(status, "")),
                Ok(VendorAnswer::Empty(empty))
            );
        }
    }
}
