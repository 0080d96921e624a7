//! The fixture of the black-box tests: a real server with a socket and a cache directory, and emulated vendors behind
//! it. All use one clock, which the test moves.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod answer;
pub mod chromium;
pub mod docs;
pub mod events;
pub mod frontend;
pub mod image_files;
pub mod old_cache;
pub mod private;
pub mod program;
pub mod redis;
pub mod relay;
pub mod rig;
pub mod s3;
pub mod samples;
pub mod scene;
pub mod webdriver;

use std::{fs, panic::Location, path::PathBuf, time::Duration};

pub use answer::Answer;
pub use rig::Rig;
use tokio::time;

/// How long a test waits for something that takes milliseconds, on a machine that is busy.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits until a condition holds. Panics with the caller's line if it does not within `limit`.
#[track_caller]
pub fn until(
    mut condition: impl AsyncFnMut() -> bool,
    limit: Duration,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let met = async {
            while !condition().await {
                time::sleep(Duration::from_millis(2)).await;
            }
        };
        if time::timeout(limit, met).await.is_err() {
            panic!("{caller}: the condition does not hold after {limit:?}");
        }
    }
}

/// The bytes that a server sends in reply to `request` until it closes the connection.
pub async fn raw(address: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let read = time::timeout(LIMIT, stream.read_to_end(&mut received)).await;
    read.expect("the server closes the connection").unwrap();
    String::from_utf8_lossy(&received).into_owned()
}

/// All files below a folder, none if it does not exist.
pub fn files_below(folder: impl Into<PathBuf>) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.into()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).into_iter().flatten() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

/// The one file below a folder of the cache.
pub fn only_file(rig: &Rig, folder: &str) -> PathBuf {
    let files = rig.files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}
