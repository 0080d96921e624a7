//! Why a request is not passed through, and the responses that say so.

use std::time::Duration;

use http::{StatusCode, header};

use crate::http::problem::Problem;

/// The reason why a request is not passed through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// It has no credential, so no service has its path.
    NoRoute,
    /// Its credential is that of no instance.
    Credential,
    /// Its path is not UTF-8.
    Encoding,
    /// Its path leads out of the vendor's.
    Dots,
    /// Several gateways have this credential, and the request names no account, or accounts of several.
    Ambiguous,
    /// The limit of requests of the instance that pass through at once is reached.
    Full,
    /// The body is longer than this.
    BodyTooLarge(u64),
    /// The client has not sent any more of the body for this time.
    ClientIdle(Duration),
    /// The vendor has not begun its answer in time.
    Late(Duration),
    /// The address guard refused the vendor's address.
    Blocked(String),
    /// The vendor cannot be reached, or ended the connection.
    Unreachable(String),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoRoute => Problem::no_route(
                "Faces are at /avatar/{instance}/{jid}. A request for the gateway's API has the gateway's credential",
            ),
            Error::Credential => Problem::new(
                StatusCode::UNAUTHORIZED,
                "gateway-credential",
                "The gateway's credential is wrong",
                "send the token of an instance with pass_through = true, where the gateway's API takes it",
            )
            .with_header(header::WWW_AUTHENTICATE, "Bearer"),
            Error::Encoding => Problem::encoding(),
            Error::Dots => Problem::new(
                StatusCode::BAD_REQUEST,
                "path",
                "The path has . or .. as a part",
                "write the path without . and .., encoded or not",
            ),
            Error::Ambiguous => Problem::new(
                StatusCode::CONFLICT,
                "ambiguous-account",
                "Several gateways have this credential",
                "name an account in the path or the query that only one of them has, or give each gateway a token of its own",
            ),
            Error::Full => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "pass-through-full",
                "Too many requests pass through to this gateway",
                "try again; the operator can raise pass_through.max_requests",
            )
            .with_header(header::RETRY_AFTER, "1"),
            Error::BodyTooLarge(most) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
                format!("it may have {most} bytes; the operator can raise pass_through.max_body"),
            ),
            Error::ClientIdle(limit) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body-timeout",
                "The rest of the body did not arrive",
                format!(
                    "nothing came for {} s; the operator can raise pass_through.idle_timeout",
                    limit.as_secs_f32()
                ),
            ),
            Error::Late(limit) => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "gateway-timeout",
                "The gateway did not answer in time",
                format!(
                    "it had {} s; the operator can raise pass_through.answer_timeout",
                    limit.as_secs_f32()
                ),
            ),
            Error::Blocked(reason) => Problem::new(
                StatusCode::BAD_GATEWAY,
                "gateway-blocked",
                "The gateway's address is not allowed",
                format!("{reason}; the operator can list its network in allow_private"),
            ),
            Error::Unreachable(reason) => Problem::new(
                StatusCode::BAD_GATEWAY,
                "gateway-unreachable",
                "The gateway cannot be reached",
                format!("{reason}; the operator finds the cause with faceplate doctor"),
            ),
        }
    }
}
