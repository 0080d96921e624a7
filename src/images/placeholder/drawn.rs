//! The placeholders that were drawn last, so that a known one costs no more than a picture from memory.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};

use super::{
    draw::draw_placeholder,
    spec::{Fonts, PlaceholderSpec, PlaceholderStyle},
};
use crate::avatar::Digest;

/// A placeholder in SVG.
#[derive(Clone, Debug)]
pub struct DrawnPlaceholder {
    /// The file.
    pub svg: Bytes,
    /// The digest of the file.
    pub digest: Digest,
}

/// A cache of drawn placeholders. Cheap to share.
pub struct PlaceholderCache(Cache<PlaceholderId, DrawnPlaceholder, ByBytes>);

/// The digest of all that a placeholder is drawn from.
type PlaceholderId = [u8; 32];

#[derive(Clone)]
struct ByBytes;

/// Feeds a `Hash` to BLAKE3. Names come from URLs, and no client may find two placeholders with one identity.
struct Identify(blake3::Hasher);

/// The most bytes of all cached placeholders: some two thousand of a kilobyte.
const MAX_BYTES: u64 = 2 << 20;
/// Memory of a cached placeholder beside its bytes.
const OVERHEAD: u64 = 192;

impl PlaceholderCache {
    /// An empty cache.
    pub fn new() -> Self {
        let items = MAX_BYTES / 1024;
        Self(Cache::with_weighter(items as usize, MAX_BYTES, ByBytes))
    }

    /// The placeholder of `size` by `size` pixels, drawn now or earlier.
    pub fn get_or_draw(
        &self,
        style: PlaceholderStyle,
        spec: PlaceholderSpec<'_>,
        size: u16,
        fonts: Fonts,
    ) -> DrawnPlaceholder {
        let mut id = Identify(blake3::Hasher::new());
        (style, size, fonts).hash(&mut id);
        spec.hash(&mut id);
        let id = *id.0.finalize().as_bytes();
        if let Some(drawn) = self.0.get(&id) {
            return drawn;
        }
        let svg = Bytes::from(draw_placeholder(style, spec, size, fonts));
        let digest = Digest::of(&svg);
        let drawn = DrawnPlaceholder { svg, digest };
        self.0.insert(id, drawn.clone());
        drawn
    }
}

impl Default for PlaceholderCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PlaceholderCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlaceholderCache({} placeholders)", self.0.len())
    }
}

impl Hasher for Identify {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The beginning of the digest, whose whole is used here.
    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        self.0.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }
}

impl Weighter<PlaceholderId, DrawnPlaceholder> for ByBytes {
    fn weight(&self, _: &PlaceholderId, drawn: &DrawnPlaceholder) -> u64 {
        OVERHEAD + drawn.svg.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        avatar::{Key, Subject},
        images::PlaceholderLook,
    };

    fn spec<'a>(key: &'a Key, subject: &'a Subject, name: Option<&'a str>) -> PlaceholderSpec<'a> {
        PlaceholderSpec {
            key,
            subject,
            name,
            initials: None,
            look: PlaceholderLook::default(),
        }
    }

    #[test]
    fn a_known_placeholder_is_the_one_that_would_be_drawn() {
        let cache = PlaceholderCache::new();
        let subjects: [Subject; 3] =
            ["628123", "628124", "628123@g.us"].map(|jid| jid.parse().unwrap());
        let mut looks = vec![PlaceholderLook::default()];
        looks.push(PlaceholderLook {
            rounded: true,
            ..looks[0]
        });
        looks.push(PlaceholderLook {
            single: true,
            ..looks[0]
        });
        looks.push(PlaceholderLook {
            bold: true,
            ..looks[0]
        });
        looks.push(PlaceholderLook {
            background: Some("112233".parse().unwrap()),
            ..looks[0]
        });
        looks.push(PlaceholderLook {
            foreground: Some("112233".parse().unwrap()),
            ..looks[0]
        });
        // Twice: drawn, then known.
        for _ in 0..2 {
            for subject in &subjects {
                let key = Key::new("sales", subject);
                for style in [
                    PlaceholderStyle::Initials,
                    PlaceholderStyle::Mp,
                    PlaceholderStyle::Identicon,
                    PlaceholderStyle::Blank,
                ] {
                    for (name, initials) in [
                        (None, None),
                        (Some("Ab Cd"), None),
                        (Some("Ab C"), Some("d")),
                        (Some("Ab"), Some("Cd")),
                    ] {
                        for (size, fonts) in [
                            (96, Fonts::Client),
                            (96, Fonts::Embedded),
                            (97, Fonts::Client),
                        ] {
                            for look in &looks {
                                let spec = PlaceholderSpec {
                                    initials,
                                    look: *look,
                                    ..spec(&key, subject, name)
                                };
                                let drawn = cache.get_or_draw(style, spec, size, fonts);
                                assert_eq!(drawn.svg, draw_placeholder(style, spec, size, fonts));
                                assert_eq!(drawn.digest, Digest::of(&drawn.svg));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_cache_of_placeholders_is_bounded() {
        let cache = PlaceholderCache::new();
        let subject: Subject = "628123".parse().unwrap();
        let key = Key::new("sales", &subject);
        for number in 0..20_000 {
            let name = number.to_string();
            let spec = spec(&key, &subject, Some(&name));
            cache.get_or_draw(PlaceholderStyle::Identicon, spec, 96, Fonts::Client);
        }
        assert!(cache.0.weight() <= MAX_BYTES);
    }
}
