//! `fallback`: another account is asked for a person of whom this one has no picture.

use faceplate::emulator::{Fault, Hop, Picture, Rule, Vendor};

use super::{admin, set};
use crate::support::{
    LIMIT, Rig,
    program::{Program, errors},
    rig::Settings,
    until,
};

const FACE: &str = "628100000001@c.us";

/// WAHA's account asks Wawp's.
async fn rig() -> Rig {
    Settings::default()
        .only("waha", "fallback = [\"wawp\"]")
        .start()
        .await
}

/// Lets a vendor say that there is no picture.
fn nothing(vendor: Vendor) -> Rule {
    Rule::api(Fault::Empty { remembered: false }).vendor(vendor)
}

/// The calls to WAHA's API and to Wawp's since the last call of this function.
fn calls(rig: &Rig) -> (usize, usize) {
    let list = rig.calls().list;
    rig.vendors().reset_calls();
    let of = |vendor| {
        let calls = list.iter().filter(|call| call.hop == Hop::Api);
        calls.filter(|call| call.vendor == Some(vendor)).count()
    };
    (of(Vendor::Waha), of(Vendor::Wawp))
}

#[tokio::test]
async fn a_person_without_a_picture_is_asked_for_at_the_fallback() {
    let mut rig = rig().await;
    rig.inject(nothing(Vendor::Waha));
    let face = rig.face("waha", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(face.header("x-faceplate-instance"), "wawp");
    assert_eq!(calls(&rig), (1, 1));
    // The picture is kept like any other, with its origin.
    rig.restart().await;
    let again = rig.face("waha", FACE).await;
    assert_eq!(again.header("x-faceplate-instance"), "wawp");
    assert_eq!(calls(&rig), (0, 0));
    let record = admin(&rig, "GET", &format!("/v1/avatars/waha/{FACE}")).await;
    assert!(
        record.text().contains("\"from\":\"wawp\""),
        "{}",
        record.text()
    );
    // The other account's own view has no such header.
    let own = rig.face("wawp", FACE).await;
    assert!(own.headers.get("x-faceplate-instance").is_none());
    assert_eq!(calls(&rig), (0, 0));
}

#[tokio::test]
async fn a_refresh_asks_the_account_itself_first() {
    let rig = rig().await;
    rig.inject(nothing(Vendor::Waha));
    rig.face("waha", FACE).await;
    rig.vendors().clear_faults();
    rig.hours(24 * 9);
    calls(&rig);
    let face = rig.face("waha", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert!(face.headers.get("x-faceplate-instance").is_none());
    assert_eq!(calls(&rig), (1, 0));
}

#[tokio::test]
async fn trouble_at_the_account_is_no_reason_to_ask_the_fallback() {
    for (status, reason) in [
        (429, "rate_limited"),
        (422, "session_down"),
        (401, "auth"),
        (502, "vendor_error"),
    ] {
        let rig = rig().await;
        let fault = Fault::Status {
            status,
            retry_after: None,
        };
        rig.inject(Rule::api(fault).vendor(Vendor::Waha));
        rig.face("waha", FACE).await.assert_fallback(reason);
        assert_eq!(calls(&rig).1, 0, "{status}");
        // Nor is the pause after it.
        rig.face("waha", "628100000002").await;
        assert_eq!(calls(&rig).1, 0, "{status}");
    }
    let rig = Settings::default()
        .only("waha", "fallback = [\"wawp\"]")
        .only("waha", "lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    rig.face("waha", "628100000002").await;
    rig.face("waha", FACE).await.assert_fallback("over_budget");
    assert_eq!(calls(&rig), (1, 0));
}

#[tokio::test]
async fn nobody_has_a_picture() {
    let rig = rig().await;
    rig.inject(nothing(Vendor::Waha));
    rig.inject(nothing(Vendor::Wawp));
    for _ in 0..3 {
        rig.face("waha", FACE).await.assert_fallback("unknown");
    }
    assert_eq!(calls(&rig), (1, 1));
}

#[tokio::test]
async fn the_fallback_is_asked_inside_its_own_budget() {
    let rig = Settings::default()
        .only("waha", "fallback = [\"wawp\"]")
        .only("wawp", "lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    rig.inject(nothing(Vendor::Waha));
    rig.face("wawp", "628100000002").await;
    calls(&rig);
    let face = rig.face("waha", FACE).await;
    face.assert_fallback("unknown");
    assert_eq!(calls(&rig), (1, 0));
    // The account is not asked for each request meanwhile, and the face comes when the other account may ask.
    rig.face("waha", FACE).await;
    assert_eq!(calls(&rig).0, 0);
    rig.seconds(130);
    until(
        async || rig.face("waha", FACE).await.source() == "picture",
        LIMIT,
    )
    .await;
}

#[tokio::test]
async fn an_account_without_a_call_asks_its_fallback() {
    // Wachat has a call for its own picture alone, and `push` has no gateway at all.
    let rig = Settings::default()
        .named("inbox", "push")
        .only("inbox", "fallback = [\"wawp\"]")
        .only("wachat", "fallback = [\"waha\"]")
        .start()
        .await;
    for (instance, other) in [("inbox", "wawp"), ("wachat", "waha")] {
        let face = rig.face(instance, FACE).await;
        face.assert_picture(&rig.bytes(FACE));
        assert_eq!(face.header("x-faceplate-instance"), other);
        // A picture that cannot be downloaded counts as none.
        set(&rig, "628100000005", Picture::Unknown);
        let none = rig.face(instance, "628100000005").await;
        none.assert_fallback("unknown");
        // Groups are the account's own.
        let group = "120363000000000001@g.us";
        assert_ne!(rig.face(instance, group).await.source(), "picture");
    }
}

#[tokio::test]
async fn what_programs_have_pushed_is_better_than_the_fallback() {
    let rig = Settings::default()
        .named("inbox", "push")
        .only("inbox", "fallback = [\"wawp\"]")
        .start()
        .await;
    rig.face("inbox", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    let other = rig.face("waha", "628100000002").await.body;
    let pushed = crate::support::Answer::send(
        &rig.admin(),
        "PUT",
        &format!("/v1/avatars/inbox/{FACE}"),
        &[("content-type", "image/jpeg")],
        &other,
    )
    .await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    calls(&rig);
    rig.hours(24 * 9);
    let face = rig.face("inbox", FACE).await;
    face.assert_picture(&other);
    assert!(face.headers.get("x-faceplate-instance").is_none());
    assert_eq!(calls(&rig), (0, 0));
}

#[tokio::test]
async fn a_chain_of_accounts_names_the_one_that_has_the_picture() {
    let rig = Settings::default()
        .only("waha", "fallback = [\"wawp\", \"hypersender\"]")
        .only("wawp", "fallback = [\"wappfy\"]")
        .start()
        .await;
    rig.inject(nothing(Vendor::Waha));
    rig.inject(nothing(Vendor::Wawp));
    let face = rig.face("waha", FACE).await;
    face.assert_picture(&rig.bytes(FACE));
    assert_eq!(face.header("x-faceplate-instance"), "wappfy");
}

#[tokio::test]
async fn a_face_that_is_forgotten_does_not_come_back_from_the_fallback() {
    let rig = rig().await;
    rig.inject(nothing(Vendor::Waha));
    rig.face("waha", FACE).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(admin(&rig, "DELETE", &path).await.status, 204);
    calls(&rig);
    rig.face("waha", FACE).await.assert_fallback("hidden");
    assert_eq!(calls(&rig), (0, 0));
}

#[tokio::test]
async fn a_reload_changes_the_fallback() {
    let mut rig = Rig::start().await;
    rig.inject(nothing(Vendor::Waha));
    rig.face("waha", FACE).await.assert_fallback("unknown");
    rig.reload_only("waha", "fallback = [\"wawp\"]");
    rig.face("waha", "628100000002")
        .await
        .assert_picture(&rig.bytes("628100000002"));
    rig.reload_only("waha", "fallback = []");
    rig.face("waha", "628100000003")
        .await
        .assert_fallback("unknown");
}

#[test]
fn circles_and_unknown_names_are_refused_with_the_configuration() {
    let config = |fallbacks: [&str; 3]| {
        let mut text =
            "[access]\nmode = \"open\"\nsigning_keys = [\"env:SIGNING_KEY\"]\n".to_owned();
        for (name, fallback) in ["a", "b", "c"].into_iter().zip(fallbacks) {
            text.push_str(&format!(
                "[instances.{name}]\nprovider = \"push\"\naccount = \"{name}\"\nfallback = [{fallback}]\n"
            ));
        }
        text
    };
    for (fallbacks, expected) in [
        (["\"a\"", "", ""], "instances.a.fallback: leads back"),
        (
            ["\"b\"", "\"c\"", "\"a\""],
            "instances.c.fallback: leads back",
        ),
        (
            ["\"nobody\"", "", ""],
            "no instance with a table of its own",
        ),
    ] {
        let program = Program::with(&config(fallbacks));
        let run = program.run(&["check"]);
        let text = errors(&run);
        assert!(!run.status.success(), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let program = Program::with(&config(["\"b\", \"c\"", "\"c\"", ""]));
    assert!(program.run(&["check"]).status.success());
}
