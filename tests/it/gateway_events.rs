//! The webhooks of whole gateways: what happens at WhatsApp reaches the face through the gateway's own event.

use faceplate::emulator::{Hop, Picture, Vendor, Webhook};

use crate::support::{
    Answer, LIMIT,
    rig::{Rig, Settings},
    until,
};

const FACE: &str = "628100000001@c.us";
const GATEWAYS: [(&str, Vendor); 3] = [
    ("evolution", Vendor::Evolution),
    ("wuzapi", Vendor::Wuzapi),
    ("waha", Vendor::Waha),
];

/// Each of the gateways reports to its instance; wuzapi and WAHA sign.
async fn start() -> Rig {
    let mut settings = Settings::default()
        .section("hooks", "listen = \"127.0.0.1:0\"")
        .more(&["evolution", "wuzapi"]);
    for (name, vendor) in GATEWAYS {
        let key = match vendor {
            Vendor::Evolution => "",
            _ => ", hmac_key = \"env:HOOK_KEY\"",
        };
        let hook = format!("hook = {{ secret = \"env:HOOK_SECRET\"{key} }}");
        settings = settings.only(name, &hook);
    }
    let rig = settings.start().await;
    for (name, vendor) in GATEWAYS {
        rig.vendors()
            .add_webhook(webhook(&rig, name, vendor))
            .unwrap();
    }
    rig
}

fn webhook(rig: &Rig, instance: &str, vendor: Vendor) -> Webhook {
    let url = format!(
        "http://{}/v1/hooks/{instance}/a%20hook%20secret%20for%20tests",
        rig.hooks()
    );
    Webhook {
        vendor,
        account: "shop".to_owned(),
        url,
        hmac_key: (vendor != Vendor::Evolution).then(|| "a hook key for tests".to_owned()),
    }
}

async fn until_shown(rig: &Rig, instance: &str) {
    let is_shown = async || rig.face(instance, FACE).await.body == rig.bytes(FACE);
    until(is_shown, LIMIT).await;
}

/// The number of calls to the API of a gateway.
fn lookups(rig: &Rig, vendor: Vendor) -> usize {
    let calls = rig.vendors().calls().list.into_iter();
    let of_vendor = calls.filter(|call| call.hop == Hop::Api && call.vendor == Some(vendor));
    of_vendor.count()
}

#[tokio::test]
async fn a_changed_picture_reaches_the_face_by_the_event_of_its_gateway() {
    let rig = start().await;
    for (name, _) in GATEWAYS {
        rig.face(name, FACE).await.assert_picture(&rig.bytes(FACE));
    }
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    for (name, _) in GATEWAYS {
        until_shown(&rig, name).await;
    }
    // WAHA and wuzapi only say that there is a new picture. Evolution sends its link.
    assert_eq!(
        lookups(&rig, Vendor::Evolution),
        1,
        "the first picture alone"
    );
    assert_eq!(lookups(&rig, Vendor::Wuzapi), 2);
}

#[tokio::test]
async fn a_face_that_was_never_seen_comes_with_the_first_message_at_evolution() {
    let rig = start().await;
    rig.vendors().receive_message(FACE).unwrap();
    let is_known = async || {
        let path = format!("/v1/avatars/evolution/{FACE}");
        Answer::to(&rig.admin(), "GET", &path, &[]).await.status == 200
    };
    until(is_known, LIMIT).await;
    until_shown(&rig, "evolution").await;
    assert_eq!(lookups(&rig, Vendor::Evolution), 0);
}

#[tokio::test]
async fn an_event_that_is_signed_with_another_key_changes_nothing() {
    let rig = start().await;
    rig.face("wuzapi", FACE).await;
    rig.vendors().clear_webhooks();
    let forged = Webhook {
        hmac_key: Some("a stranger's key".to_owned()),
        ..webhook(&rig, "wuzapi", Vendor::Wuzapi)
    };
    rig.vendors().add_webhook(forged).unwrap();
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    let is_refused = async || {
        let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
        metrics.text().contains("faceplate_hook_rejects_total 1")
    };
    until(is_refused, LIMIT).await;
    assert_ne!(rig.face("wuzapi", FACE).await.body, rig.bytes(FACE));
}

#[tokio::test]
async fn the_emulator_refuses_webhooks_that_cannot_work() {
    let rig = start().await;
    let api = rig.emulator.api().to_string();
    let post = async |body: &str| {
        let path = "/_emulator/webhooks";
        Answer::send(&api, "POST", path, &[], body.as_bytes()).await
    };
    for (body, words) in [
        (
            r#"{"vendor":"wppconnect","account":"shop","url":"http://127.0.0.1:1/"}"#,
            "reports no events",
        ),
        (
            r#"{"vendor":"waha","account":"shop","url":"https://127.0.0.1/"}"#,
            "on this machine",
        ),
        (
            r#"{"vendor":"waha","account":"shop","url":"http://192.0.2.1/"}"#,
            "on this machine",
        ),
        (r#"{"vendor":"waha","account":"shop"}"#, "url"),
    ] {
        let answer = post(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let good = r#"{"vendor":"waha","account":"shop","url":"http://127.0.0.1:1/"}"#;
    assert_eq!(post(good).await.status, 204);
    assert_eq!(rig.vendors().webhooks().len(), GATEWAYS.len() + 1);
}
