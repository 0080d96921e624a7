//! Recognizes a gateway's default picture: the silhouette that it sends instead of saying that there is no picture.
//! People have pictures of their own, so a link or bytes that several contacts of one account share are no one's
//! picture.
//!
//! A default picture counts as an answer without a picture. Where it was stored before it was recognized,
//! it is taken back, and a picture that it had replaced returns, unless the face was removed meanwhile.
//!
//! This is a pure state machine: it is given the pictures, and has no clock.

use std::{collections::VecDeque, mem};

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::avatar::{StoredPicture, Subject};

/// How default pictures are recognized.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultPicturePolicy {
    /// How many contacts have to share a picture.
    pub shared_by: usize,
    /// Parts of file names in links.
    pub names: Vec<String>,
    /// The entity tags of default pictures, without quotes.
    pub etags: Vec<String>,
}

/// The default pictures of one account, and the pictures that may turn out to be some.
#[derive(Debug)]
pub(super) struct DefaultPictures {
    /// The fingerprints of default pictures, oldest first.
    known: VecDeque<String>,
    /// The contacts that have one of the latest pictures, by the entity tag of its bytes or the identity of its link.
    candidates: LruCache<String, Vec<Sighting>>,
}

/// A picture that came for a contact.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The contact.
    pub subject: Subject,
    /// The picture that it replaced.
    pub replaced: Option<StoredPicture>,
}

/// The verdict on a picture.
#[derive(Debug)]
pub enum PictureVerdict {
    /// The contact's own.
    Own,
    /// The gateway's default. It was stored for these contacts before it was recognized.
    Default(Vec<Sighting>),
}

/// The known fingerprints, for the next process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedDefaultPictures(VecDeque<String>);

impl Default for DefaultPicturePolicy {
    fn default() -> Self {
        Self {
            shared_by: 5,
            names: Vec::new(),
            etags: Vec::new(),
        }
    }
}

impl DefaultPicturePolicy {
    /// Whether the operator named this fingerprint, or a part of this file name.
    fn names(&self, fingerprint: &str, file_name: &str) -> bool {
        let file_name = file_name.to_ascii_lowercase();
        let is_part = |name: &String| file_name.contains(&name.to_ascii_lowercase());
        self.etags.iter().any(|etag| etag == fingerprint) || self.names.iter().any(is_part)
    }
}

impl DefaultPictures {
    /// The limit of known default pictures, more than gateways have.
    const MAX_KNOWN: usize = 64;
    /// The limit of candidates: the faces of a few pages.
    const MAX_CANDIDATES: usize = 2048;
    /// The largest number of bytes of replaced pictures that are kept.
    const MAX_REPLACED: usize = 8 << 20;

    /// Whether a fingerprint or a file name is known to be a default picture's.
    pub(super) fn is_known(
        &self,
        fingerprint: &str,
        file_name: &str,
        policy: &DefaultPicturePolicy,
    ) -> bool {
        self.known.iter().any(|known| known == fingerprint) || policy.names(fingerprint, file_name)
    }

    /// Records a picture with these fingerprints.
    pub(super) fn observe(
        &mut self,
        fingerprints: &[&str],
        sighting: &Sighting,
        policy: &DefaultPicturePolicy,
    ) -> PictureVerdict {
        if fingerprints.iter().any(|it| self.is_known(it, "", policy)) {
            return PictureVerdict::Default(Vec::new());
        }
        for fingerprint in fingerprints {
            let candidates = &mut self.candidates;
            let sightings = candidates.get_or_insert_mut_ref(*fingerprint, Vec::new);
            let is_new = |seen: &Sighting| seen.subject != sighting.subject;
            if sightings.iter().all(is_new) {
                sightings.push(sighting.clone());
            }
            if sightings.len() >= policy.shared_by {
                let sightings = mem::take(sightings);
                self.learn(fingerprint);
                return PictureVerdict::Default(sightings);
            }
        }
        while self.candidates.len() > Self::MAX_CANDIDATES {
            self.candidates.pop_lru();
        }
        if sighting.replaced.is_some() {
            self.forget_oldest_replaced();
        }
        PictureVerdict::Own
    }

    /// Forgets the sightings of a contact, with the pictures that were replaced.
    pub(super) fn forget(&mut self, subject: Subject) {
        for (_, sightings) in self.candidates.iter_mut() {
            sightings.retain(|seen| seen.subject != subject);
        }
    }

    /// Forgets the sightings of all contacts. Default pictures stay known.
    pub(super) fn forget_all(&mut self) {
        self.candidates.clear();
    }

    pub(super) fn save(&self) -> SavedDefaultPictures {
        SavedDefaultPictures(self.known.clone())
    }

    pub(super) fn restore(&mut self, saved: SavedDefaultPictures) {
        self.known = saved.0;
        self.known.truncate(Self::MAX_KNOWN);
    }

    fn learn(&mut self, fingerprint: &str) {
        self.candidates.pop(fingerprint);
        self.known.push_back(fingerprint.to_owned());
        if self.known.len() > Self::MAX_KNOWN {
            self.known.pop_front();
        }
    }

    fn forget_oldest_replaced(&mut self) {
        let latest_first = self.candidates.iter_mut();
        let mut kept = 0;
        for sighting in latest_first.flat_map(|(_, sightings)| sightings.iter_mut().rev()) {
            let replaced = sighting.replaced.as_ref();
            kept += replaced.map_or(0, |stored| stored.picture.bytes().len());
            if kept > Self::MAX_REPLACED {
                sighting.replaced = None;
            }
        }
    }
}

impl Default for DefaultPictures {
    fn default() -> Self {
        Self {
            known: VecDeque::new(),
            // Bounded by hand: a bounded one takes all its memory at once, for each account.
            candidates: LruCache::unbounded(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, ops::Range};

    use image::{DynamicImage, ImageFormat};

    use super::*;
    use crate::{avatar::Picture, clock::Timestamp};

    fn seen_by(number: usize) -> Sighting {
        Sighting {
            subject: format!("6281000{number:05}").parse().unwrap(),
            replaced: None,
        }
    }

    fn is_default(pictures: &mut DefaultPictures, fingerprint: &str, number: usize) -> bool {
        let policy = DefaultPicturePolicy::default();
        let verdict = pictures.observe(&[fingerprint], &seen_by(number), &policy);
        matches!(verdict, PictureVerdict::Default(_))
    }

    /// A photo of this many bytes.
    fn photo(bytes: usize) -> StoredPicture {
        let mut png = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(8, 8)
            .write_to(&mut png, ImageFormat::Png)
            .unwrap();
        let mut file = png.into_inner();
        // Zeros behind the end are kept as padding.
        file.resize(bytes, 0);
        let now = Timestamp::from_secs(1);
        StoredPicture {
            picture: Picture::validate(file.into()).unwrap(),
            link_id: None,
            changed_at: now,
            confirmed_at: now,
            from: None,
        }
    }

    /// The number of photos that return when these contacts have shown a picture to be a default one.
    fn returned_photos(
        pictures: &mut DefaultPictures,
        fingerprint: &str,
        contacts: Range<usize>,
    ) -> usize {
        let policy = DefaultPicturePolicy::default();
        let mut verdict = PictureVerdict::Own;
        for number in contacts {
            verdict = pictures.observe(&[fingerprint], &seen_by(number), &policy);
        }
        let PictureVerdict::Default(sightings) = verdict else {
            panic!("{fingerprint} is no default picture");
        };
        let returned = sightings.iter().filter(|seen| seen.replaced.is_some());
        returned.count()
    }

    #[test]
    fn a_picture_of_one_contact_is_never_a_default_one() {
        let mut pictures = DefaultPictures::default();
        assert!((0..100).all(|_| !is_default(&mut pictures, "a", 1)));
    }

    #[test]
    fn the_fifth_contact_with_a_picture_makes_it_a_default_one_for_all_and_the_next_process() {
        let mut pictures = DefaultPictures::default();
        assert!((0..4).all(|number| !is_default(&mut pictures, "a", number)));
        assert!(!is_default(&mut pictures, "b", 4));
        let policy = DefaultPicturePolicy::default();
        let verdict = pictures.observe(&["a"], &seen_by(4), &policy);
        assert!(matches!(verdict, PictureVerdict::Default(sightings) if sightings.len() == 5));
        let mut next = DefaultPictures::default();
        next.restore(pictures.save());
        assert!(is_default(&mut next, "a", 1));
    }

    #[test]
    fn candidates_are_bounded_and_the_latest_stay() {
        let mut pictures = DefaultPictures::default();
        for number in 0..2 * DefaultPictures::MAX_CANDIDATES {
            is_default(&mut pictures, &number.to_string(), number);
            if number % 500 == 0 {
                is_default(&mut pictures, "shared", number);
            }
            assert!(pictures.candidates.len() <= DefaultPictures::MAX_CANDIDATES);
        }
        assert!(is_default(&mut pictures, "shared", 1));
        for number in 0..2 * DefaultPictures::MAX_KNOWN {
            pictures.learn(&number.to_string());
        }
        assert_eq!(pictures.known.len(), DefaultPictures::MAX_KNOWN);
    }

    #[test]
    fn replaced_photos_are_kept_up_to_eight_mebibytes_and_the_latest_stay() {
        let mut pictures = DefaultPictures::default();
        let policy = DefaultPicturePolicy::default();
        let photo = photo(3 << 20);
        for (number, fingerprint) in ["old", "new", "new"].into_iter().enumerate() {
            let sighting = Sighting {
                replaced: Some(photo.clone()),
                ..seen_by(number)
            };
            pictures.observe(&[fingerprint], &sighting, &policy);
        }
        assert_eq!(returned_photos(&mut pictures, "new", 3..6), 2);
        assert_eq!(returned_photos(&mut pictures, "old", 6..10), 0);
    }
}
