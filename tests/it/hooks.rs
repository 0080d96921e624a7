//! The listener for webhooks: its secrets and bounds, and what events do to faces.

use faceplate::emulator::{Fault, Picture, Rule};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use crate::support::{
    Answer, LIMIT,
    private::lines_with,
    raw,
    rig::{Rig, Settings},
    until,
};

const FACE: &str = "628100000001@c.us";
const OTHER: &str = "628100000002@c.us";
const SECRET: &str = "a%20hook%20secret%20for%20tests";
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// WAHA with the events of a gateway that sends links, and forms.
const DESCRIPTION: &str = r#"
format = 1
extends = "waha"
[providers.shop.hook]
account = ["/instance"]
form = "payload"
[[providers.shop.hook.event]]
at = "/event"
is = ["contacts.update"]
each = "/data"
jid = ["/id"]
link = ["/url"]
[[providers.shop.hook.event]]
at = "/event"
is = ["message"]
each = "/data"
jid = ["/id"]
hint = true
"#;

/// The instance `waha` gets events.
fn settings() -> Settings {
    Settings::default()
        .section("providers.shop", DESCRIPTION)
        .section("hooks", "listen = \"127.0.0.1:0\"")
        .only("waha", "provider = \"shop\"")
        .only("waha", "hook = { secret = \"env:HOOK_SECRET\" }")
}

fn path() -> String {
    format!("/v1/hooks/waha/{SECRET}")
}

async fn send(rig: &Rig, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Answer::send(&rig.hooks(), "POST", path, headers, body).await
}

/// Posts an event. Returns the numbers of faces that are marked, downloaded and ignored.
async fn event(rig: &Rig, event: &Value) -> [u64; 3] {
    counts(&send(rig, &path(), &[JSON], event.to_string().as_bytes()).await)
}

#[track_caller]
fn counts(answer: &Answer) -> [u64; 3] {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let counts: Value = serde_json::from_slice(&answer.body).unwrap();
    ["marked", "downloads", "ignored"].map(|name| counts[name].as_u64().unwrap())
}

fn changed(jid: &str, link: &str) -> Value {
    json!({ "event": "contacts.update", "instance": "shop", "data": [{ "id": jid, "url": link }] })
}

fn message(jid: &str) -> Value {
    json!({ "event": "message", "instance": "shop", "data": { "id": jid, "text": "picture" } })
}

/// A fresh link to the face's picture, as the gateway would get it.
async fn link(rig: &Rig, jid: &str) -> String {
    let api = rig.emulator.api().to_string();
    let path = format!("/api/shop/chats/{jid}/picture?refresh=true");
    let token = rig.vendors().token().to_owned();
    let answer = Answer::to(&api, "GET", &path, &[("x-api-key", &token)]).await;
    let link: Value = serde_json::from_slice(&answer.body).unwrap();
    rig.traffic();
    link["url"].as_str().unwrap().to_owned()
}

/// The record of a face in the cache.
async fn record(rig: &Rig, jid: &str) -> Value {
    let path = format!("/v1/avatars/waha/{jid}");
    let answer = Answer::to(&rig.admin(), "GET", &path, &[]).await;
    serde_json::from_slice(&answer.body).unwrap()
}

async fn until_cached(rig: &Rig, jid: &str) {
    let is_cached = async || rig.face("waha", jid).await.body == rig.bytes(jid);
    until(is_cached, LIMIT).await;
}

async fn until_recorded(rig: &Rig, jid: &str) {
    let is_recorded = async || record(rig, jid).await["picture"].is_object();
    until(is_recorded, LIMIT).await;
}

async fn until_downloads_end(rig: &Rig, downloads: usize) {
    until(async || rig.calls().cdn >= downloads, LIMIT).await;
}

#[tokio::test]
async fn a_fresh_link_in_an_event_is_a_face_that_costs_no_call() {
    let rig = settings().start().await;
    let link = link(&rig, FACE).await;
    assert_eq!(event(&rig, &changed(FACE, &link)).await, [0, 1, 0]);
    until_recorded(&rig, FACE).await;
    let face = rig.face("waha", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert!(face.cache_status().starts_with("faceplate; hit"));
    assert_eq!(rig.traffic(), (0, 1));
    // Calls that were not made are not counted.
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let text = metrics.text();
    assert!(
        !text.contains("faceplate_upstream_requests_total{"),
        "{text}"
    );
    assert!(text.contains("faceplate_hook_contacts_total{result=\"downloaded\"} 1"));
}

#[tokio::test]
async fn a_fresh_link_replaces_the_picture_also_under_the_name_of_the_old_one() {
    let rig = settings().start().await;
    rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
    let before = rig.face("waha", FACE).await;
    let old_link = link(&rig, FACE).await;
    rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
    let link = link(&rig, FACE).await;
    event(&rig, &changed(FACE, &link)).await;
    until_cached(&rig, FACE).await;
    assert_eq!(rig.traffic(), (0, 1));
    // The link that is stored now; the bytes behind it decide.
    rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
    assert_eq!(event(&rig, &changed(FACE, &old_link)).await, [0, 1, 0]);
    until(
        async || rig.face("waha", FACE).await.body == before.body,
        LIMIT,
    )
    .await;
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test]
async fn a_link_that_comes_with_every_message_is_downloaded_once_in_ten_minutes() {
    let rig = settings().start().await;
    let link = link(&rig, FACE).await;
    assert_eq!(event(&rig, &changed(FACE, &link)).await, [0, 1, 0]);
    for _ in 0..5 {
        assert_eq!(event(&rig, &changed(FACE, &link)).await, [0, 0, 1]);
    }
    rig.seconds(600);
    assert_eq!(event(&rig, &changed(FACE, &link)).await, [0, 1, 0]);
    until_downloads_end(&rig, 2).await;
    assert_eq!(rig.traffic(), (0, 2));
}

#[tokio::test]
async fn a_link_of_an_event_passes_the_guards_and_its_failure_leaves_the_face_outdated() {
    const REFUSED: [&str; 2] = [
        "the picture link's host is not among picture_hosts: 127.0.0.3:1",
        "which is not in allow_private: [::1]:9",
    ];
    let mut rig = settings().start().await;
    let hosts = format!("picture_hosts = [\"{}\", \"[::1]:9\"]", rig.cdn());
    rig.reload_only("waha", &hosts);
    let lines = REFUSED.map(lines_with);
    let before = rig.face("waha", FACE).await;
    let expired = format!("http://{}/v/gone.jpg?oe=00000001", rig.cdn());
    for (bad, counts) in [
        ("http://127.0.0.3:1/v/a.jpg", [0, 0, 0]),
        // Its host may be named; only its address is refused.
        ("http://[::1]:9/a.jpg", [0, 1, 0]),
        (expired.as_str(), [0, 1, 0]),
    ] {
        rig.traffic();
        let answer = send(
            &rig,
            &path(),
            &[JSON],
            changed(FACE, bad).to_string().as_bytes(),
        )
        .await;
        assert_eq!(self::counts(&answer), counts, "{bad}");
        let sent: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(sent["blocked"], 1 - counts[1], "{bad}");
        // The next request asks the vendor, and shows the picture meanwhile.
        let asked = async || {
            rig.face("waha", FACE).await.assert_picture(&before.body);
            rig.calls().api == 1
        };
        until(asked, LIMIT).await;
        until_fresh(&rig).await;
    }
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let text = metrics.text();
    for line in [
        "faceplate_ssrf_blocked_total 2",
        "faceplate_hook_contacts_total{result=\"blocked\"} 2",
        "faceplate_hook_contacts_total{result=\"failed\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("result=\"downloaded\""), "{text}");
    // The log names the host, as it does for a blocked look-up.
    assert_eq!(REFUSED.map(lines_with), lines.map(|lines| lines + 1));
    // What is no link at all says that the picture has changed.
    assert_eq!(event(&rig, &changed(FACE, "changed")).await, [1, 0, 0]);
}

#[tokio::test]
async fn an_event_of_no_known_kind_is_counted_and_its_members_are_logged_once_an_hour() {
    let rig = settings()
        .only("wawp", "provider = \"shop\"")
        .only("wawp", "account = \"other\"")
        .only("wawp", "hook = { secret = \"env:HOOK_SECRET\" }")
        .start()
        .await;
    let unknown = json!({ "event": "picture.renamed", "data": { "who": FACE, "628100000001": 1 } });
    const MEMBERS: &str = "data {* (number), who (text)}, event (text)";
    const VALUE: &str = "picture.renamed";
    let other = path().replace("/waha/", "/wawp/");
    assert_eq!((lines_with(MEMBERS), lines_with(VALUE)), (0, 0));
    for (seconds, path, lines) in [
        (0, &path(), 1),
        (3599, &path(), 1),
        (0, &other, 2),
        (1, &path(), 3),
    ] {
        rig.seconds(seconds);
        let answer = send(&rig, path, &[JSON], unknown.to_string().as_bytes()).await;
        assert_eq!(counts(&answer), [0, 0, 0]);
        assert_eq!(
            (lines_with(MEMBERS), lines_with(VALUE)),
            (lines, 0),
            "{path} {seconds}"
        );
    }
    // Through the listener for operators, too.
    let event = json!({ "event": "other", "instance": "shop" }).to_string();
    Answer::send(
        &rig.admin(),
        "POST",
        "/v1/hooks/shop",
        &[JSON],
        event.as_bytes(),
    )
    .await;
    let none = json!({ "event": "message", "data": { "id": "status@broadcast" } });
    assert_eq!(self::event(&rig, &none).await, [0, 0, 0]);
    assert_eq!(self::event(&rig, &message(FACE)).await, [0, 0, 1]);
    send(&rig, &path(), &[JSON], b"[]").await;
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let text = metrics.text();
    for (reading, count) in [
        ("unknown", 5),
        ("no_contact", 1),
        ("known", 1),
        ("malformed", 1),
    ] {
        let line = format!(
            "faceplate_hook_events_total{{provider=\"shop\",reading=\"{reading}\"}} {count}"
        );
        assert!(text.contains(&line), "{line}: {text}");
    }
}

async fn until_fresh(rig: &Rig) {
    let is_fresh = async || {
        let record = record(rig, FACE).await;
        record["picture"]["fresh"] == true
    };
    until(is_fresh, LIMIT).await;
}

#[tokio::test]
async fn an_event_with_a_link_fills_in_while_the_account_pauses_and_does_not_end_the_pause() {
    let rig = settings().start().await;
    let link = link(&rig, FACE).await;
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(600),
    };
    rig.inject(Rule::api(limited));
    rig.face("waha", OTHER)
        .await
        .assert_fallback("rate_limited");
    rig.face("waha", FACE).await.assert_fallback("rate_limited");
    event(&rig, &changed(FACE, &link)).await;
    until_cached(&rig, FACE).await;
    rig.vendors().clear_faults();
    rig.face("waha", "628100000003")
        .await
        .assert_fallback("rate_limited");
}

#[tokio::test]
async fn a_forgotten_face_does_not_come_back_by_an_event() {
    let rig = settings().start().await;
    rig.face("waha", FACE).await;
    let link = link(&rig, FACE).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rig.admin(), "DELETE", &path, &[]).await;
    event(&rig, &changed(FACE, &link)).await;
    // A later event's download ends after it.
    let other = self::link(&rig, OTHER).await;
    event(&rig, &changed(OTHER, &other)).await;
    until_recorded(&rig, OTHER).await;
    assert_eq!(rig.traffic(), (0, 1));
    rig.face("waha", FACE).await.assert_fallback("hidden");
}

#[tokio::test]
async fn the_message_of_a_contact_refreshes_an_answer_that_is_older_than_hint_after() {
    let rig = settings()
        .section("hooks", "listen = \"127.0.0.1:0\"\nhint_after = \"30m\"")
        .start()
        .await;
    // A message alone causes no call and no entry.
    assert_eq!(event(&rig, &message(OTHER)).await, [0, 0, 1]);
    rig.vendors().set_picture(FACE, Picture::NotSet).unwrap();
    rig.face("waha", FACE).await.assert_fallback("unknown");
    rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
    rig.vendors().forget_vendor_cache();
    rig.seconds(30 * 60 - 1);
    assert_eq!(event(&rig, &message(FACE)).await, [0, 0, 1]);
    rig.face("waha", FACE).await.assert_fallback("unknown");
    rig.seconds(1);
    rig.traffic();
    assert_eq!(event(&rig, &message(FACE)).await, [1, 0, 0]);
    assert_eq!(rig.traffic(), (0, 0));
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_message_does_not_shorten_the_wait_after_trouble() {
    let rig = settings()
        .section(
            "cache.negative",
            "error_first = \"7d\"\nerror_longest = \"7d\"",
        )
        .start()
        .await;
    rig.inject(Rule::api(Fault::NotJson));
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    rig.hours(25);
    rig.traffic();
    assert_eq!(event(&rig, &message(FACE)).await, [0, 0, 1]);
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn an_event_that_says_null_is_only_a_hint() {
    let rig = settings().start().await;
    rig.face("waha", FACE).await;
    let none = |jid: &str| json!({ "event": "contacts.update", "instance": "shop", "data": { "id": jid, "url": null } });
    assert_eq!(event(&rig, &none(FACE)).await, [0, 0, 1]);
    rig.hours(1);
    assert_eq!(event(&rig, &none(FACE)).await, [1, 0, 0]);
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_instance_are_the_same_404_and_their_bodies_are_not_read() {
    let rig = settings().start().await;
    let paths = [
        "/v1/hooks/waha/wrong-secret-token".to_owned(),
        "/v1/hooks/waha/".to_owned(),
        // This instance gets no events.
        format!("/v1/hooks/wappfy/{SECRET}"),
        "/v1/hooks/wappfy/".to_owned(),
        format!("/v1/hooks/nobody/{SECRET}"),
        "/v1/hooks/nobody/%FF".to_owned(),
    ];
    let mut answers = Vec::new();
    for path in &paths {
        // The body never comes, so the server would wait if it read it.
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: faces\r\nconnection: close\r\ncontent-length: 1000000000\r\n\r\n"
        );
        let answer = raw(&rig.hooks(), &head).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        answers.push(body.to_owned());
        let read = Answer::to(&rig.hooks(), "GET", path, &[]).await;
        assert_eq!(read.status, 404, "{path}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let rejects = format!("faceplate_hook_rejects_total {}", 2 * paths.len());
    assert!(metrics.text().contains(&rejects), "{}", metrics.text());
    // A right secret says more.
    let read = Answer::to(&rig.hooks(), "GET", &path(), &[]).await;
    assert_eq!((read.status.as_u16(), read.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn the_listener_for_webhooks_serves_neither_faces_nor_the_operator_s_routes() {
    let rig = settings().start().await;
    for path in [
        "/",
        "/metrics",
        "/livez",
        "/avatar/waha/628100000001",
        "/v1/hooks/waha",
        "/v1/hooks",
    ] {
        let answer = Answer::to(&rig.hooks(), "GET", path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // And the others do not serve webhooks of one instance.
    for address in [rig.address(), rig.admin()] {
        let answer = Answer::send(&address, "POST", &path(), &[JSON], b"{}").await;
        assert!(answer.status.is_client_error(), "{}", answer.status);
    }
    let off = Rig::start().await;
    assert!(off.try_hooks().is_none());
}

#[tokio::test]
async fn the_kind_of_event_may_stand_behind_the_secret() {
    let rig = settings().start().await;
    rig.face("waha", FACE).await;
    for more in ["/", "/contacts-update", "/a/b?c=d"] {
        let told = changed(FACE, "changed").to_string();
        let answer = send(&rig, &format!("{}{more}", path()), &[JSON], told.as_bytes()).await;
        assert_eq!(counts(&answer), [1, 0, 0], "{more}");
    }
}

#[tokio::test]
async fn a_form_is_an_event_whose_field_holds_the_json() {
    let rig = settings().start().await;
    rig.face("waha", FACE).await;
    let told = json!({ "event": "contacts.update", "data": [{ "id": FACE }] }).to_string();
    let form = |account: &str, more: &str| {
        let encoded: String = url::form_urlencoded::byte_serialize(told.as_bytes()).collect();
        format!("{more}instance={account}&payload={encoded}").into_bytes()
    };
    let answer = send(&rig, &path(), &[FORM], &form("shop", "")).await;
    assert_eq!(counts(&answer), [1, 0, 0]);
    let answer = send(&rig, &path(), &[FORM], &form("another", "")).await;
    assert_eq!(counts(&answer), [0, 0, 1]);
    // No gateway sends that many fields.
    let answer = send(&rig, &path(), &[FORM], &form("shop", &"a=b&".repeat(64))).await;
    assert_eq!(counts(&answer), [0, 0, 0]);
}

#[tokio::test]
async fn an_event_of_another_account_is_ignored_and_an_unknown_event_says_nothing() {
    let rig = settings().start().await;
    rig.face("waha", FACE).await;
    let mut other = changed(FACE, "changed");
    other["instance"] = "another".into();
    assert_eq!(event(&rig, &other).await, [0, 0, 1]);
    // Without a name, the URL names the instance.
    other.as_object_mut().unwrap().remove("instance");
    assert_eq!(event(&rig, &other).await, [1, 0, 0]);
    for nothing in [
        json!({}),
        json!({ "event": "call", "data": [{ "id": FACE }] }),
        json!({ "event": "contacts.update", "data": "628100000001" }),
        json!({ "event": "contacts.update", "data": [{ "id": "nobody" }, { "id": "me" }, 7] }),
    ] {
        assert_eq!(event(&rig, &nothing).await, [0, 0, 0], "{nothing}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_event_is_refused_with_a_remedy() {
    let rig = settings().start().await;
    for body in [
        "",
        "no JSON",
        "[]",
        "7",
        "\"contacts.update\"",
        "{\"event\":",
    ] {
        let answer = send(&rig, &path(), &[JSON], body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("JSON object"), "{}", answer.text());
    }
    let deep = "[".repeat(100_000);
    assert_eq!(
        send(&rig, &path(), &[JSON], deep.as_bytes()).await.status,
        400
    );
    // A byte order mark is none of it.
    let marked = format!("\u{FEFF}{}", changed(FACE, "changed"));
    assert_eq!(
        counts(&send(&rig, &path(), &[JSON], marked.as_bytes()).await),
        [0, 0, 1]
    );
}

#[tokio::test]
async fn an_event_is_as_long_as_max_body_at_most() {
    let rig = settings()
        .section("hooks", "listen = \"127.0.0.1:0\"\nmax_body = \"2KiB\"")
        .start()
        .await;
    let padded = |length: usize| {
        let told = changed(FACE, "changed").to_string();
        format!("{told}{}", " ".repeat(length - told.len()))
    };
    assert_eq!(
        counts(&send(&rig, &path(), &[JSON], padded(2048).as_bytes()).await),
        [0, 0, 1]
    );
    let answer = send(&rig, &path(), &[JSON], padded(2049).as_bytes()).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("2048 bytes"), "{}", answer.text());
    // Chunks say no length beforehand.
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400)).repeat(3);
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: faces\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}",
        path()
    );
    let answer = raw(&rig.hooks(), &head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_gateway_that_does_not_send_its_event_in_time_is_not_waited_for() {
    let rig = settings()
        .section("hooks", "listen = \"127.0.0.1:0\"\ntimeout = \"200ms\"")
        .start()
        .await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: faces\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{{",
        path()
    );
    let answer = raw(&rig.hooks(), &head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("hooks.timeout"), "{answer}");
}

#[tokio::test]
async fn an_event_has_a_thousand_faces_at_most_and_downloads_wait_in_a_bounded_queue() {
    let rig = settings().start().await;
    rig.inject(Rule::cdn(Fault::Hang));
    let link = link(&rig, FACE).await;
    let faces = |from: usize, count: usize| {
        let face =
            |number: usize| json!({ "id": format!("62855502{number:06}@c.us"), "url": link });
        let data: Vec<_> = (from..from + count).map(face).collect();
        json!({ "event": "contacts.update", "instance": "shop", "data": data })
    };
    // Short links keep the event within max_body.
    let short = |count: usize| {
        let data = (0..count).map(|number| json!({ "id": format!("62855501{number:06}") }));
        json!({ "event": "contacts.update", "instance": "shop", "data": data.collect::<Vec<_>>() })
    };
    assert_eq!(event(&rig, &short(1500)).await, [0, 0, 1000]);
    let mut taken = 0;
    for batch in 0..12 {
        let [_, downloads, ignored] = event(&rig, &faces(batch * 100, 100)).await;
        assert_eq!(downloads + ignored, 100);
        taken += downloads;
    }
    assert_eq!(taken, 1000);
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let reached = "faceplate_limit_reached_total{limit=\"event_downloads\"}";
    assert!(metrics.text().contains(reached), "{}", metrics.text());
    // Two of them run, so that viewers' downloads come through.
    until_downloads_end(&rig, 2).await;
    assert_eq!(rig.traffic(), (0, 2));
}

fn signature<M: Mac + KeyInit>(key: &str, body: &str) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_event_needs_the_gateway_s_signature_where_an_hmac_key_is_configured() {
    let rig = settings()
        .only(
            "waha",
            "hook = { secret = \"env:HOOK_SECRET\", hmac_key = \"env:HOOK_KEY\" }",
        )
        .start()
        .await;
    let body = changed(FACE, "changed").to_string();
    let key = "a hook key for tests";
    let sha256 = signature::<Hmac<Sha256>>(key, &body);
    let sha512 = signature::<Hmac<Sha512>>(key, &body);
    let wrong = signature::<Hmac<Sha256>>("another key", &body);
    let other = signature::<Hmac<Sha256>>(key, "{}");
    for (name, value, status) in [
        ("x-hmac-signature", &sha256, 200),
        ("x-webhook-hmac", &sha512, 200),
        ("x-hmac-signature", &wrong, 403),
        ("x-hmac-signature", &other, 403),
        ("x-hmac-signature", &String::new(), 403),
        ("x-other", &sha256, 403),
    ] {
        let answer = send(&rig, &path(), &[JSON, (name, value)], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_secret_of_an_instance_s_events() {
    let mut rig = settings().start().await;
    event(&rig, &message(FACE)).await;
    let other = "hook = { secret = \"env:OTHER_KEY\" }";
    rig.reload_only("waha", other);
    assert_eq!(send(&rig, &path(), &[JSON], b"{}").await.status, 404);
    let path = "/v1/hooks/waha/another%20signing%20key";
    assert_eq!(send(&rig, path, &[JSON], b"{}").await.status, 200);
}
