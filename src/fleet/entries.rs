//! The entries and pictures of an account in Redis: reads and stores them.

use std::{sync::Arc, time::Duration};

use serde_json::Map;

use super::{
    account::{SharedAccount, millis},
    exchange::Commit,
    face::Face,
    link::EngineFailure,
    pictures::{PictureName, picture_value},
    scripts,
    shared_entry::{FORMAT, SharedEntry},
    versions::DifferingFace,
};
use crate::{
    avatar::{Digest, Entry, Picture, Proof, Subject},
    limits::Observation,
};

/// The fleet's state of a face.
#[derive(Clone, Debug)]
pub enum SharedFace {
    /// Redis has nothing about it.
    Absent,
    /// Its entry was removed, at this version.
    Removed(u64),
    /// Its entry.
    Entry(Box<SharedEntry>),
    /// An entry of another format.
    Foreign,
}

/// What an entry is based on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// The version of the fleet's entry that it takes into account.
    pub(super) version: u64,
    /// The version after which it takes no purge into account.
    pub(super) purges: u64,
}

/// The scripts make versions that begin at this many times the server's milliseconds.
const VERSIONS_PER_MILLI: u64 = 4;
/// How exactly the server's clock is known.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

impl SharedAccount {
    /// Stores an entry that no lease was needed for. It is based on the fleet's entry of version `base`, which this replica
    /// had when it had `entry`.
    pub async fn commit(
        &self,
        subject: &Subject,
        base: u64,
        entry: &Entry,
        is_new_picture: bool,
        seen: Option<Observation>,
    ) -> Result<Commit, EngineFailure> {
        let base = self.base_without_lease(base, entry);
        self.commit_on(subject, base, "", entry, is_new_picture, seen)
            .await
    }

    /// What an entry is based on that no lease was needed for. A purge from before its picture came does not count, also
    /// if this replica has not heard of it.
    pub(super) fn base_without_lease(&self, version: u64, entry: &Entry) -> Base {
        let picture = entry.picture.as_ref();
        let since = picture.map_or(entry.last.answer_asked_at, |stored| stored.changed_at);
        let since = self.member.offset().to_server(since).as_millis();
        Base {
            version,
            purges: version.max(since.saturating_mul(VERSIONS_PER_MILLI)),
        }
    }

    /// The fleet's state of a face.
    pub async fn shared_face(&self, subject: &Subject) -> Result<SharedFace, EngineFailure> {
        let faces = self.shared_faces(std::slice::from_ref(subject)).await?;
        Ok(faces.into_iter().next().unwrap_or(SharedFace::Absent))
    }

    /// The fleet's state of some faces, in the same order.
    pub async fn shared_faces(
        &self,
        subjects: &[Subject],
    ) -> Result<Vec<SharedFace>, EngineFailure> {
        let mut script = scripts::READ.prepare_invoke();
        for subject in subjects {
            script.key(self.face_key("entry", &self.face(subject)));
        }
        let answer = self.member.run("get", &script).await?;
        let texts: Vec<Option<String>> = answer.values()?;
        let read = |text: Option<String>| match text {
            Some(text) => self.read(&text),
            None => SharedFace::Absent,
        };
        Ok(texts.into_iter().map(read).collect())
    }

    /// The picture of a face, if it is the one of `proof`.
    pub async fn picture(
        &self,
        subject: &Subject,
        proof: &Proof,
    ) -> Result<Option<Picture>, EngineFailure> {
        let name = self.picture_name(&self.face(subject));
        let bytes = self.member.pictures.get(&name, proof.digest()).await?;
        Ok(bytes.and_then(|bytes| Picture::from_proof(bytes, proof)))
    }

    /// Records that this replica has this entry of the fleet.
    pub fn know(&self, subject: &Subject, entry: &SharedEntry) {
        self.versions.record(self.face(subject), entry);
    }

    /// Records that the entry of a face was removed everywhere, at this version.
    pub fn record_removed(&self, subject: &Subject, version: u64) {
        self.versions.record_removed(self.face(subject), version);
    }

    /// Whether the entry of this version was purged since, as far as this replica has heard.
    pub fn is_purged(&self, subject: &Subject, version: u64) -> bool {
        let removed = self.versions.removed_at(&self.face(subject));
        version <= removed.max(self.reading.purged())
    }

    /// Records that this replica's entry was compared with Redis, which has no newer one.
    pub fn record_compared(&self, subject: &Subject) {
        self.versions.record_compared(self.face(subject));
    }

    /// Records that the entries of a face here and in Redis may differ, because Redis failed.
    pub fn record_differing(&self, subject: Subject) {
        if !self.versions.record_differing(subject) {
            self.reading.compare_all();
        }
        // In an outage, the disk has to be told once.
        if !self.reading.is_saved_as_unsent() {
            self.member.unsent.notify_one();
        }
    }

    /// The faces whose entries may differ. The caller compares them, and then calls [`SharedAccount::settle`].
    pub fn differing(&self) -> Vec<DifferingFace> {
        self.versions.differing()
    }

    /// Whether the entries of a face here and in Redis may differ.
    pub fn is_differing(&self, subject: &Subject) -> bool {
        self.versions.is_differing(subject)
    }

    /// The entries of a face were compared, as far as no engine has failed meanwhile.
    pub fn settle(&self, face: &DifferingFace) {
        self.versions.settle(face);
    }

    /// The version that this replica has of a face's entry; 0 if it is not known.
    pub fn known_version(&self, subject: &Subject) -> u64 {
        self.versions.of(&self.face(subject))
    }

    /// Whether a version is one that the server's clock has not come to yet: a server with another clock has made it.
    pub fn is_ahead_of_clock(&self, version: u64) -> bool {
        let now = self.member.server_time() + CLOCK_SLACK;
        version > now.as_millis().saturating_mul(VERSIONS_PER_MILLI)
    }

    pub(super) async fn commit_on(
        &self,
        subject: &Subject,
        base: Base,
        token: &str,
        entry: &Entry,
        is_new_picture: bool,
        seen: Option<Observation>,
    ) -> Result<Commit, EngineFailure> {
        let face = self.face(subject);
        let commit = self.try_commit(&face, base, token, entry, is_new_picture, seen);
        let mut commit = commit.await;
        if let Ok(Commit::PictureMissing) = commit {
            // The picture that the entry confirms has gone.
            let again = self.try_commit(&face, base, token, entry, true, seen);
            commit = again.await;
        }
        match &commit {
            Ok(Commit::Conflict(_)) => self.member.metrics.fleet().record_conflict(),
            Err(EngineFailure) => self.record_differing(*subject),
            Ok(_) => {}
        }
        commit
    }

    async fn try_commit(
        &self,
        face: &Face,
        base: Base,
        token: &str,
        entry: &Entry,
        is_new_picture: bool,
        seen: Option<Observation>,
    ) -> Result<Commit, EngineFailure> {
        let pictures = &self.member.pictures;
        let name = self.picture_name(face);
        let picture = entry.picture.as_ref().map(|stored| &stored.picture);
        let new_picture = picture.filter(|_| is_new_picture);
        if let Some(picture) = new_picture {
            pictures.put(&name, picture).await?;
        }
        let is_beside = pictures.is_beside_entries();
        let digest = picture.map(|picture| picture.digest().short());
        let digest = digest.filter(|_| is_beside);
        let value = new_picture.filter(|_| is_beside).map(picture_value);
        let unknown = self
            .versions
            .unknown(face)
            .unwrap_or_else(|| Arc::new(Map::new()));
        let mut script = scripts::COMMIT.prepare_invoke();
        script
            .key(self.key("account"))
            .key(self.face_key("entry", face))
            .key(self.face_key("lease", face))
            .key(self.key("forgotten"))
            .key(self.key("log"))
            .key(self.face_key("picture", face))
            .arg(face.member())
            .arg(base.version)
            .arg(token)
            .arg(SharedEntry::encode(entry, &unknown, self.member.offset()))
            .arg(millis(self.member.keep_entries))
            .arg(digest.as_deref().unwrap_or_default())
            .arg(&self.member.id)
            .arg(FORMAT)
            .arg(observation_text(seen))
            .arg(base.purges)
            .arg(value.unwrap_or_default());
        let answer = self.member.run("commit", &script).await?;
        match answer.name.as_str() {
            "stored" => {
                self.versions.record_own(face.clone(), answer.number(0));
                if base.version > 0
                    && let Some(picture) = new_picture
                {
                    self.delete_replaced(name, picture.digest());
                }
                Ok(Commit::Stored)
            }
            "conflict" => Ok(Commit::Conflict(self.decode(&answer)?)),
            "removed" => Ok(Commit::Removed(answer.number(0))),
            "foreign" => Ok(Commit::Foreign),
            "picture_missing" => Ok(Commit::PictureMissing),
            _ => {
                if is_new_picture && !is_beside {
                    // The picture was stored a moment ago. If this fails, the bucket's lifecycle rule deletes it later.
                    let _ = pictures.forget(&name).await;
                }
                Ok(Commit::Forgotten(answer.millis(0)))
            }
        }
    }

    /// Deletes the pictures of a face that another one has replaced, in the background. What is not deleted then stays
    /// until the face is forgotten.
    fn delete_replaced(&self, name: PictureName, digest: Digest) {
        let pictures = self.member.pictures.clone();
        tokio::spawn(async move { pictures.delete_replaced(&name, digest).await });
    }

    fn read(&self, text: &str) -> SharedFace {
        let parts = text.split_at_checked(14);
        let version = parts.and_then(|(version, _)| u64::from_str_radix(version, 16).ok());
        let (Some((_, text)), Some(version)) = (parts, version) else {
            return SharedFace::Foreign;
        };
        if version <= self.reading.purged() {
            return SharedFace::Absent;
        }
        if text.is_empty() {
            return SharedFace::Removed(version);
        }
        match SharedEntry::decode(version, text, self.member.offset()) {
            Some(entry) => SharedFace::Entry(Box::new(entry)),
            None => SharedFace::Foreign,
        }
    }
}

/// How an answer counts for the detector of soft throttling, as siblings read it.
fn observation_text(seen: Option<Observation>) -> &'static str {
    match seen {
        Some(Observation::Picture) => "picture",
        Some(Observation::Lost) => "lost",
        Some(Observation::Empty) => "empty",
        None => "",
    }
}

pub(super) fn observation(text: &str) -> Option<Observation> {
    match text {
        "picture" => Some(Observation::Picture),
        "lost" => Some(Observation::Lost),
        "empty" => Some(Observation::Empty),
        _ => None,
    }
}
