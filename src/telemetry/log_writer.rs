//! Writes the log to standard output from a thread of its own, so that a slow reader costs log lines and never
//! delays a request, a probe or the shutdown.
//!
//! Other threads append lines to a bounded buffer, and only the writer's thread calls `write`. Access-log lines
//! wait up to 50 ms, to be written in batches; all other lines are written at once, after the waiting ones. When
//! the buffer is full, lines are dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;

use super::metrics::PROCESS;
use crate::sync::lock;

/// A bounded buffer of log lines, and the thread that empties it.
#[derive(Debug)]
pub(super) struct LogWriter {
    queue: Mutex<Queue>,
    /// Wakes the writer's thread.
    work: Condvar,
    /// Wakes threads that wait for an empty queue.
    idle: Condvar,
    /// Lines that were not written.
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    /// The lines do not wait for more to come.
    is_due: bool,
    /// The writer's thread has lines that are not written yet.
    is_writing: bool,
    /// Lines that were dropped since the log last reported it.
    lost: u64,
}

static STDOUT: OnceLock<Arc<LogWriter>> = OnceLock::new();

/// The writer to standard output, which starts at the first call.
pub(super) fn stdout() -> io::Result<Arc<LogWriter>> {
    if let Some(writer) = STDOUT.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::start(io::stdout(), PROCESS.dropped_lines.clone())?;
    Ok(STDOUT.get_or_init(|| writer).clone())
}

/// Waits until all lines are written, but no longer than two seconds.
pub fn flush() {
    const LIMIT: Duration = Duration::from_secs(2);
    if let Some(writer) = STDOUT.get() {
        writer.flush(LIMIT);
    }
}

/// Appends an access-log line, if the log has started.
pub(super) fn append(line: &[u8]) {
    if let Some(writer) = STDOUT.get() {
        writer.append(line, false);
    }
}

impl LogWriter {
    /// The most bytes that wait. Four megabytes are 20 seconds of access log at 1,000 requests a second.
    const CAPACITY: usize = 4 << 20;
    /// So many bytes are written without a wait for more.
    const BATCH: usize = 256 << 10;
    /// The longest that a line waits for more.
    const DELAY: Duration = Duration::from_millis(50);

    fn start(sink: impl Write + Send + 'static, dropped: Counter) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            dropped,
        });
        let thread = thread::Builder::new().name("log".into());
        thread.spawn({
            let writer = writer.clone();
            move || writer.run(sink)
        })?;
        Ok(writer)
    }

    fn append(&self, line: &[u8], is_due: bool) {
        let mut queue = lock(&self.queue);
        if queue.lines.len() + line.len() > Self::CAPACITY {
            queue.lost += 1;
            self.dropped.inc();
            return;
        }
        let (was_empty, was_due) = (queue.lines.is_empty(), queue.is_due);
        queue.lines.extend_from_slice(line);
        queue.is_due |= is_due || queue.lines.len() >= Self::BATCH;
        let wakes = was_empty || queue.is_due != was_due;
        drop(queue);
        if wakes {
            self.work.notify_one();
        }
    }

    fn flush(&self, limit: Duration) {
        let mut queue = lock(&self.queue);
        queue.is_due = true;
        self.work.notify_one();
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // Lines that the reader does not take within the limit are lost with the process.
        let _ = self.idle.wait_timeout_while(queue, limit, is_busy);
    }

    fn run(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.take(&mut batch);
            // A reader that went away costs its lines and nothing else.
            let written = sink.write_all(&batch).and_then(|()| sink.flush());
            let failed = match written {
                Ok(()) => 0,
                Err(_) => batch.iter().filter(|byte| **byte == b'\n').count() as u64,
            };
            self.dropped.inc_by(failed);
            batch.clear();
            batch.shrink_to(Self::BATCH);
            let mut queue = lock(&self.queue);
            queue.is_writing = false;
            let lost = mem::take(&mut queue.lost);
            self.idle.notify_all();
            drop(queue);
            if lost > 0 {
                tracing::warn!(
                    lost,
                    "log lines were dropped: standard output is read too slowly"
                );
            }
        }
    }

    /// Waits for lines, and for more of them unless they are due; then moves them to `batch`.
    fn take(&self, batch: &mut Vec<u8>) {
        let has_none = |queue: &mut Queue| queue.lines.is_empty();
        let waited = self.work.wait_while(lock(&self.queue), has_none);
        let queue = waited.unwrap_or_else(PoisonError::into_inner);
        let may_wait = |queue: &mut Queue| !queue.is_due;
        let waited = self.work.wait_timeout_while(queue, Self::DELAY, may_wait);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut queue.lines, batch);
        queue.is_due = false;
        queue.is_writing = true;
    }
}

/// Lines of the `tracing` log, each in one call.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line, true);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// A sink that reports each write, and returns from it when told to.
    struct Slow {
        written: Sender<Vec<u8>>,
        go_on: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).unwrap();
            self.go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Arc<LogWriter>, Receiver<Vec<u8>>, Sender<()>) {
        let (written, writes) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        let writer = LogWriter::start(Slow { written, go_on }, Counter::default()).unwrap();
        (writer, writes, release)
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_delays_no_writer() {
        let (writer, writes, release) = slow();
        writer.append(b"first\n", true);
        assert_eq!(writes.recv().unwrap(), b"first\n");
        let line = [b'x'; 1024];
        for _ in 0..LogWriter::CAPACITY / line.len() {
            writer.append(&line, false);
        }
        assert_eq!(writer.dropped.get(), 0);
        writer.append(b"lost\n", true);
        writer.append(b"lost\n", false);
        assert_eq!(writer.dropped.get(), 2);
        writer.flush(Duration::from_millis(1));
        release.send(()).unwrap();
        assert_eq!(writes.recv().unwrap().len(), LogWriter::CAPACITY);
        release.send(()).unwrap();
        writer.append(b"last\n", true);
        assert_eq!(writes.recv().unwrap(), b"last\n");
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_waits_for_them() {
        let (writer, writes, release) = slow();
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        writer.append(b"one\n", false);
        writer.append(b"two\n", true);
        writer.flush(Duration::from_secs(10));
        let written: Vec<u8> = writes.try_iter().flatten().collect();
        assert_eq!(written, b"one\ntwo\n");
    }

    #[test]
    fn a_line_that_may_wait_is_written_soon() {
        let (writer, writes, _release) = slow();
        writer.append(b"access\n", false);
        let written = writes.recv_timeout(Duration::from_secs(10));
        assert_eq!(written.unwrap(), b"access\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_its_lines_count_as_dropped() {
        let (writer, writes, release) = slow();
        drop(release);
        writer.append(b"one\ntwo\n", true);
        writes.recv().unwrap();
        writer.flush(Duration::from_secs(10));
        assert_eq!(writer.dropped.get(), 2);
    }
}
