//! Maintenance of the disk tier, in a thread of its own at the lowest priority:
//!
//! 1. Probe whether the disk takes writes.
//! 2. Scan the index files into the index in memory, once after the start.
//! 3. Evict the least recently used entries beyond the limits.
//! 4. Collect garbage: contents without a reference, and files of killed writers.
//!
//! A pass takes these steps every few seconds, and pauses between files. A pass on request takes them
//! all without pauses.

use std::{
    fs, io, mem,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::{
    catalogue::Limits,
    disk::{Disk, Eviction},
    disk_space::disk_space,
    layout,
    memory::Memory,
};

/// The limits of the disk tier, and the pace of its maintenance.
#[derive(Clone, Debug)]
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

/// The maintenance thread. Dropping this ends it and waits for its end.
#[derive(Debug)]
pub(super) struct Maintenance {
    /// `None` only during the drop: closing the channel ends the thread.
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for a pass without pauses. The pass drops it at its end, which closes the requester's channel.
type Request = Sender<()>;

struct Worker {
    disk: Arc<Disk>,
    memory: Arc<Memory>,
    settings: MaintenanceSettings,
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
/// The pause between two passes.
const PASS_INTERVAL: Duration = Duration::from_secs(5);
/// An incomplete scan is repeated after this many passes: a minute.
const PASSES_PER_SCAN: u32 = 12;
/// Garbage is collected after this many passes: an hour.
const PASSES_PER_COLLECTION: u32 = 720;
/// How many entries are evicted before the least recently used are determined anew, which sorts all.
const EVICTION_BATCH: usize = 1024;

impl Maintenance {
    /// Starts the thread. If the system grants none, that is logged, and the cache grows without limits.
    pub(super) fn start(
        disk: Arc<Disk>,
        memory: Arc<Memory>,
        settings: MaintenanceSettings,
    ) -> Self {
        let (sender, receiver) = mpsc::channel();
        let worker = Worker {
            disk,
            memory,
            settings,
            requests: receiver,
            next: Vec::new(),
            is_requested: false,
        };
        let thread = thread::Builder::new()
            .name("maintenance".into())
            .spawn(move || worker.run())
            .inspect_err(|error| {
                tracing::error!(%error, "no thread for the cache's maintenance: the cache will grow past its limits");
            });
        Self {
            requests: Some(sender),
            thread: thread.ok(),
        }
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

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // The thread looks at the channel at least once per file. A panic has ended it, too.
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
        if !self.disk.index().is_complete() && (self.is_requested || is_due(PASSES_PER_SCAN)) {
            self.scan()?;
        }
        self.evict()?;
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

    /// Evicts down to the low-water mark once a limit is exceeded. A failure ends it until the next
    /// pass: the cause is the same for all entries.
    fn evict(&mut self) -> Result<(), StoreDropped> {
        let disk = self.disk.clone();
        let limits = self.limits();
        if !disk.index().totals().exceed(limits) {
            return Ok(());
        }
        let low_water = limits.low_water();
        loop {
            let mut evicted = 0;
            for (used_at, key) in disk.index().least_recently_used(EVICTION_BATCH) {
                if !disk.index().totals().exceed(low_water) {
                    return Ok(());
                }
                self.pause()?;
                match disk.evict(&key, used_at) {
                    Ok(Eviction::Evicted) => evicted += 1,
                    Ok(Eviction::Skipped) => continue,
                    Err(_) => return Ok(()),
                }
                self.memory.remove(&key);
            }
            if evicted == 0 {
                return Ok(());
            }
        }
    }

    /// The configured limits, lowered as far as the file system lacks bytes or inodes.
    fn limits(&self) -> Limits {
        let mut limits = Limits {
            bytes: self.settings.max_bytes,
            entries: self.settings.max_entries,
        };
        let Ok(space) = disk_space(self.disk.root()) else {
            return limits;
        };
        let totals = self.disk.index().totals();
        let missing_bytes = self.settings.min_free.saturating_sub(space.free);
        if missing_bytes > 0 {
            limits.bytes = limits.bytes.min(totals.bytes.saturating_sub(missing_bytes));
        }
        // A hundredth of the inodes stays free. Some file systems count none.
        let missing_inodes = (space.inodes / 100).saturating_sub(space.free_inodes);
        if missing_inodes > 0 {
            let entries = totals.entries.saturating_sub(missing_inodes);
            limits.entries = limits.entries.min(entries);
        }
        limits
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
