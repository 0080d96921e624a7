//! The bodies of picture calls: how long they may be, how long they may take, and when they are read.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Rig, rig::Settings};

const OTHER: &str = "628100000002";

async fn raw(rig: &Rig, head: &str, sent: &str) -> String {
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    let request = format!("{head}host: faces\r\nconnection: close\r\n{sent}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let rig = Settings::default()
        .section(
            "server",
            "listen = \"127.0.0.1:0\"\nbody_timeout = \"200ms\"",
        )
        .more(&["evolution"])
        .start()
        .await;
    let token = rig.vendors().token().to_owned();
    let head =
        |key: &str| format!("POST /chat/fetchProfilePictureUrl/shop HTTP/1.1\r\napikey: {key}\r\n");
    let answer = raw(&rig, &head(&token), "content-length: 30\r\n\r\n{\"number\"").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("server.body_timeout"), "{answer}");
}

#[tokio::test]
async fn a_body_has_sixteen_kibibytes_at_most_and_is_not_read_before_the_credential_was_right() {
    let rig = Settings::default().more(&["evolution"]).start().await;
    let token = rig.vendors().token().to_owned();
    let head =
        |key: &str| format!("POST /chat/fetchProfilePictureUrl/shop HTTP/1.1\r\napikey: {key}\r\n");
    let body = |length: usize| {
        let number = format!("{{\"number\":\"{OTHER}\",\"x\":\"");
        let fill = "x".repeat(length - number.len() - 2);
        format!("{number}{fill}\"}}")
    };
    let with_length = |length: usize| format!("content-length: {length}\r\n\r\n{}", body(length));
    let chunked = |length: usize| {
        format!(
            "transfer-encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n",
            body(length)
        )
    };
    for (length, status) in [(16 * 1024, "200"), (16 * 1024 + 1, "413")] {
        for sent in [with_length(length), chunked(length)] {
            let answer = raw(&rig, &head(&token), &sent).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
    }
    // Of this one, nothing has come but the head.
    let unsent = "content-length: 10000000\r\n\r\n";
    let answer = raw(&rig, &head("wrong"), unsent).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let answer = raw(&rig, &head(&token), unsent).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let other = head(&token).replace("/shop", "/nobody");
    let answer = raw(&rig, &other, unsent).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
