//! What other accounts say about a person of whom this one has no picture.

use std::sync::Arc;

use crate::{
    avatar::{Answer, Picture},
    clock::Timestamp,
};

/// What other accounts say.
#[derive(Debug, Default)]
pub(super) struct OtherAccounts {
    /// The picture that one of them has.
    pub(super) picture: Option<BorrowedPicture>,
    /// When one of them can be asked that has no answer now.
    pub(super) retry_at: Option<Timestamp>,
}

/// The picture of another account.
#[derive(Debug)]
pub(super) struct BorrowedPicture {
    pub(super) picture: Picture,
    /// The instance whose picture it is.
    pub(super) from: Arc<str>,
}

impl OtherAccounts {
    /// The answer, and the instance that it is from, in place of an account's own that there is no picture.
    pub(super) fn replace(&self, own: Answer) -> (Answer, Option<Arc<str>>) {
        match (&self.picture, &own) {
            (Some(borrowed), Answer::Empty(_)) => {
                let picture = Answer::Picture(borrowed.picture.clone(), None);
                (picture, Some(borrowed.from.clone()))
            }
            _ => (own, None),
        }
    }
}
