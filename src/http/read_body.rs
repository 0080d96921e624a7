//! Reads the body of a request, up to a length and within a time.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time;

use super::problem::Problem;

/// An error of a body's transport.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than this many bytes.
    TooLarge(usize),
    /// It did not come in time.
    Timeout,
    /// The connection ended within it.
    Ended,
}

/// The body, which may have `limit` bytes and take as long as `timeout`.
pub(crate) async fn collect<B>(body: B, limit: usize, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge(limit));
    }
    let body = Limited::new(body, limit).collect();
    match time::timeout(timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit)),
        Ok(Err(_)) => Err(BodyError::Ended),
        Err(_) => Err(BodyError::Timeout),
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too long",
                format!("it may have {limit} bytes"),
            ),
            BodyError::Timeout => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow-body",
                "The body did not come in time",
                "send it at once; hooks.timeout is the limit",
            ),
            BodyError::Ended => Problem::new(
                StatusCode::BAD_REQUEST,
                "body-ended",
                "The body ended too early",
                "send as many bytes as Content-Length says",
            ),
        }
    }
}
