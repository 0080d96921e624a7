//! Signed links to the emulated CDN, in WhatsApp's form: `oe` is the second of expiry in hexadecimal, `oh` a
//! keyed hash of everything else. As at WhatsApp, no two links are equal.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::vocabulary::Vendor;
use crate::clock::Timestamp;

/// Makes links and verifies them.
pub(super) struct Signer {
    key: [u8; 32],
    /// Host and port as clients see them.
    authority: String,
    /// The number of links made so far, which is the nonce of the next.
    made: AtomicU64,
}

/// The account that a link was given to, in the link's parameter `_nc_acc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) vendor: Vendor,
    pub(super) account: String,
}

/// The CDN's reason for refusing a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `oh` is not the hash of the rest of the link.
    BadHash,
    /// `oe` is not a hexadecimal number.
    BadTimestamp,
    /// `oe` is in the past.
    Expired,
}

const NONCE: usize = 8;
const HASH: usize = 20;

// === impl Signer ===

impl Signer {
    pub(super) fn new(authority: String) -> Self {
        Self {
            key: blake3::derive_key("faceplate emulator 2026-11-20 cdn links", b""),
            authority,
            made: AtomicU64::new(0),
        }
    }

    /// A link to the file at `path` that is valid until `expiry`.
    pub(super) fn link(&self, path: &str, expiry: Timestamp, recipient: &Recipient) -> String {
        let nonce = self.made.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let oe = format!("{:08X}", expiry.as_secs());
        let account = recipient.to_string();
        let hash = self.hash(path, &oe, &account, nonce);
        let oh = URL_SAFE_NO_PAD.encode([&nonce[..], &hash].concat());
        let account = utf8_percent_encode(&account, NON_ALPHANUMERIC);
        format!(
            "http://{}{path}?ccb=11-4&oh=01_{oh}&oe={oe}&_nc_sid=5e03e0&_nc_cat=104&_nc_acc={account}",
            self.authority
        )
    }

    /// `link` inside of the wrapper that WhatsApp Web once used. The wrapper itself has no file behind it.
    pub(super) fn wrap(&self, link: &str, jid: &str) -> String {
        let id = link.rsplit('_').nth(1).unwrap_or("0");
        let id: String = id.chars().filter(char::is_ascii_digit).collect();
        let link = utf8_percent_encode(link, NON_ALPHANUMERIC);
        let jid = utf8_percent_encode(jid, NON_ALPHANUMERIC);
        format!("http://{}/pp?e={link}&t=l&u={jid}&i={id}", self.authority)
    }

    /// Verifies the link with `path` and `query`, and returns its recipient. A forged link is refused for
    /// its hash, expired or not.
    pub(super) fn verify(
        &self,
        path: &str,
        query: &str,
        now: Timestamp,
    ) -> (Option<Recipient>, Result<(), Refusal>) {
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        let (oh, oe, account) = (parameter("oh"), parameter("oe"), parameter("_nc_acc"));
        let recipient = Recipient::parse(&account);
        let Ok(expiry) = u64::from_str_radix(&oe, 16) else {
            return (recipient, Err(Refusal::BadTimestamp));
        };
        if !self.is_mine(path, &oe, &account, &oh) {
            return (recipient, Err(Refusal::BadHash));
        }
        let verdict = if Timestamp::from_secs(expiry) <= now {
            Err(Refusal::Expired)
        } else {
            Ok(())
        };
        (recipient, verdict)
    }

    fn is_mine(&self, path: &str, oe: &str, account: &str, oh: &str) -> bool {
        let decoded = oh
            .strip_prefix("01_")
            .and_then(|oh| URL_SAFE_NO_PAD.decode(oh).ok())
            .unwrap_or_default();
        let Some((nonce, hash)) = decoded.split_first_chunk::<NONCE>() else {
            return false;
        };
        hash == self.hash(path, oe, account, *nonce)
    }

    fn hash(&self, path: &str, oe: &str, account: &str, nonce: [u8; NONCE]) -> [u8; HASH] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [path, oe, account] {
            hasher.update(part.as_bytes()).update(b"\n");
        }
        hasher.update(&nonce);
        let mut hash = [0; HASH];
        hasher.finalize_xof().fill(&mut hash);
        hash
    }
}

// === impl Recipient ===

impl Recipient {
    fn parse(text: &str) -> Option<Self> {
        let (vendor, account) = text.split_once('.')?;
        Some(Self {
            vendor: vendor.parse().ok()?,
            account: account.to_owned(),
        })
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.vendor, self.account)
    }
}

// === impl Refusal ===

impl Refusal {
    /// The text that the CDN answers with.
    pub(super) fn text(self) -> &'static str {
        match self {
            Refusal::BadHash => "Bad URL hash",
            Refusal::BadTimestamp => "Bad URL timestamp",
            Refusal::Expired => "URL signature expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/v/t61.24694-24/1_2_3_n.jpg";
    const EXPIRY: Timestamp = Timestamp::from_secs(0x6970_FAAA);

    fn link() -> (Signer, String) {
        let signer = Signer::new("cdn:1".to_owned());
        let recipient = Recipient {
            vendor: Vendor::Wawp,
            account: "a b".to_owned(),
        };
        let link = signer.link(PATH, EXPIRY, &recipient);
        (signer, link)
    }

    fn verdict(signer: &Signer, link: &str, now: u64) -> Result<(), Refusal> {
        let query = link.split_once('?').unwrap().1;
        signer.verify(PATH, query, Timestamp::from_secs(now)).1
    }

    #[test]
    fn a_link_is_valid_until_the_second_in_its_oe_parameter() {
        let (signer, link) = link();
        assert!(link.contains("&oe=6970FAAA&_nc_sid=5e03e0&_nc_cat=104"));
        assert_eq!(verdict(&signer, &link, 0x6970_FAA9), Ok(()));
        assert_eq!(verdict(&signer, &link, 0x6970_FAAA), Err(Refusal::Expired));
    }

    #[test]
    fn a_link_with_any_changed_part_is_refused() {
        let (signer, link) = link();
        for (from, to, refusal) in [
            ("oe=6970FAAA", "oe=7970FAAA", Refusal::BadHash),
            ("oe=6970FAAA", "oe=soon", Refusal::BadTimestamp),
            ("oh=01_", "oh=01_x", Refusal::BadHash),
            ("_nc_acc=wawp", "_nc_acc=waha", Refusal::BadHash),
        ] {
            let forged = link.replace(from, to);
            assert_eq!(verdict(&signer, &forged, 0), Err(refusal), "{to}");
        }
    }

    #[test]
    fn two_links_to_the_same_file_differ() {
        let (signer, link) = link();
        let recipient = Recipient::parse("wawp.a b").unwrap();
        assert_ne!(signer.link(PATH, EXPIRY, &recipient), link);
    }
}
