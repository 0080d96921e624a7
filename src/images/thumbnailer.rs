//! Makes variants, each once (single-flight), and caches them in memory up to a limit of bytes. They
//! take milliseconds to make again, so the cache directory holds originals only.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use arrayvec::ArrayString;
use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use tokio::{pin, select, sync::watch, time};

use super::{
    lossless_codes,
    placeholder::{DrawnPlaceholder, raster},
    pool::ImagePool,
    price,
    queue::{Place, Queue},
    transcode::transcode,
    variant::{TranscodeError, Variant, VariantError, VariantSpec},
};
use crate::{
    avatar::{Digest, Key, MediaType, Picture},
    in_flight::InFlight,
    sync::lock,
    telemetry::{Limit, Metrics},
};

/// The bounds of image work.
#[derive(Clone, Debug)]
pub struct ImageSettings {
    /// The most bytes of variants in memory.
    pub memory: u64,
    /// The most bytes that all work under way takes.
    pub work: u64,
    /// The most jobs that wait.
    pub queue: usize,
    /// The budget of variants that are sent and no longer cached.
    pub in_flight: InFlight,
}

/// The image that a variant is made from.
#[derive(Clone, Debug)]
pub enum Original {
    /// A picture.
    Picture(Picture),
    /// A placeholder, in SVG.
    Placeholder(DrawnPlaceholder),
}

/// The request that a variant is made for.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The address that the client's limits are kept under; `None` for clients without limits.
    pub client: Option<IpAddr>,
    /// The request's name in the log.
    pub request: ArrayString<64>,
    /// The face.
    pub key: Key,
}

/// A variant, or why there is none.
pub type VariantResult = Result<Arc<Variant>, VariantError>;

/// Makes variants and caches them. Cheap to clone.
#[derive(Clone)]
pub struct Thumbnailer {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Failures are cached, too: they would only repeat.
    cache: Cache<CacheKey, VariantResult, ByBytes>,
    /// The pictures that cannot be decoded, in no size and format.
    undecodable: Cache<Digest, ()>,
    /// Held for a few instructions, never across an await.
    jobs: Mutex<HashMap<CacheKey, Arc<Job>>>,
    pub(super) queue: Arc<Queue>,
    pub(super) pool: ImagePool,
    in_flight: InFlight,
    metrics: Metrics,
}

type CacheKey = (Digest, VariantSpec);

/// A variant that is being made, or will be.
struct Job {
    id: CacheKey,
    original: Original,
    asker: Asker,
    /// The result, for all requests that wait for it. A job that has not begun is dropped when none waits.
    result: watch::Sender<Option<VariantResult>>,
}

/// Ends a job, however its task ends.
struct Leader {
    shared: Arc<Shared>,
    job: Arc<Job>,
}

/// A request that waits for a job.
struct Waiter {
    result: watch::Receiver<Option<VariantResult>>,
    /// The space that its own copy of the original takes.
    _place: Option<Place>,
}

#[derive(Clone)]
struct ByBytes;

/// Memory of a cached variant beside its bytes.
const OVERHEAD: u64 = 256;
/// The longest wait for a variant.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// How many pictures that cannot be decoded are remembered.
const MAX_UNDECODABLE: usize = 4096;
/// The memory of image work for each thread. Idle threads keep up to 6 MiB for the next picture.
const WORK_PER_THREAD: u64 = 16 << 20;

// === impl Thumbnailer ===

impl Thumbnailer {
    /// A thumbnailer within these bounds.
    pub fn new(settings: &ImageSettings, metrics: Metrics) -> Self {
        let memory = settings.memory;
        let options = OptionsBuilder::new()
            // A variant larger than a shard is not cached; the largest have some hundred KB.
            .shards(if memory >= 16 << 20 { 4 } else { 1 })
            .weight_capacity(memory)
            .estimated_items_capacity((memory / (4 * 1024)).clamp(16, 1 << 18) as usize)
            .build()
            .expect("all required options are set above");
        let cache = Cache::with_options(options, ByBytes, Default::default(), Default::default());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let affordable = usize::try_from(settings.work / WORK_PER_THREAD).unwrap_or(usize::MAX);
        let threads = cores.min(affordable).max(1);
        let queue = Queue::new(threads, settings.work, settings.queue, metrics.clone());
        let shared = Shared {
            cache,
            undecodable: Cache::new(MAX_UNDECODABLE),
            jobs: Mutex::default(),
            queue: Arc::new(queue),
            pool: ImagePool::new(threads),
            in_flight: settings.in_flight.clone(),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Changes how many bytes of variants are kept.
    pub fn set_memory(&self, bytes: u64) {
        self.shared.cache.set_capacity(bytes);
    }

    /// The cached result for `spec`; `None` if it was not made yet, or was evicted.
    pub fn get_cached(&self, original: &Original, spec: VariantSpec) -> Option<VariantResult> {
        let digest = original.digest();
        self.shared.cache.get(&(digest, spec)).or_else(|| {
            let undecodable = self.shared.undecodable.get(&digest);
            undecodable.map(|()| Err(VariantError::Undecodable))
        })
    }

    /// Whether a variant of `picture` was tried and the picture could not be decoded.
    pub fn is_undecodable(&self, picture: &Picture) -> bool {
        self.shared.undecodable.get(&picture.digest()).is_some()
    }

    /// Forgets all variants of a picture, also those that are being made.
    pub fn forget(&self, picture: &Digest) {
        let Shared {
            cache,
            undecodable,
            jobs,
            ..
        } = &*self.shared;
        // A job that is not in the map is not remembered.
        let mut jobs = lock(jobs);
        jobs.retain(|(digest, _), _| digest != picture);
        cache.retain(|(digest, _), _| digest != picture);
        undecodable.remove(picture);
    }

    /// The variant, from the cache or made now. Concurrent calls for one variant share the work. Work
    /// that has not begun when the last of them is dropped or has waited for two seconds is dropped.
    pub async fn make(&self, original: Original, spec: VariantSpec, asker: Asker) -> VariantResult {
        if let Some(made) = self.get_cached(&original, spec) {
            return made;
        }
        let id = (original.digest(), spec);
        let mut waiter = self.shared.join(id, original, asker)?;
        let made = time::timeout(MAX_WAIT, waiter.result.wait_for(Option::is_some));
        match made.await {
            Ok(Ok(made)) => made.clone().unwrap_or(Err(VariantError::Late)),
            // The job's task panicked, or this one was too late.
            Ok(Err(_)) | Err(_) => Err(VariantError::Late),
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
    /// Waits for the job that makes the variant, which is a new one if there is none.
    fn join(
        self: &Arc<Self>,
        id: CacheKey,
        original: Original,
        asker: Asker,
    ) -> Result<Waiter, VariantError> {
        let mut jobs = lock(&self.jobs);
        // Another job may just have made the variant.
        if let Some(made) = self.cache.get(&id) {
            return Ok(Waiter {
                result: watch::channel(Some(made)).1,
                _place: None,
            });
        }
        if let Some(job) = jobs.get(&id) {
            let place = if job.original.is_same(&original) {
                None
            } else {
                let place = self.queue.join(original.bytes().len() as u64);
                Some(place.ok_or(VariantError::Busy)?)
            };
            return Ok(Waiter {
                result: job.result.subscribe(),
                _place: place,
            });
        }
        // The result could be one more file that no cache holds, and their budget is used up.
        if self.in_flight.is_exhausted() {
            Limit::InFlight.report();
            return Err(VariantError::Busy);
        }
        let place = self
            .queue
            .enter(asker.client, original.bytes().len() as u64);
        let place = place.ok_or(VariantError::Busy)?;
        let (result, receiver) = watch::channel(None);
        let job = Arc::new(Job {
            id,
            original,
            asker,
            result,
        });
        jobs.insert(id, job.clone());
        let leader = Leader {
            shared: self.clone(),
            job,
        };
        tokio::spawn(leader.run(place));
        Ok(Waiter {
            result: receiver,
            _place: None,
        })
    }

    /// The memory for the prefix codes of a lossless WebP, whose other work takes `price`. Reading them is work
    /// itself.
    pub(super) async fn price_of_codes(&self, picture: &Picture, price: u64) -> u64 {
        let Shared { queue, pool, .. } = self;
        if picture.media() != MediaType::Webp || !queue.affords(price) {
            return 0;
        }
        let (picture, limit) = (picture.clone(), queue.max_bytes());
        let codes = pool.spawn(move || lossless_codes::bytes_of_codes(&picture, limit));
        codes.await.unwrap_or(u64::MAX / 2)
    }

    /// Caches the result of a job, unless its picture was forgotten meanwhile.
    fn remember(&self, job: &Arc<Job>, made: &VariantResult) {
        let mut jobs = lock(&self.jobs);
        if !jobs.get(&job.id).is_some_and(|own| Arc::ptr_eq(own, job)) {
            return;
        }
        if matches!(made, Err(VariantError::Undecodable)) {
            self.undecodable.insert(job.id.0, ());
        }
        self.cache.insert(job.id, made.clone());
        jobs.remove(&job.id);
    }
}

// === impl Leader ===

impl Leader {
    async fn run(self, place: Place) {
        if let Some(made) = self.make(place).await {
            self.shared.remember(&self.job, &made);
            self.job.result.send_replace(Some(made));
        }
    }

    /// Makes the variant, unless no request waits for it any more when the work can begin.
    async fn make(&self, place: Place) -> Option<VariantResult> {
        let Self { shared, job } = self;
        let spec = job.id.1;
        let (structure, price) = match &job.original {
            Original::Picture(picture) => {
                let structure = picture.structure();
                let price = price::of_variant(picture, structure.as_ref(), spec);
                let codes = shared.price_of_codes(picture, price).await;
                (structure, price.saturating_add(codes))
            }
            Original::Placeholder(_) => (None, price::of_placeholder(spec)),
        };
        if !shared.queue.affords(price) {
            shared.metrics.record_limit_reached(Limit::ImageWork);
            return Some(Err(self.report(&TranscodeError::TooDear(price))));
        }
        let start = shared.queue.start(price);
        pin!(start);
        let permit = loop {
            select! {
                biased;
                permit = &mut start => break permit,
                () = job.result.closed() => {
                    if self.is_abandoned() {
                        return None;
                    }
                }
            }
        };
        // From here on, the file is part of the price.
        drop(place);
        shared.metrics.record_variant(spec.format.as_str());
        let original = job.original.clone();
        let making = shared.pool.spawn(move || {
            // Returned when the work has ended, even if no request waits for its end.
            let _permit = permit;
            match &original {
                Original::Picture(picture) => transcode(picture, structure.as_ref(), spec),
                Original::Placeholder(drawn) => raster::render(&drawn.svg, spec),
            }
        });
        Some(match making.await {
            // Repacked on this thread: glibc gives each thread an arena of its own, and the pool's
            // are to be returned to the system.
            Ok(Ok(variant)) => Ok(Arc::new(variant.repack().charge_to(&shared.in_flight))),
            Ok(Err(error)) => Err(self.report(&error)),
            Err(panic) => Err(self.report(&TranscodeError::Panic(panic.to_string()))),
        })
    }

    /// Whether no request waits. If so, none can join any more.
    fn is_abandoned(&self) -> bool {
        let mut jobs = lock(&self.shared.jobs);
        let is_abandoned = self.job.result.is_closed();
        if is_abandoned {
            jobs.remove(&self.job.id);
        }
        is_abandoned
    }

    /// Logs why the variant could not be made.
    fn report(&self, error: &TranscodeError) -> VariantError {
        let Asker { request, key, .. } = &self.job.asker;
        let spec = self.job.id.1;
        let unavailable = error.unavailable();
        tracing::warn!(
            %request, %key, %error, ?spec, sent = unavailable.stand_in(),
            "could not make this variant of a picture"
        );
        unavailable
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut jobs = lock(&self.shared.jobs);
        let id = self.job.id;
        // An abandoned job may have a successor.
        if jobs.get(&id).is_some_and(|job| Arc::ptr_eq(job, &self.job)) {
            jobs.remove(&id);
        }
    }
}

// === impl Asker ===

impl Asker {
    /// The operator, on whose listener requests have no names.
    pub fn operator(key: Key) -> Self {
        Self {
            client: None,
            request: ArrayString::from("operator").unwrap_or_default(),
            key,
        }
    }
}

// === impl Original ===

impl Original {
    fn digest(&self) -> Digest {
        match self {
            Original::Picture(picture) => picture.digest(),
            Original::Placeholder(drawn) => drawn.digest,
        }
    }

    fn bytes(&self) -> &Bytes {
        match self {
            Original::Picture(picture) => picture.bytes(),
            Original::Placeholder(drawn) => &drawn.svg,
        }
    }

    /// Whether both are one file in memory, as those from the memory tier are.
    fn is_same(&self, other: &Self) -> bool {
        self.bytes().as_ptr() == other.bytes().as_ptr()
    }
}

impl Weighter<CacheKey, VariantResult> for ByBytes {
    fn weight(&self, _: &CacheKey, made: &VariantResult) -> u64 {
        OVERHEAD
            + made
                .as_ref()
                .map_or(0, |variant| variant.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{runtime::Builder, task};

    use super::*;
    use crate::images::Format;

    const DOT: &[u8] = br##"<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="#f00"/></svg>"##;
    const SPEC: VariantSpec = VariantSpec {
        edge: Some(32),
        format: Format::Png,
    };

    fn thumbnailer(work: u64, queue: usize) -> (Thumbnailer, Metrics) {
        let metrics = Metrics::new();
        let memory = 1 << 20;
        let settings = ImageSettings {
            memory,
            work,
            queue,
            in_flight: InFlight::new(1 << 20),
        };
        (Thumbnailer::new(&settings, metrics.clone()), metrics)
    }

    fn placeholder(svg: impl Into<Bytes>) -> Original {
        let svg = svg.into();
        let digest = Digest::of(&svg);
        Original::Placeholder(DrawnPlaceholder { svg, digest })
    }

    fn dot() -> Original {
        placeholder(DOT)
    }

    /// Other content of its own.
    fn other_dot(number: usize) -> Original {
        let svg = String::from_utf8_lossy(DOT).replace("#f00", &format!("#{number:06}"));
        placeholder(svg)
    }

    /// A picture whose pixels are no compressed data. Each number makes other bytes.
    fn undecodable(number: usize) -> Picture {
        let chunk = |kind: &[u8], content: &[u8]| {
            let named = [kind, content].concat();
            let length = (content.len() as u32).to_be_bytes();
            let checksum = crc32fast::hash(&named).to_be_bytes();
            [&length[..], &named, &checksum].concat()
        };
        let pixels = format!("no compressed data: {number}");
        let chunks = [
            chunk(b"IHDR", &[0, 0, 0, 8, 0, 0, 0, 8, 8, 2, 0, 0, 0]),
            chunk(b"IDAT", pixels.as_bytes()),
            chunk(b"IEND", b""),
        ];
        let file = [&b"\x89PNG\r\n\x1A\n"[..], &chunks.concat()].concat();
        Picture::validate(file.into()).unwrap()
    }

    fn asker(client: u8) -> Asker {
        let key = Key::new("sales", &"628123".parse().unwrap());
        Asker {
            client: Some(IpAddr::from([192, 0, 2, client])),
            ..Asker::operator(key)
        }
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.text().lines().any(|found| found == line)
    }

    /// Takes all threads until the permits are dropped.
    async fn occupy(thumbnailer: &Thumbnailer) -> Vec<super::super::queue::Permit> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(4);
        let mut permits = Vec::new();
        for _ in 0..threads {
            permits.push(thumbnailer.shared.queue.start(1).await);
        }
        permits
    }

    /// Lets all other tasks run.
    async fn settle() {
        for _ in 0..20 {
            task::yield_now().await;
        }
    }

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
            let (thumbnailer, _) = thumbnailer(64 << 20, 8);
            let made = thumbnailer.make(dot(), SPEC, asker(1)).await;
            drop(release);
            let _ = disk.await;
            made
        });
        assert!(made.is_ok());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_dropped_before_it_begins() {
        let (thumbnailer, metrics) = thumbnailer(64 << 20, 8);
        let permits = occupy(&thumbnailer).await;
        let [gone, stays] = [dot(), other_dot(1)].map(|original| {
            let thumbnailer = thumbnailer.clone();
            tokio::spawn(async move { thumbnailer.make(original, SPEC, asker(1)).await })
        });
        settle().await;
        assert!(has(&metrics, "faceplate_image_queue 2"));
        gone.abort();
        settle().await;
        assert!(has(&metrics, "faceplate_image_queue 1"));
        drop(permits);
        assert!(stays.await.unwrap().is_ok());
        assert!(has(
            &metrics,
            "faceplate_derived_total{format=\"image/png\"} 1"
        ));
        assert!(lock(&thumbnailer.shared.jobs).is_empty());
        // The variant can be requested again.
        assert!(thumbnailer.make(dot(), SPEC, asker(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_waited_too_long_is_dropped_and_its_clients_told() {
        let (thumbnailer, metrics) = thumbnailer(64 << 20, 8);
        let permits = occupy(&thumbnailer).await;
        let made = thumbnailer.make(dot(), SPEC, asker(1)).await;
        assert_eq!(made, Err(VariantError::Late));
        settle().await;
        assert!(has(&metrics, "faceplate_image_queue 0"));
        drop(permits);
        settle().await;
        assert!(!metrics.text().contains("faceplate_derived_total{"));
    }

    #[tokio::test]
    async fn a_variant_that_several_ask_for_takes_one_place_and_is_made_once() {
        let (thumbnailer, metrics) = thumbnailer(64 << 20, 1);
        let permits = occupy(&thumbnailer).await;
        let crowd: Vec<_> = (0..20)
            .map(|client| {
                let thumbnailer = thumbnailer.clone();
                tokio::spawn(async move { thumbnailer.make(dot(), SPEC, asker(client)).await })
            })
            .collect();
        settle().await;
        assert!(has(&metrics, "faceplate_image_queue 1"));
        // The one who came first leaves; the others keep its work.
        crowd[0].abort();
        settle().await;
        drop(permits);
        for waiter in crowd.into_iter().skip(1) {
            assert!(waiter.await.unwrap().is_ok());
        }
        assert!(has(
            &metrics,
            "faceplate_derived_total{format=\"image/png\"} 1"
        ));
    }

    #[tokio::test]
    async fn a_variant_that_is_forgotten_while_it_is_made_is_not_cached() {
        let (thumbnailer, _) = thumbnailer(64 << 20, 8);
        let permits = occupy(&thumbnailer).await;
        let making = {
            let thumbnailer = thumbnailer.clone();
            tokio::spawn(async move { thumbnailer.make(dot(), SPEC, asker(1)).await })
        };
        settle().await;
        thumbnailer.forget(&dot().digest());
        drop(permits);
        assert!(making.await.unwrap().is_ok());
        assert_eq!(thumbnailer.get_cached(&dot(), SPEC), None);
    }

    #[tokio::test]
    async fn a_client_that_fills_its_share_of_the_queue_leaves_room_for_others() {
        let (thumbnailer, metrics) = thumbnailer(64 << 20, 8);
        let permits = occupy(&thumbnailer).await;
        let ask = |number, client| {
            let thumbnailer = thumbnailer.clone();
            let asker = asker(client);
            tokio::spawn(async move { thumbnailer.make(other_dot(number), SPEC, asker).await })
        };
        let greedy: Vec<_> = (0..10).map(|number| ask(number, 1)).collect();
        let other = ask(100, 2);
        settle().await;
        drop(permits);
        assert!(other.await.unwrap().is_ok());
        let mut refused = 0;
        for made in greedy {
            refused += usize::from(made.await.unwrap() == Err(VariantError::Busy));
        }
        assert_eq!(refused, 8);
        let counted = "faceplate_limit_reached_total{limit=\"image_client\"} 8";
        assert!(has(&metrics, counted));
    }

    #[tokio::test]
    async fn no_more_than_4096_marks_of_undecodable_pictures_are_kept() {
        let (thumbnailer, _) = thumbnailer(64 << 20, 8);
        let pictures: Vec<_> = (0..MAX_UNDECODABLE + 400).map(undecodable).collect();
        for picture in &pictures {
            let original = Original::Picture(picture.clone());
            let made = thumbnailer.make(original, SPEC, asker(1)).await;
            assert_eq!(made, Err(VariantError::Undecodable));
        }
        let is_marked = |picture: &&Picture| thumbnailer.is_undecodable(picture);
        let marks = pictures.iter().filter(is_marked).count();
        // The shards of the cache do not fill evenly.
        let expected = MAX_UNDECODABLE / 2..=MAX_UNDECODABLE;
        assert!(expected.contains(&marks), "{marks}");
    }

    #[tokio::test]
    async fn work_above_the_whole_budget_is_never_begun() {
        let (thumbnailer, metrics) = thumbnailer(1 << 16, 8);
        let made = thumbnailer.make(dot(), SPEC, asker(1)).await;
        assert_eq!(made, Err(VariantError::TooLarge));
        let counted = "faceplate_limit_reached_total{limit=\"image_work\"} 1";
        assert!(has(&metrics, counted));
        assert!(!metrics.text().contains("faceplate_derived_total{"));
    }
}
