//! Sends long bodies by `sendfile`, out of sealed files in memory (`memfd_create`), because copying them into the socket's
//! buffers is a large part of what a hit costs: one of 40 KB costs 1.12 times as much without (`make bench-choices`).
//! `server.sendfile = false` turns this off.
//!
//! The cache is transparent to its callers. Its key is the address and length of a body's buffer: the cache holds the buffer,
//! so no other body can get that address, and the file is sealed, so its content cannot change.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create, sendfile},
    net::{SendFlags, send},
};
use rustls::ServerConnection;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::{TcpStream, UnixStream},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;

use super::descriptors::SEALED_FILES;
use crate::{
    in_flight::{CacheHold, InFlight},
    sync::lock,
};

/// The sealed files of one listener, in a cache bounded by bytes (`quick_cache`, S3-FIFO eviction).
pub(super) struct SendfileCache {
    files: Cache<BufferKey, Arc<SealedFile>, ByLength>,
    /// Addresses that were sent lately. A file is made at the second use.
    recent: [AtomicUsize; SendfileCache::RECENT],
    /// How many times all files were removed.
    removals: AtomicUsize,
    in_flight: InFlight,
}

/// Removes bodies from the sealed files of every listener that it was given to, when their content must not stay
/// in memory. Clones share the listeners.
#[derive(Clone, Default)]
pub struct SealedFiles {
    caches: Arc<Mutex<Vec<Weak<SendfileCache>>>>,
}

/// The address and length of a buffer.
type BufferKey = (usize, usize);

/// A body and the file with its bytes.
pub(super) struct SealedFile {
    body: Bytes,
    file: File,
    _hold: CacheHold,
}

#[derive(Clone)]
struct ByLength;

/// Access to what is below a stream.
pub(super) trait SocketAccess {
    /// The socket, if bytes go over the wire as they are written to the stream.
    fn socket(&self) -> Option<&TcpStream>;

    /// The state of TLS, if the stream is encrypted.
    fn tls(&mut self) -> Option<&mut ServerConnection>;
}

impl SealedFiles {
    /// Removes all files. They are few, and made again when their bodies are sent again.
    pub fn remove_all(&self) {
        for cache in lock(&self.caches).iter().filter_map(Weak::upgrade) {
            cache.remove_all();
        }
    }

    pub(super) fn add(&self, cache: &Arc<SendfileCache>) {
        let mut caches = lock(&self.caches);
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }
}

impl fmt::Debug for SealedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedFiles")
    }
}

impl SendfileCache {
    /// The most bytes in files and in the bodies that they were made of.
    const CAPACITY: u64 = 16 * 1024 * 1024;
    /// The least weight of a file, which bounds their number.
    const LIGHTEST: u64 = Self::CAPACITY / SEALED_FILES;
    /// Shorter bodies are copied as quickly.
    pub(super) const SHORTEST: usize = 12 * 1024;
    /// Longer bodies would evict too many others.
    const LONGEST: usize = 1024 * 1024;
    /// The number of addresses that are remembered.
    const RECENT: usize = 1024;

    pub(super) fn new(in_flight: InFlight) -> Self {
        let options = OptionsBuilder::new()
            .shards(1)
            .weight_capacity(Self::CAPACITY)
            .estimated_items_capacity(64)
            .build()
            .expect("all required options are set above");
        Self {
            files: Cache::with_options(options, ByLength, Default::default(), Default::default()),
            recent: [const { AtomicUsize::new(0) }; Self::RECENT],
            removals: AtomicUsize::new(0),
            in_flight,
        }
    }

    /// Sends `head` and `body` out of a file, if the body has one, until the socket's buffer is full or an error
    /// occurs. Returns how many bytes were sent. The caller writes the rest, and meets the error again.
    pub(super) fn send(&self, head: &[u8], body: &Bytes, socket: &TcpStream) -> usize {
        self.file_of(body).map_or(0, |file| file.send(head, socket))
    }

    /// The file of `body`, if the body was sent before and its length makes a file worth while.
    fn file_of(&self, body: &Bytes) -> Option<Arc<SealedFile>> {
        if !(Self::SHORTEST..=Self::LONGEST).contains(&body.len()) {
            return None;
        }
        let address = body.as_ptr().addr();
        let key = (address, body.len());
        if let Some(known) = self.files.get(&key) {
            return Some(known);
        }
        let slot = &self.recent[(address / 64) % Self::RECENT];
        if slot.swap(address, Ordering::Relaxed) != address {
            return None;
        }
        let removals = self.removals.load(Ordering::SeqCst);
        // Where the system makes no such files, bodies are copied.
        let made = Arc::new(SealedFile::new(body.clone(), &self.in_flight).ok()?);
        self.files.insert(key, made.clone());
        if self.removals.load(Ordering::SeqCst) != removals {
            // All files were removed meanwhile, perhaps because of this one.
            self.files.remove(&key);
        }
        Some(made)
    }

    fn remove_all(&self) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        // A response on its way does not make a file again by itself.
        for recent in &self.recent {
            recent.store(0, Ordering::Relaxed);
        }
        self.files.clear();
    }
}

impl SealedFile {
    fn new(body: Bytes, in_flight: &InFlight) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("faceplate", flags)?);
        file.write_all(&body)?;
        let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, all)?;
        let _hold = in_flight.mark_cached(&body);
        Ok(Self { body, file, _hold })
    }

    fn send(&self, head: &[u8], socket: &TcpStream) -> usize {
        // MSG_MORE keeps the head back until the body follows in the same packet.
        let sent = send_now(socket, || Ok(send(socket, head, SendFlags::MORE)?));
        if sent < head.len() {
            return sent;
        }
        let (file, length) = (&self.file, self.body.len());
        sent + send_now(socket, || Ok(sendfile(socket, file, Some(&mut 0), length)?))
    }
}

/// What `operation` sends without waiting; 0 if it fails or would have to wait.
pub(super) fn send_now(socket: &TcpStream, operation: impl FnOnce() -> io::Result<usize>) -> usize {
    socket
        .try_io(Interest::WRITABLE, operation)
        .unwrap_or_default()
}

impl Weighter<BufferKey, Arc<SealedFile>> for ByLength {
    fn weight(&self, (_, length): &BufferKey, _: &Arc<SealedFile>) -> u64 {
        // The body stays in memory beside the file.
        (2 * *length as u64).max(SendfileCache::LIGHTEST)
    }
}

// === impl SocketAccess ===

impl SocketAccess for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }

    fn tls(&mut self) -> Option<&mut ServerConnection> {
        None
    }
}

impl SocketAccess for UnixStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn tls(&mut self) -> Option<&mut ServerConnection> {
        None
    }
}

/// TLS encrypts the bytes on their way to the socket.
impl<I> SocketAccess for TlsStream<I> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn tls(&mut self) -> Option<&mut ServerConnection> {
        Some(self.get_mut().1)
    }
}

impl<I> SocketAccess for Pin<Box<TimeoutStream<I>>>
where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin,
{
    fn socket(&self) -> Option<&TcpStream> {
        self.as_ref().get_ref().get_ref().socket()
    }

    fn tls(&mut self) -> Option<&mut ServerConnection> {
        self.as_mut().get_pin_mut().get_mut().tls()
    }
}

impl fmt::Debug for SendfileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendfileCache({} files)", self.files.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_body_that_is_sent_twice_gets_a_sealed_file_with_its_bytes() {
        let cache = SendfileCache::new(InFlight::new(1 << 20));
        let body = Bytes::from(vec![7; SendfileCache::SHORTEST]);
        assert!(cache.file_of(&body).is_none());
        let sealed = cache.file_of(&body).unwrap();
        let mut read = vec![0; body.len()];
        sealed.file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, body);
        assert!(Arc::ptr_eq(&sealed, &cache.file_of(&body.clone()).unwrap()));
        assert!(sealed.file.write_at(b"x", 0).is_err());
        assert!(sealed.file.set_len(1).is_err());
    }

    #[test]
    fn short_and_very_long_bodies_get_no_file() {
        let cache = SendfileCache::new(InFlight::new(1 << 20));
        for length in [1, SendfileCache::SHORTEST - 1, SendfileCache::LONGEST + 1] {
            let body = Bytes::from(vec![7; length]);
            assert!((0..3).all(|_| cache.file_of(&body).is_none()), "{length}");
        }
    }

    #[test]
    fn all_files_of_all_listeners_are_removed_at_once() {
        let (handle, body) = (SealedFiles::default(), Bytes::from(vec![7; 64 * 1024]));
        let caches = [(); 2].map(|()| Arc::new(SendfileCache::new(InFlight::new(1 << 20))));
        for cache in &caches {
            handle.add(cache);
            assert!(cache.file_of(&body).is_none() && cache.file_of(&body).is_some());
        }
        handle.remove_all();
        for cache in &caches {
            assert_eq!(cache.files.len(), 0);
            assert!(cache.file_of(&body).is_none() && cache.file_of(&body).is_some());
        }
    }

    #[test]
    fn the_bytes_in_sealed_files_are_bounded() {
        let cache = SendfileCache::new(InFlight::new(1 << 20));
        let bodies: Vec<_> = (0..100).map(|_| Bytes::from(vec![7; 256 * 1024])).collect();
        for body in bodies.iter().flat_map(|body| [body, body]) {
            cache.file_of(body);
        }
        assert!(cache.files.weight() <= SendfileCache::CAPACITY);
        assert!(cache.files.len() > 1);
    }

    #[test]
    fn the_number_of_sealed_files_is_bounded() {
        let cache = SendfileCache::new(InFlight::new(1 << 20));
        let bodies: Vec<_> = (0..200)
            .map(|_| Bytes::from(vec![7; SendfileCache::SHORTEST]))
            .collect();
        for body in bodies.iter().flat_map(|body| [body, body]) {
            cache.file_of(body);
        }
        assert!(cache.files.len() as u64 <= SEALED_FILES);
    }
}
