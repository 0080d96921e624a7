//! Turning a knob changes what happens: the times that answers are believed, and the limits of a
//! fetch.

#![allow(clippy::unwrap_used)]

mod support;

use faceplate::emulator::{Fault, Picture, Rule};
use support::{Rig, rig::Settings};

const FACE: &str = "628100000001";

fn status(status: u16) -> Rule {
    Rule::api(Fault::Status {
        status,
        retry_after: None,
    })
}

/// After `seconds` the vendor is asked again, and a second before it is not.
async fn assert_asked_again_after(rig: &Rig, vendor: &str, seconds: u64) {
    rig.face(vendor, FACE).await;
    rig.traffic();
    rig.seconds(seconds - 1);
    rig.face(vendor, FACE).await;
    assert_eq!(rig.traffic().0, 0, "asked too early");
    rig.seconds(1);
    rig.face(vendor, FACE).await;
    assert_eq!(rig.traffic().0, 1, "not asked in time");
}

#[tokio::test]
async fn each_kind_of_answer_is_believed_as_long_as_its_knob_says() {
    for (knob, rule) in [
        ("empty", Rule::api(Fault::Empty { remembered: false })),
        ("not_found", status(404)),
        ("session_down", status(422)),
        ("auth", status(401)),
        ("rate_limited", status(429)),
    ] {
        let rig = Settings::default()
            .section("cache.negative", &format!("{knob} = \"100s\""))
            .start()
            .await;
        rig.inject(rule);
        assert_asked_again_after(&rig, "waha", 100).await;
    }
}

#[tokio::test]
async fn errors_wait_from_their_first_to_their_longest() {
    let rig = Settings::default()
        .section(
            "cache.negative",
            "error_first = \"100s\"\nerror_longest = \"150s\"",
        )
        .start()
        .await;
    rig.inject(status(502));
    // Less up to a tenth, so that faces that failed together do not come back together.
    for (early, late) in [(89, 101), (134, 151), (134, 151)] {
        rig.face("waha", FACE).await;
        rig.traffic();
        rig.seconds(early);
        rig.face("waha", FACE).await;
        assert_eq!(rig.traffic().0, 0, "asked within {early} s");
        rig.seconds(late - early);
    }
}

#[tokio::test]
async fn rate_limits_wait_no_longer_than_their_longest() {
    let rig = Settings::default()
        .section(
            "cache.negative",
            "rate_limited = \"100s\"\nrate_limited_longest = \"150s\"",
        )
        .start()
        .await;
    rig.inject(status(429));
    for seconds in ["100", "150", "150"] {
        let limited = rig.face("waha", FACE).await;
        assert_eq!(limited.header("retry-after"), seconds);
        rig.seconds(seconds.parse().unwrap());
    }
}

#[tokio::test]
async fn a_picture_is_fresh_for_its_ttl_and_shown_for_its_grace() {
    let rig = Settings::default()
        .section("cache", "ttl = \"100s\"\nstale_while_revalidate = \"50s\"")
        .start()
        .await;
    let fresh = rig.face("waha", FACE).await;
    assert_eq!(fresh.header("cache-control"), "public, max-age=100");
    rig.seconds(99);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("; hit; ttl=1")
    );
    rig.inject(Rule::api(Fault::Latency { ms: 50 }));
    rig.seconds(2);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("revalidating")
    );
    let mut rig = rig;
    rig.restart().await;
    rig.seconds(151);
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("fwd=stale")
    );
}

#[tokio::test]
async fn fewer_confirmations_drop_a_picture_sooner() {
    for confirmations in [1, 2] {
        let rig = Settings::default()
            .section(
                "cache",
                &format!("on_hidden = \"drop\"\nconfirmations = {confirmations}"),
            )
            .start()
            .await;
        rig.face("waha", FACE).await;
        rig.vendors().set_picture(FACE, Picture::Hidden).unwrap();
        for looked in 1..=confirmations {
            rig.hours(24);
            let answer = rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await;
            let source = if looked < confirmations {
                "picture"
            } else {
                "fallback"
            };
            assert_eq!(answer.source(), source, "{looked} of {confirmations}");
        }
    }
}

#[tokio::test]
async fn a_picture_may_be_as_large_as_its_limit() {
    for (limit, source) in [("1MiB", "picture"), ("1KiB", "fallback")] {
        let rig = Settings::default()
            .section("upstream", &format!("max_picture = \"{limit}\""))
            .start()
            .await;
        assert_eq!(rig.face("waha", FACE).await.source(), source);
    }
}

#[tokio::test]
async fn downloads_wait_for_each_other_beyond_their_limit() {
    for (downloads, reason) in [(1, "deferred"), (2, "")] {
        let rig = Settings::default()
            .section("upstream", &format!("downloads = {downloads}"))
            .section("cache", "first_paint = \"300ms\"")
            .start()
            .await;
        rig.bytes("628100000002");
        rig.inject(Rule::cdn(Fault::Hang).jid(FACE));
        rig.face("waha", FACE).await.assert_fallback("deferred");
        let second = rig.face("waha", "628100000002").await;
        assert_eq!(second.reason(), reason, "{downloads}");
    }
}

#[tokio::test]
async fn memory_is_as_large_as_its_knob() {
    // Without its file, a face is only there if memory has it.
    for (memory, calls) in [("64MiB", 0), ("1b", 1)] {
        let rig = Settings::default()
            .section("cache", &format!("memory = \"{memory}\""))
            .start()
            .await;
        rig.face("waha", FACE).await;
        std::fs::remove_dir_all(rig.cache.path().join("index-v5")).unwrap();
        rig.traffic();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(rig.traffic().0, calls, "{memory}");
    }
}
