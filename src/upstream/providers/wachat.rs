//! Wachat: the connected account's own picture, as bytes.
//!
//! Source: <https://docs.wachat.net/api-reference/instance-profile-picture>.

use http::{StatusCode, header};
use secrecy::ExposeSecret;

use super::family;
use crate::{
    avatar::{Empty, Subject, Trouble},
    upstream::{Account, Call, Failure, Found, Provider, Question, Reply, Unsupported},
};

/// Wachat's dialect.
#[derive(Debug)]
pub struct Wachat;

impl Provider for Wachat {
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported> {
        match question.subject {
            Subject::Me => Ok(Call {
                target: format!(
                    "/api/v1/instance/profile-picture?instanceName={}",
                    family::encode(&account.name)
                ),
                // Never the `apiKey` query: it ends up in logs.
                headers: family::secret(
                    header::AUTHORIZATION,
                    &format!("Bearer {}", account.token.expose_secret()),
                ),
            }),
            Subject::Chat(_) => Err(Unsupported::OnlyOwn),
        }
    }

    fn read(&self, _: &Question, reply: &Reply) -> Result<Found, Failure> {
        match reply.status {
            StatusCode::OK if is_json(reply) => family::read_json(reply),
            StatusCode::OK => Ok(Found::Bytes(reply.body.clone())),
            // "Instance or profile picture not found": which of the two, it does not say.
            StatusCode::NOT_FOUND => Ok(Found::Nothing(Empty::Unknown)),
            StatusCode::FORBIDDEN => Err(Failure::new(
                Trouble::Auth,
                "the vendor refuses the lookup for want of a subscription (403)",
            )),
            StatusCode::BAD_REQUEST => Err(Failure::new(
                Trouble::VendorError,
                "the vendor misses the instance name (400); check account",
            )),
            _ => Err(family::read_status(reply)),
        }
    }

    fn has_own_profile(&self) -> bool {
        true
    }
}

/// An error inside a 200, where an image was promised.
fn is_json(reply: &Reply) -> bool {
    reply.body.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::{family::reply, *};

    const ME: Question = Question {
        subject: Subject::Me,
        refresh: false,
    };

    fn account() -> Account {
        Account {
            name: "t1_mq9r2jov_jakarta_store".into(),
            token: "YOUR_API_KEY".into(),
            own: None,
        }
    }

    #[test]
    fn asks_as_the_vendor_s_page_does_with_the_key_in_the_header() {
        let call = Wachat.call(&account(), &ME).unwrap();
        assert_eq!(
            call.target,
            "/api/v1/instance/profile-picture?instanceName=t1_mq9r2jov_jakarta_store"
        );
        let (name, value) = &call.headers[0];
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("authorization", "Bearer YOUR_API_KEY")
        );
        assert!(value.is_sensitive());
    }

    #[test]
    fn anybody_else_s_picture_cannot_be_asked_for() {
        let question = Question {
            subject: "628123@c.us".parse().unwrap(),
            refresh: false,
        };
        assert_eq!(
            Wachat.call(&account(), &question).unwrap_err(),
            Unsupported::OnlyOwn
        );
    }

    #[test]
    fn every_documented_status_has_its_outcome() {
        assert_eq!(
            Wachat.read(&ME, &reply(200, "\u{fffd}bytes")),
            Ok(Found::Bytes("\u{fffd}bytes".into()))
        );
        assert_eq!(
            Wachat.read(&ME, &reply(404, "")),
            Ok(Found::Nothing(Empty::Unknown))
        );
        for (status, why) in [
            (400, Trouble::VendorError),
            (401, Trouble::Auth),
            (403, Trouble::Auth),
            (429, Trouble::RateLimited),
            (502, Trouble::VendorError),
            (504, Trouble::VendorError),
        ] {
            let failure = Wachat.read(&ME, &reply(status, "{}")).unwrap_err();
            assert_eq!(failure.why, why, "{status}");
        }
    }
}
