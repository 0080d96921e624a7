//! The cache tends itself, in a thread of its own and slowly: it looks around once after the start,
//! keeps the limits, and collects what nobody refers to.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{catalogue::Limits, disk::Disk, index_file, memory::Memory};

/// How the cache is tended.
#[derive(Clone, Debug)]
pub struct MaintenanceSettings {
    /// Bytes on disk, at most.
    pub max_bytes: u64,
    /// Entries, at most.
    pub max_entries: u64,
    /// Free bytes that the file system keeps.
    pub min_free: u64,
    /// How old a content that nobody refers to has to be before it is collected.
    pub gc_grace: Duration,
    /// Files looked at in a second.
    pub files_per_second: u32,
}

/// The maintenance thread; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Maintenance {
    /// `None` only while this is dropped: the thread ends when nobody can wake it any more.
    wake: Option<Sender<Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Work {
    disk: Arc<Disk>,
    memory: Arc<Memory>,
    maintenance: MaintenanceSettings,
    wake: Receiver<Sender<()>>,
    /// Whoever waits for a pass to end.
    waiting: Vec<Sender<()>>,
    /// Whether somebody waits for the pass that is under way.
    is_hurried: bool,
}

/// The store is gone.
struct Gone;

/// As `nice` counts.
const LOWEST_PRIORITY: i32 = 19;
/// How often the limits are looked at.
const ROUND: Duration = Duration::from_secs(5);
/// How many of the oldest are looked up at once: that takes a look at all of them.
const EVICTED_AT_ONCE: usize = 1024;
/// How many rounds pass before an incomplete look around is tried again: a minute's.
const ROUNDS_TO_LOOK: u32 = 12;
/// How many rounds make the collector come: an hour's.
const ROUNDS_TO_COLLECT: u32 = 720;

impl Maintenance {
    /// Starts maintenance. A system that grants no thread gets a cache that does not tend itself, and
    /// is told so.
    pub(super) fn start(
        disk: Arc<Disk>,
        memory: Arc<Memory>,
        maintenance: MaintenanceSettings,
    ) -> Self {
        let (wake, woken) = mpsc::channel();
        let work = Work {
            disk,
            memory,
            maintenance,
            wake: woken,
            waiting: Vec::new(),
            is_hurried: false,
        };
        let thread = thread::Builder::new().name("tend".into());
        let thread = thread
            .spawn(move || work.run())
            .inspect_err(|error| {
                tracing::error!(%error, "no thread to tend the cache: it will grow past its limits");
            })
            .ok();
        Self {
            wake: Some(wake),
            thread,
        }
    }

    /// Tends without pausing, and returns when that is done.
    pub(super) fn run_maintenance(&self) {
        let (done, finished) = mpsc::channel();
        if self
            .wake
            .as_ref()
            .is_some_and(|wake| wake.send(done).is_ok())
        {
            // An error means that the thread has ended, and nothing will be done.
            let _ = finished.recv();
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It looks up at least once per file. A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn run(mut self) {
        // Whoever asks for a face goes first. On Linux this is the thread's own priority.
        if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
            tracing::debug!(%error, "the cache is tended at the priority of all else");
        }
        let _: Result<(), Gone> = self.tend_until_gone();
    }

    fn tend_until_gone(&mut self) -> Result<(), Gone> {
        let mut rounds = 0;
        loop {
            // Who comes during a pass waits for the next, to see a whole one.
            let waited = std::mem::take(&mut self.waiting);
            self.is_hurried = !waited.is_empty();
            let is_due = rounds % ROUNDS_TO_LOOK == 0 || self.is_hurried;
            self.disk.probe();
            if is_due && !self.disk.index().is_complete() {
                self.look_around()?;
            }
            self.keep_limits()?;
            if rounds % ROUNDS_TO_COLLECT == 0 || self.is_hurried {
                self.collect()?;
            }
            rounds += 1;
            drop(waited);
            if self.waiting.is_empty() {
                self.pause(ROUND)?;
            }
        }
    }

    /// Fills the catalogue from the index. If anything there could not be read, the catalogue is
    /// not complete, and nothing is collected: what was not seen may be referred to.
    fn look_around(&mut self) -> Result<(), Gone> {
        let root = self.disk.root().to_path_buf();
        let epoch = self.disk.index().epoch();
        let mut unseen = None;
        for path in index_file::try_files(&root) {
            self.pace()?;
            match path.and_then(|path| self.disk.take_in(&path)) {
                Ok(()) => {}
                // Removed while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unseen = Some(error),
            }
        }
        match unseen {
            None => self.disk.index().mark_complete(epoch),
            Some(error) => {
                tracing::warn!(%error, "a part of the cache's index cannot be read; nothing is collected until it can");
            }
        }
        Ok(())
    }

    /// Evicts those not used for longest while a limit is passed, until what is left is a little
    /// below.
    fn keep_limits(&mut self) -> Result<(), Gone> {
        let limits = self.limits();
        if !self.disk.index().totals().exceed(limits) {
            return Ok(());
        }
        let enough = limits.lowered();
        loop {
            let mut evicted = 0;
            for (used, key) in self.disk.index().oldest(EVICTED_AT_ONCE) {
                if !self.disk.index().totals().exceed(enough) {
                    return Ok(());
                }
                self.pace()?;
                match self.disk.evict(&key, used) {
                    Ok(true) => evicted += 1,
                    // Used again since we looked.
                    Ok(false) => continue,
                    // What stands in the way of one stands in the way of all.
                    Err(_) => return Ok(()),
                }
                self.memory.remove(&key);
            }
            if evicted == 0 {
                return Ok(());
            }
        }
    }

    /// The limits, tightened where the file system runs short.
    fn limits(&self) -> Limits {
        let MaintenanceSettings {
            max_bytes,
            max_entries,
            min_free,
            ..
        } = self.maintenance;
        let totals = self.disk.index().totals();
        let Ok(system) = rustix::fs::statvfs(self.disk.root()) else {
            return Limits {
                bytes: max_bytes,
                entries: max_entries,
            };
        };
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let short = min_free.saturating_sub(free);
        // Some file systems count no inodes; the others keep a hundredth of them.
        let inodes_short = (system.f_files / 100).saturating_sub(system.f_favail);
        Limits {
            bytes: max_bytes.min(if short > 0 {
                totals.bytes.saturating_sub(short)
            } else {
                u64::MAX
            }),
            entries: max_entries.min(if inodes_short > 0 {
                totals.entries.saturating_sub(inodes_short)
            } else {
                u64::MAX
            }),
        }
    }

    /// Removes contents that nobody refers to, and what writers left when they died.
    fn collect(&mut self) -> Result<(), Gone> {
        let root = self.disk.root().to_path_buf();
        let Some(now) = now_by_the_file_system(&root) else {
            return Ok(());
        };
        let grace = self.maintenance.gc_grace;
        let is_old = |path: &Path| {
            let modified = fs::metadata(path).and_then(|about| about.modified());
            modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age >= grace))
        };
        let mut collected = 0;
        for path in index_file::contents(&root) {
            self.pace()?;
            collected += u32::from(is_old(&path) && self.disk.collect(&path));
        }
        for path in index_file::unfinished(&root) {
            self.pace()?;
            collected += u32::from(is_old(&path) && fs::remove_file(path).is_ok());
        }
        if collected > 0 {
            tracing::info!(files = collected, "collected what nobody refers to");
        }
        Ok(())
    }

    /// Waits for its turn at the disk, unless somebody waits for us.
    fn pace(&mut self) -> Result<(), Gone> {
        let is_hurried = self.is_hurried || !self.waiting.is_empty();
        let each = Duration::from_secs(1) / self.maintenance.files_per_second.max(1);
        self.pause(if is_hurried { Duration::ZERO } else { each })
    }

    fn pause(&mut self, time: Duration) -> Result<(), Gone> {
        match self.wake.recv_timeout(time) {
            Ok(waiting) => {
                self.waiting.push(waiting);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }
}

/// The time as the file system tells it, which dates files: not every one agrees with our clock.
fn now_by_the_file_system(root: &Path) -> Option<std::time::SystemTime> {
    let file = tempfile::NamedTempFile::new_in(root).ok()?;
    file.as_file().metadata().ok()?.modified().ok()
}
