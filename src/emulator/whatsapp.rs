//! The emulated WhatsApp: the picture of each JID, and the files on its CDN.

use std::{collections::HashMap, sync::Mutex};

use super::{
    art::Portrait,
    population::{self, Kind, Picture, Profile},
};
use crate::sync::lock;

/// Pictures and files. The locks are held for a lookup only.
pub(super) struct WhatsApp {
    profiles: Vec<Profile>,
    /// Changes by tests and by the control routes.
    changed: Mutex<HashMap<String, Picture>>,
    /// The numbers of LIDs.
    numbers: Mutex<HashMap<String, String>>,
    /// Every file that a link was made for, by path. A file stays after its JID's picture was changed, as
    /// its links are valid until they expire.
    files: Mutex<HashMap<String, File>>,
}

/// A file on the CDN.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) portrait: Portrait,
    /// The JID that the picture belongs to; `None` for the silhouette.
    pub(super) jid: Option<String>,
}

// === impl WhatsApp ===

impl WhatsApp {
    pub(super) fn new() -> Self {
        Self {
            profiles: population::fixed_profiles(),
            changed: Mutex::default(),
            numbers: Mutex::default(),
            files: Mutex::default(),
        }
    }

    /// The picture of `jid` now.
    pub(super) fn picture(&self, jid: &str) -> Picture {
        if let Some(&picture) = lock(&self.changed).get(jid) {
            return picture;
        }
        let profile = self.profiles.iter().find(|profile| profile.jid == jid);
        profile.map_or_else(
            || population::default_picture(jid),
            |profile| profile.picture,
        )
    }

    /// Changes the picture of `jid`.
    pub(super) fn set_picture(&self, jid: String, picture: Picture) {
        lock(&self.changed).insert(jid, picture);
    }

    /// Makes a LID and a number one person.
    pub(super) fn set_number(&self, lid: String, number: String) {
        lock(&self.numbers).insert(lid, number);
    }

    /// The LID and the number of the person that `jid` names, as far as gateways know them.
    pub(super) fn identity(&self, jid: &str) -> (Option<String>, Option<String>) {
        let numbers = lock(&self.numbers);
        if jid.ends_with("@lid") {
            return (Some(jid.to_owned()), numbers.get(jid).cloned());
        }
        let mut pairs = numbers.iter();
        let lid = pairs.find(|(_, number)| *number == jid);
        (lid.map(|(lid, _)| lid.clone()), Some(jid.to_owned()))
    }

    /// The other name of the person that `jid` names.
    pub(super) fn other_name(&self, jid: &str) -> Option<String> {
        let (lid, number) = self.identity(jid);
        if jid.ends_with("@lid") { number } else { lid }
    }

    /// The fixed profiles, with the pictures of now.
    pub(super) fn profiles(&self) -> Vec<Profile> {
        let mut profiles = self.profiles.clone();
        for profile in &mut profiles {
            profile.picture = self.picture(&profile.jid);
        }
        profiles
    }

    /// The portrait on the picture of `jid`, if it has one.
    pub(super) fn portrait(&self, jid: &str) -> Option<Portrait> {
        match self.picture(jid) {
            Picture::Face(number) => Some(Kind::of(jid).portrait(number)),
            _ => None,
        }
    }

    /// Puts `portrait` on the CDN as the picture of `jid`, and returns the path.
    pub(super) fn publish(&self, portrait: Portrait, jid: Option<&str>) -> String {
        let path = path(portrait, jid);
        let file = File {
            portrait,
            jid: jid.map(str::to_owned),
        };
        lock(&self.files).insert(path.clone(), file);
        path
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<File> {
        lock(&self.files).get(path).cloned()
    }
}

/// A path like those of WhatsApp, whose names are three opaque numbers.
fn path(portrait: Portrait, jid: Option<&str>) -> String {
    let digest = blake3::hash(format!("{portrait:?} {jid:?}").as_bytes());
    let number = |from: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&digest.as_bytes()[from..from + 8]);
        u64::from_le_bytes(eight)
    };
    let (a, b, c) = (
        100_000_000 + number(0) % 900_000_000,
        100_000_000_000_000 + number(8) % 900_000_000_000_000,
        1_000_000_000_000_000_000 + number(16) % 9_000_000_000_000_000_000,
    );
    format!("/v/t61.24694-24/{a}_{b}_{c}_n.jpg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_path_depends_on_its_portrait_and_its_jid() {
        let whatsapp = WhatsApp::new();
        let first = whatsapp.publish(Portrait::Person(1), Some("a"));
        assert_eq!(whatsapp.publish(Portrait::Person(1), Some("a")), first);
        assert_ne!(whatsapp.publish(Portrait::Person(2), Some("a")), first);
        assert_ne!(whatsapp.publish(Portrait::Person(1), Some("b")), first);
    }

    #[test]
    fn a_changed_picture_changes_no_other_jid() {
        let whatsapp = WhatsApp::new();
        whatsapp.set_picture("628100000001@c.us".to_owned(), Picture::Hidden);
        assert_eq!(whatsapp.portrait("628100000001@c.us"), None);
        let other = whatsapp.portrait("5511999999999@c.us");
        assert!(matches!(other, Some(Portrait::Person(1000..))));
    }
}
