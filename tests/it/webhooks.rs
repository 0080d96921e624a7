//! Webhooks: gateways report contacts whose pictures changed.

use crate::support::{
    Answer,
    rig::{Rig, Settings},
};
use faceplate::emulator::Picture;
use serde_json::{Value, json};

const FACE: &str = "628100000001@c.us";

async fn post(rig: &Rig, provider: &str, body: &[u8]) -> Answer {
    let path = format!("/v1/hooks/{provider}");
    Answer::send(
        &rig.admin(),
        "POST",
        &path,
        &[("content-type", "application/json")],
        body,
    )
    .await
}

async fn event(rig: &Rig, provider: &str, event: &Value) -> (u64, u64) {
    let answer = post(rig, provider, event.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard: Value = serde_json::from_slice(&answer.body).unwrap();
    let count = |name: &str| heard[name].as_u64().unwrap();
    (count("marked"), count("ignored"))
}

/// Requests the face until the background refresh is stored.
async fn until_new(rig: &Rig, vendor: &str) {
    for _ in 0..500 {
        if rig.face(vendor, FACE).await.body == rig.bytes(FACE) {
            return;
        }
    }
    panic!("the refresh behind the answer never ended");
}

/// Each kind of event that a gateway sends for a changed picture.
fn events() -> Vec<(&'static str, Value)> {
    let number = FACE.split('@').next().unwrap();
    let long = format!("{number}@s.whatsapp.net");
    vec![
        (
            "hypersender",
            json!({ "event": "CONTACTS_UPDATE", "instance": "shop", "data": [{ "id": long, "imgUrl": "changed" }] }),
        ),
        // WAHA's, from whatsmeow and of groups.
        (
            "waha",
            json!({ "event": "engine.event", "session": "shop",
                    "payload": { "event": "events.Picture", "data": { "JID": long, "Remove": false } } }),
        ),
        (
            "wappfy",
            json!({ "event": "group.v2.update", "session": "shop", "payload": { "group": { "id": FACE } } }),
        ),
        (
            "wawp",
            json!({ "event": "contact.update", "instance_id": "shop", "data": { "contact": { "chatId": FACE } } }),
        ),
    ]
}

#[tokio::test]
async fn after_a_webhook_the_next_request_refreshes_the_face_and_shows_the_old_one_meanwhile() {
    let rig = Rig::start().await;
    for (vendor, told) in events() {
        rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
        let before = rig.face(vendor, FACE).await;
        // WAHA and Wappfy keep the old link for a day themselves.
        rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
        rig.traffic();
        assert_eq!(event(&rig, vendor, &told).await, (1, 0), "{vendor}");
        // The event itself causes no call.
        assert_eq!(rig.traffic(), (0, 0), "{vendor}");
        rig.face(vendor, FACE).await.assert_picture(&before.body);
        until_new(&rig, vendor).await;
        assert_eq!(rig.traffic(), (1, 1), "{vendor}");
    }
}

#[tokio::test]
async fn after_a_webhook_the_vendor_s_cache_is_bypassed_once_the_budget_allows() {
    let settings = Settings::default().instance("refreshes = { per_minute = 4, burst = 1 }");
    let mut rig = settings.start().await;
    rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
    let before = rig.face("waha", FACE).await;
    rig.vendors().set_picture(FACE, Picture::Face(2)).unwrap();
    // Requests use up the refreshes.
    let other = "/avatar/waha/628100000002?refresh=true";
    rig.get(other).await;
    let (_, told) = events().swap_remove(1);
    assert_eq!(event(&rig, "waha", &told).await, (1, 0));
    rig.traffic();
    for _ in 0..20 {
        rig.face("waha", FACE).await.assert_picture(&before.body);
    }
    // An ordinary lookup would return the old link, and be fresh for a day.
    assert_eq!(rig.traffic(), (0, 0));
    // The event is not forgotten.
    rig.restart().await;
    rig.seconds(60);
    until_new(&rig, "waha").await;
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn webhooks_about_unknown_contacts_are_counted_and_change_nothing() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let told = |account: &str, group: Value| json!({ "event": "group.v2.update", "session": account, "payload": { "group": group } });
    for (told, expected) in [
        (told("shop", json!([{ "id": "628100000099@c.us" }])), (0, 1)),
        // What is no JID is nobody.
        (
            told("shop", json!([{ "id": "no JID" }, { "id": "me" }])),
            (0, 0),
        ),
        // An unresolvable LID, and one contact twice.
        (
            told(
                "shop",
                json!([{ "id": "123456@lid" }, { "id": FACE }, { "id": FACE }]),
            ),
            (1, 1),
        ),
        // Events of another account at the same gateway, and about another subject.
        (told("else", json!([{ "id": FACE }])), (0, 1)),
        (
            json!({ "event": "presence.update", "session": "shop", "payload": { "id": FACE } }),
            (0, 0),
        ),
        (told("shop", json!("text")), (0, 0)),
        (json!({ "session": "shop" }), (0, 0)),
    ] {
        assert_eq!(event(&rig, "waha", &told).await, expected, "{told}");
    }
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    for line in [
        "faceplate_hook_contacts_total{result=\"marked\"} 1",
        "faceplate_hook_contacts_total{result=\"ignored\"} 3",
    ] {
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
}

#[tokio::test]
async fn an_unrecognized_webhook_body_is_refused_with_a_remedy() {
    let rig = Rig::start().await;
    let long = vec![b' '; 300 * 1024];
    for (provider, body, status, remedy) in [
        ("waha", &b"not JSON"[..], 400, "JSON object"),
        ("waha", b"[]", 400, "JSON object"),
        (
            "waha",
            b"{\"event\":\"contacts.update\"}",
            400,
            "does not name its account",
        ),
        ("waha", &long, 413, "262144 bytes"),
        ("wachat", b"{}", 400, "add [hook]"),
        ("nobody", b"{}", 404, "[instances.NAME]"),
    ] {
        let answer = post(&rig, provider, body).await;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(remedy), "{}", answer.text());
    }
    let get = Answer::to(&rig.admin(), "GET", "/v1/hooks/waha", &[]).await;
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, "POST"));
}
