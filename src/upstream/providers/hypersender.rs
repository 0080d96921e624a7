//! Hypersender: one call for every JID, and no way to bypass the vendor's cache.
//!
//! Source: <https://docs.hypersender.com/v2/api-reference/whatsapp/contacts/get-profile-picture>.

use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;

use super::gateway_json;
use crate::{
    avatar::{Empty, Kind, Subject, Trouble},
    upstream::provider::{
        Account, Provider, Question, UnsupportedSubject, VendorAnswer, VendorCall, VendorFailure,
        VendorReply,
    },
};

/// Hypersender's API.
#[derive(Debug)]
pub struct Hypersender;

impl Provider for Hypersender {
    fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        let Subject::Chat(jid) = question.subject else {
            return Err(UnsupportedSubject::OwnUnknown);
        };
        // The documentation's example for a person is the bare number.
        let chat = match jid.kind() {
            Kind::Contact => jid.user(),
            _ => jid.as_str(),
        };
        let mut headers = gateway_json::secret_header(
            header::AUTHORIZATION,
            &format!("Bearer {}", account.token.expose_secret()),
        );
        headers.push((header::ACCEPT, HeaderValue::from_static("application/json")));
        Ok(VendorCall {
            method: http::Method::GET,
            body: Default::default(),
            target: format!(
                "/api/whatsapp/v2/{}/contacts/profile-picture?chat_id={}",
                gateway_json::encode(&account.name),
                gateway_json::encode(chat),
            ),
            headers,
        })
    }

    fn read_picture(
        &self,
        _: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        match reply.status {
            StatusCode::OK => gateway_json::read_json(reply).map(without_default_image),
            // Laravel's status for a validation error: the number is not on WhatsApp.
            StatusCode::UNPROCESSABLE_ENTITY => {
                gateway_json::read_words(reply).unwrap_or(Ok(VendorAnswer::Empty(Empty::NotFound)))
            }
            StatusCode::NOT_FOUND => Ok(VendorAnswer::Empty(Empty::NotFound)),
            StatusCode::PAYMENT_REQUIRED => Err(VendorFailure::new(
                Trouble::Auth,
                "the vendor's subscription has ended (402)",
            )),
            _ => Err(gateway_json::read_status(reply)),
        }
    }
}

/// Replaces a link to the vendor's own silhouette: "The URL will be null or point to a default image".
fn without_default_image(found: VendorAnswer) -> VendorAnswer {
    match found {
        VendorAnswer::Link(link) if is_default_image(&link) => VendorAnswer::Empty(Empty::Unknown),
        found => found,
    }
}

fn is_default_image(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap_or(link);
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    ["default", "placeholder", "no-avatar", "no_avatar", "blank"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{gateway_json::reply, *};

    fn question(jid: &str) -> Question {
        Question {
            subject: jid.parse().unwrap(),
            refresh: false,
        }
    }

    #[test]
    fn hypersender_s_call_is_the_documented_one() {
        let account = Account {
            name: "9a8b".into(),
            token: "t".into(),
            own: None,
            params: Default::default(),
        };
        let target = |jid| {
            Hypersender
                .picture_call(&account, &question(jid))
                .unwrap()
                .target
        };
        assert_eq!(
            target("123123123"),
            "/api/whatsapp/v2/9a8b/contacts/profile-picture?chat_id=123123123"
        );
        assert_eq!(
            target("100875997589545@lid"),
            "/api/whatsapp/v2/9a8b/contacts/profile-picture?chat_id=100875997589545%40lid"
        );
    }

    #[test]
    fn hypersender_s_documented_bodies_are_understood() {
        let found = r#"{
  "message": "Profile picture retrieved successfully.",
  "data": {
    "profilePictureURL": "https://pps.whatsapp.net/v/t61.24694-24/374498176_337577482181161_7091117586184162691_n.jpg?ccb=11-4&oh=01_Q5Aa3gEERUGD4fegyplSv2MnHmt_UIA9JnpjREhSJMNVWZC-RA&oe=6970FAAA&_nc_sid=5e03e0&_nc_cat=104"
  }
}"#;
        let none = r#"{
  "message": "Profile picture not available.",
  "data": {
    "profilePictureURL": null
  }
}"#;
        let Ok(VendorAnswer::Link(link)) =
            Hypersender.read_picture(&question("1"), &reply(200, found))
        else {
            panic!("no link");
        };
        assert!(link.ends_with("&oe=6970FAAA&_nc_sid=5e03e0&_nc_cat=104"));
        assert_eq!(
            Hypersender.read_picture(&question("1"), &reply(200, none)),
            Ok(VendorAnswer::Empty(Empty::Unknown))
        );
    }

    #[test]
    fn hypersender_s_default_image_is_no_picture() {
        let body = r#"{"data":{"profilePictureURL":"https://app.hypersender.com/images/default-avatar.png?v=2"}}"#;
        assert_eq!(
            Hypersender.read_picture(&question("1"), &reply(200, body)),
            Ok(VendorAnswer::Empty(Empty::Unknown))
        );
    }

    #[test]
    fn every_documented_status_of_hypersender_has_its_outcome() {
        for (status, why) in [
            (400, Trouble::VendorError),
            (401, Trouble::Auth),
            (402, Trouble::Auth),
            (403, Trouble::Auth),
            (429, Trouble::RateLimited),
            (500, Trouble::VendorError),
            (502, Trouble::VendorError),
            (504, Trouble::VendorError),
        ] {
            let failure = Hypersender
                .read_picture(&question("1"), &reply(status, ""))
                .unwrap_err();
            assert_eq!(failure.why, why, "{status}");
        }
        for status in [404, 422] {
            assert_eq!(
                Hypersender.read_picture(&question("1"), &reply(status, "")),
                Ok(VendorAnswer::Empty(Empty::NotFound))
            );
        }
    }
}
