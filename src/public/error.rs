//! The errors of the public service, and the problem that each is reported as.

use http::{StatusCode, header};

use super::access_error::AccessError;
use crate::{
    avatar::MalformedJid,
    http::problem::Problem,
    pipeline::LookUpError,
    representation::{problems, view::InvalidParameter},
    upstream::UnsupportedSubject,
};

/// How many seconds later a client that cannot listen may try again.
const LIVE_WAIT: &str = "60";

/// Why the public service refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// No resource has this path.
    NoRoute,
    /// The resource does not have this method. `Allow` lists the ones that it has.
    Method(&'static str),
    /// The path is not UTF-8.
    Encoding,
    /// The JID is malformed.
    Jid(MalformedJid),
    /// A query parameter has an unknown value.
    Parameter(InvalidParameter),
    /// The request may not see the face.
    Access(AccessError),
    /// No instance has this name.
    UnknownInstance,
    /// No instance of the pattern can be made now.
    InstancesFull,
    /// The vendor has no call for the face.
    Unsupported(UnsupportedSubject),
    /// The pictures that are being sent leave no memory for this one.
    NoSpace,
    /// No client may listen to changes.
    LiveOff,
    /// The limit of clients that listen is reached.
    LiveFull,
    /// The limit of clients that listen from this address is reached.
    LiveFullOfClient,
    /// `PURGE` needs a bearer token.
    PurgeToken,
    /// A purge could not be written to disk.
    NotOnDisk,
}

impl From<InvalidParameter> for Error {
    fn from(invalid: InvalidParameter) -> Self {
        Error::Parameter(invalid)
    }
}

impl From<AccessError> for Error {
    fn from(error: AccessError) -> Self {
        Error::Access(error)
    }
}

impl From<UnsupportedSubject> for Error {
    fn from(error: UnsupportedSubject) -> Self {
        Error::Unsupported(error)
    }
}

impl From<LookUpError> for Error {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Unsupported(error) => Error::Unsupported(error),
            LookUpError::NoSpace => Error::NoSpace,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoRoute => {
                Problem::no_route("write /avatar/{instance}/{jid} or /avatar/{instance}/me")
            }
            Error::Method(allowed) => Problem::method_not_allowed(allowed),
            Error::Encoding => Problem::encoding(),
            Error::Jid(error) => problems::malformed_jid(error),
            Error::Parameter(invalid) => invalid.into(),
            Error::Access(error) => Problem::new(
                StatusCode::FORBIDDEN,
                "access",
                "This URL does not grant access",
                error.to_string(),
            ),
            Error::UnknownInstance => problems::unknown_instance(),
            Error::InstancesFull => problems::instances_full(),
            Error::Unsupported(error) => problems::unsupported(error),
            Error::NoSpace => problems::no_space(),
            Error::LiveOff => Problem::new(
                StatusCode::NOT_FOUND,
                "live-off",
                "No client can listen here",
                "the operator can set live.enabled = true",
            ),
            Error::LiveFull => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "live-full",
                "Too many clients listen",
                "look again after Retry-After; the operator can raise live.max_clients",
            )
            .with_header(header::RETRY_AFTER, LIVE_WAIT),
            Error::LiveFullOfClient => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "live-full-of-client",
                "Too many clients listen from this address",
                "close one, or look again after Retry-After; the operator can raise live.max_per_address, and names the proxies behind which many clients are in server.trusted_proxies",
            )
            .with_header(header::RETRY_AFTER, LIVE_WAIT),
            Error::PurgeToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "purge-token",
                "PURGE needs a bearer token",
                "send Authorization: Bearer with one of access.bearer_tokens; a signature gives no right to purge",
            )
            .with_header(header::WWW_AUTHENTICATE, "Bearer"),
            Error::NotOnDisk => problems::not_on_disk(),
        }
    }
}
