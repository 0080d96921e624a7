//! What the emulated WhatsApp knows: who shows what, and which file on the CDN shows whom.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    population::{self, Kind, Known, Picture},
    portrait::Portrait,
};

/// The people and their files. The locks are held for a lookup only.
pub(super) struct Network {
    cast: Vec<Known>,
    /// What tests and visitors changed.
    changed: Mutex<HashMap<String, Picture>>,
    /// Every file that a link was made for. A file stays when its person shows another: links that
    /// are out stay good until they expire.
    files: Mutex<HashMap<String, File>>,
}

/// What is known about a file on the CDN.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) portrait: Portrait,
    /// Whose picture it is; the silhouette is nobody's.
    pub(super) jid: Option<String>,
}

// === impl Network ===

impl Network {
    pub(super) fn new() -> Self {
        Self {
            cast: population::cast(),
            changed: Mutex::default(),
            files: Mutex::default(),
        }
    }

    /// What `jid` shows now.
    pub(super) fn picture(&self, jid: &str) -> Picture {
        if let Some(&picture) = locked(&self.changed).get(jid) {
            return picture;
        }
        let known = self.cast.iter().find(|known| known.jid == jid);
        known.map_or_else(|| population::stranger(jid), |known| known.picture)
    }

    /// Lets `jid` show `picture` from now on.
    pub(super) fn set_picture(&self, jid: String, picture: Picture) {
        locked(&self.changed).insert(jid, picture);
    }

    /// The cast with what each shows now.
    pub(super) fn known(&self) -> Vec<Known> {
        let mut known = self.cast.clone();
        for person in &mut known {
            person.picture = self.picture(&person.jid);
        }
        known
    }

    /// What is to be seen on the picture of `jid`, if there is one to see.
    pub(super) fn portrait(&self, jid: &str) -> Option<Portrait> {
        match self.picture(jid) {
            Picture::Face(number) => Some(Kind::of(jid).portrait(number)),
            _ => None,
        }
    }

    /// The path of the file that shows `portrait` as the picture of `jid`.
    pub(super) fn publish(&self, portrait: Portrait, jid: Option<&str>) -> String {
        let path = path(portrait, jid);
        let file = File {
            portrait,
            jid: jid.map(str::to_owned),
        };
        locked(&self.files).insert(path.clone(), file);
        path
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &str) -> Option<File> {
        locked(&self.files).get(path).cloned()
    }
}

/// Named like WhatsApp's files: three numbers that say nothing to anybody else.
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panicking test must not take the emulator of the others with it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_what_it_shows_and_whom() {
        let network = Network::new();
        let first = network.publish(Portrait::Person(1), Some("a"));
        assert_eq!(network.publish(Portrait::Person(1), Some("a")), first);
        assert_ne!(network.publish(Portrait::Person(2), Some("a")), first);
        assert_ne!(network.publish(Portrait::Person(1), Some("b")), first);
    }

    #[test]
    fn a_change_shows_and_everybody_else_stays() {
        let network = Network::new();
        network.set_picture("628100000001@c.us".to_owned(), Picture::Hidden);
        assert_eq!(network.portrait("628100000001@c.us"), None);
        let stranger = network.portrait("5511999999999@c.us");
        assert!(matches!(stranger, Some(Portrait::Person(1000..))));
    }
}
