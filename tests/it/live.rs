//! `/live/{instance}`: clients are told which faces have changed.

use std::time::Duration;

use faceplate::emulator::{Fault, OWN_JID, Picture, Rule};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    access::{KEY, LATER, signature},
    hostile_clients::windows::Client,
    support::{
        Answer, LIMIT, Rig,
        events::{Event, Events},
        raw,
        rig::Settings,
        until,
    },
};

const FACE: &str = "628100000001@c.us";
const OTHER: &str = "628100000002@c.us";

async fn listen(rig: &Rig, path: &str) -> Events {
    Events::open(&rig.address(), path, &[]).await
}

/// Begins to listen to WAHA's faces, and reads the first event.
async fn open(rig: &Rig) -> Events {
    let mut events = listen(rig, "/live/waha").await;
    assert_eq!(events.next().await.kind, "ready");
    events
}

async fn admin(rig: &Rig, method: &str, path: &str) {
    let answer = Answer::to(&rig.admin(), method, path, &[]).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn assert_clients(rig: &Rig, count: usize) {
    let line = format!("faceplate_live_clients {count}\n");
    let has_count = async || {
        let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
        metrics.text().contains(&line)
    };
    until(has_count, LIMIT).await;
}

fn set(rig: &Rig, jid: &str, picture: Picture) {
    rig.vendors().set_picture(jid, picture).unwrap();
    rig.vendors().forget_vendor_cache();
}

#[track_caller]
fn assert_fallback(event: &Event, jid: &str, reason: &str) {
    assert_eq!(event.kind, "face");
    assert_eq!(event.data["jid"], jid);
    assert_eq!(event.data["source"], "fallback");
    assert_eq!(event.data["reason"], reason);
    assert!(event.data["etag"].is_null());
}

#[track_caller]
fn assert_picture(event: &Event, jid: &str, etag: &str) {
    assert_eq!(event.kind, "face");
    assert_eq!(event.data["jid"], jid);
    assert_eq!(event.data["source"], "picture");
    assert_eq!(event.data["reason"], "picture");
    assert_eq!(event.data["etag"], etag);
}

// === Events ===

#[tokio::test]
async fn a_client_is_told_of_each_face_that_shows_something_else_than_before() {
    let rig = Rig::start().await;
    let mut events = open(&rig).await;
    let face = rig.face("waha", "+628100000001").await;
    assert_picture(&events.next().await, FACE, face.header("etag"));
    // Other instances have listeners of their own.
    rig.face("wawp", FACE).await;
    // What is confirmed has not changed.
    rig.hours(25);
    rig.face("waha", FACE).await;
    until(async || rig.calls().api == 3, LIMIT).await;
    set(&rig, OTHER, Picture::Unknown);
    rig.face("waha", OTHER).await;
    assert_fallback(&events.next().await, OTHER, "unknown");
    set(&rig, OTHER, Picture::Face(7));
    rig.get(&format!("/avatar/waha/{OTHER}?refresh=true")).await;
    let face = rig.face("waha", OTHER).await;
    face.assert_picture(&rig.bytes(OTHER));
    assert_picture(&events.next().await, OTHER, face.header("etag"));
    set(&rig, OTHER, Picture::Face(8));
    rig.get(&format!("/avatar/waha/{OTHER}?refresh=true")).await;
    let face = rig.face("waha", OTHER).await;
    assert_picture(&events.next().await, OTHER, face.header("etag"));
}

#[tokio::test]
async fn a_client_is_told_when_a_picture_is_purged_or_forgotten() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.face("waha", OTHER).await;
    rig.seconds(61);
    let mut events = open(&rig).await;
    // The picture is shown once more.
    admin(&rig, "POST", "/v1/purge?instance=waha&jid=628100000001").await;
    admin(
        &rig,
        "POST",
        "/v1/purge?instance=waha&jid=628100000001&hard=true",
    )
    .await;
    assert_fallback(&events.next().await, FACE, "deferred");
    admin(&rig, "DELETE", "/v1/avatars/waha/628100000002").await;
    // The header says so, too: a forgotten face looks like a hidden one.
    assert_fallback(&events.next().await, OTHER, "hidden");
}

#[tokio::test]
async fn trouble_with_the_vendor_is_no_event_and_the_picture_after_it_is_one() {
    let settings = Settings::default().section("cache", "first_paint = \"500ms\"");
    let rig = settings.start().await;
    let mut events = open(&rig).await;
    rig.inject(
        Rule::api(Fault::Status {
            status: 502,
            retry_after: None,
        })
        .times(1),
    );
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    rig.seconds(31);
    let face = rig.face("waha", FACE).await;
    assert_picture(&events.next().await, FACE, face.header("etag"));
}

#[tokio::test]
async fn a_face_that_the_budget_refused_comes_as_an_event() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"500ms\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
        .start()
        .await;
    let mut events = open(&rig).await;
    rig.face("waha", FACE).await;
    assert_eq!(events.next().await.data["jid"], FACE);
    rig.face("waha", OTHER).await.assert_fallback("over_budget");
    rig.seconds(10);
    let event = events.next().await;
    let face = rig.face("waha", OTHER).await;
    assert_picture(&event, OTHER, face.header("etag"));
}

#[tokio::test]
async fn an_event_names_the_other_spelling_of_a_number_and_the_account_itself() {
    let rig = Rig::start().await;
    let mut events = listen(&rig, "/live/wawp").await;
    events.next().await;
    rig.face("wawp", "5584981234567@c.us").await;
    let event = events.next().await;
    assert_eq!(event.data["jid"], "558481234567@c.us");
    assert_eq!(event.data["also"][0], "5584981234567@c.us");
    // Wawp has no call for its own picture, so `me` is its number.
    rig.face("wawp", "me").await;
    let event = events.next().await;
    assert_eq!(event.data["jid"], OWN_JID);
    assert_eq!(event.data["also"][0], "me");
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_comments() {
    for (heartbeat, seconds) in [("15s", 15), ("40s", 40)] {
        let live = format!("heartbeat = \"{heartbeat}\"");
        let rig = Settings::default().section("live", &live).start().await;
        let mut events = open(&rig).await;
        rig.seconds(seconds - 1);
        let early = time::timeout(Duration::from_millis(200), events.block()).await;
        assert!(early.is_err(), "{early:?}");
        rig.seconds(1);
        assert_eq!(events.block().await.unwrap(), ":");
    }
}

#[tokio::test]
async fn a_client_that_connects_again_goes_on_where_it_was() {
    let rig = Settings::default()
        .section("live", "kept_changes = 4")
        .start()
        .await;
    let mut events = open(&rig).await;
    let numbered = |number: usize| format!("62810{number:07}@c.us");
    rig.face("waha", &numbered(1)).await;
    let last = events.next().await.id;
    drop(events);
    for number in 2..=5 {
        rig.face("waha", &numbered(number)).await;
    }
    rig.hours(1);
    let query = format!("/live/waha?last_event_id={last}");
    let header = [("last-event-id", last.as_str())];
    for mut events in [
        listen(&rig, &query).await,
        Events::open(&rig.address(), "/live/waha", &header).await,
    ] {
        assert_eq!(events.next().await.id, last);
        for number in 2..=5 {
            assert_eq!(events.next().await.data["jid"], numbered(number));
        }
    }
    // One more is one too many for the history.
    rig.face("waha", &numbered(6)).await;
    for unknown in [last.as_str(), "00000000-3", "ffffffff-99999"] {
        let path = format!("/live/waha?last_event_id={unknown}");
        let mut events = listen(&rig, &path).await;
        let kinds = [events.next().await.kind, events.next().await.kind];
        assert_eq!(kinds, ["ready", "resync"], "{unknown}");
    }
}

#[tokio::test]
async fn a_new_client_gets_the_changes_of_the_last_minute() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.seconds(30);
    rig.face("waha", OTHER).await;
    rig.seconds(40);
    let mut events = open(&rig).await;
    assert_eq!(events.next().await.data["jid"], OTHER);
}

// === HTTP ===

#[tokio::test]
async fn no_cache_or_proxy_holds_events_back() {
    let rig = Rig::start().await;
    let mut events = listen(&rig, "/live/waha").await;
    assert_eq!(events.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(events.header(name), value, "{name}");
    }
    let first = events.block().await.unwrap();
    let retry = first
        .lines()
        .find_map(|line| line.strip_prefix("retry: "))
        .unwrap();
    let retry: u32 = retry.parse().unwrap();
    assert!((2000..4000).contains(&retry), "{retry}");
    let head = rig.ask("HEAD", "/live/waha", &[]).await;
    assert_eq!(head.header("content-type"), "text/event-stream");
    assert_eq!(rig.ask("POST", "/live/waha", &[]).await.status, 405);
    assert_clients(&rig, 1).await;
}

/// nginx speaks HTTP/1.0 with its upstream servers unless it is told otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn events_come_over_http_2_and_http_1_0() {
    let mut rig = Rig::start().await;
    let mut events = Events::open_http2(&rig.address(), "/live/waha").await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.next().await.kind, "ready");
    let address = rig.address();
    let request = "GET /live/waha HTTP/1.0\r\nhost: faces.example\r\n\r\n";
    let received = tokio::spawn(async move { raw(&address, request).await });
    assert_clients(&rig, 2).await;
    rig.face("waha", FACE).await;
    assert_eq!(events.next().await.data["jid"], FACE);
    rig.stop().await;
    let received = received.await.unwrap();
    assert!(received.starts_with("HTTP/1.0 200"), "{received}");
    assert!(!received.contains("transfer-encoding"), "{received}");
    assert!(received.contains("event: face\n"), "{received}");
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_and_is_not_delayed_by_them() {
    let mut rig = Rig::start().await;
    let mut first = open(&rig).await;
    let mut second = Events::open_http2(&rig.address(), "/live/waha").await;
    second.next().await;
    let stop = time::timeout(Duration::from_secs(5), rig.stop());
    stop.await.expect("the drain takes ten seconds");
    first.end().await;
    second.end().await;
}

// === Access ===

fn signed(instance: &str, jid: &str, exp: u64) -> String {
    let sig = signature(KEY, instance, jid, exp, "");
    let scope = if jid == "*" { "&scope=instance" } else { "" };
    format!("/live/waha?exp={exp}&sig={sig}{scope}")
}

fn with_signatures() -> Settings {
    let access = "signing_keys = [\"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]";
    Settings::default().section("access", access)
}

#[tokio::test]
async fn only_a_signature_for_the_whole_instance_or_a_token_lets_a_client_listen() {
    let rig = with_signatures().start().await;
    for (path, remedy) in [
        ("/live/waha".to_owned(), "not signed"),
        (signed("waha", FACE, LATER), "scope=instance"),
        (
            format!("{}&scope=instance", signed("waha", FACE, LATER)),
            "does not match",
        ),
        (signed("wawp", "*", LATER), "does not match"),
        (signed("waha", "*", 1), "expired"),
    ] {
        let answer = rig.get(&path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains(remedy), "{}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    let mut by_token = Events::open(&rig.address(), "/live/waha", &bearer).await;
    assert_eq!(by_token.next().await.kind, "ready");
    let mut by_signature = listen(&rig, &signed("waha", "*", LATER)).await;
    assert_eq!(by_signature.next().await.kind, "ready");
    let unknown = rig.ask("GET", "/live/nobody", &bearer).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("unknown-instance"));
}

#[tokio::test]
async fn a_page_of_another_site_does_not_listen_to_open_faces_of_this_machine() {
    let settings = Settings::default().section("access", "mode = \"open\"");
    let rig = settings.start().await;
    let elsewhere = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "cors"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(rig.ask("GET", "/live/waha", &elsewhere).await.status, 403);
    let mut events = open(&rig).await;
    rig.face("waha", FACE).await;
    assert_eq!(events.next().await.data["jid"], FACE);
}

#[tokio::test]
async fn a_stream_ends_when_its_signature_expires() {
    let rig = with_signatures().start().await;
    let now = rig.clock.now().as_secs();
    let mut events = listen(&rig, &signed("waha", "*", now + 60)).await;
    events.next().await;
    rig.seconds(59);
    assert_eq!(events.block().await.unwrap(), ":");
    rig.seconds(1);
    events.end().await;
    assert_clients(&rig, 0).await;
}

#[tokio::test]
async fn a_reload_keeps_a_stream_as_long_as_its_credential_is_good() {
    let mut rig = with_signatures().start().await;
    let mut events = listen(&rig, &signed("waha", "*", LATER)).await;
    events.next().await;
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    let mut by_token = Events::open(&rig.address(), "/live/waha", &bearer).await;
    by_token.next().await;
    rig.reload("refreshes = { per_minute = 3, burst = 1 }");
    rig.ask("GET", &format!("/avatar/waha/{FACE}"), &bearer)
        .await;
    assert_eq!(events.next().await.data["jid"], FACE);
    assert_eq!(by_token.next().await.data["jid"], FACE);
    let access = "signing_keys = [\"env:OTHER_KEY\"]\nbearer_tokens = [\"env:BEARER\"]";
    rig.reload_as(|settings| settings.section("access", access));
    events.end().await;
    rig.ask("GET", &format!("/avatar/waha/{OTHER}"), &bearer)
        .await;
    assert_eq!(by_token.next().await.data["jid"], OTHER);
}

#[tokio::test]
async fn a_reload_ends_the_streams_of_an_instance_that_is_gone() {
    let mut rig = Settings::default().named("shop", "evolution").start().await;
    let mut gone = listen(&rig, "/live/shop").await;
    gone.next().await;
    let mut events = open(&rig).await;
    rig.reload_as(|settings| settings.without("shop"));
    gone.end().await;
    rig.face("waha", FACE).await;
    assert_eq!(events.next().await.data["jid"], FACE);
}

#[tokio::test]
async fn a_client_looks_at_all_faces_again_when_its_instance_gets_another_account() {
    let mut rig = Rig::start().await;
    let mut events = open(&rig).await;
    rig.reload_only("waha", "account = \"other\"");
    assert_eq!(events.next().await.kind, "resync");
}

#[tokio::test]
async fn a_client_may_listen_to_an_instance_of_a_pattern_before_its_first_face() {
    let mut rig = Settings::default()
        .named("shop-*", "evolution")
        .only("shop-*", "account = \"{instance}\"")
        .start()
        .await;
    let mut events = listen(&rig, "/live/shop-1").await;
    events.next().await;
    rig.face("shop-1", FACE).await;
    assert_eq!(events.next().await.data["jid"], FACE);
    rig.reload("refreshes = { per_minute = 3, burst = 1 }");
    rig.face("shop-1", OTHER).await;
    assert_eq!(events.next().await.data["jid"], OTHER);
}

#[tokio::test]
async fn in_open_mode_other_machines_learn_of_no_change_unless_the_operator_says_so() {
    for (access, status) in [
        ("mode = \"open\"\nallow_public = true", 404),
        ("mode = \"open\"", 200),
        ("signing_keys = [\"env:SIGNING_KEY\"]", 403),
    ] {
        let settings = Settings::default().section("live", "# enabled is not written");
        let rig = settings.section("access", access).start().await;
        let head = "GET /live/waha HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        let mut stream = TcpStream::connect(rig.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        let start = String::from_utf8_lossy(&start).into_owned();
        assert_eq!(start, format!("HTTP/1.1 {status}"), "{access}");
    }
}

#[tokio::test]
async fn nobody_listens_where_the_operator_turned_it_off() {
    let mut rig = Rig::start().await;
    let mut events = open(&rig).await;
    rig.reload_as(|settings| settings.section("live", "enabled = false"));
    events.end().await;
    let answer = rig.get("/live/waha").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("live.enabled"), "{}", answer.text());
}

// === Bounds ===

#[tokio::test]
async fn no_more_clients_listen_than_the_operator_allows() {
    let server = "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]";
    let rig = Settings::default()
        .section("server", server)
        .section("live", "max_clients = 3\nmax_per_address = 2")
        .start()
        .await;
    let enter = async |client: &str| {
        let header = [("x-forwarded-for", client)];
        Events::open(&rig.address(), "/live/waha", &header).await
    };
    let mut first = vec![enter("192.0.2.1").await, enter("192.0.2.1").await];
    let refused = enter("192.0.2.1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "60");
    let third = enter("192.0.2.2").await;
    assert_eq!(third.status, 200);
    let full = enter("192.0.2.3").await;
    assert_eq!(full.status, 503);
    assert_eq!(full.header("retry-after"), "60");
    assert_clients(&rig, 3).await;
    first.pop();
    assert_clients(&rig, 2).await;
    assert_eq!(enter("192.0.2.1").await.status, 200);
}

/// Changes as many faces as a closed HTTP/2 window keeps from a client.
async fn change_faces(rig: &Rig) {
    for number in 0..40 {
        rig.face("waha", &format!("62810{number:07}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_loses_its_place() {
    let server = "listen = \"127.0.0.1:0\"\nsend_timeout = \"300ms\"";
    let rig = Settings::default().section("server", server).start().await;
    let mut client = Client::connect(&rig.address(), 50).await;
    let _held = client.get("/live/waha").await.unwrap();
    change_faces(&rig).await;
    assert_clients(&rig, 0).await;
    // A window of the length of the first event, so that no part of one waits to be sent.
    let ready = ready_length(&rig).await;
    let mut client = Client::connect(&rig.address(), ready).await;
    let _held = client.get("/live/wawp").await.unwrap();
    rig.face("wawp", FACE).await;
    rig.face("wawp", OTHER).await;
    rig.face("wawp", "628100000003").await;
    assert_clients(&rig, 0).await;
}

/// The length of the first event of a stream.
async fn ready_length(rig: &Rig) -> u32 {
    let mut events = listen(rig, "/live/wawp").await;
    events.block().await.unwrap().len() as u32 + 2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_behind_is_told_to_look_at_all_faces_again() {
    let rig = Settings::default()
        .section("live", "kept_changes = 4")
        .start()
        .await;
    let mut client = Client::connect(&rig.address(), 300).await;
    let response = client.get("/live/waha").await.unwrap();
    assert_clients(&rig, 1).await;
    change_faces(&rig).await;
    let mut events = Events::of(response);
    let mut seen = Vec::new();
    loop {
        let event = events.next().await;
        seen.push(event.kind.clone());
        if event.kind == "resync" {
            break;
        }
    }
    assert!(seen.len() < 20, "{seen:?}");
    rig.face("waha", "62811").await;
    let event = events.next().await;
    assert_eq!(event.data["jid"], "62811@c.us");
}
