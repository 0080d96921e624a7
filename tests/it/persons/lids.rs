//! A LID and a number of one person are one face.

use std::fs;

use faceplate::emulator::{Fault, Picture, Rule, Vendor, Webhook};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{admin, asked, set};
use crate::support::{Answer, LIMIT, Rig, events::Events, rig::Settings, until};

const LID: &str = "100875997589545@lid";
const NUMBER: &str = "628100000001@c.us";

/// A server whose gateway knows the number of the LID.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.vendors().set_number(LID, NUMBER).unwrap();
    rig
}

fn drawing(jid: &str) -> String {
    format!("/avatar/waha/{jid}?f=y&d=identicon&format=svg")
}

async fn are_one(rig: &Rig, vendor: &str) -> bool {
    let [one, other] = [LID, NUMBER].map(|jid| drawing(jid).replace("waha", vendor));
    rig.get(&one).await.body == rig.get(&other).await.body
}

// === The gateway's call ===

#[tokio::test]
async fn a_lid_is_asked_for_by_its_number_after_one_call_for_that() {
    for vendor in ["waha", "wappfy", "wppconnect"] {
        let rig = Settings::default().more(&["wppconnect"]).start().await;
        let lid = match vendor {
            // It takes shorter ones for numbers.
            "wppconnect" => "1008759975895450@lid",
            _ => LID,
        };
        rig.vendors().set_number(lid, NUMBER).unwrap();
        let face = rig.face(vendor, lid).await;
        face.assert_picture(&rig.bytes(NUMBER));
        assert_eq!(asked(&rig), [lid, NUMBER], "{vendor}");
        // From then on, both are one entry, and nothing is asked any more.
        for jid in [lid, NUMBER] {
            let again = rig.face(vendor, jid).await;
            again.assert_picture(&rig.bytes(NUMBER));
            assert_eq!(again.header("etag"), face.header("etag"));
        }
        rig.hours(24 * 9);
        rig.face(vendor, lid).await;
        assert_eq!(asked(&rig), [NUMBER], "{vendor}");
    }
}

#[tokio::test]
async fn a_lid_whose_number_is_in_the_cache_costs_the_call_for_the_number_alone() {
    let rig = rig().await;
    rig.face("waha", NUMBER).await;
    asked(&rig);
    rig.face("waha", LID)
        .await
        .assert_picture(&rig.bytes(NUMBER));
    assert_eq!(asked(&rig), [LID]);
}

#[tokio::test]
async fn a_lid_without_a_known_number_is_asked_for_as_it_is_and_its_number_again_after_a_day() {
    let rig = Rig::start().await;
    rig.face("waha", LID).await.assert_picture(&rig.bytes(LID));
    assert_eq!(asked(&rig), [LID, LID]);
    set(&rig, LID, Picture::Unknown);
    rig.vendors().set_number(LID, NUMBER).unwrap();
    // The entry is old, but the gateway has been asked for the number less than a day ago.
    rig.hours(23);
    let purge = "/v1/purge?instance=waha&hard=true";
    admin(&rig, "POST", purge).await;
    rig.face("waha", LID).await;
    assert_eq!(asked(&rig), [LID]);
    rig.hours(2);
    admin(&rig, "POST", purge).await;
    rig.face("waha", LID)
        .await
        .assert_picture(&rig.bytes(NUMBER));
    assert_eq!(asked(&rig), [LID, NUMBER]);
}

#[tokio::test]
async fn a_gateway_that_refuses_to_say_the_number_is_asked_for_the_lid() {
    let rig = rig().await;
    let error = Fault::Status {
        status: 500,
        retry_after: None,
    };
    rig.inject(Rule::api(error).jid(LID).times(1));
    rig.face("waha", LID).await.assert_picture(&rig.bytes(LID));
    assert_eq!(asked(&rig), [LID, LID]);
    // A limit is one for all calls.
    let rig = self::rig().await;
    let limited = Fault::Status {
        status: 429,
        retry_after: None,
    };
    rig.inject(Rule::api(limited));
    let face = rig.face("waha", LID).await;
    face.assert_fallback("rate_limited");
    assert_eq!(asked(&rig), [LID]);
}

#[tokio::test]
async fn the_call_for_a_number_is_made_inside_the_budget() {
    let rig = Settings::default()
        .instance("lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    rig.vendors().set_number(LID, NUMBER).unwrap();
    rig.face("waha", LID).await.assert_fallback("over_budget");
    assert_eq!(asked(&rig), [LID]);
    rig.seconds(61);
    until(
        async || rig.face("waha", LID).await.source() == "picture",
        LIMIT,
    )
    .await;
    assert_eq!(asked(&rig), [NUMBER]);
}

#[tokio::test]
async fn many_requests_for_both_names_of_a_person_cause_one_fetch() {
    let rig = rig().await;
    let slow = Fault::Latency { ms: 300 };
    rig.inject(Rule::api(slow));
    let mut requests = JoinSet::new();
    for nth in 0..20 {
        let jid = if nth % 2 == 0 { LID } else { NUMBER };
        let (address, path) = (rig.address(), format!("/avatar/waha/{jid}"));
        requests.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    }
    for face in requests.join_all().await {
        face.assert_picture(&rig.bytes(NUMBER));
    }
    let mut asked = asked(&rig);
    asked.sort();
    assert_eq!(asked, [LID, NUMBER]);
}

// === One entry, one color ===

#[tokio::test]
async fn what_was_stored_under_a_lid_becomes_the_face_of_its_number() {
    let rig = Rig::start().await;
    let before = rig.face("waha", LID).await;
    before.assert_picture(&rig.bytes(LID));
    assert!(!are_one(&rig, "waha").await);
    set_aliases(&rig, json!({ LID: NUMBER })).await;
    rig.traffic();
    for jid in [LID, NUMBER] {
        rig.face("waha", jid).await.assert_picture(&before.body);
    }
    assert_eq!(rig.traffic(), (0, 0));
    assert!(are_one(&rig, "waha").await);
    // A picture of the number is better than one of the LID, and one of the LID better than none.
    let rig = Rig::start().await;
    set(&rig, NUMBER, Picture::Unknown);
    let before = rig.face("waha", LID).await;
    rig.face("waha", NUMBER).await.assert_fallback("unknown");
    set_aliases(&rig, json!({ LID: NUMBER })).await;
    rig.face("waha", NUMBER).await.assert_picture(&before.body);
}

#[tokio::test]
async fn the_number_of_a_lid_is_in_no_header_and_no_body() {
    let rig = rig().await;
    let user = NUMBER.split('@').next().unwrap();
    for path in [
        format!("/avatar/waha/{LID}"),
        format!("/avatar/waha/{LID}?d=404&format=png"),
        drawing(LID),
    ] {
        let answer = rig.get(&path).await;
        let head = format!("{:?}", answer.headers);
        assert!(!head.contains(user), "{head}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(user));
    }
}

#[tokio::test]
async fn a_listener_is_told_of_a_lid_and_of_its_number_in_events_of_their_own() {
    let rig = rig().await;
    rig.face("waha", LID).await;
    let mut events = Events::open(&rig.address(), "/live/waha", &[]).await;
    let mut told = Vec::new();
    while !told.contains(&LID.to_owned()) || !told.contains(&NUMBER.to_owned()) {
        let event = events.next().await;
        let text = event.data.to_string();
        assert!(!(text.contains(LID) && text.contains(NUMBER)), "{text}");
        if event.kind == "face" {
            assert_eq!(event.data["source"], "picture", "{text}");
            told.push(event.data["jid"].as_str().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn forgetting_either_name_forgets_both_and_that_they_are_one() {
    for (forgotten, other) in [(LID, NUMBER), (NUMBER, LID)] {
        let mut rig = rig().await;
        rig.face("waha", LID).await;
        assert!(are_one(&rig, "waha").await);
        let path = format!("/v1/avatars/waha/{forgotten}");
        assert_eq!(admin(&rig, "DELETE", &path).await.status, 204);
        assert!(!are_one(&rig, "waha").await);
        rig.traffic();
        for jid in [forgotten, other] {
            rig.face("waha", jid).await.assert_fallback("hidden");
        }
        assert_eq!(rig.traffic(), (0, 0));
        rig.restart().await;
        rig.face("waha", other).await.assert_fallback("hidden");
        assert!(aliases(&rig).await.is_empty());
    }
}

#[tokio::test]
async fn purging_a_lid_reaches_its_number() {
    let rig = rig().await;
    rig.face("waha", LID).await;
    let purge = format!("/v1/purge?instance=waha&jid={LID}&hard=true");
    assert_eq!(admin(&rig, "POST", &purge).await.text(), "{\"purged\":1}");
    rig.traffic();
    rig.face("waha", NUMBER).await;
    assert_eq!(rig.traffic(), (1, 1));
}

// === On disk ===

#[tokio::test]
async fn the_numbers_of_lids_survive_a_restart_and_a_reload() {
    let mut rig = rig().await;
    rig.face("waha", LID).await;
    rig.reload("daily = 5000");
    assert!(are_one(&rig, "waha").await);
    rig.restart().await;
    assert!(are_one(&rig, "waha").await);
    rig.hours(24 * 9);
    asked(&rig);
    rig.face("waha", LID).await;
    assert_eq!(asked(&rig), [NUMBER]);
}

#[tokio::test]
async fn a_damaged_file_of_numbers_is_no_reason_not_to_start() {
    for damage in ["", "[[1,2", "[\"628\"]", "\0\0\0"] {
        let mut rig = rig().await;
        rig.face("waha", LID).await;
        rig.stop().await;
        let file = rig.cache.path().join("instances/waha.lids.json");
        assert!(file.exists());
        fs::write(&file, damage).unwrap();
        rig.restart().await;
        rig.face("waha", LID)
            .await
            .assert_picture(&rig.bytes(NUMBER));
        assert!(are_one(&rig, "waha").await, "{damage:?}");
    }
}

// === Events and lists ===

#[tokio::test]
async fn a_message_with_both_names_of_a_person_makes_them_one() {
    for vendor in [Vendor::Evolution, Vendor::Wuzapi, Vendor::Waha] {
        let name = vendor.name();
        let more: &[&str] = &[name];
        let rig = Settings::default()
            .section("hooks", "listen = \"127.0.0.1:0\"")
            .more(if name == "waha" { &[] } else { more })
            .only(name, "hook = { secret = \"env:HOOK_SECRET\" }")
            .start()
            .await;
        rig.vendors().set_number(LID, NUMBER).unwrap();
        // Evolution sends a link to the picture of the LID, too. It is the same one.
        set(&rig, LID, Picture::Face(1));
        let url = format!(
            "http://{}/v1/hooks/{name}/a%20hook%20secret%20for%20tests",
            rig.hooks()
        );
        let webhook = Webhook {
            vendor,
            account: "shop".to_owned(),
            url,
            hmac_key: None,
        };
        rig.vendors().add_webhook(webhook).unwrap();
        assert!(!are_one(&rig, name).await);
        rig.vendors().receive_message(LID).unwrap();
        until(async || are_one(&rig, name).await, LIMIT).await;
        asked(&rig);
        rig.face(name, LID).await.assert_picture(&rig.bytes(NUMBER));
        assert!(!asked(&rig).contains(&LID.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_list_of_chats_with_both_names_of_a_person_makes_them_one() {
    let rig = Settings::default().more(&["evolution"]).start().await;
    rig.vendors().set_number(LID, NUMBER).unwrap();
    assert!(!are_one(&rig, "evolution").await);
    let warm = "/v1/warm?instance=evolution&chats=true&top=60";
    let answer = admin(&rig, "POST", warm).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    until(async || are_one(&rig, "evolution").await, LIMIT).await;
}

// === Aliases ===

async fn put(rig: &Rig, instance: &str, body: &str) -> Answer {
    let path = format!("/v1/aliases/{instance}");
    let json = [("content-type", "application/json")];
    Answer::send(&rig.admin(), "PUT", &path, &json, body.as_bytes()).await
}

async fn set_aliases(rig: &Rig, aliases: Value) {
    let answer = put(rig, "waha", &aliases.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What the server knows: LID, number and source.
async fn aliases(rig: &Rig) -> Vec<(String, String, String)> {
    let answer = admin(rig, "GET", "/v1/aliases/waha").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record: Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = record["aliases"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "lid"), text(row, "number"), text(row, "source")))
        .collect()
}

#[tokio::test]
async fn a_program_that_knows_better_sets_the_number_of_a_lid() {
    let mut rig = rig().await;
    rig.face("waha", LID).await;
    let of = |number: &str, source: &str| (LID.to_owned(), number.to_owned(), source.to_owned());
    assert_eq!(aliases(&rig).await, [of(NUMBER, "gateway")]);
    let other = "628100000002@c.us";
    set_aliases(&rig, json!({ LID: "+628100000002" })).await;
    assert_eq!(aliases(&rig).await, [of(other, "program")]);
    rig.face("waha", LID)
        .await
        .assert_picture(&rig.bytes(other));
    // A restart keeps it, and another gateway's answer does not change it.
    rig.restart().await;
    assert_eq!(aliases(&rig).await, [of(other, "program")]);
    asked(&rig);
    rig.hours(24 * 9);
    rig.face("waha", LID)
        .await
        .assert_picture(&rig.bytes(other));
    assert_eq!(asked(&rig), [other]);
    // Without it, the gateway is asked again.
    set_aliases(&rig, json!({ LID: null })).await;
    assert!(aliases(&rig).await.is_empty());
    rig.face("waha", LID)
        .await
        .assert_picture(&rig.bytes(NUMBER));
    set_aliases(&rig, json!({ LID: other })).await;
    assert_eq!(admin(&rig, "DELETE", "/v1/aliases/waha").await.status, 204);
    assert!(aliases(&rig).await.is_empty());
}

#[tokio::test]
async fn aliases_that_make_no_sense_are_refused_and_change_nothing() {
    let rig = Rig::start().await;
    let good = json!({ LID: NUMBER });
    for body in [
        "".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        json!({ NUMBER: NUMBER }).to_string(),
        json!({ LID: LID }).to_string(),
        json!({ LID: "me" }).to_string(),
        json!({ LID: "123-456@g.us" }).to_string(),
        json!({ LID: 628 }).to_string(),
        json!({ LID: NUMBER, "status@broadcast": NUMBER }).to_string(),
        json!({ "123456789012345678901234@lid": NUMBER }).to_string(),
    ] {
        let answer = put(&rig, "waha", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(!answer.text().contains("628100"), "{}", answer.text());
    }
    assert_eq!(put(&rig, "nobody", &good.to_string()).await.status, 404);
    let long = " ".repeat(2 << 20);
    assert_eq!(put(&rig, "waha", &long).await.status, 413);
    let lids = (0..10_001_u64).map(|nth| {
        let (lid, number) = (10_000_000 + nth, 628_200_000_000 + nth);
        (format!("{lid}@lid"), number.to_string().into())
    });
    let many = Value::Object(lids.collect());
    assert_eq!(put(&rig, "waha", &many.to_string()).await.status, 409);
    assert!(aliases(&rig).await.is_empty());
}
