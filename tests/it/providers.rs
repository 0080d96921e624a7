//! Each vendor's documented calls and replies, over real HTTP, and the answers for the browser.

use crate::support::{Rig, rig::VENDORS};
use faceplate::emulator::{Endpoint, Fault, OWN_JID, Picture, Rule};

const FACE: &str = "628100000001@c.us";
const GROUP: &str = "120363000000000001@g.us";

/// A subject that every vendor can be asked for.
fn somebody(vendor: &str) -> &'static str {
    if vendor == "wachat" { "me" } else { FACE }
}

fn bytes_of(rig: &Rig, subject: &str) -> hyper::body::Bytes {
    rig.bytes(if subject == "me" { OWN_JID } else { subject })
}

/// Asserts why a face of each vendor has no picture.
async fn assert_reasons(rig: &Rig, reasons: [(&str, &str); 5]) {
    for (vendor, reason) in reasons {
        let answer = rig.face(vendor, somebody(vendor)).await;
        answer.assert_fallback(reason);
    }
}

#[tokio::test]
async fn every_vendor_shows_a_face_for_one_call_and_at_most_one_download() {
    let rig = Rig::start().await;
    for (vendor, downloads) in [
        ("wachat", 0),
        ("wawp", 1),
        ("hypersender", 1),
        ("wappfy", 1),
        ("waha", 1),
    ] {
        let answer = rig.face(vendor, somebody(vendor)).await;
        answer.assert_picture(&bytes_of(&rig, somebody(vendor)));
        assert_eq!(rig.traffic(), (1, downloads), "{vendor}");
    }
}

#[tokio::test]
async fn groups_lids_and_channels_have_faces_where_the_vendor_knows_them() {
    let rig = Rig::start().await;
    for vendor in ["wawp", "hypersender", "wappfy", "waha"] {
        for jid in [GROUP, "628100000001-1581234048@g.us", "100875997589545@lid"] {
            rig.face(vendor, jid).await.assert_picture(&rig.bytes(jid));
        }
    }
    let channel = "120363000000000201@newsletter";
    rig.face("waha", channel)
        .await
        .assert_picture(&rig.bytes(channel));
}

#[tokio::test]
async fn wawp_has_one_call_for_contacts_and_one_for_chats() {
    let rig = Rig::start().await;
    for (jid, endpoint) in [(FACE, Endpoint::ContactPicture), (GROUP, Endpoint::Picture)] {
        rig.face("wawp", jid).await;
        assert_eq!(rig.calls().list[0].endpoint, endpoint, "{jid}");
        rig.vendors().reset_calls();
    }
}

#[tokio::test]
async fn me_is_fetched_by_the_vendor_s_own_call_or_by_own_jid() {
    let rig = Rig::start().await;
    for (vendor, endpoint) in [
        ("wachat", Endpoint::Picture),
        ("wawp", Endpoint::Picture),
        ("hypersender", Endpoint::Picture),
        ("wappfy", Endpoint::Picture),
        ("waha", Endpoint::Profile),
    ] {
        rig.face(vendor, "me")
            .await
            .assert_picture(&rig.bytes(OWN_JID));
        assert_eq!(rig.calls().list[0].endpoint, endpoint, "{vendor}");
        rig.vendors().reset_calls();
    }
}

#[tokio::test]
async fn wachat_shows_only_the_own_picture_and_other_requests_get_a_reason() {
    let rig = Rig::start().await;
    let answer = rig.face("wachat", FACE).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("/avatar/{instance}/me"),
        "{}",
        answer.text()
    );
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn each_spelling_of_a_jid_reaches_the_vendor_in_canonical_form() {
    let rig = Rig::start().await;
    for vendor in ["wawp", "hypersender", "wappfy", "waha"] {
        for spelling in [
            "628100000002",
            "+628100000002",
            "628100000002%40c.us",
            "628100000002:7@s.whatsapp.net",
        ] {
            rig.face(vendor, spelling)
                .await
                .assert_picture(&rig.bytes("628100000002"));
        }
        assert_eq!(rig.traffic(), (1, 1), "{vendor}");
    }
}

#[tokio::test]
async fn no_picture_gives_a_placeholder_with_the_vendor_s_reason() {
    let rig = Rig::start().await;
    for (vendor, picture, reason) in [
        ("wawp", Picture::NotSet, "unknown"),
        ("wawp", Picture::Hidden, "unknown"),
        ("wawp", Picture::NotFound, "unknown"),
        ("hypersender", Picture::NotSet, "unknown"),
        ("hypersender", Picture::Hidden, "unknown"),
        ("hypersender", Picture::NotFound, "not_found"),
        ("wappfy", Picture::NotSet, "unknown"),
        ("wappfy", Picture::Hidden, "unknown"),
        ("waha", Picture::NotSet, "unknown"),
        ("waha", Picture::Hidden, "unknown"),
        ("wachat", Picture::NotSet, "unknown"),
    ] {
        let jid = if vendor == "wachat" { OWN_JID } else { FACE };
        rig.vendors().set_picture(jid, picture).unwrap();
        rig.face(vendor, somebody(vendor))
            .await
            .assert_fallback(reason);
        // Long enough for the stored answer to expire.
        rig.hours(48);
        rig.vendors().forget_vendor_cache();
    }
    rig.vendors().set_picture(GROUP, Picture::Hidden).unwrap();
    rig.face("wawp", GROUP).await.assert_fallback("hidden");
}

#[tokio::test]
async fn an_account_unknown_to_the_vendor_gives_the_reason_not_found() {
    let rig = crate::support::rig::Settings::default()
        .instance("account = \"missing-shop\"")
        .start()
        .await;
    assert_reasons(
        &rig,
        [
            ("wachat", "unknown"),
            ("wawp", "unknown"),
            ("hypersender", "not_found"),
            ("wappfy", "not_found"),
            ("waha", "not_found"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_refused_credential_gives_the_reason_auth_with_every_vendor() {
    let rig = crate::support::rig::Settings::default()
        .instance("token = \"env:BEARER\"")
        .start()
        .await;
    for vendor in VENDORS {
        rig.face(vendor, somebody(vendor))
            .await
            .assert_fallback("auth");
        assert_eq!(rig.traffic(), (1, 0), "{vendor}");
    }
}

#[tokio::test]
async fn every_documented_error_status_of_a_vendor_has_its_outcome() {
    // A 500 of WAHA contains WhatsApp's own error, here `not-authorized`.
    const STATUSES: [u16; 9] = [400, 401, 403, 404, 422, 429, 500, 502, 504];
    for (vendor, outcomes) in [
        (
            "wachat",
            [
                "vendor_error",
                "auth",
                "auth",
                "unknown",
                "session_down",
                "rate_limited",
                "vendor_error",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "wawp",
            [
                "vendor_error",
                "auth",
                "hidden",
                "unknown",
                "session_down",
                "rate_limited",
                "vendor_error",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "hypersender",
            [
                "vendor_error",
                "auth",
                "auth",
                "not_found",
                "not_found",
                "rate_limited",
                "vendor_error",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "wappfy",
            [
                "vendor_error",
                "auth",
                "auth",
                "not_found",
                "session_down",
                "rate_limited",
                "hidden",
                "vendor_error",
                "vendor_error",
            ],
        ),
        (
            "waha",
            [
                "vendor_error",
                "auth",
                "auth",
                "not_found",
                "session_down",
                "rate_limited",
                "hidden",
                "vendor_error",
                "vendor_error",
            ],
        ),
    ] {
        let rig = Rig::start().await;
        for (status, outcome) in STATUSES.into_iter().zip(outcomes) {
            rig.inject(Rule::api(Fault::Status {
                status,
                retry_after: None,
            }));
            let answer = rig.face(vendor, somebody(vendor)).await;
            answer.assert_fallback(outcome);
            assert!(
                answer
                    .cache_status()
                    .contains(&format!("fwd-status={status}")),
                "{vendor} {status}: {}",
                answer.cache_status()
            );
            assert_eq!(rig.traffic(), (1, 0), "{vendor} {status}");
            rig.vendors().clear_faults();
            // Long enough for every pause to end and every stored answer to expire.
            rig.hours(48);
        }
    }
}

#[tokio::test]
async fn a_logged_out_session_gives_the_reason_session_down() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::SessionDown {
        status: "SCAN_QR_CODE".into(),
    }));
    assert_reasons(
        &rig,
        [
            ("wachat", "vendor_error"),
            ("wawp", "session_down"),
            ("hypersender", "session_down"),
            ("wappfy", "session_down"),
            ("waha", "session_down"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_rate_limit_reported_inside_a_200_pauses_the_instance() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::RateOverlimit));
    for vendor in VENDORS {
        rig.face(vendor, somebody(vendor))
            .await
            .assert_fallback("rate_limited");
        // The pause concerns the whole instance, so the next face causes no call.
        rig.traffic();
        let other = if vendor == "wachat" {
            "me"
        } else {
            "628100000009"
        };
        rig.face(vendor, other)
            .await
            .assert_fallback("rate_limited");
        assert_eq!(rig.traffic(), (0, 0), "{vendor}");
    }
}

#[tokio::test]
async fn an_empty_link_counts_as_no_picture() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::EmptyUrl));
    for vendor in ["wawp", "hypersender", "wappfy", "waha"] {
        rig.face(vendor, FACE).await.assert_fallback("unknown");
    }
}

#[tokio::test]
async fn malformed_vendor_answers_give_the_reason_vendor_error() {
    for fault in [
        Fault::NotJson,
        Fault::Html,
        Fault::BadImage,
        Fault::Truncated,
        Fault::WrongLength,
        Fault::Reset,
    ] {
        let rig = Rig::start().await;
        rig.inject(Rule::api(fault.clone()));
        for vendor in VENDORS {
            let answer = rig.face(vendor, somebody(vendor)).await;
            assert_eq!(
                (answer.source(), answer.reason()),
                ("fallback", "vendor_error"),
                "{vendor} {fault:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_call_to_a_hanging_vendor_times_out() {
    let rig = crate::support::rig::Settings::default()
        .section(
            "upstream",
            "call_timeout = \"50ms\"\ndownload_timeout = \"50ms\"",
        )
        .start()
        .await;
    rig.inject(Rule::api(Fault::Hang));
    for vendor in VENDORS {
        rig.face(vendor, somebody(vendor))
            .await
            .assert_fallback("vendor_error");
    }
    rig.vendors().clear_faults();
    rig.inject(Rule::cdn(Fault::Hang));
    rig.hours(1);
    for vendor in ["wawp", "hypersender", "wappfy", "waha"] {
        rig.face(vendor, FACE).await.assert_fallback("vendor_error");
    }
}
