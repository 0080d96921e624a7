//! A picture call that was let in, and how its answers are written.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, Method, Uri};

use super::Failure;
use crate::{
    avatar::{Ask, Empty, StoredPicture, Subject},
    pipeline::Instance,
    server::Reply,
};

/// A picture call that was let in.
pub(super) struct AuthorizedCall {
    pub(super) instance: Arc<Instance>,
    pub(super) subject: Subject,
    pub(super) ask: Ask,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) client: Option<IpAddr>,
}

/// The answers to one picture call, as its vendor writes them.
pub(super) trait Answers {
    /// Whether the answer to a picture is the picture itself.
    fn are_images(&self) -> bool;
    /// The answer to a picture that this link shows.
    fn picture(&self, link: &str, picture: Option<&StoredPicture>) -> Reply;
    /// The answer to no picture, for this reason.
    fn none(&self, reason: Empty) -> Reply;
    /// The answer to a call that failed.
    fn failure(&self, failure: Failure) -> Reply;
}
