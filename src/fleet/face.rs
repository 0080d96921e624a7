//! The names of faces in Redis. No phone number can be read there without the fleet's secret.

use secrecy::{ExposeSecret, SecretString};

use crate::{avatar::Subject, hex};

/// The keys that are derived from the fleet's secret.
pub(super) struct SecretKeys {
    name: [u8; 32],
    seal: [u8; 32],
}

/// The name of a face in Redis: a keyed hash of account and subject, and the subject sealed with that hash as the
/// nonce, for the siblings that have to find the face in their own cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Face(String);

/// The hexadecimal digits of the hash.
const HASH: usize = 32;
/// Every sealed subject has this many bytes.
const SEALED: usize = 64;

impl SecretKeys {
    pub(super) fn new(secret: &SecretString) -> Self {
        let derive = |context| blake3::derive_key(context, secret.expose_secret().as_bytes());
        Self {
            name: derive("faceplate fleet, names of faces, version 1"),
            seal: derive("faceplate fleet, sealed subjects, version 1"),
        }
    }

    /// The name of an account in Redis.
    pub(super) fn account(&self, provider: &str, base: &str, account: &str) -> String {
        let text = [provider, base, account].join("\0");
        let hash = blake3::keyed_hash(&self.name, text.as_bytes());
        hex::encode::<HASH>(&hash.as_bytes()[..HASH / 2]).to_string()
    }

    /// The face of `subject` as `account` sees it.
    pub(super) fn face(&self, account: &str, subject: &Subject) -> Face {
        let text = subject.as_str();
        let hash = blake3::keyed_hash(&self.name, format!("{account}\0{text}").as_bytes());
        let id = hex::encode::<HASH>(&hash.as_bytes()[..HASH / 2]);
        let mut bytes = [0; SEALED];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        self.apply_keystream(&id, &mut bytes);
        Face(format!("{id}{}", hex::encode::<{ 2 * SEALED }>(&bytes)))
    }

    /// The subject of the face called `member`. `None` if this fleet's secret did not make it.
    pub(super) fn open(&self, account: &str, member: &str) -> Option<(Face, Subject)> {
        let (id, sealed) = member.split_at_checked(HASH)?;
        let mut bytes: [u8; SEALED] = hex::decode(sealed)?;
        self.apply_keystream(id, &mut bytes);
        let length = bytes.iter().position(|byte| *byte == 0)?;
        let subject: Subject = str::from_utf8(&bytes[..length]).ok()?.parse().ok()?;
        let face = self.face(account, &subject);
        (face.member() == member).then_some((face, subject))
    }

    fn apply_keystream(&self, id: &str, bytes: &mut [u8; SEALED]) {
        let mut stream = [0; SEALED];
        let mut hasher = blake3::Hasher::new_keyed(&self.seal);
        hasher
            .update(id.as_bytes())
            .finalize_xof()
            .fill(&mut stream);
        for (byte, key) in bytes.iter_mut().zip(stream) {
            *byte ^= key;
        }
    }
}

impl Face {
    /// The hash, for the keys of the face.
    pub(super) fn id(&self) -> &str {
        &self.0[..HASH]
    }

    /// The hash and the sealed subject.
    pub(super) fn member(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> SecretKeys {
        SecretKeys::new(&SecretString::from(secret))
    }

    #[test]
    fn a_sealed_subject_is_opened_by_its_fleet_and_account_alone() {
        for text in ["628123@c.us", "me", "123456789012345-1234567890@g.us"] {
            let subject: Subject = text.parse().unwrap();
            let face = keys("one").face("account", &subject);
            let opened = keys("one").open("account", face.member());
            assert_eq!(opened, Some((face.clone(), subject)));
            assert_eq!(keys("two").open("account", face.member()), None);
            assert_eq!(keys("one").open("other", face.member()), None);
            assert_eq!(keys("one").open("account", &face.member()[..100]), None);
        }
    }

    #[test]
    fn names_show_neither_the_number_nor_its_length() {
        let keys = keys("one");
        let (short, long) = ("628123@c.us", "628123456789012@c.us");
        let member = |text: &str| keys.face("a", &text.parse().unwrap()).member().to_owned();
        assert_eq!(member(short).len(), member(long).len());
        assert!(!member(short).contains(&*hex::encode::<12>(b"628123")));
    }
}
