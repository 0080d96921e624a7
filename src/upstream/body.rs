//! Collects the bodies of answers, within a length and within the memory that all answers share.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::error::ClientError;
use crate::in_flight::InFlight;

/// Reads the whole body, up to `limit` bytes, as far as `space` has room for it. hyper reports a body that ends before
/// its `Content-Length` as an error.
pub(super) async fn collect(
    mut body: Incoming,
    limit: usize,
    space: &InFlight,
) -> Result<Bytes, ClientError> {
    /// What arrives is reserved in steps of 16 KiB, and not by the declared length, which costs a server nothing.
    const STEP: usize = 16 * 1024 - 1;
    let expected = body.size_hint().lower();
    if expected > limit as u64 {
        return Err(ClientError::TooLarge(limit));
    }
    let mut bytes = BytesMut::with_capacity(expected as usize);
    let mut reserved = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ClientError::Connection(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            let length = bytes.len() + data.len();
            if length > limit {
                return Err(ClientError::TooLarge(limit));
            }
            while reserved.len() * STEP < length {
                let step = space.reserve(STEP as u64).await;
                reserved.push(step.ok_or(ClientError::NoSpace)?);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}
