//! Replicas that share pictures through an S3 store, and their answers when it fails.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use faceplate::emulator::Picture;
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{PATIENT, patient};
use crate::support::{
    Answer, LIMIT, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
    s3::{self, S3Server},
    until,
};

const FACE: &str = "628100000001";
const OTHER_FACE: &str = "628100000002";

/// A replica with these lines of `[fleet.s3]`.
pub(super) fn replica(redis: &RedisServer, s3: &str) -> Settings {
    let lines = format!("{PATIENT}\npictures = \"s3\"");
    patient()
        .fleet(&redis.url(), &lines)
        .section("fleet.s3", s3)
}

/// Two replicas, each with its own way to the store.
pub(super) async fn pair(redis: &RedisServer, ways: [&str; 2]) -> [Rig; 2] {
    pair_of(redis, ways, |settings| settings).await
}

async fn pair_of(
    redis: &RedisServer,
    ways: [&str; 2],
    change: impl Fn(Settings) -> Settings,
) -> [Rig; 2] {
    let first = change(replica(redis, ways[0])).start().await;
    let second = change(replica(redis, ways[1])).beside(&first);
    let second = second.start().await;
    redis.fill_budgets();
    [first, second]
}

async fn engine_is_up(rig: &Rig) -> bool {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    text.contains("faceplate_fleet_up{engine=\"s3\"} 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_a_sibling_comes_from_the_store_and_is_not_in_redis() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = store.lines();
    let [first, second] = pair(&redis, [&lines, &lines]).await;
    first.face("waha", FACE).await;
    assert_eq!(first.traffic(), (1, 1));
    let answer = second.face("waha", FACE).await;
    answer.assert_picture(&first.bytes(FACE));
    assert_eq!(first.traffic(), (0, 0));
    assert!(engine_is_up(&second).await);

    let objects = store.objects("");
    assert_eq!(objects.len(), 1, "the probe is deleted: {objects:?}");
    let name = objects[0].display().to_string();
    assert!(name.contains("/faces/pictures/"), "{name}");
    assert!(!name.contains("6281"), "{name}");
    assert_eq!(fs::read(&objects[0]).unwrap(), first.bytes(FACE));
    let keys: Vec<String> = redis.ask(&["KEYS", "*:picture:*"]);
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_pictures_in_redis_nothing_is_sent_to_the_store() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = format!("{PATIENT}\npictures = \"redis\"");
    let rig = patient().fleet(&redis.url(), &lines);
    let rig = rig.section("fleet.s3", &store.lines()).start().await;
    redis.fill_budgets();
    rig.face("waha", FACE).await;
    let keys: Vec<String> = redis.ask(&["KEYS", "*:picture:*"]);
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(store.objects("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_or_hangs_a_picture_comes_from_the_vendor() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let relay = Relay::to(store.address()).await;
    let hasty = s3::lines(relay.address()).replace("10s", "500ms");
    let [first, second] = pair(&redis, [&store.lines(), &hasty]).await;
    for (state, face) in [(State::Cut, FACE), (State::Hang, OTHER_FACE)] {
        relay.set(State::Pass);
        first.face("waha", face).await;
        assert_eq!(first.traffic(), (1, 1));
        relay.set(state);
        let answer = second.face("waha", face).await;
        answer.assert_picture(&first.bytes(face));
        assert_eq!(first.traffic(), (1, 1), "{state:?}");
        assert!(!engine_is_up(&second).await);
    }
    relay.set(State::Pass);
    first.face("waha", "628100000003").await;
    // A breaker lets nothing through for a second after three failures.
    let is_shared = async || {
        second.face("waha", "628100000003").await;
        second.face("waha", "628100000004").await;
        engine_is_up(&second).await
    };
    until(is_shared, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_requests_notices_that_the_store_is_back() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let relay = Relay::to(store.address()).await;
    let rig = replica(&redis, &s3::lines(relay.address())).start().await;
    redis.fill_budgets();
    relay.set(State::Cut);
    rig.face("waha", FACE).await;
    assert!(!engine_is_up(&rig).await);
    relay.set(State::Pass);
    until(async || engine_is_up(&rig).await, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_store_takes_as_long_as_the_time_limit_at_most() {
    for (timeout, is_short) in [("200ms", true), ("4s", false)] {
        let (redis, store) = (RedisServer::start(), S3Server::start().await);
        let relay = Relay::to(store.address()).await;
        let lines = s3::lines(relay.address()).replace("10s", timeout);
        let [first, second] = pair(&redis, [&store.lines(), &lines]).await;
        first.face("waha", FACE).await;
        relay.set(State::Hang);
        let start = Instant::now();
        let answer = second.face("waha", FACE).await;
        answer.assert_picture(&first.bytes(FACE));
        let took = start.elapsed();
        assert_eq!(took < Duration::from_secs(4), is_short, "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_missing_or_wrong_is_not_shown_and_is_written_again() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = store.lines();
    let [first, second] = pair(&redis, [&lines, &lines]).await;
    for face in [FACE, OTHER_FACE] {
        first.face("waha", face).await;
        let picture = first.bytes(face);
        let objects = store.objects("pictures");
        let object = objects
            .iter()
            .find(|file| fs::read(file).unwrap() == picture);
        let object = object.unwrap();
        match face {
            FACE => fs::remove_file(object).unwrap(),
            _ => fs::write(object, first.bytes(FACE)).unwrap(),
        }
        first.traffic();
        let answer = second.face("waha", face).await;
        answer.assert_picture(&picture);
        assert_eq!(first.traffic(), (1, 1), "{face}");
        assert_eq!(fs::read(object).unwrap(), picture, "{face}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_a_face_deletes_its_objects_and_no_others() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = store.lines();
    let keep =
        |settings: Settings| settings.section("cache", "first_paint = \"0\"\nretain = \"forever\"");
    let [first, second] = pair_of(&redis, [&lines, &lines], keep).await;
    first.face("waha", FACE).await;
    first.face("waha", OTHER_FACE).await;
    assert_eq!(store.objects("pictures").len(), 2);
    assert_eq!(store.objects("archive").len(), 2);
    let entry = format!("/v1/avatars/waha/{FACE}");
    let answer = Answer::to(&second.admin(), "DELETE", &entry, &[]).await;
    assert!(answer.status.is_success(), "{}", answer.status);
    let other = first.bytes(OTHER_FACE);
    for folder in ["pictures", "archive"] {
        let are_gone = async || store.objects(folder).len() == 1;
        until(are_gone, LIMIT).await;
        assert_eq!(fs::read(&store.objects(folder)[0]).unwrap(), other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_replaced_is_deleted_and_stays_in_the_archive() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = store.lines();
    let keep =
        |settings: Settings| settings.section("cache", "first_paint = \"0\"\nretain = \"forever\"");
    let [first, second] = pair_of(&redis, [&lines, &lines], keep).await;
    first.face("waha", FACE).await;
    first
        .vendors()
        .set_picture(FACE, Picture::Face(77))
        .unwrap();
    first.vendors().forget_vendor_cache();
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&first.admin(), "POST", &entry, &[]).await;
    let picture = first.bytes(FACE);
    let is_replaced = async || {
        let objects = store.objects("pictures");
        objects.len() == 1 && fs::read(&objects[0]).unwrap() == picture
    };
    until(is_replaced, LIMIT).await;
    assert_eq!(store.objects("archive").len(), 2);
    let answer = second.face("waha", FACE).await;
    answer.assert_picture(&picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_bucket_is_refused_at_the_start_with_the_remedy() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let lines = store.lines();
    for (lines, remedy) in [
        (
            lines.replace("env:S3_SECRET", "a-wrong-key"),
            "fleet.s3.secret_key",
        ),
        (
            lines.replace("env:S3_KEY", "a-wrong-key"),
            "fleet.s3.access_key",
        ),
        (lines.replace("\"faces\"", "\"places\""), "fleet.s3.bucket"),
    ] {
        let error = replica(&redis, &lines).try_start().await.err().unwrap();
        let error = error.to_string();
        assert!(error.contains(remedy), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_a_certificate_of_a_private_authority_is_trusted_by_its_ca() {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s3-ca.pem");
    fs::write(&path, issued.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let tls = ServerConfig::builder().with_no_client_auth();
    let tls = tls.with_single_cert(vec![issued.cert.der().clone()], key.into());
    let tls = TlsAcceptor::from(Arc::new(tls.unwrap()));
    let (redis, store) = (RedisServer::start(), S3Server::start_with(Some(tls)).await);
    let lines = store.lines().replace("http://", "https://");
    let trusting = format!("{lines}\nca = \"{}\"", path.display());
    let [first, second] = pair(&redis, [&trusting, &lines]).await;
    first
        .face("waha", FACE)
        .await
        .assert_picture(&first.bytes(FACE));
    assert_eq!(store.objects("pictures").len(), 1);
    // The other one does not trust the store, so it asks the vendor.
    first.traffic();
    let other = second.face("waha", FACE).await;
    other.assert_picture(&first.bytes(FACE));
    assert_eq!(first.traffic(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_for_the_region_and_another_one_is_refused_at_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Refuses all regions but one, and then every request.
    let server = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            let read = socket.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]);
            let (status, code) = match head.contains("/garage/s3/aws4_request") {
                true => ("501 Not Implemented", "NotImplemented"),
                false => ("400 Bad Request", "AuthorizationHeaderMalformed"),
            };
            let body = format!("<Error><Code>{code}</Code></Error>");
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    let redis = RedisServer::start();
    let lines = s3::lines(&address);
    let error = replica(&redis, &lines).try_start().await.err().unwrap();
    assert!(error.to_string().contains("fleet.s3.region"), "{error}");
    let lines = format!("{lines}\nregion = \"garage\"");
    replica(&redis, &lines).start().await;
    server.abort();
}
