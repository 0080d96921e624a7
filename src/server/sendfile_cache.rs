//! Content that is sent again and again lies in a file in memory, from where the kernel sends it as it is.
//! To copy 40 KB into a socket's buffers for each client is a good part of what a hit costs
//! (`make bench-peers`).
//!
//! Whoever answers knows nothing of it: content is known again by where in memory it lies. A file keeps it
//! there, so that nothing else can come to lie in its place, and is sealed, so that nothing can change it.

use std::{
    cell::RefCell,
    fmt,
    fs::File,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create, sendfile},
    net::{SendFlags, send},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};
use tokio_io_timeout::TimeoutStream;

/// The files of what one listener sends.
pub(super) struct SendfileCache {
    files: Cache<BufferKey, Arc<SealedFile>, ByLength>,
    /// What was sent recent, by its place: a file is made the second time.
    recent: [AtomicUsize; SendfileCache::RECENT],
}

/// Where content lies, and how long it is.
type BufferKey = (usize, usize);

/// Content that was sent more than once.
pub(super) struct SealedFile {
    content: Bytes,
    file: File,
}

#[derive(Clone)]
struct ByLength;

/// A stream, as far as the kernel can send files into it.
pub(super) trait SocketAccess {
    /// The socket, where what is sent goes over the wire as it is.
    fn socket(&self) -> Option<&TcpStream>;
}

impl SendfileCache {
    /// What lies in files at most, in bytes.
    const CAPACITY: u64 = 8 * 1024 * 1024;
    /// Shorter content is as quickly copied.
    const SHORTEST: usize = 12 * 1024;
    /// Longer content would push too much out.
    const LONGEST: usize = 1024 * 1024;
    /// How many are remembered.
    const RECENT: usize = 1024;

    pub(super) fn new() -> Self {
        let options = OptionsBuilder::new()
            .shards(1)
            .weight_capacity(Self::CAPACITY)
            .estimated_items_capacity(64)
            .build()
            .expect("all required options are set above");
        Self {
            files: Cache::with_options(options, ByLength, Default::default(), Default::default()),
            recent: [const { AtomicUsize::new(0) }; Self::RECENT],
        }
    }

    /// Sends `head` and `content`, as much of them as needs no waiting. Returns how much that was: the
    /// rest is to be written, and if there is an error, that will meet it again.
    pub(super) fn send(&self, head: &[u8], content: &Bytes, socket: &TcpStream) -> usize {
        if content.len() < Self::SHORTEST {
            return send_as_one(head, content, socket);
        }
        let file = self.of(content);
        file.map_or(0, |file| file.send(head, socket))
    }

    /// The file of `content`, if that was sent before, and is of a length that makes it worth while.
    fn of(&self, content: &Bytes) -> Option<Arc<SealedFile>> {
        if !(Self::SHORTEST..=Self::LONGEST).contains(&content.len()) {
            return None;
        }
        let at = content.as_ptr().addr();
        let place = (at, content.len());
        if let Some(known) = self.files.get(&place) {
            return Some(known);
        }
        let before = self.recent[(at / 64) % Self::RECENT].swap(at, Ordering::Relaxed);
        if before != at {
            return None;
        }
        // Where there are no such files, everything is copied.
        let made = Arc::new(SealedFile::new(content.clone()).ok()?);
        self.files.insert(place, made.clone());
        Some(made)
    }
}

impl SealedFile {
    fn new(content: Bytes) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("faceplate", flags)?);
        file.write_all(&content)?;
        let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, all)?;
        Ok(Self { content, file })
    }

    fn send(&self, head: &[u8], socket: &TcpStream) -> usize {
        // The head waits for the content, to go with it.
        let sent = at_once(socket, || Ok(send(socket, head, SendFlags::MORE)?));
        if sent < head.len() {
            return sent;
        }
        let (file, length) = (&self.file, self.content.len());
        sent + at_once(socket, || Ok(sendfile(socket, file, Some(&mut 0), length)?))
    }
}

/// Two short pieces are copied into one sooner than the kernel takes them as two.
fn send_as_one(head: &[u8], content: &[u8], socket: &TcpStream) -> usize {
    thread_local! {
        static WHOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    WHOLE.with_borrow_mut(|whole| {
        whole.clear();
        whole.extend_from_slice(head);
        whole.extend_from_slice(content);
        at_once(socket, || Ok(send(socket, whole, SendFlags::empty())?))
    })
}

fn at_once(socket: &TcpStream, work: impl FnOnce() -> io::Result<usize>) -> usize {
    socket.try_io(Interest::WRITABLE, work).unwrap_or_default()
}

impl Weighter<BufferKey, Arc<SealedFile>> for ByLength {
    fn weight(&self, (_, length): &BufferKey, _: &Arc<SealedFile>) -> u64 {
        *length as u64
    }
}

impl SocketAccess for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl SocketAccess for UnixStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// What goes out is encrypted first.
impl<I> SocketAccess for tokio_rustls::server::TlsStream<I> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl<I: SocketAccess> SocketAccess for TimeoutStream<I>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite,
{
    fn socket(&self) -> Option<&TcpStream> {
        self.get_ref().socket()
    }
}

impl<O: SocketAccess> SocketAccess for std::pin::Pin<Box<O>> {
    fn socket(&self) -> Option<&TcpStream> {
        self.as_ref().get_ref().socket()
    }
}

impl fmt::Debug for SendfileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendfileCache({})", self.files.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn a_file_is_made_the_second_time_and_is_the_content() {
        let files = SendfileCache::new();
        let content = Bytes::from(vec![7; SendfileCache::SHORTEST]);
        assert!(files.of(&content).is_none());
        let file = files.of(&content).unwrap();
        let mut read = vec![0; content.len()];
        file.file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, content);
        assert!(Arc::ptr_eq(&file, &files.of(&content.clone()).unwrap()));
        // Sealed: what was checked once stays what it is.
        assert!(file.file.write_at(b"x", 0).is_err());
        assert!(file.file.set_len(1).is_err());
    }

    #[test]
    fn what_is_short_or_very_long_has_no_file() {
        let files = SendfileCache::new();
        for length in [1, SendfileCache::SHORTEST - 1, SendfileCache::LONGEST + 1] {
            let content = Bytes::from(vec![7; length]);
            assert!((0..3).all(|_| files.of(&content).is_none()), "{length}");
        }
    }

    #[test]
    fn what_lies_in_files_is_bounded() {
        let files = SendfileCache::new();
        let many: Vec<_> = (0..100).map(|_| Bytes::from(vec![7; 256 * 1024])).collect();
        for content in many.iter().flat_map(|content| [content, content]) {
            files.of(content);
        }
        assert!(files.files.weight() <= SendfileCache::CAPACITY);
        assert!(files.files.len() > 1);
    }
}
