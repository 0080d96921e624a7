//! Where variants of pictures are made: a few at a time, each once, and kept in memory as long as
//! there is room. They cost milliseconds to make again, so they are not kept on disk, where they would
//! take the originals' room.

use std::{fmt, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use tokio::{
    runtime::{Builder, Runtime},
    task, time,
};

use super::{
    derive::{Derived, Variant, derive},
    raster,
};
use crate::{
    avatar::{Digest, Picture},
    telemetry::Metrics,
};

/// What a variant is made of.
#[derive(Clone, Debug)]
pub enum Original {
    /// A picture.
    Picture(Picture),
    /// A drawing of our own, in SVG.
    Drawing(Bytes),
}

/// Makes variants of pictures, and keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Studio {
    shared: Arc<Shared>,
}

struct Shared {
    kept: Cache<Wanted, Option<Arc<Derived>>, ByBytes>,
    desks: Desks,
    metrics: Metrics,
}

/// Threads of our own, one for each core: a disk that hangs takes all of the server's, and pictures
/// would take them from the disk. Idle ones end, and give their memory back.
struct Desks(Option<Runtime>);

type Wanted = (Digest, Variant);

#[derive(Clone)]
struct ByBytes;

/// What an image costs beside its bytes.
const OVERHEAD: u64 = 256;
/// How long anybody waits for an image. Whoever does not get it gets the original.
const PATIENCE: Duration = Duration::from_secs(2);

impl Studio {
    /// A studio that keeps up to `memory` bytes.
    pub fn new(memory: u64, metrics: Metrics) -> Self {
        let options = OptionsBuilder::new()
            // An image larger than a shard is not kept; the largest have some hundred KB.
            .shards(if memory >= 16 << 20 { 4 } else { 1 })
            .weight_capacity(memory)
            .estimated_items_capacity((memory / (4 * 1024)).clamp(16, 1 << 18) as usize)
            .build()
            .expect("all required options are set above");
        let kept = Cache::with_options(options, ByBytes, Default::default(), Default::default());
        let shared = Shared {
            kept,
            desks: Desks::new(),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What is known of `variant`: it, that there is none, or nothing.
    pub fn peek(&self, original: &Original, variant: Variant) -> Option<Option<Arc<Derived>>> {
        self.shared.kept.get(&(original.digest(), variant))
    }

    /// Makes `variant` of `original`, unless somebody just did. `None` where that cannot be done, or
    /// not in time.
    pub async fn make(&self, original: Original, variant: Variant) -> Option<Arc<Derived>> {
        let shared = self.shared.clone();
        // In a task of its own, so that the work is not lost with the client that wanted it.
        let making = tokio::spawn(async move {
            let wanted = (original.digest(), variant);
            let made = shared.make(original, variant);
            shared.kept.get_or_insert_async(&wanted, made).await
        });
        time::timeout(PATIENCE, making).await.ok()?.ok()?.ok()?
    }
}

impl Shared {
    async fn make(
        &self,
        original: Original,
        variant: Variant,
    ) -> Result<Option<Arc<Derived>>, task::JoinError> {
        self.metrics.derived(variant.format.as_str());
        // A decoder that panics takes its thread's work with it, and nothing else.
        let made = self.desks.work(move || match &original {
            Original::Picture(picture) => derive(picture, variant),
            Original::Drawing(svg) => raster::render(svg, variant),
        });
        let made = made.await;
        Ok(match made {
            // Here and not at the desk: a thread's allocations come from a place of its own.
            Ok(Ok(derived)) => Some(Arc::new(derived.repacked())),
            Ok(Err(error)) => {
                tracing::warn!(%error, ?variant, "a picture is shown as it came");
                None
            }
            Err(error) => {
                tracing::error!(%error, ?variant, "a picture is shown as it came");
                None
            }
        })
    }
}

impl Desks {
    fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // Of a runtime, these threads are all that is used.
        let runtime = Builder::new_current_thread()
            .thread_name("images")
            .max_blocking_threads(cores)
            .build();
        Self(runtime.ok())
    }

    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> task::JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            None => task::spawn_blocking(work),
        }
    }
}

impl Drop for Desks {
    fn drop(&mut self) {
        // Whoever drops it may be a task, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Original {
    fn digest(&self) -> Digest {
        match self {
            Original::Picture(picture) => picture.digest(),
            Original::Drawing(svg) => Digest::of(svg),
        }
    }
}

impl Weighter<Wanted, Option<Arc<Derived>>> for ByBytes {
    fn weight(&self, _: &Wanted, derived: &Option<Arc<Derived>>) -> u64 {
        OVERHEAD
            + derived
                .as_ref()
                .map_or(0, |derived| derived.bytes.len() as u64)
    }
}

impl fmt::Debug for Studio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Studio")
            .field("kept", &self.shared.kept.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::images::Format;

    const DOT: &[u8] = br##"<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="#f00"/></svg>"##;

    fn dot() -> (Original, Variant) {
        let (edge, format) = (Some(32), Format::Png);
        let drawing = Original::Drawing(Bytes::from_static(DOT));
        (drawing, Variant { edge, format })
    }

    #[test]
    fn pictures_are_made_although_all_of_the_server_s_threads_hang() {
        let server = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (release, hangs) = mpsc::channel::<()>();
        let made = server.block_on(async {
            let disk = task::spawn_blocking(move || hangs.recv());
            let (original, variant) = dot();
            let made = Studio::new(1 << 20, Metrics::new())
                .make(original, variant)
                .await;
            drop(release);
            let _ = disk.await;
            made
        });
        assert!(made.is_some());
    }

    #[tokio::test]
    async fn no_more_are_made_at_once_than_there_are_cores() {
        let desks = Arc::new(Desks::new());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (begun, beginnings) = mpsc::channel();
        let (release, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(std::sync::Mutex::new(hangs));
        let work: Vec<_> = (0..cores + 3)
            .map(|_| {
                let (begun, hangs) = (begun.clone(), hangs.clone());
                desks.work(move || {
                    begun.send(()).unwrap();
                    let _ = hangs.lock().unwrap().recv();
                })
            })
            .collect();
        for _ in 0..cores {
            beginnings.recv().unwrap();
        }
        assert!(beginnings.try_recv().is_err());
        drop(release);
        for work in work {
            work.await.unwrap();
        }
        assert_eq!(beginnings.try_iter().count(), 3);
    }
}
