//! Clients that pipeline get no more of the server than others: the fast path makes the others wait no longer than hyper
//! does. Without turns, it makes them wait twice as long; with them, a fifth.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{FACE, connect, request, rig};
use crate::support::Rig;

const HOGS: usize = 32;

/// Sends requests without waiting for the answers, until the task is dropped.
async fn pipeline(mut stream: TcpStream, first: String, etag: String) {
    let (mut read, mut write) = stream.split();
    let path = format!("/avatar/waha/{FACE}");
    let known = request(&path).replace("\r\n\r\n", &format!("\r\nif-none-match: {etag}\r\n\r\n"));
    let sending = async {
        let _ = write.write_all(first.as_bytes()).await;
        let many = known.repeat(100);
        while write.write_all(many.as_bytes()).await.is_ok() {}
    };
    let receiving = async {
        let mut bytes = vec![0; 64 * 1024];
        while read.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    tokio::join!(sending, receiving);
}

/// The median time of an answer to another client, while clients pipeline whose first request has this header.
async fn median_beside_hogs(rig: &Rig, header: &str) -> Duration {
    let etag = rig.face("waha", FACE).await.header("etag").to_owned();
    let mut hogs = JoinSet::new();
    for _ in 0..HOGS {
        let stream = connect(rig).await;
        let first = request("/nowhere").replace("\r\n\r\n", &format!("\r\n{header}\r\n"));
        hogs.spawn(pipeline(stream, first, etag.clone()));
    }
    let mut took = Vec::new();
    for _ in 0..11 {
        let began = Instant::now();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_clients_delay_others_no_longer_than_behind_hyper() {
    let rig = rig("").await;
    let behind_hyper = median_beside_hogs(&rig, "te: trailers\r\n").await;
    let in_fast_path = median_beside_hogs(&rig, "").await;
    println!("others wait {behind_hyper:?} behind hyper, {in_fast_path:?} in the fast path");
    assert!(
        in_fast_path < behind_hyper,
        "{in_fast_path:?} instead of {behind_hyper:?}"
    );
}
