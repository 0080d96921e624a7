//! The errors of the service for events, and the problem that each is reported as.

use http::StatusCode;

use crate::{
    http::{BodyError, host::InvalidHost, problem::Problem},
    upstream::EventError,
};

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// No resource has this path, no instance this name, or the secret is wrong: a client cannot tell which.
    NoRoute,
    /// The resource does not have this method.
    Method(&'static str),
    /// The request names no host, or several.
    InvalidHost,
    /// The body was not read.
    Body(BodyError),
    /// The body has no signature with the instance's key.
    Signature,
    /// The body is no event.
    Event(EventError),
}

impl From<InvalidHost> for Error {
    fn from(_: InvalidHost) -> Self {
        Error::InvalidHost
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Error::Body(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoRoute => Problem::no_route(
                "post events to /v1/hooks/{instance}/{secret}, with the instance's name and its hook.secret",
            ),
            Error::Method(allowed) => Problem::method_not_allowed(allowed),
            Error::InvalidHost => InvalidHost.into(),
            Error::Body(BodyError::TooLarge(limit)) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too long",
                format!(
                    "it may have {limit} bytes; let the gateway send no media in its events, or raise hooks.max_body"
                ),
            ),
            Error::Body(error) => error.into(),
            Error::Signature => Problem::new(
                StatusCode::FORBIDDEN,
                "hook-signature",
                "The event is not signed with the instance's key",
                "give the gateway the key that hook.hmac_key of the instance names",
            ),
            Error::Event(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "event",
                "Unrecognized webhook event",
                error.to_string(),
            ),
        }
    }
}
