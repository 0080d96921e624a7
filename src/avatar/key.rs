//! The key of an entry: one instance's view of one face.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::hex;

/// Separates these hashes from other uses of BLAKE3 over the same text.
const DOMAIN: &[u8; 32] = b"faceplate entry key, version 1\0\0";

/// The BLAKE3 hash of instance and subject, cut to 128 bits. File names and indexes contain it
/// instead of a phone number. (A collision takes some 2^64 keys; there are 2^50 phone numbers.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key([u8; 16]);

/// A text that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 hexadecimal digits")]
pub struct MalformedKey;

impl Key {
    /// The key of `subject` as seen by `instance`.
    pub fn new(instance: &str, subject: &Subject) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(DOMAIN);
        hasher.update(instance.as_bytes());
        // Instance names contain no NUL, so no two pairs give the same input.
        hasher.update(&[0]);
        hasher.update(subject.as_str().as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Key(short)
    }

    /// The raw bytes: a seed for choices that have to stay the same per face.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Key {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        hex::decode(text).map(Key).ok_or(MalformedKey)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode::<32>(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(instance: &str, subject: &str) -> Key {
        Key::new(instance, &subject.parse().unwrap())
    }

    #[test]
    fn spellings_of_one_jid_share_a_key() {
        assert_eq!(
            key("sales", "628123:4@s.whatsapp.net"),
            key("sales", "628123")
        );
    }

    #[test]
    fn other_instances_subjects_and_kinds_have_other_keys() {
        let keys = [
            key("sales", "123"),
            key("support", "123"),
            key("sales", "124"),
            key("sales", "123@lid"),
            key("sales", "me"),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn the_key_of_a_face_does_not_change_by_accident() {
        assert_eq!(
            key("sales", "628123").to_string(),
            "5ccaf2477cfe37fee7a5769a1bfc1382"
        );
        let printed = key("sales", "628123").to_string();
        assert_eq!(printed.parse(), Ok(key("sales", "628123")));
        assert!("5ccaf2477cfe37fee7a5769a1bfc13".parse::<Key>().is_err());
    }
}
