//! Pictures in an S3 store: an object for each picture of a face.
//!
//! | object | holds |
//! | --- | --- |
//! | `pictures/ACCOUNT/FACE/DIGEST` | the bytes of a picture that an entry names |
//! | `archive/ACCOUNT/FACE/DIGEST` | a picture that the face has had, if all are kept |
//! | `probe/REPLICA` | nothing: whether this replica may write, read, list and delete |
//!
//! Account and face are hashes, as in Redis. The digest is the first half of a BLAKE3; the whole one is in the entry.
//! Nothing is overwritten with other bytes, so it does not matter whether the store has conditional writes.

mod connector;
mod problem;
mod settings;

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use connector::Connector;
use http::Uri;
use object_store::{
    BackoffConfig, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
pub use problem::S3Problem;
use secrecy::ExposeSecret;
pub use settings::{S3Settings, check_endpoint};
use tokio::time::{self, Instant};

use super::{
    breaker::{Breaker, News},
    link::EngineFailure,
    pictures::{PictureName, PictureStore},
};
use crate::{
    avatar::{Digest, Picture},
    sync::lock,
    telemetry::Metrics,
    upstream::{Resolver, unguarded_client},
};

/// Pictures in an S3 store.
#[derive(Debug)]
pub(super) struct S3Pictures {
    store: AmazonS3,
    timeout: Duration,
    archives: bool,
    breaker: Mutex<Breaker>,
    metrics: Metrics,
}

/// The time limit of the probe at the start, which no request waits for.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// The label of this engine in metrics.
const ENGINE: &str = "s3";

impl S3Pictures {
    pub(super) fn new(
        settings: &S3Settings,
        resolver: Resolver,
        metrics: Metrics,
    ) -> Result<Self, S3Problem> {
        let endpoint: Uri = settings.endpoint.parse().map_err(|_| S3Problem::Endpoint)?;
        let connector = Connector {
            http: unguarded_client(resolver, settings.authorities.as_deref()),
            endpoint,
        };
        // A second try is for a kept connection that was closed just then; the time limit is for both.
        let retry = RetryConfig {
            max_retries: 1,
            retry_timeout: settings.timeout,
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(10),
                max_backoff: Duration::from_millis(50),
                ..BackoffConfig::default()
            },
        };
        let store = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_endpoint(&settings.endpoint)
            .with_allow_http(true)
            .with_region(&settings.region)
            .with_access_key_id(settings.access_key.expose_secret())
            .with_secret_access_key(settings.secret_key.expose_secret())
            // Not every store has it, and a face has few objects.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_http_connector(connector)
            .build()
            .map_err(|_| S3Problem::Endpoint)?;
        Ok(Self {
            store,
            timeout: settings.timeout,
            archives: settings.archives,
            breaker: Mutex::default(),
            metrics,
        })
    }

    /// Lists objects, and writes, reads and deletes one.
    pub(super) async fn probe(&self, replica: &str) -> Result<(), S3Problem> {
        let folder = Path::from("probe");
        let name = folder.clone().join(replica);
        let work = async {
            let (store, name) = (&self.store, &name);
            // Some stores make a bucket that is missing when an object is written.
            store.list_with_delimiter(Some(&folder)).await?;
            store.put(name, Bytes::from_static(b"probe").into()).await?;
            store.get(name).await?.bytes().await?;
            store.delete(name).await
        };
        match time::timeout(PROBE_LIMIT, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(S3Problem::of(&error)),
            Err(_) => Err(S3Problem::Unreachable(
                "it did not answer within 5 seconds".to_owned(),
            )),
        }
    }

    /// The result of `work`; `None` if there is no such object.
    async fn bounded<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, EngineFailure> {
        let started = Instant::now();
        if lock(&self.breaker).is_open(started) {
            return Err(EngineFailure);
        }
        let result = time::timeout(self.timeout, work).await;
        let metrics = self.metrics.fleet();
        metrics.record_round_trip(name, started.elapsed());
        let problem = match result {
            Ok(Ok(value)) => {
                self.record_success();
                return Ok(Some(value));
            }
            Ok(Err(error)) if problem::is_missing_object(&error) => {
                self.record_success();
                return Ok(None);
            }
            Ok(Err(error)) => S3Problem::of(&error).to_string(),
            Err(_) => "it did not answer in time".to_owned(),
        };
        metrics.set_up(ENGINE, false);
        if lock(&self.breaker).record_failure(Instant::now()) == News::Changed {
            tracing::error!(
                why = problem,
                "the S3 store of the fleet does not work; pictures of siblings are fetched from the vendor until it does"
            );
        }
        Err(EngineFailure)
    }

    fn record_success(&self) {
        self.metrics.fleet().set_up(ENGINE, true);
        if lock(&self.breaker).record_success() == News::Changed {
            tracing::info!("the S3 store answers again; the fleet shares pictures");
        }
    }

    async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>, EngineFailure> {
        let listed = self.store.list_with_delimiter(Some(folder));
        let listed = self.bounded("s3_list", listed).await?;
        Ok(listed.map(|listed| listed.objects).unwrap_or_default())
    }

    async fn delete(&self, object: &Path) -> Result<(), EngineFailure> {
        let deleted = self.bounded("s3_delete", self.store.delete(object));
        deleted.await.map(|_| ())
    }

    async fn delete_folder(&self, folder: &Path) -> Result<(), EngineFailure> {
        for object in self.list(folder).await? {
            self.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn put_at(&self, object: &Path, picture: &Picture) -> Result<(), EngineFailure> {
        let payload = picture.bytes().clone().into();
        let put = self.bounded("s3_put", self.store.put(object, payload));
        // Without an object of this name, it is the bucket that is missing.
        put.await?.map(|_| ()).ok_or(EngineFailure)
    }
}

#[async_trait]
impl PictureStore for S3Pictures {
    async fn put(&self, name: &PictureName, picture: &Picture) -> Result<(), EngineFailure> {
        let digest = picture.digest();
        if self.archives {
            self.put_at(&object(&archive(name), digest), picture)
                .await?;
        }
        self.put_at(&object(&folder(name), digest), picture).await
    }

    async fn get(
        &self,
        name: &PictureName,
        digest: Digest,
    ) -> Result<Option<Bytes>, EngineFailure> {
        let object = object(&folder(name), digest);
        let read = async { self.store.get(&object).await?.bytes().await };
        self.bounded("s3_get", read).await
    }

    async fn delete_replaced(
        &self,
        name: &PictureName,
        digest: Digest,
    ) -> Result<(), EngineFailure> {
        let (objects, own) = (
            self.list(&folder(name)).await?,
            object(&folder(name), digest),
        );
        let Some(own) = objects.iter().find(|object| object.location == own) else {
            return Ok(());
        };
        // A younger one is a sibling's, whose entry comes next.
        let replaced = objects.iter();
        for object in replaced.filter(|object| object.last_modified < own.last_modified) {
            self.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn delete_all(&self, name: &PictureName) -> Result<(), EngineFailure> {
        self.delete_folder(&folder(name)).await
    }

    async fn forget(&self, name: &PictureName) -> Result<(), EngineFailure> {
        self.delete_folder(&folder(name)).await?;
        // Also what was archived before that was turned off.
        self.delete_folder(&archive(name)).await
    }

    fn engine(&self) -> &'static str {
        ENGINE
    }

    fn is_up(&self) -> bool {
        !lock(&self.breaker).is_down()
    }

    async fn look_again(&self) {
        if !self.is_up() {
            // It is an answer, too, that there is no such object.
            let object = Path::from("probe").join("none");
            let look = async { self.store.get(&object).await?.bytes().await };
            let _ = self.bounded("s3_get", look).await;
        }
    }
}

fn folder(name: &PictureName) -> Path {
    Path::from(format!("pictures/{}/{}", name.account, name.face))
}

fn archive(name: &PictureName) -> Path {
    Path::from(format!("archive/{}/{}", name.account, name.face))
}

fn object(folder: &Path, digest: Digest) -> Path {
    folder.clone().join(digest.short().as_str())
}
