//! The content codings of replies (RFC 9110 §8.4). Every request asks for `identity`; some servers
//! compress all the same.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};

use super::error::ClientError;

/// The content of a body with these headers, up to `limit` bytes.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, ClientError> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = codings.map(|value| value.to_str().unwrap_or("?"));
    let mut codings = codings
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let Some(coding) = codings.next() else {
        return Ok(body);
    };
    let is_gzip = ["gzip", "x-gzip"].map(|name| coding.eq_ignore_ascii_case(name));
    if !is_gzip.contains(&true) || codings.next().is_some() {
        return Err(ClientError::Coding);
    }
    let mut content = Vec::new();
    let mut decoder = MultiGzDecoder::new(&*body).take(limit as u64 + 1);
    let read = decoder.read_to_end(&mut content);
    let length = read.map_err(|_| ClientError::Gzip)?;
    if length > limit {
        return Err(ClientError::TooLarge(limit));
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    fn gzip(content: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap().into()
    }

    fn headers(coding: &'static str) -> HeaderMap {
        let value = HeaderValue::from_static(coding);
        HeaderMap::from_iter([(header::CONTENT_ENCODING, value)])
    }

    #[test]
    fn gzip_is_decoded_and_identity_is_left_alone() {
        for coding in ["gzip", "X-GZIP", "identity, gzip"] {
            let decoded = decode(&headers(coding), gzip(b"{}"), 2);
            assert_eq!(decoded.unwrap(), "{}", "{coding}");
        }
        let plain = Bytes::from_static(b"{}");
        assert_eq!(decode(&HeaderMap::new(), plain.clone(), 2).unwrap(), "{}");
        assert_eq!(decode(&headers("identity"), plain, 2).unwrap(), "{}");
    }

    #[test]
    fn what_cannot_be_decoded_within_the_limit_is_an_error() {
        let bomb = gzip(&vec![0; 1 << 20]);
        let result = decode(&headers("gzip"), bomb.clone(), 1 << 10);
        assert!(matches!(result, Err(ClientError::TooLarge(1024))));
        let cut = bomb.slice(..bomb.len() - 9);
        let result = decode(&headers("gzip"), cut, 1 << 21);
        assert!(matches!(result, Err(ClientError::Gzip)));
        for coding in ["br", "gzip, gzip", "deflate"] {
            let result = decode(&headers(coding), bomb.clone(), 1 << 21);
            assert!(matches!(result, Err(ClientError::Coding)), "{coding}");
        }
    }
}
