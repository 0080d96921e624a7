//! The description of a vendor's picture call, filled in by one file for each vendor.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Failure;
use crate::{http::respond, server::Reply};

/// A picture call as the vendor documents it.
pub(super) struct Endpoint {
    /// Its unique name in the OpenAPI document.
    pub(super) id: &'static str,
    /// Its line in the OpenAPI document.
    pub(super) summary: &'static str,
    /// The path, in segments. `{account}` and `{chat}` are parameters.
    pub(super) path: &'static [&'static str],
    /// The query parameter of the account, where the path has none.
    pub(super) account: Option<&'static str>,
    /// The query parameter of the chat, where the path has none.
    pub(super) chat: Option<&'static str>,
    /// The query parameter of the credential.
    pub(super) token: Option<&'static str>,
    /// The headers of the credential; in `authorization` it is a bearer token.
    pub(super) token_headers: &'static [&'static str],
    /// The provider whose call it is.
    pub(super) provider: fn(&HeaderMap) -> &'static str,
    /// The response for a face: JSON with a link, or the image itself.
    pub(super) success: Success,
    /// The response to a call that failed, of an account of this name.
    pub(super) failure: fn(Failure, &str) -> Reply,
}

/// The response to a call that did not fail.
#[derive(Clone, Copy)]
pub(super) enum Success {
    /// The account's own picture, as bytes.
    OwnImage,
    /// The vendor's reply, with other links.
    Relay(Relay),
    /// JSON for this chat, with a link or the vendor's value for "no picture".
    Link(fn(Option<&str>, Option<&str>) -> Value),
}

/// A call that is made each time, because its reply is about more than a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relay {
    /// The account's profile.
    Profile,
    /// A page of the chats.
    Chats,
}

impl Endpoint {
    /// Whether the call names no chat.
    pub(super) fn has_no_chat(&self) -> bool {
        !matches!(self.success, Success::Link(_))
    }

    /// Whether the call returns the account's own picture.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.success, Success::OwnImage)
    }

    /// The values of `{account}` and `{chat}`, if the path is this endpoint's.
    pub(super) fn matches<'a>(&self, path: &'a str) -> Option<Match<'a>> {
        let mut matched = Match::default();
        let mut segments = path.split('/').skip(1);
        for expected in self.path {
            let segment = segments.next()?;
            match *expected {
                "{account}" => matched.account = Some(segment),
                "{chat}" => matched.chat = Some(segment),
                literal if literal == segment => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(matched)
    }
}

/// The parameters in a path, still encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Match<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) chat: Option<&'a str>,
}

/// A JSON response.
pub(super) fn json(status: u16, body: &Value) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond::uncached(status, "application/json", body.to_string().into())
}

/// The status's reason phrase, which some vendors repeat in the body.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::endpoints::ENDPOINTS;

    #[test]
    fn each_path_belongs_to_one_endpoint() {
        for endpoint in ENDPOINTS {
            let path = format!("/{}", endpoint.path.join("/"));
            let matching = ENDPOINTS
                .iter()
                .filter(|other| other.matches(&path).is_some());
            assert_eq!(matching.count(), 1, "{path}");
            for other in [format!("{path}/"), format!("{path}/x"), path[1..].into()] {
                assert_eq!(endpoint.matches(&other), None, "{other}");
            }
        }
    }

    #[test]
    fn parameters_are_taken_from_the_path() {
        let endpoint = &crate::compat::waha::PICTURE;
        let expected = Match {
            account: Some("default"),
            chat: Some("628%40c.us"),
        };
        let matched = endpoint.matches("/api/default/chats/628%40c.us/picture");
        assert_eq!(matched, Some(expected));
    }
}
