//! Hypersender: one call for everybody, no way to bypass the vendor's cache.
//!
//! Source: <https://docs.hypersender.com/v2/api-reference/whatsapp/contacts/get-profile-picture>.

use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;

use super::family;
use crate::{
    avatar::{Empty, Kind, Subject, Trouble},
    upstream::{Account, Call, Failure, Found, Provider, Question, Reply, Unsupported},
};

/// Hypersender's dialect.
#[derive(Debug)]
pub struct Hypersender;

impl Provider for Hypersender {
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported> {
        let Subject::Chat(jid) = question.subject else {
            return Err(Unsupported::OwnUnknown);
        };
        // The page's own example for a person is the bare number.
        let chat = match jid.kind() {
            Kind::Contact => jid.user(),
            _ => jid.as_str(),
        };
        let mut headers = family::secret(
            header::AUTHORIZATION,
            &format!("Bearer {}", account.token.expose_secret()),
        );
        headers.push((header::ACCEPT, HeaderValue::from_static("application/json")));
        Ok(Call {
            target: format!(
                "/api/whatsapp/v2/{}/contacts/profile-picture?chat_id={}",
                family::encode(&account.name),
                family::encode(chat),
            ),
            headers,
        })
    }

    fn read(&self, _: &Question, reply: &Reply) -> Result<Found, Failure> {
        match reply.status {
            StatusCode::OK => family::read_json(reply).map(without_default_image),
            // Laravel's validation error: the number is not on WhatsApp.
            StatusCode::UNPROCESSABLE_ENTITY => {
                family::read_words(reply).unwrap_or(Ok(Found::Nothing(Empty::NotFound)))
            }
            StatusCode::NOT_FOUND => Ok(Found::Nothing(Empty::NotFound)),
            StatusCode::PAYMENT_REQUIRED => Err(Failure::new(
                Trouble::Auth,
                "the vendor's subscription has ended (402)",
            )),
            _ => Err(family::read_status(reply)),
        }
    }
}

/// "The URL will be null or point to a default image": the vendor's own silhouette is no picture
/// of anybody.
fn without_default_image(found: Found) -> Found {
    match found {
        Found::Link(link) if is_default_image(&link) => Found::Nothing(Empty::Unknown),
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
    use super::{family::reply, *};

    fn question(jid: &str) -> Question {
        Question {
            subject: jid.parse().unwrap(),
            refresh: false,
        }
    }

    #[test]
    fn asks_as_the_vendor_s_page_does() {
        let account = Account {
            name: "9a8b".into(),
            token: "t".into(),
            own: None,
        };
        let target = |jid| Hypersender.call(&account, &question(jid)).unwrap().target;
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
    fn the_published_bodies_are_understood() {
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
        let Ok(Found::Link(link)) = Hypersender.read(&question("1"), &reply(200, found)) else {
            panic!("no link");
        };
        assert!(link.ends_with("&oe=6970FAAA&_nc_sid=5e03e0&_nc_cat=104"));
        assert_eq!(
            Hypersender.read(&question("1"), &reply(200, none)),
            Ok(Found::Nothing(Empty::Unknown))
        );
    }

    #[test]
    fn the_vendor_s_default_image_is_nobody_s_picture() {
        let body = r#"{"data":{"profilePictureURL":"https://app.hypersender.com/images/default-avatar.png?v=2"}}"#;
        assert_eq!(
            Hypersender.read(&question("1"), &reply(200, body)),
            Ok(Found::Nothing(Empty::Unknown))
        );
    }

    #[test]
    fn every_status_has_its_outcome() {
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
                .read(&question("1"), &reply(status, ""))
                .unwrap_err();
            assert_eq!(failure.why, why, "{status}");
        }
        for status in [404, 422] {
            assert_eq!(
                Hypersender.read(&question("1"), &reply(status, "")),
                Ok(Found::Nothing(Empty::NotFound))
            );
        }
    }
}
