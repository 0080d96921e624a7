//! Reads a vendor's picture call from a request.

use std::{borrow::Cow, net::IpAddr, slice};

use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::{
    Failure,
    authorized_call::Answers,
    endpoint::{self, Endpoint, Success},
    endpoints::ENDPOINTS,
};
use crate::{
    avatar::{Empty, StoredPicture, Subject},
    http::{credentials, query},
    server::Reply,
};

/// A picture call, with the parameters as the client wrote them.
pub(crate) struct Call {
    pub(super) endpoint: &'static Endpoint,
    pub(super) account: String,
    pub(super) chat: Option<String>,
    pub(super) refresh: bool,
    /// The credential in the query.
    token: Option<String>,
}

/// A request that is a picture call.
pub(crate) struct Request {
    pub(crate) call: Call,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The address that the client's limits are kept under; `None` for clients without limits.
    pub(crate) client: Option<IpAddr>,
}

impl Call {
    /// The call that this URI is. `None` if it is none.
    pub(crate) fn parse(uri: &Uri) -> Option<Self> {
        let (endpoint, matched) = ENDPOINTS.iter().find_map(|endpoint| {
            let matched = endpoint.matches(uri.path())?;
            Some((*endpoint, matched))
        })?;
        let mut call = Call {
            endpoint,
            account: matched.account.map(decoded).unwrap_or_default(),
            chat: matched.chat.map(decoded),
            refresh: false,
            token: None,
        };
        for (name, value) in query::pairs(uri.query().unwrap_or_default()) {
            let value = Cow::into_owned(value);
            let name = Some(name.as_ref());
            if name == endpoint.account {
                call.account = value;
            } else if name == endpoint.chat {
                call.chat = Some(value);
            } else if name == endpoint.token {
                call.token = Some(value);
            } else if name == Some("refresh") {
                call.refresh = value == "true";
            }
        }
        Some(call)
    }

    /// Whether the call has this credential, in any of the places that the vendor documents.
    pub(super) fn has_credential(&self, headers: &HeaderMap, credential: &SecretString) -> bool {
        let is_credential = |given: &[u8]| credentials::is_secret(given, credential);
        let is_in_header = self.endpoint.token_headers.iter().any(|name| {
            if *name == header::AUTHORIZATION.as_str() {
                credentials::has_bearer(headers, slice::from_ref(credential))
            } else {
                let value = headers.get(*name);
                value.is_some_and(|value| is_credential(value.as_bytes()))
            }
        });
        let in_query = self.token.as_deref();
        is_in_header || in_query.is_some_and(|token| is_credential(token.as_bytes()))
    }

    pub(super) fn subject(&self) -> Result<Subject, Failure> {
        if self.endpoint.has_no_chat() {
            return Ok(Subject::Me);
        }
        let chat = self.chat.as_deref().ok_or(Failure::Malformed)?;
        match chat.parse() {
            // `me` is a word of this server's URLs, and unknown to vendors.
            Ok(Subject::Me) | Err(_) => Err(Failure::Malformed),
            Ok(subject) => Ok(subject),
        }
    }
}

impl Answers for Call {
    fn are_images(&self) -> bool {
        self.endpoint.is_own()
    }

    fn picture(&self, link: &str, _: Option<&StoredPicture>) -> Reply {
        match self.endpoint.success {
            Success::OwnImage | Success::Relay(_) => self.failure(Failure::UnknownContact),
            Success::Link(body) => endpoint::json(200, &body(self.chat.as_deref(), Some(link))),
        }
    }

    fn none(&self, _: Empty) -> Reply {
        match self.endpoint.success {
            Success::OwnImage | Success::Relay(_) => self.failure(Failure::UnknownContact),
            Success::Link(body) => endpoint::json(200, &body(self.chat.as_deref(), None)),
        }
    }

    fn failure(&self, failure: Failure) -> Reply {
        (self.endpoint.failure)(failure, &self.account)
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
