//! Clients that open a connection and send little or nothing: they leave their place when they close, and delay no shutdown.

use tokio::{io::AsyncWriteExt, time};

use super::{FACE, connect, rig, until_closed};
use crate::support::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_within_its_first_bytes_frees_its_place() {
    // Longer than the test waits for an answer.
    let rig = rig("max_connections = 4\nheader_timeout = \"10m\"").await;
    for first in ["P", "PRI * HTTP/2.0\r\n", "", "G"] {
        for _ in 0..20 {
            let mut stream = connect(&rig).await;
            stream.write_all(first.as_bytes()).await.unwrap();
        }
        let answer = rig.face("waha", FACE).await;
        answer.assert_picture(&rig.bytes(FACE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_openings_do_not_delay_the_shutdown() {
    let openings = [
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /avatar",
        "POST /avatar/waha",
    ];
    for (first, fast_path) in openings
        .into_iter()
        .flat_map(|first| [(first, true), (first, false)])
    {
        let server = "drain_timeout = \"10m\"\nheader_timeout = \"10m\"\nfast_path = ";
        let mut rig = rig(&format!("{server}{fast_path}")).await;
        let mut stream = connect(&rig).await;
        stream.write_all(first.as_bytes()).await.unwrap();
        rig.face("waha", FACE).await;
        let stopped = time::timeout(LIMIT, rig.stop()).await;
        stopped.unwrap_or_else(|_| panic!("it does not stop for {first:?}, {fast_path}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_ends_soon_after_the_stop_is_answered() {
    for fast_path in [true, false] {
        let server = "drain_timeout = \"10m\"\nheader_timeout = \"10m\"\nfast_path = ";
        let mut rig = rig(&format!("{server}{fast_path}")).await;
        let mut stream = connect(&rig).await;
        let request = super::request(&format!("/avatar/waha/{FACE}"));
        let (first, rest) = request.split_at(20);
        stream.write_all(first.as_bytes()).await.unwrap();
        rig.face("waha", FACE).await;
        let rest = async {
            stream.write_all(rest.as_bytes()).await.unwrap();
            until_closed(&mut stream).await
        };
        let (_, answer) = tokio::join!(rig.stop(), rest);
        assert!(answer.starts_with("HTTP/1.1 200"), "{fast_path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_delay_the_shutdown() {
    for server in ["", "fast_path = false"] {
        let mut rig = rig(&format!("drain_timeout = \"10m\"\n{server}")).await;
        let silent = connect(&rig).await;
        let mut idle = connect(&rig).await;
        let request = super::request(&format!("/avatar/waha/{FACE}"));
        idle.write_all(request.as_bytes()).await.unwrap();
        rig.face("waha", FACE).await;
        let stopped = time::timeout(LIMIT, rig.stop()).await;
        stopped.expect("it stops at once");
        drop((silent, idle));
    }
}
