//! Signed URLs: makes and verifies their signatures.
//!
//! `sig` is base64url without padding of HMAC-SHA256 over
//! `avatar\n{instance}\n{canonical jid, or * for the whole instance}\n{exp}\n{grant}`, where `exp`
//! is in Unix seconds and `grant` is empty or `refresh`. For `*`, the query also says
//! `scope=instance`. Size, default, name and format are not signed.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::avatar::Subject;

/// A key that signs URLs.
#[derive(Clone)]
pub struct SigningKey {
    /// HMAC state after the key was mixed in. A clone of it costs less than a new one.
    keyed: Hmac<Sha256>,
}

/// The content of a signature: the access that it grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The faces that may be seen.
    pub scope: Scope,
    /// The expiry in Unix seconds.
    pub expires: u64,
    /// Whether a refresh may be asked for.
    pub refresh: bool,
}

/// The faces for which a signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One face.
    Face(Subject),
    /// All faces of the instance.
    Instance,
}

// === impl SigningKey ===

impl SigningKey {
    /// A key from its text; all bytes of it count.
    pub fn new(secret: &SecretString) -> Self {
        let keyed = Hmac::new_from_slice(secret.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        Self { keyed }
    }

    /// The query that makes a URL of `instance` good for `ticket`.
    pub fn query(&self, instance: &str, ticket: &Ticket) -> String {
        let signature = self.mac(instance, ticket).finalize().into_bytes();
        let mut query = format!(
            "exp={}&sig={}",
            ticket.expires,
            URL_SAFE_NO_PAD.encode(signature)
        );
        if ticket.scope == Scope::Instance {
            query.push_str("&scope=instance");
        }
        if ticket.refresh {
            query.push_str("&grant=refresh");
        }
        query
    }

    /// Whether `signature` is this key's. Takes the same time for every wrong signature.
    pub(crate) fn verify(&self, signature: &str, instance: &str, ticket: &Ticket) -> bool {
        let mut given = [0; 48];
        let Ok(length) = URL_SAFE_NO_PAD.decode_slice(signature, &mut given) else {
            return false;
        };
        self.mac(instance, ticket)
            .verify_slice(&given[..length])
            .is_ok()
    }

    fn mac(&self, instance: &str, ticket: &Ticket) -> Hmac<Sha256> {
        let subject = match &ticket.scope {
            Scope::Face(subject) => subject.as_str(),
            Scope::Instance => "*",
        };
        let grant = if ticket.refresh { "refresh" } else { "" };
        let mut digits = itoa::Buffer::new();
        let expires = digits.format(ticket.expires);
        let mut mac = self.keyed.clone();
        for part in [
            "avatar\n", instance, "\n", subject, "\n", expires, "\n", grant,
        ] {
            mac.update(part.as_bytes());
        }
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(subject: &str) -> Ticket {
        Ticket {
            scope: Scope::Face(subject.parse().unwrap()),
            expires: 1_800_000_000,
            refresh: false,
        }
    }

    #[test]
    fn a_signature_is_plain_hmac_sha256_in_base64url() {
        // printf 'avatar\nsales\n628123@c.us\n1800000000\n' | openssl dgst -sha256 -hmac key -binary | basenc --base64url
        let query = SigningKey::new(&"key".into()).query("sales", &ticket("+628123"));
        assert_eq!(
            query,
            "exp=1800000000&sig=jLudbSysFK-1wnbOBSKuQKIBnrOVzjLGMSHJ0EGJbMo"
        );
    }

    #[test]
    fn a_name_of_any_length_is_signed_whole() {
        let key = SigningKey::new(&"key".into());
        let known = ticket("628123");
        for length in (0..10).chain(200..260).chain(8000..8010) {
            let instance = "n".repeat(length);
            let message = format!("avatar\n{instance}\n628123@c.us\n{}\n", known.expires);
            let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
            mac.update(message.as_bytes());
            let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
            assert!(key.verify(&signature, &instance, &known), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_change_of_any_byte_of_any_part_is_refused(
            instance in "[a-zA-Z0-9_-]{1,12}",
            number in "[1-9][0-9]{2,14}",
            expires in 1u64..4_000_000_000,
            refresh in any::<bool>(),
            place in 0usize..5,
            at in any::<prop::sample::Index>(),
        ) {
            let key = SigningKey::new(&"key".into());
            let signed = Ticket {
                scope: Scope::Face(format!("{number}@c.us").parse().unwrap()),
                expires,
                refresh,
            };
            let query = key.query(&instance, &signed);
            let signature = query.split("sig=").nth(1).unwrap().split('&').next().unwrap().to_owned();
            prop_assert!(key.verify(&signature, &instance, &signed));

            let (mut instance, mut number, mut signature, mut tampered) = (instance, number, signature, signed);
            match place {
                0 => instance = changed(&instance, at, "ab"),
                1 => number = changed(&number, at, "12"),
                2 => tampered.expires ^= 1 << at.index(32),
                3 => tampered.refresh = !refresh,
                _ => signature = changed(&signature, at, "AB"),
            }
            tampered.scope = Scope::Face(format!("{number}@c.us").parse().unwrap());
            prop_assert!(!key.verify(&signature, &instance, &tampered));
        }
    }

    /// The text with another byte at one place.
    fn changed(text: &str, at: prop::sample::Index, other: &str) -> String {
        let at = at.index(text.len());
        let new = if text[at..].starts_with(&other[..1]) {
            &other[1..]
        } else {
            &other[..1]
        };
        format!("{}{new}{}", &text[..at], &text[at + 1..])
    }

    #[test]
    fn every_signed_part_counts() {
        let key = SigningKey::new(&"key".into());
        let signed = ticket("628123");
        let query = key.query("sales", &signed);
        let signature = query.split("sig=").nth(1).unwrap();
        assert!(key.verify(signature, "sales", &signed));
        assert!(!key.verify(signature, "support", &signed));
        assert!(!key.verify(signature, "sales", &ticket("628124")));
        assert!(!key.verify(
            signature,
            "sales",
            &Ticket {
                expires: 1_800_000_001,
                ..signed
            }
        ));
        assert!(!key.verify(
            signature,
            "sales",
            &Ticket {
                refresh: true,
                ..signed
            }
        ));
        assert!(!key.verify(
            signature,
            "sales",
            &Ticket {
                scope: Scope::Instance,
                ..signed
            }
        ));
        assert!(!SigningKey::new(&"other".into()).verify(signature, "sales", &signed));
        assert!(!key.verify(&signature[1..], "sales", &signed));
        assert!(!key.verify("", "sales", &signed));
    }
}
