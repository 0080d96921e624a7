//! Clients that pipeline get no more of the server than others: the fast path makes the others wait no longer than hyper
//! does. Each answer to a client that pipelines ends its turn.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{FACE, connect, request, rig};
use crate::support::Rig;

const HOGS: usize = 32;
/// The two ways take turns, so that a machine that is busy for a moment is so for both.
const ROUNDS: usize = 3;

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

/// The times of some answers to another client.
async fn others(rig: &Rig) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        took.push(began.elapsed());
    }
    took
}

/// The same while clients pipeline whose first request has this header.
async fn others_beside_hogs(rig: &Rig, header: &str) -> Vec<Duration> {
    let etag = rig.face("waha", FACE).await.header("etag").to_owned();
    let mut hogs = JoinSet::new();
    for _ in 0..HOGS {
        let stream = connect(rig).await;
        let first = request("/nowhere").replace("\r\n\r\n", &format!("\r\n{header}\r\n"));
        hogs.spawn(pipeline(stream, first, etag.clone()));
    }
    others(rig).await
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelining_clients_delay_others_no_longer_than_behind_hyper() {
    let rig = rig("").await;
    let (mut alone, mut behind_hyper, mut in_fast_path) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.extend(others(&rig).await);
        behind_hyper.extend(others_beside_hogs(&rig, "te: trailers\r\n").await);
        in_fast_path.extend(others_beside_hogs(&rig, "").await);
    }
    let [alone, behind_hyper, in_fast_path] = [alone, behind_hyper, in_fast_path].map(median);
    // How much longer than alone is not asserted: the clients share the server's cores here.
    println!(
        "others wait {alone:?} alone, {behind_hyper:?} behind hyper, {in_fast_path:?} in the fast path"
    );
    assert!(
        in_fast_path < behind_hyper,
        "{in_fast_path:?} instead of {behind_hyper:?}"
    );
}
