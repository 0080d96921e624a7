//! The kinds of Redis: behind Sentinels, a cluster, with TLS, and with a user of few rights.

use std::fs;

use super::patient;
use crate::support::{
    Answer, LIMIT, Rig,
    redis::{RedisServer, free_port},
    rig::Settings,
    until,
};

const FACE: &str = "628100000001";
/// Commands of a Redis that fails over end soon.
const LINES: &str = "timeout = \"1s\"";

/// Two replicas on the Redis of `url`.
async fn replicas(url: &str, lines: &str, servers: &[RedisServer]) -> [Rig; 2] {
    let lines = format!("{LINES}\n{lines}");
    let settings = || Settings::default().section("cache", "first_paint = \"3s\"");
    let first = settings().fleet(url, &lines).start().await;
    let other = settings().fleet(url, &lines).beside(&first).start().await;
    servers.iter().for_each(RedisServer::fill_budgets);
    [first, other]
}

/// A face that one replica fetches, the other has without a call, and both forget.
async fn share(replicas: &[Rig; 2], face: &str) {
    let [first, other] = replicas;
    let (path, picture) = (format!("/avatar/waha/{face}"), first.bytes(face));
    first.get(&path).await.assert_picture(&picture);
    first.traffic();
    other.get(&path).await.assert_picture(&picture);
    assert_eq!(first.traffic(), (0, 0));
    let entry = format!("/v1/avatars/waha/{face}");
    let forgotten = Answer::to(&first.admin(), "DELETE", &entry, &[]).await;
    assert_eq!(forgotten.text(), r#"{"applied":2,"of":2}"#);
    assert_ne!(other.get(&path).await.source(), "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_through_a_cluster_of_three() {
    let nodes = RedisServer::cluster();
    let hosts: Vec<_> = nodes.iter().map(RedisServer::address).collect();
    let url = format!("redis://{}", hosts.join(","));
    let replicas = replicas(&url, "", &nodes).await;
    share(&replicas, FACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_follow_the_sentinels_to_another_primary() {
    let (mut servers, sentinels) = RedisServer::with_sentinels();
    let hosts: Vec<_> = sentinels.iter().map(RedisServer::address).collect();
    let url = format!("redis+sentinel://{}/main", hosts.join(","));
    let replicas = replicas(&url, "", &servers[..1]).await;
    share(&replicas, FACE).await;
    servers[0].kill();
    let is_alone = async || {
        replicas[0].seconds(1);
        replicas[0].face("waha", "628100000009").await;
        let ready = Answer::to(&replicas[0].admin(), "GET", "/readyz", &[]).await;
        ready.body != "ok\n"
    };
    until(is_alone, LIMIT).await;
    let is_back = async || {
        let mut are_ready = true;
        replicas[0].seconds(1);
        for replica in &replicas {
            replica.face("waha", "628100000009").await;
            let ready = Answer::to(&replica.admin(), "GET", "/readyz", &[]).await;
            are_ready &= ready.body == "ok\n";
        }
        are_ready
    };
    until(is_back, 2 * LIMIT).await;
    for server in &servers[1..] {
        let role: Vec<redis::Value> = server.ask(&["ROLE"]);
        if role[0] == redis::Value::BulkString(b"master".into()) {
            server.fill_budgets();
        }
    }
    let shared = async || {
        replicas[0].seconds(1);
        let path = "/avatar/waha/628100000002";
        replicas[0].get(path).await;
        replicas[0].traffic();
        let answer = replicas[1].get(path).await;
        answer.source() == "picture" && replicas[0].traffic() == (0, 0)
    };
    until(shared, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_with_a_certificate_of_a_private_authority_is_trusted_by_redis_ca() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("cert.pem"), issued.cert.pem()).unwrap();
    fs::write(path("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("cert.pem"),
        "--tls-key-file",
        &path("key.pem"),
        "--tls-ca-cert-file",
        &path("cert.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}");
    let authority = format!("redis_ca = \"{}\"", path("cert.pem"));
    let both = replicas(&url, &authority, std::slice::from_ref(&server)).await;
    share(&both, FACE).await;
    // Without it, the certificate is not trusted, and the replica is alone.
    let alone = patient().fleet(&url, LINES).start().await;
    let ready = Answer::to(&alone.admin(), "GET", "/readyz", &[]).await;
    assert!(
        ready.text().contains("Redis does not answer"),
        "{}",
        ready.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough_and_no_other_key_can_be_read() {
    let server = RedisServer::start();
    let page = fs::read_to_string("docs/fleet.md").unwrap();
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER"));
    let line = line
        .expect("the page has the rights")
        .replace("PASSWORD", "word");
    let words: Vec<_> = line.split_whitespace().collect();
    let _: String = server.ask(&words);
    let url = server.url().replace("redis://", "redis://faceplate:word@");
    let servers = std::slice::from_ref(&server);
    let replicas = replicas(&url, "", servers).await;
    share(&replicas, FACE).await;
    let [first, other] = &replicas;
    let lid = "100875997589545@lid";
    first
        .vendors()
        .set_number(lid, "628100000002@c.us")
        .unwrap();
    first.face("waha", lid).await;
    for purge in ["instance=waha&jid=628100000002&hard=true", "instance=waha"] {
        let path = format!("/v1/purge?{purge}");
        Answer::to(&other.admin(), "POST", &path, &[]).await;
    }
    Answer::to(&other.admin(), "DELETE", "/v1/instances/waha/pause", &[]).await;
    let refused: Vec<redis::Value> = server.ask(&["ACL", "LOG"]);
    assert!(refused.is_empty(), "{refused:?}");
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_connection().unwrap();
    let foreign: redis::RedisResult<String> =
        redis::cmd("GET").arg("another").query(&mut connection);
    assert!(foreign.unwrap_err().to_string().contains("permission"));
}
