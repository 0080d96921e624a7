//! Pictures inside of JSON: base64, and `data:` URLs.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

/// The picture in a text where a link is expected: a `data:` URL, or base64 that begins like a picture.
pub(super) fn embedded(text: &str) -> Option<Bytes> {
    const BEGINNINGS: [&str; 4] = ["/9j/", "iVBORw0KGgo", "R0lGODlh", "UklGR"];
    let is_picture = BEGINNINGS.iter().any(|start| text.starts_with(start));
    let is_data_url = text
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    (is_picture || is_data_url).then(|| decoded(text)).flatten()
}

/// The bytes of a text in base64, which may be a `data:` URL (RFC 2397).
pub(super) fn decoded(text: &str) -> Option<Bytes> {
    /// Gateways leave the padding out, and some break lines.
    const FORGIVING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let encoded = match text.split_once(',') {
        Some((head, encoded)) if head.get(..5)?.eq_ignore_ascii_case("data:") => {
            let is_base64 = head.to_ascii_lowercase().ends_with(";base64");
            is_base64.then_some(encoded)?
        }
        _ => text,
    };
    let encoded: String = encoded.split_ascii_whitespace().collect();
    let decode = |alphabet| {
        GeneralPurpose::new(alphabet, FORGIVING)
            .decode(&encoded)
            .ok()
    };
    let bytes =
        decode(&base64::alphabet::STANDARD).or_else(|| decode(&base64::alphabet::URL_SAFE))?;
    (!bytes.is_empty()).then(|| bytes.into())
}
