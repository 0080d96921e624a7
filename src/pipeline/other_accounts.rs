//! The answers of other accounts about a person without a picture here.

use std::sync::Arc;

use crate::{
    avatar::{Answer, Picture},
    clock::Timestamp,
};

/// The answers of other accounts.
#[derive(Debug, Default)]
pub(super) struct OtherAccounts {
    /// The picture that one of them has.
    pub(super) picture: Option<BorrowedPicture>,
    /// The time at which to ask again the first of those that have no answer now.
    pub(super) retry_at: Option<Timestamp>,
}

/// The picture of another account.
#[derive(Debug)]
pub(super) struct BorrowedPicture {
    pub(super) picture: Picture,
    /// The instance that has the picture.
    pub(super) from: Arc<str>,
}

impl OtherAccounts {
    /// The answer, and the instance that it is from: the borrowed picture if the account itself has none.
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
