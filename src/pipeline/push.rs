//! Takes a picture from a program, as bytes or by a link. The picture passes the same steps as a fetched one: guard,
//! validation, absorption into the entry. The vendor is not called.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Faces, Instance,
    fetch::{Cause, Fetch, Retrieval},
    fetch_error::FetchError,
    single_flight::Flight,
    target::Target,
};
use crate::{
    avatar::{Answer, Ask, Empty, Entry, Subject},
    upstream::{UnsupportedSubject, VendorAnswer},
};

/// What a program says about a face.
pub enum Push {
    /// The picture.
    Bytes(Bytes),
    /// A link to the picture.
    Link(String),
    /// The contact has set no picture.
    None,
}

/// Why a push changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No picture can belong to the address.
    #[error("{0}")]
    Unsupported(#[from] UnsupportedSubject),
    /// The face was forgotten on demand, or the disk cannot say whether it was.
    #[error("the face is forgotten for a time, or its entry cannot be read")]
    Forgotten,
    /// The picture or its link is refused.
    #[error("{0}")]
    Refused(String),
}

impl Faces {
    /// Takes a picture, or the statement that there is none, into the entry of a face. Returns the new entry.
    pub async fn push(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        pushed: Push,
    ) -> Result<Arc<Entry>, PushError> {
        let target = Target::new(instance, subject)?;
        let (shared, now) = (&self.shared, self.now());
        let before = shared.store.look_up(&target.key).await;
        let flight = Flight::default();
        let fetch = Fetch::new(shared.clone(), &target, Ask::View, Cause::Outside, flight);
        let is_forgotten = before.entry().is_some_and(|entry| entry.is_forgotten(now));
        if is_forgotten || fetch.earlier_tombstone(&before).await.is_some() {
            return Err(PushError::Forgotten);
        }
        let answer = match pushed {
            Push::Bytes(bytes) => VendorAnswer::Bytes(bytes),
            Push::Link(link) => VendorAnswer::Link(link),
            Push::None => VendorAnswer::Empty(Empty::NotSet),
        };
        let answer = match fetch.retrieve(answer, None).await {
            Ok(Retrieval::Answer(Answer::Empty(Empty::Unknown))) => Err(FetchError::vendor_error(
                "the link is that of a gateway's default picture",
            )),
            Ok(Retrieval::Answer(answer)) => Ok(answer),
            Ok(Retrieval::LinkGone) => {
                Err(FetchError::vendor_error("the link has expired or is gone"))
            }
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| PushError::Refused(error.detail))?;
        let result = fetch.settle(before, now, Ok(answer)).await;
        result.entry.ok_or(PushError::Forgotten)
    }
}
