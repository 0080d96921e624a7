//! What black-box tests stand on: a real server on a real socket with a real cache directory, and
//! the emulated vendors behind it, all going by one clock that the test moves.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod answer;
pub mod chromium;
pub mod docs;
pub mod frontend;
pub mod private;
pub mod program;
pub mod rig;
pub mod webdriver;

pub use answer::Answer;
pub use rig::Rig;

/// What a server says to these bytes, until it closes the connection.
pub async fn raw(address: &str, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}
