//! Makes variants, each once (single-flight), and caches them in memory up to a limit of bytes. They
//! take milliseconds to make again, so the cache directory holds originals only.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use tokio::time;

use super::{
    placeholder::raster,
    pool::ImagePool,
    transcode::transcode,
    variant::{Variant, VariantSpec},
};
use crate::{
    avatar::{Digest, Picture},
    telemetry::Metrics,
};

/// The image that a variant is made from.
#[derive(Clone, Debug)]
pub enum Original {
    /// A picture.
    Picture(Picture),
    /// A placeholder, in SVG.
    Placeholder(Bytes),
}

/// Makes variants and caches them. Cheap to clone.
#[derive(Clone)]
pub struct Thumbnailer {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache<CacheKey, CachedVariant, ByBytes>,
    pool: ImagePool,
    metrics: Metrics,
    /// How many times variants were forgotten.
    forgets: AtomicUsize,
}

type CacheKey = (Digest, VariantSpec);

/// The result of making a variant. Failures are cached, too: they would only repeat.
#[derive(Clone, Debug)]
pub enum CachedVariant {
    /// The variant.
    Ready(Arc<Variant>),
    /// The variant cannot be made; the original is sent.
    Impossible,
}

#[derive(Clone)]
struct ByBytes;

/// Memory of a cached variant beside its bytes.
const OVERHEAD: u64 = 256;
/// The longest wait for a variant. A later one is cached, and this request gets the original.
const MAX_WAIT: Duration = Duration::from_secs(2);

// === impl Thumbnailer ===

impl Thumbnailer {
    /// A thumbnailer that caches up to `memory` bytes.
    pub fn new(memory: u64, metrics: Metrics) -> Self {
        let options = OptionsBuilder::new()
            // A variant larger than a shard is not cached; the largest have some hundred KB.
            .shards(if memory >= 16 << 20 { 4 } else { 1 })
            .weight_capacity(memory)
            .estimated_items_capacity((memory / (4 * 1024)).clamp(16, 1 << 18) as usize)
            .build()
            .expect("all required options are set above");
        let cache = Cache::with_options(options, ByBytes, Default::default(), Default::default());
        let shared = Shared {
            cache,
            pool: ImagePool::new(),
            metrics,
            forgets: AtomicUsize::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The cached result for `spec`; `None` if it was not made yet, or was evicted.
    pub fn get_cached(&self, original: &Original, spec: VariantSpec) -> Option<CachedVariant> {
        self.shared.cache.get(&(original.digest(), spec))
    }

    /// Forgets all variants of a picture, also those that are being made.
    pub fn forget(&self, picture: &Digest) {
        self.shared.forgets.fetch_add(1, Ordering::SeqCst);
        self.shared.cache.retain(|(digest, _), _| digest != picture);
    }

    /// The variant, from the cache or made now. Concurrent calls for one variant share the work.
    /// `None` if it cannot be made, or not within two seconds.
    pub async fn make(&self, original: Original, spec: VariantSpec) -> Option<Arc<Variant>> {
        let shared = self.shared.clone();
        // In a task of its own, so that a client that disconnects does not discard the work.
        let making = tokio::spawn(async move {
            let key = (original.digest(), spec);
            let forgets = shared.forgets.load(Ordering::SeqCst);
            let made = async { Ok::<_, Infallible>(shared.make(original, spec).await) };
            let Ok(made) = shared.cache.get_or_insert_async(&key, made).await;
            if shared.forgets.load(Ordering::SeqCst) != forgets {
                // It may be a variant of the picture that was forgotten meanwhile.
                shared.cache.remove(&key);
            }
            made
        });
        match time::timeout(MAX_WAIT, making).await {
            Ok(Ok(made)) => made.variant(),
            Ok(Err(_panic)) => None,
            Err(_elapsed) => None,
        }
    }
}

impl fmt::Debug for Thumbnailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thumbnailer")
            .field("cached", &self.shared.cache.len())
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    async fn make(&self, original: Original, spec: VariantSpec) -> CachedVariant {
        self.metrics.record_variant(spec.format.as_str());
        let making = self.pool.spawn(move || match &original {
            Original::Picture(picture) => transcode(picture, spec),
            Original::Placeholder(svg) => raster::render(svg, spec),
        });
        match making.await {
            // Repacked on this thread: glibc gives each thread an arena of its own, and the pool's
            // are to be returned to the system.
            Ok(Ok(variant)) => return CachedVariant::Ready(Arc::new(variant.repack())),
            Ok(Err(error)) => {
                tracing::warn!(%error, ?spec, "could not make this variant; the original is sent");
            }
            // A codec panicked.
            Err(error) => {
                tracing::error!(%error, ?spec, "could not make this variant; the original is sent");
            }
        }
        CachedVariant::Impossible
    }
}

// === impl CachedVariant ===

impl CachedVariant {
    /// The variant, if it could be made.
    pub fn variant(self) -> Option<Arc<Variant>> {
        match self {
            CachedVariant::Ready(variant) => Some(variant),
            CachedVariant::Impossible => None,
        }
    }
}

// === impl Original ===

impl Original {
    fn digest(&self) -> Digest {
        match self {
            Original::Picture(picture) => picture.digest(),
            Original::Placeholder(svg) => Digest::of(svg),
        }
    }
}

impl Weighter<CacheKey, CachedVariant> for ByBytes {
    fn weight(&self, _: &CacheKey, cached: &CachedVariant) -> u64 {
        OVERHEAD
            + match cached {
                CachedVariant::Ready(variant) => variant.bytes.len() as u64,
                CachedVariant::Impossible => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{runtime::Builder, task};

    use super::*;
    use crate::images::Format;

    const DOT: &[u8] = br##"<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="#f00"/></svg>"##;

    #[test]
    fn variants_are_made_while_all_of_the_server_s_threads_hang() {
        let server = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (release, hangs) = mpsc::channel::<()>();
        let made = server.block_on(async {
            let disk = task::spawn_blocking(move || hangs.recv());
            let dot = Original::Placeholder(Bytes::from_static(DOT));
            let (edge, format) = (Some(32), Format::Png);
            let made = Thumbnailer::new(1 << 20, Metrics::new())
                .make(dot, VariantSpec { edge, format })
                .await;
            drop(release);
            let _ = disk.await;
            made
        });
        assert!(made.is_some());
    }
}
