//! The store for the bytes of pictures that the replicas share. An entry names its picture by the digest; the reader of
//! the bytes compares them with it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use redis::FromRedisValue;

use super::link::{EngineFailure, Link};
use crate::avatar::{Digest, Picture};

/// A store for pictures. Objects belong to a face and not to a content, so forgetting a face needs no count of
/// references.
#[async_trait]
pub trait PictureStore: fmt::Debug + Send + Sync {
    /// Stores a picture of a face, before an entry names it. One that lies beside the entry is stored with it instead.
    async fn put(&self, name: &PictureName, picture: &Picture) -> Result<(), EngineFailure>;

    /// The bytes of the picture with this digest, as far as the store knows.
    async fn get(&self, name: &PictureName, digest: Digest)
    -> Result<Option<Bytes>, EngineFailure>;

    /// Deletes the pictures of a face that the one with this digest has replaced.
    async fn delete_replaced(
        &self,
        name: &PictureName,
        digest: Digest,
    ) -> Result<(), EngineFailure>;

    /// Deletes all pictures of a face.
    async fn delete_all(&self, name: &PictureName) -> Result<(), EngineFailure>;

    /// Deletes all pictures of a face, also those that are kept for ever.
    async fn forget(&self, name: &PictureName) -> Result<(), EngineFailure> {
        self.delete_all(name).await
    }

    /// The name of the engine.
    fn engine(&self) -> &'static str;

    /// Whether the engine answers.
    fn is_up(&self) -> bool;

    /// Asks an engine that has not answered whether it does again, where no request may do so for long.
    async fn look_again(&self) {}

    /// Whether the pictures lie beside the entries, so that the scripts store, renew and delete them.
    fn is_beside_entries(&self) -> bool {
        false
    }
}

/// The name of a face for a store of pictures: the hashes of account and JID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureName {
    /// The account.
    pub account: String,
    /// The face.
    pub face: String,
}

/// Pictures in Redis: one string for each face, the digest before the bytes.
#[derive(Debug)]
pub(super) struct RedisPictures {
    pub(super) link: Arc<Link>,
    pub(super) fleet: String,
}

/// The digits of a digest before the bytes.
const DIGEST: usize = 32;

impl RedisPictures {
    fn key(&self, name: &PictureName) -> String {
        picture_key(&self.fleet, name)
    }
}

/// The value of a picture in Redis.
pub(super) fn picture_value(picture: &Picture) -> Vec<u8> {
    [picture.digest().short().as_bytes(), picture.bytes()].concat()
}

/// The key of the picture of a face in Redis.
pub(super) fn picture_key(fleet: &str, name: &PictureName) -> String {
    let PictureName { account, face } = name;
    format!("fp:{fleet}:{{{account}}}:picture:{face}")
}

#[async_trait]
impl PictureStore for RedisPictures {
    async fn put(&self, _name: &PictureName, _picture: &Picture) -> Result<(), EngineFailure> {
        // A commit stores it together with the entry: a picture that came too late must not replace another one.
        Ok(())
    }

    async fn get(
        &self,
        name: &PictureName,
        digest: Digest,
    ) -> Result<Option<Bytes>, EngineFailure> {
        let command = redis::cmd("GET").arg(self.key(name)).take();
        let value = self.link.send("picture", &command).await?;
        let bytes = Bytes::from(Vec::<u8>::from_redis_value(value).unwrap_or_default());
        let is_same = bytes.len() > DIGEST && bytes[..DIGEST] == *digest.short().as_bytes();
        Ok(is_same.then(|| bytes.slice(DIGEST..)))
    }

    async fn delete_replaced(
        &self,
        _name: &PictureName,
        _digest: Digest,
    ) -> Result<(), EngineFailure> {
        // The newer picture has the same key.
        Ok(())
    }

    async fn delete_all(&self, name: &PictureName) -> Result<(), EngineFailure> {
        let command = redis::cmd("DEL").arg(self.key(name)).take();
        self.link.send("delete", &command).await.map(|_| ())
    }

    fn engine(&self) -> &'static str {
        "redis"
    }

    fn is_up(&self) -> bool {
        self.link.is_up()
    }

    fn is_beside_entries(&self) -> bool {
        true
    }
}
