//! Maintenance of the disk tier, in a thread of its own at the lowest priority:
//!
//! 1. Probe whether the disk takes writes.
//! 2. Scan the index files into the index in memory, once after the start.
//! 3. Evict the least recently used entries beyond the limits.
//! 4. Evict for free space on the file system, as far as that helps (`shortage.rs`).
//! 5. Collect garbage: contents without a reference, and files of killed writers.
//!
//! A pass takes these steps every few seconds, and pauses between files. A pass on request takes them
//! all without pauses.

use std::{
    fs, io, mem,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use super::{
    Store,
    disk::{Disk, Eviction},
    disk_space::{DiskSpace, disk_space},
    entry_table::{Limits, Totals},
    health::EvictionCause,
    layout, on_disk_thread,
    shortage::{self, LastingShortage, SharedResource, Usage},
};

/// The limits of the disk tier, and the pace of its maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// The most bytes on disk.
    pub max_bytes: u64,
    /// The most entries.
    pub max_entries: u64,
    /// Bytes to leave free on the file system.
    pub min_free: u64,
    /// The age from which a content without a reference is garbage.
    pub gc_grace: Duration,
    /// The most files to look at in a second.
    pub files_per_second: u32,
}

/// The maintenance thread. Dropping this ends it and waits for its end, but not for a disk that hangs.
#[derive(Debug)]
pub(super) struct Maintenance {
    /// `None` only during the drop: closing the channel ends the thread.
    requests: Option<Sender<Request>>,
    /// The settings of the next pass.
    settings: Arc<ArcSwap<MaintenanceSettings>>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread has let go of the disk. The mutex only lets threads share it, and is never locked.
    ended: Mutex<Receiver<()>>,
}

/// Asks for a pass without pauses. The pass drops it at its end, which closes the requester's channel.
type Request = Sender<()>;

struct Worker {
    disk: Arc<Disk>,
    latest: Arc<ArcSwap<MaintenanceSettings>>,
    /// Those of this pass.
    settings: Arc<MaintenanceSettings>,
    /// The file system's bytes and inodes, which other programs use, too.
    bytes: SharedResource,
    inodes: SharedResource,
    requests: Receiver<Request>,
    /// The requests that arrived during the current pass. They are for the next pass, because each
    /// requester is to see a whole one.
    next: Vec<Request>,
    /// Whether the current pass was requested.
    is_requested: bool,
}

/// The store was dropped.
struct StoreDropped;

/// The lowest priority of a thread, as `nice` counts.
const LOWEST_PRIORITY: i32 = 19;
/// How long the thread may take to end: longer than the work on one file takes on a disk that works.
const LONGEST_END: Duration = Duration::from_secs(5);
/// The pause between two passes.
const PASS_INTERVAL: Duration = Duration::from_secs(5);
/// An incomplete scan is repeated after this many passes: a minute.
const PASSES_PER_SCAN: u32 = 12;
/// Garbage is collected after this many passes: an hour.
const PASSES_PER_COLLECTION: u32 = 720;
/// How many entries are evicted before the least recently used are determined anew, which sorts all.
const EVICTION_BATCH: usize = 1024;
/// How many entries are evicted for free space before their effect is measured.
const EVICTIONS_PER_MEASUREMENT: usize = 64;

impl Maintenance {
    /// Starts the thread. If the system grants none, that is logged, and the cache grows without limits.
    pub(super) fn start(disk: Arc<Disk>, settings: MaintenanceSettings) -> Self {
        let (sender, receiver) = mpsc::channel();
        let latest = Arc::new(ArcSwap::from_pointee(settings));
        let worker = Worker {
            disk,
            latest: latest.clone(),
            settings: latest.load_full(),
            bytes: SharedResource::default(),
            inodes: SharedResource::default(),
            requests: receiver,
            next: Vec::new(),
            is_requested: false,
        };
        let (running, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("maintenance".into())
            .spawn(move || {
                worker.run();
                drop(running);
            })
            .inspect_err(|error| {
                tracing::error!(%error, "no thread for the cache's maintenance: the cache will grow past its limits");
            });
        Self {
            requests: Some(sender),
            settings: latest,
            thread: thread.ok(),
            ended: Mutex::new(ended),
        }
    }

    /// Uses other settings from the next pass on.
    pub(super) fn set(&self, settings: MaintenanceSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// The settings.
    pub(super) fn settings(&self) -> Arc<MaintenanceSettings> {
        self.settings.load_full()
    }

    /// Runs a whole pass without pauses, and blocks until it has ended.
    pub(super) fn run_pass(&self) {
        let (request, ended) = mpsc::channel();
        let is_sent = |requests: &Sender<Request>| requests.send(request).is_ok();
        if self.requests.as_ref().is_some_and(is_sent) {
            // Always an error: the channel closes without a message.
            let _ = ended.recv();
        }
    }
}

impl Store {
    /// Keeps the disk tier within other limits from the next pass of maintenance on.
    pub fn set_limits(&self, limits: MaintenanceSettings) {
        self.maintenance.set(limits);
    }

    /// Runs a whole pass of maintenance without pauses.
    pub async fn run_maintenance(&self) {
        let maintenance = self.maintenance.clone();
        on_disk_thread(move || maintenance.run_pass()).await;
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.requests = None;
        let ended = self.ended.get_mut();
        let ended = ended.unwrap_or_else(PoisonError::into_inner);
        // The thread looks at the channel at least once per file.
        if ended.recv_timeout(LONGEST_END) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "the cache's disk does not answer; its maintenance ends with the process"
            );
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A panic has ended it, too.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn run(mut self) {
        // On Linux, this sets the priority of the calling thread alone.
        if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
            tracing::debug!(%error, "maintenance runs at ordinary priority");
        }
        let _: Result<(), StoreDropped> = self.run_passes();
    }

    fn run_passes(&mut self) -> Result<(), StoreDropped> {
        let mut pass: u32 = 0;
        loop {
            let requests = mem::take(&mut self.next);
            self.is_requested = !requests.is_empty();
            self.settings = self.latest.load_full();
            self.run_pass(pass)?;
            drop(requests);
            pass = pass.wrapping_add(1);
            if self.next.is_empty() {
                self.wait(PASS_INTERVAL)?;
            }
        }
    }

    fn run_pass(&mut self, pass: u32) -> Result<(), StoreDropped> {
        let is_due = |passes: u32| pass.is_multiple_of(passes);
        self.disk.probe();
        if pass == 0 {
            // The scan takes minutes, and the operator should know at once.
            self.keep_space_free()?;
        }
        if !self.disk.index().is_complete() && (self.is_requested || is_due(PASSES_PER_SCAN)) {
            self.scan()?;
        }
        self.disk.check_unreadable();
        self.enforce_limits()?;
        self.keep_space_free()?;
        if self.is_requested || is_due(PASSES_PER_COLLECTION) {
            self.collect_garbage()?;
        }
        Ok(())
    }

    /// Fills the index from the index files. If any of them cannot be read, the index stays incomplete,
    /// and no content is garbage: the unread file may refer to it.
    fn scan(&mut self) -> Result<(), StoreDropped> {
        let disk = self.disk.clone();
        let epoch = disk.index().epoch();
        let mut failure = None;
        for path in layout::try_index_files(disk.root()) {
            self.pause()?;
            match path.and_then(|path| disk.load_into_index(&path)) {
                Ok(()) => {}
                // Removed after it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => disk.index().mark_complete(epoch),
            Some(error) => {
                tracing::warn!(%error, "a part of the cache's index cannot be read; no garbage is collected until it can be");
            }
        }
        Ok(())
    }

    /// Evicts down to the low-water mark once a configured limit is exceeded.
    fn enforce_limits(&mut self) -> Result<(), StoreDropped> {
        let limits = Limits {
            bytes: self.settings.max_bytes,
            entries: self.settings.max_entries,
        };
        let totals = self.disk.index().totals();
        if !totals.exceed(limits) {
            return Ok(());
        }
        let cause = match totals.bytes > limits.bytes {
            true => EvictionCause::MaxBytes,
            false => EvictionCause::MaxEntries,
        };
        self.evict_until_within(limits.low_water(), cause, |_| true)
    }

    /// Evicts as much as helps the file system to have its free space, and records whether it has.
    fn keep_space_free(&mut self) -> Result<(), StoreDropped> {
        let disk = self.disk.clone();
        let Ok(before) = disk_space(disk.root()) else {
            return Ok(());
        };
        let (totals, now) = (disk.index().totals(), disk.moment());
        if !disk.index().is_complete() {
            // The size of the cache is not known yet, so eviction might be in vain.
            self.record_space(&before, totals);
            return Ok(());
        }
        let [bytes, inodes] = self.usage(&before, totals);
        let target = Limits {
            bytes: self.bytes.target(bytes, now),
            entries: self.inodes.target(inodes, now),
        };
        if !totals.exceed(target) {
            self.record_space(&before, totals);
            return Ok(());
        }
        let has_effect = |evicted: Totals| {
            let Ok(after) = disk_space(disk.root()) else {
                return false;
            };
            let helps = |usage: Usage, free, evicted| {
                !usage.is_short() || shortage::helps(usage.free, free, evicted)
            };
            helps(bytes, after.free, evicted.bytes)
                && helps(inodes, after.free_inodes, evicted.entries)
        };
        let cause = match totals.bytes > target.bytes {
            true => EvictionCause::MinFree,
            false => EvictionCause::Inodes,
        };
        let result = self.evict_until_within(target, cause, has_effect);
        let left = disk.index().totals();
        let evicted = totals.saturating_sub(left);
        self.bytes.record_eviction(bytes.free, evicted.bytes);
        self.inodes.record_eviction(inodes.free, evicted.entries);
        if let Ok(after) = disk_space(disk.root()) {
            self.record_space(&after, left);
        }
        result
    }

    /// The use of the file system's bytes and inodes. A hundredth of the inodes is kept free; a file system
    /// that counts none has zero of them.
    fn usage(&self, space: &DiskSpace, totals: Totals) -> [Usage; 2] {
        let bytes = Usage {
            cached: totals.bytes,
            free: space.free,
            reserve: self.settings.min_free,
        };
        let inodes = Usage {
            cached: totals.entries,
            free: space.free_inodes,
            reserve: space.inodes / 100,
        };
        [bytes, inodes]
    }

    fn record_space(&self, space: &DiskSpace, totals: Totals) {
        let [bytes, inodes] = self.usage(space, totals);
        let result = if bytes.is_short() {
            let Usage { free, reserve, .. } = bytes;
            Err(LastingShortage::Bytes { free, reserve })
        } else if inodes.is_short() {
            Err(LastingShortage::Inodes)
        } else {
            Ok(())
        };
        self.disk.record_space(space.free, result);
    }

    /// Evicts the least recently used entries for `cause` until the rest is within `limits`, or until `has_effect` says
    /// of those evicted so far that they have none. Faces in memory stay there. A failure ends it until the
    /// next pass: the cause is the same for all entries.
    fn evict_until_within(
        &mut self,
        limits: Limits,
        cause: EvictionCause,
        has_effect: impl Fn(Totals) -> bool,
    ) -> Result<(), StoreDropped> {
        let disk = self.disk.clone();
        let before = disk.index().totals();
        let mut evictions = 0_usize;
        loop {
            let evictions_before = evictions;
            for (used_at, key) in disk.index().least_recently_used(EVICTION_BATCH) {
                let totals = disk.index().totals();
                if !totals.exceed(limits) {
                    return Ok(());
                }
                if evictions > 0
                    && evictions.is_multiple_of(EVICTIONS_PER_MEASUREMENT)
                    && !has_effect(before.saturating_sub(totals))
                {
                    return Ok(());
                }
                self.pause()?;
                match disk.evict(&key, used_at, cause) {
                    Ok(Eviction::Evicted) => evictions += 1,
                    Ok(Eviction::Skipped) => {}
                    Err(_) => return Ok(()),
                }
            }
            if evictions == evictions_before {
                return Ok(());
            }
        }
    }

    fn collect_garbage(&mut self) -> Result<(), StoreDropped> {
        let disk = self.disk.clone();
        let Some(now) = file_system_time(disk.root()) else {
            return Ok(());
        };
        let grace = self.settings.gc_grace;
        let is_old = |path: &Path| {
            let modified = fs::metadata(path).and_then(|file| file.modified());
            modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age >= grace))
        };
        let mut collected = 0;
        for path in layout::content_files(disk.root()) {
            self.pause()?;
            collected += u32::from(is_old(&path) && disk.collect_content(&path));
        }
        for path in layout::temporary_files(disk.root()) {
            self.pause()?;
            collected += u32::from(is_old(&path) && fs::remove_file(path).is_ok());
        }
        if collected > 0 {
            tracing::info!(
                files = collected,
                "collected garbage in the cache directory"
            );
        }
        Ok(())
    }

    /// Pauses between two files, unless a requester waits for this pass or the next.
    fn pause(&mut self) -> Result<(), StoreDropped> {
        let is_urgent = self.is_requested || !self.next.is_empty();
        let pause = Duration::from_secs(1) / self.settings.files_per_second.max(1);
        self.wait(if is_urgent { Duration::ZERO } else { pause })
    }

    /// Waits for `time`, or until a request arrives.
    fn wait(&mut self, time: Duration) -> Result<(), StoreDropped> {
        match self.requests.recv_timeout(time) {
            Ok(request) => self.next.push(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(StoreDropped),
        }
        Ok(())
    }
}

/// The time by which the file system dates files, which is not always the system's.
fn file_system_time(root: &Path) -> Option<SystemTime> {
    let file = tempfile::NamedTempFile::new_in(root).ok()?;
    file.as_file().metadata().ok()?.modified().ok()
}
