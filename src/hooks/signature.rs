//! The signature of an event's body, as gateways make it with a key that the operator gives them.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Sha256, Sha512};

use crate::hex;

/// wuzapi's header: HMAC-SHA256 in hexadecimal.
const SHA256: &str = "x-hmac-signature";
/// WAHA's header: HMAC-SHA512 in hexadecimal.
const SHA512: &str = "x-webhook-hmac";

/// Whether a header has the signature of `body`. It is compared in constant time.
pub(super) fn is_valid(headers: &HeaderMap, body: &[u8], key: &SecretString) -> bool {
    let text = |name| headers.get(name)?.to_str().ok();
    let key = key.expose_secret().as_bytes();
    let sha256 = text(SHA256).and_then(hex::decode::<32>);
    let sha512 = text(SHA512).and_then(hex::decode::<64>);
    match (sha256, sha512) {
        (Some(given), _) => {
            Hmac::<Sha256>::new_from_slice(key).is_ok_and(|mac| verify(mac, body, &given))
        }
        (None, Some(given)) => {
            Hmac::<Sha512>::new_from_slice(key).is_ok_and(|mac| verify(mac, body, &given))
        }
        (None, None) => false,
    }
}

fn verify(mut mac: impl Mac, body: &[u8], given: &[u8]) -> bool {
    mac.update(body);
    mac.verify_slice(given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_signed(name: &'static str, signature: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, signature.parse().unwrap());
        is_valid(&headers, b"{}", &SecretString::from("key"))
    }

    #[test]
    fn signatures_of_wuzapi_and_waha_are_hexadecimal_hmacs() {
        // printf '{}' | openssl dgst -sha256 -hmac key; and -sha512
        let sha256 = "a777724d943eb48dc69bca8a4a6d57a04db3f9ec7e1de4e581e860265bdf3032";
        let sha512 = "55fabdaa182c70ee206b1214d44e350c994779dfc34241b286dc6d3f12a2cd70f6b9e57f19d661a86d8486048744ba18c0fe8f821783075f9089b585e5edd729";
        assert!(is_signed(SHA256, sha256));
        assert!(is_signed(SHA512, sha512));
        assert!(!is_signed(SHA512, sha256));
        for wrong in ["", "00", &sha256.replace('a', "b"), &sha256[1..]] {
            assert!(!is_signed(SHA256, wrong), "{wrong}");
        }
        let none = HeaderMap::new();
        assert!(!is_valid(&none, b"{}", &SecretString::from("key")));
    }
}
