//! Compresses replies with gzip for clients that accept it (RFC 9110 §12.5.3).

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};

use crate::server::Reply;

/// A shorter body fits into one packet as it is.
const MIN_BYTES: usize = 1_000;

/// Compresses the body if it is text and the client accepts gzip. A reply with a validator is left alone: the compressed
/// body would need an entity tag of its own.
pub(crate) fn compress(request: &HeaderMap, reply: &mut Reply) {
    let headers = &mut reply.headers;
    let media = headers.get(&header::CONTENT_TYPE).unwrap_or_default();
    let is_left_alone = reply.stream.is_some()
        || !is_text(media)
        || headers.get(&header::ETAG).is_some()
        || headers.get(&header::CONTENT_ENCODING).is_some();
    if is_left_alone {
        return;
    }
    headers.add(header::VARY, "Accept-Encoding");
    if reply.body.len() < MIN_BYTES || !prefers_gzip(request) {
        return;
    }
    let Some(compressed) = gzip(&reply.body) else {
        return;
    };
    headers.add(header::CONTENT_ENCODING, "gzip");
    headers.remove(&header::CONTENT_LENGTH);
    headers.add_number(header::CONTENT_LENGTH, compressed.len() as u64);
    reply.body = compressed;
}

/// Pictures, SVG included, are compressed already or too small.
fn is_text(media: &str) -> bool {
    let name = media.split(';').next().unwrap_or_default().trim();
    let is_json = name == "application/json" || name.ends_with("+json");
    is_json || name.starts_with("text/") || name == "application/openmetrics-text"
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    // The level of least work makes a fifth of the dashboard's JSON.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    Some(encoder.finish().ok()?.into())
}

/// Whether the client accepts gzip, and likes it at least as well as `identity` where it names that.
fn prefers_gzip(headers: &HeaderMap) -> bool {
    let gzip = ["gzip", "x-gzip"].into_iter();
    let named = gzip.filter_map(|name| weight(headers, name)).next();
    let weight_of_gzip = named.or_else(|| weight(headers, "*")).unwrap_or(0.0);
    let identity = weight(headers, "identity").unwrap_or(0.0);
    weight_of_gzip > 0.0 && weight_of_gzip >= identity
}

/// The weight that `Accept-Encoding` gives to a coding by its name. A malformed weight refuses the coding.
fn weight(headers: &HeaderMap, coding: &str) -> Option<f32> {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let members = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut weights = members.filter_map(|member| {
        let (name, parameters) = match member.split_once(';') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (member, None),
        };
        if !name.trim().eq_ignore_ascii_case(coding) {
            return None;
        }
        let Some(parameters) = parameters else {
            return Some(1.0);
        };
        let (name, value) = parameters.split_once('=').unwrap_or_default();
        let weight = value.trim().parse().ok();
        let weight = weight.filter(|_| name.trim().eq_ignore_ascii_case("q"));
        let weight = weight.filter(|weight| (0.0..=1.0).contains(weight));
        Some(weight.unwrap_or(0.0))
    });
    weights.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_if_the_client_likes_it_best() {
        for (accept, expected) in [
            (&["gzip"][..], true),
            (&["deflate, GZIP;Q=0.5, br"], true),
            (&["br", "x-gzip"], true),
            (&["*"], true),
            (&["*;q=0.1"], true),
            (&["gzip, identity"], true),
            (&["gzip;q=0.2, identity;q=0"], true),
            (&["gzip ; q = 0.001"], true),
            (&[], false),
            (&[""], false),
            (&["identity"], false),
            (&["br, deflate"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000, *"], false),
            (&["*;q=0"], false),
            (&["gzip;q=0.5, identity"], false),
            (&["gzip;q=much"], false),
            (&["gzip;q=2"], false),
            (&["gzip;level=1"], false),
            (&["gzipped"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(header::ACCEPT_ENCODING, line.parse().unwrap());
            }
            assert_eq!(prefers_gzip(&headers), expected, "{accept:?}");
        }
    }
}
