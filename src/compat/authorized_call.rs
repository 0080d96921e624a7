//! A picture call whose credential is right, and the interface of its answers.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, Method, Uri};

use super::Failure;
use crate::{
    avatar::{Ask, Empty, StoredPicture, Subject},
    pipeline::Instance,
    server::Reply,
};

/// A picture call whose credential is right.
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
    /// Whether a picture is answered with its bytes.
    fn are_images(&self) -> bool;
    /// The answer with a link to the picture.
    fn picture(&self, link: &str, picture: Option<&StoredPicture>) -> Reply;
    /// The answer that there is no picture, for this reason.
    fn none(&self, reason: Empty) -> Reply;
    /// The answer to a call that failed.
    fn failure(&self, failure: Failure) -> Reply;
}
