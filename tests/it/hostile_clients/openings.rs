//! Clients that open a connection and send little or nothing: they leave their place when they close, and delay no shutdown.

use tokio::{io::AsyncWriteExt, time};

use super::{FACE, connect, rig};
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
    for first in ["P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /avatar"] {
        let mut rig = rig("drain_timeout = \"10m\"\nheader_timeout = \"10m\"").await;
        let mut stream = connect(&rig).await;
        stream.write_all(first.as_bytes()).await.unwrap();
        rig.face("waha", FACE).await;
        let stopped = time::timeout(LIMIT, rig.stop()).await;
        stopped.unwrap_or_else(|_| panic!("it does not stop for {first:?}"));
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
