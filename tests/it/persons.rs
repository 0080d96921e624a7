//! One person, one face: the two spellings of a number, and its LID.

mod fallback;
mod lids;

use std::{sync::Arc, time::Duration};

use faceplate::{
    avatar::{Entry, Key},
    clock::{Clock, Timestamp},
    emulator::{Fault, Picture, Rule},
    in_flight::InFlight,
    store::{self, MaintenanceSettings, Owner, Store},
};

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};

/// A Brazilian number, without and with the ninth digit.
const PLAIN: &str = "558481234567@c.us";
const EXTRA: &str = "5584981234567@c.us";

async fn admin(rig: &Rig, method: &str, path: &str) -> Answer {
    Answer::to(&rig.admin(), method, path, &[]).await
}

fn set(rig: &Rig, jid: &str, picture: Picture) {
    rig.vendors().set_picture(jid, picture).unwrap();
}

/// The JIDs that the vendors were asked for since the last call of this function.
fn asked(rig: &Rig) -> Vec<String> {
    let calls = rig.calls().list.into_iter();
    let calls = calls.filter(|call| call.hop == faceplate::emulator::Hop::Api);
    let asked = calls.filter_map(|call| call.jid).collect();
    rig.vendors().reset_calls();
    asked
}

// === The spellings of a number ===

#[tokio::test]
async fn a_number_is_asked_in_its_other_spelling_if_the_vendor_does_not_know_the_first() {
    for (plain, extra) in [
        (PLAIN, EXTRA),
        ("525512345678@c.us", "5215512345678@c.us"),
        ("541123456789@c.us", "5491123456789@c.us"),
    ] {
        for (known, other) in [(plain, extra), (extra, plain)] {
            for (vendor, nothing) in [("waha", Picture::Unknown), ("wawp", Picture::NotFound)] {
                let rig = Rig::start().await;
                set(&rig, other, nothing);
                let face = rig.face(vendor, other).await;
                face.assert_picture(&rig.bytes(known));
                assert_eq!(asked(&rig), [other, known], "{vendor}");
            }
        }
    }
}

#[tokio::test]
async fn both_spellings_of_a_number_are_one_entry_and_one_color() {
    let rig = Rig::start().await;
    rig.face("waha", PLAIN).await;
    rig.face("waha", EXTRA)
        .await
        .assert_picture(&rig.bytes(PLAIN));
    assert_eq!(rig.traffic(), (1, 1));
    let drawing = |jid: &str| format!("/avatar/waha/{jid}?f=y&name=Ana&format=svg");
    let drawings = [
        rig.get(&drawing(PLAIN)).await,
        rig.get(&drawing(EXTRA)).await,
    ];
    assert_eq!(drawings[0].text(), drawings[1].text());
    // A landline, and the mobile number with its digits, are two people.
    rig.face("waha", "551131234567").await;
    rig.face("waha", "5511931234567").await;
    assert_eq!(rig.traffic(), (2, 2));
}

#[tokio::test]
async fn the_spelling_that_answered_is_asked_first_from_then_on_also_after_a_restart() {
    let mut rig = Rig::start().await;
    set(&rig, EXTRA, Picture::Unknown);
    rig.face("waha", EXTRA).await;
    assert_eq!(asked(&rig), [EXTRA, PLAIN]);
    rig.restart().await;
    rig.hours(24 * 9);
    rig.face("waha", EXTRA)
        .await
        .assert_picture(&rig.bytes(PLAIN));
    assert_eq!(asked(&rig), [PLAIN]);
}

#[tokio::test]
async fn a_number_without_a_picture_costs_one_call_once_both_spellings_were_asked() {
    let rig = Rig::start().await;
    set(&rig, PLAIN, Picture::Unknown);
    set(&rig, EXTRA, Picture::Unknown);
    rig.face("wawp", PLAIN).await.assert_fallback("unknown");
    assert_eq!(asked(&rig), [PLAIN, EXTRA]);
    let mut later = Vec::new();
    for _ in 0..5 {
        rig.hours(7);
        rig.face("wawp", PLAIN).await.assert_fallback("unknown");
        let asked = asked(&rig);
        assert_eq!(asked.len(), 1, "{asked:?}");
        later.extend(asked);
    }
    // Each gets its turn: people register anew.
    assert!(later.contains(&PLAIN.to_owned()) && later.contains(&EXTRA.to_owned()));
}

#[tokio::test]
async fn the_second_spelling_is_asked_inside_the_budget_without_another_request() {
    let rig = Settings::default()
        .instance("lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    set(&rig, EXTRA, Picture::Unknown);
    let face = rig.face("waha", EXTRA).await;
    face.assert_fallback("over_budget");
    assert_eq!(face.header("cache-control"), "no-store");
    assert_eq!(asked(&rig), [EXTRA]);
    rig.seconds(61);
    until(
        async || !rig.calls().list.is_empty() && rig.calls().cdn == 1,
        LIMIT,
    )
    .await;
    assert_eq!(asked(&rig), [PLAIN]);
    until(
        async || rig.face("waha", EXTRA).await.source() == "picture",
        LIMIT,
    )
    .await;
    rig.face("waha", PLAIN)
        .await
        .assert_picture(&rig.bytes(PLAIN));
    assert_eq!(asked(&rig), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_about_the_second_spelling_leaves_the_answer_to_the_first() {
    let rig = Rig::start().await;
    set(&rig, PLAIN, Picture::Unknown);
    let error = Fault::Status {
        status: 500,
        retry_after: None,
    };
    rig.inject(Rule::api(error).jid(EXTRA));
    rig.face("wawp", PLAIN).await.assert_fallback("unknown");
    assert_eq!(asked(&rig), [PLAIN, EXTRA]);
    rig.hours(7);
    rig.face("wawp", PLAIN).await.assert_fallback("unknown");
    assert_eq!(asked(&rig), [PLAIN]);
}

#[tokio::test]
async fn purging_and_forgetting_one_spelling_reach_the_other() {
    let rig = Rig::start().await;
    rig.face("waha", EXTRA).await;
    let purge = format!("/v1/purge?instance=waha&jid={PLAIN}&hard=true");
    assert_eq!(admin(&rig, "POST", &purge).await.text(), "{\"purged\":1}");
    rig.face("waha", EXTRA).await;
    let forget = format!("/v1/avatars/waha/{PLAIN}");
    assert_eq!(admin(&rig, "DELETE", &forget).await.status, 204);
    rig.traffic();
    for jid in [PLAIN, EXTRA] {
        rig.face("waha", jid).await.assert_fallback("hidden");
    }
    assert_eq!(rig.traffic(), (0, 0));
}

/// Moves the entry of one name to another, as an earlier version has left it, and starts the server again.
async fn move_entry(rig: &mut Rig, from: &str, to: &str, change: impl Fn(Entry) -> Entry) {
    rig.stop().await;
    let limits = MaintenanceSettings {
        max_bytes: 1 << 30,
        max_entries: 1000,
        min_free: 0,
        gc_grace: Duration::ZERO,
        files_per_second: 1000,
    };
    let settings = store::Settings {
        dir: rig.cache.path().to_path_buf(),
        memory: 1 << 20,
        max_picture: 1 << 20,
        archive: false,
        in_flight: InFlight::new(1 << 20),
    };
    let store = Store::open(&settings, limits, Clock::system()).unwrap();
    let from = Key::new("waha", &from.parse().unwrap());
    let entry = store.find(&from).await.unwrap();
    let owner = Owner {
        instance: "waha".into(),
        subject: to.parse().unwrap(),
    };
    let entry = Arc::new(change(Entry::clone(&entry)));
    assert!(store.put(&owner.key(), &owner, entry).await);
    assert!(store.remove(&from).await);
    store.wait_idle().await;
    drop(store);
    rig.restart().await;
}

#[tokio::test]
async fn an_entry_that_an_earlier_version_kept_under_another_spelling_is_still_served() {
    let mut rig = Rig::start().await;
    let bytes = rig.face("waha", PLAIN).await.body;
    move_entry(&mut rig, PLAIN, EXTRA, |entry| entry).await;
    rig.traffic();
    rig.face("waha", EXTRA).await.assert_picture(&bytes);
    rig.face("waha", PLAIN).await.assert_picture(&bytes);
    let forgotten = |_| {
        let now = Timestamp::from_secs(1_795_200_000);
        Entry::tombstone(now, now + Duration::from_secs(86_400))
    };
    move_entry(&mut rig, PLAIN, EXTRA, forgotten).await;
    rig.face("waha", PLAIN).await.assert_fallback("hidden");
    assert_eq!(rig.traffic(), (0, 0));
}
