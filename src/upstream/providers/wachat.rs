//! Wachat: the connected account's own picture, as bytes.
//!
//! Source: <https://docs.wachat.net/api-reference/instance-profile-picture>.

use http::{StatusCode, header};
use secrecy::ExposeSecret;

use super::gateway_json;
use crate::{
    avatar::{Empty, Subject, Trouble},
    upstream::provider::{
        Account, Provider, Question, UnsupportedSubject, VendorAnswer, VendorCall, VendorFailure,
        VendorReply,
    },
};

/// Wachat's API.
#[derive(Debug)]
pub struct Wachat;

impl Provider for Wachat {
    fn picture_call(
        &self,
        account: &Account,
        question: &Question,
    ) -> Result<VendorCall, UnsupportedSubject> {
        match question.subject {
            Subject::Me => Ok(VendorCall {
                method: http::Method::GET,
                body: Default::default(),
                target: format!(
                    "/api/v1/instance/profile-picture?instanceName={}",
                    gateway_json::encode(&account.name)
                ),
                // Not in the query as `apiKey`, which access logs contain.
                headers: gateway_json::secret_header(
                    header::AUTHORIZATION,
                    &format!("Bearer {}", account.token.expose_secret()),
                ),
            }),
            Subject::Chat(_) => Err(UnsupportedSubject::OnlyOwn),
        }
    }

    fn read_picture(
        &self,
        _: &Question,
        reply: &VendorReply,
    ) -> Result<VendorAnswer, VendorFailure> {
        match reply.status {
            StatusCode::OK if is_json(reply) => gateway_json::read_json(reply),
            StatusCode::OK => Ok(VendorAnswer::Bytes(reply.body.clone())),
            // "Instance or profile picture not found", without saying which.
            StatusCode::NOT_FOUND => Ok(VendorAnswer::Empty(Empty::Unknown)),
            StatusCode::FORBIDDEN => Err(VendorFailure::new(
                Trouble::Auth,
                "the vendor refused the lookup: the account has no subscription (403)",
            )),
            StatusCode::BAD_REQUEST => Err(VendorFailure::new(
                Trouble::VendorError,
                "the vendor reports a missing instance name (400); check account",
            )),
            _ => Err(gateway_json::read_status(reply)),
        }
    }

    fn has_own_profile(&self) -> bool {
        true
    }
}

/// Whether the body is JSON, and so an error inside a 200, instead of an image.
fn is_json(reply: &VendorReply) -> bool {
    reply.body.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::{gateway_json::reply, *};

    const ME: Question = Question {
        subject: Subject::Me,
        refresh: false,
    };

    fn account() -> Account {
        Account {
            name: "t1_mq9r2jov_jakarta_store".into(),
            token: "YOUR_API_KEY".into(),
            own: None,
            params: Default::default(),
        }
    }

    #[test]
    fn wachat_s_call_is_the_documented_one_with_the_key_in_the_header() {
        let call = Wachat.picture_call(&account(), &ME).unwrap();
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
    fn wachat_has_the_own_picture_only() {
        let question = Question {
            subject: "628123@c.us".parse().unwrap(),
            refresh: false,
        };
        assert_eq!(
            Wachat.picture_call(&account(), &question).unwrap_err(),
            UnsupportedSubject::OnlyOwn
        );
    }

    #[test]
    fn every_documented_status_of_wachat_has_its_outcome() {
        assert_eq!(
            Wachat.read_picture(&ME, &reply(200, "\u{fffd}bytes")),
            Ok(VendorAnswer::Bytes("\u{fffd}bytes".into()))
        );
        assert_eq!(
            Wachat.read_picture(&ME, &reply(404, "")),
            Ok(VendorAnswer::Empty(Empty::Unknown))
        );
        for (status, why) in [
            (400, Trouble::VendorError),
            (401, Trouble::Auth),
            (403, Trouble::Auth),
            (429, Trouble::RateLimited),
            (502, Trouble::VendorError),
            (504, Trouble::VendorError),
        ] {
            let failure = Wachat.read_picture(&ME, &reply(status, "{}")).unwrap_err();
            assert_eq!(failure.why, why, "{status}");
        }
    }
}
